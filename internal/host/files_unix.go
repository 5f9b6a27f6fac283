//go:build unix

package host

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// FileInfo is what there is to know of a file without reading it, as the system says it.
type FileInfo struct {
	Mode                uint32 // permissions, with setuid, setgid and sticky: 0o7777 at most
	Raw                 uint32 // st_mode
	Type                string // file, dir, link, block, char, pipe or socket
	UID, GID            int
	Size                int64
	Inode, Links        uint64
	Major, Minor        uint32 // of a device
	Atime, Mtime, Ctime time.Time
}

// Info returns what there is to know of a file; follow says whether of the one that a
// symbolic link points to.
func (h *Host) Info(path string, follow bool) (FileInfo, error) {
	var st unix.Stat_t
	call, name := unix.Lstat, "lstat"
	if follow {
		call, name = unix.Stat, "stat"
	}
	if err := call(h.Path(path), &st); err != nil {
		return FileInfo{}, &fs.PathError{Op: name, Path: path, Err: err}
	}
	return FileInfo{
		Mode: uint32(st.Mode) & 0o7777, Raw: uint32(st.Mode), Type: fileTypes[uint32(st.Mode)&unix.S_IFMT],
		UID: int(st.Uid), GID: int(st.Gid), Size: st.Size, Inode: st.Ino, Links: uint64(st.Nlink),
		Major: unix.Major(uint64(st.Rdev)), Minor: unix.Minor(uint64(st.Rdev)),
		Atime: time.Unix(st.Atim.Unix()), Mtime: time.Unix(st.Mtim.Unix()), Ctime: time.Unix(st.Ctim.Unix()),
	}, nil
}

var fileTypes = map[uint32]string{
	unix.S_IFREG: "file", unix.S_IFDIR: "dir", unix.S_IFLNK: "link", unix.S_IFBLK: "block",
	unix.S_IFCHR: "char", unix.S_IFIFO: "pipe", unix.S_IFSOCK: "socket",
}

// Chmod sets the permissions, setuid, setgid and sticky among them, by Unix's numbers.
func (h *Host) Chmod(path string, mode uint32) error {
	if h.idle(path) {
		return nil
	}
	pinned, done, err := h.pin(path, true)
	if err != nil {
		return err
	}
	defer done()
	return plain(setMode(pinned, mode), pinned, path)
}

// ReadFile reads a whole file.
func (h *Host) ReadFile(path string) ([]byte, error) { return os.ReadFile(h.Path(path)) }

// WriteFile gives a file new contents as Replace does. A symbolic link stays one: the file
// that it points to is written. One that is a mount by itself is written in place, as its
// name cannot be given to another.
func (h *Host) WriteFile(path string, content []byte) error {
	return h.writeFrom(path, bytes.NewReader(content), false)
}

// Rewrite is WriteFile for a file whose further names, hard links, are to have the new
// contents too: such a file is written in place.
func (h *Host) Rewrite(path string, content []byte) error {
	return h.writeFrom(path, bytes.NewReader(content), true)
}

func (h *Host) writeFrom(path string, content io.Reader, keepLinks bool) error {
	if h.idle(path) {
		return nil
	}
	dest, err := h.Follow(path)
	if err != nil {
		return err
	}
	if st, err := h.Info(dest, false); err == nil {
		if st.Type == "dir" {
			return &fs.PathError{Op: "write", Path: path, Err: unix.EISDIR}
		}
		if st.Type != "file" || keepLinks && st.Links > 1 {
			pinned, done, err := h.pin(dest, false)
			if err != nil {
				return err
			}
			defer done()
			return plain(overwrite(pinned, content), pinned, dest)
		}
	}
	return h.Replace(dest, Keep, -1, func(w io.Writer) error {
		_, err := io.Copy(w, content)
		return err
	})
}

// CopyFile copies the contents of a file, and its permissions and times where keep says
// so. The destination is written as by WriteFile.
func (h *Host) CopyFile(src, dst string, keep bool) error {
	if h.idle(dst) {
		return nil
	}
	in, err := os.Open(h.Path(src))
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := h.Info(src, true)
	if err != nil {
		return err
	}
	if info.Type == "dir" {
		return &fs.PathError{Op: "read", Path: src, Err: unix.EISDIR}
	}
	if err := h.writeFrom(dst, in, false); err != nil || !keep {
		return err
	}
	if err := h.Chmod(dst, info.Mode); err != nil {
		return err
	}
	return h.SetTimes(dst, info.Atime, info.Mtime)
}

// SetTimes changes when a file was read and changed last.
func (h *Host) SetTimes(name string, read, changed time.Time) error {
	if h.idle(name) {
		return nil
	}
	path, done, err := h.pin(name, true)
	if err != nil {
		return err
	}
	defer done()
	// Where a link has come there meanwhile, it is the link that gets them.
	times := []unix.Timespec{unix.NsecToTimespec(read.UnixNano()), unix.NsecToTimespec(changed.UnixNano())}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, path, times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &fs.PathError{Op: "chtimes", Path: name, Err: err}
	}
	return nil
}

// OpenFile opens a file to be written as it is, or to be made: os.OpenFile. A link at the end
// is followed where that is safe.
func (h *Host) OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	if flag&(os.O_WRONLY|os.O_RDWR|os.O_CREATE|os.O_TRUNC) != 0 && h.idle(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errRehearsed}
	}
	path, done, err := h.pin(name, true)
	if err != nil {
		return nil, err
	}
	defer done()
	if path != h.Path(name) && strings.HasPrefix(path, "/proc/self/fd/") {
		flag |= unix.O_NOFOLLOW // it was followed; what has come there since is not
	}
	f, err := os.OpenFile(path, flag, perm)
	return f, plain(err, path, h.Path(name))
}

// Unlink removes a file or a link, and no directory.
func (h *Host) Unlink(name string) error {
	if h.idle(name) {
		return nil
	}
	path, done, err := h.pin(name, false)
	if err != nil {
		return err
	}
	defer done()
	if err := unix.Unlink(path); err != nil {
		return &fs.PathError{Op: "unlink", Path: h.Path(name), Err: err}
	}
	return nil
}

// Umask is the file creation mask of this process.
func (h *Host) Umask() uint32 { return uint32(currentUmask()) }

// OSError words an error of the system as Python does, which is what Salt's messages
// quote: "[Errno 2] No such file or directory: '/x'". path is left out where it is "".
func OSError(err error, path string) string {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err.Error()
	}
	if path == "" {
		return fmt.Sprintf("[Errno %d] %s", int(errno), Strerror(err))
	}
	return fmt.Sprintf("[Errno %d] %s: '%s'", int(errno), Strerror(err), path)
}

// Strerror is the system's words for an error as C has them: "No such file or directory".
func Strerror(err error) string {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err.Error()
	}
	text := errno.Error()
	if text != "" && text[0] >= 'a' && text[0] <= 'z' {
		text = string(text[0]-'a'+'A') + text[1:]
	}
	return text
}
