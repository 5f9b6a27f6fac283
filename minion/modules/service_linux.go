package modules

import (
	"context"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/systemd"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("service.start", serviceStart)
	register("service.stop", serviceStop)
	register("service.restart", serviceRestart)
	register("service.reload", serviceReload)
	register("service.force_reload", serviceForceReload)
	register("service.status", serviceStatus)
	register("service.enable", serviceEnable, module.Positional("name no_block unmask unmask_runtime root"))
	register("service.disable", serviceDisable, module.Positional("name no_block root"))
	register("service.enabled", serviceEnabled, module.Positional("name root"))
	register("service.disabled", serviceDisabled)
	register("service.available", serviceAvailable)
	register("service.missing", serviceMissing)
	register("service.get_all", serviceGetAll)
	register("service.get_enabled", serviceGetEnabled)
	register("service.get_disabled", serviceGetDisabled)
	register("service.run", serviceRun)
	register("service.zap", serviceZap)
}

// serviceManager is a system's way to handle its services. A method that it lacks answers
// with notHere, as Salt does where the module of the system has no such function.
type serviceManager interface {
	// action starts, stops, restarts and so on.
	action(ctx context.Context, verb, name string, o serviceOptions) (bool, error)
	status(ctx context.Context, name, sig string) (any, error)
	available(ctx context.Context, name string) (bool, error)
	enable(ctx context.Context, name string, o serviceOptions) (bool, error)
	disable(ctx context.Context, name string, o serviceOptions) (bool, error)
	enabled(ctx context.Context, name string, o serviceOptions) (bool, error)
	disabled(ctx context.Context, name string, o serviceOptions) (bool, error)
	// list is get_all, get_enabled and get_disabled: a list, or OpenRC's map of runlevels.
	list(ctx context.Context, which string, root string) (any, error)
}

// serviceOptions are what some managers look at.
type serviceOptions struct {
	noBlock               *bool
	unmask, unmaskRuntime bool
	root                  string
	runlevels             any
}

// serviceManagerOf finds the manager of a machine as Salt chooses its module. Where a
// machine is not booted with systemd but has systemctl, as in a chroot, only unit files
// can be worked on.
func serviceManagerOf(c *module.Call) (serviceManager, error) {
	os := pytext.Str(grainOf(c, "os"))
	sysv := &sysvServices{c: c}
	switch {
	case os == "Alpine":
		return &openrcServices{c: c}, nil
	case systemd.Booted(c.Host.Exists):
		return &systemdServices{c: c}, nil
	case os == "Gentoo":
		return &openrcServices{c: c}, nil
	case slices.Contains([]string{"Debian", "Raspbian", "Devuan", "NILinuxRT"}, os):
		return &debianServices{sysvServices: sysv}, nil
	case systemdOffline(c):
		return &systemdServices{c: c}, nil
	case slices.Contains([]string{"RedHat", "CentOS", "ScientificLinux", "CloudLinux", "Amazon", "Fedora", "ALT", "OEL", "XenServer", "XCP-ng", "SUSE", "VirtuozzoLinux"}, os):
		return &chkconfigServices{sysvServices: sysv}, nil
	case grainOf(c, "kernel") == "Linux" && os != "Ubuntu":
		return sysv, nil
	}
	return nil, notHere(c)
}

// notHere is the error of a function that the machine's kind of system has not.
func notHere(c *module.Call) error {
	return &module.Error{Kind: module.NotAvailable, Msg: "'" + c.Fun() + "' is not available."}
}

type serviceActionArgs struct {
	Name          string // Name of the service.
	NoBlock       *bool  `default:"None"`  // Do not wait until it is done (systemd).
	Unmask        bool   `default:"False"` // Take a mask away first (systemd).
	UnmaskRuntime bool   `default:"False"` // Take a mask that lasts until the next boot away first (systemd).
}

func (a *serviceActionArgs) do(ctx context.Context, c *module.Call, verb string) (bool, error) {
	m, err := serviceManagerOf(c)
	if err != nil {
		return false, err
	}
	return m.action(ctx, verb, a.Name, serviceOptions{noBlock: a.NoBlock, unmask: a.Unmask, unmaskRuntime: a.UnmaskRuntime})
}

// serviceStart starts a service.
//
//	gosalt '*' service.start nginx
func serviceStart(ctx context.Context, c *module.Call, a serviceActionArgs) (bool, error) {
	return a.do(ctx, c, "start")
}

