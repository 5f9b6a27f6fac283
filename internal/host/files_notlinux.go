//go:build unix && !linux

package host

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

// Mknod makes a FIFO; devices are made by the kernel alone on these systems.
func (h *Host) Mknod(path string, kind, mode, major, minor uint32) error {
	if h.idle(path) {
		return nil
	}
	err := errors.ErrUnsupported
	if kind == unix.S_IFIFO {
		err = unix.Mkfifo(h.Path(path), mode)
	}
	if err != nil {
		return &fs.PathError{Op: "mknod", Path: path, Err: err}
	}
	return nil
}
