package py

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// text is what a method on str or Markup returns: of the class of self.
func text(self Value, s string) Value {
	if _, ok := self.(Markup); ok {
		return Markup(s)
	}
	return s
}

// strArg is an argument that must be a str; on Markup it is escaped first.
func strArg(c *Call, self Value, i int, format string) (string, error) {
	s, ok := asStr(c.Args[i])
	if !ok {
		if format == "" {
			format = "must be str, not %s"
		}
		name := TypeName(c.Args[i])
		if c.Args[i] == nil && strings.Contains(format, "argument") {
			name = "None"
		}
		return "", Raise("TypeError", format, name)
	}
	if _, isMarkup := self.(Markup); isMarkup {
		m, err := Escape(c.T, c.Args[i])
		return string(m), err
	}
	return s, nil
}

func intArg(c *Call, i, def int) (int, error) {
	v := c.opt(i, Missing)
	if v == Missing {
		return def, nil
	}
	return index(v)
}

// sm makes a method of str from a function of its text.
func sm(name string, min, max int, kw []string, fn func(c *Call, self Value, s string) (Value, error)) *method {
	return &method{name: name, min: min, max: max, kw: kw, search: min == 1 && max == 3, fn: func(c *Call, self Value) (Value, error) {
		s, _ := asStr(self)
		return fn(c, self, s)
	}}
}

// mapped makes a method without arguments that gives text.
func mapped(name string, f func(string) string) *method {
	return sm(name, 0, 0, nil, func(c *Call, self Value, s string) (Value, error) {
		if err := c.T.Alloc(len(s)); err != nil {
			return nil, err
		}
		return text(self, f(s)), nil
	})
}

// all makes a method that is true when the text is not empty and f holds for each rune.
func all(name string, f func(r rune) bool) *method {
	return sm(name, 0, 0, nil, func(_ *Call, _ Value, s string) (Value, error) {
		for _, r := range s {
			if !f(r) {
				return false, nil
			}
		}
		return s != "", nil
	})
}

