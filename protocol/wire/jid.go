package wire

import (
	"fmt"
	"sync/atomic"
	"time"
)

// JobIDRequest stands in a return for a job that the master has yet to number: what
// a schedule or "salt-call" ran.
const JobIDRequest JobID = "req"

// JobIDNoCache stands in the return of a scheduled job that the master is to announce
// and not to keep.
const JobIDNoCache JobID = "nocache"

const jidLayout = "20060102150405.000000"

// lastJobID is the newest id given, in microseconds of Unix time.
var lastJobID atomic.Int64

// NewJobID makes the id of a job that begins at t. Within a process ids only grow:
// where two jobs begin in one microsecond, or the clock goes back, it is the id after
// the last one.
func NewJobID(t time.Time) JobID {
	for {
		last := lastJobID.Load()
		n := max(t.UnixMicro(), last+1)
		if lastJobID.CompareAndSwap(last, n) {
			return jobIDAt(time.UnixMicro(n))
		}
	}
}

func jobIDAt(t time.Time) JobID {
	b := t.UTC().AppendFormat(make([]byte, 0, len(jidLayout)), jidLayout)
	copy(b[14:], b[15:])
	return JobID(b[:len(b)-1])
}

// Time is when the job began, in UTC. It fails for JobIDRequest and for ids whose
// digits are no date.
func (j JobID) Time() (time.Time, error) {
	if len(j) >= 20 {
		if t, err := time.Parse(jidLayout, string(j[:14]+"."+j[14:20])); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("job id %q holds no time: 20 digits expected, as 20261122063858048545", string(j))
}
