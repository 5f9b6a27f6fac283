package master

import (
	"fmt"
	"os/user"
	"regexp"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/protocol/wire"
)

// mayPublish decides whether a user may run these functions on these minions. The
// superuser and the master's own user may; publisher_acl says what others may, by
// user or %group; publisher_acl_blacklist takes away from either list.
//
//	publisher_acl:
//	  anna:                # a user, a glob of users, or %group
//	    - test.*           # on all minions
//	    - 'web*':          # on these minions (a target as with -C)
//	      - cmd.run:       # with these arguments
//	          args: ['uptime']
func (m *Master) mayPublish(who caller, job *wire.Job, ids []wire.MinionID) error {
	for _, c := range job.Calls() {
		if err := m.blacklisted(who, c.Fun); err != nil {
			return err
		}
	}
	if who.login != nil {
		for _, c := range job.Calls() {
			if c.Fun != "saltutil.find_job" && !m.allowed(who.login.Rules, c, ids) {
				return m.forbidden(who, fmt.Sprintf("%s on %v", c.Fun, job.Tgt))
			}
		}
		return nil
	}
	if who.full && !(m.cfg.SudoACL && strings.HasPrefix(who.user, "sudo_")) {
		return nil
	}
	rules := m.publisherRules(who)
	for _, c := range job.Calls() {
		if !m.allowed(rules, c, ids) {
			return m.forbidden(who, fmt.Sprintf("%s on %v", c.Fun, job.Tgt))
		}
	}
	return nil
}

// publisherRules are the rules that publisher_acl has for a user.
func (m *Master) publisherRules(who caller) []any {
	var rules []any
	for name, list := range m.cfg.PublisherACL.Strings() {
		if !who.is(name) {
			continue
		}
		l, ok := list.([]any)
		if !ok {
			l = []any{list}
		}
		rules = append(rules, l...)
	}
	return rules
}

// mayAsk tells whether a user may do anything at all, and so may ask who is there.
func (m *Master) mayAsk(who caller) bool {
	return who.full || who.login != nil && len(who.login.Rules) > 0 || who.login == nil && len(m.publisherRules(who)) > 0
}

// is tells whether a name of the configuration means this caller.
func (w caller) is(name string) bool {
	if group, ok := strings.CutPrefix(name, "%"); ok {
		u, err := user.LookupId(fmt.Sprint(w.uid))
		if err != nil {
			return false
		}
		gids, err := u.GroupIds()
		if err != nil {
			return false
		}
		g, err := user.LookupGroup(group)
		return err == nil && slices.Contains(gids, g.Gid)
	}
	user := strings.TrimPrefix(w.user, "sudo_")
	return matches(name, user)
}

// matches is how Salt compares names and functions of an ACL: as a glob or as a
// regular expression for the whole text.
func matches(expr, text string) bool {
	if t, err := target.Parse(expr, "glob", target.Options{}); err == nil {
		if ok, err := t.Match(target.Subject{ID: text}); err == nil && ok {
			return true
		}
	}
	re, err := regexp.Compile("^(?:" + expr + ")$")
	return err == nil && re.MatchString(text)
}

func (m *Master) blacklisted(who caller, fun string) error {
	bl := m.cfg.PublisherACLBlacklist
	if who.login == nil && who.uid == 0 && !strings.HasPrefix(who.user, "sudo_") {
		return nil
	}
	for _, u := range bl.List("users") {
		if s, ok := u.(string); ok && (matches(s, who.user) || matches(s, who.name)) {
			return m.forbidden(who, fun)
		}
	}
	for _, f := range bl.List("modules") {
		if s, ok := f.(string); ok && matches(s, fun) {
			return m.forbidden(who, fun)
		}
	}
	return nil
}

// allowed tells whether one rule permits a call on all of the minions.
func (m *Master) allowed(rules []any, c wire.Call, ids []wire.MinionID) bool {
	for _, r := range rules {
		switch r := r.(type) {
		case string: // a function, on all minions
			if !strings.HasPrefix(r, "@") && matches(r, c.Fun) {
				return true
			}
		case *wire.Map:
			for expr, funs := range r.Strings() {
				if strings.HasPrefix(expr, "@") {
					continue // runners and wheel functions
				}
				if allowsCall(funs, c) && m.covers(expr, ids) { // a target may be much to work out
					return true
				}
			}
		}
	}
	return false
}

