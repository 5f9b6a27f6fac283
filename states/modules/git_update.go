package modules

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/gosalt/gosalt/internal/gitaddr"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

// update plans what brings a clone up to date.
func (l *latest) update(ctx context.Context) (*states.Plan, error) {
	if err := l.lookHere(ctx); err != nil {
		return nil, err
	}
	if l.a.Bare {
		return l.updateBare(ctx), nil
	}
	same := l.same(l.localRev)
	if l.localChanges && same {
		if l.a.ForceReset != true {
			return &states.Plan{Fine: l.fine(nil) + ", but with uncommitted changes. Set 'force_reset' to True to purge uncommitted changes."}, nil
		}
		if l.c.Test {
			return states.Decided(nil, wire.NewMap("forced update", true), fmt.Sprintf("%s is up-to-date, but with uncommitted changes. Since 'force_reset' is set to True, these local changes would be reset. To only reset when there are changes in the remote repository, set 'force_reset' to 'remote-changes'.", l.target)), nil
		}
	}
	if err := l.hasRev(ctx); err != nil {
		return nil, err
	}
	no := false
	if l.localChanges && l.a.ForceReset != "remote-changes" {
		l.fastForward = &no
	}
	onlyFetch := !same && !l.a.UpdateHead && !l.needsBranch()
	if l.has {
		if onlyFetch {
			return &states.Plan{Fine: l.present()}, nil
		}
		if l.fastForward == nil {
			var err error
			if l.fastForward, err = l.isAncestor(ctx); err != nil {
				return nil, err
			}
		}
	}
	if l.diverged() && l.a.ForceReset == false {
		return nil, l.notForward()
	}
	l.readUpstream(ctx, l.baseBranch)
	l.tagDifference()
	if l.remoteRev == "" {
		return &states.Plan{Fine: l.fine(nil)}, nil
	}
	pending, err := l.pendingSubmodules(ctx)
	if err != nil {
		return nil, err
	}
	if l.c.Test {
		if p := l.afterwards(); p != nil && l.hasRemote && l.fetchURL == l.address {
			l.sure = true
			return p, nil
		}
		if l.a.UpdateHead && (l.forward() || l.a.ForceReset != false) {
			l.promise(l.remoteRev)
		} else {
			l.promise("")
		}
		return l.wouldUpdate(same, pending), nil
	}
	_, opts, _ := l.tracking()
	forward := l.forward() && (!l.same(l.baseRev) || l.localChanges && l.a.ForceReset != false)
	fetch := !l.has || len(l.newTags) > 0 || l.a.SyncTags && len(l.stale) > 0
	if l.address == l.fetchURL && !fetch && !l.needsBranch() && !l.diverged() && !forward && opts == nil && !pending {
		return &states.Plan{Fine: l.fine(nil)}, nil
	}
	p := &states.Plan{}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		err := l.doUpdate(ctx, r, same, fetch)
		if err != nil {
			r.Comment = ""
			return err
		}
		return nil
	})
	return p, nil
}

// present is the comment where the revision is here, and not to be checked out.
func (l *latest) present() string {
	loc := l.loc
	if l.rev == "HEAD" {
		loc = capitalize(loc)
	}
	return fmt.Sprintf("%s is already present and local HEAD (%s) does not match, but update_head=False. HEAD has not been updated locally.", loc, gitShort(l.localRev))
}

// capitalize is that of Python.
func capitalize(s string) string {
	r := []rune(strings.ToLower(s))
	if len(r) > 0 {
		r[0] = unicode.ToTitle(r[0])
	}
	return string(r)
}

// pendingSubmodules tells whether a submodule is not as it is wanted.
func (l *latest) pendingSubmodules(ctx context.Context) (bool, error) {
	if !l.a.Submodules {
		return false, nil
	}
	v, err := l.c.Call.Call(ctx, "git.submodule", args(l.target, "status"), l.kw("opts", "--recursive"))
	if err != nil {
		return true, nil // the update tells why
	}
	text, _ := v.(string)
	for _, line := range strings.Split(text, "\n") {
		if line != "" && strings.ContainsRune("-+U", rune(line[0])) {
			return true, nil
		}
	}
	return false, nil
}

