package saltjinja

import (
	"github.com/gosalt/gosalt/internal/pyre"
	"github.com/gosalt/gosalt/jinja/py"
)

func makeFilters() map[string]py.Callable {
	t := table{}
	addSerializers(t)
	addRegex(t)
	addData(t)
	addIter(t)
	addText(t)
	addFiles(t)
	addNet(t)
	return t
}

// expression reads the arguments that all of the filters with regular expressions
// have: txt, rgx, and then ignorecase and multiline.
func expression(c *py.Call) (*pyre.Regexp, string, error) {
	n := len(c.Args)
	flags := ""
	for i, f := range []string{"i", "m"} {
		on, err := py.Truth(c.T, c.Args[n-2+i])
		if err != nil {
			return nil, "", err
		}
		if on {
			flags += f
		}
	}
	rgx, ok := py.AsString(c.Args[1])
	if !ok {
		return nil, "", undefinedOr(c.Args[1], py.Raise("TypeError", "first argument must be string or compiled pattern"))
	}
	re, err := pyre.Compile(rgx, flags)
	if err != nil {
		return nil, "", &py.Error{Type: "error", Msg: err.Error(), Err: err}
	}
	txt, ok := py.AsString(c.Args[0])
	if !ok {
		return nil, "", py.Raise("TypeError", "expected string or bytes-like object, got '%s'", py.TypeName(c.Args[0]))
	}
	return re, txt, c.T.Alive()
}

func addRegex(t table) {
	found := func(gs []pyre.Group) py.Value {
		if gs == nil {
			return nil
		}
		out := make(py.Tuple, 0, len(gs)-1)
		for _, g := range gs[1:] {
			if g.Set {
				out = append(out, g.Text)
			} else {
				out = append(out, nil)
			}
		}
		return out
	}
	t.add("regex_search", "txt, rgx, ignorecase=False, multiline=False", func(c *py.Call) (py.Value, error) {
		re, txt, err := expression(c)
		if err != nil {
			return nil, err
		}
		gs, err := re.Search(txt)
		return found(gs), err
	})
	t.add("regex_match", "txt, rgx, ignorecase=False, multiline=False", func(c *py.Call) (py.Value, error) {
		re, txt, err := expression(c)
		if err != nil {
			return nil, err
		}
		gs, err := re.Match(txt)
		return found(gs), err
	})
	t.add("regex_replace", "txt, rgx, val, ignorecase=False, multiline=False", func(c *py.Call) (py.Value, error) {
		re, txt, err := expression(c)
		if err != nil {
			return nil, err
		}
		val, ok := py.AsString(c.Args[2])
		if !ok {
			return nil, undefinedOr(c.Args[2], py.Raise("TypeError", "decoding to str: need a bytes-like object, %s found", py.TypeName(c.Args[2])))
		}
		s, err := re.Sub(val, txt)
		if err != nil {
			return nil, &py.Error{Type: "error", Msg: err.Error(), Err: err}
		}
		return s, c.T.Alloc(len(s))
	})
	t.add("regex_escape", "value", func(c *py.Call) (py.Value, error) {
		s, ok := py.AsString(c.Args[0])
		if !ok {
			return nil, py.Raise("TypeError", "decoding to str: need a bytes-like object, %s found", py.TypeName(c.Args[0]))
		}
		return pyre.Escape(s), nil
	})
}
