package target

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/protocol/wire"
)

// recorded is what the real matchers answered: salt.matchers.* for each minion, and
// salt.utils.minions.CkMinions for a master that has these minions' keys and data.
type recorded struct {
	Subjects   map[string]json.RawMessage `json:"subjects"` // null: a key, but no data
	Nodegroups json.RawMessage            `json:"nodegroups"`
	Data       json.RawMessage            `json:"data"`
	Rows       []struct {
		Expr      json.RawMessage `json:"expr"`
		Kind      string          `json:"kind"`
		Delimiter string          `json:"delimiter"`
		Minion    *[]string       `json:"minion"` // minions that take it for theirs
		Greedy    *[]string       `json:"greedy"` // whom a master expects
		Exact     *[]string       `json:"exact"`  // the same, unknown data taken for no match
		Missing   []string        `json:"missing"`
		Wire      *string         `json:"wire"`
		Raised    string          `json:"raised"`
	} `json:"rows"`
}

// differs are the expressions that gosalt reads otherwise than Salt, with the reason.
var differs = map[string]string{
	`pcre ""`:                                         "matches every minion in Salt: more likely a variable that was empty",
	`pcre "w++eb"`:                                    "possessive repetition is a matter of Python 3.11",
	`grain "os"`:                                      "bad for a minion, so that those without data are not asked either",
	`grain "os" with |`:                               "likewise",
	`grain_pcre "os"`:                                 "likewise",
	`grain_pcre "os:["`:                               "likewise",
	`grain_pcre "os:("`:                               "likewise",
	`pillar "app"`:                                    "likewise",
	`pillar_exact "app"`:                              "likewise",
	`pillar_pcre "app"`:                               "likewise",
	`pillar_pcre "env:["`:                             "likewise",
	`compound "G@os"`:                                 "likewise",
	`compound "N@empty or db1"`:                       "an empty group is more likely a mistake than nobody",
	`compound "( ) or web*"`:                          "a Salt master refuses it, a minion would not",
	`compound "web* or web* ( db1 )"`:                 "likewise",
	`compound "( web*"`:                               "a Salt minion refuses it, the master would not",
	`compound "( web* or db1"`:                        "likewise",
	`compound "( web* or db1)"`:                       "likewise",
	`pillar "db"`:                                     "what cannot be read is an error of the whole, not a part that matches nobody",
	`compound "( J@env:[ )"`:                          "likewise",
	`compound "J@env:["`:                              "likewise",
	`compound "G@os or ( db1 )"`:                      "likewise",
	`compound "G@os@Debian"`:                          "likewise",
	`compound "not ( N@nope )"`:                       "likewise",
	`compound "not L@web1.example.com,nope not G@os"`: "likewise",
}

func loadRecorded(t testing.TB) *recorded {
	t.Helper()
	data, err := os.ReadFile("testdata/recorded.json")
	if err != nil {
		t.Fatal(err)
	}
	var r recorded
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	return &r
}

func decodeValue(t testing.TB, raw json.RawMessage) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return toModel(t, v)
}

func toModel(t testing.TB, v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		f, err := v.Float64()
		if err != nil {
			t.Fatal(err)
		}
		return f
	case []any:
		for i := range v {
			v[i] = toModel(t, v[i])
		}
	case map[string]any:
		m := wire.NewMap()
		if pairs, ok := v["__pairs__"].([]any); ok {
			for _, p := range pairs {
				kv := p.([]any)
				m.SetAny(toModel(t, kv[0]), toModel(t, kv[1]))
			}
			return m
		}
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			m.Set(k, toModel(t, v[k]))
		}
		return m
	}
	return v
}

