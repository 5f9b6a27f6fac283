package minion

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/gosalt/gosalt/protocol/control"
	"github.com/gosalt/gosalt/protocol/wire"
)

// The requests of gosalt-call to the minion on the same machine.
const (
	opSchedule = "schedule" // to its scheduler: "request" is what schedule.Scheduler.Manage takes
	opFire     = "fire"     // put "data" on its bus, as "tag"
	opWatch    = "watch"    // send its events, until the connection is closed
	opQuit     = "quit"     // end, and become "argv" if that is there
	opMasters  = "masters"  // {pid, masters}: of each whether it is connected, and what is in the way
)

// asksMinion tells whether a function of gosalt-call is for the minion that runs.
func asksMinion(fun string) bool {
	for _, p := range []string{"schedule.", "event.", "minion.", "state.event"} {
		if strings.HasPrefix(fun, p) {
			return true
		}
	}
	return false
}

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
	answer := wire.NewMap("kind", control.KindResult)
	switch op := req.Text("op"); {
	case op == opSchedule && req.Map("request") != nil:
		answer.Set("return", m.schedule.Manage(req.Map("request")))
	case op == opFire && req.Map("data") != nil:
		m.bus.publish(req.Text("tag"), req.Map("data"))
		m.heed(req.Text("tag"))
		answer.Set("return", wire.NewMap())
	case op == opWatch:
		if err := m.sendEvents(c); err != nil {
			m.log.Debug("events to gosalt-call", "error", err)
		}
		return
	case op == opMasters:
		answer.Set("return", m.mastersNow())
	case op == opQuit:
		var argv []string
		for _, a := range req.List("argv") {
			argv = append(argv, fmt.Sprint(a))
		}
		answer.Set("return", wire.NewMap("pid", int64(m.quitAfter("", argv))))
	default:
		answer = wire.NewMap("kind", control.KindError, "error", fmt.Sprintf("unknown request %.40q", op))
	}
	if err := c.Send(answer); err != nil {
		m.log.Debug("answer to gosalt-call", "error", err)
	}
}

// mastersNow says how this minion stands with its masters.
func (m *Minion) mastersNow() *wire.Map {
	var list []any
	for _, l := range m.links {
		list = append(list, wire.NewMap("master", l.master, "connected", l.up.Load(), "trouble", l.troubleText()))
	}
	return wire.NewMap("pid", int64(os.Getpid()), "masters", list)
}

// manageHere is Call.Schedule of the minion itself.
func (m *Minion) manageHere(_ context.Context, req *wire.Map) (*wire.Map, error) {
	return m.schedule.Manage(req), nil
}

// manageThere is Call.Schedule of gosalt-call: it asks the minion on this machine.
func (m *Minion) manageThere(ctx context.Context, req *wire.Map) (*wire.Map, error) {
	return m.askThere(ctx, wire.NewMap("op", opSchedule, "request", req))
}

// askThere sends the minion on this machine a request and returns its answer.
func (m *Minion) askThere(ctx context.Context, req *wire.Map) (*wire.Map, error) {
	answer, err := control.Ask(ctx, m.localSocket(), req, localTimeout)
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
