package cli

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/cli/output"
	"github.com/gosalt/gosalt/internal/optparse"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// testIO is a command's surroundings: nothing in the environment but what env has.
func testIO(prog, stdin string, env map[string]string) (IO, *bytes.Buffer, *bytes.Buffer) {
	var out, err bytes.Buffer
	return IO{Prog: prog, In: strings.NewReader(stdin), Out: &out, Err: &err,
		Getenv: func(k string) string { return env[k] }}, &out, &err
}

// parseError is the *optparse.Exit that a command line ends with.
func parseError(t *testing.T, err error) *optparse.Exit {
	t.Helper()
	var exit *optparse.Exit
	if !errors.As(err, &exit) {
		t.Fatalf("error %v, an exit expected", err)
	}
	return exit
}

func TestGosaltJob(t *testing.T) {
	for _, c := range []struct {
		args []string
		tgt  any
		kind string
		fun  any
		arg  string
	}{
		{[]string{"*", "test.ping"}, "*", "glob", "test.ping", "[]"},
		{[]string{"-L", "a, b", "test.ping"}, []string{"a", "b"}, "list", "test.ping", "[]"},
		{[]string{"-L", "a b  c", "test.ping"}, []string{"a", "b", "c"}, "list", "test.ping", "[]"},
		{[]string{"-C", "G@os:Debian and web*", "cmd.run", "uptime"}, "G@os:Debian and web*", "compound", "cmd.run", "['uptime']"},
		{[]string{"web1", "cmd.run", "ls -l", "cwd=/tmp", "timeout=5"}, "web1", "glob", "cmd.run", "['ls -l', {'__kwarg__': True, 'cwd': '/tmp', 'timeout': 5}]"},
		{[]string{"-G", "os:Debian", "test.ping"}, "os:Debian", "grain", "test.ping", "[]"},
		{[]string{"-P", "os:D.*", "test.ping"}, "os:D.*", "grain_pcre", "test.ping", "[]"},
		{[]string{"-I", "a:b", "test.ping"}, "a:b", "pillar", "test.ping", "[]"},
		{[]string{"-J", "a:b", "test.ping"}, "a:b", "pillar_pcre", "test.ping", "[]"},
		{[]string{"-S", "10.0.0.0/8", "test.ping"}, "10.0.0.0/8", "ipcidr", "test.ping", "[]"},
		{[]string{"-E", "web.*", "test.ping"}, "web.*", "pcre", "test.ping", "[]"},
		{[]string{"-N", "g", "test.ping"}, "g", "nodegroup", "test.ping", "[]"},
		{[]string{"*", "test.ping,test.echo", ",hi"}, "*", "glob", []any{"test.ping", "test.echo"}, "[[], ['hi']]"},
		{[]string{"-d"}, "*", "glob", "sys.doc", "[]"},
		{[]string{"-d", "a"}, "a", "glob", "sys.doc", "[]"},
		{[]string{"-d", "a", "test.ping"}, "a", "glob", "sys.doc", "['test.ping']"},
		{[]string{"--no-parse=name", "*", "f.x", "name=1", "b=1"}, "*", "glob", "f.x", "[{'__kwarg__': True, 'name': '1', 'b': 1}]"},
		{[]string{"*", "cmd.run", "--", "-x"}, "*", "glob", "cmd.run", "['-x']"},
	} {
		io, _, _ := testIO("gosalt", "", nil)
		o, err := ParseGosalt(io, append([]string{"-c", t.TempDir()}, c.args...))
		if err != nil {
			t.Errorf("%q: %v", c.args, err)
			continue
		}
		if !reflect.DeepEqual(o.Job.Target, c.tgt) || o.Job.TargetType != c.kind || !reflect.DeepEqual(o.Job.Fun(), c.fun) || pytext.Repr(o.Job.Arg()) != c.arg {
			t.Errorf("%q: %v %s %v %s", c.args, o.Job.Target, o.Job.TargetType, o.Job.Fun(), pytext.Repr(o.Job.Arg()))
		}
	}
}

