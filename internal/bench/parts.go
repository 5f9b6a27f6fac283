package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"
)

var parts = []struct {
	name, what string
	run        func(*bench) error
}{
	{"ping", "a job to one minion, from the command line", (*bench).ping},
	{"call", "gosalt-call --local", (*bench).call},
	{"states", "state.apply without a master", (*bench).states},
	{"formula", "the largest formula to low data", (*bench).formula},
	{"idle", "memory of an idle master and minion", (*bench).idle},
	{"sls", "an SLS file of 200 lines", (*bench).sls},
	{"live", "--live with 1 MB/s of output from 20 minions", (*bench).live},
	{"beside", "the same small swarm on our master and on Salt's", (*bench).beside},
	{"pillars", "50 minions that ask for their pillar at once", (*bench).pillars},
	{"batch", "a job in batches over 500 minions, on our master and on Salt's", (*bench).batch},
	{"1000", "1,000 minions", func(b *bench) error { return b.many(1000) }},
	{"5000", "5,000 minions", func(b *bench) error { return b.many(5000) }},
	{"10000", "10,000 minions", func(b *bench) error { return b.many(10000) }},
	{"jobs", "a job store with 1,000,000 returns", (*bench).jobs},
	{"files", "a file of 1 GB for one minion", (*bench).files},
	{"ssh", "commands and states over SSH, beside other tools", (*bench).ssh},
	{"inventory", "10,000 machines of a cloud", (*bench).inventory},
	{"restart", "10,000 minions whose master is killed", (*bench).restart},
}

// times runs a command several times and returns the median of the milliseconds taken.
func (b *bench) times(make func() (cmd []string, t tools), n int) (float64, error) {
	var all []float64
	for range n {
		line, t := make()
		cmd := t.command(b.ctx, line[0], line[1:]...)
		began := time.Now()
		out, err := cmd.Output()
		took := time.Since(began)
		if err != nil {
			return 0, fmt.Errorf("%v: %w", line, err)
		}
		if !bytes.Contains(bytes.ToLower(out), []byte("true")) {
			return 0, fmt.Errorf("%v printed %.200q: true expected", line, out)
		}
		all = append(all, float64(took.Microseconds())/1000)
	}
	slices.Sort(all)
	return all[len(all)/2], nil
}

// both measures on our side and, where there is one, on the peer's.
func (b *bench) both(f Figure, measure func(t tools, name string, tries int) (float64, error)) error {
	var err error
	if f.Value, err = measure(b, "ours", b.tries); err != nil {
		return err
	}
	b.stopAll()
	if b.peer != nil {
		v, err := measure(b.peer, "salt", min(b.tries, 7))
		if err != nil {
			f.Notes = "Salt was not measured: " + err.Error()
		} else {
			f.Peer = &v
		}
		b.stopAll()
	}
	b.add(f)
	return nil
}

func (b *bench) ping() error {
	return b.both(Figure{What: "round trip to one minion, test.ping, median", Unit: "ms", Goal: 15}, func(t tools, name string, tries int) (float64, error) {
		s, err := b.site("ping-" + name)
		if err != nil {
			return 0, err
		}
		if _, err := b.master(t, s); err != nil {
			return 0, err
		}
		if _, err := b.minion(t, s); err != nil {
			return 0, err
		}
		return b.times(func() ([]string, tools) {
			return []string{"salt", "-c", s.dir, "--out", "json", "alpha", "test.ping"}, t
		}, tries)
	})
}

func (b *bench) call() error {
	return b.both(Figure{What: "gosalt-call --local test.ping, median", Unit: "ms", Goal: 20}, func(t tools, name string, tries int) (float64, error) {
		s, err := b.site("call-" + name)
		if err != nil {
			return 0, err
		}
		return b.times(func() ([]string, tools) {
			return []string{"salt-call", "-c", s.minionDir(), "--local", "--out", "json", "test.ping"}, t
		}, tries)
	})
}

// settle waits until a daemon's memory does not change much any more.
func (b *bench) settle(p *process) float64 {
	last := p.memory()
	for same := 0; same < 5; {
		select {
		case <-b.ctx.Done():
			return last
		case <-time.After(time.Second):
		}
		now := p.memory()
		if d := now - last; d < last/100 && d > -last/100 {
			same++
		} else {
			same = 0
		}
		last = now
	}
	return last
}

func (b *bench) idle() error {
	minion := Figure{What: "idle minion, resident", Unit: "MB", Goal: 15}
	master := Figure{What: "idle master, resident", Unit: "MB", Goal: 30}
	measure := func(t tools, name string) (mi, ma float64, err error) {
		s, err := b.site("idle-" + name)
		if err != nil {
			return 0, 0, err
		}
		m, err := b.master(t, s)
		if err != nil {
			return 0, 0, err
		}
		a, err := b.minion(t, s)
		if err != nil {
			return 0, 0, err
		}
		mi, ma = b.settle(a)/1024, b.settle(m)/1024
		if t == tools(b) {
			minion.Notes, master.Notes = ownMemory(a), ownMemory(m)
		}
		return mi, ma, nil
	}
	var err error
	if minion.Value, master.Value, err = measure(b, "ours"); err != nil {
		return err
	}
	b.stopAll()
	if b.peer != nil {
		mi, ma, err := measure(b.peer, "salt")
		if err != nil {
			master.Notes += "; Salt was not measured: " + err.Error()
		} else {
			minion.Peer, master.Peer = &mi, &ma
			minion.Notes += "; Salt: sum of its processes' shares"
			master.Notes += "; Salt: sum of its processes' shares"
		}
	}
	b.add(minion)
	b.add(master)
	return nil
}

