package run

import (
	"context"
	"fmt"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

// listener is a chunk that listens: its module, what names it, and to what.
type listener struct {
	state, key string
	to         []any
}

// listen runs, after all chunks, the mod_watch of those that listen to what has changed,
// once for each such change, and adds their results.
func (r *Runner) listen(ctx context.Context, chunks []*wire.Map, running *wire.Map) {
	var listeners []listener
	for _, c := range chunks {
		if c.Has("listen") {
			listeners = append(listeners, listener{c.Text("state"), c.Text("__id__"), entries(c, "listen")})
		}
		for _, e := range entries(c, "listen_in") {
			m, _ := e.(*wire.Map)
			if id, ok := e.(string); ok { // Salt ends with an exception
				for _, named := range chunks {
					if named.Text("__id__") == id || named.Text("name") == id {
						m = wire.NewMap(named.Text("state"), named.Text("__id__"))
						break
					}
				}
				if m == nil {
					listeners = append(listeners, listener{"id", id, []any{wire.NewMap(c.Text("state"), c.Text("__id__"))}})
				}
			}
			if m != nil {
				for state, id := range m.Strings() {
					listeners = append(listeners, listener{state, pytext.Str(id), []any{wire.NewMap(c.Text("state"), c.Text("__id__"))}})
				}
			}
		}
	}
	if len(listeners) == 0 {
		return
	}
	errs := wire.NewMap()
	missing := func(state, id string) {
		tag := fmt.Sprintf("Listen_Error_|-listen_%s_|-listen_%s_|-Listen_Error", id, state)
		errs.Set(tag, wire.NewMap("comment", fmt.Sprintf("Referenced state %s: %s does not exist", state, id),
			"name", fmt.Sprintf("listen_%s:%s", state, id), "result", false, "changes", wire.NewMap()))
	}
	// named are the chunks of a module that have this id, or this name.
	named := func(state, key string) (out []*wire.Map) {
		seen := map[string]int{}
		for _, c := range chunks {
			if c.Text("state") != state || c.Text("__id__") != key && c.Text("name") != key && state != key {
				continue
			}
			ref := c.Text("__id__") + "\x00" + c.Text("name")
			if at, ok := seen[ref]; ok {
				out[at] = c // the last of names that are given twice
				continue
			}
			seen[ref] = len(out)
			out = append(out, c)
		}
		return out
	}
	var watchers []*wire.Map
	for _, l := range listeners {
		for _, to := range l.to {
			if id, ok := to.(string); ok {
				to = nil
				for _, c := range chunks {
					if c.Text("__id__") == id || c.Text("name") == id {
						to = wire.NewMap(c.Text("state"), c.Text("__id__")) // the first that has it
						break
					}
				}
			}
			m, ok := to.(*wire.Map)
			if !ok {
				continue
			}
			for state, id := range m.Strings() {
				sources := named(state, pytext.Str(id))
				if len(sources) == 0 {
					missing(state, pytext.Str(id))
				}
				for _, s := range sources {
					if res := running.Map(states.Tag(s)); res == nil || !hasChanges(res) {
						continue
					}
					mine := named(l.state, l.key)
					if len(mine) == 0 {
						missing(l.state, l.key)
					}
					for _, c := range mine {
						low := c.Clone()
						low.Set("sfun", c.Text("fun"))
						low.Set("fun", "mod_watch")
						low.Set("__id__", "listener_"+c.Text("__id__"))
						for _, k := range requisites {
							low.Delete(k)
						}
						r.note(low, "listens: %s.%s %s of SLS %s changed %s", s.Text("state"), s.Text("fun"), s.Text("__id__"), s.Text("__sls__"), changedKeys(running.Map(states.Tag(s))))
						watchers = append(watchers, low)
					}
				}
			}
		}
	}
	r.shared.Set(states.ListenedTo, running)
	for tag, res := range r.chunks(ctx, watchers).All() {
		running.SetAny(tag, res)
	}
	for tag, res := range errs.All() {
		res.(*wire.Map).Set("__run_num__", r.next())
		running.SetAny(tag, res)
	}
}
