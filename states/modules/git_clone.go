package modules

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/gitaddr"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

// clone plans a new clone.
func (l *latest) clone(context.Context) (*states.Plan, error) {
	told := l.a.Name + " => " + l.target
	p := &states.Plan{Would: fmt.Sprintf("Repository %s would be cloned to %s", l.a.Name, l.target)}
	changes, clear := wire.NewMap(), false
	if l.c.Host.IsDir(l.target) {
		switch {
		case l.a.ForceClone:
			clear = true
			changes.Set("forced clone", true)
			p.Would = fmt.Sprintf("Target directory %s exists. Since force_clone=True, the contents of %s would be deleted, and %s would be cloned into this directory.", l.target, l.target, l.a.Name)
		case hasFiles(l.c, l.target):
			return nil, gitNotEmpty(l.target)
		}
	}
	changes.Set("new", told)
	p.Do(changes, func(ctx context.Context, r *states.Result) error {
		r.SetChanges(nil)
		if clear {
			if err := emptyDir(l.c, l.target); err != nil {
				return err
			}
			r.Change("forced clone", true)
		}
		return l.doClone(ctx, r, told)
	})
	return p, nil
}

func gitNotEmpty(target string) error {
	return module.Failf("Target '%s' exists, is non-empty and is not a git repository. Set the 'force_clone' option to True to remove this directory's contents and proceed with cloning the remote repository", target)
}

func (l *latest) doClone(ctx context.Context, r *states.Result, told string) error {
	opts, as := []any{}, ""
	switch {
	case l.a.Mirror:
		opts, as = args("--mirror"), " as mirror"
	case l.a.Bare:
		opts, as = args("--bare"), " as bare repository"
	}
	if l.remote != "origin" {
		opts = append(opts, "--origin", l.remote)
	}
	if l.a.Depth != nil {
		opts = append(opts, "--depth", pytext.Str(l.a.Depth), "--branch", l.rev)
	}
	if _, err := l.c.Call.Call(ctx, "git.clone", args(l.target, l.a.Name), l.net("opts", opts)); err != nil {
		return gitFails(nil, "Clone failed: %s", gitWhy(err))
	}
	r.Change("new", told)
	l.did("%s cloned to %s%s", l.a.Name, l.target, as)
	if !l.a.Bare && l.remoteRev != "" {
		if err := l.checkoutClone(ctx); err != nil {
			return err
		}
	}
	if l.remoteRev != "" {
		if err := l.updateSubmodules(ctx); err != nil {
			return err
		}
	}
	if now := l.asks(ctx, "revision"); now != "" {
		r.Change("revision", change(nil, now))
	}
	r.Comment = gitDone(l.comments)
	return nil
}

// checkoutClone brings a new clone to the wanted revision.
func (l *latest) checkoutClone(ctx context.Context) (err error) {
	if l.kind == "tag" {
		tags, err := l.list(ctx, "list_tags")
		if err != nil {
			return l.fails(err)
		}
		if !slices.Contains(tags, l.rev) {
			return gitFails(l.comments, "Revision '%s' does not exist in clone", l.rev)
		}
	}
	if l.branches, err = l.list(ctx, "list_branches"); err != nil {
		return l.fails(err)
	}
	if l.hasBranch && !slices.Contains(l.branches, l.branch) {
		if _, err := l.call(ctx, "checkout", "rev", l.startingPoint(), "opts", args("-b", l.branch)); err != nil {
			return l.fails(err)
		}
		l.did("Branch '%s' checked out, with %s as a starting point", l.branch, l.loc)
	}
	l.localRev, l.localBranch = l.asks(ctx, "revision"), l.asks(ctx, "current_branch")
	if l.localBranch == "" && !l.refs.Has("HEAD") {
		return gitFails(l.comments, "Remote HEAD refers to a ref that does not exist. This can happen when the default branch on the remote repository is renamed or deleted. If you are unable to fix the remote repository, you can work around this by setting the 'branch' argument (which will ensure that the named branch is created if it does not already exist).")
	}
	if !l.same(l.localRev) {
		if _, err := l.call(ctx, "reset", "opts", args("--hard", l.remoteRev)); err != nil {
			return l.fails(err)
		}
		l.did("Repository was reset to %s", l.loc)
	}
	l.readUpstream(ctx, l.localBranch)
	if l.branches, err = l.list(ctx, "list_branches"); err != nil {
		return l.fails(err)
	}
	did, opts, _ := l.tracking()
	if opts == nil {
		return nil
	}
	if _, err := l.call(ctx, "branch", "opts", opts); err != nil {
		return l.fails(err)
	}
	l.did("%s", did)
	return nil
}

