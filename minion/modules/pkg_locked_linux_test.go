package modules

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/testmachine"
	"github.com/gosalt/gosalt/protocol/wire"
)

// TestPackageLock has a real dpkg hold its lock, in a throw-away machine: pkg.install says
// for whom it waits, gives up in time, and installs when the lock is free.
func TestPackageLock(t *testing.T) {
	testmachine.Need(t)
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip(err)
	}
	m := testmachine.New(t, testmachine.Options{Bind: map[string]string{os.Args[0]: "/opt/modules.test"}})
	r := m.Try("", "env", "GOSALT_IN_MACHINE=1", "/opt/modules.test", "-test.run=^TestPackageLockInside$", "-test.v")
	if r.Code != 0 || !strings.Contains(r.Stdout, "--- PASS: TestPackageLockInside") {
		t.Fatalf("in the machine: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
}

const lockedRepo = `
mkdir -p /srv/repo /srv/hold
deb() { mkdir -p $1/DEBIAN; printf 'Package: %s\nVersion: 1\nArchitecture: all\nMaintainer: T <t@example.com>\nDescription: test\n' $2 >$1/DEBIAN/control; }
deb /tmp/b/wanted wanted; dpkg-deb --root-owner-group -b /tmp/b/wanted /srv/repo >/dev/null
deb /tmp/b/other other; dpkg-deb --root-owner-group -b /tmp/b/other /srv/repo >/dev/null
deb /tmp/b/holder holder
printf '#!/bin/sh\n[ -p /tmp/go ] || exit 0\necho configuring >/tmp/up\nread x </tmp/go\n' >/tmp/b/holder/DEBIAN/postinst; chmod 755 /tmp/b/holder/DEBIAN/postinst
dpkg-deb --root-owner-group -b /tmp/b/holder /srv/hold >/dev/null
cd /srv/repo
for f in *.deb; do dpkg-deb -f $f; printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' $f "$(stat -c %s $f)" "$(sha256sum <$f | cut -d' ' -f1)"; done >Packages
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
echo 'deb [trusted=yes] file:/srv/repo ./' >/etc/apt/sources.list
apt-get update >/dev/null 2>&1
mkfifo /tmp/up /tmp/go
`

// TestPackageLockInside is the part of TestPackageLock that runs in the machine.
func TestPackageLockInside(t *testing.T) {
	if os.Getenv("GOSALT_IN_MACHINE") == "" {
		t.Skip("runs in the machine of TestPackageLock")
	}
	if out, err := exec.Command("sh", "-ec", lockedRepo).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// hold starts a dpkg and returns when it configures a package, with its lock.
	hold := func() *exec.Cmd {
		holder := exec.Command("dpkg", "-i", "/srv/hold/holder_1_all.deb")
		holder.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := holder.Start(); err != nil {
			t.Fatal(err)
		}
		up, err := os.Open("/tmp/up")
		if err != nil {
			t.Fatal(err)
		}
		defer up.Close()
		if _, err := bufio.NewReader(up).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		return holder
	}
	holder := hold()
	grains := wire.NewMap("os_family", "Debian", "os", "Debian", "osarch", "amd64")
	install := func(name string, progress func(any)) module.Result {
		c := &module.Call{Grains: func() *wire.Map { return grains }, OnProgress: progress, CacheDir: t.TempDir()}
		return New().Run(t.Context(), c, "pkg.install", []any{name}, nil)
	}
	was := lockPatience
	lockPatience = time.Millisecond
	r := install("wanted", nil)
	text, _ := r.Return.(string)
	for _, part := range []string{"Gave up after 1ms", "dpkg (process ", "holds /var/lib/dpkg/lock"} {
		if r.Success || !strings.Contains(text, part) {
			t.Errorf("nothing of %q in %v %q", part, r.Success, text)
		}
	}
	lockPatience = was

	var said []string
	r = install("wanted", func(v any) {
		s, _ := v.(string)
		if said = append(said, s); len(said) > 1 {
			return
		}
		if err := os.WriteFile("/tmp/go", []byte("go\n"), 0); err != nil {
			t.Error(err)
		}
	})
	if err := holder.Wait(); err != nil {
		t.Error(err)
	}
	if m, ok := r.Return.(*wire.Map); !r.Success || !ok || m.Map("wanted").Text("new") != "1" {
		t.Errorf("not installed once the lock was free: %v", r.Return)
	}
	if len(said) == 0 || !strings.HasPrefix(said[0], "waiting for dpkg (process ") {
		t.Errorf("what it waits for is not said: %q", said)
	}

	// What a dpkg that was killed has left is mended before the next change.
	holder = hold()
	if err := syscall.Kill(-holder.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = holder.Wait()
	if err := os.Remove("/tmp/go"); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("apt-get", "-y", "install", "other").CombinedOutput(); err == nil || !strings.Contains(string(out), "dpkg was interrupted") {
		t.Fatalf("dpkg was not interrupted: %v\n%s", err, out)
	}
	r = install("other", nil)
	if m, ok := r.Return.(*wire.Map); !r.Success || !ok || m.Map("other").Text("new") != "1" {
		t.Errorf("not installed after an interrupted dpkg: %v", r.Return)
	}
	if out, err := exec.Command("dpkg", "--audit").CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("dpkg is not in order: %v\n%s", err, out)
	}
}
