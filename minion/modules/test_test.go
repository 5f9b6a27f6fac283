package modules

import (
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
)

func run(t *testing.T, fun string, args ...any) module.Result {
	t.Helper()
	return New().Run(t.Context(), &module.Call{}, fun, args, nil)
}

func TestEcho(t *testing.T) {
	if res := run(t, "test.ping"); res.Return != true || !res.Success {
		t.Fatalf("test.ping: %+v", res)
	}
	if res := run(t, "test.echo", "hi"); res.Return != "hi" || !res.Success {
		t.Fatalf("test.echo: %+v", res)
	}
	if res := run(t, "test.echo", wire.NewMap("__kwarg__", true, "text", "hi")); res.Return != "hi" {
		t.Fatalf("test.echo text=hi: %+v", res)
	}
	res := run(t, "test.echo")
	text, _ := res.Return.(string)
	want := "Passed invalid arguments to test.echo: echo() missing 1 required positional argument: 'text'\n\n    Returns what"
	if !strings.HasPrefix(text, want) || res.Retcode != 1 || res.Out != "nested" {
		t.Fatalf("test.echo without text: %+v", res)
	}
}
