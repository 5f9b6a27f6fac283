package gosalt_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/enginerig"
	"github.com/gosalt/gosalt/internal/testproc"
)

// TestContainers has states applied in real containers, which have no sshd and no network, by
// gosalt-ssh and by gosalt, over the API of their engine.
func TestContainers(t *testing.T) {
	t.Parallel()
	t.Run("docker", func(t *testing.T) { testContainers(t, enginerig.Docker(t), "docker") })
	t.Run("podman", func(t *testing.T) { testContainers(t, enginerig.Podman(t), "podman") })
}

func testContainers(t *testing.T, e *enginerig.Engine, kind string) {
	e.Run(enginerig.Image, "web1", map[string]string{"role": "web", "odd": `a={{ 7*7 }} "b" ü`})
	e.Run(enginerig.Bare, "bare", nil)
	e.Create(enginerig.Image, "old", map[string]string{"role": "web"})

	w := testproc.New(t.TempDir(), bin)
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	conf := filepath.Join(w.Dir, "master")
	states := filepath.Join(w.Dir, "states")
	if err := w.Configure("master", "ssh_agent_dir: "+filepath.Dir(staticMinion(t)), "file_roots: {base: ["+states+"]}", "roster: inventory", "ssh_fallback: always", "inventory: {ctr: {provider: "+kind+", host: '"+e.Host+"'}}"); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(states, 0o755); err != nil {
		t.Fatal(err)
	}
	sls := "/etc/motd:\n  file.managed:\n    - contents: {{ grains['cloud']['tags']['role'] }} on {{ grains['id'] }}\nonce:\n  cmd.run:\n    - name: echo hi > /tmp/once\n    - creates: /tmp/once\n    - shell: /bin/sh\n"
	if err := os.WriteFile(filepath.Join(states, "web.sls"), []byte(sls), 0o644); err != nil {
		t.Fatal(err)
	}
	run := func(code int, want []string, prog string, args ...string) {
		t.Helper()
		cmd := exec.Command(filepath.Join(bin, prog), append([]string{"-c", conf}, args...)...)
		cmd.Env = append(os.Environ(), "HOME="+w.Dir)
		out, _ := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != code {
			t.Fatalf("%s %q: exit code %d, %d expected\n%s", prog, args, got, code, out)
		}
		for _, text := range want {
			if !strings.Contains(string(out), text) {
				t.Errorf("%s %q: %q is not in the output\n%s", prog, args, text, out)
			}
		}
	}
	run(0, []string{`"web1": "` + kind + `"`}, "gosalt-ssh", "-H", "*", "--out", "json")
	run(0, []string{"Succeeded: 2 (changed=2)"}, "gosalt-ssh", "-C", "V@tag:role=web", "state.apply", "web")
	run(0, []string{"web on web1"}, "gosalt-ssh", "-r", "web1", "cat /etc/motd")
	run(20, []string{"is /bin/sh in the image"}, "gosalt-ssh", "bare", "test.ping")
	run(20, []string{"it is stopped, said ctr (" + kind + ") "}, "gosalt-ssh", "old", "test.ping")
	if _, how, err := w.Start("master"); err != nil || how != testproc.Ready {
		t.Fatal(how, err)
	}
	run(0, []string{"Succeeded: 2\n"}, "gosalt", "-C", "V@tag:odd=a={{* and V@state:running", "state.apply", "web")
	// What has come since is found where it is asked for.
	e.Run(enginerig.Image, "new1", nil)
	run(0, []string{"--refresh lists them now", "No matching targets found"}, "gosalt-ssh", "new1", "test.ping")
	run(0, []string{"new1:\n    True"}, "gosalt-ssh", "--refresh", "new1", "test.ping")
	run(0, []string{"new1:\n    True"}, "gosalt", "new1", "test.ping")
}

// staticMinion builds gosalt-minion for systems without a C library: with the race detector it needs one.
func staticMinion(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "gosalt-minion")
	build := exec.Command("go", "build", "-ldflags=-s -w", "-o", file, "./cmd/gosalt-minion")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return file
}
