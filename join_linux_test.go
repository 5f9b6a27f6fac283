package gosalt_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/testmachine"
	"go.yaml.in/yaml/v4"
)

// TestCloudInit has user-data make a machine a minion: the script that is in the
// cloud-config is run as cloud-init runs it, in a machine with systemd.
func TestCloudInit(t *testing.T) {
	t.Parallel()
	testmachine.Need(t)
	m := testmachine.New(t, testmachine.Options{Name: "machine", Systemd: true, Bind: map[string]string{bin: "/opt/gosalt"}})
	m.Write("/etc/salt/master", "interface: 127.0.0.1\nid: m\n")
	if out := m.Try("", "/opt/gosalt/gosalt-master", "-d"); out.Code != 0 {
		t.Fatal(out)
	}
	key := func(args ...string) testmachine.Result {
		return m.Try("", append([]string{"/opt/gosalt/gosalt-key"}, args...)...)
	}
	// userData returns the script of the file that write_files makes, which runcmd runs.
	userData := func(args ...string) string {
		out := key(append([]string{"--cloud-init"}, args...)...)
		if out.Code != 0 || !strings.HasPrefix(out.Stdout, "#cloud-config\n") {
			t.Fatal(out)
		}
		var data struct {
			Files []struct{ Path, Owner, Permissions, Content string } `yaml:"write_files"`
			Run   [][]string                                           `yaml:"runcmd"`
		}
		if err := yaml.Unmarshal([]byte(out.Stdout), &data); err != nil {
			t.Fatal(err)
		}
		if len(data.Files) != 1 || data.Files[0].Permissions != "0600" || len(data.Run) != 1 || data.Run[0][0] != "sh" || !strings.Contains(data.Run[0][2], data.Files[0].Path) {
			t.Fatalf("%+v", data)
		}
		m.Write(data.Files[0].Path, data.Files[0].Content)
		return strings.Join(data.Run[0][1:2], "") + " " + data.Run[0][2]
	}
	boot := func(args ...string) testmachine.Result {
		run := userData(args...)
		return m.Try("", "sh", "-c", strings.TrimPrefix(run, "-c "))
	}

	// What came is not what was meant: nothing of it is run.
	bad := boot("--install", "file:///opt/gosalt/gosalt-minion", "--sha256", strings.Repeat("0", 64), "--id", "vm1")
	if bad.Code == 0 || !strings.Contains(bad.Stderr, "is not the program that is meant: its SHA-256 is ") {
		t.Error(bad)
	}
	good := boot("--install", "file:///opt/gosalt/gosalt-{arch}", "--sha256", "arm64=/opt/gosalt/gosalt", "--id", "vm1")
	if good.Code == 0 || !strings.Contains(good.Stderr, "no SHA-256 is known of gosalt-minion for ") {
		t.Error(good)
	}
	good = boot("--install", "file:///opt/gosalt/gosalt-minion", "--sha256", "/opt/gosalt/gosalt-minion", "--id", "vm1", "--grains", "role=web")
	if good.Code != 0 || !strings.Contains(good.Stdout, "vm1 is a minion of 127.0.0.1 ") {
		t.Fatal(good)
	}
	if out := m.Try("", "ls", "/run/gosalt-join.sh"); out.Code == 0 {
		t.Error("the script with the token is left")
	}
	if out := m.Run("systemctl", "is-enabled", "gosalt-minion"); out != "enabled\n" {
		t.Error(out)
	}
	out := m.Try("", "sh", "-c", `for i in $(seq 100); do /opt/gosalt/gosalt vm1 grains.get role --out=txt 2>/dev/null | grep web && exit; sleep 0.1; done; exit 1`)
	if out.Code != 0 {
		t.Fatal(out, m.Run("journalctl", "-u", "gosalt-minion", "--no-pager"))
	}

	// The same in one script, for a machine whose image has the program.
	script := key("--cloud-init", "--format", "script", "--install", "image", "--id", "vm1")
	if script.Code != 0 || !strings.HasPrefix(script.Stdout, "#!/bin/sh\n") {
		t.Fatal(script)
	}
	if out := m.Try(script.Stdout, "sh"); out.Code != 0 || !strings.Contains(out.Stdout, "vm1 is a minion of") {
		t.Error(out)
	}
	if out := key("--cloud-init", "--aws", "--install", "image"); out.Code != 0 || !regexp.MustCompile(`join -c /etc/salt --timeout 600 '--aws' '--finger' '[0-9a-f:]{95}' '127.0.0.1'\n`).MatchString(out.Stdout) || strings.Contains(out.Stdout, "gosalt-join1") {
		t.Error(out)
	}
	for _, row := range [][]string{
		{"--install is missing"},
		{"--sha256 is missing", "--install", "https://x/y"},
		{"neither 64 hex digits nor a file", "--install", "https://x/y", "--sha256", "abc"},
		{"ARCH=SUM expected", "--install", "https://x/{arch}", "--sha256", strings.Repeat("0", 64)},
		{"one sum expected", "--install", "https://x/y", "--sha256", "amd64=" + strings.Repeat("0", 64)},
		{"a URL with https", "--install", "gosalt-minion"},
		{"name of a package", "--install", "package:a b"},
		{"control character", "--install", "image", "--id", "a\nb*"},
	} {
		if out := key(append([]string{"--cloud-init"}, row[1:]...)...); out.Code == 0 || out.Stdout != "" || !strings.Contains(out.Stderr, row[0]) {
			t.Errorf("%q: %+v", row, out)
		}
	}
	m.Try("", "sh", "-c", "systemctl stop gosalt-minion; kill $(cat /var/run/salt-master.pid)")
}

// The script is one for any shell of POSIX's.
func TestCloudInitShell(t *testing.T) {
	t.Parallel()
	dash, err := exec.LookPath("dash")
	if err != nil {
		t.Skip("dash is not there")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "master"), []byte("root_dir: "+dir+"\ninterface: 192.0.2.1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"--install", "image"}, {"--install", "package:gosalt-minion"}, {"--install", "https://example.com/it's/{arch}", "--sha256", "amd64=" + strings.Repeat("0", 64) + ",arm64=" + strings.Repeat("1", 64)}} {
		cmd := exec.Command(filepath.Join(bin, "gosalt-key"), append([]string{"-c", dir, "--cloud-init", "--format", "script"}, args...)...)
		text, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		check := exec.Command(dash, "-n")
		check.Stdin = strings.NewReader(string(text))
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("%q: %v: %s\n%s", args, err, out, text)
		}
	}
}
