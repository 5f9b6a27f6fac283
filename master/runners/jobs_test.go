package runners

import (
	"strings"
	"testing"
	"time"

	"github.com/gosalt/gosalt/master/jobs"
	"github.com/gosalt/gosalt/protocol/wire"
)

// The jobs as Salt 3006.18 shows them, keys in its order.
const (
	shownPing  = `"Function": "test.ping", "Arguments": [], "Target": "*", "Target-type": "glob", "User": "root"`
	shownArg   = `"Function": "test.arg", "Arguments": [1, "x y", {"__kwarg__": true, "a": 2}], "Target": "*", "Target-type": "glob", "User": "root", "Metadata": {"foo": "bar"}`
	shownList  = `"Function": "cmd.run", "Arguments": ["echo hi"], "Target": ["alpha", "beta"], "Target-type": "list", "User": "root"`
	shownFalse = `"Function": "test.false", "Arguments": [], "Target": "alpha", "Target-type": "glob", "User": "root"`
	shownMulti = `"Function": ["test.ping", "test.arg"], "Arguments": [[], ["x"]], "Target": "beta", "Target-type": "glob", "User": "root"`
	shownFind  = `"Function": "saltutil.find_job", "Arguments": ["20261122111615890158"], "Target": ["beta"], "Target-type": "list", "User": "root"`
	shownState = `"Function": "state.apply", "Arguments": [], "Target": "al*", "Target-type": "glob", "User": "root"`

	startPing  = `"StartTime": "2026, Nov 22 11:16:10.249967"`
	startArg   = `"StartTime": "2026, Nov 22 11:16:15.890158"`
	startList  = `"StartTime": "2026, Nov 22 11:16:23.016564"`
	startFalse = `"StartTime": "2026, Nov 22 11:16:28.902111"`
	startMulti = `"StartTime": "2026, Nov 22 11:16:35.537491"`
	startFind  = `"StartTime": "2026, Nov 22 11:16:45.167921"`
	startState = `"StartTime": "2026, Nov 22 11:17:06.658384"`

	listedPing  = `"` + jidPing + `": {` + shownPing + `, ` + startPing + `}`
	listedArg   = `"` + jidArg + `": {` + shownArg + `, ` + startArg + `}`
	listedList  = `"` + jidList + `": {` + shownList + `, ` + startList + `}`
	listedFalse = `"` + jidFalse + `": {` + shownFalse + `, ` + startFalse + `}`
	listedMulti = `"` + jidMulti + `": {` + shownMulti + `, ` + startMulti + `}`
	listedFind  = `"` + jidFind + `": {` + shownFind + `, ` + startFind + `}`
	listedState = `"` + jidState + `": {` + shownState + `, ` + startState + `}`

	wholeArg = shownArg + `, "Minions": ["alpha", "beta"], ` + startArg +
		`, "Result": {"alpha": {"return": {"args": [1, "x y"], "kwargs": {"a": 2}}, "retcode": 0, "success": true}}`
	wholeState = shownState + `, "Minions": ["alpha"], ` + startState +
		`, "Result": {"alpha": {"return": {"test_|-x_|-x_|-nop": {"result": false}}, "retcode": 2, "success": false, "out": "highstate"}}`
	noWhole = `"Error": "Cannot contact returner or no job with this jid", "StartTime": "2030, Jan 01 00:00:00.000000", "Result": {}`
)

