// Package systemd asks systemd what it knows of units: over D-Bus, on the private socket
// of PID 1 where root asks and on the system bus otherwise, which takes a hundredth of the
// time of systemctl. What it does not answer, systemctl is to be asked.
package systemd

import (
	"errors"
	"strings"
)

// ErrAsk is returned where D-Bus does not answer as systemctl would: without a bus, for
// patterns, for templates and for names that systemd refuses.
var ErrAsk = errors.New("systemd: ask systemctl")

// A Unit is what systemd knows of a unit.
type Unit struct {
	Load   string // loaded, not-found, masked, bad-setting, error
	Active string // active, reloading, inactive, failed, activating, deactivating
	File   string // as systemctl is-enabled has it: enabled, static, disabled …; "" for no file
	Stale  bool   // its file has changed since it was read: daemon-reload is needed
}

// Known tells whether there is such a unit, as the exit code of systemctl status does.
func (u *Unit) Known() bool { return u.Load != "not-found" || u.Active != "inactive" }

// Running is what systemctl is-active says.
func (u *Unit) Running() bool { return u.Active == "active" || u.Active == "reloading" }

// Enabled is what systemctl is-enabled says.
func (u *Unit) Enabled() bool {
	switch u.File {
	case "enabled", "enabled-runtime", "static", "alias", "indirect", "generated":
		return true
	}
	return false
}

// Booted tells whether a machine runs systemd, as sd_booted does. stat says whether a
// path is there.
func Booted(stat func(path string) bool) bool { return stat("/run/systemd/system") }

var suffixes = []string{".service", ".socket", ".device", ".mount", ".automount", ".swap", ".target", ".path", ".timer", ".slice", ".scope"}

// full is a unit's whole name; ok is false for what only systemctl understands.
func full(name string) (s string, ok bool) {
	if name == "" || len(name) > 255 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_.-@\\") != "" {
		return "", false
	}
	for _, x := range suffixes {
		if base, found := strings.CutSuffix(name, x); found && base != "" {
			return name, !strings.HasSuffix(base, "@") && base[0] != '@'
		}
	}
	return name + ".service", !strings.HasSuffix(name, "@") && name[0] != '@'
}
