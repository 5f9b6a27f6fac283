package master

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/gosalt/gosalt/protocol/control"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Salt's own programs read what becomes of their orders from a socket with all events,
// and put events on another. Both are there with compat_root_key alone, and open to the
// master's own user and root.

// Names of Salt's sockets below sock_dir.
const (
	eventPubSocket  = "master_event_pub.ipc"  // events come out
	eventPullSocket = "master_event_pull.ipc" // events go in
	publishMark     = "publish_pull.ipc"      // that it is there tells Salt's programs that a master runs
)

// maxEventClients bounds the connections to each of the two sockets.
const maxEventClients = 256

// eventPatience is how long a reader of events may leave its socket full.
const eventPatience = 30 * time.Second

// eventLimits bound an event that a program of Salt's fires.
var eventLimits = wire.Limits{Depth: 64, Elements: 1_000_000, Bytes: 32 << 20}

// saltSockets are the open sockets.
type saltSockets struct{ pub, pull net.Listener }

// listenEvents opens the event sockets.
func (m *Master) listenEvents() (s saltSockets, err error) {
	dir := m.cfg.SockDir
	if s.pub, err = control.Listen(filepath.Join(dir, eventPubSocket), 0o600); err != nil {
		return s, fmt.Errorf("compat_root_key: %w", err)
	}
	if s.pull, err = control.Listen(filepath.Join(dir, eventPullSocket), 0o600); err != nil {
		s.pub.Close()
		return s, fmt.Errorf("compat_root_key: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, publishMark), nil, 0o600); err != nil {
		s.pub.Close()
		s.pull.Close()
		return s, fmt.Errorf("compat_root_key: %w", err)
	}
	return s, nil
}

// serveEvents serves the event sockets until ctx ends.
func (m *Master) serveEvents(ctx context.Context, s saltSockets) error {
	defer os.Remove(filepath.Join(m.cfg.SockDir, publishMark))
	stop := context.AfterFunc(ctx, func() { s.pub.Close(); s.pull.Close() })
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { m.acceptEvents(ctx, s.pub, m.sendEvents) })
	wg.Go(func() { m.acceptEvents(ctx, s.pull, m.takeEvents) })
	wg.Wait()
	return nil
}

// acceptEvents serves each connection to a socket.
func (m *Master) acceptEvents(ctx context.Context, l net.Listener, serve func(context.Context, net.Conn) error) {
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, maxEventClients)
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) || ctx.Err() != nil {
			return
		}
		if err != nil {
			m.log.Error("event socket cannot accept", "error", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		select {
		case slots <- struct{}{}:
		default:
			m.log.Warn("event socket: too many connections", "limit", maxEventClients)
			c.Close()
			continue
		}
		wg.Go(func() {
			defer func() { c.Close(); <-slots }()
			who, err := m.callerOf(c)
			if err == nil && !who.full {
				err = m.forbidden(who, "use the event sockets")
			}
			if err == nil {
				err = serve(ctx, c)
			}
			if err != nil && ctx.Err() == nil {
				m.log.Debug("event socket", "user", who.name, "error", err)
			}
		})
	}
}

// sendEvents sends all events to a connection until it is closed.
func (m *Master) sendEvents(ctx context.Context, c net.Conn) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sub := m.bus.Subscribe()
	defer sub.Close()
	go func() {
		io.Copy(io.Discard, c) // it has nothing to say; this ends when it leaves
		cancel()
	}()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	for e := range sub.All(ctx) {
		if e.Lost > 0 {
			m.log.Warn("events were lost: one of Salt's programs reads too slowly", "lost", e.Lost)
		}
		b, err := wire.EncodeEvent(e.Tag, e.Data)
		if err != nil {
			return err
		}
		c.SetWriteDeadline(time.Now().Add(eventPatience))
		if _, err := c.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// takeEvents puts the events of a connection on the bus.
func (m *Master) takeEvents(ctx context.Context, c net.Conn) error {
	defer context.AfterFunc(ctx, func() { c.Close() })()
	r := wire.NewEventReader(c, eventLimits)
	for {
		tag, data, err := r.Next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if tag == "" || len(tag) > 1024 || strings.ContainsAny(tag, "\n\r\x00") {
			return fmt.Errorf("event with the tag %.80q: 1 to 1024 characters without line breaks are expected", tag)
		}
		if tag == "salt/key" { // salt-key has done something to the files
			m.keysChanged()
			m.audit("key "+fmt.Sprintf("%.20s", data.Text("act")), "by", "salt-key", "minion", fmt.Sprintf("%.200s", data.Text("id")))
		}
		data.Delete("_stamp")
		m.bus.Publish(tag, data)
	}
}
