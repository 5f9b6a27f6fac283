package host

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Root writes in directories of users, too, and a user may put a symbolic link where root
// is about to write: the file that gets new contents, another owner or another mode is
// then one of somebody else. So paths are walked here one name at a time, as the kernel
// does, but a link of a user leads only to what is that user's. What was walked stays
// open, and is written by way of it: a link that comes between finds nothing to lead away.

const noFollow = unix.O_NOFOLLOW

// maxLinks is how many symbolic links a path may have, as in the kernel.
const maxLinks = 40

// procFD tells whether open files can be named: in a chroot, say, /proc may be missing.
var procFD = sync.OnceValue(func() bool {
	_, err := os.Stat("/proc/self/fd")
	return err == nil
})

// guarded tells whether links have to be looked at: what users can do by themselves is
// no way around anything for them.
var guarded = sync.OnceValue(func() bool { return os.Geteuid() == 0 })

// walk is a path on the way to its directory, with what is left of it.
type walk struct {
	fd    int    // O_PATH of the directory that was come to
	at    string // its name, for messages
	rest  []string
	links int
	// linked says that the path itself is a link, and not only a directory above it.
	linked bool
	// wanted are links whose ends are not reached yet: when no more than left names are to
	// come, what is there has to be of this owner.
	wanted []linkEnd
}

type linkEnd struct {
	link string
	uid  int
	left int
}

func (w *walk) close() { unix.Close(w.fd) }

// step goes to a directory, closes the one before, and looks at whose it is: of what is
// open now, not of what had that name a moment ago.
func (w *walk) step(name, at string, flags int) error {
	fd, err := unix.Openat(w.fd, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC|flags, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: at, Err: err}
	}
	unix.Close(w.fd)
	w.fd, w.at = fd, at
	return w.here()
}

// here looks at the owner of the directory that was come to.
func (w *walk) here() error {
	var st unix.Stat_t
	if err := unix.Fstat(w.fd, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: w.at, Err: err}
	}
	return w.arrived(int(st.Uid), w.at)
}

// inProc tells whether the directory that was come to is of /proc, where links are more
// than their text: /proc/1/root is another machine's root.
func (w *walk) inProc() bool {
	var st unix.Statfs_t
	return unix.Fstatfs(w.fd, &st) == nil && st.Type == unix.PROC_SUPER_MAGIC
}

// arrived looks at the owner of what a link has led to.
func (w *walk) arrived(uid int, at string) error {
	for len(w.wanted) > 0 {
		end := w.wanted[len(w.wanted)-1]
		if len(w.rest) > end.left {
			return nil
		}
		w.wanted = w.wanted[:len(w.wanted)-1]
		if uid != end.uid {
			return &UnsafeLinkError{Link: end.link, Owner: end.uid, To: at, ToOwner: uid}
		}
	}
	return nil
}

// follow puts where a link leads in front of what is left of the path.
func (w *walk) follow(name, at string, uid int) error {
	if w.links++; w.links > maxLinks {
		return &fs.PathError{Op: "open", Path: at, Err: unix.ELOOP}
	}
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(w.fd, name, buf)
	if err != nil {
		return &fs.PathError{Op: "readlink", Path: at, Err: err}
	}
	to := string(buf[:n])
	if uid != 0 {
		w.wanted = append(w.wanted, linkEnd{at, uid, len(w.rest)})
	}
	w.rest = append(names(to), w.rest...)
	if filepath.IsAbs(to) {
		return w.toRoot()
	}
	return nil
}

func (w *walk) toRoot() error {
	fd, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: "/", Err: err}
	}
	if w.fd >= 0 {
		unix.Close(w.fd)
	}
	w.fd, w.at = fd, "/"
	return nil
}

// names are the parts of a path; ".." stays, as it leads up from where a link has led.
func names(p string) []string {
	var out []string
	for _, n := range strings.Split(p, "/") {
		if n != "" && n != "." {
			out = append(out, n)
		}
	}
	return out
}

// walkFrom begins a walk at the root.
func walkFrom(path string) (*walk, error) {
	w := &walk{fd: -1, rest: names(path)}
	return w, w.toRoot()
}

// straight goes to the directory of a path at once, where no link is on the way, as is
// almost always so; nil where one may be.
func straight(path string, final bool) *walk {
	if strings.Contains(path, "..") || filepath.Base(path) == "/" {
		return nil
	}
	dir := filepath.Dir(path)
	fd, err := unix.Openat2(unix.AT_FDCWD, dir, &unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS})
	if err != nil {
		return nil
	}
	var st unix.Stat_t
	if final && unix.Fstatat(fd, filepath.Base(path), &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
		unix.Close(fd)
		return nil
	}
	return &walk{fd: fd, at: dir}
}

