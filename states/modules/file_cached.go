package modules

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("file.cached", fileCached)
	register("file.not_cached", fileNotCached)
}

type fileCachedArgs struct {
	Name           string // Address of the file: salt://, http(s)://, ftp://, s3://, file:// or a path.
	SourceHash     any    `default:""`      // Hash of the file (sha256=...), or a file of hashes.
	SourceHashName string `default:"None"`  // Name to look for in a file of hashes.
	SkipVerify     bool   `default:"False"` // Take a remote file without a hash.
	Saltenv        string `default:"base"`  // Environment of the file.
	UseEtag        bool   `default:"False"` // Ask http servers whether the file has changed by its ETag.
}

// fileCached keeps a copy of a file in the minion's cache.
func fileCached(ctx context.Context, c *states.Call, a fileCachedArgs) (*states.Plan, error) {
	p := &states.Plan{}
	shown := redacted(a.Name)
	path, isLocal := local(a.Name)
	remote := !isLocal && scheme(a.Name) != "salt"
	if remote && !a.SkipVerify && !module.Truth(a.SourceHash) && !a.UseEtag {
		return p, module.Failf("Unable to verify upstream hash of source file %s, please set source_hash or set skip_verify or use_etag to True", shown)
	}
	sum := wire.NewMap()
	if module.Truth(a.SourceHash) {
		v, err := c.Call.Call(ctx, "file.get_source_sum", nil, wire.NewMap("source", a.Name, "source_hash", a.SourceHash,
			"source_hash_name", nilIfEmpty(a.SourceHashName), "saltenv", a.Saltenv))
		if err != nil {
			return p, err
		}
		if m, ok := v.(*wire.Map); ok {
			sum = m
		}
	}
	want := sum.Text("hsum")
	kind := sum.Text("hash_type")
	if kind == "" {
		if kind = c.Opts.Text("hash_type"); kind == "" {
			kind = "sha256"
		}
	}
	if isLocal && c.Test && !c.Host.Exists(expandUser(c, path)) { // a state before this one may be there to make it
		return states.Decided(nil, nil, "File will be cached: "+a.Name), nil
	}
	if isLocal {
		return a.here(c, realPath(expandUser(c, path)), want, kind)
	}
	before, err := a.copy(ctx, c)
	if err != nil {
		return p, err
	}
	if c.Test {
		return a.test(ctx, c, before, want, kind)
	}
	var had any
	if before != "" {
		if had, err = hashFile(before, kind); err != nil {
			return p, err
		}
		if want != "" && !a.SkipVerify && had == want {
			p.Fine = fmt.Sprintf("File is already cached to %s with hash %s", before, want)
			return p, nil
		}
	}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		path, err := a.fetch(ctx, c, want)
		if err != nil {
			return fmt.Errorf("%s", strings.ReplaceAll(message(err), a.Name, shown))
		}
		if path == "" {
			return module.Failf("Failed to cache %s, check minion log for more information", shown)
		}
		got, err := hashFile(path, kind)
		if err != nil {
			return err
		}
		if had != got {
			r.Change("hash", change(had, got))
		}
		switch {
		case want == "" || a.SkipVerify:
			r.Comment = fmt.Sprintf("File is cached to %s", path)
		case got == want:
			r.Comment = fmt.Sprintf("File is already cached to %s with hash %s", path, got)
		default:
			return module.Failf("File is cached to %s, but the hash (%s) does not match the specified hash (%s)", path, got, want)
		}
		return nil
	})
	return p, nil
}

// copy is the path of the copy in the cache, "" for none.
func (a *fileCachedArgs) copy(ctx context.Context, c *states.Call) (string, error) {
	v, err := c.Call.Call(ctx, "cp.is_cached", args(a.Name), wire.NewMap("saltenv", a.Saltenv))
	s, _ := v.(string)
	return s, err
}

func (a *fileCachedArgs) fetch(ctx context.Context, c *states.Call, want string) (string, error) {
	v, err := c.Call.Call(ctx, "cp.cache_file", args(a.Name), wire.NewMap("saltenv", a.Saltenv, "source_hash", nilIfEmpty(want), "use_etag", a.UseEtag))
	s, _ := v.(string)
	return s, err
}

