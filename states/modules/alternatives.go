package modules

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("alternatives.install", alternativesInstall)
	register("alternatives.remove", alternativesRemove)
	register("alternatives.auto", alternativesAuto)
	register("alternatives.set", alternativesSet)
}

// alternativesResult gives a plan the keys that the results of these states have besides.
func alternativesResult(p *states.Plan, kv ...any) *states.Plan {
	for i := 0; i < len(kv); i += 2 {
		p.Set(kv[i].(string), kv[i+1])
	}
	return p
}

type alternativesInstallArgs struct {
	Name     string // Name of the group: editor.
	Link     string // Its link: /usr/bin/editor.
	Path     string // Path of the alternative.
	Priority any    // The highest one is taken, where nobody has chosen.
}

// alternativesInstall makes sure that a group of alternatives has a path.
func alternativesInstall(ctx context.Context, c *states.Call, a alternativesInstallArgs) (*states.Plan, error) {
	more := []any{"link", a.Link, "path", a.Path, "priority", a.Priority}
	there, err := truth(ctx, c, "alternatives.check_exists", a.Name, a.Path)
	if err != nil {
		return nil, err
	}
	if there {
		return alternativesResult(decided(true, "Alternative %s for %s is already registered", a.Path, a.Name), more...), nil
	}
	if c.Test {
		if why := a.refused(c); why != "" {
			return alternativesResult(decided(false, "Alternative for %s not installed: %s", a.Name, why), more...), nil
		}
		return alternativesResult(decided(nil, "Alternative will be set for %s to %s with priority %s", a.Name, a.Path, pytext.Str(a.Priority)), more...), nil
	}
	p := &states.Plan{}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		for i := 0; i < len(more); i += 2 {
			r.Set(more[i].(string), more[i+1])
		}
		out, err := text(ctx, c, "alternatives.install", a.Name, a.Link, a.Path, a.Priority)
		if err != nil {
			return err
		}
		there, err := truth(ctx, c, "alternatives.check_exists", a.Name, a.Path)
		if err != nil {
			return err
		}
		if !there {
			return module.Failf("Alternative for %s not installed: %s", a.Name, out)
		}
		chosen, err := truth(ctx, c, "alternatives.check_installed", a.Name, a.Path)
		if err != nil {
			return err
		}
		r.Comment = fmt.Sprintf("Alternative for %s set to path %s with priority %s", a.Name, a.Path, pytext.Str(a.Priority))
		if !chosen {
			r.Comment = fmt.Sprintf("Alternative %s for %s registered with priority %s and not set to default", a.Path, a.Name, pytext.Str(a.Priority))
		}
		r.SetChanges(wire.NewMap("name", a.Name, "link", a.Link, "path", a.Path, "priority", a.Priority))
		return nil
	})
	return p, nil
}

// refused is what update-alternatives of dpkg 1.21 will say where it will not take an
// alternative; "" where it may.
func (a *alternativesInstallArgs) refused(c *states.Call) string {
	if c.Grains().Text("os_family") != "Debian" {
		return ""
	}
	priority := pytext.Str(a.Priority)
	_, err := strconv.ParseInt(priority, 10, 32)
	const usage = "\n\nUse 'update-alternatives --help' for program usage information."
	switch {
	case errors.Is(err, strconv.ErrRange):
		return fmt.Sprintf("update-alternatives: priority '%s' is out of range", priority) + usage
	case err != nil:
		return fmt.Sprintf("update-alternatives: priority '%s' must be an integer", priority) + usage
	case strings.ContainsAny(a.Name, "/ "):
		return fmt.Sprintf("update-alternatives: error: alternative name (%s) must not contain '/' and spaces", a.Name)
	case !filepath.IsAbs(a.Link):
		return "update-alternatives: error: alternative link is not absolute as it should be: " + a.Link
	case !filepath.IsAbs(a.Path):
		return "update-alternatives: error: alternative path is not absolute as it should be: " + a.Path
	case !c.Host.Exists(a.Path) && !mayBeMade(c, a.Path):
		return fmt.Sprintf("update-alternatives: error: alternative path %s doesn't exist", a.Path)
	case lacksDir(c, filepath.Dir(a.Link)):
		return fmt.Sprintf("update-alternatives: error: error creating symbolic link '%s.dpkg-tmp': No such file or directory", a.Link)
	}
	return ""
}

