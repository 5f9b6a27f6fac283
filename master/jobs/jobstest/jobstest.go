// Package jobstest holds the promises of jobs.Store as tests. Each implementation
// runs them: jobstest.Run(t, open).
package jobstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gosalt/gosalt/master/jobs"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Open opens the store that lives in a directory, a new one where there is none. It
// is called again for the same directory after the store was closed.
type Open func(t *testing.T, dir string) jobs.Store

// Run tests an implementation.
func Run(t *testing.T, open Open) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *fixture)
	}{
		{"a job comes back as it was saved", testJob},
		{"a job id is used once", testJobTwice},
		{"a job with a bad target leaves nothing behind", testJobBadTarget},
		{"targets come back by id", testTargets},
		{"targets are added, and absent ones raised", testAddTargets},
		{"an acknowledgement counts once", testAck},
		{"signs of life keep the first and the latest", testAlive},
		{"giving up counts once, and not after the return", testGiveUp},
		{"a job is taken back from those that wait for it", testWithdraw},
		{"a return is stored exactly once", testReturnOnce},
		{"a return of a minion that was not targeted is refused", testReturnNotTargeted},
		{"a return to an unknown job makes the job", testReturnUnknown},
		{"returns of all sizes come back", testReturnSizes},
		{"many returns are walked in order, with calls inside", testReturnsWalk},
		{"concurrent returns: one of each is new", testReturnsConcurrent},
		{"missed jobs are those to be fetched", testMissed},
		{"the end is noted", testEnd},
		{"search by each condition", testSearch},
		{"search reads Python's globs", testSearchGlobs},
		{"minion data: fields kept, replaced, removed", testMinionData},
		{"all minion data is walked", testAllMinionData},
		{"presence", testPresence},
		{"a minion is forgotten, its returns stay", testForget},
		{"purge by age", testPurgeAge},
		{"purge by size", testPurgeSize},
		{"purge beside writers", testPurgeBeside},
		{"all is there after closing and opening", testReopen},
		{"calls after Close say so", testClosed},
		{"a context that has ended stops a call", testContext},
		{"statistics", testStats},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := &fixture{T: t, dir: t.TempDir(), open: open, ctx: t.Context()}
			f.Store = open(t, f.dir)
			t.Cleanup(func() { f.Close() })
			test.run(t, f)
		})
	}
}

type fixture struct {
	*testing.T
	jobs.Store
	dir  string
	open Open
	ctx  context.Context
}

// base is the time at which the jobs of these tests start.
var base = time.Date(2026, 11, 22, 6, 38, 58, 48545000, time.UTC)

func jid(n int) wire.JobID { return wire.JobID(fmt.Sprintf("20261122063858%06d", n)) }

func minion(n int) wire.MinionID { return wire.MinionID(fmt.Sprintf("minion-%05d", n)) }

func job(n int) jobs.Job {
	return jobs.Job{
		JID: jid(n), Fun: "test.ping", Arg: []any{}, Tgt: "*", TgtType: "glob", User: "root",
		Start: base.Add(time.Duration(n) * time.Second), Expiry: base.Add(time.Duration(n)*time.Second + 5*time.Minute),
		Load: []byte("load"),
	}
}

func expected(n ...int) (ts []jobs.Target) {
	for _, n := range n {
		ts = append(ts, jobs.Target{Minion: minion(n), State: jobs.Expected})
	}
	return ts
}

func ret(j, m int) jobs.Return {
	return jobs.Return{JID: jid(j), Minion: minion(m), Retcode: 0, Success: true, ReceivedAt: base.Add(time.Minute), Load: []byte("result")}
}

// must ends the test when a call that should succeed did not.
func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) wantErr(err, want error) {
	f.Helper()
	if !errors.Is(err, want) {
		f.Fatalf("error %v, want %v", err, want)
	}
}

func (f *fixture) equal(got, want any) {
	f.Helper()
	if !reflect.DeepEqual(got, want) {
		f.Fatalf("got  %+v\nwant %+v", got, want)
	}
}

func (f *fixture) put(r jobs.Return) (dup bool) {
	f.Helper()
	dup, err := f.PutReturn(f.ctx, r)
	f.must(err)
	return dup
}

func (f *fixture) returns(id wire.JobID) (rs []jobs.Return) {
	f.Helper()
	for r, err := range f.Returns(f.ctx, id) {
		f.must(err)
		rs = append(rs, r)
	}
	return rs
}

