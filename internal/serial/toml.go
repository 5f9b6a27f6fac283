package serial

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/gosalt/gosalt/protocol/wire"
)

// loadTOML reads TOML, with the keys in their order.
func loadTOML(text string) (any, error) {
	var v map[string]any
	meta, err := toml.Decode(text, &v)
	if err != nil {
		return nil, err
	}
	order := map[string][]string{}
	for _, k := range meta.Keys() {
		up := strings.Join(k[:len(k)-1], "\x00")
		order[up] = append(order[up], k[len(k)-1])
	}
	return tomlValue(v, "", order), nil
}

func tomlValue(v any, at string, order map[string][]string) any {
	switch v := v.(type) {
	case map[string]any:
		m := wire.NewMap()
		add := func(k string) {
			if e, ok := v[k]; ok && !m.Has(k) {
				below := k
				if at != "" {
					below = at + "\x00" + k
				}
				m.Set(k, tomlValue(e, below, order))
			}
		}
		for _, k := range order[at] {
			add(k)
		}
		for _, k := range slices.Sorted(maps.Keys(v)) { // tables that only stand in names of others
			add(k)
		}
		return m
	case []map[string]any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = tomlValue(e, at, order)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = tomlValue(e, at, order)
		}
		return out
	case time.Time:
		return v
	}
	return v
}
