package modules

import (
	"iter"
	"sync"

	"github.com/gosalt/gosalt/states"
)

// promises are what states of a run under test=True are to make of packages, services,
// clones and archives, in the order of the states.
type promises struct {
	mu  sync.Mutex
	all []promise
}

// A promise counts while the state that made it is to change something: what it would have
// made, had it been carried out.
type promise struct {
	tag, id    string
	kind, what string
	value      any
}

const promisesKey = "promises"

// promiseOf notes what a state is to make of something, for the states that come later.
func promiseOf(c *states.Call, kind, what string, value any) {
	if !c.Test || c.Shared == nil {
		return
	}
	all := c.Shared.Once(promisesKey, func() any { return &promises{} }).(*promises)
	all.mu.Lock()
	defer all.mu.Unlock()
	all.all = append(all.all, promise{states.Tag(c.Low), c.Low.Text("__id__"), kind, what, value})
}

// promised are the promises of a kind that earlier states of the run have made.
func promised(c *states.Call, kind string) iter.Seq[promise] {
	return func(yield func(promise) bool) {
		if !c.Test || c.Shared == nil {
			return
		}
		all, _ := c.Shared.Get(promisesKey).(*promises)
		if all == nil {
			return
		}
		all.mu.Lock()
		list := all.all[:len(all.all):len(all.all)]
		all.mu.Unlock()
		for _, p := range list {
			if p.kind != kind {
				continue
			}
			if undecided(resultOf(c, p.tag)) && !yield(p) {
				return
			}
		}
	}
}

// nothingBefore tells whether no earlier state of the run is to change anything, so that a
// run finds the machine as test=True does.
func nothingBefore(c *states.Call) bool {
	_, some := firstEffect(c, effect{"any", ""})
	return !some
}
