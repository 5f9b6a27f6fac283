package enginerig

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/gosalt/gosalt/internal/testproc"
)

// An Engine runs containers.
type Engine struct {
	Host string // where its API is, "unix:///…"
	API  *client.Client

	t      testing.TB
	podman bool
	binds  []string
}

// Docker starts dockerd. The test is skipped where that is not possible, and says why.
func Docker(t testing.TB) *Engine {
	t.Helper()
	e := begin(t, "dockerd", "docker.io")
	dir := filepath.Dir(strings.TrimPrefix(e.Host, "unix://"))
	// Mounts of its own: what it mounts ends with it, and its key in /etc/docker, too.
	e.daemon("API listen on", "unshare", "-m", "/bin/sh", "-c", `mkdir -p /etc/docker && mount -t tmpfs none /etc/docker && exec dockerd "$@"`, "sh",
		"--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-masq=false", "--ip-forward=false", "--storage-driver=vfs",
		"--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "run"), "--pidfile", filepath.Join(dir, "pid"), "-H", e.Host)
	e.images()
	return e
}

// Podman starts Podman's service. The test is skipped where that is not possible.
func Podman(t testing.TB) *Engine {
	t.Helper()
	e := begin(t, "podman", "podman")
	e.podman = true
	dir := filepath.Dir(strings.TrimPrefix(e.Host, "unix://"))
	e.daemon("API service listening on", "unshare", "-m", "podman", "--log-level=info", "--root", filepath.Join(dir, "data"), "--runroot", filepath.Join(dir, "run"), "--tmpdir", filepath.Join(dir, "tmp"),
		"--storage-driver=vfs", "--cgroup-manager=cgroupfs", "--events-backend=none", "--network-config-dir", filepath.Join(dir, "net"), "system", "service", "--time=0", e.Host)
	e.images()
	return e
}

func begin(t testing.TB, program, debian string) *Engine {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip(program + " has to be root")
	}
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("%s is not installed (Debian: %s)", program, debian)
	}
	dir, err := os.MkdirTemp("", program) // short: it is in the path of a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// What the engine started for each container may still be tidying up, and tells nobody.
		var err error
		if !testproc.Until(testproc.Patience, func() bool { err = os.RemoveAll(dir); return err == nil }) {
			t.Error(err)
		}
	})
	return &Engine{Host: "unix://" + dir + "/sock", t: t}
}

// daemon starts the service and waits until it says the text.
func (e *Engine) daemon(ready, name string, args ...string) {
	e.t.Helper()
	cmd := exec.Command(name, args...)
	runtime.LockOSThread() // the kernel ends it with the thread that starts it
	e.t.Cleanup(runtime.UnlockOSThread)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	r, w, err := os.Pipe()
	if err != nil {
		e.t.Fatal(err)
	}
	cmd.Stderr, cmd.Stdout = w, w
	err = cmd.Start()
	w.Close()
	if err != nil {
		e.t.Skipf("%s: %v", name, err)
	}
	e.t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		r.Close()
	})
	var log bytes.Buffer
	for s := bufio.NewScanner(r); s.Scan(); {
		fmt.Fprintln(&log, s.Text())
		if strings.Contains(s.Text(), ready) {
			go io.Copy(io.Discard, r) // its log is no broken pipe
			return
		}
	}
	e.t.Skipf("%s does not run here: %s", args, log.Bytes()[max(log.Len()-1000, 0):])
}

// Images that are made: Image has a shell, Bare has none.
const (
	Image = "localhost/base"
	Bare  = "localhost/bare"
)

// images imports them. The shell is a static busybox, or the programs of this machine, which
// are mounted then.
func (e *Engine) images() {
	e.t.Helper()
	var err error
	if e.API, err = client.New(client.WithHost(e.Host)); err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { e.API.Close() })
	busybox := static("/usr/bin/busybox")
	if busybox == nil {
		if st, err := os.Lstat("/bin"); err != nil || st.Mode()&os.ModeSymlink == 0 {
			e.t.Skip("there is no busybox (Debian: busybox-static), and /bin is not a link to /usr/bin")
		}
		e.binds = []string{"/usr:/usr:ro"}
	}
	for _, name := range []string{Image, Bare} {
		got, err := e.API.ImageImport(e.t.Context(), client.ImageImportSource{Source: image(busybox, name == Bare), SourceName: "-"}, name+":latest", client.ImageImportOptions{})
		if err != nil {
			e.t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, got); err != nil {
			e.t.Fatal(err)
		}
	}
}

// static reads a program that needs no other files; nil where it does, or is not there.
func static(name string) []byte {
	f, err := elf.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	if libs, err := f.ImportedLibraries(); err != nil || len(libs) > 0 {
		return nil
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil
	}
	return b
}

func image(busybox []byte, bare bool) io.Reader {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	file := func(name, text string, mode int64) {
		w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(text))})
		io.WriteString(w, text)
	}
	link := func(name, to string) {
		w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to})
	}
	for _, d := range []string{"usr", "etc", "tmp", "var", "var/tmp", "root", "proc", "sys", "dev", "opt"} {
		w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: d, Mode: 0o755})
	}
	switch {
	case busybox == nil && bare: // with this machine's programs, and no /bin
		link("lib", "usr/lib")
		link("lib64", "usr/lib64")
		link("opt/sleep", "/usr/bin/sleep")
	case busybox == nil:
		for _, l := range []string{"bin", "sbin", "lib", "lib64"} {
			link(l, "usr/"+l)
		}
		link("opt/sleep", "/usr/bin/sleep")
	default:
		file("opt/sleep", string(busybox), 0o755)
		if !bare {
			w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "bin", Mode: 0o755})
			file("bin/busybox", string(busybox), 0o755)
			link("bin/sh", "busybox")
		}
	}
	file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n", 0o644)
	w.Close()
	return &b
}

// Create makes a container of an image, and returns its id. It goes with the test.
func (e *Engine) Create(image, name string, labels map[string]string) string {
	e.t.Helper()
	host := &container.HostConfig{NetworkMode: "none", Binds: e.binds}
	if e.podman { // which else raises limits, as not everybody may
		host.Ulimits = []*container.Ulimit{{Name: "nofile", Soft: 256, Hard: 256}, {Name: "nproc", Soft: 256, Hard: 256}}
	}
	got, err := e.API.ContainerCreate(e.t.Context(), client.ContainerCreateOptions{Name: name, Config: &container.Config{Image: image, Labels: labels, Cmd: []string{"/opt/sleep", "100000"}}, HostConfig: host})
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		e.API.ContainerRemove(ctx, got.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	})
	return got.ID
}

// Run makes a container and starts it. Where none can be started the test is skipped.
func (e *Engine) Run(image, name string, labels map[string]string) string {
	e.t.Helper()
	id := e.Create(image, name, labels)
	if _, err := e.API.ContainerStart(e.t.Context(), id, client.ContainerStartOptions{}); err != nil {
		e.t.Skipf("containers do not run here: %v", err)
	}
	return id
}