// wouldUpdate tells what doUpdate would do.
func (l *latest) wouldUpdate(same, pending bool) *states.Plan {
	changes, actions := wire.NewMap(), []string{}
	merge := "updated"
	switch {
	case l.diverged():
		merge = "hard-reset"
	case l.forward():
		merge = "fast-forwarded"
	}
	if len(l.newTags) > 0 {
		changes.Set("new_tags", anyList(l.newTags))
	}
	if l.address != l.fetchURL {
		actions = append(actions, fmt.Sprintf("Remote '%s' would be changed from %s to %s", l.remote, gitNone(gitaddr.Redact(l.fetchURL), l.hasRemote), gitaddr.Redact(l.address)))
		if !l.has {
			actions = append(actions, "Remote would be fetched")
		}
		if !same && l.a.UpdateHead {
			changes.Set("revision", change(orNil(l.localRev), l.remoteRev))
			if l.diverged() {
				changes.Set("forced update", true)
			}
			actions = append(actions, fmt.Sprintf("Repository would be %s to %s", merge, gitShort(l.remoteRev)))
		}
		return l.told(changes, actions, same, pending)
	}
	if !l.has || len(l.newTags) > 0 {
		actions = append(actions, fmt.Sprintf("Remote '%s' would be fetched", l.remote))
	}
	if l.a.SyncTags && len(l.stale) > 0 {
		changes.Set("deleted_tags", anyList(l.stale))
		actions = append(actions, "The following tags would be removed from the local checkout: "+strings.Join(l.stale, ", "))
	}
	if !same && (l.a.UpdateHead || l.needsBranch()) {
		changes.Set("revision", change(orNil(l.localRev), l.remoteRev))
	}
	_, _, tracks := l.tracking()
	switch {
	case l.needsBranch() && !slices.Contains(l.branches, l.branch):
		actions = append(actions, fmt.Sprintf("New branch '%s' would be checked out, with %s as a starting point", l.branch, l.loc))
		if l.upstream != "" {
			actions = append(actions, "Tracking branch would be set to "+l.upstream)
		}
	case l.needsBranch():
		actions = append(actions, fmt.Sprintf("Branch '%s' would be checked out and %s to %s", l.branch, merge, gitShort(l.remoteRev)))
	case same:
	case !l.a.UpdateHead:
		actions = append(actions, fmt.Sprintf("Local HEAD (%s) does not match %s but update_head=False, HEAD would not be updated locally", gitShort(l.localRev), l.loc))
	default:
		how := "updated"
		switch {
		case l.forward():
			how = "fast-forwarded"
		case l.a.ForceReset != false && l.has:
			how = "hard-reset"
		}
		actions = append(actions, fmt.Sprintf("Repository would be %s from %s to %s", how, gitNone(gitShort(l.localRev), l.localRev != ""), gitShort(l.remoteRev)))
	}
	if tracks != "" {
		actions = append(actions, tracks)
	}
	return l.told(changes, actions, same, pending)
}

func (l *latest) told(changes *wire.Map, actions []string, same, pending bool) *states.Plan {
	if pending {
		actions = append(actions, "Submodules would be updated")
	}
	switch {
	case changes.Len() > 0:
		return states.Decided(nil, changes, gitDone(actions))
	case !same && !l.a.UpdateHead && len(actions) > 0:
		return states.Decided(true, nil, gitDone(actions))
	case len(actions) > 0 && l.c.Test:
		// Salt calls this True. A plan that says "nothing to do" would not be kept.
		return states.Decided(nil, nil, l.fine(actions))
	}
	return states.Decided(true, nil, l.fine(actions))
}

func gitNone(s string, there bool) string {
	if !there {
		return "None"
	}
	return s
}

func orNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func (l *latest) did(format string, a ...any) {
	l.comments = append(l.comments, fmt.Sprintf(format, a...))
}

// fails is a failure after something may have been done.
func (l *latest) fails(err error) error { return gitFails(l.comments, "%s", gitWhy(err)) }