type serviceStopArgs struct {
	Name    string // Name of the service.
	NoBlock *bool  `default:"None"` // Do not wait until it is done (systemd); so it is by default for the minion itself.
}

// serviceStop stops a service.
//
//	gosalt '*' service.stop nginx
func serviceStop(ctx context.Context, c *module.Call, a serviceStopArgs) (bool, error) {
	return (&serviceActionArgs{Name: a.Name, NoBlock: a.NoBlock}).do(ctx, c, "stop")
}

// serviceRestart stops a service and starts it again.
//
//	gosalt '*' service.restart nginx
func serviceRestart(ctx context.Context, c *module.Call, a serviceActionArgs) (bool, error) {
	return a.do(ctx, c, "restart")
}

type serviceNameArgs struct {
	Name string // Name of the service.
}

// serviceReload makes a service read its configuration anew.
//
//	gosalt '*' service.reload nginx
func serviceReload(ctx context.Context, c *module.Call, a serviceActionArgs) (bool, error) {
	return a.do(ctx, c, "reload")
}

// serviceForceReload makes a service read its configuration anew, and restarts it where it
// cannot do that. systemd is not waited for unless no_block is False.
//
//	gosalt '*' service.force_reload nginx
func serviceForceReload(ctx context.Context, c *module.Call, a serviceActionArgs) (bool, error) {
	if a.NoBlock == nil {
		yes := true
		a.NoBlock = &yes
	}
	return a.do(ctx, c, "force-reload")
}

type serviceStatusArgs struct {
	Name string  // Name of the service, or a pattern such as ssh*.
	Sig  *string `default:"None"` // What to look for among the processes, where the init script knows no status.
}

// serviceStatus tells whether a service runs; for a pattern it does so of each service.
//
//	gosalt '*' service.status nginx
func serviceStatus(ctx context.Context, c *module.Call, a serviceStatusArgs) (any, error) {
	m, err := serviceManagerOf(c)
	if err != nil {
		return nil, err
	}
	sig := ""
	if a.Sig != nil {
		sig = *a.Sig
	}
	return m.status(ctx, a.Name, sig)
}

// statusOf asks for one service, or for all that a pattern means.
func statusOf(name string, all func() ([]string, error), one func(name string) (any, error)) (any, error) {
	if !strings.ContainsAny(name, "*?") && (!strings.Contains(name, "[") || !strings.Contains(name, "]")) {
		return one(name)
	}
	names, err := all()
	if err != nil {
		return nil, err
	}
	m := wire.NewMap()
	for _, n := range names {
		if globMatch(name, n) {
			v, err := one(n)
			if err != nil {
				return nil, err
			}
			m.Set(n, v)
		}
	}
	return m, nil
}

type serviceEnableArgs struct {
	Name          string    // Name of the service.
	NoBlock       *bool     `default:"None"`  // Do not wait until it is done (systemd).
	Unmask        bool      `default:"False"` // Take a mask away first (systemd).
	UnmaskRuntime bool      `default:"False"` // Take a mask that lasts until the next boot away first (systemd).
	Root          string    `default:"None"`  // Directory with another system, whose unit files are changed (systemd).
	Runlevels     any       `default:"None"`  // A runlevel, or a list of them (OpenRC).
	Kwargs        *wire.Map `arg:"**"`        // Not looked at.
}

// serviceEnable has a service started when the machine boots.
//
//	gosalt '*' service.enable nginx
func serviceEnable(ctx context.Context, c *module.Call, a serviceEnableArgs) (bool, error) {
	m, err := serviceManagerOf(c)
	if err != nil {
		return false, err
	}
	return m.enable(ctx, a.Name, serviceOptions{noBlock: a.NoBlock, unmask: a.Unmask, unmaskRuntime: a.UnmaskRuntime, root: a.Root, runlevels: a.Runlevels})
}

type serviceDisableArgs struct {
	Name      string    // Name of the service.
	NoBlock   *bool     `default:"None"` // Do not wait until it is done (systemd).
	Root      string    `default:"None"` // Directory with another system, whose unit files are changed (systemd).
	Runlevels any       `default:"None"` // A runlevel, or a list of them (OpenRC).
	Kwargs    *wire.Map `arg:"**"`       // Not looked at.
}

