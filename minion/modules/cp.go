package modules

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/fileclient"
	"github.com/gosalt/gosalt/internal/fileserver"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("cp.get_file", cpGetFile)
	register("cp.get_dir", cpGetDir)
	register("cp.get_url", cpGetURL)
	register("cp.get_file_str", cpGetFileStr)
	register("cp.get_template", cpGetTemplate)
}

// cpEnv is the environment that functions about files take.
type cpEnv struct {
	// Environment of the files: the minion's saltenv, or base. An address may name another with ?saltenv=.
	Saltenv any `default:"None" arg:"saltenv"`
}

// env is the environment to use.
func (e cpEnv) env(c *module.Call) string {
	if e.Saltenv != nil && e.Saltenv != "" && e.Saltenv != false {
		return pytext.Str(e.Saltenv)
	}
	if env := c.Opts.Text("saltenv"); env != "" {
		return env
	}
	return "base"
}

// fileServer is the file server of this minion.
func fileServer(c *module.Call) (fileclient.Client, error) {
	if c.FileServer == nil {
		return nil, module.Failf("there is no file server: this minion has no master, and file_client is not local")
	}
	return c.FileServer, nil
}

// saltPath takes a salt:// address apart. Others are refused in Salt's words.
func saltPath(address, env string) (p, e string, err error) {
	p, named, ok := fileclient.ParseURL(address)
	if !ok {
		return "", "", module.Failf("Unsupported path: %s", address)
	}
	if named != "" {
		env = named
	}
	return p, env, nil
}

// noFile turns "there is no such file" into Salt's answer for it.
func noFile(v any, err error, answer any) (any, error) {
	switch {
	case errors.Is(err, fileclient.ErrNotFound):
		return answer, nil
	case err != nil:
		return nil, module.Failf("%w", err)
	}
	return v, nil
}

type cpGetFileArgs struct {
	Path string // Where it is: salt://path/to/file, perhaps with ?saltenv=.
	Dest string // Where to put it: a file, or a directory that is there or whose name ends in /.
	cpEnv
	Makedirs bool `default:"False"` // Make the directories of dest that are missing.
	// Render path and dest, not the file, as templates first: jinja.
	Template *string   `default:"None"`
	Gzip     any       `default:"None"` // Compress the file on its way, from 1 (fast) to 9 (small).
	Kwargs   *wire.Map `arg:"**"`       // pillar and pillarenv for the templates.
}

// cpGetFile brings a file from the master, unless the same is there already, and
// returns where it is. The result is empty where the master has no such file, and
// False where the directory for it is missing.
//
//	gosalt '*' cp.get_file salt://path/to/file /minion/dest
//	gosalt '*' cp.get_file "salt://{{grains.os}}/vimrc" /etc/vimrc template=jinja
//	gosalt '*' cp.get_file salt://big.json /srv/data/ makedirs=True gzip=5
func cpGetFile(ctx context.Context, c *module.Call, a cpGetFileArgs) (any, error) {
	fc, err := fileServer(c)
	if err != nil {
		return nil, err
	}
	env := a.env(c)
	if err := renderNames(ctx, c, a.Template, env, a.Kwargs, &a.Path, &a.Dest); err != nil {
		return nil, err
	}
	gzip, err := gzipLevel(a.Gzip)
	if err != nil {
		return nil, err
	}
	p, env, err := saltPath(a.Path, env)
	if err != nil {
		return nil, err
	}
	return getFile(ctx, c, fc, env, p, a.Dest, a.Makedirs, gzip)
}

func gzipLevel(v any) (int, error) {
	switch v := v.(type) {
	case nil:
		return 0, nil
	case bool:
		if v {
			return 1, nil
		}
		return 0, nil
	case int64:
		return int(min(max(v, 0), 9)), nil
	case string:
		if len(v) == 1 && v[0] >= '0' && v[0] <= '9' {
			return int(v[0] - '0'), nil
		}
	}
	return 0, module.Failf("gzip=%s: a number from 1 to 9 expected", pytext.Repr(v))
}

