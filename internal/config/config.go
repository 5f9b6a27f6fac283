// Package config reads the configuration of masters and minions: Salt's files,
// Salt's option names, Salt's defaults, into typed structs.
//
// Start with LoadMaster and LoadMinion (load.go). The options are the fields of
// Common, Master and Minion; the comment above a field says what the option does,
// the comment behind it says what it is when nothing is set, and why. docs/ref is
// printed from these comments. Where a default differs from Salt's on purpose,
// deliberate (defaults.go) names it and a test holds it to that list.
//
// A file is read with Salt's rules: DIR/master, then DIR/master.d/*.conf, then what
// "include:" names, later ones above earlier ones (include.go). Every value keeps
// the file, line and column that it came from, so that each Problem has a place.
package config

import (
	"embed"
	"fmt"
	"log/slog"
	"strings"
)

// Sources are the files of this package whose comments document the options. Package
// configdoc makes the reference page of them; other programs do not link them.
//
//go:embed common.go master.go minion.go
var Sources embed.FS

// DefaultDir is where Salt keeps its configuration.
const DefaultDir = "/etc/salt"

// Severity says what a Problem means for starting.
type Severity int

const (
	Notice  Severity = iota // worth knowing, nothing is wrong
	Warning                 // odd, and the rest works
	Error                   // nothing starts with this
)

// String is "notice", "warning" or "error".
func (s Severity) String() string {
	return [...]string{"notice", "warning", "error"}[s]
}

// Problem is something found in a configuration file. As text it is one line:
//
//	/etc/salt/master:12:1: error: unknown option "worker_thread" (nearest: worker_threads)
type Problem struct {
	File     string // path of the file
	Line     int    // from 1; 0 when it is about the file as a whole
	Column   int    // from 1; 0 likewise
	Option   string // name of the option, "" when it is about the file
	Severity Severity
	Text     string // what was expected, what came, what to do
}

// String is the place, the severity and the text.
func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
		}
		b.WriteString(": ")
	}
	return b.String() + p.Severity.String() + ": " + p.Text
}

// Error is what loading returns when a configuration cannot be used. Problems are
// those of severity Error, in the order in which they were found.
type LoadError struct {
	Problems []Problem
}

// Error is the problems, one per line.
func (e *LoadError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = strings.Replace(p.String(), ": error: ", ": ", 1)
	}
	return strings.Join(lines, "\n")
}

// Secret is text that no log, message or dump shows: passphrases and passwords.
// Reveal is the one way to the text itself.
type Secret string

const hidden = "** hidden **"

// Reveal returns the text.
func (s Secret) Reveal() string { return string(s) }

// String hides the text; an empty secret is empty.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// GoString hides the text from %#v.
func (s Secret) GoString() string { return fmt.Sprintf("%q", s.String()) }

// LogValue hides the text from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText hides the text from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Bytes is a number of bytes. In a file it is a number, or text with a unit: 100MiB,
// 5kB. KiB, MiB, GiB, TiB are powers of 1024, kB, MB, GB, TB of 1000.
type Bytes int64

// String is the size in the largest unit that divides it: "100MiB", "1500".
func (b Bytes) String() string {
	for i := len(byteUnits) - 1; i > 0; i-- {
		u := byteUnits[i]
		if u.binary && b != 0 && int64(b)%u.size == 0 {
			return fmt.Sprintf("%d%s", int64(b)/u.size, u.name)
		}
	}
	return fmt.Sprint(int64(b))
}

type byteUnit struct {
	name   string
	size   int64
	binary bool
}

var byteUnits = []byteUnit{
	{"", 1, false}, {"B", 1, false},
	{"kB", 1e3, false}, {"KB", 1e3, false}, {"MB", 1e6, false}, {"GB", 1e9, false}, {"TB", 1e12, false},
	{"KiB", 1 << 10, true}, {"MiB", 1 << 20, true}, {"GiB", 1 << 30, true}, {"TiB", 1 << 40, true},
}
