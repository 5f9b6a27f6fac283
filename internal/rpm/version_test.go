package rpm

import "testing"

// TestComparePart holds the order of versions to what rpm 4.18 said of them
// (rpm.labelCompare).
func TestComparePart(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"1.0", "1.0", 0},
		{"1.0", "1.0a", -1},
		{"1.0", "1.0.1", -1},
		{"1.0~rc1", "1.0", -1},
		{"1.0^", "1.0", 1},
		{"1.0^a", "1.0.1", -1},
		{"1.0^", "1.0~", 1},
		{"a", "1", -1},
		{"1.a", "1.1", -1},
		{"1..2", "1.2", 0},
		{"1_2", "1.2", 0},
		{"010", "10", 0},
		{"1.0~~", "1.0~", -1},
		{"1~^", "1~", 1},
		{"1.", "1", 0},
		{"-", "_", 0},
		{"a1", "a2", -1},
		{"5.5p1", "5.5p10", -1},
		{"xyz10", "xyz10.1", -1},
		{"1b.fc17", "1.fc17", -1},
		{"1.0^20160101", "1.0^20160102", -1},
		{"1.0^20160101", "1.0.1", -1},
		{"1.0^20160101~x", "1.0^20160101", -1},
		{"2.0.1a", "2.0.1", 1},
		{"FC5", "fc4", -1},
		{"1.1.α", "1.1.β", 0},
		{"9223372036854775808", "9223372036854775807", 1},
	} {
		if got := ComparePart(tt.a, tt.b); got != tt.want {
			t.Errorf("%s and %s: %d, rpm has %d", tt.a, tt.b, got, tt.want)
		}
		if got := ComparePart(tt.b, tt.a); got != -tt.want {
			t.Errorf("%s and %s: %d, rpm has %d", tt.b, tt.a, got, -tt.want)
		}
	}
}

func TestCompare(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"1:1.0-1", "2.0-1", 1},
		{"0:1.0", "1.0-3", 0}, // without a release on one side that does not count
		{"1.0-1", "1.0-2", -1},
		{"x:1.0", "1.0", 0}, // an epoch that is none
		{"1.0-1-2", "1.0-1", 1},
		{"", "1", -1},
	} {
		if got := Compare(tt.a, tt.b); got != tt.want {
			t.Errorf("%s and %s: %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

// TestCompareLoose holds the order of lists to Salt's LooseVersion.
func TestCompareLoose(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"1.10-1", "1.9-1", 1},
		{"1.0", "1.0.1", -1},
		{"1.0~rc1", "1.0", 1}, // not rpm's order
		{"2", "10", -1},
		{"1.0.el9", "1.0.el10", -1},
	} {
		if got := CompareLoose(tt.a, tt.b); (got > 0) != (tt.want > 0) || (got < 0) != (tt.want < 0) {
			t.Errorf("%s and %s: %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

// FuzzParseRepoFile: what is read stays what it is after it was written as pkg.mod_repo
// writes it, and read again.
func FuzzParseRepoFile(f *testing.F) {
	f.Add("# head\n[a]\nname=x\nbaseurl=http://a\n http://b\n# c\n\n[b]\nx: y\n")
	f.Add("[a]\na=1\na=2\n")
	f.Add("x")
	f.Add("[a]\n =\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, strict := range []bool{true, false} {
			r, err := ParseRepoFile("f", text, strict)
			if (r == nil) == (err == nil) {
				t.Fatal(r, err)
			}
		}
	})
}
