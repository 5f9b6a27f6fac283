package modules

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/durable"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/internal/yamlarg"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("grains.setvals", grainsSetvals)
	register("grains.setval", grainsSetval, module.Outputter("nested"))
	register("grains.set", grainsSet)
	register("grains.append", grainsAppend)
	register("grains.remove", grainsRemove)
	register("grains.delkey", grainsDelkey)
	register("grains.delval", grainsDelval)
}

type grainsSetvalsArgs struct {
	Grains        *wire.Map // Names and values.
	Destructive   bool      `default:"False"` // Remove the grains whose value is None.
	RefreshPillar bool      `default:"True"`  // Have the master compile the pillar anew afterwards.
}

// grainsSetvals writes grains into the file of static grains, beside the minion's
// configuration, and returns them.
//
//	gosalt '*' grains.setvals "{'key1': 'val1', 'key2': 'val2'}"
func grainsSetvals(ctx context.Context, c *module.Call, a grainsSetvalsArgs) (any, error) {
	return writeGrains(ctx, c, a.Grains, a.Destructive, a.RefreshPillar)
}

type grainsSetvalArgs struct {
	Key           string // Name of the grain.
	Val           any    // Its value.
	Destructive   bool   `default:"False"` // Remove the grain where the value is None.
	RefreshPillar bool   `default:"True"`  // Have the master compile the pillar anew afterwards.
}

// grainsSetval writes one grain into the file of static grains.
//
//	gosalt '*' grains.setval key val
//	gosalt '*' grains.setval key "{'sub-key': 'val', 'sub-key2': 'val2'}"
func grainsSetval(ctx context.Context, c *module.Call, a grainsSetvalArgs) (any, error) {
	return writeGrains(ctx, c, wire.NewMap(a.Key, a.Val), a.Destructive, a.RefreshPillar)
}

// writeGrains changes the file of static grains, then has the minion read them anew.
func writeGrains(ctx context.Context, c *module.Call, grains *wire.Map, destructive, refreshPillar bool) (*wire.Map, error) {
	file, err := grainsFile(c)
	if err != nil {
		return nil, err
	}
	old := wire.NewMap()
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, module.Failf("read the static grains: %w", err)
	}
	if err == nil {
		v, err := yamlarg.Load(string(text))
		if err != nil {
			return nil, module.Failf("Unable to read existing grains file: %s: %w. Mend it, then try again", file, err)
		}
		if m, ok := v.(*wire.Map); ok {
			old = m
		}
	}
	for k, v := range grains.Strings() {
		if v == nil && destructive {
			old.Delete(k)
		} else {
			old.Set(k, v)
		}
	}
	if err := durable.WriteFile(file, []byte(pytext.YAML(old, 2, false)), 0o644); err != nil {
		return nil, module.Failf("write the static grains: %w", err)
	}
	if c.Refresh == nil {
		return grains, nil
	}
	if err := c.Refresh(ctx, "grains"); err != nil {
		return nil, module.Failf("the grains are written, reading them anew failed: %w", err)
	}
	if refreshPillar {
		if err := c.Refresh(ctx, "pillar"); err != nil {
			c.Log.Warn("pillar not refreshed after a change of grains", "error", err)
		}
	}
	return grains, nil
}

// grainsFile is the file beside the minion's configuration, as in Salt.
func grainsFile(c *module.Call) (string, error) {
	conf := c.Opts.Text("conf_file")
	if conf == "" {
		return "", module.Failf("the minion has no configuration file, beside which grains could be written")
	}
	if st, err := os.Stat(conf); err == nil && st.IsDir() {
		return filepath.Join(conf, "grains"), nil
	}
	return filepath.Join(filepath.Dir(conf), "grains"), nil
}

type grainsSetArgs struct {
	Key         string // Name of the grain, with : between those of nested ones.
	Val         any    `default:""`      // Its value.
	Force       bool   `default:"False"` // Replace lists and maps too.
	Destructive bool   `default:"False"` // Remove the grain where the value is None.
	Delimiter   string `default:":"`     // What stands between the names of nested grains.
}

// grainsSet writes one grain, nested ones too, and tells what changed. Lists and
// maps are replaced only with force.
//
//	gosalt '*' grains.set 'apps:myApp:port' 2209
//	gosalt '*' grains.set 'apps:myApp' '{port: 2209}' force=True
func grainsSet(ctx context.Context, c *module.Call, a grainsSetArgs) (*wire.Map, error) {
	answer := func(result bool, comment string, changes *wire.Map) (*wire.Map, error) {
		return wire.NewMap("comment", comment, "changes", changes, "result", result), nil
	}
	none := wire.NewMap()
	old, exists := target.Traverse(c.Grains(), a.Key, a.Delimiter)
	if exists && pytext.Equal(old, a.Val) && (a.Val != nil || !a.Destructive) {
		return answer(true, "Grain is already set", none)
	}
	if exists && old != nil && !a.Force {
		if isComplex(old) {
			return answer(false, fmt.Sprintf("The key '%s' exists but is a dict or a list. Use 'force=True' to overwrite.", a.Key), none)
		}
		if isComplex(a.Val) {
			return answer(false, fmt.Sprintf("The key '%s' exists and the given value is a dict or a list. Use 'force=True' to overwrite.", a.Key), none)
		}
	}
	key, value := a.Key, a.Val
	for a.Delimiter != "" && strings.Contains(key, a.Delimiter) {
		i := strings.LastIndex(key, a.Delimiter)
		rest := key[i+len(a.Delimiter):]
		key = key[:i]
		outer, ok := target.Traverse(c.Grains(), key, a.Delimiter)
		if !ok {
			outer = wire.NewMap()
		}
		next, ok := setInside(outer, rest, value, a.Destructive, a.Force)
		if !ok {
			return answer(false, fmt.Sprintf("The key '%s' value is '%s', which is different from the provided key '%s'. Use 'force=True' to overwrite.",
				key, pytext.Str(outer), rest), none)
		}
		value = next
	}
	changes, err := writeGrains(ctx, c, wire.NewMap(key, value), a.Destructive, true)
	if err != nil {
		return nil, err
	}
	return answer(true, "", changes)
}