// run walks on until one name is left, the last one, or with final through it if it is a
// link. It returns that name; "" where the path ends at a directory by itself.
func (w *walk) run(final bool) (base string, err error) {
	for len(w.rest) > 0 {
		name := w.rest[0]
		w.rest = w.rest[1:]
		at := filepath.Join(w.at, name)
		if name == ".." {
			if err := w.step("..", filepath.Dir(w.at), unix.O_NOFOLLOW); err != nil {
				return "", err
			}
			continue
		}
		last := len(w.rest) == 0
		if last && !final && len(w.wanted) == 0 {
			return name, nil
		}
		var st unix.Stat_t
		err := unix.Fstatat(w.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
		switch {
		case last && errors.Is(err, unix.ENOENT):
			// What is made there is in this directory: it counts.
			if err := unix.Fstat(w.fd, &st); err != nil {
				return "", &fs.PathError{Op: "stat", Path: w.at, Err: err}
			}
			return name, w.arrived(int(st.Uid), at)
		case err != nil:
			return "", &fs.PathError{Op: "lstat", Path: at, Err: err}
		}
		link := st.Mode&unix.S_IFMT == unix.S_IFLNK
		switch {
		case link && !last && w.inProc():
			if st.Uid != 0 {
				w.wanted = append(w.wanted, linkEnd{at, int(st.Uid), len(w.rest)})
			}
			err = w.step(name, at, 0)
		case link && (!last || final):
			w.linked = w.linked || last
			// A link at the end of a link has to be of the same user, as any end.
			err = w.follow(name, at, int(st.Uid))
		case last:
			return name, w.arrived(int(st.Uid), at)
		default:
			err = w.step(name, at, unix.O_NOFOLLOW)
		}
		if err != nil {
			return "", err
		}
	}
	return "", w.here()
}

// walkTo goes to the directory of a path, and returns the name that is left. With an error
// nothing stays open, and w says how far it came.
func (h *Host) walkTo(path string, final bool) (w *walk, base string, err error) {
	if w = straight(path, final); w != nil {
		return w, filepath.Base(path), nil
	}
	if w, err = walkFrom(path); err != nil {
		return w, "", err
	}
	if base, err = w.run(final); err != nil {
		w.close()
		if e := (*UnsafeLinkError)(nil); errors.As(err, &e) {
			err = h.named(e)
		}
	}
	return w, base, err
}

// pin finds the directory of a path and keeps it open: the path that is returned is of the
// same file, whatever becomes of the directories above it. done has to be called. final
// says whether a link at the end is followed.
func (h *Host) pin(name string, final bool) (path string, done func(), err error) {
	path = h.Path(name)
	if !guarded() || !filepath.IsAbs(path) {
		if final {
			path = h.Path(h.Real(name))
		}
		return path, func() {}, nil
	}
	w, base, err := h.walkTo(path, final)
	if err != nil {
		return "", nil, err
	}
	if !procFD() {
		w.close()
		return filepath.Join(w.at, base), func() {}, nil
	}
	return "/proc/self/fd/" + strconv.Itoa(w.fd) + "/" + base, w.close, nil
}

// Safe tells whether root may write to a path, or why not: an UnsafeLinkError where a
// link of a user leads to what is not theirs. final says whether a link at the end of the
// path is followed. What is missing is no error.
func (h *Host) Safe(name string, final bool) error {
	_, done, err := h.pin(name, final)
	if err == nil {
		done()
	}
	if errors.As(err, new(*UnsafeLinkError)) {
		return err
	}
	return nil
}

// Follow is Real for what is about to be written: links of users to what is not theirs
// are refused. The path is the one that was looked at: a link that is put in the place of
// the other meanwhile leads nowhere.
func (h *Host) Follow(name string) (string, error) {
	path := h.Path(name)
	if h.rooted() || !guarded() || !filepath.IsAbs(path) {
		return h.Real(name), h.Safe(name, true)
	}
	w, base, err := h.walkTo(path, true)
	if err == nil {
		defer w.close()
	}
	switch {
	case errors.As(err, new(*UnsafeLinkError)):
		return "", err
	case !w.linked:
		return name, nil // what is missing above it is found when it is written
	case err != nil:
		return "", err
	}
	return filepath.Join(w.at, base), nil
}

// named gives the owners in an error their names.
func (h *Host) named(e *UnsafeLinkError) error {
	e.ownerName, e.toName = h.UserName(e.Owner), h.UserName(e.ToOwner)
	return e
}

// setMode changes the mode of what is at a pinned path itself: where a link has come
// there meanwhile, nothing.
func setMode(path string, mode uint32) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "chmod", Path: path, Err: err}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &fs.PathError{Op: "chmod", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return &fs.PathError{Op: "chmod", Path: path, Err: unix.ELOOP}
	}
	if !procFD() {
		err = unix.Chmod(path, mode)
	} else {
		err = unix.Chmod("/proc/self/fd/"+strconv.Itoa(fd), mode)
	}
	if err != nil {
		return &fs.PathError{Op: "chmod", Path: path, Err: err}
	}
	return nil
}