func (r *recorded) subjects(t testing.TB) map[string]*Subject {
	all := map[string]*Subject{}
	data := decodeValue(t, r.Data).(*wire.Map)
	for id, raw := range r.Subjects {
		s := &Subject{ID: id, Data: data}
		if m, ok := decodeValue(t, raw).(*wire.Map); ok {
			s.Grains, s.Pillar = m.Map("grains"), m.Map("pillar")
		} else {
			s.Unknown = Matches
		}
		all[id] = s
	}
	return all
}

func TestRecorded(t *testing.T) {
	r := loadRecorded(t)
	subjects := r.subjects(t)
	groups := decodeValue(t, r.Nodegroups).(*wire.Map)
	if len(r.Rows) < 1160 {
		t.Fatalf("%d rows", len(r.Rows))
	}
	for _, row := range r.Rows {
		expr := decodeValue(t, row.Expr)
		name := row.Kind + " " + string(row.Expr)
		if row.Delimiter != "" {
			name += " with " + row.Delimiter
		}
		got := map[string][]string{"minion": {}, "greedy": {}, "exact": {}}
		tgt, err := Parse(expr, row.Kind, Options{Delimiter: row.Delimiter, Nodegroups: groups})
		if err != nil {
			var pe *ParseError
			if tgt != nil || !errors.As(err, &pe) {
				t.Errorf("%s: %v of type %T with a target %v", name, err, err, tgt)
			}
		} else {
			if row.Raised != "" {
				t.Errorf("%s: Salt refuses it with %s, we take it", name, row.Raised)
			}
			for id, s := range subjects {
				run := func(into string, s Subject) {
					ok, err := tgt.Match(s)
					if err != nil {
						t.Errorf("%s of %s: %v", name, id, err)
					}
					if ok {
						got[into] = append(got[into], id)
					}
				}
				c := *s
				if s.Unknown == Seen {
					run("minion", c)
				}
				run("greedy", c)
				if s.Unknown == Matches {
					c.Unknown = Differs
				}
				run("exact", c)
			}
		}
		if differs[name] != "" {
			if err == nil {
				t.Errorf("%s: is in the list of differences and is read", name)
			}
			continue
		}
		for what, want := range map[string]*[]string{"minion": row.Minion, "greedy": row.Greedy, "exact": row.Exact} {
			if want == nil {
				continue
			}
			slices.Sort(*want)
			slices.Sort(got[what])
			if w := slices.Compact(*want); !slices.Equal(got[what], w) {
				t.Errorf("%s: %s: got %v, Salt has %v (parse: %v)", name, what, got[what], w, err)
			}
		}
		if tgt == nil {
			continue
		}
		var missing []string
		for _, id := range tgt.Listed() {
			if subjects[id] == nil {
				missing = append(missing, id)
			}
		}
		slices.Sort(missing)
		if missing = slices.Compact(missing); !slices.Equal(missing, row.Missing) {
			t.Errorf("%s: listed and unknown %q, Salt has %q", name, missing, row.Missing)
		}
		if row.Wire != nil {
			if text, ok := tgt.Wire().(string); ok && strings.Join(strings.Fields(text), " ") != *row.Wire {
				t.Errorf("%s: on the wire %q, Salt has %q", name, text, *row.Wire)
			}
		}
	}
}

// TestPython replays random globs and regular expressions against what Python 3.11's
// fnmatch.fnmatchcase and re.match made of them.
func TestPython(t *testing.T) {
	data, err := os.ReadFile("testdata/python.json")
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]any // kind, pattern, text, answer
	if err := json.Unmarshal(data, &rows); err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		kind, pattern, text, want := row[0], row[1].(string), row[2].(string), row[3].(bool)
		got := false
		if kind == "glob" {
			got = compileGlob(pattern).match(text)
		} else {
			re, err := compileRegex(pattern)
			if err == nil {
				got, err = re.match(text)
			}
			if err != nil {
				t.Errorf("%s: %v", pattern, err)
			}
		}
		if got != want {
			t.Errorf("%s %q on %q: %v, Python has %v", kind, pattern, text, got, want)
		}
	}
}
