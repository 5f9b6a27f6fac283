package modules

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("file.copy", fileCopy)
	register("file.rename", fileRename)
	register("file.hardlink", fileHardlink)
	register("file.touch", fileTouch)
}

// lexists tells whether anything is there, a link to nothing too.
func lexists(c *states.Call, name string) bool {
	_, err := c.Host.Lstat(name)
	return err == nil
}

type fileCopyArgs struct {
	Name     string    // Path of the copy.
	Source   string    // Path of the file or directory of this machine that is copied.
	Force    bool      `default:"False"`       // Replace what is there.
	Makedirs bool      `default:"False"`       // Make the directories above that are missing.
	Preserve bool      `default:"False"`       // Owner, group and permissions are left as the copying makes them.
	User     any       `default:"None"`        // Owner, by name or number; the minion's user by default.
	Group    any       `default:"None"`        // Group, by name or number; that of the user by default.
	Mode     any       `default:"None"`        // Permissions in octal; those of the source by default.
	DirMode  any       `default:"None"`        // Permissions of the directories that makedirs makes.
	Subdir   bool      `default:"False"`       // Where name is a directory, copy into it.
	Kwargs   *wire.Map `arg:"**" read:"owner"` // owner is read.
}

// copying is one call of file.copy.
type copying struct {
	c            *states.Call
	a            *fileCopyArgs
	name, source string
	perm         perms
	user, group  any // as they are told
	mode         any
}

// fileCopy copies a file or a directory of this machine, unless the copy is there.
func fileCopy(ctx context.Context, c *states.Call, a fileCopyArgs) (*states.Plan, error) {
	o := &copying{c: c, a: &a, name: expandUser(c, a.Name), source: expandUser(c, a.Source)}
	p := &states.Plan{Name: o.name}
	switch {
	case o.name == "":
		return nil, module.Failf("Must provide name to file.copy")
	case !filepath.IsAbs(o.name):
		return p, module.Failf("Specified file %s is not an absolute path", o.name)
	case !c.Host.Exists(o.source):
		if !isPromised(c, o.source) {
			return p, module.Failf(`Source file "%s" is not present`, o.source)
		}
		if c.Host.IsDir(o.name) && a.Subdir {
			o.name = filepath.Join(o.name, filepath.Base(o.source))
		}
		if lexists(c, o.name) && !a.Force {
			p.Fine = fmt.Sprintf(`The target file "%s" exists and will not be overwritten`, o.name)
			return p, nil
		}
		if dir := filepath.Dir(o.name); !a.Makedirs && lacksDir(c, dir) {
			return p, module.Failf("The target directory %s is not present", dir)
		}
		p.Would = fmt.Sprintf(`File "%s" is set to be copied to "%s"`, o.source, o.name)
		p.Do(nil, o.do)
		return p, nil
	}
	if err := o.owner(); err != nil {
		return p, err
	}
	if c.Host.IsDir(o.name) && a.Subdir {
		o.name = filepath.Join(o.name, filepath.Base(o.source))
	}
	p.Did = fmt.Sprintf(`Copied "%s" to "%s"`, o.source, expandUser(c, a.Name))
	if lexists(c, o.name) {
		if !a.Force {
			p.Fine = fmt.Sprintf(`The target file "%s" exists and will not be overwritten`, o.name)
			return p, nil
		}
		if c.Host.IsFile(o.name) && sameContents(c, o.name, o.source) {
			p.Did += " - files are identical but force flag is set"
		}
	}
	if dir := filepath.Dir(o.name); !a.Makedirs && lacksDir(c, dir) {
		return p, module.Failf("The target directory %s is not present", dir)
	}
	p.Would = fmt.Sprintf(`File "%s" is set to be copied to "%s"`, o.source, o.name)
	p.Do(nil, o.do)
	return p, nil
}

// owner finds out whose the copy will be.
func (o *copying) owner() error {
	st, err := o.c.Host.Stat(o.source)
	if err != nil {
		return err
	}
	if o.a.Preserve {
		o.perm = perms{uid: st.UID, gid: st.GID}
		o.mode = st.Octal()
		return nil
	}
	o.user, o.group, o.mode = ownerArg(o.c, o.a.User, o.a.Kwargs), o.a.Group, o.a.Mode
	if o.user == nil {
		o.user = minionUser(o.c)
	}
	if o.group == nil {
		o.group = primaryGroup(o.c, o.user)
	}
	if o.mode == nil {
		o.mode = st.Octal()
	}
	o.perm, err = readPerms(o.c, o.user, o.group, o.mode, "", nil)
	return err
}

