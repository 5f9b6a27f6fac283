//go:build unix

package modules

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// The functions of file.* are in several files: here what only looks at paths, in
// file_owner.go owners and permissions, in file_text.go whole texts, in file_edit.go
// changes of lines, in file_tree.go what makes, moves and removes, in file_find.go the
// search, in file_hash.go checksums, in file_managed*.go what file.managed is made of, and
// in file_backup.go the copies that it keeps.
func init() {
	register("file.basename", fileBasename)
	register("file.dirname", fileDirname)
	register("file.join", fileJoin)
	register("file.normpath", fileNormpath)
	register("file.pardir", filePardir)
	register("file.file_exists", fileFileExists)
	register("file.directory_exists", fileDirectoryExists)
	register("file.path_exists_glob", filePathExistsGlob)
	register("file.is_link", fileIsLink)
	register("file.is_hardlink", fileIsHardlink)
	register("file.is_blkdev", fileIsBlkdev)
	register("file.is_chrdev", fileIsChrdev)
	register("file.is_fifo", fileIsFifo)
	register("file.get_devmm", fileGetDevmm)
	register("file.readlink", fileReadlink)
	register("file.readdir", fileReaddir)
	register("file.access", fileAccess)
	register("file.diskusage", fileDiskusage)
	register("file.open_files", fileOpenFiles)
}

type filePathArgs struct {
	Path string // A path; ~ and ~user at its beginning are home directories.
}

// expandUser replaces "~" and "~user" at the beginning of a path.
func expandUser(c *module.Call, p string) string {
	if !strings.HasPrefix(p, "~") {
		return p
	}
	name, rest, _ := strings.Cut(p[1:], "/")
	home := ""
	if name == "" {
		home = environ(c).Text("HOME")
		if home == "" {
			if u, err := c.Host.User(c.Host.UserName(os.Getuid())); err == nil {
				home = u.Home
			}
		}
	} else if u, err := c.Host.User(name); err == nil {
		home = u.Home
	}
	if home == "" {
		return p
	}
	if len(p) == len(name)+1 {
		return home
	}
	return strings.TrimRight(home, "/") + "/" + rest
}

// systemError is an error of the system that Salt does not handle: its exception's text.
func systemError(err error, path string) error {
	return errors.New(host.OSError(err, path))
}

// fileBasename returns the last part of a path.
//
//	gosalt '*' file.basename test/test.config
func fileBasename(ctx context.Context, c *module.Call, a filePathArgs) (string, error) {
	return a.Path[strings.LastIndexByte(a.Path, '/')+1:], nil
}

// fileDirname returns a path without its last part.
//
//	gosalt '*' file.dirname test/path/filename.config
func fileDirname(ctx context.Context, c *module.Call, a filePathArgs) (string, error) {
	return pyDirname(a.Path), nil
}

// pyDirname is Python's os.path.dirname: unlike Go's it says "" for no directory.
func pyDirname(p string) string {
	dir := p[:strings.LastIndexByte(p, '/')+1]
	if dir != "" && strings.Trim(dir, "/") != "" {
		dir = strings.TrimRight(dir, "/")
	}
	return dir
}

type fileJoinArgs struct {
	Args []any `arg:"*"` // The parts.
}

// fileJoin joins parts to a path; an absolute one starts anew.
//
//	gosalt '*' file.join / usr local bin
func fileJoin(ctx context.Context, c *module.Call, a fileJoinArgs) (string, error) {
	if len(a.Args) == 0 {
		return "", &module.Error{Kind: module.Arguments, Msg: "join() missing 1 required positional argument: 'a'"}
	}
	parts := make([]string, len(a.Args))
	for i, p := range a.Args {
		s, ok := p.(string)
		if !ok {
			return "", &module.Error{Kind: module.Arguments, Msg: "join() argument must be str, bytes, or os.PathLike object, not '" + pytext.TypeName(p) + "'"}
		}
		parts[i] = s
	}
	return pyJoin(parts...), nil
}

