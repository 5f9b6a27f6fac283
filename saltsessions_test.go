package gosalt_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/testproc"
)

// sessionFiles are what the recorded sessions began with, below the directory LAB.
var sessionFiles = map[string]string{
	"pillar/top.sls": "base: {'*': [p]}\n",
	"pillar/p.sls":   "role: web\nnested: {a: {b: c}}\nlist: [1, 2]\n",
	"srv/ok.sls":     labStates["ok"],
	"srv/fail.sls":   labStates["fail"],
	"srv/mix.sls": "one: test.succeed_without_changes\ntwo: test.succeed_with_changes\nthree: test.fail_without_changes\nfour: test.fail_with_changes\n" +
		"five:\n  test.configurable_test_state:\n    - result: True\n    - changes: False\n    - comment: |\n        first line\n        second line\n    - warnings: careful\n",
	"srv/good.sls":   "one: test.succeed_without_changes\ntwo: test.succeed_with_changes\n",
	"srv/data.txt":   "some data\n",
	"srv/dir/a.txt":  "A\n",
	"srv/dir/b.txt":  "B\n",
	"w/src.txt":      "copy me\n",
	"w/src2.txt":     "copy me too\n",
	"w/d/x.txt":      "X\n",
	"w/sf":           "salt:\n  output: json\n  timeout: 3\nsalt-run:\n  output: yaml\nsalt-call:\n  local: True\n  config_dir: LAB/alpha\n  output: json\nsalt-key:\n  output: json\n",
	"w/badsf":        "salt:\n  nonesuch: 1\n",
	"w/yamlsf":       "salt: [\n",
	"froot/only.sls": "x: test.nop\n",
	"proot/top.sls":  "base: {'*': [q]}\n",
	"proot/q.sls":    "qq: from proot\n",
}

// sessionDeviations are where gosalt's answer to a command of a session is deliberately
// another one. What it is stands in testdata/salt-cli/sessions/deviations.
var sessionDeviations = []deviation{
	{`^salt-key --rotate-aes-key=maybe|--executor-opts='\[1\]'|--return_kwargs='text'|^salt -T alpha|--proxyid`, "a wrong value of an option is an error"},
	{`--out-file=LAB/nodir/o1`, "a file that cannot be written is told before anything is done"},
	{`--out=key`, "what an outputter cannot show is told in one line, and shown as nested"},
	{`test\.arg 1 --out=(txt|raw|pprint|newline_values_only)`, "the arguments of a runner are a list"},
	{`^salt-run (test\.sleep x|jobs\.list_jobs_filter x|network\.wollist)`, "what is wrong with an argument is told"},
	{`^salt-run pillar\.show_top`, "Salt fails where nothing else is configured"},
	{`^salt-run cache\.list$`, "a function is called by its name"},
	{`-L alpha,ghost`, "a missing return comes with its reason"},
	{`-a nosuch`, "the authentication systems are those that are there"},
	{`^salt-cp -n -C`, "Salt fails to copy in pieces that are not compressed"},
	{`exclude=True`, "Salt's outputter fails"},
	{`test\.ping,nosuch\.func`, "a function that is not there is a failure among several, too"},
	{`^salt nomatch test\.ping --subset 1`, "where no minion matches, that is said once"},
	{`--st$`, "there is one option more that begins so"},
	{`yamlsf`, "a Saltfile that cannot be read is told in one line"},
	{`--return=local`, "the keys of a return come in another order"},
}

