package py

import "fmt"

// Mode is what an undefined value does when it is used.
type Mode int

const (
	Lenient   Mode = iota // prints nothing, is empty and false; arithmetic and attributes raise
	Strict                // raises on everything but "is defined" and default
	Chainable             // as Lenient, and attributes of it are undefined too
	Debug                 // as Lenient, and prints what is missing
)

func (m Mode) className() string {
	return [...]string{"Undefined", "StrictUndefined", "ChainableUndefined", "DebugUndefined"}[m]
}

// Undefined is the value of a name or attribute that is not there.
type Undefined struct {
	Hint   string // the whole message, or ""
	Name   Value  // what was looked for
	Obj    Value  // where it was looked for
	HasObj bool   // whether Obj says so; a name of the template has none
	Exc    string // class to raise; "" is UndefinedError
	Mode   Mode
}

// Message is jinja2's text for using the value.
func (u *Undefined) Message() string {
	name, _ := Repr(nil, u.Name)
	switch _, isStr := asStr(u.Name); {
	case u.Hint != "":
		return u.Hint
	case !u.HasObj:
		return name + " is undefined"
	case !isStr:
		return fmt.Sprintf("%s has no element %s", ObjectTypeRepr(u.Obj), name)
	default:
		return fmt.Sprintf("'%s' has no attribute %s", ObjectTypeRepr(u.Obj), name)
	}
}

// Fail is the exception that using the value raises.
func (u *Undefined) Fail() error {
	exc := u.Exc
	if exc == "" {
		exc = "UndefinedError"
	}
	return &Error{Type: exc, Msg: u.Message()}
}

// text is str(u).
func (u *Undefined) text() (string, error) {
	switch u.Mode {
	case Strict:
		return "", u.Fail()
	case Debug:
		name, _ := Str(nil, u.Name)
		switch {
		case u.Hint != "":
			return "{{ undefined value printed: " + u.Hint + " }}", nil
		case !u.HasObj:
			return "{{ " + name + " }}", nil
		}
		q, _ := Repr(nil, u.Name)
		return "{{ no such element: " + ObjectTypeRepr(u.Obj) + "[" + q + "] }}", nil
	}
	return "", nil
}

// ObjectTypeRepr names a value by its class: "dict object", "None".
func ObjectTypeRepr(v Value) string {
	if v == nil {
		return "None"
	}
	return FullTypeName(v) + " object"
}
