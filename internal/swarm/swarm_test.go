package swarm_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/internal/swarm"
	"github.com/gosalt/gosalt/master"
	"github.com/gosalt/gosalt/protocol/control"
	"github.com/gosalt/gosalt/protocol/wire"
)

// startMaster runs a master of newMaster.
func startMaster(t *testing.T, sw *swarm.Config) *config.Master {
	t.Helper()
	cfg := newMaster(t, sw)
	runMaster(t, cfg)
	return cfg
}

// newMaster makes a master's configuration with free ports, and the swarm's keys
// accepted. sw gets its port.
func newMaster(t *testing.T, sw *swarm.Config) *config.Master {
	t.Helper()
	dir := t.TempDir()
	ret, pub := freePort(t), freePort(t)
	text := fmt.Sprintf("root_dir: %s\ninterface: 127.0.0.1\nret_port: %d\npublish_port: %d\n", dir, ret, pub)
	if err := os.WriteFile(filepath.Join(dir, "master"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, problems, err := config.LoadMaster(dir)
	if err != nil {
		t.Fatal(err, problems)
	}
	keys, err := swarm.Keys(filepath.Join(dir, "swarm"), 2)
	if err != nil {
		t.Fatal(err)
	}
	sw.Keys, sw.RetPort = keys, ret
	if err := swarm.Seed(cfg.PKIDir, *sw); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// runMaster runs a master until the test ends or stop is called.
func runMaster(t *testing.T, cfg *config.Master) (stop func()) {
	t.Helper()
	ready := make(chan struct{})
	m, err := master.New(master.Config{Master: cfg, Log: slog.New(slog.DiscardHandler), Ready: func() { close(ready) }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("master: %v", err)
		}
	})
	t.Cleanup(stop)
	<-ready
	return stop
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// startSwarm runs a swarm and waits until all of it is connected.
func startSwarm(t *testing.T, cfg swarm.Config) *swarm.Swarm {
	t.Helper()
	s, err := swarm.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { s.Run(ctx); close(ended) }()
	t.Cleanup(func() { cancel(); <-ended })
	await(t, "all minions are connected", func() bool { return s.Stats().Connected == int64(cfg.Count) }, s)
	return s
}

func await(t *testing.T, what string, is func() bool, s *swarm.Swarm) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(60 * time.Second); !is(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not reached in 60s: %s; %+v", what, s.Stats())
		}
	}
}

// publish runs a job over the control socket and returns what came back.
func publish(t *testing.T, cfg *config.Master, req *wire.Map) (returns map[string]*wire.Map, absent map[string]string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	c, err := control.Dial(ctx, cfg.ControlSocket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	req.Set("op", control.OpPublish)
	req.Set("follow", true)
	if err := c.Send(req); err != nil {
		t.Fatal(err)
	}
	returns, absent = map[string]*wire.Map{}, map[string]string{}
	for {
		f, err := c.Recv()
		if err != nil {
			t.Fatal(err)
		}
		switch f.Text("kind") {
		case control.KindReturn:
			returns[f.Text("id")] = f.Map("load")
		case control.KindAbsent:
			absent[f.Text("id")] = f.Text("text")
		case control.KindEnd:
			return returns, absent
		case control.KindError:
			t.Fatal(f.Map("error"))
		}
	}
}

func TestSwarmAnswersJobs(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  swarm.Config
	}{
		{"as gosalt", swarm.Config{Count: 20}},
		{"as salt", swarm.Config{Count: 20, Salt: true, Sources: 1}},
		{"publishes opened once for all", swarm.Config{Count: 20, First: 100, Share: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := startMaster(t, &tt.cfg)
			s := startSwarm(t, tt.cfg)
			for _, c := range []struct {
				fun  string
				args []any
				want func(id string) any
			}{
				{"test.ping", nil, func(string) any { return true }},
				{"test.echo", []any{"hi"}, func(string) any { return "hi" }},
				{"cmd.run", []any{"uptime"}, func(id string) any { return id + " ran: uptime" }},
				{"test.sleep", []any{0.01}, func(string) any { return true }},
				{"no.such", nil, func(string) any { return "'no.such' is not available." }},
			} {
				got, absent := publish(t, cfg, wire.NewMap("tgt", "swarm-*", "tgt_type", "glob", "fun", c.fun, "arg", append([]any{}, c.args...)))
				if len(got) != 20 || len(absent) > 0 {
					t.Fatalf("%s: %d returns of 20, absent %v; %+v", c.fun, len(got), absent, s.Stats())
				}
				for id, load := range got {
					if v, _ := load.Get("return"); v != c.want(id) {
						t.Errorf("%s on %s = %v, want %v", c.fun, id, v, c.want(id))
					}
				}
			}
			one := string(tt.cfg.ID(tt.cfg.First + 3))
			got, _ := publish(t, cfg, wire.NewMap("tgt", "G@os:Debian and "+one, "tgt_type", "compound", "fun", "test.ping", "arg", []any{}))
			if len(got) != 1 || got[one] == nil {
				t.Errorf("compound target of one minion: %d returns", len(got))
			}
			await(t, "all returns are confirmed", func() bool { return s.Stats().Returns >= 5*20+1 }, s)
			if st := s.Stats(); st.Refused != 0 || st.Failures != 0 || st.Lost != 0 {
				t.Errorf("stats = %+v", st)
			}
		})
	}
}

// TestNewSharedKeyNeedsNoSignIn restarts the master, which then has another shared key:
// minions get it under their session keys with the first job.
func TestNewSharedKeyNeedsNoSignIn(t *testing.T) {
	sw := swarm.Config{Count: 20, ReconMin: time.Millisecond, ReconMax: 50 * time.Millisecond}
	cfg := newMaster(t, &sw)
	stop := runMaster(t, cfg)
	s := startSwarm(t, sw)
	stop()
	await(t, "all have lost the master", func() bool { return s.Stats().Connected == 0 }, s)
	runMaster(t, cfg)
	await(t, "all are back", func() bool { return s.Stats().Connected == 20 }, s)
	for range 2 {
		if got, absent := publish(t, cfg, wire.NewMap("tgt", "*", "tgt_type", "glob", "fun", "test.ping", "arg", []any{})); len(got) != 20 {
			t.Fatalf("%d returns of 20, absent %v", len(got), absent)
		}
	}
	if st := s.Stats(); st.SignIns != 20 || st.Refused != 0 {
		t.Errorf("stats = %+v; want 20 sign-ins, none after the restart", st)
	}
}

// TestSwarmWaitsForItsKeys has a master that does not know them.
func TestSwarmWaitsForItsKeys(t *testing.T) {
	sw := swarm.Config{Count: 1, Prefix: "known-"}
	startMaster(t, &sw)
	sw.Prefix, sw.Count, sw.ReconMin, sw.ReconMax = "stranger-", 3, time.Millisecond, 10*time.Millisecond
	s, err := swarm.New(sw)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { s.Run(ctx); close(ended) }()
	await(t, "all wait", func() bool { return s.Stats().Waiting == 3 }, s)
	cancel()
	<-ended
	if st := s.Stats(); st.Connected != 0 || st.SignIns != 0 {
		t.Errorf("stats = %+v", st)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, cfg := range map[string]swarm.Config{
		"no minions":          {},
		"no keys":             {Count: 1},
		"prefix of another's": {Count: 1, Prefix: "../"},
	} {
		if _, err := swarm.New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
