package modules_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gosalt/gosalt/internal/fileclient"
	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/testmachine"
	"github.com/gosalt/gosalt/protocol/wire"
)

// systemRecording are states as Salt 3006.18 ran them, one after the other, in a
// throw-away Debian 12: under test=True, for real, again, and again under test=True.
type systemRecording struct {
	SRV       map[string]string
	Scenarios []struct {
		Name    string
		Prepare string   // a shell script that is run before
		Watch   []string // files whose lines are compared
		Steps   []struct {
			Low, Test, Real, Again, AgainTest json.RawMessage
			Diff                              map[string]lineDiff // what the run did to the files
			Differs                           map[string]string   // parts where gosalt differs, and why
		}
	}
}

type lineDiff struct{ Added, Removed []string }

// inMachine is set in the test binary that runs in a machine.
const inMachine = "GOSALT_TEST_IN_MACHINE"

// TestRecordedSystem holds states that change accounts and other files of the system to
// what Salt did with the same, in a machine of their own.
func TestRecordedSystem(t *testing.T) {
	recordings, err := filepath.Glob("testdata/system/*.json")
	if err != nil || len(recordings) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	if name := os.Getenv(inMachine); name != "" {
		replay(t, name)
		return
	}
	testmachine.Need(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range recordings {
		name := filepath.Base(r)
		t.Run(strings.TrimSuffix(name, ".json"), func(t *testing.T) {
			if *only != "" && !strings.Contains(*only, strings.TrimSuffix(name, ".json")) {
				t.Skip()
			}
			m := testmachine.New(t, testmachine.Options{Bind: map[string]string{self: "/srv/test/modules.test", data: "/srv/test/testdata"}})
			res := m.Try("", "sh", "-c", "cd /srv/test && "+inMachine+"="+name+" exec ./modules.test -test.run='^TestRecordedSystem$'")
			if res.Code != 0 {
				t.Errorf("%s%s", res.Stdout, res.Stderr)
			}
		})
	}
}

// replay runs the steps of a recording on this machine.
func replay(t *testing.T, name string) {
	b, err := os.ReadFile("testdata/system/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var rec systemRecording
	if err := json.Unmarshal(b, &rec); err != nil {
		t.Fatal(err)
	}
	t.Chdir("/root")
	unix.Umask(0o022)
	base := "/srv/rec"
	for name, text := range rec.SRV {
		path := filepath.Join(base, "srv", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cache := filepath.Join(base, "root/var/cache/salt/minion")
	fc := fileclient.NewDirs(map[string][]string{"base": {base + "/srv"}}, cache)
	grains := wire.NewMap("os", "Debian", "os_family", "Debian", "kernel", "Linux", "shell", "/bin/bash")
	for _, sc := range rec.Scenarios {
		if out, err := exec.Command("sh", "-c", sc.Prepare).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", sc.Name, err, out)
		}
		for i, step := range sc.Steps {
			t.Run(fmt.Sprintf("%s/%d", sc.Name, i), func(t *testing.T) {
				low := readJSON(t, string(step.Low)).(*wire.Map)
				mod, fun, _ := strings.Cut(low.Text("fun"), ".")
				m := &stateMachine{dir: "/nowhere", base: base}
				m.call = module.Call{Job: &module.Job{Pub: wire.NewMap()}, CacheDir: cache, FileServer: fc, Host: &host.Host{},
					Files:  &fileclient.Fetcher{Client: fc, Cache: fileclient.Cache{Dir: cache}},
					Opts:   wire.NewMap("hash_type", "sha256", "user", "root", "cachedir", cache),
					Grains: func() *wire.Map { return grains }}
				m.low = wire.NewMap("state", mod, "fun", fun, "__id__", "id", "__sls__", "s", "__env__", "base", "order", int64(1))
				for k, v := range low.Strings() {
					if k != "fun" {
						m.low.Set(k, v)
					}
				}
				compare := func(part string, test bool, want json.RawMessage) (got any) {
					got = dated(m.told(m.run(t, test)))
					if _, differs := step.Differs[part]; differs {
						return got
					}
					if w := m.told(readJSON(t, string(want))); !same(got, w) {
						t.Errorf("%s %s\ngot  %s\nSalt %s", part, pytext.Repr(low), pytext.Repr(got), pytext.Repr(w))
					}
					return got
				}
				foretold := func(part string, plan, done any) {
					if _, differs := step.Differs[part]; lie(plan, done) && !differs {
						t.Errorf("%s %s\nforetold %s\ndone     %s", part, pytext.Repr(low), pytext.Repr(plan), pytext.Repr(done))
					}
				}
				before := watched(sc.Watch)
				plan := compare("test", true, step.Test)
				if d := changed(before, watched(sc.Watch)); len(d) > 0 {
					t.Errorf("%s: test=True changed the machine: %v", pytext.Repr(low), d)
				}
				foretold("foretold", plan, compare("real", false, step.Real))
				got := changed(before, watched(sc.Watch))
				if _, differs := step.Differs["after"]; !differs {
					for _, path := range sc.Watch {
						if g, w := got[path], step.Diff[path]; !slices.Equal(g.Added, w.Added) || !slices.Equal(g.Removed, w.Removed) {
							t.Errorf("%s %s\ngot  %q\nSalt %q", pytext.Repr(low), path, g, w)
						}
					}
				}
				done := compare("again", false, step.Again)
				plan = compare("again test", true, step.AgainTest)
				if done.(*wire.Map).Map("changes").Len() > 0 { // the machine is another one now
					done = m.told(m.run(t, false))
				}
				foretold("foretold again", plan, done)
			})
		}
	}
}

var epochDay = strconv.FormatInt(time.Now().Unix()/86400, 10)

// dated is a result with TODAY in the place of the day's number.
func dated(v any) any {
	switch v := v.(type) {
	case int64:
		if strconv.FormatInt(v, 10) == epochDay {
			return "TODAY"
		}
	case []any:
		for i := range v {
			v[i] = dated(v[i])
		}
	case *wire.Map:
		for k, e := range v.Clone().All() {
			v.SetAny(k, dated(e))
		}
	}
	return v
}

// watched are the lines of files, the first is owner and mode.
func watched(paths []string) map[string][]string {
	out := map[string][]string{}
	for _, p := range paths {
		var st unix.Stat_t
		if unix.Lstat(p, &st) != nil {
			out[p] = []string{"nothing"}
			continue
		}
		out[p] = []string{fmt.Sprintf("%o %d:%d", st.Mode&0o7777, st.Uid, st.Gid)}
		if b, err := os.ReadFile(p); err == nil && len(b) > 0 {
			for l := range strings.Lines(string(b)) {
				if l = strings.TrimSuffix(l, "\n"); !strings.HasPrefix(l, "# (") || !strings.Contains(l, " installed on ") {
					out[p] = append(out[p], l)
				}
			}
		}
		if strings.HasPrefix(p, "/var/spool/cron/") { // its group has another number on each machine
			out[p] = out[p][1:]
		}
	}
	return out
}

func changed(before, after map[string][]string) map[string]lineDiff {
	out := map[string]lineDiff{}
	day := regexp.MustCompile(":" + epochDay + ":")
	lines := func(from, in []string) []string {
		var l []string
		for _, s := range from {
			if !slices.Contains(in, s) {
				l = append(l, day.ReplaceAllString(s, ":TODAY:"))
			}
		}
		return l
	}
	for p := range before {
		if d := (lineDiff{lines(after[p], before[p]), lines(before[p], after[p])}); d.Added != nil || d.Removed != nil {
			out[p] = d
		}
	}
	return out
}
