package faults

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gosalt/gosalt/internal/testproc"
)

// proxy passes connections on, and can stop doing so without closing them, as a
// cable does that is pulled out.
type proxy struct {
	l      net.Listener
	target string

	mu    sync.Mutex
	conns []net.Conn
	cut   bool
	free  chan struct{} // closed when it passes on again
	// seen, where set, is told of everything that goes to the minion, and may inject.
	seen func(toMinion net.Conn, b []byte)
	wg   sync.WaitGroup
}

func newProxy(t *testing.T, target string) *proxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{l: l, target: target, free: make(chan struct{})}
	close(p.free)
	p.wg.Go(p.serve)
	t.Cleanup(func() {
		l.Close()
		p.resume(true)
		p.mu.Lock()
		for _, c := range p.conns {
			c.Close()
		}
		p.mu.Unlock()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) port() int { return p.l.Addr().(*net.TCPAddr).Port }

func (p *proxy) serve() {
	for {
		in, err := p.l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", p.target)
		if err != nil {
			in.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, in, out)
		p.mu.Unlock()
		p.wg.Go(func() { p.pass(out, in, false) })
		p.wg.Go(func() { p.pass(in, out, true) })
	}
}

func (p *proxy) pass(to, from net.Conn, toMinion bool) {
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		p.mu.Lock()
		free, seen := p.free, p.seen
		p.mu.Unlock()
		<-free // what is cut off neither passes on nor closes
		if n > 0 {
			if _, err := to.Write(b[:n]); err != nil {
				from.Close()
				return
			}
			if toMinion && seen != nil {
				seen(to, b[:n])
			}
		}
		if err != nil {
			to.Close()
			return
		}
	}
}

// cutOff stops passing on.
func (p *proxy) cutOff() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.cut {
		p.cut, p.free = true, make(chan struct{})
	}
}

// resume passes on again; the connections from before the cut are gone, unless kept.
func (p *proxy) resume(keep bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !keep {
		for _, c := range p.conns {
			c.Close()
		}
		p.conns = nil
	}
	if p.cut {
		p.cut = false
		close(p.free)
	}
}

// A link that has died without a word: both sides notice by their heartbeats, a job
// made meanwhile is run after the reconnect, and a result made meanwhile is delivered.
func TestHalfOpenLink(t *testing.T) {
	s := newSite(t)
	s.start("master", "auto_accept: True", "heartbeat: 1", "gather_job_timeout: 1")
	req, pub := newProxy(t, s.requestAddr()), newProxy(t, s.publishAddr())
	s.start("web1", fmt.Sprintf("master_port: %d", req.port()), fmt.Sprintf("publish_port: %d", pub.port()), "heartbeat: 1", "request_channel_timeout: 3")
	s.start("web2")
	s.ping("web1")
	ran := filepath.Join(s.Dir, "ran")
	goOn := filepath.Join(s.Dir, "go")
	during, err := s.publish("web1", "cmd.run", "echo during >> "+ran+"; while test ! -e "+goOn+"; do sleep 0.1; done; echo finished")
	s.must(err)
	testproc.Until(testproc.Patience, func() bool { return s.lines(ran)["during"] == 1 })

	req.cutOff()
	pub.cutOff()
	s.awaitLog("master", "minion disconnected.*minion=web1")
	s.awaitLog("web1", "connection to the master lost")
	s.ping("web2") // nobody else is held up
	meanwhile, err := s.publish("web1", "cmd.run", "echo meanwhile >> "+ran+"; echo late")
	s.must(err)
	if _, err := s.call("web2", "cmd.run", "touch "+goOn); err != nil {
		t.Fatal(err)
	}
	s.awaitLog("web1", "job done.*\n(.*\n)*.*job done")

	req.resume(false)
	pub.resume(false)
	if got := s.awaitReturn(during, "web1"); got != "finished" {
		t.Errorf("the job that ran across the cut returned %q", got)
	}
	if got := s.awaitReturn(meanwhile, "web1"); got != "late" {
		t.Errorf("the job made during the cut returned %q", got)
	}
	for line, n := range s.lines(ran) {
		if n != 1 {
			t.Errorf("%s ran %d times", line, n)
		}
	}
	s.end("web1", "web2", "master")
}

// A publish that was recorded on the wire and is sent again, at once, and after a
// restart of the minion: the job does not run again.
func TestReplayedPublish(t *testing.T) {
	s := newSite(t)
	s.start("master", "auto_accept: True")
	pub := newProxy(t, s.publishAddr())
	s.start("web1", fmt.Sprintf("publish_port: %d", pub.port()))
	s.ping("web1")
	ran := filepath.Join(s.Dir, "ran")

	var mu sync.Mutex
	var record []byte
	var minion net.Conn
	pub.mu.Lock()
	pub.seen = func(to net.Conn, b []byte) {
		mu.Lock()
		defer mu.Unlock()
		minion = to
		record = append(record, b...)
	}
	pub.mu.Unlock()
	jid, err := s.publish("web1", "cmd.run", "echo once >> "+ran+"; echo did")
	s.must(err)
	if got := s.awaitReturn(jid, "web1"); got != "did" {
		t.Fatalf("returned %q", got)
	}
	mu.Lock()
	frame, conn := append([]byte(nil), record...), minion
	mu.Unlock()
	if len(frame) == 0 {
		t.Fatal("nothing was recorded")
	}
	for range 5 {
		if _, err := conn.Write(frame); err != nil {
			t.Fatal(err)
		}
	}
	s.awaitLog("web1", "taken before|sent again")
	s.ping("web1")

	// With a new connection of a new process, which has its memory on disk.
	s.Proc("web1").Kill()
	s.start("web1")
	s.ping("web1") // from here on the proxy knows the new connection
	mu.Lock()
	conn = minion
	mu.Unlock()
	if _, err := conn.Write(frame); err != nil {
		t.Fatal(err)
	}
	s.awaitLog("web1", "taken before|sent again")
	s.ping("web1")
	if n := s.lines(ran)["once"]; n != 1 {
		t.Errorf("the job ran %d times", n)
	}
	// One altered bit anywhere in the message, and it is nothing.
	forged := append([]byte(nil), frame...)
	forged[len(forged)-40] ^= 1
	if _, err := conn.Write(forged); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	s.ping("web1")
	if strings.Contains(s.Proc("web1").Log(), "panic") {
		t.Error("the minion panicked")
	}
	s.end("web1", "master")
}
