// Package doctor looks for what keeps a master and its minions from working together,
// and says it in a sentence each, with the next step. Start with Finding; host.go
// holds what can be looked at on any machine.
package doctor

import (
	"fmt"

	"github.com/gosalt/gosalt/protocol/wire"
)

// Level says how bad a finding is.
type Level string

// The levels, from good to bad.
const (
	OK      Level = "ok"
	Warning Level = "warning" // may become a problem, or look like one
	Wrong   Level = "wrong"   // keeps something from working
)

// Finding is what one look at one thing came to.
type Finding struct {
	Where string // "here", "master", or a minion's id
	Check string // what was looked at: "ports", "clock"
	Level Level
	Text  string // one sentence
	Next  string // what to do; "" where all is well
}

// ToMap is the finding as it travels, and as --out=json shows it.
func (f Finding) ToMap() *wire.Map {
	return wire.NewMap("where", f.Where, "check", f.Check, "level", string(f.Level), "text", f.Text, "next", f.Next)
}

// FromMap reads a finding; where it has no level that is known, it is a warning.
func FromMap(m *wire.Map) Finding {
	f := Finding{Where: m.Text("where"), Check: m.Text("check"), Level: Level(m.Text("level")), Text: m.Text("text"), Next: m.Text("next")}
	switch f.Level {
	case OK, Warning, Wrong:
	default:
		f.Level = Warning
	}
	return f
}

// Report collects findings of one place.
type Report struct {
	Where    string
	Findings []Finding
}

// OK notes that something is as it should be.
func (r *Report) OK(check, format string, args ...any) { r.add(check, OK, "", format, args...) }

// Warn notes something that may become a problem.
func (r *Report) Warn(check, next, format string, args ...any) {
	r.add(check, Warning, next, format, args...)
}

// Wrong notes what keeps something from working.
func (r *Report) Wrong(check, next, format string, args ...any) {
	r.add(check, Wrong, next, format, args...)
}

func (r *Report) add(check string, l Level, next, format string, args ...any) {
	r.Findings = append(r.Findings, Finding{Where: r.Where, Check: check, Level: l, Text: fmt.Sprintf(format, args...), Next: next})
}

// ToList is the findings as they travel.
func (r *Report) ToList() []any {
	out := make([]any, len(r.Findings))
	for i, f := range r.Findings {
		out[i] = f.ToMap()
	}
	return out
}
