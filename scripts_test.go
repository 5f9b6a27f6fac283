package gosalt_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/gosalt/gosalt/internal/imds"
	"github.com/gosalt/gosalt/internal/testproc"
	"github.com/rogpeppe/go-internal/testscript"
)

var bin string // where the programs are

// plain is where programs without the race detector are, which start in a quarter of the
// time: for the commands of tests that run hundreds of them. They are built when a test
// asks for them first.
var plain = sync.OnceValue(func() string {
	if !testproc.Race || os.Getenv("GOSALT_RACE") == "all" {
		return bin
	}
	dir, err := testproc.BuildPlain(filepath.Join(bin, "plain"))
	if err != nil {
		panic(err)
	}
	return dir
})

// mixed is where gosalt is that of bin, and gosalt-minion, which is copied to machines and
// started there for each command, that of plain.
var mixed = sync.OnceValue(func() string {
	if plain() == bin {
		return bin
	}
	dir := filepath.Join(bin, "mixed")
	for _, step := range []error{os.Mkdir(dir, 0o755), os.Link(filepath.Join(bin, "gosalt"), filepath.Join(dir, "gosalt")),
		os.Link(filepath.Join(plain(), "gosalt-minion"), filepath.Join(dir, "gosalt-minion")), testproc.Link(dir)} {
		if step != nil {
			panic(step)
		}
	}
	return dir
})

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	tmp, err := os.MkdirTemp("", "gosalt-bin")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(tmp)
	if err := os.Chmod(tmp, 0o755); err != nil { // some scenarios become another user
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if bin, err = testproc.Build(tmp); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// Scenarios wait more than they compute.
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue || f.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		flag.Set("test.parallel", strconv.Itoa(3*runtime.GOMAXPROCS(0)))
	}
	return m.Run()
}

// TestScripts runs the scenarios of testdata/script. Besides testscript's own
// commands they have:
//
//	start [-nowait] master [LINE...]     a daemon, with these lines of configuration, and wait until
//	start [-nowait] minion ID [LINE...]  it is ready; further masters are master2, master3, ...
//	! start ...                          it ends by itself, and not with code 0: see stderr, exited
//	exited NAME CODE                     it has ended, or ends soon, with this code
//	end NAME...                          interrupt, and expect code 0
//	crash NAME...                        end at once, as kill -9 does
//	pause NAME..., resume NAME...        SIGSTOP, SIGCONT
//	accept ID...                         gosalt-key -a, and wait until the minion is ready
//	await [-stdout RE] [!] PROGRAM ...   run until it succeeds (or fails), and its output matches
//	exits CODE PROGRAM ...               run, and expect this exit code
//	capture VAR RE                       sets a variable to what the last output has in RE's parentheses
//	metadata INSTANCE                    EC2's metadata service of an instance, for gosalt-minion join --aws; its
//	                                     documents are signed by the certificate in $WORK/aws.pem
//	cloud                                an API of EC2 at $EC2_ENDPOINT whose machines are minions, see fakeCloud
//	[!] log NAME RE                      wait until its log matches, or check that it does not
//
// Commands of the control side find the configuration of "master" by themselves. A
// started master's ports are in $MASTER_PORT and $MASTER_PUBLISH_PORT, $MASTER2_PORT, ...
func TestScripts(t *testing.T) {
	t.Parallel()
	refuseStop(t)
	testscript.Run(t, testscript.Params{
		Dir:                filepath.Join("testdata", "script"),
		RequireUniqueNames: true,
		Setup:              setup,
		Condition:          condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"start": cmdStart, "end": cmdEnd, "crash": cmdCrash, "pause": cmdPause, "resume": cmdResume, "exited": cmdExited,
			"accept": cmdAccept, "await": cmdAwait, "exits": cmdExits, "log": cmdLog, "capture": cmdCapture,
			"metadata": cmdMetadata, "cloud": cmdCloud,
		},
	})
}

// refuseStop finds testscript's own stop and kill, which cannot be given another
// meaning: "stop web1" would end the scenario as a success.
func refuseStop(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "script", "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if m := regexp.MustCompile(`(?m)^(stop|kill)\b.*`).Find(b); m != nil {
			t.Fatalf("%s: %q: write end or crash", file, m)
		}
	}
}

type worldKey struct{}

// raced are the scenarios whose commands, and not their daemons alone, have the race
// detector: those in which commands wait for several things at once. With GOSALT_RACE=all
// every scenario's have it, and the tests take half an hour.
var raced = []string{"absent_explained", "batch", "cli_interrupt", "cp_command", "events", "executors", "jobs_kill", "live", "orchestrate", "output_progress",
	"publish", "state_alone", "state_apply", "state_options", "state_plan", "subset", "vm"}

