//go:build linux

package testmachine

import (
	"slices"
	"strings"
	"testing"
)

func TestMachine(t *testing.T) {
	m := New(t, Options{Name: "web1", Prepare: "echo prepared >/etc/prepared"})
	if got := m.Run("hostname"); got != "web1\n" {
		t.Errorf("hostname: %q", got)
	}
	if got := m.Read("/etc/prepared"); got != "prepared\n" {
		t.Errorf("prepared: %q", got)
	}
	m.Write("/srv/salt/a/top.sls", "base: {}\n")
	m.Run("useradd", "-m", "karl")
	m.Run("rm", "/etc/hostname")
	if r := m.Try("hi", "sh", "-c", "cat; echo >&2 no; exit 3"); r != (Result{"hi", "no\n", 3}) {
		t.Errorf("Try: %+v", r)
	}
	if r := m.Try("", "sh", "-c", "echo 1 >/proc/sys/vm/swappiness"); r.Code == 0 {
		t.Error("a setting of the running kernel was changed")
	}
	m.Run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
	var paths []string
	for _, c := range m.Changes() {
		paths = append(paths, c.Path+" "+c.Kind)
	}
	for _, want := range []string{"/srv/salt/a/top.sls file", "/etc/passwd file", "/home/karl dir", "/etc/hostname gone"} {
		if !slices.Contains(paths, want) {
			t.Errorf("changes: %s is missing in %q", want, paths)
		}
	}
}

func TestDiff(t *testing.T) {
	a, b := New(t, Options{}), New(t, Options{})
	a.Write("/srv/x", "1")
	b.Write("/srv/x", "1")
	a.Write("/srv/y", "1")
	b.Write("/srv/y", "2")
	b.Write("/srv/z", "3")
	b.Write("/var/log/w", "4")
	got := strings.Join(Diff(a, b, "/var/log"), "\n")
	want := `differ: /srv/y: file -rw-r--r-- 0:0 "1"
    and /srv/y: file -rw-r--r-- 0:0 "2"
only in the second: /srv/z: file -rw-r--r-- 0:0 "3"`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestSystemd(t *testing.T) {
	m := New(t, Options{Systemd: true})
	m.Write("/etc/systemd/system/nap.service", "[Service]\nExecStart=/bin/sleep 1000\n[Install]\nWantedBy=multi-user.target\n")
	m.Run("systemctl", "daemon-reload")
	m.Run("systemctl", "enable", "--now", "nap")
	if got := m.Run("systemctl", "is-active", "nap"); got != "active\n" {
		t.Errorf("is-active: %q", got)
	}
}
