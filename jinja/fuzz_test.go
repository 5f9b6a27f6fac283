package jinja

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/gosalt/gosalt/jinja/py"
)

// Any text is a template that renders, or an *Error, within its limits.
func FuzzRender(f *testing.F) {
	b, err := os.ReadFile("testdata/jinja.json")
	if err != nil {
		f.Fatal(err)
	}
	var rec recorded
	if err := json.Unmarshal(b, &rec); err != nil {
		f.Fatal(err)
	}
	for _, c := range rec.Cases {
		f.Add(c.T)
	}
	f.Fuzz(func(t *testing.T, src string) {
		env := salty()
		env.Limits = py.Limits{Memory: 8 << 20, Output: 1 << 20, Depth: 50, Steps: 100000}
		env.Loader = MapLoader(rec.Templates)
		tmpl, err := env.FromString(src)
		if err == nil {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			_, err = tmpl.Render(ctx, varsOf(t, rec.Vars))
			if py.IsA(err, "TimeoutError") {
				t.Fatalf("ran past its steps: %v", err)
			}
		}
		var e *Error
		if err != nil && !errors.As(err, &e) {
			t.Fatalf("no *Error: %T %v", err, err)
		}
	})
}
