package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gosalt/gosalt/cli"
	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/master/audit"
	"github.com/gosalt/gosalt/master/join"
	"github.com/gosalt/gosalt/master/keys"
	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/wire"
)

// joinTokens are the master's join tokens as gosalt-key sees them: files, whether a
// master runs or not. What is done to them is in the audit log.
type joinTokens struct {
	cfg      *config.Master
	sudoUser string
}

func (j *joinTokens) user() string {
	if j.sudoUser != "" && j.sudoUser != "root" {
		return "sudo_" + j.sudoUser
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return strconv.Itoa(os.Geteuid())
}

// audited does f and writes a line of the audit log; without that log f is not done.
func (j *joinTokens) audited(f func() error, what string, args ...any) error {
	log, err := audit.Open(j.cfg.AuditLog, audit.Options{})
	if err != nil {
		return err
	}
	defer log.Close()
	args = append([]any{"user", j.user(), "uid", os.Geteuid()}, args...)
	err = f()
	args = append(args, "result", err == nil)
	return errors.Join(err, log.Write(what, args...))
}

// publicKey is the master's public key. One that has not been started yet gets its keys.
func (j *joinTokens) publicKey() (string, error) {
	b, err := os.ReadFile(filepath.Join(j.cfg.PKIDir, "master.pub"))
	if err == nil {
		_, err = seal.ParsePublic(b)
		return seal.CleanKey(string(b)), err
	}
	own, err := keys.LoadMaster(keys.MasterConfig{PKIDir: j.cfg.PKIDir, KeySize: j.cfg.KeySize, KeyPass: seal.NewSecret(j.cfg.KeyPass.Reveal())})
	if err != nil {
		return "", err
	}
	return own.Pub, nil
}

// Master implements cli.JoinTokens.
func (j *joinTokens) Master(given string) (masters []string, finger string, err error) {
	pub, err := j.publicKey()
	if err != nil {
		return nil, "", err
	}
	if finger, err = seal.Fingerprint(pub, "sha256"); err != nil {
		return nil, "", err
	}
	if given == "" {
		masters, err = join.Masters(j.cfg)
		if errors.Is(err, join.ErrNoAddress) {
			err = fmt.Errorf("%w, or give it with --master", err)
		}
		return masters, finger, err
	}
	for m := range strings.SplitSeq(given, ",") {
		masters = append(masters, strings.TrimSpace(m))
	}
	if err := seal.CheckMasters(masters); err != nil {
		return nil, "", fmt.Errorf("--master: %w", err)
	}
	return masters, finger, nil
}

// Issue implements cli.JoinTokens.
func (j *joinTokens) Issue(r cli.TokenRequest) (*seal.JoinToken, *wire.Map, error) {
	masters, finger, err := j.Master(r.Masters)
	if err != nil {
		return nil, nil, err
	}
	tokens, err := join.OpenTokens(j.cfg.PKIDir, nil)
	if err != nil {
		return nil, nil, err
	}
	id := wire.MinionID("")
	if r.ID != "" && !strings.ContainsAny(r.ID, "*?[") {
		if id, err = wire.ParseMinionID(r.ID); err != nil {
			return nil, nil, err
		}
		if r.Uses > 1 {
			return nil, nil, fmt.Errorf("--id %s is one minion, and --uses %d are for several", id, r.Uses)
		}
	}
	secret := seal.NewJoinToken(masters, finger, id)
	if _, err := secret.Text(); err != nil { // before anything is kept
		return nil, nil, err
	}
	var t *join.Token
	ask := join.Token{ID: r.ID, Uses: r.Uses, Grains: r.Grains, Note: r.Note, By: j.user()}
	err = j.audited(func() (err error) { t, err = tokens.Issue(ask, r.Life, secret); return err },
		"join token made", "ref", secret.Name, "minion", r.ID, "uses", r.Uses, "life", lifeText(r.Life))
	if err != nil {
		return nil, nil, err
	}
	list := make([]any, len(masters))
	for i, m := range masters {
		list[i] = m
	}
	return secret, wire.NewMap("name", t.Name, "id", t.ID, "uses", int64(t.Uses), "expires", stamp(t.Expires), "masters", list, "finger", finger), nil
}

func lifeText(d time.Duration) string {
	if d == 0 {
		d = join.DefaultLife
	}
	return d.String()
}

func stamp(t time.Time) string { return t.Local().Format(time.RFC3339) }

// List implements cli.JoinTokens.
func (j *joinTokens) List() (*wire.Map, error) {
	tokens, err := join.OpenTokens(j.cfg.PKIDir, nil)
	if err != nil {
		return nil, err
	}
	list, damaged, err := tokens.List()
	if err != nil {
		return nil, err
	}
	out := wire.NewMap()
	for _, name := range slices.Sorted(maps.Keys(damaged)) {
		out.Set(name, wire.NewMap("state", "damaged", "error", damaged[name].Error()))
	}
	now := time.Now()
	for _, t := range list {
		m := wire.NewMap("state", t.State(now), "id", t.ID, "uses", int64(t.Uses), "issued", stamp(t.Issued), "expires", stamp(t.Expires), "by", t.By)
		if t.Note != "" {
			m.Set("note", t.Note)
		}
		if len(t.Grains) > 0 {
			g := wire.NewMap()
			for _, k := range slices.Sorted(maps.Keys(t.Grains)) {
				g.Set(k, t.Grains[k])
			}
			m.Set("grains", g)
		}
		if t.Revoked != nil {
			m.Set("revoked", wire.NewMap("by", t.Revoked.By, "at", stamp(t.Revoked.At)))
		}
		used := []any{}
		for _, u := range t.Used {
			used = append(used, wire.NewMap("id", string(u.ID), "from", u.From, "at", stamp(u.At)))
		}
		m.Set("used", used)
		out.Set(t.Name, m)
	}
	return out, nil
}

// Revoke implements cli.JoinTokens.
func (j *joinTokens) Revoke(name string) error {
	tokens, err := join.OpenTokens(j.cfg.PKIDir, nil)
	if err != nil {
		return err
	}
	return j.audited(func() error { return tokens.Revoke(name, j.user()) }, "join token revoked", "ref", name)
}

// ForgetCloud implements cli.JoinTokens.
func (j *joinTokens) ForgetCloud(machine string) error {
	return j.audited(func() error { return join.ForgetCloud(j.cfg.PKIDir, machine) }, "cloud machine forgotten", "machine", machine)
}
