package modules

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/fileclient"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	saltNames["slsutil"] = "banner boolstr deserialize dir_exists file_exists findup merge merge_all path_exists renderer serialize update"
	saltNames["jinja"] = "import_json import_yaml load_map"
	saltNames["defaults"] = "deepcopy get merge update"
	saltNames["log"] = "critical debug error exception info warning"
}

// statesCall is a call with a tree of states behind it.
func statesCall(t *testing.T, files map[string]string) *module.Call {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return &module.Call{
		Opts:       wire.NewMap("id", "m1", "file_client", "local", "file_roots", wire.NewMap("base", []any{dir})),
		Grains:     func() *wire.Map { return wire.NewMap("id", "m1", "os", "Debian") },
		Pillar:     func() *wire.Map { return wire.NewMap("port", int64(80)) },
		FileServer: fileclient.NewDirs(map[string][]string{"base": {dir}}, t.TempDir()),
	}
}

func TestShowStates(t *testing.T) {
	c := statesCall(t, map[string]string{
		"top.sls":            "base:\n  'os:Debian':\n    - match: grain\n    - web\n",
		"web/init.sls":       "include:\n  - .conf\nweb:\n  pkg.installed:\n    - require_in:\n      - file: conf\n",
		"web/conf.sls":       "{% from './map.jinja' import web %}\nconf:\n  file.managed:\n    - name: {{ web.path }}\n    - port: {{ pillar.port }}\n",
		"web/map.jinja":      "{% set web = {'path': '/etc/web'} %}",
		"bad.sls":            "x: {{ nope }}\n",
		"dup.sls":            "x: test.nop\nx: test.nop\n",
		"web/defaults.yaml":  "a: {b: [1, 2]}\n",
		"web/data.json":      `{"q": 1}`,
		"web/files/conf.txt": "text\n",
	})
	reg := New()
	for _, tc := range []struct {
		fun    string
		args   []any
		kwargs *wire.Map
		want   string
		code   int
	}{
		{"state.show_top", nil, nil, "{'base': ['web']}", 0},
		{"state.show_states", nil, nil, "['web.conf', 'web']", 0},
		{"state.show_sls", []any{"web.conf"}, nil, "{'conf': {'file': [{'name': '/etc/web'}, {'port': 80}, 'managed', {'order': 10000}], '__sls__': 'web.conf', '__env__': 'base'}}", 0},
		{"state.show_sls", []any{"web.conf"}, wire.NewMap("pillar", wire.NewMap("port", int64(81))), "{'conf': {'file': [{'name': '/etc/web'}, {'port': 81}, 'managed', {'order': 10000}], '__sls__': 'web.conf', '__env__': 'base'}}", 0},
		{"state.show_low_sls", []any{[]any{"web.conf"}}, nil, "[{'state': 'file', 'name': '/etc/web', '__sls__': 'web.conf', '__env__': 'base', '__id__': 'conf', 'port': 80, 'order': 10000, 'fun': 'managed'}]", 0},
		{"state.show_lowstate", nil, nil, "[{'state': 'file', 'name': '/etc/web', '__sls__': 'web.conf', '__env__': 'base', '__id__': 'conf', 'port': 80, 'order': 10000, 'require': [{'pkg': 'web'}], 'fun': 'managed'}, " +
			"{'state': 'pkg', 'name': 'web', '__sls__': 'web', '__env__': 'base', '__id__': 'web', 'require_in': [{'file': 'conf'}], 'order': 10001, 'fun': 'installed'}]", 0},
		{"state.show_highstate", nil, nil, "{'web': {'pkg': [{'require_in': [{'file': 'conf'}]}, 'installed', {'order': 10001}], '__sls__': 'web', '__env__': 'base'}, 'conf': {'file': [{'name': '/etc/web'}, {'port': 80}, 'managed', {'order': 10000}], '__sls__': 'web.conf', '__env__': 'base'}}", 0},
		{"state.show_state_usage", nil, nil, "{'base': {'used': ['web'], 'unused': ['bad', 'dup', 'top', 'web.conf'], 'count_all': 5, 'count_used': 1, 'count_unused': 4}}", 0},
		{"state.sls_exists", []any{"web,web.conf"}, nil, "True", 0},
		{"state.sls_exists", []any{"nope"}, nil, "False", 1},
		{"state.id_exists", []any{"conf,web", "web"}, nil, "True", 0},
		{"state.id_exists", []any{"conf,nope", "web"}, nil, "False", 0},
		{"state.show_sls", []any{"nope"}, nil, `["No matching sls found for 'nope' in env 'base'"]`, 1},
		{"state.show_sls", []any{"bad"}, nil, `["Rendering SLS 'base:bad' failed: Jinja variable 'nope' is undefined; line 1\n\n---\nx: {{ nope }}    <======================\n---"]`, 1},
		{"slsutil.file_exists", []any{"web/map.jinja"}, nil, "True", 0},
		{"slsutil.dir_exists", []any{"web/files"}, nil, "True", 0},
		{"slsutil.path_exists", []any{"web/nope"}, nil, "False", 0},
		{"slsutil.findup", []any{"web/files", []any{"nope", "defaults.yaml"}}, nil, "'web/defaults.yaml'", 0},
		{"slsutil.renderer", []any{"salt://web/defaults.yaml"}, nil, "{'a': {'b': [1, 2]}}", 0},
		{"slsutil.renderer", nil, wire.NewMap("string", "{{ name }} {{ grains.os }}", "default_renderer", "jinja", "name", "x"), "'x Debian'", 0},
		{"slsutil.serialize", []any{"yaml", wire.NewMap("b", int64(1), "a", []any{int64(1)})}, wire.NewMap("default_flow_style", false), `'a:\n- 1\nb: 1'`, 0},
		{"slsutil.deserialize", []any{"json", `{"a": 1}`}, nil, "{'a': 1}", 0},
		{"slsutil.merge", []any{wire.NewMap("a", wire.NewMap("x", int64(1))), wire.NewMap("a", wire.NewMap("y", int64(2)))}, nil, "{'a': {'x': 1, 'y': 2}}", 0},
		{"slsutil.merge", []any{wire.NewMap("a", int64(1)), wire.NewMap("a", int64(2)), "list"}, nil, "{'a': [1, 2]}", 0},
		{"slsutil.merge_all", []any{[]any{wire.NewMap("a", int64(1)), wire.NewMap("a", int64(2), "b", int64(3))}}, nil, "{'a': 2, 'b': 3}", 0},
		{"slsutil.update", []any{wire.NewMap("a", []any{int64(1)}), wire.NewMap("a", []any{int64(2)})}, wire.NewMap("merge_lists", true), "{'a': [1, 2]}", 0},
		{"slsutil.boolstr", []any{false, "yes", "no"}, nil, "'no'", 0},
		{"jinja.load_map", []any{"web/map.jinja", "web"}, nil, "{'path': '/etc/web'}", 0},
		{"jinja.import_json", []any{"web/data.json"}, nil, "{'q': 1}", 0},
		{"defaults.get", []any{"web:a:b:1"}, nil, "2", 0},
		{"defaults.merge", []any{wire.NewMap("a", int64(1)), wire.NewMap("b", int64(2))}, nil, "{'a': 1, 'b': 2}", 0},
		{"log.info", []any{"hello"}, nil, "True", 0},
	} {
		res := reg.Run(context.Background(), c, tc.fun, tc.args, tc.kwargs)
		if got := pytext.Repr(res.Return); got != tc.want || res.Retcode != tc.code {
			t.Errorf("%s %v: %s (exit code %d)\nwant %s (%d)", tc.fun, tc.args, got, res.Retcode, tc.want, tc.code)
		}
	}
	res := reg.Run(context.Background(), c, "state.show_sls", []any{"dup"}, nil)
	if got := pytext.Str(res.Return); !strings.Contains(got, "found conflicting ID") || !strings.Contains(got, "line 2, column 1 of the rendered text") {
		t.Errorf("an id that comes twice: %s", got)
	}
}

// TestBanner is the example of Salt's documentation.
func TestBanner(t *testing.T) {
	res := New().Run(context.Background(), &module.Call{}, "slsutil.banner", nil, wire.NewMap("commentchar", " *", "borderchar", "*", "blockstart", "/**", "blockend", " */"))
	want := `/**
 ***********************************************************************
 *                                                                     *
 *              THIS FILE IS MANAGED BY SALT - DO NOT EDIT             *
 *                                                                     *
 * The contents of this file are managed by Salt. Any changes to this  *
 * file may be overwritten automatically and without warning.          *
 ***********************************************************************
 */`
	if res.Return != want {
		t.Errorf("\n%s\nwant\n%s", res.Return, want)
	}
}
