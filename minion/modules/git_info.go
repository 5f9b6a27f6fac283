package modules

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("git.current_branch", gitCurrentBranch)
	register("git.describe", gitDescribe)
	register("git.diff", gitDiff)
	register("git.is_worktree", gitIsWorktree)
	register("git.list_branches", gitListBranches)
	register("git.list_tags", gitListTags)
	register("git.list_worktrees", gitListWorktrees)
	register("git.merge_base", gitMergeBase)
	register("git.merge_tree", gitMergeTree)
	register("git.rev_parse", gitRevParse)
	register("git.revision", gitRevision)
	register("git.status", gitStatus)
	register("git.version", gitVersion)
	register("git.worktree_add", gitWorktreeAdd)
	register("git.worktree_prune", gitWorktreePrune)
	register("git.worktree_rm", gitWorktreeRm)
}

type gitCwdArgs struct {
	Cwd any // Directory of the repository.
	gitUser
}

// gitCurrentBranch returns the name of the branch that is checked out, HEAD where it is
// none.
//
//	gosalt '*' git.current_branch /path/to/repo
func gitCurrentBranch(ctx context.Context, c *module.Call, a gitCwdArgs) (string, error) {
	return (&gitCommand{args: []string{"rev-parse", "--abbrev-ref", "HEAD"}, cwd: gitDir(c, a.Cwd, a.User), who: a.gitUser}).output(ctx, c)
}

type gitDescribeArgs struct {
	Cwd any // Directory of the repository.
	Rev any `default:"HEAD"` // What is described.
	gitUser
}

// gitDescribe names a commit after the nearest tag, or by its hash.
//
//	gosalt '*' git.describe /path/to/repo
func gitDescribe(ctx context.Context, c *module.Call, a gitDescribeArgs) (string, error) {
	return (&gitCommand{args: []string{"describe", "--always", pytext.Str(a.Rev)}, cwd: gitDir(c, a.Cwd, a.User), who: a.gitUser}).output(ctx, c)
}

type gitDiffArgs struct {
	Cwd   string // Directory of the repository.
	Item1 any    `default:"None"` // What is compared: a commit, the index.
	Item2 any    `default:"None"` // With what: the files.
	gitOptions
	User           string `default:"None"`  // Who runs git.
	Password       string `default:"None"`  // Password of user, on Windows.
	NoIndex        bool   `default:"False"` // Compare two files that need not be in a repository.
	Cached         bool   `default:"False"` // Compare the index.
	Paths          any    `default:"None"`  // Only these files: a list, or a text with commas.
	OutputEncoding string `default:"None"`  // Encoding of what git prints.
}

// gitDiff returns the differences of revisions, of the index or of files.
//
//	gosalt '*' git.diff /path/to/repo
//	gosalt '*' git.diff /path/to/repo branch1 branch2 paths=path/to/file
//	gosalt '*' git.diff /path/to/repo no_index=True paths='foo/bar.cfg,/tmp/bar.cfg'
func gitDiff(ctx context.Context, c *module.Call, a gitDiffArgs) (string, error) {
	if a.NoIndex && a.Cached {
		return "", module.Failf("The 'no_index' and 'cached' options cannot be used together")
	}
	args, err := a.command("diff", nil)
	if err != nil {
		return "", err
	}
	var items []string
	for _, v := range []any{a.Item1, a.Item2} {
		if module.Truth(v) {
			items = append(items, pytext.Str(v))
		}
	}
	switch {
	case a.NoIndex:
		args = append(args, "--no-index")
		if len(items) > 0 {
			c.Log.Warn("revisions ignored in git diff, as they cannot be used when no_index=True", "revisions", items)
		}
	case a.Cached:
		args = append(args, "--cached")
		if module.Truth(a.Item1) {
			args = append(args, pytext.Str(a.Item1))
		}
		if module.Truth(a.Item2) {
			c.Log.Warn("second revision ignored in git diff, at most one is considered when cached=True", "revision", pytext.Str(a.Item2))
		}
	default:
		args = append(args, items...)
	}
	if paths := gitList(a.Paths); len(paths) > 0 {
		args = append(append(args, "--"), paths...)
	}
	g := &gitCommand{args: args, cwd: a.Cwd, who: gitUser{a.User, a.Password, a.NoIndex, a.OutputEncoding}, soft: a.NoIndex, merge: true}
	return g.output(ctx, c)
}

