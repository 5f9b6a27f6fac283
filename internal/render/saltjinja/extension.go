package saltjinja

import (
	"errors"
	"strings"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/render/saltyaml"
	"github.com/gosalt/gosalt/internal/render/value"
	"github.com/gosalt/gosalt/jinja"
	"github.com/gosalt/gosalt/jinja/py"
	"github.com/gosalt/gosalt/jinja/syntax"
)

// serializers are the statements that read YAML, JSON and text into variables, and
// profile, which only marks a part.
type serializers struct{}

// Tags are the statements.
func (serializers) Tags() []string {
	return []string{"load_yaml", "load_json", "load_text", "import_yaml", "import_json", "import_text", "profile"}
}

// Parse writes the statements in those that Jinja has.
func (serializers) Parse(p *syntax.Parser) []syntax.Node {
	tag := p.Current().Text
	pos := syntax.Pos(p.Current().Line)
	switch {
	case tag == "profile":
		p.Next()
		p.Expect("name:as")
		label := p.ParseExpr()
		body := p.ParseStatements(true, "name:endprofile")
		return append([]syntax.Node{&syntax.ExprStmt{Pos: pos, Node: label}}, body...)
	case strings.HasPrefix(tag, "load_"):
		p.Next()
		p.Expect("name:as")
		target := p.ParseAssignTarget()
		name := "_" + p.FreeIdentifier()
		body := p.ParseStatements(true, "name:endload")
		text := &syntax.Call{Pos: pos, Func: &syntax.Name{Pos: pos, Name: name}}
		return []syntax.Node{
			&syntax.Macro{Pos: pos, Name: name, Body: body},
			&syntax.Assign{Pos: pos, Target: target, Node: &syntax.Filter{Pos: pos, Node: text, Name: tag}},
		}
	}
	imp := p.ParseImport()
	pos = imp.Pos
	module := &syntax.Name{Pos: pos, Name: imp.Target}
	return []syntax.Node{
		imp,
		&syntax.Assign{Pos: pos, Target: &syntax.Name{Pos: pos, Name: imp.Target, Ctx: syntax.Store},
			Node: &syntax.Filter{Pos: pos, Node: module, Name: "load_" + strings.TrimPrefix(tag, "import_")}},
	}
}

// source is the text that load_yaml and its like are given: a module's, or as it is.
func source(c *py.Call) (string, error) {
	switch x := c.Args[0].(type) {
	case *jinja.Module:
		return x.Text(), nil
	case *py.Undefined:
		return "", x.Fail()
	case py.Bytes:
		return string(x), nil
	}
	s, ok := py.AsString(c.Args[0])
	if !ok {
		return "", errNoText
	}
	return s, nil
}

var errNoText = errors.New("no text")

func addSerializers(t table) {
	t.add("load_yaml", "value", func(c *py.Call) (py.Value, error) {
		text, err := source(c)
		if errors.Is(err, errNoText) {
			return nil, py.Raise("TypeError", "a string or stream input is required")
		} else if err != nil {
			return nil, err
		}
		v, err := loadYAML(text)
		if err != nil {
			return nil, &py.Error{Type: "TemplateRuntimeError", Msg: err.Error(), Err: err}
		}
		if err := c.T.Alloc(4 * len(text)); err != nil {
			return nil, err
		}
		return value.FromWire(v, false)
	})
	t.add("load_json", "value", func(c *py.Call) (py.Value, error) {
		text, err := source(c)
		if errors.Is(err, errNoText) {
			s, err := py.Str(c.T, c.Args[0])
			if err != nil {
				return nil, err
			}
			return nil, py.Raise("TemplateRuntimeError", "%s", "Unable to load json from "+s)
		} else if err != nil {
			return nil, err
		}
		v, err := saltyaml.LoadJSON(text)
		if err != nil {
			return nil, &py.Error{Type: "TemplateRuntimeError", Msg: err.Error(), Err: err}
		}
		if err := c.T.Alloc(4 * len(text)); err != nil {
			return nil, err
		}
		return value.FromWire(v, false)
	})
	t.add("load_text", "value", func(c *py.Call) (py.Value, error) {
		if m, ok := c.Args[0].(*jinja.Module); ok {
			return m.Text(), nil
		}
		return c.Args[0], nil
	})
	t.add("format_yaml/yaml", "value, flow_style=True", func(c *py.Call) (py.Value, error) {
		return formatYAML(c, c.Args[0], c.Args[1])
	})
	t.add("dict_to_sls_yaml_params", "value, flow_style=False", func(c *py.Call) (py.Value, error) {
		keys, vals, err := items(c.T, c.Args[0])
		if err != nil {
			return nil, err
		}
		l := py.NewList()
		for i, k := range keys {
			d := py.NewDict(1)
			if err := d.Set(k, vals[i]); err != nil {
				return nil, err
			}
			l.Items = append(l.Items, d)
		}
		return formatYAML(c, l, c.Args[1])
	})
	t.add("format_json/json", "value, sort_keys=True, indent=None", func(c *py.Call) (py.Value, error) {
		sort, err := py.Truth(c.T, c.Args[1])
		if err != nil {
			return nil, err
		}
		s, err := py.JSON{SortKeys: sort, Indent: c.Args[2], Raw: true}.Dump(c.T, c.Args[0])
		return py.Markup(py.Strip(s)), err
	})
	t.add("format_python/python", "value", func(c *py.Call) (py.Value, error) {
		s, err := py.Pformat(c.T, c.Args[0], 80)
		return py.Markup(py.Strip(s)), err
	})
	t.add("format_xml/xml", "value", formatXML)
	t.add("tojson", "val, indent=None, **options", filterToJSON)
	t.add("yaml_dquote", "text", func(c *py.Call) (py.Value, error) {
		s, err := py.Str(c.T, c.Args[0])
		return saltyaml.YAMLDoubleQuote(s), err
	})
	t.add("yaml_squote", "text", func(c *py.Call) (py.Value, error) {
		s, err := py.Str(c.T, c.Args[0])
		return saltyaml.YAMLSingleQuote(s), err
	})
	t.add("yaml_encode", "data", func(c *py.Call) (py.Value, error) {
		if t, ok := c.Args[0].(py.Tuple); ok {
			return nil, py.Raise("TypeError", "yaml_encode() only works with YAML scalar data; failed for <class '%s'>", py.FullTypeName(t))
		}
		v, err := value.ToText(c.Args[0])
		if err != nil {
			return nil, err
		}
		if _, ok := v.(pytext.Opaque); ok {
			r, err := py.Repr(nil, c.Args[0])
			if err != nil {
				return nil, err
			}
			return nil, py.Raise("RepresenterError", "('cannot represent an object', %s)", r)
		}
		s, err := saltyaml.YAMLEncode(v)
		var te pytext.TypeError
		if errors.As(err, &te) {
			return nil, py.Raise("TypeError", "%s", string(te))
		} else if err != nil {
			return nil, py.Raise("RepresenterError", "%s", err.Error())
		}
		return s, nil
	})
}

