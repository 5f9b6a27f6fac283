package pillar

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/gosalt/gosalt/internal/dictmerge"
	"github.com/gosalt/gosalt/internal/gitrepo"
	"github.com/gosalt/gosalt/internal/pillar"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/render"
	"github.com/gosalt/gosalt/protocol/wire"
)

// gitPillar is the ext_pillar git: trees of pillar files in git repositories, each with a
// top file of its own.
type gitPillar struct {
	cacheDir string
	opts     *wire.Map
	log      *slog.Logger
	remotes  []*gitRemote // of the configuration

	mu    sync.Mutex
	repos map[string]*gitrepo.Repo // one for each address and way to sign in, whatever branches are read
	asked map[string][]*gitRemote  // of pillars on demand, by their settings
}

// gitRemote is one entry: a branch of a repository and what it is for.
type gitRemote struct {
	id                string // as configured: "master https://example.org/pillar.git"
	url, name         string
	branch, base, env string
	root, mount       string
	fallback          string
	all               string // all_saltenvs, where hasAll
	hasAll            bool
	repo              *gitrepo.Repo
	first             sync.Mutex // held by who fetches because a pillar needs it
}

// maxAsked is how many different settings minions may ask for on demand.
const maxAsked = 64

func newGitPillar(cfg Config, opts *wire.Map) (*gitPillar, error) {
	g := &gitPillar{cacheDir: filepath.Join(cfg.CacheDir, "git_pillar"), opts: opts, log: cfg.Log, repos: map[string]*gitrepo.Repo{}, asked: map[string][]*gitRemote{}}
	for _, item := range opts.List("ext_pillar") {
		m, ok := item.(*wire.Map)
		if !ok {
			continue
		}
		if args, ok := m.Get("git"); ok {
			remotes, err := g.read(args)
			if err != nil {
				return nil, fmt.Errorf("ext_pillar git: %w", err)
			}
			g.remotes = append(g.remotes, remotes...)
		}
	}
	return g, nil
}

// read reads the list of remotes.
func (g *gitPillar) read(args any) ([]*gitRemote, error) {
	list, ok := args.([]any)
	if !ok {
		return nil, fmt.Errorf("a list of remotes as \"master https://example.org/pillar.git\" expected, not %s", pytext.TypeName(args))
	}
	var out []*gitRemote
	for i, e := range list {
		r, err := g.remote(e)
		if err != nil {
			return nil, fmt.Errorf("item %d: %w", i+1, err)
		}
		out = append(out, r)
	}
	return out, nil
}

// settings are those that a remote may have of its own.
var settings = []string{"base", "env", "root", "ssl_verify", "refspecs", "fallback", "name", "mountpoint", "all_saltenvs",
	"user", "password", "insecure_auth", "pubkey", "privkey", "passphrase"}

