// Package debian reads what dpkg keeps on a machine, and compares versions as it does.
package debian

import "strings"

// Compare tells which of two versions is older: -1, 0 or 1, as dpkg --compare-versions has
// it (deb-version(7)): the epochs as numbers, then the upstream versions, then the revisions.
func Compare(a, b string) int {
	ea, ua, ra := split(a)
	eb, ub, rb := split(b)
	if n := compareNumbers(ea, eb); n != 0 {
		return n
	}
	if n := comparePart(ua, ub); n != 0 {
		return n
	}
	return comparePart(ra, rb)
}

// split parts a version: "1:2.0-3" is 1, 2.0 and 3.
func split(v string) (epoch, upstream, revision string) {
	v = strings.TrimSpace(v)
	if e, rest, ok := strings.Cut(v, ":"); ok {
		epoch, v = e, rest
	}
	if i := strings.LastIndexByte(v, '-'); i >= 0 {
		return epoch, v[:i], v[i+1:]
	}
	return epoch, v, ""
}

// compareNumbers compares digits of any length; what is not a digit is passed over.
func compareNumbers(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		if len(a) < len(b) {
			return -1
		}
		return 1
	}
	return strings.Compare(a, b)
}

// order is a character's place: "~" is before the end, letters before all else.
func order(s string, i int) int {
	if i >= len(s) {
		return 0
	}
	switch c := s[i]; {
	case c >= '0' && c <= '9':
		return 0
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		return int(c)
	case c == '~':
		return -1
	default:
		return int(c) + 256
	}
}

func digit(s string, i int) bool { return i < len(s) && s[i] >= '0' && s[i] <= '9' }

// comparePart compares by turns what is not digits, character by character, and digits.
func comparePart(a, b string) int {
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		for i < len(a) && !digit(a, i) || j < len(b) && !digit(b, j) {
			x, y := order(a, i), order(b, j)
			if x != y {
				if x < y {
					return -1
				}
				return 1
			}
			i++
			j++
		}
		si, sj := i, j
		for digit(a, i) {
			i++
		}
		for digit(b, j) {
			j++
		}
		if n := compareNumbers(cut(a, si, i), cut(b, sj, j)); n != 0 {
			return n
		}
	}
	return 0
}

func cut(s string, from, to int) string {
	if from > len(s) {
		return ""
	}
	return s[from:min(to, len(s))]
}
