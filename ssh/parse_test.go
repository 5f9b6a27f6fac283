package ssh

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseDestination(t *testing.T) {
	for _, row := range []struct {
		in, user, host string
		port           int
	}{
		{"web1", "", "web1", 0},
		{"root@web1", "root", "web1", 0},
		{"a@b@web1:22", "a@b", "web1", 22},
		{"ssh://me@web1:2200", "me", "web1", 2200},
		{"[::1]:23", "", "::1", 23},
		{"me@[::1]", "me", "::1", 0},
		{"::1", "", "::1", 0},
	} {
		h, err := ParseDestination(row.in)
		if err != nil || h.User != row.user || h.Host != row.host || h.Port != row.port || h.ID != h.Host {
			t.Errorf("%s: %+v %v", row.in, h, err)
		}
	}
	for _, bad := range []string{"", "@", "a b", "web1:0", "web1:x", "web1:70000", "[::1", "-oX", "me@-oX", "a,b", "a/b", "web1:+22"} {
		if h, err := ParseDestination(bad); err == nil {
			t.Errorf("%q is read as %+v", bad, h)
		}
	}
}

func FuzzParseDestination(f *testing.F) {
	for _, s := range []string{"web1", "a@[::1]:22", "ssh://x@y:1", "[", "-x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := ParseDestination(s)
		if err == nil && (h.Host == "" || strings.HasPrefix(h.Host, "-") || h.Port < 0 || h.Port > 65535 || strings.ContainsAny(h.Host, " /,\n")) {
			t.Fatalf("%q: %+v", s, h)
		}
	})
}

func TestParseTime(t *testing.T) {
	for in, want := range map[string]time.Duration{"10": 10 * time.Second, "1m30s": 90 * time.Second, "2h": 2 * time.Hour, "1w": 168 * time.Hour, "": 0} {
		if got, err := parseTime(in); err != nil || got != want {
			t.Errorf("%q: %v %v", in, got, err)
		}
	}
	for _, in := range []string{"x", "1x", "-1", "1.5", "99999999999999999999"} {
		if got, err := parseTime(in); err == nil {
			t.Errorf("%q: %v", in, got)
		}
	}
}

func TestAlgorithms(t *testing.T) {
	defaults, known := []string{"a", "b"}, []string{"a", "b", "c1", "c2"}
	for in, want := range map[string]string{"c1": "c1", "c*": "c1 c2", "b,a": "b a", "+c1": "a b c1", "-a": "b", "^b": "b a", "+c*,a": "a b c1 c2"} {
		if got, err := algorithms(in, defaults, known); err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q: %q %v", in, got, err)
		}
	}
	for _, in := range []string{"", "x", "-*"} {
		if got, err := algorithms(in, defaults, known); err == nil {
			t.Errorf("%q: %q", in, got)
		}
	}
}

// Whatever a file holds, a name that stands on a line by itself is found there, and not
// under another.
func FuzzKnownHosts(f *testing.F) {
	f.Add("web1,10.0.0.1 ssh-ed25519 AAAA c\n@revoked * ssh-rsa AAAA\n|1|AAAA|BBBB ssh-rsa AAAA\n!x,*.y ssh-rsa AAAA", "web1")
	f.Add("[web1]:22 ssh-rsa A", "[web1]:22")
	f.Fuzz(func(t *testing.T, text, name string) {
		k := parseKnownHosts("f", []byte(text))
		for _, l := range k.find(name) {
			if l.n < 1 || l.n > strings.Count(text, "\n")+1 || l.key == "" || l.keyType == "" {
				t.Fatalf("%+v", l)
			}
		}
		for _, l := range k.lines {
			if len(l.patterns) == 1 && l.patterns[0] != "" && !strings.ContainsAny(l.patterns[0], "*?!|") && !slices.Contains(k.find(l.patterns[0]), l) {
				t.Fatalf("%q is not found", l.patterns[0])
			}
		}
	})
}

func TestOneLine(t *testing.T) {
	if got := OneLine("a\n\tb\x1b[31m\x00 c\u0085"); got != "a b[31m c" {
		t.Errorf("%q", got)
	}
	if got := OneLine(strings.Repeat("x", 500)); len([]rune(got)) != 301 {
		t.Error(len(got))
	}
}