// remote reads one remote: text, or a map of that text and its settings.
func (g *gitPillar) remote(entry any) (*gitRemote, error) {
	r := &gitRemote{}
	own := wire.NewMap()
	switch e := entry.(type) {
	case string:
		r.id = e
	case *wire.Map:
		if e.Len() != 1 {
			return nil, errors.New("a branch and an address, or a map with them as its only key, expected")
		}
		for k, v := range e.Strings() {
			r.id = k
			switch v := v.(type) {
			case *wire.Map:
				own = v
			case []any:
				for _, s := range v {
					if m, ok := s.(*wire.Map); ok {
						for k, x := range m.Strings() {
							own.Set(k, x)
						}
					}
				}
			}
		}
		if own.Len() == 0 {
			return nil, fmt.Errorf("%s has no settings: if there are to be none, take off the colon after the address", r.id)
		}
	default:
		return nil, fmt.Errorf("a branch and an address expected, not %s", pytext.TypeName(entry))
	}
	switch words := strings.Fields(r.id); len(words) {
	case 1:
		r.branch, r.url = g.opts.Text("git_pillar_branch"), words[0]
	case 2:
		r.branch, r.url = words[0], words[1]
	default:
		return nil, fmt.Errorf("%q: a branch and an address with a space between them expected, as \"master https://example.org/pillar.git\"", r.id)
	}
	for k := range own.Strings() {
		if !slices.Contains(settings, k) {
			return nil, fmt.Errorf("%s: unknown setting %q; there are: %s", g.label(r), k, strings.Join(settings, ", "))
		}
	}
	if r.branch != anyBranch && own.Has("base") {
		return nil, fmt.Errorf("%s: base can only be set where %s is in the place of the branch", g.label(r), anyBranch)
	}
	opt := func(name string) any {
		if v, ok := own.Get(name); ok {
			return v
		}
		v, _ := g.opts.Get("git_pillar_" + name)
		return v
	}
	text := func(name string) string {
		if v := opt(name); v != nil {
			return pytext.Str(v)
		}
		return ""
	}
	if r.base = text("base"); r.base == "" {
		r.base = "master"
	}
	r.env, r.fallback, r.name = text("env"), text("fallback"), text("name")
	r.root = strings.Trim(text("root"), "/")
	r.mount = strings.Trim(strings.TrimPrefix(text("mountpoint"), "salt://"), "/")
	r.all, r.hasAll = text("all_saltenvs"), own.Has("all_saltenvs")
	for what, p := range map[string]string{"root": r.root, "mountpoint": r.mount} {
		if p != "" && !filepath.IsLocal(filepath.FromSlash(p)) {
			return nil, fmt.Errorf("%s: %s %q leads out of the repository", g.label(r), what, p)
		}
	}
	o := gitrepo.Options{URL: r.url, User: text("user"), Password: text("password"), InsecureAuth: opt("insecure_auth") == true,
		PrivKey: text("privkey"), Passphrase: text("passphrase"), SkipVerify: opt("ssl_verify") == false}
	sum := sha256.Sum256([]byte(strings.Join([]string{r.url, o.User, o.Password, o.PrivKey, o.Passphrase, fmt.Sprint(o.InsecureAuth, o.SkipVerify)}, "\x00")))
	key := hex.EncodeToString(sum[:12])
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.repo = g.repos[key]; r.repo != nil {
		return r, nil
	}
	o.Dir = filepath.Join(g.cacheDir, key)
	var err error
	if r.repo, err = gitrepo.New(o); err != nil {
		return nil, err
	}
	g.repos[key] = r.repo
	return r, nil
}

// anyBranch in the place of a branch means that of the pillar's environment.
const anyBranch = "__env__"

// label names a remote without its password.
func (g *gitPillar) label(r *gitRemote) string { return r.branch + " " + gitrepo.Redact(r.url) }

// every is the time between two fetches.
func (g *gitPillar) every() time.Duration {
	return max(10*time.Second, time.Duration(g.opts.Int("git_pillar_update_interval"))*time.Second)
}

