package modules

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/fileclient"
	"github.com/gosalt/gosalt/internal/fileserver"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("cp.cache_file", cpCacheFile)
	register("cp.cache_files", cpCacheFiles)
	register("cp.cache_dir", cpCacheDir)
	register("cp.cache_master", cpCacheMaster)
	register("cp.cache_local_file", cpCacheLocalFile)
	register("cp.cache_dest", cpCacheDest)
	register("cp.is_cached", cpIsCached)
	register("cp.hash_file", cpHashFile)
	register("cp.stat_file", cpStatFile)
	register("cp.list_minion", cpListMinion)
}

type cpCacheFileArgs struct {
	Path string // Address of the file: salt://path, or what else the minion can fetch.
	cpEnv
	// Hash of the file: what the cache has already is not fetched again.
	SourceHash *string `default:"None"`
	VerifySsl  bool    `default:"True"` // Check the certificate of a web server.
	// Ask the web server by the ETag it sent whether what is in the cache is still right.
	UseEtag bool `default:"False"`
}

// cpCacheFile brings a file into the minion's cache, unless the same is there
// already, and returns where it is; False where the master has no such file.
//
//	gosalt '*' cp.cache_file salt://path/to/file
//	gosalt '*' cp.cache_file salt://foo/bar.conf?saltenv=config
func cpCacheFile(ctx context.Context, c *module.Call, a cpCacheFileArgs) (any, error) {
	if c.Files == nil {
		return nil, module.Failf("there is no way to fetch files here")
	}
	env := a.env(c)
	remote := false
	switch fileclient.Scheme(a.Path) {
	case "http", "https", "ftp", "s3", "swift":
		remote = true
	}
	key := "cp.cache_file_|-" + a.Path + "_|-" + env
	if name, ok := c.Context(key).(string); ok && remote {
		if st, err := os.Stat(name); err == nil && st.Mode().IsRegular() {
			return name, nil
		}
	}
	o := fileclient.FetchOptions{Env: env, Insecure: !a.VerifySsl, ETag: a.UseEtag}
	if a.SourceHash != nil {
		o.SourceHash = *a.SourceHash
	}
	name, err := c.Files.Fetch(ctx, a.Path, o)
	if errors.Is(err, fileclient.ErrNotFound) {
		c.Log.Error("no such file on the file server", "address", a.Path, "saltenv", env)
	}
	if remote && err == nil {
		c.SetContext(key, name)
	}
	return noFile(name, err, false)
}

type cpCacheFilesArgs struct {
	Paths any // Addresses of the files: a list, or a text with commas.
	cpEnv
}

