package module

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

//go:embed *_test.go
var sources embed.FS

type greetArgs struct {
	Name   string   // Who is greeted.
	Times  int      `default:"1"`               // How often.
	Titles []string `default:"None" split:","`  // Before the name.
	Loud   bool     `default:"False" arg:",kw"` // In capitals.
}

// greet greets somebody.
//
//	gosalt '*' demo.greet World
func greet(ctx context.Context, c *Call, a greetArgs) (string, error) {
	text := strings.Join(append(a.Titles, a.Name), " ")
	if a.Loud {
		text = strings.ToUpper(text)
	}
	return strings.TrimSpace(strings.Repeat("hello "+text+" ", a.Times)), nil
}

type rangeArgs struct {
	Start int // From.
	Stop  int // To.
	Step  int // By.
}

// between returns what it got.
func between(ctx context.Context, c *Call, a rangeArgs) (rangeArgs, error) { return a, nil }

type anyArgs struct {
	Rest []any     `arg:"*"`  // All of them.
	Kw   *wire.Map `arg:"**"` // By name.
}

// everything returns its arguments.
func everything(ctx context.Context, c *Call, a anyArgs) (*wire.Map, error) {
	return wire.NewMap("args", a.Rest, "kwargs", a.Kw), nil
}

type noArgs struct{}

func demo(t *testing.T) *Registry {
	t.Helper()
	r := NewRegistry()
	Register(r, "demo.greet", greet)
	r.Alias("demo.welcome", "demo.greet")
	Register(r, "demo.between", between, Outputter("yaml"))
	Register(r, "demo.everything", everything)
	fails := func(name string, err error) {
		Register(r, "fail."+name, func(context.Context, *Call, noArgs) (any, error) { return nil, err })
	}
	fails("failed", Failf("disk %s is full", "sda"))
	fails("wrapped", fmt.Errorf("while testing: %w", Failf("disk is full")))
	fails("invocation", Invalidf("not like that"))
	fails("no_command", NoCommandf("zfs"))
	fails("other", errors.New("EOF"))
	Register(r, "fail.panic", func(context.Context, *Call, noArgs) (any, error) { panic("boom") })
	Register(r, "fail.value", func(context.Context, *Call, noArgs) (any, error) { return make(chan int), nil })
	Register(r, "fail.retcode", func(_ context.Context, c *Call, _ noArgs) (string, error) {
		c.SetRetcode(7)
		return "done", nil
	})
	Register(r, "fail.result", func(context.Context, *Call, noArgs) (map[string]any, error) {
		return map[string]any{"result": false, "success": true}, nil
	})
	Register(r, "cross.call", func(ctx context.Context, c *Call, a anyArgs) (any, error) {
		return c.Call(ctx, a.Rest[0].(string), a.Rest[1:], nil)
	})
	Register(r, "cross.direct", func(ctx context.Context, c *Call, a noArgs) (bool, error) { return c.Direct(), nil })
	r.Planned("", "demo.later")
	r.Sources("github.com/gosalt/gosalt/internal/module", sources)
	return r
}

func kwargs(kv ...any) *wire.Map {
	m := wire.NewMap("__kwarg__", true)
	for i := 0; i < len(kv); i += 2 {
		m.SetAny(kv[i], kv[i+1])
	}
	return m
}

