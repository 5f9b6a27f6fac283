package saltjinja

import (
	"encoding/xml"
	"strings"

	"github.com/gosalt/gosalt/jinja/py"
)

// element is a node of XML that is written in the layout of Python's minidom.
type element struct {
	tag   string
	attrs [][2]string
	text  string
	kids  []*element
}

// formatXML writes a dict or a list of pairs as XML: what is no list or dict below a
// key becomes an attribute.
func formatXML(c *py.Call) (py.Value, error) {
	pairs, err := xmlPairs(c.T, c.Args[0])
	if err != nil {
		return nil, err
	}
	root, err := xmlTree(c.T, pairs, nil, 0)
	if err != nil {
		return nil, err
	}
	if root == nil {
		return nil, py.Raise("AttributeError", "'NoneType' object has no attribute 'iter'")
	}
	var b strings.Builder
	b.WriteString("<?xml version=\"1.0\" ?>\n")
	root.write(&b, "")
	return py.Markup(b.String()), c.T.Alloc(b.Len())
}

type xmlPair struct {
	tag string
	val py.Value
}

// xmlPairs reads what stands below a tag.
func xmlPairs(t *py.Thread, v py.Value) ([]xmlPair, error) {
	var list []py.Value
	switch x := v.(type) {
	case *py.List:
		list = x.Items
	case py.Tuple:
		list = x
	case *py.Dict:
		var out []xmlPair
		for k, e := range x.All() {
			tag, err := py.Str(t, k)
			if err != nil {
				return nil, err
			}
			out = append(out, xmlPair{tag, e})
		}
		return out, nil
	default:
		return nil, undefinedOr(v, py.Raise("TemplateRuntimeError", "Value is not a dict or list. Cannot render as XML"))
	}
	if len(list) == 0 {
		return nil, py.Raise("IndexError", "list index out of range")
	}
	first, ok := list[0].(string)
	if !ok {
		return nil, nil
	}
	// Python takes the texts for pairs.
	return nil, py.Raise("IndexError", "%s", map[bool]string{true: "string index out of range", false: "list index out of range"}[len(first) < 2])
}

func xmlTree(t *py.Thread, pairs []xmlPair, in *element, depth int) (*element, error) {
	if depth > 200 {
		return nil, py.Raise("RecursionError", "maximum recursion depth exceeded")
	}
	var sub *element
	for _, p := range pairs {
		if l, ok := p.val.(*py.List); ok {
			for _, e := range l.Items {
				if _, err := xmlTree(t, []xmlPair{{p.tag, e}}, in, depth+1); err != nil {
					return nil, err
				}
			}
		}
		if _, ok := p.val.(*py.List); ok {
			if in == nil {
				continue
			}
		} else {
			sub = &element{tag: p.tag}
			if in != nil {
				in.kids = append(in.kids, sub)
			}
		}
		if sub == nil {
			continue
		}
		switch x := p.val.(type) {
		case string, py.Markup, int64, bool, float64:
			s, err := py.Str(t, x)
			if err != nil {
				return nil, err
			}
			sub.text = s
			continue
		case *py.Dict:
			for k, e := range x.All() {
				switch e.(type) {
				case *py.Dict, *py.List:
					continue
				}
				name, err := py.Str(t, k)
				if err != nil {
					return nil, err
				}
				s, err := py.Str(t, e)
				if err != nil {
					return nil, err
				}
				sub.attrs = append(sub.attrs, [2]string{name, s})
			}
			for k, e := range x.All() {
				switch e.(type) {
				case *py.Dict, *py.List:
					tag, err := py.Str(t, k)
					if err != nil {
						return nil, err
					}
					if _, err := xmlTree(t, []xmlPair{{tag, e}}, sub, depth+1); err != nil {
						return nil, err
					}
				}
			}
		case *py.List:
		default:
			return nil, undefinedOr(x, py.Raise("TemplateRuntimeError", "Value is not a dict or list. Cannot render as XML"))
		}
	}
	return sub, nil
}

func (e *element) write(b *strings.Builder, indent string) {
	b.WriteString(indent + "<" + e.tag)
	for _, a := range e.attrs {
		b.WriteString(" " + a[0] + `="` + escapeXML(a[1]) + `"`)
	}
	switch {
	case len(e.kids) > 0:
		b.WriteString(">\n")
		for _, k := range e.kids {
			k.write(b, indent+" ")
		}
		b.WriteString(indent + "</" + e.tag + ">\n")
	case e.text != "":
		b.WriteString(">" + escapeXML(e.text) + "</" + e.tag + ">\n")
	default:
		b.WriteString("/>\n")
	}
}

func escapeXML(s string) string {
	var b strings.Builder
	if err := xml.EscapeText(&b, []byte(s)); err != nil {
		return s
	}
	return strings.NewReplacer("&#34;", "&quot;", "&#39;", "'", "&#xA;", "\n", "&#x9;", "\t").Replace(b.String())
}
