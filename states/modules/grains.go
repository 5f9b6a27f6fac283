package modules

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("grains.exists", grainsExists)
	register("grains.present", grainsPresent)
	register("grains.absent", grainsAbsent)
	register("grains.append", grainsAppend)
	register("grains.list_present", grainsListPresent)
	register("grains.list_absent", grainsListAbsent)
}

type grainsArgs struct {
	Name      string // Name of the grain, with : between those of nested ones: a:b.
	Delimiter string `default:":"` // What stands between the names of nested grains in name.
}

// path is the grain's name with ":" between the names.
func (a grainsArgs) path() string {
	if a.Delimiter == "" {
		return a.Name
	}
	return strings.ReplaceAll(a.Name, a.Delimiter, ":")
}

// grain returns the value of a grain, and whether there is one.
func grain(ctx context.Context, c *states.Call, name string) (v any, ok bool, err error) {
	v, err = c.Call.Call(ctx, "grains.get", args(name, notThere), nil)
	return v, v != notThere, err
}

// grainsExists fails where a grain is not set.
func grainsExists(ctx context.Context, c *states.Call, a grainsArgs) (*states.Plan, error) {
	name := a.path()
	_, ok, err := grain(ctx, c, name)
	if err != nil {
		return nil, err
	}
	p := states.Decided(ok, nil, "Grain exists")
	if !ok {
		p = states.Decided(false, nil, "Grain does not exist")
	}
	p.Name = name
	return p, nil
}

type grainsPresentArgs struct {
	Name      string // Name of the grain, with : between those of nested ones: a:b.
	Value     any    // Its value.
	Delimiter string `default:":"`     // What stands between the names of nested grains in name.
	Force     bool   `default:"False"` // Replace lists and maps, and put them in place of other values.
}

// grainsPresent sets a static grain, a nested one too. A list or a map is replaced only
// with force.
func grainsPresent(ctx context.Context, c *states.Call, a grainsPresentArgs) (*states.Plan, error) {
	name := grainsArgs{a.Name, a.Delimiter}.path()
	old, ok, err := grain(ctx, c, name)
	if err != nil {
		return nil, err
	}
	p := &states.Plan{Name: name, Fine: "Grain is already set"}
	if ok && pytext.Equal(old, a.Value) {
		return p, nil
	}
	if c.Test && !a.Force {
		if err := a.refused(ctx, c, name, old); err != nil {
			return p, err
		}
	}
	changes := wire.NewMap("new", name)
	p.Would = fmt.Sprintf("Grain %s is set to be added", name)
	if ok {
		changes = wire.NewMap("changed", wire.NewMap(name, a.Value))
		p.Would = fmt.Sprintf("Grain %s is set to be changed", name)
	}
	p.Do(changes, func(ctx context.Context, r *states.Result) error {
		r.Comment = fmt.Sprintf("Set grain %s to %s", name, pytext.Str(a.Value))
		return setGrain(ctx, c, r, name, a.Value, false, a.Force)
	})
	return p, nil
}

// refused fails as grains.set will, which puts a value in the place of another kind of
// value only with force, unless an earlier state of the run may change the grains.
func (a *grainsPresentArgs) refused(ctx context.Context, c *states.Call, name string, old any) error {
	why := ""
	compound := func(v any) bool { _, list := v.([]any); _, m := v.(*wire.Map); return list || m }
	switch {
	case old != nil && compound(old):
		why = fmt.Sprintf("The key '%s' exists but is a dict or a list. Use 'force=True' to overwrite.", name)
	case old != nil && compound(a.Value):
		why = fmt.Sprintf("The key '%s' exists and the given value is a dict or a list. Use 'force=True' to overwrite.", name)
	}
	for key := name; why == "" && strings.Contains(key, ":"); {
		i := strings.LastIndexByte(key, ':')
		rest := key[i+1:]
		key = key[:i]
		outer, ok, err := grain(ctx, c, key)
		if err != nil {
			return err
		}
		if ok && !compound(outer) && outer != rest {
			why = fmt.Sprintf("The key '%s' value is '%s', which is different from the provided key '%s'. Use 'force=True' to overwrite.", key, pytext.Str(outer), rest)
		}
	}
	if why == "" || comesFirst(c, func(low *wire.Map) bool {
		state := low.Text("state")
		return state == "grains" || state == "file" || low.Has("reload_grains") || !slices.Contains(dirless, state)
	}) {
		return nil
	}
	return module.Failf("%s", why)
}