func init() {
	register("str",
		mapped("upper", upper),
		mapped("lower", lower),
		mapped("casefold", casefold),
		mapped("capitalize", capitalize),
		mapped("title", title),
		mapped("swapcase", swapcase),
		all("isalpha", unicode.IsLetter),
		all("isalnum", func(r rune) bool { return unicode.IsLetter(r) || isNumeric(r) }),
		all("isdigit", isDigit),
		all("isdecimal", func(r rune) bool { return unicode.Is(unicode.Nd, r) }),
		all("isnumeric", isNumeric),
		all("isspace", isSpace),
		sm("isascii", 0, 0, nil, func(_ *Call, _ Value, s string) (Value, error) { return isASCII(s), nil }),
		sm("isprintable", 0, 0, nil, func(_ *Call, _ Value, s string) (Value, error) {
			return strings.IndexFunc(s, func(r rune) bool { return !isPrintable(r) }) < 0, nil
		}),
		sm("isidentifier", 0, 0, nil, func(_ *Call, _ Value, s string) (Value, error) { return IsIdentifier(s), nil }),
		sm("islower", 0, 0, nil, func(_ *Call, _ Value, s string) (Value, error) { return IsLower(s), nil }),
		sm("isupper", 0, 0, nil, func(_ *Call, _ Value, s string) (Value, error) { return IsUpper(s), nil }),
		sm("istitle", 0, 0, nil, func(_ *Call, _ Value, s string) (Value, error) { return isTitle(s), nil }),
		strip("strip", true, true), strip("lstrip", true, false), strip("rstrip", false, true),
		split("split", false), split("rsplit", true),
		sm("splitlines", 0, 1, []string{"keepends"}, func(c *Call, self Value, s string) (Value, error) {
			keep, err := intArg(c, 0, 0)
			if err != nil {
				return nil, err
			}
			lines := SplitLines(s, keep != 0)
			return texts(c.T, self, lines)
		}),
		affix("startswith", strings.HasPrefix), affix("endswith", strings.HasSuffix),
		sm("removeprefix", 1, 1, nil, func(c *Call, self Value, s string) (Value, error) {
			p, err := strArg(c, self, 0, "removeprefix() argument must be str, not %s")
			return text(self, strings.TrimPrefix(s, p)), err
		}),
		sm("removesuffix", 1, 1, nil, func(c *Call, self Value, s string) (Value, error) {
			p, err := strArg(c, self, 0, "removesuffix() argument must be str, not %s")
			return text(self, strings.TrimSuffix(s, p)), err
		}),
		sm("replace", 2, 3, nil, strReplace),
		sm("join", 1, 1, nil, strJoin),
		search("find", false, false), search("rfind", true, false), search("index", false, true), search("rindex", true, true),
		sm("count", 1, 3, nil, func(c *Call, self Value, s string) (Value, error) {
			sub, err := strArg(c, self, 0, "must be str, not %s")
			if err != nil {
				return nil, err
			}
			s, _, ok, err := window(c, s)
			if err != nil || !ok {
				return int64(0), err
			}
			return int64(strings.Count(s, sub)), nil
		}),
		partition("partition", false), partition("rpartition", true),
		justify("center"), justify("ljust"), justify("rjust"),
		sm("zfill", 1, 1, nil, func(c *Call, self Value, s string) (Value, error) {
			w, err := index(c.Args[0])
			if err != nil {
				return nil, err
			}
			n := w - runeLen(s)
			if n <= 0 {
				return text(self, s), nil
			}
			if err := c.T.Alloc(w); err != nil {
				return nil, err
			}
			sign := ""
			if s != "" && (s[0] == '+' || s[0] == '-') {
				sign, s = s[:1], s[1:]
			}
			return text(self, sign+strings.Repeat("0", n)+s), nil
		}),
		sm("expandtabs", 0, 1, []string{"tabsize"}, expandTabs),
		sm("encode", 0, 2, []string{"encoding", "errors"}, encode),
		&method{name: "format", max: -1, anyKw: true, fn: func(c *Call, self Value) (Value, error) {
			s, _ := asStr(self)
			_, escape := self.(Markup)
			out, err := StrFormat(c.T, s, c.Args, func(name string) (Value, error) {
				for _, k := range c.Kw {
					if k.Name == name {
						return k.Value, nil
					}
				}
				return nil, keyError(c.T, name)
			}, escape)
			if err != nil {
				return nil, err
			}
			return text(self, out), nil
		}},
		sm("format_map", 1, 1, nil, func(c *Call, self Value, s string) (Value, error) {
			_, escape := self.(Markup)
			out, err := StrFormat(c.T, s, nil, func(name string) (Value, error) { return Item(c.T, c.Args[0], name) }, escape)
			if err != nil {
				return nil, err
			}
			return text(self, out), nil
		}),
		sm("translate", 1, 1, nil, translate),
		sm("maketrans", 1, 3, nil, makeTrans),
	)
}

// mapRunes replaces each rune by its entry in special, or by f of it.
func mapRunes(s string, special map[rune]string, f func(rune) rune) string {
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range s {
		if m, ok := special[r]; ok {
			b.WriteString(m)
		} else {
			b.WriteRune(f(r))
		}
	}
	return b.String()
}

func upper(s string) string {
	if isASCII(s) {
		return strings.ToUpper(s)
	}
	return mapRunes(s, upperSpecial, unicode.ToUpper)
}

func lower(s string) string {
	if isASCII(s) {
		return strings.ToLower(s)
	}
	s = finalSigma(s)
	return mapRunes(s, lowerSpecial, unicode.ToLower)
}

// finalSigma lowers a capital sigma that ends a word to its form for that place.
func finalSigma(s string) string {
	if !strings.ContainsRune(s, 'Σ') {
		return s
	}
	rs := []rune(s)
	ignorable := func(r rune) bool {
		return unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf, unicode.Lm, unicode.Sk) || r == '\'' || r == '.' || r == ':' || r == '’'
	}
	cased := func(i, step int) bool {
		for i += step; i >= 0 && i < len(rs) && ignorable(rs[i]); i += step {
		}
		return i >= 0 && i < len(rs) && isCased(rs[i])
	}
	for i, r := range rs {
		if r == 'Σ' && cased(i, -1) && !cased(i, 1) {
			rs[i] = 'ς'
		}
	}
	return string(rs)
}

func casefold(s string) string {
	if isASCII(s) {
		return strings.ToLower(s)
	}
	return mapRunes(s, foldSpecial, unicode.ToLower)
}

func titleRune(r rune) string {
	if m, ok := titleSpecial[r]; ok {
		return m
	}
	return string(unicode.ToTitle(r))
}