func (o *copying) do(ctx context.Context, r *states.Result) error {
	c := o.c
	if lexists(c, o.name) {
		if err := c.Host.Remove(o.name); err != nil {
			return module.Failf(`Failed to delete "%s" in preparation for forced move`, o.name)
		}
	}
	if dir := filepath.Dir(o.name); !c.Host.IsDir(dir) {
		if _, err := c.Call.Call(ctx, "file.makedirs", args(o.name), wire.NewMap("user", o.user, "group", o.group, "mode", o.dirMode())); err != nil {
			return err
		}
	}
	st, err := c.Host.Stat(o.source)
	to := o.name
	if err == nil {
		if !st.IsDir() && c.Host.IsDir(to) { // the name ended in a slash
			to = filepath.Join(to, filepath.Base(o.source))
		}
		err = copyAll(c, o.source, to, st.IsDir())
	}
	if err == nil && st.IsDir() {
		err = o.chownBelow()
	}
	if err != nil {
		return module.Failf(`Failed to copy "%s" to "%s": %w`, o.source, o.name, err)
	}
	r.Change(o.name, o.source)
	if o.a.Preserve {
		return nil
	}
	ret := wire.NewMap("name", o.name, "changes", r.Changes, "comment", r.Comment, "result", true)
	v, err := c.Call.Call(ctx, "file.check_perms", args(to, ret, o.user, o.group, o.mode), nil)
	if err != nil {
		return err
	}
	if pair, ok := v.([]any); ok && len(pair) > 0 {
		if m, ok := pair[0].(*wire.Map); ok {
			answered(r, m)
		}
	}
	return nil
}

// dirMode is the mode of the directories above: that of the copy, with x where there is
// anything.
func (o *copying) dirMode() any {
	if o.a.DirMode != nil {
		return o.a.DirMode
	}
	digits := []byte(pytext.Str(o.mode))
	digits = digits[max(0, len(digits)-3):]
	for i, d := range digits {
		if d != '0' {
			digits[i] = '0' + (d - '0') | 1
		}
	}
	return string(digits)
}

// chownBelow gives what is in the copy of a directory to its owner.
func (o *copying) chownBelow() error {
	root := o.c.Host.Path(o.name)
	return filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		return os.Lchown(path, o.perm.uid, o.perm.gid)
	})
}

// sameContents tells whether two files hold the same.
func sameContents(c *states.Call, a, b string) bool {
	x, err := hashFile(c.Host.Path(a), "sha256")
	if err != nil {
		return false
	}
	y, err := hashFile(c.Host.Path(b), "sha256")
	return err == nil && x == y
}

// copyAll copies a file, or a tree with its links and times. Devices are left out.
func copyAll(c *states.Call, from, to string, tree bool) error {
	st, err := c.Host.Stat(from)
	if err != nil {
		return err
	}
	mode := st.Mode() & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)
	if !st.IsDir() {
		f, err := c.Host.Open(from)
		if err != nil {
			return err
		}
		defer f.Close()
		err = c.Host.Replace(to, host.Owner{UID: -1, GID: -1, Mode: &mode}, c.Umask, func(w io.Writer) error {
			_, err := io.Copy(w, f)
			return err
		})
		if err == nil && tree {
			err = os.Chtimes(c.Host.Path(to), st.ModTime(), st.ModTime())
		}
		return err
	}
	if err := c.Host.MakeDir(to, host.Owner{UID: -1, GID: -1, Mode: &mode}, c.Umask); err != nil {
		return err
	}
	entries, err := os.ReadDir(c.Host.Path(from))
	if err != nil {
		return err
	}
	for _, e := range entries {
		src, dst := filepath.Join(from, e.Name()), filepath.Join(to, e.Name())
		switch {
		case e.Type()&fs.ModeSymlink != 0:
			target, err := c.Host.Readlink(src)
			if err == nil {
				err = c.Host.Symlink(target, dst, false)
			}
			if err != nil {
				return err
			}
		case e.IsDir() || e.Type().IsRegular():
			if err := copyAll(c, src, dst, true); err != nil {
				return err
			}
		default:
			c.Log.Warn("neither a file, a directory nor a link: it is not copied", "path", src)
		}
	}
	return os.Chtimes(c.Host.Path(to), st.ModTime(), st.ModTime())
}

