package debian

import (
	"reflect"
	"strings"
	"testing"
)

// The answers are those of dpkg --compare-versions.
func TestCompare(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"1.0", "1.0", 0}, {"1.0-1", "1.0-1", 0}, {"1.0", "1.0-0", 0}, {"0:1.0", "1.0", 0}, {"1.00", "1.0", 0},
		{"1.0", "1.1", -1}, {"1.9", "1.10", -1}, {"1.0-9", "1.0-10", -1}, {"2.0", "1:1.0", -1}, {"9:1", "10:1", -1},
		{"1.0~rc1", "1.0", -1}, {"1.0~~", "1.0~", -1}, {"1.0~~a", "1.0~", -1}, {"1.0~", "1.0", -1}, {"1.0", "1.0a", -1},
		{"1.0a", "1.0+", -1}, {"1.0.a", "1.0+a", 1}, {"1.0-1", "1.0-1+b1", -1}, {"1.0-1~bpo1", "1.0-1", -1},
		{"1.2.3-4", "1.2.3-4ubuntu1", -1}, {"", "0", 0}, {"", "~", 1}, {"a", "b", -1}, {"1a", "1b", -1}, {"1.0-1-2", "1.0-1-3", -1},
		{"20240101", "3", 1}, {"99999999999999999999999", "100000000000000000000000", -1}, {"1-0a", "1-0b", -1}, {"A", "a", -1},
		{"1.0+dfsg", "1.0-1", 1}, {"1.0.", "1.0", 1}, {"1..0", "1.0", 1}, {"1_", "1a", 1},
	} {
		if got := Compare(tt.a, tt.b); got != tt.want {
			t.Errorf("Compare(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
		if got := Compare(tt.b, tt.a); got != -tt.want {
			t.Errorf("Compare(%q, %q) = %d, want %d", tt.b, tt.a, got, -tt.want)
		}
	}
}

func FuzzCompare(f *testing.F) {
	f.Add("1:2.0~rc1-3", "2.0-1", "1.0")
	f.Add("", "~", "-")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		if Compare(a, a) != 0 {
			t.Errorf("%q is not itself", a)
		}
		if Compare(a, b) != -Compare(b, a) {
			t.Errorf("%q and %q differ by direction", a, b)
		}
		if Compare(a, b) <= 0 && Compare(b, c) <= 0 && Compare(a, c) > 0 {
			t.Errorf("%q <= %q <= %q, and yet the last is before the first", a, b, c)
		}
	})
}

func TestStatus(t *testing.T) {
	const text = "Package: zsh\nStatus: install ok installed\nPriority: optional\nArchitecture: amd64\nVersion: 5.9-4+b2\nDescription: shell\n Version: no\n\n" +
		"Package: mc\nStatus: deinstall ok config-files\nArchitecture: i386\nVersion: 3:4.8\n\nPackage: gone\nStatus: purge ok not-installed\n\n\n"
	got, err := ParseStatus(strings.NewReader(text))
	want := []Package{
		{"zsh", "5.9-4+b2", "amd64", "install", "ok", "installed"},
		{"mc", "3:4.8", "i386", "deinstall", "ok", "config-files"},
		{"gone", "", "", "purge", "ok", "not-installed"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := ParseStatus(strings.NewReader("Package: " + strings.Repeat("x", maxLine+10))); err == nil {
		t.Error("a line without an end is read")
	}
}
