package pep440

import (
	"slices"
	"testing"
)

func TestOrder(t *testing.T) {
	order := []string{"nonsense", "1.dev1", "1a1.dev2", "1a1", "1a2", "1b1", "1rc1.dev1", "1rc1", "1.0", "1.0+abc", "1.0+5", "1.0+10", "1.0.post1.dev1", "1.0.post1", "1.0.1", "1.2", "1.10", "2", "1!0.1"}
	got := slices.Clone(order)
	slices.Reverse(got)
	Sort(got)
	if !slices.Equal(got, order) {
		t.Errorf("got  %q\nwant %q", got, order)
	}
	for _, p := range [][2]string{{"1.0", "1"}, {"v1.0alpha1", "1a1"}, {"1.0-1", "1.0.post1"}, {"1.0.preview2", "1rc2"}, {"1_rev", "1.post0"}} {
		a, err := Parse(p[0])
		if err != nil {
			t.Fatal(err)
		}
		b, err := Parse(p[1])
		if err != nil || Compare(a, b) != 0 {
			t.Errorf("%s is not %s (%v)", p[0], p[1], err)
		}
	}
}

func TestRequirements(t *testing.T) {
	for _, c := range []struct {
		line, name string
		yes, no    []string
	}{
		{"foo", "foo", []string{"1", "2a1"}, nil},
		{"Foo_Bar[x,y] >=1.0, <2", "Foo_Bar", []string{"1", "1.9"}, []string{"0.9", "2"}},
		{"foo==1.*", "foo", []string{"1", "1.5.2"}, []string{"2", "0.1"}},
		{"foo!=1.*", "foo", []string{"2"}, []string{"1.5.2"}},
		{"foo~=1.4.2", "foo", []string{"1.4.2", "1.4.9"}, []string{"1.5", "1.4.1"}},
		{"foo===1.0", "foo", []string{"1.0"}, []string{"1.0.0"}},
		{"foo==1.0; python_version<'3'", "foo", []string{"1.0", "1.0+local"}, []string{"1.1"}},
		{"foo (>1)", "foo", []string{"2"}, []string{"1"}},
		{"foo @ https://example.com/foo.zip", "foo", []string{"1"}, nil},
		{"git+https://example.com/x.git#egg=thing", "thing", nil, nil},
		{"https://example.com/a_b-1.2-py3-none-any.whl", "a-b", []string{"1.2"}, []string{"1.3"}},
		{"/tmp/dir", "", nil, nil},
		{"./dir", "", nil, nil},
	} {
		r, err := ParseRequirement(c.line)
		if err != nil || r.Name != c.name {
			t.Errorf("%s: %v %v", c.line, r, err)
		}
		for _, v := range c.yes {
			if !Meets(v, r.Specs) {
				t.Errorf("%s meets %s", v, c.line)
			}
		}
		for _, v := range c.no {
			if Meets(v, r.Specs) {
				t.Errorf("%s does not meet %s", v, c.line)
			}
		}
	}
	for _, bad := range []string{"foo=1", "foo bar", "", "-x", "foo==", "foo>=1,,<2"} {
		if r, err := ParseRequirement(bad); err == nil {
			t.Errorf("%q is no requirement: %v", bad, r)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"1.0", "1!2.3a4.post5.dev6+l.7", "v1-1", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := Parse(s)
		if err == nil && Compare(v, v) != 0 {
			t.Errorf("%q is not itself", s)
		}
		if r, err := ParseRequirement(s); err != nil && (r.Name != "" || r.Specs != nil) {
			t.Errorf("%q: a value with an error", s)
		}
	})
}