type fileRenameArgs struct {
	Name     string    // The new path.
	Source   string    // The path that is moved there.
	Force    bool      `default:"False"`   // Replace what is there.
	Makedirs bool      `default:"False"`   // Make the directories above that are missing.
	Kwargs   *wire.Map `arg:"**" read:"-"` // Not looked at.
}

// fileRename moves a file or a directory, unless it has been moved or name is there.
func fileRename(ctx context.Context, c *states.Call, a fileRenameArgs) (*states.Plan, error) {
	name, source := expandVars(expandUser(c, a.Name)), expandVars(expandUser(c, a.Source))
	p := &states.Plan{Name: name}
	switch {
	case name == "":
		return nil, module.Failf("Must provide name to file.rename")
	case !filepath.IsAbs(name):
		return p, module.Failf("Specified file %s is not an absolute path", name)
	case !lexists(c, source) && !isPromised(c, source):
		p.Fine = fmt.Sprintf(`Source file "%s" has already been moved out of place`, source)
		return p, nil
	case lexists(c, name) && !a.Force:
		p.Fine = fmt.Sprintf(`The target file "%s" exists and will not be overwritten`, name)
		return p, nil
	}
	dir := filepath.Dir(name)
	if !a.Makedirs && lacksDir(c, dir) {
		return p, module.Failf("The target directory %s is not present", dir)
	}
	if blocked(c, dir) != nil {
		return p, module.Failf("Failed to move \"%[1]s\" to \"%[2]s\": Unable to move '%[1]s' to '%[2]s': [Errno 20] Not a directory: '%[1]s'", source, name)
	}
	p.Would, p.Did = fmt.Sprintf(`File "%s" is set to be moved to "%s"`, source, name), fmt.Sprintf(`Moved "%s" to "%s"`, source, name)
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		if lexists(c, name) {
			if err := c.Host.Remove(name); err != nil {
				return module.Failf(`Failed to delete "%s" in preparation for forced move`, name)
			}
		}
		if !c.Host.IsDir(dir) {
			if _, err := c.Call.Call(ctx, "file.makedirs", args(name), nil); err != nil {
				return err
			}
		}
		err := c.Host.Rename(source, name)
		if err != nil && !errors.As(err, new(*host.UnsafeLinkError)) { // another file system
			_, err = c.Call.Call(ctx, "file.move", args(source, name), nil)
		}
		if err != nil {
			return module.Failf(`Failed to move "%s" to "%s": %w`, source, name, err)
		}
		r.Change(name, source)
		return nil
	})
	return p, nil
}

type fileHardlinkArgs struct {
	Name     string    // Path of the new name.
	Target   string    // Path of the file that gets a further name.
	Force    bool      `default:"False"`       // Replace a file that is there and is no hard link.
	Makedirs bool      `default:"False"`       // Make the directories above that are missing.
	User     any       `default:"None"`        // Owner of directories that are made.
	Group    any       `default:"None"`        // Group of directories that are made.
	DirMode  any       `default:"None"`        // Permissions of directories that are made.
	Kwargs   *wire.Map `arg:"**" read:"owner"` // owner is read.
}

