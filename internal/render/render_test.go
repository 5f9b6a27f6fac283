package render_test

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/render"
	"github.com/gosalt/gosalt/protocol/wire"
)

// tree is a file server in memory.
type tree map[string]string

func (t tree) ReadFile(_ context.Context, _, path string) (render.File, error) {
	s, ok := t[path]
	if !ok {
		return render.File{}, fs.ErrNotExist
	}
	return render.File{Data: []byte(s), Path: "/srv/salt/" + path}, nil
}

func renderer(files tree) *render.Renderer {
	return render.New(render.Config{
		Opts:   wire.NewMap("id", "m1"),
		Grains: wire.NewMap("os", "Debian", "os_family", "Debian", "roles", []any{"web", "db"}),
		Pillar: wire.NewMap("a", wire.NewMap("b", int64(1), "l", []any{"x", "y"})),
		Files:  files,
	})
}

func renderText(files tree, text string) (string, error) {
	out, err := renderer(files).Render(context.Background(), render.Source{Text: text, Path: "/srv/salt/web/conf.sls", SLS: "web.conf", Env: "base", Pipe: "jinja|text"})
	if err != nil {
		return "", err
	}
	return out.Text, nil
}

func TestJinja(t *testing.T) {
	files := tree{
		"web/map.jinja":    "{% set x = tpldir ~ '|' ~ tplfile %}{% set y = sls %}",
		"web/sub/b.jinja":  "{% from './c.jinja' import z %}{% set w = z ~ tpldir %}",
		"web/sub/c.jinja":  "{% set z = 'c' %}",
		"web/d.yaml":       "a: {{ grains.os }}\nb: [1, 2]\n",
		"web/d.json":       `{"q": 1.0}`,
		"web/text":         "t{{ 1 + 1 }}",
		"web/inc":          "[{{ v }}]",
		"web/rel.jinja":    "{% import './map.jinja' as m %}",
		"web/nocontext":    "{{ sls }}",
		"web/macros.jinja": "{% macro m(a) %}{{ a }}-{{ grains.os }}{% endmacro %}",
	}
	for _, c := range []struct{ name, text, want string }{
		{"variables", "{{ sls }} {{ slspath }} {{ slsdotpath }} {{ slscolonpath }} {{ sls_path }} {{ tplfile }} {{ tpldir }} {{ tpldot }} {{ saltenv }}", "web.conf web web web web web/conf.sls web web base"},
		{"data", "{{ grains.os }} {{ pillar.a.b }} {{ opts.id }}", "Debian 1 m1"},
		{"import tells its place", "{% from 'web/map.jinja' import x, y %}{{ x }} {{ y }} {{ tplfile }}", "web|web/map.jinja web.conf web/conf.sls"},
		{"relative", "{% from './map.jinja' import x %}{{ x }}", "web|./map.jinja"},
		{"relative to the last", "{% from 'web/sub/b.jinja' import w %}{{ w }}", "cweb/sub"},
		{"import_yaml", "{% import_yaml 'web/d.yaml' as d %}{{ d }}", "{'a': 'Debian', 'b': [1, 2]}"},
		{"import_json", "{% import_json 'web/d.json' as d %}{{ d.q }}", "1.0"},
		{"import_text", "{% import_text 'web/text' as d %}{{ d }}", "t2"},
		{"load_yaml", "{% load_yaml as d %}\na: [1, {b: c}]\n{% endload %}{{ d.a[1].b }}", "c"},
		{"include", "{% set v = 3 %}{% include 'web/inc' %}", "[3]"},
		{"without context", "{% include 'web/nocontext' without context %}", "web.conf"},
		{"macro sees globals", "{% from 'web/macros.jinja' import m %}{{ m('x') }}", "x-Debian"},
		{"last newline stays", "a\n", "a\n"},
		{"pillar.get", "{{ salt['pillar.get']('a:b') }}{{ salt.pillar.get('a:l:1') }}{{ salt['pillar.get']('no', 'd') }}{{ salt['pillar.get']('no') }}", "1yd"},
		{"pillar.get merges", "{{ salt['pillar.get']('a', {'b': 0, 'z': {}}, merge=True) }}", "{'b': 1, 'z': {}, 'l': ['x', 'y']}"},
		{"grains.filter_by", "{{ salt['grains.filter_by']({'Deb*': {'a': 1}, 'default': {'b': 2}}, merge={'c': 3}) }}", "{'a': 1, 'c': 3}"},
		{"grains.filter_by with a list", "{{ salt['grains.filter_by']({'db': 1, 'x': 2}, 'roles') }}", "1"},
		{"defaults.merge changes", "{% set d = {'a': {'x': 1}} %}{% do salt['defaults.merge'](d, {'a': {'y': 2}}) %}{{ d }}", "{'a': {'x': 1, 'y': 2}}"},
		{"slsutil.merge copies", "{% set d = {'a': {'x': 1}} %}{{ salt['slsutil.merge'](d, {'a': {'y': 2}}) }}{{ d }}", "{'a': {'x': 1, 'y': 2}}{'a': {'x': 1}}"},
		{"missing function", "{{ salt['no.such'] | default('a') }} {{ 'pillar.get' in salt }} {{ 'no.x' in salt }}", "a True False"},
		{"yaml filter", "{{ {'b': 1, 'a': [True, None]} | yaml(False) }}", "a:\n- true\n- null\nb: 1"},
		{"pillar changed in place", "{% do pillar.update({'n': 1}) %}{{ salt['pillar.get']('n') }}", "1"},
	} {
		got, err := renderText(files, c.text)
		if err != nil || got != c.want {
			t.Errorf("%s: %q, %v, want %q", c.name, got, err, c.want)
		}
	}
}

