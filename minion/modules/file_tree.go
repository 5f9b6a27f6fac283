//go:build unix

package modules

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("file.link", fileLink)
	register("file.symlink", fileSymlink)
	register("file.rename", fileRename)
	register("file.copy", fileCopy)
	register("file.move", fileMove)
	register("file.remove", fileRemove)
	register("file.rmdir", fileRmdir)
	register("file.mkdir", fileMkdir)
	register("file.makedirs", fileMakedirs)
	register("file.makedirs_perms", fileMakedirsPerms)
	register("file.mknod", fileMknod)
	register("file.mknod_blkdev", fileMknodBlkdev)
	register("file.mknod_chrdev", fileMknodChrdev)
	register("file.mknod_fifo", fileMknodFifo)
}

type fileLinkArgs struct {
	Src  string // An absolute path of a file.
	Path string // Its further name.
}

// fileLink gives a file a further name, a hard link.
//
//	gosalt '*' file.link /path/to/file /path/to/link
func fileLink(ctx context.Context, c *module.Call, a fileLinkArgs) (bool, error) {
	src := expandUser(c, a.Src)
	if !filepath.IsAbs(src) {
		return false, module.Invalidf("File path must be absolute.")
	}
	if err := c.Host.Link(src, a.Path); err != nil {
		return false, module.Failf("Could not create '%s': %s -> '%s'", a.Path, host.OSError(err, src), a.Path)
	}
	return true, nil
}

type fileSymlinkArgs struct {
	Src    string // Where the link points to.
	Path   string // An absolute path: the link.
	Force  bool   `default:"False"` // Replace what is there.
	Atomic bool   `default:"False"` // Replace what is there in one step.
}

// fileSymlink makes a symbolic link. One that is already so is left.
//
//	gosalt '*' file.symlink /path/to/file /path/to/link
func fileSymlink(ctx context.Context, c *module.Call, a fileSymlinkArgs) (bool, error) {
	path := expandUser(c, a.Path)
	if !filepath.IsAbs(path) {
		return false, module.Invalidf("Link path must be absolute: %s", path)
	}
	link := c.Host.IsLink(path)
	if link {
		if to, err := c.Host.Readlink(path); err == nil && pyNormpath(to) == pyNormpath(a.Src) {
			return true, nil
		}
		if !a.Force && !a.Atomic {
			return false, module.Failf("Found existing symlink: %s", path)
		}
	}
	if c.Host.Exists(path) && !a.Force && !a.Atomic {
		return false, module.Failf("Existing path is not a symlink: %s", path)
	}
	if a.Atomic {
		if err := c.Host.Symlink(a.Src, path, true); err != nil {
			return false, inTheWay(err, "Could not create '%s'", path)
		}
		return true, nil
	}
	if a.Force && (link || c.Host.Exists(path)) {
		if err := c.Host.Unlink(path); err != nil {
			return false, systemError(err, path)
		}
	}
	if err := c.Host.Symlink(a.Src, path, false); err != nil {
		return false, inTheWay(err, "Could not create '%s'", path)
	}
	return true, nil
}

// inTheWay is Salt's error, with the link that is in the way where that is the reason.
func inTheWay(err error, format string, args ...any) error {
	if unsafe := (*host.UnsafeLinkError)(nil); errors.As(err, &unsafe) {
		return module.Failf(format+": %w", append(args, unsafe)...)
	}
	return module.Failf(format, args...)
}

type fileSrcDstArgs struct {
	Src string // An absolute path.
	Dst string // What it is to be.
}

// fileRename gives a file or directory another name on the same file system.
//
//	gosalt '*' file.rename /path/to/src /path/to/dst
func fileRename(ctx context.Context, c *module.Call, a fileSrcDstArgs) (bool, error) {
	src, dst := expandUser(c, a.Src), expandUser(c, a.Dst)
	if !filepath.IsAbs(src) {
		return false, module.Invalidf("File path must be absolute.")
	}
	if err := c.Host.Rename(src, dst); err != nil {
		return false, inTheWay(err, "Could not rename '%s' to '%s'", src, dst)
	}
	return true, nil
}

type fileCopyArgs struct {
	Src            string // An absolute path of a file or a directory.
	Dst            string // Where the copy is to be.
	Recurse        bool   `default:"False"` // For directories.
	RemoveExisting bool   `default:"False"` // Remove a directory that is there, rather than to copy into it.
}

