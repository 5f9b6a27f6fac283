package modules

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("git.add", gitAdd)
	register("git.archive", gitArchive)
	register("git.branch", gitBranch)
	register("git.checkout", gitCheckout)
	register("git.clone", gitClone)
	register("git.commit", gitCommit)
	register("git.discard_local_changes", gitDiscardLocalChanges)
	register("git.fetch", gitFetch)
	register("git.init", gitInit)
	register("git.merge", gitMerge)
	register("git.pull", gitPull)
	register("git.push", gitPush)
	register("git.rebase", gitRebase)
	register("git.reset", gitReset)
	register("git.rm", gitRm)
	register("git.stash", gitStash)
	register("git.submodule", gitSubmodule)
	register("git.symbolic_ref", gitSymbolicRef)
	register("git.tag", gitTag)
}

type gitFileArgs struct {
	Cwd      any    // Directory of the working copy.
	Filename string // The file, or a pattern of git.
	gitOptions
	gitUser
}

// gitAdd adds files to the index and returns what git says of it.
//
//	gosalt '*' git.add /path/to/repo foo/bar.py
//	gosalt '*' git.add /path/to/repo foo/bar.py opts='--dry-run'
func gitAdd(ctx context.Context, c *module.Call, a gitFileArgs) (string, error) {
	args, err := a.command("add --verbose", []string{"-v", "--verbose"}, "--", a.Filename)
	if err != nil {
		return "", err
	}
	return (&gitCommand{args: args, cwd: gitDir(c, a.Cwd, a.User), who: a.gitUser}).output(ctx, c)
}

// gitRm takes files away and out of the index.
//
//	gosalt '*' git.rm /path/to/repo foo/bar.py
//	gosalt '*' git.rm /path/to/repo foo opts='-r'
func gitRm(ctx context.Context, c *module.Call, a gitFileArgs) (string, error) {
	args, err := a.command("rm", nil, "--", a.Filename)
	if err != nil {
		return "", err
	}
	return (&gitCommand{args: args, cwd: gitDir(c, a.Cwd, a.User), who: a.gitUser}).output(ctx, c)
}

type gitArchiveArgs struct {
	Cwd     any    // Directory of the repository.
	Output  string // Where the archive is written.
	Rev     string `default:"HEAD"` // What is put into it: a branch, a tag, a commit.
	Prefix  any    `default:"None"` // Directory in the archive: the name of the repository's.
	GitOpts any    `default:""`     // Options of git itself.
	gitUser
	Format string `arg:"format,kw" default:"None"` // tar, zip, tar.gz: otherwise the name says it.
}

// gitArchive writes the files of a revision into an archive.
//
//	gosalt '*' git.archive /path/to/repo /path/to/archive.tar
func gitArchive(ctx context.Context, c *module.Call, a gitArchiveArgs) (bool, error) {
	args, err := (&gitOptions{GitOpts: a.GitOpts}).command("archive", nil)
	if err != nil {
		return false, err
	}
	cwd := gitDir(c, a.Cwd, a.User)
	if a.Prefix != "" {
		prefix := pytext.Str(a.Prefix)
		if !module.Truth(a.Prefix) {
			prefix = filepath.Base(cwd) + "/"
		}
		args = append(args, "--prefix", prefix)
	}
	if a.Format != "" {
		args = append(args, "--format", a.Format)
	}
	args = append(args, "--output", gitDir(c, a.Output, a.User), a.Rev)
	return (&gitCommand{args: args, cwd: cwd, who: a.gitUser}).succeeds(ctx, c)
}

type gitBranchArgs struct {
	Cwd  any // Directory of the repository.
	Name any `default:"None"` // Name of the branch.
	gitOptions
	gitUser
}

