package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
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
		"SetOwner": h.SetOwner(at("home/file"), 4242, -1, true), "Symlink": h.Symlink("x", at("home/dir/l"), false), "Rename": h.Rename(at("home/dir/f"), at("home/f")),
		"Rename to": h.Rename(at("home/own"), at("home/dir/own")), "Link": h.Link(at("root/f"), at("home/dir/g")), "WriteFile": h.WriteFile(at("home/file"), []byte("x"))} {
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
	if err, e := h.Rename(at("gone"), at("root/g")), (*os.LinkError)(nil); !errors.As(err, &e) || e.Old != at("gone") || e.New != at("root/g") {
		t.Errorf("%v", err)
	}
	link("dangling", at("root/none"), 0)
	if err := h.SetMode(at("dangling"), 0o600); pathOf(err) != at("dangling") {
		t.Errorf("%v", err)
	}
}

// What is usual on machines is followed: links of root wherever they are, also in what
// users own, and links of users and of services' accounts to what is theirs.
func TestSafeLegitimate(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("links are looked at for root alone")
	}
	dir := t.TempDir()
	for _, l := range []struct {
		path, to string // to is a link's, "" is a directory, "f" a file
		uid      int
		sticky   bool
	}{
		{"run", "", 0, false}, {"var", "", 0, false}, {"var/run", "/run", 0, false}, {"etc", "", 0, false}, {"tmp", "", 0, true},
		{"etc/alternatives", "", 0, false}, {"usr", "", 0, false}, {"usr/my.cnf", "f", 0, false}, {"etc/alternatives/my.cnf", "/usr/my.cnf", 0, false}, {"etc/my.cnf", "alternatives/my.cnf", 0, false},
		{"etc/nginx", "", 0, false}, {"etc/nginx/sites-enabled", "", 0, false}, {"etc/nginx/site", "f", 0, false}, {"etc/nginx/sites-enabled/site", "../site", 0, false},
		{"home", "", 0, false}, {"home/deploy", "", 1000, false}, {"home/deploy/releases", "", 1000, false}, {"home/deploy/releases/1", "", 1000, false},
		{"home/deploy/current", "releases/1", 1000, false}, {"home/deploy/now", "current", 1000, false}, {"home/deploy/releases/1/root.conf", "f", 0, false},
		{"home/deploy/etc", "/etc", 0, false}, {"srv", "", 0, false}, {"srv/alice", "", 1001, false}, {"home/alice", "/srv/alice", 1001, false},
		{"var/pg", "", 26, false}, {"var/pg/data", "", 26, false}, {"etc/pg", "", 26, false}, {"etc/pg/pgdata", "/var/pg/data", 26, false},
		{"etc/cert", "f", 0, false}, {"var/pg/data/server.crt", "/etc/cert", 0, false}, // made by root, as pg_createcluster did
		{"tmp/own", "", 1000, false}, {"tmp/link", "own", 1000, false},
	} {
		name := filepath.Join(dir, l.path)
		var err error
		switch l.to {
		case "":
			err = os.Mkdir(name, 0o755)
		case "f":
			err = os.WriteFile(name, nil, 0o644)
		default:
			if filepath.IsAbs(l.to) {
				l.to = filepath.Join(dir, l.to)
			}
			err = os.Symlink(l.to, name)
		}
		if err == nil {
			err = os.Lchown(name, l.uid, l.uid)
		}
		if err == nil && l.sticky {
			err = os.Chmod(name, 0o777|os.ModeSticky)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	h := &Host{}
	for name, real := range map[string]string{
		"var/run/x": "", "etc/my.cnf": "usr/my.cnf", "etc/nginx/sites-enabled/site": "etc/nginx/site", "home/deploy/current/conf": "", "home/deploy/now/conf": "", "home/deploy/now": "home/deploy/releases/1",
		"home/deploy/current/root.conf": "", "home/deploy/etc/x": "", "home/alice/.ssh/authorized_keys": "", "etc/pg/pgdata/x": "", "var/pg/data/server.crt": "etc/cert", "tmp/link/x": "",
	} {
		name = filepath.Join(dir, name)
		want := name
		if real != "" {
			want = filepath.Join(dir, real)
		}
		if got, err := h.Follow(name); err != nil || got != want {
			t.Errorf("%s leads to %s, %v; expected %s", name, got, err, want)
		}
	}
}

// A user who puts one link in the place of another, again and again, does not get root to
// write where only the one that was not looked at leads.
func TestFollowRace(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("links are looked at for root alone")
	}
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(os.Mkdir(at("home"), 0o755), os.Chown(at("home"), 4242, 4242), os.WriteFile(at("home/own"), nil, 0o644), os.Chown(at("home/own"), 4242, 4242),
		os.WriteFile(at("secret"), []byte("secret"), 0o600), os.Symlink("own", at("home/good")), os.Lchown(at("home/good"), 4242, 4242), os.Symlink(at("secret"), at("home/link")), os.Lchown(at("home/link"), 4242, 4242)); err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				_ = unix.Renameat2(unix.AT_FDCWD, at("home/good"), unix.AT_FDCWD, at("home/link"), unix.RENAME_EXCHANGE)
			}
		}
	}()
	h := &Host{}
	for range 3000 {
		if real, err := h.Follow(at("home/link")); err == nil && real != at("home/own") {
			t.Errorf("it was led to %s", real)
			break
		}
	}
	close(stop)
	<-done
}

// The links of /proc lead to what they are of, not to what their text says: the root of a
// container is "/" in it.
func TestFollowProc(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "f")
	ready, end := make(chan error), make(chan struct{})
	defer close(end)
	tid := 0
	go func() { // a thread with mounts of its own, which ends with it
		runtime.LockOSThread()
		tid = unix.Gettid()
		err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS)
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		if err == nil {
			err = unix.Mount("tmpfs", dir, "tmpfs", 0, "")
		}
		if err == nil {
			err = os.WriteFile(name, nil, 0o644)
		}
		ready <- err
		<-end
	}()
	if err := <-ready; err != nil {
		t.Skip("a thread gets no mounts of its own here: ", err)
	}
	if err := os.WriteFile(name, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	there := fmt.Sprintf("/proc/self/task/%d/root%s", tid, name)
	if err := (&Host{}).WriteFile(there, []byte("x")); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(name); err != nil || len(b) != 0 {
		t.Errorf("the file of that name here was written: %q, %v", b, err)
	}
	if b, err := os.ReadFile(there); err != nil || string(b) != "x" {
		t.Errorf("%s has %q, %v", there, b, err)
	}
}

func pathOf(err error) string {
	if e := (*os.PathError)(nil); errors.As(err, &e) {
		return e.Path
	}
	return ""
}
