package render

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/render/value"
	"github.com/gosalt/gosalt/jinja/py"
	"github.com/gosalt/gosalt/protocol/wire"
)

// onlyOptions refuses options that a serializer does not know.
func onlyOptions(opts *py.Dict, what string, known ...string) error {
	for k := range opts.All() {
		if s, ok := k.(string); !ok || !slices.Contains(known, s) {
			return py.Raise("SerializationError", "%s got an unexpected keyword argument '%s'", what, text(k))
		}
	}
	return nil
}

// separators are the two of JSON.
func separators(v py.Value) []string {
	var items []py.Value
	switch x := v.(type) {
	case *py.List:
		items = x.Items
	case py.Tuple:
		items = x
	}
	var out []string
	for _, e := range items {
		if s, ok := py.AsString(e); ok {
			out = append(out, s)
		}
	}
	return out
}

// dumpYAML writes YAML with the options of yaml.dump.
func dumpYAML(c *py.Call, obj py.Value, opts *py.Dict, on func(string, bool) (bool, error)) (py.Value, error) {
	err := onlyOptions(opts, "dump_all()", "default_style", "default_flow_style", "canonical", "indent", "width", "allow_unicode", "line_break",
		"encoding", "explicit_start", "explicit_end", "version", "tags", "sort_keys", "Dumper")
	if err != nil {
		return nil, err
	}
	v, err := value.ToText(obj)
	if err != nil {
		return nil, err
	}
	o := pytext.YAMLOptions{Aliases: true}
	for name, to := range map[string]*int{"indent": &o.Indent, "width": &o.Width} {
		n, ok := opts.GetStr(name)
		if !ok || n == nil {
			continue
		}
		number, ok := py.AsInt(n)
		if !ok {
			return nil, py.Raise("SerializationError", "an integer is required")
		}
		*to = int(number)
	}
	if f, ok := opts.GetStr("default_flow_style"); ok && f != nil {
		flow, err := py.Truth(c.T, f)
		if err != nil {
			return nil, err
		}
		o.Flow = pytext.FlowNone
		if flow {
			o.Flow = pytext.FlowAll
		}
	}
	var unicode, sorted, start, canonical bool
	for _, f := range []struct {
		name string
		def  bool
		to   *bool
	}{{"allow_unicode", false, &unicode}, {"sort_keys", true, &sorted}, {"explicit_start", false, &start}, {"canonical", false, &canonical}} {
		if *f.to, err = on(f.name, f.def); err != nil {
			return nil, err
		}
	}
	o.ASCII, o.KeepOrder = !unicode, !sorted
	if style, ok := opts.GetStr("default_style"); ok && style != nil {
		switch style {
		case "'", `"`:
			o.Quotes = rune(style.(string)[0])
		default:
			return nil, py.Raise("SerializationError", "default_style: ' or \" is expected, not %s", text(style))
		}
	}
	if canonical {
		return nil, py.Raise("SerializationError", "canonical: gosalt does not write the canonical form of YAML: leave the option out")
	}
	if t, ok := opts.GetStr("tags"); ok && t != nil {
		return nil, py.Raise("SerializationError", "tags: gosalt declares no tags: leave the option out")
	}
	if e, ok := opts.GetStr("encoding"); ok && e != nil {
		return nil, py.Raise("SerializationError", "endswith first arg must be bytes or a tuple of bytes, not str")
	}
	s := o.Dump(v)
	if t, ok := strings.CutSuffix(s, "\n...\n"); ok {
		s = t + "\n"
	}
	head := ""
	if ver, ok := opts.GetStr("version"); ok && ver != nil {
		l, ok := ver.(*py.List)
		if !ok || len(l.Items) != 2 {
			return nil, py.Raise("SerializationError", "version: a list of two numbers is expected, such as [1, 1]")
		}
		major, ok := py.AsInt(l.Items[0])
		minor, ok2 := py.AsInt(l.Items[1])
		if !ok || !ok2 {
			return nil, py.Raise("SerializationError", "version: a list of two numbers is expected, such as [1, 1]")
		}
		head, start = fmt.Sprintf("%%YAML %d.%d\n", major, minor), true
	}
	if start {
		s = head + startOf(v, s) + s
	}
	if b, ok := opts.GetStr("line_break"); ok && (b == "\r\n" || b == "\r") {
		s = strings.ReplaceAll(s, "\n", b.(string))
	}
	return strings.TrimSuffix(s, "\n"), c.T.Alloc(len(s))
}

// startOf is the mark before a document of YAML.
func startOf(v any, s string) string {
	switch v.(type) {
	case *wire.Map, []any:
		if s != "" && s[0] != '{' && s[0] != '[' {
			return "---\n"
		}
	}
	return "--- "
}

// dumpPython writes data as pprint does, after their way through JSON.
func dumpPython(c *py.Call, obj py.Value, opts *py.Dict, on func(string, bool) (bool, error)) (py.Value, error) {
	err := onlyOptions(opts, "pformat()", "indent", "width", "depth", "compact", "sort_dicts", "underscore_numbers")
	if err != nil {
		return nil, err
	}
	o := py.Pretty{Width: 80, Indent: 1}
	for name, to := range map[string]*int{"indent": &o.Indent, "width": &o.Width, "depth": &o.Depth} {
		v, ok := opts.GetStr(name)
		if !ok || v == nil && name == "depth" {
			continue
		}
		n, ok := py.AsInt(v)
		if !ok {
			return nil, py.Raise("TypeError", "%s: a whole number is expected, not %s", name, text(v))
		}
		*to = int(n)
		if name == "depth" && n <= 0 {
			return nil, py.Raise("ValueError", "depth must be > 0")
		}
	}
	switch {
	case o.Indent < 0:
		return nil, py.Raise("ValueError", "indent must be >= 0")
	case o.Indent > 10000:
		return nil, py.Raise("ValueError", "indent: at most 10000 spaces are written")
	case o.Width == 0:
		return nil, py.Raise("ValueError", "width must be != 0")
	}
	sorted := true
	if sorted, err = on("sort_dicts", true); err != nil {
		return nil, err
	}
	o.KeepOrder = !sorted
	if o.Compact, err = on("compact", false); err != nil {
		return nil, err
	}
	if o.Underscores, err = on("underscore_numbers", false); err != nil {
		return nil, err
	}
	s, err := py.JSON{Raw: true}.Dump(c.T, obj)
	if err != nil {
		return nil, err
	}
	w, err := pytext.ParseJSON(s)
	if err != nil {
		return nil, err
	}
	v, err := value.FromWire(w, false)
	if err != nil {
		return nil, err
	}
	return o.Format(c.T, v)
}
