package files

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/gosalt/gosalt/internal/fileserver"
	"github.com/gosalt/gosalt/internal/gitrepo"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/protocol/wire"
)

// gitFS serves git repositories: gitfs. Branches and tags are environments. Each remote
// has one bare repository on the disk that is fetched once in an interval; files are read
// out of it by their hashes, so nothing is ever checked out.
type gitFS struct {
	remotes []*gitRemote
	first   chan struct{} // closed after the first update: before it there may be nothing
	once    sync.Once
	dir     string
}

// gitRemote is one of gitfs_remotes.
type gitRemote struct {
	url, name         string
	base, root, mount string
	fallback          string
	refTypes          []string
	allow, block      []string
	envs              map[string]gitEnv // gitfs_saltenv: environments with a ref of their own
	all               string            // all_saltenvs: one ref for every environment
	noMapping         bool              // only what envs and base name is an environment
	every             time.Duration
	blobs             string // directory of files that were asked for
	ignore            *fileserver.Ignore
	log               *slog.Logger

	*gitrepo.Repo // its lock guards what follows
	locked        bool
	trees         map[string]*fileserver.Tree // by commit, root and mountpoint
}

// gitEnv is an environment with settings of its own.
type gitEnv struct{ ref, root, mount string }

func newGitFS(c Config, ignore *fileserver.Ignore) (fileserver.Backend, error) {
	o := c.Opts()
	g := &gitFS{first: make(chan struct{}), dir: filepath.Join(c.CacheDir, "gitfs")}
	v, _ := o.Get("gitfs_remotes")
	list, _ := v.([]any)
	for i, e := range list {
		r, err := newGitRemote(c, o, e)
		if err != nil {
			return nil, fmt.Errorf("gitfs_remotes, item %d: %w", i+1, err)
		}
		r.ignore = ignore
		g.remotes = append(g.remotes, r)
	}
	if len(g.remotes) == 0 {
		return nil, errors.New("gitfs_remotes names no repository")
	}
	return g, nil
}

// newGitRemote reads one remote: an address, or a map of an address and its options.
func newGitRemote(c Config, o *wire.Map, entry any) (*gitRemote, error) {
	own := wire.NewMap()
	address := ""
	switch e := entry.(type) {
	case string:
		address = e
	case *wire.Map:
		if e.Len() != 1 {
			return nil, errors.New("an address, or a map with one address as its key, expected")
		}
		for k, v := range e.Strings() {
			address = k
			own = dictlist(v)
		}
	default:
		return nil, fmt.Errorf("%s: an address expected", wire.TypeName(entry))
	}
	known := []string{"base", "root", "mountpoint", "name", "saltenv", "ref_types", "saltenv_whitelist", "saltenv_blacklist", "update_interval",
		"user", "password", "insecure_auth", "pubkey", "privkey", "passphrase", "ssl_verify", "fallback", "disable_saltenv_mapping", "all_saltenvs", "refspecs"}
	for k := range own.Strings() {
		if !slices.Contains(known, k) {
			return nil, fmt.Errorf("%s: unknown option %q; there are: %s", redactURL(address), k, strings.Join(known, ", "))
		}
	}
	opt := func(name string) any {
		if v, ok := own.Get(name); ok {
			return v
		}
		v, _ := o.Get("gitfs_" + name)
		return v
	}
	text := func(name string) string {
		if v := opt(name); v != nil {
			return textOf(v)
		}
		return ""
	}
	list := func(name string) []string { return textsOf(wire.NewMap("x", opt(name)), "x") }
	r := &gitRemote{url: address, name: text("name"), base: text("base"), root: strings.Trim(text("root"), "/"), mount: mountpoint(text("mountpoint")),
		fallback: text("fallback"), refTypes: list("ref_types"), allow: list("saltenv_whitelist"), block: list("saltenv_blacklist"),
		all: text("all_saltenvs"), noMapping: opt("disable_saltenv_mapping") == true,
		log: c.Log.With("remote", redactURL(address)), trees: map[string]*fileserver.Tree{}, envs: map[string]gitEnv{}}
	if n, ok := opt("update_interval").(int64); ok {
		r.every = time.Duration(n) * time.Second
	}
	r.every = max(r.every, 10*time.Second)
	if envs, ok := opt("saltenv").([]any); ok {
		for _, e := range envs {
			m, ok := e.(*wire.Map)
			if !ok {
				continue
			}
			for env, v := range m.Strings() {
				d := dictlist(v)
				ge := gitEnv{ref: d.Text("ref"), root: r.root, mount: r.mount}
				if d.Has("root") {
					ge.root = strings.Trim(d.Text("root"), "/")
				}
				if d.Has("mountpoint") {
					ge.mount = mountpoint(d.Text("mountpoint"))
				}
				r.envs[env] = ge
			}
		}
	}
	sum := sha256.Sum256([]byte(address + "\x00" + r.name))
	var err error
	r.Repo, err = gitrepo.New(gitrepo.Options{URL: address, Dir: filepath.Join(c.CacheDir, "gitfs", hex.EncodeToString(sum[:12])),
		User: text("user"), Password: text("password"), InsecureAuth: opt("insecure_auth") == true,
		PrivKey: text("privkey"), Passphrase: text("passphrase"), SkipVerify: opt("ssl_verify") == false})
	if err != nil {
		return nil, err
	}
	r.blobs = filepath.Join(c.CacheDir, "gitfs", "blobs")
	return r, nil
}

