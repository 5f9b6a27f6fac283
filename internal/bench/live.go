package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	liveMinions = 20
	liveSeconds = 5
)

// live measures how late lines are shown by --live while 20 minions print 1 MB/s
// together, and while each of them does. Salt shows nothing before the command ends, so
// it has no figure.
func (b *bench) live() error {
	s, err := b.site("live")
	if err != nil {
		return err
	}
	m, err := b.master(b, s)
	if err != nil {
		return err
	}
	var minions []*process
	for i := range liveMinions {
		dir := filepath.Join(s.dir, fmt.Sprintf("live%02d", i))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		conf := fmt.Sprintf("root_dir: %s\nuser: %s\nid: live%02d\nmaster: 127.0.0.1\nmaster_port: %d\npublish_port: %d\n", dir, username(), i, s.ret, s.pub)
		if err := os.WriteFile(filepath.Join(dir, "minion"), []byte(conf), 0o600); err != nil {
			return err
		}
		p, err := b.start(b.command(context.Background(), "salt-minion", "-c", dir, "-l", "warning"), filepath.Join(dir, "log"))
		if err != nil {
			return err
		}
		minions = append(minions, p)
	}
	err = b.await(m, filepath.Join(s.dir, "master.log"), func() bool {
		out, _ := b.command(b.ctx, "salt", "-c", s.dir, "-t", "2", "--out", "txt", "*", "test.ping").Output()
		return bytes.Count(out, []byte("True")) == liveMinions
	})
	if err != nil {
		return err
	}
	for _, r := range []struct {
		what  string
		lines int // of 100 bytes, ten times a second
	}{{"1 MB/s together", 1000 / liveMinions}, {"1 MB/s each", 1000}} {
		if err := b.liveAt(s, m, minions, r.what, r.lines); err != nil {
			return err
		}
	}
	for _, p := range minions {
		p.stop()
	}
	return nil
}

// liveAt measures at one rate: so many lines, led by one with the time, ten times a second.
func (b *bench) liveAt(s *site, m *process, minions []*process, what string, count int) error {
	block := filepath.Join(s.dir, "block")
	if err := os.WriteFile(block, []byte(strings.Repeat(strings.Repeat("x", 99)+"\n", count)), 0o644); err != nil {
		return err
	}
	used := func() (t float64) {
		for _, p := range minions {
			t += p.processor()
		}
		return t
	}
	before, theirs := m.processor(), used()
	script := fmt.Sprintf(`: ; i=0; while [ $i -lt %d ]; do echo "T $(date +%%s%%N)"; cat %s; sleep 0.1; i=$((i+1)); done`, liveSeconds*10, block)
	cmd := b.command(b.ctx, "salt", "-c", s.dir, "--live", "--out", "quiet", "*", "cmd.run", script)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	var problems bytes.Buffer
	cmd.Stderr = &problems
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	stamp := regexp.MustCompile(`^live\d+ \| T (\d+)$`)
	drop := regexp.MustCompile(`~ \((\d+) lines`)
	var delays []float64
	lines, dropped, last := 0, 0, ""
	in := bufio.NewScanner(stdout)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		lines++
		text := in.Text()
		if !strings.Contains(text, " | ") {
			last = text
		}
		if w := stamp.FindStringSubmatch(text); w != nil {
			n, _ := strconv.ParseInt(w[1], 10, 64)
			delays = append(delays, float64(time.Since(time.Unix(0, n)).Microseconds())/1000)
		} else if w := drop.FindStringSubmatch(text); w != nil {
			n, _ := strconv.Atoi(w[1])
			dropped += n
		}
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("gosalt --live: %w: %s, after %q", err, strings.TrimSpace(problems.String()), last)
	}
	took := time.Since(began)
	if len(delays) == 0 {
		return fmt.Errorf("no line was shown")
	}
	slices.Sort(delays)
	b.add(Figure{What: fmt.Sprintf("--live, %d minions printing %s: delay of a line, median", liveMinions, what), Unit: "ms", Value: delays[len(delays)/2], Goal: 1000,
		Notes: fmt.Sprintf("99%%: %.0f ms; %d lines shown, %d dropped; %.1f s for %d s of output; master %.1f s, minions %.1f s, gosalt %.1f s of processor; all of it on this machine",
			delays[len(delays)*99/100], lines, dropped, took.Seconds(), liveSeconds, m.processor()-before, used()-theirs,
			(cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds())})
	return nil
}
