package ssh

import (
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// A proxyConn is a way to a server through the standard input and output of a command.
type proxyConn struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  io.ReadCloser
	errs boundedBuffer

	once sync.Once
	done chan struct{} // closed when the command has ended
}

// startProxy runs a ProxyCommand.
func startProxy(s *settings) (net.Conn, *Error) {
	p := &proxyConn{cmd: shellCommand(s.proxyCommand), done: make(chan struct{})}
	p.errs.limit = 4096
	p.cmd.Stderr = &p.errs
	var err error
	if p.in, err = p.cmd.StdinPipe(); err == nil {
		if p.out, err = p.cmd.StdoutPipe(); err == nil {
			err = p.cmd.Start()
		}
	}
	if err != nil {
		return nil, &Error{Host: s.name, Kind: KindProxy, Msg: "start the ProxyCommand: " + err.Error(), Err: err}
	}
	return p, nil
}

func (p *proxyConn) Read(b []byte) (int, error)  { return p.out.Read(b) }
func (p *proxyConn) Write(b []byte) (int, error) { return p.in.Write(b) }

// Close takes the command's input and output away, and soon ends it with whatever it
// started. It may still say what was wrong: many close their output first.
func (p *proxyConn) Close() error {
	p.once.Do(func() {
		p.in.Close()
		p.out.Close()
		go func() {
			p.cmd.Wait()
			close(p.done)
		}()
		go func() {
			select {
			case <-p.done:
			case <-time.After(proxyGrace):
				endGroup(p.cmd)
			}
		}()
	})
	return nil
}

// proxyGrace is how long a command may go on without a connection.
const proxyGrace = 500 * time.Millisecond

// complaint is the last line that the command wrote to its standard error.
func (p *proxyConn) complaint() string {
	p.Close()
	select {
	case <-p.done:
	case <-time.After(2 * proxyGrace):
	}
	text := strings.TrimSpace(p.errs.String())
	if i := strings.LastIndexByte(text, '\n'); i >= 0 {
		text = text[i+1:]
	}
	return OneLine(text)
}

type proxyAddr struct{}

func (proxyAddr) Network() string { return "proxy" }
func (proxyAddr) String() string  { return "proxy:0" }

func (p *proxyConn) LocalAddr() net.Addr              { return proxyAddr{} }
func (p *proxyConn) RemoteAddr() net.Addr             { return proxyAddr{} }
func (p *proxyConn) SetDeadline(time.Time) error      { return nil }
func (p *proxyConn) SetReadDeadline(time.Time) error  { return nil }
func (p *proxyConn) SetWriteDeadline(time.Time) error { return nil }

// A boundedBuffer keeps the first bytes that are written, and takes all.
type boundedBuffer struct {
	mu    sync.Mutex
	b     []byte
	limit int
	over  bool
}

func (b *boundedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(len(p), b.limit-len(b.b))
	b.b = append(b.b, p[:n]...)
	b.over = b.over || n < len(p)
	return len(p), nil
}

func (b *boundedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.b)
}

func (b *boundedBuffer) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b
}