func TestRun(t *testing.T) {
	list := func(v ...any) []any { return v }
	tests := []struct {
		name    string
		fun     string
		args    []any
		want    string // the result as Python writes it; a text as it is, its first line
		retcode int
		out     string
	}{
		{"positional", "demo.greet", list("World", int64(2)), "hello World hello World", 0, ""},
		{"by name", "demo.greet", list(kwargs("name", "World")), "hello World", 0, ""},
		{"by name in a text", "demo.greet", list("World", "times=2"), "hello World hello World", 0, ""},
		{"not a name", "demo.greet", list("a==b"), "hello a==b", 0, ""},
		{"not marked as keywords", "demo.everything", list(wire.NewMap("a", int64(1))), "{'args': [{'a': 1}], 'kwargs': {}}", 0, ""},
		{"number as text", "demo.greet", list(int64(7), "3"), "hello 7 hello 7 hello 7", 0, ""},
		{"text as list", "demo.greet", list("W", kwargs("titles", "Dr, Prof")), "hello Dr Prof W", 0, ""},
		{"alias", "demo.welcome", list("W"), "hello W", 0, ""},
		{"struct", "demo.between", list(int64(1), int64(2), int64(3)), "{'start': 1, 'stop': 2, 'step': 3}", 0, "yaml"},
		{"one missing", "demo.greet", nil, "Passed invalid arguments to demo.greet: greet() missing 1 required positional argument: 'name'", 1, "nested"},
		{"two missing", "demo.between", list(int64(1)), "Passed invalid arguments to demo.between: between() missing 2 required positional arguments: 'stop' and 'step'", 1, "nested"},
		{"three missing", "demo.between", nil, "Passed invalid arguments to demo.between: between() missing 3 required positional arguments: 'start', 'stop', and 'step'", 1, "nested"},
		{"too many", "demo.between", list(1, 2, 3, 4), "Passed invalid arguments to demo.between: between() takes 3 positional arguments but 4 were given", 1, "nested"},
		{"too many with defaults", "demo.greet", list("a", int64(1), "b", "c"), "Passed invalid arguments to demo.greet: greet() takes from 1 to 3 positional arguments but 4 were given", 1, "nested"},
		{"twice", "demo.greet", list("a", kwargs("name", "b")), "Passed invalid arguments to demo.greet: greet() got multiple values for argument 'name'", 1, "nested"},
		{"unknown keyword", "demo.greet", list("a", kwargs("tims", int64(2), "x", nil)), "ERROR executing 'demo.greet': The following keyword arguments are not valid: tims=2, x=None. Did you mean 'times'?", 1, "nested"},
		{"wrong type", "demo.greet", list("a", "many"), "Passed invalid arguments to demo.greet: greet() argument 'times': expected a whole number, got str 'many'", 1, "nested"},
		{"unknown function", "demo.gret", nil, "'demo.gret' is not available. Did you mean 'demo.greet'?", 1, "nested"},
		{"unknown module", "nosuch.fun", nil, "'nosuch.fun' is not available.", 1, "nested"},
		{"not yet", "demo.later", nil, "'demo.later' is not available in gosalt yet.", 1, "nested"},
		{"failed", "fail.failed", nil, "ERROR: disk sda is full", 1, "nested"},
		{"failed, wrapped", "fail.wrapped", nil, "ERROR: while testing: disk is full", 1, "nested"},
		{"invocation", "fail.invocation", nil, "ERROR executing 'fail.invocation': not like that", 1, "nested"},
		{"no command", "fail.no_command", nil, "Command required for 'fail.no_command' not found: zfs", 1, "nested"},
		{"other error", "fail.other", nil, "The minion function caused an exception: EOF", 1, "nested"},
		{"panic", "fail.panic", nil, "The minion function caused an exception: panic: boom", 1, "nested"},
		{"no value of the wire", "fail.value", nil, "The minion function caused an exception: a value of type chan int cannot be returned", 1, "nested"},
		{"retcode", "fail.retcode", nil, "done", 7, ""},
		{"result false", "fail.result", nil, "{'result': False, 'success': True}", 1, ""},
		{"cross call", "cross.call", list("demo.greet", "W"), "hello W", 0, ""},
		{"cross call's retcode", "cross.call", list("fail.retcode"), "done", 7, ""},
		{"cross call of nothing", "cross.call", list("demo.nothing"), "The minion function caused an exception: 'demo.nothing' is not available.", 1, "nested"},
		{"direct", "cross.direct", nil, "True", 0, ""},
		{"not direct", "cross.call", list("cross.direct"), "False", 0, ""},
	}
	r := demo(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res := r.Run(t.Context(), &Call{Job: &Job{}}, tt.fun, tt.args, nil)
			got, _, _ := strings.Cut(pytext.Str(res.Return), "\n")
			if got != tt.want || res.Retcode != tt.retcode || res.Out != tt.out || res.Success != (tt.retcode == 0) {
				t.Errorf("got  %s, %+v\nwant %s, retcode %d, out %q", got, res, tt.want, tt.retcode, tt.out)
			}
			if (res.Err != nil) != (tt.out == "nested") {
				t.Errorf("Err: %v", res.Err)
			}
		})
	}
}

