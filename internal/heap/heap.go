// Package heap balances memory and speed in a daemon: while it waits, its memory is kept
// small; while it works, the garbage collector may let some of it lie for later, since a
// small heap is otherwise swept again and again for every few megabytes that a template
// or a transfer uses.
package heap

import (
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

const (
	// slack is how much garbage may lie about while something is at work.
	slack = 16 << 20
	// most bounds the percentage for heaps that are nearly empty.
	most = 400
	// rest is how long nothing may be at work until the memory is given back.
	rest = 3 * time.Second
)

var state struct {
	sync.Mutex
	idle    int // percentage while nothing is at work; 0: not told, leave it alone
	working int
	raised  bool
	timer   *time.Timer
}

// Save sets the garbage collector's percentage for a process that waits most of its time,
// and lets Work raise it meanwhile. What the start has used is given back a little later.
func Save(percent int) {
	state.Lock()
	defer state.Unlock()
	state.idle = percent
	debug.SetGCPercent(percent)
	time.AfterFunc(rest, func() {
		debug.FreeOSMemory()
		forgetProgram()
	})
}

// Work says that something begins which makes garbage; done, to be called once, says that
// it has ended. It may be called concurrently, and does nothing where Save was not called.
func Work() (done func()) {
	state.Lock()
	defer state.Unlock()
	if state.idle == 0 {
		return func() {}
	}
	if state.working++; state.working == 1 {
		if state.timer != nil {
			state.timer.Stop()
		}
		if !state.raised {
			if p := percent(live(), state.idle); p > state.idle {
				state.raised = true
				debug.SetGCPercent(p)
			}
		}
	}
	return end
}

func end() {
	state.Lock()
	defer state.Unlock()
	if state.working--; state.working == 0 && state.raised {
		state.timer = time.AfterFunc(rest, settle)
	}
}

// settle gives memory back once nothing has been at work for a while.
func settle() {
	state.Lock()
	if state.working > 0 || !state.raised {
		state.Unlock()
		return
	}
	state.raised = false
	debug.SetGCPercent(state.idle)
	state.Unlock()
	debug.FreeOSMemory()
}

// percent is that at which slack bytes of garbage gather above a heap.
func percent(live uint64, least int) int {
	return min(max(int(slack*100/max(live, 1)), least), most)
}

// live is how much the last collection left.
func live() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	if s[0].Value.Kind() != metrics.KindUint64 {
		return 1 << 62
	}
	return s[0].Value.Uint64()
}
