package master

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/master/eauth"
	"github.com/gosalt/gosalt/master/keys"
	"github.com/gosalt/gosalt/protocol/control"
	"github.com/gosalt/gosalt/protocol/wire"
)

// openEauth makes what external_auth asks for.
func (m *Master) openEauth() (err error) {
	if m.cfg.ExternalAuth.Len() == 0 {
		return nil
	}
	m.eauth, err = eauth.New(eauth.Config{External: m.cfg.ExternalAuth, TokenDir: m.cfg.TokenDir, TokenExpire: m.cfg.TokenExpire,
		ExpireOverride: m.cfg.TokenExpireUserOverride, KeepACL: m.cfg.KeepACLInToken, ACLModule: m.cfg.EauthACLModule, Permissive: m.cfg.PermissiveACL,
		SharedSecret: m.cfg.SharedSecret.Reveal(), PAMService: m.cfg.AuthPAMService, Match: matches, Log: m.log})
	return err
}

// credentials are those of a request's field eauth.
func credentials(v *wire.Map, source string) eauth.Credentials {
	return eauth.Credentials{Token: v.Text("token"), Backend: v.Text("eauth"), User: v.Text("username"), Password: v.Text("password"), Source: source}
}

// controlLogin makes of a caller who logs in the one he says that he is. The token
// that a user's file holds is passed over where he may do everything anyway.
func (m *Master) controlLogin(ctx context.Context, who caller, req *wire.Map) (caller, error) {
	v := req.Map("eauth")
	if v == nil || v.Bool("kept") && who.full {
		return who, nil
	}
	return m.login(ctx, who, credentials(v, fmt.Sprintf("uid %d", who.uid)))
}

// login proves who somebody is, and notes it.
func (m *Master) login(ctx context.Context, who caller, c eauth.Credentials) (caller, error) {
	kind, user := "eauth", c.User
	if c.Token != "" {
		kind, user = "token", who.name
	}
	refuse := func(why string) error {
		m.audit("login refused", "user", user, "eauth", c.Backend, "kind", kind, "from", c.Source, "why", why)
		msg := fmt.Sprintf("Authentication failure of type %q occurred", kind)
		if kind == "eauth" {
			msg += " for user " + user
		}
		return &wire.Error{Kind: wire.Unauthorized, Op: "login", Msg: msg + "."}
	}
	if !m.eauth.Enabled() {
		return who, refuse("external_auth is not configured")
	}
	id, err := m.eauth.Login(ctx, c)
	var wait *eauth.Wait
	switch {
	case errors.As(err, &wait):
		err := refuse(wait.Error()).(*wire.Error)
		err.Kind, err.Msg = wire.Busy, strings.TrimSuffix(err.Msg, ".")+": "+wait.Error()
		return who, err
	case errors.Is(err, eauth.ErrDenied):
		return who, refuse("wrong name, password or token")
	case err != nil:
		return who, err
	}
	m.audit("login", "user", id.Name, "eauth", id.Backend, "kind", kind, "from", c.Source)
	return caller{uid: who.uid, name: id.Name, user: id.Name, login: id, from: c.Source}, nil
}

// controlToken keeps a token for who has logged in with a password.
func (m *Master) controlToken(who caller, req *wire.Map, send func(*wire.Map) error) error {
	if who.login == nil {
		return &wire.Error{Kind: wire.Unauthorized, Op: "token", Msg: "log in to get a token: --auth is missing"}
	}
	t, err := m.eauth.MakeToken(who.login, seconds(req, "token_expire"))
	if errors.Is(err, eauth.ErrDenied) {
		return &wire.Error{Kind: wire.Unauthorized, Op: "token", Msg: "a token is given for a password only"}
	}
	if err != nil {
		return err
	}
	m.audit("token made", "user", t.Name, "eauth", t.Backend, "from", who.from, "expires", t.Expire.UTC().Format(time.RFC3339))
	return send(wire.NewMap("kind", control.KindResult, "return", t.ToMap()))
}

