package runners

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gosalt/gosalt/protocol/wire"
)

func TestManagePing(t *testing.T) {
	ids := []wire.MinionID{"alpha", "beta", "gamma"}
	some := map[wire.MinionID]*wire.Map{"alpha": result(true), "gamma": result("'test.ping' is not available.")}
	for _, c := range []struct {
		name, fun string
		args      []any
		want      string
		asked     Ask
	}{
		{"status", "status", nil, `{"up": ["alpha", "gamma"], "down": ["beta"]}`, Ask{Target: "*", Type: "glob"}},
		{"up", "up", nil, `["alpha", "gamma"]`, Ask{Target: "*", Type: "glob"}},
		{"down", "down", nil, `["beta"]`, Ask{Target: "*", Type: "glob"}},
		{"target", "up", args("web*", "pcre"), `["alpha", "gamma"]`, Ask{Target: "web*", Type: "pcre"}},
		{"status has an argument before the target", "status", args(false, "web*"), `{"up": ["alpha", "gamma"], "down": ["beta"]}`, Ask{Target: "web*", Type: "glob"}},
		{"down has another", "down", args(false, "web*"), `["beta"]`, Ask{Target: "web*", Type: "glob"}},
		{"list of ids", "up", args(kw("tgt", []any{"alpha", "beta"}, "tgt_type", "list")), `["alpha", "gamma"]`, Ask{Target: []any{"alpha", "beta"}, Type: "list"}},
		{"times", "status", args(kw("timeout", 5, "gather_job_timeout", 2.5)), `{"up": ["alpha", "gamma"], "down": ["beta"]}`,
			Ask{Target: "*", Type: "glob", Timeout: 5 * time.Second, Gather: 2500 * time.Millisecond}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, m, _ := newFake(t)
			m.answer = answers(jidPing, ids, some)
			res := r.Run(t.Context(), Request{Fun: "manage." + c.fun, Args: c.args, User: "root"})
			if got := inJSON(t, res.Return); got != c.want || !res.Success {
				t.Errorf("is       %s\nexpected %s", got, c.want)
			}
			c.asked.Fun, c.asked.User = "test.ping", "root"
			if len(m.asked) != 1 || inJSON(t, m.asked[0].Target) != inJSON(t, c.asked.Target) {
				t.Fatalf("asked %+v", m.asked)
			}
			m.asked[0].Target, c.asked.Target = nil, nil
			if a := m.asked[0]; a.Fun != c.asked.Fun || a.User != c.asked.User || a.Type != c.asked.Type || a.Timeout != c.asked.Timeout || a.Gather != c.asked.Gather {
				t.Errorf("asked %+v, expected %+v", a, c.asked)
			}
			if len(m.deleted) != 0 {
				t.Errorf("keys deleted: %v", m.deleted)
			}
		})
	}
}

func TestManagePingOfNobody(t *testing.T) {
	r, m, _ := newFake(t)
	m.answer = answers("", nil, nil)
	var told []any
	res := r.Run(t.Context(), Request{Fun: "manage.status", Args: args(kw("tgt", "nosuch*")), Progress: func(v any) { told = append(told, v) }})
	if got := inJSON(t, res.Return); got != `{"up": [], "down": []}` {
		t.Error(got)
	}
	if len(told) != 1 || told[0] != "No minions matched the target. No command was sent, no jid was assigned." {
		t.Errorf("told %v", told)
	}
}

func TestManagePingListedWithoutKey(t *testing.T) {
	r, m, _ := newFake(t)
	m.answer = func(context.Context, Ask) (Answer, error) {
		return Answer{JID: jidPing, Asked: []wire.MinionID{"beta"}, Missing: []wire.MinionID{"aaa"}, Returns: map[wire.MinionID]*wire.Map{"beta": result(true)}}, nil
	}
	res := r.Run(t.Context(), Request{Fun: "manage.down", Args: args(true, "aaa,beta", "list")})
	if got := inJSON(t, res.Return); got != `["aaa"]` || len(m.deleted) != 0 {
		t.Errorf("%s, deleted %v", got, m.deleted)
	}
}

func TestManageDownRemovesKeys(t *testing.T) {
	r, m, _ := newFake(t)
	m.answer = answers(jidPing, m.accepted, map[wire.MinionID]*wire.Map{"beta": result(true)})
	res := r.Run(t.Context(), Request{Fun: "manage.down", User: "anna", Args: args(kw("removekeys", true))})
	if got := inJSON(t, res.Return); got != `["alpha", "gamma"]` {
		t.Error(got)
	}
	if !slices.Equal(m.deleted, []string{"alpha for anna", "gamma for anna"}) {
		t.Errorf("deleted %v", m.deleted)
	}
}

