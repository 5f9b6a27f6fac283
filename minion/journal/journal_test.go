package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gosalt/gosalt/protocol/wire"
)

func options() Options {
	return Options{
		Interrupted: func(load *wire.Map) *wire.Map { return wire.NewMap("jid", load.Text("jid"), "return", "interrupted") },
		Dropped: func(ret *wire.Map, why string) *wire.Map {
			return wire.NewMap("jid", ret.Text("jid"), "return", "dropped: "+why)
		},
	}
}

func open(t *testing.T, dir string, o Options) *Journal {
	t.Helper()
	j, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func jid(n int) wire.JobID { return wire.JobID(fmt.Sprintf("20261122%012d", n)) }

func load(id wire.JobID) *wire.Map { return wire.NewMap("jid", string(id), "fun", "test.ping") }

func result(id wire.JobID, text string) *wire.Map {
	return wire.NewMap("jid", string(id), "return", text)
}

func returns(t *testing.T, j *Journal) []string {
	t.Helper()
	all, err := j.Unacked()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, r := range all {
		out = append(out, string(r.JID[16:])+" "+r.Return.Text("return"))
	}
	return out
}

func same(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestJobIsTakenOnce(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, options())
	if err := j.Begin(jid(1), "m", load(jid(1)), "k", 1); err != nil {
		t.Fatal(err)
	}
	if err := j.Begin(jid(1), "m", load(jid(1)), "k", 2); !errors.Is(err, ErrTaken) {
		t.Errorf("second Begin: %v, want ErrTaken", err)
	}
	if err := j.Done(jid(1), result(jid(1), "x")); err != nil {
		t.Fatal(err)
	}
	j.Acked(jid(1))
	j.Close()
	j = open(t, dir, options())
	if err := j.Begin(jid(1), "m", load(jid(1)), "", 0); !errors.Is(err, ErrTaken) {
		t.Errorf("Begin after restart: %v, want ErrTaken", err)
	}
	same(t, returns(t, j))
}

func TestSerialIsKeptAcrossRestarts(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, options())
	if err := j.Begin(jid(1), "m", load(jid(1)), "k", 7); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := j.Begin(jid(2), "m", load(jid(2)), "k", 7); !errors.Is(err, ErrReplayed) {
			t.Errorf("same number: %v, want ErrReplayed", err)
		}
		if err := j.Begin(jid(3), "m", load(jid(3)), "other", 1); err != nil && !errors.Is(err, ErrTaken) {
			t.Errorf("another key: %v", err)
		}
		j.Close()
		j = open(t, dir, options())
	}
	if n := j.LastSerial("k"); n != 7 {
		t.Errorf("last number %d, want 7", n)
	}
}

func TestUnfinishedJobIsInterrupted(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, options())
	if err := j.Begin(jid(1), "m", load(jid(1)), "", 0); err != nil {
		t.Fatal(err)
	}
	j.Close()
	j = open(t, dir, options())
	same(t, returns(t, j), "0001 interrupted")
	j.Close()
	j = open(t, dir, options())
	same(t, returns(t, j), "0001 interrupted")
}

func TestResultsWaitUntilAcked(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, options())
	big := strings.Repeat("x", 3*inline)
	for i, text := range []string{"a", big, "c"} {
		id := jid(i)
		if err := j.Begin(id, "m", load(id), "", 0); err != nil {
			t.Fatal(err)
		}
		if err := j.Done(id, result(id, text)); err != nil {
			t.Fatal(err)
		}
	}
	j.Acked(jid(0))
	j.Close()
	j = open(t, dir, options())
	same(t, returns(t, j), "0001 "+big, "0002 c")
	j.Acked(jid(1))
	j.Acked(jid(2))
	same(t, returns(t, j))
	left, _ := filepath.Glob(filepath.Join(dir, "result-*"))
	if len(left) > 0 {
		t.Errorf("files left: %v", left)
	}
}

// A machine may stop in the middle of any write.
func TestTornEnd(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, options())
	for i := range 3 {
		if err := j.Begin(jid(i), "m", load(jid(i)), "", 0); err != nil {
			t.Fatal(err)
		}
		if err := j.Done(jid(i), result(jid(i), "r")); err != nil {
			t.Fatal(err)
		}
	}
	j.Close()
	whole, err := os.ReadFile(filepath.Join(dir, "jobs.journal"))
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n <= len(whole); n += 7 {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "jobs.journal"), whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := Open(dir, options())
		if err != nil {
			t.Fatalf("cut at %d: %v", n, err)
		}
		for _, r := range returns(t, j) {
			if !strings.HasSuffix(r, " r") && !strings.HasSuffix(r, " interrupted") {
				t.Fatalf("cut at %d: result %q", n, r)
			}
		}
		j.Close()
	}
}

