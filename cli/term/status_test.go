package term

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"testing"
)

func TestStatus(t *testing.T) {
	var screen bytes.Buffer
	s := newStatus(&screen, true, func() int { return 20 })
	out := s.Writer(&screen)
	s.Set("1 of 3 returned")
	s.Set("1 of 3 returned") // nothing new to draw
	fmt.Fprint(out, "web1:\n    True\n")
	s.Set("2 of 3 returned, web3 still works")
	s.Clear()
	fmt.Fprint(out, "done\n")
	const erase = "\r\x1b[K"
	want := "1 of 3 returned" + erase + "web1:\n    True\n" + "1 of 3 returned" +
		erase + "2 of 3 returned, we" + erase + "done\n"
	if got := screen.String(); got != want {
		t.Errorf("%q\nexpected\n%q", got, want)
	}
}

func TestStatusWithoutTerminal(t *testing.T) {
	var screen bytes.Buffer
	s := NewStatus(&screen)
	s.Set("1 of 3")
	if out := s.Writer(&screen); out != io.Writer(&screen) || screen.Len() != 0 || s.On() {
		t.Error("nothing is shown on what is no terminal")
	}
	if Color(&screen, false, false) || !Color(&screen, true, true) || Width(&screen) != 80 {
		t.Error("a buffer has no colour and 80 columns, unless colour is forced")
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		text    string
		columns int
		want    string
	}{{"abc", 5, "abc"}, {"abcdef", 3, "abc"}, {"日本語", 5, "日本"}, {"a\nb\x1b[1m", 9, "a b [1m"}, {"x", 0, ""}} {
		if got := cut(c.text, c.columns); got != c.want {
			t.Errorf("cut(%q, %d) = %q", c.text, c.columns, got)
		}
	}
}

func TestStatusConcurrently(t *testing.T) {
	s := newStatus(io.Discard, true, func() int { return 80 })
	out := s.Writer(io.Discard)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 100 {
				s.Set(fmt.Sprint(i))
				fmt.Fprintln(out, i)
			}
		})
	}
	wg.Wait()
	s.Clear()
}