// gitBranch makes, changes or, with opts=-d, deletes a branch.
//
//	gosalt '*' git.branch /path/to/repo mybranch opts='--set-upstream-to=origin/mybranch'
//	gosalt '*' git.branch /path/to/repo newbranch opts='-m oldbranch'
func gitBranch(ctx context.Context, c *module.Call, a gitBranchArgs) (bool, error) {
	args, err := a.command("branch", nil)
	if err != nil {
		return false, err
	}
	if a.Name != nil {
		args = append(args, pytext.Str(a.Name))
	}
	return (&gitCommand{args: args, cwd: gitDir(c, a.Cwd, a.User), who: a.gitUser}).succeeds(ctx, c)
}

type gitCheckoutArgs struct {
	Cwd   any  // Directory of the working copy.
	Rev   any  `default:"None"`  // A branch, a tag, a commit.
	Force bool `default:"False"` // Changes that are not committed are lost.
	gitOptions
	gitUser
}

// gitCheckout checks a revision out and returns what git says of it.
//
//	gosalt '*' git.checkout /path/to/repo somebranch user=jeff
//	gosalt '*' git.checkout /path/to/repo opts='-b newbranch'
func gitCheckout(ctx context.Context, c *module.Call, a gitCheckoutArgs) (string, error) {
	args, err := a.command("checkout", nil)
	if err != nil {
		return "", err
	}
	if a.Rev != nil {
		args = append(args, pytext.Str(a.Rev))
	} else if !slices.Contains(args, "-b") && !slices.Contains(args, "-B") {
		return "", module.Invalidf("'rev' argument is required unless -b or -B in opts")
	}
	if a.Force {
		for i, w := range args {
			if w == "checkout" {
				args = append(append(append([]string{}, args[:i+1]...), "--force"), args[i+1:]...)
				break
			}
		}
	}
	return (&gitCommand{args: args, cwd: gitDir(c, a.Cwd, a.User), who: a.gitUser, merge: true}).output(ctx, c)
}

type gitCloneArgs struct {
	Cwd  any    // Where the clone is made.
	URL  string `arg:"url" default:"None"` // Address of the repository.
	Name any    `default:"None"`           // Directory below cwd, where cwd is not the clone itself.
	gitOptions
	User          string `default:"None"`                       // Who runs git.
	Password      string `default:"None"`                       // Password of user, on Windows.
	Identity      any    `default:"None"`                       // Private key for SSH: a path, an address of the file server, or a list.
	HTTPSUser     string `arg:"https_user" default:"None"`      // User for an https:// address.
	HTTPSPass     string `arg:"https_pass" default:"None"`      // Its password. git is told of it by its environment, and does not keep it.
	IgnoreRetcode bool   `default:"False"`                      // A failure is not logged.
	Saltenv       string `default:"base"`                       // Environment of the file server.
	Encoding      string `arg:"output_encoding" default:"None"` // Encoding of what git prints.
}

// gitClone clones a repository.
//
//	gosalt '*' git.clone /path/to/repo_parent_dir git://github.com/saltstack/salt.git
func gitClone(ctx context.Context, c *module.Call, a gitCloneArgs) (bool, error) {
	cwd := gitDir(c, a.Cwd, a.User)
	if a.URL == "" {
		return false, module.Invalidf("Missing 'url' argument")
	}
	address, err := gitAddress(a.URL, a.HTTPSUser, a.HTTPSPass)
	if err != nil {
		return false, err
	}
	args, err := a.command("clone", nil, "--", address)
	if err != nil {
		return false, err
	}
	dir := os.TempDir()
	if a.Name != nil {
		args = append(args, pytext.Str(a.Name))
		if !c.Host.Exists(cwd) {
			if err := os.MkdirAll(c.Host.Path(cwd), 0o777); err != nil {
				return false, module.Failf("make %s for the clone: %w", cwd, err)
			}
		}
		dir = cwd
	} else {
		args = append(args, cwd)
	}
	g := &gitCommand{args: args, cwd: dir, who: gitUser{a.User, a.Password, a.IgnoreRetcode, a.Encoding}, id: a.Identity, user: a.HTTPSUser, pass: a.HTTPSPass, saltenv: a.Saltenv}
	return g.succeeds(ctx, c)
}

