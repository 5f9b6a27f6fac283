package run

import (
	"context"
	"fmt"
	"strings"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

// Explanation tells why a state ran, or did not, in lines for people.
type Explanation struct {
	Tag   string // of the chunk: "file_|-/etc/motd_|-/etc/motd_|-managed"
	Lines []string
}

// Explanations are those of the states that Options.Explain asks for, in the order in
// which the run came to them.
func (r *Runner) Explanations() []Explanation {
	r.noteMu.Lock()
	defer r.noteMu.Unlock()
	out := make([]Explanation, len(r.notes))
	for i, n := range r.notes {
		out[i] = *n
	}
	return out
}

// note adds a line to a chunk's explanation, where one is wanted.
func (r *Runner) note(low *wire.Map, format string, args ...any) {
	if r.opt.Explain == nil || !r.opt.Explain(low) {
		return
	}
	r.noteMu.Lock()
	defer r.noteMu.Unlock()
	tag := r.tag(low)
	for _, n := range r.notes {
		if n.Tag == tag {
			n.Lines = append(n.Lines, fmt.Sprintf(format, args...))
			return
		}
	}
	r.notes = append(r.notes, &Explanation{Tag: tag, Lines: []string{r.origin(low), fmt.Sprintf(format, args...)}})
}

// tag is that of the chunk itself, also where its mod_watch is run.
func (r *Runner) tag(low *wire.Map) string {
	if fun := low.Text("sfun"); fun != "" && low.Text("fun") == "mod_watch" {
		low = low.Clone()
		low.Set("fun", fun)
	}
	return states.Tag(low)
}

// origin says which file a chunk is from, and its place in the run.
func (r *Runner) origin(low *wire.Map) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s.%s %s", low.Text("state"), low.Text("fun"), low.Text("name"))
	if sls := low.Text("__sls__"); sls != "" {
		fmt.Fprintf(&b, ", from SLS %s of environment %s", sls, low.Text("__env__"))
		if at := r.place(low); at != sls {
			fmt.Fprintf(&b, " (%s)", at)
		}
	}
	if r.index != nil {
		for i, c := range r.index.chunks {
			if states.Tag(c) == r.tag(low) {
				fmt.Fprintf(&b, "; %d of %d by order %s", i+1, len(r.index.chunks), pytext.Str(get(c, "order")))
				break
			}
		}
	}
	return b.String()
}

// explainEnd tells of the chunks that a run which ended early has not come to.
func (r *Runner) explainEnd(ctx context.Context, chunks []*wire.Map, running *wire.Map) {
	if r.opt.Explain == nil {
		return
	}
	for _, low := range chunks {
		switch {
		case running.Has(states.Tag(low)):
		case r.hard != nil:
			r.note(low, "it did not run: the run ended before its turn, as %s.%s %s of SLS %s failed and has failhard",
				r.hard.Text("state"), r.hard.Text("fun"), r.hard.Text("__id__"), r.hard.Text("__sls__"))
		case ctx.Err() != nil:
			r.note(low, "it did not run: the run was ended before its turn")
		}
	}
}

// explainCheck tells what each requisite of a chunk has come to, and what follows.
func (r *Runner) explainCheck(low, running *wire.Map, st status, found reqs, pre bool) {
	if r.opt.Explain == nil || !r.opt.Explain(low) || st == unmet {
		return
	}
	if pre {
		r.note(low, "looked at ahead of time, without doing anything: another state has it in its prereq")
	}
	for _, kind := range allKinds {
		results := running
		if kind == "prereq" {
			results = r.pre
		}
		for _, c := range found[kind] {
			res := results.Map(states.Tag(c))
			if res == nil {
				continue
			}
			what := "would change something"
			switch v := get(res, "result"); {
			case v == false:
				what = "failed"
			case v == nil:
			case hasChanges(res):
				what = "changed " + changedKeys(res)
			default:
				what = "changed nothing"
			}
			if ran, ok := res.Get("__state_ran__"); ok && ran == false {
				what = "did not run"
			}
			id := c.Text("__id__")
			if n := c.Text("name"); n != id {
				id += " (" + n + ")"
			}
			r.note(low, "%s: %s.%s %s of SLS %s %s", kind, c.Text("state"), c.Text("fun"), id, c.Text("__sls__"), what)
		}
	}
	switch st {
	case failed:
		r.note(low, "so it does not run: a requisite failed")
	case changed:
		r.note(low, "so it runs, and its mod_watch after it if it changes nothing itself: something that it watches has changed")
	case unchanged:
		r.note(low, "so it does not run: the state of its prereq would change nothing")
	case noFailure:
		r.note(low, "so it does not run: nothing of its onfail has failed")
	case noChanges:
		r.note(low, "so it does not run: nothing of its onchanges has changed")
	default:
		switch {
		case len(found) > 0:
			r.note(low, "so it runs: its requisites are met")
		case low.Text("fun") == "mod_watch":
			r.note(low, "so its mod_watch runs, after all states")
		default:
			r.note(low, "it has no requisites: it runs when its turn comes")
		}
	}
}

// changedKeys names what changed, not how.
func changedKeys(res *wire.Map) string {
	m, ok := get(res, "changes").(*wire.Map)
	if !ok {
		return "something"
	}
	var names []string
	for k := range m.All() {
		if names = append(names, pytext.Str(k)); len(names) == 6 {
			names = append(names, "...")
			break
		}
	}
	return "(" + strings.Join(names, ", ") + ")"
}

// explainResult tells what came of it.
func (r *Runner) explainResult(low, res *wire.Map) {
	if r.opt.Explain == nil || !r.opt.Explain(low) {
		return
	}
	what := "nothing to do"
	switch v := get(res, "result"); {
	case v == false:
		what = "failed"
	case v == nil:
		what = "would change " + changedKeys(res)
	case hasChanges(res):
		what = "changed " + changedKeys(res)
	}
	said := res.Clone()
	lines(said)
	if comment := pytext.Str(get(said, "comment")); comment != "" {
		what += ": " + strings.ReplaceAll(strings.TrimSpace(comment), "\n", "\n  ")
	}
	r.note(low, "%s.%s: %s", low.Text("state"), low.Text("fun"), what)
}
