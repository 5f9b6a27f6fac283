package py

import (
	"context"
)

// Limits bounds what one render may take. Zero values mean the defaults.
type Limits struct {
	Memory int64 // bytes of text and elements made in all, garbage included; 256 MiB
	Output int64 // bytes printed in all; 16 MiB
	Depth  int   // calls, includes and comparisons inside one another; 500
	Range  int   // elements of a range; 100000, as Jinja's sandbox
	Steps  int64 // loop rounds and calls; 0: bounded by time only
}

func (l Limits) withDefaults() Limits {
	if l.Memory == 0 {
		l.Memory = 256 << 20
	}
	if l.Output == 0 {
		l.Output = 16 << 20
	}
	if l.Depth == 0 {
		l.Depth = 500
	}
	if l.Range == 0 {
		l.Range = 100000
	}
	return l
}

// Thread is one run of template code: its deadline, what it may still take, and
// how it reads attributes. It is used by one goroutine at a time. A nil Thread
// has no limits.
type Thread struct {
	ctx    context.Context
	limits Limits
	memory int64
	output int64
	steps  int64
	depth  int

	// GetAttr and GetItem are what str.format uses for {0.name} and {0[name]};
	// nil means plain attributes.
	GetAttr func(t *Thread, obj Value, name string) (Value, error)
	GetItem func(t *Thread, obj, key Value) (Value, error)

	// Escape says that what runs now has autoescape on, so that filters which make HTML
	// mark it as such.
	Escape bool
}

// NewThread starts a run under ctx and the limits.
func NewThread(ctx context.Context, l Limits) *Thread {
	l = l.withDefaults()
	return &Thread{ctx: ctx, limits: l, memory: l.Memory, output: l.Output}
}

// Context is the context the run was started with.
func (t *Thread) Context() context.Context {
	if t == nil || t.ctx == nil {
		return context.Background()
	}
	return t.ctx
}

// Step counts one round or call and, now and then, looks at the context.
func (t *Thread) Step() error {
	if t == nil {
		return nil
	}
	t.steps++
	if t.limits.Steps > 0 && t.steps > t.limits.Steps {
		return Raise("RuntimeError", "the template took more than %d steps", t.limits.Steps)
	}
	if t.steps&255 == 0 {
		return t.Alive()
	}
	return nil
}

// Alive is the context's error as an exception, or nil.
func (t *Thread) Alive() error {
	if t == nil || t.ctx == nil {
		return nil
	}
	if err := t.ctx.Err(); err != nil {
		return &Error{Type: "TimeoutError", Msg: "the template was stopped: " + context.Cause(t.ctx).Error(), Err: err}
	}
	return nil
}

// Alloc takes n bytes from what the run may use in all.
func (t *Thread) Alloc(n int) error {
	if n < 0 {
		return Raise("MemoryError", "the template asked for more memory than there is")
	}
	if t == nil {
		if n > 1<<30 {
			return Raise("MemoryError", "the template asked for %d bytes at once", n)
		}
		return nil
	}
	if t.memory -= int64(n); t.memory < 0 {
		return Raise("MemoryError", "the template used more than %d bytes of memory", t.limits.Memory)
	}
	return nil
}

// Print takes n bytes from what the run may print.
func (t *Thread) Print(n int) error {
	if t == nil {
		return nil
	}
	if t.output -= int64(n); t.output < 0 {
		return Raise("MemoryError", "the template printed more than %d bytes", t.limits.Output)
	}
	return nil
}

// MaxRange is the largest number of elements of range().
func (t *Thread) MaxRange() int {
	if t == nil {
		return 100000
	}
	return t.limits.Range
}

// Enter goes one call deeper; each Enter without error needs its Leave.
func (t *Thread) Enter() error {
	if t == nil {
		return nil
	}
	if t.depth >= t.limits.Depth {
		return Raise("RecursionError", "maximum recursion depth exceeded")
	}
	t.depth++
	return nil
}

// Leave undoes Enter.
func (t *Thread) Leave() {
	if t != nil {
		t.depth--
	}
}

// maxNesting bounds the depth of values that are compared, printed or hashed.
const maxNesting = 500

func tooDeep(doing string) error {
	return Raise("RecursionError", "maximum recursion depth exceeded%s", doing)
}

// elem is what an element of a list or dict counts in Alloc.
const elem = 16
