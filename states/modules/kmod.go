package modules

import (
	"context"
	"fmt"
	"strings"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("kmod.present", kmodPresent)
	register("kmod.absent", kmodAbsent)
}

// kmodWords words a comment about modules: one form for one, another for several.
func kmodWords(mods []string, one, several string) string {
	if len(mods) == 1 {
		return fmt.Sprintf(one, mods[0])
	}
	return fmt.Sprintf(several, strings.Join(mods, ", "))
}

func kmodMods(name string, mods any) []string {
	if l, ok := mods.([]any); ok {
		return optionList(l)
	}
	return []string{name}
}

// kmodList lists what is loaded, or what is loaded at start.
func kmodList(ctx context.Context, c *states.Call, persist bool) ([]string, error) {
	v, err := c.Call.Call(ctx, "kmod.mod_list", args(persist), nil)
	if unavailable(err) {
		return nil, notFound(c, "'kmod' __virtual__ returned False: kmod module could not be loaded")
	}
	return optionList(v), err
}

type kmodPresentArgs struct {
	Name    string // Name of a module of the kernel.
	Persist bool   `default:"False"` // It is loaded at each start, too.
	Mods    any    `default:"None"`  // Several modules, in place of name.
}

// kmodPresent makes sure that modules of the kernel are loaded.
func kmodPresent(ctx context.Context, c *states.Call, a kmodPresentArgs) (*states.Plan, error) {
	loaded, err := kmodList(ctx, c, false)
	if err != nil {
		return nil, err
	}
	kept := loaded
	if a.Persist {
		if kept, err = kmodList(ctx, c, true); err != nil {
			return nil, err
		}
	}
	var have, todo, missing []string
	for _, m := range kmodMods(a.Name, a.Mods) {
		if contains(loaded, m) && contains(kept, m) {
			have = append(have, m)
		} else {
			todo = append(todo, m)
		}
	}
	var lines []string
	if have != nil {
		lines = append(lines, kmodWords(have, "Kernel module %s is already present", "Kernel modules %s are already present"))
	}
	if todo == nil {
		return &states.Plan{Fine: strings.Join(lines, "\n")}, nil
	}
	v, err := c.Call.Call(ctx, "kmod.available", nil, nil)
	if err != nil {
		return nil, err
	}
	available := optionList(v)
	would := append([]string{}, lines...)
	p := &states.Plan{Would: strings.Join(append(would, kmodWords(todo, "Kernel module %s is set to be loaded", "Kernel modules %s are set to be loaded")), "\n")}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		var load []string
		for _, m := range todo {
			if contains(available, m) {
				load = append(load, m)
			} else {
				missing = append(missing, m)
			}
		}
		if missing != nil {
			lines = append(lines, kmodWords(missing, "Kernel module %s is unavailable", "Kernel modules %s are unavailable"))
			r.Result = false
		}
		more, err := kmodEach(r, load, "loaded", true, func(m string) (any, error) {
			return c.Call.Call(ctx, "kmod.load", args(m, a.Persist), nil)
		}, [3]string{"Loaded", "load", "load"})
		r.Comment = strings.Join(append(lines, more...), "\n")
		return err
	})
	return p, nil
}

// kmodEach does something to each module, and words what has become of it.
func kmodEach(r *states.Result, mods []string, done string, skip bool, do func(string) (any, error), verbs [3]string) (lines []string, err error) {
	var yes, no, failed, along []string
	for _, m := range mods {
		if skip && contains(along, m) {
			yes = append(yes, m)
			continue
		}
		v, err := do(m)
		if err != nil {
			return nil, err
		}
		l, ok := v.([]any)
		switch {
		case !ok:
			failed = append(failed, fmt.Sprintf("Failed to %s kernel module %s: %s", verbs[1], m, pytext.Str(v)))
		case len(l) == 0:
			no = append(no, m)
		default:
			for _, e := range l {
				r.Change(pytext.Str(e), done)
				along = append(along, pytext.Str(e))
			}
			yes = append(yes, m)
		}
	}
	if yes != nil {
		lines = append(lines, verbs[0]+kmodWords(yes, " kernel module %s", " kernel modules %s"))
	}
	if no != nil {
		lines = append(lines, "Failed to "+verbs[1]+kmodWords(no, " kernel module %s", " kernel modules %s"))
	}
	if no != nil || failed != nil {
		r.Result = false
	}
	return append(lines, failed...), nil
}

type kmodAbsentArgs struct {
	Name    string // Name of a module of the kernel.
	Persist bool   `default:"False"` // It is not loaded at start, either.
	Comment bool   `default:"True"`  // Put a # in front of its line, in place of removing it.
	Mods    any    `default:"None"`  // Several modules, in place of name.
}

// kmodAbsent makes sure that modules of the kernel are not loaded.
func kmodAbsent(ctx context.Context, c *states.Call, a kmodAbsentArgs) (*states.Plan, error) {
	loaded, err := kmodList(ctx, c, false)
	if err != nil {
		return nil, err
	}
	if a.Persist {
		kept, err := kmodList(ctx, c, true)
		if err != nil {
			return nil, err
		}
		loaded = append(loaded, kept...)
	}
	mods := kmodMods(a.Name, a.Mods)
	var todo []string
	for _, m := range mods {
		if contains(loaded, m) {
			todo = append(todo, m)
		}
	}
	if todo == nil {
		return &states.Plan{Fine: kmodWords(mods, "Kernel module %s is already removed", "Kernel modules %s are already removed")}, nil
	}
	p := &states.Plan{Would: kmodWords(todo, "Kernel module %s is set to be removed", "Kernel modules %s are set to be removed")}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		lines, err := kmodEach(r, todo, "removed", false, func(m string) (any, error) {
			return c.Call.Call(ctx, "kmod.remove", args(m, a.Persist, a.Comment), nil)
		}, [3]string{"Removed", "remove", "remove"})
		r.Comment = strings.Join(lines, "\n")
		return err
	})
	return p, nil
}