func TestErrors(t *testing.T) {
	files := tree{"map.jinja": "{% set a = 1 %}\n{% macro m(x) %}\n{{ x.nope.foo }}\n{% endmacro %}\n", "bad.jinja": "one\n{{ nothing }}\n", "loop.jinja": "{% include 'loop.jinja' %}"}
	for _, c := range []struct{ name, text, want string }{
		{"undefined", "a\n\n{{ foo.bar }}\nb", "Jinja variable 'foo' is undefined; line 3\n\n---\na\n\n{{ foo.bar }}    <======================\nb\n---"},
		{"function", "{{ salt['no.such']() }}", "Jinja variable 'salt.utils.templates.AliasedLoader object' has no attribute 'no.such'; line 1\n"},
		{"module", "{{ salt.no.x() }}", "Jinja variable 'salt.utils.templates.AliasedLoader object' has no attribute 'no'; line 1\n"},
		{"function of a module", "{{ salt.pillar.no() }}", "Jinja variable 'salt.loader.lazy.LoadedMod object' has no attribute 'no'; line 1\n"},
		{"syntax", "a\n\n{% if %}", "Jinja syntax error: Expected an expression, got 'end of statement block'; line 3\n"},
		{"filter", "{{ 1|nofilter }}", "Jinja syntax error: No filter named 'nofilter'.; line 1\n"},
		{"unsafe", "{{ ''.__class__ }}", "Jinja syntax error: access to attribute '__class__' of 'str' object is unsafe.; line 1\n"},
		{"no file", "{% include 'nofile' %}", "Jinja error: nofile\n; line 1\n"},
		{"out of the root", "{% include '../../../etc/passwd' %}", "Jinja error: ../../../etc/passwd\n; line 1\n"},
		{"raise", "{{ raise('hello') }}", "Jinja error: hello\n; line 1\n"},
		{"zero", "{{ 1/0 }}", "Jinja error: division by zero\n; line 1\n"},
		{"range", "{% for x in range(1000000) %}{% endfor %}", "Jinja error: Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000).\n; line 1\n"},
		{"arguments", "{{ salt['pillar.get'](1,2,3,4,5,6,7,8) }}", "Jinja error: get() takes from 1 to 7 positional arguments but 8 were given\n; line 1\n"},
		{"in an import", "{% from 'bad.jinja' import x %}", "Jinja variable 'nothing' is undefined\n/srv/salt/bad.jinja(2):\n---\none\n{{ nothing }}    <======================\n---\n\nfrom web.conf, line 1: import 'bad.jinja'"},
		{"in an imported macro", "{% import 'map.jinja' as m %}\n\n{{ m.m({}) }}", "Jinja variable 'dict object' has no attribute 'nope'\n/srv/salt/map.jinja(3):\n---\n"},
		{"in a block", "{% block a %}\n{{ qq }}{% endblock %}", "Jinja variable 'qq' is undefined; line 1\n"},
		{"recursive include", "{% include 'loop.jinja' %}", "Jinja error: maximum recursion depth exceeded"},
	} {
		_, err := renderText(files, c.text)
		var re *render.Error
		if !errors.As(err, &re) || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant %s", c.name, err, c.want)
		}
	}
}

