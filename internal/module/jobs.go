package module

import (
	"context"
	"fmt"

	"github.com/gosalt/gosalt/protocol/wire"
)

// Jobs is the list of what a minion is running, for the functions of saltutil.
// Its methods may be called concurrently.
type Jobs interface {
	// Running returns the jobs as Salt's saltutil.running does: the publish load of
	// each with its pid, oldest first.
	Running() []*wire.Map
	// Signal sends the commands of a job a signal (15 is SIGTERM, 9 is SIGKILL), and
	// tells whether there is such a job. Signals that ask to end also end the job's
	// context, with a *Signaled cause: HUP, INT, QUIT, ABRT, KILL, TERM.
	Signal(jid wire.JobID, sig int) bool
}

// Signaled is the cause with which the context of a job ends that was ended by
// saltutil.kill_job and its kin.
type Signaled struct {
	Sig int // the signal for the commands of the job
}

// Signal is the signal: package host reads it.
func (s *Signaled) Signal() int { return s.Sig }

func (s *Signaled) Error() string { return fmt.Sprintf("the job was ended by signal %d", s.Sig) }

// EndSignal is the signal that the commands of a job should get when its context
// ends: what saltutil asked for, else 0.
func EndSignal(ctx context.Context) int {
	if s, ok := context.Cause(ctx).(*Signaled); ok {
		return s.Sig
	}
	return 0
}
