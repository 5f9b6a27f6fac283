package jinja

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gosalt/gosalt/jinja/py"
	"github.com/gosalt/gosalt/jinja/syntax"
)

// Error is what went wrong in a template and where.
type Error struct {
	Type     string  // jinja2's or Python's class, such as UndefinedError
	Msg      string  // the message as jinja2 words it
	Template string  // name of the template, "" for one without
	Line     int     // from 1; 0 when there is no place
	Trace    []Place // how one came there, the innermost first
	Err      error   // the cause

	open string // what was left since the last place, until its caller is known
}

// Place is a line that led to an error: what was done there, such as "macro 'm'"
// or "include".
type Place struct {
	Template string
	Line     int
	Doing    string
}

func (e *Error) Error() string {
	var b strings.Builder
	switch {
	case e.Template != "" && e.Line > 0:
		fmt.Fprintf(&b, "%s:%d: ", e.Template, e.Line)
	case e.Line > 0:
		fmt.Fprintf(&b, "line %d: ", e.Line)
	}
	b.WriteString(e.Type + ": " + e.Msg)
	for _, p := range e.Trace {
		name := p.Template
		if name == "" {
			name = "<template>"
		}
		fmt.Fprintf(&b, "\n  from %s:%d (%s)", name, p.Line, p.Doing)
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// place makes an Error of err at a line; one that has a place keeps it.
func place(err error, template string, line int) *Error {
	var e *Error
	if errors.As(err, &e) {
		if e.open != "" {
			e.Trace = append(e.Trace, Place{template, line, e.open})
			e.open = ""
		}
		return e
	}
	e = &Error{Type: "Error", Msg: err.Error(), Template: template, Line: line, Err: err}
	var p *py.Error
	if errors.As(err, &p) {
		e.Type, e.Msg = p.Type, p.Msg
	}
	return e
}

// leaving marks that an error goes out of a macro, an include or the like.
func leaving(err error, doing string) error {
	var e *Error
	if errors.As(err, &e) && e.open == "" {
		e.open = doing
	}
	return err
}

func syntaxError(err error) error {
	var s *syntax.Error
	if !errors.As(err, &s) {
		return err
	}
	class := "TemplateSyntaxError"
	if s.Assertion {
		class = "TemplateAssertionError"
	}
	return &Error{Type: class, Msg: s.Msg, Template: s.Name, Line: s.Line, Err: &py.Error{Type: class, Msg: s.Msg, Err: s}}
}
