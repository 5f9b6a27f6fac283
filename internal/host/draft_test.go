//go:build unix

package host_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/gosalt/gosalt/internal/host"
)

// TestRehearse: what is rehearsed changes drafts, and nothing else whatever is asked for.
func TestRehearse(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", t.TempDir())
	file, other := filepath.Join(dir, "file"), filepath.Join(dir, "other")
	for _, f := range []string{file, other} {
		if err := os.WriteFile(f, []byte("old"), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	var d host.Drafts
	h := (&host.Host{}).Drafting(&d)
	for _, f := range []string{file, filepath.Join(dir, "fresh")} {
		if err := h.Draft(f, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Draft("name of its own", func() ([]byte, error) { return []byte("text"), nil }); err != nil {
		t.Fatal(err)
	}
	write := func(w io.Writer) error { _, err := io.WriteString(w, "new"); return err }
	h.Rehearse(func() {
		for what, err := range map[string]error{
			"write a draft":   h.WriteFile(file, []byte("new")),
			"write a new one": h.Replace(filepath.Join(dir, "fresh"), host.Keep, -1, write),
			"replace":         h.Replace(other, host.Keep, -1, write),
			"write":           h.WriteFile(other, []byte("new")),
			"rewrite":         h.Rewrite(other, []byte("new")),
			"copy":            h.CopyFile(file, filepath.Join(dir, "copy"), true),
			"make a dir":      h.MakeDirs(filepath.Join(dir, "a", "b"), host.Keep, -1),
			"mode":            h.SetMode(other, 0o777),
			"remove":          h.Remove(other),
			"unlink":          h.Unlink(other),
			"rename":          h.Rename(other, filepath.Join(dir, "renamed")),
			"link":            h.Symlink(other, filepath.Join(dir, "link"), true),
		} {
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		if _, err := h.Run(context.Background(), host.Command{Args: []string{"touch", filepath.Join(dir, "touched")}}); err == nil {
			t.Error("a program is started")
		}
		if _, err := h.OpenFile(other, os.O_WRONLY|os.O_TRUNC, 0o600); err == nil {
			t.Error("a file is opened to be written")
		}
	})
	for name, want := range map[string]string{file: "new", filepath.Join(dir, "fresh"): "new", "name of its own": "text", other: "old"} {
		if b, err := h.ReadFile(name); err != nil || string(b) != want {
			t.Errorf("%s is %q, %v; want %q", name, b, err, want)
		}
	}
	if st, err := h.Lstat(file); err != nil || st.Mode().Perm() != 0o640 {
		t.Errorf("the draft has not the mode of its file: %v, %v", st, err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	left, _ := os.ReadDir(os.TempDir())
	there, _ := os.ReadDir(dir)
	b, _ := os.ReadFile(file)
	if len(left) != 0 || len(there) != 2 || string(b) != "old" {
		t.Errorf("left behind %v, in the directory %v, the file is %q", left, there, b)
	}
}

// TestDraftSize: what is too large for a draft is left as it is, and no copy of it is made.
func TestDraftSize(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", t.TempDir())
	large, small, fresh := filepath.Join(dir, "large"), filepath.Join(dir, "small"), filepath.Join(dir, "fresh")
	for f, size := range map[string]int64{large: 16<<20 + 1, small: 16 << 20} {
		if err := os.WriteFile(f, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(f, size); err != nil {
			t.Fatal(err)
		}
	}
	var d host.Drafts
	defer d.Close()
	h := (&host.Host{}).Drafting(&d)
	if err := h.Draft(large, nil); err == nil || h.Drafted(large) {
		t.Errorf("a file of more than 16 MB has a draft, error %v", err)
	}
	for _, f := range []string{small, fresh} {
		if err := h.Draft(f, nil); err != nil {
			t.Fatal(err)
		}
	}
	h.Rehearse(func() {
		endless := func(w io.Writer) error {
			for {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					return err
				}
			}
		}
		for _, f := range []string{small, fresh} {
			if err := h.Replace(f, host.Keep, -1, endless); err == nil {
				t.Errorf("the draft of %s takes whatever comes", f)
			}
		}
		if f, err := h.OpenFile(filepath.Join(dir, "made"), os.O_RDONLY|os.O_CREATE, 0o600); err == nil {
			f.Close()
			t.Error("a file is made by opening it")
		}
	})
	if st, err := h.Stat(small); err != nil || st.Size() != 16<<20 {
		t.Errorf("the draft is not what it was: %v, %v", st, err)
	}
	if h.Exists(fresh) {
		t.Error("half a file is left")
	}
}
