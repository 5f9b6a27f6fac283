package modules

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

// An effect is something that a state of a run under test=True is to do, which later states
// ask for: it makes or removes a file, makes a user.
type effect struct {
	kind string // see effectsOf; "removes" is what removedBy tells
	of   string // a path or a name
}

// An affecting state is one that is to have an effect.
type affecting struct {
	at   int // its place among the results
	kind string
	tag  string
	id   string
	fun  string
}

// effects are those of the states of a run that are to change something. Thousands of states
// may ask for them, so that the results are gone through once: each as it has come. The
// methods may be called concurrently.
type effects struct {
	mu      sync.Mutex
	seen    int // of the results
	states  map[effect][]affecting
	started []affecting // parallel states of which it is not known yet what they remove
}

// effectsOf calls add with the effects that a state has as its tag says.
func effectsOf(tag []string, add func(effect)) {
	state, name, fun := tag[0], tag[2], tag[3]
	add(effect{"any", ""})
	if state == "file" && !slices.Contains(noMakers, fun) && filepath.IsAbs(name) {
		add(effect{"makes", filepath.Clean(name)})
	}
	if slices.Contains(treeMakers, state+"."+fun) && filepath.IsAbs(name) {
		add(effect{"makes below", filepath.Clean(name)})
	}
	if state == "user" {
		add(effect{"user", name})
	}
	if (state == "user" || state == "group") && fun == "present" {
		add(effect{"group", name}) // a user's own group has its name
	}
	if state == "group" && fun == "absent" {
		add(effect{"no group", name})
	}
	if state == "alternatives" && fun == "set" {
		add(effect{"alternatives", name})
	}
	if mayMakeAccounts(tag) {
		add(effect{"accounts", ""})
	}
	if slices.Contains(makers, state) {
		add(effect{"programs", ""})
	}
	if mayMakeSources(tag) {
		add(effect{"sources", ""})
	}
}

// mayMakeSources tells whether a state may make packages known to apt that it has not.
func mayMakeSources(tag []string) bool {
	switch tag[0] {
	case "user", "group", "service", "pkg", "test":
		return false
	case "file":
		return below(tag[2], "/etc/apt") || below("/etc/apt", tag[2]) || tag[2] == "/etc/apt"
	}
	return true
}

// removedBy are the files that a state is to remove, as its result says.
func removedBy(state string, res *wire.Map) (paths []string) {
	changes := res.Map("changes")
	switch removed := get(changes, "removed").(type) {
	case string:
		paths = append(paths, removed)
	case []any:
		for _, v := range removed {
			if s, ok := v.(string); ok {
				paths = append(paths, s)
			}
		}
	}
	if state == "file" { // what file.directory cleans
		for path, v := range changes.Strings() {
			if m, ok := v.(*wire.Map); ok && m.Has("removed") {
				paths = append(paths, path)
			}
		}
	}
	return paths
}

// add notes that a state is to have an effect.
func (x *effects) add(e effect, s affecting) {
	s.kind = e.kind
	list := x.states[e]
	i := len(list)
	for i > 0 && list[i-1].at > s.at { // a parallel state tells late
		i--
	}
	x.states[e] = slices.Insert(list, i, s)
}

// look goes through the results that have come since it was last asked.
func (x *effects) look(running *wire.Map) {
	removals := func(s affecting, res *wire.Map) {
		state, _, _ := strings.Cut(s.tag, "_|-")
		for _, path := range removedBy(state, res) {
			x.add(effect{"removes", filepath.Clean(path)}, s)
		}
	}
	x.started = slices.DeleteFunc(x.started, func(s affecting) bool {
		res := running.Map(s.tag)
		if res == nil || runs(res) {
			return false
		}
		removals(s, res)
		return true
	})
	parts := make([]string, 4)
	for ; x.seen < running.Len(); x.seen++ {
		key, v := running.At(x.seen)
		tag, _ := key.(string)
		res, _ := v.(*wire.Map)
		if !undecided(res) || !splitTag(tag, parts) {
			continue
		}
		s := affecting{at: x.seen, tag: tag, id: parts[1], fun: parts[3]}
		effectsOf(parts, func(e effect) { x.add(e, s) })
		if runs(res) {
			x.started = append(x.started, s)
		} else {
			removals(s, res)
		}
	}
}

