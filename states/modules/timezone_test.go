//go:build unix

package modules_test

import (
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/minion/modules"
	statemodules "github.com/gosalt/gosalt/states/modules"
	"github.com/gosalt/gosalt/states/statetest"
)

// TestTimezoneSystem holds timezone.system to Salt's words.
func TestTimezoneSystem(t *testing.T) {
	m := statetest.New(t, statemodules.New(), modules.New())
	for _, zone := range []string{"Etc/UTC", "Europe/Berlin", "America/Denver"} {
		m.Write(t, "/usr/share/zoneinfo/"+zone, "TZif2 "+zone)
	}
	m.Write(t, "/etc/timezone", "Etc/UTC\n")
	if err := m.Host.Symlink("/usr/share/zoneinfo/Etc/UTC", "/etc/localtime", false); err != nil {
		t.Fatal(err)
	}
	low := func(name string, kv ...any) (string, string, []any) { return "timezone.system", name, kv }
	say := func(test bool, want, name string, kv ...any) {
		t.Helper()
		f, n, kv := low(name, kv...)
		if got := m.Apply(t, test, statetest.Low(f, n, kv...)); got.Text("comment") != want {
			t.Errorf("%s\nwant %q", pytext.Repr(got), want)
		}
	}
	say(true, "Timezone Etc/UTC already set, UTC already set to Etc/UTC", "Etc/UTC")
	say(true, "Timezone Etc/UTC already set", "Etc/UTC", "utc", false)
	say(true, "Timezone Europe/Berlin needs to be set", "Europe/Berlin")
	m.Fine(t, statetest.Low("timezone.system", "Etc/UTC"))
	say(false, `Unable to compare desired timezone 'No/Where' to system timezone: Can't find a local timezone "No/Where"`, "No/Where")
	say(false, `Unable to compare desired timezone '../../etc/timezone' to system timezone: Can't find a local timezone "../../etc/timezone"`, "../../etc/timezone")
	say(false, "Set timezone Europe/Berlin", "Europe/Berlin")
	if to, _ := m.Host.Readlink("/etc/localtime"); to != "/usr/share/zoneinfo/Europe/Berlin" {
		t.Errorf("/etc/localtime leads to %s", to)
	}
	m.Fine(t, statetest.Low("timezone.system", "Europe/Berlin"))
	m.Write(t, "/etc/adjtime", "0.0 0 0.0\n0\nLOCAL\n")
	say(true, "UTC needs to be set to True", "Europe/Berlin")
	say(true, "Timezone America/Denver needs to be set, UTC needs to be set to True", "America/Denver")
	say(true, "Timezone Europe/Berlin already set", "Europe/Berlin", "utc", false)
	say(false, "Set timezone America/Denver, Set UTC to True", "America/Denver")
	if got := m.Read(t, "/etc/adjtime"); got != "0.0 0 0.0\n0\nUTC\n" {
		t.Errorf("/etc/adjtime: %q", got)
	}
	m.Fine(t, statetest.Low("timezone.system", "America/Denver"))
}

// TestLocaleSystem: a locale that is set is left alone, and what cannot be done is said.
func TestLocaleSystem(t *testing.T) {
	m := statetest.New(t, statemodules.New(), modules.New())
	if got := m.Fails(t, statetest.Low("locale.system", "de_DE.UTF-8")); !strings.HasPrefix(got, `Failed to set system locale: Error: "`) {
		t.Errorf("without a kind of system: %q", got)
	}
}
