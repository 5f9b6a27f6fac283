package py

import (
	"errors"
	"fmt"
)

// Error is a Python exception: its class and its message.
type Error struct {
	Type string // class without module, such as TypeError
	Msg  string // str(exception)
	Err  error  // what caused it outside of Python's world, or nil
}

func (e *Error) Error() string { return e.Type + ": " + e.Msg }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Raise makes an exception of the class; format and args are those of fmt.Sprintf.
func Raise(class, format string, args ...any) *Error {
	if len(args) > 0 {
		format = fmt.Sprintf(format, args...)
	}
	return &Error{Type: class, Msg: format}
}

// parents names the classes above those that a template can meet.
var parents = map[string][]string{
	"KeyError": {"LookupError"}, "IndexError": {"LookupError"},
	"ZeroDivisionError": {"ArithmeticError"}, "OverflowError": {"ArithmeticError"},
	"UnicodeEncodeError": {"UnicodeError", "ValueError"}, "UnicodeDecodeError": {"UnicodeError", "ValueError"},
	"RecursionError": {"RuntimeError"}, "JSONDecodeError": {"ValueError"},
	"UndefinedError": {"TemplateRuntimeError", "TemplateError"}, "SecurityError": {"TemplateRuntimeError", "TemplateError"},
	"FilterArgumentError": {"TemplateRuntimeError", "TemplateError"}, "TemplateRuntimeError": {"TemplateError"},
	"TemplateSyntaxError": {"TemplateError"}, "TemplateAssertionError": {"TemplateSyntaxError", "TemplateError"},
	"TemplateNotFound":  {"LookupError", "OSError", "TemplateError"},
	"TemplatesNotFound": {"TemplateNotFound", "LookupError", "OSError", "TemplateError"},
}

// IsA tells whether err is an exception of one of the classes or a subclass.
func IsA(err error, classes ...string) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	for _, c := range classes {
		if e.Type == c {
			return true
		}
		for _, p := range parents[e.Type] {
			if p == c {
				return true
			}
		}
	}
	return false
}

// keyError is KeyError(key), whose text is repr(key).
func keyError(t *Thread, key Value) error {
	r, err := Repr(t, key)
	if err != nil {
		return err
	}
	return &Error{Type: "KeyError", Msg: r}
}
