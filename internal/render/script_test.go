package render_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/render"
	"github.com/gosalt/gosalt/protocol/wire"
)

// functions are execution functions as scripts call them.
type functions struct{}

func (functions) Has(name string) bool { return name == "test.echo" || name == "test.fail" }
func (functions) Names() []string      { return []string{"test.echo", "test.fail"} }

func (functions) Call(_ context.Context, name string, args []any, kwargs *wire.Map) (any, error) {
	if name == "test.fail" {
		return nil, &module.Error{Kind: module.Invocation, Msg: "no such thing"}
	}
	if kwargs.Len() > 0 {
		return []any{args, kwargs}, nil
	}
	return args[0], nil
}

func scriptRenderer(files tree, log *slog.Logger) *render.Renderer {
	return render.New(render.Config{
		Opts:   wire.NewMap("id", "m1"),
		Grains: wire.NewMap("os", "Debian", "num", int64(4), "f", 1.0, "nothing", nil),
		Pillar: wire.NewMap("a", wire.NewMap("b", int64(1), "l", []any{"x", "y"}), int64(7), "seven", "raw", []byte{0xff, 0}),
		Files:  files, Functions: functions{}, Log: log,
	})
}

func needPython(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("this machine has no python3")
	}
}

func runScript(t *testing.T, files tree, first, text string) (*render.Result, error) {
	t.Helper()
	return scriptRenderer(files, nil).Render(t.Context(), render.Source{Text: first + "\n" + text, Path: "/srv/salt/web/conf.sls", SLS: "web.conf", Env: "base"})
}

// TestScripts runs the same files by python3 and by Starlark.
func TestScripts(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"data", "def run():\n    return {'a': {'file.managed': [{'mode': 644}, {'x': [1, 1.0, True, None, 'ü\"\\\\']}]}}", `{'a': {'file.managed': [{'mode': 644}, {'x': [1, 1.0, True, None, 'ü"\\']}]}}`},
		{"order", "def run():\n    return {'z': 1, 'a': 2, 'm': 3}", "{'z': 1, 'a': 2, 'm': 3}"},
		{"grains", "def run():\n    return {__grains__['os']: grains['num'], 'f': grains['f'], 'n': grains['nothing']}", "{'Debian': 4, 'f': 1.0, 'n': None}"},
		{"pillar", "def run():\n    return {'p': __pillar__['a']['l'], 's': pillar[7], 'raw': pillar['raw']}", `{'p': ['x', 'y'], 's': 'seven', 'raw': b'\xff\x00'}`},
		{"place", "def run():\n    return [saltenv, __env__, sls, __sls__, slspath, tplpath, tplfile, tpldir, opts['id'], __opts__['id']]", "['base', 'base', 'web.conf', 'web.conf', 'web', '/srv/salt/web/conf.sls', 'web/conf.sls', 'web', 'm1', 'm1']"},
		{"functions", "def run():\n    return [salt['test.echo'](5), __salt__['test.echo'](text='x', *[{'a': [1]}]), 'test.echo' in salt, 'no.such' in salt]", "[5, [[{'a': [1]}], {'text': 'x'}], True, False]"},
		{"attributes", "def run():\n    return salt.test.echo('x')", "'x'"},
		{"native functions", "def run():\n    return [salt['pillar.get']('a:b'), salt['grains.get']('os'), salt['pillar.get']('no:thing', 'd')]", "[1, 'Debian', 'd']"},
		{"text", "def run():\n    return 'a: 1\\n'", `'a: 1\n'`},
		{"nothing", "def run():\n    return None", "{}"},
		{"tuple", "def run():\n    return [(1, 2), {}]", "[[1, 2], {}]"},
		{"globals", "names = ['a', 'b']\nout = {}\nfor n in names:\n    out[n] = len(names)\ndef run():\n    return out", "{'a': 2, 'b': 2}"},
		{"large numbers", "def run():\n    return [9223372036854775807, -9223372036854775808, 18446744073709551615, 36893488147419103232]", "[9223372036854775807, -9223372036854775808, 18446744073709551615, '36893488147419103232']"},
		{"comprehension", "def run():\n    return {('f%d' % i): {'test.nop': []} for i in range(2)}", "{'f0': {'test.nop': []}, 'f1': {'test.nop': []}}"},
	} {
		for _, lang := range []string{"#!py", "#!starlark"} {
			t.Run(c.name+lang, func(t *testing.T) {
				if lang == "#!py" {
					needPython(t)
				}
				text := c.text
				if lang == "#!starlark" {
					text = strings.ReplaceAll(text, "(text='x', *[{'a': [1]}])", "({'a': [1]}, text='x')")
				}
				res, err := runScript(t, nil, lang, text)
				if err != nil {
					t.Fatal(err)
				}
				if got := pytext.Repr(res.Data); got != c.want {
					t.Errorf("got %s, want %s", got, c.want)
				}
			})
		}
	}
}

