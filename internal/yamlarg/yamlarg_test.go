package yamlarg

import (
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/pytext"
)

func TestLoad(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "None"},
		{"gosalt:\n  timeout: 5\n  output: json\n", "{'gosalt': {'timeout': 5, 'output': 'json'}}"},
		{"- &x {a: 1}\n- *x\n- {<<: *x, b: 2}\n", "[{'a': 1}, {'a': 1}, {'a': 1, 'b': 2}]"},
		{"{<<: [{a: 1}, {c: 2, b: 3}], b: 4}", "{'c': 2, 'a': 1, 'b': 4}"},
		{"0644", "644"},
		{"yes", "True"},
		{`"yes"`, "'yes'"},
		{"!!str 5", "'5'"},
		{"!!float 5", "5.0"},
		{"!!binary aGk=", "b'hi'"},
		{"|\n  two\n  lines\n", "'two\\nlines\\n'"},
	} {
		if v, err := Load(c.text); err != nil || pytext.Repr(v) != c.want {
			t.Errorf("Load(%q) = %s, %v", c.text, pytext.Repr(v), err)
		}
	}
}

func TestLoadErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"{a: 1, a: 2}", "found conflicting ID 'a'"},
		{"{<<: [{a: 1}, {a: 2}]}", "found conflicting ID 'a'"}, // as by Salt's loader
		{"--- a\n--- b\n", "but found another document"},
		{"!foo bar", "could not determine a constructor for the tag '!foo'"},
		{"&a [*a]", "holds itself by an alias"},
		{"[::1]", "did not find expected node content"},
		{"{a:}", "line 1, column 3: found unexpected ':'"},
		{"!!int x", "invalid literal for int() with base 10: 'x'"},
		{"!!bool 7", "'7'"},
		{"{[a]: 1}", "found unacceptable key"},
		{"{<<: 1}", "expected a mapping or list of mappings for merging"},
		{strings.Repeat("[", 200) + strings.Repeat("]", 200), "nest too deep"},
		{"\tx: [", "found character that cannot start any token"},
	} {
		if v, err := Load(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Load(%q) = %v, %v", c.text, v, err)
		}
	}
}

// FuzzLoad holds that no text makes the loader panic or run away, and that an error
// comes with no value.
func FuzzLoad(f *testing.F) {
	for _, s := range []string{"[a, {b: c}]", "&a [*a]", "{<<: &x {a: 1}, b: *x}", "? a\n: b\n", "[::1]", "{'a\\\"b': \"\\x41\"}", "[-]", "{?a: 1}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := Load(s)
		if err != nil && v != nil {
			t.Errorf("error %v with the value %v", err, v)
		}
	})
}
