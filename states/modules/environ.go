package modules

import (
	"context"
	"runtime"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() { register("environ.setenv", environSetenv) }

type environSetenvArgs struct {
	Name         string // Name of the variable, where value is a text or False.
	Value        any    // Its value; or a map of names and values.
	FalseUnsets  bool   `default:"False"` // A value of False removes the variable, where otherwise it becomes empty.
	ClearAll     bool   `default:"False"` // Do the same to all variables that are not named.
	UpdateMinion bool   `default:"False"` // Change the environment of the minion, where otherwise only this run has it.
	Permanent    any    `default:"False"` // On Windows: keep it in the registry.
}

// environSetenv sets environment variables for the commands of the states that follow.
func environSetenv(ctx context.Context, c *states.Call, a environSetenvArgs) (*states.Plan, error) {
	want := wire.NewMap()
	switch v := a.Value.(type) {
	case *wire.Map:
		want = v
	case string:
		want.Set(a.Name, v)
	default:
		if v != false {
			return nil, module.Failf("Environ value must be string, dict or False")
		}
		want.Set(a.Name, v)
	}
	out, err := c.Call.Call(ctx, "environ.items", nil, nil)
	if err != nil {
		return nil, err
	}
	env, _ := out.(*wire.Map)
	changes := wire.NewMap()
	unset := func(k string) {
		if a.FalseUnsets {
			changes.Set(k, nil)
		} else {
			changes.Set(k, "")
		}
	}
	if a.ClearAll {
		for k := range env.Strings() {
			if !want.Has(k) {
				unset(k)
			}
		}
	}
	for k, v := range want.Strings() {
		name := k
		if runtime.GOOS == "windows" {
			name = strings.ToUpper(k)
		}
		now, there := env.Get(name)
		switch {
		case v == false && !there && !a.FalseUnsets:
			changes.Set(k, "")
		case v == false && there && (a.FalseUnsets || now != ""):
			unset(k)
		case v == false:
		case !pytext.Equal(env.Text(name), v):
			changes.Set(k, v)
		}
	}
	p := &states.Plan{Fine: "Environ values were already set with the correct values", Would: "Environ values will be changed", Did: "Environ values were set"}
	if c.Test {
		p.Fine = "Environ values are already set with the correct values"
	}
	if changes.Len() == 0 {
		return p, nil
	}
	for _, v := range want.Strings() {
		if _, ok := v.(string); c.Test && !ok && v != false { // what environ.setenv refuses
			return states.Decided(false, changes, "Failed to set environ variables"), nil
		}
	}
	p.Do(changes, func(ctx context.Context, r *states.Result) error {
		out, err := c.Call.Call(ctx, "environ.setenv", args(want, a.FalseUnsets, a.ClearAll, a.UpdateMinion, a.Permanent), nil)
		if err != nil {
			return err
		}
		if !module.Truth(out) {
			r.SetChanges(changes)
			r.Result, r.Comment = false, "Failed to set environ variables"
			return nil
		}
		m, _ := out.(*wire.Map)
		r.SetChanges(m)
		return nil
	})
	return p, nil
}
