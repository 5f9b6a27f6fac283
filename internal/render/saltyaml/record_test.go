package saltyaml

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/pytext"
)

// recorded reads rows of strings from testdata.
func recorded(t *testing.T, file string) [][]string {
	t.Helper()
	data, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	if err := json.Unmarshal(data, &rows); err != nil {
		t.Fatal(err)
	}
	return rows
}

// differs holds the documents that we read otherwise, on purpose.
var differs = map[string]string{
	// A whole number beyond 64 bits has no value in protocol/wire; its digits are text.
	"a: 18446744073709551616":           "{'a': '18446744073709551616'}",
	"a: -9223372036854775809":           "{'a': '-9223372036854775809'}",
	"a: 123456789012345678901234567890": "{'a': '123456789012345678901234567890'}",
	"a: 0777777777777777777777":         "{'a': '777777777777777777777'}",
	// A key of bytes is text in a wire.Map, so one of the same text conflicts.
	"!!binary aGk=: 1":       "{'hi': 1}",
	"!!binary YQ==: 1\na: 2": "line 2, column 1: found conflicting ID 'a' (while constructing a mapping that began in line 1, column 1)",
	// The wire has no tuples.
	"a: !!pairs [x: 1, x: 2]": "{'a': [['x', 1], ['x', 2]]}",
	// Salt hands out PyYAML's own nodes here.
	"a: !!python/unicode [x]": "line 1, column 4: expected a scalar node, but found sequence",
}

// TestRecordedLoad replays what the yaml renderer of Salt 3006.18 made of documents: each row has
// the text and Python's repr of the value (of a set the sorted list), or the text, "", the class
// of the exception and its message.
func TestRecordedLoad(t *testing.T) {
	for _, row := range recorded(t, "load.json") {
		v, err := Render(row[0])
		if want, ok := differs[row[0]]; ok {
			if got := pytext.Repr(v); got != want && (err == nil || err.Error() != want) {
				t.Errorf("%q\n got %s, %v\nexpected %s", row[0], got, err, want)
			}
			continue
		}
		if len(row) == 2 {
			if err != nil {
				t.Errorf("%q\n got error %v\nSalt has %s", row[0], err, row[1])
			} else if got := pytext.Repr(v); got != row[1] {
				t.Errorf("%q\n got      %s\nSalt has %s", row[0], got, row[1])
			}
			continue
		}
		var e *Error
		switch {
		case !errors.As(err, &e):
			t.Errorf("%q\n got %s\nSalt has %s: %s", row[0], pytext.Repr(v), row[2], row[3])
		case row[2] == "RecursionError":
			if e.Class != row[2] {
				t.Errorf("%q\n got %s: %v\nSalt has %s", row[0], e.Class, e, row[2])
			}
		case e.Salt() != row[3]:
			t.Errorf("%q\n got      %s\nSalt has %s", row[0], e.Salt(), row[3])
		case row[2] != "SaltRenderError" && e.Class != row[2]:
			t.Errorf("%q\n got a %s, Salt a %s", row[0], e.Class, row[2])
		}
	}
}

// writers are the ways of writing that were recorded.
var writers = map[string]func(v any) (string, error){
	"yaml":          func(v any) (string, error) { return YAML(v, true), nil },
	"yaml_block":    func(v any) (string, error) { return YAML(v, false), nil },
	"dump":          dumper(pytext.YAMLOptions{}),
	"dump_w20":      dumper(pytext.YAMLOptions{Flow: pytext.FlowNone, Width: 20}),
	"dump_i4":       dumper(pytext.YAMLOptions{Flow: pytext.FlowNone, Indent: 4}),
	"dump_ascii":    dumper(pytext.YAMLOptions{Flow: pytext.FlowNone, ASCII: true}),
	"dump_unsorted": dumper(pytext.YAMLOptions{Flow: pytext.FlowNone, KeepOrder: true}),
	"dump_wide":     dumper(pytext.YAMLOptions{Flow: pytext.FlowAll, Width: 100000}),
	"serialize":     func(v any) (string, error) { return Serialize(v, pytext.YAMLOptions{ASCII: true}), nil },
	"json":          func(v any) (string, error) { return JSON(v, true, nil) },
	"json_2":        func(v any) (string, error) { two := 2; return JSON(v, false, &two) },
	"tojson":        func(v any) (string, error) { return ToJSON(v, pytext.JSONOptions{ASCII: true}) },
	"tojson_4": func(v any) (string, error) {
		return ToJSON(v, pytext.JSONOptions{ASCII: true, Pretty: true, Indent: "    "})
	},
	"tojson_opts": func(v any) (string, error) {
		return ToJSON(v, pytext.JSONOptions{ASCII: true, SortKeys: true, Separator: ",", Colon: ":"})
	},
	"yaml_encode": YAMLEncode,
	"yaml_dquote": func(v any) (string, error) { return YAMLDoubleQuote(pytext.Str(v)), nil },
	"yaml_squote": func(v any) (string, error) { return YAMLSingleQuote(pytext.Str(v)), nil },
}

func dumper(o pytext.YAMLOptions) func(v any) (string, error) {
	o.Aliases = true
	return func(v any) (string, error) { return o.Dump(v), nil }
}

// TestRecordedDump replays what Salt 3006.18 wrote of values: each row has the value as
// YAML, the way of writing, and the text or "" and the exception.
func TestRecordedDump(t *testing.T) {
	for _, row := range recorded(t, "dump.json") {
		v, err := Load(row[0])
		if err != nil {
			t.Errorf("%q: %v", row[0], err)
			continue
		}
		got, err := writers[row[1]](v)
		if len(row) > 3 {
			if err == nil || !strings.HasSuffix(row[3], ": "+err.Error()) {
				t.Errorf("%s of %q\n got %q, %v\nSalt has %s", row[1], row[0], got, err, row[3])
			}
			continue
		}
		if err != nil || got != row[2] {
			t.Errorf("%s of %q\n got      %q %v\nSalt has %q", row[1], row[0], got, err, row[2])
		}
	}
}

// TestRecordedJSON replays what the json renderer of Salt 3006.18 made of texts.
func TestRecordedJSON(t *testing.T) {
	for _, row := range recorded(t, "json.json") {
		v, err := RenderJSON(row[0])
		if row[0] == "123456789012345678901234567890" {
			row[1] = "'" + row[1] + "'" // beyond 64 bits
		}
		switch {
		case len(row) == 2 && (err != nil || pytext.Repr(v) != row[1]):
			t.Errorf("%q\n got      %s, %v\nSalt has %s", row[0], pytext.Repr(v), err, row[1])
		case len(row) > 2 && (err == nil || err.Error() != row[2]):
			t.Errorf("%q\n got      %s, %v\nSalt has %s", row[0], pytext.Repr(v), err, row[2])
		}
	}
}