// getFile puts one file of the file server to a path of this machine.
func getFile(ctx context.Context, c *module.Call, fc fileclient.Client, env, p, dest string, makeDirs bool, gzip int) (any, error) {
	if _, err := fc.Stat(ctx, env, p); err != nil {
		return noFile(nil, err, "")
	}
	if dest == "" {
		v, err := fc.Cache(ctx, env, p)
		return noFile(v, err, "")
	}
	shown := dest
	if st, err := os.Stat(c.Host.Path(dest)); err == nil && st.IsDir() || strings.HasSuffix(dest, "/") {
		shown = filepath.Join(dest, filepath.Base(strings.TrimLeft(p, "|")))
	}
	dest = c.Host.Path(shown)
	if st, err := os.Stat(filepath.Dir(dest)); err != nil || !st.IsDir() {
		if !makeDirs {
			return false, nil
		}
		if err := os.MkdirAll(filepath.Dir(dest), 0o755); err != nil {
			return nil, module.Failf("%w", err)
		}
	}
	return noFile(shown, fc.Get(ctx, env, p, dest, gzip), "")
}

type cpGetDirArgs struct {
	Path string // Where it is: salt://path/to/dir.
	Dest string // Directory to put it into.
	cpEnv
	// Render path and dest, not the files, as templates first: jinja.
	Template *string   `default:"None"`
	Gzip     any       `default:"None"` // Compress the files on their way, from 1 (fast) to 9 (small).
	Kwargs   *wire.Map `arg:"**"`       // pillar and pillarenv for the templates.
}

// cpGetDir brings a directory from the master with all that is in it, empty
// directories too, and returns the paths of what was put here.
//
//	gosalt '*' cp.get_dir salt://path/to/dir/ /minion/dest
func cpGetDir(ctx context.Context, c *module.Call, a cpGetDirArgs) (any, error) {
	fc, err := fileServer(c)
	if err != nil {
		return nil, err
	}
	env := a.env(c)
	if err := renderNames(ctx, c, a.Template, env, a.Kwargs, &a.Path, &a.Dest); err != nil {
		return nil, err
	}
	p, env, err := saltPath(a.Path, env)
	if err != nil {
		return nil, err
	}
	p = strings.TrimRight(p, "/")
	above := ""
	if i := strings.LastIndexByte(p, '/'); i >= 0 {
		above = p[:i+1]
	}
	inside := func(list []string) []string {
		if p == "" { // everything
			return list
		}
		return slices.DeleteFunc(list, func(f string) bool { return !strings.HasPrefix(f, p+"/") })
	}
	files, err := fc.List(ctx, env, p)
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	dirs, err := fc.EmptyDirs(ctx, env, p)
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	var items []fileclient.Item
	for _, f := range inside(files) {
		items = append(items, fileclient.Item{Path: fileclient.Escape(f), Dest: c.Host.Path(below(a.Dest, strings.TrimPrefix(f, above)))})
	}
	if err := fc.GetAll(ctx, env, items); err != nil {
		return nil, module.Failf("%w", err)
	}
	done := []string{}
	for _, it := range items {
		if !it.Missing {
			done = append(done, below(a.Dest, strings.TrimPrefix(strings.TrimPrefix(it.Path, "|"), above)))
		}
	}
	for _, d := range inside(dirs) {
		dir := below(a.Dest, strings.TrimPrefix(d, above))
		if err := os.MkdirAll(c.Host.Path(dir), 0o755); err != nil {
			return nil, module.Failf("%w", err)
		}
		done = append(done, dir)
	}
	slices.Sort(done)
	return done, nil
}

// below is a path below a directory, written as Salt writes it.
func below(dir, rel string) string { return dir + "/" + rel }

type cpGetURLArgs struct {
	// Address of the file: salt, http, https, ftp, s3, file, or a path of this machine.
	Path string
	// Where to put it; empty is the minion's cache. None returns the content instead.
	Dest any `default:""`
	cpEnv
	Makedirs bool `default:"False"` // Make the directories of dest that are missing.
	// Hash of the file: what the cache has already is not fetched again.
	SourceHash *string `default:"None"`
}

