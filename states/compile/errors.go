package compile

import (
	"fmt"
	"strings"

	"github.com/gosalt/gosalt/internal/render/saltyaml"
	"github.com/gosalt/gosalt/jinja/py"
)

// Error is something wrong with states: what Salt says of it, and where it is.
type Error struct {
	Msg string // Salt's words
	At  Place  // the zero value where no place is known
	// From are the include statements that led to the SLS, the innermost first.
	From []Place
	Err  error
}

// Error is the message and, in lines of their own, the place and how one came there.
func (e *Error) Error() string {
	s := e.Msg
	if e.At.File != "" {
		s += "\n    " + e.At.String()
	}
	for _, p := range e.From {
		s += "\n    included in " + p.String()
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Place is where something stands in an SLS: the line of the text that Jinja made.
type Place struct {
	SLS, Env string
	File     string // "salt://web/init.sls"
	Line     int
	Column   int
	Rendered bool // Line counts in the rendered text, which differs from the file
}

// String is "salt://web/init.sls, line 3 when rendered".
func (p Place) String() string {
	s := p.File
	if p.Line > 0 {
		s += fmt.Sprintf(", line %d", p.Line)
		if p.Rendered {
			s += " when rendered"
		}
	}
	return s
}

// Errors are all that is wrong.
type Errors []*Error

// Texts are the errors as functions return them.
func (es Errors) Texts() []any {
	out := make([]any, len(es))
	for i, e := range es {
		out[i] = e.Error()
	}
	return out
}

func (es Errors) Error() string {
	var s []string
	for _, e := range es {
		s = append(s, e.Error())
	}
	return strings.Join(s, "\n")
}

// add notes an error at an ID of the high data.
func (c *Compiler) add(es *Errors, id py.Value, state string, format string, args ...any) {
	e := &Error{Msg: fmt.Sprintf(format, args...)}
	if s, ok := py.AsString(id); ok {
		e.At = c.At(s, state)
	}
	*es = append(*es, e)
}

// place is the key of a place: an ID, and a state below it or "".
type place struct{ id, state string }

// At tells where an ID, or a state of it, was written; the zero value when that is
// not known.
func (c *Compiler) At(id, state string) Place {
	if p, ok := c.places[place{id, state}]; ok {
		return p
	}
	return c.places[place{id, ""}]
}

// note remembers where the IDs of an SLS and their states stand.
func (c *Compiler) note(doc *saltyaml.Document, base Place) {
	if doc == nil {
		return
	}
	doc.Walk(func(path []any, at saltyaml.Mark) bool {
		id, ok := path[0].(string)
		if !ok {
			return false
		}
		key := place{id: id}
		if len(path) == 2 {
			s, ok := path[1].(string)
			if !ok {
				return false
			}
			key.state, _, _ = strings.Cut(s, ".")
		}
		_, ok = c.places[key]
		if statement := id == "include" || id == "extend" || id == "exclude"; !ok || statement { // statements are of the last SLS
			p := base
			p.Line, p.Column = at.Line, at.Column
			c.places[key] = p
		}
		return len(path) < 2
	})
}

// str is Python's str(), for messages.
func str(v py.Value) string {
	s, err := py.Str(nil, v)
	if err != nil {
		return err.Error()
	}
	return s
}
