package output

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// terse is one state in one line.
func (r *hostReport) terse(s *stateResult, color string) (string, error) {
	result := "Clean"
	if truth(s.changes) {
		result = "Changed"
	}
	if s.isFalse() {
		result = "Failed"
	} else if s.isNone() {
		result = "Differs"
	}
	fun := s.tag[len(s.tag)-1]
	name := r.o.safe(s.tag[2])
	if r.o.StateTabularFormat != "" {
		return formatTabular(r.o.StateTabularFormat, []any{color, name, s.tag[0], fun, result, r.c.end, s.ret})
	}
	duration, _ := s.ret.Get("duration")
	timed := r.o.StateOutputProfile && s.timed
	var b strings.Builder
	warnings, warned := s.ret.Get("warnings")
	if warned {
		b.WriteString(r.c.lightRed + "Warnings:\n" + strings.Join(resultLines(warnings), "\n") + r.c.end)
	}
	if r.o.StateTabular {
		if warned {
			b.WriteByte('\n')
		}
		b.WriteString(color)
		if timed {
			fmt.Fprintf(&b, "%s [%7s ms] ", pytext.Str(s.started), pytext.Str(duration))
		}
		fmt.Fprintf(&b, "%10s.%-10s %-7s   Name: %s%s", s.tag[0], fun, result, name, r.c.end)
		return b.String(), nil
	}
	fmt.Fprintf(&b, " %s Name: %s - Function: %s.%s - Result: %s", color, name, s.tag[0], fun, result)
	if timed {
		fmt.Fprintf(&b, " - Started: %s - Duration: %s ms", pytext.Str(s.started), pytext.Str(duration))
	}
	b.WriteString(r.c.end)
	return b.String(), nil
}

// formatTabular fills a format of the configuration's state_tabular, in the part
// of Python's format language that such formats use: {0} colour, {1} name,
// {2} module, {3} function, {4} result, {5} end of colour, {6[key]} a field of the
// state; "!s", and after ":" fill, alignment and width; "{{" and "}}".
func formatTabular(format string, fields []any) (string, error) {
	var b strings.Builder
	for len(format) > 0 {
		i := strings.IndexAny(format, "{}")
		if i < 0 {
			b.WriteString(format)
			break
		}
		b.WriteString(format[:i])
		c := format[i]
		format = format[i+1:]
		if strings.HasPrefix(format, string(c)) {
			b.WriteByte(c)
			format = format[1:]
			continue
		}
		end := strings.IndexByte(format, '}')
		if c == '}' || end < 0 {
			return "", fmt.Errorf("state_tabular: a %q stands alone, write it twice", c)
		}
		text, err := tabularField(format[:end], fields)
		if err != nil {
			return "", err
		}
		b.WriteString(text)
		format = format[end+1:]
	}
	return b.String(), nil
}

func tabularField(field string, fields []any) (string, error) {
	name, spec, _ := strings.Cut(field, ":")
	name, _, _ = strings.Cut(name, "!")
	number, key, keyed := strings.Cut(name, "[")
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 || n >= len(fields) {
		return "", fmt.Errorf("state_tabular: {%s} is none of {0} to {%d}", field, len(fields)-1)
	}
	v := fields[n]
	if m, ok := v.(*wire.Map); ok && keyed {
		if v, ok = m.Get(strings.TrimSuffix(key, "]")); !ok {
			return "", fmt.Errorf("state_tabular: the state has no field %q", strings.TrimSuffix(key, "]"))
		}
	}
	return align(pytext.Str(v), spec)
}

// align applies fill, alignment and width: "*>10", "<7", "^5", "10".
func align(s, spec string) (string, error) {
	fill, side := " ", byte('<')
	if _, n := utf8.DecodeRuneInString(spec); len(spec) > n && strings.IndexByte("<>^", spec[n]) >= 0 {
		fill, side, spec = spec[:n], spec[n], spec[n+1:]
	} else if spec != "" && strings.IndexByte("<>^", spec[0]) >= 0 {
		side, spec = spec[0], spec[1:]
	}
	spec = strings.TrimSuffix(spec, "s")
	width := 0
	if spec != "" {
		var err error
		if width, err = strconv.Atoi(spec); err != nil || width > 1000 {
			return "", fmt.Errorf("state_tabular: a width was expected, not %q", spec)
		}
	}
	gap := max(0, width-utf8.RuneCountInString(s))
	left := 0
	switch side {
	case '>':
		left = gap
	case '^':
		left = gap / 2
	}
	return strings.Repeat(fill, left) + s + strings.Repeat(fill, gap-left), nil
}
