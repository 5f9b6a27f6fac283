package gosalt_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/gosalt/gosalt/internal/testproc"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestInterop runs the scenarios of testdata/interop with each of the real Salts that
// SALT_TREES names (see testproc.Salts), in the place of one of our halves. Besides
// the commands of TestScripts they have:
//
//	real master|minion ID [LINE...]   the real daemon; nobody knows when it is ready: await
//	unreal NAME...                    end it with all its processes
//	salt PROGRAM ARG...               one of the real programs, on the configuration of "master"
//	await-salt RE PROGRAM ARG...      the same until its output matches
//	await-log-salt NAME RE PROGRAM ARG...  the same until the log of one of our daemons does
func TestInterop(t *testing.T) {
	salts := testproc.Salts()
	if len(salts) == 0 {
		t.Skip("SALT_TREES names no source tree of the real Salt")
	}
	for _, s := range salts {
		t.Run(s.Version, func(t *testing.T) {
			cmds := map[string]func(*testscript.TestScript, bool, []string){
				"start": cmdStart, "end": cmdEnd, "crash": cmdCrash, "exited": cmdExited,
				"accept": cmdAccept, "await": cmdAwait, "exits": cmdExits, "log": cmdLog, "capture": cmdCapture,
				"real":           func(ts *testscript.TestScript, neg bool, args []string) { cmdReal(ts, s, args) },
				"unreal":         each((*testproc.Proc).EndTree),
				"salt":           func(ts *testscript.TestScript, neg bool, args []string) { cmdSalt(ts, s, neg, args) },
				"await-log-salt": func(ts *testscript.TestScript, neg bool, args []string) { cmdAwaitLogSalt(ts, s, args) },
				"await-salt":     func(ts *testscript.TestScript, neg bool, args []string) { cmdAwaitSalt(ts, s, args) },
			}
			testscript.Run(t, testscript.Params{Dir: filepath.Join("testdata", "interop"), RequireUniqueNames: true,
				Setup: setup, Condition: condition, Cmds: cmds})
		})
	}
}

func cmdReal(ts *testscript.TestScript, s testproc.Salt, args []string) {
	var name string
	switch {
	case len(args) > 0 && testproc.IsMaster(args[0]):
		name, args = args[0], args[1:]
	case len(args) > 1 && args[0] == "minion":
		name, args = args[1], args[2:]
	default:
		ts.Fatalf("usage: real master|minion ID [LINE...]")
	}
	w := world(ts)
	if len(args) > 0 || !w.Configured(name) {
		args = append([]string{"user: root", "max_event_size: 20000000"}, args...)
		ts.Check(w.Configure(name, args...))
	}
	_, err := w.SpawnSalt(name, s)
	ts.Check(err)
}

// salt runs a real program on the master's configuration.
func salt(ts *testscript.TestScript, s testproc.Salt, args []string) (stdout, stderr string, code int) {
	if len(args) == 0 {
		ts.Fatalf("the name of one of Salt's programs is expected")
	}
	cmd := s.Command(args[0], slices.Concat([]string{"-c", ts.MkAbs("master")}, args[1:])...)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	cmd.Run()
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

func cmdSalt(ts *testscript.TestScript, s testproc.Salt, neg bool, args []string) {
	stdout, stderr, code := salt(ts, s, args)
	fmt.Fprint(ts.Stdout(), stdout)
	fmt.Fprint(ts.Stderr(), stderr)
	if (code != 0) != neg {
		ts.Fatalf("exit code %d\n[stdout]\n%s\n[stderr]\n%s", code, stdout, stderr)
	}
}

func cmdAwaitSalt(ts *testscript.TestScript, s testproc.Salt, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: await-salt RE PROGRAM ARG...")
	}
	re, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	var stdout, stderr string
	var code int
	ok := testproc.Until(3*testproc.Patience, func() bool {
		stdout, stderr, code = salt(ts, s, args[1:])
		return re.MatchString(stdout)
	})
	fmt.Fprint(ts.Stdout(), stdout)
	fmt.Fprint(ts.Stderr(), stderr)
	if !ok {
		ts.Fatalf("output never matched %s; the last time, exit code %d\n[stdout]\n%s\n[stderr]\n%s", args[0], code, stdout, stderr)
	}
}

func cmdAwaitLogSalt(ts *testscript.TestScript, s testproc.Salt, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: await-log-salt NAME RE PROGRAM ARG...")
	}
	re, err := regexp.Compile(args[1])
	ts.Check(err)
	p := proc(ts, args[0])
	from := len(p.Log())
	if !testproc.Until(3*testproc.Patience, func() bool {
		salt(ts, s, args[2:])
		return re.MatchString(p.Log()[from:])
	}) {
		ts.Fatalf("the log of %s never matched %s", args[0], re)
	}
}
