package saltyaml

import (
	"fmt"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// YAML is the text of Salt's yaml filter: in one line with flow, else in lines,
// without the last line break. Maps are sorted, but for pytext.Ordered; a list or map
// that occurs again is an alias.
func YAML(v any, flow bool) string {
	o := pytext.YAMLOptions{Flow: pytext.FlowNone, Aliases: true}
	if flow {
		o.Flow = pytext.FlowAll
	}
	return strings.TrimFunc(o.Dump(v), pythonSpace)
}

// JSON is the text of Salt's json filter. Its errors are in Python's words.
func JSON(v any, sortKeys bool, indent *int) (string, error) {
	o := pytext.JSONOptions{SortKeys: sortKeys}
	if indent != nil {
		o.Pretty, o.Indent = true, strings.Repeat(" ", max(*indent, 0))
	}
	s, err := o.Dump(v)
	return strings.TrimFunc(s, pythonSpace), err
}

var htmlSafe = strings.NewReplacer("<", `\u003c`, ">", `\u003e`, "&", `\u0026`, "'", `\u0027`)

// ToJSON is the text of Salt's tojson filter: keys as they come, ASCII unless the
// options say otherwise, and no character with a meaning in HTML.
func ToJSON(v any, o pytext.JSONOptions) (string, error) {
	s, err := o.Dump(v)
	return htmlSafe.Replace(s), err
}

// YAMLEncode is the text of Salt's yaml_encode filter: a scalar as YAML has it, text
// in double quotes. A list or map is an error.
func YAMLEncode(v any) (string, error) {
	switch x := v.(type) {
	case []any, *wire.Map, pytext.Ordered, pytext.Set:
		class := pytext.TypeName(v)
		if class == "OrderedDict" {
			class = "collections.OrderedDict"
		}
		return "", pytext.TypeError(fmt.Sprintf("yaml_encode() only works with YAML scalar data; failed for <class '%s'>", class))
	case pytext.Opaque:
		return "", fmt.Errorf("cannot represent an object, %s", x.Type)
	case string:
		return YAMLDoubleQuote(x), nil
	case []byte:
		if len(x) == 0 {
			return "", nil
		}
		s := strings.TrimPrefix(pytext.YAMLOptions{}.Dump(x), "!!binary |\n")
		return strings.ReplaceAll(s, "  ", ""), nil
	case time.Time:
		return pytext.Str(x), nil
	}
	return strings.TrimSuffix(pytext.YAMLOptions{}.Dump(v), "\n"), nil
}

// yamlEscapes are the characters that have an escape of their own.
var yamlEscapes = map[rune]byte{
	0: '0', 7: 'a', 8: 'b', '\t': 't', '\n': 'n', '\v': 'v', '\f': 'f', '\r': 'r', 0x1b: 'e', '"': '"', '\\': '\\',
	0x85: 'N', 0xa0: '_', 0x2028: 'L', 0x2029: 'P',
}

// YAMLDoubleQuote is the text of Salt's yaml_dquote filter: all in one line, and
// ASCII.
func YAMLDoubleQuote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		c, ok := yamlEscapes[r]
		switch {
		case ok:
			b.WriteByte('\\')
			b.WriteByte(c)
		case r >= 0x20 && r <= 0x7e:
			b.WriteRune(r)
		case r <= 0xff:
			fmt.Fprintf(&b, `\x%02X`, r)
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			fmt.Fprintf(&b, `\U%08X`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// YAMLSingleQuote is the text of Salt's yaml_squote filter, where one line break
// becomes two, as a reader joins lines.
func YAMLSingleQuote(s string) string {
	var b strings.Builder
	b.WriteByte('\'')
	broken := false
	for _, r := range s {
		switch r {
		case '\n', 0x85, 0x2028, 0x2029:
			if r == '\n' && !broken {
				b.WriteByte('\n')
			}
			broken = true
		default:
			broken = false
		}
		if r == '\'' {
			b.WriteByte('\'')
		}
		b.WriteRune(r)
	}
	b.WriteByte('\'')
	return b.String()
}

// pythonSpace tells what Python's str.strip takes off.
func pythonSpace(r rune) bool {
	switch r {
	case '\t', '\n', '\v', '\f', '\r', 0x1c, 0x1d, 0x1e, 0x1f, ' ', 0x85, 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000:
		return true
	}
	return r >= 0x2000 && r <= 0x200a
}

// Serialize is salt.serializers.yaml.serialize: as YAML writes it with the options, no
// aliases left out, without the last line break.
func Serialize(v any, o pytext.YAMLOptions) string {
	o.Aliases = true
	return strings.TrimSuffix(o.Dump(v), "\n")
}
