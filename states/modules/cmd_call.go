package modules

import (
	"context"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

type cmdCallArgs struct {
	Name   string    // Anything.
	Func   string    // Name of an execution function. In Salt it is a function of Python, which only renderers in Python can give.
	Args   []any     `default:"None"`    // Its arguments.
	Kws    *wire.Map `default:"None"`    // Its keywords.
	Kwargs *wire.Map `arg:"**" read:"-"` // Not looked at.
}

// cmdCall calls an execution function. A map that it returns is taken for the result of the
// state; anything else is told as a change, and decides the result: None is a success.
func cmdCall(ctx context.Context, c *states.Call, a cmdCallArgs) (*states.Plan, error) {
	if !c.Functions().Has(a.Func) {
		return nil, module.Failf("func: %s", c.Functions().Missing(a.Func))
	}
	p := &states.Plan{Would: "Function " + a.Func + " would have been called"}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		v, err := c.Call.Call(ctx, a.Func, a.Args, a.Kws)
		if err != nil {
			return err
		}
		m, ok := v.(*wire.Map)
		if !ok {
			r.Change("retval", v)
			r.Result = v == nil || module.Truth(v)
			r.Comment, _ = v.(string)
			return nil
		}
		r.Result, r.Comment = false, m.Text("comment")
		if res, ok := m.Get("result"); ok {
			r.Result = res
		}
		r.SetChanges(m.Map("changes"))
		for k, v := range m.Strings() {
			if k != "result" && k != "comment" && k != "changes" {
				r.Set(k, v)
			}
		}
		return nil
	})
	return p, nil
}

// cmdWaitCall calls a function when something that it watches has changed, and only then.
func cmdWaitCall(context.Context, *states.Call, cmdCallArgs) (*states.Plan, error) {
	return &states.Plan{}, nil
}
