package runners

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pillar"
	"github.com/gosalt/gosalt/internal/secret"
	"github.com/gosalt/gosalt/master/jobs"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Pillars is what runners may do with the pillars of minions.
type Pillars interface {
	// Compile compiles a pillar, or takes a kept one unless fresh is set.
	Compile(ctx context.Context, req *pillar.Request, fresh bool) (*pillar.Result, error)
	// Top is what the top files assign, and what is wrong with them.
	Top(ctx context.Context, req *pillar.Request) (*wire.Map, []string)
	// Explain compiles a pillar and tells from where a value comes.
	Explain(ctx context.Context, req *pillar.Request, key, delimiter string) (*pillar.Explanation, *pillar.Result, error)
	// Cached is a pillar that is kept, nil for none; ok is false where none are kept.
	Cached(id wire.MinionID, pillarenv string) (res *pillar.Result, ok bool)
	// Forget drops kept pillars; false where none are kept.
	Forget(ids ...wire.MinionID) bool
	// UpdateGit fetches remotes of ext_pillar git, chosen by branch and address or name where
	// these are given.
	UpdateGit(ctx context.Context, branch, repo string) (*wire.Map, error)
}

func registerPillar(r *module.Registry) {
	module.Register(r, "pillar.show_pillar", pillarShowPillar)
	module.Register(r, "pillar.show_top", pillarShowTop)
	module.Register(r, "pillar.clear_pillar_cache", pillarClearCache)
	module.Register(r, "pillar.show_pillar_cache", pillarShowCache)
	module.Register(r, "pillar.explain", pillarExplain)
	module.Register(r, "git_pillar.update", gitPillarUpdate)
}

// pillarOf is the request for a minion's pillar, with the grains that the master knows.
func pillarOf(ctx context.Context, minion, saltenv, pillarenv string, grains *wire.Map) (*pillar.Request, error) {
	known, err := grainsOf(ctx, wire.MinionID(minion))
	if err != nil {
		return nil, err
	}
	if known == nil {
		known = wire.NewMap("fqdn", minion)
	}
	known = known.Clone()
	for k, v := range grains.Strings() {
		if !strings.HasPrefix(k, "__") {
			known.Set(k, v)
		}
	}
	return &pillar.Request{ID: wire.MinionID(minion), Grains: known, Saltenv: saltenv, Pillarenv: pillarenv}, nil
}

// grainsOf are the grains that a minion last had; nil where none are known.
func grainsOf(ctx context.Context, id wire.MinionID) (*wire.Map, error) {
	d, err := callOf(ctx).r.master.Jobs().MinionData(ctx, id)
	if errors.Is(err, jobs.ErrUnknown) || err == nil && len(d.Grains) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return wire.DecodeMap(d.Grains, wire.Local, wire.Authenticated)
}

// showSecrets has the answer of this call kept free of secrets wherever it is kept or
// told to others; who asked sees them with show.
func showSecrets(ctx context.Context, set *secret.Set, show bool, v any) any {
	c := callOf(ctx)
	c.secrets = set
	if show {
		return v
	}
	return set.Value(v)
}

type showPillarArgs struct {
	Minion      string    `default:"*"`                           // The minion's id; * for what every minion gets.
	Saltenv     string    `default:"base" arg:"saltenv,kw"`       // Environment of states, which pillarenv_from_saltenv looks at.
	Pillarenv   string    `default:"" arg:"pillarenv,kw"`         // The only environment of the pillar to be used.
	ShowSecrets bool      `default:"False" arg:"show_secrets,kw"` // Show what was encrypted, which is hidden otherwise.
	Grains      *wire.Map `arg:"**"`                              // Grains to be used in place of those that the minion last had.
}

// pillarShowPillar compiles the pillar of a minion, with the grains that it last had, and
// returns it.
//
//	gosalt-run pillar.show_pillar web1
//	gosalt-run pillar.show_pillar web1 pillarenv=dev
//	gosalt-run pillar.show_pillar web1 os=Debian
func pillarShowPillar(ctx context.Context, _ *module.Call, a showPillarArgs) (any, error) {
	req, err := pillarOf(ctx, a.Minion, a.Saltenv, a.Pillarenv, a.Grains)
	if err != nil {
		return nil, err
	}
	res, err := callOf(ctx).r.master.Pillars().Compile(ctx, req, false)
	if err != nil {
		return nil, err
	}
	return showSecrets(ctx, res.Secrets, a.ShowSecrets, res.Pillar), nil
}

type showTopArgs struct {
	Minion  string `default:"None"` // The minion's id; where none is given, the first that has grains.
	Saltenv string `default:"base"` // Environment of states, which pillarenv_from_saltenv looks at.
}

// pillarShowTop returns what the top files of the pillar say, put together: environments,
// their targets, and the names of SLS. Templates in them see the minion's grains.
//
//	gosalt-run pillar.show_top
//	gosalt-run pillar.show_top web1
func pillarShowTop(ctx context.Context, _ *module.Call, a showTopArgs) (any, error) {
	m := callOf(ctx).r.master
	if a.Minion == "" {
		ids, err := m.Accepted()
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			if g, err := grainsOf(ctx, id); err == nil && g != nil {
				a.Minion = string(id)
				break
			}
		}
	}
	req, err := pillarOf(ctx, a.Minion, a.Saltenv, "", nil)
	if err != nil {
		return nil, err
	}
	top, errs := m.Pillars().Top(ctx, req)
	if len(errs) > 0 {
		list := make([]any, len(errs))
		for i, e := range errs {
			list[i] = e
		}
		return list, nil
	}
	return top, nil
}

