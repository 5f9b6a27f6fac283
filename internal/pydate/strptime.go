package pydate

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// directives are what the signs of strptime match, as Python's do.
var directives = map[byte]string{
	'd': `3[0-1]|[1-2]\d|0[1-9]|[1-9]| [1-9]`,
	'f': `[0-9]{1,6}`,
	'H': `2[0-3]|[0-1]\d|\d`,
	'I': `1[0-2]|0[1-9]|[1-9]`,
	'j': `36[0-6]|3[0-5]\d|[1-2]\d\d|0[1-9]\d|00[1-9]|[1-9]\d|0[1-9]|[1-9]`,
	'm': `1[0-2]|0[1-9]|[1-9]`,
	'M': `[0-5]\d|\d`,
	'S': `6[0-1]|[0-5]\d|\d`,
	'w': `[0-6]`,
	'u': `[1-7]`,
	'y': `\d\d`,
	'Y': `\d\d\d\d`,
	'z': `[+-]\d\d:?[0-5]\d(?::?[0-5]\d(?:\.\d{1,6})?)?|Z`,
	'a': `mon|tue|wed|thu|fri|sat|sun`,
	'A': `monday|tuesday|wednesday|thursday|friday|saturday|sunday`,
	'b': `jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec`,
	'B': `january|february|march|april|may|june|july|august|september|october|november|december`,
	'p': `am|pm`,
	'Z': `utc|gmt`,
}

// composed are signs that stand for several others, in the C locale.
var composed = map[byte]string{'c': "%a %b %d %H:%M:%S %Y", 'x': "%m/%d/%y", 'X': "%H:%M:%S"}

// Strptime reads a time of exactly the given format, with the signs of Python's
// datetime.strptime. Without %z the time is in loc. What the format does not name is
// that of 1900-01-01 00:00.
func Strptime(text, format string, loc *time.Location) (time.Time, error) {
	re, signs, err := compile(format)
	if err != nil {
		return time.Time{}, err
	}
	m := re.FindStringSubmatch(text)
	if m == nil {
		return time.Time{}, fmt.Errorf("time data %q does not match format %q", text, format)
	}
	year, month, day, yearDay := 1900, 1, 1, 0
	hour, minute, second, nano, afternoon, half := 0, 0, 0, 0, false, false
	for i, sign := range signs {
		v := strings.TrimSpace(m[i+1])
		n, _ := strconv.Atoi(v)
		switch sign {
		case 'Y':
			year = n
		case 'y':
			if year = 1900 + n; n < 69 {
				year = 2000 + n
			}
		case 'm':
			month = n
		case 'b', 'B':
			month = among(months, v) + 1
		case 'd':
			day = n
		case 'j':
			yearDay = n
		case 'H':
			hour = n
		case 'I':
			hour, half = n%12, true
		case 'p':
			afternoon = strings.EqualFold(v, "pm")
		case 'M':
			minute = n
		case 'S':
			second = n
		case 'f':
			micro, _ := strconv.Atoi((v + "000000")[:6])
			nano = micro * 1000
		case 'z':
			loc = zoneOf(v)
		}
	}
	if half && afternoon {
		hour += 12
	}
	if yearDay > 0 {
		t := time.Date(year, 1, yearDay, 0, 0, 0, 0, time.UTC)
		month, day = int(t.Month()), t.Day()
	}
	if year < 1 || day > daysOf(year, month) || second > 59 {
		return time.Time{}, fmt.Errorf("time data %q is out of range", text)
	}
	return time.Date(year, time.Month(month), day, hour, minute, second, nano, loc), nil
}

// zoneOf reads "+0100", "+01:00" and "Z".
func zoneOf(v string) *time.Location {
	digits := strings.ReplaceAll(strings.TrimLeft(v, "+-"), ":", "")
	if len(digits) < 4 {
		return time.UTC
	}
	h, _ := strconv.Atoi(digits[:2])
	m, _ := strconv.Atoi(digits[2:4])
	east := h*3600 + m*60
	if len(digits) >= 6 {
		s, _ := strconv.Atoi(digits[4:6])
		east += s
	}
	if v[0] == '-' {
		east = -east
	}
	return time.FixedZone("", east)
}

// compile makes a pattern of a format, and lists the signs of its groups.
func compile(format string) (*regexp.Regexp, []byte, error) {
	for sign, long := range composed {
		format = strings.ReplaceAll(format, "%"+string(sign), long)
	}
	var b strings.Builder
	var signs []byte
	seen := map[byte]bool{}
	b.WriteString(`(?is)\A`)
	for i := 0; i < len(format); i++ {
		c := format[i]
		switch {
		case c == ' ' || c >= '\t' && c <= '\r':
			for i+1 < len(format) && (format[i+1] == ' ' || format[i+1] >= '\t' && format[i+1] <= '\r') {
				i++
			}
			b.WriteString(`\s+`)
		case c != '%':
			b.WriteString(regexp.QuoteMeta(string(c)))
		case i+1 == len(format):
			return nil, nil, fmt.Errorf("stray %% in format %q", format)
		default:
			i++
			sign := format[i]
			if sign == '%' {
				b.WriteByte('%')
				continue
			}
			re, ok := directives[sign]
			if !ok {
				return nil, nil, fmt.Errorf("'%c' is a bad directive in format %q", sign, format)
			}
			if seen[sign] {
				return nil, nil, fmt.Errorf("'%%%c' occurs twice in format %q", sign, format)
			}
			seen[sign] = true
			signs = append(signs, sign)
			b.WriteString("(" + re + ")")
		}
	}
	b.WriteString(`\z`)
	re, err := regexp.Compile(b.String())
	if err != nil {
		return nil, nil, fmt.Errorf("format %q: %w", format, err)
	}
	return re, signs, nil
}
