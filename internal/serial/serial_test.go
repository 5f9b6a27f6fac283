package serial

import (
	"bytes"
	"testing"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// FuzzLoad reads what comes: a value that was read is the same after it is written and
// read again.
func FuzzLoad(f *testing.F) {
	for kind, text := range map[uint8]string{
		0: "[DEFAULT]\na = 1\n[s]\nb: %(a)s\n  more\n; c\n[t]\nx = 50%%\n",
		1: plistHead + "<dict><key>a</key><array><string>x</string><true/><integer>3</integer></array></dict></plist>",
		2: "\x81\xa1a\x93\x01\xc3\xa1x",
		3: "a = 1\n[t]\nb = [1, 2]\n[[l]]\nx = 'y'\n",
		4: "a=1\nb = 'x=y'\n",
	} {
		f.Add(kind, []byte(text))
	}
	kinds := []string{"configparser", "plist", "msgpack", "toml", "keyvalue"}
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) {
		k := kinds[int(kind)%len(kinds)]
		v, err := Load(k, b, nil)
		if err != nil {
			if v != nil {
				t.Errorf("an error comes with %v", v)
			}
			return
		}
		if !Writes(k) {
			return
		}
		opts := wire.NewMap()
		if k == "configparser" {
			opts.Set("interpolation", nil)
		}
		out, err := Dump(k, v, opts)
		if err != nil {
			return // None in configparser and plist, times, odd keys
		}
		text, ok := out.([]byte)
		if s, isText := out.(string); isText {
			text, ok = []byte(s), true
		}
		if k != "msgpack" || !ok {
			return
		}
		again, err := Load(k, text, opts)
		if err != nil || !pytext.Equal(v, again) {
			t.Errorf("%s\n%q\n%q: %v", pytext.Repr(v), b, text, err)
		}
	})
}

func TestLoad(t *testing.T) {
	for _, tt := range []struct{ kind, in, want, err string }{
		{"configparser", "[DEFAULT]\nz = 1\n[a]\nK: v %(z)s\nlong = one\n  two\n\n  three\n# c\n[b]\n", "{'a': {'z': '1', 'k': 'v 1', 'long': 'one\\ntwo\\n\\nthree'}, 'b': {'z': '1'}}", ""},
		{"configparser", "[a]\nx = 1\nx = 2\n", "", "While reading from '<???>' [line  3]: option 'x' in section 'a' already exists"},
		{"configparser", "[a]\nx = %(y)s\n", "", "Bad value substitution: option 'x' in section 'a' contains an interpolation key 'y' which is not a valid option name"},
		{"toml", "b = 1\na = 2\n[t]\ny = [1, {q = 'x'}]\n[t.u]\nz = true\n[[l]]\nk = 1\n[[l]]\nk = 2\n", "{'b': 1, 'a': 2, 't': {'y': [1, {'q': 'x'}], 'u': {'z': True}}, 'l': [{'k': 1}, {'k': 2}]}", ""},
		{"keyvalue", "a=1\nb='x=y'\r\nc= d", `{'a': '1', 'b': "'x=y'", 'c': ' d'}`, ""},
		{"keyvalue", "a=1\n# none\n", "", "not enough values to unpack (expected 2, got 1)"},
		{"plist", "<plist><dict><key>a</key><date>2026-01-02T03:04:05Z</date><key>b</key><data>aGk=</data></dict></plist>", "", ""},
		{"plist", "<plist><dict><string>a</string></dict></plist>", "", "unexpected element <string> in a dict"},
		{"plist", "bplist00", "", "Invalid file"},
		{"configparser", "[a]\nx\n  y\nz = 1\n=\n", "", "Source contains parsing errors: '<???>'\n\t[line  2]: 'x\\n'\n\t[line  3]: '  y\\n'\n\t[line  5]: '=\\n'"},
	} {
		v, err := Load(tt.kind, []byte(tt.in), nil)
		switch {
		case tt.err != "":
			if err == nil || err.Error() != tt.err {
				t.Errorf("%s %q: %v", tt.kind, tt.in, err)
			}
		case err != nil:
			t.Errorf("%s %q: %v", tt.kind, tt.in, err)
		case tt.want != "" && pytext.Repr(v) != tt.want:
			t.Errorf("%s %q\ngot  %s\nwant %s", tt.kind, tt.in, pytext.Repr(v), tt.want)
		}
	}
	// A plist that was read is written as it was.
	in := plistHead + "<dict>\n\t<key>a</key>\n\t<data>\n\taGk=\n\t</data>\n\t<key>b</key>\n\t<real>1.5</real>\n</dict>\n</plist>\n"
	v, err := Load("plist", []byte(in), nil)
	if err != nil {
		t.Fatal(err)
	}
	out, err := Dump("plist", v, nil)
	if b, ok := out.([]byte); err != nil || !ok || !bytes.Equal(b, []byte(in)) {
		t.Errorf("%q, %v", out, err)
	}
}