// pyJoin is Python's os.path.join.
func pyJoin(parts ...string) string {
	out := parts[0]
	for _, p := range parts[1:] {
		switch {
		case strings.HasPrefix(p, "/"):
			out = p
		case out == "" || strings.HasSuffix(out, "/"):
			out += p
		default:
			out += "/" + p
		}
	}
	return out
}

// fileNormpath takes needless parts out of a path: "a//b/../c" is "a/c".
//
//	gosalt '*' file.normpath 'a/b/c/..'
func fileNormpath(ctx context.Context, c *module.Call, a filePathArgs) (string, error) {
	return pyNormpath(a.Path), nil
}

// pyNormpath is Python's os.path.normpath: two slashes at the beginning stay two.
func pyNormpath(p string) string {
	if p == "" {
		return "."
	}
	out := filepath.Clean(p)
	if strings.HasPrefix(p, "//") && !strings.HasPrefix(p, "///") {
		out = "/" + out
	}
	return out
}

// filePardir returns the name of the directory above: "..".
//
//	gosalt '*' file.pardir
func filePardir(ctx context.Context, c *module.Call, a noArgs) (string, error) { return "..", nil }

// fileFileExists tells whether a path is a regular file.
//
//	gosalt '*' file.file_exists /etc/passwd
func fileFileExists(ctx context.Context, c *module.Call, a filePathArgs) (bool, error) {
	return c.Host.IsFile(expandUser(c, a.Path)), nil
}

// fileDirectoryExists tells whether a path is a directory.
//
//	gosalt '*' file.directory_exists /etc
func fileDirectoryExists(ctx context.Context, c *module.Call, a filePathArgs) (bool, error) {
	return c.Host.IsDir(expandUser(c, a.Path)), nil
}

// filePathExistsGlob tells whether a shell pattern matches any path.
//
//	gosalt '*' file.path_exists_glob '/etc/pam*/pass*'
func filePathExistsGlob(ctx context.Context, c *module.Call, a filePathArgs) (bool, error) {
	return len(globPaths(c, expandUser(c, a.Path))) > 0, nil
}

// globPaths lists the paths that a shell pattern matches as Python's glob does: a name
// with a dot at its beginning has to be asked for, and a path without a pattern is
// itself, if it is there.
func globPaths(c *module.Call, pattern string) []string {
	if !strings.ContainsAny(pattern, "*?[") {
		if _, err := os.Lstat(c.Host.Path(pattern)); err != nil {
			return nil
		}
		return []string{pattern}
	}
	dir, base := pattern[:strings.LastIndexByte(pattern, '/')+1], pattern[strings.LastIndexByte(pattern, '/')+1:]
	dirs := []string{dir}
	if strings.ContainsAny(dir, "*?[") {
		dirs = nil
		for _, d := range globPaths(c, strings.TrimRight(dir, "/")) {
			if c.Host.IsDir(d) {
				dirs = append(dirs, d+"/")
			}
		}
	}
	var out []string
	for _, d := range dirs {
		if !strings.ContainsAny(base, "*?[") {
			if base == "" && c.Host.IsDir(d) {
				out = append(out, d)
			} else if _, err := os.Lstat(c.Host.Path(d + base)); base != "" && err == nil {
				out = append(out, d+base)
			}
			continue
		}
		open := d
		if open == "" {
			open = "."
		}
		entries, err := os.ReadDir(c.Host.Path(open))
		if err != nil {
			continue
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), ".") && !strings.HasPrefix(base, ".") {
				continue
			}
			if globMatch(base, e.Name()) {
				out = append(out, d+e.Name())
			}
		}
	}
	return out
}

// fileIsLink tells whether a path is a symbolic link.
//
//	gosalt '*' file.is_link /path/to/link
func fileIsLink(ctx context.Context, c *module.Call, a filePathArgs) (bool, error) {
	return c.Host.IsLink(expandUser(c, a.Path)), nil
}

// fileIsHardlink tells whether a file has further names.
//
//	gosalt '*' file.is_hardlink /path/to/link
func fileIsHardlink(ctx context.Context, c *module.Call, a filePathArgs) (any, error) {
	path := expandUser(c, a.Path)
	if !filepath.IsAbs(path) {
		return nil, module.Invalidf("Path to file must be absolute.")
	}
	st, err := c.Host.Info(path, false)
	if err != nil {
		return wire.NewMap(), nil // Salt returns what lstat returned
	}
	return st.Links > 1, nil
}