// setGrain calls grains.set and takes its changes; its comment where it tells one.
func setGrain(ctx context.Context, c *states.Call, r *states.Result, name string, v any, destructive, force bool) error {
	out, err := c.Call.Call(ctx, "grains.set", args(name, v), wire.NewMap("destructive", destructive, "force", force))
	if err != nil {
		return err
	}
	res, _ := out.(*wire.Map)
	r.SetChanges(res.Map("changes"))
	if get(res, "result") != true {
		r.Result = false
	}
	if r.Result == false || r.Changes.Len() == 0 {
		r.Comment = res.Text("comment")
	}
	return nil
}

type grainsAbsentArgs struct {
	Name        string // Name of the grain, with : between those of nested ones: a:b.
	Destructive bool   `default:"False"` // Remove it, where otherwise its value becomes None.
	Delimiter   string `default:":"`     // What stands between the names of nested grains in name.
	Force       bool   `default:"False"` // Lists and maps, too.
}

// grainsAbsent makes the value of a static grain None, or removes it.
func grainsAbsent(ctx context.Context, c *states.Call, a grainsAbsentArgs) (*states.Plan, error) {
	name := grainsArgs{a.Name, a.Delimiter}.path()
	old, ok, err := grain(ctx, c, name)
	if err != nil {
		return nil, err
	}
	p := &states.Plan{Name: name, Fine: fmt.Sprintf("Grain %s does not exist", name)}
	if !ok {
		return p, nil
	}
	changes := wire.NewMap("grain", name, "value", nil)
	did := fmt.Sprintf("Value for grain %s was set to None", name)
	switch {
	case a.Destructive:
		changes = wire.NewMap("deleted", name)
		p.Would = fmt.Sprintf("Grain %s is set to be deleted", name)
		did = fmt.Sprintf("Grain %s was deleted", name)
	case old == nil: // Salt plans it, and finds then that it is so
		p.Fine = "Grain is already set"
		return p, nil
	default:
		p.Would = fmt.Sprintf("Value for grain %s is set to be deleted (None)", name)
	}
	p.Do(changes, func(ctx context.Context, r *states.Result) error {
		if err := setGrain(ctx, c, r, name, nil, a.Destructive, a.Force); err != nil {
			return err
		}
		if r.Result == true {
			r.Comment = did
			r.SetChanges(changes)
		}
		return nil
	})
	return p, nil
}

type grainsAppendArgs struct {
	Name      string // Name of the grain, which has to be there.
	Value     any    // What to append.
	Convert   bool   `default:"False"` // Make a list of a grain that is none.
	Delimiter string `default:":"`     // What stands between the names of nested grains in name.
}

// grainsAppend appends a value to a list among the static grains, unless it is in there.
func grainsAppend(ctx context.Context, c *states.Call, a grainsAppendArgs) (*states.Plan, error) {
	name := grainsArgs{a.Name, a.Delimiter}.path()
	old, _, err := grainOrNone(ctx, c, name)
	if err != nil {
		return nil, err
	}
	p := &states.Plan{Name: name, Did: fmt.Sprintf("Value %s was added to grain %s", pytext.Str(a.Value), name)}
	list, isList := old.([]any)
	switch {
	case !module.Truth(old) && !c.Grains().Has(name):
		return named(name, states.Decided(false, nil, fmt.Sprintf("Grain %s does not exist", name))), nil
	case !isList && !a.Convert:
		return named(name, states.Decided(false, nil, fmt.Sprintf("Grain %s is not a valid list", name))), nil
	case isList && among(list, a.Value):
		p.Fine = fmt.Sprintf("Value %s is already in the list for grain %s", pytext.Str(a.Value), name)
		return p, nil
	}
	p.Would = fmt.Sprintf("Value %s in grain %s is set to be added", pytext.Str(a.Value), name)
	if !isList {
		p.Would = fmt.Sprintf("Grain %s is set to be converted to list and value %s will be added", name, pytext.Str(a.Value))
	}
	p.Do(wire.NewMap("added", a.Value), func(ctx context.Context, r *states.Result) error {
		if isList {
			_, err := c.Call.Call(ctx, "grains.append", args(name, a.Value), nil)
			return err
		}
		all := []any{a.Value}
		if old != nil {
			all = []any{old, a.Value}
		}
		// Salt writes a grain of this name, be it that of a nested one.
		_, err := c.Call.Call(ctx, "grains.setval", args(name, all), nil)
		return err
	})
	return p, nil
}

// grainOrNone is grain with None for one that is not there.
func grainOrNone(ctx context.Context, c *states.Call, name string) (any, bool, error) {
	v, ok, err := grain(ctx, c, name)
	if !ok {
		v = nil
	}
	return v, ok, err
}

func named(name string, p *states.Plan) *states.Plan {
	p.Name = name
	return p
}

func among(list []any, v any) bool {
	return slices.ContainsFunc(list, func(e any) bool { return pytext.Equal(e, v) })
}

