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
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gosalt/gosalt/internal/testproc"
)

var update = flag.Bool("update", false, "rewrite expected files")

// exchange is one command of a transcript of the real Salt, and what it did.
type exchange struct {
	line           string // as it was typed, but for the quotes: "salt * cmd.run exit 3"
	rc             int
	stdout, stderr string
}

// readTranscript reads a file of testdata/salt-cli.
func readTranscript(t *testing.T, name string) []exchange {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "salt-cli", name))
	if err != nil {
		t.Fatal(err)
	}
	var out []exchange
	for _, part := range strings.Split("\n"+string(b), "\n=== $ ")[1:] {
		head, rest, _ := strings.Cut(part, "\n--- rc=")
		code, rest, _ := strings.Cut(rest, "\n--- stdout\n")
		rc, err := strconv.Atoi(code)
		if err != nil {
			t.Fatalf("%s: %q: %v", name, head, err)
		}
		stdout, stderr, _ := strings.Cut("\n"+rest, "\n--- stderr\n")
		out = append(out, exchange{strings.Replace(head, " -c LAB/m", "", 1), rc, strings.TrimPrefix(stdout, "\n"), stderr})
	}
	return out
}

// oneWord are the parts of command lines that were typed in quotes.
var oneWord = []string{"exit 3", "G@os:Debian and alpha", "G@os:Debian and ("}

func wordsOf(line string) []string {
	for _, w := range oneWord {
		line = strings.ReplaceAll(line, w, strings.ReplaceAll(w, " ", "\x00"))
	}
	words := strings.Fields(line)
	for i := range words {
		words[i] = strings.ReplaceAll(words[i], "\x00", " ")
	}
	return words
}

// deviation is where gosalt's answer is deliberately another one. What it is stands in
// testdata/salt-cli/deviations, and why also in docs/salt-differences.md.
type deviation struct {
	line   string // regexp of the command
	reason string
}

var deviations = []deviation{
	{`^salt beta test\.ping$|-G os:Debian|-L alpha,ghost`, "a missing return comes with its reason"},
	{`^salt (nomatch|alpha) test\.ping( --static| -b 1)?$`, "where no minion matches, standard error says what to do"},
	{`-C G@os:Debian and \(`, "a target that cannot be read is told, and where"},
	{`test\.echo$|sys\.doc|-d alpha`, "the texts of the documentation are our own"},
	{`test\.exception`, "an exception is its message, not a Python traceback"},
	{`--out=(key|profile|dson)`, "what an outputter cannot show is told in one line, and shown as nested"},
	{`-b xx`, "a wrong size is told without a traceback"},
	{`--progress`, "needs no Python package"},
	{`-a pam`, "who may not log in is told why, on standard error"},
	{`state\.apply (yamlerr|dup|loop)`, "what is wrong with an SLS file is told with its place"},
}

// labStates are the state files of the recorded sessions, as far as the answers tell.
var labStates = map[string]string{
	"ok":         "LAB/target.txt:\n  file.managed:\n    - contents: hello\necho hi:\n  cmd.run: []\n",
	"fail":       "bad:\n  cmd.run:\n    - name: exit 7\nafter:\n  cmd.run:\n    - name: echo after\n    - require:\n      - cmd: bad\n",
	"jinjaerr":   "a:\n  cmd.run:\n    - name: {{ nope.x.y }}\n",
	"yamlerr":    "a:\n  cmd.run:\n    - name: x\n   bad: y\n",
	"nofunc":     "a:\n  cmd.nofunc:\n    - name: x\n",
	"dup":        "a:\n  cmd.run:\n    - name: x\na:\n  cmd.run: []\n",
	"reqmissing": "a:\n  test.nop:\n    - require:\n      - cmd: missing\n",
	"loop":       "a:\n  test.nop:\n    - require:\n      - test: b\nb:\n  test.nop:\n    - require:\n      - test: a\n",
}