func capitalize(s string) string {
	if s == "" {
		return s
	}
	r, n := utf8.DecodeRuneInString(s)
	return titleRune(r) + lower(s[n:])
}

func title(s string) string {
	var b strings.Builder
	inWord := false
	for _, r := range s {
		cased := isCased(r)
		switch {
		case cased && inWord:
			b.WriteString(lower(string(r)))
		case cased:
			b.WriteString(titleRune(r))
		default:
			b.WriteRune(r)
		}
		inWord = cased
	}
	return b.String()
}

func swapcase(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsUpper(r) {
			return unicode.ToLower(r)
		}
		return unicode.ToUpper(r)
	}, s)
}

func isCased(r rune) bool {
	return unicode.IsUpper(r) || unicode.IsLower(r) || unicode.IsTitle(r)
}

func isNumeric(r rune) bool { return unicode.IsNumber(r) }

func isDigit(r rune) bool {
	return unicode.Is(unicode.Nd, r) || r == '²' || r == '³' || r == '¹' || r >= 0x2070 && r <= 0x2089 && unicode.Is(unicode.No, r)
}

// isSpace is Python's str.isspace for one character.
func isSpace(r rune) bool {
	return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f
}

// IsSpace tells whether Python takes r for white space.
func IsSpace(r rune) bool { return isSpace(r) }

// IsIdentifier is str.isidentifier.
func IsIdentifier(s string) bool {
	for i, r := range s {
		if r == '_' || unicode.IsLetter(r) || unicode.Is(unicode.Nl, r) {
			continue
		}
		if i > 0 && (unicode.IsDigit(r) || unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Mc, r) || unicode.Is(unicode.Pc, r)) {
			continue
		}
		return false
	}
	return s != ""
}

// IsLower is str.islower.
func IsLower(s string) bool {
	cased := false
	for _, r := range s {
		if unicode.IsUpper(r) || unicode.IsTitle(r) {
			return false
		}
		cased = cased || unicode.IsLower(r)
	}
	return cased
}

// IsUpper is str.isupper.
func IsUpper(s string) bool {
	cased := false
	for _, r := range s {
		if unicode.IsLower(r) || unicode.IsTitle(r) {
			return false
		}
		cased = cased || unicode.IsUpper(r)
	}
	return cased
}

func isTitle(s string) bool {
	cased, prev := false, false
	for _, r := range s {
		switch {
		case unicode.IsUpper(r) || unicode.IsTitle(r):
			if prev {
				return false
			}
			cased, prev = true, true
		case unicode.IsLower(r):
			if !prev {
				return false
			}
			cased = true
		default:
			prev = false
		}
	}
	return cased
}

func strip(name string, left, right bool) *method {
	return sm(name, 0, 1, nil, func(c *Call, self Value, s string) (Value, error) {
		in := isSpace
		if v := c.opt(0, nil); v != nil {
			chars, ok := asStr(v)
			if !ok {
				return nil, Raise("TypeError", "%s arg must be None or str", name)
			}
			in = func(r rune) bool { return strings.ContainsRune(chars, r) }
		}
		if left {
			s = strings.TrimLeftFunc(s, in)
		}
		if right {
			s = strings.TrimRightFunc(s, in)
		}
		return text(self, s), nil
	})
}

// Strip is s.strip().
func Strip(s string) string { return strings.TrimFunc(s, isSpace) }

// texts makes a list of strings of the class of self.
func texts(t *Thread, self Value, parts []string) (Value, error) {
	if err := t.Alloc(elem * 2 * len(parts)); err != nil {
		return nil, err
	}
	items := make([]Value, len(parts))
	for i, p := range parts {
		items[i] = text(self, p)
	}
	return &List{Items: items}, nil
}

func split(name string, right bool) *method {
	return sm(name, 0, 2, []string{"sep", "maxsplit"}, func(c *Call, self Value, s string) (Value, error) {
		limit, err := intArg(c, 1, -1)
		if err != nil {
			return nil, err
		}
		sep := c.opt(0, nil)
		if sep == nil {
			return texts(c.T, self, splitSpace(s, limit, right))
		}
		sp, ok := asStr(sep)
		if !ok {
			return nil, Raise("TypeError", "must be str or None, not %s", TypeName(sep))
		}
		if sp == "" {
			return nil, Raise("ValueError", "empty separator")
		}
		if limit < 0 || limit >= len(s)+1 {
			return texts(c.T, self, strings.Split(s, sp))
		}
		if !right {
			return texts(c.T, self, strings.SplitN(s, sp, limit+1))
		}
		var parts []string
		for limit > 0 {
			i := strings.LastIndex(s, sp)
			if i < 0 {
				break
			}
			parts = append(parts, s[i+len(sp):])
			s = s[:i]
			limit--
		}
		parts = append(parts, s)
		for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
			parts[i], parts[j] = parts[j], parts[i]
		}
		return texts(c.T, self, parts)
	})
}

