package render

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// stateConfig is what the files of one compilation that are rendered with stateconf know
// of one another: the settings that their stateconf.set states hold, those with which
// others extend them, and the requisites of what they extend.
type stateConfig struct {
	set, extended         *wire.Map
	requires, requiredFor map[string][][2]string
}

const (
	confFunction = "stateconf.set"
	confState    = "stateconf"
	startState   = ".start"
	goalState    = ".goal"
)

var (
	// confEnd ends the part of a file in which its settings are.
	confEnd = lazyre.New(`#\s*-+\s*end of state config\s*-+`)
	// confDot stands between the renderer of data and that of the template; one behind a
	// backslash does not.
	confDot = lazyre.New(`\s+\.\s+`)
)

var (
	confForward    = []string{"require", "watch", "listen", "onchanges", "onfail"}
	confBackward   = []string{"require_in", "watch_in", "listen_in", "onchanges_in", "onfail_in"}
	confRequisites = append(append([]string{"use", "use_in"}, confForward...), confBackward...)
)

// confUsage explains the renderer's arguments.
const confUsage = `stateconf takes [-Gosp] [DATA-RENDERER [OPTIONS] . TEMPLATE-RENDERER [OPTIONS]], as "#!stateconf -o yaml . jinja":
  -G  without the goal state, which requires all others of the file
  -o  each state requires the one before it
  -s  with a start state, before all others
  -p  for data in place of text, as in "#!jinja|yaml|stateconf -p"`

// stateconf is one file at work.
type stateconf struct {
	r                     *Renderer
	s                     *Source
	c                     *stateConfig
	start, noGoal, inTurn bool
}

// renderStateconf is Salt's stateconf renderer: ids that begin with a dot are the file's
// own, stateconf.set states hold settings that the template sees as variables, and
// requisites are added by rule.
func renderStateconf(ctx context.Context, r *Renderer, s *Source, args string, d *data) error {
	if r.conf == nil {
		r.conf = &stateConfig{set: wire.NewMap(), extended: wire.NewMap(), requires: map[string][][2]string{}, requiredFor: map[string][][2]string{}}
	}
	f := &stateconf{r: r, s: s, c: r.conf}
	words, given := strings.Fields(args), false
	for len(words) > 0 && strings.HasPrefix(words[0], "-") && words[0] != "-" {
		for _, o := range words[0][1:] {
			switch o {
			case 'G':
				f.noGoal = true
			case 'o':
				f.inTurn = true
			case 's':
				f.start = true
			case 'p':
				given = true
			default:
				return f.fail("there is no option -%c: %s", o, confUsage)
			}
		}
		words = words[1:]
	}
	if given {
		if d.isText {
			return f.fail("with -p it takes data, and got text: put the renderers before it, as in \"#!jinja|yaml|stateconf -p\"")
		}
		return f.data(d, false)
	}
	if !d.isText {
		return f.fail("it takes text, and got data: without other renderers before it, or with -p")
	}
	line := strings.Join(words, " ")
	if line == "" {
		line = "yaml . jinja"
	}
	at := confDot.FindStringIndex(line)
	if at == nil {
		return f.fail("%s", confUsage)
	}
	find := func(text string) (step, error) {
		name, args, _ := strings.Cut(strings.ReplaceAll(strings.TrimSpace(text), `\.`, "."), " ")
		run := r.renderer(name)
		if run == nil {
			return step{}, f.fail("Renderer: %s is not available!", pytext.Repr(name))
		}
		return step{name, strings.TrimSpace(args), run}, nil
	}
	form, err := find(line[:at[0]])
	if err != nil {
		return err
	}
	template, err := find(line[at[1]:])
	if err != nil {
		return err
	}
	if f.inTurn && form.name != "yaml" {
		return f.fail("Implicit ordering is only supported if the yaml renderer is used!")
	}
	text := d.text
	pass := func(part string, settings map[string]any, first bool) error {
		*d = data{text: part, isText: true}
		sub := *s
		sub.Vars = map[string]any{}
		for k, v := range s.Vars {
			sub.Vars[k] = v
		}
		dir := s.SLS
		if i := strings.LastIndexByte(dir, '.'); i >= 0 {
			dir = strings.ReplaceAll(dir[:i], ".", "/")
		} else if dir == "" {
			dir = "."
		}
		sub.Vars["sls_dir"] = dir
		for k, v := range settings {
			sub.Vars[k] = v
		}
		if err := template.run(ctx, r, &sub, template.args, d); err != nil {
			return err
		}
		if err := form.run(ctx, r, &sub, form.args, d); err != nil {
			return err
		}
		return f.data(d, first)
	}
	if at := confEnd.FindStringIndex(text); at != nil {
		if err := pass(text[:at[0]], nil, true); err != nil {
			return err
		}
	}
	settings := map[string]any{}
	for k, v := range f.c.set.Strings() {
		settings[strings.TrimPrefix(k, s.SLS+"::")] = v
	}
	return pass(text, settings, false)
}

