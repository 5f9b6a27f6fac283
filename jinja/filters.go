package jinja

import (
	"errors"
	"strings"
	"sync"
	"unicode"

	"github.com/gosalt/gosalt/jinja/py"
)

// Filters are written as Python functions with the names and parameters of
// jinja2's, so that wrong calls get the same messages. @env stands for the
// environment or context that jinja2 passes first.

var builtinFilters = sync.OnceValue(func() map[string]py.Callable {
	m := map[string]py.Callable{}
	add := func(names, fn, params string, f func(c *py.Call) (py.Value, error)) {
		for _, n := range strings.Fields(names) {
			m[n] = py.NewFunc(fn, params, f)
		}
	}
	add("abs", "abs", "x, /", func(c *py.Call) (py.Value, error) { return py.Abs(c.Args[0]) })
	add("attr", "do_attr", "@env, obj, name", filterAttr)
	add("batch", "do_batch", "value, linecount, fill_with=None", filterBatch)
	add("capitalize", "do_capitalize", "s", strMethod("capitalize"))
	add("center", "do_center", "value, width=80", strMethod("center"))
	add("count length", "len", "obj, /", func(c *py.Call) (py.Value, error) {
		n, err := py.Len(c.T, c.Args[0])
		return int64(n), err
	})
	add("d default", "do_default", "value, default_value='', boolean=False", filterDefault)
	add("dictsort", "do_dictsort", "value, case_sensitive=False, by='key', reverse=False", filterDictsort)
	add("e escape", "markupsafe._speedups.escape", "s, /", func(c *py.Call) (py.Value, error) { return asValue(py.Escape(c.T, c.Args[0])) })
	add("filesizeformat", "do_filesizeformat", "value, binary=False", filterFilesize)
	add("first", "sync_do_first", "@env, seq", filterFirst)
	add("float", "do_float", "value, default=0.0", filterFloat)
	add("forceescape", "do_forceescape", "value", func(c *py.Call) (py.Value, error) {
		s, err := py.Str(c.T, c.Args[0])
		if err != nil {
			return nil, err
		}
		return asValue(py.Escape(c.T, s))
	})
	add("format", "do_format", "value, *args, **kwargs", filterFormat)
	add("groupby", "sync_do_groupby", "@env, value, attribute, default=None, case_sensitive=False", filterGroupby)
	add("indent", "do_indent", "s, width=4, first=False, blank=False", filterIndent)
	add("int", "do_int", "value, default=0, base=10", filterInt)
	add("items", "do_items", "value", filterItems)
	add("join", "sync_do_join", "@eval_ctx, value, d='', attribute=None", filterJoin)
	add("last", "do_last", "@env, seq", filterLast)
	add("list", "sync_do_list", "value", func(c *py.Call) (py.Value, error) {
		items, err := py.Collect(c.T, c.Args[0])
		if err != nil {
			return nil, err
		}
		return &py.List{Items: items}, nil
	})
	add("lower", "do_lower", "s", strMethod("lower"))
	add("map", "sync_do_map", "@context, value, *args, **kwargs", filterMap)
	add("max", "do_max", "@env, value, case_sensitive=False, attribute=None", extreme(py.GT))
	add("min", "do_min", "@env, value, case_sensitive=False, attribute=None", extreme(py.LT))
	add("pprint", "do_pprint", "value", func(c *py.Call) (py.Value, error) { return asValue(py.Pformat(c.T, c.Args[0], 80)) })
	add("random", "do_random", "@context, seq", filterRandom)
	add("reject", "sync_do_reject", "@context, value, *args, **kwargs", choose(false, false))
	add("rejectattr", "sync_do_rejectattr", "@context, value, *args, **kwargs", choose(false, true))
	add("replace", "do_replace", "@eval_ctx, s, old, new, count=None", filterReplace)
	add("reverse", "do_reverse", "value", filterReverse)
	add("round", "do_round", "value, precision=0, method='common'", filterRound)
	add("safe", "do_mark_safe", "value", func(c *py.Call) (py.Value, error) {
		if h, ok := c.Args[0].(py.HTML); ok {
			s, err := h.HTML(c.T)
			return py.Markup(s), err
		}
		s, err := py.Str(c.T, c.Args[0])
		return py.Markup(s), err
	})
	add("select", "sync_do_select", "@context, value, *args, **kwargs", choose(true, false))
	add("selectattr", "sync_do_selectattr", "@context, value, *args, **kwargs", choose(true, true))
	add("slice", "sync_do_slice", "value, slices, fill_with=None", filterSlice)
	add("sort", "do_sort", "@env, value, reverse=False, case_sensitive=False, attribute=None", filterSort)
	add("string", "markupsafe._speedups.soft_str", "s, /", func(c *py.Call) (py.Value, error) { return softStr(c.T, c.Args[0]) })
	add("striptags", "do_striptags", "value", filterStriptags)
	add("sum", "sync_do_sum", "@env, iterable, attribute=None, start=0", filterSum)
	add("title", "do_title", "s", filterTitle)
	add("tojson", "do_tojson", "@eval_ctx, value, indent=None", filterTojson)
	add("trim", "do_trim", "value, chars=None", strMethod("strip"))
	add("truncate", "do_truncate", "@env, s, length=255, killwords=False, end='...', leeway=None", filterTruncate)
	add("unique", "do_unique", "@env, value, case_sensitive=False, attribute=None", filterUnique)
	add("upper", "do_upper", "s", strMethod("upper"))
	add("urlencode", "do_urlencode", "value", filterUrlencode)
	add("urlize", "do_urlize", "@eval_ctx, value, trim_url_limit=None, nofollow=False, target=None, rel=None, extra_schemes=None", markedHTML(filterUrlize))
	add("wordcount", "do_wordcount", "s", filterWordcount)
	add("wordwrap", "do_wordwrap", "@env, s, width=79, break_long_words=True, wrapstring=None, break_on_hyphens=True", filterWordwrap)
	add("xmlattr", "do_xmlattr", "@eval_ctx, d, autospace=True", markedHTML(filterXmlattr))
	return m
})