func TestGosaltMistakes(t *testing.T) {
	const usage = "Usage: gosalt [options] '<target>' <function> [arguments]\n\ngosalt: error: "
	for _, c := range []struct {
		args []string
		code int
		err  string
		help bool
	}{
		{[]string{"--bogus", "*", "test.ping"}, 64, usage + "no such option: --bogus\n", false},
		{[]string{"-E", "-L", "*", "test.ping"}, 64, usage + "The options --pcre/--list are mutually exclusive. Please only choose one of them\n", false},
		{[]string{"-t", "x", "*", "test.ping"}, 64, usage + "option -t: invalid integer value: 'x'\n", false},
		{nil, 42, "\nCannot execute command without defining a target.\n\n", true},
		{[]string{"*"}, 42, "\nIncomplete options passed.\n\n", true},
		{[]string{"-d", "a", "b", "c"}, 64, usage + "You can only get documentation for one method at one time.\n", false},
		{[]string{"*", "a.b,c.d", "x"}, 42, "Cannot execute compound command without defining all arguments.\n", false},
		{[]string{"--preview-target"}, 42, "\nCannot execute command without defining a target.\n\n", false},
	} {
		io, _, _ := testIO("gosalt", "", nil)
		_, err := ParseGosalt(io, append([]string{"-c", t.TempDir()}, c.args...))
		exit := parseError(t, err)
		if exit.Code != c.code || exit.Err != c.err || strings.HasPrefix(exit.Out, "Usage: gosalt") != c.help {
			t.Errorf("%q: code %d, out %q, err %q", c.args, exit.Code, exit.Out, exit.Err)
		}
	}
}

func TestCallMistakes(t *testing.T) {
	for _, c := range []struct {
		args []string
		err  string
	}{
		{nil, "Requires function, --grains or --doc"},
		{[]string{"-g", "x"}, "-g/--grains does not accept any arguments"},
		{[]string{"-d", "x", "y"}, "You can only get documentation for one method at one time"},
	} {
		io, _, _ := testIO("gosalt-call", "", nil)
		_, err := ParseCall(io, append([]string{"-c", t.TempDir()}, c.args...))
		if exit := parseError(t, err); exit.Code != 64 || !strings.HasSuffix(exit.Err, "gosalt-call: error: "+c.err+"\n") {
			t.Errorf("%q: %d %q", c.args, exit.Code, exit.Err)
		}
	}
	io, _, _ := testIO("gosalt-call", "", nil)
	o, err := ParseCall(io, []string{"-c", t.TempDir(), "--local", "-m", "/a,/b", "-m", "/c", "--file-root", "/srv/x/../salt", "test.arg", "1", "x=[1]"})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(o.ModuleDirs, []string{"/a", "/b", "/c"}) || o.FileRoot != "/srv/salt" || o.Fun != "test.arg" || pytext.Repr(o.Args) != "[1, {'__kwarg__': True, 'x': [1]}]" {
		t.Errorf("%+v", o)
	}
}

func TestRunJID(t *testing.T) {
	io, _, _ := testIO("gosalt-run", "", nil)
	_, err := ParseRun(io, []string{"-c", t.TempDir(), "--jid", "123", "jobs.list_jobs"})
	if exit := parseError(t, err); !strings.HasSuffix(exit.Err, "gosalt-run: error: '123' is not a valid JID\n") {
		t.Error(exit.Err)
	}
	o, err := ParseRun(io, []string{"-c", t.TempDir(), "--jid=20261122063858048545"})
	if err != nil || o.JID != "20261122063858048545" || o.Fun != "" {
		t.Errorf("%+v %v", o, err)
	}
}

func TestKeyMistakes(t *testing.T) {
	for _, c := range []struct {
		args []string
		err  string
	}{
		{[]string{"-l", "bogus"}, "'bogus' is not a valid argument to '--list'"},
		{[]string{"--keysize=1024"}, "The minimum value for keysize is 2048"},
		{[]string{"--keysize=40000"}, "The maximum value for keysize is 32768"},
		{[]string{"-a"}, "-a option requires 1 argument"},
	} {
		io, _, _ := testIO("gosalt-key", "", nil)
		_, err := ParseKey(io, append([]string{"-c", t.TempDir()}, c.args...))
		if exit := parseError(t, err); exit.Code != 64 || exit.Err != "Usage: gosalt-key [options]\n\ngosalt-key: error: "+c.err+"\n" {
			t.Errorf("%q: %d %q", c.args, exit.Code, exit.Err)
		}
	}
}

