package master

import (
	"testing"

	"github.com/gosalt/gosalt/protocol/wire"
)

func TestAllowsCall(t *testing.T) {
	kw := func(kv ...any) *wire.Map { m := wire.NewMap(kv...); m.Set("__kwarg__", true); return m }
	list := func(v ...any) []any { return v }
	args := wire.NewMap("cmd.run", wire.NewMap("args", list("uptime|date", nil), "kwargs", wire.NewMap("runas", "www.*")))
	for _, tc := range []struct {
		name string
		funs any
		call wire.Call
		want bool
	}{
		{"exact", list("test.ping"), wire.Call{Fun: "test.ping"}, true},
		{"one function without a list", "test.ping", wire.Call{Fun: "test.ping"}, true},
		{"glob", list("test.*"), wire.Call{Fun: "test.echo"}, true},
		{"regular expression for the whole name", list("test\\.(ping|echo)"), wire.Call{Fun: "test.echo"}, true},
		{"no part of a name", list("test.pin"), wire.Call{Fun: "test.ping"}, false},
		{"another", list("test.*"), wire.Call{Fun: "cmd.run"}, false},
		{"arguments fit", list(args), wire.Call{Fun: "cmd.run", Args: list("uptime", "x", kw("runas", "www-data"))}, true},
		{"an argument differs", list(args), wire.Call{Fun: "cmd.run", Args: list("uptime; id", "x", kw("runas", "www-data"))}, false},
		{"an argument is missing", list(args), wire.Call{Fun: "cmd.run", Args: list("uptime", kw("runas", "www-data"))}, false},
		{"a keyword is missing", list(args), wire.Call{Fun: "cmd.run", Args: list("uptime", "x")}, false},
		{"a keyword differs", list(args), wire.Call{Fun: "cmd.run", Args: list("uptime", "x", kw("runas", "root"))}, false},
		{"a keyword as text", list(args), wire.Call{Fun: "cmd.run", Args: list("uptime", "x", "runas=www-data")}, true},
		{"nothing allowed", nil, wire.Call{Fun: "test.ping"}, false},
	} {
		if got := allowsCall(tc.funs, tc.call); got != tc.want {
			t.Errorf("%s: %t, want %t", tc.name, got, tc.want)
		}
	}
}
