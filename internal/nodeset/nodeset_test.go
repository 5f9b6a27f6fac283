package nodeset

import (
	"slices"
	"strings"
	"testing"
)

func TestFold(t *testing.T) {
	for _, c := range []struct{ names, want string }{
		{"", ""},
		{"alpha", "alpha"},
		{"beta alpha beta", "alpha,beta"},
		{"web1 web2 web3", "web[1-3]"},
		{"web01 web02 web03 web07", "web[01-03,07]"},
		{"web8 web9 web10 web11", "web[8-11]"},
		{"web08 web09 web10 web11", "web[08-11]"},
		{"web1 web01", "web1,web01"},
		{"web1.example.com web2.example.com db1.example.com", "db1.example.com,web[1-2].example.com"},
		{"dc1web1 dc1web2 dc2web1 dc2web2", "dc[1-2]web[1-2]"},
		{"dc1web1 dc1web2 dc2web1", "dc1web[1-2],dc2web1"},
		{"a1 a3 a5", "a[1,3,5]"},
		{"x12345678901 x12345678902", "x12345678901,x12345678902"},
		{"1 2 3", "[1-3]"},
		{"web98 web99 web100", "web[98-100]"},
	} {
		if got := Fold(strings.Fields(c.names)); got != c.want {
			t.Errorf("%s: %s, want %s", c.names, got, c.want)
		}
	}
}

func TestExpand(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"web", "web"},
		{"web[1-3]", "web1 web2 web3"},
		{"web[08-11,20].x", "web08.x web09.x web10.x web11.x web20.x"},
		{"dc[1-2]web[1-2]", "dc1web1 dc1web2 dc2web1 dc2web2"},
		{"web[1", "error ] expected"},
		{"web[a]", "error is no number"},
		{"web[3-1]", "error goes backwards"},
		{"web[1-999999999]", "error more than"},
		{"[0-999][0-999]", "error more than"},
	} {
		got, err := Expand(c.text)
		if msg, bad := strings.CutPrefix(c.want, "error "); bad {
			if err == nil || !strings.Contains(err.Error(), msg) {
				t.Errorf("%s: got %v, %v, want an error with %q", c.text, got, err, msg)
			}
			continue
		}
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, %v, want %s", c.text, got, err, c.want)
		}
	}
}

// What is folded expands to the same names.
func FuzzFold(f *testing.F) {
	f.Add("web01 web02 web10 db1")
	f.Add("a1b2 a1b3 a2b2 a2b3 a01b2")
	f.Add("9 09 10 99 100")
	f.Fuzz(func(t *testing.T, text string) {
		names := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" [],\x00", r) })
		folded := Fold(names)
		var back []string
		if folded != "" {
			for _, part := range Split(folded) {
				got, err := Expand(part)
				if err != nil {
					t.Fatalf("%q folds to %q: %v", names, folded, err)
				}
				back = append(back, got...)
			}
		}
		slices.Sort(names)
		slices.Sort(back)
		if names = slices.Compact(names); !slices.Equal(names, back) {
			t.Errorf("%q folds to %q, which is %q", names, folded, back)
		}
	})
}
