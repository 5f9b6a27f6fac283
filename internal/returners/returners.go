// Package returners takes results of jobs, and events, to other places than the
// master's own store: a file, the system's log, Redis, PostgreSQL (package pg). Keys,
// tables and options are those of Salt's returners, so that what reads them goes on
// working.
//
// A Returner is one place. Sender (sender.go) is what minion and master use: it keeps
// what is to be sent on disk (queue.go) until its place has taken it.
package returners

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/protocol/wire"
)

// Kind says what a record is.
type Kind string

// Kinds of records. They are kept on disk: only add.
const (
	Return Kind = "ret"   // the result of a job on one minion
	Load   Kind = "load"  // what a job is: its function, target, user
	Event  Kind = "event" // tag and data of the master's bus
)

// Record is one thing to be stored.
type Record struct {
	Kind Kind
	Data *wire.Map
}

// Returner stores records in one place. Its methods are called by one goroutine at a time.
type Returner interface {
	// Store stores records in their order and tells how many it stored. The same record
	// may come twice, and shall be there once where the place can tell. An error for
	// which Refused is true is about the record after the stored ones, and will be the
	// same the next time; any other means that the place cannot be reached or used now.
	Store(ctx context.Context, records []Record) (stored int, err error)
	// Close ends its connections.
	Close()
}

// Reader is a returner that can be asked for what was stored.
type Reader interface {
	Returner
	// Load returns the load of a job, nil where there is none.
	Load(ctx context.Context, jid string) (*wire.Map, error)
	// Returns yields the returns of a job by minion id.
	Returns(ctx context.Context, jid string) (*wire.Map, error)
	// Jobs returns the loads of all jobs by job id.
	Jobs(ctx context.Context) (*wire.Map, error)
}

// refused is an error about one record.
type refused struct{ error }

func (r refused) Unwrap() error { return r.error }

// Refuse marks an error as one about a record, which will be the same the next time.
func Refuse(err error) error { return refused{err} }

// Refused tells whether an error is about one record.
func Refused(err error) bool {
	var r refused
	return errors.As(err, &r)
}

// Env is what returners are made of besides their options.
type Env struct {
	Log *slog.Logger
	// ID is the minion's or master's id.
	ID string
	// Keep is how many seconds stores that forget by themselves keep a job: keep_jobs_seconds.
	Keep int64
}

// Open makes a returner of its options. It does not connect yet; its errors are about
// the options.
type Open func(o Options, env Env) (Returner, error)

// Set is the returners that a program has, by name.
type Set map[string]Open

// Small are the returners that need no driver of a database.
func Small() Set {
	return Set{"local": openLocal, "rawfile_json": openRawfile, "syslog": openSyslog, "redis": openRedis}
}

// Names are the names of the returners, sorted.
func (s Set) Names() []string { return slices.Sorted(maps.Keys(s)) }

// UnknownError says that there is no returner of a name.
func (s Set) UnknownError(name string) error {
	return fmt.Errorf("returner %s is not available: there are %s", name, strings.Join(s.Names(), ", "))
}

// Split takes names that commas separate apart, without empty and repeated ones.
func Split(names string) []string {
	var out []string
	for n := range strings.SplitSeq(names, ",") {
		if n = strings.TrimSpace(n); n != "" && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}