// TestSaltSessions runs what was typed in sessions with the real Salt, all options of its
// programs among it, and compares output and exit code after what differs from run to run
// is taken out. Beside that:
//
//   - where Salt shows a traceback, only what is before it is compared;
//   - of documentation, whose words are our own, only what is before it;
//   - hints, warnings and errors that gosalt adds to standard error in lines of its own
//     are as good as silence, and so is a name that was probably meant.
func TestSaltSessions(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "salt-cli", "sessions", "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatal("no sessions", err)
	}
	seen := make([]bool, len(sessionDeviations))
	answers := map[string]string{}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		t.Run(name, func(t *testing.T) { answers[name] = runSession(t, name, seen) })
	}
	if len(answers) < len(files) {
		return // -run chose some
	}
	for i, d := range sessionDeviations {
		if !seen[i] && !t.Failed() {
			t.Errorf("no command differs any more by %q (%s): take it from the list and from docs/salt-differences.md", d.line, d.reason)
		}
	}
	var ours strings.Builder
	for _, name := range slices.Sorted(mapsKeys(answers)) {
		fmt.Fprintf(&ours, "##### %s\n%s", name, answers[name])
	}
	golden := filepath.Join("testdata", "salt-cli", "sessions", "deviations")
	if *update {
		if err := os.WriteFile(golden, []byte(ours.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(golden); err != nil || ours.String() != string(want) {
		t.Errorf("%s is not what gosalt answers where it differs from Salt (%v); look at it, and rewrite it with -update:\n%s", golden, err, ours.String())
	}
}

func mapsKeys(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// runSession runs one session and returns our answers where they differ deliberately.
func runSession(t *testing.T, name string, seen []bool) string {
	w := testproc.New(t.TempDir(), bin)
	lab := &saltLab{t: t, w: w}
	defer func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}()
	for file, text := range sessionFiles {
		lab.check(os.MkdirAll(filepath.Dir(filepath.Join(w.Dir, file)), 0o755))
		lab.check(os.WriteFile(filepath.Join(w.Dir, file), []byte(strings.ReplaceAll(text, "LAB", w.Dir)), 0o644))
	}
	lab.check(os.Mkdir(filepath.Join(w.Dir, "home"), 0o755))
	lab.start("master", "timeout: 5", "gather_job_timeout: 3", "file_roots: {base: ['"+w.Dir+"/srv']}", "pillar_roots: {base: ['"+w.Dir+"/pillar']}",
		"nodegroups: {g1: 'alpha,beta', g2: 'L@alpha', g3: [alpha, or, N@g2]}", "my: {deep: {list: [a, b]}}",
		"external_auth: {auto: {u: ['.*', '@runner', '@wheel']}}")
	for id, role := range map[string]string{"alpha": "web", "beta": "db"} {
		lab.start(id, "mine_functions: {test.ping: [], hello: [{mine_function: test.echo}, hi]}", "grains: {role: "+role+", deep: {x: {y: [1, 2]}}}")
		lab.await("gosalt-key", "-f", id)
	}
	if name != "key" {
		lab.await("gosalt-key", "-y", "-A")
		for _, id := range []string{"alpha", "beta"} {
			lab.check(w.Proc(id).AwaitReady())
		}
		lab.await("gosalt", "-L", "alpha,beta", "mine.update", "--strict")
		lab.await("gosalt", "-L", "alpha,beta", "saltutil.refresh_pillar", "--strict")
	}
	var ours strings.Builder
	for _, x := range readTranscript(t, filepath.Join("sessions", name+".txt")) {
		got := lab.session(x.line)
		same := x.rc == got.rc && likeSalt(x.stdout, got.stdout, false) && likeSalt(x.stderr, got.stderr, true)
		i := slices.IndexFunc(sessionDeviations, func(d deviation) bool { return regexp.MustCompile(d.line).MatchString(x.line) })
		switch {
		case !same && i < 0:
			t.Errorf("%s\n== Salt: %d\n%s-- stderr\n%s== gosalt: %d\n%s-- stderr\n%s", x.line,
				x.rc, cleanSession(x.stdout), cleanSession(x.stderr), got.rc, cleanSession(got.stdout), cleanSession(got.stderr))
		case !same:
			seen[i] = true
			stdout := sorted(cleanSession(got.stdout))
			if text, _, docs := strings.Cut(stdout, "\n\nUsage:\n"); docs {
				stdout = text + "\n[documentation]\n"
			}
			fmt.Fprintf(&ours, "=== $ %s\n--- rc=%d\n--- stdout\n%s--- stderr\n%s", x.line, got.rc, stdout, cleanSession(got.stderr))
		}
	}
	return ours.String()
}

// session runs one line as it was typed: words in quotes, variables before the command,
// printf into it.
func (l *saltLab) session(line string) exchange {
	l.t.Helper()
	typed := line
	var input string
	if m := regexp.MustCompile(`^printf '([^']*)' \| `).FindStringSubmatch(line); m != nil {
		text, err := strconv.Unquote(`"` + m[1] + `"`)
		l.check(err)
		input, line = text, line[len(m[0]):]
	}
	line = strings.ReplaceAll(line, "LAB/m/", "LAB/master/")
	words := shellWords(strings.ReplaceAll(line, "LAB", l.w.Dir))
	env := append(os.Environ(), "SALT_CONFIG_DIR="+filepath.Join(l.w.Dir, "master"), "HOME="+filepath.Join(l.w.Dir, "home"), "COLUMNS=80", "GOSALT_STRICT=", "SUDO_USER=")
	for ; regexp.MustCompile(`^[A-Z_]+=`).MatchString(words[0]); words = words[1:] {
		env = append(env, words[0])
	}
	program := words[0]
	if strings.HasPrefix(program, "salt") {
		program = filepath.Join(plain(), "go"+program)
	}
	cmd := exec.Command(program, words[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdin = filepath.Join(l.w.Dir, "w"), env, strings.NewReader(input)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		l.t.Fatal(err)
	}
	own := strings.NewReplacer(l.w.Dir+"/master", "LAB/m", l.w.Dir, "LAB")
	return exchange{typed, cmd.ProcessState.ExitCode(), own.Replace(stdout.String()), own.Replace(stderr.String())}
}

// shellWords are the words of a line as a shell reads it, without expansions.
func shellWords(line string) (words []string) {
	var word strings.Builder
	in, begun := rune(0), false
	for _, r := range line {
		switch {
		case in != 0 && r == in:
			in = 0
		case in == 0 && (r == '\'' || r == '"'):
			in, begun = r, true
		case in == 0 && r == ' ':
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	if begun {
		words = append(words, word.String())
	}
	return words
}

// moreVarying is what differs from run to run in sessions, beside varying.
var moreVarying = []struct {
	re *regexp.Regexp
	by string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+`), "STAMP"},
	{regexp.MustCompile(`20\d\d, \w{3} \d\d \d\d:\d\d:\d\d(\.\d+)?`), "TIME"},
	{regexp.MustCompile(`(duration:\n\s+|'duration': )[0-9.]+`), "${1}N"},
	{regexp.MustCompile(` +\d+\.\d{4} \|`), " N |"}, // set to the right: long times have fewer blanks
	{regexp.MustCompile(`"__pub_pid": \d+`), `"__pub_pid": N`},
	{regexp.MustCompile(`(m)20\d{18}(\x1b)`), "${1}JID$2"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "ADDRESS"},
	{regexp.MustCompile(`\x1b\[0;[0-9;]*m(?:Started: .*|Duration: .*|Total run time: .*)`), "T"},
}

func cleanSession(s string) string {
	if host, err := os.Hostname(); err == nil {
		s = strings.ReplaceAll(s, host+"_master", "HOST_master")
	}
	for _, v := range moreVarying {
		s = v.re.ReplaceAllString(s, v.by)
	}
	return clean(s)
}

var (
	ownLines = regexp.MustCompile(`(?m)^salt(-\w+)?: (?:(?:hint|error|warning|note):|the profile is in) .*\n?`)
	logLines = regexp.MustCompile(`(?m)^\[(ERROR|WARNING|CRITICAL) *\] .*\n(Output: .*\n|stdout: .*\n|'testing' changed .*\n)?`)
	ownHints = regexp.MustCompile(` Did you mean '[^']*'\?`)
)

// likeSalt compares one stream of a command.
func likeSalt(salt, ours string, stderr bool) bool {
	salt, ours = cleanSession(salt), cleanSession(ours)
	if before, found := strings.CutSuffix(salt, "Traceback (most recent call last)\n"); found {
		return stderr || strings.HasPrefix(ours, before) // on standard error, what is said in its place is our own
	}
	if before, found := strings.CutSuffix(salt, "\n[documentation]\n"); found {
		if strings.HasPrefix(before, "    ") { // nothing is before it
			return strings.HasPrefix(ours, "    ")
		}
		ours, _, _ = strings.Cut(ours, "\n\n")
		salt = before
	}
	for _, o := range []string{ours, ownHints.ReplaceAllString(ours, "")} {
		if sameOutput(salt, o) || sameLines(salt, o) {
			return true
		}
	}
	// The words of the log are our own.
	return stderr && (sameOutput(salt, ownLines.ReplaceAllString(ours, "")) || sameOutput(logLines.ReplaceAllString(salt, ""), logLines.ReplaceAllString(ours, "")))
}

// sameLines tells whether two texts have the same lines: the keys of maps come in any order.
func sameLines(a, b string) bool {
	la, lb := strings.Split(strings.ReplaceAll(a, ",\n", "\n"), "\n"), strings.Split(strings.ReplaceAll(b, ",\n", "\n"), "\n")
	sort.Strings(la)
	sort.Strings(lb)
	return slices.Equal(la, lb)
}
