package states

import (
	"context"
	"errors"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
)

// A Plan is what a state function found on the machine: the steps that bring it into
// the wanted state, none where it is in it already.
type Plan struct {
	Name  string // shown in place of the chunk's name, where it is not ""
	Fine  string // the comment where there is nothing to do
	Would string // the comment under test=True, where there is
	Did   string // the comment when all steps are done
	// Warnings are shown beside the result, whatever becomes of it.
	Warnings []string
	// Finish words the comment when all steps are done, and some of nested plans failed.
	Finish func(r *Result)

	result *Result // decided without a step
	steps  []step
}

// step is one change to the machine.
type step struct {
	changes *wire.Map
	do      func(context.Context, *Result) error
}

// A Result is what is told of one state.
type Result struct {
	Result  any       // true, false, or nil for "would change"
	Changes *wire.Map // what changed; never nil
	Comment string
	Extra   *wire.Map // further keys of Salt's result, as skip_watch; may be nil

	own    bool     // the step told its changes itself
	failed []string // of nested plans: key, comment, key, comment …
}

// Do adds a step. changes is how it shows under test=True, and afterwards unless do
// tells the changes itself (Result.Change, Result.SetChanges). It may be nil. An error
// of do ends the plan there: the result is False, the comment the error's text, and the
// changes those of the steps before.
func (p *Plan) Do(changes *wire.Map, do func(ctx context.Context, r *Result) error) {
	p.steps = append(p.steps, step{changes, do})
}

// Empty tells whether there is nothing to do.
func (p *Plan) Empty() bool { return len(p.steps) == 0 }

// Changes are those that the plan foresees, of all its steps.
func (p *Plan) Changes() *wire.Map {
	m := wire.NewMap()
	for _, s := range p.steps {
		for k, v := range s.changes.All() {
			m.SetAny(k, v)
		}
	}
	return m
}

// Change tells of one change in place of what the step foresaw.
func (r *Result) Change(key string, v any) {
	r.own = true
	r.Changes.Set(key, v)
}

// SetChanges tells all changes so far, in place of what was told and foreseen.
func (r *Result) SetChanges(m *wire.Map) {
	r.own = true
	if m == nil {
		m = wire.NewMap()
	}
	r.Changes = m
}

// Set adds a further key to the result.
func (r *Result) Set(key string, v any) {
	if r.Extra == nil {
		r.Extra = wire.NewMap()
	}
	r.Extra.Set(key, v)
}

// Decided makes a plan without steps whose result is given: for states that only
// report, and for failures that come with more than a sentence.
func Decided(result any, changes *wire.Map, comment string) *Plan {
	if changes == nil {
		changes = wire.NewMap()
	}
	return &Plan{result: &Result{Result: result, Changes: changes, Comment: comment}}
}

// Set adds a further key to the result of a decided plan.
func (p *Plan) Set(key string, v any) *Plan {
	p.result.Set(key, v)
	return p
}

// settle makes the result of a plan: what it would do when test is set, else what
// doing it has come to.
func (p *Plan) settle(ctx context.Context, test bool) *Result {
	switch {
	case p.result != nil:
		return p.result
	case len(p.steps) == 0:
		return &Result{Result: true, Changes: wire.NewMap(), Comment: p.Fine}
	case test:
		return &Result{Changes: p.Changes(), Comment: p.Would}
	}
	r := &Result{Result: true, Changes: wire.NewMap(), Comment: p.Did}
	for _, s := range p.steps {
		r.own = false
		if err := s.do(ctx, r); err != nil {
			r.Result = false
			r.Comment = failure(err)
			return r
		}
		if !r.own {
			for k, v := range s.changes.All() {
				r.Changes.SetAny(k, v)
			}
		}
	}
	if p.Finish != nil {
		p.Finish(r)
	}
	return r
}

// failure is an error's text as a comment.
func failure(err error) string {
	var p *module.Panic
	if errors.As(err, &p) {
		return "An exception occurred in this state: " + p.Error()
	}
	return err.Error()
}

// toMap is the result in the form of Salt's.
func (r *Result) toMap(name string, warnings []string) *wire.Map {
	m := wire.NewMap("name", name, "changes", r.Changes, "result", r.Result, "comment", r.Comment)
	if len(warnings) > 0 {
		l := make([]any, len(warnings))
		for i, w := range warnings {
			l[i] = w
		}
		m.Set("warnings", l)
	}
	if r.Extra != nil {
		for k, v := range r.Extra.All() {
			m.SetAny(k, v)
		}
	}
	return m
}

// Decision is the result of a decided plan, nil for one that has steps to go.
func (p *Plan) Decision() *Result { return p.result }

// Nest adds the steps of another plan as one, its changes under a key: the files of a
// tree, each by its path. Where it fails, the others go on.
func (p *Plan) Nest(key string, q *Plan) {
	if q.result == nil && len(q.steps) == 0 {
		return
	}
	changes := wire.NewMap()
	if c := q.foreseen(); c.Len() > 0 {
		changes.Set(key, c)
	}
	p.Do(changes, func(ctx context.Context, r *Result) error {
		r.nest(key, q.settle(ctx, false))
		return nil
	})
}

// NestLater is Nest for what can be planned only when the steps before are done; changes
// are what is foreseen of it.
func (p *Plan) NestLater(key string, changes *wire.Map, plan func(context.Context) (*Plan, error)) {
	p.Do(wire.NewMap(key, changes), func(ctx context.Context, r *Result) error {
		q, err := plan(ctx)
		if err != nil {
			q = Decided(false, nil, failure(err))
		}
		r.nest(key, q.settle(ctx, false))
		return nil
	})
}

// nest adds the result of a nested plan.
func (r *Result) nest(key string, res *Result) {
	r.own = true
	if res.Changes.Len() > 0 {
		r.Changes.Set(key, res.Changes)
	}
	if res.Result == false {
		r.Result = false
		r.failed = append(r.failed, key, res.Comment)
	}
}

// Failures are the keys and comments of the nested plans that failed, one after the other.
func (r *Result) Failures() []string { return r.failed }

func (p *Plan) foreseen() *wire.Map {
	if p.result != nil {
		return p.result.Changes
	}
	return p.Changes()
}
