package master

import (
	"context"

	"github.com/gosalt/gosalt/master/runners"
	"github.com/gosalt/gosalt/protocol/control"
	"github.com/gosalt/gosalt/protocol/wire"
)

// controlWheel runs a wheel function: for who may do everything, or logged in with a rule
// that allows it.
func (m *Master) controlWheel(ctx context.Context, who caller, req *wire.Map, send func(*wire.Map) error) error {
	fun := req.Text("fun")
	if !who.full && !(who.login != nil && allowsSpecial(who.login.Rules, "wheel", fun, req.List("arg"))) {
		return m.forbidden(who, "wheel "+fun)
	}
	q := runners.Request{Fun: fun, Args: req.List("arg"), User: who.user}
	m.audit("wheel", "user", who.user, "uid", who.uid, "fun", fun, "arg", q.Args)
	res := m.runners.RunWheel(ctx, q)
	return send(wire.NewMap("kind", control.KindResult, "return", res.Return, "success", res.Success, "known", res.Known,
		"retcode", int64(res.Retcode), "error", res.Err, "jid", string(res.JID), "out", res.Out))
}
