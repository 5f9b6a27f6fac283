package inventory

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gosalt/gosalt/internal/testproc"
	"github.com/gosalt/gosalt/protocol/wire"
)

// cloud is a provider of these tests: scopes with machines, made page by page, which
// counts how many machines are alive.
type cloud struct {
	mu     sync.Mutex
	scopes map[string][]Machine
	fails  map[string]*Error // by scope; "" is all
	hang   bool
	lists  atomic.Int32
	made   func(i int) Machine // instead of scopes: n machines over regions
	n      int
	alive  atomic.Int64
	most   atomic.Int64
	calm   func() // called by the provider in the middle of a listing
}

func (c *cloud) List(ctx context.Context) iter.Seq2[Machine, error] {
	return func(yield func(Machine, error) bool) {
		c.lists.Add(1)
		if c.hang {
			<-ctx.Done()
			yield(Machine{}, Interrupted(ctx, Error{Call: "DescribeInstances", Scope: ""}))
			return
		}
		c.mu.Lock()
		scopes, fails, calm := maps.Clone(c.scopes), maps.Clone(c.fails), c.calm
		c.mu.Unlock()
		if e := fails[""]; e != nil {
			yield(Machine{}, e)
			return
		}
		for i := 0; i < c.n; i += 100 {
			page := make([]*Machine, 100)
			for k := range page {
				m := c.made(i + k)
				m.Attrs = wire.NewMap("n", int64(i+k)) // shared by all copies of the machine
				page[k] = &m
				runtime.AddCleanup(m.Attrs, func(a *atomic.Int64) { a.Add(-1) }, &c.alive)
				c.alive.Add(1)
			}
			if i/100%3 == 2 {
				runtime.GC()
			}
			c.most.Store(max(c.most.Load(), c.alive.Load()))
			for _, m := range page {
				if !yield(*m, nil) {
					return
				}
			}
		}
		for _, name := range slices.Sorted(maps.Keys(scopes)) {
			if e := fails[name]; e != nil {
				if !yield(Machine{}, e) {
					return
				}
				continue
			}
			for _, m := range scopes[name] {
				m.Scope = name
				if !yield(m, nil) {
					return
				}
			}
			if calm != nil {
				calm()
			}
		}
	}
}

func (c *cloud) set(scope string, ms ...Machine) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.scopes == nil {
		c.scopes = map[string][]Machine{}
	}
	c.scopes[scope] = ms
}

func (c *cloud) fail(scope string, e *Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fails = map[string]*Error{scope: e}
	if e == nil {
		c.fails = nil
	}
}

var fakeOptions = []Option{{Name: "regions", Type: List, Doc: "Regions."}, {Name: "secret_key", Type: Secret, Doc: "The key."}}

