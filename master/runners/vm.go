package runners

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/master/vm"
	"github.com/gosalt/gosalt/protocol/wire"
)

func registerVM(r *module.Registry) {
	module.Register(r, "vm.create", vmCreate)
	module.Register(r, "vm.list", vmList)
	module.Register(r, "vm.start", vmStart)
	module.Register(r, "vm.stop", vmStop)
	module.Register(r, "vm.destroy", vmDestroy)
	module.Register(r, "vm.test", vmTest)
}

// vms is what makes machines. First it ends what calls have left over that died.
func vms(ctx context.Context, c *module.Call) (*vm.Manager, error) {
	m, err := callOf(ctx).r.master.VMs()
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	for _, err := range m.Clean(ctx, sayVM(c)) {
		callOf(ctx).note("a machine is left over: %v", err)
	}
	return m, nil
}

// sayVM tells what is done, as an event and to who waits.
func sayVM(c *module.Call) func(string) {
	return func(s string) {
		c.Progress(wire.NewMap("suffix", "progress", "event", wire.NewMap("message", s), "line", true))
	}
}

type vmCreateArgs struct {
	Profile string // A profile of vm_profiles in the master's configuration.
	Names   []any  `arg:"*"` // Names of the machines, which are made side by side; one machine with a name of its own where there is none.
}

// vmCreate makes machines from a profile, and waits until they answer: as minions, which
// they become by a join token in their user-data, or as the profile says. When the call is
// interrupted, or a machine cannot be made whole, nothing of it stays.
//
//	gosalt-run vm.create debian
//	gosalt-run vm.create debian web1 web2
func vmCreate(ctx context.Context, c *module.Call, a vmCreateArgs) (*wire.Map, error) {
	m, err := vms(ctx, c)
	if err != nil {
		return nil, err
	}
	if len(a.Names) == 0 {
		a.Names = []any{""}
	}
	return eachVM(a.Names, func(name string) (*vm.Record, error) {
		return m.Create(ctx, a.Profile, name, callOf(ctx).user, sayVM(c))
	})
}

type vmListArgs struct{}

// vmList shows the machines that vm.create and vm.test have made, with what their sources
// say of them now.
//
//	gosalt-run vm.list
//	gosalt-run vm.list --out json
func vmList(ctx context.Context, c *module.Call, _ vmListArgs) (*wire.Map, error) {
	m, err := vms(ctx, c)
	if err != nil {
		return nil, err
	}
	items, errs := m.List(ctx)
	for _, err := range errs {
		callOf(ctx).note("%v", err)
	}
	out := wire.NewMap()
	for _, it := range items {
		row := wire.NewMap("profile", it.Profile, "source", it.Source, "id", it.ID, "state", it.State)
		if it.Address != "" {
			row.Set("address", it.Address)
		}
		row.Set("age", inventory.Age(time.Since(it.Begun)))
		row.Set("by", it.By)
		if it.Throwaway {
			row.Set("throwaway", true)
		}
		if it.Left {
			row.Set("unfinished", "the call that made or ended it has died; ending it is tried again, or now by vm.destroy "+it.Name)
			if len(it.Things) > 0 && it.ID == "" {
				things := make([]any, len(it.Things))
				for i, s := range it.Things {
					things[i] = s
				}
				row.Set("begun", things)
			}
		}
		if !it.Known {
			row.Set("record", "none: this master has not made it, or has lost what it knew of it")
		}
		name := it.Name
		if out.Has(name) || name == "" {
			name += " " + it.ID
		}
		out.Set(name, row)
	}
	return out, nil
}

type vmNamesArgs struct {
	Names []any `arg:"*"` // Names or ids of machines that vm.create has made.
}

// vmStart starts machines that were stopped, and waits until they answer.
//
//	gosalt-run vm.start web1
func vmStart(ctx context.Context, c *module.Call, a vmNamesArgs) (*wire.Map, error) {
	return named(ctx, c, "vm.start", a, (*vm.Manager).Start)
}

// vmStop shuts machines down, and waits until they are off. One that does not shut down is
// turned off.
//
//	gosalt-run vm.stop web1 web2
func vmStop(ctx context.Context, c *module.Call, a vmNamesArgs) (*wire.Map, error) {
	return named(ctx, c, "vm.stop", a, (*vm.Manager).Stop)
}