// doUpdate brings a clone up to date.
func (l *latest) doUpdate(ctx context.Context, r *states.Result, same, fetch bool) error {
	r.SetChanges(nil)
	if l.address != l.fetchURL {
		if err := l.setRemote(ctx, r); err != nil {
			return l.fails(err)
		}
	}
	tracked, opts, _ := l.tracking()
	if opts != nil && l.localBranch == "" {
		return gitFails(l.comments, "Cannot set/unset upstream tracking branch, local HEAD refers to nonexistent branch. This may have been caused by cloning a remote repository for which the default branch was renamed or deleted. If you are unable to fix the remote repository, you can work around this by setting the 'branch' argument (which will ensure that the named branch is created if it does not already exist).")
	}
	l.deleteTags(ctx, r)
	if fetch {
		done, err := l.fetch(ctx, r, same)
		if done || err != nil {
			return err
		}
	}
	if err := l.checkout(ctx); err != nil {
		return err
	}
	if err := l.discard(ctx, r); err != nil {
		return err
	}
	if opts != nil {
		if _, err := l.call(ctx, "branch", "opts", opts); err != nil {
			return l.fails(err)
		}
		l.did("%s", tracked)
	}
	if l.forward() && !l.same(l.baseRev) {
		if err := l.merge(ctx); err != nil {
			return err
		}
	}
	if err := l.updateSubmodules(ctx); err != nil {
		return err
	}
	now := l.asks(ctx, "revision")
	if !l.same(now) {
		return gitFails(l.comments, "Failed to update repository")
	}
	if now == l.localRev {
		r.Comment = l.fine(l.comments)
		return nil
	}
	r.Comment = gitDone(l.comments)
	r.Change("revision", change(orNil(l.localRev), now))
	return nil
}

func (l *latest) setRemote(ctx context.Context, r *states.Result) error {
	kw := gitLoginArgs(l.kw("url", l.a.Name, "remote", l.remote), nil, l.a.HTTPSUser, l.a.HTTPSPass)
	if _, err := l.c.Call.Call(ctx, "git.remote_set", args(l.target), kw); err != nil {
		return err
	}
	if !l.hasRemote {
		l.did("Remote '%s' set to %s", l.remote, gitaddr.Redact(l.address))
		r.Change("new", l.a.Name+" => "+l.remote)
		return nil
	}
	l.did("Remote '%s' changed from %s to %s", l.remote, gitaddr.Redact(l.fetchURL), gitaddr.Redact(l.address))
	return nil
}

func (l *latest) deleteTags(ctx context.Context, r *states.Result) {
	if len(l.newTags) > 0 {
		r.Change("new_tags", anyList(l.newTags))
	}
	if !l.a.SyncTags {
		return
	}
	var gone []string
	for _, tag := range l.stale {
		if _, err := l.call(ctx, "tag", "name", tag, "opts", "-d"); err != nil {
			r.Set("warnings", append(listOf(extra(r, "warnings")), any(fmt.Sprintf("Failed to remove local tag '%s':\n\n%s\n\n", tag, message(err)))))
			continue
		}
		gone = append(gone, tag)
	}
	if gone != nil {
		r.Change("deleted_tags", anyList(gone))
		l.did("The following tags were removed from the local checkout: %s", strings.Join(gone, ", "))
	}
}

func extra(r *states.Result, key string) any {
	v, _ := r.Extra.Get(key)
	return v
}

// fetch fetches; done is where that is all.
func (l *latest) fetch(ctx context.Context, r *states.Result, same bool) (done bool, err error) {
	v, err := l.c.Call.Call(ctx, "git.fetch", args(l.target), l.net("remote", l.remote, "force", l.a.ForceFetch, "refspecs", l.refspecs()))
	if err != nil {
		return true, gitFails(l.comments, "Fetch failed. Set 'force_fetch' to True to force the fetch if the failure was due to not being able to fast-forward. Output of the fetch command follows:\n\n%s", gitWhy(err))
	}
	if module.Truth(v) {
		l.did("%s was fetched, resulting in updated refs", l.a.Name)
	}
	if _, err := l.call(ctx, "rev_parse", "rev", l.remoteRev+"^{commit}", "ignore_retcode", true); err != nil {
		return true, module.Failf("Fetch did not successfully retrieve rev '%s' from %s: %s", l.rev, l.a.Name, message(err))
	}
	if !same && !l.a.UpdateHead && !l.needsBranch() {
		r.Comment = l.present()
		return true, nil
	}
	if l.fastForward, err = l.isAncestor(ctx); err != nil {
		return true, l.fails(err)
	}
	if l.a.ForceReset == false && (l.diverged() || l.forward() && l.localChanges) {
		return true, l.notForward()
	}
	return false, nil
}