// with opens an inventory whose kind "fake" is c.
func with(t *testing.T, c *cloud, dir string, changes *[]string, sources *wire.Map) *Inventory {
	t.Helper()
	var mu sync.Mutex
	inv, err := Open(Config{Sources: sources, Dir: dir, Kinds: map[string]func() Kind{"fake": func() Kind {
		return Kind{Name: "fake", Doc: "Machines of a test.", Options: fakeOptions, New: func(*Values, Env) (Provider, error) { return c, nil }}
	}}, OnChange: func(ch Change) {
		mu.Lock()
		defer mu.Unlock()
		if changes != nil {
			*changes = append(*changes, ch.What+" "+ch.Name)
		}
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { inv.Close() })
	return inv
}

func one(kv ...any) *wire.Map {
	m := wire.NewMap("provider", "fake")
	for i := 0; i < len(kv); i += 2 {
		m.Set(kv[i].(string), kv[i+1])
	}
	return wire.NewMap("prod", m)
}

func names(t *testing.T, inv *Inventory) string {
	t.Helper()
	var out []string
	for e, err := range inv.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		s := e.Name
		if e.Old {
			s += "(old)"
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

func refresh(t *testing.T, inv *Inventory) *Listing {
	t.Helper()
	l, err := inv.Refresh(t.Context(), "prod")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func want(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func tagged(id, name string, tags ...string) Machine {
	m := Machine{ID: id, Tags: map[string]string{"Name": name}, State: Running}
	for i := 0; i < len(tags); i += 2 {
		m.Tags[tags[i]] = tags[i+1]
	}
	return m
}

func TestOutages(t *testing.T) {
	c := &cloud{}
	dir := t.TempDir()
	var changes []string
	cfg := one("name", "{{ tags.Name or id }}")
	inv := with(t, c, dir, &changes, cfg)
	c.set("eu", tagged("i-1", "web1"), tagged("i-2", "web2"))
	c.set("us", tagged("i-3", "db1"), Machine{ID: "i-4"}, Machine{ID: "i-5", State: Gone})
	if l := refresh(t, inv); l.Found != 4 || len(l.Errors) > 0 {
		t.Errorf("%+v", l)
	}
	want(t, names(t, inv), "db1 i-4 web1 web2")
	// A scope that fails keeps its machines, and they are old; the others go on.
	denied := &Error{Scope: "us", Call: "DescribeInstances", Reason: NotPermitted, Msg: "UnauthorizedOperation"}
	c.fail("us", denied)
	c.set("eu", tagged("i-1", "web1", "role", "x"), tagged("i-6", "web3"))
	if l := refresh(t, inv); l.Found != 1 || l.Changed != 1 || l.Gone != 1 || len(l.Errors) != 1 {
		t.Errorf("%+v", l)
	}
	want(t, names(t, inv), "db1(old) i-4(old) web1 web3")
	want(t, strings.Join(changes, ", "), "found web1, found web2, found db1, found i-4, changed web1, found web3, gone web2")
	w := inv.Warnings(t.Context())
	if len(w) != 1 || !strings.Contains(w[0], "prod (fake), us, DescribeInstances: not permitted") || !strings.Contains(w[0], "ago") {
		t.Errorf("%q", w)
	}
	// The whole source fails: all is old, after a restart too.
	c.fail("", &Error{Call: "DescribeRegions", Reason: NoCredentials, Msg: "none", Hint: "set them"})
	refresh(t, inv)
	inv.Close()
	inv = with(t, c, dir, &changes, cfg)
	want(t, names(t, inv), "db1(old) i-4(old) web1(old) web3(old)")
	if exists, sure, err := inv.Exists(t.Context(), "web9"); exists || sure || err != nil {
		t.Error("a source that failed is no proof that a machine is gone", exists, sure, err)
	}
	// It is back, with fewer.
	c.fail("", nil)
	c.set("us")
	refresh(t, inv)
	want(t, names(t, inv), "web1 web3")
	if exists, sure, _ := inv.Exists(t.Context(), "web9"); exists || !sure {
		t.Error(exists, sure)
	}
	// An empty account is told of.
	c.set("eu")
	if l := refresh(t, inv); !l.Empty || !strings.Contains(l.Map().Text("warning"), "no machines any more: 2 are gone") {
		t.Errorf("%+v", l)
	}
	want(t, names(t, inv), "")
	if _, err := inv.Get(t.Context(), "web1"); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
}

func TestNames(t *testing.T) {
	c := &cloud{}
	c.set("eu", tagged("i-1", "web"), tagged("i-2", "web"), tagged("i-3", "Ünï cöde/../x"), tagged("i-4", "{{ 7*7 }}"), tagged("i-5", "   "), tagged("i-6", strings.Repeat("x", 500)))
	var changes []string
	inv := with(t, c, t.TempDir(), &changes, one("name", "{{ tags.Name or id }}"))
	refresh(t, inv)
	want(t, names(t, inv), "7-7 i-5 n-c-de-..-x web-i-1 web-i-2 "+strings.Repeat("x", maxName))
	for e, err := range inv.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := wire.ParseMinionID(e.Name); err != nil {
			t.Error(err)
		}
		got, err := inv.Get(t.Context(), e.Name)
		if err != nil || got.ID != e.ID {
			t.Errorf("%s: %s, %v", e.Name, got.ID, err)
		}
	}
	if _, err := inv.Get(t.Context(), "web"); err == nil {
		t.Error("web may be either")
	}
	st, err := inv.Status(t.Context())
	if err != nil || len(st) != 1 || fmt.Sprint(st[0].Clashes) != "[web]" {
		t.Errorf("%+v %v", st, err)
	}
	// They are told of by the names that they had.
	c.set("eu", tagged("i-5", "   "))
	changes = nil
	refresh(t, inv)
	slices.Sort(changes)
	want(t, strings.Join(changes[:3], ", "), "gone 7-7, gone n-c-de-..-x, gone web-i-1")
}

// Names are minions' ids, and each is one machine's alone, however long and alike ids, tags
// and names of sources are.
func TestLongNames(t *testing.T) {
	long := strings.Repeat("n", 300)
	c := &cloud{}
	c.set("eu", tagged("a/b", "web"), tagged("a b", "web"), tagged("ü", "web"), tagged("é", "web"),
		tagged(strings.Repeat("i", 90)+"1", long), tagged(strings.Repeat("i", 90)+"2", long))
	cfg := wire.NewMap()
	for _, source := range []string{strings.Repeat("s", maxSourceName), strings.Repeat("t", maxSourceName)} {
		cfg.Set(source, wire.NewMap("provider", "fake", "name", "{{ tags.Name }}"))
	}
	inv := with(t, c, t.TempDir(), nil, cfg)
	inv.First(t.Context())
	seen := map[string]bool{}
	for e, err := range inv.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := wire.ParseMinionID(e.Name); err != nil || seen[e.Name] {
			t.Errorf("%s: %v, twice: %v", e.Name, err, seen[e.Name])
		}
		seen[e.Name] = true
		got, err := inv.Get(t.Context(), e.Name)
		if err != nil || got.ID != e.ID || got.Source != e.Source {
			t.Errorf("%s: %s of %s, %v", e.Name, got.ID, got.Source, err)
		}
	}
	if len(seen) != 12 {
		t.Errorf("%d names", len(seen))
	}
}

// Every mistake in the configuration is told, with the source that it is in, and the
// other sources go on.
func TestConfiguration(t *testing.T) {
	c := &cloud{}
	for _, row := range []struct {
		cfg  *wire.Map
		want string
	}{
		{wire.NewMap("a", "fake"), "a: wrong configuration: it has to be a map with provider:"},
		{wire.NewMap("a", wire.NewMap("provider", "fakee")), `there is no provider "fakee"; is it "fake"? (there are fake`},
		{wire.NewMap("a", wire.NewMap("regions", "x")), "provider is missing"},
		{wire.NewMap("a/b", wire.NewMap("provider", "fake")), "the name of a source has letters"},
		{one("region", "x"), `there is no option "region"; is it "regions"?`},
		{one("adress", "x"), `there is no option "adress"; is it "address"?`},
		{one("address", "inside"), `address names "inside", and may name private, public, dns`},
		{one("states", []any{"dead"}), `states names "dead"`},
		{one("refresh", "soon"), "refresh has to be a time"},
		{one("refresh", "1d1"), "refresh has to be a time, as 30s, 5m or 1d"},
		{one("refresh", "10ms"), "refresh has to be a second at least"},
		{one("name", "{{ tags.Name"), `name: the template "{{ tags.Name"`},
		{one("ssh", wire.NewMap("user", "{{ x")), "ssh: user: ssh: the template"},
		{one("regions", wire.NewMap()), "regions has to be a list of texts"},
	} {
		row.cfg.Set("good", wire.NewMap("provider", "fake"))
		inv := with(t, c, t.TempDir(), nil, row.cfg)
		p := inv.Problems()
		if len(p) != 1 || !strings.Contains(p[0].Error(), row.want) {
			t.Errorf("%v\nwant %s", p, row.want)
		}
		if got := inv.Sources(); len(got) != 1 || got[0] != "good" {
			t.Error(got)
		}
	}
	inv := with(t, c, t.TempDir(), nil, one("refresh", "1d12h"))
	if d := inv.sources[0].refresh; d != 36*time.Hour || inv.Problems() != nil {
		t.Errorf("%v, %v", d, inv.Problems())
	}
	if _, err := inv.Refresh(t.Context(), "prd"); err == nil || !strings.Contains(err.Error(), `is it "prod"?`) {
		t.Error(err)
	}
}

// A provider that hangs is given up after its time; one that is throttled is left alone
// longer and longer; secrets are in no text.
func TestSlowSources(t *testing.T) {
	c := &cloud{hang: true}
	inv := with(t, c, t.TempDir(), nil, one("timeout", "0.05", "secret_key", "hunter2hunter2"))
	l := refresh(t, inv)
	if len(l.Errors) == 0 || l.Errors[0].Reason != NoAnswer {
		t.Errorf("%v", l.Errors)
	}
	c.hang = false
	c.fail("", &Error{Call: "x", Reason: BadLogin, Msg: "the key hunter2hunter2 is wrong", Err: errors.New("hunter2hunter2")})
	if l = refresh(t, inv); strings.Contains(fmt.Sprintf("%+v %v", *l.Errors[0], l.Errors[0]), "hunter2") {
		t.Errorf("%v", l.Errors[0])
	}
	throttled := []*Error{{Scope: "eu", Reason: Throttled}}
	for fails, want := range map[int]time.Duration{1: 10 * time.Minute, 2: 20 * time.Minute, 9: time.Hour} {
		if d := pause(5*time.Minute, throttled, fails); d < want*89/100 || d > want*111/100 {
			t.Errorf("after %d: %v, about %v is expected", fails, d, want)
		}
	}
}

// Many who ask at once have one listing made, in this process and in others.
func TestOneListingAtATime(t *testing.T) {
	c := &cloud{}
	dir := t.TempDir()
	gate := make(chan struct{})
	began := make(chan struct{}, 10)
	c.set("eu", tagged("i-1", "web1"))
	c.calm = func() { began <- struct{}{}; <-gate }
	a, b := with(t, c, dir, nil, one()), with(t, c, dir, nil, one())
	var wg sync.WaitGroup
	var shared atomic.Int32
	for range 4 {
		wg.Go(func() { refresh(t, a) })
	}
	<-began
	wg.Go(func() {
		if refresh(t, b).Shared {
			shared.Add(1)
		}
	})
	for { // b has to wait at the lock before the listing may end
		b.mu.Lock()
		n := len(b.flights)
		b.mu.Unlock()
		if n == 1 {
			break
		}
		runtime.Gosched()
	}
	close(gate)
	wg.Wait()
	if n := c.lists.Load(); n > 2 || n == 2 && shared.Load() != 0 {
		t.Errorf("%d listings, %d shared", n, shared.Load())
	}
	want(t, names(t, b), "i-1")
}

// 10,000 machines over 100 pages in 3 regions are listed, stored, listed again and matched
// while few are alive at a time.
func TestMany(t *testing.T) {
	n := 10_000
	if testproc.Race { // a machine takes ten times as long
		n = 1_500
	}
	made := func(i int) Machine {
		region := []string{"eu-west-1", "eu-north-1", "us-east-1"}[i*3/n]
		return Machine{ID: fmt.Sprintf("i-%05d", i), Label: fmt.Sprintf("web%05d", i), Scope: region, Region: region, State: Running,
			Private: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})}, Tags: map[string]string{"role": []string{"web", "db"}[i%2]}}
	}
	c := &cloud{n: n, made: made}
	inv := with(t, c, t.TempDir(), nil, one())
	if l := refresh(t, inv); l.Found != n || len(l.Errors) > 0 {
		t.Fatalf("%+v", l)
	}
	if got := c.most.Load(); got > 1200 {
		t.Errorf("%d machines were alive at once", got)
	}
	if l := refresh(t, inv); l.Listed != n || l.Found+l.Changed+l.Gone != 0 {
		t.Errorf("%+v", l)
	}
	ids, err := inv.Match(t.Context(), "region:eu-*")
	if err != nil || len(ids) != (n*2+2)/3 || ids[0] != "web00000" {
		t.Errorf("%d %v", len(ids), err)
	}
	k := 0
	for range inv.All(t.Context()) {
		k++
	}
	if k != n {
		t.Error(k)
	}
}

func TestMatch(t *testing.T) {
	c := &cloud{}
	a := tagged("i-1", "web1", "env", "prod", "k=x", "a=b", "Sp ace", "Ü 1")
	a.Region, a.Type, a.Groups, a.Private = "eu-west-1", "t3.micro", []string{"sg-1"}, []netip.Addr{netip.MustParseAddr("10.1.2.3")}
	b := tagged("i-2", "web2", "env", "test", "empty", "")
	b.State = Stopped
	c.set("eu", a, b)
	inv := with(t, c, t.TempDir(), nil, one("name", "{{ tags.Name }}"))
	refresh(t, inv)
	for expr, names := range map[string]string{
		"tag:env=prod": "web1", "tag:env=*": "web1 web2", "tag:env": "web1 web2", "tag:env=PROD": "", "tag:k=x=a=b": "web1", "tag:k=x": "web1", "tag:Sp ace=? 1": "web1",
		"tag:empty": "web2", "tag:empty=": "web2", "tag:none": "", "region:eu-*": "web1", "provider:fake": "web1 web2", "source:pr*": "web1 web2", "state:stopped": "web2",
		"type:t3.*": "web1", "group:sg-1": "web1", "id:i-[12]": "web1 web2", "ip:10.1.0.0/16": "web1", "ip:10.1.2.3": "web1", "scope:eu": "web1 web2", "zone:*": "", "name:web?": "web1 web2",
	} {
		got, err := inv.Match(t.Context(), expr)
		if err != nil || strings.Join(got, " ") != names {
			t.Errorf("V@%s: %q %v, %q is expected", expr, got, err, names)
		}
	}
	for expr, text := range map[string]string{
		"tags:env=prod": "is it tag?", "regoin:eu": `no attribute "regoin" of machines; is it region?`, "region": "V@region:VALUE is expected", "tag:": "V@tag:KEY=VALUE",
		"x:y": "There are account, dns, group", "ip:x": "no address and no network",
	} {
		if _, err := inv.Match(t.Context(), expr); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("V@%s: %v, want %s", expr, err, text)
		}
	}
}

