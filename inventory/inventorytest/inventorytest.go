// Package inventorytest holds what every provider of package inventory promises.
//
//	func TestSuite(t *testing.T) {
//		inventorytest.Run(t, func(t *testing.T) inventorytest.Service {
//			srv := fakeCloud(t, …)
//			return inventorytest.Service{Kind: ec2.Kind, Config: wire.NewMap("endpoint", srv.URL, …), Want: 23, …}
//		})
//	}
//
// A provider's own tests say what its machines look like; these say that it is a
// provider.
package inventorytest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/protocol/wire"
)

// A Service is what is there for a provider to list: the real thing, an emulator, or a
// server that plays back what a real one said. It is made anew for each test and ends
// with it. Config and the other configurations are the kind's own options, without
// those of inventory.Common.
type Service struct {
	Kind   inventory.Kind
	Env    inventory.Env // Source is filled in when empty
	Config *wire.Map     // lists everything
	Want   int           // how many machines that is: at least 3, better on several pages

	// Partial lists a source of which one scope fails. Nil: the kind has one scope alone.
	Partial *Failure
	// Failures are sources that fail as a whole, by what is wrong: "expired login".
	Failures map[string]Failure
	// Hangs are sources that never answer, by where: "connect", "in the middle".
	Hangs map[string]*wire.Map
	// Secrets are texts in the configurations that no error may show.
	Secrets []string
	// Large makes a source of n machines, which is listed in pages. Nil: the source is one
	// document, which is read whole.
	Large func(t *testing.T, n int) *wire.Map
}

// A Failure is a source that cannot be listed whole, and what its error has to say.
type Failure struct {
	Config *wire.Map
	Want   int // machines that come all the same
	Scope  string
	Reason inventory.Reason
	Call   string
	Hint   bool // it has to say what to do
}

// patience is for what ends by itself: long enough for any machine, and never waited for.
const patience = time.Minute

// Run checks a provider. serve is called for each part.
func Run(t *testing.T, serve func(t *testing.T) Service) {
	t.Run("kind", func(t *testing.T) { checkKind(t, serve(t)) })
	t.Run("list", func(t *testing.T) { checkList(t, serve(t)) })
	t.Run("stop", func(t *testing.T) { checkStop(t, serve(t)) })
	t.Run("context", func(t *testing.T) { checkContext(t, serve(t)) })
	t.Run("concurrent", func(t *testing.T) { checkConcurrent(t, serve(t)) })
	t.Run("partial", func(t *testing.T) {
		s := serve(t)
		if s.Partial == nil {
			t.Skip("it has one scope")
		}
		checkFailure(t, s, *s.Partial, true)
	})
	t.Run("failures", func(t *testing.T) {
		s := serve(t)
		for _, name := range slices.Sorted(maps.Keys(s.Failures)) {
			t.Run(name, func(t *testing.T) { checkFailure(t, s, s.Failures[name], false) })
		}
	})
	t.Run("hangs", func(t *testing.T) {
		s := serve(t)
		for _, name := range slices.Sorted(maps.Keys(s.Hangs)) {
			t.Run(name, func(t *testing.T) { checkHang(t, s, s.Hangs[name]) })
		}
	})
	t.Run("large", func(t *testing.T) {
		s := serve(t)
		if s.Large == nil {
			t.Skip("it is one document")
		}
		checkLarge(t, s)
	})
}

