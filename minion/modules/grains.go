package modules

import (
	"context"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("grains.items", grainsItems, module.Outputter("nested"))
	register("grains.item", grainsItem, module.Outputter("nested"))
	register("grains.get", grainsGet)
	alias("grains.fetch", "grains.get")
	register("grains.ls", grainsLs)
	register("grains.has_value", grainsHasValue)
	register("grains.equals", grainsEquals)
}

type grainsItemsArgs struct {
	Sanitize bool `default:"False"` // Hide what identifies the machine: serial number, names, id.
}

// grainsItems returns all grains: what is known of the machine.
//
//	gosalt '*' grains.items
//	gosalt '*' grains.items sanitize=True
func grainsItems(ctx context.Context, c *module.Call, a grainsItemsArgs) (*wire.Map, error) {
	if a.Sanitize {
		return sanitized(c.Grains()), nil
	}
	return c.Grains(), nil
}

type grainsItemArgs struct {
	Keys      []any  `arg:"*"`                           // Names of grains, with : between those of nested ones.
	Default   any    `default:"" arg:"default,kw"`       // What stands for a grain that is not there.
	Delimiter string `default:":" arg:"delimiter,kw"`    // What stands between the names of nested grains.
	Sanitize  bool   `default:"False" arg:"sanitize,kw"` // Hide what identifies the machine.
}

// grainsItem returns the grains of these names.
//
//	gosalt '*' grains.item os osrelease oscodename
//	gosalt '*' grains.item host sanitize=True
func grainsItem(ctx context.Context, c *module.Call, a grainsItemArgs) (*wire.Map, error) {
	ret := wire.NewMap()
	for _, key := range a.Keys {
		name := pytext.Str(key)
		v, ok := target.Traverse(c.Grains(), name, a.Delimiter)
		if !ok {
			v = a.Default
		}
		ret.Set(name, v)
	}
	if a.Sanitize {
		return sanitized(ret), nil
	}
	return ret, nil
}

type grainsGetArgs struct {
	Key       string // Name of the grain, with : between those of nested ones.
	Default   any    `default:""`     // What is returned where there is no such grain.
	Delimiter string `default:":"`    // What stands between the names of nested grains.
	Ordered   bool   `default:"True"` // Without effect: maps keep their order.
}

// grainsGet returns the value of one grain.
//
//	gosalt '*' grains.get os
//	gosalt '*' grains.get pkg:apache
//	gosalt '*' grains.get 'abc::def|ghi' delimiter='|'
func grainsGet(ctx context.Context, c *module.Call, a grainsGetArgs) (any, error) {
	if v, ok := target.Traverse(c.Grains(), a.Key, a.Delimiter); ok {
		return v, nil
	}
	return a.Default, nil
}

// grainsLs lists the names of all grains.
//
//	gosalt '*' grains.ls
func grainsLs(ctx context.Context, c *module.Call, a noArgs) ([]string, error) {
	names := []string{}
	for k := range c.Grains().Strings() {
		names = append(names, k)
	}
	slices.Sort(names)
	return names, nil
}

type grainsHasValueArgs struct {
	Key string // Name of the grain, with : between those of nested ones.
}

// grainsHasValue tells whether there is a grain of that name, whatever its value.
//
//	gosalt '*' grains.has_value pkg:apache
func grainsHasValue(ctx context.Context, c *module.Call, a grainsHasValueArgs) (bool, error) {
	_, ok := target.Traverse(c.Grains(), a.Key, ":")
	return ok, nil
}

type grainsEqualsArgs struct {
	Key   string // Name of the grain, with : between those of nested ones.
	Value any    // What its value is compared with, as text.
}

// grainsEquals tells whether a grain has that value.
//
//	gosalt '*' grains.equals fqdn web1.example.com
//	gosalt '*' grains.equals systemd:version 252
func grainsEquals(ctx context.Context, c *module.Call, a grainsEqualsArgs) (bool, error) {
	v, ok := target.Traverse(c.Grains(), a.Key, ":")
	if !ok {
		v = ""
	}
	return pytext.Str(v) == pytext.Str(a.Value), nil
}

// sanitized is a copy of grains with neither names nor the whole serial number.
func sanitized(grains *wire.Map) *wire.Map {
	out := grains.Clone()
	for key, to := range map[string]string{
		"domain": "DOMAINNAME", "fqdn": "MINION.DOMAINNAME", "id": "MINION.DOMAINNAME",
		"host": "MINION", "localhost": "MINION", "nodename": "MINION",
	} {
		if out.Has(key) {
			out.Set(key, to)
		}
	}
	if s, ok := out.Get("serialnumber"); ok {
		text := []rune(pytext.Str(s))
		kept := len(text) * 3 / 4
		out.Set("serialnumber", string(text[:kept])+strings.Repeat("X", len(text)-kept))
	}
	return out
}