var saidAgo = regexp.MustCompile(`it is stopped, said prod \(fake\) \d+s ago`)

func TestRosterEntries(t *testing.T) {
	c := &cloud{}
	a := tagged("i-1", "web1", "user", "admin")
	a.Private, a.Public, a.DNS = []netip.Addr{netip.MustParseAddr("127.0.1.1")}, []netip.Addr{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("203.0.113.1")}, []string{"web1.example.com"}
	a.SSH = wire.NewMap("user", "ec2-user", "port", int64(2222))
	b := tagged("i-2", "web2")
	d := tagged("i-3", "web3")
	d.State = Stopped
	c.set("eu", a, b, d)
	dir := t.TempDir()
	for order, host := range map[string]string{"": "127.0.1.1", "public": "203.0.113.1", "public6,private": "2001:db8::1", "dns": "web1.example.com", "private6,dns": "web1.example.com"} {
		cfg := one("name", "{{ tags.Name }}", "ssh", wire.NewMap("user", "{{ tags.user or 'root' }}", "priv", "/k/{{ region or 'none' }}.pem", "ssh_options", []any{"HostKeyAlias={{ id }}"}))
		if order != "" {
			cfg.Map("prod").Set("address", order)
		}
		inv := with(t, c, dir, nil, cfg)
		refresh(t, inv)
		e, err := inv.Get(t.Context(), "web1")
		if err != nil {
			t.Fatal(err)
		}
		r, wrong := e.Roster(t.Context())
		if wrong != nil || r.Text("host") != host || r.Text("user") != "admin" || r.Int("port") != 2222 || r.Text("priv") != "/k/none.pem" || r.List("ssh_options")[0] != "HostKeyAlias=i-1" {
			t.Errorf("%q: %v %v", order, r, wrong)
		}
		e, _ = inv.Get(t.Context(), "web2")
		if _, wrong := e.Roster(t.Context()); wrong == nil || !strings.Contains(wrong.Error(), "it has no address of the sort") {
			t.Error(wrong)
		}
		e, _ = inv.Get(t.Context(), "web3")
		if _, wrong := e.Roster(t.Context()); wrong == nil || !saidAgo.MatchString(wrong.Error()) {
			t.Error(wrong)
		}
		inv.Close()
	}
}