type gitCommitArgs struct {
	Cwd     any    // Directory of the working copy.
	Message string // What is said of the commit.
	gitOptions
	User          string `default:"None"`                       // Who runs git.
	Password      string `default:"None"`                       // Password of user, on Windows.
	Filename      any    `default:"None"`                       // Only this file.
	IgnoreRetcode bool   `default:"False"`                      // A failure is not logged.
	Encoding      string `arg:"output_encoding" default:"None"` // Encoding of what git prints.
}

// gitCommit commits what is in the index.
//
//	gosalt '*' git.commit /path/to/repo 'The commit message'
//	gosalt '*' git.commit /path/to/repo 'The commit message' filename=foo/bar.py
func gitCommit(ctx context.Context, c *module.Call, a gitCommitArgs) (string, error) {
	git, err := gitWords(a.GitOpts)
	if err != nil {
		return "", err
	}
	opts, err := gitWords(a.Opts)
	if err != nil {
		return "", err
	}
	args := append(append(git, "commit", "-m", a.Message), opts...)
	if module.Truth(a.Filename) {
		args = append(args, "--", pytext.Str(a.Filename))
	}
	return (&gitCommand{args: args, cwd: gitDir(c, a.Cwd, a.User), who: gitUser{a.User, a.Password, a.IgnoreRetcode, a.Encoding}}).output(ctx, c)
}

type gitDiscardArgs struct {
	Cwd  any    // Directory of the working copy.
	Path string `default:"."` // What is made to be as in the index.
	gitUser
}

// gitDiscardLocalChanges undoes what is not committed: git checkout -- path.
//
//	gosalt '*' git.discard_local_changes /path/to/repo
func gitDiscardLocalChanges(ctx context.Context, c *module.Call, a gitDiscardArgs) (string, error) {
	return (&gitCommand{args: []string{"checkout", "--", a.Path}, cwd: gitDir(c, a.Cwd, a.User), who: a.gitUser, merge: true}).output(ctx, c)
}

// gitNet is what the functions have in common that speak to another repository.
type gitNet struct {
	gitOptions
	User          string `default:"None"`                       // Who runs git.
	Password      string `default:"None"`                       // Password of user, on Windows.
	Identity      any    `default:"None"`                       // Private key for SSH: a path, an address of the file server, or a list.
	IgnoreRetcode bool   `default:"False"`                      // A failure is not logged.
	Saltenv       string `default:"base"`                       // Environment of the file server.
	Encoding      string `arg:"output_encoding" default:"None"` // Encoding of what git prints.
	gitPassword
}

// gitPassword is a login that Salt keeps in the address of the remote repository; these
// arguments are gosalt's own.
type gitPassword struct {
	HTTPSUser string `arg:"https_user,kw" default:"None"` // User for an https:// address.
	HTTPSPass string `arg:"https_pass,kw" default:"None"` // Its password.
}

func (a *gitNet) git(c *module.Call, cwd any, args []string) *gitCommand {
	return &gitCommand{args: args, cwd: gitDir(c, cwd, a.User), who: gitUser{a.User, a.Password, a.IgnoreRetcode, a.Encoding},
		id: a.Identity, user: a.HTTPSUser, pass: a.HTTPSPass, saltenv: a.Saltenv}
}

type gitFetchArgs struct {
	Cwd      any    // Directory of the repository.
	Remote   string `default:"None"`  // Name of the remote repository, or its address.
	Force    bool   `default:"False"` // Branches that do not follow from what is here are taken, too.
	Refspecs any    `default:"None"`  // What is fetched: a list, or a text with commas.
	gitNet
}

var fetched = lazyre.New(`^[\s*]*(?:([0-9a-f]+)\.\.([0-9a-f]+)|\[(?:new (tag|branch)|tag update)\])\s+(.+)->`)

