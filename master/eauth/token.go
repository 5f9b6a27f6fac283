package eauth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gosalt/gosalt/internal/durable"
	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Token stands for a login until it expires.
type Token struct {
	Token   string // 64 hexadecimal digits; a secret
	Name    string
	Backend string
	Start   time.Time
	Expire  time.Time
	Groups  []string
	Rules   []any // nil: those of the configuration at each use
}

// ToMap is the token as Salt's mk_token answers it.
func (t *Token) ToMap() *wire.Map {
	m := wire.NewMap("start", seconds(t.Start), "expire", seconds(t.Expire), "name", t.Name, "eauth", t.Backend, "token", t.Token)
	if len(t.Groups) > 0 {
		groups := make([]any, len(t.Groups))
		for i, g := range t.Groups {
			groups[i] = g
		}
		m.Set("groups", groups)
	}
	if t.Rules != nil {
		m.Set("auth_list", t.Rules)
	}
	return m
}

func seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

// tokenStore keeps tokens, a file each. A file's name is the hash of its token: who
// reads a backup of the directory has no token.
type tokenStore struct{ dir string }

var tokenForm = lazyre.New(`^[0-9a-f]{32,128}$`)

func (s tokenStore) file(token string) (string, error) {
	if !tokenForm.MatchString(token) {
		return "", errors.New("not the form of a token")
	}
	sum := sha256.Sum256([]byte(token))
	return filepath.Join(s.dir, hex.EncodeToString(sum[:])), nil
}

func (s tokenStore) save(t *Token) error {
	name, err := s.file(t.Token)
	if err != nil {
		return err
	}
	m := t.ToMap()
	m.Delete("token")
	b, err := wire.Encode(m, wire.Local)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	return durable.WriteFile(name, b, 0o600)
}

// tokenLimits bound a token's file, which may hold a list of rules.
var tokenLimits = wire.Limits{Depth: 16, Elements: 100_000, Bytes: 1 << 20}

// load returns a token that counts; ErrDenied where there is none of that name.
func (s tokenStore) load(token string, now time.Time) (*Token, error) {
	name, err := s.file(token)
	if err != nil {
		return nil, ErrDenied
	}
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrDenied
	}
	if err != nil {
		return nil, err
	}
	m, err := wire.DecodeMap(b, wire.Local, tokenLimits)
	if err != nil {
		return nil, errors.Join(ErrDenied, os.Remove(name)) // half written, or not ours
	}
	t := &Token{Token: token, Name: m.Text("name"), Backend: m.Text("eauth"), Start: when(m, "start"), Expire: when(m, "expire")}
	if !now.Before(t.Expire) {
		return nil, errors.Join(ErrDenied, os.Remove(name))
	}
	for _, g := range m.List("groups") {
		if g, ok := g.(string); ok {
			t.Groups = append(t.Groups, g)
		}
	}
	if m.Has("auth_list") {
		if t.Rules = m.List("auth_list"); t.Rules == nil {
			t.Rules = []any{}
		}
	}
	return t, nil
}

func when(m *wire.Map, key string) time.Time {
	v, _ := m.Get(key)
	f, _ := v.(float64)
	return time.UnixMicro(int64(f * 1e6))
}

// purge removes the tokens that have expired.
func (s tokenStore) purge(now time.Time) error {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if !tokenForm.MatchString(e.Name()) {
			continue
		}
		name := filepath.Join(s.dir, e.Name())
		b, err := os.ReadFile(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if m, err := wire.DecodeMap(b, wire.Local, tokenLimits); err != nil || !now.Before(when(m, "expire")) {
			errs = append(errs, os.Remove(name))
		}
	}
	return errors.Join(errs...)
}

// MakeToken keeps a token for somebody who has logged in by a password. expire is how
// long it shall count, 0 for the configuration's time; only those may choose whom
// token_expire_user_override names.
func (a *Auth) MakeToken(id *Identity, expire time.Duration) (*Token, error) {
	if id.ByToken {
		return nil, ErrDenied // a token cannot prolong itself
	}
	if expire <= 0 || !a.mayChooseExpire(id) {
		expire = a.cfg.TokenExpire
	}
	b := make([]byte, 32)
	if _, err := rand.Read(b); err != nil {
		return nil, err
	}
	now := time.Now()
	t := &Token{Token: hex.EncodeToString(b), Name: id.Name, Backend: id.Backend, Start: now, Expire: now.Add(expire), Groups: id.Groups}
	if a.cfg.KeepACL {
		t.Rules = id.Rules
	}
	if err := a.tokens.save(t); err != nil {
		return nil, fmt.Errorf("keep a token: %w", err)
	}
	return t, nil
}

func (a *Auth) mayChooseExpire(id *Identity) bool {
	switch o := a.cfg.ExpireOverride.(type) {
	case bool:
		return o
	case *wire.Map:
		return slices.Contains(o.List(id.Backend), any(id.Name))
	}
	return false
}

// Token returns what a token stands for; ErrDenied where it does not count.
func (a *Auth) Token(token string) (*Token, error) {
	t, err := a.tokens.load(token, time.Now())
	if err != nil {
		return nil, err
	}
	if a.backends[t.Backend] == nil {
		return nil, ErrDenied // external_auth has it no longer
	}
	return t, nil
}

func (a *Auth) byToken(c Credentials) (*Identity, error) {
	if err := a.limit.check(c); err != nil {
		return nil, err
	}
	t, err := a.Token(c.Token)
	if err != nil {
		a.limit.failed(c)
		a.cfg.Log.Warn("authentication by token failed", "source", c.Source)
		return nil, err
	}
	id := &Identity{Name: t.Name, Backend: t.Backend, Groups: t.Groups, Rules: t.Rules, ByToken: true}
	if id.Rules == nil || !a.cfg.KeepACL {
		id.Rules = a.configured(t.Backend, t.Name, t.Groups)
	}
	return id, nil
}

// Purge removes the tokens that have expired.
func (a *Auth) Purge() error {
	if a == nil {
		return nil
	}
	return a.tokens.purge(time.Now())
}
