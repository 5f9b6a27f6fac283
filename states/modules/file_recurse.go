package modules

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/fileclient"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() { register("file.recurse", fileRecurse) }

type fileRecurseArgs struct {
	Name           string    // Path of the directory.
	Source         any       // Directory of the file server, salt://; of a list the first that is there.
	KeepSource     bool      `default:"True"`  // Keep the sources in the cache of files.
	Clean          bool      `default:"False"` // Remove what is in it and not in the source.
	Require        any       `default:"None"`  // The states whose files clean spares.
	User           any       `default:"None"`  // Owner, by name or number.
	Group          any       `default:"None"`  // Group, by name or number.
	DirMode        any       `default:"None"`  // Permissions of directories.
	FileMode       any       `default:"None"`  // Permissions of files; keep takes those of the source.
	SymMode        any       `default:"None"`  // Permissions of directories that are made for links.
	Template       string    `default:"None"`  // Render the files: jinja.
	Context        any       `default:"None"`  // Values for the templates, over the defaults.
	Replace        bool      `default:"True"`  // Put the contents in place of others.
	Defaults       any       `default:"None"`  // Values for the templates.
	IncludeEmpty   bool      `default:"False"` // Make directories that are empty in the source.
	Backup         any       `default:""`      // minion keeps old files below the cache directory.
	IncludePat     any       `default:"None"`  // Only these: shell patterns, or regular expressions with E@.
	ExcludePat     any       `default:"None"`  // Not these, likewise.
	Maxdepth       *int64    `default:"None"`  // How deep it goes.
	KeepSymlinks   bool      `default:"False"` // Make links of links of the source.
	ForceSymlinks  bool      `default:"False"` // Remove what is in the place of such a link.
	WinOwner       any       `default:"None"`  // On Windows.
	WinPerms       any       `default:"None"`  // On Windows.
	WinDenyPerms   any       `default:"None"`  // On Windows.
	WinInheritance bool      `default:"True"`  // On Windows.
	Kwargs         *wire.Map `arg:"**"`        // Further arguments of file.managed.
}

// fileRecurse makes a directory of the file server on the machine, with all below it.
func fileRecurse(ctx context.Context, c *states.Call, a fileRecurseArgs) (*states.Plan, error) {
	name := expandUser(c, a.Name)
	p := &states.Plan{Name: name}
	r := &recursion{c: c, a: &a, name: name}
	if err := r.arguments(ctx); err != nil {
		return p, err
	}
	if err := r.list(ctx); err != nil {
		return p, err
	}
	return r.plan(ctx, p)
}

// recursion is one call of file.recurse.
type recursion struct {
	c        *states.Call
	a        *fileRecurseArgs
	name     string
	src, env string // the directory below the file server's root, and its environment

	files, dirs []string          // paths on the machine
	from        map[string]string // address of each file
	links       map[string]string // where links point
	keep        map[string]bool
}

func (r *recursion) arguments(ctx context.Context) error {
	a, c := r.a, r.c
	if a.Kwargs.Has("mode") {
		return module.Failf("'mode' is not allowed in 'file.recurse'. Please use 'file_mode' and 'dir_mode'.")
	}
	if a.User == nil {
		a.User = get(a.Kwargs, "owner")
	}
	if _, err := readPerms(c, a.User, a.Group, a.DirMode, "", nil); err != nil {
		return err
	}
	if !filepath.IsAbs(r.name) {
		return module.Failf("Specified file %s is not an absolute path", r.name)
	}
	var sources []any
	for _, s := range contentParts(a.Source) {
		s = strings.TrimRight(s, "/")
		if !strings.HasPrefix(s, "salt://") {
			return module.Failf("Invalid source '%s' (must be a salt:// URI)", s)
		}
		sources = append(sources, s)
	}
	source := ""
	v, err := c.Call.Call(ctx, "file.source_list", args(sources, "", c.Env), nil)
	if err != nil {
		return module.Failf("Recurse failed: %w", err)
	}
	if pair, ok := v.([]any); ok && len(pair) > 0 {
		source = pytext.Str(pair[0])
	}
	r.src, r.env, _ = fileclient.ParseURL(source)
	if r.env == "" {
		r.env = c.Env
	}
	dirs, err := r.ask(ctx, "cp.list_master_dirs", r.src+"/")
	if err != nil {
		return err
	}
	if !slices.Contains(dirs, r.src) {
		return module.Failf("The directory '%s' does not exist on the salt fileserver in saltenv '%s'", r.src, r.env)
	}
	if c.Host.Exists(r.name) && !c.Host.IsDir(r.name) {
		return module.Failf("The path %s exists and is not a directory", r.name)
	}
	return nil
}

