package agent

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTidy(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	name := func(c string) string { return strings.Repeat(c, 64) }
	for file, age := range map[string]time.Duration{
		name("a"): 25 * time.Hour, name("b"): 40 * 24 * time.Hour, name("c"): 20 * 24 * time.Hour,
		".copy-1": 2 * time.Hour, ".copy-2": time.Minute, "other": 400 * 24 * time.Hour} {
		path := filepath.Join(dir, file)
		if err := os.WriteFile(path, nil, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, now, now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	Tidy(filepath.Join(dir, name("a")), now)
	var got []string
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if want := []string{".copy-2", name("a"), name("c"), "other"}; !slices.Equal(got, want) {
		t.Errorf("left are %q", got)
	}
	if st, _ := os.Stat(filepath.Join(dir, name("a"))); now.Sub(st.ModTime()) > time.Minute {
		t.Error("the agent in use was not marked")
	}
}

func TestCheck(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	sum, err := Sum(exe)
	if err != nil {
		t.Fatal(err)
	}
	if err := Check(sum); err != nil {
		t.Error(err)
	}
	if err := Check(strings.Repeat("0", 64)); err == nil {
		t.Error("another sum was taken")
	}
}
