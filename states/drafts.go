package states

import (
	"context"
	"sync"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Drafts are the files of a run under test=True as its states would leave them. What one
// state of a file plans is tried on a copy where another state has to do with the same
// file, so that its plan is of what it will find. The zero value is ready.
type Drafts struct {
	Files host.Drafts

	once  sync.Once
	users map[string]int // how many chunks have to do with a file
}

// A Draft names what a state changes.
type Draft struct {
	Path string                                             // of a file, or a name of its own for what is none
	Now  func(ctx context.Context) (text string, err error) // what it is now; nil: what is in the file
}

// Drafter says what the steps of a chunk change, as far as they can be tried on copies.
type Drafter func(c *Call, low *wire.Map) []Draft

// Drafts sets what says which files states change.
func (r *Registry) Drafts(fn Drafter) { r.drafter = fn }

// rehearse tries the steps of a plan on drafts.
func (r *Registry) rehearse(ctx context.Context, c *Call, p *Plan) {
	if c.Drafts == nil || r.drafter == nil || len(p.steps) == 0 {
		return
	}
	for _, s := range p.steps {
		if s.do == nil {
			return
		}
	}
	drafts := r.drafter(c, c.Low)
	shared := false
	for _, d := range drafts {
		shared = shared || c.Drafts.count(r, c)[d.Path] > 1
	}
	if !shared {
		return
	}
	for _, d := range drafts {
		var now func() ([]byte, error)
		if d.Now != nil {
			now = func() ([]byte, error) {
				text, err := d.Now(ctx)
				return []byte(text), err
			}
		}
		if err := c.Host.Draft(d.Path, now); err != nil {
			c.Log.Debug("what the state would leave behind is not foreseen", "id", c.ID, "error", err)
			return
		}
	}
	call := *c.Call
	call.Opts = call.Opts.Clone()
	call.Opts.Set("test", false)
	was := c.Call
	c.Call, c.Test = &call, false
	defer func() { c.Call, c.Test = was, true }()
	c.Host.Rehearse(func() {
		scratch := &Result{Result: true, Changes: wire.NewMap()}
		for _, s := range p.steps {
			scratch.own = false
			if err := s.do(ctx, scratch); err != nil {
				c.Log.Debug("what the state would leave behind is not foreseen", "id", c.ID, "error", err)
				return
			}
		}
	})
}

// Prepare looks at all chunks of a run, while nobody changes them: before one is run beside
// the others.
func (r *Registry) Prepare(c *Call) {
	if c.Drafts != nil && r.drafter != nil {
		c.Drafts.count(r, c)
	}
}

// count is how many chunks have to do with each file.
func (d *Drafts) count(r *Registry, c *Call) map[string]int {
	d.once.Do(func() {
		d.users = map[string]int{}
		for _, low := range c.Chunks {
			for _, f := range r.drafter(c, low) {
				d.users[f.Path]++
			}
		}
	})
	return d.users
}