func (f *stateconf) fail(format string, args ...any) error {
	return &Error{Msg: fmt.Sprintf(format, args...), Name: f.s.name()}
}

// data changes the high data of a file. What is not formed as high data is left to the
// compiler to find.
func (f *stateconf) data(d *data, first bool) error {
	high, ok := cloneData(d.value).(*wire.Map)
	if !ok {
		return nil
	}
	for id, v := range high.Strings() {
		if s, ok := v.(string); ok {
			high.Set(id, wire.NewMap(s, []any{}))
		}
	}
	if err := f.names(high); err != nil {
		return err
	}
	if f.inTurn && !first {
		if err := f.order(high); err != nil {
			return err
		}
	}
	if f.start {
		if err := f.addStart(high); err != nil {
			return err
		}
	}
	if !first && !f.noGoal {
		if err := f.addGoal(high); err != nil {
			return err
		}
	}
	if err := f.rename(high, false); err != nil {
		return err
	}
	f.extract(high, false)
	doc := d.doc
	d.set(high)
	d.doc = doc
	return nil
}

func cloneData(v any) any {
	switch x := v.(type) {
	case *wire.Map:
		m := wire.NewMap()
		for k, e := range x.All() {
			m.SetAny(k, cloneData(e))
		}
		return m
	case []any:
		l := make([]any, len(x))
		for i, e := range x {
			l[i] = cloneData(e)
		}
		return l
	}
	return v
}

// names makes names of files that begin with dots whole.
func (f *stateconf) names(high *wire.Map) error {
	include := high.List("include")
	for i, e := range include {
		env, name := f.s.Env, ""
		switch x := e.(type) {
		case string:
			name = x
		case *wire.Map:
			for k, v := range x.Strings() {
				env, name = k, pytext.Str(v)
			}
		}
		if strings.HasPrefix(name, ".") {
			full, err := f.absolute(name, f.s.SLS)
			if err != nil {
				return err
			}
			include[i] = wire.NewMap(env, full)
		}
	}
	for _, e := range high.List("exclude") {
		m, _ := e.(*wire.Map)
		if m == nil {
			continue
		}
		if name := m.Text("sls"); strings.HasPrefix(name, ".") {
			full, err := f.absolute(name, f.s.SLS)
			if err != nil {
				return err
			}
			m.Set("sls", full)
		}
	}
	return nil
}

// absolute is a name that begins with dots, which lead up from another.
func (f *stateconf) absolute(name, from string) (string, error) {
	rest := strings.TrimLeft(name, ".")
	up, parts := len(name)-len(rest), strings.Split(from, ".")
	if up > len(parts) {
		return "", f.fail("Attempted relative include goes beyond top level package: %s from %s", name, from)
	}
	return strings.Join(append(parts[:len(parts)-up:len(parts)-up], rest), "."), nil
}

// id is an id that begins with a dot, with the name of its file.
func (f *stateconf) id(id string) (string, error) {
	if strings.Contains(id, "::") {
		return f.absolute(id, f.s.SLS)
	}
	full, err := f.absolute(id, f.s.SLS+".")
	if i := strings.LastIndexByte(full, '.'); i >= 0 {
		full = full[:i] + "::" + full[i+1:]
	}
	return full, err
}

