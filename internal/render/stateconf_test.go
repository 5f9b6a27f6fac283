package render_test

import (
	"encoding/json"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/render"
)

// stateconfDiffers are errors that gosalt words otherwise, with a part of what it says. ""
// stands for what is no error of the renderer here: the compiler tells what no SLS can be.
var stateconfDiffers = map[string]string{
	"GetoptError: option -x not recognized":                                           "there is no option -x: stateconf takes [-Gosp]",
	"SaltRenderError: Invalid use of stateconf.py renderer!":                          "stateconf takes [-Gosp]",
	"AttributeError: '_io.StringIO' object has no attribute 'items'":                  "with -p it takes data, and got text",
	"AttributeError: 'collections.OrderedDict' object has no attribute 'read'":        "it takes text, and got data",
	"SaltRenderError: Renderer: '..render' is not available!":                         "stateconf takes [-Gosp]",
	"SaltRenderError: Renderer: 'nosuch.render' is not available!":                    "Renderer: 'nosuch' is not available!",
	"SaltRenderError: Renderer: 'text.render' is not available!":                      "",
	"SaltRenderError: The type a in ['not a state'] is not formatted as a dictionary": "",
	"SaltRenderError: The type a in 5 is not formatted as a dictionary":               "",
	"SaltRenderError: sls preprocessing/rendering failed!":                            "",
	"AttributeError: 'list' object has no attribute 'items'":                          "",
	"AttributeError: 'str' object has no attribute 'items'":                           "",
	"JSONDecodeError: Expecting value: line 1 column 1 (char 0)":                      "Expecting value",
}

// TestRecordedStateconf holds the stateconf renderer to what Salt 3006.18 made of files:
// the data they become, or the first line of the error.
func TestRecordedStateconf(t *testing.T) {
	b, err := os.ReadFile("testdata/stateconf.json")
	if err != nil {
		t.Fatal(err)
	}
	var rows []struct{ Head, Body, SLS, Out, Err string }
	if err := json.Unmarshal(b, &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows) < 100 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, row := range rows {
		r := scriptRenderer(tree{}, slog.New(slog.DiscardHandler))
		res, err := r.Render(t.Context(), render.Source{Text: row.Head + "\n" + row.Body, Path: "/srv/salt/case.sls", SLS: row.SLS, Env: "base"})
		name := row.Head + "\n" + row.Body
		_, message, _ := strings.Cut(row.Err, ": ")
		if said, ok := stateconfDiffers[row.Err]; ok {
			message = said
		}
		switch {
		case row.Err != "" && message == "" && err == nil:
		case row.Err != "" && err == nil:
			t.Errorf("%s\nis taken as %s, Salt says %s", name, pytext.Repr(res.Data), row.Err)
		case row.Err != "" && !strings.Contains(err.Error(), message):
			t.Errorf("%s\n got %v\nwant %s", name, err, row.Err)
		case row.Err == "" && err != nil:
			t.Errorf("%s\n got %v\nwant %s", name, err, row.Out)
		case row.Err == "" && pytext.Repr(res.Data) != row.Out:
			t.Errorf("%s\n got %s\nwant %s", name, pytext.Repr(res.Data), row.Out)
		}
	}
}
