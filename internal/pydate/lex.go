package pydate

import (
	"strings"
	"unicode"
)

// split takes a text apart: runs of letters, runs of digits (with a decimal point
// where there is one), single white space, and every other character by itself.
// Dots and commas between them separate, unless they can only be decimal points.
func split(s string) []string {
	var out []string
	r := []rune(strings.ReplaceAll(s, "\x00", ""))
	for i := 0; i < len(r); {
		c := r[i]
		switch {
		case unicode.IsSpace(c):
			out = append(out, " ")
			i++
			continue
		case !unicode.IsLetter(c) && !unicode.IsDigit(c):
			out = append(out, string(c))
			i++
			continue
		}
		tok, letters, dotted := run(r[i:])
		i += len([]rune(tok))
		last := tok[len(tok)-1]
		if dotted && (letters || strings.Count(tok, ".") > 1 || last == '.' || last == ',') {
			out = append(out, cut(tok)...)
			continue
		}
		if dotted && !strings.Contains(tok, ".") {
			tok = strings.ReplaceAll(tok, ",", ".")
		}
		out = append(out, tok)
	}
	return out
}

// run is the longest token at the start of r. letters tells of any besides a first
// one that is followed by something else than a letter or dot; dotted that dots or
// commas are within.
func run(r []rune) (tok string, letters, dotted bool) {
	const (
		word = iota
		number
		wordDots
		numberDots
	)
	state := number
	if unicode.IsLetter(r[0]) {
		state = word
	}
	n := 1
	for ; n < len(r); n++ {
		c, last := r[n], r[n-1]
		letter, digit := unicode.IsLetter(c), unicode.IsDigit(c)
		ok := true
		switch state {
		case word:
			letters = true
			if ok = letter || c == '.'; c == '.' {
				state = wordDots
			}
		case number:
			switch {
			case digit:
			case c == '.' || c == ',' && n >= 2:
				state = numberDots
			default:
				ok = false
			}
		case wordDots:
			letters = true
			switch {
			case letter || c == '.':
			case digit && last == '.':
				state = numberDots
			default:
				ok = false
			}
		case numberDots:
			switch {
			case digit || c == '.':
			case letter && last == '.':
				state = wordDots
			default:
				ok = false
			}
		}
		if !ok {
			break
		}
	}
	return string(r[:n]), letters, state == wordDots || state == numberDots
}

// cut separates at dots and commas, which are tokens too.
func cut(tok string) []string {
	var out []string
	from := 0
	for i := 0; i < len(tok); i++ {
		if tok[i] == '.' || tok[i] == ',' {
			if i > from {
				out = append(out, tok[from:i])
			} else if from == 0 && i == 0 {
				out = append(out, "")
			}
			out = append(out, tok[i:i+1])
			from = i + 1
		}
	}
	if from < len(tok) {
		out = append(out, tok[from:])
	}
	return out
}