// asValue passes on a result without a value where there is an error.
func asValue[T any](v T, err error) (py.Value, error) {
	if err != nil {
		return nil, err
	}
	return v, nil
}

// markedHTML marks what a filter makes as HTML where autoescape is on.
func markedHTML(filter func(c *py.Call) (py.Value, error)) func(c *py.Call) (py.Value, error) {
	return func(c *py.Call) (py.Value, error) {
		v, err := filter(c)
		if s, ok := v.(string); ok && c.T.Escape {
			return py.Markup(s), err
		}
		return v, err
	}
}

// softStr is str(v), and Markup as it is.
func softStr(t *py.Thread, v py.Value) (py.Value, error) {
	switch v.(type) {
	case string, py.Markup:
		return v, nil
	}
	return asValue(py.Str(t, v))
}

// strMethod makes a filter of a method of str.
func strMethod(name string) func(c *py.Call) (py.Value, error) {
	return func(c *py.Call) (py.Value, error) {
		s, err := softStr(c.T, c.Args[0])
		if err != nil {
			return nil, err
		}
		r, _, err := py.CallMethod(c.T, s, name, c.Args[1:], nil, c.Scope)
		return r, err
	}
}

// bools are arguments that are taken as true or false.
func truth(c *py.Call, i int) (bool, error) { return py.Truth(c.T, c.Args[i]) }

func intArg(c *py.Call, i int) (int, error) {
	n, ok := py.AsInt(c.Args[i])
	if !ok {
		return 0, py.Raise("TypeError", "'%s' object cannot be interpreted as an integer", py.TypeName(c.Args[i]))
	}
	return int(n), nil
}

func filterAttr(c *py.Call) (py.Value, error) {
	ctx := ContextOf(c)
	name, ok := py.AsString(c.Args[1])
	if !ok {
		return nil, py.Raise("TypeError", "attribute name must be string, not '%s'", py.TypeName(c.Args[1]))
	}
	_, found, err := py.LookupAttr(c.T, c.Args[0], name)
	if err != nil {
		return nil, err
	}
	if !found {
		return &py.Undefined{Obj: c.Args[0], HasObj: true, Name: name, Mode: ctx.mode()}, nil
	}
	return ctx.st.getattr(c.Args[0], name)
}

// mode is the kind of undefined values of the template's environment.
func (c *Context) mode() py.Mode {
	if c == nil {
		return py.Lenient
	}
	return c.st.env.Undefined
}

func filterDefault(c *py.Call) (py.Value, error) {
	if _, ok := c.Args[0].(*py.Undefined); ok {
		return c.Args[1], nil
	}
	boolean, err := truth(c, 2)
	if err != nil || !boolean {
		return c.Args[0], err
	}
	if ok, err := truth(c, 0); err != nil || ok {
		return c.Args[0], err
	}
	return c.Args[1], nil
}

