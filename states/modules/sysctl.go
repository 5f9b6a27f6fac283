package modules

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() { register("sysctl.present", sysctlPresent) }

type sysctlPresentArgs struct {
	Name   string // Name of a setting of the kernel: net.ipv4.ip_forward.
	Value  any    // Its value.
	Config any    `default:"None"` // The file that keeps it for the next start; /etc/sysctl.d/99-salt.conf with systemd.
}

// sysctlPresent sets a setting of the kernel, and keeps it for the next start.
func sysctlPresent(ctx context.Context, c *states.Call, a sysctlPresentArgs) (*states.Plan, error) {
	p := &states.Plan{}
	if c.Test {
		return a.test(ctx, c)
	}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		word, err := text(ctx, c, "sysctl.persist", a.Name, a.Value, a.Config)
		if err != nil {
			return module.Failf("Failed to set %s to %s: %s", a.Name, pytext.Str(a.Value), message(err))
		}
		r.Comment = fmt.Sprintf("Sysctl value %s = %s is already set", a.Name, pytext.Str(a.Value))
		if word == "Updated" {
			r.Comment = fmt.Sprintf("Updated sysctl value %s = %s", a.Name, pytext.Str(a.Value))
			r.Change(a.Name, a.Value)
		}
		return nil
	})
	return p, nil
}

// lacksSysctl tells whether the kernel does not know a setting, and no earlier state of the
// run may load what brings it.
func lacksSysctl(c *states.Call, name string) bool {
	path := strings.NewReplacer(".", "/", "/", ".").Replace(name)
	return !c.Host.Exists("/proc/sys/"+path) && !comesFirst(c, func(low *wire.Map) bool {
		state := low.Text("state")
		return state == "iptables" || state == "nftables" || state != "user" && !slices.Contains(dirless, state)
	})
}

// test is what the state says under test=True.
func (a *sysctlPresentArgs) test(ctx context.Context, c *states.Call) (*states.Plan, error) {
	file := a.Config
	if file == nil {
		v, err := text(ctx, c, "sysctl.default_config")
		if err != nil {
			return nil, err
		}
		file = v
	}
	v, err := c.Call.Call(ctx, "sysctl.show", nil, wire.NewMap("config_file", file))
	if err != nil {
		return nil, err
	}
	value := pytext.Str(a.Value)
	would := func(format string, v ...any) (*states.Plan, error) {
		return states.Decided(nil, nil, fmt.Sprintf(format, v...)), nil
	}
	if lacksSysctl(c, a.Name) {
		return nil, module.Failf("Failed to set %[1]s to %[2]s: sysctl %[1]s does not exist", a.Name, value)
	}
	if v == nil {
		return would("Sysctl option %s might be changed, we failed to check config file at %s. The file is either unreadable, or missing.", a.Name, pytext.Str(file))
	}
	kept, _ := v.(*wire.Map)
	now, err := text(ctx, c, "sysctl.get", a.Name)
	if err != nil {
		return nil, err
	}
	squeeze := func(s string) string {
		return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == '\t' }), " ")
	}
	switch has := kept.Has(a.Name); {
	case now != "" && has:
		if strings.Join(strings.Fields(value), " ") == strings.Join(strings.Fields(now), " ") {
			return &states.Plan{Fine: fmt.Sprintf("Sysctl value %s = %s is already set", a.Name, value)}, nil
		}
	case now != "" && squeeze(now) != squeeze(value):
		return would("Sysctl option %s set to be changed to %s", a.Name, value)
	case now != "":
		return would("Sysctl value is currently set on the running system but not in a config file. Sysctl option %s set to be changed to %s in config file.", a.Name, value)
	case has:
		return would("Sysctl value %[1]s is present in configuration file but is not present in the running config. The value %[1]s is set to be changed to %[2]s", a.Name, value)
	}
	return would("Sysctl option %s would be changed to %s", a.Name, value)
}
