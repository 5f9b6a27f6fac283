package keys

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/wire"
)

// pubs are some public keys, made once.
var pubs = sync.OnceValue(func() (texts []string) {
	for range 3 {
		k, err := seal.Generate(2048)
		if err != nil {
			panic(err)
		}
		texts = append(texts, seal.CleanKey(k.Public().PEM()))
	}
	return texts
})

func pub(n int) string { return pubs()[n] }

func open(t *testing.T, cfg Config) *Store {
	t.Helper()
	if cfg.PKIDir == "" {
		cfg.PKIDir = filepath.Join(t.TempDir(), "pki")
	}
	if cfg.CacheDir == "" {
		cfg.CacheDir = t.TempDir()
	}
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func writeFile(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // the umask aside
		t.Fatal(err)
	}
}

func (s *Store) answer(t *testing.T, r Request) Answer {
	t.Helper()
	res, err := s.Authenticate(r)
	if err != nil {
		t.Fatal(err)
	}
	return res.Answer
}

func wantState(t *testing.T, s *Store, id wire.MinionID, want State) {
	t.Helper()
	if got, err := s.StateOf(id); err != nil || got != want {
		t.Errorf("%s is in state %q (%v), want %q", id, got, err, want)
	}
}

func TestKeysAreParsedBeforeAnythingIsStored(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&weak.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, Config{AutoAccept: true, OpenMode: true})
	for name, text := range map[string]string{
		"empty":     "",
		"no PEM":    "hello",
		"truncated": pub(0)[:200],
		"too weak":  string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		"too long":  pub(0) + strings.Repeat("\n", 20) + strings.Repeat("x", 9000),
	} {
		if got := s.answer(t, Request{ID: "m1", Pub: text}); got != Deny {
			t.Errorf("%s: %v", name, got)
		}
		wantState(t, s, "m1", "")
	}
	for _, id := range []wire.MinionID{"", ".", "..", "a/b", ".hidden", "a\nb", wire.MinionID(strings.Repeat("x", 256))} {
		if got := s.answer(t, Request{ID: id, Pub: pub(0)}); got != Deny {
			t.Errorf("id %q: %v", id, got)
		}
	}
	if got := s.answer(t, Request{ID: wire.MinionID(strings.Repeat("x", 255)), Pub: pub(0)}); got != Accept {
		t.Errorf("longest id: %v", got)
	}
}

