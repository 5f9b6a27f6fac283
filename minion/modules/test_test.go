package modules

import (
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func testLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func TestTestFunctions(t *testing.T) {
	tests := []struct {
		fun  string
		args []any
		want string // the beginning of the result
	}{
		{"test.fib", []any{int64(10)}, "[55, "},
		{"test.fib", []any{int64(100)}, "['354224848179261915075', "},
		{"test.collatz", []any{int64(3)}, "[[3, 10, 5.0, 16.0, 8.0, 4.0, 2.0], "},
		{"test.collatz", []any{int64(0)}, "ERROR executing 'test.collatz': start is 0:"},
		{"test.exception", []any{"Oh noes!"}, "The minion function caused an exception: Oh noes!"},
		{"test.assertion", []any{int64(0)}, "The minion function caused an exception: AssertionError"},
		{"test.try", []any{"test.ping"}, "True"},
		{"test.try", []any{"test.exception"}, "None"},
		{"test.try", []any{"test.exception", true}, "Test Exception"},
		{"test.cross_test", []any{"test.echo", []any{"hi"}}, "hi"},
		{"test.cross_test", []any{"test.nosuch"}, "The minion function caused an exception: 'test.nosuch' is not available."},
		{"test.version", nil, "3006.18"},
		{"test.versions", nil, "Salt Version:\n"},
		{"test.versions_information", nil, "{'Salt Version': {'Salt': '3006.18', 'gosalt': "},
		{"test.provider", []any{"cmd"}, "cmd"},
		{"test.provider", []any{"nosuch"}, ""},
		{"test.providers", nil, "{'aliases': 'aliases', 'alternatives_linux': 'alternatives', "},
		{"test.not_loaded", nil, "[]"},
		{"test.module_report", nil, "{'functions': ['aliases."},
		{"test.get_opts", nil, "{'id': 'web1'}"},
		{"test.opts_pkg", nil, "{'id': 'web1', 'grains': {'os': 'Debian'}}"},
		{"test.attr_call", nil, "{'os': 'Debian'}"},
		{"test.stack", nil, "goroutine "},
		{"test.rand_sleep", []any{int64(0)}, "True"},
		{"test.random_hash", []any{int64(9), "nosuch"}, "ERROR: unsupported hash type nosuch:"},
		{"sys.list_functions", []any{"grains"}, "['grains.append', 'grains.delkey'"},
		{"sys.list_functions", []any{"cmd.run_*", "cmd.tty"}, "['cmd.run_all', 'cmd.run_bg', 'cmd.run_chroot', 'cmd.run_stderr', 'cmd.run_stdout', 'cmd.tty']"},
		{"sys.list_modules", nil, "['aliases', 'alternatives', 'archive', 'at', 'bootstrap', 'cmd', 'config', "},
		{"sys.doc", []any{"test.ping"}, `{'test.ping': "\n    Tells that the minion is up`},
		{"sys.state_doc", nil, "{}"},
		{"sys.list_state_functions", nil, "[]"},
		{"sys.argspec", []any{"cmd.which"}, "{'cmd.which': {'args': ['cmd'], 'defaults': None, 'varargs': None, 'kwargs': None}}"},
		{"grains.ls", nil, "['os']"},
		{"grains.items", []any{true}, "{'os': 'Debian'}"},
	}
	call := &module.Call{
		Opts:   wire.NewMap("id", "web1"),
		Grains: func() *wire.Map { return wire.NewMap("os", "Debian") },
	}
	r := New()
	for _, tt := range tests {
		res := r.Run(t.Context(), call, tt.fun, tt.args, nil)
		if got := pytext.Str(res.Return); !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("%s%s = %.300s\nwant %s", tt.fun, pytext.Repr(tt.args), got, tt.want)
		}
	}
}

func TestRandomHash(t *testing.T) {
	r := New()
	for name, length := range map[string]int{"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128, "sha3_384": 96} {
		res := r.Run(t.Context(), nil, "test.random_hash", []any{int64(5), name}, nil)
		if s, _ := res.Return.(string); len(s) != length {
			t.Errorf("%s: %q, %d digits expected", name, s, length)
		}
	}
	res := r.Run(t.Context(), &module.Call{Opts: wire.NewMap("hash_type", "md5")}, "test.rand_str", nil, nil)
	if s, _ := res.Return.(string); len(s) != 32 {
		t.Errorf("hash_type of the configuration is not taken: %q", s)
	}
}

func TestSanitizedGrains(t *testing.T) {
	g := wire.NewMap("id", "web1.example.com", "host", "web1", "domain", "example.com", "serialnumber", "12345678", "os", "Debian")
	call := &module.Call{Grains: func() *wire.Map { return g }}
	res := New().Run(t.Context(), call, "grains.items", nil, wire.NewMap("sanitize", true))
	want := "{'id': 'MINION.DOMAINNAME', 'host': 'MINION', 'domain': 'DOMAINNAME', 'serialnumber': '123456XX', 'os': 'Debian'}"
	if got := pytext.Repr(res.Return); got != want || g.Text("host") != "web1" {
		t.Errorf("got  %s\nwant %s; the grains are now %s", got, want, pytext.Repr(g))
	}
}
