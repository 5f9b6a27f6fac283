package py

import (
	"fmt"
	"iter"
	"math"
	"math/big"
	"reflect"
	"testing"
)

func reprOf(t *testing.T, v Value) string {
	t.Helper()
	s, err := Repr(nil, v)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A dict keeps its order and its index through any series of changes.
func TestDictAgainstModel(t *testing.T) {
	d := NewDict(0)
	var order []int
	seed := uint32(1)
	for range 5000 {
		seed = seed*1664525 + 1013904223
		k := int(seed>>16) % 40
		at := -1
		for i, o := range order {
			if o == k {
				at = i
			}
		}
		if seed>>30 == 0 {
			_, ok, err := d.Delete(int64(k))
			if err != nil || ok != (at >= 0) {
				t.Fatalf("delete %d: %v %v, want %v", k, ok, err, at >= 0)
			}
			if at >= 0 {
				order = append(order[:at:at], order[at+1:]...)
			}
		} else {
			if err := d.Set(int64(k), int64(k)); err != nil {
				t.Fatal(err)
			}
			if at < 0 {
				order = append(order, k)
			}
		}
		if d.Len() != len(order) {
			t.Fatalf("%d entries, want %d", d.Len(), len(order))
		}
	}
	i := 0
	for k, v := range d.All() {
		if k != int64(order[i]) || v != k {
			t.Fatalf("entry %d is %v, want %d", i, k, order[i])
		}
		if got, ok, _ := d.Get(float64(order[i])); !ok || got != v {
			t.Fatalf("%v is not found as a float", k)
		}
		i++
	}
}

func TestKeysAreEqualAsInPython(t *testing.T) {
	big20, _ := new(big.Int).SetString("100000000000000000000", 10)
	same := [][]Value{
		{int64(1), 1.0, true}, {int64(0), 0.0, false, math.Copysign(0, -1)}, {"a", Markup("a")},
		{big20, 1e20}, {Tuple{int64(1), "a"}, Tuple{1.0, Markup("a")}}, {nil}, {Bytes("a")}, {1.5},
		{Tuple{"a", "b"}}, {Tuple{"ab"}}, {Tuple{Tuple{"a"}, "b"}}, {"1"}, {Tuple{}},
	}
	d := NewDict(0)
	for i, group := range same {
		for _, k := range group {
			if err := d.Set(k, int64(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if d.Len() != len(same) {
		t.Fatalf("%d keys, want %d: %s", d.Len(), len(same), reprOf(t, d))
	}
	for _, k := range []Value{NewList(), NewDict(0), &Set{}, Tuple{NewList()}} {
		if err := d.Set(k, nil); !IsA(err, "TypeError") {
			t.Errorf("%s as a key: %v, want a TypeError", reprOf(t, k), err)
		}
	}
}

type ordered struct{}

func (ordered) Len() int { return 2 }
func (ordered) All() iter.Seq2[any, any] {
	return func(yield func(k, v any) bool) { _ = yield("z", 1) && yield("a", []byte("x")) }
}

func TestFromGo(t *testing.T) {
	one := 1
	for _, r := range []struct {
		in   any
		want string
	}{
		{nil, "None"}, {7, "7"}, {uint8(7), "7"}, {uint64(math.MaxUint64), "18446744073709551615"},
		{float32(0.5), "0.5"}, {[]byte("a\n"), `b'a\n'`}, {[]string{"a"}, "['a']"}, {[2]int{1, 2}, "[1, 2]"},
		{map[string]any{"b": 1, "a": nil}, "{'a': None, 'b': 1}"}, {ordered{}, "{'z': 1, 'a': b'x'}"},
		{&one, "1"}, {(*int)(nil), "None"}, {struct {
			A int
			b int
		}{1, 2}, "{'A': 1}"}, {new(big.Int).Lsh(big.NewInt(1), 70), "1180591620717411303424"},
	} {
		v, err := FromGo(r.in)
		if err != nil {
			t.Errorf("%v: %v", r.in, err)
		} else if got := reprOf(t, v); got != r.want {
			t.Errorf("%#v: got %s, want %s", r.in, got, r.want)
		}
	}
	for _, in := range []any{make(chan int), func() {}, map[string]any{"a": make(chan int)}} {
		if _, err := FromGo(in); err == nil {
			t.Errorf("%T converts", in)
		}
	}
}

func TestToGo(t *testing.T) {
	v := MustFromGo(map[string]any{"a": []any{int64(1), "x", nil, true, 1.5}, "b": []byte("y")})
	got, err := ToGo(v)
	want := map[string]any{"a": []any{int64(1), "x", nil, true, 1.5}, "b": []byte("y")}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := ToGo(&Undefined{Name: "x"}); !IsA(err, "UndefinedError") {
		t.Errorf("undefined: %v", err)
	}
}

func TestCopyKeepsSharing(t *testing.T) {
	l := NewList(int64(1))
	d := NewDict(0)
	d.SetStr("a", l)
	d.SetStr("b", l)
	d.SetStr("self", d)
	c := Copy(d).(*Dict)
	a, _ := c.GetStr("a")
	b, _ := c.GetStr("b")
	self, _ := c.GetStr("self")
	if a != b || a == Value(l) || self != Value(c) {
		t.Errorf("got %s", reprOf(t, c))
	}
}

func TestOrderedDict(t *testing.T) {
	d := NewDict(0)
	d.Class = OrderedDict
	d.SetStr("b", int64(1))
	d.SetStr("a", NewList())
	if got := reprOf(t, d); got != "OrderedDict([('b', 1), ('a', [])])" {
		t.Error(got)
	}
	if got := ObjectTypeRepr(d); got != "collections.OrderedDict object" {
		t.Error(got)
	}
	plain := NewDict(0)
	plain.SetStr("a", NewList())
	plain.SetStr("b", int64(1))
	if eq, _ := Equal(nil, d, plain); !eq {
		t.Error("an OrderedDict equals a dict of other order")
	}
}

func TestSet(t *testing.T) {
	s, err := NewSet(int64(1), "a", 1.0)
	if err != nil || s.Len() != 2 {
		t.Fatal(s, err)
	}
	o, _ := NewSet("a", "b")
	for _, r := range []struct{ op, want string }{
		{"union", "{1, 'a', 'b'}"}, {"intersection", "{'a'}"}, {"difference", "{1}"}, {"symmetric_difference", "{1, 'b'}"},
		{"issubset", "False"}, {"isdisjoint", "False"},
	} {
		v, ok, err := CallMethod(nil, s, r.op, []Value{o}, nil, nil)
		if !ok || err != nil || reprOf(t, v) != r.want {
			t.Errorf("%s: %v %v", r.op, v, err)
		}
	}
	if v, err := Binary(nil, "-", s, o); err != nil || reprOf(t, v) != "{1}" {
		t.Error(v, err)
	}
}

func TestNewFunc(t *testing.T) {
	f := NewFunc("f", "a, b=2, *args, sep=', ', **kw", func(c *Call) (Value, error) {
		return Tuple(c.Args), nil
	})
	for _, r := range []struct {
		args []Value
		kw   []KW
		want string
	}{
		{[]Value{int64(1)}, nil, "(1, 2, ', ', (), {})"},
		{[]Value{int64(1), int64(3), int64(4)}, []KW{{"sep", "-"}, {"z", nil}}, "(1, 3, '-', (4,), {'z': None})"},
		{nil, nil, "TypeError: f() missing 1 required positional argument: 'a'"},
		{[]Value{int64(1)}, []KW{{"a", nil}}, "TypeError: f() got multiple values for argument 'a'"},
	} {
		v, err := Invoke(nil, f, r.args, r.kw, nil)
		got := fmt.Sprint(err)
		if err == nil {
			got = reprOf(t, v)
		}
		if got != r.want {
			t.Errorf("got %s, want %s", got, r.want)
		}
	}
	g := NewFunc("g", "@env, a, b, c, d=()", func(*Call) (Value, error) { return nil, nil })
	for n, want := range map[int]string{
		0: "g() missing 3 required positional arguments: 'a', 'b', and 'c'", 1: "g() missing 2 required positional arguments: 'b' and 'c'",
		5: "g() takes from 4 to 5 positional arguments but 6 were given",
	} {
		if _, err := Invoke(nil, g, make([]Value, n), nil, nil); err == nil || err.Error() != "TypeError: "+want {
			t.Errorf("%d arguments: %v", n, err)
		}
	}
}

// Whatever the format, it is text or an exception.
func FuzzFormat(f *testing.F) {
	for _, s := range []string{"{:>10}", "{0[a]!r:^{1}}", "%5.2f%%", "%(a)s", "{:,.2f}", "{:#x}", "%*d", "{!a}", "{:010_b}"} {
		f.Add(s, 1.5, "x")
	}
	f.Fuzz(func(t *testing.T, format string, x float64, s string) {
		th := NewThread(t.Context(), Limits{Memory: 1 << 20})
		d := NewDict(0)
		d.SetStr("a", s)
		for _, args := range [][]Value{{x, s, int64(3)}, {s, int64(-7), d}, {d, true}} {
			if _, err := StrFormat(th, format, args, func(string) (Value, error) { return x, nil }, false); err != nil && !IsA(err, "Exception", "ValueError", "TypeError", "LookupError", "AttributeError", "ArithmeticError", "MemoryError", "UndefinedError") {
				t.Fatal(err)
			}
			for _, v := range []Value{Tuple(args), args[0]} {
				if _, err := Percent(th, format, v); err != nil && !IsA(err, "ValueError", "TypeError", "LookupError", "ArithmeticError", "MemoryError") {
					t.Fatal(err)
				}
			}
		}
	})
}
