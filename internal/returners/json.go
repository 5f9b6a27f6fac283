package returners

import (
	"fmt"
	"strings"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// JSON is a value as Salt's returners write it. An error is about the value.
func JSON(v any) (string, error) {
	text, err := pytext.JSON(v, -1, false)
	if err != nil {
		return "", Refuse(fmt.Errorf("write as JSON: %w", err))
	}
	return text, nil
}

// ParseMap reads what was stored.
func ParseMap(text string) (*wire.Map, error) {
	v, err := pytext.ParseJSON(text)
	if err != nil {
		return nil, err
	}
	m, ok := v.(*wire.Map)
	if !ok {
		return nil, fmt.Errorf("a map expected, got %s", pytext.TypeName(v))
	}
	return m, nil
}

// FunName is the function of a return, or its functions with commas.
func FunName(ret *wire.Map) string {
	v, _ := ret.Get("fun")
	list, ok := v.([]any)
	if !ok {
		return pytext.Str(v)
	}
	var names []string
	for _, f := range list {
		names = append(names, pytext.Str(f))
	}
	return strings.Join(names, ",")
}
