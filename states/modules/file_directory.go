package modules

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pyre"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() { register("file.directory", fileDirectory) }

type fileDirectoryArgs struct {
	Name           string    // Path of the directory.
	User           any       `default:"None"`             // Owner, by name or number.
	Group          any       `default:"None"`             // Group, by name or number.
	Recurse        any       `default:"None"`             // What is also set for all below: user, group, mode; ignore_files and ignore_dirs leave those, silent shows no changes.
	MaxDepth       *int64    `default:"None"`             // How deep recurse goes.
	DirMode        any       `default:"None"`             // Permissions of directories; also mode.
	FileMode       any       `default:"None"`             // Permissions of files, with recurse; by default those of directories.
	Makedirs       bool      `default:"False"`            // Make the directories above that are missing.
	Clean          bool      `default:"False"`            // Remove what is in it and not managed by a state that is required.
	Require        any       `default:"None"`             // The states whose files clean spares.
	ExcludePat     any       `default:"None"`             // What clean spares: a shell pattern, or a regular expression with E@.
	FollowSymlinks bool      `default:"False"`            // Look at what links point to.
	Force          bool      `default:"False"`            // Remove a file or link that is in its place.
	Backupname     string    `default:"None"`             // Name that such a file gets instead.
	AllowSymlink   bool      `default:"True"`             // Whether it may be a link to a directory.
	ChildrenOnly   bool      `default:"False"`            // Leave the directory itself as it is.
	WinOwner       any       `default:"None"`             // On Windows.
	WinPerms       any       `default:"None"`             // On Windows.
	WinDenyPerms   any       `default:"None"`             // On Windows.
	WinInheritance bool      `default:"True"`             // On Windows.
	WinPermsReset  bool      `default:"False"`            // On Windows.
	Kwargs         *wire.Map `arg:"**" read:"mode owner"` // mode and owner are read.
}

// recurseWords are what recurse may ask for.
var recurseWords = []string{"user", "group", "mode", "ignore_files", "ignore_dirs", "silent"}

// readRecurse reads recurse.
func readRecurse(v any) (map[string]bool, error) {
	if !module.Truth(v) {
		return nil, nil
	}
	l, ok := v.([]any)
	if !ok {
		return nil, errors.New(`"recurse" must be formed as a list of strings`)
	}
	set := map[string]bool{}
	for _, e := range l {
		s, ok := e.(string)
		if !ok || !slices.Contains(recurseWords, s) {
			return nil, module.Failf(`Types for "recurse" limited to "%s".`, strings.Join(recurseWords, `", "`))
		}
		set[s] = true
	}
	if set["ignore_files"] && set["ignore_dirs"] {
		return nil, module.Failf(`Must not specify "recurse" options "ignore_files" and "ignore_dirs" at the same time.`)
	}
	return set, nil
}

// fileDirectory makes a directory, with owner and permissions, for all below it too
// where recurse says so.
func fileDirectory(_ context.Context, c *states.Call, a fileDirectoryArgs) (*states.Plan, error) {
	name := expandUser(c, a.Name)
	if name == "" {
		return nil, module.Failf("Must provide name to file.directory")
	}
	if name != "/" {
		name = strings.TrimSuffix(name, "/")
	}
	p := &states.Plan{Name: name}
	if a.MaxDepth != nil && a.Clean {
		return p, module.Failf("Cannot specify both max_depth and clean")
	}
	if a.User == nil {
		a.User = get(a.Kwargs, "owner")
	}
	if !module.Truth(a.DirMode) {
		a.DirMode = get(a.Kwargs, "mode")
	}
	if !module.Truth(a.FileMode) {
		a.FileMode = a.DirMode
	}
	perm, err := readPerms(c, a.User, a.Group, a.DirMode, "", nil)
	if err != nil {
		return p, err
	}
	filePerm, err := readPerms(c, a.User, a.Group, a.FileMode, "", nil)
	if err != nil {
		return p, err
	}
	if !filepath.IsAbs(name) {
		return p, module.Failf("Specified file %s is not an absolute path", name)
	}
	recurse, err := readRecurse(a.Recurse)
	if err != nil {
		return p, err
	}
	d := &directory{c: c, a: &a, name: name, perm: perm, filePerm: filePerm, recurse: recurse}
	if err := d.makeWay(p); err != nil || p.Decision() != nil {
		return p, err
	}
	if !p.Empty() || !c.Host.IsDir(name) {
		if !a.Makedirs && lacksDir(c, filepath.Dir(name)) {
			q := states.Decided(false, wire.NewMap(name, wire.NewMap("directory", "new")), fmt.Sprintf("No directory to create %s in", name))
			q.Name = name
			return q, nil
		}
		if err := blocked(c, name); err != nil && p.Empty() {
			return p, module.Failf("Failed to create directory %s: %w", name, err)
		}
		d.create(p)
		return p, nil
	}
	return p, d.mend(p)
}