type gitDetachedArgs struct {
	Name           string    // Address of the repository.
	Rev            any       // The branch, tag or commit that is checked out.
	Target         string    // Where the clone is.
	Remote         any       `default:"origin"`                // Name of the remote repository in the clone.
	User           string    `default:"None"`                  // Who runs git.
	Password       string    `default:"None"`                  // Password of user, on Windows.
	ForceClone     bool      `default:"False"`                 // Remove what else is in the target.
	ForceCheckout  bool      `default:"False"`                 // Changes that are not committed are lost.
	FetchRemote    bool      `default:"True"`                  // Fetch, where the commit is not here.
	HardReset      bool      `default:"False"`                 // Undo what is not committed first.
	Submodules     bool      `default:"False"`                 // Bring submodules up to date, too.
	Identity       any       `default:"None"`                  // Private key for SSH: a path, an address of the file server, or a list.
	HTTPSUser      string    `arg:"https_user" default:"None"` // User for an https:// address.
	HTTPSPass      string    `arg:"https_pass" default:"None"` // Its password.
	OutputEncoding string    `default:"None"`                  // Encoding of what git prints.
	Kwargs         *wire.Map `arg:"**"`                        // There are no others.
}

// detached is what git.detached knows of a clone.
type detached struct {
	*gitRepo
	a           gitDetachedArgs
	rev, remote string
	identity    any
	hash        bool   // rev is one
	here        bool   // there is a clone
	clear       bool   // after removing what is in the target
	setRemote   bool   // its remote repository has another address
	oldURL      any    // which
	fetch       bool   // the commit has to be fetched
	local       string // what is checked out
	commit      string // what is to be
	peeled      string // the commit itself, where that is a tag with a message
	comments    []string
}

// gitDetached makes sure that a repository is cloned and a commit checked out, without a
// branch.
func gitDetached(ctx context.Context, c *states.Call, a gitDetachedArgs) (*states.Plan, error) {
	d := &detached{gitRepo: &gitRepo{c, a.Target, a.User, a.Password, a.OutputEncoding}, a: a, rev: pytext.Str(a.Rev), remote: pytext.Str(a.Remote)}
	if err := d.there(ctx); err != nil {
		return nil, err
	}
	if err := gitUnknown(a.Kwargs); err != nil {
		return nil, err
	}
	switch {
	case !module.Truth(a.Rev):
		return nil, module.Failf("'%s' is not a valid value for the 'rev' argument", d.rev)
	case a.Target == "":
		return nil, module.Failf("'%s' is not a valid value for the 'target' argument", a.Target)
	case !filepath.IsAbs(a.Target):
		return nil, module.Failf("Target '%s' is not an absolute path", a.Target)
	}
	var err error
	if d.identity, err = gitIdentity(ctx, c, a.Identity, "I"); err != nil {
		return nil, err
	}
	if c.Host.IsFile(a.Target) {
		return nil, module.Failf("Target '%s' exists and is a regular file, cannot proceed", a.Target)
	}
	if _, err := gitaddr.Login(a.Name, a.HTTPSUser, a.HTTPSPass); err != nil {
		return nil, err
	}
	if d.hash = hexDigits.MatchString(d.rev); d.hash {
		d.rev = strings.ToLower(d.rev)
	}
	if err := waitsForUser(c, a.User); err != nil {
		return nil, err
	}
	if d.here, err = d.is(ctx, ".git"); err != nil {
		return nil, err
	}
	known := false
	if d.here {
		if known, err = d.look(ctx); err != nil {
			return nil, err
		}
	} else if c.Host.IsDir(a.Target) {
		if d.clear = a.ForceClone; !d.clear && hasFiles(c, a.Target) {
			return nil, gitNotEmpty(a.Target)
		}
	}
	d.fetch = !known && a.FetchRemote
	if id, _ := gitPromised(c, a.Target); id != "" && !d.here {
		return nil, d.known(id)
	}
	p, err := d.settled(d.plan(ctx))
	d.promise("")
	return p, err
}