// TestSaltTranscripts runs every command of the transcripts of the real Salt, and
// compares output and exit code after what differs from run to run is taken out.
func TestSaltTranscripts(t *testing.T) {
	t.Parallel()
	w := testproc.New(t.TempDir(), bin)
	defer func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			for _, p := range w.Procs() {
				t.Logf("== log of %s ==\n%s", p.Name, tail(p.FullLog(), 8<<10))
			}
		}
	}()
	lab := &saltLab{t: t, w: w}
	lab.check(os.Mkdir(filepath.Join(w.Dir, "srv"), 0o755))
	for name, text := range labStates {
		lab.check(os.WriteFile(filepath.Join(w.Dir, "srv", name+".sls"), []byte(strings.ReplaceAll(text, "LAB", w.Dir)), 0o644))
	}
	lab.start("master", "timeout: 1", "gather_job_timeout: 2", "nodegroups: {g1: 'alpha,beta'}", "file_roots: {base: ['"+w.Dir+"/srv']}")
	for _, id := range []string{"alpha", "beta"} {
		lab.start(id)
		lab.await("gosalt-key", "-l", "un", "--out=txt")
	}
	seen := map[int]bool{}
	var ours strings.Builder
	for _, file := range []string{"salt-key.txt", "salt.txt", "salt-absent-minion.txt"} {
		fmt.Fprintf(&ours, "##### %s\n", file)
		for _, x := range readTranscript(t, file) {
			if file == "salt-absent-minion.txt" && strings.HasSuffix(x.line, "--static") {
				lab.check(w.Proc("beta").Pause()) // from here on it did not answer
				defer w.Proc("beta").Resume()
			}
			got := lab.run(x.line)
			if file == "salt-key.txt" && strings.HasPrefix(x.line, "salt-key -A -y") {
				lab.check(w.Proc("alpha").AwaitReady())
				lab.check(w.Proc("beta").AwaitReady())
			}
			same := x.rc == got.rc && sameOutput(x.stdout, got.stdout) && sameOutput(x.stderr, got.stderr)
			i := slices.IndexFunc(deviations, func(d deviation) bool { return regexp.MustCompile(d.line).MatchString(x.line) })
			switch {
			case !same && i < 0:
				t.Errorf("%s: %s\n== Salt: %d\n%s-- stderr\n%s== gosalt: %d\n%s-- stderr\n%s", file, x.line,
					x.rc, clean(x.stdout), clean(x.stderr), got.rc, clean(got.stdout), clean(got.stderr))
			case !same:
				seen[i] = true
				fmt.Fprintf(&ours, "=== $ %s\n--- rc=%d\n--- stdout\n%s--- stderr\n%s", x.line, got.rc, sorted(clean(got.stdout)), clean(got.stderr))
			}
		}
	}
	for i, d := range deviations {
		if !seen[i] {
			t.Errorf("no command differs any more by %q (%s): take it from the list and from docs/salt-differences.md", d.line, d.reason)
		}
	}
	golden := filepath.Join("testdata", "salt-cli", "deviations")
	if *update {
		lab.check(os.WriteFile(golden, []byte(ours.String()), 0o644))
	}
	want, err := os.ReadFile(golden)
	lab.check(err)
	if ours.String() != string(want) {
		t.Errorf("%s is not what gosalt answers where it differs from Salt; look at it, and rewrite it with -update:\n%s", golden, ours.String())
	}
}

// saltLab is the master alone with alpha and beta.
type saltLab struct {
	t *testing.T
	w *testproc.World
}

func (l *saltLab) check(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *saltLab) start(name string, lines ...string) {
	l.t.Helper()
	l.check(l.w.Configure(name, lines...))
	_, _, err := l.w.Start(name)
	l.check(err)
}

func (l *saltLab) await(args ...string) {
	l.t.Helper()
	if !testproc.Until(testproc.Patience, func() bool {
		return exec.Command(filepath.Join(plain(), args[0]), append(args[1:], "-c", filepath.Join(l.w.Dir, "master"))...).Run() == nil
	}) {
		l.t.Fatalf("%v did not succeed", args)
	}
}

