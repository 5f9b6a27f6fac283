// Package jobs is the master's memory of what it was asked to do and what came
// back: jobs, their targets, the returns, and beside them what each minion last
// told of itself. Store is the contract; SQLite (sqlite.go) keeps it in one file;
// package jobstest holds the suite that every implementation passes.
package jobs

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/gosalt/gosalt/protocol/wire"
)

var (
	// ErrUnknown says that the store holds nothing under the given job id or minion id.
	ErrUnknown = errors.New("not in the job store")
	// ErrExists says that another job was saved under the same job id before.
	ErrExists = errors.New("job id is in use")
	// ErrNotTargeted says that a minion acknowledged or returned a job that was
	// published, but not to it.
	ErrNotTargeted = errors.New("minion is not a target of the job")
	// ErrClosed says that the store was closed.
	ErrClosed = errors.New("job store is closed")
)

// Store keeps jobs. Its methods may be called concurrently, by one process. Whatever
// changes the store returns after the change is on the disk: a nil error is kept
// through kill -9 and a power cut. An error (a full disk) means that nothing of
// the call was stored; the same call may be made again. Byte slices given are not
// changed and not kept; byte slices returned are the caller's.
type Store interface {
	// SaveJob stores a new job with its targets, both or nothing. ErrExists when
	// there is such a job; a row made by PutReturn for a job the master did not
	// publish counts as one.
	SaveJob(ctx context.Context, j Job, targets []Target) error
	// AddTargets adds targets to a job or, where the minion is one already, raises
	// its state from Absent. ErrUnknown when there is no such job.
	AddTargets(ctx context.Context, jid wire.JobID, targets []Target) error
	// Ack notes that a minion took a job; the first time counts. ErrUnknown or
	// ErrNotTargeted when the store knows no such job or target.
	Ack(ctx context.Context, jid wire.JobID, id wire.MinionID, at time.Time) error
	// Alive notes that a minion said at that time that it runs these jobs. Jobs that
	// do not target it are passed over.
	Alive(ctx context.Context, id wire.MinionID, running []wire.JobID, at time.Time) error
	// PutReturn stores a minion's result. dup is true, and nothing changes, when
	// there is one of this minion and job already. ErrNotTargeted when the job was
	// published, but not to this minion. For a job that is not known (gosalt-call,
	// a minion's schedule) a job is made of the return, with this minion as target.
	PutReturn(ctx context.Context, r Return) (dup bool, err error)
	// GiveUp notes that who asked for a job was told at that time that these minions
	// did not return; the first time counts. What returns then is late. Minions that
	// have returned, or are no targets, are passed over.
	GiveUp(ctx context.Context, jid wire.JobID, ids []wire.MinionID, at time.Time) error
	// Withdraw takes a job back from queued minions that have not taken it, and returns
	// them by id: they are Absent now.
	Withdraw(ctx context.Context, jid wire.JobID) ([]wire.MinionID, error)
	// SetEnd notes when a job was found to be finished, as jobs.list_jobs shows it.
	SetEnd(ctx context.Context, jid wire.JobID, at time.Time) error

	// Job returns a job, ErrUnknown when there is none.
	Job(ctx context.Context, jid wire.JobID) (Job, error)
	// Targets returns the targets of a job by minion id; none for an unknown job.
	Targets(ctx context.Context, jid wire.JobID) ([]Target, error)
	// Target returns one target of a job, ErrUnknown when it is none.
	Target(ctx context.Context, jid wire.JobID, id wire.MinionID) (Target, error)
	// Return returns one minion's result, ErrUnknown when there is none.
	Return(ctx context.Context, jid wire.JobID, id wire.MinionID) (Return, error)
	// Returns yields the results of a job by minion id. Breaking off is allowed, and
	// so is a call of the store inside the loop. An error ends the sequence.
	Returns(ctx context.Context, jid wire.JobID) iter.Seq2[Return, error]
	// Missed returns the jobs that a minion should have taken and did not: it is an
	// expected or queued target, has neither acknowledged nor returned, and the job
	// has not expired at now. In the order of the job ids.
	Missed(ctx context.Context, id wire.MinionID, now time.Time) ([]Job, error)
	// Search returns the jobs that pass the filter, newest first, without their Load.
	Search(ctx context.Context, f Filter) ([]Job, error)

	// SetMinionData stores what a minion told of itself; a nil field of d keeps what
	// is stored, an empty one removes it.
	SetMinionData(ctx context.Context, d MinionData) error
	// MinionData returns the stored data of a minion, ErrUnknown when there is none.
	MinionData(ctx context.Context, id wire.MinionID) (MinionData, error)
	// AllMinionData yields the data of all minions by id, on the terms of Returns.
	AllMinionData(ctx context.Context) iter.Seq2[MinionData, error]
	// Mines yields, of the minions that have a mine, nothing but that, by id, on the
	// terms of Returns.
	Mines(ctx context.Context) iter.Seq2[MinionData, error]
	// SetPresence stores when minions were last seen.
	SetPresence(ctx context.Context, p []Presence) error
	// Presence returns when a minion was last seen, ErrUnknown when it never was.
	Presence(ctx context.Context, id wire.MinionID) (Presence, error)
	// AllPresence yields all minions ever seen by id, on the terms of Returns.
	AllPresence(ctx context.Context) iter.Seq2[Presence, error]
	// ForgetMinion removes a minion's data and presence, as when its key is deleted.
	// Its returns stay.
	ForgetMinion(ctx context.Context, id wire.MinionID) error

	// Purge removes jobs with their targets and returns, oldest first: those that
	// started before the given time (none when it is zero) and, while the store is
	// larger than maxBytes (no limit when zero), more; but never a job that some
	// minion may still fetch. It works in small steps between other writers.
	Purge(ctx context.Context, before time.Time, maxBytes int64) (Purged, error)
	// Stats counts what is stored.
	Stats(ctx context.Context) (Stats, error)
	// Close waits for the writes that were begun and closes the store. Calls after
	// it, and writes that wait at that moment beyond it, return ErrClosed.
	Close() error
}

