package jmespath

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/render/value"
	"github.com/gosalt/gosalt/jinja/py"
)

func testData(t testing.TB) (py.Value, [][]string) {
	t.Helper()
	b, err := os.ReadFile("testdata/recorded.json")
	if err != nil {
		t.Fatal(err)
	}
	var rec struct {
		Data json.RawMessage
		Rows [][]string
	}
	if err := json.Unmarshal(b, &rec); err != nil {
		t.Fatal(err)
	}
	data, err := pytext.ParseJSON(string(rec.Data))
	if err != nil {
		t.Fatal(err)
	}
	v, err := value.FromWire(data, false)
	if err != nil {
		t.Fatal(err)
	}
	return v, rec.Rows
}

// TestRecorded holds answers to those of jmespath.py 1.0.1: each row has an expression and
// the repr of its value, or "", the class of the exception and its message. Of errors of
// syntax, and of Python itself, only that there is one is compared.
func TestRecorded(t *testing.T) {
	v, rows := testData(t)
	for _, row := range rows {
		th := py.NewThread(t.Context(), py.Limits{})
		got, err := Search(th, row[0], v)
		if len(row) == 2 {
			text := ""
			if err == nil {
				text, err = py.Repr(th, got)
			}
			if text != row[1] {
				t.Errorf("%s\n got %s, %v\nwant %s", row[0], text, err, row[1])
			}
			continue
		}
		var e *py.Error
		switch {
		case !errors.As(err, &e):
			t.Errorf("%s\n got %v, %v\nwant %s: %s", row[0], got, err, row[2], row[3])
		case strings.HasSuffix(row[2], "FunctionError") || row[2] == "ArityError":
			if e.Type != row[2] || e.Msg != row[3] {
				t.Errorf("%s\n got %s: %s\nwant %s: %s", row[0], e.Type, e.Msg, row[2], row[3])
			}
		case row[2] == "JMESPathTypeError" && e.Type != row[2]:
			t.Errorf("%s\n got %s: %s\nwant %s: %s", row[0], e.Type, e.Msg, row[2], row[3])
		}
	}
}

func FuzzSearch(f *testing.F) {
	v, rows := testData(f)
	for _, row := range rows {
		f.Add(row[0])
	}
	f.Fuzz(func(t *testing.T, expression string) {
		got, err := Search(py.NewThread(t.Context(), py.Limits{}), expression, v)
		if err != nil && got != nil {
			t.Errorf("%q: an error comes with %v", expression, got)
		}
	})
}
