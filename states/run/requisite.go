package run

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

// status is what a chunk's requisites come to.
type status int

const (
	met       status = iota
	unmet            // something has to run first, or is not there at all
	failed           // a requisite failed
	changed          // something that is watched has changed
	unchanged        // prereq: what it is for would change nothing
	noFailure        // onfail: nothing failed
	noChanges        // onchanges: nothing changed
)

// kinds are the requisites that decide about a chunk, in the order in which they are
// looked at. prerequired is what the compiler derives from others' prereq.
var (
	kinds    = []string{"require", "require_any", "watch", "watch_any", "prereq", "onfail", "onfail_any", "onfail_all", "onchanges", "onchanges_any"}
	allKinds = append(slices.Clone(kinds), "prerequired")
)

// lookups are those whose states run before, and are an error where they are missing, in
// the order in which they are named. Salt has no onfail_all among them, and ends the run
// with an exception where nothing else is there to run; then it counts here.
var (
	lookups    = []string{"require", "require_any", "watch", "watch_any", "prereq", "onfail", "onfail_any", "onchanges", "onchanges_any"}
	allLookups = append(slices.Clone(lookups), "prerequired")
)

// requisites and requisitesIn are the names that a chunk may hold.
var (
	requisites = []string{"onchanges", "onchanges_any", "onfail", "onfail_any", "onfail_all", "onfail_stop", "prereq", "prerequired",
		"watch", "watch_any", "require", "require_any", "listen"}
	requisitesIn = []string{"onchanges_in", "onfail_in", "prereq_in", "watch_in", "require_in", "listen_in"}
)

func isRequisite(k string) bool {
	return slices.Contains(requisites, k) || slices.Contains(requisitesIn, k)
}

// index finds chunks by id and by name.
type index struct {
	chunks []*wire.Map
	byID   map[string][]int
	byName map[string][]int
}

func newIndex(chunks []*wire.Map) *index {
	x := &index{chunks: chunks, byID: make(map[string][]int, len(chunks)), byName: make(map[string][]int, len(chunks))}
	for i, c := range chunks {
		x.byID[c.Text("__id__")] = append(x.byID[c.Text("__id__")], i)
		x.byName[c.Text("name")] = append(x.byName[c.Text("name")], i)
	}
	return x
}

// find returns the chunks that a requisite means, in their order: those of a state
// module ("id" for any) whose name or id matches a shell pattern, or with "sls" those
// of the SLS files that match.
func (x *index) find(mod, pattern string) []*wire.Map {
	var out []*wire.Map
	if mod == "sls" {
		for _, c := range x.chunks {
			if target.Fnmatch(pattern, c.Text("__sls__")) {
				out = append(out, c)
			}
		}
		return out
	}
	fits := func(c *wire.Map) bool { return mod == "id" || c.Text("state") == mod }
	if strings.ContainsAny(pattern, "*?[") {
		for _, c := range x.chunks {
			if fits(c) && (target.Fnmatch(pattern, c.Text("name")) || target.Fnmatch(pattern, c.Text("__id__"))) {
				out = append(out, c)
			}
		}
		return out
	}
	at := slices.Concat(x.byID[pattern], x.byName[pattern])
	slices.Sort(at)
	for _, i := range slices.Compact(at) {
		if c := x.chunks[i]; fits(c) {
			out = append(out, c)
		}
	}
	return out
}

// reference reads one entry of a requisite: {file: /etc/motd}, {file.managed: /etc/motd}
// or a bare id. none is an entry without a value, which Salt passes over.
func reference(entry any) (mod, pattern string, none bool, err error) {
	switch e := entry.(type) {
	case string:
		return "id", e, false, nil
	case *wire.Map:
		for k, v := range e.Strings() {
			mod, _, _ = strings.Cut(k, ".")
			switch v := v.(type) {
			case nil:
				return mod, "", true, nil
			case string:
				return mod, v, false, nil
			}
			return mod, "", false, fmt.Errorf("a state's id or name is expected, not %s", pytext.Repr(v))
		}
	}
	return "id", "", false, fmt.Errorf("an id, or a state module and an id is expected, not %s", pytext.Repr(entry))
}

// entries are the references of one kind of requisite of a chunk. What is no list is one
// all the same where the compiler lets it pass: a map's keys, and a text's letters, as
// Salt goes through them; a state of that name is seldom there, and that is told.
func entries(low *wire.Map, kind string) (all []any) {
	switch v := get(low, kind).(type) {
	case nil:
	case []any:
		return v
	case string:
		for _, letter := range v {
			all = append(all, string(letter))
		}
	case *wire.Map:
		for k := range v.All() {
			all = append(all, k)
		}
	default:
		all = []any{v}
	}
	return all
}

