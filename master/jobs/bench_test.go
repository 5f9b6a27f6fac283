package jobs

import (
	"bytes"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/gosalt/gosalt/protocol/wire"
)

func benchStore(b *testing.B) *SQLite {
	s, err := Open(filepath.Join(b.TempDir(), "jobs.db"), Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return s
}

func benchTargets(n int) (ts []Target) {
	for i := range n {
		ts = append(ts, Target{Minion: wire.MinionID(fmt.Sprintf("minion-%05d.example.com", i)), State: Expected})
	}
	return ts
}

// BenchmarkJob10000 is a job of 10,000 minions: saved with its targets, and all
// returns of 200 bytes stored, 256 at a time.
func BenchmarkJob10000(b *testing.B) {
	s := benchStore(b)
	targets := benchTargets(10_000)
	load := bytes.Repeat([]byte("r"), 200)
	n := 0
	var saving time.Duration
	for b.Loop() {
		n++
		jid := killJob(1, n)
		begin := time.Now()
		if err := s.SaveJob(b.Context(), Job{JID: jid, Fun: "test.ping", Tgt: "*", TgtType: "glob", Start: begin}, targets); err != nil {
			b.Fatal(err)
		}
		saving += time.Since(begin)
		next := make(chan Target)
		var g sync.WaitGroup
		for range 256 {
			g.Go(func() {
				for t := range next {
					if _, err := s.PutReturn(b.Context(), Return{JID: jid, Minion: t.Minion, ReceivedAt: begin, Load: load}); err != nil {
						b.Error(err)
					}
				}
			})
		}
		for i := range targets {
			next <- targets[i*7919%len(targets)] // in no order
		}
		close(next)
		g.Wait()
	}
	b.ReportMetric(float64(saving.Milliseconds())/float64(n), "ms/save")
}

// BenchmarkReturn is one return alone: what a command to one minion waits for.
func BenchmarkReturn(b *testing.B) {
	s := benchStore(b)
	load := bytes.Repeat([]byte("r"), 200)
	n := 0
	for b.Loop() {
		n++
		jid := killJob(n/100_000+1, n%100_000)
		if err := s.SaveJob(b.Context(), Job{JID: jid, Fun: "test.ping", Tgt: "*", TgtType: "glob", Start: time.Now()}, benchTargets(1)); err != nil {
			b.Fatal(err)
		}
		if _, err := s.PutReturn(b.Context(), Return{JID: jid, Minion: "minion-00000.example.com", ReceivedAt: time.Now(), Load: load}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReturns reads the 10,000 returns of a job.
func BenchmarkReturns(b *testing.B) {
	s := benchStore(b)
	targets := benchTargets(10_000)
	jid := killJob(1, 1)
	if err := s.SaveJob(b.Context(), Job{JID: jid, Fun: "test.ping", Tgt: "*", TgtType: "glob", Start: time.Now()}, targets); err != nil {
		b.Fatal(err)
	}
	var g sync.WaitGroup
	for _, t := range targets {
		g.Go(func() {
			if _, err := s.PutReturn(b.Context(), Return{JID: jid, Minion: t.Minion, ReceivedAt: time.Now(), Load: make([]byte, 200)}); err != nil {
				b.Error(err)
			}
		})
	}
	g.Wait()
	for b.Loop() {
		for _, err := range s.Returns(b.Context(), jid) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkPack is the compression of a state run's return.
func BenchmarkPack(b *testing.B) {
	var load bytes.Buffer
	for n := range 300 {
		fmt.Fprintf(&load, "pkg_|-package-%d_|-package-%d_|-installed: changes: {}, comment: All specified packages are already installed, duration: %d.%d, result: true\n", n, n, n*37%1000, n)
	}
	b.SetBytes(int64(load.Len()))
	var out []byte
	for b.Loop() {
		out = pack(load.Bytes())
	}
	b.ReportMetric(float64(load.Len())/float64(len(out)), "ratio")
}

// BenchmarkMillion is a store with 1,000,000 returns of 200 bytes, of 1,000 jobs on 1,000
// minions: what it takes to write them, its size, how long it takes to find one job's
// returns and the newest jobs among them, and to drop the older half.
// It is for make bench: -benchtime 1x.
func BenchmarkMillion(b *testing.B) {
	const jobs, minions = 1000, 1000
	for b.Loop() {
		s := benchStore(b)
		targets := benchTargets(minions)
		load := bytes.Repeat([]byte("r"), 200)
		start := time.Now().Add(-jobs * time.Minute)
		began := time.Now()
		for n := range jobs {
			at := start.Add(time.Duration(n) * time.Minute)
			jid := wire.NewJobID(at)
			if err := s.SaveJob(b.Context(), Job{JID: jid, Fun: "test.ping", Tgt: "*", TgtType: "glob", Start: at}, targets); err != nil {
				b.Fatal(err)
			}
			next := make(chan Target)
			var g sync.WaitGroup
			for range 256 {
				g.Go(func() {
					for t := range next {
						if _, err := s.PutReturn(b.Context(), Return{JID: jid, Minion: t.Minion, ReceivedAt: at, Load: load}); err != nil {
							b.Error(err)
						}
					}
				})
			}
			for _, t := range targets {
				next <- t
			}
			close(next)
			g.Wait()
		}
		b.ReportMetric(jobs*minions/time.Since(began).Seconds(), "returns/s")
		stats, err := s.Stats(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(stats.Bytes)/(jobs*minions), "bytes/return")
		began = time.Now()
		newest, err := s.Search(b.Context(), Filter{Limit: 20})
		if err != nil || len(newest) != 20 {
			b.Fatal(len(newest), err)
		}
		b.ReportMetric(float64(time.Since(began).Microseconds())/1000, "ms/newest-20")
		began = time.Now()
		n := 0
		for _, err := range s.Returns(b.Context(), newest[10].JID) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != minions {
			b.Fatal(n)
		}
		b.ReportMetric(float64(time.Since(began).Microseconds())/1000, "ms/job-of-1000")
		began = time.Now()
		gone, err := s.Purge(b.Context(), start.Add(jobs/2*time.Minute), 0)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(began).Seconds(), "s/purge")
		b.ReportMetric(float64(gone.Jobs), "jobs-purged")
	}
}