// serviceDisable has a service no longer started when the machine boots.
//
//	gosalt '*' service.disable nginx
func serviceDisable(ctx context.Context, c *module.Call, a serviceDisableArgs) (bool, error) {
	m, err := serviceManagerOf(c)
	if err != nil {
		return false, err
	}
	return m.disable(ctx, a.Name, serviceOptions{noBlock: a.NoBlock, root: a.Root, runlevels: a.Runlevels})
}

type serviceEnabledArgs struct {
	Name      string    // Name of the service.
	Root      string    `default:"None"` // Directory with another system (systemd).
	Runlevels any       `default:"None"` // A runlevel, or a list of them (OpenRC).
	Kwargs    *wire.Map `arg:"**"`       // Not looked at.
}

// serviceEnabled tells whether a service is started when the machine boots.
//
//	gosalt '*' service.enabled nginx
func serviceEnabled(ctx context.Context, c *module.Call, a serviceEnabledArgs) (bool, error) {
	m, err := serviceManagerOf(c)
	if err != nil {
		return false, err
	}
	return m.enabled(ctx, a.Name, serviceOptions{root: a.Root, runlevels: a.Runlevels})
}

type serviceDisabledArgs struct {
	Name string // Name of the service.
	Root string `default:"None"` // Directory with another system (systemd).
}

// serviceDisabled tells whether a service is not started when the machine boots.
//
//	gosalt '*' service.disabled nginx
func serviceDisabled(ctx context.Context, c *module.Call, a serviceDisabledArgs) (bool, error) {
	m, err := serviceManagerOf(c)
	if err != nil {
		return false, err
	}
	return m.disabled(ctx, a.Name, serviceOptions{root: a.Root})
}

// serviceAvailable tells whether there is such a service.
//
//	gosalt '*' service.available sshd
func serviceAvailable(ctx context.Context, c *module.Call, a serviceNameArgs) (bool, error) {
	m, err := serviceManagerOf(c)
	if err != nil {
		return false, err
	}
	return m.available(ctx, a.Name)
}

// serviceMissing tells whether there is no such service.
//
//	gosalt '*' service.missing sshd
func serviceMissing(ctx context.Context, c *module.Call, a serviceNameArgs) (bool, error) {
	there, err := serviceAvailable(ctx, c, a)
	return err == nil && !there, err
}

type serviceListArgs struct {
	Root string `default:"None"` // Directory with another system (systemd).
}

func (a serviceListArgs) list(ctx context.Context, c *module.Call, which string) (any, error) {
	m, err := serviceManagerOf(c)
	if err != nil {
		return nil, err
	}
	return m.list(ctx, which, a.Root)
}

// serviceGetAll lists all services.
//
//	gosalt '*' service.get_all
func serviceGetAll(ctx context.Context, c *module.Call, a serviceListArgs) (any, error) {
	return a.list(ctx, c, "all")
}

// serviceGetEnabled lists the services that are started when the machine boots.
//
//	gosalt '*' service.get_enabled
func serviceGetEnabled(ctx context.Context, c *module.Call, a serviceListArgs) (any, error) {
	return a.list(ctx, c, "enabled")
}

// serviceGetDisabled lists the services that are not started when the machine boots.
//
//	gosalt '*' service.get_disabled
func serviceGetDisabled(ctx context.Context, c *module.Call, a serviceListArgs) (any, error) {
	return a.list(ctx, c, "disabled")
}

type serviceRunArgs struct {
	Name   string // Name of the service.
	Action string // What its init script is to do.
}

// serviceRun has the init script of a service do something (sysvinit).
//
//	gosalt '*' service.run postgresql initdb
func serviceRun(ctx context.Context, c *module.Call, a serviceRunArgs) (bool, error) {
	m, err := serviceManagerOf(c)
	if err != nil {
		return false, err
	}
	s, ok := m.(*sysvServices)
	if !ok {
		return false, notHere(c)
	}
	return s.script(ctx, a.Name, a.Action)
}

// serviceZap has OpenRC forget that a service was started.
//
//	gosalt '*' service.zap nginx
func serviceZap(ctx context.Context, c *module.Call, a serviceNameArgs) (bool, error) {
	m, err := serviceManagerOf(c)
	if err != nil {
		return false, err
	}
	if _, ok := m.(*openrcServices); !ok {
		return false, notHere(c)
	}
	return m.action(ctx, "zap", a.Name, serviceOptions{})
}