func TestJobs(t *testing.T) {
	unknown := "20300101000000000000"
	for _, c := range []struct {
		name, fun string
		args      []any
		want, out string
	}{
		{"all", "list_jobs", nil, "{" + strings.Join([]string{listedPing, listedArg, listedList, listedFalse, listedMulti, listedFind, listedState}, ", ") + "}", ""},
		{"by function", "list_jobs", args(kw("search_function", "cmd.*")), "{" + listedList + "}", ""},
		{"by several functions with commas", "list_jobs", args(kw("search_function", "cmd.run, test.fal[st]e")), "{" + listedList + ", " + listedFalse + "}", ""},
		{"by a list of functions", "list_jobs", args(kw("search_function", []any{"cmd.run", "state.*"})), "{" + listedList + ", " + listedState + "}", ""},
		{"by one function of a compound command", "list_jobs", args(kw("search_function", "test.arg")), "{" + listedArg + ", " + listedMulti + "}", ""},
		{"by a target that is a member of a list", "list_jobs", args(kw("search_target", "bet*,nomatch")), "{" + listedList + ", " + listedMulti + ", " + listedFind + "}", ""},
		{"a glob that is searched for is a text like any other", "list_jobs", args(kw("search_target", "al[*]")), "{" + listedState + "}", ""},
		{"by metadata, one of the pairs is enough", "list_jobs", args(kw("search_metadata", wire.NewMap("baz", "x", "foo", "bar"))), "{" + listedArg + "}", ""},
		{"metadata that is no map matches nothing", "list_jobs", args(kw("search_metadata", "foo")), "{}", ""},
		{"empty conditions are none", "list_jobs", args(kw("search_metadata", wire.NewMap(), "search_target", "", "search_function", "cmd.run")), "{" + listedList + "}", ""},
		{"several conditions hold together", "list_jobs", args(kw("search_function", "test.*", "search_target", "alpha")), "{" + listedFalse + "}", ""},
		{"from a time on", "list_jobs", args(kw("start_time", "2026, Nov 22 11:17")), "{" + listedState + "}", ""},
		{"up to a time", "list_jobs", args(kw("end_time", "2026-11-22T11:16:15.890158")), "{" + listedPing + ", " + listedArg + "}", ""},
		{"between times, in another zone", "list_jobs", args(kw("start_time", "2026-11-22 12:16:11+01:00", "end_time", "2026-11-22T11:16:20Z")), "{" + listedArg + "}", ""},
		{"from a time to come", "list_jobs", args(kw("start_time", "2030-01-01")), "{}", ""},
		{"with an outputter", "list_jobs", args(kw("search_function", "cmd.*", "outputter", "yaml")), "{" + listedList + "}", "yaml"},
		{"positional", "list_jobs", args(nil, "json", nil, "cmd.run"), "{" + listedList + "}", "json"},

		{"the newest two", "list_jobs_filter", args(2), `[{` + shownMulti + `, "JID": "` + jidMulti + `", ` + startMulti + `}, {` + shownState + `, "JID": "` + jidState + `", ` + startState + `}]`, ""},
		{"find_job too", "list_jobs_filter", args(2, kw("filter_find_job", false)), `[{` + shownFind + `, "JID": "` + jidFind + `", ` + startFind + `}, {` + shownState + `, "JID": "` + jidState + `", ` + startState + `}]`, ""},
		{"none", "list_jobs_filter", args(0, kw("outputter", "yaml")), `[]`, "yaml"},

		{"lookup", "lookup_jid", args(jidPing), `{"alpha": true, "beta": true}`, ""},
		{"lookup by keyword", "lookup_jid", args(kw("jid", jidPing)), `{"alpha": true, "beta": true}`, ""},
		{"lookup with the missing", "lookup_jid", args(jidArg, kw("missing", true)), `{"alpha": {"args": [1, "x y"], "kwargs": {"a": 2}}, "beta": "Minion did not return. It went for a walk."}`, ""},
		{"lookup of the missing only", "lookup_jid", args(jidArg, kw("missing", true, "returned", false)), `{"beta": "Minion did not return. It went for a walk."}`, ""},
		{"lookup of states has their outputter", "lookup_jid", args(jidState), `{"alpha": {"test_|-x_|-x_|-nop": {"result": false}}}`, "highstate"},
		{"lookup of an unknown job", "lookup_jid", args(unknown, kw("missing", true)), `{}`, ""},
		{"lookup of what is no job id", "lookup_jid", args("abc", kw("missing", true)), `{}`, ""},
		{"other stores and progress are of no effect", "lookup_jid", args(jidFalse, kw("ext_source", "local_cache", "display_progress", true)), `{"alpha": false}`, ""},

		{"whole job", "list_job", args(jidArg), `{"jid": "` + jidArg + `", ` + wholeArg + `}`, ""},
		{"whole job of states", "list_job", args(jidState), `{"jid": "` + jidState + `", ` + wholeState + `}`, ""},
		{"whole unknown job", "list_job", args(unknown), `{"jid": "` + unknown + `", ` + noWhole + `}`, ""},
		{"what is no job id", "list_job", args("abc"), `{"jid": "abc", "Error": "Cannot contact returner or no job with this jid", "StartTime": "", "Result": {}}`, ""},
		{"print", "print_job", args(jidArg), `{"` + jidArg + `": {` + wholeArg + `}}`, ""},
		{"print an unknown job", "print_job", args(unknown), `{"` + unknown + `": {` + noWhole + `}}`, ""},

		{"last", "last_run", nil, `{"` + jidState + `": {` + wholeState + `}}`, ""},
		{"last of a function and target", "last_run", args(kw("function", "test.*", "target", "[*]")), `{"` + jidArg + `": {` + wholeArg + `}}`, ""},
		{"last with metadata", "last_run", args(kw("metadata", wire.NewMap("foo", "bar"))), `{"` + jidArg + `": {` + wholeArg + `}}`, ""},
		{"last, shown in JSON", "last_run", args(kw("metadata", wire.NewMap("foo", "bar"), "outputter", "json")), `{"` + jidArg + `": {` + wholeArg + `}}`, "json"},
		{"last of none", "last_run", args(kw("target", "nonesuch")), `false`, ""},
		{"last with metadata that is no map", "last_run", args(kw("metadata", "foo")), `false`, ""},

		{"all well", "exit_success", args(jidPing), `{"alpha": true, "beta": true}`, ""},
		{"no return is no success", "exit_success", args(jidArg), `{"alpha": true, "beta": false}`, ""},
		{"an empty text is no success", "exit_success", args(jidList), `{"alpha": true, "beta": false}`, ""},
		{"False is no success", "exit_success", args(jidFalse), `{"alpha": false}`, ""},
		{"success of an unknown job", "exit_success", args(unknown), `{}`, ""},

		{"no runner but this", "master", nil, `[]`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, _, _ := newFake(t)
			res := r.Run(t.Context(), Request{Fun: "jobs." + c.fun, Args: c.args, User: "root"})
			if got := inJSON(t, res.Return); got != c.want {
				t.Errorf("is       %s\nexpected %s", got, c.want)
			}
			if res.Out != c.out {
				t.Errorf("outputter %q, expected %q", res.Out, c.out)
			}
			if !res.Known || res.Retcode != 0 || res.Err != "" {
				t.Errorf("%+v", res)
			}
		})
	}
}