func TestArgsStdin(t *testing.T) {
	io, _, _ := testIO("gosalt", "test.arg\nx=1\n--static\nlast arg", nil)
	o, err := ParseGosalt(io, []string{"-c", t.TempDir(), "--args-stdin", "--out=json", "*"})
	if err != nil {
		t.Fatal(err)
	}
	if !o.Static || o.Out.Output != "json" || pytext.Repr(o.Job.Arg()) != "['last arg', {'__kwarg__': True, 'x': 1}]" {
		t.Errorf("%+v", o.Job)
	}
}

func TestSaltfile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	own := write("own", "gosalt:\n  config_dir: "+dir+"\n  timeout: 30\n  output: yaml\n  static: true\n")
	salts := write("salts", "salt:\n  config_dir: "+dir+"\n  output_indent: 2\n")
	bad := write("bad", "gosalt:\n  timeout: soon\n  config_dir: "+dir+"\n")
	broken := write("broken", "gosalt: [\n")

	io, _, _ := testIO("gosalt", "", nil)
	o, err := ParseGosalt(io, []string{"--saltfile", own, "-t", "7", "*", "test.ping"})
	if err != nil {
		t.Fatal(err)
	}
	if o.Timeout != 7 || o.Out.Output != "yaml" || !o.Static || !o.Explicit("output") || o.Explicit("subset") || o.ConfigDir != dir {
		t.Errorf("the command line wins over the Saltfile, and that over the defaults: %+v", o)
	}
	io, _, _ = testIO("gosalt", "", map[string]string{"SALT_SALTFILE": salts})
	if o, err = ParseGosalt(io, []string{"*", "test.ping"}); err != nil || *o.Out.OutputIndent != 2 || o.Saltfile != salts {
		t.Errorf("a Saltfile for salt serves gosalt: %v", err)
	}
	for _, c := range []struct{ file, want string }{
		{dir + "/none", "'" + dir + "/none' file does not exist.\n"},
		{bad, "timeout: a whole number expected, not soon"},
		{broken, "is no YAML"},
	} {
		io, _, _ = testIO("gosalt", "", nil)
		_, err := ParseGosalt(io, []string{"--saltfile", c.file, "*", "test.ping"})
		if exit := parseError(t, err); exit.Code != 64 || !strings.Contains(exit.Err, c.want) {
			t.Errorf("%s: %q", c.file, exit.Err)
		}
	}
}

func TestConfigDir(t *testing.T) {
	io, _, stderr := testIO("gosalt", "", map[string]string{"SALT_CONFIG_DIR": "/nonexistent/dir", "HOME": "/home/u", "GOSALT_STRICT": "1"})
	o, err := ParseGosalt(io, []string{"*", "test.ping"})
	if err != nil || o.ConfigDir != "/nonexistent/dir" || stderr.String() != "WARNING: CONFIG '/nonexistent/dir' directory does not exist.\n" || !o.Strict {
		t.Errorf("%v %q", err, stderr)
	}
	if o, err = ParseGosalt(io, []string{"-c", "~/x", "*", "test.ping"}); err != nil || o.ConfigDir != "/home/u/x" {
		t.Errorf("%v %s", err, o.ConfigDir)
	}
}

func TestOutputFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "out")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--out-file", file}, ""},
		{[]string{"--out-file", file, "--out-file-append"}, "old\n"},
	} {
		if err := os.WriteFile(file, []byte("old\n"), 0o640); err != nil {
			t.Fatal(err)
		}
		io, _, _ := testIO("gosalt", "", nil)
		o, err := ParseGosalt(io, append([]string{"-c", dir, "*", "test.ping"}, c.args...))
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(file); string(got) != c.want || o.Out.Settings(io, nil).File != file {
			t.Errorf("%q leaves %q", c.args, got)
		}
	}
}

