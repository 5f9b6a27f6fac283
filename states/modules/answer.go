package modules

import (
	"context"
	"errors"
	"os"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

// dry is a call whose functions change nothing, for those that heed the option test.
func dry(c *states.Call) *module.Call { return withTest(c, true) }

// wet is a call whose functions do what they are asked for.
func wet(c *states.Call) *module.Call { return withTest(c, false) }

func withTest(c *states.Call, test bool) *module.Call {
	if c.Opts.Bool("test") == test {
		return c.Call
	}
	next := *c.Call
	next.Opts = c.Opts.Clone()
	if next.Opts == nil {
		next.Opts = wire.NewMap()
	}
	next.Opts.Set("test", test)
	return &next
}

// answered takes the result of an execution function, which is that of a state, for a step's.
func answered(r *states.Result, ret *wire.Map) {
	r.SetChanges(ret.Map("changes"))
	r.Result = get(ret, "result")
	r.Comment = commentText(ret)
}

func commentText(ret *wire.Map) string {
	if s, ok := get(ret, "comment").(string); ok {
		return s
	}
	text := ""
	for i, l := range ret.List("comment") {
		if i > 0 {
			text += "\n"
		}
		text += pytext.Str(l)
	}
	return text
}

// retold is the plan of what an execution function would do: probe asks it, real has it
// done. fine is the comment where nothing is to be done, "" for that of the function.
func retold(probe *wire.Map, fine string, real func(ctx context.Context) (*wire.Map, error)) *states.Plan {
	if probe.Map("changes").Len() == 0 {
		if fine == "" {
			fine = commentText(probe)
		}
		return states.Decided(get(probe, "result"), nil, fine)
	}
	p := &states.Plan{Would: commentText(probe)}
	p.Do(probe.Map("changes"), func(ctx context.Context, r *states.Result) error {
		ret, err := real(ctx)
		if err == nil {
			answered(r, ret)
		}
		return err
	})
	return p
}

// text calls an execution function that returns a text.
func text(ctx context.Context, c *states.Call, fun string, a ...any) (string, error) {
	v, err := c.Call.Call(ctx, fun, a, nil)
	s, _ := v.(string)
	return s, err
}

// truth calls an execution function that tells whether something is so.
func truth(ctx context.Context, c *states.Call, fun string, a ...any) (bool, error) {
	v, err := c.Call.Call(ctx, fun, a, nil)
	return module.Truth(v), err
}

// mapOf calls an execution function that returns a map.
func mapOf(ctx context.Context, c *states.Call, fun string, a ...any) (*wire.Map, error) {
	v, err := c.Call.Call(ctx, fun, a, nil)
	m, _ := v.(*wire.Map)
	return m, err
}

var variable = lazyre.New(`\$(\w+|\{[^}]*\})`)

// expandVars puts environment variables in their places; those that are not set stay.
func expandVars(s string) string {
	return variable.ReplaceAllStringFunc(s, func(v string) string {
		name := v[1:]
		if name[0] == '{' {
			name = name[1 : len(name)-1]
		}
		if value, ok := os.LookupEnv(name); ok {
			return value
		}
		return v
	})
}

// minionUser is the user that the minion runs as: what files get that name none.
func minionUser(c *states.Call) string {
	if u := c.Opts.Text("user"); u != "" {
		return u
	}
	if os.Geteuid() <= 0 {
		return "root"
	}
	return c.Host.UserName(os.Geteuid())
}

// primaryGroup is the name of a user's own group, root's where there is no such user.
func primaryGroup(c *states.Call, user any) any {
	gid := 0
	if n, ok := user.(int64); ok {
		user = c.Host.UserName(int(n))
	}
	if u, err := c.Host.User(pytext.Str(user)); err == nil {
		gid = u.GID
	}
	return c.Host.GroupName(gid)
}

// ownerArg is user, or the argument owner that people mean by it.
func ownerArg(c *states.Call, user any, kwargs *wire.Map) any {
	if !module.Truth(user) && kwargs.Has("owner") {
		c.Log.Warn("the argument owner is called user", "state", c.Low.Text("state")+"."+c.Low.Text("fun"))
		return get(kwargs, "owner")
	}
	return user
}

// message is what an error of an execution function says.
func message(err error) string {
	var e *module.Error
	if errors.As(err, &e) {
		return e.Msg
	}
	return err.Error()
}