// splitTag splits a tag into its four parts.
func splitTag(tag string, parts []string) bool {
	const sep = "_|-"
	for i := range parts[:3] {
		var ok bool
		if parts[i], tag, ok = strings.Cut(tag, sep); !ok {
			return false
		}
	}
	parts[3] = tag
	return !strings.Contains(tag, sep)
}

// undecided tells whether a result is that of a state which would change something.
func undecided(res *wire.Map) bool {
	v, there := res.Get("result")
	return there && v == nil
}

// runs tells whether a result stands for that of a parallel state which still runs.
func runs(res *wire.Map) bool { return res.Text("comment") == "Started in a separate process" }

// find returns the first state, or the last, that is to have one of several effects.
func (x *effects) find(running *wire.Map, last bool, of []effect) (found affecting, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.look(running)
	for _, e := range of {
		list := x.states[e]
		for i := range list {
			s := list[i]
			if last {
				s = list[len(list)-1-i]
			}
			if ok && (s.at < found.at) == last && s.at != found.at {
				break
			}
			// A parallel state that was open may be decided by now, and one that runs itself
			// knows of no later ones.
			if undecided(running.Map(s.tag)) {
				if !ok || s.at != found.at {
					found, ok = s, true
				}
				break
			}
		}
	}
	return found, ok
}

// resultsSoFar are the results of the earlier states. Those that listen are a run of their
// own, after all others.
func resultsSoFar(c *states.Call) []*wire.Map {
	if c.Shared != nil {
		if before, _ := c.Shared.Get(states.ListenedTo).(*wire.Map); before != nil {
			return []*wire.Map{before, c.Running}
		}
	}
	return []*wire.Map{c.Running}
}

// resultOf is the result of an earlier state; nil where it has none.
func resultOf(c *states.Call, tag string) (res *wire.Map) {
	for _, results := range resultsSoFar(c) {
		if m := results.Map(tag); m != nil {
			res = m
		}
	}
	return res
}

// effectsIn are the effects of the states of the nth of a number of results.
func effectsIn(c *states.Call, n, of int) *effects {
	first := func() any { return &effects{states: map[effect][]affecting{}} }
	if c.Shared == nil {
		return first().(*effects)
	}
	return c.Shared.Once(fmt.Sprintf("effects %d/%d", n, of), first).(*effects)
}

// firstEffect is the first of the earlier states of a run under test=True that is to have one
// of several effects. Where a state has two of them, that which comes first here counts.
func firstEffect(c *states.Call, of ...effect) (s affecting, ok bool) {
	if !c.Test {
		return s, false
	}
	all := resultsSoFar(c)
	for i, results := range all {
		if s, ok = effectsIn(c, i, len(all)).find(results, false, of); ok {
			break
		}
	}
	return s, ok
}

// lastEffect is the last of them.
func lastEffect(c *states.Call, of ...effect) (s affecting, ok bool) {
	if !c.Test {
		return s, false
	}
	all := resultsSoFar(c)
	for i := len(all) - 1; i >= 0; i-- {
		if s, ok = effectsIn(c, i, len(all)).find(all[i], true, of); ok {
			break
		}
	}
	return s, ok
}

// withAbove is an effect on a path, and those of a kind on the directories above it.
func withAbove(e effect, kind string) []effect {
	all := []effect{e}
	for dir := filepath.Dir(e.of); ; dir = filepath.Dir(dir) {
		all = append(all, effect{kind, dir})
		if dir == filepath.Dir(dir) {
			return all
		}
	}
}