// dictlist reads a list of maps of one entry each, or a map.
func dictlist(v any) *wire.Map {
	out := wire.NewMap()
	switch v := v.(type) {
	case *wire.Map:
		return v
	case []any:
		for _, e := range v {
			if m, ok := e.(*wire.Map); ok {
				for k, x := range m.Strings() {
					out.Set(k, x)
				}
			}
		}
	}
	return out
}

// redactURL takes the password out of an address.
func redactURL(s string) string { return gitrepo.Redact(s) }

// Name is "gitfs".
func (g *gitFS) Name() string { return "gitfs" }

// Every is the shortest interval of the remotes.
func (g *gitFS) Every() time.Duration {
	every := g.remotes[0].every
	for _, r := range g.remotes {
		every = min(every, r.every)
	}
	return every
}

// Update fetches the remotes whose address contains a text. One that cannot be reached
// keeps what it had.
func (g *gitFS) Update(ctx context.Context, remote string) (changed bool, err error) {
	defer g.once.Do(func() { close(g.first) })
	var errs []error
	for _, r := range g.remotes {
		if !strings.Contains(r.url, remote) {
			continue
		}
		c, err := r.update(ctx)
		if err != nil {
			errs = append(errs, err)
		}
		changed = changed || c
	}
	return changed, errors.Join(errs...)
}

