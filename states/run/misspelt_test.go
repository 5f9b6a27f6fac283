package run

import "testing"

func TestMisspelt(t *testing.T) {
	for name, want := range map[string]string{
		"requrie": "require", "reqire": "require", "requires": "require", "wacth": "watch", "onchange": "onchanges", "onchanegs": "onchanges", "unles": "unless", "onlyiff": "onlyif",
		"match": "", "require": "", "require_any_in": "", "use": "", "user": "", "name": "", "watches": "", "lists": "", "enable": "",
	} {
		if got := misspelt(name); got != want {
			t.Errorf("%s is taken for %q, want %q", name, got, want)
		}
	}
}