// ask lists something of the file server.
func (r *recursion) ask(ctx context.Context, fun, prefix string) ([]string, error) {
	v, err := r.c.Call.Call(ctx, fun, nil, wire.NewMap("saltenv", r.env, "prefix", prefix))
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range listOf(v) {
		out = append(out, pytext.Str(e))
	}
	return out, nil
}

// relative is a path of the file server below the source, where it is meant.
func (r *recursion) relative(path string) (string, bool) {
	rel, ok := strings.CutPrefix(path, r.src+"/")
	if r.src == "" {
		rel, ok = path, true
	}
	if !ok || rel == "" || slices.Contains(strings.Split(rel, "/"), "..") {
		return "", false
	}
	if r.a.Maxdepth != nil && int64(strings.Count(strings.Trim(rel, "/"), "/")) > *r.a.Maxdepth {
		return "", false
	}
	return rel, included(rel, r.a.IncludePat, r.a.ExcludePat)
}

// list asks what there is.
func (r *recursion) list(ctx context.Context) error {
	r.from, r.links, r.keep = map[string]string{}, map[string]string{}, map[string]bool{}
	prefix := r.src + "/"
	files, err := r.ask(ctx, "cp.list_master", prefix)
	if err != nil {
		return err
	}
	if r.a.KeepSymlinks {
		v, err := r.c.Call.Call(ctx, "cp.list_master_symlinks", nil, wire.NewMap("saltenv", r.env, "prefix", prefix))
		if err != nil {
			return err
		}
		links, _ := v.(*wire.Map)
		for path, to := range links.Strings() {
			if rel, ok := r.relative(path); ok {
				r.links[filepath.Join(r.name, rel)] = pytext.Str(to)
				r.keep[filepath.Join(r.name, rel)] = true
				files = slices.DeleteFunc(files, func(f string) bool { return f == path || strings.HasPrefix(f, path+"/") })
			}
		}
	}
	dirs := map[string]bool{}
	for _, f := range files {
		rel, ok := r.relative(f)
		if !ok {
			continue
		}
		dest := filepath.Join(r.name, rel)
		r.files = append(r.files, dest)
		r.from[dest] = "salt://" + f + "?saltenv=" + r.env
		r.keep[dest] = true
		dirs[filepath.Dir(dest)] = true
	}
	if r.a.IncludeEmpty {
		all, err := r.ask(ctx, "cp.list_master_dirs", prefix)
		if err != nil {
			return err
		}
		for _, d := range all {
			if rel, ok := r.relative(d); ok {
				dirs[filepath.Join(r.name, rel)] = true
				r.keep[filepath.Join(r.name, rel)] = true
			}
		}
	}
	for d := range dirs {
		r.dirs = append(r.dirs, d)
	}
	slices.Sort(r.dirs)
	slices.Sort(r.files)
	return nil
}

