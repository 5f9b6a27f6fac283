package inventory

import (
	"context"
	"errors"
	"strings"
)

// A Reason is why a call failed, in classes that call for different things to do.
type Reason string

// The reasons.
const (
	NoCredentials Reason = "no credentials"
	BadLogin      Reason = "credentials are refused" // wrong or expired
	NotPermitted  Reason = "not permitted"
	Throttled     Reason = "throttled" // after the retries
	NoAnswer      Reason = "no answer" // unreachable, or too late
	NotFound      Reason = "not found" // unknown region, profile, host, namespace
	BadAnswer     Reason = "bad answer"
	BadConfig     Reason = "wrong configuration"
	Canceled      Reason = "canceled"
)

// An Error says which call of which source failed, and what to do.
type Error struct {
	Source string // the configured name; filled in by the inventory when empty
	Kind   string // "ec2"; likewise
	Scope  string // region, host, namespace; "" is the whole source
	Call   string // "DescribeInstances"
	Code   string // the API's own word, as "UnauthorizedOperation"
	Reason Reason
	Msg    string // what happened, in one line
	Hint   string // what to do about it
	Err    error
}

// Error is one line: "prod (ec2), eu-west-1, DescribeInstances: not permitted: … (…)".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Source)
	if e.Kind != "" {
		b.WriteString(" (" + e.Kind + ")")
	}
	for _, s := range []string{e.Scope, e.Call} {
		if s != "" {
			b.WriteString(", " + s)
		}
	}
	if e.Reason != "" {
		b.WriteString(": " + string(e.Reason))
	}
	msg := e.Msg
	if msg == "" && e.Err != nil {
		msg = e.Err.Error()
	}
	if msg != "" {
		b.WriteString(": " + strings.Join(strings.Fields(msg), " "))
	}
	if e.Code != "" && !strings.Contains(msg, e.Code) {
		b.WriteString(" [" + e.Code + "]")
	}
	if e.Hint != "" {
		b.WriteString(" (" + e.Hint + ")")
	}
	return strings.TrimPrefix(b.String(), ", ")
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// Interrupted makes e the error of a call that ended because ctx did: too late, or nobody
// waits any more. It is nil while ctx goes on.
func Interrupted(ctx context.Context, e Error) *Error {
	switch err := ctx.Err(); {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		e.Reason, e.Err = NoAnswer, err
		if e.Msg == "" {
			e.Msg = "it took too long"
		}
	default:
		e.Reason, e.Err = Canceled, err
	}
	return &e
}