// Open makes a provider as the inventory does.
func (s Service) Open(t testing.TB, cfg *wire.Map) inventory.Provider {
	t.Helper()
	p, err := s.open(cfg)
	if err != nil {
		t.Fatalf("the configuration is refused: %v", err)
	}
	if c, ok := p.(inventory.Closer); ok {
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
	return p
}

func (s Service) open(cfg *wire.Map) (inventory.Provider, error) {
	env := s.Env
	if env.Source == "" {
		env.Source = "test"
	}
	v, err := inventory.ReadValues(env.Source, cfg, s.Kind.Options)
	if err != nil {
		return nil, err
	}
	return s.Kind.New(v, env)
}

// checkKind looks at what the documentation is printed from.
func checkKind(t *testing.T, s Service) {
	k := s.Kind
	if k.Name == "" || strings.ToLower(k.Name) != k.Name || strings.ContainsAny(k.Name, " _./") {
		t.Errorf("the name %q: lower case letters and digits are expected", k.Name)
	}
	if !sentence(k.Doc) {
		t.Errorf("its documentation has to be a sentence: %q", k.Doc)
	}
	seen := map[string]bool{}
	for _, o := range inventory.Common {
		seen[o.Name] = true
	}
	for _, o := range k.Options {
		if seen[o.Name] {
			t.Errorf("option %s: there is one already, of the kind or of all kinds", o.Name)
		}
		seen[o.Name] = true
		if o.Type == "" || !sentence(o.Doc) {
			t.Errorf("option %s: a type and a sentence are expected: %q, %q", o.Name, o.Type, o.Doc)
		}
	}
	if s.Config.Len() > 0 {
		cfg := s.Config.Clone()
		key := k.Options[0].Name + "x"
		cfg.Set(key, "1")
		_, err := s.open(cfg)
		var e *inventory.Error
		if !errors.As(err, &e) || e.Reason != inventory.BadConfig || !strings.Contains(err.Error(), key) {
			t.Errorf("an option that there is not has to be an *inventory.Error that names it: %v", err)
		}
	}
}

func sentence(s string) bool {
	return len(s) > 10 && strings.HasSuffix(s, ".") && !strings.Contains(s, "\n")
}

// collect lists all, and fails at a wrong machine or a wrong error.
func (s Service) collect(t testing.TB, ctx context.Context, p inventory.Provider) (ms []inventory.Machine, errs []*inventory.Error) {
	t.Helper()
	seen := map[string]bool{}
	for m, err := range p.List(ctx) {
		if err != nil {
			errs = append(errs, s.wellFormed(t, err))
			continue
		}
		if err := m.Check(); err != nil {
			t.Errorf("machine: %v", err)
		}
		if seen[m.ID] {
			t.Errorf("%s comes twice", m.ID)
		}
		seen[m.ID] = true
		if _, ok := p.(inventory.Executor); m.Exec != "" && !ok {
			t.Errorf("%s: commands are run through %s, and the provider is no Executor", m.ID, m.Exec)
		}
		ms = append(ms, m)
	}
	return ms, errs
}

// ByLabel lists everything, of which nothing may fail, by the machines' labels.
func ByLabel(t testing.TB, p inventory.Provider) map[string]inventory.Machine {
	t.Helper()
	out := map[string]inventory.Machine{}
	for m, err := range p.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Check(); err != nil {
			t.Error(err)
		}
		out[m.Label] = m
	}
	return out
}

// Count lists everything: how many machines each scope has, and the errors, sorted.
func Count(t testing.TB, p inventory.Provider) (byScope map[string]int, errs []string) {
	byScope = map[string]int{}
	for m, err := range p.List(t.Context()) {
		if err != nil {
			errs = append(errs, err.Error())
		} else {
			byScope[m.Scope]++
		}
	}
	slices.Sort(errs)
	return byScope, errs
}

// wellFormed checks what every error has to be.
func (s Service) wellFormed(t testing.TB, err error) *inventory.Error {
	t.Helper()
	var e *inventory.Error
	if !errors.As(err, &e) {
		t.Errorf("it has to be an *inventory.Error: %T %v", err, err)
		return &inventory.Error{Msg: err.Error()}
	}
	text := err.Error() + fmt.Sprintf("%+v", *e)
	for _, secret := range s.Secrets {
		if strings.Contains(text, secret) {
			t.Errorf("the error shows a secret: %s", text)
		}
	}
	if strings.ContainsAny(err.Error(), "\r\n") {
		t.Errorf("it has to be one line: %q", err)
	}
	if e.Reason == "" {
		t.Errorf("it has no reason: %v", err)
	}
	if e.Call == "" && e.Reason != inventory.Canceled && e.Reason != inventory.BadConfig {
		t.Errorf("it does not name the call: %v", err)
	}
	return e
}

