package modules

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

// gitConfigCommon is which configuration is meant, and who changes it.
type gitConfigCommon struct {
	Repo           any       `default:"None"`                  // Directory of the repository.
	User           string    `default:"None"`                  // Who runs git.
	Password       string    `default:"None"`                  // Password of user, on Windows.
	OutputEncoding string    `default:"None"`                  // Encoding of what git prints.
	Global         bool      `arg:"global,kw" default:"False"` // The configuration of the user, and not that of a repository.
	Kwargs         *wire.Map `arg:"**"`                        // There are no others.
}

func (a *gitConfigCommon) check(ctx context.Context, c *states.Call) (*gitRepo, error) {
	g := &gitRepo{c, "", a.User, a.Password, a.OutputEncoding}
	if err := g.there(ctx); err != nil {
		return nil, err
	}
	if err := gitUnknown(a.Kwargs); err != nil {
		return nil, err
	}
	if !a.Global && !module.Truth(a.Repo) {
		return nil, module.Failf("Non-global config options require the 'repo' argument to be set")
	}
	return g, nil
}

// kw are the keywords of the functions git.config_*.
func (a *gitConfigCommon) kw(g *gitRepo, kv ...any) *wire.Map {
	kw := g.kw(kv...)
	kw.Set("global", a.Global)
	if a.Repo != nil {
		kw.Set("cwd", a.Repo)
	}
	return kw
}

// notYet is the outcome where the repository is to be made by an earlier state of the run.
func (a *gitConfigCommon) notYet(c *states.Call) error {
	repo, ok := a.Repo.(string)
	if a.Global || !ok || c.Host.IsDir(repo) {
		return nil
	}
	if id, _ := gitPromised(c, repo); id != "" {
		return notYet(repo, id)
	}
	return nil
}

// promises is the kind of those for this configuration.
func (a *gitConfigCommon) promises() string {
	if a.Global {
		return "git.config of " + a.User
	}
	return "git.config in " + filepath.Clean(pytext.Str(a.Repo))
}

// gitKey is the name of a setting as git lists it: what is before the first point and after
// the last is in small letters.
func gitKey(name string) string {
	first, last := strings.IndexByte(name, '.'), strings.LastIndexByte(name, '.')
	if first < 0 {
		return strings.ToLower(name)
	}
	return strings.ToLower(name[:first]) + name[first:last] + strings.ToLower(name[last:])
}

// foresee lays over settings what earlier states of the run are to make of those that fit
// an expression.
func (a *gitConfigUnsetArgs) foresee(c *states.Call, matches *wire.Map, key string, values any) *wire.Map {
	re, err := regexp.Compile(key)
	if err != nil {
		return matches // git has its own expressions
	}
	now := matches.Clone()
	if now == nil {
		now = wire.NewMap()
	}
	for p := range promised(c, a.promises()) {
		l, _ := p.value.([]any)
		switch {
		case !re.MatchString(p.what):
		case l == nil:
			now.Delete(p.what)
		case values == nil:
			now.Set(p.what, l)
		}
	}
	return now
}

type gitConfigSetArgs struct {
	Name     string // Name of the setting: user.name.
	Value    any    `default:"None"` // Its value.
	Multivar any    `default:"None"` // Its values, where it has several: a list, or a text with commas.
	gitConfigCommon
}

// gitConfigSet makes sure that a setting of git has a value, or values.
func gitConfigSet(ctx context.Context, c *states.Call, a gitConfigSetArgs) (*states.Plan, error) {
	if a.Value != nil && a.Multivar != nil {
		return nil, module.Failf("Only one of 'value' and 'multivar' is permitted")
	}
	g, err := a.check(ctx, c)
	if err != nil {
		return nil, err
	}
	if a.Value == nil && a.Multivar == nil {
		return nil, module.Failf("One of 'value' and 'multivar' is required")
	}
	desired, shown, given := []any{}, "", []any{"multivar"}
	if a.Value != nil {
		desired = args(pytext.Str(a.Value))
		shown, given = "'"+pytext.Str(a.Value)+"'", args("value", pytext.Str(a.Value))
	} else {
		if l, ok := a.Multivar.([]any); ok {
			for _, e := range l {
				desired = append(desired, pytext.Str(e))
			}
		} else {
			desired = anyList(strings.Split(pytext.Str(a.Multivar), ","))
		}
		shown, given = pytext.Repr(desired), args("multivar", desired)
	}
	if err := a.notYet(c); err != nil {
		return nil, err
	}
	var pre any
	if !userToCome(c, a.User) {
		if pre, err = c.Call.Call(ctx, "git.config_get", nil, a.kw(g, "key", a.Name, "all", true, "ignore_retcode", true)); err != nil {
			return nil, err
		}
	}
	for p := range promised(c, a.promises()) {
		if p.what == gitKey(a.Name) {
			pre = p.value
		}
	}
	promiseOf(c, a.promises(), gitKey(a.Name), any(desired))
	key, lower := "'"+a.Name+"'", "'"+a.Name+"'"
	if a.Global {
		key, lower = "Global key "+key, "global key "+key
	}
	if pytext.Equal(pre, desired) {
		return &states.Plan{Fine: key + " is already set to " + shown}, nil
	}
	how := "set to"
	if pre == nil {
		how = "added as"
	}
	p := &states.Plan{Would: fmt.Sprintf("%s would be %s %s", key, how, shown), Did: fmt.Sprintf("%s was %s %s", key, how, shown)}
	p.Do(wire.NewMap("old", pre, "new", desired), func(ctx context.Context, r *states.Result) error {
		post, err := c.Call.Call(ctx, "git.config_set", nil, a.kw(g, append(args("key", a.Name), given...)...))
		if err != nil {
			return module.Failf("Failed to set %s to %s: %s", lower, shown, gitWhy(err))
		}
		r.SetChanges(nil)
		if !pytext.Equal(pre, post) {
			r.Change(a.Name, change(pre, post))
		}
		if !pytext.Equal(post, desired) {
			return module.Failf("Failed to set %s to %s", lower, shown)
		}
		return nil
	})
	return p, nil
}