// answered runs test.ping on all minions and returns the seconds taken, and how many
// returned.
func (b *bench) answered(t tools, s *site) (seconds float64, returned int, err error) {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Minute)
	defer cancel()
	cmd := t.command(ctx, "salt", "-c", s.dir, "--static", "--out", "json", "*", "test.ping")
	began := time.Now()
	out, err := cmd.Output() // the code says that some did not return, as the count does
	took := time.Since(began)
	if ctx.Err() != nil {
		return 0, 0, ctx.Err()
	}
	if len(out) == 0 && err != nil {
		return 0, 0, err
	}
	return took.Seconds(), bytes.Count(out, []byte(": true")), nil
}

// pings measures test.ping on n minions several times: the least time of those that
// were complete, and the fewest returns.
func (b *bench) pings(t tools, s *site, n int, m *process, sw *swarmProcess) (f Figure, err error) {
	best, fewest := 0.0, n
	var own, swarms float64
	for range b.repeats {
		m0, s0 := m.processor(), sw.processor()
		took, returned, err := b.answered(t, s)
		if err != nil {
			return f, err
		}
		fewest = min(fewest, returned)
		if returned == n && (best == 0 || took < best) {
			best, own, swarms = took, m.processor()-m0, sw.processor()-s0
		}
	}
	f = Figure{What: fmt.Sprintf("test.ping on %d minions, least of %d", n, b.repeats), Value: best, Unit: "s",
		Notes: fmt.Sprintf("master %.2f s, swarm %.2f s of processor", own, swarms)}
	if fewest < n {
		f.Notes += fmt.Sprintf("; only %d returned once", fewest)
	}
	if best == 0 {
		return f, fmt.Errorf("at most %d of %d minions returned", fewest, n)
	}
	return f, nil
}

// many has n minions sign in, answer, and be idle.
func (b *bench) many(n int) error {
	s, err := b.site(fmt.Sprintf("many-%d", n))
	if err != nil {
		return err
	}
	if err := b.seed(s, n); err != nil {
		return err
	}
	m, err := b.master(b, s)
	if err != nil {
		return err
	}
	before := b.settle(m)
	sw, err := b.swarm(s, n)
	if err != nil {
		return err
	}
	took, err := b.connected(sw, n, 15*time.Minute)
	if err != nil {
		return err
	}
	b.add(Figure{What: fmt.Sprintf("%d minions sign in for the first time", n), Value: took.Seconds(), Unit: "s",
		Notes: fmt.Sprintf("master %.1f s, swarm %.1f s of processor", m.processor(), sw.processor())})
	f, err := b.pings(b, s, n, m, sw)
	if err != nil {
		return err
	}
	if n == 10000 {
		f.Goal = 3
	}
	b.add(f)
	after := b.settle(m)
	b.add(Figure{What: fmt.Sprintf("memory per connected minion, at %d", n), Value: (after - before) / float64(n), Unit: "kB", Goal: 40,
		Notes: fmt.Sprintf("master %.0f MB, before %.0f MB", after/1024, before/1024)})
	return nil
}

// beside plays a small swarm, speaking plain Salt, to both masters.
func (b *bench) beside() error {
	n := b.peerMinions
	measure := func(t tools, name string) (Figure, error) {
		s, err := b.site("beside-" + name)
		if err != nil {
			return Figure{}, err
		}
		if err := b.seed(s, n); err != nil {
			return Figure{}, err
		}
		m, err := b.master(t, s)
		if err != nil {
			return Figure{}, err
		}
		sw, err := b.swarm(s, n, "-as", "salt", "-parallel", "16")
		if err != nil {
			return Figure{}, err
		}
		if _, err := b.connected(sw, n, 5*time.Minute); err != nil {
			return Figure{}, err
		}
		return b.pings(t, s, n, m, sw)
	}
	f, err := measure(b, "ours")
	if err != nil {
		return err
	}
	b.stopAll()
	f.What = fmt.Sprintf("test.ping on %d minions that speak plain Salt, least of %d", n, b.repeats)
	if b.peer != nil {
		p, err := measure(b.peer, "salt")
		if err != nil {
			f.Notes += "; Salt was not measured: " + err.Error()
		} else {
			f.Peer = &p.Value
			f.Notes += "; Salt: " + p.Notes
		}
	}
	b.add(f)
	return nil
}

// restart kills a master that 10,000 minions are connected to, and waits for all of them.
func (b *bench) restart() error {
	const n = 10000
	s, err := b.site("restart")
	if err != nil {
		return err
	}
	if err := b.seed(s, n); err != nil {
		return err
	}
	m, err := b.master(b, s)
	if err != nil {
		return err
	}
	sw, err := b.swarm(s, n)
	if err != nil {
		return err
	}
	if _, err := b.connected(sw, n, 15*time.Minute); err != nil {
		return err
	}
	m.Process.Signal(syscall.SIGKILL)
	<-m.ended
	for end := time.Now().Add(time.Minute); sw.stats().Connected > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			return errors.New("the swarm did not notice within a minute that the master was killed")
		}
	}
	if m, err = b.master(b, s); err != nil {
		return err
	}
	took, err := b.connected(sw, n, 10*time.Minute)
	if err != nil {
		return err
	}
	b.add(Figure{What: "master killed: until all 10000 are connected again", Value: took.Seconds(), Unit: "s",
		Notes: fmt.Sprintf("master %.1f s of processor", m.processor())})
	first, returned, err := b.answered(b, s)
	if err != nil {
		return err
	}
	b.add(Figure{What: "the first test.ping after that", Value: first, Unit: "s", Notes: fmt.Sprintf("%d of %d returned", returned, n)})
	return nil
}
