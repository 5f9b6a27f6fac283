package host

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// Mknod makes a device or a FIFO; kind is unix.S_IFCHR, S_IFBLK or S_IFIFO.
func (h *Host) Mknod(path string, kind, mode, major, minor uint32) error {
	if h.idle(path) {
		return nil
	}
	if err := unix.Mknod(h.Path(path), kind|mode, int(unix.Mkdev(major, minor))); err != nil {
		return &fs.PathError{Op: "mknod", Path: path, Err: err}
	}
	return nil
}
