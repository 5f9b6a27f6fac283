package join

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Dir is the directory of join tokens below pki_dir.
const Dir = "join_tokens"

// Bounds of tokens.
const (
	DefaultLife = time.Hour           // how long a token counts where nothing is said
	MaxLife     = 30 * 24 * time.Hour // a token that lives longer is a password
	MaxUses     = 10_000
	keepDead    = 7 * 24 * time.Hour // how long it is known why a token counts no more
)

// Token is what the master keeps of a join token: everything but the secret.
type Token struct {
	Name     string            `json:"name"` // 16 hex digits
	Verifier []byte            `json:"verifier"`
	ID       string            `json:"id,omitempty"` // a glob that the minion's id has to match
	Uses     int               `json:"uses"`
	Issued   time.Time         `json:"issued"`
	Expires  time.Time         `json:"expires"`
	By       string            `json:"by"`               // who made it
	Grains   map[string]string `json:"grains,omitempty"` // that the minion gets
	Note     string            `json:"note,omitempty"`   // what its maker says of it

	Revoked *Revocation `json:"-"`
	Used    []Use       `json:"-"`
	done    []bool      // of Used: the key was accepted
}

// Revocation ends a token before its time.
type Revocation struct {
	By string    `json:"by"`
	At time.Time `json:"at"`
}

// State says in a word whether a token counts: "valid", "expired", "revoked", "used up".
func (t *Token) State(now time.Time) string {
	switch {
	case t.Revoked != nil:
		return "revoked"
	case len(t.Used) >= t.Uses:
		return "used up"
	case !now.Before(t.Expires):
		return "expired"
	}
	return "valid"
}

// Tokens is the directory of tokens. Its methods may be called concurrently, and beside
// other processes.
type Tokens struct {
	claims
	now func() time.Time

	claimMu sync.Mutex // one claim at a time in this process
}

// OpenTokens makes the directory where it is missing. now is time.Now where nil.
func OpenTokens(pkiDir string, now func() time.Time) (*Tokens, error) {
	if now == nil {
		now = time.Now
	}
	dir := filepath.Join(pkiDir, Dir)
	if err := privateDir(dir); err != nil {
		return nil, fmt.Errorf("join tokens: %w", err)
	}
	return &Tokens{claims: claims{dir: dir, keep: true}, now: now}, nil
}

var nameForm = lazyre.New(`^[0-9a-f]{16}$`)

// Issue stores a token, whose Name and Verifier are those of secret, and says what is wrong
// with what was asked for.
func (s *Tokens) Issue(t Token, life time.Duration, secret *seal.JoinToken) (*Token, error) {
	if life == 0 {
		life = DefaultLife
	}
	if t.Uses == 0 {
		t.Uses = 1
	}
	switch {
	case life < time.Second || life > MaxLife:
		return nil, fmt.Errorf("a join token of %s: between 1s and %s expected", life, MaxLife)
	case t.Uses < 1 || t.Uses > MaxUses:
		return nil, fmt.Errorf("a join token for %d uses: 1 to %d expected", t.Uses, MaxUses)
	case strings.ContainsFunc(t.ID, func(r rune) bool { return r < 0x20 || r == 0x7f }):
		return nil, fmt.Errorf("minion id %q holds a control character", t.ID)
	case len(t.Note) > 1000:
		return nil, fmt.Errorf("a note of %d bytes: at most 1000 expected", len(t.Note))
	}
	if t.ID != "" {
		if _, err := target.Parse(t.ID, "glob", target.Options{}); err != nil {
			return nil, fmt.Errorf("minion id %q: %w", t.ID, err)
		}
	}
	t.Name, t.Verifier = secret.Name, secret.Verifier()
	t.Issued = s.now().UTC().Truncate(time.Millisecond)
	t.Expires = t.Issued.Add(life)
	b, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	if len(b) > maxRecord {
		return nil, fmt.Errorf("a join token whose grains and note take %d bytes: at most %d", len(b), maxRecord)
	}
	if err := s.take(t.Name+".json", t); err != nil {
		return nil, fmt.Errorf("keep the join token: %w", err)
	}
	return &t, nil
}

// get reads a token; fs.ErrNotExist where there is none of that name.
func (s *Tokens) get(name string) (*Token, error) {
	if !nameForm.MatchString(name) {
		return nil, fs.ErrNotExist
	}
	t := &Token{}
	if err := readJSON(filepath.Join(s.dir, name+".json"), t); err != nil {
		return nil, err
	}
	t.Name = name
	var r Revocation
	switch err := readJSON(filepath.Join(s.dir, name+".revoked"), &r); {
	case err == nil:
		t.Revoked = &r
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	for n := 1; ; n++ {
		u, err := s.use(useName(name, n))
		if errors.Is(err, fs.ErrNotExist) {
			return t, nil
		}
		if err != nil {
			return nil, err
		}
		_, err = s.use(doneName(name, n))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		t.Used, t.done = append(t.Used, u), append(t.done, err == nil)
	}
}

func useName(name string, n int) string  { return fmt.Sprintf("%s.use.%d", name, n) }
func doneName(name string, n int) string { return fmt.Sprintf("%s.done.%d", name, n) }

// List returns all tokens that are known, the newest first, those that count no more
// among them. damaged says, by name, why others cannot be read: they let nobody in.
func (s *Tokens) List() (list []*Token, damaged map[string]error, err error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, nil, fmt.Errorf("list join tokens: %w", err)
	}
	damaged = map[string]error{}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || !nameForm.MatchString(name) {
			continue
		}
		t, err := s.get(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			damaged[name] = err
			continue
		}
		list = append(list, t)
	}
	slices.SortStableFunc(list, func(a, b *Token) int { return b.Issued.Compare(a.Issued) })
	return list, damaged, nil
}