// run runs a command line of Salt's with our program.
func (l *saltLab) run(line string) exchange {
	l.t.Helper()
	words := wordsOf(line)
	cmd := exec.Command(filepath.Join(plain(), "go"+words[0]), words[1:]...)
	cmd.Dir = l.w.Dir
	cmd.Env = append(os.Environ(), "SALT_CONFIG_DIR="+filepath.Join(l.w.Dir, "master"), "HOME="+l.w.Dir, "COLUMNS=80", "GOSALT_STRICT=")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	l.check(cmd.Start())
	if strings.Contains(line, "test.sleep") { // was left with Ctrl-C
		l.check(l.w.Proc("master").AwaitLog(regexp.MustCompile("job published.*fun=test.sleep")))
		l.await("gosalt-run", "jobs.list_jobs") // meanwhile it has learned the id, too
		l.check(cmd.Process.Signal(syscall.SIGINT))
	}
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		l.t.Fatal(err)
	}
	own := strings.NewReplacer(l.w.Dir, "LAB")
	return exchange{line, cmd.ProcessState.ExitCode(), own.Replace(stdout.String()), own.Replace(stderr.String())}
}

// varying is what differs from run to run, and what stands for it.
var varying = []struct {
	re *regexp.Regexp
	by string
}{
	{regexp.MustCompile(`(?s)^Usage: .*\nOptions:\n.*`), "HELP"}, // its words are our own
	{regexp.MustCompile(`(?m)^(real|user|sys)\s.*\n`), ""},
	{regexp.MustCompile(`\b([0-9a-f]{2}:){31}[0-9a-f]{2}\b`), "FINGERPRINT"},
	{regexp.MustCompile(`\b20\d{18}\b`), "JID"},
	{regexp.MustCompile(`JID\n-+\n`), "JID\n----\n"},
	{regexp.MustCompile(`\b\d\d:\d\d:\d\d(\.\d+)?\b`), "TIME"},
	{regexp.MustCompile(`TIME up .*`), "TIME up"},
	{regexp.MustCompile(`(?s)-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----`), "PEM"},
	{regexp.MustCompile(`(Duration|Total run time|Duration"): +[0-9.]+ m?s`), "$1: T"},
	{regexp.MustCompile(`("duration"|"pid"): [0-9.]+`), "$1: N"},
	{regexp.MustCompile(`\b(pid:\n\s+)\d+`), "${1}PID"},
	{regexp.MustCompile(`unavailable in \S+`), "unavailable in CONF"},
	{regexp.MustCompile(`(__pub_pid:\n\s+)\d+`), "${1}PID"},
	{regexp.MustCompile(`\bgosalt\b`), "salt"},
	{regexp.MustCompile(`\bgosalt-(run|key|call|cp)\b`), "salt-$1"},
	{regexp.MustCompile(`(?m)[ \t]+$`), ""},
}

// clean takes out what differs from run to run.
func clean(s string) string {
	for _, v := range varying {
		s = v.re.ReplaceAllString(s, v.by)
	}
	s = strings.Trim(s, "\n")
	if s != "" {
		s += "\n"
	}
	return s
}

// sameOutput compares outputs. Minions answer in any order, so blocks and batches may
// be swapped.
func sameOutput(salt, ours string) bool {
	salt, ours = clean(salt), clean(ours)
	swap := strings.NewReplacer("alpha", "beta", "beta", "alpha")
	return salt == ours || sorted(salt) == sorted(ours) || salt == swap.Replace(ours)
}

// sorted puts the blocks of minions that follow each other into the order of their ids.
func sorted(s string) string {
	head := regexp.MustCompile(`(?m)^(alpha|beta|ghost):|^\{`)
	at := head.FindAllStringIndex(s, -1)
	if len(at) < 2 {
		return s
	}
	var blocks []string
	for i, m := range at {
		end := len(s)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		blocks = append(blocks, s[m[0]:end])
	}
	last := blocks[len(blocks)-1]
	foot := "" // what follows the last block: it is not indented
	if at := regexp.MustCompile(`\n\n\S`).FindStringIndex(last); at != nil {
		blocks[len(blocks)-1], foot = last[:at[0]+1], last[at[0]+1:]
	}
	slices.Sort(blocks)
	return s[:at[0][0]] + strings.Join(blocks, "") + foot
}