type gitWorktreeArgs struct {
	Cwd            any    // A directory.
	User           string `default:"None"` // Who runs git.
	Password       string `default:"None"` // Password of user, on Windows.
	OutputEncoding string `default:"None"` // Encoding of what git prints.
}

func (a *gitWorktreeArgs) who() gitUser { return gitUser{a.User, a.Password, false, a.OutputEncoding} }

// gitIsWorktree tells whether a directory is of a further working copy that git worktree
// has made.
//
//	gosalt '*' git.is_worktree /path/to/repo
func gitIsWorktree(ctx context.Context, c *module.Call, a gitWorktreeArgs) (bool, error) {
	cwd := gitDir(c, a.Cwd, a.User)
	if !c.Host.IsDir(cwd) {
		return false, nil
	}
	g := &gitCommand{args: []string{"rev-parse", "--show-toplevel"}, cwd: cwd, who: a.who(), soft: true}
	g.who.IgnoreRetcode = true // that it is none is an answer
	e, err := g.run(ctx, c)
	if err != nil || e.code != 0 {
		return false, err
	}
	file := filepath.Join(e.out, ".git")
	if !c.Host.IsFile(file) {
		return false, nil
	}
	text, err := os.ReadFile(c.Host.Path(file))
	if err != nil {
		return false, nil
	}
	first, _, _ := strings.Cut(string(text), "\n")
	label, path, ok := halves(first)
	return ok && label == "gitdir:" && filepath.IsAbs(path), nil
}

type gitListBranchesArgs struct {
	Cwd    any  // Directory of the repository.
	Remote bool `default:"False"` // Those of remote repositories.
	gitUser
}

// gitListBranches lists the branches.
//
//	gosalt '*' git.list_branches /path/to/repo
//	gosalt '*' git.list_branches /path/to/repo remote=True
func gitListBranches(ctx context.Context, c *module.Call, a gitListBranchesArgs) ([]any, error) {
	kind := "heads"
	if a.Remote {
		kind = "remotes"
	}
	return gitRefs(ctx, c, a.Cwd, a.gitUser, "refs/"+kind+"/")
}

// gitListTags lists the tags.
//
//	gosalt '*' git.list_tags /path/to/repo
func gitListTags(ctx context.Context, c *module.Call, a gitCwdArgs) ([]any, error) {
	return gitRefs(ctx, c, a.Cwd, a.gitUser, "refs/tags/")
}

func gitRefs(ctx context.Context, c *module.Call, cwd any, who gitUser, below string) ([]any, error) {
	text, err := (&gitCommand{args: []string{"for-each-ref", "--format", "%(refname:short)", below}, cwd: gitDir(c, cwd, who.User), who: who}).output(ctx, c)
	if err != nil {
		return nil, err
	}
	return anyList(pytext.SplitLines(text, false)), nil
}

type gitListWorktreesArgs struct {
	Cwd            any    // Directory of the repository.
	Stale          bool   `default:"False"`              // Only those whose directory is gone.
	User           string `default:"None"`               // Who runs git.
	Password       string `default:"None"`               // Password of user, on Windows.
	OutputEncoding string `default:"None"`               // Encoding of what git prints.
	All            bool   `arg:"all,kw" default:"False"` // Those whose directory is gone, too.
}

