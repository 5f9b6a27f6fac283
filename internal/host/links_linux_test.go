package host

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Links of a user lead root only to what is that user's.
func TestSafe(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("links are looked at for root alone")
	}
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	do := func(errs ...error) {
		t.Helper()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	do(os.Mkdir(at("home"), 0o755), os.Mkdir(at("theirs"), 0o755), os.Mkdir(at("root"), 0o755), os.WriteFile(at("root/f"), nil, 0o600), os.Chown(at("home"), 4242, 4242), os.Chown(at("theirs"), 4242, 4242))
	link := func(name, to string, uid int) {
		t.Helper()
		do(os.Symlink(to, at(name)), os.Lchown(at(name), uid, uid))
	}
	link("home/own", at("theirs"), 4242)
	link("home/rel", "../theirs", 4242)
	link("home/dir", at("root"), 4242)
	link("home/file", at("root/f"), 4242)
	link("home/new", at("root/new"), 4242)
	link("home/up", "..", 4242)
	link("home/slash", "/", 4242)
	link("home/chain", "dir", 4242)
	link("home/through", "own/../root/f", 4242)
	link("home/loop", "loop", 4242)
	link("home/admin", at("root"), 0)
	link("home/other", at("theirs"), 4243)
	for _, tt := range []struct {
		name        string
		file, final bool // is the path safe, with a link at its end as it is, and followed
	}{
		{"home/own", true, true}, {"home/own/x", true, true}, {"home/rel/x", true, true}, {"home/new", true, false}, {"home/plain", true, true},
		{"home/dir", true, false}, {"home/dir/x", false, false}, {"home/file", true, false}, {"home/up", true, false}, {"home/up/root/f", false, false},
		{"home/slash", true, false}, {"home/slash/etc/passwd", false, false}, {"home/chain/f", false, false}, {"home/through", true, false}, {"home/loop", true, true},
		{"home/admin/f", true, true}, {"home/admin", true, true}, {"home/other/x", false, false}, {"home/nothing/x", true, true}, {"home/../home/dir/f", false, false},
	} {
		h := &Host{}
		if err := h.Safe(at(tt.name), false); (err == nil) != tt.file {
			t.Errorf("%s: %v", tt.name, err)
		}
		err := h.Safe(at(tt.name), true)
		if (err == nil) != tt.final {
			t.Errorf("%s followed: %v", tt.name, err)
		}
		if err != nil && !errors.As(err, new(*UnsafeLinkError)) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	h := &Host{}
	if err := h.Replace(at("home/dir/f"), Keep, -1, nil); !errors.As(err, new(*UnsafeLinkError)) {
		t.Errorf("Replace: %v", err)
	}
	for name, err := range map[string]error{"MakeDir": h.MakeDir(at("home/dir/d"), Keep, -1), "Remove": h.Remove(at("home/dir/f")), "SetMode": h.SetMode(at("home/file"), 0o666),
		"SetOwner": h.SetOwner(at("home/file"), 4242, -1, true), "Symlink": h.Symlink("x", at("home/dir/l"), false), "WriteFile": h.WriteFile(at("home/file"), []byte("x"))} {
		if !errors.As(err, new(*UnsafeLinkError)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Errors name the path that was asked for.
	if err := h.MakeDir(at("gone/d"), Keep, -1); err == nil || filepath.Base(filepath.Dir(pathOf(err))) != "gone" && pathOf(err) != at("gone") {
		t.Errorf("%v", err)
	}
	if err := h.MakeDir(at("root"), Keep, -1); pathOf(err) != at("root") {
		t.Errorf("%v", err)
	}
}

func pathOf(err error) string {
	if e := (*os.PathError)(nil); errors.As(err, &e) {
		return e.Path
	}
	return ""
}
