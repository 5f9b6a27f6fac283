package modules

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/gitaddr"
	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

type gitLatestArgs struct {
	Name           string    // Address of the repository.
	Target         string    // Where the clone is.
	Rev            any       `default:"HEAD"`                  // The branch, tag or commit that it is brought to.
	Branch         any       `default:"None"`                  // The local branch that it is checked out as: any.
	User           string    `default:"None"`                  // Who runs git.
	Password       string    `default:"None"`                  // Password of user, on Windows.
	UpdateHead     bool      `default:"True"`                  // Bring what is checked out up to date, and not only fetch.
	ForceCheckout  bool      `default:"False"`                 // Changes that are not committed are lost when a branch is checked out.
	ForceClone     bool      `default:"False"`                 // Remove what else is in the target.
	ForceFetch     bool      `default:"False"`                 // Branches that do not follow from what is here are fetched, too.
	ForceReset     any       `default:"False"`                 // Commits and changes that are not in the remote repository are lost; remote-changes: only when there is something new there.
	Submodules     bool      `default:"False"`                 // Bring submodules up to date, too.
	Bare           bool      `default:"False"`                 // Without a working copy.
	Mirror         bool      `default:"False"`                 // As bare, with all references.
	Remote         any       `default:"origin"`                // Name of the remote repository in the clone.
	FetchTags      bool      `default:"True"`                  // Fetch tags.
	SyncTags       bool      `default:"True"`                  // Delete tags that the remote repository has not.
	Depth          any       `default:"None"`                  // Clone no more than this many commits.
	Identity       any       `default:"None"`                  // Private key for SSH: a path, an address of the file server, or a list.
	HTTPSUser      string    `arg:"https_user" default:"None"` // User for an https:// address.
	HTTPSPass      string    `arg:"https_pass" default:"None"` // Its password. git is told of it by its environment, and the clone does not keep it.
	RefspecBranch  string    `default:"*"`                     // Only branches that fit this pattern are fetched.
	RefspecTag     string    `default:"*"`                     // Only tags that fit this pattern are fetched.
	OutputEncoding string    `default:"None"`                  // Encoding of what git prints.
	Kwargs         *wire.Map `arg:"**"`                        // There are no others.
}

// latest is what git.latest knows of the two repositories.
type latest struct {
	*gitRepo
	a           gitLatestArgs
	rev, branch string
	hasBranch   bool
	remote      string
	address     string // of the remote repository
	identity    any
	lfs         bool

	refs           *wire.Map // of the remote repository
	defaultBranch  string
	remoteRev      string
	kind           string // branch, tag or sha1
	loc            string // how it is named
	upstream       string // the branch to follow
	keepUpstream   bool   // it does not matter which
	branches       []string
	tags           []string
	localRev       string
	localBranch    string
	baseRev        string // where the branch is that is to be checked out
	baseBranch     string
	has            bool // the revision is here already
	localChanges   bool
	fastForward    *bool // nil is not known
	hasUpstream    bool
	follows        string
	fetchURL       string
	hasRemote      bool
	newTags, stale []string
	comments       []string
	sure           bool // an earlier state of the run is to bring the clone to the commit that is wanted
}

var hexDigits = lazyre.New(`^[0-9a-fA-F]{0,40}$`)

// gitLatest makes sure that a repository is cloned, and brought up to date.
func gitLatest(ctx context.Context, c *states.Call, a gitLatestArgs) (*states.Plan, error) {
	l := &latest{gitRepo: &gitRepo{c, a.Target, a.User, a.Password, a.OutputEncoding}, a: a}
	if err := l.there(ctx); err != nil {
		return nil, err
	}
	if err := l.check(ctx); err != nil {
		return nil, err
	}
	if err := waitsForUser(c, a.User); err != nil {
		return nil, err
	}
	if err := l.lookThere(ctx); err != nil {
		return nil, err
	}
	dir := ".git"
	if l.a.Bare {
		dir = "refs"
	}
	is, err := l.is(ctx, dir)
	if err != nil {
		return nil, err
	}
	if is {
		p, err := l.update(ctx)
		if l.sure {
			return p, err
		}
		return l.settled(p, err)
	}
	if id, _ := gitPromised(c, l.target); id != "" {
		if p := l.afterwards(); p != nil {
			return p, nil
		}
		return nil, l.known(id)
	}
	l.promise(l.remoteRev)
	return l.clone(ctx)
}

