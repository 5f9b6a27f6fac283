package jinja

import (
	stdhtml "html"
	"math"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/jinja/py"
)

func filterRound(c *py.Call) (py.Value, error) {
	method, _ := py.AsString(c.Args[2])
	switch method {
	case "common":
		return py.Round(c.T, c.Args[0], c.Args[1])
	case "ceil", "floor":
	default:
		return nil, py.Raise("FilterArgumentError", "method must be common, ceil or floor")
	}
	scale, err := py.Binary(c.T, "**", int64(10), c.Args[1])
	if err != nil {
		return nil, err
	}
	v, err := py.Binary(c.T, "*", c.Args[0], scale)
	if err != nil {
		return nil, err
	}
	f, ok := v.(float64)
	if ok {
		if method == "ceil" {
			f = math.Ceil(f)
		} else {
			f = math.Floor(f)
		}
		if v, err = py.ToInt(f); err != nil {
			return nil, err
		}
	} else if !py.IsNumber(v) {
		return nil, py.Raise("TypeError", "must be real number, not %s", py.TypeName(v))
	}
	return py.Binary(c.T, "/", v, scale)
}

func filterFilesize(c *py.Call) (py.Value, error) {
	n, err := py.ToFloat(c.Args[0])
	if err != nil {
		return nil, err
	}
	binary, err := truth(c, 1)
	if err != nil {
		return nil, err
	}
	base, units := 1000.0, "kB MB GB TB PB EB ZB YB"
	if binary {
		base, units = 1024, "KiB MiB GiB TiB PiB EiB ZiB YiB"
	}
	switch {
	case n == 1:
		return "1 Byte", nil
	case n < base:
		v, err := py.ToInt(n)
		if err != nil {
			return nil, err
		}
		s, err := py.Str(c.T, v)
		return s + " Bytes", err
	}
	unit, name := base, ""
	for _, name = range strings.Fields(units) {
		unit *= base
		if n < unit {
			break
		}
	}
	s, err := py.Format(c.T, base*n/unit, ".1f")
	return s + " " + name, err
}

func filterStriptags(c *py.Call) (py.Value, error) {
	s, err := py.Str(c.T, c.Args[0])
	if err != nil {
		return nil, err
	}
	s = cutAll(s, "<!--", "-->")
	s = cutAll(s, "<", ">")
	s = strings.Join(strings.FieldsFunc(s, py.IsSpace), " ")
	return stdhtml.UnescapeString(s), c.T.Alloc(len(s))
}

// cutAll removes what stands between open and close, and both.
func cutAll(s, open, close string) string {
	var b strings.Builder
	for {
		i := strings.Index(s, open)
		if i < 0 {
			break
		}
		j := strings.Index(s[i+len(open):], close)
		if j < 0 {
			break
		}
		b.WriteString(s[:i])
		s = s[i+len(open)+j+len(close):]
	}
	b.WriteString(s)
	return b.String()
}

func filterTojson(c *py.Call) (py.Value, error) {
	o := py.JSON{SortKeys: true, Indent: c.Args[1]}
	s, err := o.Dump(c.T, c.Args[0])
	if err != nil {
		return nil, err
	}
	return py.Markup(htmlSafe.Replace(s)), nil
}

var htmlSafe = strings.NewReplacer("<", `\u003c`, ">", `\u003e`, "&", `\u0026`, "'", `\u0027`)

// quoteURL is urllib's quote of a value's text; query is the form for query strings.
func quoteURL(t *py.Thread, v py.Value, query bool) (string, error) {
	var s string
	if b, ok := v.(py.Bytes); ok {
		s = string(b)
	} else {
		var err error
		if s, err = py.Str(t, v); err != nil {
			return "", err
		}
	}
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for _, ch := range []byte(s) {
		switch {
		case ch >= 'a' && ch <= 'z', ch >= 'A' && ch <= 'Z', ch >= '0' && ch <= '9', strings.IndexByte("_.-~", ch) >= 0,
			ch == '/' && !query:
			b.WriteByte(ch)
		case ch == ' ' && query:
			b.WriteByte('+')
		default:
			b.WriteByte('%')
			b.WriteByte(hex[ch>>4])
			b.WriteByte(hex[ch&15])
		}
	}
	return b.String(), t.Alloc(b.Len())
}

func filterUrlencode(c *py.Call) (py.Value, error) {
	v := c.Args[0]
	if _, ok := py.AsString(v); ok {
		return asValue(quoteURL(c.T, v, false))
	}
	var items []py.Value
	var err error
	if d, ok := v.(*py.Dict); ok {
		items, err = itemPairs(c, d)
	} else {
		if _, iterErr := py.Iter(c.T, v); iterErr != nil && py.IsA(iterErr, "TypeError") {
			return asValue(quoteURL(c.T, v, false))
		}
		items, err = py.Collect(c.T, v)
	}
	if err != nil {
		return nil, err
	}
	parts := make([]string, len(items))
	for i, e := range items {
		pair, err := py.Collect(c.T, e)
		if err != nil {
			if py.IsA(err, "TypeError") {
				err = py.Raise("TypeError", "cannot unpack non-iterable %s object", py.TypeName(e))
			}
			return nil, err
		}
		if len(pair) > 2 {
			return nil, py.Raise("ValueError", "too many values to unpack (expected 2)")
		}
		if len(pair) < 2 {
			return nil, py.Raise("ValueError", "not enough values to unpack (expected 2, got %d)", len(pair))
		}
		k, err := quoteURL(c.T, pair[0], true)
		if err != nil {
			return nil, err
		}
		x, err := quoteURL(c.T, pair[1], true)
		if err != nil {
			return nil, err
		}
		parts[i] = k + "=" + x
	}
	return strings.Join(parts, "&"), nil
}