// gitFetch fetches from a remote repository, and returns which branches and tags are new
// or have changed.
//
//	gosalt '*' git.fetch /path/to/repo upstream
//	gosalt '*' git.fetch /path/to/repo identity=/root/.ssh/id_rsa
func gitFetch(ctx context.Context, c *module.Call, a gitFetchArgs) (*wire.Map, error) {
	name := "fetch"
	if a.Force {
		name += " --force"
	}
	args, err := a.command(name, nil)
	if err != nil {
		return nil, err
	}
	if opts, err := gitWords(a.Opts); err == nil && (slices.Contains(opts, "-f") || slices.Contains(opts, "--force")) {
		if args, err = a.command("fetch", []string{"-f", "--force"}); err != nil {
			return nil, err
		}
		if a.Force {
			args = append(args, "--force")
		}
	}
	if a.Remote != "" {
		args = append(args, a.Remote)
	}
	args = append(args, gitList(a.Refspecs)...)
	g := a.git(c, a.Cwd, args)
	g.merge = true
	text, err := g.output(ctx, c)
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap()
	for _, line := range strings.Split(text, "\n") {
		f := fetched.FindStringSubmatch(line)
		if f == nil {
			continue
		}
		ref := strings.TrimRight(f[4], " \t")
		switch {
		case f[3] == "tag":
			ret.Set("new tags", append(ret.List("new tags"), any(ref)))
		case f[3] == "branch":
			ret.Set("new branches", append(ret.List("new branches"), any(ref)))
		case f[1] != "":
			m := ret.Map("updated branches")
			if m == nil {
				m = wire.NewMap()
				ret.Set("updated branches", m)
			}
			m.Set(ref, wire.NewMap("old", f[1], "new", f[2]))
		default:
			ret.Set("updated tags", append(ret.List("updated tags"), any(ref)))
		}
	}
	return ret, nil
}

type gitInitArgs struct {
	Cwd            any    // Where the repository is made.
	Bare           bool   `default:"False"` // Without a working copy.
	Template       string `default:"None"`  // Directory whose files are copied into it.
	SeparateGitDir string `default:"None"`  // Where git keeps its data, in place of .git.
	Shared         any    `default:"None"`  // Who may write: False, True, group, all, or a mode as 0660.
	gitOptions
	gitUser
}

// gitInit makes an empty repository.
//
//	gosalt '*' git.init /path/to/bare/repo bare=True
func gitInit(ctx context.Context, c *module.Call, a gitInitArgs) (string, error) {
	name := "init"
	if a.Bare {
		name += " --bare"
	}
	git, err := gitWords(a.GitOpts)
	if err != nil {
		return "", err
	}
	opts, err := gitWords(a.Opts)
	if err != nil {
		return "", err
	}
	args := append(git, strings.Fields(name)...)
	if a.Template != "" {
		args = append(args, "--template="+a.Template)
	}
	if a.SeparateGitDir != "" {
		args = append(args, "--separate-git-dir="+a.SeparateGitDir)
	}
	switch v := a.Shared.(type) {
	case nil:
	case string:
		args = append(args, "--shared="+v)
	case int64:
		args = append(args, "--shared=0"+pytext.Str(v))
	default:
		args = append(args, "--shared="+strings.ToLower(pytext.Str(v)))
	}
	args = append(append(args, opts...), gitDir(c, a.Cwd, a.User))
	return (&gitCommand{args: args, who: a.gitUser}).output(ctx, c)
}

// gitLFS is what the functions have in common whose checkout may fetch files of Git LFS.
type gitLFS struct {
	gitOptions
	User          string `default:"None"`                       // Who runs git.
	Password      string `default:"None"`                       // Password of user, on Windows.
	Identity      any    `default:"None"`                       // Private key for SSH, where Git LFS fetches.
	IgnoreRetcode bool   `default:"False"`                      // A failure is not logged.
	Encoding      string `arg:"output_encoding" default:"None"` // Encoding of what git prints.
}

