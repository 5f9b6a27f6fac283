package compile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/render"
	"github.com/gosalt/gosalt/internal/render/saltyaml"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/jinja"
	"github.com/gosalt/gosalt/jinja/py"
)

// Rules are what Lint looks for, by name.
var Rules = map[string]string{
	"render":           "the SLS cannot be rendered",
	"structure":        "the SLS is not formed as states are",
	"requisite":        "a requisite names a state that there is not",
	"duplicate-id":     "an ID comes twice",
	"unknown-state":    "there is no such state function",
	"unknown-argument": "the state function has no such argument",
	"missing-argument": "the state function needs an argument that is not there",
	"tab":              "a tab stands where YAML wants spaces",
	"mode":             "the mode of a file is not what it looks like",
	"include":          "an SLS is needed that is not included",
}

// Finding is something that Lint found.
type Finding struct {
	Rule    string
	Warning bool // it may be meant so
	Msg     string
	At      Place
}

// String is "salt://web/init.sls:3:5: error: … [rule]".
func (f Finding) String() string {
	level := "error"
	if f.Warning {
		level = "warning"
	}
	at := f.At.File
	if f.At.Line > 0 {
		at += fmt.Sprintf(":%d", f.At.Line)
		if f.At.Column > 0 {
			at += fmt.Sprintf(":%d", f.At.Column)
		}
	}
	return fmt.Sprintf("%s: %s: %s [%s]", at, level, f.Msg, f.Rule)
}

// Lint compiles each SLS by itself and tells what would go wrong. functions are the
// state functions that there are; nil leaves them alone. Files that hold no states, but
// data of a pillar or a top file, are passed over.
func Lint(ctx context.Context, cfg Config, env string, names []string, functions *module.Registry) ([]Finding, error) {
	l := &linter{cfg: cfg, env: env, functions: functions, seen: map[Finding]bool{}, ids: map[string]string{}, slss: map[string]bool{}, known: map[string]string{}}
	compiled := make([]*linted, 0, len(names))
	for _, sls := range names {
		if sls == "top" || strings.HasSuffix(sls, ".top") || strings.HasPrefix(sls, ".") {
			continue // no states; or in a hidden directory, where no name leads
		}
		l.slss[sls] = true
		one, err := l.compile(ctx, sls)
		if err != nil {
			return nil, err
		}
		compiled = append(compiled, one)
	}
	for _, one := range compiled {
		for _, ch := range one.chunks {
			for _, name := range []string{textOf(ch, "__id__"), textOf(ch, "name")} {
				for _, state := range []string{"", textOf(ch, "state")} {
					if key := state + ":" + name; l.known[key] == "" {
						l.known[key] = textOf(ch, "__sls__")
					}
				}
			}
		}
	}
	for _, one := range compiled {
		for _, e := range one.errs {
			l.report(one, e, "structure")
		}
		l.check(one)
	}
	slices.SortStableFunc(l.found, func(a, b Finding) int {
		if c := strings.Compare(a.At.File, b.At.File); c != 0 {
			return c
		}
		return a.At.Line - b.At.Line
	})
	return l.found, nil
}

type linter struct {
	cfg       Config
	env       string
	functions *module.Registry
	found     []Finding
	seen      map[Finding]bool
	ids       map[string]string // the SLS of each ID of all that is linted
	known     map[string]string // likewise of "state:id" and "state:name", and of those without the state
	slss      map[string]bool   // the SLS that are linted
}

// linted is one SLS, compiled.
type linted struct {
	c      *Compiler
	sls    string
	file   *file
	high   *py.Dict
	chunks []*py.Dict
	errs   Errors
}

func (l *linter) add(f Finding) {
	if !l.seen[f] {
		l.seen[f] = true
		l.found = append(l.found, f)
	}
}

func (l *linter) compile(ctx context.Context, sls string) (*linted, error) {
	c, err := New(ctx, l.cfg)
	if err != nil {
		return nil, err
	}
	one := &linted{c: c, sls: sls}
	if one.file, err = c.find(ctx, sls, l.env); err != nil {
		return nil, err
	}
	high, errs, err := c.SLS(ctx, NewMatches(l.env, sls))
	if err != nil {
		return nil, err
	}
	if l.isData(c, high, errs) {
		return one, nil
	}
	if one.file != nil {
		l.source(one.file)
	}
	if one.errs = errs; len(errs) > 0 {
		return one, nil
	}
	for _, e := range entries(high) {
		if body, ok := e.val.(*py.Dict); ok && e.ok && !internal(e.text) && l.ids[e.text] == "" {
			l.ids[e.text] = textOf(body, "__sls__")
		}
	}
	if one.errs = c.High(high); len(one.errs) == 0 {
		one.high, one.chunks = high, c.Low(ctx, high)
	}
	return one, nil
}

