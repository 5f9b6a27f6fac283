// Package syntax parses YAML text to a tree of nodes exactly as libyaml 0.2.5 does,
// the parser behind Salt's loader: the same documents are taken, the others are
// refused with the same words at the same place. It is YAML 1.1 as that library has
// it, where a text with ":" in brackets, a tab or a key without a value reads
// differently than by the parsers of today.
//
// What a scalar means is not decided here: see the package above.
package syntax

import (
	"fmt"
	"strings"

	"github.com/gosalt/gosalt/internal/pytext"
)

// Mark is a place in the text.
type Mark struct {
	Line   int // from 1
	Column int // from 1, in characters
}

// String is the mark as PyYAML writes it below a message.
func (m Mark) String() string {
	return fmt.Sprintf("  in \"<unicode string>\", line %d, column %d", m.Line, m.Column)
}

// Error is text that cannot be read. Class names what Python would raise:
// ReaderError, ScannerError, ParserError, ComposerError and ConstructorError are
// PyYAML's; ValueError, KeyError and the like come out of a value that does not fit
// its tag; LimitError is gosalt's own.
type Error struct {
	Class   string
	Context string // what was being read; may be empty
	Began   Mark   // where that began; zero when not known
	Problem string
	At      Mark   // where the problem is; zero when not known
	Offset  int    // of a ReaderError: bytes before the place
	Text    string // the whole text that was read
}

// Error is the place, the problem and what was being read, in one line.
func (e *Error) Error() string {
	var b strings.Builder
	if e.At.Line > 0 {
		fmt.Fprintf(&b, "line %d, column %d: ", e.At.Line, e.At.Column)
	}
	b.WriteString(e.Problem)
	if e.Context != "" {
		b.WriteString(" (" + e.Context)
		if e.Began.Line > 0 && e.Began != e.At {
			fmt.Fprintf(&b, " that began in line %d, column %d", e.Began.Line, e.Began.Column)
		}
		b.WriteString(")")
	}
	return b.String()
}

// Salt is the message that Salt 3006 shows, where PyYAML has libyaml: for a mistake of
// writing the problem alone, else also the places.
func (e *Error) Salt() string {
	switch e.Class {
	case "ParserError", "ComposerError", "ConstructorError":
	case "ReaderError":
		return fmt.Sprintf("%s\n  in \"<unicode string>\", position %d", e.Problem, e.Offset)
	default:
		return e.Problem
	}
	var lines []string
	if e.Context != "" {
		lines = append(lines, e.Context)
		if e.Began.Line > 0 && e.Began != e.At {
			lines = append(lines, e.Began.String())
		}
	}
	lines = append(lines, e.Problem)
	if e.At.Line > 0 {
		lines = append(lines, e.At.String())
	}
	return strings.Join(lines, "\n")
}

// Excerpt is the text around the problem with Salt's marker at its line:
//
//	---
//	a: 1
//	a: 2    <======================
//	---
//
// It is "" when the place is not known.
func (e *Error) Excerpt() string {
	if e.At.Line == 0 {
		return ""
	}
	return Excerpt(e.Text, e.At.Line)
}

// Excerpt is up to five lines before and after the numbered line of a text, that line
// marked, as salt.utils.stringutils.get_context gives them. The whole text is
// returned when it has no such line.
func Excerpt(text string, line int) string {
	const around = 5
	lines := pytext.SplitLines(text, false)
	if line < 1 || line > len(lines) {
		return text
	}
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
