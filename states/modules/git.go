package modules

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("git.latest", gitLatest)
	register("git.present", gitPresent)
	register("git.detached", gitDetached)
	register("git.cloned", gitCloned)
	register("git.config_set", gitConfigSet)
	register("git.config_unset", gitConfigUnset)
}

// gitRepo is a working copy, or a repository without one, and who works on it.
type gitRepo struct {
	c          *states.Call
	target     string
	user, pass string // of the system
	enc        string
}

// kw makes keywords of the user and what is given.
func (g *gitRepo) kw(kv ...any) *wire.Map {
	m := wire.NewMap(kv...)
	for _, o := range []struct{ name, v string }{{"user", g.user}, {"password", g.pass}, {"output_encoding", g.enc}} {
		if o.v != "" {
			m.Set(o.name, o.v)
		}
	}
	return m
}

// call calls a function of git on the repository.
func (g *gitRepo) call(ctx context.Context, fun string, kv ...any) (any, error) {
	return g.c.Call.Call(ctx, "git."+fun, []any{g.target}, g.kw(kv...))
}

func (g *gitRepo) list(ctx context.Context, fun string) ([]string, error) {
	v, err := g.call(ctx, fun)
	if err != nil {
		return nil, err
	}
	return optionList(v), nil
}

// asks calls a function whose failure is an answer: "".
func (g *gitRepo) asks(ctx context.Context, fun string, kv ...any) string {
	v, err := g.call(ctx, fun, append([]any{"ignore_retcode", true}, kv...)...)
	if err != nil {
		return ""
	}
	s, _ := v.(string)
	return s
}

// commit is the hash of a revision, "" where there is none.
func (g *gitRepo) commit(ctx context.Context, rev string) string {
	return g.asks(ctx, "rev_parse", "rev", rev+"^{commit}")
}

// is tells whether the target is a repository.
func (g *gitRepo) is(ctx context.Context, dir string) (bool, error) {
	if g.c.Host.IsDir(filepath.Join(g.target, dir)) {
		return true, nil
	}
	v, err := g.call(ctx, "is_worktree")
	return module.Truth(v), err
}

// there tells whether git is, as the result of a state where it is not.
func (g *gitRepo) there(ctx context.Context) error {
	_, err := g.c.Call.Call(ctx, "git.version", nil, nil)
	if unavailable(err) {
		return notFound(g.c, "'git' __virtual__ returned False: git module could not be loaded")
	}
	return err
}

var gitFailed = lazyre.New(`^Command ['"].+['"] failed: `)

// gitWhy is what git said itself.
func gitWhy(err error) string { return gitFailed.ReplaceAllString(message(err), "") }

// gitDone joins what has been done to a comment.
func gitDone(comments []string) string {
	text := strings.Join(comments, ". ")
	if len(comments) > 1 {
		text += "."
	}
	return text
}

// gitFails is a failure, with what has been done before.
func gitFails(comments []string, format string, a ...any) error {
	msg := fmt.Sprintf(format, a...)
	if len(comments) > 0 {
		msg += "\n\nChanges already made: " + gitDone(comments)
	}
	return module.Failf("%s", msg)
}

func gitShort(hash string) string { return hash[:min(7, len(hash))] }

// gitUnknown refuses keywords that a function does not know.
func gitUnknown(kwargs *wire.Map, known ...string) error {
	var bad []string
	for k, v := range kwargs.Strings() {
		if !strings.HasPrefix(k, "__") && k != "sfun" && !contains(known, k) {
			bad = append(bad, k+"="+pytext.Str(v))
		}
	}
	if bad == nil {
		return nil
	}
	return module.Failf("The following keyword arguments are not valid: %s", strings.Join(bad, ", "))
}

// gitIdentity reads the argument identity: a path, an address, or a list of such.
func gitIdentity(ctx context.Context, c *states.Call, v any, word string) (any, error) {
	switch v.(type) {
	case nil:
		return nil, nil
	case string, []any:
	default:
		return nil, module.Failf("%sdentity must be either a list or a string", word)
	}
	var out []any
	for _, e := range listOf(v) {
		id := expandUser(c, pytext.Str(e))
		path := id
		if strings.Contains(id, "salt://") {
			v, err := c.Call.Call(ctx, "cp.cache_file", args(id, c.Env), nil)
			path, _ = v.(string)
			if err != nil || path == "" {
				return nil, module.Failf("%sdentity '%s' does not exist.", word, id)
			}
		}
		if !filepath.IsAbs(path) {
			return nil, module.Failf("%sdentity '%s' is not an absolute path", word, path)
		}
		out = append(out, id)
	}
	return out, nil
}

