package runners

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gosalt/gosalt/internal/doctor"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/returners"
	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/master/events"
	"github.com/gosalt/gosalt/master/jobs"
	"github.com/gosalt/gosalt/master/vm"
	"github.com/gosalt/gosalt/protocol/wire"
)

// fakeMaster is a master over a real job store whose minions answer as a test says.
type fakeMaster struct {
	Local
	Keys
	FileServer
	MinionCache // what no test of this package uses: the scenarios do
	store       *jobs.SQLite
	connected   map[wire.MinionID]bool
	answer      func(ctx context.Context, a Ask) (Answer, error)

	mu       sync.Mutex
	accepted []wire.MinionID
	asked    []Ask
	deleted  []string
}

func (m *fakeMaster) ID() string                        { return "vm_master" }
func (m *fakeMaster) Jobs() jobs.Store                  { return m.store }
func (m *fakeMaster) KeepsJobs() bool                   { return true }
func (m *fakeMaster) Connected() map[wire.MinionID]bool { return m.connected }
func (m *fakeMaster) Reader(name string) (returners.Reader, error) {
	return nil, returners.Set{}.UnknownError(name)
}
func (m *fakeMaster) Address(id wire.MinionID) string {
	return "192.0.2." + string(id[len(id)-1]%10+'0')
}
func (m *fakeMaster) Inventory() (*inventory.Inventory, error) {
	return nil, errors.New("no inventory is configured")
}

func (m *fakeMaster) VMs() (*vm.Manager, error) {
	return nil, errors.New("no inventory is configured")
}

func (m *fakeMaster) Accepted() ([]wire.MinionID, error) { return m.accepted, nil }

func (m *fakeMaster) Withdraw(ctx context.Context, jid wire.JobID, _ string) ([]wire.MinionID, error) {
	return m.store.Withdraw(ctx, jid)
}

func (m *fakeMaster) Explain(_ context.Context, _ wire.JobID, id wire.MinionID) string {
	return "It went for a walk."
}

func (m *fakeMaster) DeleteKey(id wire.MinionID, user string) error {
	m.deleted = append(m.deleted, string(id)+" for "+user)
	return nil
}

func (m *fakeMaster) Doctor(context.Context, any, string, time.Duration) ([]doctor.Finding, error) {
	return nil, errors.New("nobody is ill")
}

func (m *fakeMaster) Ask(ctx context.Context, a Ask) (Answer, error) {
	m.mu.Lock()
	m.asked = append(m.asked, a)
	m.mu.Unlock()
	if m.answer == nil {
		return Answer{}, errors.New("nobody was to be asked")
	}
	return m.answer(ctx, a)
}

const (
	jidPing  = "20261122111610249967"
	jidArg   = "20261122111615890158"
	jidList  = "20261122111623016564"
	jidFalse = "20261122111628902111"
	jidMulti = "20261122111635537491"
	jidFind  = "20261122111645167921"
	jidState = "20261122111706658384"
)

// newFake has a store with a few jobs of the minions alpha and beta.
func newFake(t *testing.T) (*Runners, *fakeMaster, *events.Bus) {
	t.Helper()
	store, err := jobs.Open(filepath.Join(t.TempDir(), "jobs.db"), jobs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	m := &fakeMaster{store: store, accepted: []wire.MinionID{"alpha", "beta", "gamma"}, connected: map[wire.MinionID]bool{"beta": true, "alpha": true}}
	kw := wire.NewMap("__kwarg__", true, "a", int64(2))
	for _, j := range []struct {
		jid     string
		fun     string
		arg     []any
		tgt     any
		tgtType string
		meta    *wire.Map
		returns map[string]*wire.Map
	}{
		{jidPing, "test.ping", nil, "*", "glob", nil, map[string]*wire.Map{
			"alpha": result(true), "beta": result(true)}},
		{jidArg, "test.arg", []any{int64(1), "x y", kw}, "*", "glob", wire.NewMap("foo", "bar"), map[string]*wire.Map{
			"alpha": result(wire.NewMap("args", []any{int64(1), "x y"}, "kwargs", wire.NewMap("a", int64(2))))}},
		{jidList, "cmd.run", []any{"echo hi"}, []any{"alpha", "beta"}, "list", nil, map[string]*wire.Map{
			"alpha": result("hi"), "beta": result("")}},
		{jidFalse, "test.false", nil, "alpha", "glob", nil, map[string]*wire.Map{"alpha": result(false)}},
		{jidMulti, "test.ping,test.arg", []any{[]any{}, []any{"x"}}, "beta", "glob", nil, nil},
		{jidFind, "saltutil.find_job", []any{jidArg}, []any{"beta"}, "list", nil, nil},
		{jidState, "state.apply", nil, "al*", "glob", nil, map[string]*wire.Map{
			"alpha": wire.NewMap("return", wire.NewMap("test_|-x_|-x_|-nop", wire.NewMap("result", false)), "retcode", int64(2), "success", false, "out", "highstate")}},
	} {
		jid := wire.JobID(j.jid)
		start, err := jid.Time()
		if err != nil {
			t.Fatal(err)
		}
		var targets []jobs.Target
		for _, id := range []wire.MinionID{"alpha", "beta"} {
			one, isText := j.tgt.(string)
			if one == "*" || one == string(id) || one == "al*" && id == "alpha" || !isText && slices.Contains(j.tgt.([]any), any(string(id))) {
				targets = append(targets, jobs.Target{Minion: id, State: jobs.Expected})
			}
		}
		err = store.SaveJob(t.Context(), jobs.Job{JID: jid, Fun: j.fun, Arg: j.arg, Tgt: j.tgt, TgtType: j.tgtType, User: "root", Metadata: j.meta, Start: start}, targets)
		if err != nil {
			t.Fatal(err)
		}
		for id, load := range j.returns {
			b, err := wire.Encode(load, wire.Local)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := store.PutReturn(t.Context(), jobs.Return{JID: jid, Minion: wire.MinionID(id), ReceivedAt: start.Add(time.Second), Load: b}); err != nil {
				t.Fatal(err)
			}
		}
	}
	bus := events.New()
	t.Cleanup(bus.Close)
	return New(m, bus, slog.New(slog.DiscardHandler)), m, bus
}

// result is the load of a minion's return, so far as runners look at it.
func result(v any) *wire.Map {
	return wire.NewMap("cmd", "_return", "return", v, "retcode", int64(0), "success", true)
}

// answers makes minions answer with these returns; those of asked without one are silent.
func answers(jid wire.JobID, asked []wire.MinionID, returns map[wire.MinionID]*wire.Map) func(context.Context, Ask) (Answer, error) {
	return func(context.Context, Ask) (Answer, error) {
		return Answer{JID: jid, Asked: asked, Returns: returns}, nil
	}
}

// args are arguments as a command line types them; a map is keywords.
func args(v ...any) []any {
	for i, a := range v {
		switch a := a.(type) {
		case int:
			v[i] = int64(a)
		case *wire.Map:
			kw := wire.NewMap("__kwarg__", true)
			for k, e := range a.Strings() {
				kw.Set(k, e)
			}
			v[i] = kw
		}
	}
	return v
}

func kw(pairs ...any) *wire.Map { return wire.NewMap(pairs...) }

// inJSON is a value in one line, its keys in their order.
func inJSON(t *testing.T, v any) string {
	t.Helper()
	s, err := pytext.JSON(v, -1, false)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