func TestKeyTextIsStoredCleaned(t *testing.T) {
	s := open(t, Config{})
	s.answer(t, Request{ID: "m1", Pub: "\r\n" + strings.ReplaceAll(pub(0), "\n", "\r\n") + "\r\n"})
	b, err := os.ReadFile(filepath.Join(s.dir(Pending), "m1"))
	if err != nil || string(b) != pub(0) {
		t.Errorf("stored %q, %v", b, err)
	}
	fi, err := os.Stat(filepath.Join(s.dir(Pending), "m1"))
	if err != nil || fi.Mode() != 0o644 {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
	if got := s.answer(t, Request{ID: "m1", Pub: pub(0) + "\n"}); got != Wait {
		t.Errorf("the same key with another ending: %v", got)
	}
}

func TestOthersChangeTheDirectories(t *testing.T) {
	s := open(t, Config{})
	if _, err := s.Accepted("m1"); !errors.Is(err, ErrUnknown) {
		t.Fatalf("unknown id: %v", err)
	}
	// An operator copies a key in.
	path := filepath.Join(s.dir(Accepted), "m1")
	for n := range 3 {
		writeFile(t, path, pub(n)+"\n", 0o644) // the same size each time, within one tick of the clock
		k, err := s.Accepted("m1")
		if err != nil || seal.CleanKey(k.PEM()) != pub(n) {
			t.Fatalf("key %d is not seen: %v", n, err)
		}
		if got := s.answer(t, Request{ID: "m1", Pub: pub(n)}); got != Accept {
			t.Errorf("key %d: %v", n, got)
		}
	}
	// Renamed over, with an old time, as rsync and cp -p do.
	other := path + ".new"
	writeFile(t, other, pub(0)+"\n", 0o644)
	long := time.Now().Add(-time.Hour)
	for _, f := range []string{path, other} {
		if err := os.Chtimes(f, long, long); err != nil {
			t.Fatal(err)
		}
	}
	if !s.IsAccepted("m1", pub(2)) {
		t.Error("accepted key is not known")
	}
	if err := os.Rename(other, path); err != nil {
		t.Fatal(err)
	}
	if !s.IsAccepted("m1", pub(0)) || s.IsAccepted("m1", pub(2)) {
		t.Error("file renamed over the accepted one is not seen")
	}
	writeFile(t, path, "no key", 0o644)
	if _, err := s.Accepted("m1"); !errors.Is(err, ErrInvalid) {
		t.Errorf("damaged file: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Accepted("m1"); !errors.Is(err, ErrUnknown) {
		t.Errorf("removed file: %v", err)
	}
	// Salt's salt-key moves from pending.
	s.answer(t, Request{ID: "m2", Pub: pub(0)})
	if err := os.Rename(filepath.Join(s.dir(Pending), "m2"), filepath.Join(s.dir(Accepted), "m2")); err != nil {
		t.Fatal(err)
	}
	if got := s.answer(t, Request{ID: "m2", Pub: pub(0)}); got != Accept {
		t.Errorf("accepted by another program: %v", got)
	}
}

func TestSettledStampsAreTrusted(t *testing.T) {
	now := time.Now()
	s := open(t, Config{Now: func() time.Time { return now }})
	writeFile(t, filepath.Join(s.dir(Accepted), "m1"), pub(0), 0o644)
	first, err := s.accepted("m1")
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := s.accepted("m1"); again == first {
		t.Error("a file that has just changed was not read again")
	}
	now = now.Add(time.Minute)
	first, err = s.accepted("m1")
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := s.accepted("m1"); again != first {
		t.Error("a file that did not change was read again")
	}
}

func TestList(t *testing.T) {
	s := open(t, Config{})
	for _, name := range []string{"web2", "Web10", "alpha", ".key_cache", "ümlaut", "web1"} {
		writeFile(t, filepath.Join(s.dir(Accepted), name), pub(0), 0o644)
	}
	if err := os.Mkdir(filepath.Join(s.dir(Accepted), "dir"), 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(s.dir(Accepted), "back\\slash"), pub(0), 0o644)
	want := []wire.MinionID{"alpha", "web1", "Web10", "web2", "ümlaut"}
	if got, err := s.List(Accepted); err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
	writeFile(t, filepath.Join(s.dir(Accepted), "beta"), pub(0), 0o644)
	if got, err := s.List(Accepted); err != nil || len(got) != 6 {
		t.Errorf("a new file is not seen: %q, %v", got, err)
	}
	if err := os.RemoveAll(s.dir(Accepted)); err != nil {
		t.Fatal(err)
	}
	if got, err := s.List(Accepted); err != nil || len(got) != 0 {
		t.Errorf("without the directory: %q, %v", got, err)
	}
	if _, err := s.List("minions_autosign"); err == nil {
		t.Error("a state that is none was listed")
	}
}

func TestMoveAndDelete(t *testing.T) {
	var events []Event
	s := open(t, Config{RotateAES: true, OnEvent: func(e Event) { events = append(events, e) }})
	s.answer(t, Request{ID: "m1", Pub: pub(0)})
	events = nil
	step := func(what string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	rotation := func(want bool) {
		t.Helper()
		if got, err := s.TakeRotation(); err != nil || got != want {
			t.Errorf("rotation asked for: %v, %v", got, err)
		}
	}
	step("accept what is not rejected", s.Move("m1", Rejected, Accepted), ErrUnknown)
	step("accept", s.Move("m1", Pending, Accepted), nil)
	rotation(false)
	step("accept again", s.Move("m1", Pending, Accepted), ErrUnknown)
	step("reject", s.Move("m1", Accepted, Rejected), nil)
	rotation(true)
	rotation(false)
	wantState(t, s, "m1", Rejected)
	step("delete from another state", s.Delete(Accepted, "m1"), ErrUnknown)
	step("delete", s.Delete(Rejected, "m1"), nil)
	rotation(true)
	wantState(t, s, "m1", "")
	var acts []string
	for _, e := range events {
		acts = append(acts, e.Tag+" "+e.Act)
	}
	if want := []string{"salt/key accept", "salt/key reject", "salt/key delete"}; !slices.Equal(acts, want) {
		t.Errorf("events %q", acts)
	}
	data := events[0].Data()
	if data.Bool("result") != true || data.Text("act") != "accept" || data.Text("id") != "m1" || data.Len() != 3 {
		t.Errorf("event data %v", data)
	}

	writeFile(t, filepath.Join(s.dir(Pending), "bad"), "no key", 0o644)
	step("accept what is no key", s.Move("bad", Pending, Accepted), ErrInvalid)
	wantState(t, s, "bad", Pending)
	for _, id := range []wire.MinionID{"../minions/m1", "", "a/b"} {
		if s.Move(id, Pending, Accepted) == nil || s.Delete(Pending, id) == nil {
			t.Errorf("id %q was taken", id)
		}
	}
	if s.Move("m1", Pending, "..") == nil || s.Delete("..", "m1") == nil || s.Move("m1", Pending, Pending) == nil {
		t.Error("a state that is none was taken")
	}
}

func TestCaseTwin(t *testing.T) {
	s := open(t, Config{AutoAccept: true})
	s.answer(t, Request{ID: "Web1", Pub: pub(0)})
	if got := s.answer(t, Request{ID: "web1", Pub: pub(1)}); got != Deny {
		t.Errorf("twin: %v", got)
	}
	wantState(t, s, "web1", "")
	if got := s.answer(t, Request{ID: "Web1", Pub: pub(0)}); got != Accept {
		t.Errorf("the first: %v", got)
	}
	writeFile(t, filepath.Join(s.dir(Pending), "WEB1"), pub(1), 0o644)
	if err := s.Move("WEB1", Pending, Accepted); !errors.Is(err, ErrCaseTwin) {
		t.Errorf("accepting a twin: %v", err)
	}
	if err := s.Seed("wEB1", pub(1)); !errors.Is(err, ErrCaseTwin) {
		t.Errorf("seeding a twin: %v", err)
	}
	if err := s.Delete(Accepted, "Web1"); err != nil {
		t.Fatal(err)
	}
	if err := s.Move("WEB1", Pending, Accepted); err != nil {
		t.Errorf("after the first was deleted: %v", err)
	}
}

func TestPendingLimits(t *testing.T) {
	now := time.Now()
	s := open(t, Config{MaxPending: 5, PendingPerAddress: 2, Now: func() time.Time { return now }})
	from := func(addr, id string) Answer {
		return s.answer(t, Request{ID: wire.MinionID(id), Pub: pub(0), Addr: netip.MustParseAddr(addr)})
	}
	for _, step := range []struct {
		addr, id string
		want     Answer
	}{
		{"192.0.2.1", "a", Wait},
		{"192.0.2.1", "a", Wait}, // not a new key
		{"192.0.2.1", "b", Wait},
		{"192.0.2.1", "c", Deny},          // the third of this address
		{"::ffff:192.0.2.1", "c", Deny},   // the same address
		{"192.0.2.1", "b", Wait},          // those that are known go on
		{"2001:db8::1", "d", Wait},        //
		{"2001:db8::2", "e", Wait},        //
		{"2001:db8::ffff:3", "f", Deny},   // the third of this network
		{"2001:db8:0:1::1", "f", Wait},    // the fifth in all
		{"2001:db8:0:2::1", "full", Deny}, // no more in all
	} {
		if got := from(step.addr, step.id); got != step.want {
			t.Errorf("%s from %s: %v, want %v", step.id, step.addr, got, step.want)
		}
	}
	if err := s.Delete(Pending, "f"); err != nil {
		t.Fatal(err)
	}
	if got := from("192.0.2.1", "c"); got != Deny {
		t.Errorf("within the hour: %v", got)
	}
	now = now.Add(time.Hour)
	if got := from("192.0.2.1", "c"); got != Wait {
		t.Errorf("after an hour: %v", got)
	}
	if len(s.quota.spend) != 1 {
		t.Errorf("%d addresses are remembered, 1 expected", len(s.quota.spend))
	}
}

func TestDeniedKeyIsWrittenOnce(t *testing.T) {
	s := open(t, Config{AutoAccept: true})
	s.answer(t, Request{ID: "m1", Pub: pub(0)})
	stat := func() os.FileInfo {
		s.answer(t, Request{ID: "m1", Pub: pub(1)})
		fi, err := os.Stat(filepath.Join(s.dir(Denied), "m1"))
		if err != nil {
			t.Fatal(err)
		}
		return fi
	}
	if a, b := stat(), stat(); !os.SameFile(a, b) {
		t.Error("the same denied key was written twice")
	}
	s.answer(t, Request{ID: "m1", Pub: pub(2)})
	if text, err := s.Read(Denied, "m1"); err != nil || text != pub(2) {
		t.Errorf("the last denied key is not there: %v", err)
	}
	wantState(t, s, "m1", Accepted)
}

func TestSigningFiles(t *testing.T) {
	dir := t.TempDir()
	sign, reject := filepath.Join(dir, "autosign.conf"), filepath.Join(dir, "autoreject.conf")
	s := open(t, Config{AutosignFile: sign, AutorejectFile: reject})
	if got := s.answer(t, Request{ID: "none", Pub: pub(0)}); got != Wait {
		t.Errorf("without the files: %v", got)
	}
	writeFile(t, sign, "# comment\n\n  web*.example.com  \ndb[0-9]+\\.example\\.com\n(?=a)a\\d\nback[ref\nalpha|beta\n", 0o640)
	writeFile(t, reject, "web9*\n", 0o600)
	for id, want := range map[wire.MinionID]Answer{
		"web1.example.com": Accept,
		"web1.example.org": Wait,
		"db12.example.com": Accept, // a regular expression
		"db1xexample.com":  Wait,
		"a1":               Accept, // one that needs Python's look-ahead
		"back[ref":         Accept, // a glob whose bracket is not closed
		"alpha":            Accept,
		"alphabet":         Wait, // the expression has to match the whole id
		"# comment":        Wait,
		"web9.example.com": Deny,
	} {
		if got := s.answer(t, Request{ID: id, Pub: pub(0)}); got != want {
			t.Errorf("%s: %v, want %v", id, got, want)
		}
	}
	writeFile(t, sign, "late\n", 0o640)
	if got := s.answer(t, Request{ID: "late", Pub: pub(0)}); got != Accept {
		t.Errorf("changed file: %v", got)
	}
	for mode, want := range map[os.FileMode]Answer{0o600: Accept, 0o644: Accept, 0o660: Wait, 0o602: Wait} {
		writeFile(t, sign, "x*\n", mode)
		if got := s.answer(t, Request{ID: wire.MinionID(fmt.Sprintf("x%o", mode)), Pub: pub(0)}); got != want {
			t.Errorf("mode %o: %v, want %v", mode, got, want)
		}
	}
	permissive := open(t, Config{AutosignFile: sign, PermissivePKIAccess: true})
	writeFile(t, sign, "x*\n", 0o660)
	if got := permissive.answer(t, Request{ID: "x", Pub: pub(0)}); got != Accept {
		t.Errorf("group-writable, permissive_pki_access: %v", got)
	}
}

func TestAutosignDirectory(t *testing.T) {
	s := open(t, Config{AutosignTimeout: 2 * time.Hour})
	dir := filepath.Join(s.cfg.PKIDir, autosignDir)
	ticket := func(id string, age time.Duration) string {
		path := filepath.Join(dir, id)
		writeFile(t, path, "", 0o600)
		at := time.Now().Add(-age)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
		return path
	}
	gone := func(path string) bool {
		_, err := os.Stat(path)
		return errors.Is(err, os.ErrNotExist)
	}
	stale, fresh := ticket("old", 3*time.Hour), ticket("new", time.Hour)
	if got := s.answer(t, Request{ID: "other", Pub: pub(0)}); got != Wait || !gone(stale) || gone(fresh) {
		t.Errorf("another id: %v, old removed %v, new removed %v", got, gone(stale), gone(fresh))
	}
	if got := s.answer(t, Request{ID: "new", Pub: pub(0)}); got != Accept || !gone(fresh) {
		t.Errorf("named id: %v, used up %v", got, gone(fresh))
	}
	// It is not used up by one who is refused.
	s.answer(t, Request{ID: "p", Pub: pub(0)})
	path := ticket("p", 0)
	if got := s.answer(t, Request{ID: "p", Pub: pub(1)}); got != Deny || gone(path) {
		t.Errorf("another key: %v, used up %v", got, gone(path))
	}
	if got := s.answer(t, Request{ID: "p", Pub: pub(0)}); got != Accept || !gone(path) {
		t.Errorf("the pending key: %v, used up %v", got, gone(path))
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	ticket("planted", 0)
	if got := s.answer(t, Request{ID: "planted", Pub: pub(0)}); got != Wait {
		t.Errorf("in a directory that others may write to: %v", got)
	}
}

func TestAutosignGrains(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "uuid"), "# known machines\n 8f7d68e2 \n1111\n", 0o600)
	writeFile(t, filepath.Join(dir, "open"), "8f7d68e2\n", 0o666)
	s := open(t, Config{AutosignGrainsDir: dir})
	for name, test := range map[string]struct {
		grains *wire.Map
		want   Answer
	}{
		"none":          {nil, Wait},
		"listed":        {wire.NewMap("os", "x", "uuid", "8f7d68e2"), Accept},
		"another value": {wire.NewMap("uuid", "8f7d68e"), Wait},
		"comment":       {wire.NewMap("uuid", "# known machines"), Wait},
		"no text":       {wire.NewMap("uuid", int64(1111)), Wait},
		"planted":       {wire.NewMap("open", "8f7d68e2"), Wait},
		"a path":        {wire.NewMap("../uuid", "1111"), Wait},
	} {
		if got := s.answer(t, Request{ID: wire.MinionID("m-" + name), Pub: pub(0), Grains: test.grains}); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func TestLinesMatchAsSalt(t *testing.T) {
	b, err := os.ReadFile("testdata/match.json")
	if err != nil {
		t.Fatal(err)
	}
	var data struct {
		IDs      []string
		Patterns []struct {
			Pattern string
			Either  []string
		}
	}
	if err := json.Unmarshal(b, &data); err != nil {
		t.Fatal(err)
	}
	for _, p := range data.Patterns {
		either := compile(p.Pattern)
		for _, id := range data.IDs {
			if p.Pattern == "web|db" {
				// The difference that compile tells of.
				if got, want := either(id), id == "web" || id == "db"; got != want {
					t.Errorf("line %q, id %q: %v", p.Pattern, id, got)
				}
				continue
			}
			if got, want := either(id), slices.Contains(p.Either, id); got != want {
				t.Errorf("line %q, id %q: %v", p.Pattern, id, got)
			}
		}
	}
}

func TestDropFile(t *testing.T) {
	s := open(t, Config{MasterID: "web1_master"})
	path := filepath.Join(s.cfg.CacheDir, ".dfn")
	take := func(want bool) {
		t.Helper()
		if got, err := s.TakeRotation(); err != nil || got != want {
			t.Errorf("asked for: %v, %v, want %v", got, err, want)
		}
	}
	there := func(want bool) {
		t.Helper()
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("drop file: %v", err)
		}
	}
	take(false)
	for range 2 {
		if err := s.RotateAES(); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil || string(b) != "web1_master" {
		t.Errorf("drop file holds %q, %v", b, err)
	}
	take(true)
	take(false)
	writeFile(t, path, "", 0o400) // as 3006's salt-key writes it
	take(true)
	writeFile(t, path, "", 0o600)
	take(false)
	there(false)
	writeFile(t, path, "other_master", 0o400)
	take(false)
	there(true)
}

func TestOpenTakesOverAndRefuses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	for _, sub := range []string{"minions", "minions_pre"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, filepath.Join(dir, "minions", "m1"), pub(0), 0o600)
	for name, age := range map[string]time.Duration{"crashed": time.Hour, "writing": 0} {
		path := filepath.Join(dir, "minions", tempPrefix+name)
		writeFile(t, path, "half", 0o600)
		if err := os.Chtimes(path, time.Now().Add(-age), time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, Config{PKIDir: dir})
	if !s.IsAccepted("m1", pub(0)) {
		t.Error("key of an existing directory is not known")
	}
	if fi, err := os.Stat(dir); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("pki_dir: %v, %v", fi.Mode(), err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "minions", tempPrefix+"*")); err != nil || len(left) != 1 || !strings.HasSuffix(left[0], "writing") {
		t.Errorf("temporary files that are left: %q, %v", left, err)
	}
	for _, sub := range []string{"minions", "minions_autosign", "."} {
		path := filepath.Join(dir, sub)
		if err := os.Chmod(path, 0o770); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(Config{PKIDir: dir}); err == nil || !strings.Contains(err.Error(), "chmod 700 "+path) {
			t.Errorf("%s writable by its group: %v", sub, err)
		}
		if err := os.Chmod(path, 0o750); err != nil {
			t.Fatal(err)
		}
	}
	open(t, Config{PKIDir: dir})
	if fi, err := os.Stat(dir); err != nil || fi.Mode().Perm() != 0o750 {
		t.Errorf("0750 was not left alone: %v, %v", fi.Mode(), err)
	}
}

func TestConcurrentFirstContact(t *testing.T) {
	s := open(t, Config{AutoAccept: true})
	ids := []wire.MinionID{"node", "Node", "NODE", "nOde"}
	accepted := make([]Answer, len(ids))
	var g sync.WaitGroup
	for i, id := range ids {
		g.Go(func() {
			res, err := s.Authenticate(Request{ID: id, Pub: pub(i % 3)})
			if err != nil {
				t.Error(err)
			}
			accepted[i] = res.Answer
		})
		for n := range 20 {
			g.Go(func() {
				id := wire.MinionID(fmt.Sprintf("m%d", n))
				if res, err := s.Authenticate(Request{ID: id, Pub: pub(0)}); err != nil || res.Answer != Accept {
					t.Errorf("%s: %v, %v", id, res.Answer, err)
				}
				if _, err := s.List(Accepted); err != nil {
					t.Error(err)
				}
			})
		}
	}
	g.Wait()
	n := 0
	for _, a := range accepted {
		if a == Accept {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d of the ids that differ in case were accepted, want 1", n)
	}
	ids, err := s.List(Accepted)
	if err != nil || len(ids) != 21 {
		t.Errorf("%d ids, %v", len(ids), err)
	}
}

func TestFingerprint(t *testing.T) {
	s := open(t, Config{AutoAccept: true})
	s.answer(t, Request{ID: "m1", Pub: pub(0)})
	got, err := s.Fingerprint(Accepted, "m1", "sha256")
	if err != nil || strings.Count(got, ":") != 31 {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := s.Fingerprint(Accepted, "m2", "sha256"); !errors.Is(err, ErrUnknown) {
		t.Errorf("unknown id: %v", err)
	}
}

func TestEventData(t *testing.T) {
	e := Event{Tag: "salt/auth", ID: "m1", Pub: "key"}
	if got, want := e.Data(), wire.NewMap("result", false, "id", "m1", "pub", "key"); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
