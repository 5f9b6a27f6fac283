package target

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// glob is a pattern of Python's fnmatch: * is any text, ? one character, [abc] one of
// these, [a-z] one between them, [!abc] none of them. Nothing escapes them but the
// brackets themselves: [*]. Case counts.
type glob struct {
	text  string
	plain bool   // no wildcards: text itself
	star  bool   // a prefix and one * at its end, the common case
	toks  []gtok // else
}

// gtok is one place of a pattern: a character, any character, a set, or any text.
type gtok struct {
	kind byte // 'c', '?', '[', '*'
	char rune
	neg  bool
	one  []rune    // characters of a set
	span [][2]rune // ranges of a set
}

// Fnmatch tells whether a text matches a pattern of Python's fnmatch, case counting.
func Fnmatch(pattern, text string) bool {
	if !strings.ContainsAny(pattern, globChars) {
		return pattern == text
	}
	return compileGlob(pattern).match(text)
}

// globChars are those that make a pattern more than a text.
const globChars = "*?["

func compileGlob(pattern string) *glob {
	g := &glob{text: pattern}
	if !strings.ContainsAny(pattern, globChars) {
		g.plain = true
		return g
	}
	if i := strings.IndexAny(pattern, "*?["); i == len(pattern)-1 && pattern[i] == '*' {
		g.text, g.star = pattern[:i], true
		return g
	}
	p := []rune(pattern)
	for i := 0; i < len(p); {
		c := p[i]
		i++
		switch c {
		case '*':
			if n := len(g.toks); n == 0 || g.toks[n-1].kind != '*' {
				g.toks = append(g.toks, gtok{kind: '*'})
			}
		case '?':
			g.toks = append(g.toks, gtok{kind: '?'})
		case '[':
			t, next, ok := globSet(p, i)
			if !ok {
				g.toks = append(g.toks, gtok{kind: 'c', char: '['})
				continue
			}
			g.toks, i = append(g.toks, t), next
		default:
			g.toks = append(g.toks, gtok{kind: 'c', char: c})
		}
	}
	return g
}

// globSet reads the set that begins behind the "[" at i-1. A set without an end is no
// set. The rules for hyphens are those of Python's fnmatch.translate: a hyphen between
// two characters is a range, a range that runs backwards is dropped.
func globSet(p []rune, i int) (t gtok, next int, ok bool) {
	j := i
	if j < len(p) && p[j] == '!' {
		j++
	}
	if j < len(p) && p[j] == ']' {
		j++
	}
	for j < len(p) && p[j] != ']' {
		j++
	}
	if j >= len(p) {
		return t, 0, false
	}
	t = gtok{kind: '['}
	body := p[i:j]
	if len(body) > 0 && body[0] == '!' {
		t.neg, body = true, body[1:]
	}
	// Chunks are the text between the hyphens that make ranges.
	var chunks [][]rune
	start, k := 0, 1
	for {
		h := -1
		for at := k; at < len(body); at++ {
			if body[at] == '-' {
				h = at
				break
			}
		}
		if h < 0 {
			break
		}
		chunks = append(chunks, slices.Clone(body[start:h]))
		start, k = h+1, h+3
	}
	if rest := body[min(start, len(body)):]; len(rest) > 0 {
		chunks = append(chunks, slices.Clone(rest))
	} else if len(chunks) > 0 {
		chunks[len(chunks)-1] = append(chunks[len(chunks)-1], '-')
	}
	for k := len(chunks) - 1; k > 0; k-- {
		a, b := chunks[k-1], chunks[k]
		if a[len(a)-1] > b[0] {
			chunks[k-1] = append(a[:len(a)-1], b[1:]...)
			chunks = slices.Delete(chunks, k, k+1)
		}
	}
	for k, c := range chunks {
		if k > 0 {
			t.span = append(t.span, [2]rune{chunks[k-1][len(chunks[k-1])-1], c[0]})
		}
		t.one = append(t.one, c...)
	}
	if t.neg && len(t.one) == 0 {
		t = gtok{kind: '?'}
	}
	return t, j + 1, true
}

func (t *gtok) accepts(r rune) bool {
	switch t.kind {
	case 'c':
		return r == t.char
	case '?':
		return true
	}
	in := slices.Contains(t.one, r)
	for _, s := range t.span {
		in = in || r >= s[0] && r <= s[1]
	}
	return in != t.neg
}

// match holds the pattern against a whole text. Of the stars only the last one seen is
// ever tried again, so that the time is at most the product of both lengths.
func (g *glob) match(s string) bool {
	switch {
	case g.plain:
		return s == g.text
	case g.star:
		return strings.HasPrefix(s, g.text)
	}
	i, t, starTok, starAt := 0, 0, -1, 0
	for i < len(s) {
		if t < len(g.toks) && g.toks[t].kind == '*' {
			starTok, starAt = t, i
			t++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if t < len(g.toks) && g.toks[t].accepts(r) {
			i, t = i+n, t+1
			continue
		}
		if starTok < 0 {
			return false
		}
		_, n = utf8.DecodeRuneInString(s[starAt:])
		starAt += n
		i, t = starAt, starTok+1
	}
	for t < len(g.toks) && g.toks[t].kind == '*' {
		t++
	}
	return t == len(g.toks)
}