func (a *gitLFS) git(c *module.Call, cwd any, args []string) *gitCommand {
	return &gitCommand{args: args, cwd: gitDir(c, cwd, a.User), who: gitUser{a.User, a.Password, a.IgnoreRetcode, a.Encoding}, id: a.Identity}
}

type gitMergeArgs struct {
	Cwd any // Directory of the working copy.
	Rev any `default:"None"` // What is merged: the upstream branch.
	gitLFS
}

// gitMerge merges a revision into what is checked out.
//
//	gosalt '*' git.merge /path/to/repo rev=upstream/foo
func gitMerge(ctx context.Context, c *module.Call, a gitMergeArgs) (string, error) {
	args, err := a.command("merge", nil)
	if err != nil {
		return "", err
	}
	if module.Truth(a.Rev) {
		args = append(args, pytext.Str(a.Rev))
	}
	return a.git(c, a.Cwd, args).output(ctx, c)
}

type gitPullArgs struct {
	Cwd any // Directory of the working copy.
	gitNet
}

// gitPull fetches and merges.
//
//	gosalt '*' git.pull /path/to/repo opts='--rebase origin master'
func gitPull(ctx context.Context, c *module.Call, a gitPullArgs) (string, error) {
	args, err := a.command("pull", nil)
	if err != nil {
		return "", err
	}
	return a.git(c, a.Cwd, args).output(ctx, c)
}

type gitPushArgs struct {
	Cwd    any    // Directory of the repository.
	Remote string // Name of the remote repository, or its address.
	Ref    any    // What is pushed: a branch, a tag, from:to.
	gitNet
}

// gitPush pushes a branch or a tag to a remote repository.
//
//	gosalt '*' git.push /path/to/repo origin master
//	gosalt '*' git.push /path/to/repo origin ref=:branchtodelete
func gitPush(ctx context.Context, c *module.Call, a gitPushArgs) (string, error) {
	args, err := a.command("push", nil, a.Remote, pytext.Str(a.Ref))
	if err != nil {
		return "", err
	}
	return a.git(c, a.Cwd, args).output(ctx, c)
}

type gitRebaseArgs struct {
	Cwd any // Directory of the working copy.
	Rev any `default:"master"` // On what: a branch; further words are arguments of git rebase.
	gitOptions
	gitUser
}

// gitRebase puts the commits of the branch that is checked out onto another one.
//
//	gosalt '*' git.rebase /path/to/repo 'origin master'
func gitRebase(ctx context.Context, c *module.Call, a gitRebaseArgs) (string, error) {
	rev, err := gitWords(pytext.Str(a.Rev))
	if err != nil {
		return "", err
	}
	args, err := a.command("rebase", nil, rev...)
	if err != nil {
		return "", err
	}
	if slices.Contains(args, "-i") || slices.Contains(args, "--interactive") {
		return "", module.Invalidf("Interactive rebases are not supported")
	}
	return (&gitCommand{args: args, cwd: gitDir(c, a.Cwd, a.User), who: a.gitUser}).output(ctx, c)
}

type gitResetArgs struct {
	Cwd any // Directory of the working copy.
	gitLFS
}

// gitReset resets what is checked out.
//
//	gosalt '*' git.reset /path/to/repo opts='--hard origin/master'
func gitReset(ctx context.Context, c *module.Call, a gitResetArgs) (string, error) {
	args, err := a.command("reset", nil)
	if err != nil {
		return "", err
	}
	return a.git(c, a.Cwd, args).output(ctx, c)
}

type gitStashArgs struct {
	Cwd    any    // Directory of the working copy.
	Action string `default:"save"` // save, pop, list, drop and so on.
	gitOptions
	gitUser
}

