// Package textedit changes texts line by line and by regular expressions, with the
// results of Salt's file.line, file.replace, file.blockreplace and file.comment_line.
// It knows no files: functions and states read and write those.
//
// Start with the one that is needed: Line (line.go), Replace (replace.go), Block
// (block.go) and Comment (comment.go) do not share more than what is here.
package textedit

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/gosalt/gosalt/internal/pyre"
)

// Error is why a text cannot be changed, in Salt's words.
type Error string

func (e Error) Error() string { return string(e) }

// SplitLines parts a text after each "\n", "\r\n" and "\r", which stay on their lines:
// what Python's bytes.splitlines(True) does.
func SplitLines(s string) []string {
	var lines []string
	for s != "" {
		n := strings.IndexAny(s, "\r\n")
		switch {
		case n < 0:
			return append(lines, s)
		case strings.HasPrefix(s[n:], "\r\n"):
			n += 2
		default:
			n++
		}
		lines, s = append(lines, s[:n]), s[n:]
	}
	return lines
}

// lineEnd is the line break that a line ends with, or "".
func lineEnd(s string) string {
	for _, end := range []string{"\r\n", "\n", "\r"} {
		if strings.HasSuffix(s, end) {
			return end
		}
	}
	return ""
}

// IsText guesses from the beginning of a file whether it is text: no NUL, and UTF-8 or
// at most three in ten bytes that are no printable ASCII.
func IsText(block []byte) bool {
	if len(block) > 512 {
		block = block[:512]
	}
	odd := 0
	for _, b := range block {
		switch {
		case b == 0:
			return false
		case b >= 32 && b < 127, b == '\n', b == '\r', b == '\t', b == '\f', b == '\b':
		default:
			odd++
		}
	}
	return len(block) == 0 || utf8.Valid(block) || float64(odd)/float64(len(block)) <= 0.30
}

// compile reads an expression for a text. A text that is not UTF-8 is taken byte by
// byte, as Python takes bytes, so that nothing of it is lost: wide and narrow go there
// and back.
func compile(pattern, flags, text string) (re *pyre.Regexp, wide, narrow func(string) string, err error) {
	same := func(s string) string { return s }
	wide, narrow = same, same
	if !utf8.ValidString(text) {
		wide, narrow = bytesToRunes, runesToBytes
	}
	re, err = pyre.Compile(wide(pattern), flags)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("the regular expression %q: %w", pattern, err)
	}
	return re, wide, narrow, nil
}

func bytesToRunes(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteRune(rune(s[i]))
	}
	return b.String()
}

func runesToBytes(s string) string {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		b = append(b, byte(r))
	}
	return string(b)
}