// fileCopy copies a file, or a directory with all that is in it. The copy gets owner,
// group and permissions of the source.
//
//	gosalt '*' file.copy /path/to/src /path/to/dst
//	gosalt '*' file.copy /path/to/src_dir /path/to/dst_dir recurse=True
//	gosalt '*' file.copy /path/to/src_dir /path/to/dst_dir recurse=True remove_existing=True
func fileCopy(ctx context.Context, c *module.Call, a fileCopyArgs) (bool, error) {
	src, dst := expandUser(c, a.Src), expandUser(c, a.Dst)
	if !filepath.IsAbs(src) {
		return false, module.Invalidf("File path must be absolute.")
	}
	st, err := c.Host.Info(src, true)
	if err != nil {
		return false, module.Failf("No such file or directory '%s'", src)
	}
	switch {
	case c.Host.IsDir(dst) || st.Type == "dir":
		if !a.Recurse {
			return false, module.Invalidf("Cannot copy overwriting a directory without recurse flag set to true!")
		}
		if a.RemoveExisting {
			if err = c.Host.Remove(dst); err == nil {
				err = copyTree(ctx, c, src, dst, true)
			}
		} else {
			err = copyTree(ctx, c, src, dst, false)
		}
	default:
		err = c.Host.CopyFile(src, dst, false)
	}
	if err != nil {
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		c.Log.Debug("not copied", "error", err)
		return false, module.Failf("Could not copy '%s' to '%s'", src, dst)
	}
	_, _, err = checkPerms(ctx, c, permsWanted{Name: dst, User: nameOrNumber(c.Host.UserName(st.UID), int64(st.UID)),
		Group: nameOrNumber(c.Host.GroupName(st.GID), int64(st.GID)), Mode: octal(st.Mode)}, nil)
	return err == nil, err
}

// copyTree copies what is below a directory. keep copies permissions, times and links as
// they are; without it files get new ones, and what a link points to is copied.
func copyTree(ctx context.Context, c *module.Call, src, dst string, keep bool) error {
	if !c.Host.IsDir(src) { // into a directory that is there: Python's walk finds nothing
		return nil
	}
	return filepath.WalkDir(c.Host.Path(src), func(path string, e fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, context.Cause(ctx))
		}
		rel, err := filepath.Rel(c.Host.Path(src), path)
		if err != nil {
			return err
		}
		from, to := filepath.Join(src, rel), filepath.Join(dst, rel)
		switch {
		case e.IsDir():
			if err := c.Host.MakeDirs(to, host.Keep, -1); err != nil || !keep {
				return err
			}
			st, err := c.Host.Info(from, false)
			if err != nil {
				return err
			}
			return c.Host.Chmod(to, st.Mode)
		case e.Type()&fs.ModeSymlink != 0 && !keep:
			if st, err := os.Stat(path); err == nil && st.IsDir() {
				return nil
			}
		}
		return c.Host.CopyFile(from, to, keep)
	})
}

type fileMoveArgs struct {
	Src                   string // An absolute path.
	Dst                   string // An absolute path; into a directory that is there.
	DisallowCopyAndUnlink bool   `default:"False"` // Only on the same file system.
}

// fileMove moves a file or directory, to another file system too.
//
//	gosalt '*' file.move /path/to/src /path/to/dst
func fileMove(ctx context.Context, c *module.Call, a fileMoveArgs) (any, error) {
	if a.DisallowCopyAndUnlink {
		return fileRename(ctx, c, fileSrcDstArgs{a.Src, a.Dst})
	}
	src, dst := expandUser(c, a.Src), expandUser(c, a.Dst)
	if !filepath.IsAbs(src) {
		return nil, module.Invalidf("Source path must be absolute.")
	}
	if !filepath.IsAbs(dst) {
		return nil, module.Invalidf("Destination path must be absolute.")
	}
	failed := func(why string) (any, error) {
		return nil, module.Failf("Unable to move '%s' to '%s': %s", src, dst, why)
	}
	to := dst
	if c.Host.IsDir(dst) {
		to = filepath.Join(dst, filepath.Base(src))
		if c.Host.Exists(to) {
			return failed(fmt.Sprintf("Destination path '%s' already exists", to))
		}
	}
	err := c.Host.Rename(src, to)
	if errors.Is(err, unix.EXDEV) {
		err = moveByCopy(ctx, c, src, to)
	}
	if err != nil {
		return failed(host.OSError(err, src))
	}
	return wire.NewMap("result", true, "comment", fmt.Sprintf("'%s' moved to '%s'", src, dst)), nil
}

