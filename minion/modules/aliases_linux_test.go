package modules

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
)

// Of a file with entries that go on in a second line, comments and lines that are no
// entries nothing is lost but what is to go.
func TestAliases(t *testing.T) {
	const text = "# mail\nroot:\tanna@example.com  # boss\n\nlist: a,\n\tb, # two\n  c\npostmaster : root\nodd line\n"
	args := func(v ...any) []any { return v }
	for _, tt := range []struct {
		fun  string
		args []any
		want string
		file string // what becomes of it, "" for no change
	}{
		{"aliases.list_aliases", nil, "{'root': 'anna@example.com', 'list': 'a, b, c', 'postmaster ': 'root'}", ""},
		{"aliases.get_target", args("root"), "'anna@example.com'", ""},
		{"aliases.get_target", args("none"), "''", ""},
		{"aliases.has_target", args("list", args("a", "b", "c")), "True", ""},
		{"aliases.has_target", args("root", "anna"), "False", ""},
		{"aliases.set_target", args("root", "anna@example.com"), "True", ""},
		{"aliases.set_target", args("list", "x"), "True", "# mail\nroot: anna@example.com  # boss\n\nlist: x # two\npostmaster : root\nodd line\n"},
		{"aliases.set_target", args("new", args("a", "b")), "True", "# mail\nroot: anna@example.com  # boss\n\nlist: a, b, c # two\npostmaster : root\nodd line\nnew: a, b\n"},
		{"aliases.set_target", args("a:b", "c"), `"ERROR executing 'aliases.set_target': an alias has no colon, # or line break: 'a:b'"`, ""},
		{"aliases.set_target", args("a", "b\nroot: me"), `"ERROR executing 'aliases.set_target': a target has no line breaks: 'b\\nroot: me'"`, ""},
		{"aliases.rm_alias", args("root"), "True", "# mail\n\nlist: a, b, c # two\npostmaster : root\nodd line\n"},
		{"aliases.rm_alias", args("none"), "True", ""},
	} {
		t.Run(tt.fun+pytext.Repr(tt.args), func(t *testing.T) {
			root := t.TempDir()
			name := filepath.Join(root, "etc/aliases")
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, []byte(text), 0o640); err != nil {
				t.Fatal(err)
			}
			res := New().Run(t.Context(), &module.Call{Host: &host.Host{Root: root}}, tt.fun, tt.args, nil)
			if got := pytext.Repr(res.Return); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			want := tt.file
			if want == "" {
				want = text
			}
			if after, _ := os.ReadFile(name); string(after) != want {
				t.Errorf("the file is\n%q, expected\n%q", after, want)
			}
			if st, err := os.Stat(name); err != nil || st.Mode().Perm() != 0o640 {
				t.Errorf("%v %v", st.Mode(), err)
			}
		})
	}
}