// fileHardlink gives a file a further name.
func fileHardlink(ctx context.Context, c *states.Call, a fileHardlinkArgs) (*states.Plan, error) {
	name, target := expandUser(c, a.Name), a.Target
	p := &states.Plan{Name: name}
	if name == "" {
		return nil, module.Failf("Must provide name to file.hardlink")
	}
	user, group := ownerArg(c, a.User, a.Kwargs), a.Group
	if user == nil {
		user = minionUser(c)
	}
	if group == nil {
		group = primaryGroup(c, user)
	}
	if err := linkPreflight(c, user, group, name, target); err != nil {
		return p, err
	}
	if c.Test {
		return p, hardlinkTest(ctx, c, p, name, target, a.Force, a.Makedirs)
	}
	for _, on := range []struct{ where, path string }{{"to", name}, {"from", target}} {
		if c.Host.IsDir(on.path) {
			return p, module.Failf("Unable to hard link %s directory %s", on.where, on.path)
		}
	}
	if !c.Host.Exists(target) {
		return p, module.Failf("Target %s for hard link does not exist", target)
	}
	if dir := filepath.Dir(name); !c.Host.IsDir(dir) {
		if !a.Makedirs {
			return p, module.Failf("Directory %s for hard link is not present", dir)
		}
		p.Do(nil, func(ctx context.Context, _ *states.Result) error {
			_, err := c.Call.Call(ctx, "file.makedirs", args(name), wire.NewMap("user", user, "group", group, "mode", a.DirMode))
			return err
		})
	}
	linked, err := truth(ctx, c, "file.is_hardlink", name)
	if err != nil {
		linked = false // there is nothing
	}
	link := func(failed string) func(context.Context, *states.Result) error {
		return func(_ context.Context, r *states.Result) error {
			if err := c.Host.Remove(name); err != nil {
				return err
			}
			if err := c.Host.Link(target, name); err != nil {
				return module.Failf("%s %s -> %s: %w", failed, name, target, unwrapPath(err))
			}
			r.Change("new", name)
			return nil
		}
	}
	switch there := c.Host.Exists(name); {
	case linked && sameFile(c, name, target):
		p.Fine = fmt.Sprintf("Target of hard link %s is already pointing to %s", name, target)
	case linked:
		p.Did = fmt.Sprintf("Set target of hard link %s -> %s", name, target)
		p.Do(wire.NewMap("new", name), link("Unable to set target of hard link"))
	case there && c.Host.IsFile(name) && !a.Force:
		return p, module.Failf("File exists where the hard link %s should be", name)
	case there && c.Host.IsFile(name):
		p.Did = fmt.Sprintf("Created new hard link %s -> %s", name, target)
		p.Do(wire.NewMap("forced", "File for hard link was forcibly replaced"), func(context.Context, *states.Result) error { return nil })
		p.Do(wire.NewMap("new", name), link("Unable to create new hard link"))
	case !there:
		p.Did = fmt.Sprintf("Created new hard link %s -> %s", name, target)
		p.Do(wire.NewMap("new", name), link("Unable to create new hard link"))
	}
	return p, nil
}

// hardlinkTest is what Salt says under test=True, which differs in its words.
func hardlinkTest(ctx context.Context, c *states.Call, p *states.Plan, name, target string, force, makedirs bool) error {
	would := func(text string, kv ...any) error {
		p.Would = text
		p.Do(wire.NewMap(kv...), nil)
		return nil
	}
	switch {
	case !c.Host.Exists(target) && !isPromised(c, target):
		return module.Failf("Target %s for hard link does not exist", target)
	case c.Host.IsDir(target):
		return module.Failf("Unable to hard link from directory %s", target)
	case c.Host.IsDir(name):
		return module.Failf("Unable to hard link to directory %s", name)
	case !makedirs && lacksDir(c, filepath.Dir(name)):
		return module.Failf("Directory %s for hard link is not present", filepath.Dir(name))
	case !c.Host.Exists(name):
		return would(fmt.Sprintf("Hard link %s to %s is set for creation", name, target), "new", name)
	}
	linked, err := truth(ctx, c, "file.is_hardlink", name)
	switch {
	case err != nil:
		return err
	case linked && sameFile(c, name, target):
		p.Fine = fmt.Sprintf("The hard link %s is presently targetting %s", name, target)
		return nil
	case linked:
		return would(fmt.Sprintf("Link %s target is set to be changed to %s", name, target), "change", name)
	case force:
		return would(fmt.Sprintf("The file or directory %s is set for removal to make way for a new hard link targeting %s", name, target))
	}
	return module.Failf("File or directory exists where the hard link %s should be. Did you mean to use force?", name)
}