func TestRunPublished(t *testing.T) {
	pub := wire.NewMap("jid", "20260101000000000000", "fun", "demo.everything")
	res := demo(t).Run(t.Context(), &Call{Job: &Job{Pub: pub}}, "demo.everything", []any{"a", kwargs("k", true)}, nil)
	want := "{'args': ['a'], 'kwargs': {'k': True, '__pub_jid': '20260101000000000000', '__pub_fun': 'demo.everything'}}"
	if got := pytext.Repr(res.Return); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestRunUnknownShowsWhatBeginsAlike(t *testing.T) {
	res := demo(t).Run(t.Context(), nil, "demo.gree", nil, nil)
	m, ok := res.Return.(*wire.Map)
	if !ok || m.Len() != 2 || !strings.Contains(m.Text("demo.greet"), "Greets somebody.") ||
		!strings.HasPrefix(m.Text("demo.gree"), "'demo.gree' is not available.") {
		t.Errorf("got %s", pytext.Repr(res.Return))
	}
}

func TestDoc(t *testing.T) {
	want := `
    Greets somebody.

    CLI Example:

        gosalt '*' demo.greet World

    Arguments:

    name
        Who is greeted.
    times (default 1)
        How often.
    titles (default None)
        Before the name.
    loud (default False)
        In capitals.
    `
	if got := demo(t).DocText("demo.greet"); got != want {
		t.Errorf("got:%s\nwant:%s", got, want)
	}
}

func TestUndocumented(t *testing.T) {
	type args struct {
		Bare string // This one has a comment, but the type is local: no one could read it.
	}
	r := NewRegistry()
	Register(r, "demo.bare", func(context.Context, *Call, args) (any, error) { return nil, nil })
	r.Sources("github.com/gosalt/gosalt/internal/module", sources)
	got := fmt.Sprint(r.Undocumented())
	if got != "[demo.bare demo.bare bare]" {
		t.Errorf("got %s", got)
	}
}

func TestBadSignature(t *testing.T) {
	tests := map[string]any{
		"required after optional": struct {
			A string `default:""`
			B string
		}{},
		"default of another type": struct {
			A int `default:"x"`
		}{},
		"two of one name": struct {
			A string
			B string `arg:"a"`
		}{},
		"star of texts": struct {
			A []string `arg:"*"`
		}{},
	}
	for name, v := range tests {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			readParams("demo.f", reflect.TypeOf(v), nil)
		})
	}
}

func TestToWire(t *testing.T) {
	type inner struct {
		OSName string
		Skip   int           `wire:"-"`
		Empty  string        `wire:"empty,omitempty"`
		Wait   time.Duration `wire:"secs"`
	}
	kept := wire.NewMap("a", []any{int64(1)})
	tests := []struct {
		in   any
		want string
	}{
		{map[string]int{"b": 1, "a": 2}, "{'a': 2, 'b': 1}"},
		{map[int]string{10: "x", 9: "y"}, "{9: 'y', 10: 'x'}"},
		{inner{OSName: "Debian", Wait: 1500 * time.Millisecond}, "{'os_name': 'Debian', 'secs': 1.5}"},
		{[]string(nil), "[]"},
		{(*inner)(nil), "None"},
		{[]any{uint8(1), int32(2), float32(0.5), []inner{{}}}, "[1, 2, 0.5, [{'os_name': '', 'secs': 0.0}]]"},
		{wire.NewMap("x", 1, "y", kept, "z", []int{3}), "{'x': 1, 'y': {'a': [1]}, 'z': [3]}"},
		{uint64(1 << 63), "9223372036854775808"},
		{kept, "{'a': [1]}"},
	}
	for _, tt := range tests {
		got, err := ToWire(tt.in)
		if err != nil || pytext.Repr(got) != tt.want {
			t.Errorf("ToWire(%#v) = %s, %v, want %s", tt.in, pytext.Repr(got), err, tt.want)
		}
	}
	if got, _ := ToWire(kept); got != any(kept) {
		t.Error("a map that needs no conversion was copied")
	}
}

func TestCancelledCallKeepsItsCause(t *testing.T) {
	r := NewRegistry()
	Register(r, "demo.wait", func(ctx context.Context, c *Call, a noArgs) (any, error) {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	})
	why := errors.New("job was killed")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if res := r.Run(ctx, nil, "demo.wait", nil, nil); !errors.Is(res.Err, why) {
		t.Errorf("got %+v", res)
	}
}