// allowsSpecial tells whether rules permit a runner or wheel function: "@runner" (or
// "@runners", "@wheel", "@wheels") permits all, "@jobs" those of one module, and
// {"@runner": ["jobs.list_jobs"]} or {"@jobs": ["list_jobs"]} some, with conditions on
// their arguments as for functions of minions.
func allowsSpecial(rules []any, form, fun string, args []any) bool {
	module, name, ok := strings.Cut(fun, ".")
	if !ok || strings.Contains(name, ".") {
		return false
	}
	for _, r := range rules {
		switch r := r.(type) {
		case string:
			if r == "@"+form || r == "@"+form+"s" || r == "@"+module {
				return true
			}
		case *wire.Map:
			if r.Len() != 1 {
				continue
			}
			for what, funs := range r.Strings() {
				if what == "@"+module && allowsCall(funs, wire.Call{Fun: name, Args: args}) ||
					(what == "@"+form || what == "@"+form+"s") && allowsCall(funs, wire.Call{Fun: fun, Args: args}) {
					return true
				}
			}
		}
	}
	return false
}

// controlKey does one step of gosalt-key for who has logged in. Each step is the wheel
// function whose rules allow it.
func (m *Master) controlKey(who caller, req *wire.Map, send func(*wire.Map) error) error {
	do, state, to := req.Text("do"), keys.State(req.Text("state")), keys.State(req.Text("to"))
	fun := map[string]string{"list": "key.list_all", "read": "key.finger", "delete": "key.delete", "rotate": "key.delete", "forget": "key.delete"}[do]
	if do == "move" {
		fun = map[keys.State]string{keys.Accepted: "key.accept", keys.Rejected: "key.reject"}[to]
	}
	if fun == "" {
		return &wire.Error{Kind: wire.Unknown, Op: "key", Msg: fmt.Sprintf("the master does not know the step %.40q", do)}
	}
	var args []any
	id := wire.MinionID(req.Text("id"))
	if id != "" {
		var err error
		if id, err = wire.ParseMinionID(string(id)); err != nil {
			return &wire.Error{Kind: wire.Malformed, Op: "key", Msg: err.Error()}
		}
		args = []any{string(id)}
	}
	if !who.full && !(who.login != nil && allowsSpecial(who.login.Rules, "wheel", fun, args)) {
		return m.forbidden(who, "wheel "+fun)
	}
	var answer any = true
	var err error
	switch do {
	case "list":
		var ids []wire.MinionID
		ids, err = m.keys.List(state)
		answer = texts(ids)
	case "read":
		answer, err = m.keys.Read(state, id)
	case "move":
		err = m.keys.Move(id, state, to)
	case "delete":
		err = m.keys.Delete(state, id)
	case "rotate":
		err = m.keys.RotateAES()
	case "forget":
		err = m.forgetKeyless(req.List("keep"))
	}
	if do != "list" && do != "read" {
		m.audit("wheel", "user", who.user, "fun", fun, "minion", string(id), "from", who.from, "result", err == nil)
		m.keysChanged()
	}
	if errors.Is(err, keys.ErrUnknown) {
		return &wire.Error{Kind: wire.Unknown, Op: "key", Msg: err.Error()}
	}
	if err != nil {
		return err
	}
	return send(wire.NewMap("kind", control.KindResult, "return", answer))
}

// forgetKeyless drops what is stored of minions without a key, those of keep apart.
func (m *Master) forgetKeyless(keep []any) error {
	has := map[wire.MinionID]bool{}
	for _, id := range keep {
		has[wire.MinionID(pytext.Str(id))] = true
	}
	for _, st := range keys.States {
		ids, err := m.keys.List(st)
		if err != nil {
			return err
		}
		for _, id := range ids {
			has[id] = true
		}
	}
	var gone []wire.MinionID
	for d, err := range m.store.AllMinionData(m.ctx) {
		if err != nil {
			return err
		}
		if !has[d.ID] {
			gone = append(gone, d.ID)
		}
	}
	for _, id := range gone {
		if err := m.store.ForgetMinion(m.ctx, id); err != nil {
			return err
		}
	}
	return nil
}
