// Package yaml11 types plain YAML scalars as PyYAML with Salt's loader does: by YAML
// 1.1, where yes is true and 1:30 is ninety, with Salt's exception that 0644 is six
// hundred and forty-four (salt.utils.yamlloader).
package yaml11

import (
	"errors"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// The forms of plain scalars, YAML 1.1 as PyYAML's resolver has them.
var (
	intForm = regexp.MustCompile(`^(?:[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+)$`)

	floatForm = regexp.MustCompile(`^(?:[-+]?(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$`)
)

// Resolve types a scalar that stands without quotes: nil, bool, int64, uint64 (above
// the largest int64), float64 or string.
func Resolve(s string) any {
	switch s {
	case "", "~", "null", "Null", "NULL":
		return nil
	case "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON":
		return true
	case "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF":
		return false
	}
	switch c := s[0]; {
	case c != '-' && c != '+' && c != '.' && (c < '0' || c > '9'):
		return s
	case intForm.MatchString(s):
		if v, ok := parseInt(s); ok {
			return v
		}
	case floatForm.MatchString(s):
		if v, ok := parseFloat(s); ok {
			return v
		}
	}
	return s
}

func parseInt(s string) (any, bool) {
	if s != "0" && s[0] == '0' && !strings.HasPrefix(s, "0b") && !strings.HasPrefix(s, "0x") {
		// Salt's own loader takes the zeros off, so 0644 is six hundred and forty-four.
		if s = strings.TrimLeft(s, "0"); s == "" {
			s = "0"
		}
	}
	s = strings.ReplaceAll(s, "_", "")
	sign := int64(1)
	if t, ok := strings.CutPrefix(s, "-"); ok {
		s, sign = t, -1
	} else {
		s = strings.TrimPrefix(s, "+")
	}
	if strings.Contains(s, ":") {
		f, ok := sexagesimal(s)
		return sign * int64(f), ok && f < 1<<53
	}
	base := 10
	switch {
	case strings.HasPrefix(s, "0b"):
		s, base = s[2:], 2
	case strings.HasPrefix(s, "0x"):
		s, base = s[2:], 16
	case len(s) > 1 && s[0] == '0':
		base = 8
	}
	u, err := strconv.ParseUint(s, base, 64)
	switch {
	case err != nil:
		return nil, false
	case sign < 0 && u <= 1<<63:
		return -int64(u), true
	case sign < 0:
		return nil, false
	case u > math.MaxInt64:
		return u, true
	}
	return int64(u), true
}

func parseFloat(s string) (float64, bool) {
	s = strings.ToLower(strings.ReplaceAll(s, "_", ""))
	sign := 1.0
	if t, ok := strings.CutPrefix(s, "-"); ok {
		s, sign = t, -1
	} else {
		s = strings.TrimPrefix(s, "+")
	}
	switch {
	case s == ".inf":
		return sign * math.Inf(1), true
	case s == ".nan":
		return math.NaN(), true
	case strings.Contains(s, ":"):
		f, ok := sexagesimal(s)
		return sign * f, ok
	}
	f, err := strconv.ParseFloat(s, 64)
	return sign * f, err == nil || errors.Is(err, strconv.ErrRange)
}

// sexagesimal reads 1:30 as 90.
func sexagesimal(s string) (float64, bool) {
	total := 0.0
	for part := range strings.SplitSeq(s, ":") {
		f, err := strconv.ParseFloat(part, 64)
		if err != nil {
			return 0, false
		}
		total = total*60 + f
	}
	return total, true
}