func filterXmlattr(c *py.Call) (py.Value, error) {
	space, err := truth(c, 1)
	if err != nil {
		return nil, err
	}
	items, err := itemPairs(c, c.Args[0])
	if err != nil {
		return nil, err
	}
	var parts []string
	for _, e := range items {
		k, v := e.(py.Tuple)[0], e.(py.Tuple)[1]
		if _, undef := v.(*py.Undefined); undef || v == nil {
			continue
		}
		name, ok := py.AsString(k)
		if !ok {
			return nil, py.Raise("TypeError", "expected string or bytes-like object, got '%s'", py.TypeName(k))
		}
		if strings.ContainsAny(name, " \t\n\r\f\v/>=") {
			return nil, py.Raise("ValueError", "Invalid character in attribute name: %s", py.Quote(name))
		}
		a, err := py.Escape(c.T, k)
		if err != nil {
			return nil, err
		}
		b, err := py.Escape(c.T, v)
		if err != nil {
			return nil, err
		}
		parts = append(parts, string(a)+`="`+string(b)+`"`)
	}
	s := strings.Join(parts, " ")
	if space && s != "" {
		s = " " + s
	}
	return s, nil
}

// wrap is textwrap.wrap without changing tabs and white space.
func wrap(text string, width int, breakLong, breakHyphens bool) ([]string, error) {
	if width <= 0 {
		return nil, py.Raise("ValueError", "invalid width %d (must be > 0)", width)
	}
	chunks := wrapChunks(text, breakHyphens)
	slices.Reverse(chunks) // the next chunk is the last
	var lines []string
	isBlank := func(rs []rune) bool { return strings.TrimFunc(string(rs), py.IsSpace) == "" }
	for len(chunks) > 0 {
		var cur [][]rune
		n := 0
		if isBlank(chunks[len(chunks)-1]) && len(lines) > 0 {
			chunks = chunks[:len(chunks)-1]
		}
		for len(chunks) > 0 {
			next := chunks[len(chunks)-1]
			if n+len(next) > width {
				break
			}
			cur = append(cur, next)
			n += len(next)
			chunks = chunks[:len(chunks)-1]
		}
		if k := len(chunks); k > 0 && len(chunks[k-1]) > width {
			long := chunks[k-1]
			space := width - n
			if breakLong {
				end := space
				if breakHyphens && len(long) > space {
					for i := space - 1; i > 0; i-- {
						if long[i] == '-' {
							if strings.Trim(string(long[:i]), "-") != "" {
								end = i + 1
							}
							break
						}
					}
				}
				cur = append(cur, long[:end])
				chunks[k-1] = long[end:]
			} else if len(cur) == 0 {
				cur = append(cur, long)
				chunks = chunks[:k-1]
			}
		}
		if len(cur) > 0 && isBlank(cur[len(cur)-1]) {
			cur = cur[:len(cur)-1]
		}
		if len(cur) > 0 {
			var b strings.Builder
			for _, part := range cur {
				b.WriteString(string(part))
			}
			lines = append(lines, b.String())
		}
	}
	return lines, nil
}

// wrapChunks splits text into words, white space and, at hyphens inside of words,
// their parts.
func wrapChunks(text string, hyphens bool) [][]rune {
	isSpace := func(r rune) bool { return strings.ContainsRune("\t\n\v\f\r ", r) }
	isWord := func(r rune) bool { return r == '_' || isLetter(r) || r >= '0' && r <= '9' }
	isPunct := func(r rune) bool { return isWord(r) || strings.ContainsRune(`!"'&.,?`, r) }
	rs := []rune(text)
	var out [][]rune
	for i := 0; i < len(rs); {
		j := i
		if isSpace(rs[i]) {
			for j < len(rs) && isSpace(rs[j]) {
				j++
			}
			out = append(out, rs[i:j])
			i = j
			continue
		}
		for j < len(rs) && !isSpace(rs[j]) {
			j++
		}
		word := rs[i:j]
		i = j
		if !hyphens {
			out = append(out, word)
			continue
		}
		start := 0
		for k := 0; k < len(word); k++ {
			if word[k] != '-' {
				continue
			}
			run := k
			for run < len(word) && word[run] == '-' {
				run++
			}
			if run-k >= 2 {
				// an em-dash between words stands for itself
				if k > start && isPunct(word[k-1]) && run < len(word) && isWord(word[run]) {
					out = append(out, word[start:k], word[k:run])
					start = run
				} else if k == start && k > 0 && run < len(word) && isWord(word[run]) {
					out = append(out, word[k:run])
					start = run
				}
				k = run - 1
				continue
			}
			// a hyphen with two letters before it and letters behind it
			if k-start >= 2 && isLetter(word[k-1]) && isLetter(word[k-2]) && k+2 < len(word) && isLetter(word[k+1]) && (isLetter(word[k+2]) || word[k+2] == '-') {
				out = append(out, word[start:k+1])
				start = k + 1
			}
		}
		if start < len(word) {
			out = append(out, word[start:])
		}
	}
	return out
}
