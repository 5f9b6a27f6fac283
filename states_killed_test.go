//go:build linux

package gosalt_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestStatesKilled kills runs of states at random instants: every file is as it was or
// as it is to be, nothing else is left behind, the next run finishes the work, and the one
// after it has nothing to do.
func TestStatesKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	conf, tree := filepath.Join(dir, "conf"), filepath.Join(dir, "srv")
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const files = 40
	var sls strings.Builder
	old := strings.Repeat("old line "+strings.Repeat("x", 80)+"\n", 2000)
	fresh := strings.Repeat("a new line "+strings.Repeat("y", 100)+"\n", 2000)
	write(filepath.Join(tree, "big"), fresh)
	for i := range 30 {
		write(filepath.Join(tree, "tree", fmt.Sprint(i%5), fmt.Sprint(i)), fmt.Sprintf("file %d\n", i))
	}
	out := filepath.Join(dir, "out")
	for i := range files {
		fmt.Fprintf(&sls, "%s/f%d:\n  file.managed:\n    - source: salt://big\n    - mode: '0640'\n", out, i)
	}
	fmt.Fprintf(&sls, `
%[1]s/tree:
  file.recurse:
    - source: salt://tree
    - clean: True
%[1]s/edited:
  file.replace:
    - pattern: old
    - repl: new
    - backup: False
%[1]s/added:
  file.append:
    - text: the last line
%[1]s/link:
  file.symlink:
    - target: f1
    - force: True
%[1]s/gone:
  file.absent: []
`, out)
	write(filepath.Join(tree, "all.sls"), sls.String())
	write(filepath.Join(conf, "minion"), fmt.Sprintf("id: m1\nfile_client: local\nroot_dir: %s\nfile_roots: {base: [%s]}\n", filepath.Join(dir, "root"), tree))

	prepare := func() {
		t.Helper()
		if err := os.RemoveAll(out); err != nil {
			t.Fatal(err)
		}
		for i := range files {
			write(filepath.Join(out, fmt.Sprintf("f%d", i)), old)
		}
		write(filepath.Join(out, "edited"), old)
		write(filepath.Join(out, "added"), "first\n")
		write(filepath.Join(out, "link"), "a file\n")
		write(filepath.Join(out, "gone/a/b"), "x\n")
		write(filepath.Join(out, "tree/0/stray"), "x\n")
	}
	apply := func() *exec.Cmd {
		cmd := exec.Command(filepath.Join(plain(), "gosalt-call"), "-c", conf, "--retcode-passthrough", "--out", "json", "state.apply", "all")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		return cmd
	}
	// changed are the ids of what a run has changed.
	changed := func() (ids []string) {
		t.Helper()
		b, err := apply().Output()
		if err != nil {
			t.Fatalf("state.apply: %v\n%s", err, b)
		}
		var doc struct {
			Local map[string]struct {
				ID      string          `json:"__id__"`
				Changes json.RawMessage `json:"changes"`
			} `json:"local"`
		}
		if err := json.Unmarshal(b, &doc); err != nil {
			t.Fatal(err)
		}
		for _, s := range doc.Local {
			if string(s.Changes) != "{}" {
				ids = append(ids, s.ID)
			}
		}
		return ids
	}
	prepare()
	began := time.Now()
	if len(changed()) != files+5 {
		t.Fatal("the first run does not change everything")
	}
	whole := time.Since(began)

	known := map[string][]string{"edited": {old, strings.ReplaceAll(old, "old", "new")}, "added": {"first\n", "first\nthe last line\n"}}
	for i := range files {
		known[fmt.Sprintf("f%d", i)] = []string{old, fresh}
	}
	for round := range 20 {
		prepare()
		cmd := apply()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		after := time.Duration(rand.Int64N(int64(whole)))
		timer := time.AfterFunc(after, func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
		cmd.Wait()
		timer.Stop()
		for name, wanted := range known {
			b, err := os.ReadFile(filepath.Join(out, name))
			if err != nil {
				t.Fatalf("round %d, killed after %v: %v", round, after, err)
			}
			whole := false
			for _, w := range wanted {
				whole = whole || bytes.Equal(b, []byte(w))
			}
			if !whole {
				t.Errorf("round %d, killed after %v: %s is neither old nor new: %d bytes", round, after, name, len(b))
			}
		}
		changed()
		if again := changed(); len(again) > 0 {
			t.Errorf("round %d, killed after %v: a third run still changes %v", round, after, again)
		}
		entries, err := os.ReadDir(out)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if known[e.Name()] == nil && e.Name() != "tree" && e.Name() != "link" {
				t.Errorf("round %d, killed after %v: %s is left behind", round, after, e.Name())
			}
		}
	}
}
