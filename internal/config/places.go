package config

import (
	"fmt"
	"strings"
)

// Place is a line of a file of the configuration.
type Place struct {
	File string
	Line int
}

// String is "/etc/salt/master:12", "" for no place.
func (p Place) String() string {
	if p.File == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// Places are where entries of options stand that are maps of maps, by their keys with
// colons between: "vm_profiles", "vm_profiles:web", "vm_profiles:web:image".
type Places map[string]Place

// Of returns the place of an entry, in words; "" where nothing is known of it.
func (p Places) Of(keys ...string) string { return p[strings.Join(keys, ":")].String() }

// placeDepth is how many levels of maps below an option are told apart.
const placeDepth = 2

// placesOf finds the entries of some options.
func placesOf(root *node, options ...string) Places {
	out := Places{}
	var walk func(n *node, at string, depth int)
	walk = func(n *node, at string, depth int) {
		if n.kind != mapKind || depth > placeDepth {
			return
		}
		for i, k := range n.keys {
			key := at + ":" + fmt.Sprint(k.scalar)
			out[key] = Place{k.file, k.line}
			walk(n.vals[i], key, depth+1)
		}
	}
	for _, o := range options {
		if n := root.get(o); n != nil {
			out[o] = Place{n.file, n.line}
			walk(n, o, 1)
		}
	}
	return out
}