// gitStash puts changes aside, and back.
//
//	gosalt '*' git.stash /path/to/repo save opts='work in progress'
//	gosalt '*' git.stash /path/to/repo pop
func gitStash(ctx context.Context, c *module.Call, a gitStashArgs) (string, error) {
	git, err := gitWords(a.GitOpts)
	if err != nil {
		return "", err
	}
	opts, err := gitWords(a.Opts)
	if err != nil {
		return "", err
	}
	args := append(append(git, "stash", a.Action), opts...)
	return (&gitCommand{args: args, cwd: gitDir(c, a.Cwd, a.User), who: a.gitUser}).output(ctx, c)
}

type gitSubmoduleArgs struct {
	Cwd     any    // Directory of the working copy.
	Command string // init, update, status, sync, add and so on.
	gitNet
	Init bool `arg:"init,kw" default:"False"` // No longer supported: put --init into opts.
}

// gitSubmodule runs a command of git submodule.
//
//	gosalt '*' git.submodule /path/to/repo/sub update opts='--init'
func gitSubmodule(ctx context.Context, c *module.Call, a gitSubmoduleArgs) (string, error) {
	if a.Init {
		return "", module.Invalidf("The 'init' argument is no longer supported. Either set 'command' to 'init', or include '--init' in the 'opts' argument and set 'command' to 'update'.")
	}
	args, err := a.command("submodule "+a.Command, nil)
	if err != nil {
		return "", err
	}
	return a.git(c, a.Cwd, args).output(ctx, c)
}

type gitSymbolicRefArgs struct {
	Cwd   any    // Directory of the repository.
	Ref   string // The symbolic reference: HEAD.
	Value any    `default:"None"` // What it is to mean: refs/heads/main.
	gitOptions
	gitUser
}

// gitSymbolicRef returns what a symbolic reference means, or sets it.
//
//	gosalt '*' git.symbolic_ref /path/to/repo HEAD
//	gosalt '*' git.symbolic_ref /path/to/repo FOO opts=--delete
func gitSymbolicRef(ctx context.Context, c *module.Call, a gitSymbolicRefArgs) (string, error) {
	args, err := a.command("symbolic-ref", nil)
	if err != nil {
		return "", err
	}
	if a.Value != nil && (slices.Contains(args, "-d") || slices.Contains(args, "--delete")) {
		return "", module.Invalidf("Value cannot be set for symbolic ref if -d/--delete is included in opts")
	}
	args = append(args, a.Ref)
	if module.Truth(a.Value) {
		args = append(args, pytext.Str(a.Value))
	}
	return (&gitCommand{args: args, cwd: gitDir(c, a.Cwd, a.User), who: a.gitUser}).output(ctx, c)
}

type gitTagArgs struct {
	Cwd     any // Directory of the repository.
	Name    any // Name of the tag.
	Ref     any `default:"HEAD"` // What is tagged.
	Message any `default:"None"` // What is said of it: makes an annotated tag.
	gitOptions
	gitUser
}

// gitTag makes a tag, or deletes one with opts=-d.
//
//	gosalt '*' git.tag /path/to/repo v1.2
//	gosalt '*' git.tag /path/to/repo v1.2 opts='--force --delete'
func gitTag(ctx context.Context, c *module.Call, a gitTagArgs) (string, error) {
	args, err := a.command("tag", []string{"-a", "--annotate"})
	if err != nil {
		return "", err
	}
	for _, w := range args {
		if w == "-m" || strings.Contains(w, "--message") {
			return "", module.Invalidf(`Tag messages must be passed in the "message" argument`)
		}
	}
	deletes := slices.Contains(args, "-d") || slices.Contains(args, "--delete")
	if a.Message != nil && !deletes {
		args = append(args, "-m", pytext.Str(a.Message))
	}
	args = append(args, pytext.Str(a.Name))
	if !deletes {
		args = append(args, pytext.Str(a.Ref))
	}
	return (&gitCommand{args: args, cwd: gitDir(c, a.Cwd, a.User), who: a.gitUser, merge: true}).output(ctx, c)
}