// gitListWorktrees lists the working copies of a repository by their directories.
//
//	gosalt '*' git.list_worktrees /path/to/repo
//	gosalt '*' git.list_worktrees /path/to/repo all=True
func gitListWorktrees(ctx context.Context, c *module.Call, a gitListWorktreesArgs) (*wire.Map, error) {
	if err := gitWorktrees(ctx, c); err != nil {
		return nil, err
	}
	if a.All && a.Stale {
		return nil, module.Failf("'all' and 'stale' cannot both be set to True")
	}
	cwd, who := gitDir(c, a.Cwd, a.User), gitUser{a.User, a.Password, false, a.OutputEncoding}
	text, err := (&gitCommand{args: []string{"worktree", "list", "--porcelain"}, cwd: cwd, who: who}).output(ctx, c)
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap()
	for _, one := range strings.Split(strings.TrimSpace(text), "\n\n") {
		data := map[string]string{}
		for _, line := range strings.Split(one, "\n") {
			key, value, ok := halves(strings.TrimSpace(line))
			switch {
			case ok && data[key] == "":
				data[key] = value
			case line == "detached":
				data["branch"] = "detached"
			}
		}
		if data["worktree"] == "" || data["HEAD"] == "" || data["branch"] == "" {
			c.Log.Error("incomplete worktree data", "data", one)
			continue
		}
		stale := !c.Host.IsDir(data["worktree"])
		if stale && !a.All && !a.Stale || !stale && a.Stale {
			continue
		}
		detached := data["branch"] == "detached"
		m := wire.NewMap("stale", stale, "HEAD", data["HEAD"], "detached", detached)
		ret.Set(data["worktree"], m)
		if !detached {
			m.Set("branch", strings.Replace(data["branch"], "refs/heads/", "", 1))
			continue
		}
		m.Set("branch", nil)
		tags, err := (&gitCommand{args: []string{"tag", "--points-at", data["HEAD"]}, cwd: cwd, who: who}).output(ctx, c)
		if err != nil {
			return nil, err
		}
		if tags != "" {
			m.Set("tags", anyList(pytext.SplitLines(tags, false)))
		}
	}
	return ret, nil
}

type gitMergeBaseArgs struct {
	Cwd         any    // Directory of the repository.
	Refs        any    `default:"None"`  // The commits: a list, or a text with commas.
	Octopus     bool   `default:"False"` // The base for merging all of them at once.
	IsAncestor  bool   `default:"False"` // Tell whether the first is an ancestor of the second.
	Independent bool   `default:"False"` // Those that cannot be reached from one another.
	ForkPoint   string `default:"None"`  // Where the commit has left this branch.
	gitOptions
	gitUser
	All bool `arg:"all,kw" default:"False"` // All bases, as a list.
}

// gitMergeBase returns the commit that others have in common.
//
//	gosalt '*' git.merge_base /path/to/repo HEAD upstream/mybranch
//	gosalt '*' git.merge_base /path/to/repo mybranch fork_point=upstream/master
func gitMergeBase(ctx context.Context, c *module.Call, a gitMergeBaseArgs) (any, error) {
	if a.All && (a.Independent || a.IsAncestor || a.ForkPoint != "") {
		return nil, module.Invalidf("The 'all' argument is not compatible with 'independent', 'is_ancestor', or 'fork_point'")
	}
	refs := gitList(a.Refs)
	for i := range refs {
		refs[i] = strings.TrimSpace(refs[i])
	}
	n := 0
	for _, b := range []bool{a.Octopus, a.Independent, a.IsAncestor, a.ForkPoint != ""} {
		if b {
			n++
		}
	}
	switch {
	case n > 1:
		return nil, module.Invalidf("Only one of 'octopus', 'independent', 'is_ancestor', and 'fork_point' is permitted")
	case a.IsAncestor && len(refs) != 2:
		return nil, module.Invalidf("Two refs/commits are required if 'is_ancestor' is True")
	case a.ForkPoint != "" && len(refs) > 1:
		return nil, module.Invalidf("At most one ref/commit can be passed if 'fork_point' is specified")
	case a.ForkPoint != "" && len(refs) == 0:
		refs = []string{"HEAD"}
	}
	args, err := a.command("merge-base", nil)
	if err != nil {
		return nil, err
	}
	if a.All {
		args = append(args, "--all")
	}
	switch {
	case a.Octopus:
		args = append(args, "--octopus")
	case a.IsAncestor:
		args = append(args, "--is-ancestor")
	case a.Independent:
		args = append(args, "--independent")
	case a.ForkPoint != "":
		args = append(args, "--fork-point", a.ForkPoint)
	}
	g := &gitCommand{args: append(args, refs...), cwd: gitDir(c, a.Cwd, a.User), who: a.gitUser, soft: a.IsAncestor}
	if a.IsAncestor {
		g.who.IgnoreRetcode = true // it is the answer
	}
	e, err := g.run(ctx, c)
	if err != nil {
		return nil, err
	}
	if a.IsAncestor {
		return e.code == 0, nil
	}
	all := pytext.SplitLines(e.out, false)
	if a.All {
		return anyList(all), nil
	}
	if len(all) == 0 {
		return nil, module.Failf("%s have no commit in common", strings.Join(refs, " and "))
	}
	return all[0], nil
}

