// Package providers is the table of all kinds of sources that this program has. A file of
// its own for each names its package, so that a build tag (no_ec2, …) can leave it out.
package providers

import (
	"maps"
	"slices"

	"github.com/gosalt/gosalt/inventory"
)

var kinds = map[string]func() inventory.Kind{}

// Kinds are the names of all kinds.
func Kinds() []string { return slices.Sorted(maps.Keys(kinds)) }

// Get is one of them.
func Get(name string) (inventory.Kind, bool) {
	f, ok := kinds[name]
	if !ok {
		return inventory.Kind{}, false
	}
	return f(), true
}

// All are all kinds, by name.
func All() map[string]func() inventory.Kind { return maps.Clone(kinds) }