func undefinedOr(v py.Value, err error) error {
	if u, ok := v.(*py.Undefined); ok {
		return u.Fail()
	}
	return err
}

func formatYAML(c *py.Call, v, flow py.Value) (py.Value, error) {
	x, err := value.ToText(v)
	if err != nil {
		return nil, err
	}
	o := pytext.YAMLOptions{Aliases: true, Flow: pytext.FlowLeaves}
	if flow != nil {
		on, err := py.Truth(c.T, flow)
		if err != nil {
			return nil, err
		}
		o.Flow = pytext.FlowNone
		if on {
			o.Flow = pytext.FlowAll
		}
	}
	s := py.Strip(o.Dump(x))
	s = strings.TrimSuffix(s, "\n...")
	return py.Markup(s), c.T.Alloc(len(s))
}

// filterToJSON is json.dumps with all of its options, safe in HTML.
func filterToJSON(c *py.Call) (py.Value, error) {
	o := py.JSON{Indent: c.Args[1]}
	opts := c.Args[2].(*py.Dict)
	for k, v := range opts.All() {
		name, _ := py.AsString(k)
		on, err := py.Truth(c.T, v)
		if err != nil {
			return nil, err
		}
		switch name {
		case "sort_keys":
			o.SortKeys = on
		case "ensure_ascii":
			o.Raw = !on
		case "separators":
			if v == nil {
				continue
			}
			parts, err := py.Collect(c.T, v)
			if err != nil {
				return nil, err
			}
			if len(parts) != 2 {
				return nil, py.Raise("ValueError", "not enough values to unpack (expected 2, got %d)", len(parts))
			}
			o.ItemSep, _ = py.AsString(parts[0])
			o.KeySep, _ = py.AsString(parts[1])
		case "skipkeys", "check_circular", "allow_nan", "default", "cls":
		default:
			return nil, py.Raise("TypeError", "JSONEncoder.__init__() got an unexpected keyword argument %s", py.Quote(name))
		}
	}
	s, err := o.Dump(c.T, c.Args[0])
	if err != nil {
		return nil, err
	}
	return htmlSafe.Replace(s), nil
}

var htmlSafe = strings.NewReplacer("<", `\u003c`, ">", `\u003e`, "&", `\u0026`, "'", `\u0027`)

// items lists the keys and values of a dict.
func items(t *py.Thread, v py.Value) (keys, vals []py.Value, err error) {
	switch x := v.(type) {
	case *py.Dict:
		for k, e := range x.All() {
			keys, vals = append(keys, k), append(vals, e)
		}
		return keys, vals, nil
	case *py.Undefined:
		return nil, nil, x.Fail()
	case py.Mapping:
		keys, err = x.Keys(t)
		for _, k := range keys {
			e, err := x.Item(t, k)
			if err != nil {
				return nil, nil, err
			}
			vals = append(vals, e)
		}
		return keys, vals, err
	}
	return nil, nil, py.Raise("AttributeError", "'%s' object has no attribute 'items'", py.TypeName(v))
}