type gitMergeTreeArgs struct {
	Cwd  any    // Directory of the repository.
	Ref1 string // A commit.
	Ref2 string // The other.
	Base any    `default:"None"` // What they have in common; git finds it.
	gitUser
}

// gitMergeTree returns what a merge of two commits would change.
//
//	gosalt '*' git.merge_tree /path/to/repo HEAD upstream/dev
func gitMergeTree(ctx context.Context, c *module.Call, a gitMergeTreeArgs) (string, error) {
	if a.Base == nil {
		base, err := gitMergeBase(ctx, c, gitMergeBaseArgs{Cwd: a.Cwd, Refs: []any{a.Ref1, a.Ref2}, gitUser: a.gitUser})
		if err != nil {
			return "", module.Failf("Unable to determine merge base for %s and %s", a.Ref1, a.Ref2)
		}
		a.Base = base
	}
	return (&gitCommand{args: []string{"merge-tree", pytext.Str(a.Base), a.Ref1, a.Ref2}, cwd: gitDir(c, a.Cwd, a.User), who: a.gitUser}).output(ctx, c)
}

type gitRevParseArgs struct {
	Cwd any // Directory of the repository.
	Rev any `default:"None"` // A revision.
	gitOptions
	gitUser
}

// gitRevParse returns what git rev-parse makes of a revision or of options.
//
//	gosalt '*' git.rev_parse /path/to/repo foo
//	gosalt '*' git.rev_parse /path/to/repo opts='--show-toplevel'
func gitRevParse(ctx context.Context, c *module.Call, a gitRevParseArgs) (string, error) {
	args, err := a.command("rev-parse", nil)
	if err != nil {
		return "", err
	}
	if a.Rev != nil {
		args = append(args, pytext.Str(a.Rev))
	}
	return (&gitCommand{args: args, cwd: gitDir(c, a.Cwd, a.User), who: a.gitUser}).output(ctx, c)
}

type gitRevisionArgs struct {
	Cwd   any  // Directory of the repository.
	Rev   any  `default:"HEAD"`  // A revision.
	Short bool `default:"False"` // The short form of its hash.
	gitUser
}

// gitRevision returns the hash of a revision.
//
//	gosalt '*' git.revision /path/to/repo mybranch
func gitRevision(ctx context.Context, c *module.Call, a gitRevisionArgs) (string, error) {
	args := []string{"rev-parse"}
	if a.Short {
		args = append(args, "--short")
	}
	return (&gitCommand{args: append(args, pytext.Str(a.Rev)), cwd: gitDir(c, a.Cwd, a.User), who: a.gitUser}).output(ctx, c)
}

// gitStatus lists the files that are modified, new, deleted or untracked.
//
//	gosalt '*' git.status /path/to/repo
func gitStatus(ctx context.Context, c *module.Call, a gitCwdArgs) (*wire.Map, error) {
	text, err := (&gitCommand{args: []string{"status", "-z", "--porcelain"}, cwd: gitDir(c, a.Cwd, a.User), who: a.gitUser}).output(ctx, c)
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap()
	for _, line := range strings.Split(text, "\x00") {
		state, file, ok := halves(line)
		if !ok {
			continue
		}
		switch state {
		case "M":
			state = "modified"
		case "A":
			state = "new"
		case "D":
			state = "deleted"
		case "??":
			state = "untracked"
		}
		ret.Set(state, append(ret.List(state), any(file)))
	}
	return ret, nil
}

type gitVersionArgs struct {
	Versioninfo bool `default:"False"` // As a list of numbers.
}

// gitVersion returns the version of git.
//
//	gosalt '*' git.version
func gitVersion(ctx context.Context, c *module.Call, a gitVersionArgs) (any, error) {
	v, err := gitVersionOf(ctx, c)
	if err != nil || !a.Versioninfo {
		return v, err
	}
	var out []any
	for _, part := range strings.Split(v, ".") {
		if n, err := strconv.ParseInt(part, 10, 64); err == nil {
			out = append(out, n)
		} else {
			out = append(out, part)
		}
	}
	return out, nil
}

