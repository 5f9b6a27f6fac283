package roster

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/render/saltyaml"
	"github.com/gosalt/gosalt/protocol/wire"
)

// literal reads a value as Python's literals are written, with a comment behind; anything
// else is text.
func literal(s string) any {
	s = strings.TrimSpace(s)
	if v, ok := pyLiteral(s); ok {
		return v
	}
	if i := strings.IndexByte(s, '#'); i > 0 {
		if v, ok := pyLiteral(strings.TrimSpace(s[:i])); ok {
			return v
		}
	}
	return s
}

func pyLiteral(s string) (any, bool) {
	switch s {
	case "":
		return "", false
	case "True":
		return true, true
	case "False":
		return false, true
	case "None":
		return nil, true
	}
	digits := strings.TrimLeft(s, "+-")
	if digits != "" && digits[0] >= '0' && digits[0] <= '9' || digits != "" && digits[0] == '.' {
		// With a base of 0 Go reads whole numbers as Python does, but for 0644.
		if len(digits) < 2 || digits[0] != '0' || strings.ContainsAny(digits[1:2], "xXoObB.eE") {
			if n, err := strconv.ParseInt(s, 0, 64); err == nil {
				return n, true
			}
		}
		if !strings.ContainsAny(digits, "xXpP") {
			if f, err := strconv.ParseFloat(s, 64); err == nil && strings.ContainsAny(s, ".eE") {
				return f, true
			}
		}
		return nil, false
	}
	switch s[0] {
	case '"', '\'':
		return pyString(s)
	case '[', '{', '(':
		if s[0] == '(' && strings.HasSuffix(s, ")") {
			s = "[" + s[1:len(s)-1] + "]"
		}
		v, err := saltyaml.LoadYAML(s)
		if err == nil {
			switch v.(type) {
			case []any, *wire.Map:
				return v, true
			}
		}
	}
	return nil, false
}

// pyString reads one or more string literals, which Python joins.
func pyString(s string) (any, bool) {
	var b strings.Builder
	for s != "" {
		if s[0] != '"' && s[0] != '\'' {
			return nil, false
		}
		i := 1
		for ; i < len(s) && s[i] != s[0]; i++ {
			if s[i] != '\\' || i+1 >= len(s) {
				b.WriteByte(s[i])
				continue
			}
			i++
			if e := strings.IndexByte(`ntr\'"`, s[i]); e >= 0 {
				b.WriteByte("\n\t\r\\'\""[e])
			} else {
				b.WriteString(s[i-1 : i+1])
			}
		}
		if i >= len(s) {
			return nil, false
		}
		s = strings.TrimSpace(s[i+1:])
	}
	return b.String(), true
}

// maxRange is how many hosts a pattern may stand for.
const maxRange = 100_000

// expandHosts reads a host as inventories have it: web[01:20].example.com, db[a:c], with a
// port after a colon.
func expandHosts(s string) (names []string, port int, err error) {
	if s == "" {
		return nil, 0, errors.New("a host without a name")
	}
	// A port comes after the last bracket; an address of IPv6 has none unless in brackets.
	tail := s[strings.LastIndexByte(s, ']')+1:]
	if strings.Count(tail, ":") == 1 {
		i := strings.LastIndexByte(s, ':')
		if n, err := strconv.Atoi(s[i+1:]); err == nil && n > 0 && n < 65536 {
			s, port = s[:i], n
		}
	}
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") && addressOf(s).IsValid() {
		return []string{strings.Trim(s, "[]")}, port, nil
	}
	names = []string{""}
	for s != "" {
		i := strings.IndexByte(s, '[')
		if i < 0 {
			i = len(s)
		}
		values := []string{""}
		rest := ""
		if i < len(s) {
			j := strings.IndexByte(s[i:], ']')
			if j < 0 {
				return nil, 0, fmt.Errorf("%q has [ without ]", s)
			}
			if values, err = expandRangeText(s[i+1 : i+j]); err != nil {
				return nil, 0, err
			}
			rest = s[i+j+1:]
		}
		if len(names)*len(values) > maxRange {
			return nil, 0, fmt.Errorf("it stands for more than %d hosts", maxRange)
		}
		var next []string
		for _, n := range names {
			for _, v := range values {
				next = append(next, n+s[:i]+v)
			}
		}
		names, s = next, rest
	}
	return names, port, nil
}

// expandRangeText reads what is in the brackets: 01:20, 1:9:2, a:f.
func expandRangeText(s string) ([]string, error) {
	bad := func(why string) error { return fmt.Errorf("the range [%s] %s", s, why) }
	parts := strings.Split(s, ":")
	if len(parts) != 2 && len(parts) != 3 {
		return nil, bad("is not of the form [from:to] or [from:to:step]")
	}
	step := 1
	if len(parts) == 3 {
		n, err := strconv.Atoi(parts[2])
		if err != nil || n < 1 {
			return nil, bad("has a step that is no number")
		}
		step = n
	}
	from, to := parts[0], parts[1]
	if from == "" {
		from = "0"
	}
	var out []string
	if len(from) == 1 && len(to) == 1 && isLetter(from[0]) && isLetter(to[0]) {
		if from[0] > to[0] {
			return nil, bad("ends before it begins")
		}
		for c := int(from[0]); c <= int(to[0]); c += step {
			if isLetter(byte(c)) {
				out = append(out, string(rune(c)))
			}
		}
		return out, nil
	}
	a, err1 := strconv.Atoi(from)
	b, err2 := strconv.Atoi(to)
	if err1 != nil || err2 != nil || a < 0 || b < 0 {
		return nil, bad("has to go from a number to a number, or from a letter to a letter")
	}
	if a > b {
		return nil, bad("ends before it begins")
	}
	width := 0
	if len(from) > 1 && from[0] == '0' {
		if len(from) != len(to) {
			return nil, bad("has two ends of different length, and leading zeros")
		}
		width = len(from)
	}
	if (b-a)/step >= maxRange {
		return nil, bad(fmt.Sprintf("has more than %d members", maxRange))
	}
	for n := a; n <= b; n += step {
		out = append(out, fmt.Sprintf("%0*d", width, n))
	}
	return out, nil
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