// test tells whether a run would fetch another file than before is. For that a file of the
// network is fetched, to a place of its own; where it cannot be yet, a state of the same run
// may still bring it about.
func (a *fileCachedArgs) test(ctx context.Context, c *states.Call, before, want, kind string) (*states.Plan, error) {
	text := "File will be cached: " + redacted(a.Name)
	had := ""
	if before != "" {
		var err error
		if had, err = hashFile(before, kind); err != nil {
			return nil, err
		}
		switch {
		case want == "":
			text = "No hash found. " + text
		case had == want && !a.SkipVerify:
			return states.Decided(true, nil, "File already cached: "+redacted(a.Name)), nil
		default:
			text = "Hashes don't match.\n" + text
		}
	}
	now, err := a.there(ctx, c, kind)
	switch {
	case err != nil:
		return nil, err
	case want != "" && !a.SkipVerify && now != "" && now != want:
		return nil, module.Failf("File would be cached, but the hash (%s) does not match the specified hash (%s)", now, want)
	case had == "" || now != had:
		return states.Decided(nil, nil, text), nil
	}
	return states.Decided(true, nil, fmt.Sprintf("File is cached to %s", before)), nil
}

// there is the hash of the file where it comes from; "" where it is not there.
func (a *fileCachedArgs) there(ctx context.Context, c *states.Call, kind string) (string, error) {
	if scheme(a.Name) == "salt" {
		v, err := c.Call.Call(ctx, "cp.hash_file", args(a.Name), wire.NewMap("saltenv", a.Saltenv))
		sum, _ := v.(*wire.Map)
		if err != nil || sum.Text("hash_type") == kind {
			return sum.Text("hsum"), err
		}
	}
	dir, err := os.MkdirTemp("", "gosalt-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	copy := filepath.Join(dir, "file")
	if v, err := c.Call.Call(ctx, "cp.get_url", args(a.Name, copy), wire.NewMap("saltenv", a.Saltenv)); err != nil || !module.Truth(v) {
		c.Log.Info("file that is to be cached cannot be fetched yet", "file", redacted(a.Name), "error", err)
		return "", nil
	}
	return hashFile(copy, kind)
}

// here is the result for a file of this machine, which needs no copy.
func (a *fileCachedArgs) here(c *states.Call, path, want, kind string) (*states.Plan, error) {
	p := &states.Plan{Fine: fmt.Sprintf("File %s is present on the minion", path)}
	if !c.Host.Exists(path) {
		return p, module.Failf("File %s is not present on the minion", path)
	}
	if want == "" || a.SkipVerify {
		return p, nil
	}
	have, err := hashFile(c.Host.Path(path), kind)
	if err != nil {
		return p, err
	}
	if have != want {
		return p, module.Failf("File %s is present on the minion, but the hash (%s) does not match the specified hash (%s)", path, have, want)
	}
	p.Fine += " and has hash " + have
	return p, nil
}

func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

type fileNotCachedArgs struct {
	Name    string // Address of the file.
	Saltenv string `default:"base"` // Its environment.
}

// fileNotCached removes the copy of a file from the minion's cache.
func fileNotCached(ctx context.Context, c *states.Call, a fileNotCachedArgs) (*states.Plan, error) {
	p := &states.Plan{Fine: fmt.Sprintf("%s is not cached", a.Name)}
	if path, ok := local(a.Name); ok {
		p.Fine = fmt.Sprintf("File %s is a local path, no action taken", realPath(expandUser(c, path)))
		return p, nil
	}
	path, err := (&fileCachedArgs{Name: a.Name, Saltenv: a.Saltenv}).copy(ctx, c)
	if err != nil || path == "" {
		return p, err
	}
	p.Would, p.Did = fmt.Sprintf("%s is set to be deleted", path), fmt.Sprintf("%s was deleted", path)
	p.Do(wire.NewMap("deleted", true), func(context.Context, *states.Result) error {
		if err := os.Remove(path); err != nil {
			return module.Failf("Failed to delete %s: %w", path, err)
		}
		return nil
	})
	return p, nil
}