type fileNameArgs struct {
	Name string // A path.
}

func isKind(c *module.Call, name, kind string) (bool, error) {
	name = expandUser(c, name)
	st, err := c.Host.Info(name, true)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, systemError(err, name)
	}
	return st.Type == kind, nil
}

// fileIsBlkdev tells whether a path is a block device.
//
//	gosalt '*' file.is_blkdev /dev/sda
func fileIsBlkdev(ctx context.Context, c *module.Call, a fileNameArgs) (bool, error) {
	return isKind(c, a.Name, "block")
}

// fileIsChrdev tells whether a path is a character device.
//
//	gosalt '*' file.is_chrdev /dev/null
func fileIsChrdev(ctx context.Context, c *module.Call, a fileNameArgs) (bool, error) {
	return isKind(c, a.Name, "char")
}

// fileIsFifo tells whether a path is a named pipe.
//
//	gosalt '*' file.is_fifo /run/initctl
func fileIsFifo(ctx context.Context, c *module.Call, a fileNameArgs) (bool, error) {
	return isKind(c, a.Name, "pipe")
}

// fileGetDevmm returns the major and minor number of a device; 0 and 0 of anything else.
//
//	gosalt '*' file.get_devmm /dev/null
func fileGetDevmm(ctx context.Context, c *module.Call, a fileNameArgs) ([]any, error) {
	name := expandUser(c, a.Name)
	st, err := c.Host.Info(name, true)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, systemError(err, name)
	}
	if st.Type != "block" && st.Type != "char" {
		return []any{int64(0), int64(0)}, nil
	}
	return []any{int64(st.Major), int64(st.Minor)}, nil
}

type fileReadlinkArgs struct {
	Path         string // An absolute path of a symbolic link; $NAME in it is an environment variable.
	Canonicalize bool   `default:"False"` // Follow links to the end.
}

// fileReadlink returns where a symbolic link points to.
//
//	gosalt '*' file.readlink /path/to/link
func fileReadlink(ctx context.Context, c *module.Call, a fileReadlinkArgs) (string, error) {
	path := expandUser(c, a.Path)
	path = os.Expand(path, func(name string) string {
		if v, ok := environ(c).Get(name); ok {
			return pytext.Str(v)
		}
		return "$" + name
	})
	if !filepath.IsAbs(path) {
		return "", module.Invalidf("Path to link must be absolute: %s", path)
	}
	if !c.Host.IsLink(path) {
		return "", module.Invalidf("A valid link was not specified: %s", path)
	}
	if a.Canonicalize {
		return realPath(c, path), nil
	}
	to, err := os.Readlink(c.Host.Path(path))
	if err != nil {
		return "", module.Failf("%s", host.OSError(err, path))
	}
	return to, nil
}

// realPath is Python's os.path.realpath: links are followed as far as there are files.
func realPath(c *module.Call, path string) string {
	return realPathDepth(c, path, 0)
}

func realPathDepth(c *module.Call, path string, depth int) string {
	if !filepath.IsAbs(path) {
		if wd, err := os.Getwd(); err == nil {
			path = filepath.Join(wd, path)
		}
	}
	out := "/"
	parts := strings.Split(path, "/")
	for i, p := range parts {
		switch p {
		case "", ".":
			continue
		case "..":
			out = filepath.Dir(out)
			continue
		}
		next := filepath.Join(out, p)
		to, err := os.Readlink(c.Host.Path(next))
		if err != nil || depth > 40 {
			out = next
			continue
		}
		if !filepath.IsAbs(to) {
			to = out + "/" + to
		}
		return realPathDepth(c, to+"/"+strings.Join(parts[i+1:], "/"), depth+1)
	}
	return out
}