func filterFirst(c *py.Call) (py.Value, error) {
	it, err := py.Iter(c.T, c.Args[0])
	if err != nil {
		return nil, err
	}
	v, ok, err := it.Next()
	if err != nil || ok {
		return v, err
	}
	return &py.Undefined{Hint: "No first item, sequence was empty.", Mode: ContextOf(c).mode()}, nil
}

func filterLast(c *py.Call) (py.Value, error) {
	it, err := py.Reversed(c.T, c.Args[0])
	if err != nil {
		return nil, err
	}
	v, ok, err := it.Next()
	if err != nil || ok {
		return v, err
	}
	return &py.Undefined{Hint: "No last item, sequence was empty.", Mode: ContextOf(c).mode()}, nil
}

func filterRandom(c *py.Call) (py.Value, error) {
	n, err := py.Len(c.T, c.Args[0])
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return &py.Undefined{Hint: "No random item, sequence was empty.", Mode: ContextOf(c).mode()}, nil
	}
	return py.Item(c.T, c.Args[0], randomBelow(n))
}

func filterFloat(c *py.Call) (py.Value, error) {
	f, err := py.ToFloat(c.Args[0])
	if err != nil {
		if py.IsA(err, "TypeError", "ValueError") {
			return c.Args[1], nil
		}
		return nil, err
	}
	return f, nil
}

func filterInt(c *py.Call) (py.Value, error) {
	var v py.Value
	var err error
	if s, ok := py.AsString(c.Args[0]); ok {
		if base, ok := py.AsInt(c.Args[2]); ok {
			v, err = py.ParseInt(s, int(base))
		} else {
			err = py.Raise("TypeError", "'%s' object cannot be interpreted as an integer", py.TypeName(c.Args[2]))
		}
	} else {
		v, err = py.ToInt(c.Args[0])
	}
	if err == nil || !py.IsA(err, "TypeError", "ValueError") {
		return v, err
	}
	f, err := py.ToFloat(c.Args[0])
	if err == nil {
		v, err = py.ToInt(f)
	}
	if err != nil && py.IsA(err, "TypeError", "ValueError") {
		return c.Args[1], nil
	}
	return v, err
}

func filterFormat(c *py.Call) (py.Value, error) {
	args, kw := c.Args[1].(py.Tuple), c.Args[2].(*py.Dict)
	if len(args) > 0 && kw.Len() > 0 {
		return nil, py.Raise("FilterArgumentError", "can't handle positional and keyword arguments at the same time")
	}
	s, err := softStr(c.T, c.Args[0])
	if err != nil {
		return nil, err
	}
	if kw.Len() > 0 {
		return py.Binary(c.T, "%", s, kw)
	}
	return py.Binary(c.T, "%", s, args)
}

func filterReplace(c *py.Call) (py.Value, error) {
	var part [3]string
	for i := range part {
		s, err := py.Str(c.T, c.Args[i])
		if err != nil {
			return nil, err
		}
		part[i] = s
	}
	n := -1
	if c.Args[3] != nil {
		k, err := intArg(c, 3)
		if err != nil {
			return nil, err
		}
		n = k
	}
	return asValue(py.Replace(c.T, part[0], part[1], part[2], n))
}

func filterTitle(c *py.Call) (py.Value, error) {
	v, err := softStr(c.T, c.Args[0])
	if err != nil {
		return nil, err
	}
	s, _ := py.AsString(v)
	var b strings.Builder
	start := true
	for _, r := range s {
		if r == '-' || strings.ContainsRune("({[<", r) || py.IsSpace(r) {
			start = true
			b.WriteRune(r)
			continue
		}
		if start {
			b.WriteString(strings.ToUpper(string(r)))
		} else {
			b.WriteString(strings.ToLower(string(r)))
		}
		start = false
	}
	return b.String(), c.T.Alloc(b.Len())
}