func TestPython(t *testing.T) {
	needPython(t)
	for _, c := range []struct{ name, pipe, text, want string }{
		{"a salt-like module", "#!py", "import os.path, logging\nlog = logging.getLogger(__name__)\ndef run():\n    log.info('hello %s', 1)\n    print('printed')\n    return {'base': os.path.basename(tplpath), 'name': __name__}", "{'base': 'conf.sls', 'name': 'conf'}"},
		{"exceptions of functions", "#!py", "from salt.exceptions import SaltInvocationError, CommandExecutionError\ndef run():\n    try:\n        __salt__['test.fail']()\n    except CommandExecutionError:\n        return 'wrong'\n    except SaltInvocationError as e:\n        return [str(e)]", "['no such thing']"},
		{"no such function", "#!py", "def run():\n    try:\n        salt['no.such']()\n    except KeyError as e:\n        return [e.args[0], salt.get('no.such')]", "['no.such', None]"},
		{"sets, generators, OrderedDict", "#!py", "from collections import OrderedDict\nimport datetime, pathlib\ndef run():\n    return OrderedDict([('s', {1}), ('g', (i for i in range(2))), ('d', datetime.date(2020, 1, 2)), ('p', pathlib.PurePosixPath('/a')), ((1, 2), 'k')])", "{'s': [1], 'g': [0, 1], 'd': '2020-01-02', 'p': '/a', '[1, 2]': 'k'}"},
		{"an import does not hide a variable", "#!py", "import json as pillar\ndef run():\n    return pillar['a']['b']", "1"},
		{"text of jinja", "#!jinja|py", "def run():\n    return {'{{ grains.os }}': {{ pillar.a.b }} }", "{'Debian': 1}"},
		{"text for yaml", "#!py|yaml", "def run():\n    return 'a: [1, 2]'", "{'a': [1, 2]}"},
		{"text for jinja and yaml", "#!py|jinja|yaml", "def run():\n    return 'a: {{ grains.os }}'", "{'a': 'Debian'}"},
		{"reads nothing", "#!py", "import sys\ndef run():\n    return sys.stdin.read()", "''"},
		{"threads call functions", "#!py", "import threading\ndef run():\n    out = {}\n    def f(i):\n        out[i] = __salt__['test.echo'](i)\n    ts = [threading.Thread(target=f, args=(i,)) for i in range(8)]\n    [t.start() for t in ts]\n    [t.join() for t in ts]\n    return sorted(out.items())", "[[0, 0], [1, 1], [2, 2], [3, 3], [4, 4], [5, 5], [6, 6], [7, 7]]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, err := runScript(t, nil, c.pipe, c.text)
			if err != nil {
				t.Fatal(err)
			}
			if got := pytext.Repr(res.Data); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestScriptErrors(t *testing.T) {
	render.SetMaxSteps(t, 1_000_000) // under -race on a busy machine all of them take longer than a file may
	for _, c := range []struct {
		name, pipe, text string
		line             int
		want             []string
	}{
		{"traceback", "#!py", "def f():\n    return grains['no']\ndef run():\n    return f()", 3, []string{"Traceback (most recent call last):\n  File \"/srv/salt/web/conf.sls\", line 5, in run\n    return f()", "line 3, in f\n    return grains['no']", "KeyError: 'no'"}},
		{"syntax", "#!py", "def run(:\n    return 1", 2, []string{"File \"/srv/salt/web/conf.sls\", line 2", "SyntaxError"}},
		{"no run", "#!py", "x = 1", 0, []string{"has no attribute 'run'"}},
		{"exit", "#!py", "import sys\ndef run():\n    sys.exit(3)", 4, []string{"SystemExit: 3"}},
		{"dies", "#!py", "import os\ndef run():\n    os.write(2, b'oh dear')\n    os._exit(3)", 0, []string{"python3 ended before run() did", "oh dear"}},
		{"no data", "#!py", "def run():\n    return {'a': [1, object()]}", 0, []string{"what run() returned['a'][1] is of type object, which cannot be handed over"}},
		{"holds itself", "#!py", "def run():\n    a = []\n    a.append(a)\n    return a", 0, []string{"RecursionError"}},
		{"data for py", "#!yaml|py", "a: 1", 0, []string{"the renderer py needs text"}},
		{"star: traceback", "#!starlark", "def f():\n    return grains['no']\ndef run():\n    return f()", 3, []string{"/srv/salt/web/conf.sls:5:13: in run", `key "no" not in dict`, "return grains['no']    <======="}},
		{"star: syntax", "#!starlark", "def run(:\n    return 1", 2, []string{"/srv/salt/web/conf.sls:2:10: got ':', want ')'", "def run(:    <====="}},
		{"star: no run", "#!starlark", "x = 1", 0, []string{"there is no function run()"}},
		{"star: endless", "#!starlark", "def run():\n    while True:\n        pass", 2, []string{"too many steps"}},
		{"star: recursion", "#!starlark", "def f(x):\n    return f(x)\ndef run():\n    return f(1)", 3, []string{"called recursively"}},
		{"star: holds itself", "#!starlark", "def run():\n    a = []\n    a.append(a)\n    return a", 0, []string{"nested more than 500"}},
		{"star: fails", "#!starlark", "def run():\n    fail('not on', grains['os'])", 3, []string{"fail: not on Debian"}},
		{"star: function fails", "#!starlark", "def run():\n    salt['test.fail']()", 3, []string{"test.fail: ", "no such thing"}},
		{"star: no such function", "#!starlark", "def run():\n    salt.call('no.such')", 3, []string{"there is no function no.such"}},
		{"star: data are not to be changed", "#!starlark", "def run():\n    pillar['x'] = 1", 3, []string{"frozen"}},
		{"star: load of nothing", "#!starlark", "load('salt://no.star', 'f')\ndef run():\n    return 1", 2, []string{"salt://no.star is not on the file server"}},
		{"star: loads itself", "#!starlark", "load('salt://a.star', 'f')\ndef run():\n    return 1", 2, []string{"salt://a.star loads itself"}},
		{"star: no data", "#!starlark", "def run():\n    return {'a': run}", 0, []string{"a value of type function is no data"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !strings.HasPrefix(c.name, "star") {
				needPython(t)
			}
			res, err := runScript(t, tree{"a.star": "load('salt://a.star', 'f')\n"}, c.pipe, c.text)
			if err == nil {
				t.Fatalf("no error, but %s", pytext.Repr(res.Data))
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("the error\n%s\ndoes not say %q", err, w)
				}
			}
			var re *render.Error
			if !errors.As(err, &re) || re.Line != c.line {
				t.Errorf("the place is %+v, line %d is meant", re, c.line)
			}
		})
	}
}

func TestStarlarkLoad(t *testing.T) {
	files := tree{"lib/names.star": "def name(x):\n    return x + '-' + grains['os']\n", "web/near.star": "load('../lib/names.star', 'name')\nvalue = name('n')\n"}
	res, err := runScript(t, files, "#!starlark", "load('salt://lib/names.star', 'name')\nload('./near.star', 'value')\ndef run():\n    return [name('a'), value, json.decode('{\"a\": 1}')]")
	if err != nil || pytext.Repr(res.Data) != "['a-Debian', 'n-Debian', {'a': 1}]" {
		t.Errorf("got %v, %v", res, err)
	}
}

func TestScriptTemplate(t *testing.T) {
	needPython(t)
	for _, c := range []struct{ engine, text, want string }{
		{"py", "def run():\n    return '%s %s %s %s' % (v, __grains__['os'], saltenv, __env__)", "x Debian base base"},
		{"starlark", "def run():\n    return v + ' ' + grains['os'] + ' ' + saltenv", "x Debian base"},
	} {
		got, err := scriptRenderer(nil, nil).Template(t.Context(), c.engine, render.Source{Text: c.text, Path: "/tmp/t", Env: "base", Vars: map[string]any{"v": "x"}})
		if err != nil || got != c.want {
			t.Errorf("%s: got %q, %v; want %q", c.engine, got, err, c.want)
		}
		_, err = scriptRenderer(nil, nil).Template(t.Context(), c.engine, render.Source{Text: "def run():\n    return 1", Path: "/tmp/t", Env: "base"})
		if err == nil || !strings.Contains(err.Error(), "run() is to return the text of the file, not int") {
			t.Errorf("%s: a number is no text: %v", c.engine, err)
		}
	}
}

// A file whose job ends is ended with all that it started, and at once.
func TestScriptCancel(t *testing.T) {
	needPython(t)
	for _, text := range []string{"#!py\nimport subprocess\ndef run():\n    subprocess.call(['sleep', '1000'])", "#!starlark\ndef run():\n    while True:\n        salt['pillar.get']('a')"} {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := scriptRenderer(nil, nil).Render(ctx, render.Source{Text: text, SLS: "x", Env: "base"})
			done <- err
		}()
		time.AfterFunc(200*time.Millisecond, cancel)
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("the render ended with %v", err)
		}
	}
}

func TestScriptLog(t *testing.T) {
	needPython(t)
	var b bytes.Buffer
	log := slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelInfo}))
	_, err := scriptRenderer(nil, log).Render(t.Context(), render.Source{Text: "#!py\nimport logging\nlog = logging.getLogger(__name__)\ndef run():\n    log.debug('not this')\n    log.warning('that %d', 1)\n    print('out')\n", SLS: "x", Env: "base"})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []string{`level=WARN msg="a file that is rendered says" file=x text="that 1"`, `text="out\n"`} {
		if !strings.Contains(b.String(), w) {
			t.Errorf("the log\n%s\ndoes not hold %q", b.String(), w)
		}
	}
	if strings.Contains(b.String(), "not this") {
		t.Errorf("the log\n%s\nholds what is below its level", b.String())
	}
}

func FuzzFrame(f *testing.F) {
	f.Add(`["ok", {"d": ["a", {"f": "1.0"}, {"b": "AA=="}, 1]}]`)
	f.Fuzz(func(t *testing.T, text string) {
		m, err := render.ParseFrame(text)
		if err != nil {
			return
		}
		if _, err := render.AppendFrame(m); err != nil {
			t.Errorf("%q was read, and cannot be written: %v", text, err)
		}
	})
}
