package modules

import (
	"context"
	"fmt"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("alias.present", aliasPresent)
	register("alias.absent", aliasAbsent)
}

type aliasPresentArgs struct {
	Name   string // A local user or address.
	Target any    // Where its mail goes: an address, or a list of addresses.
}

// aliasPresent makes /etc/aliases, or the file that the option aliases.file names, send
// the mail of a name somewhere.
func aliasPresent(ctx context.Context, c *states.Call, a aliasPresentArgs) (*states.Plan, error) {
	target := pytext.Str(a.Target)
	p := &states.Plan{Fine: fmt.Sprintf("Alias %s already present", a.Name)}
	has, err := truth(ctx, c, "aliases.has_target", a.Name, a.Target)
	if err != nil || has {
		return p, err
	}
	p.Would = fmt.Sprintf("Alias %s -> %s is set to be added", a.Name, target)
	p.Did = fmt.Sprintf("Set email alias %s -> %s", a.Name, target)
	p.Do(wire.NewMap("alias", a.Name), aliasStep(c, fmt.Sprintf("Failed to set alias %s -> %s", a.Name, target), "aliases.set_target", a.Name, a.Target))
	return p, nil
}

type aliasAbsentArgs struct {
	Name string // A local user or address.
}

// aliasAbsent takes a name out of /etc/aliases, or the file that the option aliases.file
// names.
func aliasAbsent(ctx context.Context, c *states.Call, a aliasAbsentArgs) (*states.Plan, error) {
	p := &states.Plan{Fine: fmt.Sprintf("Alias %s already absent", a.Name)}
	target, err := c.Call.Call(ctx, "aliases.get_target", []any{a.Name}, nil)
	if err != nil || target == "" {
		return p, err
	}
	p.Would = fmt.Sprintf("Alias %s is set to be removed", a.Name)
	p.Did = fmt.Sprintf("Removed alias %s", a.Name)
	p.Do(wire.NewMap("alias", a.Name), aliasStep(c, fmt.Sprintf("Failed to remove alias %s", a.Name), "aliases.rm_alias", a.Name))
	return p, nil
}

func aliasStep(c *states.Call, failed, fun string, args ...any) func(context.Context, *states.Result) error {
	return func(ctx context.Context, r *states.Result) error {
		ok, err := truth(ctx, c, fun, args...)
		if err == nil && !ok {
			err = module.Failf("%s", failed)
		}
		return err
	}
}
