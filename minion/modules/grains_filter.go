package modules

import (
	"context"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() { register("grains.filter_by", grainsFilterBy) }

type grainsFilterByArgs struct {
	// What to choose from: values of the grain, which may be shell patterns, and what belongs to each.
	LookupDict *wire.Map
	// The grain that decides, with : between the names of nested ones.
	Grain string `default:"os_family"`
	// What is merged over what was chosen, such as values of the pillar.
	Merge *wire.Map `default:"None"`
	// The entry that stands for values that are not there.
	Default any `default:"default"`
	// The entry that what was chosen is merged over.
	Base string `default:"None"`
}

// grainsFilterBy chooses an entry of a map by the value of a grain: what differs by
// system, in one place.
//
//	gosalt '*' grains.filter_by '{Debian: Debheads rule, RedHat: I love my hat}'
//	gosalt '*' grains.filter_by '{default: {A: 1}, Debian: {A: 2}}' base=default
func grainsFilterBy(ctx context.Context, c *module.Call, a grainsFilterByArgs) (any, error) {
	return chooseBy(c.Grains(), a.Grain, a.LookupDict, a.Merge, a.Default, a.Base)
}

// chooseBy chooses an entry of a map by the value that a key has in data.
func chooseBy(data *wire.Map, key string, lookup, merge *wire.Map, byDefault any, baseKey string) (any, error) {
	var values []any
	if v, ok := target.Traverse(data, key, ":"); ok {
		if values, ok = v.([]any); !ok {
			values = []any{v}
		}
	}
	ret := firstMatch(lookup, values)
	if ret == nil && byDefault != nil {
		ret, _ = lookup.Get(pytext.Str(byDefault))
	}
	if base, ok := lookup.Get(baseKey); ok && baseKey != "" {
		switch baseMap, isMap := base.(*wire.Map); {
		case ret == nil:
			ret = base
		case isMap:
			m, ok := ret.(*wire.Map)
			if !ok {
				return nil, module.Failf("filter_by default and look-up values must both be dictionaries.")
			}
			ret = mergeMaps(baseMap, m)
		}
	}
	if merge.Len() > 0 {
		if ret == nil {
			return merge, nil
		}
		m, ok := ret.(*wire.Map)
		if !ok {
			return nil, module.Failf("filter_by merges over a dictionary only, the look-up gave %s", pytext.TypeName(ret))
		}
		ret = mergeMaps(m, merge)
	}
	return ret, nil
}

func firstMatch(lookup *wire.Map, values []any) any {
	for _, v := range values {
		for key, entry := range lookup.All() {
			if globMatch(pytext.Str(key), pytext.Str(v)) {
				if entry != nil {
					return entry
				}
				break
			}
		}
	}
	return nil
}

// mergeMaps puts one map over another, maps inside of maps likewise.
func mergeMaps(base, over *wire.Map) *wire.Map {
	out := base.Clone()
	for k, v := range over.All() {
		if name, ok := k.(string); ok {
			inner, outer := out.Map(name), over.Map(name)
			if inner != nil && outer != nil {
				v = mergeMaps(inner, outer)
			}
		}
		out.SetAny(k, v)
	}
	return out
}