type alternativesPathArgs struct {
	Name string // Name of the group: editor.
	Path string // Path of one of its alternatives.
}

// alternativesRemove makes sure that a path is no alternative of a group.
func alternativesRemove(ctx context.Context, c *states.Call, a alternativesPathArgs) (*states.Plan, error) {
	there, err := truth(ctx, c, "alternatives.check_exists", a.Name, a.Path)
	if err != nil {
		return nil, err
	}
	current := func(ctx context.Context) (any, error) {
		return c.Call.Call(ctx, "alternatives.show_current", []any{a.Name}, nil)
	}
	if !there {
		now, err := current(ctx)
		if err != nil {
			return nil, err
		}
		if module.Truth(now) {
			return alternativesResult(decided(true, "Alternative for %s is set to it's default path %s", a.Name, now), "path", a.Path), nil
		}
		return alternativesResult(decided(false, "Alternative for %s doesn't exist", a.Name), "path", a.Path), nil
	}
	if c.Test {
		return alternativesResult(decided(nil, "Alternative for %s will be removed", a.Name), "path", a.Path), nil
	}
	p := &states.Plan{}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		r.Set("path", a.Path)
		if _, err := text(ctx, c, "alternatives.remove", a.Name, a.Path); err != nil {
			return err
		}
		now, err := current(ctx)
		if err != nil {
			return err
		}
		r.Comment = fmt.Sprintf("Alternative for %s removed", a.Name)
		if module.Truth(now) {
			r.Comment += fmt.Sprintf(". Falling back to path %s", now)
			r.Change("path", now)
		}
		return nil
	})
	return p, nil
}

type alternativesNameArgs struct {
	Name string // Name of the group: editor.
}

// alternativesAuto makes sure that a group leads to its alternative of the highest priority.
func alternativesAuto(ctx context.Context, c *states.Call, a alternativesNameArgs) (*states.Plan, error) {
	display, err := text(ctx, c, "alternatives.display", a.Name)
	if err != nil {
		return nil, err
	}
	first, _, _ := strings.Cut(display, "\n")
	_, chosen := firstEffect(c, effect{"alternatives", a.Name})
	if strings.HasSuffix(first, " auto mode") && !chosen {
		return decided(true, "%s already in auto mode", a.Name), nil
	}
	p := &states.Plan{Would: a.Name + " will be put in auto mode"}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		out, err := text(ctx, c, "alternatives.auto", a.Name)
		if err == nil {
			r.Change("result", out)
		}
		return err
	})
	return p, nil
}

// alternativesSet makes sure that a group leads to one of its alternatives.
func alternativesSet(ctx context.Context, c *states.Call, a alternativesPathArgs) (*states.Plan, error) {
	now, err := c.Call.Call(ctx, "alternatives.show_current", []any{a.Name}, nil)
	if err != nil {
		return nil, err
	}
	if now == a.Path {
		return alternativesResult(decided(true, "Alternative for %s already set to %s", a.Name, a.Path), "path", a.Path), nil
	}
	there, err := truth(ctx, c, "alternatives.check_exists", a.Name, a.Path)
	if err != nil {
		return nil, err
	}
	if !there {
		return alternativesResult(decided(false, "Alternative %s for %s doesn't exist", a.Path, a.Name), "path", a.Path), nil
	}
	if c.Test {
		return alternativesResult(decided(nil, "Alternative for %s will be set to path %s", a.Name, a.Path), "path", a.Path), nil
	}
	p := &states.Plan{}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		r.Set("path", a.Path)
		if _, err := text(ctx, c, "alternatives.set", a.Name, a.Path); err != nil {
			return err
		}
		now, err := c.Call.Call(ctx, "alternatives.show_current", []any{a.Name}, nil)
		if err != nil {
			return err
		}
		r.Comment = fmt.Sprintf("Alternative for %s not updated", a.Name)
		if now == a.Path {
			r.Comment = fmt.Sprintf("Alternative for %s set to path %s", a.Name, a.Path)
			r.Change("path", now)
		}
		return nil
	})
	return p, nil
}
