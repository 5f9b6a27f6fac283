package master

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/durable"
	"github.com/gosalt/gosalt/master/runners"
	"github.com/gosalt/gosalt/protocol/transport"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Salt's own programs (salt, salt-run, salt-cp, what uses its LocalClient) give orders
// over the request port, in the clear, and prove by a key file that they may. That is
// served with compat_root_key alone, and from this machine alone: the events that they
// wait for are on a socket here.

// saltClient answers an order of one of Salt's programs. The answer is packed as it is.
type saltClient func(m *Master, ctx context.Context, source string, load *wire.Map) any

var saltClients = map[string]saltClient{
	"publish":   (*Master).saltPublish,   // the root key, a token, or a login: what its rules allow
	"runner":    (*Master).saltRunner,    // likewise
	"wheel":     (*Master).saltWheel,     // likewise
	"mk_token":  (*Master).saltMakeToken, // a login
	"get_token": (*Master).saltGetToken,  // whoever has the token
}

// rootKeySize is the length in bytes of what the root key is made of.
const rootKeySize = 56

// makeRootKey writes the key file by which Salt's programs prove that they may do
// everything: a new one at each start, readable by the master's own user. One that is
// left over from a start with compat_root_key is removed without it.
func (m *Master) makeRootKey() error {
	name := "root"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	file := filepath.Join(m.cfg.CacheDir, "."+filepath.Base(name)+"_key")
	if !m.cfg.CompatRootKey {
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove the key of Salt's programs: %w", err)
		}
		return nil
	}
	b := make([]byte, rootKeySize)
	rand.Read(b)
	m.rootKey = base64.StdEncoding.EncodeToString(b)
	if err := durable.WriteFile(file, []byte(m.rootKey), 0o600); err != nil {
		return fmt.Errorf("compat_root_key: %w", err)
	}
	m.log.Warn("compat_root_key is on: who can read the key file may do everything on this master", "file", file)
	return nil
}