// look looks at a clone; known is whether it has the commit.
func (d *detached) look(ctx context.Context) (known bool, err error) {
	d.local = d.asks(ctx, "revision")
	if d.hash {
		return d.asks(ctx, "describe", "rev", d.rev) != "", nil
	}
	v, err := d.call(ctx, "remotes", "redact_auth", false)
	if err != nil {
		return false, err
	}
	remotes, _ := v.(*wire.Map)
	if m := remotes.Map(d.remote); m == nil {
		d.setRemote = true
	} else if !strings.Contains(m.Text("fetch"), d.a.Name) {
		d.setRemote, d.oldURL = true, m.Text("fetch")
	}
	return false, nil
}

// find finds the commit of the revision.
func (d *detached) find(ctx context.Context) error {
	if d.hash {
		v, err := d.call(ctx, "describe", "rev", d.rev)
		if err != nil {
			return err
		}
		if !module.Truth(v) {
			return gitFails(nil, "Revision '%s' does not exist", d.rev)
		}
		d.commit, d.peeled = d.rev, d.rev
		return nil
	}
	v, err := d.c.Call.Call(ctx, "git.remote_refs", args(d.target), gitLoginArgs(d.kw(), d.identity, "", ""))
	if err != nil {
		return gitFails(nil, "Failed to list refs for %s: %s", d.remote, gitWhy(err))
	}
	refs, _ := v.(*wire.Map)
	if d.commit = refs.Text("refs/remotes/" + d.remote + "/" + d.rev); d.commit == "" {
		d.commit = refs.Text("refs/tags/" + d.rev)
		d.peeled = refs.Text("refs/tags/" + d.rev + "^{}")
	}
	if d.peeled == "" {
		d.peeled = d.commit
	}
	if d.commit == "" {
		return gitFails(nil, "Revision '%s' does not exist", d.rev)
	}
	return nil
}

func (d *detached) plan(ctx context.Context) (*states.Plan, error) {
	p := &states.Plan{}
	changes := wire.NewMap()
	switch {
	case d.clear:
		p.Would = fmt.Sprintf("Target directory %s exists. Since force_clone=True, the contents of %s would be deleted, and %s would be cloned into this directory.", d.target, d.target, d.a.Name)
	case !d.here:
		p.Would = fmt.Sprintf("Repository %s would be cloned to %s", d.a.Name, d.target)
	case d.setRemote:
		p.Would = fmt.Sprintf("Remote %s would be set to %s", d.remote, d.a.Name)
	case d.fetch:
		p.Would = fmt.Sprintf("Repository remote %s would be fetched", d.remote)
		if d.c.Test {
			if same, err := d.upToDate(ctx); err != nil {
				return nil, err
			} else if same {
				return &states.Plan{Fine: "Already checked out at correct revision"}, nil
			}
		}
	default:
		if err := d.find(ctx); err != nil {
			return nil, err
		}
		reset := d.a.HardReset && (!d.c.Test || d.edited(ctx))
		switch {
		case reset:
			p.Would = "Hard reset to HEAD would be performed on " + d.target
		case d.peeled != d.local:
			changes.Set("HEAD", change(orNil(d.local), d.commit))
			p.Would = fmt.Sprintf("Commit ID %s would be checked out at %s", d.commit, d.target)
		case d.a.Submodules && (!d.c.Test || d.submodules(ctx)):
			p.Would = "Submodules would be updated"
		default:
			return &states.Plan{Fine: "Already checked out at correct revision"}, nil
		}
	}
	p.Do(changes, func(ctx context.Context, r *states.Result) error {
		r.SetChanges(nil)
		return d.do(ctx, r)
	})
	return p, nil
}