// fileReaddir lists the names in a directory, "." and ".." first.
//
//	gosalt '*' file.readdir /path/to/dir/
func fileReaddir(ctx context.Context, c *module.Call, a filePathArgs) ([]string, error) {
	path := expandUser(c, a.Path)
	if !filepath.IsAbs(path) {
		return nil, module.Invalidf("Dir path must be absolute.")
	}
	if !c.Host.IsDir(path) {
		return nil, module.Invalidf("A valid directory was not specified.")
	}
	entries, err := os.ReadDir(c.Host.Path(path))
	if err != nil {
		return nil, systemError(err, path)
	}
	names := []string{".", ".."}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

type fileAccessArgs struct {
	Path string // An absolute path.
	Mode any    // f for "is there", r, w or x; or the numbers of access(2).
}

// fileAccess tells whether the minion may read, write or execute a file, or whether it is there.
//
//	gosalt '*' file.access /path/to/file f
//	gosalt '*' file.access /path/to/file x
func fileAccess(ctx context.Context, c *module.Call, a fileAccessArgs) (bool, error) {
	path := expandUser(c, a.Path)
	if !filepath.IsAbs(path) {
		return false, module.Invalidf("Path to link must be absolute.")
	}
	var mode uint32
	switch m := a.Mode.(type) {
	case string:
		i := slices.Index([]string{"f", "x", "w", "", "r"}, m)
		if i < 0 || m == "" {
			return false, module.Invalidf("Invalid mode specified.")
		}
		mode = uint32(i)
	case int64:
		if m != 0 && m != 1 && m != 2 && m != 4 {
			return false, module.Invalidf("Invalid mode specified.")
		}
		mode = uint32(m)
	default:
		return false, module.Invalidf("Invalid mode specified.")
	}
	return unix.Access(c.Host.Path(path), mode) == nil, nil
}

// fileDiskusage returns the bytes that the files below a path have together; one that has
// several names counts once.
//
//	gosalt '*' file.diskusage /path/to/dir
func fileDiskusage(ctx context.Context, c *module.Call, a filePathArgs) (int64, error) {
	if st, err := c.Host.Info(a.Path, true); err == nil && st.Type == "file" {
		return st.Size, nil
	}
	seen := map[uint64]bool{}
	var total int64
	err := filepath.WalkDir(c.Host.Path(a.Path), func(path string, e os.DirEntry, err error) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil || e.IsDir() {
			return nil // what cannot be read does not count
		}
		var st unix.Stat_t
		if unix.Stat(path, &st) != nil || st.Mode&unix.S_IFMT == unix.S_IFDIR || seen[st.Ino] {
			return nil
		}
		seen[st.Ino] = true
		total += st.Size
		return nil
	})
	return total, err
}

type fileOpenFilesArgs struct {
	ByPid bool `default:"False"` // By process, each with its files.
}

// fileOpenFiles lists the files that processes have open, each with the ids of those.
//
//	gosalt '*' file.open_files
//	gosalt '*' file.open_files by_pid=True
func fileOpenFiles(ctx context.Context, c *module.Call, a fileOpenFilesArgs) (*wire.Map, error) {
	files := map[string][]any{}
	pids := wire.NewMap()
	all, err := processes(c)
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		dir := filepath.Join("/proc", pytext.Str(int64(p.pid)))
		names := map[string]bool{}
		fds, err := os.ReadDir(c.Host.Path(dir + "/fd"))
		if err != nil {
			continue
		}
		for _, fd := range fds {
			if to, err := os.Readlink(c.Host.Path(dir + "/fd/" + fd.Name())); err == nil && c.Host.Exists(to) {
				names[to] = true
			}
		}
		if exe, err := os.Readlink(c.Host.Path(dir + "/exe")); err == nil && c.Host.Exists(exe) {
			names[exe] = true
		}
		var list []any
		for n := range names {
			list = append(list, n)
			files[n] = append(files[n], int64(p.pid))
		}
		slices.SortFunc(list, func(x, y any) int { return strings.Compare(x.(string), y.(string)) })
		pids.SetAny(int64(p.pid), append([]any{}, list...))
	}
	if a.ByPid {
		return pids, nil
	}
	out := wire.NewMap()
	for n, ids := range files {
		out.Set(n, ids)
	}
	return out, nil
}