// isLocal tells whether an address is one of this machine.
func isLocal(a netip.Addr) bool {
	a = a.Unmap()
	if a.IsLoopback() {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	return err == nil && slices.ContainsFunc(addrs, func(x net.Addr) bool {
		n, ok := x.(*net.IPNet)
		if !ok {
			return false
		}
		b, ok := netip.AddrFromSlice(n.IP)
		return ok && b.Unmap() == a
	})
}

// servesSalt tells whether a peer may send orders of Salt's programs at all.
func (m *Master) servesSalt(a netip.Addr) bool { return m.cfg.CompatRootKey && isLocal(a) }

// saltRequest answers an order of Salt's programs; ok is false where the command is none.
func (m *Master) saltRequest(ctx context.Context, p transport.Peer, load *wire.Map) (answer []byte, ok bool) {
	do := saltClients[load.Text("cmd")]
	if do == nil || !m.servesSalt(p.Addr().Addr()) {
		return nil, false
	}
	v := do(m, ctx, p.Addr().Addr().String(), load)
	b, err := wire.Encode(v, wire.Network)
	if err != nil {
		m.log.Error("answer to one of Salt's programs cannot be packed", "cmd", load.Text("cmd"), "error", err)
		return badLoad, true
	}
	return b, true
}

// saltError is how Salt's master refuses.
func saltError(name, message string) *wire.Map {
	return wire.NewMap("error", wire.NewMap("name", name, "message", message))
}

// saltLogin says who gives an order. auth holds a token, or eauth with name and
// password; load, without these, the key and the user. kind is "token", "eauth" or "user".
func (m *Master) saltLogin(ctx context.Context, source string, load, auth *wire.Map) (who caller, kind string, err error) {
	kind = "user"
	switch {
	case auth.Has("token"):
		kind = "token"
	case auth.Has("eauth"):
		kind = "eauth"
	default:
		given, name := load.Text("key"), load.Text("user")
		own := caller{uid: os.Geteuid(), full: true}
		if u, err := user.Current(); err == nil {
			own.name = u.Username
		}
		known := name == "" || name == "root" || name == own.name || strings.HasPrefix(name, "sudo_")
		if !known || m.rootKey == "" || subtle.ConstantTimeCompare([]byte(given), []byte(m.rootKey)) != 1 {
			m.audit("login refused", "user", fmt.Sprintf("%.64s", name), "kind", "key", "from", source, "why", "not the key of this master's user")
			return who, kind, errors.New("wrong key")
		}
		own.user = name
		if name == "" {
			own.user = own.name
		}
		return own, kind, nil
	}
	who, err = m.login(ctx, caller{uid: -1, name: "nobody"}, credentials(auth, source))
	return who, kind, err
}

// saltPublish makes a job, as LocalClient asks for it.
func (m *Master) saltPublish(ctx context.Context, source string, load *wire.Map) any {
	extra := load.Map("kwargs")
	if extra == nil {
		extra = wire.NewMap()
	}
	who, kind, err := m.saltLogin(ctx, source, load, extra)
	if err != nil {
		m.log.Warn("one of Salt's programs could not log in", "kind", kind, "from", source, "error", err)
		return saltError("AuthenticationError", "Authentication error occurred.")
	}
	req := wire.NewMap("delimiter", extra.Text("delimiter"))
	for _, k := range []string{"tgt", "tgt_type", "fun", "arg", "ret"} {
		if v, ok := load.Get(k); ok {
			req.Set(k, v)
		}
	}
	for _, k := range []string{"metadata", "ret_config", "ret_kwargs", "module_executors", "executor_opts"} {
		if v, ok := extra.Get(k); ok {
			req.Set(k, v)
		}
	}
	tgt, _ := load.Get("tgt")
	none := func(ids []wire.MinionID) any {
		return wire.NewMap("enc", wire.EncClear, "load", wire.NewMap("jid", nil, "minions", texts(ids),
			"error", fmt.Sprintf("Master could not resolve minions for target %v", tgt)))
	}
	ids, missing, narrow, err := m.resolve(ctx, req)
	if err != nil {
		m.log.Warn("target of one of Salt's programs cannot be read", "user", who.user, "error", err)
		return none(nil)
	}
	job, err := jobOf(req)
	if err != nil {
		return saltError("SaltInvocationError", err.Error())
	}
	job.User = who.user
	if err := m.mayPublish(who, job, ids); err != nil {
		return saltError("AuthorizationError", "Authorization error occurred.")
	}
	m.audit("publish", "user", who.user, "uid", who.uid, "from", source, "fun", funName(job), "arg", withoutContent(job).Arg, "tgt", job.Tgt, "tgt_type", job.TgtType, "minions", len(ids))
	if len(ids) == 0 {
		return none(ids)
	}
	o := order{Job: job, Targets: ids, Missing: missing, Narrow: narrow, Salt: true}
	if text := load.Text("jid"); text != "" {
		if o.JID, err = wire.ParseJobID(text); err != nil {
			return wire.NewMap("enc", wire.EncClear, "load", wire.NewMap("error", "Master failed to assign jid"))
		}
	}
	live, _, err := m.publish(ctx, o)
	if err != nil {
		m.log.Error("job of one of Salt's programs", "user", who.user, "error", err)
		return saltError("SaltClientError", err.Error())
	}
	return wire.NewMap("enc", wire.EncClear, "load", wire.NewMap("jid", string(live.JID), "minions", texts(ids), "missing", texts(missing)))
}

// saltCall are the arguments of a runner or wheel function as Salt's programs send them:
// {arg: [...], kwarg: {...}}, or keywords alone.
func saltCall(low *wire.Map) []any {
	args, kwargs := []any{}, wire.NewMap()
	for k, v := range low.Strings() {
		switch {
		case k == "arg":
			if list, ok := v.([]any); ok {
				args = append(args, list...)
			}
		case k == "kwarg":
			if m, ok := v.(*wire.Map); ok {
				for k, v := range m.Strings() {
					kwargs.Set(k, v)
				}
			}
		case !strings.HasPrefix(k, "__"):
			kwargs.Set(k, v)
		}
	}
	if kwargs.Len() > 0 {
		kwargs.Set("__kwarg__", true)
		args = append(args, kwargs)
	}
	return args
}

// saltMaster says who calls a function of the master, and whether he may; the error is
// what Salt answers.
func (m *Master) saltMaster(ctx context.Context, source, form string, load *wire.Map, args []any) (who caller, refusal any) {
	names := map[string]string{"user": "UserAuthenticationError", "token": "TokenAuthenticationError", "eauth": "EauthAuthenticationError"}
	who, kind, err := m.saltLogin(ctx, source, load, load)
	if err != nil {
		text := fmt.Sprintf("Authentication failure of type %q occurred", kind)
		if kind == "eauth" {
			text += " for user " + load.Text("username")
		}
		return who, saltError(names[kind], text)
	}
	fun := load.Text("fun")
	if !who.full && !allowsSpecial(who.login.Rules, form, fun, args) {
		m.forbidden(who, form+" "+fun)
		return who, saltError(names[kind], fmt.Sprintf("Authentication failure of type %q occurred for user %s.", kind, who.user))
	}
	m.audit(form, "user", who.user, "uid", who.uid, "from", source, "fun", fun, "arg", args)
	return who, nil
}

// saltRunner starts a runner. What comes of it is told by events.
func (m *Master) saltRunner(ctx context.Context, source string, load *wire.Map) any {
	low := load.Map("kwarg")
	if low == nil {
		low = wire.NewMap()
	}
	args := saltCall(low)
	who, refusal := m.saltMaster(ctx, source, "runner", load, args)
	if refusal != nil {
		return refusal
	}
	res := m.runners.Start(m.ctx, runners.Request{Fun: load.Text("fun"), Args: args, User: who.user})
	return wire.NewMap("tag", "salt/run/"+string(res.JID), "jid", string(res.JID))
}

// saltWheel runs a wheel function and answers with its result.
func (m *Master) saltWheel(ctx context.Context, source string, load *wire.Map) any {
	low := wire.NewMap()
	for k, v := range load.Strings() {
		if !slices.Contains([]string{"cmd", "fun", "user", "key", "token", "eauth", "username", "password", "client"}, k) {
			low.Set(k, v)
		}
	}
	args := saltCall(low)
	who, refusal := m.saltMaster(ctx, source, "wheel", load, args)
	if refusal != nil {
		return refusal
	}
	fun := load.Text("fun")
	res := m.runners.RunWheel(ctx, runners.Request{Fun: fun, Args: args, User: who.user})
	tag := "salt/wheel/" + string(res.JID)
	return wire.NewMap("tag", tag, "data", wire.NewMap("fun", "wheel."+fun, "jid", string(res.JID), "tag", tag,
		"user", who.user, "return", res.Return, "success", res.Success))
}

// saltMakeToken keeps a token for a login with a password; "" where that fails.
func (m *Master) saltMakeToken(ctx context.Context, source string, load *wire.Map) any {
	if load.Text("eauth") == "" {
		return ""
	}
	load.Delete("token") // a token is given for a password only
	who, err := m.login(ctx, caller{uid: -1, name: "nobody"}, credentials(load, source))
	if err != nil {
		return ""
	}
	t, err := m.eauth.MakeToken(who.login, seconds(load, "token_expire"))
	if err != nil {
		return ""
	}
	m.audit("token made", "user", t.Name, "eauth", t.Backend, "from", source, "expires", strconv.FormatInt(t.Expire.Unix(), 10))
	return t.ToMap()
}

// saltGetToken tells whose a token is; an empty map where it is nobody's.
func (m *Master) saltGetToken(ctx context.Context, source string, load *wire.Map) any {
	if !load.Has("token") {
		return false
	}
	if !m.eauth.Enabled() {
		return wire.NewMap()
	}
	t, err := m.eauth.Token(load.Text("token"))
	if err != nil {
		return wire.NewMap()
	}
	return t.ToMap()
}