// covers tells whether a target means each of the minions, which may not be none.
func (m *Master) covers(expr string, ids []wire.MinionID) bool {
	t, err := target.Parse(expr, "compound", m.targetOptions(m.ctx, ""))
	if err != nil || len(ids) == 0 {
		return false
	}
	for _, id := range ids {
		s := target.Subject{ID: string(id), Unknown: target.Denies}
		if t.NeedsGrains() || t.NeedsPillar() {
			var err error
			if s.Grains, s.Pillar, err = m.minions.get(m.ctx, id); err != nil {
				return false
			}
			if s.Grains != nil || s.Pillar != nil {
				s.Unknown = target.Seen
			}
		}
		if ok, err := t.Match(s); err != nil || !ok {
			return false
		}
	}
	return true
}

// allowsCall tells whether a list of functions, each with or without conditions on
// its arguments, has one for the call.
func allowsCall(funs any, c wire.Call) bool {
	l, ok := funs.([]any)
	if !ok {
		l = []any{funs}
	}
	for _, f := range l {
		switch f := f.(type) {
		case string:
			if matches(f, c.Fun) {
				return true
			}
		case *wire.Map:
			for name, cond := range f.Strings() {
				if !matches(name, c.Fun) {
					continue
				}
				conds, ok := cond.([]any)
				if !ok {
					conds = []any{cond}
				}
				for _, cond := range conds {
					if cm, ok := cond.(*wire.Map); ok && allowsArgs(cm, c.Args) {
						return true
					}
				}
			}
		}
	}
	return false
}

// allowsArgs holds arguments against the conditions {args: [...], kwargs: {...}}; each
// condition is a regular expression for the whole value, and null allows any.
func allowsArgs(cond *wire.Map, args []any) bool {
	var plain []any
	kw := wire.NewMap()
	for _, a := range args {
		if m, ok := a.(*wire.Map); ok && m.Bool("__kwarg__") {
			for k, v := range m.Strings() {
				if k != "__kwarg__" {
					kw.Set(k, v)
				}
			}
			continue
		}
		if s, ok := a.(string); ok {
			if k, v, ok := strings.Cut(s, "="); ok && k != "" && !strings.ContainsAny(k, " \t") {
				kw.Set(k, v)
				continue
			}
		}
		plain = append(plain, a)
	}
	fits := func(c, v any) bool {
		if c == nil {
			return true
		}
		return matches(fmt.Sprint(c), fmt.Sprint(v))
	}
	for i, c := range cond.List("args") {
		if i >= len(plain) || !fits(c, plain[i]) {
			return false
		}
	}
	for k, c := range cond.Map("kwargs").Strings() {
		v, ok := kw.Get(k)
		if !ok || !fits(c, v) {
			return false
		}
	}
	return true
}

// keysChanged reacts to a change of the key directories by another process: at once
// rather than at the next look.
func (m *Master) keysChanged() {
	select {
	case m.lookAtKeys <- struct{}{}:
	default:
	}
}

// dropRevoked cuts off the minions whose key is no longer accepted, and makes a new
// shared key where one was asked for.
func (m *Master) dropRevoked() {
	gone, err := m.keys.NotAccepted(m.presence.connectedIDs())
	if err != nil {
		m.log.Error("key directories cannot be read", "error", err)
	}
	for _, id := range gone {
		m.keyGone(id)
	}
	if ok, err := m.keys.TakeRotation(); err != nil {
		m.log.Error("drop file for key rotation cannot be read", "error", err)
	} else if ok {
		m.rotate("a key was deleted or rejected, or it was asked for")
	}
	m.keysLookedAt.send()
}

// keyGone ends what a minion had by its key.
func (m *Master) keyGone(id wire.MinionID) {
	if err := m.sessions.drop(id); err != nil {
		m.log.Error("session of a removed key", "minion", id, "error", err)
	}
	m.bound.Range(func(_, b any) bool {
		if b.(binding).id == id {
			b.(binding).peer.Kick("its key is no longer accepted")
		}
		return true
	})
	m.presence.forget(id)
	m.troubles.forget(id)
	m.log.Info("key is no longer accepted: minion cut off", "minion", id)
}
