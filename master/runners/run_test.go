package runners

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/master/events"
	"github.com/gosalt/gosalt/master/jobs"
	"github.com/gosalt/gosalt/protocol/wire"
)

func TestEveryFunctionIsDocumented(t *testing.T) {
	r, _, _ := newFake(t)
	if u := r.Registry().Undocumented(); len(u) > 0 {
		t.Errorf("without a comment: %s", strings.Join(u, ", "))
	}
	for _, name := range r.Registry().Names() {
		if !strings.Contains(r.Registry().DocText(name), "gosalt-run "+strings.SplitN(name, ".", 2)[0]) {
			t.Errorf("%s has no example", name)
		}
	}
	for _, name := range r.Registry().PlannedNames() {
		if r.Registry().Has(name) {
			t.Errorf("%s is there, and planned", name)
		}
	}
}

func TestWrongCalls(t *testing.T) {
	r, _, _ := newFake(t)
	for _, c := range []struct {
		name, fun string
		args      []any
		want      string // how the answer begins; of a map, its names
		known     bool
		retcode   int
		err       string
	}{
		{"unknown module", "nosuch.fun", nil, "'nosuch.fun' is not available.", false, 0, "'nosuch.fun' is not available."},
		{"not in Salt 3006 either", "manage.lane_stats", nil, "'manage.lane_stats' is not available.", false, 0, "'manage.lane_stats' is not available."},
		{"a slip", "jobs.list_jbs", nil, "'jobs.list_jbs' is not available. Did you mean 'jobs.list_jobs'?", false, 0, "'jobs.list_jbs' is not available. Did you mean 'jobs.list_jobs'?"},
		{"to come", "reactor.list", nil, "'reactor.list' is not available in gosalt yet.", false, 0, "'reactor.list' is not available in gosalt yet."},
		{"to come, with a way to do without", "manage.safe_accept", args("web1"), "'manage.safe_accept' is not available in gosalt yet. gosalt does not compare keys over SSH by itself. Compare gosalt-key -f", false, 0, "'manage.safe_accept' is not"},
		{"beginning of names", "jobs.list", nil, "jobs.list_job jobs.list_jobs jobs.list_jobs_filter", false, 0, "'jobs.list' is not available."},
		{"module alone", "doc", nil, "doc.execution doc.runner", false, 0, "'doc' is not available."},
		{"unknown keyword", "jobs.lookup_jid", args(jidPing, kw("bogus", 1)), "jobs.lookup_jid", true, 0, "The following keyword arguments are not valid: bogus=1"},
		{"missing argument", "jobs.lookup_jid", nil, "\nPassed invalid arguments: lookup_jid() missing 1 required positional argument: 'jid'\n\nUsage:\n\n    Returns what the minions", true, 0, "lookup_jid() missing"},
		{"too many", "jobs.master", args(1), "\nPassed invalid arguments: master() takes 0 positional arguments but 1 was given\n\nUsage:\n", true, 0, "master() takes 0"},
		{"bad type", "jobs.list_jobs_filter", args("many"), "\nPassed invalid arguments: list_jobs_filter() argument 'count': expected a whole number, got str 'many'", true, 0, "list_jobs_filter() argument"},
		{"bad time", "jobs.list_jobs", args(kw("end_time", "rubbish")), "Exception occurred in runner jobs.list_jobs: end_time: unknown form of time \"rubbish\": expected", true, 1, "end_time: unknown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := r.Run(t.Context(), Request{Fun: c.fun, Args: c.args})
			got, _ := res.Return.(string)
			if m, ok := res.Return.(*wire.Map); ok {
				var names []string
				for name := range m.Strings() {
					names = append(names, name)
				}
				got = strings.Join(names, " ")
			}
			if !strings.HasPrefix(got, c.want) {
				t.Errorf("is       %q\nexpected %q", got, c.want)
			}
			if res.Known != c.known || res.Retcode != c.retcode || !strings.HasPrefix(res.Err, c.err) {
				t.Errorf("%+v", res)
			}
		})
	}
}

// await reads the events of a runner until its end.
func await(t *testing.T, sub *events.Subscription) []events.Event {
	t.Helper()
	var got []events.Event
	for e := range sub.All(t.Context()) {
		got = append(got, e)
		if strings.HasSuffix(e.Tag, "/ret") {
			return got
		}
	}
	t.Fatal("no event of the end")
	return nil
}

