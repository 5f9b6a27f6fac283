// Package eauth knows who may command the master without being root: people who log
// in by a password that some other system knows (external_auth), and what each of
// them may do. Start with Auth; a Backend is one of those systems. The rules
// themselves are for the master to read (acl.go there).
package eauth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/gosalt/gosalt/protocol/wire"
)

// ErrDenied says that a name and its password, or a token, do not fit. Why is told to
// the log only: who tries names and passwords is to learn nothing.
var ErrDenied = errors.New("authentication failed")

// Backend is a system that knows passwords. Its methods may be called concurrently.
type Backend interface {
	// Authenticate returns nil where the password is that of the user, ErrDenied
	// where it is not, and another error where that cannot be told.
	Authenticate(ctx context.Context, user, password string) error
	// Groups are the groups of a user who has authenticated, for rules like "ops%".
	Groups(ctx context.Context, user string) ([]string, error)
}

// Ruler is a Backend that also knows what a user may do.
type Ruler interface {
	// Rules are a user's rules, in the form of external_auth; nil leaves that to the
	// configuration.
	Rules(ctx context.Context, user, password string) ([]any, error)
}

// Config is what of the master's configuration is about external authentication.
type Config struct {
	External       *wire.Map     // external_auth: by backend, by user or group%, a list of rules
	TokenDir       string        // below it, tokens
	TokenExpire    time.Duration // how long one counts
	ExpireOverride any           // token_expire_user_override: True, or by backend a list of users
	KeepACL        bool          // keep_acl_in_token
	ACLModule      string        // eauth_acl_module: the backend whose rules count, or ""
	Permissive     bool          // permissive_acl: "*" counts beside a user's own entry
	SharedSecret   string        // sharedsecret
	PAMService     string        // auth.pam.service
	// Match compares a name or function of a rule with one that is asked for.
	Match func(rule, text string) bool
	Log   *slog.Logger
}

// Identity is who has logged in, and what he may do.
type Identity struct {
	Name    string
	Backend string
	Groups  []string
	Rules   []any // as in external_auth
	ByToken bool  // by a token, not a password
}

// Credentials are what somebody logs in with: a token, or the rest.
type Credentials struct {
	Token    string
	Backend  string
	User     string
	Password string
	Source   string // where the attempt comes from: an address, or "uid 1000"
}

// String hides what is secret.
func (c Credentials) String() string {
	if c.Token != "" {
		return "a token from " + c.Source
	}
	return fmt.Sprintf("%s of %s from %s", c.User, c.Backend, c.Source)
}

// LogValue hides what is secret.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

// GoString hides what is secret.
func (c Credentials) GoString() string { return c.String() }

// Auth logs people in. Its methods may be called concurrently.
type Auth struct {
	cfg      Config
	backends map[string]Backend
	limit    *limiter
	tokens   tokenStore
	slow     time.Duration // how long a refusal takes at least; tests have no time
}

// Names are the backends that there are, sorted.
func Names() []string { return slices.Sorted(maps.Keys(makers)) }

// makers makes each backend of its part of external_auth.
var makers = map[string]func(c Config, part *wire.Map) (Backend, error){
	"auto":         func(Config, *wire.Map) (Backend, error) { return auto{}, nil },
	"file":         newFile,
	"pam":          newPAM,
	"rest":         newREST,
	"sharedsecret": newSharedSecret,
}

// New makes the backends of the configuration. One that is not known or cannot be
// used is an error that says which.
func New(cfg Config) (*Auth, error) {
	a := &Auth{cfg: cfg, backends: map[string]Backend{}, limit: newLimiter(), tokens: tokenStore{dir: cfg.TokenDir}, slow: time.Second}
	for name, v := range cfg.External.Strings() {
		part, ok := v.(*wire.Map)
		if v == nil {
			part, ok = wire.NewMap(), true
		}
		if !ok {
			return nil, fmt.Errorf("external_auth: %s: users with their rules expected, not %s", name, wire.TypeName(v))
		}
		for user, rules := range part.Strings() {
			if _, list := rules.([]any); !list && !strings.HasPrefix(user, "^") {
				return nil, fmt.Errorf("external_auth: %s: %s: a list of rules expected, not %s", name, user, wire.TypeName(rules))
			}
		}
		newBackend := makers[name]
		if newBackend == nil {
			return nil, fmt.Errorf("external_auth: there is no backend %q: one of %s expected", name, strings.Join(Names(), ", "))
		}
		b, err := newBackend(cfg, part)
		if err != nil {
			return nil, fmt.Errorf("external_auth: %s: %w", name, err)
		}
		a.backends[name] = b
	}
	if m := cfg.ACLModule; m != "" && a.backends[m] == nil {
		return nil, fmt.Errorf("eauth_acl_module: %q is none of the backends in external_auth", m)
	}
	if cfg.External.Has("rest") {
		a.cfg.KeepACL = true // its rules come with the password, which a token stands for
	}
	if a.backends["auto"] != nil {
		cfg.Log.Warn("external_auth: auto takes any password: everybody who reaches the master may use its rules")
	}
	return a, nil
}

