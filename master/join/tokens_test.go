package join

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/wire"
)

var (
	finger    = strings.Repeat("ab:", 31) + "ab"
	minionKey = func() string {
		k, err := seal.Generate(2048)
		if err != nil {
			panic(err)
		}
		return seal.CleanKey(k.Public().PEM())
	}()
)

// clock is a time that tests move.
type clock struct{ t atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(c.t.Load(), 0) }
func (c *clock) forward(d time.Duration) { c.t.Add(int64(d / time.Second)) }

func newClock() *clock {
	c := &clock{}
	c.t.Store(time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC).Unix())
	return c
}

func openTokens(t *testing.T, dir string, c *clock) *Tokens {
	t.Helper()
	s, err := OpenTokens(dir, c.now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func issue(t *testing.T, s *Tokens, want Token, life time.Duration) *seal.JoinToken {
	t.Helper()
	secret := seal.NewJoinToken([]string{"salt"}, finger, "")
	if _, err := s.Issue(want, life, secret); err != nil {
		t.Fatal(err)
	}
	return secret
}

func request(secret *seal.JoinToken, id wire.MinionID) *wire.Join {
	return &wire.Join{ID: id, Pub: minionKey, Challenge: "c", How: wire.JoinToken, Token: secret.Name, Proof: secret.Prove("c", id, minionKey)}
}

func use(id wire.MinionID) Use { return Use{ID: id, Finger: "f-" + string(id), From: "192.0.2.7"} }

// refusal is what the holder of a token is told; "" where it counts.
func refusal(t *testing.T, s *Tokens, secret *seal.JoinToken, id wire.MinionID) string {
	t.Helper()
	_, err := s.Check(request(secret, id), finger, use(id))
	var r *Refusal
	if err != nil && !errors.As(err, &r) {
		t.Fatal(err)
	}
	if err == nil {
		return ""
	}
	return r.Msg
}

func TestTokenCounts(t *testing.T) {
	c := newClock()
	dir := t.TempDir()
	s := openTokens(t, dir, c)
	secret := issue(t, s, Token{}, 0)
	if got := refusal(t, s, secret, "web1"); got != "" {
		t.Fatal(got)
	}
	if _, err := s.Claim(secret.Name, use("web1")); err != nil {
		t.Fatal(err)
	}
	// Killed here, the master starts anew: the minion that had the use gets it again.
	s = openTokens(t, dir, c)
	if got := refusal(t, s, secret, "web1"); got != "" {
		t.Fatalf("a use that led to nothing is lost: %s", got)
	}
	done, err := s.Claim(secret.Name, use("web1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := done(); err != nil {
		t.Fatal(err)
	}
	for _, id := range []wire.MinionID{"web1", "web2"} {
		if got := refusal(t, s, secret, id); !strings.Contains(got, "has been used, by web1") {
			t.Errorf("%s: %q", id, got)
		}
		if _, err := s.Claim(secret.Name, use(id)); err == nil {
			t.Errorf("%s has a use of a token that is used up", id)
		}
	}
}

func TestTokenRefusals(t *testing.T) {
	c := newClock()
	s := openTokens(t, t.TempDir(), c)
	for _, row := range []struct {
		name string
		tok  Token
		life time.Duration
		then func(name string)
		id   wire.MinionID
		want string
	}{
		{"in time", Token{}, time.Minute, func(string) { c.forward(59 * time.Second) }, "web1", ""},
		{"too late", Token{}, time.Minute, func(string) { c.forward(90 * time.Second) }, "web1", "expired on 2026-11-27T10:01:59Z, 30s ago by the master's clock"},
		{"revoked", Token{}, time.Minute, func(n string) { s.Revoke(n, "anna") }, "web1", "was revoked on"},
		{"right name", Token{ID: "web[0-9]"}, 0, nil, "web1", ""},
		{"wrong name", Token{ID: "web[0-9]"}, 0, nil, "web10", `is for minions named "web[0-9]", and this one is "web10"`},
	} {
		secret := issue(t, s, row.tok, row.life)
		if row.then != nil {
			row.then(secret.Name)
		}
		got := refusal(t, s, secret, row.id)
		if row.want == "" && got != "" || !strings.Contains(got, row.want) {
			t.Errorf("%s: %q, expected %q", row.name, got, row.want)
		}
		if _, err := s.Claim(secret.Name, use(row.id)); (err == nil) != (row.want == "") {
			t.Errorf("%s: claim: %v", row.name, err)
		}
	}
}

// Who does not hold the secret is told one thing, whatever there is.
func TestTokenUnproven(t *testing.T) {
	c := newClock()
	s := openTokens(t, t.TempDir(), c)
	valid, used := issue(t, s, Token{}, 0), issue(t, s, Token{}, 0)
	if _, err := s.Claim(used.Name, use("web1")); err != nil {
		t.Fatal(err)
	}
	other := seal.NewJoinToken([]string{"salt"}, finger, "")
	for name, r := range map[string]*wire.Join{
		"unknown":         request(other, "web1"),
		"wrong secret":    {ID: "web1", Pub: minionKey, Challenge: "c", Token: valid.Name, Proof: other.Prove("c", "web1", minionKey)},
		"used, no secret": {ID: "web1", Pub: minionKey, Challenge: "c", Token: used.Name, Proof: make([]byte, 64)},
		"another id":      {ID: "web2", Pub: minionKey, Challenge: "c", Token: valid.Name, Proof: valid.Prove("c", "web1", minionKey)},
		"another key":     {ID: "web1", Pub: minionKey + "x", Challenge: "c", Token: valid.Name, Proof: valid.Prove("c", "web1", minionKey)},
		"old challenge":   {ID: "web1", Pub: minionKey, Challenge: "d", Token: valid.Name, Proof: valid.Prove("c", "web1", minionKey)},
		"path":            {ID: "web1", Pub: minionKey, Challenge: "c", Token: "../../../x/0000", Proof: make([]byte, 64)},
		"no proof":        {ID: "web1", Pub: minionKey, Challenge: "c", Token: valid.Name},
	} {
		if tok, err := s.Check(r, finger, use(r.ID)); !errors.Is(err, ErrUnproven) || tok != nil || err.Error() != ErrUnproven.Error() {
			t.Errorf("%s: %v, %v", name, tok, err)
		}
	}
	if _, err := s.Check(request(valid, "web1"), strings.Repeat("cd:", 31)+"cd", use("web1")); !errors.Is(err, ErrUnproven) {
		t.Errorf("a proof for another master counts: %v", err)
	}
}

// Of many minions with one token as many win as it has uses, also where several masters
// share the directory.
func TestTokenRace(t *testing.T) {
	c := newClock()
	dir := t.TempDir()
	stores := []*Tokens{openTokens(t, dir, c), openTokens(t, dir, c), openTokens(t, dir, c)}
	secret := issue(t, stores[0], Token{Uses: 4}, 0)
	var won atomic.Int64
	var wg sync.WaitGroup
	for i := range 24 {
		wg.Go(func() {
			done, err := stores[i%3].Claim(secret.Name, use(wire.MinionID(fmt.Sprintf("web%d", i))))
			var r *Refusal
			switch {
			case err == nil:
				won.Add(1)
				if err := done(); err != nil {
					t.Error(err)
				}
			case !errors.As(err, &r):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	list, _, err := stores[0].List()
	if err != nil || won.Load() != 4 || len(list) != 1 || len(list[0].Used) != 4 || list[0].State(c.now()) != "used up" {
		t.Fatalf("%d won; %+v, %v", won.Load(), list, err)
	}
}

func TestTokenStore(t *testing.T) {
	c := newClock()
	dir := t.TempDir()
	s := openTokens(t, dir, c)
	secret := issue(t, s, Token{By: "anna", Note: "n", Grains: map[string]string{"role": "web"}}, time.Hour)
	if done, err := s.Claim(secret.Name, use("web1")); err != nil || done() != nil {
		t.Fatal(err)
	}
	// What is kept does not let anybody join.
	text, err := secret.Text()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, Dir, "*"))
	if err != nil || len(files) != 3 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), text[len(text)-40:]) {
			t.Errorf("%s holds the token", f)
		}
		if fi, _ := os.Stat(f); fi.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: mode %v", f, fi.Mode())
		}
	}
	if err := s.Revoke("0123456789abcdef", "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if err := s.Revoke("../tokens", "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	c.forward(8 * 24 * time.Hour)
	if err := s.Purge(); err != nil {
		t.Fatal(err)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, Dir, "*")); len(files) != 0 {
		t.Errorf("left: %v", files)
	}
	for _, row := range []struct {
		tok  Token
		life time.Duration
	}{{Token{Uses: -1}, 0}, {Token{Uses: MaxUses + 1}, 0}, {Token{}, time.Millisecond}, {Token{}, 31 * 24 * time.Hour}, {Token{Note: strings.Repeat("x", 2000)}, 0}} {
		if _, err := s.Issue(row.tok, row.life, seal.NewJoinToken([]string{"salt"}, finger, "")); err == nil {
			t.Errorf("%+v for %s is made", row.tok, row.life)
		}
	}
	if err := os.Chmod(filepath.Join(dir, Dir), 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenTokens(dir, c.now); canMode && err == nil {
		t.Error("a directory that others may write to is used")
	}
}

// A file that is damaged hinders no other token, is named, lets nobody in, and can be
// revoked; it goes when no token of its time counts any more.
func TestTokenDamaged(t *testing.T) {
	c := newClock()
	dir := t.TempDir()
	s := openTokens(t, dir, c)
	good, cut, use1 := issue(t, s, Token{}, 0), issue(t, s, Token{}, 0), issue(t, s, Token{Uses: 2}, 0)
	if _, err := s.Claim(use1.Name, use("web1")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{cut.Name + ".json", use1.Name + ".use.1"} {
		if err := os.WriteFile(filepath.Join(dir, Dir, name), []byte(`{"name": "`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = openTokens(t, dir, c)
	list, damaged, err := s.List()
	if err != nil || len(list) != 1 || list[0].Name != good.Name || len(damaged) != 2 || !strings.Contains(damaged[cut.Name].Error(), cut.Name+".json: ") {
		t.Errorf("%v, %v, %v", list, damaged, err)
	}
	for _, secret := range []*seal.JoinToken{cut, use1} {
		if _, err := s.Check(request(secret, "web2"), finger, use("web2")); err == nil {
			t.Errorf("%s counts", secret.Name)
		}
		if err := s.Revoke(secret.Name, "anna"); err != nil {
			t.Error(err)
		}
	}
	if got := refusal(t, s, good, "web2"); got != "" {
		t.Error(got)
	}
	c.t.Store(time.Now().Unix())
	if err := s.Purge(); err != nil {
		t.Fatal(err)
	}
	c.forward(MaxLife + keepDead + time.Hour)
	if _, damaged, _ := s.List(); len(damaged) != 2 {
		t.Errorf("gone too early: %v", damaged)
	}
	if err := s.Purge(); err != nil {
		t.Fatal(err)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, Dir, "*")); len(files) != 0 {
		t.Errorf("left: %v", files)
	}
}

// What root makes belongs to the user of the master, whose directory it is in.
func TestOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	dir := t.TempDir()
	const uid, gid = 12345, 12346
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	s, err := OpenTokens(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.take("x", 1); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{s.dir, filepath.Join(s.dir, "x")} {
		fi, err := os.Lstat(name)
		if err != nil {
			t.Fatal(err)
		}
		if owner := fmt.Sprintf("%+v", fi.Sys()); !strings.Contains(owner, "Uid:12345 Gid:12346") {
			t.Errorf("%s: %s", name, owner)
		}
	}
	// A link in the place of the directory is not followed to elsewhere.
	away := t.TempDir()
	if err := os.Symlink(away, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := makeDir(filepath.Join(dir, "link")); err == nil {
		t.Error("a link to elsewhere was taken")
	}
}
