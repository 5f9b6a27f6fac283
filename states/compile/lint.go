package compile

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

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
// state functions that there are; nil leaves them alone.
func Lint(ctx context.Context, cfg Config, env string, names []string, functions *module.Registry) ([]Finding, error) {
	l := &linter{cfg: cfg, env: env, functions: functions, seen: map[Finding]bool{}, ids: map[string]string{}}
	compiled := make([]*linted, 0, len(names))
	for _, sls := range names {
		one, err := l.compile(ctx, sls)
		if err != nil {
			return nil, err
		}
		compiled = append(compiled, one)
	}
	for _, one := range compiled {
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
}

// linted is one SLS, compiled.
type linted struct {
	c      *Compiler
	sls    string
	file   *file
	high   *py.Dict
	chunks []*py.Dict
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
	if one.file != nil {
		l.source(one.file)
	}
	high, errs, err := c.SLS(ctx, NewMatches(l.env, sls))
	if err != nil {
		return nil, err
	}
	for _, e := range errs {
		l.report(one, e, "structure")
	}
	if len(errs) > 0 {
		return one, nil
	}
	for _, e := range entries(high) {
		if body, ok := e.val.(*py.Dict); ok && e.ok && !internal(e.text) && l.ids[e.text] == "" {
			l.ids[e.text] = textOf(body, "__sls__")
		}
	}
	for _, e := range c.High(high) {
		l.report(one, e, "structure")
		err = e
	}
	if err == nil {
		one.high, one.chunks = high, c.Low(ctx, high)
	}
	return one, nil
}

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
	tabbed  = regexp.MustCompile(`^ *\t`)
	modeArg = regexp.MustCompile(`^\s*-?\s*((?:file_|dir_)?mode):\s*(0[0-9]+|0o[0-7]+|[0-9]*[89][0-9]*)\s*(?:#.*)?$`)
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
			msg := fmt.Sprintf("%s is read as the number %s: write it in quotes, '%s'", v, strings.TrimLeft(v, "0"), v)
			switch {
			case strings.HasPrefix(v, "0o"):
				msg = fmt.Sprintf("%s is text for Salt's YAML: write '%s'", v, "0"+v[2:])
			case strings.ContainsAny(v, "89"):
				msg = fmt.Sprintf("%s is no mode: its digits go from 0 to 7", v)
			}
			l.add(Finding{Rule: "mode", Warning: !strings.ContainsAny(v, "89o"), Msg: msg, At: at})
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
		if sls := l.ids[name]; sls != "" && sls != one.sls {
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
		} else if n := module.Nearest(name, l.functions.Names()); n != "" {
			f.Msg += ": did you mean " + n + "?"
		} else {
			f.Warning = !slices.Contains(l.functions.Modules(), textOf(ch, "state"))
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