func (l *latest) checkout(ctx context.Context) error {
	if !l.needsBranch() {
		return nil
	}
	if l.localChanges && !l.a.ForceCheckout {
		return gitFails(nil, "Local branch '%s' has uncommitted changes. Set 'force_checkout' to True to discard them and proceed.", l.localBranch)
	}
	rev, opts := l.branch, []any{}
	made := !slices.Contains(l.branches, l.branch)
	if made {
		rev, opts = l.startingPoint(), args("-b", l.branch)
	}
	if _, err := l.call(ctx, "checkout", "rev", rev, "force", l.a.ForceCheckout, "opts", opts); err != nil {
		return l.fails(err)
	}
	if made {
		l.did("New branch '%s' was checked out, with %s as a starting point", l.branch, l.loc)
	} else {
		l.did("'%s' was checked out", rev)
	}
	return nil
}

// startingPoint is what a new branch is made of.
func (l *latest) startingPoint() string {
	switch {
	case l.rev == "HEAD":
		return l.remoteRev
	case l.upstream != "":
		return l.upstream
	}
	return l.rev
}

// discard gives up commits and changes that are only here.
func (l *latest) discard(ctx context.Context, r *states.Result) error {
	switch {
	case l.diverged():
		if err := l.reset(ctx, l.remoteRev); err != nil {
			return err
		}
		r.Change("forced update", true)
		if l.localChanges {
			l.did("Uncommitted changes were discarded")
		}
		l.did("Repository was hard-reset to %s", l.loc)
	case l.forward() && l.localChanges && l.a.ForceReset != false:
		if _, err := l.call(ctx, "discard_local_changes"); err != nil {
			return l.fails(err)
		}
		l.did("Uncommitted changes were discarded")
	}
	return nil
}

func (l *latest) reset(ctx context.Context, rev string) error {
	kw := l.kw("opts", args("--hard", rev))
	if l.lfs && l.identity != nil {
		kw.Set("identity", l.identity)
	}
	if _, err := l.c.Call.Call(ctx, "git.reset", args(l.target), kw); err != nil {
		return l.fails(err)
	}
	return nil
}

func (l *latest) merge(ctx context.Context) error {
	if l.upstream == "" && l.rev != "HEAD" {
		if err := l.reset(ctx, l.rev); err != nil {
			return err
		}
		l.did("Repository was reset to %s (fast-forward)", l.rev)
		return nil
	}
	v, err := l.call(ctx, "symbolic_ref", "ref", "HEAD", "opts", args("--quiet"), "ignore_retcode", true)
	if err != nil {
		return l.fails(err)
	}
	if !module.Truth(v) {
		return gitFails(l.comments, "Unable to fast-forward, HEAD is detached")
	}
	kw := l.kw("rev", l.remoteRev, "opts", args("--ff-only"))
	if l.lfs && l.identity != nil {
		kw.Set("identity", l.identity)
	}
	if _, err := l.c.Call.Call(ctx, "git.merge", args(l.target), kw); err != nil {
		return l.fails(err)
	}
	l.did("Repository was fast-forwarded to %s", l.loc)
	return nil
}

func (l *latest) updateSubmodules(ctx context.Context) error {
	if !l.a.Submodules {
		return nil
	}
	if _, err := l.c.Call.Call(ctx, "git.submodule", args(l.target, "update"), l.net("opts", args("--init", "--recursive"))); err != nil {
		return gitFails(l.comments, "Failed to update submodules: %s", gitWhy(err))
	}
	return nil
}

// updateBare fetches into a repository without a working copy.
func (l *latest) updateBare(ctx context.Context) *states.Plan {
	if l.c.Test && l.fetchesNothing(ctx) {
		return &states.Plan{Fine: l.fine(nil)}
	}
	if l.c.Test {
		return states.Decided(nil, nil, l.fine([]string{"Bare repository at " + l.target + " would be fetched"}))
	}
	p := &states.Plan{}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		v, err := l.c.Call.Call(ctx, "git.fetch", args(l.target), l.net("remote", l.remote, "force", l.a.ForceFetch, "refspecs", l.refspecs()))
		if err != nil {
			return gitFails(nil, "Fetch failed. Set 'force_fetch' to True to force the fetch if the failure was due to not being able to fast-forward. Output of the fetch command follows:\n\n%s", gitWhy(err))
		}
		updated := ""
		if module.Truth(v) {
			updated = ", resulting in updated refs"
		}
		l.did("Bare repository at %s was fetched%s", l.target, updated)
		now := l.asks(ctx, "revision")
		if now == l.localRev {
			r.Comment = l.fine(l.comments)
			return nil
		}
		r.Comment = gitDone(l.comments)
		r.Change("revision", change(orNil(l.localRev), orNil(now)))
		return nil
	})
	return p
}
