package pydiff

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"testing"
)

// TestRecorded compares with what difflib of Python 3.11 made of the same lines.
func TestRecorded(t *testing.T) {
	f, err := os.Open("testdata/difflib.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var cases [][4]json.RawMessage
	if err := json.NewDecoder(z).Decode(&cases); err != nil {
		t.Fatal(err)
	}
	for i, c := range cases {
		var a, b []string
		var n int
		var want string
		for j, to := range []any{&a, &b, &n, &want} {
			if err := json.Unmarshal(c[j], to); err != nil {
				t.Fatal(err)
			}
		}
		from, to := "", ""
		if n == 1 {
			from, to = "f1", "f2"
		}
		if got := Unified(a, b, from, to, n); got != want {
			t.Errorf("case %d:\n%s\nPython has:\n%s", i, got, want)
		}
	}
}