func splitSpace(s string, limit int, right bool) []string {
	if limit < 0 {
		return strings.FieldsFunc(s, isSpace)
	}
	var parts []string
	if right {
		s = strings.TrimRightFunc(s, isSpace)
		for ; limit > 0 && s != ""; limit-- {
			i := strings.LastIndexFunc(s, isSpace)
			if i < 0 {
				break
			}
			_, n := utf8.DecodeRuneInString(s[i:])
			parts = append(parts, s[i+n:])
			s = strings.TrimRightFunc(s[:i], isSpace)
		}
		if s != "" {
			parts = append(parts, s)
		}
		for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
			parts[i], parts[j] = parts[j], parts[i]
		}
		return parts
	}
	s = strings.TrimLeftFunc(s, isSpace)
	for ; limit > 0 && s != ""; limit-- {
		i := strings.IndexFunc(s, isSpace)
		if i < 0 {
			break
		}
		parts = append(parts, s[:i])
		s = strings.TrimLeftFunc(s[i:], isSpace)
	}
	if s != "" {
		parts = append(parts, s)
	}
	return parts
}

// SplitLines is s.splitlines(keepends).
func SplitLines(s string, keep bool) []string {
	var out []string
	start := 0
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch r {
		case '\n', '\r', '\v', '\f', 0x1c, 0x1d, 0x1e, 0x85, 0x2028, 0x2029:
			end := i + n
			if r == '\r' && end < len(s) && s[end] == '\n' {
				end++
			}
			if keep {
				out = append(out, s[start:end])
			} else {
				out = append(out, s[start:i])
			}
			start, i = end, end
		default:
			i += n
		}
	}
	if start < len(s) {
		out = append(out, s[start:])
	}
	return out
}

// window cuts the part between the start and end arguments (1 and 2); shift is the
// number of code points before it.
func window(c *Call, s string) (part string, shift int, ok bool, err error) {
	bound := func(i, def, n int) (int, error) {
		v := c.opt(i, nil)
		if v == nil {
			return def, nil
		}
		x, err := sliceIndex(v)
		if x < 0 {
			x = max(0, x+n)
		}
		return x, err
	}
	if len(c.Args) < 2 {
		return s, 0, true, nil
	}
	n := runeLen(s)
	lo, err := bound(1, 0, n)
	if err != nil {
		return "", 0, false, err
	}
	hi, err := bound(2, n, n)
	if err != nil {
		return "", 0, false, err
	}
	hi = min(hi, n)
	if lo > hi {
		return "", 0, false, nil
	}
	a := offset(s, lo)
	return s[a : a+offset(s[a:], hi-lo)], lo, true, nil
}

func affix(name string, has func(s, p string) bool) *method {
	return sm(name, 1, 3, nil, func(c *Call, self Value, s string) (Value, error) {
		s, _, ok, err := window(c, s)
		if err != nil {
			return nil, err
		}
		if tuple, isTuple := c.Args[0].(Tuple); isTuple {
			for _, e := range tuple {
				p, isStr := asStr(e)
				if !isStr {
					return nil, Raise("TypeError", "tuple for %s must only contain str, not %s", name, TypeName(e))
				}
				if ok && has(s, p) {
					return true, nil
				}
			}
			return false, nil
		}
		p, isStr := asStr(c.Args[0])
		if !isStr {
			return nil, Raise("TypeError", "%s first arg must be str or a tuple of str, not %s", name, TypeName(c.Args[0]))
		}
		return ok && has(s, p), nil
	})
}

func strReplace(c *Call, self Value, s string) (Value, error) {
	old, err := strArg(c, self, 0, "replace() argument 1 must be str, not %s")
	if err != nil {
		return nil, err
	}
	repl, err := strArg(c, self, 1, "replace() argument 2 must be str, not %s")
	if err != nil {
		return nil, err
	}
	n, err := intArg(c, 2, -1)
	if err != nil {
		return nil, err
	}
	out, err := Replace(c.T, s, old, repl, n)
	return text(self, out), err
}

