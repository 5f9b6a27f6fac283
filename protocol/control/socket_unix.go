//go:build unix

package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// maxSocketName is what fits into a sockaddr_un everywhere.
const maxSocketName = 100

// shortName gives a name for the socket that fits into an address: where the path
// is too long, one through a descriptor of its directory. done releases it.
func shortName(name string) (short string, done func(), err error) {
	if len(name) <= maxSocketName {
		return name, func() {}, nil
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return "", nil, err
	}
	proc := filepath.Join("/proc/self/fd", strconv.Itoa(int(dir.Fd())))
	if _, err := os.Stat(proc); err != nil {
		dir.Close()
		return "", nil, fmt.Errorf("the path has %d bytes, and a socket's at most %d: choose a shorter sock_dir", len(name), maxSocketName)
	}
	return filepath.Join(proc, filepath.Base(name)), func() { dir.Close() }, nil
}

func listen(name string, mode fs.FileMode) (net.Listener, error) {
	short, done, err := shortName(name)
	if err != nil {
		return nil, fmt.Errorf("make control socket %s: %w", name, err)
	}
	defer done()
	if c, err := net.Dial("unix", short); err == nil {
		c.Close()
		return nil, fmt.Errorf("another master answers on %s: stop it first, or give this one its own sock_dir or root_dir", name)
	} else if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("make control socket %s: %w", name, err)
	}
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("make control socket %s: %w", name, err)
	}
	old := syscall.Umask(0o177)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	syscall.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("make control socket %s: %w", name, err)
	}
	l.SetUnlinkOnClose(false)
	if err := os.Chmod(name, mode); err != nil {
		l.Close()
		return nil, fmt.Errorf("make control socket %s: %w", name, err)
	}
	return &listener{UnixListener: l, name: name}, nil
}

// listener removes the socket's file when it closes, by the name that the file
// has rather than the one that it was bound by.
type listener struct {
	*net.UnixListener
	name string
}

func (l *listener) Close() error {
	err := l.UnixListener.Close()
	os.Remove(l.name)
	return err
}
