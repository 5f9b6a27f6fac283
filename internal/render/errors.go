package render

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/jinja"
	"github.com/gosalt/gosalt/jinja/py"
)

// Error is why a file could not be rendered. Msg is what Salt says; where Salt prints
// a traceback of Python, the places in the templates stand instead.
type Error struct {
	Msg    string
	Name   string // of the SLS or file
	Line   int    // from 1; 0 when there is no place
	Column int    // likewise
	Buffer string // the text that Line is a line of
	Trace  []jinja.Place
	Note   string // what helps beyond what Salt says
	Err    error

	traceback bool // Salt prints one, which ends the first line
}

// Error is the message with the line and an excerpt, as Salt prints it.
func (e *Error) Error() string {
	s := e.Msg
	if e.Line > 0 && e.Buffer != "" {
		if e.traceback {
			s += "\n"
		}
		s += fmt.Sprintf("; line %d\n\n%s", e.Line, excerpt(e.Buffer, e.Line))
	}
	if e.Note != "" {
		s += "\n\n" + e.Note
	}
	for i := 0; i < len(e.Trace); i++ {
		if i == 0 {
			s += "\n"
		}
		p := e.Trace[i]
		if i > 0 && p == e.Trace[i-1] {
			n := 1
			for i+1 < len(e.Trace) && e.Trace[i+1] == p {
				i, n = i+1, n+1
			}
			s += fmt.Sprintf("\n… and %d times more", n)
			continue
		}
		name := p.Template
		if name == "" {
			name = e.Name
		}
		s += fmt.Sprintf("\nfrom %s, line %d: %s", name, p.Line, p.Doing)
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// excerpt shows the lines around one, which is marked.
func excerpt(text string, line int) string {
	lines := pytext.SplitLines(text, false)
	if line > len(lines) {
		return text
	}
	const around = 5
	from, to := max(0, line-around-1), min(len(lines), line+around)
	var b strings.Builder
	b.WriteString("---\n")
	if from > 0 {
		b.WriteString("[...]\n")
	}
	for i := from; i < to; i++ {
		b.WriteString(lines[i])
		if i == line-1 {
			b.WriteString("    <======================")
		}
		b.WriteByte('\n')
	}
	if to < len(lines) {
		b.WriteString("[...]\n")
	}
	b.WriteString("---")
	return b.String()
}

// jinjaError puts an error of a template in Salt's words. files tells where templates
// that were loaded are on this machine, and their text.
func jinjaError(err error, s *Source, files map[string]File) error {
	var je *jinja.Error
	if !errors.As(err, &je) {
		return err
	}
	prefix := "Jinja error: "
	cause := &py.Error{Type: je.Type}
	switch {
	case py.IsA(cause, "UndefinedError"):
		prefix = "Jinja variable "
	case py.IsA(cause, "TemplateRuntimeError", "TemplateSyntaxError", "SecurityError"):
		prefix = "Jinja syntax error: "
	case je.Type == "SaltInvocationError" || je.Type == "CommandExecutionError":
		prefix = "Problem running salt function in Jinja template: "
	}
	e := &Error{Msg: prefix + je.Msg, Name: s.name(), Err: err, traceback: prefix == "Jinja error: "}
	// Salt tells the innermost line that is not in a block.
	places := append([]jinja.Place{{Template: je.Template, Line: je.Line}}, je.Trace...)
	at := places[len(places)-1]
	for i, p := range places {
		if i+1 < len(places) && strings.HasPrefix(places[i+1].Doing, "block ") {
			continue
		}
		at = p
		break
	}
	if at.Template == "" {
		e.Line, e.Buffer = at.Line, s.Text
	} else if f, ok := files[at.Template]; ok {
		name := f.Path
		if name == "" {
			name = at.Template
		}
		e.Msg += fmt.Sprintf("\n%s(%d):\n%s", name, at.Line, excerpt(string(f.Data), at.Line))
	}
	if len(je.Trace) > 0 {
		e.Trace = je.Trace
	}
	if py.IsA(cause, "TemplateNotFound") {
		e.Note = fmt.Sprintf("salt://%s is not there in saltenv %s", je.Msg, s.Env)
	}
	return e
}