// vmDestroy ends machines with their disks, and deletes their keys from the master. Others
// than those that vm.create and vm.test have made are refused.
//
//	gosalt-run vm.destroy web1
//	gosalt-run vm.destroy i-0123456789abcdef0
func vmDestroy(ctx context.Context, c *module.Call, a vmNamesArgs) (*wire.Map, error) {
	return named(ctx, c, "vm.destroy", a, (*vm.Manager).Destroy)
}

func named(ctx context.Context, c *module.Call, fun string, a vmNamesArgs, do func(*vm.Manager, context.Context, string, func(string)) (*vm.Record, error)) (*wire.Map, error) {
	if len(a.Names) == 0 {
		return nil, module.Failf("%s: names or ids of machines are missing; vm.list shows them", fun)
	}
	m, err := vms(ctx, c)
	if err != nil {
		return nil, err
	}
	return eachVM(a.Names, func(name string) (*vm.Record, error) { return do(m, ctx, name, sayVM(c)) })
}

// eachVM does something to machines side by side. One that fails does not hinder the
// others; its error is its result.
func eachVM(given []any, do func(string) (*vm.Record, error)) (*wire.Map, error) {
	names := make([]string, len(given))
	for i, v := range given {
		names[i] = pytext.Str(v)
	}
	results := make([]*wire.Map, len(names))
	errs := make([]error, len(names))
	titles := make([]string, len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() {
			r, err := do(name)
			titles[i], errs[i] = name, err
			results[i] = wire.NewMap("result", err == nil)
			if r != nil {
				titles[i] = r.Name
				results[i].Set("profile", r.Profile)
				results[i].Set("source", r.Source)
				results[i].Set("id", r.ID)
			}
			if err != nil {
				results[i].Set("error", err.Error())
			}
		})
	}
	wg.Wait()
	out, code := wire.NewMap(), int64(0)
	for i := range names {
		if errs[i] != nil {
			if len(names) == 1 {
				return nil, module.Failf("%w", errs[i])
			}
			code = 1
		}
		out.Set(titles[i], results[i])
	}
	if code != 0 {
		return wire.NewMap("data", out, "outputter", "nested", "retcode", code), nil
	}
	return out, nil
}

type vmTestArgs struct {
	Profile string    // A profile of vm_profiles whose machines become minions.
	Fun     string    // What applies the states: state.apply, state.highstate, state.sls, state.single and so on.
	Args    []any     `arg:"*"`                       // Its arguments.
	JUnit   string    `arg:"junit,kw" default:"None"` // File that gosalt-run writes a JUnit report of both runs to, where it was called.
	Keep    bool      `arg:"keep,kw" default:"False"` // Keep the machine where the states failed, to be looked at; vm.destroy ends it.
	Kwargs  *wire.Map `arg:"**"`                      // Keywords of the function: pillar, saltenv and so on.
}

// vmTest boots a throw-away machine, applies states, and applies them again: the second
// run has to be clean, so that any change in it is a failure. Then the machine is ended,
// after an interrupt and after a crash of the master, too. The exit code is 1 where a state
// failed or changed something twice.
//
//	gosalt-run vm.test debian state.apply web
//	gosalt-run vm.test debian state.apply web pillar='{port: 8080}' junit=report.xml
func vmTest(ctx context.Context, c *module.Call, a vmTestArgs) (*wire.Map, error) {
	m, err := vms(ctx, c)
	if err != nil {
		return nil, err
	}
	res, err := m.Test(ctx, vm.TestCall{Profile: a.Profile, User: callOf(ctx).user, Fun: a.Fun, Args: a.Args, Kwargs: withoutPub(a.Kwargs), Keep: a.Keep}, sayVM(c))
	if err != nil && (res == nil || len(res.Runs) == 0) {
		return nil, module.Failf("%w", err)
	}
	data, code := wire.NewMap(), int64(0)
	for _, r := range res.Runs {
		data.Set(fmt.Sprintf("%s, %s", res.Name, r.Which), r.Return)
	}
	for _, f := range res.Failed {
		callOf(ctx).note("failed: %s", f)
		code = 1
	}
	if err != nil {
		callOf(ctx).note("%v", err)
		code = 1
	}
	if res.Kept {
		callOf(ctx).note("%s stays, to be looked at: gosalt-run vm.destroy %s ends it", res.Name, res.Name)
	}
	return wire.NewMap("data", data, "outputter", "highstate", "retcode", code), nil
}
