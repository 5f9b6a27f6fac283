package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestInstall(t *testing.T) {
	share := t.TempDir()
	if err := install(share); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"man/man1/gosalt.1", "man/man1/gosalt-master.1", "bash-completion/completions/gosalt-run", "zsh/site-functions/_gosalt", "fish/vendor_completions.d/gosalt-key.fish"} {
		if st, err := os.Stat(filepath.Join(share, name)); err != nil || st.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Skip("needs groff to look at the manual pages")
	}
	pages, _ := filepath.Glob(filepath.Join(share, "man/man1/*.1"))
	if len(pages) < 6 {
		t.Errorf("only %d pages", len(pages))
	}
	for _, page := range pages {
		var warnings strings.Builder
		cmd := exec.Command(groff, "-man", "-Tascii", "-ww", page)
		cmd.Stderr = &warnings
		if out, err := cmd.Output(); err != nil || len(out) < 1000 || warnings.Len() > 0 {
			t.Errorf("%s: %v, %d bytes\n%s", page, err, len(out), &warnings)
		}
	}
}