// cpCacheFiles brings several files into the minion's cache and returns where they
// are, False for each that is not there.
//
//	gosalt '*' cp.cache_files salt://path/to/file1,salt://path/to/file2
func cpCacheFiles(ctx context.Context, c *module.Call, a cpCacheFilesArgs) (any, error) {
	out := []any{}
	for _, p := range listOf(a.Paths) {
		v, err := cpCacheFile(ctx, c, cpCacheFileArgs{Path: p, cpEnv: a.cpEnv, VerifySsl: true})
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// listOf reads a list of texts, or a text with commas.
func listOf(v any) []string {
	switch v := v.(type) {
	case string:
		return strings.Split(v, ",")
	case []any:
		out := make([]string, len(v))
		for i, e := range v {
			out[i] = fmt.Sprint(e)
		}
		return out
	}
	return nil
}

type cpCacheDirArgs struct {
	Path string // Where it is: salt://path/to/dir.
	cpEnv
	IncludeEmpty bool `default:"False"` // Make empty directories too.
	// Only the files that match: a glob, or a regular expression behind E@. A list of them is possible.
	IncludePat any `default:"None"`
	ExcludePat any `default:"None"` // Not the files that match, likewise.
}

// cpCacheDir brings all files below a directory of the master into the minion's
// cache and returns where they are.
//
//	gosalt '*' cp.cache_dir salt://path/to/dir
//	gosalt '*' cp.cache_dir salt://path/to/dir include_pat='E@*.py$'
func cpCacheDir(ctx context.Context, c *module.Call, a cpCacheDirArgs) (any, error) {
	fc, err := fileServer(c)
	if err != nil {
		return nil, err
	}
	p, env, err := saltPath(a.Path, a.env(c))
	if err != nil {
		return nil, err
	}
	if !strings.HasSuffix(p, "/") {
		p += "/"
	}
	wanted, err := includeExclude(a.IncludePat, a.ExcludePat)
	if err != nil {
		return nil, err
	}
	files, err := fc.List(ctx, env, strings.TrimLeft(p, "/"))
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	var want []string
	for _, f := range files {
		if strings.TrimSpace(f) != "" && strings.HasPrefix(f, p) && wanted(f) {
			want = append(want, fileclient.Escape(f))
		}
	}
	out, err := cacheAll(ctx, fc, env, want)
	if err != nil || !a.IncludeEmpty {
		return out, err
	}
	dirs, err := fc.EmptyDirs(ctx, env, strings.TrimLeft(p, "/"))
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	for _, d := range dirs {
		if !strings.HasPrefix(d, p) {
			continue
		}
		dir := fc.CachePath(env, d)
		if dir == "" {
			continue
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, module.Failf("%w", err)
		}
		out = append(out, dir)
	}
	return out, nil
}

// cacheAll brings files into the cache; those that are gone meanwhile are left out.
func cacheAll(ctx context.Context, fc fileclient.Client, env string, paths []string) ([]any, error) {
	names, err := fc.CacheAll(ctx, env, paths)
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	out := []any{}
	for _, n := range names {
		if n != "" {
			out = append(out, n)
		}
	}
	return out, nil
}

// includeExclude makes a test of include_pat and exclude_pat.
func includeExclude(include, exclude any) (func(string) bool, error) {
	in, err := patterns(include)
	if err != nil {
		return nil, err
	}
	out, err := patterns(exclude)
	if err != nil {
		return nil, err
	}
	return func(p string) bool {
		hit := func(list []func(string) bool) bool {
			return slices.ContainsFunc(list, func(f func(string) bool) bool { return f(p) })
		}
		return (len(in) == 0 || hit(in)) && !hit(out)
	}, nil
}

func patterns(v any) ([]func(string) bool, error) {
	var texts []string
	switch v := v.(type) {
	case nil:
	case []any:
		texts = listOf(v)
	default:
		if s := fmt.Sprint(v); s != "" {
			texts = []string{s}
		}
	}
	var out []func(string) bool
	for _, t := range texts {
		if expr, ok := strings.CutPrefix(t, "E@"); ok {
			re, err := target.CompileRegex(expr)
			if err != nil {
				return nil, module.Failf("%w", err)
			}
			out = append(out, re.Search)
			continue
		}
		out = append(out, func(p string) bool { return target.Fnmatch(t, p) })
	}
	return out, nil
}

type cpEnvArgs struct{ cpEnv }

// cpCacheMaster brings all files of the master into the minion's cache and returns
// where they are.
//
//	gosalt '*' cp.cache_master
func cpCacheMaster(ctx context.Context, c *module.Call, a cpEnvArgs) (any, error) {
	fc, err := fileServer(c)
	if err != nil {
		return nil, err
	}
	env := a.env(c)
	files, err := fc.List(ctx, env, "")
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	for i, f := range files {
		files[i] = fileclient.Escape(f)
	}
	names, err := fc.CacheAll(ctx, env, files)
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	out := make([]any, len(names))
	for i, n := range names {
		out[i] = n
		if n == "" { // a link to nowhere is listed, and cannot be fetched
			out[i] = false
		}
	}
	return out, nil
}

type cpLocalPathArgs struct {
	Path string // File of this machine.
}

// cpCacheLocalFile copies a file of this machine into the minion's cache and returns
// where it is; empty where there is no such file.
//
//	gosalt '*' cp.cache_local_file /etc/hosts
func cpCacheLocalFile(ctx context.Context, c *module.Call, a cpLocalPathArgs) (any, error) {
	from := c.Host.Path(a.Path)
	st, err := os.Stat(from)
	if err != nil {
		return "", nil
	}
	if !st.Mode().IsRegular() {
		return nil, module.Failf("%s is no regular file", a.Path)
	}
	rel := strings.TrimLeft(path.Clean("/"+a.Path), "/")
	dest := filepath.Join(c.CacheDir, "localfiles", filepath.FromSlash(rel))
	if err := os.MkdirAll(filepath.Dir(dest), 0o700); err != nil {
		return nil, module.Failf("%w", err)
	}
	in, err := os.Open(from)
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	defer in.Close()
	w, err := fileclient.Create(dest, true)
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	defer w.Abort()
	if _, err := io.Copy(w, in); err != nil {
		return nil, module.Failf("copy %s: %w", a.Path, err)
	}
	if err := w.Commit(); err != nil {
		return nil, module.Failf("%w", err)
	}
	return dest, nil
}

type cpURLArgs struct {
	Url string // Address of a file.
	cpEnv
}

// cpCacheDest returns where a file would be in the minion's cache, whether it is
// there or not.
//
//	gosalt '*' cp.cache_dest https://foo.com/bar.rpm
//	gosalt '*' cp.cache_dest salt://my/file saltenv=dev
func cpCacheDest(_ context.Context, c *module.Call, a cpURLArgs) (any, error) {
	cache := fileclient.Cache{Dir: c.CacheDir}
	switch fileclient.Scheme(a.Url) {
	case "":
		return a.Url, nil
	case "salt":
		p, env, _ := saltPath(a.Url, a.env(c))
		return cache.Path(env, p), nil
	}
	name, err := cache.External(a.Url, a.env(c))
	if err != nil {
		return "Invalid path", nil
	}
	return name, nil
}

// cpIsCached returns where a file is in the minion's cache; empty where it is not.
//
//	gosalt '*' cp.is_cached salt://path/to/file
func cpIsCached(_ context.Context, c *module.Call, a cpFileArgs) (any, error) {
	cache := fileclient.Cache{Dir: c.CacheDir}
	env := a.env(c)
	p := a.Path
	if rest, named, ok := fileclient.ParseURL(a.Path); ok {
		if p = rest; named != "" {
			env = named
		}
	}
	rel := strings.TrimLeft(p, "|/")
	var places []string
	if filepath.IsLocal(filepath.FromSlash(rel)) {
		places = append(places, cache.Path(env, p), filepath.Join(c.CacheDir, "localfiles", filepath.FromSlash(rel)))
	}
	if name, err := cache.External(a.Path, env); err == nil && fileclient.Scheme(a.Path) != "" {
		places = append(places, name)
	}
	for _, name := range places {
		if _, err := os.Stat(name); name != "" && err == nil {
			if fileclient.IsEscaped(p) {
				return "|" + name, nil
			}
			return name, nil
		}
	}
	return "", nil
}

// cpHashFile returns the hash of a file of the master (salt://) or of this machine,
// and what kind of hash it is.
//
//	gosalt '*' cp.hash_file salt://path/to/file
func cpHashFile(ctx context.Context, c *module.Call, a cpFileArgs) (any, error) {
	p, env, err := saltPath(a.Path, a.env(c))
	if err != nil {
		name := c.Host.Path(a.Path)
		if st, err := os.Stat(name); err != nil || !st.Mode().IsRegular() {
			c.Log.Warn("specified file is not present to generate hash", "path", a.Path)
			return []any{wire.NewMap(), nil}, nil // so Salt answers
		}
		kind := c.Opts.Text("hash_type")
		if kind == "" {
			kind = "sha256"
		}
		sum, err := fileclient.HashFile(ctx, name, kind)
		if err != nil {
			return nil, module.Failf("%w", err)
		}
		return wire.NewMap("hsum", sum, "hash_type", kind), nil
	}
	fc, err := fileServer(c)
	if err != nil {
		return nil, err
	}
	info, err := fc.Stat(ctx, env, p)
	return noFile(wire.NewMap("hash_type", info.HashType, "hsum", info.Hash), err, "")
}

type cpStatFileArgs struct {
	Path string // Address of the file: salt://path, or a path of this machine.
	cpEnv
	Octal bool `default:"True"` // Return the last four octal digits as text rather than the number.
}

// cpStatFile returns the permissions of a file of the master (salt://) or of this
// machine; None where there is no such file.
//
//	gosalt '*' cp.stat_file salt://path/to/file
func cpStatFile(ctx context.Context, c *module.Call, a cpStatFileArgs) (any, error) {
	var mode int64
	p, env, err := saltPath(a.Path, a.env(c))
	if err != nil {
		f, err := fileserver.StatPath(c.Host.Path(a.Path), a.Path)
		if err != nil {
			return nil, nil
		}
		mode = f.Stat[0]
	} else {
		fc, err := fileServer(c)
		if err != nil {
			return nil, err
		}
		info, err := fc.Stat(ctx, env, p)
		if err != nil {
			return noFile(nil, err, nil)
		}
		if len(info.Stat) == 0 {
			return nil, nil
		}
		mode = info.Stat[0]
	}
	if !a.Octal {
		return mode, nil
	}
	text := fmt.Sprintf("0o%o", mode)
	return text[max(len(text)-4, 0):], nil
}

// cpListMinion lists the files in the minion's cache.
//
//	gosalt '*' cp.list_minion
func cpListMinion(_ context.Context, c *module.Call, a cpEnvArgs) (any, error) {
	set := map[string]bool{}
	for _, dir := range []string{filepath.Join(c.CacheDir, "files", a.env(c)), filepath.Join(c.CacheDir, "localfiles")} {
		if st, err := os.Stat(dir); err != nil || !st.IsDir() {
			dir = filepath.Dir(dir) // as Salt, which looks into the directory above then
			if filepath.Base(dir) != "files" {
				continue
			}
		}
		filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				set[name] = true
			}
			return nil
		})
	}
	out := []string{}
	for name := range set {
		out = append(out, name)
	}
	slices.Sort(out)
	return out, nil
}
