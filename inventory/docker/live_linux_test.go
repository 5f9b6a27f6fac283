package docker

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/inventorytest"
	"github.com/gosalt/gosalt/protocol/wire"
)

// daemon starts a service and waits until it says the text.
func daemon(t *testing.T, ready string, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	runtime.LockOSThread() // the kernel ends it with the thread that starts it
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd.Stderr, cmd.Stdout = w, w
	err = cmd.Start()
	w.Close()
	if err != nil {
		t.Skipf("%s: %v", name, err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	var log bytes.Buffer
	for s := bufio.NewScanner(r); s.Scan(); {
		fmt.Fprintln(&log, s.Text())
		if strings.Contains(s.Text(), ready) {
			go io.Copy(io.Discard, dup(t, r))
			return
		}
	}
	t.Skipf("%s does not run here: %s", name, log.Bytes()[max(log.Len()-1000, 0):])
}

// dup keeps the daemon's log from being a broken pipe.
func dup(t *testing.T, f *os.File) *os.File {
	fd, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), "log")
}

// baseImage is a system without programs: those of this machine are mounted in it.
func baseImage(t *testing.T) io.Reader {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, d := range []string{"usr", "etc", "tmp", "var", "var/tmp", "root", "proc", "sys", "dev"} {
		w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: d, Mode: 0o755})
	}
	for _, l := range []string{"bin", "sbin", "lib", "lib64"} {
		w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: l, Linkname: "usr/" + l})
	}
	passwd := "root:x:0:0:root:/root:/bin/sh\n"
	w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "etc/passwd", Mode: 0o644, Size: int64(len(passwd))})
	io.WriteString(w, passwd)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

// A real dockerd, with containers that have no network.
func TestDockerd(t *testing.T) {
	alone(t)
	if os.Geteuid() != 0 {
		t.Skip("dockerd has to be root")
	}
	if _, err := exec.LookPath("dockerd"); err != nil {
		t.Skip("dockerd is not installed (Debian: docker.io)")
	}
	if st, err := os.Lstat("/bin"); err != nil || st.Mode()&os.ModeSymlink == 0 {
		t.Skip("/bin is not a link to /usr/bin")
	}
	dir, err := os.MkdirTemp("", "dockerd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	sock := "unix://" + dir + "/sock"
	// Mounts of its own: what it mounts ends with it, and its key in /etc/docker, too.
	daemon(t, "API listen on", "unshare", "-m", "/bin/sh", "-c", `mkdir -p /etc/docker && mount -t tmpfs none /etc/docker && exec dockerd "$@"`, "sh", "--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-masq=false", "--ip-forward=false", "--storage-driver=vfs",
		"--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "run"), "--pidfile", filepath.Join(dir, "pid"),
		"-H", sock)
	api, err := client.New(client.WithHost(sock))
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	ctx := t.Context()
	imported, err := api.ImageImport(ctx, client.ImageImportSource{Source: baseImage(t), SourceName: "-"}, "base", client.ImageImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, imported); err != nil {
		t.Fatal(err)
	}
	create := func(name string, labels map[string]string, start bool) string {
		t.Helper()
		got, err := api.ContainerCreate(ctx, client.ContainerCreateOptions{Name: name, Config: &container.Config{Image: "base", Labels: labels, Cmd: []string{"/bin/sleep", "100000"}},
			HostConfig: &container.HostConfig{NetworkMode: "none", Binds: []string{"/usr:/usr:ro"}}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			api.ContainerRemove(context.Background(), got.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		})
		if start {
			if _, err := api.ContainerStart(ctx, got.ID, client.ContainerStartOptions{}); err != nil {
				t.Skipf("containers do not run here: %v", err)
			}
		}
		return got.ID
	}
	web := create("web1", map[string]string{"role": "web", "com.docker.compose.project": "shop"}, true)
	create("old", nil, false)
	p := inventorytest.Service{Kind: Kind}.Open(t, wire.NewMap("host", sock)).(inventory.Executor)
	ms := inventorytest.ByLabel(t, p)
	if m := ms["web1"]; len(ms) != 2 || m.ID != web || m.State != inventory.Running || m.Tags["role"] != "web" || fmt.Sprint(m.Groups) != "[shop]" || m.Image != "base" {
		t.Errorf("%+v", ms)
	}
	testExec(t, p, ms["web1"])
	_, err = p.Exec(ctx, ms["old"], []string{"/bin/true"}, nil, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "start it first") {
		t.Errorf("%v", err)
	}
	filtered := inventorytest.Service{Kind: Kind}.Open(t, wire.NewMap("host", sock, "filters", wire.NewMap("label", "role=web")))
	if ms := inventorytest.ByLabel(t, filtered); len(ms) != 1 {
		t.Errorf("%+v", ms)
	}
}
