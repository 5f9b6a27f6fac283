package modules

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("minion.list", minionList)
	register("minion.kill", minionKill)
	register("minion.restart", minionRestart)
}

// minionList returns the ids of the minions whose keys the master on this machine
// has, by what became of the keys. Without a master here all lists are empty.
//
//	gosalt 'master' minion.list
func minionList(ctx context.Context, c *module.Call, a noArgs) (*wire.Map, error) {
	dir := strings.ReplaceAll(c.Opts.Text("pki_dir"), "minion", "master")
	if dir == "" {
		return nil, module.Failf("the minion has no pki_dir, beside which that of a master would be")
	}
	ret := wire.NewMap()
	for _, name := range []string{"minions", "minions_pre", "minions_rejected", "minions_denied"} {
		entries, err := os.ReadDir(c.Host.Path(filepath.Join(dir, name)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, module.Failf("%w", err)
		}
		ids := []string{}
		for _, e := range entries {
			if e.Type().IsRegular() && !strings.HasPrefix(e.Name(), ".") {
				ids = append(ids, e.Name())
			}
		}
		slices.SortFunc(ids, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
		ret.Set(name, ids)
	}
	return ret, nil
}

type minionKillArgs struct {
	Timeout int `default:"15"` // Of no effect: the minion ends when this result is with the master.
}

// errNoDaemon is what there is to say where no minion runs.
var errNoDaemon = module.Failf("no minion runs on this machine: start it with gosalt-minion, or by the service manager")

// minionKill ends the minion, when this result is with the master. Jobs that still run are
// ended, and told as interrupted when the minion is started again. Where something starts
// it when it ends, this is a way to restart it after an upgrade.
//
//	gosalt 'web*' minion.kill
func minionKill(ctx context.Context, c *module.Call, _ minionKillArgs) (*wire.Map, error) {
	if c.Quit == nil {
		return nil, errNoDaemon
	}
	pid, err := c.Quit(ctx, nil)
	if err != nil {
		return nil, module.Failf("end the minion: %w", err)
	}
	return wire.NewMap("killed", int64(pid), "retcode", int64(0)), nil
}

type minionRestartArgs struct {
	Systemd       bool `default:"True"`  // Have systemd do it where the minion is one of its services.
	WinService    bool `default:"True"`  // Have the service manager of Windows do it.
	ScheduleRetry bool `default:"False"` // With systemd: have it look later whether the minion runs, and start it if not.
	RetryDelay    any  `default:"180"`   // Seconds until then.
}

// minionRestart restarts the minion: by the command of the option minion_restart_command;
// else by systemd, where the minion is one of its services; else, where it runs in the
// background (-d), it ends and starts itself anew with the same arguments, from the file
// of its program as it is then. In the foreground it only ends: what watches it is to
// start it.
//
//	gosalt 'web*' minion.restart
func minionRestart(ctx context.Context, c *module.Call, a minionRestartArgs) (*wire.Map, error) {
	if c.Quit == nil {
		return nil, errNoDaemon
	}
	ret := wire.NewMap("killed", nil, "restart", wire.NewMap(), "service_restart", wire.NewMap(), "retcode", int64(0))
	var comment []any
	list := func(title string, argv []string) {
		comment = append(comment, title)
		for _, arg := range argv {
			comment = append(comment, "    "+arg)
		}
	}
	argv := restartCommand(c)
	unit := ""
	if argv == nil && a.Systemd {
		unit = minionUnit(c)
	}
	switch {
	case argv != nil:
		list("Using configuration minion_restart_command:", argv)
	case unit != "":
		comment = append(comment, "Using systemctl to restart "+strings.TrimSuffix(unit, ".service"))
		err := restartUnit(ctx, c, unit, a, ret, &comment)
		ret.Set("comment", comment)
		if err != nil {
			c.SetRetcode(70) // EX_SOFTWARE
		}
		return ret, nil
	case slices.Contains(os.Args, "-d"), slices.Contains(os.Args, "--daemon"):
		argv = slices.Clone(os.Args)
		if exe, err := os.Executable(); err == nil {
			argv[0] = exe
		}
		list("Restart using process argv:", argv)
	default:
		comment = append(comment, "Not running in daemon mode - will not restart process after killing")
	}
	pid, err := c.Quit(ctx, argv)
	if err != nil {
		return nil, module.Failf("end the minion: %w", err)
	}
	ret.Set("killed", int64(pid))
	ret.Set("comment", comment)
	return ret, nil
}

// restartCommand is the option minion_restart_command: a list, or a line for the shell.
func restartCommand(c *module.Call) []string {
	v, _ := c.Opts.Get("minion_restart_command")
	switch v := v.(type) {
	case string:
		if v != "" {
			return []string{"/bin/sh", "-c", v}
		}
	case []any:
		var argv []string
		for _, e := range v {
			argv = append(argv, pytext.Str(e))
		}
		return argv
	}
	return nil
}

// serviceUnit finds a service in the line of a process in a control group.
var serviceUnit = lazyre.New(`(?m)/([^/\n]+\.service)$`)

// minionUnit is the service of systemd that this process is; "" where it is none.
func minionUnit(c *module.Call) string {
	if fi, err := os.Stat("/run/systemd/system"); err != nil || !fi.IsDir() {
		return ""
	}
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return ""
	}
	m := serviceUnit.FindSubmatch(b)
	if m == nil || !strings.Contains(string(m[1]), "minion") { // else what started it by hand
		return ""
	}
	return string(m[1])
}

// restartUnit has systemd restart the minion, without waiting for it.
func restartUnit(ctx context.Context, c *module.Call, unit string, a minionRestartArgs, ret *wire.Map, comment *[]any) error {
	did := ret.Map("service_restart")
	fail := func(what string, err error) error {
		*comment = append(*comment, what)
		did.Set("result", false)
		did.Set("stderr", err.Error())
		ret.Set("retcode", int64(70))
		return err
	}
	if a.ScheduleRetry {
		delay := pytext.Str(a.RetryDelay)
		if strings.Trim(delay, "0123456789") != "" || delay == "" {
			//lint:ignore ST1005 these are the words of Salt
			return fail("Adding scheduled retry failed", fmt.Errorf("Invalid retry_delay value: %s. Must be a number of seconds.", delay))
		}
		out, err := runProgram(ctx, c, "systemd-run", "--on-active="+delay, "/bin/sh", "-c",
			"systemctl is-active "+unit+" || systemctl start "+unit)
		if err == nil && out.Int("retcode") != 0 {
			err = errors.New(out.Text("stderr"))
		}
		if err != nil {
			return fail("Adding scheduled retry failed", err)
		}
		did.Set("schedule_retry", wire.NewMap("detail", out.Text("stderr"), "delay", a.RetryDelay))
		*comment = append(*comment, "Scheduled retry for minion restart in "+delay+" seconds")
	}
	v, err := c.Call(ctx, "service.restart", []any{strings.TrimSuffix(unit, ".service")}, wire.NewMap("no_block", true))
	if err != nil {
		return fail("Service restart failed", err)
	}
	did.Set("result", v)
	*comment = append(*comment, "Service restart successful")
	return nil
}
