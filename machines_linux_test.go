package gosalt_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/testmachine"
	"github.com/gosalt/gosalt/internal/testproc"
	"github.com/pmezard/go-difflib/difflib"
	"go.yaml.in/yaml/v4"
)

// TestMachines does what testdata/machine/*.yaml says in throw-away machines, with
// gosalt-call, and compares with what the real Salt returned for the same (*.json beside
// it). Where SALT_TREES names Salt 3006, a second machine has that at the same time: then
// what both answer is compared at once, and in the end all files of the two. -update
// records Salt's answers. What a tree tells with test=True is held to what it then does
// (foretold).
//
// A scenario is a list of steps, one after the other in one machine:
//
//	systemd: true           # the machine runs systemd
//	needs: [dnf]            # programs without which the scenario is passed over
//	minion: {grains: {}}    # further options of both minions
//	any: true               # the answers do not depend on which Debian this is
//	tree: tree              # a directory beside the file: states/ and pillar/ of the machine
//	quick: true             # Salt runs the SLS with what it has loaded: without include and new grains
//	ignore: [/var/log]      # files that may differ afterwards
//	unheld: why             # what test=True tells is not held to what the run does
//	mask: {RE: TEXT}        # what differs from run to run in answers
//	steps:
//	- run: systemctl stop x                        # a shell script that prepares something
//	- state: {fun: service.running, name: x}       # one state, as state.low has it
//	  test: true
//	- sls: "a:\n  service.running: []\n"          # state.apply of an SLS file
//	- highstate: true                              # state.apply of the tree's top file
//	- call: [service.status, x]                    # an execution function
//	  kw: {sig: y}
//	- cycle: true                                  # with a state or an SLS: test=True, for real, again, and again test=True
//	- files: [/srv/t, /etc/hosts]                  # all there is below: kind, mode, owner, contents
//	- live: true                                   # with a step: only beside Salt, as it tells of the system around
//	- differs: why                                 # with a step: gosalt's answer is its own, in gosalt:
//	  gosalt: "…"
//	- apart: {TAG: why}                            # with a step: results of single states that are gosalt's own
//	- planned: {TAG: why}                          # with a step: as apart, of what test=True tells alone
//	- unforeseen: {TAG: why}                       # with a step: states whose end test=True cannot know; of one state by its function
func TestMachines(t *testing.T) {
	t.Parallel()
	testmachine.Need(t)
	files, err := filepath.Glob("testdata/machine/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	// The longest begin first, so that none runs alone in the end.
	longest := []string{"pip", "pkgargs", "serviceargs", "gitargs", "git", "pkg"}
	name := func(file string) string { return strings.TrimSuffix(filepath.Base(file), ".yaml") }
	slices.SortStableFunc(files, func(a, b string) int {
		rank := func(file string) int { return slices.Index(append(slices.Clone(longest), name(file)), name(file)) }
		return rank(a) - rank(b)
	})
	for _, file := range files {
		t.Run(name(file), func(t *testing.T) {
			t.Parallel()
			runMachine(t, file)
		})
	}
}

type machineStep struct {
	Run     string         `yaml:"run"`
	State   map[string]any `yaml:"state"`
	SLS     string         `yaml:"sls"`
	High    bool           `yaml:"highstate"`
	Call    []any          `yaml:"call"`
	KW      map[string]any `yaml:"kw"`
	Test    bool           `yaml:"test"`
	Cycle   bool           `yaml:"cycle"`
	Files   []string       `yaml:"files"`
	Live    bool           `yaml:"live"`
	Differs string         `yaml:"differs"`
	Gosalt  any            `yaml:"gosalt"`
	// Apart are tags of states whose results are gosalt's own, with the reason.
	Apart map[string]string `yaml:"apart"`
	// Planned are those of which only what test=True tells is, "archive_*" for all of a module.
	Planned map[string]string `yaml:"planned"`
	// Unforeseen are tags of states whose end test=True cannot tell, with the reason.
	Unforeseen map[string]string `yaml:"unforeseen"`
}

type machineScenario struct {
	Systemd bool              `yaml:"systemd"`
	Needs   []string          `yaml:"needs"`
	Minion  map[string]any    `yaml:"minion"`
	Any     bool              `yaml:"any"`
	Tree    string            `yaml:"tree"`
	Quick   bool              `yaml:"quick"`
	Ignore  []string          `yaml:"ignore"`
	Mask    map[string]string `yaml:"mask"`
	// Unheld says why what test=True tells is not held to what the run does.
	Unheld string        `yaml:"unheld"`
	Steps  []machineStep `yaml:"steps"`

	tell     func(machineStep, json.RawMessage) // is told of gosalt's answers; may be nil
	foretold bool                               // plans have to tell each failure
	reload   bool                               // Salt finds modules whose programs a state has installed
	bind     map[string]string                  // directories, and where they are seen in the machines
}

func (s *machineStep) label() string {
	b, _ := json.Marshal(map[string]any{"state": s.State, "sls": s.SLS, "highstate": s.High, "call": s.Call, "kw": s.KW, "test": s.Test, "files": s.Files})
	return string(b)
}

// cycled is a scenario's steps with four for each that is gone through whole.
func cycled(steps []machineStep) (all []machineStep) {
	for _, s := range steps {
		if !s.Cycle {
			all = append(all, s)
			continue
		}
		for _, test := range []bool{true, false, false, true} {
			s.Test = test
			all = append(all, s)
		}
	}
	return all
}

func runMachine(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var sc machineScenario
	if err := yaml.Unmarshal(text, &sc); err != nil {
		t.Fatal(err)
	}
	if sc.Tree != "" {
		sc.Tree = filepath.Join(filepath.Dir(file), sc.Tree)
	}
	runScenario(t, sc, strings.TrimSuffix(file, ".yaml")+".json")
}

// runScenario does a scenario, beside Salt or with its answers in the recording.
func runScenario(t *testing.T, sc machineScenario, recording string) {
	var recorded struct {
		System  string
		Answers []json.RawMessage
	}
	salt := salt3006()
	if b, err := os.ReadFile(recording); err == nil {
		if err := json.Unmarshal(b, &recorded); err != nil {
			t.Fatal(err)
		}
	}
	system := debian(t)
	if salt == nil && recorded.System != system && !sc.Any {
		t.Skipf("the recording is of %s, this is %s: programs word their messages otherwise", recorded.System, system)
	}
	bind := map[string]string{plain(): "/opt/gosalt"}
	maps.Copy(bind, sc.bind)
	m := testmachine.New(t, testmachine.Options{Name: "machine", Systemd: sc.Systemd, Bind: bind})
	ours := &machineSide{t: t, m: m}
	for _, prog := range sc.Needs {
		if m.Try("", "sh", "-c", "command -v "+prog).Code != 0 {
			t.Skipf("%s is not installed here", prog)
		}
	}
	ours.prepare(sc)
	var theirs *saltSide
	if salt != nil {
		theirs = startSalt(t, salt, sc)
	}
	answered := 0
	var answers []json.RawMessage
	plans := foreteller{t: t, ours: ours, off: sc.Unheld != "", all: sc.foretold || *foretell}
	defer plans.end()
	for i, step := range cycled(sc.Steps) {
		if step.Run != "" {
			plans.forget()
			ours.shell(step.Run)
			if theirs != nil {
				theirs.shell(step.Run)
			}
			continue
		}
		if step.Live && theirs == nil {
			continue // the answer is of what else is installed
		}
		var want json.RawMessage
		asked := make(chan struct{})
		if theirs != nil {
			go func() {
				defer close(asked)
				want = theirs.ask(step)
			}()
		}
		plans.before(step)
		got := ours.ask(step)
		plans.after(i, step)
		switch {
		case theirs != nil:
			<-asked
		case answered < len(recorded.Answers):
			want = recorded.Answers[answered]
		default:
			t.Fatalf("step %d has no recording: run with SALT_TREES and -update", i)
		}
		if !step.Live {
			answered++
			answers = append(answers, want)
		}
		if step.Differs != "" {
			want, _ = json.Marshal(step.Gosalt)
		}
		if step.Test && len(step.Planned) > 0 {
			got, want = without(t, got, step.Planned), without(t, want, step.Planned)
		}
		if len(step.Apart) > 0 {
			got, want = without(t, got, step.Apart), without(t, want, step.Apart)
		}
		if sc.tell != nil {
			sc.tell(step, got)
		}
		if g, w := pretty(t, got, sc.Mask), pretty(t, want, sc.Mask); g != w {
			g, w = onlyDiffering(t, got, want, sc.Mask)
			diff, _ := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{A: difflib.SplitLines(w), B: difflib.SplitLines(g), FromFile: "Salt", ToFile: "gosalt", Context: 100})
			t.Errorf("step %d: %s\n%s", i, step.label(), diff)
		}
	}
	if theirs == nil {
		return
	}
	for _, d := range testmachine.Diff(m, theirs.m, append(sc.Ignore, "/etc/salt", "/var/cache/salt", "/var/log", "/root/.cache", "/root/.ansible", "/var/run/salt", "/srv", "/var/lib/systemd", "/opt", "/var/lib/salt")...) {
		if len(d) > 2000 {
			d = d[:2000]
		}
		t.Errorf("the machines %s", d)
	}
	if *update && !t.Failed() {
		recorded.System, recorded.Answers = system, answers
		b, err := json.MarshalIndent(recorded, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(recording, append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// without are the results of a run but those of some tags.
func without(t *testing.T, raw json.RawMessage, tags map[string]string) json.RawMessage {
	var all map[string]any
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	for tag := range tags {
		delete(all, tag)
		if begin, ok := strings.CutSuffix(tag, "*"); ok {
			maps.DeleteFunc(all, func(k string, _ any) bool { return strings.HasPrefix(k, begin) })
		}
	}
	return json.RawMessage(mustJSON(all))
}

// debian is the system's name and version: "debian 12".
func debian(t *testing.T) string {
	b, err := os.ReadFile("/etc/os-release")
	if err != nil {
		t.Skip(err)
	}
	value := func(key string) string {
		m := regexp.MustCompile(`(?m)^` + key + `="?([^"\n]*)`).FindSubmatch(b)
		if m == nil {
			return ""
		}
		return string(m[1])
	}
	return value("ID") + " " + value("VERSION_ID")
}

// pretty is an answer in a form that can be compared line by line.
func pretty(t *testing.T, raw json.RawMessage, masks map[string]string) string {
	text := traceback.ReplaceAllString(string(raw), `$1"`)
	for re, to := range masks {
		text = regexp.MustCompile(re).ReplaceAllString(text, to)
	}
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	b, err := json.MarshalIndent(inOrder(v), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), `\n`, "\n     ") + "\n"
}

// inOrder is an answer whose lists of files, which Salt has in the order of the disk, are
// in that of the alphabet.
func inOrder(v any) any {
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	for k, e := range m {
		switch e := e.(type) {
		case map[string]any:
			m[k] = inOrder(e)
		case []any:
			if k == "removed" {
				slices.SortFunc(e, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
			}
		case string:
			if blocks := strings.Split(e, "\n#### "); k == "comment" && len(blocks) > 1 && strings.HasPrefix(e, "#### ") {
				blocks[0] = strings.TrimPrefix(blocks[0], "#### ")
				for i := range blocks {
					blocks[i] = strings.TrimSpace(blocks[i])
				}
				slices.Sort(blocks)
				m[k] = "#### " + strings.Join(blocks, "\n#### ")
				continue
			}
			if head, rest, ok := strings.Cut(e, "\n"); k == "comment" && ok && head == "The following files will be changed:" {
				lines := strings.Split(rest, "\n")
				slices.Sort(lines)
				m[k] = head + "\n" + strings.Join(lines, "\n")
			}
		}
	}
	return v
}

// onlyDiffering are two answers without the states whose results are the same.
func onlyDiffering(t *testing.T, got, want json.RawMessage, masks map[string]string) (string, string) {
	var g, w map[string]json.RawMessage
	if json.Unmarshal(got, &g) == nil && json.Unmarshal(want, &w) == nil {
		for tag, r := range g {
			if other, ok := w[tag]; ok && strings.Contains(tag, "_|-") && pretty(t, r, masks) == pretty(t, other, masks) {
				delete(g, tag)
				delete(w, tag)
			}
		}
		got, want = json.RawMessage(mustJSON(g)), json.RawMessage(mustJSON(w))
	}
	return pretty(t, got, masks), pretty(t, want, masks)
}

// traceback is how Salt tells of an exception in a state; gosalt tells what it says.
var traceback = regexp.MustCompile(`An exception occurred in this state: Traceback [^"]*(?:\\"[^"]*)*\\n[\w.]+(?:Error|Exception): ((?:[^"\\]|\\[^n])*)\\n"`)

// machineSide is the machine with gosalt.
type machineSide struct {
	t    *testing.T
	m    *testmachine.Machine
	last json.RawMessage // what the last run returned, whole
}

func (s *machineSide) prepare(sc machineScenario) {
	options, tree := sc.Minion, sc.Tree
	conf := "id: machine\nfile_client: local\n"
	if len(options) > 0 {
		b, err := yaml.Marshal(options)
		if err != nil {
			s.t.Fatal(err)
		}
		conf += string(b)
	}
	s.m.Write("/etc/salt/minion", conf)
	s.m.Write("/srv/salt/empty.sls", "{}\n")
	for _, dir := range [][2]string{{"states", "/srv/salt"}, {"pillar", "/srv/pillar"}} {
		if tree == "" {
			break
		}
		from := filepath.Join(tree, dir[0])
		if err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			s.m.Write(filepath.Join(dir[1], strings.TrimPrefix(path, from)), string(b))
			return err
		}); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *machineSide) shell(script string) {
	s.t.Helper()
	s.m.Run("sh", "-ec", script)
}

// listing prints a line for all that is below the arguments.
const listing = `for p; do find "$p" -print0; done | sort -z | xargs -0r stat -c '%n %F %a %U:%G %h' | sed 's/ regular empty file / regular file /'
for p; do find "$p" -type l -printf '%p -> %l\n'; find "$p" -type f -print0 | xargs -0r sha256sum; done | sort`

// files are the lines of a listing.
func (s *machineSide) files(paths []string) json.RawMessage {
	s.t.Helper()
	out := s.m.Run(append([]string{"sh", "-c", listing, "sh"}, paths...)...)
	return json.RawMessage(mustJSON(strings.Split(strings.TrimSpace(out), "\n")))
}

func (s *machineSide) ask(step machineStep) json.RawMessage {
	s.t.Helper()
	if step.Files != nil {
		return s.files(step.Files)
	}
	args := []string{"/opt/gosalt/gosalt-call", "--local", "--out=json", "-l", "quiet"}
	test := fmt.Sprintf("test=%v", step.Test)
	switch {
	case step.State != nil:
		args = append(args, "state.low", mustJSON(low(step)), test)
	case step.SLS != "":
		s.m.Write("/srv/salt/step.sls", step.SLS)
		args = append(args, "state.apply", "step", test)
	case step.High:
		args = append(args, "state.apply", test)
	default:
		for i, a := range step.Call {
			if text, ok := a.(string); ok {
				if i > 0 && (text == "" || text[0] >= '0' && text[0] <= '9') {
					text = mustJSON(text) // or it is a number
				}
				args = append(args, text)
			} else {
				args = append(args, mustJSON(a))
			}
		}
		for _, k := range slices.Sorted(maps.Keys(step.KW)) { // as Salt was given them: some functions go by the order
			v := step.KW[k]
			if text, ok := v.(string); ok && text != "" && !strings.EqualFold(text, "true") && (text[0] < '0' || text[0] > '9') {
				args = append(args, k+"="+text)
			} else {
				args = append(args, k+"="+mustJSON(v))
			}
		}
	}
	r := s.m.Try("", args...)
	var out struct {
		Local json.RawMessage `json:"local"`
	}
	if err := json.Unmarshal([]byte(r.Stdout), &out); err != nil {
		msg := strings.TrimSpace(r.Stderr)
		s.last = nil
		msg = regexp.MustCompile(`(?s)^(Error running '[^']*': |\[ERROR *\] |Passed invalid arguments: (.*?)\.\n\nUsage:.*)`).ReplaceAllString(msg, "$2")
		return json.RawMessage(mustJSON(map[string]any{"error": msg}))
	}
	s.last = out.Local
	if step.Call == nil {
		return json.RawMessage(mustJSON(essence(out.Local)))
	}
	return out.Local
}

func low(step machineStep) map[string]any {
	m := map[string]any{"__id__": "step", "__sls__": "step", "__env__": "base", "order": 10000}
	for k, v := range step.State {
		m[k] = v
	}
	mod, fun, _ := strings.Cut(fmt.Sprint(step.State["fun"]), ".")
	m["state"], m["fun"] = mod, fun
	return m
}

// essence is what of a state's result, or of those of a run, is compared.
func essence(raw json.RawMessage) any {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return string(raw)
	}
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	if _, one := m["changes"]; one {
		return state(m)
	}
	out := map[string]any{}
	for tag, r := range m {
		if res, ok := r.(map[string]any); ok {
			out[tag] = state(res)
		} else {
			out[tag] = r
		}
	}
	return out
}

func state(m map[string]any) map[string]any {
	out := map[string]any{}
	for _, k := range []string{"name", "result", "comment", "changes", "warnings"} {
		if v, ok := m[k]; ok && (k != "warnings" || len(v.([]any)) > 0) {
			out[k] = v
		}
	}
	return out
}

func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// saltSide is the machine with the real Salt: one process that has it loaded, and a
// copy of it for each step, since each is a salt-call of its own.
type saltSide struct {
	machineSide
	in    io.Writer
	out   *bufio.Reader
	quick bool
}

const saltDriver = `
import copy, json, os, sys, traceback
sys.argv = ['salt-call']
sys.modules['aptsources'] = None  # Salt's own reader of sources.list, which knows signed-by
out = os.fdopen(os.dup(1), 'w')
os.dup2(2, 1)
import salt.config, salt.loader, salt.minion, salt.state, salt.template, salt.utils.json
opts = salt.config.minion_config('/etc/salt/minion')
opts['file_client'] = 'local'
if not os.environ.get('RELOAD'):
    salt.state.State.module_refresh = lambda self: None  # modules are loaded anew after each package: minutes of it
m = salt.minion.SMinion(opts)
list(m.functions)
states = {}
for test in (False, True):
    o = copy.deepcopy(m.opts)
    o['test'] = test
    states[test] = salt.state.State(o)
    list(states[test].functions), list(states[test].states)  # asking for a function that is not there loads all
def quick(st):
    o = st.opts
    high = salt.template.compile_template('/srv/salt/step.sls', st.rend, o['renderer'], o['renderer_blacklist'], o['renderer_whitelist'], saltenv='base', sls='step')
    n = 10000
    for name, body in high.items():
        for key in list(body):
            mod, _, fun = key.partition('.')
            if fun:
                body[mod] = [fun] + body.pop(key)
            body[mod].append({'order': n})
            n += 1
        body['__sls__'], body['__env__'] = 'step', 'base'
    return st.call_high(high)

for line in sys.stdin:
    step = json.loads(line)
    out.flush()
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        continue
    try:
        try:
            if 'low' in step:
                v = states[step['test']].call(step['low'])
            elif step.get('quick'):
                v = quick(states[step['test']])
            else:
                if step['fun'] == 'state.apply':  # each run begins with the grains that there are
                    fresh = salt.config.minion_config('/etc/salt/minion')
                    fresh['file_client'] = 'local'
                    m = salt.minion.SMinion(fresh)
                v = m.functions[step['fun']](*step['args'], **step['kw'])
        except Exception as e:
            traceback.print_exc()
            v = {'error': str(e)}
        line = salt.utils.json.dumps(v, default=lambda o: sorted(o) if isinstance(o, set) else str(o))
        out.write(line + '\n')
        out.flush()
    finally:
        os._exit(0)
`

// salt3006 is the Salt of version 3006 that SALT_TREES names, nil for none.
func salt3006() *testproc.Salt {
	for _, s := range testproc.Salts() {
		if strings.HasPrefix(s.Version, "3006") {
			return &s
		}
	}
	return nil
}

func startSalt(t *testing.T, salt *testproc.Salt, sc machineScenario) *saltSide {
	bind := map[string]string{salt.Tree(): "/opt/salt"}
	maps.Copy(bind, sc.bind)
	if shim := os.Getenv("SALT_SHIM"); shim != "" {
		bind[shim] = "/opt/shim"
	}
	m := testmachine.New(t, testmachine.Options{Name: "machine", Systemd: sc.Systemd, Bind: bind})
	s := &saltSide{machineSide: machineSide{t: t, m: m}, quick: sc.Quick}
	s.prepare(sc)
	m.Write("/opt/driver.py", saltDriver)
	cmd := m.Command("/usr/bin/python3", "-W", "ignore", "/opt/driver.py")
	cmd.Env = append(cmd.Env, "PYTHONPATH=/opt/salt:/opt/shim", "PYTHONDONTWRITEBYTECODE=1")
	if sc.reload {
		cmd.Env = append(cmd.Env, "RELOAD=1")
	}
	var err error
	if s.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.out = bufio.NewReader(out)
	log, err := os.Create(filepath.Join(t.TempDir(), "salt.log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.in.(io.Closer).Close()
		if err := cmd.Wait(); err != nil && !isExit(err) {
			t.Error(err)
		}
		if b, err := os.ReadFile(log.Name()); err == nil && testing.Verbose() {
			if len(b) > 20000 {
				b = b[len(b)-20000:]
			}
			t.Logf("Salt's log:\n%s", b)
		}
	})
	return s
}

func isExit(err error) bool {
	_, ok := err.(*exec.ExitError)
	return ok
}

func (s *saltSide) ask(step machineStep) json.RawMessage {
	s.t.Helper()
	if step.Files != nil {
		return s.files(step.Files)
	}
	ask := map[string]any{"args": []any{}, "kw": map[string]any{"test": step.Test}}
	switch {
	case step.State != nil:
		ask["low"], ask["test"] = low(step), step.Test
	case step.SLS != "":
		s.m.Write("/srv/salt/step.sls", step.SLS)
		ask["fun"], ask["args"], ask["test"], ask["quick"] = "state.apply", []any{"step"}, step.Test, s.quick
	case step.High:
		ask["fun"] = "state.apply"
	default:
		ask["fun"], ask["args"], ask["kw"] = step.Call[0], step.Call[1:], map[string]any{}
		if step.KW != nil {
			ask["kw"] = step.KW
		}
	}
	fmt.Fprintln(s.in, mustJSON(ask))
	line, err := s.out.ReadString('\n')
	if err != nil {
		s.t.Errorf("Salt's process ended: %v", err)
		line = "null"
	}
	if step.Call == nil {
		return json.RawMessage(mustJSON(essence(json.RawMessage(line))))
	}
	return json.RawMessage(line)
}
