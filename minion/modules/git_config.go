package modules

import (
	"context"
	"fmt"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("git.config_get", gitConfigGet)
	register("git.config_get_regexp", gitConfigGetRegexp)
	alias("git.config_get_regex", "git.config_get_regexp")
	register("git.config_set", gitConfigSet)
	register("git.config_unset", gitConfigUnset)
}

// gitConfigWhere is which configuration is meant.
type gitConfigWhere struct {
	Cwd any `default:"None"` // Directory of the repository.
	gitUser
	Global bool `arg:"global,kw" default:"False"` // That of the user, and not that of a repository.
}

// command starts a command of git config.
func (w *gitConfigWhere) command(c *module.Call) (*gitCommand, error) {
	g := &gitCommand{args: []string{"config"}, who: w.gitUser}
	if w.Cwd == nil {
		if !w.Global {
			return nil, module.Invalidf("'cwd' argument required unless global=True")
		}
	} else {
		g.cwd = gitDir(c, w.Cwd, w.User)
	}
	return g, nil
}

func (w *gitConfigWhere) scope() string {
	if w.Global {
		return "--global"
	}
	return "--local"
}

// get runs one of the options of git config that return values; nil where there is none.
func (w *gitConfigWhere) get(ctx context.Context, c *module.Call, opt, key string, valueRegex any) (lines []string, there bool, err error) {
	g, err := w.command(c)
	if err != nil {
		return nil, false, err
	}
	g.args = append(g.args, w.scope(), opt, key)
	if valueRegex != nil {
		g.args = append(g.args, pytext.Str(valueRegex))
	}
	g.soft = true
	e, err := g.run(ctx, c)
	if err != nil || e.code == 1 {
		return nil, false, err
	}
	return pytext.SplitLines(e.out, false), true, nil
}

type gitConfigGetArgs struct {
	Key string // Name of the setting: user.name.
	gitConfigWhere
	All bool `arg:"all,kw" default:"False"` // All values, as a list.
}

// gitConfigGet returns a setting of a repository, or of the user: the last value, None
// where there is none.
//
//	gosalt '*' git.config_get user.name cwd=/path/to/repo
//	gosalt '*' git.config_get user.email global=True
//	gosalt '*' git.config_get core.gitproxy cwd=/path/to/repo all=True
func gitConfigGet(ctx context.Context, c *module.Call, a gitConfigGetArgs) (any, error) {
	lines, there, err := a.get(ctx, c, "--get-all", a.Key, nil)
	switch {
	case err != nil || !there:
		return nil, err
	case a.All:
		return anyList(lines), nil
	case len(lines) == 0:
		return "", nil
	}
	return lines[len(lines)-1], nil
}

type gitConfigGetRegexpArgs struct {
	Key        string // Regular expression for names.
	ValueRegex any    `default:"None"` // Regular expression for values.
	gitConfigWhere
}

// gitConfigGetRegexp returns settings by their names, each a list of its values.
//
//	gosalt '*' git.config_get_regexp 'core\.' cwd=/path/to/repo
func gitConfigGetRegexp(ctx context.Context, c *module.Call, a gitConfigGetRegexpArgs) (*wire.Map, error) {
	lines, _, err := a.get(ctx, c, "--get-regexp", a.Key, a.ValueRegex)
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap()
	for _, l := range lines {
		if k, v, ok := halves(l); ok {
			ret.Set(k, append(ret.List(k), v))
		}
	}
	return ret, nil
}

type gitConfigSetArgs struct {
	Key      string // Name of the setting: user.name.
	Value    any    `default:"None"` // Its value, in place of all that it has.
	Multivar any    `default:"None"` // Its values, where it has several: a list, or a text with commas.
	gitConfigWhere
	Add bool `arg:"add,kw" default:"False"` // Add the value to those that are there.
}

// gitConfigSet gives a setting its value and returns all values that it has.
//
//	gosalt '*' git.config_set user.email me@example.com cwd=/path/to/repo
//	gosalt '*' git.config_set user.email foo@bar.com global=True
func gitConfigSet(ctx context.Context, c *module.Call, a gitConfigSetArgs) (any, error) {
	if a.Value != nil && a.Multivar != nil {
		return nil, module.Invalidf("Only one of 'value' and 'multivar' is permitted")
	}
	if a.Value == nil && a.Multivar == nil {
		return nil, module.Invalidf("git.config_set of %s: one of 'value' and 'multivar' is needed", a.Key)
	}
	values, how := gitList(a.Multivar), "--replace-all"
	if a.Value != nil {
		values = []string{pytext.Str(a.Value)}
		if a.Add {
			how = "--add"
		}
	}
	for i, v := range values {
		g, err := a.command(c)
		if err != nil {
			return nil, err
		}
		if a.Global {
			g.args = append(g.args, "--global")
		}
		if i > 0 {
			how = "--add"
		}
		g.args = append(g.args, how, a.Key, v)
		if _, err := g.run(ctx, c); err != nil {
			return nil, err
		}
	}
	return gitConfigGet(ctx, c, gitConfigGetArgs{Key: a.Key, gitConfigWhere: a.gitConfigWhere, All: true})
}

type gitConfigUnsetArgs struct {
	Key        string // Name of the setting.
	ValueRegex any    `default:"None"` // Only values that fit this regular expression.
	gitConfigWhere
	All bool `arg:"all,kw" default:"False"` // All values, where there are several.
}

// gitConfigUnset takes a setting away.
//
//	gosalt '*' git.config_unset core.gitproxy cwd=/path/to/repo all=True
func gitConfigUnset(ctx context.Context, c *module.Call, a gitConfigUnsetArgs) (bool, error) {
	g, err := a.command(c)
	if err != nil {
		return false, err
	}
	if a.All {
		g.args = append(g.args, "--unset-all")
	} else {
		g.args = append(g.args, "--unset")
	}
	g.args = append(g.args, a.scope(), a.Key)
	if a.ValueRegex != nil {
		g.args = append(g.args, pytext.Str(a.ValueRegex))
	}
	g.soft = true
	e, err := g.run(ctx, c)
	if err != nil {
		return false, err
	}
	switch e.code {
	case 0:
		return true, nil
	case 1:
		return false, module.Failf("Section or key is invalid")
	case 5:
		where := a.gitConfigWhere
		v, err := gitConfigGet(ctx, c, gitConfigGetArgs{Key: a.Key, gitConfigWhere: where})
		if err != nil {
			return false, err
		}
		if v == nil {
			return false, module.Failf("Key '%s' does not exist", a.Key)
		}
		msg := fmt.Sprintf("Multiple values exist for key '%s'", a.Key)
		if a.ValueRegex != nil {
			msg += " and value_regex matches multiple values"
		}
		return false, module.Failf("%s", msg)
	case 6:
		return false, module.Failf("The value_regex is invalid")
	}
	msg := fmt.Sprintf("Failed to unset key '%s', git config returned exit code %d", a.Key, e.code)
	if e.err != "" {
		msg += "; " + e.err
	}
	return false, module.Failf("%s", msg)
}