func testJob(t *testing.T, f *fixture) {
	for n, j := range []jobs.Job{
		{Fun: "test.ping", Arg: []any{}, Tgt: "*", TgtType: "glob", User: "root", Start: base, Load: []byte{}},
		{Fun: "cmd.run", Arg: []any{"echo ü", int64(-1), 2.5, nil, true, []byte{0xff}, wire.NewMap("__kwarg__", true, "cwd", "/")},
			Tgt: []any{"a", "b"}, TgtType: "list", User: "sudo_anna", Metadata: wire.NewMap("ticket", "OPS-1", "n", int64(7)),
			Start: base, Expiry: base.Add(time.Hour), Load: bytes.Repeat([]byte("load "), 10_000)},
	} {
		j.JID = jid(n)
		f.must(f.SaveJob(f.ctx, j, nil))
		got, err := f.Job(f.ctx, j.JID)
		f.must(err)
		f.equal(got, j)
	}
	_, err := f.Job(f.ctx, jid(99))
	f.wantErr(err, jobs.ErrUnknown)
	j := job(3)
	j.JID = "today"
	if err := f.SaveJob(f.ctx, j, nil); err == nil {
		t.Fatal("a job id that is none was taken")
	}
}

func testJobTwice(t *testing.T, f *fixture) {
	f.must(f.SaveJob(f.ctx, job(1), expected(1)))
	other := job(1)
	other.Fun = "cmd.run"
	f.wantErr(f.SaveJob(f.ctx, other, expected(2)), jobs.ErrExists)
	got, err := f.Job(f.ctx, jid(1))
	f.must(err)
	f.equal(got.Fun, "test.ping")
	ts, err := f.Targets(f.ctx, jid(1))
	f.must(err)
	f.equal(len(ts), 1)
}

func testJobBadTarget(t *testing.T, f *fixture) {
	for _, bad := range []jobs.Target{{Minion: "a/b", State: jobs.Expected}, {Minion: "a"}} {
		if err := f.SaveJob(f.ctx, job(1), append(expected(1), bad)); err == nil {
			t.Fatalf("target %+v was taken", bad)
		}
	}
	_, err := f.Job(f.ctx, jid(1))
	f.wantErr(err, jobs.ErrUnknown)
}

func testTargets(t *testing.T, f *fixture) {
	want := []jobs.Target{
		{Minion: "a", State: jobs.Expected},
		{Minion: "b", State: jobs.Queued, QueuedUntil: base.Add(time.Hour)},
		{Minion: "c", State: jobs.Absent},
	}
	f.must(f.SaveJob(f.ctx, job(1), []jobs.Target{want[2], want[0], want[1]}))
	got, err := f.Targets(f.ctx, jid(1))
	f.must(err)
	f.equal(got, want)
	one, err := f.Target(f.ctx, jid(1), "b")
	f.must(err)
	f.equal(one, want[1])
	_, err = f.Target(f.ctx, jid(1), "d")
	f.wantErr(err, jobs.ErrUnknown)
	none, err := f.Targets(f.ctx, jid(2))
	f.must(err)
	f.equal(len(none), 0)
}

func testAddTargets(t *testing.T, f *fixture) {
	f.wantErr(f.AddTargets(f.ctx, jid(1), expected(1)), jobs.ErrUnknown)
	f.must(f.SaveJob(f.ctx, job(1), []jobs.Target{{Minion: minion(1), State: jobs.Absent}, {Minion: minion(2), State: jobs.Expected}}))
	f.must(f.AddTargets(f.ctx, jid(1), []jobs.Target{
		{Minion: minion(1), State: jobs.Expected}, {Minion: minion(2), State: jobs.Absent}, {Minion: minion(3), State: jobs.Expected},
	}))
	got, err := f.Targets(f.ctx, jid(1))
	f.must(err)
	f.equal(got, expected(1, 2, 3))
}

func testAck(t *testing.T, f *fixture) {
	f.must(f.SaveJob(f.ctx, job(1), expected(1)))
	f.must(f.Ack(f.ctx, jid(1), minion(1), base.Add(time.Second)))
	f.must(f.Ack(f.ctx, jid(1), minion(1), base.Add(time.Minute)))
	got, err := f.Target(f.ctx, jid(1), minion(1))
	f.must(err)
	f.equal(got.AckedAt, base.Add(time.Second))
	f.wantErr(f.Ack(f.ctx, jid(1), minion(2), base), jobs.ErrNotTargeted)
	f.wantErr(f.Ack(f.ctx, jid(2), minion(1), base), jobs.ErrUnknown)
}