// isData tells whether what an SLS was rendered to is no states but something else, as
// the pillars and top files that lie beside the states of a formula: nothing in it is, or
// may have been meant as, a state.
func (l *linter) isData(c *Compiler, high *py.Dict, errs Errors) bool {
	var re *render.Error
	if c.someState || high.Len() == 0 || slices.ContainsFunc(errs, func(e *Error) bool { return errors.As(e.Err, &re) }) {
		return false
	}
	for _, e := range entries(high) {
		body, ok := e.val.(*py.Dict)
		if !ok {
			if internal(e.text) {
				return false // extend and exclude are of states
			}
			continue
		}
		for _, s := range entries(body) {
			if !internal(s.text) && l.isState(s.text, s.val) {
				return false
			}
		}
	}
	return true
}

// isState tells whether a key is a module of states, as "pkg", and its value names one of
// the module's functions, in whatever form.
func (l *linter) isState(mod string, v py.Value) bool {
	if l.functions == nil {
		return false
	}
	known := func(fun string) bool {
		name := mod + "." + fun
		return l.functions.Lookup(name) != nil || slices.Contains(l.functions.PlannedNames(), name)
	}
	switch x := v.(type) {
	case *py.List:
		return slices.ContainsFunc(x.Items, func(e py.Value) bool {
			s, ok := py.AsString(e)
			return ok && known(s)
		})
	case *py.Dict:
		return slices.ContainsFunc(entries(x), func(e entry) bool { return known(e.text) })
	}
	s, ok := py.AsString(v)
	return ok && known(s)
}

// stateKey is the form of "module.function".
var stateKey = lazyre.New(`^[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*$`)

// extended takes the ID out of Salt's message for an extend of what is not there.
var extended = lazyre.New(`^Cannot extend ID '([^']*)'`)

// report makes a finding of an error of compiling.
func (l *linter) report(one *linted, e *Error, rule string) {
	f := Finding{Rule: rule, Msg: e.Msg, At: e.At}
	if f.At.File == "" && one.file != nil {
		f.At.File = one.file.source
	}
	if f.At.File == "" {
		f.At.File = one.sls
	}
	switch {
	case strings.Contains(e.Msg, "not available on the salt master"), strings.HasPrefix(e.Msg, "No matching sls found"):
		f.Rule = "include"
	case strings.HasPrefix(e.Msg, "Detected conflicting IDs"):
		f.Rule = "duplicate-id"
	}
	if m := extended.FindStringSubmatch(e.Msg); m != nil {
		f.Msg, _, _ = strings.Cut(e.Msg, "\n")
		if sls := l.ids[m[1]]; sls != "" && sls != one.sls {
			f.Rule, f.Warning = "include", true
			f.Msg += fmt.Sprintf(" It is in SLS %s, which is not included.", sls)
		}
	}
	var ye *saltyaml.Error
	var je *jinja.Error
	var re *render.Error
	if errors.As(e.Err, &re) {
		f.Rule = "render"
		f.Msg, _, _ = strings.Cut(re.Msg, "\n")
		switch {
		case errors.As(re.Err, &ye):
			f.Msg = ye.Problem
			f.At.Line, f.At.Column = ye.At.Line, ye.At.Column
			if strings.Contains(ye.Problem, "conflicting ID") {
				f.Rule = "duplicate-id"
			}
		case errors.As(re.Err, &je):
			f.At.Line = je.Line
			if je.Template != "" {
				f.At.File = "salt://" + je.Template
			}
		}
	}
	l.add(f)
}

var (
	tabbed  = lazyre.New(`^ *\t`)
	modeArg = lazyre.New(`^\s*-?\s*((?:file_|dir_)?mode):\s*(0o[0-7]+|[0-9]*[89][0-9]*)\s*(?:#.*)?$`)
)

// source looks at the file as it is written.
func (l *linter) source(f *file) {
	jinjaDepth := 0
	for i, line := range strings.Split(f.text, "\n") {
		at := Place{File: f.source, Line: i + 1}
		if m := tabbed.FindString(line); m != "" && jinjaDepth == 0 {
			at.Column = len(m)
			l.add(Finding{Rule: "tab", Msg: "a tab indents this line: YAML takes spaces only", At: at})
		}
		if m := modeArg.FindStringSubmatchIndex(line); m != nil {
			at.Column = m[4] + 1
			v := line[m[4]:m[5]]
			msg := fmt.Sprintf("%s is no mode: its digits go from 0 to 7", v)
			if strings.HasPrefix(v, "0o") {
				msg = fmt.Sprintf("%s is text for Salt's YAML: write '%s'", v, "0"+v[2:])
			}
			l.add(Finding{Rule: "mode", Msg: msg, At: at})
		}
		jinjaDepth += strings.Count(line, "{%") + strings.Count(line, "{#") - strings.Count(line, "%}") - strings.Count(line, "#}")
	}
}

