package pillar

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// BindArgs gives the settings of an ext_pillar their names, as a call in Python does: a
// map has them by name, a list in their order, anything else is the first. What is not
// given is not in the result. The errors are Python's.
func BindArgs(args any, required int, names ...string) (map[string]any, error) {
	out := map[string]any{}
	switch x := args.(type) {
	case *wire.Map:
		for k, v := range x.All() {
			name := pytext.Str(k)
			if !slices.Contains(names, name) {
				return nil, fmt.Errorf("there is no setting '%s': %s are known", name, strings.Join(names, ", "))
			}
			out[name] = v
		}
	case []any:
		if len(x) > len(names) {
			return nil, fmt.Errorf("%d settings are given, and at most %d are known: %s", len(x), len(names), strings.Join(names, ", "))
		}
		for i, v := range x {
			out[names[i]] = v
		}
	default:
		if len(names) > 0 && (args != nil || required > 0) {
			out[names[0]] = args
		}
	}
	for _, n := range names[:required] {
		if v, ok := out[n]; !ok || v == nil {
			return nil, fmt.Errorf("the setting '%s' is missing", n)
		}
	}
	return out, nil
}

// textArg is a setting that is to be text.
func textArg(args map[string]any, name string) (string, error) {
	switch x := args[name].(type) {
	case nil:
		return "", nil
	case string:
		return x, nil
	case int64, float64:
		return pytext.Str(x), nil
	default:
		return "", fmt.Errorf("the setting '%s' is to be text, not %s", name, pytext.TypeName(x))
	}
}