// check reads the arguments.
func (l *latest) check(ctx context.Context) error {
	a := &l.a
	if err := gitUnknown(a.Kwargs); err != nil {
		return err
	}
	l.remote, l.rev = pytext.Str(a.Remote), pytext.Str(a.Rev)
	if l.hasBranch = a.Branch != nil; l.hasBranch {
		l.branch = pytext.Str(a.Branch)
	}
	switch {
	case !module.Truth(a.Remote):
		return module.Failf("'remote' argument is required")
	case a.Target == "":
		return module.Failf("'target' argument is required")
	case !module.Truth(a.Rev):
		return module.Failf("'%s' is not a valid value for the 'rev' argument", l.rev)
	case a.ForceReset != true && a.ForceReset != false && a.ForceReset != "remote-changes":
		return module.Failf("'force_reset' must be one of True, False, or 'remote-changes'")
	case !filepath.IsAbs(a.Target):
		return module.Failf("target '%s' is not an absolute path", a.Target)
	}
	var err error
	if l.identity, err = gitIdentity(ctx, l.c, a.Identity, "i"); err != nil {
		return err
	}
	v, err := l.c.Call.Call(ctx, "git.config_get_regexp", args(`filter\.lfs\.`), wire.NewMap("global", true, "ignore_retcode", true))
	if err != nil {
		return err
	}
	l.lfs = module.Truth(v)
	if l.c.Host.IsFile(a.Target) {
		return module.Failf("Target '%s' exists and is a regular file, cannot proceed", a.Target)
	}
	if l.address, err = gitaddr.Login(a.Name, a.HTTPSUser, a.HTTPSPass); err != nil {
		return err
	}
	a.Bare = a.Bare || a.Mirror
	if l.rev != "HEAD" && a.Bare {
		return module.Failf("'rev' is not compatible with the 'mirror' and 'bare' arguments")
	}
	return nil
}

// net are the keywords of functions that speak to the remote repository.
func (l *latest) net(kv ...any) *wire.Map {
	kw := gitLoginArgs(l.kw(kv...), l.identity, l.a.HTTPSUser, l.a.HTTPSPass)
	kw.Set("saltenv", l.c.Env)
	return kw
}

// lookThere finds the revision in the remote repository.
func (l *latest) lookThere(ctx context.Context) error {
	v, err := l.c.Call.Call(ctx, "git.remote_refs", args(l.a.Name), l.net("heads", false, "tags", false))
	if err != nil {
		return module.Failf("Failed to check remote refs: %s", gitWhy(err))
	}
	l.refs, _ = v.(*wire.Map)
	head := l.refs.Text("HEAD")
	if head != "" {
		for name, hash := range l.refs.Strings() {
			if b, ok := strings.CutPrefix(name, "refs/heads/"); ok && hash == head {
				l.defaultBranch = b
				break
			}
		}
	}
	if !l.a.Bare {
		l.find(head)
	}
	if l.a.Depth != nil && l.kind != "branch" && l.kind != "tag" {
		return module.Failf("When 'depth' is used, 'rev' must be set to the name of a branch or tag on the remote repository")
	}
	if l.remoteRev == "" && !l.a.Bare && l.rev != "HEAD" {
		return module.Failf("No revision matching '%s' exists in the remote repository", l.rev)
	}
	return nil
}

func (l *latest) find(head string) {
	hash := func(name string) bool {
		l.remoteRev = l.refs.Text(name)
		return l.remoteRev != ""
	}
	switch {
	case l.rev == "HEAD":
		if head == "" {
			return
		}
		l.remoteRev, l.kind, l.keepUpstream = head, "sha1", true
		l.loc = "remote HEAD (" + gitShort(head) + ")"
	case hash("refs/heads/" + l.rev):
		l.kind, l.upstream = "branch", l.remote+"/"+l.rev
		l.loc = fmt.Sprintf("%s (%s)", l.upstream, gitShort(l.remoteRev))
	case hash("refs/tags/"+l.rev+"^{}") || hash("refs/tags/"+l.rev):
		l.kind = "tag"
		l.loc = fmt.Sprintf("%s (%s)", l.rev, gitShort(l.remoteRev))
	case hexDigits.MatchString(l.rev):
		l.rev = strings.ToLower(l.rev)
		l.remoteRev, l.kind = l.rev, "sha1"
		l.loc = gitShort(l.rev)
	}
}