func TestManagePresence(t *testing.T) {
	for fun, want := range map[string]string{
		"present": `["alpha", "beta"]`, "joined": `["alpha", "beta"]`, "alived": `["alpha", "beta"]`, "allowed": `["alpha", "beta"]`,
		"reaped": `["alpha", "beta"]`, "list_state": `["alpha", "beta"]`,
		"not_present": `["gamma"]`, "not_joined": `["gamma"]`, "not_alived": `["gamma"]`, "not_allowed": `["gamma"]`, "not_reaped": `["gamma"]`, "list_not_state": `["gamma"]`,
	} {
		r, _, _ := newFake(t)
		res := r.Run(t.Context(), Request{Fun: "manage." + fun})
		if got := inJSON(t, res.Return); got != want {
			t.Errorf("%s is %s, expected %s", fun, got, want)
		}
	}
	r, _, _ := newFake(t)
	for _, c := range []struct {
		fun  string
		args []any
		want string
	}{
		{"present", args([]any{"alpha", "gamma"}), `["alpha"]`},
		{"present", args("beta, gamma"), `["beta"]`},
		{"present", args(kw("show_ip", true)), `{"alpha": "192.0.2.7", "beta": "192.0.2.7"}`},
		{"present", args(kw("show_ip", true, "subset", []any{"beta"})), `{"beta": "192.0.2.7"}`},
		{"not_present", args([]any{"alpha"}), `[]`},
		{"not_present", args([]any{"alpha", "gamma"}, true), `["gamma"]`},
		{"not_present", args([]any{}), `[]`},
	} {
		res := r.Run(t.Context(), Request{Fun: "manage." + c.fun, Args: c.args})
		if got := inJSON(t, res.Return); got != c.want {
			t.Errorf("%s %v is %s, expected %s", c.fun, c.args, got, c.want)
		}
	}
}

func TestManageVersions(t *testing.T) {
	r, m, _ := newFake(t)
	failed := wire.NewMap("return", "'test.version' is not available.", "retcode", int64(254))
	m.answer = answers(jidPing, []wire.MinionID{"a", "b", "c", "d", "e", "f"}, map[wire.MinionID]*wire.Map{
		"a": result("3006.18"), "b": result("3006.9"), "c": result("3007.10"), "d": failed, "e": result("3006.18rc1")})
	res := r.Run(t.Context(), Request{Fun: "manage.versions"})
	want := `{"Minion offline": {"d": false, "f": false}, "Minion requires update": {"b": "3006.9", "e": "3006.18rc1"}, ` +
		`"Up to date": {"a": "3006.18"}, "Minion newer than master": {"c": "3007.10"}, "Master": "3006.18"}`
	if got := inJSON(t, res.Return); got != want {
		t.Errorf("is       %s\nexpected %s", got, want)
	}
}

func TestCompareVersions(t *testing.T) {
	ascending := []string{"", "2019.2.0", "3006.0rc1", "3006.0rc2", "v3006.0", "3006.9", "3006.18", "3006.18+12.gabcdef1", "3007.0", "3007.10"}
	for i, a := range ascending {
		for j, b := range ascending {
			if got, want := compareVersions(a, b), min(1, max(-1, i-j)); got != want {
				t.Errorf("%q and %q: %d, expected %d", a, b, got, want)
			}
		}
	}
}

func TestDoc(t *testing.T) {
	r, m, _ := newFake(t)
	m.answer = answers(jidPing, []wire.MinionID{"alpha", "beta", "gamma"}, map[wire.MinionID]*wire.Map{
		"alpha": result(wire.NewMap("test.ping", "alpha's")), "beta": result(wire.NewMap("test.ping", "beta's", "x.y", "text"))})
	if res := r.Run(t.Context(), Request{Fun: "doc.execution"}); inJSON(t, res.Return) != `{"test.ping": "alpha's", "x.y": "text"}` {
		t.Errorf("%v", res.Return)
	}
	for _, c := range []struct{ name, want string }{
		{"manage.up", "manage.up"}, {"doc", "doc.execution doc.runner doc.wheel"}, {"doc.", "doc.execution doc.runner doc.wheel"}, {"nosuch", ""},
		{"*.list_job*", "jobs.list_job jobs.list_jobs jobs.list_jobs_filter"}, {"jobs.list_job", "jobs.list_job"},
		{"", strings.Join(r.Registry().Names(), " ")},
	} {
		res := r.Run(t.Context(), Request{Fun: "doc.runner", Args: []any{c.name}})
		var names []string
		for name, text := range res.Return.(*wire.Map).Strings() {
			names = append(names, name)
			if s := text.(string); !strings.HasPrefix(s, "\n    ") || !strings.HasSuffix(s, "\n    ") {
				t.Errorf("%s: %q", name, s)
			}
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("%q has %q, expected %q", c.name, got, c.want)
		}
	}
}

func TestErrorsOfMinionsAreTheRunners(t *testing.T) {
	r, m, _ := newFake(t)
	m.answer = func(context.Context, Ask) (Answer, error) { return Answer{}, errors.New("node group web is not known") }
	for _, fun := range []string{"manage.up", "manage.down", "manage.status", "manage.versions", "jobs.active", "doc.execution"} {
		res := r.Run(t.Context(), Request{Fun: fun})
		if res.Return != "Exception occurred in runner "+fun+": node group web is not known" || res.Retcode != 1 || res.Success || !res.Known {
			t.Errorf("%+v", res)
		}
	}
}
