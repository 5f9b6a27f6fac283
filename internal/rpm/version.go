// Package rpm knows what RPM-based systems have in common: how versions compare, how
// architectures are called, and the files that name repositories.
package rpm

import (
	"strconv"
	"strings"
)

// Compare tells which of two versions is older: -1, 0 or 1, as rpm does: the epochs as
// numbers, then the versions, then the releases. Where one has no release only the rest
// counts, so that 3.2 is fulfilled by 3.2-1.
func Compare(a, b string) int {
	ea, va, ra := Split(a)
	eb, vb, rb := Split(b)
	if n := compareDigits(ea, eb); n != 0 {
		return n
	}
	if n := ComparePart(va, vb); n != 0 || ra == "" || rb == "" {
		return n
	}
	return ComparePart(ra, rb)
}

// Split parts a version: "1:2.0-3" is 1, 2.0 and 3. An epoch that is no number is 0.
func Split(v string) (epoch, version, release string) {
	epoch = "0"
	if e, rest, ok := strings.Cut(v, ":"); ok {
		v = rest
		if n, err := strconv.ParseInt(strings.TrimSpace(e), 10, 64); err == nil {
			epoch = strconv.FormatInt(n, 10)
		}
	}
	version, release, _ = strings.Cut(v, "-")
	return epoch, version, release
}

func digit(c byte) bool  { return c >= '0' && c <= '9' }
func letter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// ComparePart compares two versions without epoch and release, or two releases: by turns
// numbers and letters, whatever stands between them. "~" sorts before everything, the end
// too, "^" after the end and before all else (rpm-version(7)).
func ComparePart(a, b string) int {
	separator := func(c byte) bool { return !digit(c) && !letter(c) && c != '~' && c != '^' }
	for a != "" || b != "" {
		for a != "" && separator(a[0]) {
			a = a[1:]
		}
		for b != "" && separator(b[0]) {
			b = b[1:]
		}
		if ta, tb := strings.HasPrefix(a, "~"), strings.HasPrefix(b, "~"); ta || tb {
			if !ta {
				return 1
			}
			if !tb {
				return -1
			}
			a, b = a[1:], b[1:]
			continue
		}
		if ca, cb := strings.HasPrefix(a, "^"), strings.HasPrefix(b, "^"); ca || cb {
			switch {
			case a == "":
				return -1
			case b == "":
				return 1
			case !ca:
				return 1
			case !cb:
				return -1
			}
			a, b = a[1:], b[1:]
			continue
		}
		if a == "" || b == "" {
			break
		}
		kind := letter
		if digit(a[0]) {
			kind = digit
		}
		sa, sb := run(a, kind), run(b, kind)
		a, b = a[len(sa):], b[len(sb):]
		switch {
		case sb == "" && digit(sa[0]): // a number is newer than letters
			return 1
		case sb == "":
			return -1
		}
		n := 0
		if digit(sa[0]) {
			n = compareDigits(sa, sb)
		} else {
			n = strings.Compare(sa, sb)
		}
		if n != 0 {
			return n
		}
	}
	switch {
	case a == "" && b == "":
		return 0
	case a == "":
		return -1
	}
	return 1
}

// run is the beginning of s that is of one kind.
func run(s string, kind func(byte) bool) string {
	n := 0
	for n < len(s) && kind(s[n]) {
		n++
	}
	return s[:n]
}

// compareDigits compares numbers of any length.
func compareDigits(a, b string) int {
	if na, nb := strings.HasPrefix(a, "-"), strings.HasPrefix(b, "-"); na != nb {
		if na {
			return -1
		}
		return 1
	}
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		if len(a) < len(b) {
			return -1
		}
		return 1
	}
	return strings.Compare(a, b)
}

// CompareLoose orders versions as Python's LooseVersion does, in the form that Salt gives
// it: what it sorts lists of versions by, which is not rpm's order.
func CompareLoose(a, b string) int {
	x, y := looseParts(a), looseParts(b)
	words := false
	for _, p := range append(append([]string{}, x...), y...) {
		words = words || !allDigits(p)
	}
	for i := 0; i < len(x) && i < len(y); i++ {
		p, q := x[i], y[i]
		if words {
			if n := strings.Compare(padded(p), padded(q)); n != 0 {
				return n
			}
		} else if n := compareDigits(p, q); n != 0 {
			return n
		}
	}
	return len(x) - len(y)
}

func allDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// padded has numbers with eight digits at least.
func padded(s string) string {
	if !allDigits(s) {
		return s
	}
	if s = strings.TrimLeft(s, "0"); len(s) < 8 {
		s = strings.Repeat("0", 8-len(s)) + s
	}
	return s
}

// looseParts parts a version into digits, small letters, and what is between them; dots are dropped.
func looseParts(v string) []string {
	kind := func(c byte) int {
		switch {
		case digit(c):
			return 0
		case c >= 'a' && c <= 'z':
			return 1
		case c == '.':
			return 2
		}
		return 3
	}
	var out []string
	for i := 0; i < len(v); {
		j := i + 1
		for j < len(v) && kind(v[j]) == kind(v[i]) && kind(v[i]) != 2 {
			j++
		}
		if kind(v[i]) != 2 {
			out = append(out, v[i:j])
		}
		i = j
	}
	return out
}