func TestPipes(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"default", "a: {{ 1 + 1 }}\n", "{'a': 2}"},
		{"empty", " \n", "{}"},
		{"yaml", "#!yaml\na: '{{ x }}'\n", "{'a': '{{ x }}'}"},
		{"json", "#!jinja|json\n{\"a\": {{ 2 }}}", "{'a': 2}"},
		{"old style", "#!yaml_jinja\na: {{ 2 }}", "{'a': 2}"},
		{"text", "#!jinja|text\na{{ 2 }}", "'#!jinja|text\\na2'"},
		{"a path is no pipe", "#!/usr/bin/x\na: 1", "{'a': 1}"},
		{"nothing", "# a\n", "{}"},
	} {
		out, err := renderer(nil).Render(context.Background(), render.Source{Text: c.text, SLS: "x", Env: "base"})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := pytext.Repr(out.Data); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	for _, c := range []struct{ name, text, want string }{
		{"no renderer", "#!nope|yaml\na: 1", `The renderer "nope|yaml" is not available: there is no "nope"`},
		{"not here", "#!mako|yaml\na: 1", `The renderer "mako|yaml" is not available: mako is one of Salt's that gosalt does not have`},
		{"tab", "a:\n\tb: 1\n", "found character that cannot start any token\n\nline 2, column 1 of the rendered text:\n---\na:\n\tb: 1    <======================\n---"},
		{"duplicate", "a: 1\na: 2\n", "while constructing a mapping\n"},
	} {
		_, err := renderer(nil).Render(context.Background(), render.Source{Text: c.text, SLS: "x", Env: "base"})
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}

func TestEndlessLoop(t *testing.T) {
	r := render.New(render.Config{Limits: render.Limits{Time: 50 * time.Millisecond}})
	_, err := r.Render(context.Background(), render.Source{Text: "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", SLS: "x", Env: "base"})
	if err == nil || !strings.Contains(err.Error(), "it ran for more than 50ms") {
		t.Fatal(err)
	}
}

// What Salt 3006.18 says, asked for what is not there.
func TestUndefinedOf(t *testing.T) {
	for expr, want := range map[string]string{
		"grains.nope":                          "'dict object' has no attribute 'nope'",
		"pillar.nope":                          "'salt.utils.context.NamespacedDictWrapper object' has no attribute 'nope'",
		"pillar['nope']":                       "'salt.utils.context.NamespacedDictWrapper object' has no attribute 'nope'",
		"pillar.a.nope":                        "'dict object' has no attribute 'nope'",
		"pillar.copy().nope":                   "'dict object' has no attribute 'nope'",
		"dict(pillar).nope":                    "'dict object' has no attribute 'nope'",
		"salt['pillar.get']('a', grains.nope)": "'dict object' has no attribute 'nope'",
		"salt['pillar.get']('a', none.nope)":   "'None' has no attribute 'nope'",
		"salt.nope":                            "'salt.utils.templates.AliasedLoader object' has no attribute 'nope'",
	} {
		if _, err := renderText(nil, "{{ "+expr+" }}"); err == nil || !strings.HasPrefix(err.Error(), "Jinja variable "+want+"; line 1") {
			t.Errorf("%s: %v, want %s", expr, err, want)
		}
	}
}

// An error of a file that a function renders shows that file's line, and then the line
// of the call.
func TestErrorOfRenderedFile(t *testing.T) {
	r := render.New(render.Config{Opts: wire.NewMap(), Grains: wire.NewMap(), Pillar: wire.NewMap()})
	_, err := r.Render(t.Context(), render.Source{SLS: "outer", Env: "base", Text: "# 1\n# 2\nx: {{ salt.slsutil.renderer(string='#!jinja|yaml\\na: 1\\n\\n\\n\\n\\n\\n\\nb: {{ nope.x }}') }}\n"})
	if err == nil {
		t.Fatal("no error")
	}
	text := err.Error()
	for _, want := range []string{"Jinja error: Jinja variable 'nope' is undefined; line 9\n", "b: {{ nope.x }}    <======================\n", "; line 3\n\n---\n# 1\n# 2\nx: {{ salt"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
}

// TestJSONQuery asks as Salt's documentation of the filter does.
func TestJSONQuery(t *testing.T) {
	for in, want := range map[string]string{
		`{{ {"services": [{"name": "http", "port": 80}, {"name": "smtp", "port": 25}]}|json_query("services[].port") }}`: "[80, 25]",
		`{{ [1, [2, 3]]|json_query("[]")|sum }}`: "6",
	} {
		if got, err := renderText(tree{}, in); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", in, got, err, want)
		}
	}
	if _, err := renderText(tree{}, `{{ [1]|json_query("a[") }}`); err == nil || !strings.Contains(err.Error(), "at column 3: the expression ends too early") {
		t.Errorf("an expression that ends too early: %v", err)
	}
}

// TestNotAllowed has files whose only renderers renderer_blacklist forbids.
func TestNotAllowed(t *testing.T) {
	r := render.New(render.Config{Opts: wire.NewMap("renderer_blacklist", []any{"yaml", "text"})})
	src := render.Source{Text: "#!yaml\na: 1\n", SLS: "web", Path: "web.sls"}
	if _, err := r.Render(t.Context(), src); err == nil || !strings.Contains(err.Error(), "none of its renderers is allowed: see renderer_whitelist and renderer_blacklist") {
		t.Errorf("an SLS: %v", err)
	}
	src.SLS = ""
	if res, err := r.Render(t.Context(), src); err != nil || pytext.Repr(res.Data) != "{}" {
		t.Errorf("another file: %v, %v", res, err)
	}
}
