package modules

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
)

// What a plan shows is what it was made of, but for the secrets that are masked in it.
func TestMaskedResults(t *testing.T) {
	for _, c := range []struct {
		shown, made string
		same        bool
	}{
		{"", "", true},
		{"a", "a", true},
		{"a", "b", false},
		{"**********", "hunter2", true},
		{"pw=********** end", "pw=hunter2 end", true},
		{"pw=********** end", "pw=hunter2 End", false},
		{"a**********b**********c", "a1b2c", true},
		{"a**********b**********c", "a1c", false},
		{"ab**********ba", "aba", false}, // the ends do not overlap
		{"hunter2", "**********", false},
	} {
		if got := masked(c.shown, c.made); got != c.same {
			t.Errorf("masked(%q, %q) = %v", c.shown, c.made, got)
		}
	}
}

func TestEditedResult(t *testing.T) {
	result := func(r any, changes string) *wire.Map {
		return wire.NewMap("name", "n", "result", r, "changes", wire.NewMap("diff", changes), "comment", "any")
	}
	made := wire.NewMap("a", result(nil, "pw=hunter2"), "b", result(true, ""))
	for name, c := range map[string]struct {
		shown *wire.Map
		tag   string
	}{
		"as it was":         {wire.NewMap("a", result(nil, "pw=**********"), "b", result(true, "")), ""},
		"another result":    {wire.NewMap("a", result(true, "pw=**********"), "b", result(true, "")), "a"},
		"another change":    {wire.NewMap("a", result(nil, "pw=**********"), "b", result(true, "x")), "b"},
		"a result is gone":  {wire.NewMap("a", result(nil, "pw=**********")), "b"},
		"a result is added": {wire.NewMap("a", result(nil, "pw=**********"), "b", result(true, ""), "c", result(true, "")), "c"},
	} {
		if got := editedResult(c.shown, made); got != c.tag {
			t.Errorf("%s: %q, expected %q", name, got, c.tag)
		}
	}
}

func TestMachineDiff(t *testing.T) {
	was := wire.NewMap("the file /a", "1", "the file /b", "1", "the file /c", "1", "the package vim", "1.0, to have in version 1.1")
	now := wire.NewMap("the file /a", "1", "the file /b", "2", "the package vim", "1.1", "the file /d", "1")
	want := []string{"the file /b was changed", "the file /c is gone, or no longer to be changed",
		"the package vim was: 1.0, to have in version 1.1; now: 1.1", "the file /d is there now"}
	got := machineDiff(was, now)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// A machine that has kept nothing yet keeps a request.
func TestRequestOnFreshMachine(t *testing.T) {
	c := &module.Call{CacheDir: filepath.Join(t.TempDir(), "cache", "minion")}
	if err := writeRequests(c, wire.NewMap("default", wire.NewMap("mods", "web"))); err != nil {
		t.Fatal(err)
	}
	if all, err := readRequests(c); err != nil || all.Map("default").Text("mods") != "web" {
		t.Error(all, err)
	}
}

// pkg.version answers with a text for one package, and a map for several.
func TestVersionIn(t *testing.T) {
	several := wire.NewMap("vim", "1.0", "nano", "")
	for _, c := range []struct {
		answer     any
		name, want string
	}{{nil, "vim", ""}, {"1.0", "vim", "1.0"}, {"", "vim", ""}, {several, "vim", "1.0"}, {several, "nano", ""}, {several, "gone", ""}} {
		if got := versionIn(c.answer, c.name); got != c.want {
			t.Errorf("versionIn(%v, %s) = %q, expected %q", c.answer, c.name, got, c.want)
		}
	}
}
