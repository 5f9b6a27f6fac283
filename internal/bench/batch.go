package main

import (
	"bytes"
	"context"
	"fmt"
	"time"
)

// batchMinions and batchWindow are the batch that is measured: so many minions, and so
// many of them at a time.
const (
	batchMinions = 500
	batchWindow  = 50
)

// batch runs a job in batches on minions that speak plain Salt, on our master and on
// Salt's.
func (b *bench) batch() error {
	measure := func(t tools, name string) (float64, string, error) {
		s, err := b.site("batch-" + name)
		if err != nil {
			return 0, "", err
		}
		if err := b.seed(s, batchMinions); err != nil {
			return 0, "", err
		}
		m, err := b.master(t, s)
		if err != nil {
			return 0, "", err
		}
		sw, err := b.swarm(s, batchMinions, "-as", "salt", "-parallel", "16")
		if err != nil {
			return 0, "", err
		}
		if _, err := b.connected(sw, batchMinions, 5*time.Minute); err != nil {
			return 0, "", err
		}
		best, notes := 0.0, ""
		for range b.repeats {
			before := m.processor()
			took, returned, err := b.batched(t, s)
			if err != nil {
				return 0, "", err
			}
			if returned != batchMinions {
				notes = fmt.Sprintf("; only %d returned once", returned)
				continue
			}
			if best == 0 || took < best {
				best, notes = took, fmt.Sprintf("master %.2f s of processor", m.processor()-before)
			}
		}
		if best == 0 {
			return 0, "", fmt.Errorf("no batch was complete%s", notes)
		}
		return best, notes, nil
	}
	f := Figure{What: fmt.Sprintf("test.ping on %d minions that speak plain Salt, %d at a time (-b %d), least of %d", batchMinions, batchWindow, batchWindow, b.repeats), Unit: "s"}
	var err error
	if f.Value, f.Notes, err = measure(b, "ours"); err != nil {
		return err
	}
	b.stopAll()
	if b.peer != nil {
		v, notes, err := measure(b.peer, "salt")
		if err != nil {
			f.Notes += "; Salt was not measured: " + err.Error()
		} else {
			f.Peer = &v
			f.Notes += "; Salt: " + notes
		}
		b.stopAll()
	}
	b.add(f)
	return nil
}

// batched runs test.ping in batches and returns the seconds taken, and how many returned.
func (b *bench) batched(t tools, s *site) (seconds float64, returned int, err error) {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Minute)
	defer cancel()
	cmd := t.command(ctx, "salt", "-c", s.dir, "--out", "txt", "-b", fmt.Sprint(batchWindow), "*", "test.ping")
	began := time.Now()
	out, err := cmd.Output()
	took := time.Since(began)
	if ctx.Err() != nil {
		return 0, 0, ctx.Err()
	}
	if err != nil {
		return 0, 0, err
	}
	return took.Seconds(), bytes.Count(out, []byte(": True\n")), nil
}