type grainsListArgs struct {
	Name      string // Name of the grain, with : between those of nested ones: a:b.
	Value     any    // The value, or a list of them.
	Delimiter string `default:":"` // What stands between the names of nested grains in name.
}

// grainsListPresent makes sure that a list among the static grains has a value, or
// several. It makes a list where there is no such grain.
func grainsListPresent(ctx context.Context, c *states.Call, a grainsListArgs) (*states.Plan, error) {
	name := grainsArgs{a.Name, a.Delimiter}.path()
	old, ok, err := grain(ctx, c, name)
	if err != nil {
		return nil, err
	}
	if !ok {
		old = ""
	}
	p := &states.Plan{Name: name}
	value := a.Value
	p.Would = fmt.Sprintf("Grain %s is set to be added", name)
	if module.Truth(old) {
		list, isList := old.([]any)
		if !isList {
			return named(name, states.Decided(false, nil, fmt.Sprintf("Grain %s is not a valid list", name))), nil
		}
		want, several := value.([]any)
		already := among(list, value)
		if several {
			already = !slices.ContainsFunc(want, func(v any) bool { return !among(list, v) })
		}
		if already {
			p.Fine = fmt.Sprintf("Value %s is already in grain %s", pytext.Str(value), name)
			return p, nil
		}
		if several {
			value = pending(c, name, want)
		}
		p.Would = fmt.Sprintf("Value %s is set to be appended to grain %s", pytext.Str(value), name)
	}
	p.Do(wire.NewMap("new", old), func(ctx context.Context, r *states.Result) error {
		written, err := c.Call.Call(ctx, "grains.append", args(name, value), nil)
		if err != nil {
			return err
		}
		now, _, err := grainOrNone(ctx, c, name)
		if err != nil {
			return err
		}
		list, _ := now.([]any)
		want, several := value.([]any)
		if !several {
			want = []any{value}
		}
		if slices.ContainsFunc(want, func(v any) bool { return !among(list, v) }) {
			r.Result = false
			r.SetChanges(nil)
			r.Comment = fmt.Sprintf("Failed append value %s to grain %s", pytext.Str(value), name)
			return nil
		}
		r.Comment = fmt.Sprintf("Append value %s to grain %s", pytext.Str(value), name)
		r.SetChanges(wire.NewMap("new", written))
		return nil
	})
	return p, nil
}

// pending leaves out what an earlier state of the run has asked for, as Salt does, and
// notes the rest.
func pending(c *states.Call, name string, want []any) []any {
	const key = "grains.pending"
	all, _ := c.Shared.Get(key).(map[string][]any)
	if all == nil {
		all = map[string][]any{}
	}
	rest := slices.DeleteFunc(slices.Clone(want), func(v any) bool { return among(all[name], v) })
	all[name] = append(all[name], rest...)
	c.Shared.Set(key, all)
	return rest
}

// grainsListAbsent removes a value, or several, from a list among the static grains.
func grainsListAbsent(ctx context.Context, c *states.Call, a grainsListArgs) (*states.Plan, error) {
	name := grainsArgs{a.Name, a.Delimiter}.path()
	old, _, err := grainOrNone(ctx, c, name)
	if err != nil {
		return nil, err
	}
	if !module.Truth(old) {
		return &states.Plan{Name: name, Fine: fmt.Sprintf("Grain %s does not exist", name)}, nil
	}
	list, isList := old.([]any)
	if !isList {
		return named(name, states.Decided(false, nil, fmt.Sprintf("Grain %s is not a valid list", name))), nil
	}
	values, several := a.Value.([]any)
	if !several {
		values = []any{a.Value}
	}
	var would, did []string
	gone := []any{}
	left := slices.Clone(list)
	for _, v := range values {
		if i := slices.IndexFunc(left, func(e any) bool { return pytext.Equal(e, v) }); i >= 0 {
			left = slices.Delete(left, i, i+1)
			would = append(would, fmt.Sprintf("Value %s in grain %s is set to be deleted", pytext.Str(v), name))
			did = append(did, fmt.Sprintf("Value %s was deleted from grain %s", pytext.Str(v), name))
			gone = append(gone, v)
			continue
		}
		text := fmt.Sprintf("Value %s is absent from grain %s", pytext.Str(v), name)
		would, did = append(would, text), append(did, text)
	}
	p := &states.Plan{Name: name, Would: strings.Join(would, "\n"), Did: strings.Join(did, "\n")}
	if len(gone) == 0 {
		p.Fine = p.Did
		return p, nil
	}
	p.Do(wire.NewMap("deleted", gone), func(ctx context.Context, r *states.Result) error {
		for _, v := range gone {
			if _, err := c.Call.Call(ctx, "grains.remove", args(name, v), nil); err != nil {
				return err
			}
		}
		return nil
	})
	return p, nil
}