// states calls do for the states of high data, but for those of the ids left out.
func eachState(high *wire.Map, do func(id string, states *wire.Map, name string, args []any) error, without ...string) error {
	for id, v := range high.Clone().Strings() {
		states, ok := v.(*wire.Map)
		if !ok || strings.HasPrefix(id, "__") || slices.Contains(without, id) {
			continue
		}
		for name, a := range states.Clone().Strings() {
			if args, ok := a.([]any); ok && !strings.HasPrefix(name, "__") {
				if err := do(id, states, name, args); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// pairs calls do for the entries of a list that are of one key.
func pairs(list []any, do func(item *wire.Map, key string, v any) error) error {
	for _, e := range list {
		m, ok := e.(*wire.Map)
		if !ok {
			continue
		}
		for k, v := range m.Clone().Strings() {
			if err := do(m, k, v); err != nil {
				return err
			}
			break
		}
	}
	return nil
}

// requisitesOf calls do for what the requisites in a state's arguments name.
func requisitesOf(args []any, kinds []string, do func(item *wire.Map, state, id string) error) error {
	return pairs(args, func(_ *wire.Map, key string, v any) error {
		list, ok := v.([]any)
		if !ok || !slices.Contains(kinds, key) {
			return nil
		}
		return pairs(list, func(item *wire.Map, state string, v any) error {
			if id, ok := v.(string); ok {
				return do(item, state, id)
			}
			return nil
		})
	})
}

func stateName(s string) string {
	name, _, _ := strings.Cut(s, ".")
	return name
}

// rename gives ids that begin with a dot the name of the file, where they are declared
// and where they are required.
func (f *stateconf) rename(high *wire.Map, extend bool) error {
	if m := high.Map("extend"); m != nil && !extend {
		if err := f.rename(m, true); err != nil {
			return err
		}
	}
	err := eachState(high, func(_ string, _ *wire.Map, _ string, args []any) error {
		return requisitesOf(args, confRequisites, func(item *wire.Map, state, id string) error {
			if !strings.HasPrefix(id, ".") {
				return nil
			}
			full, err := f.id(id)
			item.Set(state, full)
			return err
		})
	}, "include", "exclude")
	if err != nil {
		return err
	}
	for id, v := range high.Clone().Strings() {
		states, ok := v.(*wire.Map)
		if !ok || !strings.HasPrefix(id, ".") {
			continue
		}
		full, err := f.id(id)
		if err != nil {
			return err
		}
		if high.Has(full) {
			return f.fail("Can't rename state id(%s) into %s because the later already exists!", id, full)
		}
		for name, a := range states.Clone().Strings() {
			args, ok := a.([]any)
			if !ok || stateName(name) == confState {
				continue
			}
			named := slices.ContainsFunc(args, func(e any) bool {
				m, ok := e.(*wire.Map)
				return ok && m.Has("name")
			})
			if !named {
				states.Set(name, slices.Insert(args, 0, any(wire.NewMap("name", id[1:]))))
			}
		}
		high.Delete(id)
		high.Set(full, states)
	}
	return nil
}

// order has each state require the one before it.
func (f *stateconf) order(high *wire.Map) error {
	tag := func(id, state string) string { return id + ":" + stateName(state) }
	before, after := map[string]bool{}, map[string]bool{}
	err := eachState(high, func(id string, _ *wire.Map, name string, args []any) error {
		after[tag(id, name)] = true
		return pairs(args, func(_ *wire.Map, key string, _ any) error {
			if key == "names" {
				return f.fail("'names' declaration(found in state id: %s) is not supported with implicitly ordered states! You should generate the states in a template for-loop instead.", id)
			}
			return nil
		})
	}, "include", "exclude", "extend")
	if err != nil {
		return err
	}
	if m := high.Map("extend"); m != nil {
		eachState(m, func(id string, _ *wire.Map, _ string, args []any) error {
			for kinds, to := range map[*[]string]map[string][][2]string{&confForward: f.c.requires, &confBackward: f.c.requiredFor} {
				requisitesOf(args, *kinds, func(_ *wire.Map, state, of string) error {
					to[tag(id, state)] = append(to[tag(id, state)], [2]string{state, of})
					return nil
				})
			}
			return nil
		}, "include", "exclude")
	}
	previous := [2]string{}
	return eachState(high, func(id string, states *wire.Map, name string, args []any) error {
		t := tag(id, name)
		delete(after, t)
		check := func(kinds []string, more [][2]string, wrong map[string]bool, text string) error {
			each := func(_ *wire.Map, state, of string) error {
				if wrong[tag(of, state)] {
					return f.fail(text, t, tag(of, state))
				}
				return nil
			}
			if err := requisitesOf(args, kinds, each); err != nil {
				return err
			}
			for _, m := range more {
				if err := each(nil, m[0], m[1]); err != nil {
					return err
				}
			}
			return nil
		}
		if err := check(confForward, f.c.requires[t], after, "State(%s) can't require/watch/listen/onchanges/onfail a state(%s) defined after it!"); err != nil {
			return err
		}
		if err := check(confBackward, f.c.requiredFor[t], before, "State(%s) can't require_in/watch_in/listen_in/onchanges_in/onfail_in a state(%s) defined before it!"); err != nil {
			return err
		}
		if previous[0] != "" {
			one, found := any(wire.NewMap(previous[0], previous[1])), false
			pairs(args, func(item *wire.Map, key string, v any) error {
				if list, ok := v.([]any); ok && key == "require" && !found {
					item.Set(key, slices.Insert(list, 0, one))
					found = true
				}
				return nil
			})
			if !found {
				states.Set(name, append(args, wire.NewMap("require", []any{one})))
			}
		}
		before[t] = true
		previous = [2]string{stateName(name), id}
		return nil
	}, "include", "exclude", "extend")
}

// addStart adds a state that is required by the first one.
func (f *stateconf) addStart(high *wire.Map) error {
	if high.Has(startState) {
		return f.fail("Can't generate start state(%s)! The same state id already exists!", startState)
	}
	if high.Len() == 0 {
		return nil
	}
	for id, v := range high.Strings() {
		states, ok := v.(*wire.Map)
		if !ok || strings.HasPrefix(id, "__") || id == "include" || id == "exclude" || id == "extend" || states.Has("__sls__") && states.Text("__sls__") != f.s.SLS {
			continue
		}
		for name := range states.Strings() {
			high.Set(startState, wire.NewMap(confFunction, []any{wire.NewMap("require_in", []any{wire.NewMap(stateName(name), id)})}))
			return nil
		}
	}
	return f.fail("Can't determine the first state in the sls file!")
}

// addGoal adds a state that requires all others.
func (f *stateconf) addGoal(high *wire.Map) error {
	if high.Has(goalState) {
		return f.fail("Can't generate goal state(%s)! The same state id already exists!", goalState)
	}
	all := []any{}
	eachState(high, func(id string, states *wire.Map, name string, _ []any) error {
		if !states.Has("__sls__") { // then it is of another file
			all = append(all, wire.NewMap(stateName(name), id))
		}
		return nil
	}, "include", "exclude", "extend")
	high.Set(goalState, wire.NewMap(confFunction, []any{wire.NewMap("require", all)}))
	return nil
}

// extract keeps the settings of stateconf.set states for this file's template and those
// of others.
func (f *stateconf) extract(high *wire.Map, extend bool) {
	for id, v := range high.Strings() {
		states, ok := v.(*wire.Map)
		if !ok {
			continue
		}
		if id == "extend" && !extend {
			f.extract(states, true)
			continue
		}
		key := confState
		if !states.Has(key) {
			key = confFunction
		}
		args, ok := states.Get(key)
		if !ok {
			continue
		}
		to := f.c.set
		if extend {
			to = f.c.extended
		}
		conf := to.Map(id)
		if conf == nil {
			conf = wire.NewMap()
			to.Set(id, conf)
		}
		list, _ := args.([]any)
		pairs(list, func(_ *wire.Map, key string, v any) error {
			conf.Set(key, v)
			return nil
		})
		if other := f.c.extended.Map(id); other != nil && !extend {
			for _, r := range confForward {
				if other.Has(r) {
					other.Set(r, append(slices.Clone(other.List(r)), conf.List(r)...))
				}
			}
			for k, v := range other.Strings() {
				conf.Set(k, v)
			}
		}
	}
}