// ready waits for the first update, if there is nothing to serve before it.
func (g *gitFS) ready(ctx context.Context) error {
	select {
	case <-g.first:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Envs are the branches and tags of all remotes.
func (g *gitFS) Envs(ctx context.Context) ([]string, error) {
	if err := g.ready(ctx); err != nil {
		return nil, err
	}
	set := map[string]bool{}
	for _, r := range g.remotes {
		r.Lock()
		for env := range r.names() {
			set[env] = true
		}
		r.Unlock()
	}
	var out []string
	for env := range set {
		out = append(out, env)
	}
	slices.Sort(out)
	return out, nil
}

// Find finds a file in the first remote that has it.
func (g *gitFS) Find(ctx context.Context, env, p string, _ int) (*fileserver.File, error) {
	if err := g.ready(ctx); err != nil {
		return nil, err
	}
	for _, r := range g.remotes {
		f, err := r.find(env, p)
		if err == nil || !errors.Is(err, fileserver.ErrNotFound) {
			return f, err
		}
	}
	return nil, fileserver.ErrNotFound
}

// Tree lists what all remotes have in an environment.
func (g *gitFS) Tree(ctx context.Context, env string) (*fileserver.Tree, error) {
	if err := g.ready(ctx); err != nil {
		return nil, err
	}
	out := &fileserver.Tree{Links: map[string]string{}}
	for _, r := range g.remotes {
		t, err := r.tree(env)
		if err != nil {
			return nil, err
		}
		out.Files, out.Dirs = append(out.Files, t.Files...), append(out.Dirs, t.Dirs...)
		for k, v := range t.Links {
			if _, ok := out.Links[k]; !ok {
				out.Links[k] = v
			}
		}
	}
	slices.Sort(out.Files)
	slices.Sort(out.Dirs)
	out.Files, out.Dirs = slices.Compact(out.Files), slices.Compact(out.Dirs)
	return out, nil
}

// Clear removes all repositories from the disk.
func (g *gitFS) Clear() error {
	for _, r := range g.remotes {
		r.Reset()
		r.Lock()
		r.trees = map[string]*fileserver.Tree{}
		r.Unlock()
	}
	return os.RemoveAll(g.dir)
}

// Lock keeps remotes from being updated, or lets them be again.
func (g *gitFS) Lock(remote string, on bool) (done, failed []string) {
	for _, r := range g.remotes {
		if !strings.Contains(r.url, remote) {
			continue
		}
		r.Lock()
		was := r.locked
		r.locked = on
		r.Unlock()
		switch {
		case on && !was:
			done = append(done, "Set update lock for gitfs remote '"+redactURL(r.url)+"'")
		case !on && was:
			done = append(done, "Removed update lock for gitfs remote '"+redactURL(r.url)+"'")
		}
	}
	return done, failed
}

// update fetches a remote, unless it is locked.
func (r *gitRemote) update(ctx context.Context) (changed bool, err error) {
	r.Lock()
	locked := r.locked
	r.Unlock()
	if locked {
		return false, nil
	}
	if changed, err = r.Fetch(ctx); changed {
		r.Lock()
		r.trees = map[string]*fileserver.Tree{}
		r.Unlock()
	}
	return changed, err
}

// names are the environments of a remote. The lock is held.
func (r *gitRemote) names() map[string]bool {
	set := map[string]bool{}
	mapped := map[string]bool{}
	for env, e := range r.envs {
		ref := e.ref
		if ref == "" {
			ref = env
		}
		mapped[ref] = true
		if _, ok := r.Commit(ref, r.refTypes); ok && r.exposed(env) {
			set[env] = true
		}
	}
	for ref := range r.Refs {
		kind, name, _ := strings.Cut(ref, "/")
		if !slices.Contains(r.refTypes, kind) || mapped[name] {
			continue
		}
		env := name
		if name == r.base {
			env = "base"
		} else if r.noMapping {
			continue
		}
		if r.exposed(env) {
			set[env] = true
		}
	}
	return set
}

// mapped tells whether an environment of another name is made of a branch or tag.
func (r *gitRemote) mapped(ref string) bool {
	for env, e := range r.envs {
		if e.ref == ref && env != ref {
			return true
		}
	}
	return false
}

// exposed tells whether an environment is served.
func (r *gitRemote) exposed(env string) bool {
	matches := func(list []string) bool {
		return slices.ContainsFunc(list, func(p string) bool {
			if p == env || target.Fnmatch(p, env) {
				return true
			}
			re, err := target.CompileRegex("^(?:" + p + ")$")
			return err == nil && re.Search(env)
		})
	}
	return (len(r.allow) == 0 || matches(r.allow)) && !matches(r.block)
}

// place is where an environment's files are: a commit, and below which directory of it.
// The lock is held.
func (r *gitRemote) place(env string) (h plumbing.Hash, root, mount string, ok bool) {
	root, mount = r.root, r.mount
	if !r.exposed(env) {
		return h, "", "", false
	}
	ref := env
	switch e, own := r.envs[env]; {
	case own:
		root, mount = e.root, e.mount
		if ref = e.ref; ref == "" {
			ref = env
		}
	case r.all != "":
		ref = r.all
	case env == "base":
		ref = r.base
	case r.noMapping:
		return h, "", "", false
	case env == r.base: // it is called base
		return h, "", "", false
	case r.fallback == "" && r.mapped(env): // it is called as saltenv has it
		return h, "", "", false
	}
	if h, ok = r.Commit(ref, r.refTypes); !ok && r.fallback != "" {
		h, ok = r.Commit(r.fallback, r.refTypes)
	}
	return h, root, mount, ok
}