// Sources that are not configured any more are not there, and back when they are.
func TestReconfigured(t *testing.T) {
	c := &cloud{}
	c.set("eu", tagged("i-1", "web1"), tagged("i-2", "web2"))
	dir := t.TempDir()
	inv := with(t, c, dir, nil, one("name", "{{ tags.Name }}"))
	refresh(t, inv)
	inv.Close()
	inv = with(t, c, dir, nil, one("enabled", false))
	want(t, names(t, inv), "")
	if _, err := inv.Refresh(t.Context(), "prod"); err == nil || !strings.Contains(err.Error(), "switched off") {
		t.Error(err)
	}
	inv.Close()
	inv = with(t, c, dir, nil, one("states", "stopped"))
	want(t, names(t, inv), "web1 web2")
	if errs := inv.Fresh(t.Context()); len(errs) > 0 { // another configuration: listed at once
		t.Error(errs)
	}
	want(t, names(t, inv), "")
	if exists, sure, _ := inv.Exists(t.Context(), "i-1"); !exists || !sure {
		t.Error("a machine that is no target is there all the same")
	}
	n := c.lists.Load()
	inv.Fresh(t.Context())
	if c.lists.Load() != n {
		t.Error("it was listed again before its time")
	}
}

func TestDiff(t *testing.T) {
	c := &cloud{}
	c.set("eu", tagged("i-1", "web1"), tagged("i-2", "web2"))
	inv := with(t, c, t.TempDir(), nil, one("name", "{{ tags.Name }}"))
	refresh(t, inv)
	c.set("eu", tagged("i-1", "web1", "env", "prod"), tagged("i-3", "web3"))
	for range 2 { // nothing is stored
		var got []string
		l, err := inv.Diff(t.Context(), "prod", func(ch Change) { got = append(got, fmt.Sprint(ch.What, " ", ch.Name, ch.Fields)) })
		if err != nil || l.Found != 1 || l.Changed != 1 || l.Gone != 1 {
			t.Errorf("%+v %v", l, err)
		}
		want(t, strings.Join(got, ", "), "changed web1[{tags.env  prod}], found web3[], gone web2[]")
	}
	want(t, names(t, inv), "web1 web2")
	// What is nested is told in words.
	nested := tagged("i-1", "web1")
	nested.Attrs = wire.NewMap("nics", []any{wire.NewMap("id", "eni-1", "private", []any{"10.0.0.5", "10.0.0.6"})})
	c.set("eu", nested, tagged("i-2", "web2"))
	if _, err := inv.Diff(t.Context(), "prod", func(ch Change) {
		want(t, fmt.Sprint(ch.Fields), "[{attrs.nics  id: eni-1, private: [10.0.0.5, 10.0.0.6]}]")
	}); err != nil {
		t.Error(err)
	}
	// Machines that would get one name are all told of.
	c.set("eu", tagged("i-1", "web1"), tagged("i-2", "web2"), tagged("i-3", "web1"), tagged("i-4", "new"), tagged("i-5", "new"))
	var got []string
	if _, err := inv.Diff(t.Context(), "prod", func(ch Change) { got = append(got, ch.Name) }); err != nil {
		t.Error(err)
	}
	want(t, strings.Join(got, ", "), "web1-i-3, new, new-i-5")
}

