package jobs

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/gosalt/gosalt/protocol/wire"
)

// killDir is set in the process that TestKill kills: the store's directory.
const killDir = "GOSALT_TEST_KILL_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(killDir); dir != "" {
		if err := writeUntilKilled(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if dir := os.Getenv(besideDir); dir != "" {
		if err := writeBeside(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// besideDir is set in the process that opens the store beside TestBeside's.
const besideDir = "GOSALT_TEST_BESIDE_DIR"

func saveEmpty(s *SQLite, jid wire.JobID) error {
	return s.SaveJob(context.Background(), Job{JID: jid, Fun: "test.ping", Tgt: "*", TgtType: "glob", Start: time.Now(), Load: []byte(jid)}, nil)
}

func writeBeside(dir string) error {
	s, err := Open(filepath.Join(dir, "jobs.db"), Options{})
	if err != nil {
		return err
	}
	r := 0
	if _, err := fmt.Sscan(os.Getenv("GOSALT_TEST_KILL_ROUND"), &r); err != nil {
		return err
	}
	if err := saveEmpty(s, killJob(r, 1)); err != nil {
		return err
	}
	return s.Close()
}

// TestBeside has another process open the store, write and end, while this one has it open
// and reads: gosalt-ssh beside a master. SQLite's locks must hold all the time: one that is
// lost lets the other process take the log of this one away.
func TestBeside(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(filepath.Join(dir, "jobs.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	var all []wire.JobID
	for round := range 3 {
		jid := killJob(round, 0)
		if err := saveEmpty(s, jid); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Job(ctx, jid); err != nil { // the first one opens a connection
			t.Fatal(err)
		}
		cmd := osexec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), besideDir+"="+dir, fmt.Sprintf("GOSALT_TEST_KILL_ROUND=%d", round))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		all = append(all, jid, killJob(round, 1))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(filepath.Join(dir, "jobs.db"), Options{}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, jid := range all {
		if _, err := s.Job(ctx, jid); err != nil {
			t.Errorf("job %s: %v", jid, err)
		}
	}
}

func killJob(round, n int) wire.JobID {
	return wire.JobID(fmt.Sprintf("2026112206%04d%06d", round, n))
}

const killTargets = 40

// killLoad is a return's load, short or long by the minion.
func killLoad(jid wire.JobID, id wire.MinionID, n int) []byte {
	return bytes.Repeat([]byte(string(jid)+string(id)), 1+n*n)
}

// writeUntilKilled saves jobs and returns and prints what was acknowledged.
func writeUntilKilled(dir string) error {
	s, err := Open(filepath.Join(dir, "jobs.db"), Options{})
	if err != nil {
		return err
	}
	ctx := context.Background()
	round := os.Getenv("GOSALT_TEST_KILL_ROUND")
	var targets []Target
	for n := range killTargets {
		targets = append(targets, Target{Minion: wire.MinionID(fmt.Sprintf("m%02d", n)), State: Expected})
	}
	for n := 0; ; n++ {
		r := 0
		if _, err := fmt.Sscan(round, &r); err != nil {
			return err
		}
		jid := killJob(r, n)
		if err := s.SaveJob(ctx, Job{JID: jid, Fun: "test.ping", Tgt: "*", TgtType: "glob", Start: time.Now(), Load: []byte(jid)}, targets); err != nil {
			return err
		}
		fmt.Printf("%s -\n", jid)
		var g sync.WaitGroup
		for i, t := range targets {
			g.Go(func() {
				if _, err := s.PutReturn(ctx, Return{JID: jid, Minion: t.Minion, ReceivedAt: time.Now(), Load: killLoad(jid, t.Minion, i)}); err == nil {
					fmt.Printf("%s %s\n", jid, t.Minion)
				}
			})
		}
		g.Wait()
	}
}

// TestKill kills a process that writes, several times over, and looks whether all
// that it acknowledged is there, whole.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	acked := map[string]bool{}
	for round := range 6 {
		cmd := osexec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), killDir+"="+dir, fmt.Sprintf("GOSALT_TEST_KILL_ROUND=%d", round))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(out)
		for n := 0; ; n++ {
			line, err := lines.ReadString('\n')
			if err != nil {
				break // the process is dead and the pipe empty
			}
			acked[strings.TrimSpace(line)] = true
			if n == 150+37*round {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the process ended by itself")
		}
	}
	s, err := Open(filepath.Join(dir, "jobs.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx := t.Context()
	for line := range acked {
		jid, id, _ := strings.Cut(line, " ")
		if id == "-" {
			j, err := s.Job(ctx, wire.JobID(jid))
			if err != nil || string(j.Load) != jid {
				t.Errorf("job %s: %q, %v", jid, j.Load, err)
			}
			if ts, err := s.Targets(ctx, wire.JobID(jid)); err != nil || len(ts) != killTargets {
				t.Errorf("job %s has %d targets, %v", jid, len(ts), err)
			}
			continue
		}
		n := 0
		if _, err := fmt.Sscanf(id, "m%d", &n); err != nil {
			t.Fatal(err)
		}
		r, err := s.Return(ctx, wire.JobID(jid), wire.MinionID(id))
		if err != nil || !bytes.Equal(r.Load, killLoad(r.JID, r.Minion, n)) {
			t.Errorf("acknowledged return %s: %d bytes, %v", line, len(r.Load), err)
		}
	}
	if verdict := checkFile(t, s); verdict != "ok" {
		t.Errorf("file: %s", verdict)
	}
	t.Logf("%d acknowledged writes in 6 lives", len(acked))
}

func checkFile(t *testing.T, s *SQLite) (verdict string) {
	t.Helper()
	err := s.scan.do(t.Context(), false, func(c *sqlite.Conn) (err error) {
		verdict, err = pragmaText(c, "PRAGMA integrity_check")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return verdict
}

func openTest(t *testing.T, path string, log io.Writer) *SQLite {
	t.Helper()
	s, err := Open(path, Options{Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func save(t *testing.T, s *SQLite, n int) wire.JobID {
	t.Helper()
	jid := killJob(0, n)
	err := s.SaveJob(t.Context(), Job{JID: jid, Fun: "test.ping", Tgt: "*", TgtType: "glob", Start: time.Now(), Load: []byte("load")}, []Target{{Minion: "m", State: Expected}})
	if err != nil {
		t.Fatal(err)
	}
	return jid
}

// limitPages makes the store believe that the disk holds so many pages.
func limitPages(t *testing.T, s *SQLite, n int) {
	t.Helper()
	err := s.write(t.Context(), 1, 0, func(c *sqlite.Conn) error {
		return exec(c, fmt.Sprintf("PRAGMA max_page_count = %d", n))
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFullDisk(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "jobs.db"), io.Discard)
	ctx := t.Context()
	first := save(t, s, 1)
	limitPages(t, s, 60)
	noise := make([]byte, 400_000)
	rand.NewChaCha8([32]byte{}).Read(noise) // nothing to compress
	big := Return{JID: first, Minion: "m", ReceivedAt: time.Now(), Load: noise}
	if _, err := s.PutReturn(ctx, big); sqlite.ErrCode(err).ToPrimary() != sqlite.ResultFull {
		t.Fatalf("a return larger than the disk: %v", err)
	}
	// What still fits is stored, also beside what does not.
	var g sync.WaitGroup
	second := save(t, s, 2)
	for range 5 {
		g.Go(func() {
			if _, err := s.PutReturn(ctx, big); err == nil {
				t.Error("a return larger than the disk was stored")
			}
		})
		g.Go(func() {
			if _, err := s.PutReturn(ctx, Return{JID: second, Minion: "m", ReceivedAt: time.Now(), Load: []byte("small")}); err != nil {
				t.Error(err)
			}
		})
	}
	g.Wait()
	if _, err := s.Return(ctx, first, "m"); !errors.Is(err, ErrUnknown) {
		t.Errorf("the refused return: %v", err)
	}
	limitPages(t, s, 1<<30)
	if dup, err := s.PutReturn(ctx, big); dup || err != nil {
		t.Errorf("with room again: %v, %v", dup, err)
	}
	r, err := s.Return(ctx, first, "m")
	if err != nil || !bytes.Equal(r.Load, noise) {
		t.Errorf("stored return: %v", err)
	}
	if verdict := checkFile(t, s); verdict != "ok" {
		t.Errorf("file: %s", verdict)
	}
}

func TestDamagedFileIsMovedAside(t *testing.T) {
	for name, spoil := range map[string]func(b []byte) []byte{
		"no database": func([]byte) []byte {
			return []byte("hello, this is no database, and it is long enough to be looked at as one\n")
		},
		"header gone": func(b []byte) []byte { clear(b[:100]); return b },
		"cut off":     func(b []byte) []byte { return b[:5000] },
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "jobs.db")
		s := openTest(t, path, io.Discard)
		save(t, s, 1)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b = spoil(b)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		s = openTest(t, path, &log)
		if _, err := s.Job(t.Context(), killJob(0, 1)); !errors.Is(err, ErrUnknown) {
			t.Errorf("%s: %v", name, err)
		}
		save(t, s, 1)
		aside, err := filepath.Glob(path + ".damaged-*")
		if err != nil || len(aside) != 1 {
			t.Fatalf("%s: moved aside: %q, %v", name, aside, err)
		}
		if got, err := os.ReadFile(aside[0]); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%s: what was moved aside has changed: %v", name, err)
		}
		if !strings.Contains(log.String(), aside[0]) {
			t.Errorf("%s: log does not say where it is: %s", name, &log)
		}
	}
}

func TestDamageMetWhileRunning(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	s := openTest(t, path, io.Discard)
	for n := range 300 {
		save(t, s, n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 3 * 4096; i < len(b); i++ { // the schema and the first pages stay
		b[i] = byte(i * 7)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	s = openTest(t, path, &log)
	if _, err := s.Search(t.Context(), Filter{}); err == nil {
		t.Fatal("a damaged file was read without an error")
	}
	if _, err := s.Search(t.Context(), Filter{}); err == nil || strings.Count(log.String(), "restart the master") != 1 {
		t.Errorf("%v; log: %s", err, &log)
	}
	s.Close()
	s = openTest(t, path, &log)
	save(t, s, 1)
	if !strings.Contains(log.String(), "moved_to=") {
		t.Errorf("log: %s", &log)
	}
	s.Close()
	log.Reset()
	s = openTest(t, path, &log)
	if _, err := s.Job(t.Context(), killJob(0, 1)); err != nil || log.Len() != 0 {
		t.Errorf("the new file: %v; log: %s", err, &log)
	}
}

func TestOnlyTheOwnerMovesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	owner := openTest(t, path, io.Discard)
	save(t, owner, 1)
	guest := openTest(t, path, io.Discard)
	save(t, guest, 2)
	if _, err := owner.Job(t.Context(), killJob(0, 2)); err != nil {
		t.Errorf("what another process saved: %v", err)
	}
	for _, s := range []*SQLite{guest, owner} {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	garbage := bytes.Repeat([]byte("x"), 8192)
	if err := os.WriteFile(path, garbage, 0o600); err != nil {
		t.Fatal(err)
	}
	first, release, err := claim(path + ".lock")
	if err != nil || !first {
		t.Fatalf("claim after Close: %v, %v", first, err)
	}
	if _, err := Open(path, Options{}); !isDamage(err) {
		t.Errorf("opened beside the owner: %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, garbage) {
		t.Errorf("the file was changed: %v", err)
	}
	release()
	openTest(t, path, io.Discard)
}

func TestNewerFileIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.db")
	s := openTest(t, path, io.Discard)
	err := s.write(t.Context(), 1, 0, func(c *sqlite.Conn) error { return exec(c, "PRAGMA user_version = 99") })
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := Open(path, Options{}); err == nil || !strings.Contains(err.Error(), "version 99") {
		t.Errorf("%v", err)
	}
	if aside, _ := filepath.Glob(path + ".damaged-*"); len(aside) != 0 {
		t.Error("it was moved aside")
	}
}

func TestPrivateFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "jobs.db")
	s := openTest(t, path, io.Discard)
	save(t, s, 1)
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if fi, err := os.Stat(path + suffix); err != nil || fi.Mode() != 0o600 {
			t.Errorf("%q: %v, %v", suffix, fi, err)
		}
	}
}

// TestQueriesUseIndexes guards the searches that must not read whole tables.
func TestQueriesUseIndexes(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "jobs.db"), io.Discard)
	for query, want := range map[string][]string{
		missedQuery:      {"SEARCH j USING INDEX jobs_until", "SEARCH t USING PRIMARY KEY (jid=? AND minion=?)", "SEARCH r USING PRIMARY KEY (jid=? AND minion=?)"},
		oldestQuery:      {"SEARCH jobs USING INDEX jobs_start"},
		returnsQuery:     {"SEARCH r USING PRIMARY KEY (jid=? AND minion>?)", "SEARCH b USING INTEGER PRIMARY KEY"},
		searchQuery(" "): {"SCAN j USING INDEX jobs_start"},
	} {
		var plan strings.Builder
		err := s.quick.do(t.Context(), false, func(c *sqlite.Conn) error {
			return queryRows(c, func(st *sqlite.Stmt) error {
				fmt.Fprintln(&plan, st.ColumnText(3))
				return nil
			}, "EXPLAIN QUERY PLAN "+query)
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if !strings.Contains(plan.String(), w) {
				t.Errorf("%s\nhas the plan\n%s\nwithout %s", query, &plan, w)
			}
		}
		if strings.Contains(plan.String(), "TEMP B-TREE") && query != missedQuery {
			t.Errorf("%s\nsorts:\n%s", query, &plan)
		}
	}
}

func TestPanicInAnOperation(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "jobs.db"), io.Discard)
	if err := s.write(t.Context(), 1, 0, func(*sqlite.Conn) error { panic("oops") }); err == nil || !strings.Contains(err.Error(), "oops") {
		t.Errorf("%v", err)
	}
	save(t, s, 1)
}

// FuzzUnpack: stored forms that are damaged give an error, never more memory than
// their size explains; what pack made comes back.
func FuzzUnpack(f *testing.F) {
	f.Add([]byte{blobDeflate, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2, 3})
	f.Add(pack(bytes.Repeat([]byte("salt"), 5000)))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := unpack(b); err != nil && got != nil || len(got) > 1100*len(b) {
			t.Fatalf("%d bytes from %d, %v", len(got), len(b), err)
		}
		if got, err := unpack(pack(b)); err != nil || !bytes.Equal(got, b) {
			t.Fatalf("%q came back as %q, %v", b, got, err)
		}
	})
}