// same tells whether a commit is the one that the remote repository has.
func (l *latest) same(rev string) bool {
	switch {
	case rev == "" || l.remoteRev == "":
		return rev == l.remoteRev
	case l.kind == "sha1":
		return strings.HasPrefix(rev, l.remoteRev)
	}
	return rev == l.remoteRev
}

func (l *latest) needsBranch() bool { return l.hasBranch && l.branch != l.localBranch }

// fine is the comment of a repository that needs nothing.
func (l *latest) fine(comments []string) string {
	text := "Repository " + l.target + " is up-to-date"
	if len(comments) > 0 {
		would := ""
		if l.c.Test {
			would = "that would be "
		}
		text += "\n\nChanges " + would + "made: " + gitDone(comments)
	}
	return text
}

func (l *latest) lookHere(ctx context.Context) (err error) {
	if l.branches, err = l.list(ctx, "list_branches"); err != nil {
		return err
	}
	if l.tags, err = l.list(ctx, "list_tags"); err != nil {
		return err
	}
	l.localRev, l.localBranch = l.asks(ctx, "revision"), l.asks(ctx, "current_branch")
	if !l.a.Bare && l.remoteRev == "" && l.localRev != "" {
		return module.Failf("Remote repository is empty, cannot update from a non-empty to an empty repository")
	}
	l.baseRev, l.baseBranch = l.localRev, l.localBranch
	if l.needsBranch() {
		if !slices.Contains(l.branches, l.branch) {
			l.baseRev = l.remoteRev
		} else {
			l.baseBranch = l.branch
			v, err := l.call(ctx, "rev_parse", "rev", l.branch+"^{commit}", "ignore_retcode", true)
			if err != nil {
				return module.Failf("Unable to get position of local branch '%s': %s", l.branch, gitWhy(err))
			}
			l.baseRev, _ = v.(string)
		}
	}
	v, err := l.call(ctx, "remotes", "redact_auth", false)
	if err != nil {
		return module.Failf("%s", gitWhy(err))
	}
	remotes, _ := v.(*wire.Map)
	l.hasRemote = remotes.Has(l.remote)
	l.fetchURL = remotes.Map(l.remote).Text("fetch")
	if !l.a.Bare {
		v, err := l.call(ctx, "diff", "item1", "HEAD")
		if err != nil {
			l.c.Log.Warn("it cannot be told whether there are local changes", "target", l.target)
		}
		l.localChanges = err == nil && module.Truth(v)
	}
	return nil
}

// hasRev tells whether the revision is in the clone already.
func (l *latest) hasRev(ctx context.Context) error {
	if l.kind == "sha1" && l.baseRev != "" && strings.HasPrefix(l.baseRev, l.remoteRev) {
		l.has = true
		return nil
	}
	if l.remoteRev == "" || l.commit(ctx, l.remoteRev) == "" {
		return nil
	}
	switch l.kind {
	case "branch":
		l.has = l.hasRemote && l.asks(ctx, "rev_parse", "rev", l.upstream) == l.remoteRev
	case "tag":
		if !slices.Contains(l.tags, l.rev) {
			return nil
		}
		here := l.commit(ctx, l.rev)
		if l.has = here == l.remoteRev; !l.has && l.a.ForceReset == false {
			return module.Failf("'%s' is a tag, but the remote SHA1 for this tag (%s) doesn't match the local SHA1 (%s). Set 'force_reset' to True to force this update.", l.rev, gitShort(l.remoteRev), gitShort(here))
		}
	default:
		l.has = true
	}
	return nil
}

// isAncestor tells whether what is here leads to what is there.
func (l *latest) isAncestor(ctx context.Context) (*bool, error) {
	yes := true
	if l.baseRev == "" {
		return &yes, nil
	}
	v, err := l.call(ctx, "merge_base", "refs", args(l.baseRev, l.remoteRev), "is_ancestor", true, "ignore_retcode", true)
	if err != nil {
		return nil, module.Failf("%s", gitWhy(err))
	}
	yes = module.Truth(v)
	return &yes, nil
}

