package host

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// Stat is what is known of a file.
type Stat struct {
	fs.FileInfo
	UID, GID int // -1 on systems without
}

// Octal is the file's permissions as Salt writes them: "0644", "4755".
func (s *Stat) Octal() string { return octal(s.Mode()) }

func octal(m fs.FileMode) string { return NormalMode(fmt.Sprintf("%o", unixMode(m))) }

// unixMode is a mode with the bits that Unix knows: 0o4755.
func unixMode(m fs.FileMode) uint32 {
	n := uint32(m.Perm())
	for bit, unix := range map[fs.FileMode]uint32{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if m&bit != 0 {
			n |= unix
		}
	}
	return n
}

// NormalMode writes an octal mode as Salt does, four digits at least: "644" and "0o644"
// become "0644".
func NormalMode(mode string) string {
	mode = strings.ReplaceAll(mode, "0o", "0")
	mode = strings.TrimLeft(strings.Trim(strings.Trim(mode, `"`), "'"), "0")
	for len(mode) < 4 {
		mode = "0" + mode
	}
	return mode
}

// ParseMode reads an octal mode: "0644".
func ParseMode(mode string) (fs.FileMode, error) {
	n, err := strconv.ParseUint(NormalMode(mode), 8, 32)
	if err != nil || n > 0o7777 {
		return 0, fmt.Errorf("mode %q: an octal number such as 0644 is expected", mode)
	}
	return fileMode(uint32(n)), nil
}

// fileMode is a mode of which the bits are Unix's, 0o4755, as Go has it.
func fileMode(n uint32) fs.FileMode {
	m := fs.FileMode(n & 0o777)
	for unix, bit := range map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if n&unix != 0 {
			m |= bit
		}
	}
	return m
}

// Stat describes a file, that which a symbolic link points to. The error is
// fs.ErrNotExist where there is none.
func (h *Host) Stat(name string) (*Stat, error) {
	fi, err := os.Stat(h.Path(name))
	if err != nil {
		return nil, err
	}
	return newStat(fi), nil
}

// Lstat describes a file, a symbolic link itself.
func (h *Host) Lstat(name string) (*Stat, error) {
	fi, err := os.Lstat(h.Path(name))
	if err != nil {
		return nil, err
	}
	return newStat(fi), nil
}

func newStat(fi fs.FileInfo) *Stat {
	s := &Stat{FileInfo: fi}
	s.UID, s.GID = owner(fi)
	return s
}

// IsDir, IsFile and IsLink tell what is there; links are followed, but for IsLink.
func (h *Host) IsDir(name string) bool {
	s, err := h.Stat(name)
	return err == nil && s.IsDir()
}

// IsFile tells whether a regular file is there, or a link to one.
func (h *Host) IsFile(name string) bool {
	s, err := h.Stat(name)
	return err == nil && s.Mode().IsRegular()
}

// IsLink tells whether a symbolic link is there.
func (h *Host) IsLink(name string) bool {
	s, err := h.Lstat(name)
	return err == nil && s.Mode()&fs.ModeSymlink != 0
}

// Exists tells whether anything is there; a link counts by what it points to.
func (h *Host) Exists(name string) bool {
	_, err := h.Stat(name)
	return err == nil
}

// Real is the path of a file with its symbolic links resolved: what writing to name
// would write to. What is not there yet is resolved as far as it is.
func (h *Host) Real(name string) string {
	for range 40 {
		to, err := os.Readlink(h.Path(name))
		if err != nil {
			return name
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(name), to)
		}
		name = to
	}
	return name
}

// Open opens a file for reading.
func (h *Host) Open(name string) (*os.File, error) { return os.Open(h.Path(name)) }

// Owner are the user and the group of a file, and its mode. Nil and -1 leave them as
// they are, or as the system makes them for a new file.
type Owner struct {
	UID, GID int
	Mode     *fs.FileMode
}

// Keep leaves everything as it is.
var Keep = Owner{UID: -1, GID: -1}

// NewGID is the group that the system gives a new file of this directory: that of the
// directory where it is setgid, as on BSD always, otherwise that of the process.
func (h *Host) NewGID(dir string) int {
	st, err := h.Stat(dir)
	if err == nil && (st.Mode()&fs.ModeSetgid != 0 || runtime.GOOS == "darwin" || strings.HasSuffix(runtime.GOOS, "bsd")) {
		return st.GID
	}
	return os.Getegid()
}

