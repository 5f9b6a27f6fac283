package pytext

import (
	"errors"
	"testing"
)

// What texts are is held against recordings in internal/render/saltyaml.

func TestJSONPlaces(t *testing.T) {
	_, err := ParseJSON("{\"é\": 1,\n \"ö\" 2}")
	var e *JSONError
	if !errors.As(err, &e) || e.Line != 2 || e.Column != 6 || e.Char != 14 || e.Problem != "Expecting ':' delimiter" {
		t.Errorf("got %v", err)
	}
}

// FuzzParseJSON holds that an error comes without a value, and that what reads is the
// same after writing and reading it.
func FuzzParseJSON(f *testing.F) {
	for _, s := range []string{`{"a": [1, -0.5e+3, NaN, null, "\ud83d\ude00\ud800"], "b": {}}`, "[1,]", `"\u12"`, "123456789012345678901234567890"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseJSON(s)
		if err != nil {
			if v != nil {
				t.Fatalf("error %v with %v", err, v)
			}
			return
		}
		for _, o := range []JSONOptions{{}, {ASCII: true, Pretty: true, Indent: " "}} {
			text, err := o.Dump(v)
			if err != nil {
				t.Fatal(err)
			}
			back, err := ParseJSON(text)
			if err != nil || Repr(back) != Repr(v) {
				t.Fatalf("%q is %s, became %q, which is %s, %v", s, Repr(v), text, Repr(back), err)
			}
		}
	})
}
