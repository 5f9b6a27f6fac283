package jinja

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/jinja/py"
	"github.com/gosalt/gosalt/jinja/syntax"
)

// recorded is a file of testdata: templates and what jinja2 3.1.2 under Python
// 3.11 made of them, in its sandbox with StrictUndefined and the extensions do
// and loopcontrols. jinja.json goes through the language by hand; scope.json are
// random nestings of statements; cross.json are operators, filters, tests and
// methods on random values; hard.json are those that go wrong most easily: white space,
// scopes, arguments, formats, errors.
type recorded struct {
	Vars      json.RawMessage
	Templates map[string]string
	Cases     []struct {
		T         string // the template
		Templates bool   // it may load the others
		Lenient   bool   // with Undefined instead
		Trim      bool
		Lstrip    bool
		Keep      bool
		Stmt      string `json:"line_stmt"`
		Comment   string `json:"line_comment"`
		Out       string
		Err       string // class of the exception
		Msg       string
		Line      int
		In        string // the template of Line
	}
}

// decodeJSON makes a Value of JSON, objects in the order written.
func decodeJSON(t testing.TB, d *json.Decoder) py.Value {
	tok, err := d.Token()
	if err != nil {
		t.Fatal(err)
	}
	switch x := tok.(type) {
	case json.Delim:
		if x == '[' {
			l := py.NewList()
			for d.More() {
				l.Items = append(l.Items, decodeJSON(t, d))
			}
			_, _ = d.Token()
			return l
		}
		m := py.NewDict(0)
		for d.More() {
			k := decodeJSON(t, d)
			_ = m.Set(k, decodeJSON(t, d))
		}
		_, _ = d.Token()
		return m
	case json.Number:
		if n, err := x.Int64(); err == nil {
			return n
		}
		f, _ := x.Float64()
		return f
	}
	return tok
}

func varsOf(t testing.TB, raw json.RawMessage) map[string]any {
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	vars := map[string]any{}
	for k, v := range decodeJSON(t, d).(*py.Dict).All() {
		vars[k.(string)] = v
	}
	return vars
}

func TestReplay(t *testing.T) {
	for name, least := range map[string]int{"jinja": 2000, "scope": 300, "cross": 1500, "hard": 300} {
		t.Run(name, func(t *testing.T) { replay(t, "testdata/"+name+".json", least) })
	}
}

func replay(t *testing.T, file string, least int) {
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var rec recorded
	if err := json.Unmarshal(b, &rec); err != nil {
		t.Fatal(err)
	}
	if len(rec.Cases) < least {
		t.Fatalf("only %d cases, want %d", len(rec.Cases), least)
	}
	for i, c := range rec.Cases {
		env := New()
		env.Undefined = py.Strict
		if c.Lenient {
			env.Undefined = py.Lenient
		}
		env.Syntax = syntax.Config{TrimBlocks: c.Trim, LstripBlocks: c.Lstrip, KeepTrailingNewline: c.Keep,
			LineStatementPrefix: c.Stmt, LineCommentPrefix: c.Comment,
			Extensions: []syntax.Extension{Do, LoopControls}}
		if c.Templates {
			env.Loader = MapLoader(rec.Templates)
		}
		var out string
		tmpl, err := env.FromString(c.T)
		if err == nil {
			out, err = tmpl.Render(context.Background(), varsOf(t, rec.Vars))
		}
		want := fmt.Sprintf("%q", c.Out)
		if c.Err != "" {
			want = fmt.Sprintf("%s: %s (%s:%d)", c.Err, c.Msg, c.In, c.Line)
		}
		got := fmt.Sprintf("%q", out)
		var e *Error
		if errors.As(err, &e) {
			got = fmt.Sprintf("%s: %s (%s:%d)", e.Type, e.Msg, e.Template, e.Line)
			if c.Msg == "" && c.Line == 0 {
				got = fmt.Sprintf("%s:  (:0)", e.Type)
			}
		} else if err != nil {
			t.Errorf("case %d %q: no *Error: %v", i, c.T, err)
			continue
		}
		if got != want {
			t.Errorf("case %d %q:\n got %s\nwant %s", i, c.T, got, want)
		}
	}
}