// Job is one publish: a function to be run by the minions of a target.
type Job struct {
	JID      wire.JobID
	Fun      string    // "cmd.run"; of a compound command, the names with commas
	Arg      []any     // as published
	Tgt      any       // the target's expression: text, or a list of ids
	TgtType  string    // "glob", "list", ...
	User     string    // who asked: "root", "sudo_anna"
	Metadata *wire.Map // given by the caller, or nil
	Start    time.Time // stored to the microsecond, as every time here
	Expiry   time.Time // until when a minion may fetch it; zero: never, it was only sent
	End      time.Time // zero until SetEnd
	// Load is the whole publish load as packed by the caller. The store does not look into it.
	Load []byte
	// Unpublished marks a job that this master did not publish: PutReturn made it.
	Unpublished bool
}

// TargetState says what the master expected of a minion when it published.
type TargetState uint8

// States of a target. The numbers are stored: only append.
const (
	Expected TargetState = 1 // it was connected: a return is waited for
	Absent   TargetState = 2 // it was not connected, and will not get the job later
	Queued   TargetState = 3 // it was not connected, and may fetch the job until QueuedUntil
)

// String is the state's name, as in "expected".
func (s TargetState) String() string {
	switch s {
	case Expected:
		return "expected"
	case Absent:
		return "absent"
	case Queued:
		return "queued"
	}
	return "unknown"
}

// Target is one minion of a job.
type Target struct {
	Minion       wire.MinionID
	State        TargetState
	QueuedUntil  time.Time // of state Queued
	AckedAt      time.Time // when it took the job; zero: it did not, or is no gosalt minion
	RunningSince time.Time // the first Alive; zero: none
	LastAlive    time.Time // the latest Alive; zero: none
	GivenUpAt    time.Time // when a caller was told that it had not returned; zero: none was
	Returned     bool      // filled by Targets and Target, not stored by SaveJob
}

// Return is one minion's result of a job.
type Return struct {
	JID        wire.JobID
	Minion     wire.MinionID
	Fun        string // used where a job is made of the return
	User       string // likewise
	Retcode    int64
	Success    bool
	ReceivedAt time.Time
	// Load is the whole return load as packed by the caller. The store does not look into it.
	Load []byte
	// Job describes a job that this master did not publish, for the row that is then
	// made: Arg, Tgt, TgtType, Metadata, Start, Load. Nil: Fun, User and the minion's
	// id as a list target.
	Job *Job
}

// Filter chooses jobs. An empty filter chooses all; several conditions all have to hold.
type Filter struct {
	Fun      []string      // globs (Python's fnmatch), one has to match the function
	Target   []string      // globs, one has to match the target expression or a member of its list
	Minion   wire.MinionID // it is among the targets
	NotFun   []string      // globs, none may match: "saltutil.find_job"
	User     string        // exactly
	From, To time.Time     // start time, both included; zero: open
	Metadata *wire.Map     // one of these pairs has to be in the job's metadata
	Limit    int           // the newest n; 0: all
}

// MinionData is what a minion last told of itself, packed by the caller.
type MinionData struct {
	ID      wire.MinionID
	Grains  []byte
	Pillar  []byte
	Mine    []byte
	Updated time.Time
}

// Presence is what the master remembers of a minion's connections.
type Presence struct {
	ID             wire.MinionID
	LastSeen       time.Time // the last sign of life
	ConnectedSince time.Time // zero: not connected
	Lost           string    // how the last connection ended: "closed by peer", "heartbeat lost"
}

// Purged says what Purge removed.
type Purged struct {
	Jobs    int   // jobs removed
	Returns int   // their returns
	Bytes   int64 // by how much the store's size shrank
}

// Stats counts what a store holds.
type Stats struct {
	Jobs, Returns, Minions int64
	Bytes                  int64 // used by rows and indexes; free pages of the file not counted
}