// directory is one call of file.directory.
type directory struct {
	c        *states.Call
	a        *fileDirectoryArgs
	name     string
	perm     perms
	filePerm perms
	recurse  map[string]bool
}

// makeWay plans the removal of what is in the directory's place.
func (d *directory) makeWay(p *states.Plan) error {
	a, c := d.a, d.c
	link := c.Host.IsLink(d.name)
	file := c.Host.IsFile(d.name)
	if !file && !(link && (!a.AllowSymlink || a.Force)) {
		return nil
	}
	switch {
	case a.Backupname != "":
		if _, err := c.Host.Lstat(a.Backupname); err == nil {
			if !a.Force {
				return module.Failf("File exists where the backup target %s should go", a.Backupname)
			}
			p.Do(wire.NewMap("forced", fmt.Sprintf("Existing file at backup path %s would be removed", a.Backupname)),
				func(context.Context, *states.Result) error { return c.Host.Remove(a.Backupname) })
		}
		p.Would = fmt.Sprintf("%s would be backed up and replaced with a new directory", d.name)
		p.Do(wire.NewMap("backup", fmt.Sprintf("%s would be renamed to %s", d.name, a.Backupname)), func(_ context.Context, r *states.Result) error {
			r.SetChanges(nil)
			return c.Host.Rename(d.name, a.Backupname)
		})
	case a.Force:
		what := "File"
		if link && !file {
			what = "Symlink"
		}
		p.Do(wire.NewMap("forced", what+" would be forcibly replaced"), func(_ context.Context, r *states.Result) error {
			if err := os.Remove(c.Host.Path(d.name)); err != nil {
				return err
			}
			r.Change("forced", what+" was forcibly replaced")
			return nil
		})
	case file:
		return module.Failf("Specified location %s exists and is a file", d.name)
	default:
		return module.Failf("Specified location %s exists and is a symlink", d.name)
	}
	return nil
}

// create plans the making of the directory.
func (d *directory) create(p *states.Plan) {
	c := d.c
	if p.Would == "" {
		p.Would = fmt.Sprintf("The following files will be changed:\n%s: directory - new\n", d.name)
	}
	p.Do(wire.NewMap(d.name, wire.NewMap("directory", "new")), func(context.Context, *states.Result) error {
		o := d.perm.owner()
		o.Mode = d.perm.mode
		if err := c.Host.MakeDirs(d.name, o, c.Umask); err != nil {
			return module.Failf("Failed to create directory %s: %w", d.name, err)
		}
		return nil
	})
}

// finding is a file below the directory, and what is wrong with it.
type finding struct {
	path string
	p    perms
	diff permDiff
}

