package modules

import (
	"context"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// openrcServices is a machine with OpenRC: Alpine, Gentoo.
type openrcServices struct{ c *module.Call }

// levels are the services by name with their runlevels, none for one that is disabled.
func (s *openrcServices) levels(ctx context.Context) (*wire.Map, error) {
	out, err := runTool(ctx, s.c, program{args: []string{"rc-update", "-v", "show"}})
	if err != nil {
		return nil, err
	}
	return openrcLevels(out.out), nil
}

// openrcLevels reads what rc-update shows.
func openrcLevels(text string) *wire.Map {
	m := wire.NewMap()
	for _, line := range strings.Split(text, "\n") {
		name, levels, ok := strings.Cut(line, "|")
		if !ok {
			continue
		}
		l := []any{}
		words := strings.Fields(levels)
		slices.Sort(words)
		for _, w := range words {
			l = append(l, w)
		}
		m.Set(strings.TrimSpace(name), l)
	}
	return m
}

func (s *openrcServices) action(ctx context.Context, verb, name string, _ serviceOptions) (bool, error) {
	switch verb {
	case "start", "stop", "restart", "reload", "zap":
		return ran(ctx, s.c, false, "/etc/init.d/"+name, verb)
	}
	return false, notHere(s.c)
}

func (s *openrcServices) status(ctx context.Context, name, sig string) (any, error) {
	if sig != "" {
		pid, err := pidOf(ctx, s.c, sig)
		return pid != "", err
	}
	return statusOf(name, func() ([]string, error) {
		m, err := s.levels(ctx)
		var names []string
		for k := range m.Strings() {
			names = append(names, k)
		}
		return names, err
	}, func(name string) (any, error) { return ran(ctx, s.c, true, "/etc/init.d/"+name, "status") })
}

func (s *openrcServices) available(ctx context.Context, name string) (bool, error) {
	m, err := s.levels(ctx)
	return err == nil && m.Has(name), err
}

func runlevelList(v any) []string {
	var out []string
	if l, ok := v.([]any); ok {
		for _, e := range l {
			out = append(out, pytext.Str(e))
		}
	} else {
		out = []string{pytext.Str(v)}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// current are the runlevels that a service is in.
func (s *openrcServices) current(ctx context.Context, name string) ([]string, error) {
	m, err := s.levels(ctx)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, l := range m.List(name) {
		out = append(out, l.(string))
	}
	return out, nil
}

// lacking is a without what is in b.
func lacking(a, b []string) []string {
	out := []string{}
	for _, s := range a {
		if !slices.Contains(b, s) {
			out = append(out, s)
		}
	}
	return out
}

func (s *openrcServices) enable(ctx context.Context, name string, o serviceOptions) (bool, error) {
	if o.runlevels == nil {
		return ran(ctx, s.c, false, "rc-update", "add", name)
	}
	have, err := s.current(ctx, name)
	if err != nil {
		return false, err
	}
	want := runlevelList(o.runlevels)
	for _, step := range []struct {
		verb   string
		levels []string
	}{{"delete", lacking(have, want)}, {"add", lacking(want, have)}} {
		if len(step.levels) > 0 {
			if ok, err := ran(ctx, s.c, false, append([]string{"rc-update", step.verb, name}, step.levels...)...); err != nil || !ok {
				return false, err
			}
		}
	}
	return true, nil
}

func (s *openrcServices) disable(ctx context.Context, name string, o serviceOptions) (bool, error) {
	args := []string{"rc-update", "delete", name}
	if o.runlevels != nil {
		have, err := s.current(ctx, name)
		if err != nil {
			return false, err
		}
		levels := lacking(have, lacking(have, runlevelList(o.runlevels)))
		if len(levels) == 0 {
			return true, nil
		}
		args = append(args, levels...)
	}
	return ran(ctx, s.c, false, args...)
}

func (s *openrcServices) enabled(ctx context.Context, name string, o serviceOptions) (bool, error) {
	have, err := s.current(ctx, name)
	if err != nil || len(have) == 0 {
		return false, err
	}
	return o.runlevels == nil || len(lacking(runlevelList(o.runlevels), have)) == 0, nil
}

func (s *openrcServices) disabled(ctx context.Context, name string, _ serviceOptions) (bool, error) {
	m, err := s.levels(ctx)
	return err == nil && m.Has(name) && len(m.List(name)) == 0, err
}

func (s *openrcServices) list(ctx context.Context, which, _ string) (any, error) {
	m, err := s.levels(ctx)
	if err != nil || which == "all" {
		return m, err
	}
	on, off := wire.NewMap(), []string{}
	for k, v := range m.Strings() {
		if len(v.([]any)) > 0 {
			on.Set(k, v)
		} else {
			off = append(off, k)
		}
	}
	if which == "enabled" {
		return on, nil
	}
	slices.Sort(off)
	return off, nil
}
