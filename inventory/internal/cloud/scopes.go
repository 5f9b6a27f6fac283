// Package cloud holds what providers of clouds have in common: several regions that are
// listed at the same time, the time that each may take, and limits of what is read.
package cloud

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/gosalt/gosalt/inventory"
)

// Scopes lists each scope by the function, a few at once, and yields what comes as it
// comes. An error of one scope does not end the others. The function hands over machines
// one at a time, and returns when told that nobody wants more; it must end with ctx. All
// functions have returned when the sequence ends. call is named in the error of a context that
// has ended.
func Scopes(ctx context.Context, scopes []string, call string, lanes int, list func(ctx context.Context, scope string, emit func(inventory.Machine) bool) error) iter.Seq2[inventory.Machine, error] {
	type item struct {
		m   inventory.Machine
		err error
	}
	return func(yield func(inventory.Machine, error) bool) {
		run, stop := context.WithCancel(ctx)
		items := make(chan item)
		queue := make(chan string)
		var workers sync.WaitGroup
		for range min(max(lanes, 1), max(len(scopes), 1)) {
			workers.Go(func() {
				for scope := range queue {
					err := list(run, scope, func(m inventory.Machine) bool {
						select {
						case items <- item{m: m}:
							return true
						case <-run.Done():
							return false
						}
					})
					if err != nil {
						select {
						case items <- item{err: err}:
						case <-run.Done():
						}
					}
				}
			})
		}
		workers.Go(func() {
			defer close(queue)
			for _, s := range scopes {
				select {
				case queue <- s:
				case <-run.Done():
					return
				}
			}
		})
		ended := make(chan struct{})
		go func() { workers.Wait(); close(ended) }()
		defer func() { stop(); <-ended }()

		for {
			select {
			case <-ctx.Done():
				stop()
				<-ended
				yield(inventory.Machine{}, Ended(ctx, call))
				return
			case it := <-items:
				if ctx.Err() != nil {
					continue // said above, once
				}
				if !yield(it.m, it.err) {
					return
				}
			case <-ended:
				if ctx.Err() != nil {
					continue
				}
				return
			}
		}
	}
}

// Ended is the error of a call whose context has ended.
func Ended(ctx context.Context, call string) *inventory.Error {
	e := inventory.Interrupted(ctx, inventory.Error{Call: call})
	e.Msg = "it was ended before it was complete"
	if e.Reason == inventory.NoAnswer {
		e.Msg, e.Hint = "there was no whole answer in time", "see the source's timeout"
	}
	return e
}

// errLate is the cause with which a Budget ends a call.
var errLate = errors.New("out of time")

// A Budget is the time that all calls for one scope may take together. Time in which the
// caller works on the answers does not count.
type Budget struct {
	Whole time.Duration
	spent time.Duration
}

// Call makes a call within what is left. Its error says when that was not enough.
func (b *Budget) Call(ctx context.Context, call func(context.Context) error) error {
	c, end := context.WithTimeoutCause(ctx, b.Whole-b.spent, errLate)
	defer end()
	start := time.Now()
	err := call(c)
	b.spent += time.Since(start)
	if err != nil && ctx.Err() == nil && errors.Is(context.Cause(c), errLate) {
		return &LateError{Whole: b.Whole, Err: err}
	}
	return err
}

// A LateError is a call that had no answer within its budget. Err is what it had last, as
// the error after which a call would have been repeated.
type LateError struct {
	Whole time.Duration
	Err   error
}

func (e *LateError) Error() string { return fmt.Sprintf("no whole answer within %s", e.Whole) }

// Unwrap is what the call had last.
func (e *LateError) Unwrap() error { return e.Err }
