package target

import (
	"strings"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// dataMatch is a condition on the minion's own store: "key:value".
type dataMatch struct {
	key   string
	value string
	glob  *glob // of the value, as it is
	lower *glob // of the value in lower case, for lists
}

func (p *parser) dataMatcher(expr string) (matcher, error) {
	key, rest, found := strings.Cut(expr, ":")
	if !found {
		return nil, p.fail(-1, `"key:value" is expected`)
	}
	value, _, _ := strings.Cut(rest, ":") // Salt looks at the first two parts only
	p.uses.data = true
	return &dataMatch{key: key, value: value, glob: compileGlob(value), lower: compileGlob(strings.ToLower(value))}, nil
}

func (m *dataMatch) match(s *Subject) (bool, error) {
	if s.Data == nil {
		return s.unknown(), nil
	}
	v, ok := s.Data.Get(m.key)
	if !ok || v == nil {
		return false, nil
	}
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			if m.lower.match(strings.ToLower(pytext.Str(e))) {
				return true, nil
			}
		}
		return false, nil
	case *wire.Map:
		return v.Has(m.value), nil
	case string:
		return m.glob.match(v), nil
	}
	return false, nil
}