// emptyDir removes all that is in a directory, and not itself.
func emptyDir(c *states.Call, dir string) error {
	entries, err := os.ReadDir(c.Host.Path(dir))
	if err != nil {
		return err
	}
	var failed []string
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if err := c.Host.Remove(path); err != nil {
			failed = append(failed, fmt.Sprintf("  %s\n    %s", path, err))
		}
	}
	if failed != nil {
		return module.Failf("Unable to remove\n%s", strings.Join(failed, "\n"))
	}
	return nil
}

func hasFiles(c *states.Call, dir string) bool {
	entries, err := os.ReadDir(c.Host.Path(dir))
	return err == nil && len(entries) > 0
}

type gitPresentArgs struct {
	Name           string // Where the repository is.
	Force          bool   `default:"False"` // Remove what else is there.
	Bare           bool   `default:"True"`  // Without a working copy.
	Template       string `default:"None"`  // Directory whose files are copied into a new one.
	SeparateGitDir string `default:"None"`  // Where git keeps its data, in place of .git.
	Shared         any    `default:"None"`  // Who may write: group, all, or a mode as 0660.
	User           string `default:"None"`  // Who runs git.
	Password       string `default:"None"`  // Password of user, on Windows.
	OutputEncoding string `default:"None"`  // Encoding of what git prints.
}

// gitPresent makes sure that there is a repository, and makes an empty one where there is
// none.
func gitPresent(ctx context.Context, c *states.Call, a gitPresentArgs) (*states.Plan, error) {
	g := &gitRepo{c, a.Name, a.User, a.Password, a.OutputEncoding}
	if err := g.there(ctx); err != nil {
		return nil, err
	}
	bare := ""
	if a.Bare {
		bare = "bare "
	}
	p := &states.Plan{Would: "New " + bare + "repository would be created"}
	changes := wire.NewMap("new", a.Name)
	clear := false
	if c.Host.IsDir(a.Name) {
		switch {
		case a.Bare && c.Host.IsFile(filepath.Join(a.Name, "HEAD")):
			return &states.Plan{}, nil
		case !a.Bare:
			if is, err := g.is(ctx, ".git"); is || err != nil {
				return &states.Plan{}, err
			}
		}
		switch {
		case a.Force:
			clear = true
			changes.Set("forced init", true)
			p.Would = fmt.Sprintf("Target directory %s exists. Since force=True, the contents of %s would be deleted, and a %srepository would be initialized in its place.", a.Name, a.Name, bare)
		case hasFiles(c, a.Name):
			return nil, module.Failf("Target '%s' exists, is non-empty, and is not a git repository. Set the 'force' option to True to remove this directory's contents and proceed with initializing a repository", a.Name)
		}
	}
	done := []string{"Initialized " + bare + "repository in " + a.Name}
	if a.Template != "" {
		done = append(done, "Template directory set to "+a.Template)
	}
	if a.SeparateGitDir != "" {
		done = append(done, "Gitdir set to "+a.SeparateGitDir)
	}
	p.Did = gitDone(done)
	if lacksUser(c, a.User) {
		return nil, module.Failf("User '%s' is not available", a.User)
	}
	g.promise("")
	p.Do(changes, func(ctx context.Context, r *states.Result) error {
		if clear {
			if err := c.Host.Remove(a.Name); err != nil {
				return module.Failf("Unable to remove %s: %w", a.Name, err)
			}
			r.Change("forced init", true)
		}
		kw := g.kw("bare", a.Bare)
		for _, o := range []struct {
			name string
			v    any
		}{{"template", a.Template}, {"separate_git_dir", a.SeparateGitDir}, {"shared", a.Shared}} {
			if o.v != nil && o.v != "" {
				kw.Set(o.name, o.v)
			}
		}
		if _, err := c.Call.Call(ctx, "git.init", args(a.Name), kw); err != nil {
			return err
		}
		r.Change("new", a.Name)
		return nil
	})
	return p, nil
}