type gitConfigUnsetArgs struct {
	Name       string // Name of the setting, or a regular expression for names.
	ValueRegex any    `default:"None"` // Only values that fit this regular expression.
	gitConfigCommon
	All bool `arg:"all,kw" default:"False"` // All values, where there are several.
}

// gitConfigUnset makes sure that a setting of git has no value.
func gitConfigUnset(ctx context.Context, c *states.Call, a gitConfigUnsetArgs) (*states.Plan, error) {
	g, err := a.check(ctx, c)
	if err != nil {
		return nil, err
	}
	var values any
	if a.ValueRegex != nil {
		values = pytext.Str(a.ValueRegex)
	}
	key := "^" + strings.TrimRight(strings.TrimLeft(a.Name, "^"), "$") + "$"
	if err := a.notYet(c); err != nil {
		return nil, err
	}
	have := func(ctx context.Context, values any) (*wire.Map, error) {
		v, err := c.Call.Call(ctx, "git.config_get_regexp", nil, a.kw(g, "key", key, "value_regex", values, "ignore_retcode", true))
		m, _ := v.(*wire.Map)
		return m, err
	}
	matches := wire.NewMap()
	if !userToCome(c, a.User) {
		if matches, err = have(ctx, values); err != nil {
			return nil, err
		}
	}
	matches = a.foresee(c, matches, key, values)
	if matches.Len() == 0 {
		return &states.Plan{Fine: "No matching keys are set"}, nil
	}
	shown := func(m *wire.Map, least int) string {
		var out []string
		for k := range m.Strings() {
			if l := m.List(k); len(l) >= least {
				out = append(out, fmt.Sprintf("%s (%s)", k, strings.Join(optionList(l), ", ")))
			}
		}
		return strings.Join(out, "; ")
	}
	if several := shown(matches, 2); several != "" && !a.All {
		if values != nil {
			return nil, module.Failf("Multiple values are matched by value_regex for the following keys (set 'all' to True to force removal): %s", several)
		}
		return nil, module.Failf("Multivar(s) matched by the key expression (set 'all' to True to force removal): %s", several)
	}
	for k := range matches.Strings() {
		promiseOf(c, a.promises(), gitKey(k), nil)
	}
	p := &states.Plan{Would: fmt.Sprintf("%d key(s) would have value(s) unset", matches.Len()), Did: "Value(s) successfully unset"}
	p.Do(matches, func(ctx context.Context, r *states.Result) error {
		r.SetChanges(nil)
		pre, err := have(ctx, nil)
		if err != nil {
			return err
		}
		var failed []string
		for k := range matches.Strings() {
			kw := a.kw(g, "key", k, "value_regex", values, "all", a.All)
			if _, err := c.Call.Call(ctx, "git.config_unset", nil, kw); err != nil {
				c.Log.Error("setting of git not unset", "key", k, "error", gitWhy(err))
				failed = append(failed, k)
			}
		}
		if failed != nil {
			return module.Failf("Error(s) occurred unsetting values for the following keys (see the minion log for details): %s", strings.Join(failed, ", "))
		}
		post, err := have(ctx, nil)
		if err != nil {
			return err
		}
		for k := range pre.Strings() {
			left := optionList(post.List(k))
			var gone []any
			for _, v := range pre.List(k) {
				if !contains(left, pytext.Str(v)) {
					gone = append(gone, v)
				}
			}
			if gone != nil {
				r.Change(k, gone)
			}
		}
		still, err := have(ctx, values)
		if err == nil && still.Len() > 0 {
			return module.Failf("Failed to unset value(s): %s", shown(still, 0))
		}
		return err
	})
	return p, nil
}
