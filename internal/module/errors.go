package module

import (
	"fmt"
	"strings"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Kind sorts the errors of functions as Salt's exceptions do: the kind decides the
// words around the message and, in gosalt-call, where it is printed.
type Kind int

// The kinds of errors, with the Salt exception that each stands for.
const (
	Failed       Kind = iota + 1 // the function could not do it: CommandExecutionError
	Invocation                   // it may not be called this way: SaltInvocationError
	Arguments                    // the arguments do not fit its signature: TypeError
	NoCommand                    // a program it needs is not installed: CommandNotFoundError
	NotAvailable                 // there is no such function
	Keywords                     // it has no arguments of these names: SaltInvocationError too, before the call
)

// Error is an error whose text is meant for whoever called the function. Any other
// error that a function returns is reported as an exception, a mistake of its own.
type Error struct {
	Kind Kind
	Msg  string
	Err  error // the cause, for errors.Is; its text is already in Msg
	// Info is what else there is to say of a failure, as errors and changes: its text is
	// in Msg, too. States show the changes as theirs, and Brief as their comment.
	Info  *wire.Map
	Brief string
}

// FailInfo makes the error of a function that failed, with more to say than a sentence.
func FailInfo(msg string, info *wire.Map) *Error {
	say := func(m *wire.Map) string {
		if m.Len() == 0 {
			return msg
		}
		text := msg
		if text != "" && !strings.ContainsAny(text[len(text)-1:], ".?!") {
			text += "."
		}
		return text + " Additional info follows:\n\n" + pytext.Nested(m)
	}
	rest := info.Clone()
	rest.Delete("changes")
	return &Error{Kind: Failed, Msg: say(info), Info: info, Brief: say(rest)}
}

func (e *Error) Error() string { return e.Msg }

// Unwrap returns the cause, or nil.
func (e *Error) Unwrap() error { return e.Err }

// Failf makes the error of a function that could not do what it was asked for:
// Salt prints it as "ERROR: " and the message. %w keeps a cause.
func Failf(format string, a ...any) *Error { return newError(Failed, format, a) }

// Invalidf makes the error of a call that may not be made this way: Salt prints it
// as "ERROR executing 'mod.fun': " and the message.
func Invalidf(format string, a ...any) *Error { return newError(Invocation, format, a) }

// NoCommandf makes the error of a function whose program is not installed: Salt
// prints it as "Command required for 'mod.fun' not found: " and the message.
func NoCommandf(format string, a ...any) *Error { return newError(NoCommand, format, a) }

func newError(k Kind, format string, a []any) *Error {
	err := fmt.Errorf(format, a...)
	return &Error{Kind: k, Msg: err.Error(), Err: unwrap(err)}
}

func unwrap(err error) error {
	if u, ok := err.(interface{ Unwrap() error }); ok {
		return u.Unwrap()
	}
	return nil
}
