//go:build unix

package host_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gosalt/gosalt/internal/host"
)

// drafting is set in the test binary that makes a draft and waits for its end.
const drafting = "GOSALT_TEST_DRAFTING"

// TestDraftsOfTheKilled: what a killed process leaves is cleared by the next that drafts,
// and nothing else is.
func TestDraftsOfTheKilled(t *testing.T) {
	if os.Getenv(drafting) != "" {
		var d host.Drafts
		if err := (&host.Host{}).Drafting(&d).Draft("text", func() ([]byte, error) { return nil, nil }); err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString("ready\n")
		_, _ = io.Copy(io.Discard, os.Stdin)
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		return
	}
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	there := func() (names []string) {
		entries, err := os.ReadDir(tmp)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	start := func() (cmd *exec.Cmd, stdin io.Closer, dir string) {
		before := there()
		cmd = exec.Command(self, "-test.run=^TestDraftsOfTheKilled$")
		cmd.Env = append(os.Environ(), drafting+"=1")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
			t.Fatalf("%q, %v", line, err)
		}
		for _, name := range there() {
			if !slices.Contains(before, name) {
				dir = name
			}
		}
		return cmd, in, dir
	}
	elsewhere := t.TempDir()
	if err := os.WriteFile(filepath.Join(elsewhere, "f"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, filepath.Join(tmp, "gosalt-draft-link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(tmp, "gosalt-draft-open"), 0o755); err != nil { // not made by us
		t.Fatal(err)
	}
	killed, _, gone := start()
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = killed.Wait()
	if !slices.Contains(there(), gone) {
		t.Fatalf("the killed process left nothing: %v", there())
	}
	if err := os.Symlink(elsewhere, filepath.Join(tmp, gone, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(tmp, gone, "a", "b"), 0o700); err != nil {
		t.Fatal(err)
	}
	live, stdin, kept := start()
	if slices.Contains(there(), gone) {
		t.Errorf("what the killed process left is there: %v", there())
	}
	var d host.Drafts
	if err := (&host.Host{}).Drafting(&d).Draft("text", func() ([]byte, error) { return nil, nil }); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(there(), kept) {
		t.Errorf("the drafts of a process that lives are gone: %v", there())
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	_ = stdin.Close()
	if err := live.Wait(); err != nil {
		t.Fatal(err)
	}
	if want := []string{"gosalt-draft-link", "gosalt-draft-open"}; !slices.Equal(there(), want) {
		t.Errorf("there is %v, want %v", there(), want)
	}
	if _, err := os.Stat(filepath.Join(elsewhere, "f")); err != nil {
		t.Error(err)
	}
}