// Replace is s.replace(old, repl, n); n below 0 is all.
func Replace(t *Thread, s, old, repl string, n int) (string, error) {
	if grow := len(repl) - len(old); grow > 0 {
		k := strings.Count(s, old)
		if n >= 0 {
			k = min(k, n)
		}
		if err := allocTimes(t, grow, k); err != nil {
			return "", err
		}
	}
	return strings.Replace(s, old, repl, n), t.Alloc(len(s))
}

func strJoin(c *Call, self Value, s string) (Value, error) {
	var parts []string
	_, isMarkup := self.(Markup)
	if !isIterable(c.T, c.Args[0]) {
		return nil, Raise("TypeError", "can only join an iterable")
	}
	err := Each(c.T, c.Args[0], func(v Value) error {
		p, ok := asStr(v)
		switch {
		case isMarkup:
			m, err := Escape(c.T, v)
			if err != nil {
				return err
			}
			p = string(m)
		case !ok:
			return Raise("TypeError", "sequence item %d: expected str instance, %s found", len(parts), TypeName(v))
		}
		parts = append(parts, p)
		return c.T.Alloc(len(p) + len(s) + elem)
	})
	if err != nil {
		return nil, err
	}
	return text(self, strings.Join(parts, s)), nil
}

// isIterable tells whether Iter works; a strict undefined counts, and raises later.
func isIterable(t *Thread, v Value) bool {
	if _, ok := v.(*Undefined); ok {
		return true
	}
	_, err := Iter(t, v)
	return err == nil
}

func search(name string, last, raise bool) *method {
	return sm(name, 1, 3, nil, func(c *Call, self Value, s string) (Value, error) {
		sub, err := strArg(c, self, 0, "must be str, not %s")
		if err != nil {
			return nil, err
		}
		s, shift, ok, err := window(c, s)
		if err != nil {
			return nil, err
		}
		i := -1
		if ok {
			if last {
				i = strings.LastIndex(s, sub)
			} else {
				i = strings.Index(s, sub)
			}
		}
		if i < 0 {
			if raise {
				return nil, Raise("ValueError", "substring not found")
			}
			return int64(-1), nil
		}
		return int64(shift + runeLen(s[:i])), nil
	})
}

func partition(name string, last bool) *method {
	return sm(name, 1, 1, nil, func(c *Call, self Value, s string) (Value, error) {
		sep, err := strArg(c, self, 0, "must be str, not %s")
		if err != nil {
			return nil, err
		}
		if sep == "" {
			return nil, Raise("ValueError", "empty separator")
		}
		i := strings.Index(s, sep)
		if last {
			i = strings.LastIndex(s, sep)
		}
		switch {
		case i >= 0:
			return Tuple{text(self, s[:i]), text(self, sep), text(self, s[i+len(sep):])}, nil
		case last:
			return Tuple{text(self, ""), text(self, ""), text(self, s)}, nil
		}
		return Tuple{text(self, s), text(self, ""), text(self, "")}, nil
	})
}

func justify(name string) *method {
	return sm(name, 1, 2, nil, func(c *Call, self Value, s string) (Value, error) {
		w, err := index(c.Args[0])
		if err != nil {
			return nil, err
		}
		fill := " "
		if len(c.Args) > 1 {
			f, ok := asStr(c.Args[1])
			if !ok {
				return nil, Raise("TypeError", "The fill character must be a unicode character, not %s", TypeName(c.Args[1]))
			}
			if runeLen(f) != 1 {
				return nil, Raise("TypeError", "The fill character must be exactly one character long")
			}
			fill = f
		}
		n := w - runeLen(s)
		if n <= 0 {
			return text(self, s), nil
		}
		if err := allocTimes(c.T, len(fill), w); err != nil {
			return nil, err
		}
		switch name {
		case "ljust":
			return text(self, s+strings.Repeat(fill, n)), nil
		case "rjust":
			return text(self, strings.Repeat(fill, n)+s), nil
		}
		left := n/2 + (n & w & 1)
		return text(self, strings.Repeat(fill, left)+s+strings.Repeat(fill, n-left)), nil
	})
}

