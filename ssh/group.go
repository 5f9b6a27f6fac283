package ssh

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A group is the processes of a command, which its shell leads: sshd makes each command
// the leader of a session of its own. A first line of output, which is taken out again,
// tells the number.
type group struct {
	token string

	mu    sync.Mutex
	held  []byte // output in which the line may be
	found bool
	pid   int
}

// maxHeld is how much a login shell may print before the line.
const maxHeld = 64 << 10

func newGroup() *group { return &group{token: "gosalt-" + rand.Text() + "="} }

// command is a line that tells its number and becomes the command, run by the login shell
// as without this. Any shell of POSIX reads it, and fish and csh for most commands.
func (g *group) command(cmd string) string {
	return `exec /bin/sh -c 'printf "%s%s\n" "$1" $$; exec "${SHELL:-/bin/sh}" -c "$2"' sh ` + g.token + ` ` + Quote(cmd)
}

// Quote writes a text as one word of a shell.
func Quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// filter takes a piece of output and returns what of all so far may be passed on.
func (g *group) filter(p []byte) []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.found {
		return p
	}
	g.held = append(g.held, p...)
	i := bytes.Index(g.held, []byte(g.token))
	if i >= 0 {
		rest := g.held[i+len(g.token):]
		n := bytes.IndexByte(rest, '\n')
		if n < 0 {
			return nil
		}
		g.pid, _ = strconv.Atoi(strings.TrimSpace(string(rest[:n])))
		return g.release(append(g.held[:i:i], rest[n+1:]...))
	}
	if len(g.held) > maxHeld {
		return g.release(g.held)
	}
	return nil
}

func (g *group) release(out []byte) []byte {
	g.found, g.held = true, nil
	return out
}

// rest is what is still held back at the end of the output.
func (g *group) rest() []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.found {
		return nil
	}
	return g.release(g.held)
}

func (g *group) number() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.pid
}

// A groupReader is the output without the line.
type groupReader struct {
	g    *group
	r    io.Reader
	next []byte
	err  error
}

func (r *groupReader) Read(p []byte) (int, error) {
	for len(r.next) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		n, err := r.r.Read(p)
		r.next = append([]byte(nil), r.g.filter(p[:n])...)
		if err != nil {
			r.next, r.err = append(r.next, r.g.rest()...), err
		}
	}
	n := copy(p, r.next)
	r.next = r.next[n:]
	return n, nil
}

// A groupWriter passes the output on without the line.
type groupWriter struct {
	g *group
	w io.Writer
}

func (w *groupWriter) Write(p []byte) (int, error) {
	if out := w.g.filter(p); len(out) > 0 {
		if _, err := w.w.Write(out); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// killTime is how long it may take to send a signal to a group.
const killTime = 5 * time.Second

// kill sends a signal to the processes of a group, over a session of its own.
func (c *Conn) kill(g *group, signal string) {
	pid := g.number()
	if pid <= 1 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), killTime)
	defer cancel()
	_, errs, code, err := c.Run(ctx, fmt.Sprintf("exec /bin/sh -c 'kill -%s -%d'", signal, pid), nil)
	if err != nil || code != 0 {
		c.d.log.Debug("signal to the processes of a command", "host", c.s.name, "signal", signal, "code", code, "stderr", OneLine(string(errs)), "err", err)
	}
}