func filterIndent(c *py.Call) (py.Value, error) {
	first, err := truth(c, 2)
	if err != nil {
		return nil, err
	}
	blank, err := truth(c, 3)
	if err != nil {
		return nil, err
	}
	pad, ok := py.AsString(c.Args[1])
	if !ok {
		n, ok := py.AsInt(c.Args[1])
		if !ok {
			_, err := py.Binary(c.T, "*", " ", c.Args[1])
			return nil, err
		}
		if err := c.T.Alloc(int(max(n, 0))); err != nil {
			return nil, err
		}
		pad = strings.Repeat(" ", int(max(n, 0)))
	}
	if _, isList := c.Args[0].(*py.List); isList { // to which Python can add text
		return nil, py.Raise("AttributeError", "'list' object has no attribute 'splitlines'")
	}
	v, err := py.Binary(c.T, "+", c.Args[0], "\n")
	if err != nil {
		var e *py.Error
		if errors.As(err, &e) {
			e.Msg = strings.Replace(e.Msg, "for +:", "for +=:", 1)
		}
		return nil, err
	}
	s, ok := py.AsString(v)
	if !ok {
		return nil, py.Raise("TypeError", "can only indent text, not %s", py.TypeName(c.Args[0]))
	}
	lines := py.SplitLines(s, false)
	if err := c.T.Alloc(len(s) + len(pad)*len(lines)); err != nil {
		return nil, err
	}
	var b strings.Builder
	for i, l := range lines {
		if i > 0 {
			b.WriteByte('\n')
		}
		if i > 0 && (blank || l != "") || i == 0 && first {
			b.WriteString(pad)
		}
		b.WriteString(l)
	}
	if _, isMarkup := c.Args[0].(py.Markup); isMarkup {
		return py.Markup(b.String()), nil
	}
	return b.String(), nil
}

func filterTruncate(c *py.Call) (py.Value, error) {
	if !py.IsNumber(c.Args[1]) {
		_, err := py.Compare(c.T, py.GE, c.Args[1], int64(0))
		return nil, err
	}
	length, err := intArg(c, 1)
	if err != nil {
		return nil, err
	}
	kill, err := truth(c, 2)
	if err != nil {
		return nil, err
	}
	end, ok := py.AsString(c.Args[3])
	if !ok {
		return nil, py.Raise("TypeError", "object of type '%s' has no len()", py.TypeName(c.Args[3]))
	}
	leeway := 5
	if c.Args[4] != nil {
		if leeway, err = intArg(c, 4); err != nil {
			return nil, err
		}
	}
	nEnd, _ := py.Len(c.T, end)
	if length < nEnd {
		return nil, py.Raise("AssertionError", "expected length >= %d, got %d", nEnd, length)
	}
	if leeway < 0 {
		return nil, py.Raise("AssertionError", "expected leeway >= 0, got %d", leeway)
	}
	n, err := py.Len(c.T, c.Args[0])
	if err != nil || n <= length+leeway {
		return c.Args[0], err
	}
	v, err := py.Slice(c.T, c.Args[0], nil, int64(length-nEnd), nil)
	if err != nil {
		return nil, err
	}
	if !kill {
		s, ok := py.AsString(v)
		if !ok {
			return nil, py.Raise("AttributeError", "'%s' object has no attribute 'rsplit'", py.TypeName(v))
		}
		if i := strings.LastIndexByte(s, ' '); i >= 0 {
			s = s[:i]
		}
		if _, isMarkup := v.(py.Markup); isMarkup {
			v = py.Markup(s)
		} else {
			v = s
		}
	}
	return py.Binary(c.T, "+", v, c.Args[3])
}

func filterWordcount(c *py.Call) (py.Value, error) {
	s, err := py.Str(c.T, c.Args[0])
	if err != nil {
		return nil, err
	}
	n := int64(0)
	in := false
	for _, r := range s {
		word := r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r)
		if word && !in {
			n++
		}
		in = word
	}
	return n, nil
}

func filterWordwrap(c *py.Call) (py.Value, error) {
	s, ok := py.AsString(c.Args[0])
	if !ok {
		if u, isU := c.Args[0].(*py.Undefined); isU {
			return nil, u.Fail()
		}
		return nil, py.Raise("AttributeError", "'%s' object has no attribute 'splitlines'", py.TypeName(c.Args[0]))
	}
	width := 0
	if w, ok := py.AsInt(c.Args[1]); ok {
		width = int(w)
	} else if _, err := py.Compare(c.T, py.LE, c.Args[1], int64(0)); err != nil {
		return nil, err
	}
	long, err := truth(c, 2)
	if err != nil {
		return nil, err
	}
	hyphens, err := truth(c, 4)
	if err != nil {
		return nil, err
	}
	sep := "\n"
	if c.Args[3] != nil {
		if sep, ok = py.AsString(c.Args[3]); !ok {
			return nil, py.Raise("AttributeError", "'%s' object has no attribute 'join'", py.TypeName(c.Args[3]))
		}
	}
	var out []string
	for _, line := range py.SplitLines(s, false) {
		lines, err := wrap(line, width, long, hyphens)
		if err != nil {
			return nil, err
		}
		out = append(out, strings.Join(lines, sep))
	}
	r := strings.Join(out, sep)
	return r, c.T.Alloc(len(r))
}