func moveByCopy(ctx context.Context, c *module.Call, src, dst string) error {
	st, err := c.Host.Info(src, false)
	if err != nil {
		return err
	}
	switch st.Type {
	case "link":
		to, err := c.Host.Readlink(src)
		if err != nil {
			return err
		}
		if err := c.Host.Symlink(to, dst, false); err != nil {
			return err
		}
	case "dir":
		if err := copyTree(ctx, c, src, dst, true); err != nil {
			return err
		}
	default:
		if err := c.Host.CopyFile(src, dst, true); err != nil {
			return err
		}
	}
	return c.Host.Remove(src)
}

type fileRemoveArgs struct {
	Path   string    // An absolute path.
	Kwargs *wire.Map `arg:"**"` // Without effect.
}

// fileRemove removes a file, or a directory with all that is in it. False says that there
// was nothing.
//
//	gosalt '*' file.remove /tmp/foo
func fileRemove(ctx context.Context, c *module.Call, a fileRemoveArgs) (bool, error) {
	path := expandUser(c, a.Path)
	if !filepath.IsAbs(path) {
		return false, module.Invalidf("File path must be absolute: %s", path)
	}
	if filepath.Clean(path) == "/" {
		return false, module.Failf("Could not remove '%s': the root directory is not removed", path)
	}
	if !c.Host.Exists(path) && !c.Host.IsLink(path) {
		return false, nil
	}
	if err := c.Host.Remove(strings.TrimRight(path, "/")); err != nil {
		var pe *fs.PathError
		at := path
		if errors.As(err, &pe) {
			at = pe.Path
		}
		return false, module.Failf("Could not remove '%s': %s", path, host.OSError(err, at))
	}
	return true, nil
}

type fileRmdirArgs struct {
	Path      string // An absolute path of a directory.
	Recurse   bool   `default:"False"` // Empty directories within it too.
	Verbose   bool   `default:"False"` // Return what was removed, and what was not and why.
	OlderThan any    `default:"None"`  // Days: only directories that have not been changed for longer.
}

// fileRmdir removes a directory that is empty.
//
//	gosalt '*' file.rmdir /tmp/foo/
//	gosalt '*' file.rmdir /tmp/foo/ recurse=True verbose=True older_than=5
func fileRmdir(ctx context.Context, c *module.Call, a fileRmdirArgs) (any, error) {
	path := expandUser(c, a.Path)
	if !filepath.IsAbs(path) {
		return nil, module.Invalidf("File path must be absolute.")
	}
	if !c.Host.IsDir(path) {
		return nil, module.Invalidf("A valid directory was not specified.")
	}
	var before time.Time
	if module.Truth(a.OlderThan) {
		if days, ok := wholeNumber(a.OlderThan); ok {
			before = time.Now().AddDate(0, 0, -int(days))
		} else {
			c.Log.Error("older_than is no number of days: all directories are meant", "older_than", pytext.Str(a.OlderThan))
		}
	}
	deleted, failures := []any{}, []any{}
	remove := func(dir string) bool {
		if !before.IsZero() {
			if st, err := os.Stat(c.Host.Path(dir)); err != nil || !st.ModTime().Before(before) {
				return true
			}
		}
		if err := unix.Rmdir(c.Host.Path(dir)); err != nil {
			failures = append(failures, []any{dir, host.OSError(err, dir)})
			return false
		}
		deleted = append(deleted, dir)
		return true
	}
	ok := false
	if a.Recurse {
		removeBelow(c, path, func(dir string) { remove(dir) })
		ok = len(failures) == 0
	}
	n := len(deleted)
	if !remove(path) {
		ok = false
	} else if len(deleted) > n {
		ok = ok || !a.Recurse
	}
	if a.Verbose {
		return wire.NewMap("deleted", deleted, "errors", failures, "result", ok), nil
	}
	return ok, nil
}

// removeBelow calls remove for the directories below another, the deepest first.
func removeBelow(c *module.Call, dir string, remove func(string)) {
	entries, err := os.ReadDir(c.Host.Path(dir))
	if err != nil {
		return
	}
	for _, e := range entries {
		if e.IsDir() {
			sub := pyJoin(dir, e.Name())
			removeBelow(c, sub, remove)
			remove(sub)
		}
	}
}

