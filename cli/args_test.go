package cli

import (
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"testing"

	"github.com/gosalt/gosalt/internal/optparse"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/pytext/pytest"
	"github.com/gosalt/gosalt/protocol/wire"
)

// TestParseRecorded compares with Salt's own salt.utils.args over testdata/args.json.
func TestParseRecorded(t *testing.T) {
	var recorded struct {
		Single []struct {
			Arg            string
			Yamlify, Input pytest.Value
		}
		Lists []struct {
			Args    []string
			NoParse []string `json:"no_parse"`
			Input   pytest.Value
		}
	}
	data, err := os.ReadFile("testdata/args.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &recorded); err != nil {
		t.Fatal(err)
	}
	same := func(got, want any) bool {
		return pytext.Repr(got) == pytext.Repr(want) && pytext.TypeName(got) == pytext.TypeName(want)
	}
	for _, c := range recorded.Single {
		if got := ParseArg(c.Arg); !same(got, c.Yamlify.V) {
			t.Errorf("ParseArg(%q) = %s, Salt makes %s", c.Arg, pytext.Repr(got), pytext.Repr(c.Yamlify.V))
		}
		if got := ParseInput([]string{c.Arg}, nil); !same(got, c.Input.V) {
			t.Errorf("ParseInput(%q) = %s, Salt makes %s", c.Arg, pytext.Repr(got), pytext.Repr(c.Input.V))
		}
	}
	for _, c := range recorded.Lists {
		if got := ParseInput(c.Args, c.NoParse); !same(got, c.Input.V) {
			t.Errorf("ParseInput(%q, %q) = %s, Salt makes %s", c.Args, c.NoParse, pytext.Repr(got), pytext.Repr(c.Input.V))
		}
	}
}

func TestSplitCompound(t *testing.T) {
	kw := wire.NewMap("__kwarg__", true, "a", int64(1))
	for _, c := range []struct {
		name string
		fun  string
		args []string
		sep  string
		funs []string
		want [][]any
		err  error
	}{
		{"one function", "test.echo", []string{"x", "a=1"}, ",", []string{"test.echo"}, [][]any{{"x", kw}}, nil},
		{"standing separators", "a.b,c.d,e.f", []string{"x", ",", ",", "y", "z"}, ",", []string{"a.b", "c.d", "e.f"}, [][]any{{"x"}, {}, {"y", "z"}}, nil},
		{"commas inside arguments", "a.b,c.d", []string{"x,y"}, ",", []string{"a.b", "c.d"}, [][]any{{"x"}, {"y"}}, nil},
		{"comma before the argument", "test.ping,test.echo", []string{",hello"}, ",", []string{"test.ping", "test.echo"}, [][]any{{}, {"hello"}}, nil},
		{"own separator", "a.b,c.d", []string{"x,y", "--", "z"}, "--", []string{"a.b", "c.d"}, [][]any{{"x,y"}, {"z"}}, nil},
		{"empty argument", "a.b,c.d", []string{"", ",", "z"}, ",", []string{"a.b", "c.d"}, [][]any{{""}, {"z"}}, nil},
		{"too few", "a.b,c.d", []string{"x"}, ",", nil, nil, errTooFewArgs},
		{"too many", "a.b,c.d", []string{"x,y,z"}, ",", nil, nil, errTooManyArgs},
		{"trailing comma", "a.b,", []string{"x", ",", "y"}, ",", []string{"a.b", ""}, [][]any{{"x"}, {"y"}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, exit := SplitCompound(c.fun, c.args, c.sep, nil)
			if exit != nil || c.err != nil {
				if !errors.Is(exit, c.err) {
					t.Fatalf("error %v, expected %v", exit, c.err)
				}
				return
			}
			if !reflect.DeepEqual(got.Funs, c.funs) || pytext.Repr(anyLists(got.Args)) != pytext.Repr(anyLists(c.want)) {
				t.Errorf("got %q %s", got.Funs, pytext.Repr(anyLists(got.Args)))
			}
		})
	}
	var exit *optparse.Exit
	if !errors.As(error(errTooFewArgs), &exit) || exit.Code != 42 {
		t.Error("a compound command without all its arguments exits with 42")
	}
}

func anyLists(l [][]any) []any {
	out := make([]any, len(l))
	for i, e := range l {
		out[i] = e
	}
	return out
}