func TestLimitsDropTheOldestAndSaySo(t *testing.T) {
	o := options()
	o.MaxUnack = 20000
	j := open(t, t.TempDir(), o)
	for i := range 3 {
		if err := j.Begin(jid(i), "m", load(jid(i)), "", 0); err != nil {
			t.Fatal(err)
		}
		if err := j.Done(jid(i), result(jid(i), strings.Repeat("y", 9000))); err != nil {
			t.Fatal(err)
		}
	}
	got := returns(t, j)
	if len(got) != 3 || !strings.Contains(got[0], "dropped: results waiting") || !strings.HasSuffix(got[2], "yyy") {
		t.Errorf("got %.60q", got)
	}
}

func TestOldEntriesAreForgotten(t *testing.T) {
	dir := t.TempDir()
	o := options()
	o.MaxJobs = 2
	j := open(t, dir, o)
	for i := range 5 {
		if err := j.Begin(jid(i), "m", load(jid(i)), "", 0); err != nil {
			t.Fatal(err)
		}
		if err := j.Done(jid(i), result(jid(i), "r")); err != nil {
			t.Fatal(err)
		}
		if i != 1 {
			j.Acked(jid(i))
		}
	}
	j.Close()
	j = open(t, dir, o)
	same(t, returns(t, j), "0001 r") // a result that waits is never forgotten
	if j.Taken(jid(0)) || !j.Taken(jid(4)) {
		t.Error("the oldest job should be forgotten, the newest kept")
	}
}

func TestConcurrentJobs(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, options())
	j.mu.Lock()
	j.compactAt = 2000 // so that the file is written anew under way
	j.mu.Unlock()
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			id := jid(i)
			if err := j.Begin(id, "m", load(id), "", 0); err != nil {
				t.Error(err)
			}
			if err := j.Done(id, result(id, "r")); err != nil {
				t.Error(err)
			}
			if i%2 == 0 {
				j.Acked(id)
			}
		})
	}
	wg.Wait()
	if got := returns(t, j); len(got) != 20 {
		t.Errorf("%d results wait, want 20", len(got))
	}
	j.Close()
	j = open(t, dir, options())
	if got := returns(t, j); len(got) != 20 {
		t.Errorf("%d results wait after restart, want 20", len(got))
	}
	for i := range 40 {
		if !j.Taken(jid(i)) {
			t.Errorf("job %d is forgotten", i)
		}
	}
}

func TestAgeLimit(t *testing.T) {
	o := options()
	o.KeepUnack = time.Nanosecond
	j := open(t, t.TempDir(), o)
	if err := j.Begin(jid(1), "m", load(jid(1)), "", 0); err != nil {
		t.Fatal(err)
	}
	if err := j.Done(jid(1), result(jid(1), strings.Repeat("z", 5000))); err != nil {
		t.Fatal(err)
	}
	got := returns(t, j)
	if len(got) != 1 || !strings.Contains(got[0], "dropped: it waited") {
		t.Errorf("got %.80q", got)
	}
}

func TestOneProcessAtATime(t *testing.T) {
	dir := t.TempDir()
	j, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if second, err := Open(dir, Options{}); !errors.Is(err, ErrInUse) {
		t.Errorf("opened twice: %v, %v", second, err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if j, err = Open(dir, Options{}); err != nil {
		t.Fatalf("after the first has closed it: %v", err)
	}
	j.Close()
}

// A process that ended between writing a large result and noting it leaves a file
// that nobody would ever remove.
func TestUnknownResultFilesAreRemoved(t *testing.T) {
	dir := t.TempDir()
	stray := filepath.Join(dir, resultPrefix+"20260101000000000000")
	if err := os.WriteFile(stray, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	j, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if _, err := os.Stat(stray); !os.IsNotExist(err) {
		t.Errorf("the file is still there: %v", err)
	}
}

func TestKnows(t *testing.T) {
	dir := t.TempDir()
	if known, err := Knows(dir, jid(1)); known || err != nil {
		t.Error("before there is a journal:", known, err)
	}
	j := open(t, dir, options())
	if err := j.Begin(jid(1), "m", load(jid(1)), "", 0); err != nil {
		t.Fatal(err)
	}
	for n, want := range map[int]bool{1: true, 2: false} {
		if known, err := Knows(dir, jid(n)); known != want || err != nil {
			t.Errorf("job %d, while a minion has it open: %v, %v", n, known, err)
		}
	}
}
