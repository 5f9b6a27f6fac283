// Command swarm plays many minions against one master, to see how it bears them:
//
//	swarm -n 5000 -ret-port 4506 -seed /etc/salt/pki/master
//
// It spreads them over as many processes as the limit of open files asks for, prints
// a line of JSON whenever its counts have changed (swarm.Stats), and ends at SIGINT
// or SIGTERM, or when its standard input is closed where -stdin is given.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/gosalt/gosalt/internal/swarm"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "swarm: error:", err)
		os.Exit(1)
	}
}

// perMinion is how many descriptors a minion needs: two connections, and for a moment
// a third for its sign-in; spare is what the process needs besides.
const (
	perMinion = 2
	spare     = 300
)

func run() error {
	cfg := swarm.Config{}
	var as, keyDir, seed string
	var pairs, processes int
	var stdin, debug, seedOnly bool
	flag.IntVar(&cfg.Count, "n", 100, "how many minions")
	flag.IntVar(&cfg.First, "first", 0, "number of the first one")
	flag.StringVar(&cfg.Prefix, "prefix", "swarm-", "what their ids begin with, before a number of five digits")
	flag.StringVar(&cfg.Master, "master", "127.0.0.1", "the master's address")
	flag.IntVar(&cfg.RetPort, "ret-port", 4506, "its port for requests")
	flag.IntVar(&cfg.PublishPort, "publish-port", 0, "its port for jobs (default: as it says at sign-in)")
	flag.StringVar(&as, "as", "gosalt", "gosalt, or salt: without gosalt's additions to the protocol")
	flag.BoolVar(&cfg.Filtering, "filtering", false, "subscribe as with zmq_filtering")
	flag.BoolVar(&cfg.Share, "share", false, "check and read each publish once for all minions of a process")
	flag.IntVar(&cfg.Sources, "sources", 0, "from how many loopback addresses they connect (default: n/50)")
	flag.IntVar(&cfg.Parallel, "parallel", 64, "how many minions of a process may be connecting at the same time")
	flag.StringVar(&keyDir, "keys", defaultKeys(), "directory of their key pairs, which are made where they are missing")
	flag.IntVar(&pairs, "pairs", 16, "how many key pairs they share")
	flag.StringVar(&seed, "seed", "", "accept their keys in this pki_dir of the master")
	flag.BoolVar(&seedOnly, "seed-only", false, "do no more than -seed")
	flag.IntVar(&processes, "processes", 0, "over how many processes (default: as the limit of open files asks for)")
	flag.BoolVar(&stdin, "stdin", false, "end when standard input is closed")
	flag.BoolVar(&debug, "debug", false, "log each failure")
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("no arguments are expected, got %q", flag.Args())
	}
	switch as {
	case "gosalt":
	case "salt":
		cfg.Salt = true
	default:
		return fmt.Errorf("-as %s: gosalt or salt expected", as)
	}
	if debug {
		cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if stdin {
		go func() {
			io.Copy(io.Discard, os.Stdin)
			stop()
		}()
	}
	var err error
	if cfg.Keys, err = swarm.Keys(keyDir, pairs); err != nil {
		return err
	}
	if seed != "" {
		if err := swarm.Seed(seed, cfg); err != nil {
			return err
		}
	}
	if seedOnly {
		return nil
	}
	if processes == 0 {
		processes = needed(cfg.Count)
	}
	if processes > 1 {
		return spread(ctx, cfg, processes)
	}
	s, err := swarm.New(cfg)
	if err != nil {
		return err
	}
	rctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan struct{})
	go func() { s.Run(rctx); close(done) }()
	report(ctx, s.Stats)
	cancel()
	<-done
	return nil
}

func defaultKeys() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "gosalt-swarm")
}

// needed is how many processes have descriptors enough for n minions.
func needed(n int) int {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 1
	}
	most := max((int(min(l.Max, 1<<20))-spare)/perMinion, 1) // Go raises the soft limit by itself
	return (n + most - 1) / most
}

// report prints the counts whenever they have changed, until ctx ends.
func report(ctx context.Context, stats func() swarm.Stats) {
	out := json.NewEncoder(os.Stdout)
	last := swarm.Stats{Minions: -1}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if st := stats(); st != last {
			last = st
			if out.Encode(st) != nil {
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// spread runs the swarm in several processes and sums up what they count.
func spread(ctx context.Context, cfg swarm.Config, processes int) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	var mu sync.Mutex
	parts := make([]swarm.Stats, processes)
	var wg sync.WaitGroup
	errs := make(chan error, processes)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for i := range processes {
		first := cfg.Count * i / processes
		count := cfg.Count*(i+1)/processes - first
		// Of an option that comes twice the last counts. Keys are seeded by now.
		args := append(slices.Clone(os.Args[1:]), "-processes", "1", "-seed", "", "-stdin",
			"-first", strconv.Itoa(cfg.First+first), "-n", strconv.Itoa(count))
		cmd := exec.Command(self, args...)
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe() // open until this process ends, however it does
		if err != nil {
			return err
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		stop := context.AfterFunc(ctx, func() { in.Close() })
		defer stop()
		wg.Go(func() {
			lines := bufio.NewScanner(out)
			for lines.Scan() {
				var st swarm.Stats
				if json.Unmarshal(lines.Bytes(), &st) == nil {
					mu.Lock()
					parts[i] = st
					mu.Unlock()
				}
			}
			err := cmd.Wait()
			if ctx.Err() == nil {
				errs <- fmt.Errorf("process %d of the swarm ended: %v", i, err)
				cancel()
			}
		})
	}
	report(ctx, func() (sum swarm.Stats) {
		mu.Lock()
		defer mu.Unlock()
		for _, p := range parts {
			sum.Add(p)
		}
		return sum
	})
	cancel()
	wg.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}