type gitWorktreeAddArgs struct {
	Cwd          any    // Directory of the repository.
	WorktreePath string // Where the working copy is made.
	Ref          any    `default:"None"`  // What is checked out: HEAD.
	ResetBranch  bool   `default:"None"`  // Take the branch even where there is one of that name.
	Force        bool   `default:"None"`  // Even where another working copy has the branch.
	Detach       bool   `default:"False"` // Without a branch.
	gitOptions
	gitUser
	Branch string `arg:"branch,kw" default:"None"` // Name of the branch: that of the directory.
}

// gitWorktreeAdd makes a further working copy of a repository.
//
//	gosalt '*' git.worktree_add /path/to/repo/main ../hotfix ref=origin/master
func gitWorktreeAdd(ctx context.Context, c *module.Call, a gitWorktreeAddArgs) (string, error) {
	if err := gitWorktrees(ctx, c); err != nil {
		return "", err
	}
	if a.Branch != "" && a.Detach {
		return "", module.Invalidf("Only one of 'branch' and 'detach' is allowed")
	}
	args, err := gitWords(a.GitOpts)
	if err != nil {
		return "", err
	}
	opts, err := gitWords(a.Opts)
	if err != nil {
		return "", err
	}
	args = append(args, "worktree", "add")
	if a.Detach {
		args = append(args, "--detach")
	} else {
		if a.Branch == "" {
			a.Branch = filepath.Base(a.WorktreePath)
		}
		how := "-b"
		if a.ResetBranch {
			how = "-B"
		}
		args = append(args, how, a.Branch)
		if a.Force {
			args = append(args, "--force")
		}
	}
	args = append(append(args, opts...), a.WorktreePath)
	if module.Truth(a.Ref) {
		args = append(args, pytext.Str(a.Ref))
	}
	return (&gitCommand{args: args, cwd: gitDir(c, a.Cwd, a.User), who: a.gitUser, merge: true}).output(ctx, c)
}

type gitWorktreePruneArgs struct {
	Cwd     any    // Directory of the repository.
	DryRun  bool   `default:"False"` // Only tell what would be done.
	Verbose bool   `default:"True"`  // Tell what is done.
	Expire  string `default:"None"`  // Only those that are older: 1.week.ago.
	gitOptions
	gitUser
}

// gitWorktreePrune forgets working copies whose directories are gone.
//
//	gosalt '*' git.worktree_prune /path/to/repo dry_run=True
func gitWorktreePrune(ctx context.Context, c *module.Call, a gitWorktreePruneArgs) (string, error) {
	if err := gitWorktrees(ctx, c); err != nil {
		return "", err
	}
	name := "worktree prune"
	if a.DryRun {
		name += " --dry-run"
	}
	if a.Verbose {
		name += " --verbose"
	}
	if a.Expire != "" {
		name += " --expire " + a.Expire
	}
	args, err := a.command(name, nil)
	if err != nil {
		return "", err
	}
	e, err := (&gitCommand{args: args, cwd: gitDir(c, a.Cwd, a.User), who: a.gitUser}).run(ctx, c)
	if err != nil {
		return "", err
	}
	if e.out != "" {
		return e.out, nil
	}
	return e.err, nil // where newer ones tell it
}

type gitWorktreeRmArgs struct {
	Cwd            any    // Directory of the working copy.
	User           string `default:"None"` // Whose home a relative path is below.
	OutputEncoding string `default:"None"` // Encoding of what git prints.
}

// gitWorktreeRm removes the directory of a working copy that git worktree has made.
//
//	gosalt '*' git.worktree_rm /path/to/worktree
func gitWorktreeRm(ctx context.Context, c *module.Call, a gitWorktreeRmArgs) (bool, error) {
	if err := gitWorktrees(ctx, c); err != nil {
		return false, err
	}
	cwd := gitDir(c, a.Cwd, a.User)
	if !c.Host.Exists(cwd) {
		return false, module.Failf("%s does not exist", cwd)
	}
	is, err := gitIsWorktree(ctx, c, gitWorktreeArgs{Cwd: cwd})
	if err != nil {
		return false, err
	}
	if !is {
		return false, module.Failf("%s is not a git worktree", cwd)
	}
	if err := c.Host.Remove(cwd); err != nil {
		return false, module.Failf("Unable to remove %s: %w", cwd, err)
	}
	return true, nil
}