func TestSettings(t *testing.T) {
	conf := wire.NewMap("state_output", "changes", "state_verbose", false, "output_indent", "pretty", "state_tabular", true,
		"state_output_exclude", "True,None", "state_output_terse", []any{true})
	io, _, _ := testIO("gosalt", "", nil)
	o, err := ParseGosalt(io, []string{"-c", t.TempDir(), "--state-verbose=True", "*", "test.ping"})
	if err != nil {
		t.Fatal(err)
	}
	s := o.Out.Settings(io, conf)
	if s.StateOutput != "changes" || !s.StateVerbose || *s.Indent != 4 || !s.SortKeys || !s.StateTabular || s.Color ||
		!reflect.DeepEqual(s.StateOutputExclude, []string{"True", "None"}) || !reflect.DeepEqual(s.StateOutputTerse, []string{"True"}) {
		t.Errorf("%+v", s)
	}
	for v, want := range map[bool]bool{true: true, false: false} {
		if o.Out.Settings(io, wire.NewMap("color", v)).Color != want {
			t.Errorf("color: %v of the configuration does not decide", v)
		}
	}
	if no := (&OutputOptions{NoColor: true}); no.Settings(io, wire.NewMap("color", true)).Color {
		t.Error("--no-color does not go above the configuration")
	}
	o.Out.ForceColor = true
	if !o.Out.Settings(io, nil).Color {
		t.Error("--force-color colours what is no terminal")
	}
}

func TestTheme(t *testing.T) {
	file := filepath.Join(t.TempDir(), "theme")
	if err := os.WriteFile(file, []byte("GREEN: '0;35'\nENDC: 0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	io, _, stderr := testIO("gosalt", "", nil)
	o := OutputOptions{ForceColor: true}
	if s := o.Settings(io, wire.NewMap("color_theme", file)); s.Theme["GREEN"] != "\x1b[0;35m" || output.Format("x", "", s) != "\x1b[0;35mx\x1b[0m" {
		t.Errorf("%q", s.Theme)
	}
	if s := o.Settings(io, wire.NewMap("color_theme", file+"x")); s.Theme != nil || !strings.Contains(stderr.String(), "gosalt: warning: color_theme") {
		t.Errorf("%q %q", s.Theme, stderr)
	}
}

// TestDeclarations holds every option to a help text, and names and settings to be told apart.
func TestDeclarations(t *testing.T) {
	io, _, _ := testIO("gosalt", "", nil)
	for prog, p := range map[string]*optparse.Parser{
		"gosalt": newGosalt(io).parser, "gosalt-call": newCall(io).parser, "gosalt-key": newKey(io).parser, "gosalt-run": newRun(io).parser,
	} {
		seen := map[string]bool{}
		for o := range p.All() {
			if o.Text == "" {
				t.Errorf("%s %v has no help", prog, o.Names)
			}
			for _, n := range o.Names {
				if seen[n] {
					t.Errorf("%s has %s twice", prog, n)
				}
				seen[n] = true
			}
		}
	}
}

func TestExitCodes(t *testing.T) {
	strict := map[int]Outcome{}
	for i, c := range ExitCodes() {
		if c.Outcome != Outcome(i) {
			t.Errorf("line %d of the table is about %s", i, c.Name)
		}
		if c.Salt != 0 && c.Strict != c.Salt {
			t.Errorf("%s: only Salt's zeroes change under --strict", c.Name)
		}
		if c.Salt == 0 && c.Outcome != OK {
			if c.Strict == 0 {
				t.Errorf("%s is hidden even under --strict", c.Name)
			}
			if other, ok := strict[c.Strict]; ok {
				t.Errorf("%s and %s share the code %d", c.Name, other, c.Strict)
			}
			strict[c.Strict] = c.Outcome
		}
	}
	if HiddenSilence.Code(false) != 0 || HiddenSilence.Code(true) == 0 || NoReturn.Code(false) != 2 {
		t.Error("codes are Salt's unless strict")
	}
}
