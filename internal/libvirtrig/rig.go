//go:build linux

package libvirtrig

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/gosalt/gosalt/internal/testproc"
)

// nobody is who it runs as where the test is root: a libvirtd of root takes the system's directories.
const nobody = 65534

// A Daemon is a libvirtd that runs until its test ends.
type Daemon struct {
	Dir    string // of its user: machines and volumes may be here
	Socket string
}

// TestURI is that of the test driver behind a socket.
func TestURI(socket string) string { return "test+unix:///default?socket=" + socket }

// URI is that of QEMU behind a socket.
func URI(socket string) string { return "qemu+unix:///session?socket=" + socket }

// Own gives a file or directory to the user of the daemon.
func (d *Daemon) Own(t testing.TB, path string) {
	t.Helper()
	if os.Geteuid() == 0 {
		if err := os.Chown(path, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
}

// Start starts one, or skips the test where that cannot be.
func Start(t testing.TB) *Daemon {
	t.Helper()
	if _, err := exec.LookPath("libvirtd"); err != nil {
		t.Skip("libvirtd is not installed (Debian: libvirt-daemon)")
	}
	dir, err := os.MkdirTemp("", "lv") // a socket's path has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := &Daemon{Dir: dir, Socket: filepath.Join(dir, "libvirt-sock")}
	d.Own(t, dir)
	conf := filepath.Join(dir, "libvirtd.conf")
	text := fmt.Sprintf("unix_sock_dir = %q\nauth_unix_ro = \"none\"\nauth_unix_rw = \"none\"\nlog_outputs = \"1:stderr\"\nlog_filters=\"4:*\"\n", dir)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("libvirtd", "-f", conf, "-p", filepath.Join(dir, "pid"))
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH") + ":/usr/sbin:/sbin", "HOME=" + dir}
	for _, name := range []string{"CONFIG_HOME", "CACHE_HOME", "DATA_HOME", "STATE_HOME", "RUNTIME_DIR"} {
		cmd.Env = append(cmd.Env, "XDG_"+name+"="+dir)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	var log strings.Builder
	cmd.Stderr = &log
	runtime.LockOSThread() // the kernel ends it with the thread that starts it
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() { cmd.Process.Signal(syscall.SIGTERM); <-ended })
	over := false
	if !testproc.Until(testproc.Patience, func() bool {
		select {
		case <-ended:
			over = true
			return true
		default:
		}
		c, err := net.Dial("unix", d.Socket)
		if err == nil {
			c.Close()
		}
		return err == nil
	}) {
		t.Fatalf("libvirtd was not there within %s", testproc.Patience)
	}
	if over {
		t.Skipf("libvirtd does not run here: %s", log.String())
	}
	return d
}

// A Call is a number of a call in libvirt's protocol.
type Call uint32

// Some of them, as in libvirt's remote_protocol.x.
const (
	DomainCreate        Call = 9
	DomainDefineXML     Call = 11
	DomainDestroy       Call = 12
	StorageVolCreateXML Call = 93
	StorageVolDelete    Call = 94
	DomainUndefineFlags Call = 231
)

// A Proxy stands between a client and libvirtd, and can keep a call.
type Proxy struct {
	Socket string

	mu   sync.Mutex
	call Call
	done bool // libvirtd gets the call, and the client no answer
	held chan struct{}
}

// Proxy begins one.
func (d *Daemon) Proxy(t testing.TB) *Proxy {
	t.Helper()
	p := &Proxy{Socket: filepath.Join(d.Dir, "proxy")}
	l, err := net.Listen("unix", p.Socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("unix", d.Socket)
			if err != nil {
				c.Close()
				return
			}
			go p.serve(c, up)
		}
	}()
	return p
}

// Hold keeps the next call of this sort from libvirtd, or, if it is done, its answer from the
// client, and all that comes after. The channel is closed when there was one.
func (p *Proxy) Hold(call Call, done bool) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.call, p.done, p.held = call, done, make(chan struct{})
	return p.held
}

// take tells whether this call is to be held.
func (p *Proxy) take(call Call) (held chan struct{}, done bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.call == 0 || p.call != call {
		return nil, false
	}
	p.call = 0
	return p.held, p.done
}

func (p *Proxy) serve(client, up net.Conn) {
	defer client.Close()
	defer up.Close()
	var mute sync.Mutex // while it is locked, the client gets nothing
	answered := make(chan struct{}, 1)
	watch := false
	var state sync.Mutex
	go func() {
		defer client.Close()
		for {
			b, err := packet(up)
			if err != nil {
				return
			}
			state.Lock()
			w := watch
			state.Unlock()
			if w {
				select {
				case answered <- struct{}{}:
				default:
				}
			}
			mute.Lock()
			_, err = client.Write(b)
			mute.Unlock()
			if err != nil {
				return
			}
		}
	}()
	for {
		b, err := packet(client)
		if err != nil {
			return
		}
		held, done := p.take(Call(binary.BigEndian.Uint32(b[12:])))
		if held == nil {
			if _, err := up.Write(b); err != nil {
				return
			}
			continue
		}
		mute.Lock()
		defer mute.Unlock()
		if done {
			state.Lock()
			watch = true
			state.Unlock()
			if _, err := up.Write(b); err != nil {
				return
			}
			<-answered
		}
		close(held)
		io.Copy(io.Discard, client) // until the client is dead
		return
	}
}

// packet reads one message.
func packet(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 28 || n > 32<<20 {
		return nil, fmt.Errorf("a message of %d bytes", n)
	}
	b := make([]byte, n)
	copy(b, head[:])
	_, err := io.ReadFull(r, b[4:])
	return b, err
}
