package gosalt_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/testproc"
)

// TestTour runs the commands of docs/tour.md and compares what they print with what
// stands there; -update writes it anew. testdata/tour.txt is what it is made of: text
// as it is, lines that begin with "$ " are run and shown, those with "! " only done
// (start, ready, crash, as in scenarios). /srv/lab is the test's directory.
func TestTour(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile(filepath.Join("testdata", "tour.txt"))
	if err != nil {
		t.Fatal(err)
	}
	tr := &tour{t: t, w: testproc.New(t.TempDir(), bin)}
	defer func() {
		if err := tr.w.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			for _, p := range tr.w.Procs() {
				t.Logf("== log of %s ==\n%s", p.Name, tail(p.FullLog(), 4<<10))
			}
		}
	}()
	for line := range strings.Lines(string(source)) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "$ "):
			tr.show(line[2:])
		case strings.HasPrefix(line, "! "):
			tr.do(strings.Fields(line[2:]))
		default:
			tr.close()
			tr.out.WriteString(line + "\n")
		}
	}
	tr.close()
	if tr.commands < 60 {
		t.Errorf("%d commands: at least 60 are promised", tr.commands)
	}
	page := filepath.Join("docs", "tour.md")
	if *update {
		if err := os.WriteFile(page, []byte(tr.out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	got, old := strings.Split(steady(tr.out.String()), "\n"), strings.Split(steady(string(want)), "\n")
	for i := range max(len(got), len(old)) {
		a, b := lineAt(got, i), lineAt(old, i)
		if a != b {
			t.Fatalf("%s, line %d, is not what the commands print; look, and rewrite it with -update\n  there: %s\n  now:   %s", page, i+1, b, a)
		}
	}
}

func lineAt(l []string, i int) string {
	if i < len(l) {
		return l[i]
	}
	return "(the end)"
}

// unsteady is what differs from run to run.
var unsteady = []struct {
	re *regexp.Regexp
	by string
}{
	{regexp.MustCompile(`\b([0-9a-f]{2}:){31}[0-9a-f]{2}\b`), "FINGERPRINT"},
	{regexp.MustCompile(`\b20\d{18}\b`), "JID"},
	{regexp.MustCompile(`\d{4}, \w{3} \d\d `), "DATE "},
	{regexp.MustCompile(`\b\d\d:\d\d:\d\d(\.\d+)?\b`), "TIME"},
	{regexp.MustCompile(`(Duration|Total run time): +[0-9.]+ m?s`), "$1: T"},
	{regexp.MustCompile(`pid(:\n\s+| )\d+`), "pid N"},
	{regexp.MustCompile(`:\d{4,5}\b`), ":PORT"},
	{regexp.MustCompile(`[0-9.]+ [KMGT]iB`), "SIZE"},
	{regexp.MustCompile(`\d+ of \d+ file descriptors`), "N file descriptors"},
	{regexp.MustCompile(`(?m)^(here|alpha|web.*|db1|master) +(clock|dns|disk|descriptors) .*\n( +->.*\n)?`), ""},
	{regexp.MustCompile(`(?m)^\d+ things? .*|^Nothing is wrong.*`), "SUM"},
	{regexp.MustCompile(`version \S+`), "version V"},
	{regexp.MustCompile(`up .* load average.*`), "up"},
}

func steady(s string) string {
	for _, v := range unsteady {
		s = v.re.ReplaceAllString(s, v.by)
	}
	return s
}

// tour writes the page.
type tour struct {
	t        *testing.T
	w        *testproc.World
	out      strings.Builder
	open     bool // within a block of commands
	commands int
	jid      string // the last that was printed
}

func (tr *tour) close() {
	if tr.open {
		tr.out.WriteString("```\n")
		tr.open = false
	}
}

// show runs a command line with the shell and shows it with what it prints.
func (tr *tour) show(line string) {
	tr.t.Helper()
	if !tr.open {
		tr.out.WriteString("```console\n")
		tr.open = true
	}
	tr.commands++
	run := strings.ReplaceAll(line, "$JID", tr.jid)
	cmd := exec.Command("bash", "-c", strings.ReplaceAll(run, "/srv/lab", tr.w.Dir))
	cmd.Dir = tr.w.Dir
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "SALT_CONFIG_DIR="+filepath.Join(tr.w.Dir, "master"),
		"HOME="+tr.w.Dir, "GOSALT_STRICT=", "COLUMNS=80", "LC_ALL=C.UTF-8")
	var both bytes.Buffer
	cmd.Stdout, cmd.Stderr = &both, &both
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		tr.t.Fatalf("%s: %v", line, err)
	}
	text := strings.ReplaceAll(both.String(), tr.w.Dir, "/srv/lab")
	if jid := regexp.MustCompile(`\b20\d{18}\b`).FindString(text); jid != "" {
		tr.jid = jid
	}
	fmt.Fprintf(&tr.out, "$ %s\n%s", run, text)
	if text != "" && !strings.HasSuffix(text, "\n") {
		tr.out.WriteString("\n")
	}
	if code := cmd.ProcessState.ExitCode(); code != 0 {
		fmt.Fprintf(&tr.out, "[exit code %d]\n", code)
	}
}

// do is a step that is not shown.
func (tr *tour) do(words []string) {
	tr.t.Helper()
	check := func(err error) {
		tr.t.Helper()
		if err != nil {
			tr.t.Fatalf("%v: %v", words, err)
		}
	}
	name := words[1]
	switch words[0] {
	case "start":
		lines := strings.Split(strings.ReplaceAll(strings.Join(words[2:], " "), "/srv/lab", tr.w.Dir), "; ")
		if len(words) == 2 {
			lines = nil
		}
		if lines != nil || !tr.w.Configured(name) {
			check(tr.w.Configure(name, lines...))
		}
		_, _, err := tr.w.Start(name)
		check(err)
	case "ready":
		for _, id := range words[1:] {
			check(tr.w.Proc(id).AwaitReady())
		}
	case "crash":
		tr.w.Proc(name).Kill()
		check(tr.w.Proc("master").AwaitLog(regexp.MustCompile("minion disconnected.*minion=" + name)))
	default:
		tr.t.Fatalf("no step is called %q", words[0])
	}
}