// Enabled tells whether anybody can log in.
func (a *Auth) Enabled() bool { return a != nil && len(a.backends) > 0 }

// Login proves who somebody is and says what he may do. The error is ErrDenied, or a
// *Wait after too many failures.
func (a *Auth) Login(ctx context.Context, c Credentials) (*Identity, error) {
	if c.Token != "" {
		return a.byToken(c)
	}
	if err := a.prove(ctx, c); err != nil {
		return nil, err
	}
	groups, err := a.backends[c.Backend].Groups(ctx, c.User)
	if err != nil {
		a.cfg.Log.Warn("groups of a user are not known", "user", c.User, "eauth", c.Backend, "error", err)
	}
	id := &Identity{Name: c.User, Backend: c.Backend, Groups: groups}
	id.Rules = a.ownRules(ctx, c)
	if id.Rules == nil {
		id.Rules = a.configured(c.Backend, c.User, groups)
	}
	return id, nil
}

// prove checks a password. All refusals take about as long as one another.
func (a *Auth) prove(ctx context.Context, c Credentials) error {
	began := time.Now()
	if err := a.limit.check(c); err != nil {
		return err
	}
	err := a.authenticate(ctx, c)
	if err == nil {
		a.limit.succeeded(c)
		return nil
	}
	a.limit.failed(c)
	a.cfg.Log.Warn("authentication failed", "user", c.User, "eauth", c.Backend, "source", c.Source, "error", err)
	rest := time.Until(began.Add(a.slow + time.Duration(rand.Int64N(int64(a.slow)/4+1))))
	t := time.NewTimer(rest)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
	return ErrDenied
}

// maxName and maxPassword bound what is handed to a backend.
const (
	maxName     = 256
	maxPassword = 4096
)

func (a *Auth) authenticate(ctx context.Context, c Credentials) error {
	b := a.backends[c.Backend]
	switch {
	case b == nil:
		return fmt.Errorf("external_auth has no %.40q", c.Backend)
	case c.User == "" || len(c.User) > maxName || strings.ContainsAny(c.User, "\x00\r\n"):
		return errors.New("no name that a user can have")
	case len(c.Password) > maxPassword:
		return fmt.Errorf("the password is longer than %d bytes", maxPassword)
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return b.Authenticate(ctx, c.User, c.Password)
}

// ownRules are the rules that a backend itself gives a user; nil without.
func (a *Auth) ownRules(ctx context.Context, c Credentials) []any {
	name := c.Backend
	if a.cfg.ACLModule != "" {
		name = a.cfg.ACLModule
	}
	r, ok := a.backends[name].(Ruler)
	if !ok {
		return nil
	}
	rules, err := r.Rules(ctx, c.User, c.Password)
	if err != nil {
		a.cfg.Log.Warn("rules of a user cannot be had", "user", c.User, "eauth", name, "error", err)
		return []any{}
	}
	return rules
}

// configured are the rules of external_auth for a user: those under names that match
// his, those of his groups ("ops%"), and those of "*", which count beside others with
// permissive_acl only.
func (a *Auth) configured(backend, user string, groups []string) []any {
	rules := []any{}
	part := a.cfg.External.Map(backend)
	matched := false
	for name, v := range part.Strings() {
		list, _ := v.([]any)
		switch group, isGroup := strings.CutSuffix(name, "%"); {
		case strings.HasPrefix(name, "^"), name == "*" && !a.cfg.Permissive:
		case isGroup:
			if slices.Contains(groups, group) {
				rules = append(rules, list...)
			}
		case a.cfg.Match(name, user):
			matched = true
			rules = append(rules, list...)
		}
	}
	if !a.cfg.Permissive && !matched {
		rules = append(rules, part.List("*")...)
	}
	return rules
}
