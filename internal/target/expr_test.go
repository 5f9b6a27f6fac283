package target

import "testing"

func TestExpr(t *testing.T) {
	for _, r := range []struct {
		expr, text string
		want       bool
	}{
		{"salt/job/*", "salt/job/1/ret/web1", true},
		{"*", "", true},
		{`salt/(job|run)/\d+/new`, "salt/run/17/new", true},
		{`salt/(job|run)/\d+/new`, "salt/run/17/newer", false},
		{"a|b", "b", true},
		{"a|b", "bc", false},
		{"(", "(", true},
		{"(", "a", false},
		{"salt/auth", "salt/authx", false},
		{"salt/[ab]*", "salt/auth", true},
	} {
		if got := CompileExpr(r.expr).Match(r.text); got != r.want {
			t.Errorf("%q and %q: %v", r.expr, r.text, got)
		}
	}
}
