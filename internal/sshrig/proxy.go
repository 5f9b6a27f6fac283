//go:build linux

package sshrig

import (
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A Proxy passes TCP connections on to a server, as well as it was told.
type Proxy struct {
	Host string
	Port int

	t      testing.TB
	target string
	left   atomic.Int64 // bytes to the client before the cut; below zero is no cut
	delay  atomic.Int64
	held   atomic.Bool

	mu    sync.Mutex
	conns []net.Conn
	freed chan struct{} // closed when nothing is held any more
}

// NewProxy listens for connections to an address; "" answers none: they are accepted,
// and nothing is said.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(Address(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	a := l.Addr().(*net.TCPAddr)
	p := &Proxy{t: t, target: target, Host: a.IP.String(), Port: a.Port, freed: make(chan struct{})}
	p.left.Store(-1)
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.keep(c)
			if target == "" {
				continue
			}
			wg.Add(1)
			go func() {
				defer wg.Done()
				p.serve(c)
			}()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		close(p.freed)
		p.Drop()
		wg.Wait()
	})
	return p
}

// Addr is "host:port".
func (p *Proxy) Addr() string { return net.JoinHostPort(p.Host, strconv.Itoa(p.Port)) }

// CutAfter closes connections when they have brought this many more bytes to their
// clients.
func (p *Proxy) CutAfter(n int64) { p.left.Store(n) }

// Delay holds each piece of data back for this long.
func (p *Proxy) Delay(d time.Duration) { p.delay.Store(int64(d)) }

// Hold passes nothing on any more, and closes nothing: as a machine that lost its power.
func (p *Proxy) Hold() { p.held.Store(true) }

// Drop closes all connections.
func (p *Proxy) Drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

func (p *Proxy) keep(c net.Conn) {
	p.mu.Lock()
	p.conns = append(p.conns, c)
	p.mu.Unlock()
}

func (p *Proxy) serve(c net.Conn) {
	defer c.Close()
	up, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer up.Close()
	p.keep(up)
	done := make(chan struct{}, 2)
	go func() { p.copy(up, c, false); done <- struct{}{} }()
	go func() { p.copy(c, up, true); done <- struct{}{} }()
	<-done
}

func (p *Proxy) copy(to, from net.Conn, toClient bool) {
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		if p.held.Load() {
			<-p.freed
			return
		}
		if d := time.Duration(p.delay.Load()); d > 0 {
			time.Sleep(d)
		}
		if left := p.left.Load(); toClient && left >= 0 {
			if int64(n) >= left {
				to.Write(buf[:left])
				p.Drop()
				return
			}
			p.left.Add(int64(-n))
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			if t, ok := to.(*net.TCPConn); ok && err == io.EOF {
				t.CloseWrite()
			}
			return
		}
	}
}