type fileMkdirArgs struct {
	DirPath string // A path.
	User    any    `default:"None"` // Whom new directories belong to.
	Group   any    `default:"None"` // Which group.
	Mode    any    `default:"None"` // Their permissions.
}

// fileMkdir makes a directory, and those above it, unless it is there.
//
//	gosalt '*' file.mkdir /opt/jetty/context
func fileMkdir(ctx context.Context, c *module.Call, a fileMkdirArgs) (bool, error) {
	return true, mkdir(ctx, c, expandUser(c, a.DirPath), a.User, a.Group, a.Mode)
}

func mkdir(ctx context.Context, c *module.Call, path string, user, group, mode any) error {
	dir := pyNormpath(path)
	if c.Host.IsDir(dir) {
		return nil
	}
	return makedirsPerms(ctx, c, dir, user, group, mode)
}

type fileMakedirsArgs struct {
	Path  string // A path; what is behind its last slash is not made.
	User  any    `default:"None"` // Whom new directories belong to.
	Group any    `default:"None"` // Which group.
	Mode  any    `default:"None"` // Their permissions.
}

// fileMakedirs makes the directories above a path. The path itself is made only where it
// ends in a slash.
//
//	gosalt '*' file.makedirs /opt/code/
func fileMakedirs(ctx context.Context, c *module.Call, a fileMakedirsArgs) (any, error) {
	return makedirs(ctx, c, expandUser(c, a.Path), a.User, a.Group, a.Mode)
}

