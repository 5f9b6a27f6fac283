package wire

import "fmt"

// Kind classes an error so that the other side can act on it. Kinds are numbered
// and only appended, so that peers of different age agree.
type Kind int

const (
	Other        Kind = 0 // Nothing more is known.
	Malformed    Kind = 1 // The message breaks the format or a limit; sending it again is useless.
	Unknown      Kind = 2 // No such command, job, minion or function.
	Unauthorized Kind = 3 // Who asks is not known, or not proven.
	Forbidden    Kind = 4 // Who asks is known and may not.
	Busy         Kind = 5 // Overload; the same message may be sent again later.
	Expired      Kind = 6 // The time stamp is too old or too new: see to the clocks.
	Replayed     Kind = 7 // The message was seen before.
	Internal     Kind = 8 // A fault of the peer that answers.
)

// String names the kind in words.
func (k Kind) String() string {
	switch k {
	case Other:
		return "error"
	case Malformed:
		return "malformed message"
	case Unknown:
		return "unknown"
	case Unauthorized:
		return "not authenticated"
	case Forbidden:
		return "not allowed"
	case Busy:
		return "busy"
	case Expired:
		return "expired"
	case Replayed:
		return "seen before"
	case Internal:
		return "internal error"
	}
	return fmt.Sprintf("error kind %d", int(k))
}

// Error is an error that crosses the wire between gosalt peers. Decoding errors of
// this package are of it too, with kind Malformed.
type Error struct {
	Kind Kind
	Op   string // What was being done: "decode publish", "_return".
	Msg  string // The fact and the next step, for a person.
}

// Error is "op: msg"; without a message the kind stands for it.
func (e *Error) Error() string {
	msg := e.Msg
	if msg == "" {
		msg = e.Kind.String()
	}
	if e.Op == "" {
		return msg
	}
	return e.Op + ": " + msg
}

// Is makes errors.Is(err, &Error{Kind: k}) true for errors of that kind.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Kind == e.Kind && (t.Op == "" || t.Op == e.Op) && (t.Msg == "" || t.Msg == e.Msg)
}

// ToMap is the error's form on the wire: {kind, op, msg}.
func (e *Error) ToMap() *Map {
	return NewMap("kind", int64(e.Kind), "op", e.Op, "msg", e.Msg)
}

// ErrorFromMap reads what ToMap wrote. Kinds of the future are kept as numbers.
func ErrorFromMap(m *Map) (*Error, error) {
	f := fields{m: m, what: "error"}
	e := &Error{Kind: Kind(f.wantInt("kind")), Op: f.text("op"), Msg: f.text("msg")}
	if err := f.err(); err != nil {
		return nil, err
	}
	return e, nil
}

func malformed(op, format string, a ...any) *Error {
	return &Error{Kind: Malformed, Op: op, Msg: fmt.Sprintf(format, a...)}
}