// check looks at the states.
func (l *linter) check(one *linted) {
	for _, ch := range one.chunks {
		id, state := textOf(ch, "__id__"), textOf(ch, "state")
		at := one.c.At(id, state)
		l.function(ch, at)
		for _, kind := range requisites {
			if v, ok := ch.GetStr(kind); ok && kind != "prerequired" {
				l.requisite(one, ch, kind, v, at)
			}
		}
	}
}

// requisite tells of the states that a requisite names in vain.
func (l *linter) requisite(one *linted, ch *py.Dict, kind string, v py.Value, at Place) {
	reqs, ok := v.(*py.List)
	if !ok {
		return
	}
	for _, r := range reqs.Items {
		state, name := "", ""
		if d, ok := r.(*py.Dict); ok {
			k, v, _ := first(d)
			state, name = str(k), str(v)
		} else {
			name = str(r)
		}
		if state == "id" {
			state = ""
		}
		found := false
		var near []string
		for _, other := range one.chunks {
			oid, oname, osls := textOf(other, "__id__"), textOf(other, "name"), textOf(other, "__sls__")
			switch {
			case state == "sls":
				found = found || target.Fnmatch(name, osls)
				near = append(near, osls)
			case state == "" || state == textOf(other, "state"):
				found = found || target.Fnmatch(name, oid) || target.Fnmatch(name, oname)
				near = append(near, oid, oname)
			}
		}
		if found {
			continue
		}
		what := name
		if state != "" {
			what = state + ": " + name
		}
		f := Finding{Rule: "requisite", Msg: fmt.Sprintf("%s of %s names %s, which there is not", kind, textOf(ch, "__id__"), what), At: at}
		sls := l.known[state+":"+name]
		if sls == "" {
			sls = l.ids[name]
		}
		if state == "sls" {
			for other := range l.slss {
				near = append(near, other)
			}
			slices.Sort(near)
			if l.slss[name] {
				f.Warning = true
				f.Msg = fmt.Sprintf("%s of %s names %s, which is not included", kind, textOf(ch, "__id__"), what)
				if one.c.Included(l.env, name) {
					f.Msg = fmt.Sprintf("%s of %s names %s, which has no states here", kind, textOf(ch, "__id__"), what)
				} else {
					f.Rule = "include"
				}
			} else if n := module.Nearest(name, near); n != "" {
				f.Msg += ": did you mean " + n + "?"
			}
		} else if sls != "" && sls != one.sls {
			f.Rule, f.Warning = "include", true
			f.Msg += fmt.Sprintf(" by itself: it is in SLS %s, which is not included", sls)
		} else if n := module.Nearest(name, near); n != "" {
			f.Msg += ": did you mean " + n + "?"
		}
		l.add(f)
	}
}

// function tells of functions and arguments that there are not.
func (l *linter) function(ch *py.Dict, at Place) {
	if l.functions == nil {
		return
	}
	name := textOf(ch, "state") + "." + textOf(ch, "fun")
	fn := l.functions.Lookup(name)
	if fn == nil {
		f := Finding{Rule: "unknown-state", Msg: "gosalt has no state " + name, At: at}
		if slices.Contains(l.functions.PlannedNames(), name) {
			f.Msg, f.Warning = "gosalt does not run "+name+" yet", true
		} else if mod := textOf(ch, "state"); !slices.Contains(l.functions.Modules(), mod) && slices.Contains(saltModules, mod) {
			f.Msg, f.Warning = fmt.Sprintf("gosalt has no state %s: %s is one of Salt's modules that it does not have", name, mod), true
		} else if n := module.Nearest(name, l.functions.Names()); n != "" {
			f.Msg += ": did you mean " + n + "?"
		} else {
			f.Warning = !slices.Contains(l.functions.Modules(), mod)
		}
		l.add(f)
		return
	}
	spec := fn.Spec()
	for _, e := range entries(ch) {
		if !e.ok || Keyword(e.text) || slices.Contains(spec.Args, e.text) {
			continue
		}
		// Functions that take any argument hand it to templates or to others.
		f := Finding{Rule: "unknown-argument", Warning: true, Msg: fmt.Sprintf("%s has no argument %s", name, e.text), At: at}
		if n := module.Nearest(e.text, spec.Args); n != "" {
			f.Warning = spec.Kwargs
			f.Msg += ": did you mean " + n + "?"
		} else if spec.Kwargs {
			continue
		}
		l.add(f)
	}
	for _, a := range spec.Args[:max(0, len(spec.Args)-len(spec.Defaults))] {
		if !has(ch, a) {
			l.add(Finding{Rule: "missing-argument", Msg: fmt.Sprintf("%s needs the argument %s", name, a), At: at})
		}
	}
}
