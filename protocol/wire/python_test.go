package wire

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// python writes a value as Python's repr does, as the recorded files have it. Where
// keys is true, keys of maps are shown as bytes, as Salt's raw reader leaves them.
func python(v any, keys bool) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		if v {
			return "True"
		}
		return "False"
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1e16 {
			return strconv.FormatFloat(v, 'f', 1, 64)
		}
		return strconv.FormatFloat(v, 'g', -1, 64)
	case string:
		return pythonQuote(v)
	case []byte:
		var b strings.Builder
		for _, c := range v {
			switch {
			case c == '\\':
				b.WriteString(`\\`)
			case c == '\n':
				b.WriteString(`\n`)
			case c < 0x20 || c >= 0x7f:
				fmt.Fprintf(&b, `\x%02x`, c)
			default:
				b.WriteByte(c)
			}
		}
		return "b'" + b.String() + "'"
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = python(e, keys)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case *Map:
		var parts []string
		for k, e := range v.All() {
			if s, ok := k.(string); ok && keys {
				k = []byte(s)
			}
			parts = append(parts, python(k, keys)+": "+python(e, keys))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case time.Time:
		s := fmt.Sprintf("datetime.datetime(%d, %d, %d, %d, %d", v.Year(), v.Month(), v.Day(), v.Hour(), v.Minute())
		if us := v.Nanosecond() / 1000; us != 0 {
			s += fmt.Sprintf(", %d, %d", v.Second(), us)
		} else if v.Second() != 0 {
			s += fmt.Sprintf(", %d", v.Second())
		}
		return s + ")"
	}
	return fmt.Sprint(v)
}

func pythonQuote(s string) string {
	q := "'"
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		q = `"`
	}
	r := strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\t", `\t`, "\r", `\r`, q, `\`+q)
	return q + r.Replace(s) + q
}
