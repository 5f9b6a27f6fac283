package modules

import (
	"context"
	"os"
	"strings"
	"sync"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("environ.get", environGet)
	register("environ.has_value", environHasValue)
	register("environ.item", environItem)
	register("environ.items", environItems)
	register("environ.setval", environSetval)
	register("environ.setenv", environSetenv)
}

// environKey is where a job keeps the environment that it has changed.
const environKey = "environ"

// environMu orders changes to the environments of jobs.
var environMu sync.Mutex

// environ is the environment of this job: that of the minion, with what the job has
// set or removed. Jobs share one process, so a job that changed the minion's own
// would change it for all others; in Salt, too, it ends with the job.
func environ(c *module.Call) *wire.Map {
	if env, ok := c.Context(environKey).(*wire.Map); ok {
		return env
	}
	env := wire.NewMap()
	for _, e := range os.Environ() {
		if k, v, ok := strings.Cut(e, "="); ok && k != "" {
			env.Set(k, v)
		}
	}
	return env
}

// changeEnviron gives the job a changed environment.
func changeEnviron(c *module.Call, change func(env *wire.Map)) {
	environMu.Lock()
	defer environMu.Unlock()
	env := environ(c).Clone()
	change(env)
	c.SetContext(environKey, env)
}

type environGetArgs struct {
	Key     any // Name of the variable.
	Default any `default:""` // What is returned where it is not set.
}

// environGet returns an environment variable.
//
//	gosalt '*' environ.get HOME
//	gosalt '*' environ.get foo default=bar
func environGet(ctx context.Context, c *module.Call, a environGetArgs) (any, error) {
	key, ok := a.Key.(string)
	if !ok {
		return false, nil
	}
	if v, ok := environ(c).Get(key); ok {
		return v, nil
	}
	return a.Default, nil
}

type environHasValueArgs struct {
	Key   any // Name of the variable.
	Value any `default:"None"` // What its value must be; None for any.
}

// environHasValue tells whether an environment variable is set, and to that value
// where one is given.
//
//	gosalt '*' environ.has_value foo
func environHasValue(ctx context.Context, c *module.Call, a environHasValueArgs) (bool, error) {
	key, _ := a.Key.(string)
	v, ok := environ(c).Get(key)
	return ok && (a.Value == nil || pytext.Equal(v, a.Value)), nil
}

type environItemArgs struct {
	Keys    any // Name of a variable, or a list of names.
	Default any `default:""` // What stands for those that are not set.
}

// environItem returns environment variables by their names.
//
//	gosalt '*' environ.item foo
//	gosalt '*' environ.item '[foo, baz]' default=None
func environItem(ctx context.Context, c *module.Call, a environItemArgs) (*wire.Map, error) {
	var keys []any
	switch k := a.Keys.(type) {
	case string:
		keys = []any{k}
	case []any:
		keys = k
	}
	ret, env := wire.NewMap(), environ(c)
	for _, k := range keys {
		v, ok := env.Get(pytext.Str(k))
		if !ok {
			v = a.Default
		}
		ret.SetAny(k, v)
	}
	return ret, nil
}

// environItems returns all environment variables.
//
//	gosalt '*' environ.items
func environItems(ctx context.Context, c *module.Call, a noArgs) (*wire.Map, error) {
	return environ(c), nil
}

type environSetvalArgs struct {
	Key         any  // Name of the variable.
	Val         any  // Its value, a text; False empties it.
	FalseUnsets bool `default:"False"` // With the value False, remove the variable.
	Permanent   any  `default:"False"` // On Windows, set it in the registry too: True for the user, HKLM for the machine.
}

// environSetval sets an environment variable for the rest of this job and returns its
// value; False where name or value cannot be one.
//
//	gosalt '*' environ.setval foo bar
//	gosalt '*' environ.setval baz val=False false_unsets=True
func environSetval(ctx context.Context, c *module.Call, a environSetvalArgs) (any, error) {
	key, ok := a.Key.(string)
	if !ok || key == "" || strings.ContainsAny(key, "=\x00") {
		return false, nil
	}
	val := a.Val
	remove := val == false && a.FalseUnsets
	if val == false {
		val = ""
	}
	text, ok := val.(string)
	if !ok || strings.Contains(text, "\x00") {
		return false, nil
	}
	if module.Truth(a.Permanent) {
		if err := permanentEnviron(key, text, remove, a.Permanent == "HKLM"); err != nil {
			c.Log.Error("environment variable not set in the registry", "name", key, "error", err)
			return false, nil
		}
	}
	if remove {
		changeEnviron(c, func(env *wire.Map) { env.Delete(key) })
		return nil, nil
	}
	changeEnviron(c, func(env *wire.Map) { env.Set(key, text) })
	return text, nil
}

type environSetenvArgs struct {
	Environ      any  // Variables and their values, a map; False empties a variable.
	FalseUnsets  bool `default:"False"` // Remove the variables whose value is False.
	ClearAll     bool `default:"False"` // Do to all other variables as if their value were False.
	UpdateMinion bool `default:"False"` // Change the minion's own environment, for all jobs to come.
	Permanent    any  `default:"False"` // On Windows, set them in the registry too: True for the user, HKLM for the machine.
}

// environSetenv sets environment variables for the rest of this job and returns what
// became of each; False at the first value that is neither a text nor False.
//
//	gosalt '*' environ.setenv '{"foo": "bar", "baz": "quux"}'
//	gosalt '*' environ.setenv '{"a": "b", "c": False}' false_unsets=True
func environSetenv(ctx context.Context, c *module.Call, a environSetenvArgs) (any, error) {
	vars, ok := a.Environ.(*wire.Map)
	if !ok {
		return false, nil
	}
	ret := wire.NewMap()
	set := func(key, val any) error {
		v, err := environSetval(ctx, c, environSetvalArgs{Key: key, Val: val, FalseUnsets: a.FalseUnsets, Permanent: a.Permanent})
		ret.SetAny(key, v)
		return err
	}
	if a.ClearAll {
		for key := range environ(c).Strings() {
			if !vars.Has(key) {
				if err := set(key, false); err != nil {
					return nil, err
				}
			}
		}
	}
	for key, val := range vars.All() {
		if _, ok := val.(string); !ok && val != false {
			return false, nil
		}
		if err := set(key, val); err != nil {
			return nil, err
		}
	}
	if a.UpdateMinion {
		return ret, updateEnviron(ret)
	}
	return ret, nil
}

// updateEnviron carries what was set over to the minion itself.
func updateEnviron(set *wire.Map) error {
	for key, v := range set.Strings() {
		var err error
		switch v := v.(type) {
		case nil:
			err = os.Unsetenv(key)
		case string:
			err = os.Setenv(key, v)
		}
		if err != nil {
			return module.Failf("change the minion's environment: %s: %w", key, err)
		}
	}
	return nil
}
