package modules

import (
	"context"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/systemd"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("service.get_running", serviceGetRunning)
	register("service.get_static", serviceGetStatic)
	register("service.mask", serviceMask)
	register("service.masked", serviceMasked)
	register("service.unmask", serviceUnmask)
	register("service.show", serviceShow)
	register("service.execs", serviceExecs)
	register("service.systemctl_reload", serviceSystemctlReload)
	register("service.offline", serviceOffline)
	register("service.firstboot", serviceFirstboot)
}

// systemdOf is the manager for what only systemd does; Salt has those functions where
// systemctl is installed, too.
func systemdOf(c *module.Call) (*systemdServices, error) {
	if systemd.Booted(c.Host.Exists) || systemdOffline(c) {
		return &systemdServices{c: c}, nil
	}
	return nil, notHere(c)
}

// serviceGetRunning lists the units that run (systemd).
//
//	gosalt '*' service.get_running
func serviceGetRunning(ctx context.Context, c *module.Call, _ noArgs) ([]string, error) {
	m, err := systemdOf(c)
	if err != nil {
		return nil, err
	}
	return m.running(ctx)
}

// serviceGetStatic lists the units that are neither enabled nor disabled, since others
// start them (systemd).
//
//	gosalt '*' service.get_static
func serviceGetStatic(ctx context.Context, c *module.Call, a serviceListArgs) ([]string, error) {
	m, err := systemdOf(c)
	if err != nil {
		return nil, err
	}
	return m.inState(ctx, "static", a.Root)
}

type serviceMaskArgs struct {
	Name    string // Name of the service.
	Runtime bool   `default:"False"` // The mask that lasts until the next boot.
	Root    string `default:"None"`  // Directory with another system.
}

// serviceMask makes it impossible to start a service (systemd).
//
//	gosalt '*' service.mask nginx
func serviceMask(ctx context.Context, c *module.Call, a serviceMaskArgs) (bool, error) {
	m, err := systemdOf(c)
	if err != nil {
		return false, err
	}
	return m.mask(ctx, a.Name, a.Runtime, a.Root)
}

// serviceMasked tells whether a service is masked (systemd).
//
//	gosalt '*' service.masked nginx
func serviceMasked(ctx context.Context, c *module.Call, a serviceMaskArgs) (bool, error) {
	m, err := systemdOf(c)
	if err != nil {
		return false, err
	}
	return m.masked(ctx, a.Name, a.Runtime, a.Root)
}

// serviceUnmask takes the mask of a service away (systemd).
//
//	gosalt '*' service.unmask nginx
func serviceUnmask(ctx context.Context, c *module.Call, a serviceMaskArgs) (bool, error) {
	m, err := systemdOf(c)
	if err != nil {
		return false, err
	}
	return m.unmask(ctx, a.Name, a.Runtime, a.Root)
}

type serviceShowArgs struct {
	Name string // Name of the service.
	Root string `default:"None"` // Directory with another system.
}

// serviceShow returns the properties of a unit (systemd).
//
//	gosalt '*' service.show nginx
func serviceShow(ctx context.Context, c *module.Call, a serviceShowArgs) (*wire.Map, error) {
	m, err := systemdOf(c)
	if err != nil {
		return nil, err
	}
	return m.show(ctx, a.Name, a.Root)
}

// serviceExecs returns the program of each service (systemd).
//
//	gosalt '*' service.execs
func serviceExecs(ctx context.Context, c *module.Call, a serviceListArgs) (*wire.Map, error) {
	m, err := systemdOf(c)
	if err != nil {
		return nil, err
	}
	return m.execs(ctx, a.Root)
}

// serviceSystemctlReload makes systemd read its unit files anew.
//
//	gosalt '*' service.systemctl_reload
func serviceSystemctlReload(ctx context.Context, c *module.Call, _ noArgs) (bool, error) {
	m, err := systemdOf(c)
	if err != nil {
		return false, err
	}
	err = m.reload(ctx)
	return err == nil, err
}

// serviceOffline tells whether there is a systemd that cannot be talked to, as in a chroot:
// then services can be enabled, but not started.
//
//	gosalt '*' service.offline
func serviceOffline(_ context.Context, c *module.Call, _ noArgs) (any, error) {
	if _, err := systemdOf(c); err != nil {
		return nil, err
	}
	if systemd.Booted(c.Host.Exists) {
		return false, nil
	}
	return whichProgram("systemctl"), nil // Salt's answer is the path
}

type serviceFirstbootArgs struct {
	Locale        string `default:"None"` // LANG.
	LocaleMessage string `default:"None"` // LC_MESSAGES.
	Keymap        string `default:"None"` // Keyboard.
	Timezone      string `default:"None"` // Time zone.
	Hostname      string `default:"None"` // Name of the machine.
	MachineId     string `default:"None"` // Machine id.
	Root          string `default:"None"` // Directory with another system.
}

// serviceFirstboot sets basics of a new system with systemd-firstboot.
//
//	gosalt '*' service.firstboot keymap=de locale=en_US.UTF-8
func serviceFirstboot(ctx context.Context, c *module.Call, a serviceFirstbootArgs) (bool, error) {
	if _, err := systemdOf(c); err != nil {
		return false, err
	}
	args := []string{"systemd-firstboot"}
	for _, o := range [][2]string{{"locale", a.Locale}, {"locale-message", a.LocaleMessage}, {"keymap", a.Keymap}, {"timezone", a.Timezone},
		{"hostname", a.Hostname}, {"machine-ID", a.MachineId}, {"root", a.Root}} {
		if o[1] != "" {
			args = append(args, "--"+o[0], o[1])
		}
	}
	out, err := runTool(ctx, c, program{args: args})
	if err != nil {
		return false, err
	}
	if !out.ok() {
		return false, module.Failf("systemd-firstboot error: %s", out.err)
	}
	return true, nil
}
