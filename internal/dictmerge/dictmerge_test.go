package dictmerge_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/dictmerge"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/render/saltyaml"
	"github.com/gosalt/gosalt/protocol/wire"
)

// recorded is one merge as salt.utils.dictupdate.merge of Salt 3006.18 does it. A and
// B are YAML; with Yamlex, {"!map": ...} and {"!seq": ...} are marked values.
type recorded struct {
	A, B     string
	Strategy string
	Renderer string
	Lists    bool
	Yamlex   bool
	Want     string // Python's repr of the result
	Error    string // class and text of the exception
	AAfter   string `json:"a_after"` // repr of A afterwards, where it changed
	BAfter   string `json:"b_after"`
}

func TestRecorded(t *testing.T) {
	text, err := os.ReadFile("testdata/salt.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var r recorded
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		a, b := load(t, r.A, r.Yamlex), load(t, r.B, r.Yamlex)
		aWas, bWas := repr(a), repr(b)
		got, err := dictmerge.Merge(a, b, dictmerge.Options{Strategy: r.Strategy, Renderer: r.Renderer, Lists: r.Lists})
		if r.AAfter == "" {
			r.AAfter = aWas
		}
		if r.BAfter == "" {
			r.BAfter = bWas
		}
		switch {
		case r.Error != "":
			e, ok := err.(*dictmerge.Error)
			if !ok || e.Class+": "+e.Msg != r.Error {
				t.Errorf("%s\ngot  %v, %v", line, got, err)
			}
		case err != nil || repr(got) != r.Want:
			t.Errorf("%s\ngot  %s, %v\nSalt %s", line, repr(got), err, r.Want)
		case repr(a) != r.AAfter:
			t.Errorf("%s\nfirst value afterwards:\ngot  %s\nSalt %s", line, repr(a), r.AAfter)
		case repr(b) != r.BAfter:
			t.Errorf("%s\nsecond value afterwards:\ngot  %s\nSalt %s", line, repr(b), r.BAfter)
		}
	}
}

func repr(v any) string { return pytext.Repr(dictmerge.Plain(v)) }

func load(t *testing.T, text string, marks bool) any {
	t.Helper()
	v, err := saltyaml.Load(text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	if marks {
		return readMarks(v)
	}
	return v
}

func readMarks(v any) any {
	switch x := v.(type) {
	case []any:
		for i, e := range x {
			x[i] = readMarks(e)
		}
	case *wire.Map:
		for k, e := range x.All() {
			x.SetAny(k, readMarks(e))
		}
		if m, ok := x.Get("!map"); ok {
			return dictmerge.Map{m.(*wire.Map)}
		}
		if l, ok := x.Get("!seq"); ok {
			return dictmerge.Seq{l.([]any)}
		}
	}
	return v
}

// A result must not change with what went into it: pillars are kept.
func TestResultIsApart(t *testing.T) {
	a, b := wire.NewMap("x", wire.NewMap("k", int64(1))), wire.NewMap("y", int64(2))
	got, err := dictmerge.Merge(a, b, dictmerge.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a.Map("x").Set("k", int64(9))
	if s := pytext.Repr(got); s != "{'x': {'k': 1}, 'y': 2}" {
		t.Errorf("the result became %s", s)
	}
}