// mend plans the changes of a directory that is there.
func (d *directory) mend(p *states.Plan) error {
	c, a := d.c, d.a
	var found []finding
	add := func(path string, perm perms) error {
		diff, err := perm.differs(c, path, a.FollowSymlinks)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it went meanwhile, or is a link to nothing
		}
		if err == nil && diff.any() {
			found = append(found, finding{path, perm, diff})
		}
		return err
	}
	if len(d.recurse) > 0 {
		dirs, files := d.perm, d.filePerm
		for _, q := range []*perms{&dirs, &files} {
			if !d.recurse["user"] {
				q.user, q.uid = "", -1
			}
			if !d.recurse["group"] {
				q.group, q.gid = "", -1
			}
			if !d.recurse["mode"] {
				q.mode = nil
			}
		}
		err := d.walk(func(path string, dir bool) error {
			switch {
			case dir && !d.recurse["ignore_dirs"]:
				return add(path, dirs)
			case !dir && !d.recurse["ignore_files"]:
				return add(path, files)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if !a.ChildrenOnly {
		if err := add(d.name, d.perm); err != nil {
			return err
		}
	}
	var doomed []string
	if a.Clean {
		var err error
		if doomed, err = d.doomed(); err != nil {
			return err
		}
	}
	p.Fine = fmt.Sprintf("The directory %s is in the correct state", d.name)
	p.Did = fmt.Sprintf("Directory %s updated", d.name)
	if a.ChildrenOnly {
		p.Did = fmt.Sprintf("Directory %s/* updated", d.name)
	}
	var would strings.Builder
	would.WriteString("The following files will be changed:\n")
	last := wire.NewMap()
	p.Finish = func(r *states.Result) {
		for k, v := range last.Strings() {
			r.Changes.Set(k, v)
		}
		if text := d.unspecified(); text != "" {
			r.Result = false
			if len(doomed) == 0 {
				r.Comment = text
			}
		}
	}
	for _, f := range found {
		changes := f.diff.changes()
		for k, v := range changes.Strings() {
			fmt.Fprintf(&would, "%s: %s - %s\n", f.path, k, pytext.Str(v))
		}
		p.Do(wire.NewMap(f.path, changes), func(_ context.Context, r *states.Result) error {
			if err := f.p.set(c, f.path, a.FollowSymlinks, f.diff); err != nil {
				return err
			}
			if d.recurse["silent"] {
				r.Change("recursion", "Changes silenced")
				if f.path == d.name {
					return nil
				}
			} else {
				r.Change(f.path, changes)
			}
			for k, v := range changes.Strings() { // Salt tells the last of them once more
				last.Set(k, v)
			}
			return nil
		})
	}
	if len(doomed) > 0 {
		changes := wire.NewMap()
		removed := []any{}
		for _, path := range doomed {
			changes.Set(path, wire.NewMap("removed", "Removed due to clean"))
			if !slices.ContainsFunc(removed, func(top any) bool { return strings.HasPrefix(path, top.(string)+"/") }) {
				removed = append(removed, path)
			}
			fmt.Fprintf(&would, "%s: removed - Removed due to clean\n", path)
		}
		p.Did = fmt.Sprintf("Files cleaned from directory %s", d.name)
		p.Do(changes, func(_ context.Context, r *states.Result) error {
			for _, path := range doomed {
				if err := c.Host.Remove(path); err != nil {
					return err
				}
			}
			for _, path := range doomed {
				r.Change(path, wire.NewMap("removed", "Removed due to clean"))
			}
			r.Change("removed", removed)
			return nil
		})
	}
	p.Would = would.String()
	return nil
}

// unspecified says that recurse asks for an owner that is not given. What else there is to
// change is changed all the same.
func (d *directory) unspecified() string {
	switch {
	case d.recurse["group"] && d.perm.group == "":
		return "group not specified, but configured as a target for recursive ownership management"
	case d.recurse["user"] && d.perm.user == "":
		return "user not specified, but configured as a target for recursive ownership management"
	}
	return ""
}

// walk visits all below the directory, not through links, as deep as max_depth says.
func (d *directory) walk(visit func(path string, dir bool) error) error {
	root := d.c.Host.Path(d.name)
	return filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if rel == "." {
			if d.a.MaxDepth != nil && *d.a.MaxDepth <= 0 {
				return fs.SkipAll
			}
			return nil
		}
		dir := e.IsDir()
		if e.Type()&fs.ModeSymlink != 0 { // Python's walk takes links to directories for such
			if st, err := os.Stat(path); err == nil {
				dir = st.IsDir()
			}
		}
		if err := visit(filepath.Join(d.name, rel), dir); err != nil {
			return err
		}
		if e.IsDir() && d.a.MaxDepth != nil && int64(strings.Count(rel, string(filepath.Separator))+1) >= *d.a.MaxDepth {
			return fs.SkipDir
		}
		return nil
	})
}

// doomed lists what clean removes: all that no required state manages.
func (d *directory) doomed() ([]string, error) {
	keep := d.kept()
	var out []string
	err := d.walk(func(path string, _ bool) error {
		if keep[path] {
			return nil
		}
		rel, _ := filepath.Rel(d.name, path)
		if !included(rel, nil, d.a.ExcludePat) {
			return nil
		}
		out = append(out, path)
		return nil
	})
	return out, err
}

// kept are the files of the states that this one requires, and the directories above them.
func (d *directory) kept() map[string]bool {
	keep := map[string]bool{}
	add := func(path string) {
		for path = filepath.Clean(path); !keep[path] && path != "/" && path != "."; path = filepath.Dir(path) {
			keep[path] = true
		}
	}
	for _, req := range d.c.Low.List("require") {
		m, ok := req.(*wire.Map)
		if !ok || !m.Has("file") {
			continue
		}
		want := m.Text("file")
		for _, low := range d.c.Chunks {
			if low.Text("state") != "file" || low.Text("name") != want && low.Text("__id__") != want {
				continue
			}
			path := expandUser(d.c, low.Text("name"))
			add(path)
			if rel, err := filepath.Rel(d.name, path); err != nil || strings.HasPrefix(rel, "..") || !d.c.Host.IsDir(path) {
				continue
			}
			_ = filepath.WalkDir(d.c.Host.Path(path), func(p string, _ fs.DirEntry, err error) error {
				if err == nil {
					rel, _ := filepath.Rel(d.c.Host.Path(path), p)
					add(filepath.Join(path, rel))
				}
				return nil
			})
		}
	}
	return keep
}

// included tells whether a relative path is meant by include and exclude patterns: shell
// patterns, or regular expressions that begin with E@, one or a list.
func included(path string, include, exclude any) bool {
	matches := func(pats any) bool {
		for _, p := range listOf(pats) {
			pat := pytext.Str(p)
			if expr, ok := strings.CutPrefix(pat, "E@"); ok {
				if re, err := pyre.Compile(expr, ""); err == nil {
					if m, err := re.Search(path); err == nil && m != nil {
						return true
					}
				}
			} else if target.Fnmatch(pat, path) {
				return true
			}
		}
		return false
	}
	if module.Truth(include) && !matches(include) {
		return false
	}
	return !module.Truth(exclude) || !matches(exclude)
}

func listOf(v any) []any {
	if l, ok := v.([]any); ok {
		return l
	}
	if v == nil {
		return nil
	}
	return []any{v}
}

type fileSymlinkArgs struct {
	Name                  string    // Path of the link.
	Target                string    // What it points to.
	Force                 bool      `default:"False"`       // Remove what is in its place.
	Backupname            string    `default:"None"`        // Name that what is in its place gets instead.
	Makedirs              bool      `default:"False"`       // Make the directories above that are missing.
	User                  any       `default:"None"`        // Owner of the link; by default the minion's user.
	Group                 any       `default:"None"`        // Group of the link; by default that of its owner.
	Mode                  any       `default:"None"`        // Permissions of directories that are made.
	Atomic                bool      `default:"False"`       // Put the link in place of another at once; gosalt always does.
	DisallowCopyAndUnlink bool      `default:"False"`       // Only rename to backupname, do not copy to another file system.
	InheritUserAndGroup   bool      `default:"False"`       // Keep the owner of a link that is there.
	WinOwner              any       `default:"None"`        // On Windows.
	WinPerms              any       `default:"None"`        // On Windows.
	WinDenyPerms          any       `default:"None"`        // On Windows.
	WinInheritance        any       `default:"None"`        // On Windows.
	Kwargs                *wire.Map `arg:"**" read:"owner"` // owner is read.
}

func init() { register("file.symlink", fileSymlink) }

// fileSymlink makes a symbolic link.
func fileSymlink(_ context.Context, c *states.Call, a fileSymlinkArgs) (*states.Plan, error) {
	name := expandUser(c, a.Name)
	if name == "" {
		return nil, module.Failf("Must provide name to file.symlink")
	}
	p := &states.Plan{Name: name}
	if a.User == nil {
		a.User = get(a.Kwargs, "owner")
	}
	l := &symlink{c: c, a: &a, name: name}
	if err := l.owner(); err != nil {
		return p, err
	}
	st, lerr := c.Host.Lstat(name)
	up := filepath.Dir(name)
	more := ""
	if !c.Host.IsDir(up) {
		err := blocked(c, up)
		switch {
		case a.Makedirs && err != nil:
			return p, err
		case a.Makedirs:
			more = fmt.Sprintf("\n%s will be created", up)
		case lacksDir(c, up):
			return p, module.Failf("Directory %s for symlink is not present", up)
		default:
			more = fmt.Sprintf("\nDirectory %s for symlink is not present", up)
		}
	}
	switch {
	case lerr != nil:
		p.Would = fmt.Sprintf("Symlink %s to %s is set for creation%s", name, a.Target, more)
		l.create(p, "new", func() error { return c.Host.Symlink(a.Target, name, false) })
	case st.Mode()&fs.ModeSymlink != 0:
		return p, l.existing(p, st)
	default:
		return p, l.inTheWay(p, st)
	}
	return p, nil
}

// symlink is one call of file.symlink.
type symlink struct {
	c           *states.Call
	a           *fileSymlinkArgs
	name        string
	user, group string
	uid, gid    int
}

// owner finds out whose the link is to be.
func (l *symlink) owner() error {
	c, a := l.c, l.a
	if st, err := c.Host.Lstat(l.name); err == nil && a.InheritUserAndGroup && st.Mode()&fs.ModeSymlink != 0 {
		if a.User == nil {
			a.User = c.Host.UserName(st.UID)
		}
		if a.Group == nil {
			a.Group = c.Host.GroupName(st.GID)
		}
	}
	if user := c.Opts.Text("user"); a.User == nil && user != "" {
		a.User = user
	}
	if a.User == nil {
		a.User = int64(os.Geteuid())
	}
	l.user = pytext.Str(a.User)
	if id, ok := a.User.(int64); ok {
		l.user = c.Host.UserName(int(id))
	}
	var wrong []string
	u, err := c.Host.User(l.user)
	switch id, isID := a.User.(int64); {
	case isID:
		l.uid = int(id)
	case userToCome(c, l.user):
		l.uid = -1
	case err != nil:
		wrong = append(wrong, fmt.Sprintf("User %s does not exist", l.user))
	default:
		l.uid = u.UID
	}
	if a.Group == nil {
		gid := 0
		if u != nil {
			gid = u.GID
		}
		l.gid, l.group = gid, c.Host.GroupName(gid)
	} else {
		l.group = pytext.Str(a.Group)
		g, err := c.Host.Group(l.group)
		switch id, isID := a.Group.(int64); {
		case isID:
			l.gid = int(id)
		case err != nil && possibleGroup(c, l.group):
			l.gid = -1
		case err != nil:
			wrong = append(wrong, fmt.Sprintf("Group %s does not exist", l.group))
		default:
			l.gid = g.GID
		}
	}
	if !filepath.IsAbs(l.name) {
		wrong = append(wrong, fmt.Sprintf("Specified file %s is not an absolute path", l.name))
	}
	switch len(wrong) {
	case 0:
		return nil
	case 1:
		return errors.New(wrong[0])
	}
	return errors.New(strings.Join(wrong, ". ") + ".")
}

// create plans the making of the link.
func (l *symlink) create(p *states.Plan, change string, do func() error) {
	c, a := l.c, l.a
	p.Did = fmt.Sprintf("Created new symlink %s -> %s", l.name, a.Target)
	would := wire.NewMap()
	if change != "" {
		would.Set(change, l.name)
	}
	p.Do(would, func(_ context.Context, r *states.Result) error {
		o := host.Owner{UID: l.uid, GID: l.gid}
		if a.Mode != nil {
			mode, err := host.ParseMode(pytext.Str(a.Mode))
			if err != nil {
				return err
			}
			o.Mode = &mode
		}
		if err := c.Host.MakeDirs(filepath.Dir(l.name), o, c.Umask); err != nil {
			return err
		}
		if err := do(); err != nil {
			return module.Failf("Unable to create new symlink %s -> %s: %w", l.name, a.Target, err)
		}
		r.SetChanges(wire.NewMap("new", l.name))
		if err := l.setOwner(); err != nil {
			r.Comment += fmt.Sprintf(", but was unable to set ownership to %s:%s", l.user, l.group)
			r.Result = false
		}
		return nil
	})
}

// setOwner gives a link its owner.
func (l *symlink) setOwner() error {
	st, err := l.c.Host.Lstat(l.name)
	if err != nil {
		return err
	}
	if st.UID == l.uid && st.GID == l.gid {
		return nil
	}
	return l.c.Host.SetOwner(l.name, l.uid, l.gid, false)
}

// existing plans for a link that is there.
func (l *symlink) existing(p *states.Plan, st *host.Stat) error {
	c, a := l.c, l.a
	to, err := c.Host.Readlink(l.name)
	if err != nil {
		return err
	}
	if filepath.Clean(to) != filepath.Clean(a.Target) {
		p.Would = fmt.Sprintf("Link %s target is set to be changed to %s", l.name, a.Target)
		l.create(p, "change", func() error { return c.Host.Symlink(a.Target, l.name, true) })
		return nil
	}
	p.Fine = fmt.Sprintf("Symlink %s is present and owned by %s:%s", l.name, l.user, l.group)
	if c.Test {
		p.Fine = fmt.Sprintf("The symlink %s is present", l.name)
	}
	if st.UID == l.uid && st.GID == l.gid {
		return nil
	}
	was := c.Host.UserName(st.UID) + ":" + c.Host.GroupName(st.GID)
	p.Would = fmt.Sprintf("The symlink %s is present, but the ownership of the symlink would be changed from %s to %s:%s", l.name, was, l.user, l.group)
	p.Did = fmt.Sprintf("Set ownership of symlink %s to %s:%s", l.name, l.user, l.group)
	p.Do(wire.NewMap("ownership", was), func(_ context.Context, r *states.Result) error {
		if err := l.setOwner(); err != nil {
			return module.Failf("Failed to set ownership of symlink %s to %s:%s", l.name, l.user, l.group)
		}
		r.SetChanges(wire.NewMap("ownership", l.user+":"+l.group))
		return nil
	})
	return nil
}

// inTheWay plans for a place where something else is.
func (l *symlink) inTheWay(p *states.Plan, st *host.Stat) error {
	c, a := l.c, l.a
	if !a.Force && c.Test && a.Backupname == "" {
		return module.Failf("File or directory exists where the symlink %s should be. Did you mean to use force?", l.name)
	}
	p.Would = fmt.Sprintf("The file or directory %s is set for removal to make way for a new symlink targeting %s", l.name, a.Target)
	backup := a.Backupname
	switch {
	case backup != "":
		if !filepath.IsAbs(backup) {
			if backup != filepath.Base(backup) {
				return module.Failf("Backupname must be an absolute path or a file name: %s", backup)
			}
			backup = filepath.Join(filepath.Dir(l.name), backup)
		}
		if _, err := c.Host.Lstat(backup); err == nil && !a.Force {
			return module.Failf("Symlink & backup dest exists and Force not set. %s -> %s - backup: %s", l.name, a.Target, backup)
		}
	case !a.Force && !a.Atomic:
		kind := "File system entry"
		if st.Mode().IsRegular() {
			kind = "File"
		} else if st.IsDir() {
			kind = "Directory"
		}
		return module.Failf("%s exists where the symlink %s should be", kind, l.name)
	}
	l.create(p, "", func() error {
		if backup != "" {
			if err := c.Host.Remove(backup); err != nil {
				return err
			}
			if err := c.Host.Rename(l.name, backup); err != nil {
				return module.Failf("Unable to rename %s to backup %s -> : %w", l.name, backup, err)
			}
			return c.Host.Symlink(a.Target, l.name, false)
		}
		if st.IsDir() {
			if err := c.Host.Remove(l.name); err != nil {
				return err
			}
		}
		return c.Host.Symlink(a.Target, l.name, true)
	})
	return nil
}