func (l *latest) forward() bool  { return l.fastForward != nil && *l.fastForward }
func (l *latest) diverged() bool { return l.fastForward != nil && !*l.fastForward }

// notForward is the failure where commits or changes would be lost.
func (l *latest) notForward() error {
	hint := ""
	if !l.hasBranch {
		switch {
		case l.rev != "HEAD" && l.localBranch != l.rev:
			hint = fmt.Sprintf(" The desired rev (%s) differs from the name of the local branch (%s), if the desired rev is a branch name then a forced update could possibly be avoided by setting the 'branch' argument to '%s' instead.", l.rev, l.localBranch, l.rev)
		case l.rev == "HEAD" && l.defaultBranch != "" && l.localBranch != l.defaultBranch:
			hint = fmt.Sprintf(" The default remote branch (%s) differs from the local branch (%s). This could be caused by changing the default remote branch, or if the local branch was manually changed. Rather than forcing an update, it may be advisable to set the 'branch' argument to '%s' instead. To ensure that this state follows the '%s' branch instead of the remote HEAD, set the 'rev' argument to '%s'.",
				l.defaultBranch, l.localBranch, l.defaultBranch, l.defaultBranch, l.defaultBranch)
		}
	}
	pre, post := gitShort(l.baseRev), gitShort(l.remoteRev)
	to, after, why, or, lose := "to "+post, "", "this is not a fast-forward merge", "", ""
	if l.localChanges {
		why, or, lose = "there are uncommitted changes", " (or 'remote-changes')", " and discard these changes"
		if pre != post {
			to = fmt.Sprintf("from %s to %s", pre, post)
		}
	}
	if l.needsBranch() {
		after = " (after checking out local branch '" + l.branch + "')"
	}
	return gitFails(l.comments, "Repository would be updated %s%s, but %s. Set 'force_reset' to True%s to force this update%s.%s", to, after, why, or, lose, hint)
}

// tagDifference finds the tags that one of the two repositories has alone.
func (l *latest) tagDifference() {
	there := map[string]bool{}
	for name := range l.refs.Strings() {
		tag, ok := strings.CutPrefix(name, "refs/tags/")
		if !ok || strings.Contains(tag, "^{}") {
			continue
		}
		there[tag] = true
		if l.a.FetchTags && refPattern(l.a.RefspecTag, tag) && !slices.Contains(l.tags, tag) {
			l.newTags = append(l.newTags, tag)
		}
	}
	for _, tag := range l.tags {
		if !there[tag] {
			l.stale = append(l.stale, tag)
		}
	}
	slices.Sort(l.newTags)
}

// refspecs are what is fetched.
func (l *latest) refspecs() []any {
	if !l.a.FetchTags {
		return []any{}
	}
	return args(fmt.Sprintf("refs/heads/%[1]s:refs/remotes/%[2]s/%[1]s", l.a.RefspecBranch, l.remote), fmt.Sprintf("+refs/tags/%[1]s:refs/tags/%[1]s", l.a.RefspecTag))
}

// tracking says what is to be done so that the right branch is followed: the words for it,
// options of git branch, and how it is told before it is done.
func (l *latest) tracking() (did string, opts []any, would string) {
	switch {
	case !l.hasUpstream && l.upstream != "":
		did, would = "Tracking branch was set to "+l.upstream, "Tracking branch would be set to "+l.upstream
	case l.hasUpstream && l.upstream == "" && !l.keepUpstream:
		return "Tracking branch was unset", args("--unset-upstream"), "Tracking branch would be unset"
	case l.upstream != "" && l.follows != l.upstream:
		did, would = "Tracking branch was updated to "+l.upstream, "Tracking branch would be updated to "+l.upstream
	default:
		return "", nil, ""
	}
	if l.hasBranch && !slices.Contains(l.branches, l.branch) {
		return did, nil, would // the branch that is made follows it
	}
	return did, args("--set-upstream-to", l.upstream), would
}

// readUpstream finds the branch that a local one follows.
func (l *latest) readUpstream(ctx context.Context, branch string) {
	l.follows = ""
	if branch != "" {
		l.follows = l.asks(ctx, "rev_parse", "rev", branch+"@{upstream}", "opts", args("--abbrev-ref"))
	}
	l.hasUpstream = l.follows != ""
}
