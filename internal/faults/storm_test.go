package faults

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gosalt/gosalt/internal/testproc"
	"github.com/gosalt/gosalt/protocol/wire"
)

// In a storm of jobs, master and minions are killed again and again. Each job leaves
// a line in a file, so that it can be counted how often it ran. Then holds: no line is
// there twice; every job whose id was given to a caller is in the store with one
// return; a return that says that the job ran comes with its line.
func TestStormOfKills(t *testing.T) {
	total, kills := 1000, 20
	if testing.Short() {
		total, kills = 150, 3
	}
	s := newSite(t)
	s.start("master", "auto_accept: True", "job_expiry: 900")
	minions := []string{"web1", "web2", "web3"}
	for _, id := range minions {
		s.start(id)
	}
	ran := filepath.Join(s.Dir, "ran")

	type job struct {
		jid    wire.JobID
		line   string
		minion string
	}
	var mu sync.Mutex
	var given []job
	var next, published atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				i := int(next.Add(1))
				if i > total {
					return
				}
				for try := 0; ; try++ {
					// A publish that failed may have run all the same: each try has its own line.
					line := fmt.Sprintf("%d.%d", i, try)
					id := minions[i%len(minions)]
					jid, err := s.publish(id, "cmd.run", "echo "+line+" >> "+ran+"; echo did "+line)
					if err == nil && jid != "" {
						mu.Lock()
						given = append(given, job{jid, line, id})
						mu.Unlock()
						published.Add(1)
						break
					}
					if try > 2000 {
						t.Errorf("job %d could not be published: %v", i, err)
						return
					}
					testproc.Until(testproc.Patience, func() bool { _, err := s.returns("20000101000000000000"); return err == nil })
				}
			}
		})
	}
	// Each kill comes after a share of the jobs, of the master and a minion in turn.
	for k := range kills {
		due := int64((k + 1) * total / (kills + 2))
		testproc.Until(10*testproc.Patience, func() bool { return published.Load() >= due || t.Failed() })
		name := "master"
		if k%2 == 1 {
			name = minions[rand.IntN(len(minions))]
		}
		s.Proc(name).Kill()
		if _, err := s.Spawn(name); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	if len(given) != total {
		t.Fatalf("%d jobs were published, not %d", len(given), total)
	}

	interrupted := 0
	for _, j := range given {
		ret := s.awaitReturn(j.jid, j.minion)
		all, err := s.returns(j.jid)
		s.must(err)
		if all.Len() != 1 {
			t.Errorf("job %s has returns of %d minions", j.jid, all.Len())
		}
		switch n := s.lines(ran)[j.line]; {
		case ret == "did "+j.line:
			if n != 1 {
				t.Errorf("job %s (line %s) says that it ran, and ran %d times", j.jid, j.line, n)
			}
		case strings.HasPrefix(ret, "ERROR: interrupted"):
			interrupted++
		default:
			t.Errorf("job %s returned %q", j.jid, ret)
		}
	}
	for line, n := range s.lines(ran) {
		if n > 1 {
			t.Errorf("line %s was written %d times", line, n)
		}
	}
	t.Logf("%d jobs, %d kills: %d told as interrupted, the others returned", total, kills, interrupted)
	for _, id := range append(minions, "master") {
		if p := s.Proc(id); p.Running() {
			s.must(p.AwaitReady())
			s.end(id)
		}
	}
}
