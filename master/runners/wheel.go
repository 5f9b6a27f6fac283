package runners

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/master/events"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Wheel functions change the master itself, its keys above all. They are another
// registry than the runners, as in Salt: who may call the one may not call the other.

// newWheel makes the registry of wheel functions.
func newWheel() *module.Registry {
	w := module.NewRegistry()
	w.Sources("github.com/gosalt/gosalt/master/runners", sources)
	registerWheelKey(w)
	module.Register(w, "config.values", wheelConfigValues)
	module.Register(w, "minions.connected", wheelMinionsConnected)
	module.Register(w, "error.error", errorError)
	w.Planned("Make key pairs with gosalt-key --gen-keys.", "key.gen_keys")
	w.Planned("Sign the master's key with gosalt-key --gen-signature.", "key.gen_signature")
	w.Planned("It would write the whole configuration anew, without its comments: use config.update_config, which makes a file of its own.", "config.apply")
	registerWheelRoots(w)
	return w
}

// Wheel is the wheel functions, for their documentation.
func (r *Runners) Wheel() *module.Registry { return r.wheel }

// RunWheel runs a wheel function and fires its events, salt/wheel/<jid>/new and /ret.
// Nothing of it is kept.
func (r *Runners) RunWheel(ctx context.Context, q Request) Result {
	if q.JID == "" {
		q.JID = wire.NewJobID(time.Now())
	}
	known := r.wheel.Has(q.Fun)
	tag := "salt/wheel/" + string(q.JID)
	data := wire.NewMap("fun", "wheel."+q.Fun, "jid", string(q.JID), "tag", tag, "user", q.User)
	if known {
		r.bus.Publish(events.WheelNew(q.JID), data)
	}
	ctx = context.WithValue(ctx, callKey{}, &call{r: r, jid: q.JID, user: q.User, timeout: q.Timeout})
	ran := r.wheel.Run(ctx, &module.Call{Log: r.log.With("jid", q.JID)}, q.Fun, q.Args, nil)
	out := Result{JID: q.JID, Return: ran.Return, Known: known, Success: ran.Err == nil}
	if ran.Err != nil {
		out.Err, out.Retcode = ran.Err.Error(), 1
		out.Return = "Exception occurred in wheel " + q.Fun + ": " + out.Err
		var e *module.Error
		if errors.As(ran.Err, &e) && e.Kind == module.NotAvailable {
			out.Return = out.Err
		}
	}
	ended := data.Clone()
	ended.Set("return", shownReturn(q.Fun, out.Return))
	ended.Set("success", out.Success)
	r.bus.Publish(events.WheelReturn(q.JID), ended)
	return out
}

// shownReturn is a result as its event has it: private keys go to who asked alone.
func shownReturn(fun string, v any) any {
	m, ok := v.(*wire.Map)
	if !ok || !strings.HasPrefix(fun, "key.gen") {
		return v
	}
	m = m.Clone()
	if m.Has("priv") {
		m.Set("priv", "**********")
	}
	return m
}

type saltWheelArgs struct {
	Fun    string    // The wheel function: "key.list_all".
	Args   []any     `arg:"*"`  // Its arguments.
	Kwargs *wire.Map `arg:"**"` // Its keywords.
}

// saltWheel runs a wheel function: one that changes the master itself. It is not in
// Salt, whose wheel functions can be reached by programs only.
//
//	gosalt-run salt.wheel key.list_all
//	gosalt-run salt.wheel key.accept web1
func saltWheel(ctx context.Context, _ *module.Call, a saltWheelArgs) (any, error) {
	own := callOf(ctx)
	args := a.Args
	if kw := withoutPub(a.Kwargs); kw.Len() > 0 {
		kw.Set("__kwarg__", true)
		args = append(args[:len(args):len(args)], kw)
	}
	res := own.r.RunWheel(ctx, Request{Fun: a.Fun, Args: args, User: own.user})
	if res.Err != "" {
		return nil, module.Failf("%s", res.Err)
	}
	return res.Return, nil
}

// wheelConfigValues returns the master's configuration. Secrets are hidden.
//
//	gosalt-run salt.wheel config.values
func wheelConfigValues(ctx context.Context, _ *module.Call, _ noArgs) (*wire.Map, error) {
	return callOf(ctx).r.master.Opts(), nil
}

// wheelMinionsConnected lists the minions that are connected to the master.
//
//	gosalt-run salt.wheel minions.connected
func wheelMinionsConnected(ctx context.Context, c *module.Call, _ noArgs) (any, error) {
	return managePresent(ctx, c, managePresenceArgs{})
}