func expandTabs(c *Call, self Value, s string) (Value, error) {
	size, err := intArg(c, 0, 8)
	if err != nil {
		return nil, err
	}
	if err := allocTimes(c.T, max(size, 0), strings.Count(s, "\t")); err != nil {
		return nil, err
	}
	var b strings.Builder
	col := 0
	for _, r := range s {
		switch r {
		case '\t':
			if size > 0 {
				n := size - col%size
				b.WriteString(strings.Repeat(" ", n))
				col += n
			}
		case '\n', '\r':
			b.WriteRune(r)
			col = 0
		default:
			b.WriteRune(r)
			col++
		}
	}
	return text(self, b.String()), nil
}

func encode(c *Call, _ Value, s string) (Value, error) {
	enc, ok := asStr(c.opt(0, "utf-8"))
	if !ok {
		return nil, Raise("TypeError", "encode() argument 'encoding' must be str, not %s", TypeName(c.Args[0]))
	}
	errs, _ := asStr(c.opt(1, "strict"))
	limit := rune(0)
	switch strings.ReplaceAll(strings.ToLower(enc), "_", "-") {
	case "utf-8", "utf8":
		return Bytes(s), c.T.Alloc(len(s))
	case "ascii", "us-ascii":
		limit = 0x80
	case "latin-1", "latin1", "iso-8859-1", "iso8859-1":
		limit = 0x100
	default:
		return nil, Raise("LookupError", "unknown encoding: %s", enc)
	}
	var b strings.Builder
	i := 0
	for _, r := range s {
		switch {
		case r < limit:
			b.WriteByte(byte(r))
		case errs == "ignore":
		case errs == "replace":
			b.WriteByte('?')
		default:
			name := "'ascii'"
			if limit == 0x100 {
				name = "'latin-1'"
			}
			q := strings.Trim(Quote(string(r)), "'")
			if r < 0x10000 && len(q) <= 4 {
				q = escapeRune(r)
			}
			return nil, Raise("UnicodeEncodeError", "%s codec can't encode character '%s' in position %d: ordinal not in range(%d)", name, q, i, limit)
		}
		i++
	}
	return Bytes(b.String()), c.T.Alloc(len(s))
}

func escapeRune(r rune) string {
	s, _ := ascii(nil, string(r))
	return strings.Trim(s, "'")
}

func translate(c *Call, self Value, s string) (Value, error) {
	var b strings.Builder
	for _, r := range s {
		v, err := Item(c.T, c.Args[0], int64(r))
		if err != nil {
			if IsA(err, "LookupError") {
				b.WriteRune(r)
				continue
			}
			return nil, err
		}
		switch x := v.(type) {
		case nil:
		case string, Markup:
			s, _ := asStr(x)
			b.WriteString(s)
		case int64:
			b.WriteRune(rune(x))
		default:
			return nil, Raise("TypeError", "character mapping must return integer, None or str")
		}
		if err := c.T.Alloc(4); err != nil {
			return nil, err
		}
	}
	return text(self, b.String()), nil
}

func makeTrans(c *Call, _ Value, _ string) (Value, error) {
	d := NewDict(8)
	if len(c.Args) == 1 {
		m, ok := c.Args[0].(*Dict)
		if !ok {
			return nil, Raise("TypeError", "if you give only one argument to maketrans it must be a dict")
		}
		for k, v := range m.All() {
			if s, ok := asStr(k); ok {
				if runeLen(s) != 1 {
					return nil, Raise("ValueError", "string keys in translate table must be of length 1")
				}
				r, _ := utf8.DecodeRuneInString(s)
				k = int64(r)
			}
			if err := d.Set(k, v); err != nil {
				return nil, err
			}
		}
		return d, nil
	}
	from, ok1 := asStr(c.Args[0])
	to, ok2 := asStr(c.Args[1])
	if !ok1 || !ok2 {
		return nil, Raise("TypeError", "maketrans() arguments must be str")
	}
	rs := []rune(to)
	if runeLen(from) != len(rs) {
		return nil, Raise("ValueError", "the first two maketrans arguments must have equal length")
	}
	i := 0
	for _, r := range from {
		_ = d.Set(int64(r), int64(rs[i]))
		i++
	}
	if len(c.Args) > 2 {
		drop, _ := asStr(c.Args[2])
		for _, r := range drop {
			_ = d.Set(int64(r), nil)
		}
	}
	return d, nil
}