// run fetches the configured remotes from time to time until ctx ends.
func (g *gitPillar) run(ctx context.Context) {
	if len(g.remotes) == 0 {
		return
	}
	tick := time.NewTicker(g.every())
	defer tick.Stop()
	for {
		g.update(ctx, nil)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// update fetches the repositories of the configured remotes that are chosen, each once. It tells of
// each remote whether it changed: true, nil for no change, false for an error.
func (g *gitPillar) update(ctx context.Context, choose func(*gitRemote) bool) *wire.Map {
	out := wire.NewMap()
	done := map[*gitrepo.Repo]any{}
	for _, r := range g.remotes {
		if choose != nil && !choose(r) {
			continue
		}
		res, ok := done[r.repo]
		if !ok {
			changed, err := r.repo.Fetch(ctx)
			switch {
			case err != nil:
				res = false
				if ctx.Err() == nil {
					g.log.Error("a repository of ext_pillar git cannot be fetched: what it had is used on", "remote", g.label(r), "error", err)
				}
			case changed:
				res = true
			}
			done[r.repo] = res
		}
		out.Set(g.label(r), res)
	}
	return out
}

// source is the ext_pillar.
func (g *gitPillar) source(ctx context.Context, q pillar.SourceRequest) (any, error) {
	remotes, err := g.of(q.Args)
	if err != nil {
		return nil, err
	}
	trees, err := g.trees(ctx, remotes, q.Opts)
	if err != nil {
		return nil, err
	}
	pillarenv := q.Opts.Text("pillarenv")
	includes := q.Opts.Bool("git_pillar_includes")
	merge := dictmerge.Options{Strategy: q.Opts.Text("pillar_source_merging_strategy"), Renderer: "yaml", Lists: q.Opts.Bool("pillar_merge_lists")}
	var ret any = wire.NewMap()
	for i, t := range trees {
		if pillarenv != "" && t.env != pillarenv {
			continue
		}
		if t.mount != "" { // is there to be included by others
			continue
		}
		joined := &gitTree{env: t.env, parts: []*gitPart{t}}
		for j, other := range trees {
			if includes && j != i && other.env == t.env {
				joined.parts = append(joined.parts, other)
			}
		}
		data, errs := q.Compile(ctx, pillar.TreeOptions{Tree: joined, Pillarenv: t.env})
		q.Fail(errs...)
		if ret, err = dictmerge.Merge(ret, data, merge); err != nil {
			return nil, fmt.Errorf("%s: %w", t.label, err)
		}
	}
	return ret, nil
}

// of are the remotes of some settings: the configured ones, or what a minion asks for.
func (g *gitPillar) of(args any) ([]*gitRemote, error) {
	key := pytext.Repr(args)
	g.mu.Lock()
	known, ok := g.asked[key]
	full := len(g.asked) >= maxAsked
	g.mu.Unlock()
	if ok {
		return known, nil
	}
	remotes, err := g.read(args)
	if err != nil {
		return nil, err
	}
	for i, r := range remotes { // the same settings are the same repository, which is fetched in the background
		for _, c := range g.remotes {
			if c.id == r.id && c.repo == r.repo && c.root == r.root && c.mount == r.mount && c.env == r.env {
				remotes[i] = c
			}
		}
	}
	if !full {
		g.mu.Lock()
		g.asked[key] = remotes
		g.mu.Unlock()
	}
	return remotes, nil
}

// gitPart is a remote's tree for one pillar.
type gitPart struct {
	label      string
	env, mount string
	repo       *gitrepo.Repo
	tree       *object.Tree
}

// trees finds the trees of the remotes, as Salt checks them out. One that has not the
// branch is left out.
func (g *gitPillar) trees(ctx context.Context, remotes []*gitRemote, opts *wire.Map) ([]*gitPart, error) {
	var out []*gitPart
	for _, r := range remotes {
		ref, env := r.place(opts)
		t, err := g.tree(ctx, r, ref)
		if err != nil {
			return nil, err
		}
		if t == nil {
			g.log.Error("a remote of ext_pillar git has no such branch, tag or directory and is left out", "remote", g.label(r), "branch", ref, "root", r.root)
			continue
		}
		out = append(out, &gitPart{label: gitrepo.Redact(r.url) + "@" + ref, env: env, mount: r.mount, repo: r.repo, tree: t})
	}
	return out, nil
}

// place is the branch of a remote that a pillar is made of, and the environment that its
// files are for.
func (r *gitRemote) place(opts *wire.Map) (ref, env string) {
	asked := opts.Text("pillarenv")
	if asked == "" {
		asked = opts.Text("saltenv")
	}
	if asked == "" {
		asked = "base"
	}
	ref = r.branch
	if r.branch == anyBranch {
		switch {
		case r.hasAll:
			ref = r.all
		case asked == "base":
			ref = r.base
		default:
			ref = asked
		}
	}
	switch {
	case r.branch == anyBranch && r.hasAll:
		env = asked
	case r.env == anyBranch:
		if env = opts.Text("pillarenv"); env == "" {
			env = opts.Text("saltenv")
		}
		if env == "" {
			env = opts.Text("git_pillar_base")
		}
	case r.env != "":
		env = r.env
	case r.branch == r.base || ref == r.base:
		env = "base"
	default:
		env = ref
	}
	return ref, env
}

// kinds are what a branch may be, in the order in which Salt looks.
var kinds = []string{"branch", "tag"}

// tree is the tree of a branch, which is fetched first if it never was, or is not there.
func (g *gitPillar) tree(ctx context.Context, r *gitRemote, ref string) (*object.Tree, error) {
	look := func() (*object.Tree, bool, error) {
		r.repo.Lock()
		defer r.repo.Unlock()
		if r.repo.Git == nil {
			return nil, false, nil
		}
		h, ok := r.repo.Commit(ref, kinds)
		if !ok {
			return nil, false, nil
		}
		t, err := r.repo.Tree(h, r.root)
		return t, true, err
	}
	fresh := slices.Contains(g.remotes, r) || time.Since(r.repo.Fetched()) < g.every()
	if t, ok, err := look(); ok && fresh {
		return t, err
	}
	// One that asks at a time, and not again and again for what is not there.
	r.first.Lock()
	defer r.first.Unlock()
	if time.Since(r.repo.Fetched()) > 5*time.Second {
		if _, err := r.repo.Fetch(ctx); err != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			g.log.Error("a repository of ext_pillar git cannot be fetched: what it had is used on", "remote", g.label(r), "error", err)
			if r.repo.Fetched().IsZero() {
				if t, ok, lerr := look(); ok {
					return t, lerr
				}
				return nil, err
			}
		}
	}
	t, ok, err := look()
	if !ok && err == nil && r.fallback != "" && ref != r.fallback {
		return g.fallbackTree(r)
	}
	return t, err
}

func (g *gitPillar) fallbackTree(r *gitRemote) (*object.Tree, error) {
	r.repo.Lock()
	defer r.repo.Unlock()
	h, ok := r.repo.Commit(r.fallback, kinds)
	if !ok {
		return nil, nil
	}
	return r.repo.Tree(h, r.root)
}

// gitTree is the pillar.Tree of one environment: a remote's files, then those of others
// that may be included.
type gitTree struct {
	env   string
	parts []*gitPart
}

// Envs implements pillar.Tree.
func (t *gitTree) Envs() []string { return []string{t.env} }

// maxGitFiles bounds what is listed of one environment.
const maxGitFiles = 500_000

// List implements pillar.Tree.
func (t *gitTree) List(ctx context.Context, env string) ([]string, error) {
	if env != t.env {
		return nil, nil
	}
	var out []string
	for _, p := range t.parts {
		if err := p.list(ctx, &out); err != nil {
			return nil, fmt.Errorf("list %s: %w", p.label, err)
		}
	}
	return out, nil
}

func (p *gitPart) list(ctx context.Context, out *[]string) error {
	p.repo.Lock()
	defer p.repo.Unlock()
	w := object.NewTreeWalker(p.tree, true, nil)
	defer w.Close()
	for {
		name, e, err := w.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		switch e.Mode {
		case filemode.Regular, filemode.Executable, filemode.Deprecated, filemode.Symlink:
			if len(*out) >= maxGitFiles {
				return fmt.Errorf("there are more than %d files", maxGitFiles)
			}
			*out = append(*out, path.Join(p.mount, name))
		}
	}
}

// maxGitFile is the size of the largest file that is read.
const maxGitFile = 16 << 20

// ReadFile implements pillar.Tree.
func (t *gitTree) ReadFile(_ context.Context, env, name string) (render.File, error) {
	if env != t.env {
		return render.File{}, fs.ErrNotExist
	}
	for _, p := range t.parts {
		f, err := p.read(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return f, err
	}
	return render.File{}, fs.ErrNotExist
}

func (p *gitPart) read(name string) (render.File, error) {
	if p.mount != "" {
		var below bool
		if name, below = strings.CutPrefix(name, p.mount+"/"); !below {
			return render.File{}, fs.ErrNotExist
		}
	}
	p.repo.Lock()
	defer p.repo.Unlock()
	f, _, err := gitrepo.File(p.tree, path.Clean(name))
	if errors.Is(err, gitrepo.ErrNoFile) {
		return render.File{}, fs.ErrNotExist
	} else if err != nil {
		return render.File{}, fmt.Errorf("%s of %s: %w", name, p.label, err)
	}
	if f.Size > maxGitFile {
		return render.File{}, fmt.Errorf("%s of %s has %d bytes, and at most %d are read", name, p.label, f.Size, maxGitFile)
	}
	text, err := f.Contents()
	if err != nil {
		return render.File{}, fmt.Errorf("%s of %s: %w", name, p.label, err)
	}
	return render.File{Data: []byte(text), Path: p.label + "/" + name}, nil
}

// UpdateGit fetches the remotes of ext_pillar git, or those with a branch and a repository's
// address or name: True where something changed, None where nothing did, False for an error.
func (s *Service) UpdateGit(ctx context.Context, branch, repo string) (*wire.Map, error) {
	if len(s.git.remotes) == 0 {
		//lint:ignore ST1005 these are the words of Salt
		return nil, errors.New("No git_pillar remotes are configured")
	}
	out := s.git.update(ctx, func(r *gitRemote) bool {
		return (branch == "" || branch == r.branch) && (repo == "" || repo == r.url || repo == r.name)
	})
	if out.Len() == 0 {
		//lint:ignore ST1005 these are the words of Salt
		return nil, errors.New("Specified git branch/repo not found in ext_pillar config")
	}
	return out, nil
}

// Run brings what ext_pillar has from elsewhere up to date until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	s.git.run(ctx)
	return nil
}