// Revoke ends a token; fs.ErrNotExist where there is none of that name.
func (s *Tokens) Revoke(name, by string) error {
	if !nameForm.MatchString(name) {
		return fs.ErrNotExist
	}
	// One that is damaged can be revoked, too: it is not read.
	if _, err := os.Stat(filepath.Join(s.dir, name+".json")); err != nil {
		return err
	}
	err := s.take(name+".revoked", Revocation{By: by, At: s.now().UTC()})
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// Purge removes tokens that have been of no use for a week.
func (s *Tokens) Purge() error {
	list, damaged, err := s.List()
	if err != nil {
		return err
	}
	var errs []error
	for name := range damaged {
		// How long it was meant to live is not known: so long as any may.
		if fi, err := os.Stat(filepath.Join(s.dir, name+".json")); err == nil && s.now().Sub(fi.ModTime()) > MaxLife+keepDead {
			errs = append(errs, s.removeAll(name))
		}
	}
	for _, t := range list {
		if s.now().Sub(t.Expires) < keepDead {
			continue
		}
		errs = append(errs, s.removeAll(t.Name))
	}
	return errors.Join(errs...)
}

// removeAll removes a token and what was noted of it. The token itself goes first: without
// it the rest means nothing.
func (s *Tokens) removeAll(name string) error {
	err := s.remove(name + ".json")
	entries, rerr := os.ReadDir(s.dir)
	err = errors.Join(err, rerr)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), name+".") {
			err = errors.Join(err, s.remove(e.Name()))
		}
	}
	return err
}

// nobody is the verifier that stands for a token that is not known, so that looking for
// one takes the time of a wrong proof.
var nobody = seal.NewJoinToken([]string{"none"}, strings.Repeat("00:", 31)+"00", "").Verifier()

// Check tells whether a request to join shows a token that counts now. finger is that of the
// master's own key. ErrUnproven is all that is said to who does not have the token's
// secret; who has it gets a *Refusal that says why. Nothing is used up yet.
func (s *Tokens) Check(r *wire.Join, finger string, u Use) (*Token, error) {
	t, err := s.get(r.Token)
	unknown := errors.Is(err, fs.ErrNotExist)
	if err != nil && !unknown {
		return nil, err
	}
	verifier := nobody
	if !unknown {
		verifier = t.Verifier
	}
	if !seal.VerifyJoin(verifier, r.Token, finger, r.Challenge, r.ID, r.Pub, r.Proof) || unknown {
		return nil, ErrUnproven
	}
	if n := t.unfinished(u); n > 0 {
		return t, nil
	}
	return t, s.usable(t, u)
}

// unfinished is the number of a minion's use that was taken and, as the master ended at that
// moment, led to nothing; 0 where there is none.
func (t *Token) unfinished(u Use) int {
	for i, o := range t.Used {
		if u.same(o) && !t.done[i] {
			return i + 1
		}
	}
	return 0
}

// usable says why a token does not count for a minion.
func (s *Tokens) usable(t *Token, u Use) error {
	if t.ID != "" {
		glob, err := target.Parse(t.ID, "glob", target.Options{})
		if err != nil {
			return err
		}
		if ok, err := glob.Match(target.Subject{ID: string(u.ID)}); err != nil || !ok {
			return refuse(wire.Forbidden, "this token is for minions named %q, and this one is %q: give that name with --id, or have another token made", t.ID, u.ID)
		}
	}
	now := s.now()
	const again = "; have a new one made with: gosalt-key --token"
	switch t.State(now) {
	case "revoked":
		return refuse(wire.Forbidden, "this token was revoked on %s%s", t.Revoked.At.Format(time.RFC3339), again)
	case "used up":
		last := t.Used[len(t.Used)-1]
		return refuse(wire.Forbidden, "this token has been used, by %s on %s%s", last.ID, last.At.Format(time.RFC3339), again)
	case "expired":
		return refuse(wire.Expired, "this token expired on %s, %s ago by the master's clock%s", t.Expires.Format(time.RFC3339), now.Sub(t.Expires).Round(time.Second), again)
	}
	return nil
}

// Claim takes one use of a token, for good, and returns what is to be called when the minion's
// key is accepted. Of several minions that come at once each gets one of its own, or a
// *Refusal. A minion whose use led to nothing gets that one again.
func (s *Tokens) Claim(name string, u Use) (done func() error, err error) {
	s.claimMu.Lock()
	defer s.claimMu.Unlock()
	for {
		t, err := s.get(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, refuse(wire.Forbidden, "this token is gone")
		}
		if err != nil {
			return nil, err
		}
		n := t.unfinished(u)
		if n == 0 {
			if err := s.usable(t, u); err != nil {
				return nil, err
			}
			n = len(t.Used) + 1
			if err := s.take(useName(name, n), u); errors.Is(err, fs.ErrExist) {
				continue // another master was faster
			} else if err != nil {
				return nil, err
			}
		}
		return func() error {
			if err := s.take(doneName(name, n), u); !errors.Is(err, fs.ErrExist) {
				return err
			}
			return nil
		}, nil
	}
}