// commands is where the commands of a scenario are.
func commands(scenario string) string {
	if os.Getenv("GOSALT_RACE") == "all" || slices.Contains(raced, scenario) {
		return bin
	}
	return plain()
}

func setup(env *testscript.Env) error {
	w := testproc.New(env.WorkDir, bin)
	env.Values[worldKey{}] = w
	env.Setenv("PATH", commands(strings.TrimPrefix(filepath.Base(env.WorkDir), "script-"))+string(os.PathListSeparator)+env.Getenv("PATH"))
	env.Setenv("SALT_CONFIG_DIR", filepath.Join(env.WorkDir, "master"))
	env.Setenv("HOME", env.WorkDir)
	env.Setenv("USER", "root")
	env.Setenv("GORACE", os.Getenv("GORACE"))
	for _, name := range []string{"master", "master2", "master3"} {
		p, err := w.Ports(name)
		if err != nil {
			return err
		}
		env.Setenv(strings.ToUpper(name)+"_PORT", strconv.Itoa(p.Request))
		env.Setenv(strings.ToUpper(name)+"_PUBLISH_PORT", strconv.Itoa(p.Publish))
	}
	t := env.T()
	env.Defer(func() {
		end := w.Close
		failed, ok := t.(interface{ Failed() bool })
		if ok && failed.Failed() {
			end = w.Abort
		}
		err := end()
		if err != nil || ok && failed.Failed() {
			for _, p := range w.Procs() {
				log, stacks, _ := strings.Cut(p.FullLog(), "\nSIGQUIT: quit\n")
				t.Log(fmt.Sprintf("== log of %s ==\n%s", p.Name, tail(log, 32<<10)))
				if stacks != "" {
					t.Log(fmt.Sprintf("== what %s was doing ==\n%s", p.Name, head(stacks, 64<<10)))
				}
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	return nil
}

// tail is the end of a long text.
func tail(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return "...\n" + s[len(s)-n:]
}

// head is the beginning of a long text.
func head(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "\n..."
}

func condition(cond string) (bool, error) {
	switch cond {
	case "root":
		return os.Geteuid() == 0, nil
	case "race":
		return testproc.Race, nil
	}
	return false, fmt.Errorf("unknown condition %q", cond)
}

func world(ts *testscript.TestScript) *testproc.World {
	return ts.Value(worldKey{}).(*testproc.World)
}

// proc finds a started daemon.
func proc(ts *testscript.TestScript, name string) *testproc.Proc {
	p := world(ts).Proc(name)
	if p == nil {
		ts.Fatalf("%s was not started", name)
	}
	return p
}

func cmdStart(ts *testscript.TestScript, neg bool, args []string) {
	wait := true
	if len(args) > 0 && args[0] == "-nowait" {
		wait, args = false, args[1:]
	}
	var name string
	switch {
	case len(args) > 0 && testproc.IsMaster(args[0]):
		name, args = args[0], args[1:]
	case len(args) > 1 && args[0] == "minion":
		name, args = args[1], args[2:]
	default:
		ts.Fatalf("usage: start [-nowait] master|minion ID [LINE...]")
	}
	w := world(ts)
	if len(args) > 0 || !w.Configured(name) {
		ts.Check(w.Configure(name, args...))
	}
	w.Env = []string{"GOSALT_CLOCK_SHIFT=" + ts.Getenv("GOSALT_CLOCK_SHIFT")}
	if !wait {
		_, err := w.Spawn(name)
		ts.Check(err)
		return
	}
	p, how, err := w.Start(name)
	ts.Check(err)
	if neg {
		if how == testproc.Held {
			ts.Check(p.Wait())
			how = testproc.Exited
		}
		if how != testproc.Exited || p.ExitCode() == 0 {
			ts.Fatalf("%s was expected to fail", name)
		}
		fmt.Fprint(ts.Stderr(), p.Log())
		return
	}
	if how == testproc.Exited {
		ts.Fatalf("%s ended with code %d", name, p.ExitCode())
	}
}

func cmdExited(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: exited NAME CODE")
	}
	p := proc(ts, args[0])
	ts.Check(p.Wait())
	if got := strconv.Itoa(p.ExitCode()); got != args[1] {
		ts.Fatalf("%s ended with code %s, not %s", p.Name, got, args[1])
	}
	fmt.Fprint(ts.Stderr(), p.Log())
}

// each makes a command that does one thing to each daemon named.
func each(do func(*testproc.Proc) error) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) == 0 {
			ts.Fatalf("names of daemons are expected")
		}
		for _, name := range args {
			ts.Check(do(proc(ts, name)))
		}
	}
}