func testAlive(t *testing.T, f *fixture) {
	f.must(f.SaveJob(f.ctx, job(1), expected(1)))
	f.must(f.SaveJob(f.ctx, job(2), expected(1, 2)))
	f.must(f.Alive(f.ctx, minion(1), []wire.JobID{jid(1), jid(2), jid(3)}, base.Add(time.Second)))
	f.must(f.Alive(f.ctx, minion(1), []wire.JobID{jid(1)}, base.Add(time.Minute)))
	f.must(f.Alive(f.ctx, minion(1), nil, base.Add(time.Hour)))
	got, err := f.Target(f.ctx, jid(1), minion(1))
	f.must(err)
	f.equal([]time.Time{got.RunningSince, got.LastAlive}, []time.Time{base.Add(time.Second), base.Add(time.Minute)})
	got, err = f.Target(f.ctx, jid(2), minion(2))
	f.must(err)
	f.equal(got.LastAlive, time.Time{})
}

func testGiveUp(t *testing.T, f *fixture) {
	if err := f.SaveJob(f.ctx, jobs.Job{JID: jid(1), Fun: "test.ping", Tgt: "*", TgtType: "glob", User: "root", Start: base},
		[]jobs.Target{{Minion: "a", State: jobs.Expected}, {Minion: "b", State: jobs.Expected}, {Minion: "c", State: jobs.Expected}}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.PutReturn(f.ctx, jobs.Return{JID: jid(1), Minion: "b", Success: true, ReceivedAt: base, Load: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	first := base.Add(time.Minute)
	for _, at := range []time.Time{first, first.Add(time.Hour)} {
		if err := f.GiveUp(f.ctx, jid(1), []wire.MinionID{"a", "b", "z"}, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.GiveUp(f.ctx, jid(2), []wire.MinionID{"a"}, first); err != nil {
		t.Errorf("of an unknown job: %v", err)
	}
	targets, err := f.Targets(f.ctx, jid(1))
	if err != nil || len(targets) != 3 {
		t.Fatalf("targets: %v, %v", targets, err)
	}
	for i, want := range []time.Time{first, {}, {}} {
		if got := targets[i].GivenUpAt; !got.Equal(want) {
			t.Errorf("%s was given up at %v, want %v", targets[i].Minion, got, want)
		}
	}
}

func testWithdraw(t *testing.T, f *fixture) {
	until := base.Add(time.Hour)
	queued := func(id wire.MinionID) jobs.Target {
		return jobs.Target{Minion: id, State: jobs.Queued, QueuedUntil: until}
	}
	if err := f.SaveJob(f.ctx, jobs.Job{JID: jid(1), Fun: "test.ping", Tgt: "*", TgtType: "glob", User: "root", Start: base},
		[]jobs.Target{queued("d"), queued("c"), queued("b"), queued("a"), {Minion: "e", State: jobs.Expected}}); err != nil {
		t.Fatal(err)
	}
	if err := f.Ack(f.ctx, jid(1), "b", base); err != nil {
		t.Fatal(err)
	}
	if _, err := f.PutReturn(f.ctx, jobs.Return{JID: jid(1), Minion: "c", ReceivedAt: base, Load: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	for _, want := range [][]wire.MinionID{{"a", "d"}, nil} {
		ids, err := f.Withdraw(f.ctx, jid(1))
		if err != nil || !slices.Equal(ids, want) {
			t.Errorf("withdrawn from %v, %v; want %v", ids, err, want)
		}
	}
	for id, want := range map[wire.MinionID]jobs.TargetState{"a": jobs.Absent, "b": jobs.Queued, "e": jobs.Expected} {
		if target, err := f.Target(f.ctx, jid(1), id); err != nil || target.State != want {
			t.Errorf("%s is %v, %v; want %v", id, target.State, err, want)
		}
	}
	if missed, err := f.Missed(f.ctx, "a", base); err != nil || len(missed) != 0 {
		t.Errorf("a still gets %v, %v", missed, err)
	}
	if ids, err := f.Withdraw(f.ctx, jid(2)); err != nil || ids != nil {
		t.Errorf("of an unknown job: %v, %v", ids, err)
	}
}

func testReturnOnce(t *testing.T, f *fixture) {
	f.must(f.SaveJob(f.ctx, job(1), expected(1, 2)))
	r := ret(1, 1)
	r.Retcode, r.Success, r.Fun = 3, false, "cmd.run"
	f.equal(f.put(r), false)
	second := r
	second.Load = []byte("another result")
	f.equal(f.put(second), true)
	got, err := f.Return(f.ctx, jid(1), minion(1))
	f.must(err)
	f.equal(got, r)
	target, err := f.Target(f.ctx, jid(1), minion(1))
	f.must(err)
	f.equal(target.Returned, true)
	_, err = f.Return(f.ctx, jid(1), minion(2))
	f.wantErr(err, jobs.ErrUnknown)
}

func testReturnNotTargeted(t *testing.T, f *fixture) {
	f.must(f.SaveJob(f.ctx, job(1), expected(1)))
	_, err := f.PutReturn(f.ctx, ret(1, 2))
	f.wantErr(err, jobs.ErrNotTargeted)
	f.equal(len(f.returns(jid(1))), 0)
	bad := ret(1, 1)
	bad.Minion = "../" + bad.Minion
	if _, err := f.PutReturn(f.ctx, bad); err == nil {
		t.Fatal("a return of an impossible minion id was stored")
	}
}

func testReturnUnknown(t *testing.T, f *fixture) {
	r := ret(1, 1)
	r.Fun, r.User = "state.apply", "root"
	f.equal(f.put(r), false)
	got, err := f.Job(f.ctx, jid(1))
	f.must(err)
	f.equal(got, jobs.Job{JID: jid(1), Fun: "state.apply", User: "root", Tgt: []any{string(minion(1))}, TgtType: "list",
		Start: r.ReceivedAt, Load: []byte{}, Unpublished: true, Arg: []any{}})
	f.equal(f.put(r), true)

	// Schedules of many minions fire at the same moment, so two may make the same id.
	f.equal(f.put(ret(1, 2)), false)
	f.equal(len(f.returns(jid(1))), 2)

	described := ret(2, 1)
	described.Job = &jobs.Job{Fun: "cmd.run", Arg: []any{"date"}, Tgt: "m", TgtType: "glob", User: "anna", Start: base, Load: []byte("x")}
	f.equal(f.put(described), false)
	got, err = f.Job(f.ctx, jid(2))
	f.must(err)
	want := *described.Job
	want.JID, want.Unpublished = jid(2), true
	f.equal(got, want)
	f.wantErr(f.SaveJob(f.ctx, job(2), nil), jobs.ErrExists)
}

func testReturnSizes(t *testing.T, f *fixture) {
	random := make([]byte, 300_000)
	r := rand.NewChaCha8([32]byte{})
	r.Read(random)
	var targets []int
	sizes := []int{0, 1, 500, 998, 999, 1000, 1001, 4095, 4096, 5000, 100_000, 300_000}
	for n := range 2 * len(sizes) {
		targets = append(targets, n)
	}
	f.must(f.SaveJob(f.ctx, job(1), expected(targets...)))
	for i, size := range sizes {
		for k, load := range [][]byte{random[:size], bytes.Repeat([]byte("salt"), size)[:size]} {
			r := ret(1, 2*i+k)
			r.Load = load
			f.equal(f.put(r), false)
			f.equal(f.put(r), true)
			got, err := f.Return(f.ctx, jid(1), r.Minion)
			f.must(err)
			if !bytes.Equal(got.Load, load) {
				t.Fatalf("load of %d bytes came back as %d others", size, len(got.Load))
			}
		}
	}
}

func testReturnsWalk(t *testing.T, f *fixture) {
	const n = 1300
	var targets []int
	for m := range n {
		targets = append(targets, m)
	}
	f.must(f.SaveJob(f.ctx, job(1), expected(targets...)))
	var g sync.WaitGroup
	for m := range n {
		g.Go(func() {
			if _, err := f.PutReturn(f.ctx, ret(1, m)); err != nil {
				t.Error(err)
			}
		})
	}
	g.Wait()
	seen := 0
	for r, err := range f.Returns(f.ctx, jid(1)) {
		f.must(err)
		f.equal(r.Minion, minion(seen))
		if seen%500 == 0 {
			_, err := f.Target(f.ctx, jid(1), r.Minion)
			f.must(err)
			f.equal(f.put(r), true)
		}
		seen++
	}
	f.equal(seen, n)
	for range f.Returns(f.ctx, jid(1)) {
		break
	}
}

func testReturnsConcurrent(t *testing.T, f *fixture) {
	const minions, times = 50, 8
	var targets []int
	for m := range minions {
		targets = append(targets, m)
	}
	f.must(f.SaveJob(f.ctx, job(1), expected(targets...)))
	var mu sync.Mutex
	fresh := map[wire.MinionID]int{}
	var g sync.WaitGroup
	for m := range minions {
		for range times {
			g.Go(func() {
				r := ret(1, m)
				r.Load = bytes.Repeat([]byte{byte(m)}, 60*m)
				dup, err := f.PutReturn(f.ctx, r)
				if err != nil {
					t.Error(err)
				}
				if !dup {
					mu.Lock()
					fresh[minion(m)]++
					mu.Unlock()
				}
			})
		}
	}
	g.Wait()
	for m := range minions {
		f.equal(fresh[minion(m)], 1)
	}
	f.equal(len(f.returns(jid(1))), minions)
}

func testMissed(t *testing.T, f *fixture) {
	now := base.Add(time.Minute)
	save := func(n int, expiry time.Duration, target jobs.Target) {
		j := job(n)
		j.Start = base
		j.Expiry = time.Time{}
		if expiry != 0 {
			j.Expiry = now.Add(expiry)
		}
		target.Minion = "m"
		f.must(f.SaveJob(f.ctx, j, append(expected(1), target)))
	}
	save(9, time.Second, jobs.Target{State: jobs.Expected})
	save(1, time.Second, jobs.Target{State: jobs.Expected})
	save(2, -time.Second, jobs.Target{State: jobs.Expected})                                       // expired
	save(3, 0, jobs.Target{State: jobs.Expected})                                                  // cannot be fetched
	save(4, time.Second, jobs.Target{State: jobs.Absent})                                          // was not there
	save(5, -time.Second, jobs.Target{State: jobs.Queued, QueuedUntil: now.Add(time.Second)})      // waits longer than the job
	save(6, time.Second, jobs.Target{State: jobs.Queued, QueuedUntil: now.Add(-time.Second)})      // waited too long
	save(7, time.Second, jobs.Target{State: jobs.Expected, AckedAt: base})                         // taken
	save(8, time.Second, jobs.Target{State: jobs.Expected})                                        // returned
	f.must(f.SaveJob(f.ctx, job(10), expected(1)))                                                 // of others
	f.equal(f.put(jobs.Return{JID: jid(8), Minion: "m", ReceivedAt: base, Load: []byte{}}), false) // a Salt minion never acknowledges
	got, err := f.Missed(f.ctx, "m", now)
	f.must(err)
	var ids []wire.JobID
	for _, j := range got {
		ids = append(ids, j.JID)
		f.equal(string(j.Load), "load")
	}
	f.equal(ids, []wire.JobID{jid(1), jid(5), jid(9)})
	f.must(f.AddTargets(f.ctx, jid(2), []jobs.Target{{Minion: "late", State: jobs.Queued, QueuedUntil: now.Add(time.Minute)}}))
	got, err = f.Missed(f.ctx, "late", now)
	f.must(err)
	f.equal(len(got), 1)
}

func testEnd(t *testing.T, f *fixture) {
	f.must(f.SaveJob(f.ctx, job(1), expected(1)))
	f.must(f.SetEnd(f.ctx, jid(1), base.Add(time.Minute)))
	got, err := f.Job(f.ctx, jid(1))
	f.must(err)
	f.equal(got.End, base.Add(time.Minute))
	f.wantErr(f.SetEnd(f.ctx, jid(2), base), jobs.ErrUnknown)
}

func testSearch(t *testing.T, f *fixture) {
	save := func(n int, change func(*jobs.Job), targets ...int) {
		j := job(n)
		change(&j)
		f.must(f.SaveJob(f.ctx, j, expected(targets...)))
	}
	save(1, func(j *jobs.Job) {
		j.Metadata = wire.NewMap("ticket", "OPS-1", "x", wire.NewMap("a", int64(1), "b", int64(2)))
	}, 1)
	save(2, func(j *jobs.Job) { j.Fun = "cmd.run"; j.User = "anna" }, 1, 2)
	save(3, func(j *jobs.Job) { j.Fun = "saltutil.find_job"; j.Tgt = []any{"web1", "db1"}; j.TgtType = "list" }, 2)
	save(4, func(j *jobs.Job) { j.Tgt = "web*" }, 3)
	for _, test := range []struct {
		name   string
		filter jobs.Filter
		want   []int
	}{
		{"all, newest first", jobs.Filter{}, []int{4, 3, 2, 1}},
		{"limit", jobs.Filter{Limit: 2}, []int{4, 3}},
		{"function", jobs.Filter{Fun: []string{"test.*"}}, []int{4, 1}},
		{"one of two functions", jobs.Filter{Fun: []string{"cmd.run", "saltutil.find_job"}}, []int{3, 2}},
		{"not these functions", jobs.Filter{NotFun: []string{"saltutil.*", "cmd.*"}}, []int{4, 1}},
		{"target expression", jobs.Filter{Target: []string{"web[*]"}}, []int{4}},
		{"member of a list target", jobs.Filter{Target: []string{"db?"}}, []int{3}},
		{"expression and member", jobs.Filter{Target: []string{"web*"}}, []int{4, 3}},
		{"minion", jobs.Filter{Minion: minion(1)}, []int{2, 1}},
		{"user", jobs.Filter{User: "anna"}, []int{2}},
		{"from and to are included", jobs.Filter{From: base.Add(2 * time.Second), To: base.Add(3 * time.Second)}, []int{3, 2}},
		{"metadata", jobs.Filter{Metadata: wire.NewMap("ticket", "OPS-1")}, []int{1}},
		{"one pair of metadata is enough", jobs.Filter{Metadata: wire.NewMap("ticket", "no", "x", wire.NewMap("b", int64(2), "a", int64(1)))}, []int{1}},
		{"other metadata", jobs.Filter{Metadata: wire.NewMap("ticket", "OPS-2")}, nil},
		{"all conditions have to hold", jobs.Filter{Fun: []string{"test.*"}, Minion: minion(2)}, nil},
		{"limit counts what passes", jobs.Filter{Metadata: wire.NewMap("ticket", "OPS-1"), Limit: 1}, []int{1}},
	} {
		got, err := f.Search(f.ctx, test.filter)
		f.must(err)
		var ids []int
		for _, j := range got {
			ids = append(ids, slices.Index([]wire.JobID{"", jid(1), jid(2), jid(3), jid(4)}, j.JID))
			f.equal(len(j.Load), 0)
		}
		if !slices.Equal(ids, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, ids, test.want)
		}
	}
}

func testSearchGlobs(t *testing.T, f *fixture) {
	targets := []string{"web1", "web2", "webx", "w^b", "web[1", "*", "a]b", "a!b"}
	for n, tgt := range targets {
		j := job(n)
		j.Tgt = tgt
		f.must(f.SaveJob(f.ctx, j, nil))
	}
	for glob, want := range map[string][]string{
		"web[12]":  {"web1", "web2"},
		"web[!1]":  {"web2", "webx"},
		"web[0-9]": {"web1", "web2"},
		"w[^x]b":   {"w^b"},
		"w[^]b":    {"w^b"},
		"web[1":    {"web[1"},
		"web[[]1":  {"web[1"},
		"[*]":      {"*"},
		"a[]]b":    {"a]b"},
		"a[!]]b":   {"a!b"},
		"a[]!]b":   {"a]b", "a!b"},
		"???":      {"w^b", "a]b", "a!b"},
		"WEB1":     nil,
	} {
		got, err := f.Search(f.ctx, jobs.Filter{Target: []string{glob}})
		f.must(err)
		var found []string
		for _, j := range got {
			found = append(found, j.Tgt.(string))
		}
		slices.Reverse(found)
		if !slices.Equal(found, want) {
			t.Errorf("%s: found %q, want %q", glob, found, want)
		}
	}
}

func testMinionData(t *testing.T, f *fixture) {
	_, err := f.MinionData(f.ctx, "a")
	f.wantErr(err, jobs.ErrUnknown)
	d := jobs.MinionData{ID: "a", Grains: bytes.Repeat([]byte("grains "), 2000), Pillar: []byte("pillar"), Updated: base}
	f.must(f.SetMinionData(f.ctx, d))
	got, err := f.MinionData(f.ctx, "a")
	f.must(err)
	f.equal(got, d)
	f.must(f.SetMinionData(f.ctx, jobs.MinionData{ID: "a", Pillar: []byte{}, Mine: []byte("mine"), Updated: base.Add(time.Second)}))
	got, err = f.MinionData(f.ctx, "a")
	f.must(err)
	f.equal(got, jobs.MinionData{ID: "a", Grains: d.Grains, Mine: []byte("mine"), Updated: base.Add(time.Second)})
}

func testAllMinionData(t *testing.T, f *fixture) {
	const n = 1200
	var g sync.WaitGroup
	for m := range n {
		g.Go(func() {
			d := jobs.MinionData{ID: minion(m), Updated: base}
			switch m % 3 {
			case 0:
				d.Grains = []byte("g")
			case 1:
				d.Pillar = []byte("p")
			case 2:
				d.Grains, d.Mine = []byte("g"), []byte("m")
			}
			if err := f.SetMinionData(f.ctx, d); err != nil {
				t.Error(err)
			}
		})
	}
	g.Wait()
	seen := 0
	for d, err := range f.AllMinionData(f.ctx) {
		f.must(err)
		f.equal(d.ID, minion(seen))
		f.equal([]bool{d.Grains != nil, d.Pillar != nil, d.Mine != nil}, []bool{seen%3 != 1, seen%3 == 1, seen%3 == 2})
		seen++
	}
	f.equal(seen, n)
	seen = 0
	for d, err := range f.Mines(f.ctx) {
		f.must(err)
		f.equal(d, jobs.MinionData{ID: minion(3*seen + 2), Mine: []byte("m"), Updated: base})
		seen++
	}
	f.equal(seen, n/3)
}

func testPresence(t *testing.T, f *fixture) {
	_, err := f.Presence(f.ctx, "a")
	f.wantErr(err, jobs.ErrUnknown)
	a := jobs.Presence{ID: "a", LastSeen: base, ConnectedSince: base.Add(-time.Hour)}
	b := jobs.Presence{ID: "b", LastSeen: base, Lost: "heartbeat lost"}
	f.must(f.SetPresence(f.ctx, []jobs.Presence{b, a}))
	f.must(f.SetPresence(f.ctx, nil))
	a.ConnectedSince, a.Lost = time.Time{}, "closed by peer"
	f.must(f.SetPresence(f.ctx, []jobs.Presence{a}))
	got, err := f.Presence(f.ctx, "a")
	f.must(err)
	f.equal(got, a)
	var all []jobs.Presence
	for p, err := range f.AllPresence(f.ctx) {
		f.must(err)
		all = append(all, p)
	}
	f.equal(all, []jobs.Presence{a, b})
}

func testForget(t *testing.T, f *fixture) {
	f.must(f.SaveJob(f.ctx, job(1), expected(1)))
	f.put(ret(1, 1))
	f.must(f.SetMinionData(f.ctx, jobs.MinionData{ID: minion(1), Grains: []byte("g"), Mine: []byte("m")}))
	f.must(f.SetPresence(f.ctx, []jobs.Presence{{ID: minion(1), LastSeen: base}}))
	f.must(f.ForgetMinion(f.ctx, minion(1)))
	f.must(f.ForgetMinion(f.ctx, minion(1)))
	_, err := f.MinionData(f.ctx, minion(1))
	f.wantErr(err, jobs.ErrUnknown)
	_, err = f.Presence(f.ctx, minion(1))
	f.wantErr(err, jobs.ErrUnknown)
	f.equal(len(f.returns(jid(1))), 1)
}

// old is a job that can no longer be fetched.
func old(n int) jobs.Job {
	j := job(n)
	j.Start = time.Now().Add(-48*time.Hour + time.Duration(n)*time.Second)
	j.Expiry = j.Start.Add(5 * time.Minute)
	return j
}

func testPurgeAge(t *testing.T, f *fixture) {
	var many []int
	for m := range 1100 {
		many = append(many, m)
	}
	f.must(f.SaveJob(f.ctx, old(1), expected(many...)))
	for _, m := range []int{1, 2, 1000} {
		r := ret(1, m)
		r.Load = bytes.Repeat([]byte{byte(m)}, 3000*m)
		f.put(r)
	}
	f.must(f.SaveJob(f.ctx, old(2), expected(1)))
	young := job(3)
	young.Start = time.Now()
	f.must(f.SaveJob(f.ctx, young, expected(1)))
	f.put(ret(3, 1))
	waiting := old(4)
	f.must(f.SaveJob(f.ctx, waiting, []jobs.Target{{Minion: "m", State: jobs.Queued, QueuedUntil: time.Now().Add(time.Hour)}}))

	p, err := f.Purge(f.ctx, time.Time{}, 0)
	f.must(err)
	f.equal(p, jobs.Purged{})
	p, err = f.Purge(f.ctx, time.Now().Add(-24*time.Hour), 0)
	f.must(err)
	f.equal([]int{p.Jobs, p.Returns}, []int{2, 3})
	for n, want := range map[int]error{1: jobs.ErrUnknown, 2: jobs.ErrUnknown, 3: nil, 4: nil} {
		if _, err := f.Job(f.ctx, jid(n)); !errors.Is(err, want) {
			t.Errorf("job %d: %v, want %v", n, err, want)
		}
	}
	ts, err := f.Targets(f.ctx, jid(1))
	f.must(err)
	f.equal(len(ts), 0)
	f.equal(len(f.returns(jid(1))), 0)
	f.equal(len(f.returns(jid(3))), 1)
	f.must(f.SaveJob(f.ctx, old(1), expected(1)))
}

func testPurgeSize(t *testing.T, f *fixture) {
	random := make([]byte, 100_000)
	rand.NewChaCha8([32]byte{}).Read(random)
	for n := range 20 {
		f.must(f.SaveJob(f.ctx, old(n), expected(1)))
		r := ret(n, 1)
		r.Load = random
		f.put(r)
	}
	before, err := f.Stats(f.ctx)
	f.must(err)
	p, err := f.Purge(f.ctx, time.Time{}, before.Bytes/2)
	f.must(err)
	if p.Jobs < 8 || p.Jobs > 12 {
		t.Errorf("%d of 20 jobs removed to halve the store, about 10 expected", p.Jobs)
	}
	if p.Bytes == 0 {
		t.Error("the store did not shrink")
	}
	left, err := f.Search(f.ctx, jobs.Filter{})
	f.must(err)
	f.equal(len(left), 20-p.Jobs)
	f.equal(left[0].JID, jid(19)) // the oldest went
	p, err = f.Purge(f.ctx, time.Time{}, 1)
	f.must(err) // nothing is left to be removed, although it is not small enough
	f.equal(p.Jobs, len(left))
}

func testPurgeBeside(t *testing.T, f *fixture) {
	for n := range 30 {
		f.must(f.SaveJob(f.ctx, old(n), expected(1, 2, 3)))
		f.put(ret(n, 1))
	}
	fresh := job(50)
	fresh.Start = time.Now()
	fresh.Expiry = time.Now().Add(time.Hour)
	var many []int
	for m := range 300 {
		many = append(many, m)
	}
	f.must(f.SaveJob(f.ctx, fresh, expected(many...)))
	var g sync.WaitGroup
	g.Go(func() {
		if _, err := f.Purge(f.ctx, time.Now().Add(-time.Hour), 0); err != nil {
			t.Error(err)
		}
	})
	for m := range many {
		g.Go(func() {
			if _, err := f.PutReturn(f.ctx, ret(50, m)); err != nil {
				t.Error(err)
			}
			// Late returns to jobs that are being removed.
			if _, err := f.PutReturn(f.ctx, ret(m%30, 2)); err != nil {
				t.Error(err)
			}
		})
	}
	g.Wait()
	f.equal(len(f.returns(jid(50))), 300)
}

func testReopen(t *testing.T, f *fixture) {
	f.must(f.SaveJob(f.ctx, job(1), expected(1)))
	f.put(ret(1, 1))
	f.must(f.SetMinionData(f.ctx, jobs.MinionData{ID: "a", Grains: []byte("g"), Updated: base}))
	f.must(f.Close())
	f.must(f.Close())
	f.Store = f.open(t, f.dir)
	got, err := f.Job(f.ctx, jid(1))
	f.must(err)
	f.equal(got, job(1))
	f.equal(f.put(ret(1, 1)), true)
	d, err := f.MinionData(f.ctx, "a")
	f.must(err)
	f.equal(string(d.Grains), "g")
}

func testClosed(t *testing.T, f *fixture) {
	f.must(f.SaveJob(f.ctx, job(1), expected(1)))
	f.must(f.Close())
	f.wantErr(f.SaveJob(f.ctx, job(2), nil), jobs.ErrClosed)
	_, err := f.PutReturn(f.ctx, ret(1, 1))
	f.wantErr(err, jobs.ErrClosed)
	_, err = f.Job(f.ctx, jid(1))
	f.wantErr(err, jobs.ErrClosed)
	_, err = f.Search(f.ctx, jobs.Filter{})
	f.wantErr(err, jobs.ErrClosed)
	for _, err := range f.Returns(f.ctx, jid(1)) {
		f.wantErr(err, jobs.ErrClosed)
	}
}

func testContext(t *testing.T, f *fixture) {
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	f.wantErr(f.SaveJob(ctx, job(1), nil), context.Canceled)
	_, err := f.Job(f.ctx, jid(1))
	f.wantErr(err, jobs.ErrUnknown)
	_, err = f.Search(ctx, jobs.Filter{})
	f.wantErr(err, context.Canceled)
}

func testStats(t *testing.T, f *fixture) {
	f.must(f.SaveJob(f.ctx, job(1), expected(1, 2)))
	f.put(ret(1, 1))
	f.must(f.SetMinionData(f.ctx, jobs.MinionData{ID: "a", Grains: []byte("g"), Mine: []byte("m")}))
	got, err := f.Stats(f.ctx)
	f.must(err)
	f.equal([]int64{got.Jobs, got.Returns, got.Minions}, []int64{1, 1, 1})
	if got.Bytes <= 0 {
		t.Errorf("store of %d bytes", got.Bytes)
	}
}
