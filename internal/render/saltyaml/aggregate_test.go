package saltyaml

import (
	"encoding/json"
	"os"
	"reflect"
	"testing"

	"github.com/gosalt/gosalt/internal/dictmerge"
	"github.com/gosalt/gosalt/protocol/wire"
)

// kinds is a value as the recording writes it: marked maps are {"M": pairs}, marked lists
// {"S": list}, maps {"m": pairs}.
func kinds(v any) any {
	pairs := func(m *wire.Map) []any {
		out := []any{}
		for k, e := range m.All() {
			out = append(out, []any{kinds(k), kinds(e)})
		}
		return out
	}
	list := func(l []any) []any {
		out := []any{}
		for _, e := range l {
			out = append(out, kinds(e))
		}
		return out
	}
	switch x := v.(type) {
	case dictmerge.Map:
		return map[string]any{"M": pairs(x.Map)}
	case dictmerge.Seq:
		return map[string]any{"S": list(x.List)}
	case *wire.Map:
		return map[string]any{"m": pairs(x)}
	case []any:
		return list(x)
	case int64:
		return float64(x)
	case []byte:
		return map[string]any{"b": string(x)}
	}
	return v
}

// The recording is what salt.serializers.yamlex of Salt 3006.18 makes of the texts.
func TestLoadAggregate(t *testing.T) {
	b, err := os.ReadFile("testdata/yamlex.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Text  string
		Want  any
		Fails bool
	}
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		v, err := LoadAggregate(c.Text)
		if (err != nil) != c.Fails {
			t.Errorf("%q: %v", c.Text, err)
		} else if got := kinds(v); err == nil && !reflect.DeepEqual(got, c.Want) {
			t.Errorf("%q: got %v, want %v", c.Text, got, c.Want)
		}
	}
}

func FuzzLoadAggregate(f *testing.F) {
	f.Add("a: !aggregate {x: &x [1], <<: {y: *x}}\n!reset a: !aggregate b\n")
	f.Fuzz(func(t *testing.T, text string) {
		if v, err := LoadAggregate(text); err != nil && v != nil {
			t.Errorf("%q has a value and an error", text)
		}
	})
}