var (
	cmdEnd    = each((*testproc.Proc).Stop)
	cmdCrash  = each(func(p *testproc.Proc) error { p.Kill(); return nil })
	cmdPause  = each((*testproc.Proc).Pause)
	cmdResume = each((*testproc.Proc).Resume)
)

func cmdAccept(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: accept ID...")
	}
	for _, id := range args {
		testproc.Until(testproc.Patience, func() bool {
			out, _, _ := program(ts, []string{"gosalt-key", "-l", "un", "--out=json"})
			return strings.Contains(out, strconv.Quote(id))
		})
		ts.Check(ts.Exec("gosalt-key", "-y", "-a", id))
	}
	for _, id := range args {
		if p := world(ts).Proc(id); p != nil && p.Running() {
			ts.Check(p.AwaitReady())
		}
	}
}

// awsSigner signs in the place of AWS.
var awsSigner = sync.OnceValues(imds.NewSigner)

func cmdMetadata(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: metadata INSTANCE")
	}
	s, err := awsSigner()
	ts.Check(err)
	srv, err := s.Serve(imds.New(args[0]))
	ts.Check(err)
	ts.Defer(srv.Close)
	ts.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", srv.URL)
	ts.Check(os.WriteFile(ts.MkAbs("aws.pem"), s.PEM(), 0o644))
}

func cmdLog(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: [!] log NAME REGEXP")
	}
	re, err := regexp.Compile(args[1])
	ts.Check(err)
	p := proc(ts, args[0])
	if neg {
		if m := re.FindString(p.Log()); m != "" {
			ts.Fatalf("log of %s has %q", p.Name, m)
		}
		return
	}
	ts.Check(p.AwaitLog(re))
}

func cmdCapture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: capture VAR REGEXP")
	}
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	m := re.FindStringSubmatch(ts.ReadFile("stdout"))
	if len(m) < 2 {
		ts.Fatalf("the output does not have %q with a group", re)
	}
	ts.Setenv(args[0], m[1])
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// program runs a program in the script's environment.
func program(ts *testscript.TestScript, args []string) (stdout, stderr string, code int) {
	name := args[0]
	if dir, _, _ := strings.Cut(ts.Getenv("PATH"), string(os.PathListSeparator)); fileExists(filepath.Join(dir, name)) {
		name = filepath.Join(dir, name)
	}
	cmd := exec.Command(name, args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = os.Environ()
	for _, k := range []string{"PATH", "SALT_CONFIG_DIR", "HOME", "USER", "WORK", "GOSALT_STRICT", "GOSALT_CLOCK_SHIFT", "AWS_EC2_METADATA_SERVICE_ENDPOINT"} {
		if v := ts.Getenv(k); v != "" {
			cmd.Env = append(cmd.Env, k+"="+v)
		}
	}
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ts.Fatalf("%s: %v", args[0], err)
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG...")
	}
	stdout, stderr, code := program(ts, args[1:])
	fmt.Fprint(ts.Stdout(), stdout)
	fmt.Fprint(ts.Stderr(), stderr)
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, expected %s\n[stdout]\n%s\n[stderr]\n%s", code, args[0], stdout, stderr)
	}
}

func cmdAwait(ts *testscript.TestScript, neg bool, args []string) {
	var re *regexp.Regexp
	if len(args) > 1 && args[0] == "-stdout" {
		var err error
		re, err = regexp.Compile("(?m)" + args[1])
		ts.Check(err)
		args = args[2:]
	}
	fails := len(args) > 0 && args[0] == "!"
	if fails {
		args = args[1:]
	}
	if neg || len(args) == 0 {
		ts.Fatalf("usage: await [-stdout REGEXP] [!] PROGRAM ARG...")
	}
	var stdout, stderr string
	var code int
	ok := testproc.Until(testproc.Patience, func() bool {
		stdout, stderr, code = program(ts, args)
		return (code != 0) == fails && (re == nil || re.MatchString(stdout))
	})
	fmt.Fprint(ts.Stdout(), stdout)
	fmt.Fprint(ts.Stderr(), stderr)
	if !ok {
		ts.Fatalf("did not come to pass within %s; the last time, exit code %d\n[stdout]\n%s\n[stderr]\n%s", testproc.Patience, code, stdout, stderr)
	}
}