// cpGetURL fetches a file by its address and returns where it is. A file of this
// machine stays where it is. False says that the master has no such file.
//
//	gosalt '*' cp.get_url salt://my/file /tmp/this_file_is_mine
//	gosalt '*' cp.get_url https://www.example.com/ /tmp/index.html
func cpGetURL(ctx context.Context, c *module.Call, a cpGetURLArgs) (any, error) {
	if c.Files == nil {
		return nil, module.Failf("there is no way to fetch files here")
	}
	o := fileclient.FetchOptions{Env: a.env(c), MakeDirs: a.Makedirs}
	if a.SourceHash != nil {
		o.SourceHash = *a.SourceHash
	}
	dest, wantPath := a.Dest.(string)
	if wantPath && dest != "" {
		o.Dest = c.Host.Path(dest)
	}
	name, err := c.Files.Fetch(ctx, a.Path, o)
	switch {
	case errors.Is(err, fileclient.ErrNotFound):
		c.Log.Error("no such file on the file server", "address", a.Path, "saltenv", o.Env)
		return false, nil
	case errors.Is(err, fileclient.ErrNoDirectory):
		c.Log.Error("the file was not fetched", "address", fileclient.Redact(a.Path), "error", err)
		if fileclient.Scheme(a.Path) == "salt" {
			return false, nil
		}
		return "", nil
	case err != nil:
		return nil, module.Failf("%w", err)
	}
	if wantPath {
		return hostPath(c, name), nil
	}
	return readText(name)
}

// hostPath is a path as the host's own programs see it.
func hostPath(c *module.Call, name string) string {
	if c.Host == nil || c.Host.Root == "" {
		return name
	}
	return strings.TrimPrefix(name, strings.TrimRight(c.Host.Root, "/"))
}

// readText is a file's content, as text where it is UTF-8.
func readText(name string) (any, error) {
	f, err := fileserver.StatPath(name, name)
	if err != nil {
		return nil, module.Failf("read %s: %w", name, err)
	}
	b, err := f.ReadFile(fileclient.MaxRead)
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	return string(b), nil
}

type cpFileArgs struct {
	Path string // Address of the file: salt://path, or what else the minion can fetch.
	cpEnv
}

// cpGetFileStr fetches a file into the minion's cache and returns its content, or
// False where there is none.
//
//	gosalt '*' cp.get_file_str salt://my/file
func cpGetFileStr(ctx context.Context, c *module.Call, a cpFileArgs) (any, error) {
	v, err := cpCacheFile(ctx, c, cpCacheFileArgs{Path: a.Path, cpEnv: a.cpEnv, VerifySsl: true})
	if err != nil {
		return nil, err
	}
	name, ok := v.(string)
	if !ok {
		return v, nil
	}
	if st, err := os.Stat(name); err != nil || !st.Mode().IsRegular() {
		return false, nil
	}
	return readText(name)
}

type cpGetTemplateArgs struct {
	Path     string // Where it is: salt://path/to/template.
	Dest     string // Where to put what it makes; empty is the minion's cache.
	Template string `default:"jinja"` // Engine: jinja, py or starlark.
	cpEnv
	Makedirs bool      `default:"False"` // Make the directories of dest that are missing.
	Kwargs   *wire.Map `arg:"**"`        // Further variables of the template.
}

// cpGetTemplate brings a file from the master, renders it as a template and returns
// where the result is. It is empty where there is no such file.
//
//	gosalt '*' cp.get_template salt://path/to/template /minion/dest
func cpGetTemplate(ctx context.Context, c *module.Call, a cpGetTemplateArgs) (any, error) {
	env := a.env(c)
	v, err := cpCacheFile(ctx, c, cpCacheFileArgs{Path: a.Path, cpEnv: cpEnv{env}, VerifySsl: true})
	if err != nil {
		return nil, err
	}
	name, ok := v.(string)
	if !ok {
		return "", nil
	}
	text, err := readText(name)
	if err != nil {
		return nil, err
	}
	out, err := renderTemplate(module.OnDisk(ctx), c, a.Template, text.(string), name, env, a.Kwargs)
	if err != nil {
		return nil, err
	}
	dest := a.Dest
	if dest == "" {
		if dest, err = (fileclient.Cache{Dir: c.CacheDir}).External(a.Path, env); err != nil {
			return nil, module.Failf("%w", err)
		}
		if module.PutText(ctx, out) {
			return dest, nil
		}
		a.Makedirs = true
	}
	full := c.Host.Path(dest)
	if a.Dest == "" {
		full = dest
	}
	if st, err := os.Stat(filepath.Dir(full)); err != nil || !st.IsDir() {
		if !a.Makedirs {
			return "", nil
		}
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return nil, module.Failf("%w", err)
		}
	}
	w, err := fileclient.Create(full, false)
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	defer w.Abort()
	if _, err := fmt.Fprint(w, out); err != nil {
		return nil, module.Failf("write %s: %w", dest, err)
	}
	if err := w.Commit(); err != nil {
		return nil, module.Failf("%w", err)
	}
	return dest, nil
}
