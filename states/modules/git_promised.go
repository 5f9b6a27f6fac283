package modules

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

// gitPromised is the last earlier state of a run under test=True that is to make or to
// change a clone, and the commit that it brings it to, "" where that is not known.
func gitPromised(c *states.Call, dir string) (id, commit string) {
	for p := range promised(c, "git") {
		if p.what == filepath.Clean(dir) {
			id, commit = p.id, p.value.(string)
		}
	}
	return id, commit
}

// promise notes that a state makes or changes the clone, and the commit that it brings it to.
func (g *gitRepo) promise(commit string) {
	promiseOf(g.c, "git", filepath.Clean(g.target), commit)
}

// settled is the plan of a state, but where that finds nothing to do, or something wrong,
// in a clone which an earlier state of the run is to change.
func (g *gitRepo) settled(p *states.Plan, err error) (*states.Plan, error) {
	id, _ := gitPromised(g.c, g.target)
	if id == "" || err == nil && !p.Empty() || err == nil && p.Decision() != nil && p.Decision().Result != true {
		return p, err
	}
	return nil, g.known(id)
}

// known is the outcome where it is known later what is to be done.
func (g *gitRepo) known(id string) error {
	return states.Unknown(fmt.Sprintf("The state %s comes before and changes %s, and what is to be done then is known when it has run", id, g.target))
}

// afterwards is the plan where an earlier state of the run is to bring the clone to the very
// commit that is wanted, nil where it is not so.
func (l *latest) afterwards() *states.Plan {
	id, commit := gitPromised(l.c, l.target)
	if id == "" || commit == "" || commit != l.remoteRev || l.a.Bare || l.hasBranch || l.a.Submodules || len(l.stale) > 0 {
		return nil
	}
	return &states.Plan{Fine: l.fine(nil)}
}

// fetchesNothing tells whether a fetch into a repository without a working copy would find
// all references as they are.
func (l *latest) fetchesNothing(ctx context.Context) bool {
	v, err := l.c.Call.Call(ctx, "git.remote_refs", args(l.target), l.kw("heads", false, "tags", false))
	here, _ := v.(*wire.Map)
	if err != nil || l.address != l.fetchURL {
		return false
	}
	for name, hash := range l.refs.Strings() {
		branch, isBranch := strings.CutPrefix(name, "refs/heads/")
		tag, isTag := strings.CutPrefix(name, "refs/tags/")
		switch {
		case strings.HasSuffix(name, "^{}"):
		case l.a.Mirror && name != "HEAD" && here.Text(name) != hash:
			return false
		case isBranch && l.a.FetchTags && refPattern(l.a.RefspecBranch, branch) && here.Text("refs/remotes/"+l.remote+"/"+branch) != hash:
			return false
		case isTag && l.a.FetchTags && refPattern(l.a.RefspecTag, tag) && here.Text(name) != hash:
			return false
		}
	}
	return true
}

// refPattern tells whether a name fits a pattern with at most one *, as git has them in refspecs.
func refPattern(pattern, name string) bool {
	first, last, wild := strings.Cut(pattern, "*")
	return name == pattern || wild && len(name) >= len(first)+len(last) && strings.HasPrefix(name, first) && strings.HasSuffix(name, last)
}
