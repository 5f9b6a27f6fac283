package output

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// keyOut shows key lists by state: {"minions": [ids]}, or {"minions": {id: text}}
// for fingerprints and keys.
func keyOut(data any, o Options) (string, error) {
	m, ok := data.(*wire.Map)
	if !ok {
		return "", fmt.Errorf("key lists by state expected, not %s", pytext.TypeName(data))
	}
	c := o.colors()
	states := map[string]struct{ color, title, titleColor string }{
		"minions":          {c.green, "Accepted Keys:", c.lightGreen},
		"minions_denied":   {c.magenta, "Denied Keys:", c.lightMagenta},
		"minions_pre":      {c.red, "Unaccepted Keys:", c.lightRed},
		"minions_rejected": {c.blue, "Rejected Keys:", c.lightBlue},
		"local":            {c.magenta, "Local Keys:", c.lightMagenta},
	}
	var b strings.Builder
	names, vals := sortedText(m)
	for i, name := range names {
		s, ok := states[name]
		if !ok {
			return "", fmt.Errorf("no key state is called %q", name)
		}
		b.WriteString(s.titleColor + s.title + c.end + "\n")
		switch x := vals[i].(type) {
		case []any:
			ids := make([]string, len(x))
			for j, id := range x {
				ids[j] = keyText(id)
			}
			slices.Sort(ids)
			for _, id := range ids {
				b.WriteString(s.color + o.safe(id) + c.end + "\n")
			}
		case *wire.Map:
			ids, texts := sortedText(x)
			for j, id := range ids {
				b.WriteString(s.color + o.safe(id) + ":  " + pytext.Str(texts[j]) + c.end + "\n")
			}
		default:
			return "", fmt.Errorf("%s is a list or a map, not %s", name, pytext.TypeName(x))
		}
	}
	return b.String(), nil
}

func keyText(v any) string {
	if p, ok := v.([]byte); ok {
		return string(p)
	}
	return pytext.Str(v)
}
