package yamlarg

import (
	"testing"

	"github.com/gosalt/gosalt/internal/pytext"
)

// FuzzParseArg holds that no text makes typing fail, and that an argument which is
// no keyword is typed alike alone and in a list.
func FuzzParseArg(f *testing.F) {
	for _, s := range []string{"1", "[1, {a: b}]", "a=b", "&a [*a]", "{<<: {a: 1}}", "!!binary aGk=", "x # y", "[?", "{&a :b}", "]", "!"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if _, _, ok := SplitKwarg(s); ok {
			s = " " + s
		}
		alone, list := jidText(ParseArg(s)), ParseInput([]string{s}, nil)
		if len(list) != 1 || pytext.Repr(list[0]) != pytext.Repr(alone) {
			t.Errorf("%q alone is %s, in a list %s", s, pytext.Repr(alone), pytext.Repr(list))
		}
	})
}