type pillarCacheArgs struct {
	Minion    string    `default:"*"`                     // Which minions: a glob.
	Pillarenv string    `default:"" arg:"pillarenv,kw"`   // The environment of the pillar.
	Saltenv   string    `default:"base" arg:"saltenv,kw"` // As Salt has it, without effect.
	Grains    *wire.Map `arg:"**"`                        // As Salt has it, without effect.
}

// pillarClearCache drops the compiled pillars that pillar_cache keeps; False where that
// is off.
//
//	gosalt-run pillar.clear_pillar_cache
//	gosalt-run pillar.clear_pillar_cache 'web*'
func pillarClearCache(ctx context.Context, c *module.Call, a pillarCacheArgs) (any, error) {
	m := callOf(ctx).r.master
	ids, err := m.Match(ctx, a.Minion, "glob")
	if err != nil {
		return nil, err
	}
	if !m.Pillars().Forget(ids...) {
		c.Log.Info("pillar_cache is off: there is nothing to clear")
		return false, nil
	}
	return wire.NewMap(), nil
}

// pillarShowCache returns the compiled pillars that pillar_cache keeps, by minion; False
// where that is off. What was encrypted is hidden.
//
//	gosalt-run pillar.show_pillar_cache
//	gosalt-run pillar.show_pillar_cache web1 pillarenv=dev
func pillarShowCache(ctx context.Context, c *module.Call, a pillarCacheArgs) (any, error) {
	m := callOf(ctx).r.master
	ids, err := m.Match(ctx, a.Minion, "glob")
	if err != nil {
		return nil, err
	}
	out := wire.NewMap()
	for _, id := range ids {
		res, ok := m.Pillars().Cached(id, a.Pillarenv)
		if !ok {
			c.Log.Info("pillar_cache is off: there is nothing to show")
			return false, nil
		}
		if res != nil {
			out.Set(string(id), res.Secrets.Value(res.Pillar))
		}
	}
	return out, nil
}

type pillarExplainArgs struct {
	Key         string    // The key, with colons between nested ones: "db:password".
	Minion      string    // The minion's id.
	Saltenv     string    `default:"base" arg:"saltenv,kw"`       // Environment of states, which pillarenv_from_saltenv looks at.
	Pillarenv   string    `default:"" arg:"pillarenv,kw"`         // The only environment of the pillar to be used.
	Delimiter   string    `default:":" arg:"delimiter,kw"`        // What stands between nested keys.
	ShowSecrets bool      `default:"False" arg:"show_secrets,kw"` // Show what was encrypted, which is hidden otherwise.
	Grains      *wire.Map `arg:"**"`                              // Grains to be used in place of those that the minion last had.
}

// pillarExplain tells from where a value of a minion's pillar comes: each file, ext_pillar
// and call that has the key, with line and value, in the order in which they are laid over
// one another, and what each of them does to the value. This is gosalt's own.
//
//	gosalt-run pillar.explain db:password web1
func pillarExplain(ctx context.Context, _ *module.Call, a pillarExplainArgs) (any, error) {
	req, err := pillarOf(ctx, a.Minion, a.Saltenv, a.Pillarenv, a.Grains)
	if err != nil {
		return nil, err
	}
	e, res, err := callOf(ctx).r.master.Pillars().Explain(ctx, req, a.Key, a.Delimiter)
	if err != nil {
		return nil, err
	}
	out := wire.NewMap("key", a.Key)
	if e.Found {
		out.Set("value", e.Value)
	}
	steps := []any{}
	for _, s := range e.Steps {
		m := wire.NewMap("from", s.Where())
		if s.Part.SLS != "" {
			m.Set("sls", s.Part.SLS)
			m.Set("saltenv", s.Part.Env)
		}
		if len(s.Part.Via) > 0 {
			m.Set("included_by", strings.Join(s.Part.Via, " > "))
		}
		m.Set("value", s.Value)
		m.Set("effect", s.Effect)
		steps = append(steps, m)
	}
	out.Set("steps", steps)
	if !e.Found {
		out.Set("note", fmt.Sprintf("%s is not in the pillar of %s, which has %s", a.Key, a.Minion, e.Near(res.Pillar)))
	}
	if len(res.Errors) > 0 {
		errs := make([]any, len(res.Errors))
		for i, t := range res.Errors {
			errs[i] = res.Secrets.Text(t)
		}
		out.Set("errors", errs)
	}
	return showSecrets(ctx, res.Secrets, a.ShowSecrets, out), nil
}

type gitPillarUpdateArgs struct {
	Branch string `default:"None"` // Only remotes with this branch.
	Repo   string `default:"None"` // Only remotes with this address or name.
}

// gitPillarUpdate fetches the remotes of ext_pillar git now. Of each it tells True where
// there was something new, None where there was not, and False for an error, which the log
// tells. The master fetches by itself every git_pillar_update_interval seconds.
//
//	gosalt-run git_pillar.update
//	gosalt-run git_pillar.update branch=prod repo=https://example.org/pillar.git
func gitPillarUpdate(ctx context.Context, _ *module.Call, a gitPillarUpdateArgs) (any, error) {
	out, err := callOf(ctx).r.master.Pillars().UpdateGit(ctx, a.Branch, a.Repo)
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	return out, nil
}
