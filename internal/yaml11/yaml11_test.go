package yaml11

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strconv"
	"testing"
)

// TestRecorded replays what Salt's YAML loader made of scalars: each row has the text,
// the type and Python's repr of the value.
func TestRecorded(t *testing.T) {
	data, err := os.ReadFile("testdata/recorded.json")
	if err != nil {
		t.Fatal(err)
	}
	var rows [][3]string
	if err := json.Unmarshal(data, &rows); err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		text, kind, repr := row[0], row[1], row[2]
		ok := false
		got := Resolve(text)
		switch v := got.(type) {
		case nil:
			ok = kind == "null"
		case bool:
			ok = kind == "bool" && (repr == "True") == v
		case int64, uint64:
			ok = kind == "int" && repr == fmt.Sprint(v)
		case float64:
			want, err := strconv.ParseFloat(repr, 64)
			ok = kind == "float" && err == nil && (v == want || math.IsNaN(v) && math.IsNaN(want))
		case string:
			ok = kind == "str" && repr == v
		}
		if !ok {
			t.Errorf("%q: got %T %v, Salt has %s %s", text, got, got, kind, repr)
		}
	}
}

func FuzzResolve(f *testing.F) {
	f.Add("0644")
	f.Fuzz(func(t *testing.T, s string) { Resolve(s) })
}
