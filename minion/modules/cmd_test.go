package modules

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gosalt/gosalt/internal/fileclient"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// direct is a call that a job asks for itself, with Salt's plain shell.
func direct(t *testing.T) *module.Call {
	t.Helper()
	t.Setenv("SHELL", "/bin/sh")
	return &module.Call{Job: &module.Job{Pub: wire.NewMap("jid", "20260101000000000000")}}
}

func runText(t *testing.T, c *module.Call, fun string, args []any, kv ...any) (string, int) {
	t.Helper()
	res := New().Run(t.Context(), c, fun, args, wire.NewMap(kv...))
	return pytext.Str(asRecorded(res.Return)), res.Retcode
}

func TestCmdTimeout(t *testing.T) {
	c := direct(t)
	got, retcode := runText(t, c, "cmd.run_all", []any{"echo early; sleep 60 & sleep 60"}, "timeout", int64(1))
	want := "{'stdout': 'echo early; sleep 60 & sleep 60 : Timed out after 1 seconds', 'stderr': '', 'retcode': 1, 'pid': 'PID'}"
	// Salt forgets to fail the job here.
	if got != want || retcode != 1 {
		t.Errorf("got  %s, retcode %d\nwant %s, retcode 1", got, retcode, want)
	}
	got, _ = runText(t, c, "cmd.run", []any{"sleep 60"}, "timeout", 0.25, "python_shell", false)
	if want := "['sleep', '60'] : Timed out after 0.25 seconds"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestCmdNotStarted(t *testing.T) {
	c := direct(t)
	got, retcode := runText(t, c, "cmd.run", []any{"nosuchprogram a"}, "python_shell", false, "cwd", "/tmp")
	want := "ERROR: Unable to run command '['nosuchprogram', 'a']' with the context '{'cwd': '/tmp'}', " +
		"reason: [Errno 2] No such file or directory: 'nosuchprogram'"
	if got != want || retcode != 1 {
		t.Errorf("got  %s, retcode %d\nwant %s", got, retcode, want)
	}
	got, _ = runText(t, c, "cmd.run", []any{"nosuchprogram secret"}, "python_shell", false, "output_loglevel", "quiet")
	if !strings.HasPrefix(got, "ERROR: Unable to run command 'REDACTED'") {
		t.Errorf("quiet: got %s", got)
	}
	for _, cmd := range []any{"", "  ", nil, []any{}} {
		if got, _ := runText(t, c, "cmd.run", []any{cmd}); !strings.Contains(got, "the command is empty") {
			t.Errorf("%v: got %s", cmd, got)
		}
	}
}

func TestCmdBoolIsAProgram(t *testing.T) {
	if got, retcode := runText(t, direct(t), "cmd.run_all", []any{false}); !strings.Contains(got, "'retcode': 1,") || retcode != 1 {
		t.Errorf("cmd.run_all false: %s, retcode %d", got, retcode)
	}
}

func TestCmdShellIsForJobsOnly(t *testing.T) {
	c := direct(t)
	tests := []struct {
		name, fun string
		args      []any
		opts      *wire.Map
		want      string
	}{
		{"direct", "cmd.run", []any{"echo a | tr a b"}, nil, "b"},
		{"called by a function", "test.cross_test", []any{"cmd.run", []any{"echo a | tr a b"}}, nil, "a | tr a b"},
		{"with cmd_safe off", "test.cross_test", []any{"cmd.run", []any{"echo a | tr a b"}}, wire.NewMap("cmd_safe", false), "b"},
		{"cmd.shell", "test.cross_test", []any{"cmd.shell", []any{"echo a | tr a b"}}, nil, "b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c.Opts = tt.opts
			if got, _ := runText(t, c, tt.fun, tt.args); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestCmdPermitted(t *testing.T) {
	c := direct(t)
	tests := []struct {
		black, white, cmd string
		want              string
	}{
		{"rm *", "", "rm -rf /nowhere", `ERROR: The shell command "rm -rf /nowhere" is not permitted`},
		{"rm *", "", "echo rm", "rm"},
		{"", "echo *", "echo a", "a"},
		{"", "echo *", "ls", `ERROR: The shell command "ls" is not permitted`},
		{"echo b*", "echo *", "echo ba", `ERROR: The shell command "echo ba" is not permitted`},
		{"[!e]*", "", "echo a/b", "a/b"},
	}
	for _, tt := range tests {
		c.Opts = wire.NewMap("cmd_blacklist_glob", []any{tt.black}, "cmd_whitelist_glob", []any{})
		if tt.white != "" {
			c.Opts.Set("cmd_whitelist_glob", []any{tt.white})
		}
		if got, _ := runText(t, c, "cmd.run", []any{tt.cmd}); got != tt.want {
			t.Errorf("not %q, only %q: %q gave %q, want %q", tt.black, tt.white, tt.cmd, got, tt.want)
		}
	}
	c.Opts = wire.NewMap("cmd_blacklist_glob", []any{"*"})
	if got, _ := runText(t, c, "test.cross_test", []any{"cmd.run", []any{"echo a"}}); got != "a" {
		t.Errorf("the lists are for jobs: a function that calls cmd.run got %s", got)
	}
}

func TestCmdProgress(t *testing.T) {
	c := direct(t)
	var mu sync.Mutex
	var got []string
	c.OnProgress = func(v any) {
		mu.Lock()
		defer mu.Unlock()
		for _, stream := range []string{"stdout", "stderr"} {
			if m := v.(*wire.Map); m.Has(stream) { // lines that were read together come together
				for line := range strings.SplitSeq(m.Text(stream), "\n") {
					got = append(got, pytext.Repr(wire.NewMap(stream, line)))
				}
			}
		}
	}
	runText(t, c, "cmd.run_all", []any{"echo one; echo two; echo bad >&2"})
	slices.Sort(got)
	if want := []string{"{'stderr': 'bad'}", "{'stdout': 'one'}", "{'stdout': 'two'}"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	got = nil
	runText(t, c, "cmd.run", []any{"echo secret"}, "hide_output", true)
	if len(got) > 0 {
		t.Errorf("hidden output was reported: %q", got)
	}
}

func TestCmdEndsWithItsJob(t *testing.T) {
	c := direct(t)
	why := errors.New("terminated")
	ctx, cancel := context.WithCancelCause(t.Context())
	c.OnProgress = func(any) { cancel(why) } // the first line says that it runs
	res := New().Run(ctx, c, "cmd.run", []any{"echo started; sleep 600"}, nil)
	if !errors.Is(res.Err, why) || res.Success {
		t.Errorf("got %+v", res)
	}
}

func TestCmdTooMuchOutput(t *testing.T) {
	c := direct(t)
	c.Opts = wire.NewMap("max_return", int64(10000))
	got, retcode := runText(t, c, "cmd.run", []any{"yes"})
	if !strings.HasPrefix(got, "ERROR: the command printed more than max_return (10000 bytes) allows") || retcode != 1 {
		t.Errorf("got %s, retcode %d", got, retcode)
	}
	got, retcode = runText(t, c, "cmd.run", []any{"head -c 20000 /dev/zero; exit 7"})
	if !strings.HasPrefix(got, "ERROR: the command printed more than max_return (10000 bytes) allows") || retcode != 7 {
		t.Errorf("got %s, retcode %d: the exit code is that of the command", got, retcode)
	}
}

func TestCmdRunAs(t *testing.T) {
	c := direct(t)
	if os.Getuid() != 0 {
		got, _ := runText(t, c, "cmd.run", []any{"id"}, "runas", "root")
		if !strings.Contains(got, "only root may change the user") {
			t.Errorf("got %s", got)
		}
		return
	}
	t.Setenv("GOSALT_TEST_INHERITED", "yes")
	got, retcode := runText(t, c, "cmd.run", []any{"id -un; id -Gn; pwd; echo $HOME $USER $GOSALT_TEST_INHERITED"}, "runas", "nobody")
	if want := "nobody\nnogroup\n/\n/nonexistent nobody yes"; got != want || retcode != 0 {
		t.Errorf("got %q, retcode %d, want %q", got, retcode, want)
	}
	got, _ = runText(t, c, "cmd.run", []any{"id -un; id -gn"}, "group", "adm")
	if want := "root\nadm"; got != want {
		t.Errorf("group alone: got %q, want %q", got, want)
	}
}

func TestCmdScript(t *testing.T) {
	c := direct(t)
	dir := t.TempDir()
	script := filepath.Join(dir, "s.sh")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho \"$# $1 $2\"; pwd; echo bad >&2; exit 4\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	all := "{'pid': 'PID', 'retcode': 4, 'stdout': '%\\n/', 'stderr': 'bad'}"
	tests := []struct {
		name, fun string
		args      []any
		want      string
		retcode   int
	}{
		{"path", "cmd.script", []any{script}, strings.Replace(all, "%", "0  ", 1), 4},
		{"file:// and a text of arguments", "cmd.script", []any{"file://" + script, "a 'b c'"}, strings.Replace(all, "%", "2 a b c", 1), 4},
		{"list of arguments", "cmd.script", []any{script, []any{"x y", int64(1)}}, strings.Replace(all, "%", "2 x y 1", 1), 4},
		{"retcode", "cmd.script_retcode", []any{script}, "4", 4},
		// Salt forgets to fail the job here.
		{"not there", "cmd.script", []any{script + "x"}, "{'pid': 'PID', 'retcode': 1, 'stdout': '', 'stderr': '', 'cache_error': True}", 1},
		{"no file server", "cmd.script", []any{"salt://s.sh"}, "ERROR: source salt://s.sh: there is no file server to fetch it from; give a path of this machine", 1},
		{"relative", "cmd.script", []any{"s.sh"}, "ERROR: source s.sh: an absolute path, file:///path or salt://path expected", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, retcode := runText(t, c, tt.fun, tt.args, "cwd", "/")
			if got != tt.want || retcode != tt.retcode {
				t.Errorf("got  %s, retcode %d\nwant %s, retcode %d", got, retcode, tt.want, tt.retcode)
			}
		})
	}
	t.Run("fetched", func(t *testing.T) {
		c.Files = files{"salt://s.sh?saltenv=dev": script}
		if got, _ := runText(t, c, "cmd.script_retcode", []any{"salt://s.sh"}, "saltenv", "dev"); got != "4" {
			t.Errorf("got %s", got)
		}
		if got, _ := runText(t, c, "cmd.script_retcode", []any{"salt://t.sh"}); got != "1" {
			t.Errorf("not there: got %s", got)
		}
	})
	left, err := filepath.Glob("/__salt.tmp.*")
	if err != nil || len(left) > 0 {
		t.Errorf("copies of the script are left: %s, %v", left, err)
	}
}

type files map[string]string

func (f files) Fetch(ctx context.Context, url string, o fileclient.FetchOptions) (string, error) {
	if p, ok := f[url+"?saltenv="+o.Env]; ok {
		return p, nil
	}
	return "", module.ErrNoFile
}

func TestCmdBackground(t *testing.T) {
	c := direct(t)
	file := filepath.Join(t.TempDir(), "done")
	got, retcode := runText(t, c, "cmd.run_bg", []any{"echo done > " + file, "/tmp"})
	if got != "{'pid': 'PID'}" || retcode != 0 {
		t.Errorf("got %s, retcode %d", got, retcode)
	}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if b, err := os.ReadFile(file); err == nil && string(b) == "done\n" {
			return
		}
	}
	t.Error("the command did not run")
}

func TestCmdLogsNoArguments(t *testing.T) {
	c := direct(t)
	var log strings.Builder
	c.Log = testLogger(&log)
	runText(t, c, "cmd.run", []any{"echo hunter2"}, "hide_output", true, "output_loglevel", "quiet", "env", wire.NewMap("TOKEN", "hunter2"))
	if strings.Contains(log.String(), "hunter2") {
		t.Errorf("the log holds the secret: %s", log.String())
	}
	log.Reset()
	runText(t, c, "cmd.run", []any{"echo hunter2 > /dev/null"})
	if strings.Contains(log.String(), "hunter2") || !strings.Contains(log.String(), "cmd=echo") {
		t.Errorf("the log is: %s", log.String())
	}
}

func TestGlobMatch(t *testing.T) {
	tests := []struct {
		pattern, s string
		want       bool
	}{
		{"*", "", true}, {"a*c", "abbc", true}, {"a*c", "abcd", false}, {"a?c", "a/c", true},
		{"[a-c]x", "bx", true}, {"[!a-c]x", "bx", false}, {"[]]x", "]x", true}, {"[a", "[a", true},
		{"**b*", "aabaa", true}, {"é?", "éa", true}, {"[a-]", "-", true}, {"", "a", false},
	}
	for _, tt := range tests {
		if got := globMatch(tt.pattern, tt.s); got != tt.want {
			t.Errorf("globMatch(%q, %q) = %v", tt.pattern, tt.s, got)
		}
	}
}
