package pytext

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Wrap breaks text into lines of at most width columns as Python's textwrap does
// by default: at white space and after hyphens inside words, words that are too
// long anywhere; first and rest begin the first and the other lines.
func Wrap(text string, width int, first, rest string) []string {
	chunks := wrapChunks(flatten(text))
	var lines []string
	for len(chunks) > 0 {
		indent := rest
		if len(lines) == 0 {
			indent = first
		}
		room := width - utf8.RuneCountInString(indent)
		if len(lines) > 0 && strings.TrimSpace(chunks[0]) == "" {
			chunks = chunks[1:]
		}
		var line []string
		used := 0
		for len(chunks) > 0 {
			n := utf8.RuneCountInString(chunks[0])
			if used+n > room {
				break
			}
			line = append(line, chunks[0])
			used += n
			chunks = chunks[1:]
		}
		if len(chunks) > 0 && utf8.RuneCountInString(chunks[0]) > room {
			head, tail := breakWord(chunks[0], max(1, room)-used)
			if used > 0 && head == "" {
				// The line is full: the long word begins the next one.
			} else {
				if head != "" {
					line = append(line, head)
				}
				chunks[0] = tail
				if tail == "" {
					chunks = chunks[1:]
				}
			}
		}
		if n := len(line); n > 0 && strings.TrimSpace(line[n-1]) == "" {
			line = line[:n-1]
		}
		if len(line) > 0 {
			lines = append(lines, indent+strings.Join(line, ""))
		}
	}
	return lines
}

// flatten makes tabs and other white space spaces, tabs to columns of eight.
func flatten(s string) string {
	var b strings.Builder
	col := 0
	for _, r := range s {
		switch r {
		case '\t':
			n := 8 - col%8
			b.WriteString(strings.Repeat(" ", n))
			col += n
		case '\n', '\r':
			b.WriteByte(' ')
			col = 0
		case '\v', '\f':
			b.WriteByte(' ')
			col++
		default:
			b.WriteRune(r)
			col++
		}
	}
	return b.String()
}

// breakWord cuts a word that fits no line: after its last hyphen within n columns
// where one follows other characters, else at n.
func breakWord(w string, n int) (head, tail string) {
	r := []rune(w)
	if n <= 0 {
		return "", w
	}
	n = min(n, len(r))
	if len(r) > n {
		if h := strings.LastIndex(string(r[:n]), "-"); h > 0 && strings.Trim(string(r[:n])[:h], "-") != "" {
			return string(r[:n])[:h+1], w[h+1:]
		}
	}
	return string(r[:n]), string(r[n:])
}

func wrapPunct(r rune) bool {
	return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune(`!"'&.,?`, r)
}

func wrapLetter(r rune) bool { return r == '_' || unicode.IsLetter(r) }

// wrapChunks cuts text into the pieces between which a line may end: runs of
// spaces, words, parts of hyphenated words, and dashes between words.
func wrapChunks(s string) []string {
	r := []rune(s)
	at := func(i int) rune {
		if i < 0 || i >= len(r) {
			return ' '
		}
		return r[i]
	}
	var chunks []string
	for i := 0; i < len(r); {
		j := i
		if r[i] == ' ' {
			for j < len(r) && r[j] == ' ' {
				j++
			}
		} else if n := dashes(r, i); n >= 2 && wrapPunct(at(i-1)) && i > 0 && wordRune(at(i+n)) && i+n < len(r) {
			j = i + n
		} else {
			j = i + 1
			for ; j < len(r) && r[j] != ' '; j++ {
				if r[j-1] == '-' && j-1 > i && hyphenBreak(at, j-1) {
					break
				}
				if n := dashes(r, j); n >= 2 && wrapPunct(r[j-1]) && j+n < len(r) && wordRune(r[j+n]) {
					break
				}
			}
		}
		chunks = append(chunks, string(r[i:j]))
		i = j
	}
	return chunks
}

func wordRune(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

func dashes(r []rune, i int) int {
	n := 0
	for i+n < len(r) && r[i+n] == '-' {
		n++
	}
	return n
}

// hyphenBreak tells whether a line may end after the hyphen at h: two letters, or
// letter hyphen letter, stand before it, and two letters after it, which may have
// a hyphen between them.
func hyphenBreak(at func(int) rune, h int) bool {
	before := wrapLetter(at(h-1)) && (wrapLetter(at(h-2)) || at(h-2) == '-' && wrapLetter(at(h-3)))
	after := wrapLetter(at(h+1)) && (wrapLetter(at(h+2)) || at(h+2) == '-' && wrapLetter(at(h+3)))
	return before && after
}