// plan plans each directory and file.
func (r *recursion) plan(ctx context.Context, p *states.Plan) (*states.Plan, error) {
	c, a := r.c, r.a
	perm, err := readPerms(c, a.User, a.Group, a.DirMode, "", nil)
	if err != nil {
		return p, err
	}
	var notes, failed []string
	add := func(path string, q *states.Plan, err error) {
		if d := q.Decision(); err == nil && d != nil && d.Result == false {
			err = errors.New(d.Comment)
		}
		if err != nil {
			failed, notes = append(failed, path, err.Error()), append(notes, path, err.Error())
			return
		}
		if !q.Empty() && c.Test {
			notes = append(notes, path, q.Would)
		}
		p.Nest(path, q)
	}
	if !c.Host.IsDir(r.name) {
		p.Do(nil, func(context.Context, *states.Result) error {
			o := perm.owner()
			o.Mode = perm.mode
			return c.Host.MakeDirs(r.name, o, c.Umask)
		})
	}
	for _, link := range sortedKeys(r.links) {
		q, err := fileSymlink(ctx, c, fileSymlinkArgs{Name: link, Target: r.links[link], Makedirs: true, Force: a.ForceSymlinks, User: a.User, Group: a.Group, Mode: a.SymMode})
		add(link, q, err)
	}
	for _, dir := range r.dirs {
		if dir == strings.TrimRight(r.name, "/") && !c.Test && !c.Host.IsDir(dir) {
			continue // it is made above, and Salt does not tell
		}
		plan := func(ctx context.Context) (*states.Plan, error) {
			return fileDirectory(ctx, c, fileDirectoryArgs{Name: dir, User: a.User, Group: a.Group, DirMode: a.DirMode, Makedirs: true, AllowSymlink: true})
		}
		if c.Host.Exists(dir) && !c.Host.IsDir(dir) && a.Clean {
			r.clearWay(p, dir, "Replaced file with a directory", plan)
			if c.Test {
				notes = append(notes, dir, "Replacing "+dir+" with a directory")
			}
			continue
		}
		q, err := plan(ctx)
		add(dir, q, err)
	}
	for _, file := range r.files {
		plan := func(ctx context.Context) (*states.Plan, error) {
			return fileManaged(ctx, c, fileManagedArgs{Name: file, Source: r.from[file], KeepSource: a.KeepSource, User: a.User, Group: a.Group, Mode: a.FileMode,
				Template: a.Template, Makedirs: true, Replace: a.Replace, Context: a.Context, Defaults: a.Defaults, Backup: a.Backup, ShowChanges: true, Create: true,
				Newline: true, Delimiter: ":", AllowEmpty: true, FollowSymlinks: true, VerifySsl: true, SourceHash: "", Kwargs: r.kwargs()})
		}
		if c.Host.IsDir(file) && a.Clean && a.Replace {
			r.clearWay(p, file, "Replaced directory with a new file", plan)
			if c.Test {
				notes = append(notes, file, "Replacing directory "+file+" with a file")
			}
			continue
		}
		q, err := plan(ctx)
		add(file, q, err)
	}
	if a.Clean {
		if err := r.clean(p, &notes); err != nil {
			return p, err
		}
	}
	p.Fine = fmt.Sprintf("The directory %s is in the correct state", r.name)
	p.Did = fmt.Sprintf("Recursively updated %s", r.name)
	p.Would = told(notes)
	switch {
	case len(failed) > 0 && c.Test:
		q := states.Decided(false, p.Changes(), told(notes))
		q.Name, q.Warnings = p.Name, p.Warnings
		return q, nil
	case len(failed) > 0 && p.Empty():
		return p, module.Failf("%s", told(failed))
	}
	p.Finish = func(res *states.Result) {
		if all := slices.Concat(failed, res.Failures()); len(all) > 0 {
			res.Result, res.Comment = false, told(all)
		} else if res.Changes.Len() == 0 {
			res.Comment = p.Fine
		}
	}
	return p, nil
}

// kwargs are the further arguments of file.managed.
func (r *recursion) kwargs() *wire.Map {
	out := wire.NewMap()
	for k, v := range r.a.Kwargs.Strings() {
		if k != "makedirs" && k != "env" {
			out.Set(k, v)
		}
	}
	return out
}

// told is how Salt shows comments by path.
func told(pairs []string) string {
	var b strings.Builder
	for i := 0; i+1 < len(pairs); i += 2 {
		fmt.Fprintf(&b, "\n#### %s ####\n%s\n", pairs[i], pairs[i+1])
	}
	return strings.TrimSpace(b.String())
}

// clearWay plans that what is in the way goes, and then what is to be there.
func (r *recursion) clearWay(p *states.Plan, path, what string, plan func(context.Context) (*states.Plan, error)) {
	gone := wire.NewMap("diff", what)
	p.Do(wire.NewMap(path, gone), func(context.Context, *states.Result) error { return r.c.Host.Remove(path) })
	p.NestLater(path, gone, plan)
}

// clean plans the removal of what the source does not have.
func (r *recursion) clean(p *states.Plan, notes *[]string) error {
	keep := map[string]bool{r.name: true}
	above := func(path string) {
		for ; !keep[path] && strings.HasPrefix(path, r.name); path = filepath.Dir(path) {
			keep[path] = true
		}
	}
	for path := range r.keep {
		above(path)
	}
	for path := range (&directory{c: r.c, a: &fileDirectoryArgs{}, name: r.name}).kept() {
		above(path)
	}
	var doomed []string
	root := r.c.Host.Path(r.name)
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil // nothing is there yet
		}
		rel, _ := filepath.Rel(root, path)
		if full := filepath.Join(r.name, rel); rel != "." && !keep[full] && included(rel, nil, r.a.ExcludePat) {
			doomed = append(doomed, full)
			if e.IsDir() {
				return fs.SkipDir
			}
		}
		return nil
	})
	if err != nil || len(doomed) == 0 {
		return err
	}
	list := make([]any, len(doomed))
	for i, d := range doomed {
		list[i] = d
	}
	*notes = append(*notes, "removed", strings.Join(doomed, "\n"))
	p.Do(wire.NewMap("removed", list), func(context.Context, *states.Result) error {
		for _, d := range doomed {
			if err := r.c.Host.Remove(d); err != nil {
				return err
			}
		}
		return nil
	})
	return nil
}

func sortedKeys(m map[string]string) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