// Replace puts new contents in the place of a file: they are written beside it, without a
// name, or under one that nobody can guess where the file system has no such files, and
// renamed when they are complete, so that at any moment the name is the old file or the
// new one. A file that was there hands on its owner,
// mode and extended attributes; what owner says goes before. A new file has the mode
// 0666 without the umask's bits. A symbolic link is replaced itself: ReplaceLinked is for
// where it is to stay. A file that is a mount by itself is written in place.
func (h *Host) Replace(name string, o Owner, umask int, write func(io.Writer) error) (err error) {
	if h.idle(name) {
		return nil
	}
	path, done, err := h.pin(name, false)
	if err != nil {
		return err
	}
	defer done()
	defer func() { err = plain(err, path, h.Path(name)) }()
	temp := ""
	tmp, err := unnamed(filepath.Dir(path), path)
	if err != nil {
		if tmp, err = os.CreateTemp(filepath.Dir(path), hidden(path)); err != nil {
			return err
		}
		temp = tmp.Name()
	}
	defer func() {
		if err != nil {
			tmp.Close()
			if temp != "" {
				os.Remove(temp)
			}
		}
	}()
	mode := fs.FileMode(0o666)
	if umask < 0 {
		umask = currentUmask()
	}
	mode &^= fs.FileMode(umask)
	if fi, oerr := os.Lstat(path); oerr == nil && fi.Mode().IsRegular() {
		old := newStat(fi)
		mode = old.Mode() & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)
		if o.UID < 0 {
			o.UID = old.UID
		}
		if o.GID < 0 {
			o.GID = old.GID
		}
		if err := copyAttributes(path, tmp); err != nil {
			return fmt.Errorf("extended attributes of %s: %w", name, err)
		}
	}
	if o.Mode != nil {
		mode = *o.Mode
	}
	into := io.Writer(tmp)
	if h.Rehearses() {
		into = &draftWriter{w: tmp}
	}
	if err := write(into); err != nil {
		return err
	}
	if o.UID >= 0 || o.GID >= 0 {
		if uid, gid := owner(mustStat(tmp)); uid != o.UID && o.UID >= 0 || gid != o.GID && o.GID >= 0 {
			if err := tmp.Chown(o.UID, o.GID); err != nil {
				return err
			}
		}
	}
	if err := tmp.Chmod(mode); err != nil { // after the owner, whose change takes setuid away
		return err
	}
	if temp == "" {
		if temp, err = beside(tmp, path); err != nil {
			return err
		}
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	if err = os.Rename(temp, path); errors.Is(err, syscall.EBUSY) {
		return h.intoMount(temp, path)
	}
	return err
}

// beside gives an unnamed file a hidden name beside path, for the moment before it takes that.
func beside(tmp *os.File, path string) (string, error) {
	for range 100 {
		name := filepath.Join(filepath.Dir(path), hidden(path)+strconv.FormatUint(rand.Uint64(), 36))
		if err := giveName(tmp, name); !errors.Is(err, fs.ErrExist) {
			if err != nil {
				return "", &fs.PathError{Op: "link", Path: name, Err: err}
			}
			return name, nil
		}
	}
	return "", fmt.Errorf("no name is free beside %s", path)
}

// hidden is how the name of a file begins that will take the place of path. It has room
// for more, as the name of path may be as long as names can be.
func hidden(path string) string {
	base := filepath.Base(path)
	return "." + base[:min(len(base), 200)] + ".gosalt-"
}

// ReplaceLinked is Replace for the file that a symbolic link leads to, where name is one.
func (h *Host) ReplaceLinked(name string, o Owner, umask int, write func(io.Writer) error) error {
	real, err := h.Follow(name)
	if err != nil {
		return err
	}
	return h.Replace(real, o, umask, write)
}

// intoMount writes a new file into one that is a mount by itself, as /etc/hosts is in a
// container: its name cannot be given to another.
func (h *Host) intoMount(tmp, path string) error {
	from, err := os.Open(tmp)
	if err != nil {
		return err
	}
	defer from.Close()
	if err := overwrite(path, from); err != nil {
		return err
	}
	return os.Remove(tmp)
}

// overwrite writes into a file that is there.
func overwrite(path string, content io.Reader) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC|noFollow, 0)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

func mustStat(f *os.File) fs.FileInfo {
	fi, err := f.Stat()
	if err != nil {
		return nil
	}
	return fi
}

