package minion

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/gosalt/gosalt/protocol/wire"
)

// errQuit is the cause of Run's context when a job has ended the minion.
var errQuit = errors.New("a job ended the minion")

// Again is what Run returns when the process is to become another program, mostly this
// one anew: minion.restart.
type Again struct{ Argv []string }

func (a *Again) Error() string { return "the minion is to start again" }

// quitWithin is how long the result of the job that ends the minion may take to reach the
// master. After that it waits in the journal for the next start.
const quitWithin = 5 * time.Second

// quitting is what is known of the minion's end by a job.
type quitting struct {
	end func() // ends Run

	mu    sync.Mutex
	asked bool
	jid   wire.JobID // "" for gosalt-call
	argv  []string
}

// quitAfter has the minion end when the result of a job is delivered, and returns the
// process that ends.
func (m *Minion) quitAfter(jid wire.JobID, argv []string) int {
	m.quit.mu.Lock()
	defer m.quit.mu.Unlock()
	if !m.quit.asked {
		m.quit.asked, m.quit.jid, m.quit.argv = true, jid, argv
		m.log.Warn("a job ends this minion", "jid", jid, "again", argv != nil)
		m.background.Go(func() {
			if sleep(m.ctx, quitWithin) == nil {
				m.quit.end()
			}
		})
		m.wakeDelivery()
	}
	return os.Getpid()
}

// mayQuit ends the minion if that was asked for, and all results are delivered.
func (m *Minion) mayQuit(delivered bool) {
	m.quit.mu.Lock()
	defer m.quit.mu.Unlock()
	if m.quit.asked && delivered && (m.quit.jid == "" || !m.jobs.isRunning(m.quit.jid)) {
		m.quit.end()
	}
}

// result is what Run returns at the end by a job.
func (q *quitting) result() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.argv == nil {
		return nil
	}
	return &Again{Argv: q.argv}
}

// quitThere is Call.Quit of gosalt-call.
func (m *Minion) quitThere(ctx context.Context, argv []string) (int, error) {
	req := wire.NewMap("op", opQuit)
	if argv != nil {
		list := make([]any, len(argv))
		for i, a := range argv {
			list[i] = a
		}
		req.Set("argv", list)
	}
	v, err := m.askThere(ctx, req)
	if err != nil {
		return 0, err
	}
	return int(v.Int("pid")), nil
}