// upToDate tells whether all is as it will be when the remote repository has been fetched.
func (d *detached) upToDate(ctx context.Context) (bool, error) {
	if !d.hash {
		kw := gitLoginArgs(d.kw("saltenv", d.c.Env), d.identity, d.a.HTTPSUser, d.a.HTTPSPass)
		v, err := d.c.Call.Call(ctx, "git.remote_refs", args(d.a.Name), kw)
		if err != nil {
			return false, gitFails(nil, "Fetch failed:\n\n%s", message(err))
		}
		refs, _ := v.(*wire.Map)
		d.commit = refs.Text("refs/heads/" + d.rev)
		if d.peeled = d.commit; d.commit == "" {
			d.commit = refs.Text("refs/tags/" + d.rev)
			if d.peeled = refs.Text("refs/tags/" + d.rev + "^{}"); d.peeled == "" {
				d.peeled = d.commit
			}
		}
	}
	if d.commit == "" || d.peeled != d.local {
		return false, nil
	}
	return !(d.a.HardReset && d.edited(ctx)) && !(d.a.Submodules && d.submodules(ctx)), nil
}

// edited tells whether files of the commit that is checked out have been changed, which a
// hard reset undoes.
func (d *detached) edited(ctx context.Context) bool {
	v, err := d.call(ctx, "diff", "item1", "HEAD")
	return err != nil || module.Truth(v)
}

// submodules tells whether a submodule is missing, or at another commit than it should be.
func (d *detached) submodules(ctx context.Context) bool {
	v, err := d.c.Call.Call(ctx, "git.submodule", args(d.target, "status"), d.kw("opts", args("--recursive")))
	text, _ := v.(string)
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && strings.ContainsAny(line[:1], "-+U") {
			return true
		}
	}
	return err != nil
}

func (d *detached) did(format string, a ...any) {
	d.comments = append(d.comments, fmt.Sprintf(format, a...))
}

func (d *detached) do(ctx context.Context, r *states.Result) error {
	login := func(kv ...any) *wire.Map {
		kw := gitLoginArgs(d.kw(kv...), d.identity, d.a.HTTPSUser, d.a.HTTPSPass)
		kw.Set("saltenv", d.c.Env)
		return kw
	}
	if d.clear {
		if err := emptyDir(d.c, d.target); err != nil {
			return err
		}
		r.Change("forced clone", true)
	}
	if !d.here {
		opts := args("--no-checkout")
		if d.remote != "origin" {
			opts = append(opts, "--origin", d.remote)
		}
		if _, err := d.c.Call.Call(ctx, "git.clone", args(d.target, d.a.Name), login("opts", opts)); err != nil {
			return gitFails(d.comments, "%s", gitWhy(err))
		}
		d.did("%s cloned to %s", d.a.Name, d.target)
	}
	if d.setRemote {
		kw := gitLoginArgs(d.kw("url", d.a.Name, "remote", d.remote), nil, d.a.HTTPSUser, d.a.HTTPSPass)
		if _, err := d.c.Call.Call(ctx, "git.remote_set", args(d.target), kw); err != nil {
			return err
		}
		d.did("Remote %s updated from '%s' to '%s'", d.remote, gitaddr.Redact(pytext.Str(d.oldURL)), d.a.Name)
	}
	if d.fetch {
		refspecs := args("refs/heads/*:refs/remotes/"+d.remote+"/*", "+refs/tags/*:refs/tags/*")
		v, err := d.c.Call.Call(ctx, "git.fetch", args(d.target), login("remote", d.remote, "force", true, "refspecs", refspecs))
		if err != nil {
			return gitFails(d.comments, "Fetch failed:\n\n%s", message(err))
		}
		if module.Truth(v) {
			d.did("Remote %s was fetched, resulting in updated refs", d.remote)
		}
	}
	if err := d.find(ctx); err != nil {
		return err
	}
	if d.a.HardReset {
		if _, err := d.call(ctx, "reset", "opts", args("--hard", "HEAD")); err != nil {
			return err
		}
		d.did("Repository was reset to HEAD before checking out revision")
	}
	now := ""
	if d.peeled != d.local {
		if _, err := d.call(ctx, "checkout", "rev", d.commit, "force", d.a.ForceCheckout); err != nil {
			return err
		}
		d.did("Commit ID %s was checked out at %s", d.commit, d.target)
		now = d.asks(ctx, "revision")
	}
	if d.a.Submodules {
		if _, err := d.c.Call.Call(ctx, "git.submodule", args(d.target, "update"), login("opts", args("--init", "--recursive"))); err != nil {
			return err
		}
		d.did("Submodules were updated")
	}
	if now != "" {
		r.Change("HEAD", change(orNil(d.local), now))
	} else {
		d.did("Already checked out at correct revision")
	}
	r.Comment = gitDone(d.comments)
	return nil
}
