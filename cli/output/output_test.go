package output

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/pytext/pytest"
	"github.com/gosalt/gosalt/protocol/wire"
)

// recorded is one value and what Salt 3006.18 prints for it, by outputter.
type recorded struct {
	Value pytest.Value   `json:"value"`
	Text  map[string]any `json:"text"`
}

// TestRecorded compares with Salt's own outputters over testdata/values.json. A
// name there is the outputter and, after a space, "color" or its indent.
func TestRecorded(t *testing.T) {
	var cases []recorded
	data, err := os.ReadFile("testdata/values.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 150 {
		t.Fatalf("%d cases, at least 150 expected", len(cases))
	}
	for _, c := range cases {
		for name, want := range c.Text {
			text, ok := want.(string)
			if !ok { // Salt fails with a traceback where bytes are not UTF-8
				continue
			}
			outputter, o := optionsOf(t, name)
			if hasEscapeKey(c.Value.V) && (outputter == "nested" || outputter == "table" || outputter == "no_return" || outputter == "key" || outputter == "newline_values_only") {
				text = strings.ReplaceAll(text, "\x1b[31mevil", "?[31mevil") // keys are made safe here, too
			}
			if got := Format(c.Value.V, outputter, o); got != text {
				t.Errorf("%s of %v:\n%s\nSalt prints:\n%s", name, c.Value, show(got), show(text))
			}
		}
	}
}

func show(s string) string { b, _ := json.Marshal(s); return string(b) + "\n" + s }

func hasEscapeKey(v any) bool {
	m, _ := v.(*wire.Map)
	return m.Has("\x1b[31mevil")
}

func optionsOf(t *testing.T, name string) (string, Options) {
	o := Defaults()
	outputter, extra, _ := strings.Cut(name, " ")
	switch {
	case extra == "color":
		o.Color = true
	case outputter == "nested" && extra != "":
		o.NestedIndent = 3
	case extra != "":
		var n int
		if err := json.Unmarshal([]byte(extra), &n); err != nil {
			t.Fatal(err)
		}
		o.Indent = &n
	}
	return outputter, o
}