func limit(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func checkList(t *testing.T, s Service) {
	p := s.Open(t, s.Config)
	for range 2 { // a second time is the same
		ms, errs := s.collect(t, limit(t), p)
		for _, err := range errs {
			t.Error(err)
		}
		if len(ms) != s.Want || s.Want < 3 {
			t.Fatalf("%d machines come, and %d are expected, at least 3", len(ms), s.Want)
		}
	}
}

// checkStop ends after each machine in turn: nothing may be yielded after that, which the
// language checks, and nothing may go on running.
func checkStop(t *testing.T, s Service) {
	p := s.Open(t, s.Config)
	before := runtime.NumGoroutine()
	for n := 1; n <= min(s.Want, 5); n++ {
		k := 0
		for _, err := range p.List(limit(t)) {
			if err != nil {
				t.Fatal(err)
			}
			if k++; k == n {
				break
			}
		}
	}
	settle(t, "goroutines go on after the caller stopped", before+20)
}

// settle waits until there are no more goroutines than that: connections that are kept
// for the next call have some.
func settle(t *testing.T, what string, atMost int) {
	t.Helper()
	end := time.Now().Add(patience)
	for runtime.NumGoroutine() > atMost {
		if time.Now().After(end) {
			b := make([]byte, 64<<10)
			t.Fatalf("%s: %d, at most %d are expected\n%s", what, runtime.NumGoroutine(), atMost, b[:runtime.Stack(b, true)])
		}
		runtime.Gosched()
		time.Sleep(time.Millisecond)
	}
}

func checkContext(t *testing.T, s Service) {
	p := s.Open(t, s.Config)
	ctx, cancel := context.WithCancel(limit(t))
	cancel()
	ms, errs := s.collect(t, ctx, p)
	if len(errs) == 0 {
		t.Errorf("with a context that has ended there has to be an error; %d machines came", len(ms))
	}
	for _, e := range errs {
		if e.Reason != inventory.Canceled {
			t.Errorf("the reason has to be %q: %v", inventory.Canceled, e)
		}
	}
	// In the middle: what came is right, and the end is told.
	ctx, cancel = context.WithCancel(limit(t))
	defer cancel()
	n := 0
	told := false
	for _, err := range p.List(ctx) {
		if err != nil {
			e := s.wellFormed(t, err)
			told = told || e.Reason == inventory.Canceled
			continue
		}
		n++
		cancel()
	}
	if !told && n < s.Want {
		t.Errorf("after %d of %d machines the context ended, and that was not told", n, s.Want)
	}
}

func checkConcurrent(t *testing.T, s Service) {
	p := s.Open(t, s.Config)
	var wg sync.WaitGroup
	lists := make([][]string, 4)
	for i := range lists {
		wg.Go(func() {
			ms, errs := s.collect(t, limit(t), p)
			for _, err := range errs {
				t.Error(err)
			}
			for _, m := range ms {
				lists[i] = append(lists[i], m.ID)
			}
			slices.Sort(lists[i])
		})
	}
	wg.Wait()
	for _, l := range lists[1:] {
		if !slices.Equal(l, lists[0]) {
			t.Errorf("lists made at the same time differ: %q, %q", l, lists[0])
		}
	}
}

func checkFailure(t *testing.T, s Service, f Failure, scoped bool) {
	p, err := s.open(f.Config)
	var errs []*inventory.Error
	var ms []inventory.Machine
	if err != nil { // some mistakes are seen before anyone is asked
		errs = append(errs, s.wellFormed(t, err))
	} else {
		if c, ok := p.(inventory.Closer); ok {
			defer c.Close()
		}
		ms, errs = s.collect(t, limit(t), p)
	}
	if len(ms) != f.Want {
		t.Errorf("%d machines come, and %d are expected", len(ms), f.Want)
	}
	if len(errs) == 0 {
		t.Fatal("there is no error")
	}
	e := errs[0]
	if scoped && e.Scope == "" {
		t.Errorf("it does not say which scope failed: %v", e)
	}
	if f.Scope != "" && e.Scope != f.Scope || f.Reason != "" && e.Reason != f.Reason || f.Call != "" && e.Call != f.Call || f.Hint && e.Hint == "" {
		t.Errorf("scope %q, call %q, reason %q, hint %v are expected: %#v\n%v", f.Scope, f.Call, f.Reason, f.Hint, e, e)
	}
	for _, m := range ms {
		if m.Scope == e.Scope && e.Scope != "" && f.Scope != "" && e.Reason == inventory.NotPermitted {
			t.Errorf("%s is of the scope that failed", m.ID)
		}
	}
}

// checkHang gives little time to a source that does not answer.
func checkHang(t *testing.T, s Service, cfg *wire.Map) {
	p := s.Open(t, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	ended := make(chan []*inventory.Error, 1)
	go func() {
		_, errs := s.collect(t, ctx, p)
		ended <- errs
	}()
	select {
	case errs := <-ended:
		if len(errs) == 0 {
			t.Fatal("there is no error")
		}
		for _, e := range errs {
			if e.Reason != inventory.NoAnswer && e.Reason != inventory.Canceled {
				t.Errorf("the reason has to be %q: %v", inventory.NoAnswer, e)
			}
		}
	case <-time.After(patience):
		t.Fatal("the deadline is over, and it goes on")
	}
}

// checkLarge lists many machines and looks at what is kept while they come.
func checkLarge(t *testing.T, s Service) {
	const n = 10_000
	p := s.Open(t, s.Large(t, n))
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var early, late uint64
	k := 0
	for m, err := range p.List(limit(t)) {
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Check(); err != nil {
			t.Fatal(err)
		}
		switch k++; k {
		case n / 10:
			early = heap()
		case n * 9 / 10:
			late = heap()
		}
	}
	if k != n {
		t.Fatalf("%d machines come, and %d are expected", k, n)
	}
	// A machine of the smallest provider takes some 500 bytes.
	if grown := int64(late) - int64(early); grown > n*8/10*200 {
		t.Errorf("between machine %d and machine %d the memory grew by %d kB: pages are not let go", n/10, n*9/10, grown/1024)
	}
}
