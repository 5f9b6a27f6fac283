package minion

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gosalt/gosalt/protocol/control"
	"github.com/gosalt/gosalt/protocol/wire"
)

// opSchedule is the request of gosalt-call to the scheduler of the minion on the same
// machine: "request" is what schedule.Scheduler.Manage takes.
const opSchedule = "schedule"

// localTimeout bounds a request on the local socket: the other end is on this machine.
const localTimeout = 10 * time.Second

// localSocket is where a minion answers gosalt-call. Only the minion's own user may open it.
func (m *Minion) localSocket() string {
	return filepath.Join(m.cfg.SockDir, "minion_"+string(m.id)+".sock")
}

// serveLocal answers gosalt-call until ctx ends.
func (m *Minion) serveLocal(ctx context.Context) {
	name := m.localSocket()
	if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
		m.log.Warn("gosalt-call cannot reach this minion", "error", err)
		return
	}
	l, err := control.Listen(name, 0o600)
	if err != nil {
		m.log.Warn("gosalt-call cannot reach this minion", "error", err)
		return
	}
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, 16)
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			if sleep(ctx, 100*time.Millisecond) != nil {
				return
			}
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			m.answerLocal(control.Server(c))
		})
	}
}

func (m *Minion) answerLocal(c *control.Conn) {
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(localTimeout))
	c.SetWriteDeadline(time.Now().Add(localTimeout))
	req, err := c.Recv()
	if err != nil {
		return
	}
	answer := wire.NewMap("kind", control.KindError, "error", fmt.Sprintf("unknown request %.40q", req.Text("op")))
	if req.Text("op") == opSchedule && req.Map("request") != nil {
		answer = wire.NewMap("kind", control.KindResult, "return", m.schedule.Manage(req.Map("request")))
	}
	if err := c.Send(answer); err != nil {
		m.log.Debug("answer to gosalt-call", "error", err)
	}
}

// manageHere is Call.Schedule of the minion itself.
func (m *Minion) manageHere(_ context.Context, req *wire.Map) (*wire.Map, error) {
	return m.schedule.Manage(req), nil
}

// manageThere is Call.Schedule of gosalt-call: it asks the minion on this machine.
func (m *Minion) manageThere(ctx context.Context, req *wire.Map) (*wire.Map, error) {
	c, err := control.Dial(ctx, m.localSocket())
	if err != nil {
		return nil, err
	}
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(localTimeout))
	c.SetWriteDeadline(time.Now().Add(localTimeout))
	if err := c.Send(wire.NewMap("op", opSchedule, "request", req)); err != nil {
		return nil, err
	}
	answer, err := c.Recv()
	if err != nil {
		return nil, fmt.Errorf("ask the minion: %w", err)
	}
	if text := answer.Text("error"); text != "" {
		return nil, errors.New("ask the minion: " + text)
	}
	m2 := answer.Map("return")
	if m2 == nil {
		return nil, errors.New("ask the minion: an answer without a result")
	}
	return m2, nil
}

// minionRuns tells whether a minion answers on the local socket.
func (m *Minion) minionRuns(ctx context.Context) bool {
	c, err := control.Dial(ctx, m.localSocket())
	if err != nil {
		return !control.NotRunning(err)
	}
	c.Close()
	return true
}