// watchless makes watch a require where the module cannot watch.
func (r *Runner) watchless(low *wire.Map) {
	for _, to := range [][2]string{{"watch", "require"}, {"watch_any", "require_any"}} {
		if low.Has(to[0]) && !r.reg.Has(low.Text("state")+".mod_watch") {
			low.Set(to[1], slices.Concat(entries(low, to[1]), entries(low, to[0])))
			low.Delete(to[0])
		}
	}
}

// reqs are the chunks that each kind of requisite of a chunk means.
type reqs map[string][]*wire.Map

// check says what the requisites of a chunk come to. prerequired says whether those
// count that were derived from others' prereq.
func (r *Runner) check(low, running *wire.Map, prerequired bool) (status, reqs) {
	r.watchless(low)
	if !slices.ContainsFunc(allKinds, low.Has) {
		return met, nil
	}
	all := kinds
	if prerequired {
		all = allKinds
	}
	found := reqs{}
	for _, kind := range all {
		if slices.Contains(r.opt.Disabled, kind) {
			continue
		}
		for _, entry := range entries(low, kind) {
			mod, pattern, none, err := reference(entry)
			if none {
				continue
			}
			if err != nil {
				return unmet, nil
			}
			chunks := r.index.find(mod, pattern)
			if len(chunks) == 0 {
				return unmet, nil
			}
			found[kind] = append(found[kind], chunks...)
		}
	}
	stats := map[string]bool{}
	for _, kind := range all {
		for s := range r.checkKind(kind, found[kind], running) {
			stats[s] = true
		}
	}
	switch {
	case stats["unmet"]:
		return unmet, found
	case stats["fail"]:
		return failed, found
	case stats["pre"] && stats["premet"]:
		return met, found
	case stats["pre"]:
		return unchanged, found
	case stats["onfail"] && !stats["onchangesmet"]:
		return noFailure, found
	case stats["onchanges"] && !stats["onchangesmet"]:
		return noChanges, found
	case stats["change"]:
		return changed, found
	case stats["onfail"]:
		return noFailure, found
	}
	return met, found
}

// checkKind looks at the results of the chunks of one kind of requisite.
func (r *Runner) checkKind(kind string, chunks []*wire.Map, running *wire.Map) map[string]bool {
	if len(chunks) == 0 {
		return nil
	}
	stats := map[string]bool{}
	results := running
	if kind == "prereq" {
		results = r.pre
	}
	r.await(results, chunks)
	for _, c := range chunks {
		res := results.Map(states.Tag(c))
		if res == nil {
			stats["unmet"] = true
			continue
		}
		result := get(res, "result")
		switch {
		case strings.HasPrefix(kind, "onfail"):
			if result == true {
				stats["onfail"] = true
				continue
			}
		case result == false:
			stats["fail"] = true
			continue
		}
		switch {
		case strings.HasPrefix(kind, "onchanges"):
			if hasChanges(res) {
				stats["onchangesmet"] = true
			} else {
				stats["onchanges"] = true
			}
			continue
		case strings.HasPrefix(kind, "watch") && hasChanges(res):
			stats["change"] = true
			continue
		case kind == "prereq" && result == nil:
			stats["premet"] = true
		}
		if strings.HasPrefix(kind, "prereq") && result != nil {
			if kind == "prereq" {
				stats["pre"] = true
			}
			continue
		}
		if ran, ok := res.Get("__state_ran__"); !ok || ran == true {
			stats["met"] = true
		}
	}
	if strings.HasSuffix(kind, "_any") || kind == "onfail" {
		if stats["met"] || stats["change"] {
			delete(stats, "fail")
		}
		if stats["onchangesmet"] {
			delete(stats, "onchanges")
			delete(stats, "fail")
		}
		if stats["onfail"] && stats["met"] {
			delete(stats, "onfail")
		}
	}
	if strings.HasSuffix(kind, "_all") && stats["onfail"] {
		delete(stats, "met")
	}
	return stats
}