func TestJobsActive(t *testing.T) {
	running := func(jid, fun string, pid int64, more ...any) *wire.Map {
		return wire.NewMap(append([]any{"fun", fun, "arg", []any{int64(60)}, "tgt", "*", "jid", jid, "ret", "", "tgt_type", "glob", "user", "root", "pid", pid}, more...)...)
	}
	r, m, _ := newFake(t)
	m.answer = answers("20261122111710447925", []wire.MinionID{"alpha", "beta", "gamma", "old"}, map[wire.MinionID]*wire.Map{
		"alpha": result([]any{running(jidArg, "test.sleep", 3533, "metadata", wire.NewMap("foo", "bar")), running(jidPing, "test.sleep", 3534),
			running("20261122111710447925", "saltutil.running", 3540)}), // the question itself
		"beta": result([]any{running(jidArg, "test.sleep", 3532)}),
		"old":  result("'saltutil.running' is not available."),
	})
	var progress []any
	res := r.Run(t.Context(), Request{Fun: "jobs.active", User: "anna", Timeout: 7, Args: args(kw("display_progress", true)),
		Progress: func(v any) { progress = append(progress, v) }})
	common := `"Function": "test.sleep", "Arguments": [60], "Target": "*", "Target-type": "glob", "User": "root", `
	want := `{"` + jidPing + `": {` + common + startPing + `, "Running": [{"alpha": 3534}], "Returned": ["alpha", "beta"]}, ` +
		`"` + jidArg + `": {` + common + `"Metadata": {"foo": "bar"}, ` + startArg + `, "Running": [{"alpha": 3533}, {"beta": 3532}], "Returned": ["alpha"]}}`
	if got := inJSON(t, res.Return); got != want {
		t.Errorf("is       %s\nexpected %s", got, want)
	}
	if len(m.asked) != 1 || m.asked[0].Fun != "saltutil.running" || m.asked[0].User != "anna" || m.asked[0].Timeout != 7 {
		t.Errorf("asked %+v", m.asked)
	}
	if len(progress) != 3 || !strings.HasPrefix(inJSON(t, progress[0]), `{"suffix": "progress", "event": {"message": "Received reply from minion alpha", "_stamp": "20`) {
		t.Errorf("progress %s", inJSON(t, progress))
	}
}

func TestJobsOfAMinionsOwn(t *testing.T) { // gosalt-call, a schedule
	r, m, _ := newFake(t)
	b, err := wire.Encode(result(true), wire.Local)
	if err != nil {
		t.Fatal(err)
	}
	const jid = "20261122130000000001"
	if _, err := m.store.PutReturn(t.Context(), jobs.Return{JID: jid, Minion: "alpha", ReceivedAt: time.Now(), Load: b,
		Job: &jobs.Job{JID: jid, Fun: "test.ping", Tgt: "alpha", TgtType: "glob", User: "root", Start: time.Now()}}); err != nil {
		t.Fatal(err)
	}
	if err := m.store.SetEnd(t.Context(), jid, time.Date(2026, 11, 22, 13, 0, 1, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	res := r.Run(t.Context(), Request{Fun: "jobs.print_job", Args: args(jid)})
	want := `{"` + jid + `": {"Function": "test.ping", "Arguments": [], "Target": "alpha", "Target-type": "glob", "User": "root", "Minions": ["alpha"], ` +
		`"StartTime": "2026, Nov 22 13:00:00.000001", "Result": {"alpha": {"return": true, "retcode": 0, "success": true}}, "EndTime": "2026, Nov 22 13:00:01.000000"}}`
	if got := inJSON(t, res.Return); got != want {
		t.Errorf("is       %s\nexpected %s", got, want)
	}
}