type gitClonedArgs struct {
	Name           string // Address of the repository.
	Target         string // Where the clone is.
	Branch         any    `default:"None"`                  // The branch that is checked out.
	User           string `default:"None"`                  // Who runs git.
	Password       string `default:"None"`                  // Password of user, on Windows.
	Identity       any    `default:"None"`                  // Private key for SSH: a path, an address of the file server, or a list.
	HTTPSUser      string `arg:"https_user" default:"None"` // User for an https:// address.
	HTTPSPass      string `arg:"https_pass" default:"None"` // Its password.
	OutputEncoding string `default:"None"`                  // Encoding of what git prints.
}

// gitCloned makes sure that a repository has been cloned, and does not look whether the
// clone is up to date.
func gitCloned(ctx context.Context, c *states.Call, a gitClonedArgs) (*states.Plan, error) {
	g := &gitRepo{c, a.Target, a.User, a.Password, a.OutputEncoding}
	if err := g.there(ctx); err != nil {
		return nil, err
	}
	branch, hasBranch := "", a.Branch != nil
	if hasBranch {
		branch = pytext.Str(a.Branch)
	}
	switch {
	case a.Target == "":
		return nil, module.Failf("'target' argument is required")
	case !filepath.IsAbs(a.Target):
		return nil, module.Failf("'target' path must be absolute")
	case hasBranch && branch == "":
		return nil, module.Failf("Invalid 'branch' argument")
	}
	id, _ := gitPromised(c, a.Target)
	g.promise("")
	if !c.Host.Exists(a.Target) && id != "" {
		if !hasBranch {
			return &states.Plan{Fine: "Repository already exists at " + a.Target}, nil
		}
		return nil, g.known(id)
	}
	if !c.Host.Exists(a.Target) {
		if lacksUser(c, a.User) {
			return nil, module.Failf("Clone failed: User '%s' is not available", a.User)
		}
		with := ""
		if hasBranch {
			with = " with branch '" + branch + "'"
		}
		p := &states.Plan{Would: fmt.Sprintf("%s would be cloned to %s%s", a.Name, a.Target, with), Did: fmt.Sprintf("%s cloned to %s%s", a.Name, a.Target, with)}
		p.Do(wire.NewMap("new", a.Name+" => "+a.Target), func(ctx context.Context, _ *states.Result) error {
			kw := gitLoginArgs(g.kw(), a.Identity, a.HTTPSUser, a.HTTPSPass)
			if hasBranch {
				kw.Set("opts", args("--branch", branch))
			}
			if _, err := c.Call.Call(ctx, "git.clone", args(a.Target, a.Name), kw); err != nil {
				return module.Failf("Clone failed: %s", gitWhy(err))
			}
			return nil
		})
		return p, nil
	}
	if _, err := g.call(ctx, "status"); err != nil {
		return nil, err
	}
	fine := "Repository already exists at " + a.Target
	if !hasBranch {
		return &states.Plan{Fine: fine}, nil
	}
	v, err := g.call(ctx, "current_branch")
	if err != nil {
		return nil, err
	}
	if id != "" && v == branch {
		return nil, g.known(id)
	}
	if v == branch {
		return &states.Plan{Fine: fine + " and is checked out to branch '" + branch + "'"}, nil
	}
	p := &states.Plan{Would: "Branch would be changed to '" + branch + "'", Did: "Branch changed to '" + branch + "'"}
	p.Do(wire.NewMap("branch", change(v, branch)), func(ctx context.Context, _ *states.Result) error {
		kw := g.kw("rev", branch)
		if g.asks(ctx, "rev_parse", "rev", branch) == "" {
			kw = g.kw("rev", "origin/"+branch, "opts", args("-b", branch))
		}
		if _, err := c.Call.Call(ctx, "git.checkout", args(a.Target), kw); err != nil {
			return module.Failf("Failed to change branch to '%s': %s", branch, message(err))
		}
		return nil
	})
	return p, nil
}

// gitLoginArgs adds how git proves who it is to keywords.
func gitLoginArgs(kw *wire.Map, identity any, user, pass string) *wire.Map {
	if identity != nil {
		kw.Set("identity", identity)
	}
	if user != "" {
		kw.Set("https_user", user)
	}
	if pass != "" {
		kw.Set("https_pass", pass)
	}
	return kw
}