// setInside returns a copy of what holds a nested grain, with its new value; false
// where the grain would take the place of another value.
func setInside(outer any, name string, value any, destructive, force bool) (any, bool) {
	switch outer := outer.(type) {
	case *wire.Map:
		m := outer.Clone()
		if value == nil && destructive {
			m.Delete(name)
		} else {
			m.Set(name, value)
		}
		return m, true
	case []any:
		list, found := slices.Clone(outer), false
		for i, e := range list {
			if m, ok := e.(*wire.Map); ok && m.Has(name) {
				m = m.Clone()
				m.Set(name, value)
				list[i], found = m, true
			} else if e == name {
				list[i], found = wire.NewMap(name, value), true
			}
		}
		if !found {
			list = append(list, wire.NewMap(name, value))
		}
		return list, true
	}
	if outer == name || force {
		return wire.NewMap(name, value), true
	}
	return nil, false
}

func isComplex(v any) bool {
	switch v.(type) {
	case *wire.Map, []any:
		return true
	}
	return false
}

type grainsAppendArgs struct {
	Key       string // Name of the grain, with : between those of nested ones.
	Val       any    // What to append; of a list, each of its elements.
	Convert   bool   `default:"False"` // Make a list of a grain that is none.
	Delimiter string `default:":"`     // What stands between the names of nested grains.
}

// grainsAppend appends to a list among the static grains, a new one where there is
// none, and returns the grain that was written.
//
//	gosalt '*' grains.append roles web
func grainsAppend(ctx context.Context, c *module.Call, a grainsAppendArgs) (any, error) {
	old, ok := target.Traverse(c.Grains(), a.Key, a.Delimiter)
	if !ok {
		old = []any{}
	}
	list, isList := old.([]any)
	if !isList && a.Convert {
		isList = true
		if old != nil {
			list = []any{old}
		}
	}
	if !isList {
		return fmt.Sprintf("The key %s is not a valid list", a.Key), nil
	}
	if slices.ContainsFunc(list, func(e any) bool { return pytext.Equal(e, a.Val) }) {
		return fmt.Sprintf("The val %s was already in the list %s", pytext.Str(a.Val), a.Key), nil
	}
	list = slices.Clone(list)
	if more, ok := a.Val.([]any); ok {
		list = append(list, more...)
	} else {
		list = append(list, a.Val)
	}
	return writeNested(ctx, c, a.Key, a.Delimiter, list)
}

type grainsRemoveArgs struct {
	Key       string // Name of the grain, with : between those of nested ones.
	Val       any    // What to remove.
	Delimiter string `default:":"` // What stands between the names of nested grains.
}

// grainsRemove removes a value from a list among the static grains and returns the
// grain that was written.
//
//	gosalt '*' grains.remove roles web
func grainsRemove(ctx context.Context, c *module.Call, a grainsRemoveArgs) (any, error) {
	old, ok := target.Traverse(c.Grains(), a.Key, a.Delimiter)
	if !ok {
		old = []any{}
	}
	list, isList := old.([]any)
	if !isList {
		return fmt.Sprintf("The key %s is not a valid list", a.Key), nil
	}
	i := slices.IndexFunc(list, func(e any) bool { return pytext.Equal(e, a.Val) })
	if i < 0 {
		return fmt.Sprintf("The val %s was not in the list %s", pytext.Str(a.Val), a.Key), nil
	}
	return writeNested(ctx, c, a.Key, a.Delimiter, slices.Delete(slices.Clone(list), i, i+1))
}

// writeNested writes a value that may be inside of other grains.
func writeNested(ctx context.Context, c *module.Call, key, delimiter string, value any) (any, error) {
	for delimiter != "" && strings.Contains(key, delimiter) {
		i := strings.LastIndex(key, delimiter)
		rest := key[i+len(delimiter):]
		key = key[:i]
		outer, _ := target.Traverse(c.Grains(), key, delimiter)
		m, _ := outer.(*wire.Map)
		m = m.Clone() // of nil a new one
		m.Set(rest, value)
		value = m
	}
	return writeGrains(ctx, c, wire.NewMap(key, value), false, true)
}

type grainsDelkeyArgs struct {
	Key   string // Name of the grain, with : between those of nested ones.
	Force bool   `default:"False"` // Remove lists and maps too.
}

// grainsDelkey removes a static grain.
//
//	gosalt '*' grains.delkey key
func grainsDelkey(ctx context.Context, c *module.Call, a grainsDelkeyArgs) (*wire.Map, error) {
	return grainsSet(ctx, c, grainsSetArgs{Key: a.Key, Force: a.Force, Destructive: true, Delimiter: ":"})
}

type grainsDelvalArgs struct {
	Key         string // Name of the grain, with : between those of nested ones.
	Destructive bool   `default:"False"` // Remove its name too.
	Force       bool   `default:"False"` // Remove lists and maps too.
}

// grainsDelval sets a static grain to None.
//
//	gosalt '*' grains.delval key
func grainsDelval(ctx context.Context, c *module.Call, a grainsDelvalArgs) (*wire.Map, error) {
	return grainsSet(ctx, c, grainsSetArgs{Key: a.Key, Force: a.Force, Destructive: a.Destructive, Delimiter: ":"})
}