// linkPreflight says what is wrong with the arguments of a hard link.
func linkPreflight(c *states.Call, user, group any, name, target string) error {
	var wrong []string
	if _, ok := user.(int64); !ok {
		if _, err := c.Host.User(pytext.Str(user)); err != nil && !userToCome(c, user) {
			wrong = append(wrong, fmt.Sprintf("User %s does not exist", pytext.Str(user)))
		}
	}
	if _, ok := group.(int64); !ok {
		if _, err := c.Host.Group(pytext.Str(group)); err != nil && !possibleGroup(c, pytext.Str(group)) {
			wrong = append(wrong, fmt.Sprintf("Group %s does not exist", pytext.Str(group)))
		}
	}
	if !filepath.IsAbs(name) {
		wrong = append(wrong, fmt.Sprintf("Specified file %s is not an absolute path", name))
	}
	if !filepath.IsAbs(target) {
		wrong = append(wrong, fmt.Sprintf("Specified target %s is not an absolute path", target))
	}
	switch len(wrong) {
	case 0:
		return nil
	case 1:
		return errors.New(wrong[0])
	}
	return errors.New(strings.Join(wrong, ". ") + ".")
}

func sameFile(c *states.Call, a, b string) bool {
	x, err := c.Host.Lstat(a)
	if err != nil {
		return false
	}
	y, err := c.Host.Lstat(b)
	return err == nil && os.SameFile(x.FileInfo, y.FileInfo)
}

// unwrapPath is what the system says, without the paths that the message has already.
func unwrapPath(err error) error {
	var l *os.LinkError
	if errors.As(err, &l) {
		return l.Err
	}
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

type fileTouchArgs struct {
	Name     string // Path of the file.
	Atime    any    `default:"None"`  // Time of the last access, in seconds since 1970; now where mtime alone is given.
	Mtime    any    `default:"None"`  // Time of the last change, likewise.
	Makedirs bool   `default:"False"` // Make the directories above that are missing.
}

// fileTouch makes a file where there is none, and sets its times. Without atime and mtime
// they are set anew in each run.
func fileTouch(ctx context.Context, c *states.Call, a fileTouchArgs) (*states.Plan, error) {
	name := expandUser(c, a.Name)
	p := &states.Plan{Name: name}
	switch {
	case name == "":
		return nil, module.Failf("Must provide name to file.touch")
	case !filepath.IsAbs(name):
		return p, module.Failf("Specified file %s is not an absolute path", name)
	}
	if !a.Makedirs && lacksDir(c, filepath.Dir(name)) {
		return p, module.Failf("Directory not present to touch file %s", name)
	}
	if blocked(c, filepath.Dir(name)) != nil {
		return p, module.Failf("Not a directory")
	}
	there := c.Host.Exists(name)
	if c.Test {
		if !there {
			p.Would = fmt.Sprintf("File %s is set to be created", name)
			p.Do(wire.NewMap("new", name), nil)
			return p, nil
		}
		stats, err := mapOf(ctx, c, "file.stats", name, nil, false)
		if err != nil {
			return p, err
		}
		other := func(want any, key string) bool { return want != nil && pytext.Str(want) != pytext.Str(get(stats, key)) }
		if other(a.Atime, "atime") || other(a.Mtime, "mtime") {
			p.Would = fmt.Sprintf("Times set to be updated on file %s", name)
			p.Do(wire.NewMap("touched", name), nil)
			return p, nil
		}
		// Salt leaves the change of a new file in.
		p = states.Decided(true, wire.NewMap("new", name), fmt.Sprintf("File %s exists and has the correct times", name))
		p.Name = name
		return p, nil
	}
	changes := wire.NewMap("touched", name)
	switch {
	case !there:
		p.Did, changes = fmt.Sprintf("Created empty file %s", name), wire.NewMap("new", name)
	case c.Host.IsDir(name):
		p.Did = fmt.Sprintf("Updated times on directory %s", name)
	default:
		p.Did = fmt.Sprintf("Updated times on file %s", name)
	}
	p.Do(changes, func(ctx context.Context, r *states.Result) error {
		if a.Makedirs {
			if _, err := c.Call.Call(ctx, "file.makedirs", args(name), nil); err != nil {
				return err
			}
		}
		ok, err := truth(ctx, c, "file.touch", name, a.Atime, a.Mtime)
		if err == nil && !ok {
			return module.Failf("%s could not be touched", name)
		}
		return err
	})
	return p, nil
}