// culprits names the requisites that failed, as sls.id.
func (r *Runner) culprits(found reqs, running *wire.Map) string {
	var names []string
	for _, kind := range allKinds {
		for _, c := range found[kind] {
			tag := states.Tag(c)
			res := r.pre.Map(tag)
			if res == nil {
				res = running.Map(tag)
			}
			if res == nil || get(res, "result") != false {
				continue
			}
			if n := pytext.Str(get(c, "__sls__")) + "." + c.Text("__id__"); !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
	}
	return strings.Join(names, ", ")
}

// requisites runs what a chunk requires, then the chunk. It returns false where the
// chunk's end was told already, or is not to be told.
func (r *Runner) requisites(ctx context.Context, low, running *wire.Map, chunks []*wire.Map, depth int) bool {
	tag := states.Tag(low)
	pre := truth(low, "__prereq__")
	todo, comment := r.wanted(low, !pre)
	if comment != "" {
		r.note(low, "so it does not run: %s", strings.TrimSpace(comment))
		res := r.skipped(low, false, comment)
		if pre {
			r.pre.Set(tag, res)
		} else {
			running.Set(tag, res)
		}
		r.done(res, low, len(chunks))
		return false
	}
	for _, c := range todo {
		ctag := states.Tag(c)
		if running.Has(ctag) {
			continue
		}
		if r.active[ctag] {
			if truth(c, "__prerequired__") {
				if !r.pre.Has(tag) {
					low.Set("__prereq__", true)
					r.pre.Set(ctag, r.state(ctx, low, running, chunks, nil))
				}
				return false
			}
			r.recursive(low, running)
			r.num++
			r.done(running.Map(tag), low, len(chunks))
			return false
		}
		r.chunk(ctx, c, running, chunks, 0)
		if r.stopped || ctx.Err() != nil {
			return false
		}
		if r.failhard(c, running) {
			r.stopped, r.hard = true, c
			return false
		}
	}
	switch {
	case truth(low, "__prereq__"): // it may be marked only now
		st, found := r.check(low, running, false)
		res := r.state(ctx, low, running, chunks, found)
		if !hasChanges(res) && st == changed {
			res.Set("changes", wire.NewMap("watch", "watch"))
			res.Set("result", nil)
		}
		r.pre.Set(tag, res)
	case depth+1 >= 20:
		r.recursive(low, running)
	default:
		r.chunk(ctx, low, running, chunks, depth+1)
		if r.stopped || ctx.Err() != nil {
			return false
		}
	}
	if len(todo) > 0 && r.failhard(todo[len(todo)-1], running) {
		r.stopped, r.hard = true, todo[len(todo)-1]
		return false
	}
	return true
}

// recursive is the end of a chunk that requires itself.
func (r *Runner) recursive(low, running *wire.Map) {
	r.log.Error("Recursive requisite found", "id", low.Text("__id__"), "sls", low.Text("__sls__"))
	r.note(low, "so it does not run: it waits for itself, by way of what it requires")
	res := wire.NewMap("changes", wire.NewMap(), "result", false, "comment", "Recursive requisite found", "__run_num__", r.num)
	name(res, low)
	running.Set(states.Tag(low), res)
}

// wanted lists the chunks that are to run before this one, or says in Salt's words
// which are not there. Chunks named by prereq are marked: they are only planned.
func (r *Runner) wanted(low *wire.Map, prerequired bool) (todo []*wire.Map, comment string) {
	all := lookups
	if prerequired {
		all = allLookups
	}
	if !slices.ContainsFunc(all, low.Has) {
		all = []string{"onfail_all"}
	}
	var b strings.Builder
	for _, kind := range all {
		missing := false
		for _, entry := range entries(low, kind) {
			mod, pattern, none, err := reference(entry)
			if err == nil && !none {
				chunks := r.index.find(mod, pattern)
				for _, c := range chunks {
					switch {
					case kind == "prereq":
						c.Set("__prereq__", true)
					case kind == "prerequired" && mod != "sls":
						c.Set("__prerequired__", true)
					}
				}
				todo = append(todo, chunks...)
				if len(chunks) > 0 {
					continue
				}
			}
			if !missing {
				missing = true
				fmt.Fprintf(&b, "%19s%s:\n", "", kind)
			}
			shown := pattern
			switch {
			case err != nil:
				shown = err.Error()
			case none:
				shown = "None"
			}
			fmt.Fprintf(&b, "%23s%s: %s\n", "", mod, shown)
		}
	}
	if b.Len() > 0 {
		return nil, "The following requisites were not found:\n" + b.String()
	}
	return todo, ""
}

// await waits for the parallel ones among some chunks, or among all results (nil).
func (r *Runner) await(results *wire.Map, chunks []*wire.Map) {
	if len(r.procs) == 0 {
		return
	}
	take := func(tag string) {
		p := r.procs[tag]
		res := results.Map(tag)
		if p == nil || res == nil {
			return
		}
		<-p.done
		for ; p.before != nil; p = p.before { // Salt shows what the function has come to, not its mod_watch
			<-p.before.done
		}
		for k, v := range p.result.All() {
			res.SetAny(k, v)
		}
		delete(r.procs, tag)
	}
	if chunks == nil {
		for tag := range r.procs {
			take(tag)
		}
		return
	}
	for _, c := range chunks {
		take(states.Tag(c))
	}
}
