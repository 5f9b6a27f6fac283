package output

import (
	"fmt"
	"strings"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// jsonOut is JSON, indented by 4 columns; on one line with a negative indent.
func jsonOut(data any, o Options) (string, error) {
	indent := 4
	if o.Indent != nil {
		indent = *o.Indent
	}
	s, err := pytext.JSON(data, indent, o.SortKeys)
	if err != nil { // a key that JSON has no form for: Salt prints an empty object
		o.tell("An error occurred while outputting JSON: %v", err)
		return "{}", nil
	}
	return s, nil
}

// yamlOut is YAML in block form; in brackets with a negative indent.
func yamlOut(data any, o Options) (string, error) {
	switch {
	case o.Indent == nil:
		return pytext.YAML(data, 2, false), nil
	case *o.Indent < 0:
		return pytext.YAML(data, 0, true), nil
	default:
		return pytext.YAML(data, *o.Indent, false), nil
	}
}

// txt is "id: line" for each line of a text, "id: value" for other values.
func txt(data any, _ Options) (string, error) {
	m, ok := data.(*wire.Map)
	if !ok {
		if s, ok := data.(string); ok {
			return s + "\n", nil
		}
		return pytext.PPrint(data, 1) + "\n", nil
	}
	var b strings.Builder
	for k, v := range m.All() {
		id := pytext.Str(k)
		switch x := v.(type) {
		case string:
			for _, l := range pytext.SplitLines(x, false) {
				fmt.Fprintf(&b, "%s: %s\n", id, l)
			}
		case []byte:
			for _, l := range byteLines(x) {
				fmt.Fprintf(&b, "%s: %s\n", id, pytext.Repr(l))
			}
		default:
			fmt.Fprintf(&b, "%s: %s\n", id, pytext.Str(v))
		}
	}
	return b.String(), nil
}

// byteLines is Python's bytes.splitlines: at \n, \r and \r\n.
func byteLines(p []byte) [][]byte {
	s := strings.ReplaceAll(strings.ReplaceAll(string(p), "\r\n", "\n"), "\r", "\n")
	if s == "" {
		return nil
	}
	var lines [][]byte
	for l := range strings.SplitSeq(strings.TrimSuffix(s, "\n"), "\n") {
		lines = append(lines, []byte(l))
	}
	return lines
}

// raw is Python's str() of the data.
func raw(data any, _ Options) (string, error) { return pytext.Str(data), nil }

// pprintOut is Python's pprint of the data.
func pprintOut(data any, o Options) (string, error) {
	if o.Indent != nil && *o.Indent >= 0 {
		return pytext.PPrint(data, *o.Indent), nil
	}
	return pytext.PPrint(data, 1), nil
}

// quiet shows nothing.
func quiet(any, Options) (string, error) { return "", nil }

// newlineValuesOnly is the values without their ids, one to a line, lists opened.
func newlineValuesOnly(data any, _ Options) (string, error) {
	m, ok := data.(*wire.Map)
	if !ok {
		return "", fmt.Errorf("a map expected, not %s", pytext.TypeName(data))
	}
	var lines []string
	for _, v := range m.All() {
		if l, ok := v.([]any); ok {
			for _, e := range l {
				lines = append(lines, pytext.Str(e))
			}
			continue
		}
		lines = append(lines, pytext.Str(v))
	}
	return strings.Join(lines, "\n"), nil
}

// noReturn is for minions that did not answer: their ids, and a text in red.
func noReturn(data any, o Options) (string, error) {
	var b strings.Builder
	c := o.colors()
	var show func(v any, indent int) error
	show = func(v any, indent int) error {
		pad := strings.Repeat(" ", indent)
		switch x := v.(type) {
		case string:
			for l := range strings.SplitSeq(x, "\n") {
				b.WriteString(c.red + pad + o.safe(l) + c.end + "\n")
			}
		case *wire.Map:
			keys, vals, ok := pytext.Sorted(x)
			if !ok {
				return fmt.Errorf("keys of different kinds cannot be sorted")
			}
			for i, k := range keys {
				b.WriteString(c.cyan + pad + o.safe(pytext.Str(k)) + c.end + ":\n")
				if err := show(vals[i], indent+4); err != nil {
					return err
				}
			}
		}
		return nil
	}
	err := show(data, 0)
	return b.String(), err
}

// progressOut shows no results; the counter of package term is what --progress shows.
func progressOut(any, Options) (string, error) { return "", nil }

// overstateStage shows the stages of an old orchestration: a list of {name: {key: value}}.
func overstateStage(data any, o Options) (string, error) {
	l, ok := data.([]any)
	if !ok {
		return "", fmt.Errorf("a list of stages expected, not %s", pytext.TypeName(data))
	}
	c := o.colors()
	var b strings.Builder
	for _, comp := range l {
		m, ok := comp.(*wire.Map)
		if !ok {
			return "", fmt.Errorf("a stage is a map, not %s", pytext.TypeName(comp))
		}
		for name, stage := range m.All() {
			s, ok := stage.(*wire.Map)
			if !ok {
				return "", fmt.Errorf("a stage holds a map, not %s", pytext.TypeName(stage))
			}
			b.WriteString(c.lightBlue + o.safe(pytext.Str(name)) + ": " + c.end + "\n")
			keys, vals := sortedText(s)
			for i, k := range keys {
				b.WriteString("    " + c.lightBlue + o.safe(k+": "+pytext.Str(vals[i])) + c.end + "\n")
			}
		}
	}
	return b.String(), nil
}