// SetOwner changes a file's owner and group; -1 leaves one as it is. follow is whether a
// symbolic link is followed. The mode stays, where the system would take setuid away.
func (h *Host) SetOwner(name string, uid, gid int, follow bool) error {
	if h.idle(name) {
		return nil
	}
	path, done, err := h.pin(name, follow)
	if err != nil {
		return err
	}
	defer done()
	fi, err := os.Lstat(path)
	if err == nil {
		err = os.Lchown(path, uid, gid)
	}
	if special := fs.ModeSetuid | fs.ModeSetgid; err == nil && follow && fi.Mode()&special != 0 && !fi.IsDir() {
		err = setMode(path, unixMode(fi.Mode()))
	}
	return plain(err, path, h.Path(name))
}

// SetMode changes a file's mode.
func (h *Host) SetMode(name string, mode fs.FileMode) error {
	if h.idle(name) {
		return nil
	}
	path, done, err := h.pin(name, true)
	if err != nil {
		return err
	}
	defer done()
	return plain(setMode(path, unixMode(mode)), path, h.Path(name))
}

// MakeDir makes one directory of this owner. It is made closed and opened when it is
// theirs. One that is there already is an error.
func (h *Host) MakeDir(name string, o Owner, umask int) error {
	if h.idle(name) {
		return nil
	}
	path, done, err := h.pin(name, false)
	if err != nil {
		return err
	}
	defer done()
	mode := fs.FileMode(0o777)
	if umask < 0 {
		umask = currentUmask()
	}
	mode &^= fs.FileMode(umask)
	if o.Mode != nil {
		mode = *o.Mode
	}
	err = os.Mkdir(path, 0o700)
	if o.Mode == nil && err == nil {
		if st, serr := os.Lstat(path); serr == nil {
			mode |= st.Mode() & fs.ModeSetgid // of the directory that it is in: who asks for no mode keeps it
		}
	}
	if err == nil && (o.UID >= 0 || o.GID >= 0) {
		err = os.Lchown(path, o.UID, o.GID)
	}
	if err == nil {
		err = setMode(path, unixMode(mode))
	}
	return plain(err, path, h.Path(name))
}

// MakeDirs makes a directory and those above it that are missing, as MakeDir does.
func (h *Host) MakeDirs(name string, o Owner, umask int) error {
	name = filepath.Clean(name)
	if h.IsDir(name) {
		return nil
	}
	if up := filepath.Dir(name); up != name {
		if err := h.MakeDirs(up, o, umask); err != nil {
			return err
		}
	}
	err := h.MakeDir(name, o, umask)
	if errors.Is(err, fs.ErrExist) && h.IsDir(name) {
		return nil
	}
	return err
}

// Remove removes a file, a link or a whole directory tree. What is not there is no error.
func (h *Host) Remove(name string) error {
	if h.idle(name) {
		return nil
	}
	path, done, err := h.pin(name, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer done()
	return plain(os.RemoveAll(path), path, h.Path(name))
}

// Rename gives a file another name on the same file system, in the place of what has it.
func (h *Host) Rename(from, to string) error { return h.twoNames(from, to, os.Rename) }

// Link gives a file a further name, a hard link.
func (h *Host) Link(target, name string) error { return h.twoNames(target, name, os.Link) }

func (h *Host) twoNames(from, to string, do func(from, to string) error) error {
	if h.idle(from) || h.idle(to) {
		return nil
	}
	old, done, err := h.pin(from, false)
	if err != nil {
		return err
	}
	defer done()
	path, done, err := h.pin(to, false)
	if err != nil {
		return err
	}
	defer done()
	err = do(old, path)
	if e := (*os.LinkError)(nil); errors.As(err, &e) {
		return &os.LinkError{Op: e.Op, Old: h.Path(from), New: h.Path(to), Err: e.Err}
	}
	return err
}

// Symlink makes a symbolic link, in the place of what is under that name if replace is
// set; at any moment the name is the old or the new.
func (h *Host) Symlink(target, name string, replace bool) error {
	if h.idle(name) {
		return nil
	}
	path, done, err := h.pin(name, false)
	if err != nil {
		return err
	}
	defer done()
	if !replace {
		return plain(os.Symlink(target, path), path, h.Path(name))
	}
	for i := range 100 {
		tmp := filepath.Join(filepath.Dir(path), fmt.Sprintf("%s%d-%d", hidden(path), os.Getpid(), i))
		err := os.Symlink(target, tmp)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err == nil {
			if err = os.Rename(tmp, path); err != nil {
				os.Remove(tmp)
			}
		}
		return plain(err, path, h.Path(name))
	}
	return fmt.Errorf("link %s: no name is free for it", name)
}

// Readlink returns where a symbolic link points, as it is written.
func (h *Host) Readlink(name string) (string, error) { return os.Readlink(h.Path(name)) }
