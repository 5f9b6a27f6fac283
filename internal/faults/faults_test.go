package faults

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gosalt/gosalt/internal/testproc"
	"github.com/gosalt/gosalt/protocol/control"
	"github.com/gosalt/gosalt/protocol/wire"
)

var bin string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	tmp, err := os.MkdirTemp("", "gosalt-faults")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(tmp)
	if bin, err = testproc.Build(tmp); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// site is a master and minions of one test.
type site struct {
	*testing.T
	*testproc.World
}

func newSite(t *testing.T) *site {
	t.Helper()
	// Paths of sockets are short: t.TempDir has the test's name in it.
	dir, err := os.MkdirTemp("", "faults")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t, testproc.New(dir, bin)}
	t.Cleanup(func() {
		if err := s.World.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			for _, p := range s.Procs() {
				log := p.FullLog()
				if len(log) > 16<<10 {
					log = "...\n" + log[len(log)-16<<10:]
				}
				t.Logf("== log of %s ==\n%s", p.Name, log)
			}
		}
		os.RemoveAll(dir)
	})
	return s
}

func (s *site) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// start starts a daemon, configured where lines are given or it is new.
func (s *site) start(name string, lines ...string) *testproc.Proc {
	s.Helper()
	if len(lines) > 0 || !s.Configured(name) {
		s.must(s.Configure(name, lines...))
	}
	p, how, err := s.Start(name)
	s.must(err)
	if how != testproc.Ready {
		s.Fatalf("%s is not ready: %d", name, how)
	}
	return p
}

// end interrupts daemons, which have to end well.
func (s *site) end(names ...string) {
	s.Helper()
	for _, n := range names {
		s.must(s.Proc(n).Stop())
	}
}

func (s *site) awaitLog(name, re string) {
	s.Helper()
	s.must(s.Proc(name).AwaitLog(regexp.MustCompile(re)))
}

func (s *site) ports() testproc.Ports {
	s.Helper()
	p, err := s.Ports("master")
	s.must(err)
	return p
}

func (s *site) requestAddr() string {
	return net.JoinHostPort("127.0.0.1", fmt.Sprint(s.ports().Request))
}

func (s *site) publishAddr() string {
	return net.JoinHostPort("127.0.0.1", fmt.Sprint(s.ports().Publish))
}

// ask sends a request over the control socket and hands each frame of the answer to got.
func (s *site) ask(ctx context.Context, req *wire.Map, got func(*wire.Map)) error {
	c, err := control.Dial(ctx, filepath.Join(s.Dir, "master/var/run/salt/master/control.sock"))
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	if err := c.Send(req); err != nil {
		return err
	}
	for {
		f, err := c.Recv()
		if err != nil {
			return err
		}
		switch f.Text("kind") {
		case control.KindEnd:
			return nil
		case control.KindError:
			e, err := wire.ErrorFromMap(f.Map("error"))
			if err != nil {
				return err
			}
			return e
		}
		got(f)
	}
}

// publish makes a job that nobody follows, and returns its id as a caller gets it. An
// error is of no meaning for whether there is one.
func (s *site) publish(tgt, fun string, args ...any) (wire.JobID, error) {
	ctx, cancel := context.WithTimeout(s.Context(), testproc.Patience)
	defer cancel()
	var jid wire.JobID
	err := s.ask(ctx, wire.NewMap("op", control.OpPublish, "fun", fun, "arg", args, "tgt", tgt, "tgt_type", "glob", "follow", false),
		func(f *wire.Map) {
			if f.Text("kind") == control.KindJob {
				jid = wire.JobID(f.Text("jid"))
			}
		})
	if jid != "" {
		err = nil // it was given before the connection ended
	}
	return jid, err
}

// call runs a function on minions and returns what came back in time.
func (s *site) call(tgt, fun string, args ...any) (*wire.Map, error) {
	ctx, cancel := context.WithTimeout(s.Context(), testproc.Patience)
	defer cancel()
	all := wire.NewMap()
	err := s.ask(ctx, wire.NewMap("op", control.OpPublish, "fun", fun, "arg", args, "tgt", tgt, "tgt_type", "glob", "follow", true),
		func(f *wire.Map) {
			if f.Text("kind") == control.KindReturn {
				v, _ := f.Map("load").Get("return")
				all.Set(f.Text("id"), v)
			}
		})
	return all, err
}

// ping expects an answer of a minion within a time that leaves no room for a stall.
func (s *site) ping(id string) {
	s.Helper()
	began := time.Now()
	got, err := s.call(id, "test.ping")
	s.must(err)
	if v, _ := got.Get(id); v != true {
		s.Fatalf("%s did not answer", id)
	}
	if took := time.Since(began); took > 10*time.Second {
		s.Fatalf("%s answered after %s", id, took)
	}
}

// returns is what the job store has of a job, by minion.
func (s *site) returns(jid wire.JobID) (*wire.Map, error) {
	ctx, cancel := context.WithTimeout(s.Context(), testproc.Patience)
	defer cancel()
	ret := wire.NewMap()
	err := s.ask(ctx, wire.NewMap("op", control.OpRunner, "fun", "jobs.lookup_jid", "arg", []any{string(jid)}), func(f *wire.Map) {
		if m := f.Map("return"); m != nil {
			ret = m
		}
	})
	return ret, err
}

// awaitReturn waits for a minion's return of a job and gives it as text.
func (s *site) awaitReturn(jid wire.JobID, id string) string {
	s.Helper()
	var v any
	ok := testproc.Until(testproc.Patience, func() bool {
		ret, err := s.returns(jid)
		if err != nil {
			return false
		}
		var has bool
		v, has = ret.Get(id)
		return has
	})
	if !ok {
		s.Fatalf("job %s: no return of %s within %s", jid, id, testproc.Patience)
	}
	return fmt.Sprint(v)
}

// lines counts the lines of a file, by line.
func (s *site) lines(name string) map[string]int {
	s.Helper()
	b, err := os.ReadFile(name)
	if os.IsNotExist(err) {
		return nil
	}
	s.must(err)
	n := map[string]int{}
	for l := range strings.Lines(string(b)) {
		n[strings.TrimSpace(l)]++
	}
	return n
}