func TestEventsAndStore(t *testing.T) {
	r, m, bus := newFake(t)
	m.answer = answers(jidPing, []wire.MinionID{"alpha"}, map[wire.MinionID]*wire.Map{"alpha": result(true)})
	sub := bus.Subscribe("salt/run/")
	defer sub.Close()
	jid := wire.JobID("20261122120000000001")
	r.Run(t.Context(), Request{Fun: "manage.up", JID: jid, User: "sudo_anna", Args: args("*", kw("timeout", 3))})
	got := await(t, sub)
	common := `"fun": "runner.manage.up", "jid": "20261122120000000001", "user": "sudo_anna", "fun_args": ["*", {"timeout": 3}]`
	for i, want := range []string{"{" + common + "}", "{" + common + `, "return": ["alpha"], "success": true}`} {
		data := got[i].Data.Clone()
		data.Delete("_stamp")
		if s := inJSON(t, data); s != want {
			t.Errorf("event %s is %s\nexpected %s", got[i].Tag, s, want)
		}
	}
	if got[0].Tag != "salt/run/20261122120000000001/new" || got[1].Tag != "salt/run/20261122120000000001/ret" {
		t.Errorf("tags %s, %s", got[0].Tag, got[1].Tag)
	}

	res := r.Run(t.Context(), Request{Fun: "jobs.list_job", Args: args(string(jid))})
	whole := res.Return.(*wire.Map)
	stored := whole.Map("Result").Map("vm_master").Map("return")
	if stored.Text("_stamp") == "" {
		t.Error("no _stamp")
	}
	stored.Delete("_stamp")
	want := `{"jid": "20261122120000000001", "Function": "runner.manage.up", "Arguments": ["*", {"timeout": 3}], "Target": "vm_master", "Target-type": "list", "User": "sudo_anna", ` +
		`"StartTime": "2026, Nov 22 12:00:00.000001", "Result": {"vm_master": {"return": {` + common + `, "return": ["alpha"], "success": true}}}}`
	if s := inJSON(t, whole); s != want {
		t.Errorf("stored as %s\nexpected  %s", s, want)
	}
	// What only shows the store is not kept in it.
	found, err := m.store.Search(t.Context(), jobs.Filter{Fun: []string{"runner.*"}})
	if err != nil || len(found) != 1 {
		t.Errorf("%d runners in the store, %v", len(found), err)
	}
}

func TestEventsOfWhatFailed(t *testing.T) {
	r, m, bus := newFake(t)
	sub := bus.Subscribe("salt/run/")
	defer sub.Close()
	m.answer = func(context.Context, Ask) (Answer, error) { return Answer{}, errors.New("no") }
	res := r.Run(t.Context(), Request{Fun: "manage.up"})
	end := await(t, sub)[1].Data
	if end.Bool("success") || end.Int("retcode") != 1 || end.Text("return") != "Exception occurred in runner manage.up: no" {
		t.Errorf("%s", inJSON(t, end))
	}
	if _, err := m.store.Return(t.Context(), res.JID, "vm_master"); err != nil {
		t.Error(err)
	}
	if res := r.Run(t.Context(), Request{Fun: "jobs.lookup_jid", Args: args(jidState)}); res.Success || res.Retcode != 0 {
		t.Errorf("failed states that are looked up: %+v", res) // Salt: the event says so, the exit code does not
	}
}

func TestStart(t *testing.T) {
	r, m, bus := newFake(t)
	sub := bus.Subscribe("salt/run/")
	defer sub.Close()
	begun, finish := make(chan bool), make(chan bool)
	m.answer = func(context.Context, Ask) (Answer, error) {
		close(begun)
		<-finish
		return Answer{JID: jidPing}, nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	res := r.Start(ctx, Request{Fun: "jobs.active", User: "root", Progress: func(any) { t.Error("progress of what nobody waits for") }})
	if res.JID == "" || !res.Known || !res.Success {
		t.Errorf("%+v", res)
	}
	<-begun
	active := r.Run(t.Context(), Request{Fun: "jobs.master"}).Return.([]any)
	if len(active) != 1 || active[0].(*wire.Map).Text("jid") != string(res.JID) || active[0].(*wire.Map).Text("fun") != "runner.jobs.active" {
		t.Errorf("active: %v", inJSON(t, active))
	}
	cancel() // the master ends while it runs: what it did is stored all the same
	close(finish)
	r.Wait()
	if _, err := m.store.Return(t.Context(), res.JID, "vm_master"); err != nil {
		t.Error(err)
	}
	if active := r.Run(t.Context(), Request{Fun: "jobs.master"}).Return.([]any); len(active) != 0 {
		t.Errorf("active: %v", inJSON(t, active))
	}
	res = r.Start(t.Context(), Request{Fun: "nosuch.fun"})
	if res.Known || res.Return != "'nosuch.fun' is not available." {
		t.Errorf("%+v", res)
	}
}

func TestConcurrentRuns(t *testing.T) {
	r, m, _ := newFake(t)
	m.answer = answers(jidPing, []wire.MinionID{"alpha"}, map[wire.MinionID]*wire.Map{"alpha": result(true)})
	for range 20 {
		for _, fun := range []string{"manage.up", "jobs.list_jobs", "jobs.master", "doc.runner", "manage.present"} {
			r.Start(t.Context(), Request{Fun: fun})
		}
	}
	r.Wait()
	found, err := m.store.Search(t.Context(), jobs.Filter{Fun: []string{"runner.*"}})
	if err != nil || len(found) != 100 {
		t.Errorf("%d runners in the store, %v", len(found), err)
	}
}
