package master

import (
	"testing"

	"github.com/gosalt/gosalt/master/jobs"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Which way a job goes is decided once, and not before it has begun over SSH: what cannot
// be reached that way is its minion's.
func TestWhoseJob(t *testing.T) {
	const id = wire.MinionID("web1")
	type step func(j *liveJob) (run, later bool)
	ssh := func(j *liveJob) (bool, bool) { return j.goSSH(id), false }
	begun := func(j *liveJob) (bool, bool) { j.ack(id); return false, false }
	lost := func(j *liveJob) (bool, bool) { j.addFailure(id, "gone"); return false, false }
	left := func(j *liveJob) (bool, bool) { j.leaveSSH(id); return lost(j) }
	ask := func(j *liveJob) (bool, bool) { return j.take(id) }
	for name, row := range map[string]struct {
		steps      []step
		run, later bool // what the last one says
	}{
		"asked":                    {steps: []step{ask}, run: true},
		"the answer was lost":      {steps: []step{ask, ask}, run: true},
		"asked, then SSH":          {steps: []step{ask, ssh}},
		"taken without asking":     {steps: []step{begun, ssh}},
		"SSH":                      {steps: []step{ssh, ssh}, run: true},
		"while SSH is tried":       {steps: []step{ssh, ask}, later: true},
		"begun over SSH":           {steps: []step{ssh, ask, begun, ask}},
		"not reached over SSH":     {steps: []step{ssh, ask, left, ask}, run: true},
		"lost over SSH":            {steps: []step{ssh, begun, lost, ask}},
		"its turn in a batch over": {steps: []step{ssh, lost, ask}},
	} {
		j := newLiveJob("20261127000000000000", nil, []jobs.Target{{Minion: id}})
		var run, later bool
		for _, s := range row.steps {
			run, later = s(j)
		}
		if run != row.run || later != row.later {
			t.Errorf("%s: run %v, later %v", name, run, later)
		}
	}
}
