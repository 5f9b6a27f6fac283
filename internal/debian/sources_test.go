package debian

import (
	"strings"
	"testing"
)

func TestParseSource(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{"deb http://a/debian bookworm main contrib\n", ""},
		{"  deb   http://a/debian   bookworm   main  ", "deb http://a/debian bookworm main\n"},
		{"#deb http://a/debian bookworm main\n", "# deb http://a/debian bookworm main\n"},
		{"# deb-src http://a/debian bookworm main\n", ""},
		{"deb [arch=amd64,i386 signed-by=/a.gpg trusted=yes] http://a x main\n", ""},
		{"deb [ arch=amd64 ] http://a x main\n", "deb [arch=amd64] http://a x main\n"},
		{"deb http://a x main #by hand\n", "deb http://a x main #by hand\n"},
		{"deb file:/srv/flat ./\n", "deb file:/srv/flat ./ \n"},
		{"deb cdrom:[Debian 12]/ bookworm main\n", ""},
		{"# a comment\n", ""}, {"\n", ""}, {"deb http://a\n", ""}, {"deb [arch=amd64 http://a x\n", ""}, {"nonsense here too\n", ""},
	} {
		want := tt.want
		if want == "" {
			want = tt.line
		}
		if got := ParseSource(tt.line, "").String(); got != want {
			t.Errorf("%q is written as %q, want %q", tt.line, got, want)
		}
	}
	s := ParseSource("deb [arch=amd64,i386 signed-by=/a.gpg] http://a x main", "/f")
	if s.SignedBy != "/a.gpg" || strings.Join(s.Architectures, " ") != "amd64 i386" || s.URI != "http://a" || s.Dist != "x" || s.File != "/f" {
		t.Errorf("%+v", s)
	}
}

func FuzzParseSource(f *testing.F) {
	f.Add("deb [arch=amd64 signed-by=/a.gpg] http://a x main #c")
	f.Add("# deb cdrom:[Debian]/ a b")
	f.Fuzz(func(t *testing.T, line string) {
		s := ParseSource(line, "")
		if s.Invalid {
			return
		}
		again := ParseSource(s.String(), "")
		if again.Invalid || again.URI != s.URI || again.Dist != s.Dist || again.Disabled != s.Disabled || len(again.Comps) != len(s.Comps) {
			t.Errorf("%q is read as %+v, written as %q, and read again as %+v", line, s, s.String(), again)
		}
	})
}
