package modules

import (
	"archive/tar"
	zipfile "archive/zip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
)

// An archive cannot write outside of its directory: not by .., not by absolute names, not
// by links that it made before.
func TestArchiveStaysInside(t *testing.T) {
	member := func(name, link string, kind byte) *tar.Header {
		return &tar.Header{Name: name, Linkname: link, Typeflag: kind, Mode: 0o644, Size: map[bool]int64{true: 3}[kind == tar.TypeReg], Uid: os.Getuid(), Gid: os.Getgid()}
	}
	for name, tt := range map[string]struct {
		members []*tar.Header
		fine    bool
	}{
		"parent":              {[]*tar.Header{member("../evil", "", tar.TypeReg)}, false},
		"deep parent":         {[]*tar.Header{member("a/../../evil", "", tar.TypeReg)}, false},
		"absolute":            {[]*tar.Header{member("/evil", "", tar.TypeReg)}, true},
		"link to parent":      {[]*tar.Header{member("l", "..", tar.TypeSymlink), member("l/evil", "", tar.TypeReg)}, false},
		"link to root":        {[]*tar.Header{member("l", "/", tar.TypeSymlink), member("l/evil", "", tar.TypeReg)}, false},
		"link over a link":    {[]*tar.Header{member("a", "..", tar.TypeSymlink), member("b", "a", tar.TypeSymlink), member("b/evil", "", tar.TypeReg)}, false},
		"file over a link":    {[]*tar.Header{member("evil", "../evil", tar.TypeSymlink), member("evil", "", tar.TypeReg)}, true},
		"hard link outside":   {[]*tar.Header{member("h", "../secret", tar.TypeLink)}, false},
		"hard link by a link": {[]*tar.Header{member("l", "..", tar.TypeSymlink), member("h", "l/secret", tar.TypeLink)}, false},
		"directory by a link": {[]*tar.Header{member("l", "..", tar.TypeSymlink), member("l/evil/", "", tar.TypeDir)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			top := t.TempDir()
			dest := filepath.Join(top, "dest")
			if err := os.Mkdir(dest, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(top, "secret"), []byte("secret"), 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := os.Create(filepath.Join(top, "a.tar"))
			if err != nil {
				t.Fatal(err)
			}
			w := tar.NewWriter(f)
			for _, h := range tt.members {
				if err := w.WriteHeader(h); err != nil {
					t.Fatal(err)
				}
				if h.Typeflag == tar.TypeReg {
					_, _ = w.Write([]byte("abc"))
				}
			}
			_ = w.Close()
			_ = f.Close()
			res := New().Run(t.Context(), &module.Call{Host: &host.Host{}}, "archive.untar", []any{f.Name(), dest}, nil)
			if (res.Err == nil) != tt.fine {
				t.Errorf("%s", pytext.Repr(res.Return))
			}
			entries, _ := os.ReadDir(top)
			if len(entries) != 3 {
				t.Errorf("something was written outside: %v", entries)
			}
			if b, _ := os.ReadFile(filepath.Join(top, "secret")); string(b) != "secret" {
				t.Errorf("secret is %q", b)
			}
			if _, err := os.Stat(filepath.Join(dest, "h")); err == nil {
				t.Error("a file outside got another name inside")
			}
		})
	}
}

// A member's name may be as long as names can be, and what a run that was killed has left
// of a member is gone after the next.
func TestArchiveAfterKill(t *testing.T) {
	dest := t.TempDir()
	long := strings.Repeat("n", 255)
	if err := os.WriteFile(filepath.Join(dest, unfinished(long)), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	x, err := newExtractor(&module.Call{Host: &host.Host{}}, dest)
	if err != nil {
		t.Fatal(err)
	}
	if err := x.file(long, 0o644, strings.NewReader("whole"), nil); err != nil {
		t.Fatal(err)
	}
	if err := x.close(); err != nil {
		t.Fatal(err)
	}
	if all, err := os.ReadDir(dest); err != nil || len(all) != 1 || all[0].Name() != long {
		t.Error(all, err)
	}
}

func TestZipStaysInside(t *testing.T) {
	top := t.TempDir()
	f, err := os.Create(filepath.Join(top, "a.zip"))
	if err != nil {
		t.Fatal(err)
	}
	w := zipfile.NewWriter(f)
	for _, m := range []struct {
		name, text string
		mode       os.FileMode
	}{{"ok", "fine", 0o644}, {"l", "..", os.ModeSymlink | 0o777}, {"l/evil", "x", 0o644}} {
		h := &zipfile.FileHeader{Name: m.name}
		h.SetMode(m.mode)
		e, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = e.Write([]byte(m.text))
	}
	_ = w.Close()
	_ = f.Close()
	dest := filepath.Join(top, "dest")
	_ = os.Mkdir(dest, 0o755)
	res := New().Run(t.Context(), &module.Call{Host: &host.Host{}}, "archive.unzip", []any{f.Name(), dest}, nil)
	if res.Err == nil || !strings.Contains(pytext.Str(res.Return), "Exception encountered unpacking zipfile") {
		t.Errorf("%s", pytext.Repr(res.Return))
	}
	if _, err := os.Lstat(filepath.Join(top, "evil")); err == nil {
		t.Error("written outside")
	}
}

func TestDearmor(t *testing.T) {
	text := "junk\n-----BEGIN PGP PUBLIC KEY BLOCK-----\nVersion: x\n\naGVs\nbG8=\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----\n"
	if b, err := dearmor([]byte(text + text)); err != nil || string(b) != "hellohello" {
		t.Errorf("%q, %v", b, err)
	}
	for _, bad := range []string{"", "no key", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n!!!\n-----END PGP PUBLIC KEY BLOCK-----\n"} {
		if b, err := dearmor([]byte(bad)); err == nil {
			t.Errorf("%q is read as %q", bad, b)
		}
	}
}

// rc-update as Alpine prints it.
func TestOpenRCLevels(t *testing.T) {
	const text = "             acpid |      default                          \n          bootmisc | boot                                  \n             crond |                                       \n" +
		"              sshd |      default nonetwork                \n"
	want := "{'acpid': ['default'], 'bootmisc': ['boot'], 'crond': [], 'sshd': ['default', 'nonetwork']}"
	if got := pytext.Repr(openrcLevels(text)); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestLockHolder(t *testing.T) {
	for text, want := range map[string][3]string{
		"E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 1234 (apt-get)\nN: Be aware": {"/var/lib/dpkg/lock-frontend", "1234", "apt-get"},
		"E: Could not get lock /var/lib/apt/lists/lock. It is held by process 77 (python3)":                    {"/var/lib/apt/lists/lock", "77", "python3"},
		"E: Could not get lock /var/lib/dpkg/lock - open (11: Resource temporarily unavailable)":               {"/var/lib/dpkg/lock", "", ""},
	} {
		m := lockHolder.FindStringSubmatch(text)
		if m == nil || [3]string{m[1], m[2], m[3]} != want {
			t.Errorf("%q: %q", text, m)
		}
	}
}
