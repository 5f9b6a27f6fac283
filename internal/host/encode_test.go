package host

import "testing"

func TestEncode(t *testing.T) {
	for _, c := range []struct{ text, enc, errs, want, err string }{
		{"é€", "utf-8", "strict", "é€", ""},
		{"é", "latin-1", "strict", "\xe9", ""},
		{"aé€", "iso8859_1", "strict", "", `'latin-1' codec can't encode character '\u20ac' in position 2: ordinal not in range(256)`},
		{"é€", "latin1", "replace", "\xe9?", ""},
		{"é€", "latin1", "ignore", "\xe9", ""},
		{"é€", "ascii", "xmlcharrefreplace", "&#233;&#8364;", ""},
		{"é€\U0001f600", "ascii", "backslashreplace", `\xe9\u20ac\U0001f600`, ""},
		{"€", "cp1252", "strict", "\x80", ""},
		{"x→", "cp1252", "strict", "", `'charmap' codec can't encode character '\u2192' in position 1: character maps to <undefined>`},
		{"é", "utf-16", "strict", "\xff\xfe\xe9\x00", ""},
		{"é", "utf_16_be", "strict", "\x00\xe9", ""},
		{"x", "klingon", "strict", "", "unknown encoding: klingon"},
		{"€", "latin1", "nosuch", "", "unknown error handler name 'nosuch'"},
	} {
		got, err := Encode(c.text, c.enc, c.errs)
		if msg := errText(err); string(got) != c.want || msg != c.err {
			t.Errorf("Encode(%q, %s, %s) = %q, %s", c.text, c.enc, c.errs, got, msg)
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