func makedirs(ctx context.Context, c *module.Call, path string, user, group, mode any) (any, error) {
	if module.Truth(mode) {
		mode = normalMode(mode)
	}
	dir := pyNormpath(pyDirname(path))
	if c.Host.IsDir(dir) {
		return fmt.Sprintf("Directory '%s' already exists", dir), nil
	}
	if c.Host.Exists(dir) {
		return fmt.Sprintf("The path '%s' already exists and is not a directory", dir), nil
	}
	var missing []string
	for !c.Host.IsDir(dir) {
		missing = append(missing, dir)
		up := pyDirname(dir)
		if up == dir {
			return nil, module.Invalidf("Recursive creation for path '%s' would result in an infinite loop. Please use an absolute path.", up)
		}
		dir = up
	}
	for i := len(missing) - 1; i >= 0; i-- {
		if err := mkdir(ctx, c, missing[i], user, group, mode); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

type fileMakedirsPermsArgs struct {
	Name  string // A path.
	User  any    `default:"None"` // Whom new directories belong to.
	Group any    `default:"None"` // Which group.
	Mode  any    `default:"0755"` // Their permissions.
}

// fileMakedirsPerms makes a directory and those above it, with owner and permissions. One
// that is there is an error.
//
//	gosalt '*' file.makedirs_perms /opt/code
func fileMakedirsPerms(ctx context.Context, c *module.Call, a fileMakedirsPermsArgs) (any, error) {
	return nil, makedirsPerms(ctx, c, expandUser(c, a.Name), a.User, a.Group, a.Mode)
}

func makedirsPerms(ctx context.Context, c *module.Call, name string, user, group, mode any) error {
	name = strings.TrimRight(name, "/")
	head, tail := pyDirname(name), name[strings.LastIndexByte(name, '/')+1:]
	if head != "" && tail != "" && !c.Host.Exists(head) {
		if err := makedirsPerms(ctx, c, head, user, group, mode); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if tail == "." {
			return nil
		}
	}
	if err := c.Host.MakeDir(name, host.Keep, -1); err != nil {
		return systemError(err, name)
	}
	if module.Truth(mode) {
		n, ok := wholeNumber(mode) // Salt's int(): 0755 and "0755" are 755
		if !ok {
			return fmt.Errorf("invalid literal for int() with base 10: %s", pytext.Repr(pytext.Str(mode)))
		}
		mode = strconv.FormatInt(n, 10)
	} else {
		mode = nil
	}
	_, _, err := checkPerms(ctx, c, permsWanted{Name: name, User: user, Group: group, Mode: mode}, nil)
	return err
}

type fileMknodArgs struct {
	Name  string // A path.
	Ntype string // c for a character device, b for a block device, p for a named pipe.
	Major int64  `default:"0"`    // Number of the driver.
	Minor int64  `default:"0"`    // Number of the device.
	User  any    `default:"None"` // Whom it belongs to.
	Group any    `default:"None"` // Which group.
	Mode  any    `default:"0600"` // Its permissions.
}

// fileMknod makes a device or a named pipe, with the directories above it.
//
//	gosalt '*' file.mknod /dev/chr c 180 31
//	gosalt '*' file.mknod /dev/fifo p
func fileMknod(ctx context.Context, c *module.Call, a fileMknodArgs) (*wire.Map, error) {
	if _, err := makedirs(ctx, c, a.Name, a.User, a.Group, nil); err != nil {
		return nil, err
	}
	n := node{a.Name, a.Major, a.Minor, a.User, a.Group, a.Mode}
	switch a.Ntype {
	case "c":
		return n.make(ctx, c, unix.S_IFCHR, "Character device")
	case "b":
		return n.make(ctx, c, unix.S_IFBLK, "Block device")
	case "p":
		return n.make(ctx, c, unix.S_IFIFO, "Fifo pipe")
	}
	return nil, module.Invalidf("Node type unavailable: '%s'. Available node types are character ('c'), block ('b'), and pipe ('p').", a.Ntype)
}

// node is a device or a pipe to be made.
type node struct {
	name         string
	major, minor int64
	user, group  any
	mode         any
}

func (n node) make(ctx context.Context, c *module.Call, kind uint32, what string) (*wire.Map, error) {
	name := expandUser(c, n.name)
	ret := wire.NewMap("name", name, "changes", wire.NewMap(), "comment", "", "result", false)
	text := strings.TrimLeft(pytext.Str(n.mode), "0Oo")
	mode, err := strconv.ParseUint(text, 8, 32)
	if err != nil {
		return nil, fmt.Errorf("invalid literal for int() with base 8: '%s'", text)
	}
	made := wire.NewMap("new", fmt.Sprintf("%s %s created.", what, name))
	if c.Opts.Bool("test") {
		ret.Set("changes", made)
		ret.Set("result", nil)
	} else {
		err := c.Host.Mknod(name, kind, uint32(mode)&^c.Host.Umask(), uint32(n.major), uint32(n.minor))
		switch {
		case errors.Is(err, fs.ErrExist):
			ret.Set("comment", fmt.Sprintf("File %s exists and cannot be overwritten", name))
		case err != nil:
			return nil, systemError(err, "")
		default:
			ret.Set("changes", made)
			ret.Set("result", true)
		}
	}
	var want any
	if module.Truth(n.mode) {
		v, ok := wholeNumber(n.mode)
		if !ok {
			return nil, fmt.Errorf("invalid literal for int() with base 10: '%s'", pytext.Str(n.mode))
		}
		want = strconv.FormatInt(v, 10)
	}
	_, _, err = checkPerms(ctx, c, permsWanted{Name: name, User: n.user, Group: n.group, Mode: want}, nil)
	return ret, err
}

type fileMknodDeviceArgs struct {
	Name  string // A path.
	Major int64  // Number of the driver.
	Minor int64  // Number of the device.
	User  any    `default:"None"` // Whom it belongs to.
	Group any    `default:"None"` // Which group.
	Mode  any    `default:"0660"` // Its permissions.
}

// fileMknodBlkdev makes a block device.
//
//	gosalt '*' file.mknod_blkdev /dev/blk 8 999
func fileMknodBlkdev(ctx context.Context, c *module.Call, a fileMknodDeviceArgs) (*wire.Map, error) {
	return node{a.Name, a.Major, a.Minor, a.User, a.Group, a.Mode}.make(ctx, c, unix.S_IFBLK, "Block device")
}

// fileMknodChrdev makes a character device.
//
//	gosalt '*' file.mknod_chrdev /dev/chr 180 31
func fileMknodChrdev(ctx context.Context, c *module.Call, a fileMknodDeviceArgs) (*wire.Map, error) {
	return node{a.Name, a.Major, a.Minor, a.User, a.Group, a.Mode}.make(ctx, c, unix.S_IFCHR, "Character device")
}

type fileMknodFifoArgs struct {
	Name  string // A path.
	User  any    `default:"None"` // Whom it belongs to.
	Group any    `default:"None"` // Which group.
	Mode  any    `default:"0660"` // Its permissions.
}

// fileMknodFifo makes a named pipe.
//
//	gosalt '*' file.mknod_fifo /dev/fifo
func fileMknodFifo(ctx context.Context, c *module.Call, a fileMknodFifoArgs) (*wire.Map, error) {
	return node{name: a.Name, user: a.User, group: a.Group, mode: a.Mode}.make(ctx, c, unix.S_IFIFO, "Fifo pipe")
}