// More scopes may fail than errors are kept: no machine goes for that.
func TestManyFailures(t *testing.T) {
	c := &cloud{}
	fails := map[string]*Error{}
	for i := range maxErrors + 10 {
		scope := fmt.Sprintf("s%03d", i)
		c.set(scope, Machine{ID: "i-" + scope})
		fails[scope] = &Error{Scope: scope, Call: "list", Reason: NoAnswer, Msg: "down"}
	}
	sources := one()
	sources.Set("wrong", wire.NewMap("provider", "none"))
	inv := with(t, c, t.TempDir(), nil, sources)
	if errs := inv.Fresh(t.Context()); len(errs) != 1 || errs[0].Source != "wrong" {
		t.Error(errs)
	}
	c.mu.Lock()
	c.fails = fails
	c.mu.Unlock()
	if l := refresh(t, inv); l.Gone != 0 || len(l.Errors) != maxErrors {
		t.Errorf("%d are gone, %d errors", l.Gone, len(l.Errors))
	}
}

// The cache is that of a process that was killed: what was committed is there.
func TestBrokenCache(t *testing.T) {
	dir := t.TempDir()
	c := &cloud{}
	c.set("eu", tagged("i-1", "web1"))
	inv := with(t, c, dir, nil, one())
	refresh(t, inv)
	inv.Close()
	f := filepath.Join(dir, "inventory.db")
	if err := os.WriteFile(f, []byte(strings.Repeat("not a database", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	inv = with(t, c, dir, nil, one())
	want(t, names(t, inv), "")
	refresh(t, inv)
	want(t, names(t, inv), "i-1")
}
