package modules

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/systemd"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("service.running", serviceRunning)
	register("service.dead", serviceDead)
	register("service.enabled", serviceEnabled)
	register("service.disabled", serviceDisabled)
	register("service.masked", serviceMasked)
	register("service.unmasked", serviceUnmasked)
	register("service.mod_watch", serviceModWatch)
}

// serviceState is one call of a service state.
type serviceState struct {
	c        *states.Call
	name     string
	sig      any
	kwargs   *wire.Map
	warnings []string
}

// outcome is the result of a state as Salt makes it, one line after another.
type outcome struct {
	result  any
	comment string
	changes *wire.Map
}

// into makes the outcome that of a step.
func (o *outcome) into(r *states.Result) {
	r.Result, r.Comment = o.result, o.comment
	r.SetChanges(o.changes)
}

// plan makes a plan of an outcome that needs no step.
func (o *outcome) plan(warnings []string) *states.Plan {
	p := states.Decided(o.result, o.changes, o.comment)
	p.Warnings = warnings
	return p
}

// update takes what another outcome says in place of this one's.
func (o *outcome) update(with *outcome) {
	o.result, o.comment = with.result, with.comment
	if with.changes != nil {
		o.changes = with.changes
	}
}

// joined are comments, one a line, without those that are empty.
func joined(lines ...string) string {
	return strings.Join(slices.DeleteFunc(lines, func(s string) bool { return s == "" }), "\n")
}

func (s *serviceState) call(ctx context.Context, fun string, kwargs *wire.Map, a ...any) (any, error) {
	return s.c.Call.Call(ctx, "service."+fun, append([]any{s.name}, a...), kwargs)
}

// why notes what systemd knows of a service that is not up.
func (s *serviceState) why(ctx context.Context) {
	if !systemd.Booted(s.c.Host.Exists) {
		return
	}
	if v, err := s.call(ctx, "show", nil); err == nil {
		if m, ok := v.(*wire.Map); ok {
			s.c.Log.Error("the service is not up", "service", s.name, "state", m.Text("ActiveState"), "result", m.Text("Result"), "status", m.Text("ExecMainStatus"), "more", "journalctl -u "+s.name)
		}
	}
}

// systemdOnly are those of the state's arguments that only systemd knows, among names; on
// other systems each is a warning.
func (s *serviceState) systemdOnly(names ...string) *wire.Map {
	kw := wire.NewMap()
	for _, n := range names {
		if !s.kwargs.Has(n) {
			continue
		}
		if systemd.Booted(s.c.Host.Exists) {
			kw.Set(n, get(s.kwargs, n))
			continue
		}
		if w := fmt.Sprintf("The '%s' argument is not supported by this platform", n); !slices.Contains(s.warnings, w) {
			s.warnings = append(s.warnings, w)
		}
	}
	return kw
}

// unavailable tells whether an error says that the system lacks the function.
func unavailable(err error) bool {
	var e *module.Error
	return errors.As(err, &e) && e.Kind == module.NotAvailable
}

func (s *serviceState) status(ctx context.Context, sig any) (any, error) {
	if sig == nil {
		return s.call(ctx, "status", nil)
	}
	return s.call(ctx, "status", nil, sig)
}

// isEnabled is service.enabled, and known is false where the system has no such thing.
func (s *serviceState) isEnabled(ctx context.Context) (on any, known bool, err error) {
	on, err = s.call(ctx, "enabled", nil)
	if unavailable(err) {
		return true, false, nil
	}
	return on, true, err
}

// noService is the outcome for a service that is not there; nil for one that is.
func (s *serviceState) noService(ctx context.Context) (*outcome, error) {
	there, err := s.call(ctx, "available", nil)
	if err != nil || module.Truth(there) {
		return nil, err
	}
	return &outcome{result: false, comment: fmt.Sprintf("The named service %s is not available", s.name)}, nil
}

// started is how Salt words what a service was found to be: true, false or nil for "as it
// should be".
func wordStarted(started any, running, desired, dead string) string {
	switch started {
	case true:
		return running
	case nil:
		return desired
	}
	return dead
}

// startup enables or disables a service, or says what it would do.
func (s *serviceState) startup(ctx context.Context, on bool, started any, result any) (*outcome, error) {
	word, verb, check, not := "enabled", "enable", "enabled", ""
	if !on {
		word, verb, check, not = "disabled", "disable", "disabled", "not "
	}
	if o, err := s.noService(ctx); err != nil {
		return &outcome{result: false, comment: message(err)}, nil
	} else if o != nil {
		if !on {
			o.result = true
		}
		return o, nil
	}
	o := &outcome{result: result}
	var kwargs *wire.Map
	if on {
		kwargs = s.kwargs
	}
	before, err := s.call(ctx, check, kwargs)
	if now := s.promised(ctx); err == nil && now.boot != nil {
		before = *now.boot == on
	}
	switch {
	case unavailable(err):
		title := strings.ToUpper(verb[:1]) + verb[1:]
		o.comment = fmt.Sprintf("%s is not available on this minion, service %s %s", title, s.name, wordStarted(started, "started", "is in the desired state", "is dead"))
		return o, nil
	case err != nil:
		return nil, err
	case module.Truth(before):
		o.comment = fmt.Sprintf("Service %s is already %s, and %s", s.name, word, wordStarted(started, "is running", "is in the desired state", "is dead"))
		if started == nil {
			o.changes = wire.NewMap()
		}
		return o, nil
	case s.c.Test:
		o.result, o.comment = nil, fmt.Sprintf("Service %s set to be %s", s.name, word)
		return o, nil
	}
	done, err := s.call(ctx, verb, s.kwargs)
	if err != nil && !on {
		return nil, err
	}
	if err == nil && module.Truth(done) {
		o.changes = wire.NewMap()
		after, err := s.call(ctx, check, kwargs)
		if err != nil {
			return nil, err
		}
		if module.Truth(after) {
			o.changes.Set(s.name, true)
		}
		o.comment = fmt.Sprintf("Service %s has been %s, and %s", s.name, word, wordStarted(started, "is running", "is in the desired state", "is dead"))
		return o, nil
	}
	running := "but the service is running"
	if !on {
		running = "and is running"
	}
	o.result = false
	o.comment = fmt.Sprintf("Failed when setting service %s to %sstart at boot, %s", s.name, not,
		wordStarted(started, running, "but the service was already running", "and the service is dead"))
	if err != nil {
		o.comment += ". Additional information follows:\n\n" + message(err)
	}
	return o, nil
}

// startupWanted carries out enable: True or False after the state's own work.
func (s *serviceState) startupWanted(ctx context.Context, o *outcome, enable *bool, started, result any) error {
	if enable == nil {
		return nil
	}
	u, err := s.startup(ctx, *enable, started, result)
	if err == nil {
		o.update(u)
	}
	return err
}

// enableArg reads enable: a text is true for true and numbers above zero; a number itself
// is not looked at, as in Salt.
func enableArg(v any) *bool {
	var b bool
	switch v := v.(type) {
	case bool:
		b = v
	case string:
		n, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
		b = err == nil && n > 0 || strings.EqualFold(v, "true")
	default:
		return nil
	}
	return &b
}

// delayArg reads init_delay: seconds.
func delayArg(v any) (time.Duration, error) {
	if !module.Truth(v) {
		return 0, nil
	}
	switch v.(type) {
	case int64, float64:
		return time.Duration(pytext.Number(v) * float64(time.Second)), nil
	}
	return 0, module.Invalidf("init_delay is a number of seconds, not %s", pytext.Repr(v))
}

// pause waits, unless the run ends before.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// offlineService tells whether only unit files can be worked on.
func (s *serviceState) offline(ctx context.Context) (bool, error) {
	v, err := s.c.Call.Call(ctx, "service.offline", nil, nil)
	if unavailable(err) {
		return false, nil
	}
	return module.Truth(v), err
}

// found is what running and dead begin with: whether the service is there, whether it
// runs, and whether it starts at boot. o is set where that decides the state.
func (s *serviceState) found(ctx context.Context, verb string, absentIs any) (running, atBoot any, o *outcome, err error) {
	if s.kwargs.Has("enabled") {
		return nil, nil, &outcome{result: false, comment: fmt.Sprintf(`Service %s uses non-existent option "enabled".  Perhaps "enable" option was intended?`, s.name)}, nil
	}
	off, err := s.offline(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	if off {
		return nil, nil, &outcome{result: true, comment: "Running in OFFLINE mode. Nothing to do"}, nil
	}
	o, err = s.noService(ctx)
	if err != nil {
		return nil, nil, &outcome{result: false, comment: message(err)}, nil
	}
	if o != nil {
		o.result = absentIs
		if s.c.Test && !nothingBefore(s.c) {
			o.result = nil
			o.comment = fmt.Sprintf("Service %s not present; if created in this state run, it would have been %s", s.name, verb)
		}
		return nil, nil, o, nil
	}
	if running, err = s.status(ctx, s.sig); err != nil {
		return nil, nil, nil, err
	}
	atBoot, _, err = s.isEnabled(ctx)
	now := s.promised(ctx)
	if now.running != nil {
		running = *now.running
	}
	if now.boot != nil {
		atBoot = *now.boot
	}
	return running, atBoot, nil, err
}

type serviceRunningArgs struct {
	Name      string    // Name of the service.
	Enable    any       `default:"None"` // True: start it when the machine boots; False: do not.
	Sig       any       `default:"None"` // What to look for among the processes, where the init script knows no status.
	InitDelay any       `default:"None"` // Seconds to wait after it was started, for services that are up later than they say.
	Kwargs    *wire.Map `arg:"**"`       // unmask, unmask_runtime, no_block (systemd), runlevels (OpenRC), and what mod_watch takes: reload, full_restart, force.
}

// serviceRunning makes sure that a service runs; watch makes it restart.
func serviceRunning(ctx context.Context, c *states.Call, a serviceRunningArgs) (*states.Plan, error) {
	s := &serviceState{c: c, name: a.Name, sig: a.Sig, kwargs: a.Kwargs}
	enable := enableArg(a.Enable)
	delay, err := delayArg(a.InitDelay)
	if err != nil {
		return nil, err
	}
	before, atBoot, o, err := s.found(ctx, "started", false)
	if err != nil {
		return nil, err
	}
	if o != nil {
		return o.plan(nil), nil
	}
	yes := true
	s.promise(ctx, promisedService{running: &yes, boot: enable})
	start := s.systemdOnly("no_block", "unmask", "unmask_runtime")
	unmask := &maskState{s: s, runtime: module.Truth(get(a.Kwargs, "unmask_runtime")), to: false}
	wanted := module.Truth(get(a.Kwargs, "unmask"))
	would := &outcome{}
	if wanted {
		if would, err = unmask.look(ctx); err != nil {
			return nil, err
		}
	}
	if module.Truth(before) {
		o := &outcome{result: true, comment: joined(fmt.Sprintf("The service %s is already running", a.Name), would.comment)}
		change := enable != nil && *enable != module.Truth(atBoot)
		if !change && !(wanted && unmask.needed) {
			return o.plan(s.warnings), nil
		}
		if c.Test {
			if change {
				err = s.startupWanted(ctx, o, enable, nil, true)
			}
			return o.plan(s.warnings), err
		}
		p := &states.Plan{Warnings: s.warnings}
		p.Do(nil, func(ctx context.Context, r *states.Result) error {
			if wanted {
				u, err := unmask.do(ctx)
				if err != nil {
					return err
				}
				o.comment = joined(fmt.Sprintf("The service %s is already running", a.Name), u.comment)
			}
			if change {
				if err := s.startupWanted(ctx, o, enable, nil, true); err != nil {
					return err
				}
			}
			o.into(r)
			return nil
		})
		return p, nil
	}
	p := &states.Plan{Would: joined(fmt.Sprintf("Service %s is set to start", a.Name), would.comment), Warnings: s.warnings}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		unmasked := ""
		if wanted {
			u, err := unmask.do(ctx)
			if err != nil {
				return err
			}
			unmasked = u.comment
		}
		done, err := s.call(ctx, "start", start)
		if err != nil {
			return err
		}
		o := &outcome{result: true, changes: wire.NewMap()}
		if !module.Truth(done) {
			o.result, o.comment = false, fmt.Sprintf("Service %s failed to start", a.Name)
			s.why(ctx)
			if err := s.startupWanted(ctx, o, enable, false, false); err != nil {
				return err
			}
			o.into(r)
			return nil
		}
		if err := pause(ctx, delay); err != nil {
			return err
		}
		after, err := s.status(ctx, a.Sig)
		if err != nil {
			return err
		}
		bootAfter, _, err := s.isEnabled(ctx)
		if err != nil {
			return err
		}
		if !pytext.Equal(atBoot, bootAfter) || !pytext.Equal(before, after) {
			o.changes.Set(a.Name, after)
		}
		o.comment = fmt.Sprintf("Started service %s", a.Name)
		if !module.Truth(after) {
			o.result, o.comment = false, fmt.Sprintf("Service %s failed to start", a.Name)
			s.why(ctx)
		}
		if err := s.startupWanted(ctx, o, enable, after, after); err != nil {
			return err
		}
		if delay > 0 {
			o.comment += fmt.Sprintf("\nDelayed return for %s seconds", pytext.Str(a.InitDelay))
		}
		if wanted {
			o.comment += "\n" + unmasked
		}
		o.into(r)
		return nil
	})
	return p, nil
}

// serviceDead makes sure that a service does not run.
func serviceDead(ctx context.Context, c *states.Call, a serviceRunningArgs) (*states.Plan, error) {
	s := &serviceState{c: c, name: a.Name, sig: a.Sig, kwargs: a.Kwargs}
	enable := enableArg(a.Enable)
	delay, err := delayArg(a.InitDelay)
	if err != nil {
		return nil, err
	}
	before, atBoot, o, err := s.found(ctx, "stopped", true)
	if err != nil {
		return nil, err
	}
	if o != nil {
		return o.plan(nil), nil
	}
	no := false
	s.promise(ctx, promisedService{running: &no, boot: enable})
	if !module.Truth(before) {
		o := &outcome{result: true, comment: fmt.Sprintf("The service %s is already dead", a.Name)}
		if enable == nil || *enable == module.Truth(atBoot) {
			return o.plan(nil), nil
		}
		if c.Test {
			err := s.startupWanted(ctx, o, enable, nil, true)
			return o.plan(nil), err
		}
		p := &states.Plan{}
		p.Do(nil, func(ctx context.Context, r *states.Result) error {
			if err := s.startupWanted(ctx, o, enable, nil, true); err != nil {
				return err
			}
			o.into(r)
			return nil
		})
		return p, nil
	}
	if c.Test {
		return (&outcome{comment: fmt.Sprintf("Service %s is set to be killed", a.Name)}).plan(nil), nil
	}
	stop := s.systemdOnly("no_block")
	p := &states.Plan{Warnings: s.warnings}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		done, err := s.call(ctx, "stop", stop)
		if err != nil {
			return err
		}
		o := &outcome{result: true, changes: wire.NewMap()}
		if !module.Truth(done) {
			o.result, o.comment = false, fmt.Sprintf("Service %s failed to die", a.Name)
			if err := s.startupWanted(ctx, o, enable, true, false); err != nil {
				return err
			}
			o.into(r)
			return nil
		}
		if err := pause(ctx, delay); err != nil {
			return err
		}
		after, err := s.status(ctx, nil)
		if err != nil {
			return err
		}
		bootAfter, _, err := s.isEnabled(ctx)
		if err != nil {
			return err
		}
		if !pytext.Equal(atBoot, bootAfter) || !pytext.Equal(before, after) {
			o.changes.Set(a.Name, after)
		}
		alive := module.Truth(after)
		o.comment = fmt.Sprintf("Service %s was killed", a.Name)
		if alive {
			o.result, o.comment = false, fmt.Sprintf("Service %s failed to die", a.Name)
		}
		if err := s.startupWanted(ctx, o, enable, after, !alive); err != nil {
			return err
		}
		o.into(r)
		return nil
	})
	return p, nil
}

type serviceBootArgs struct {
	Name   string    // Name of the service.
	Kwargs *wire.Map `arg:"**"` // unmask, unmask_runtime, no_block (systemd), runlevels (OpenRC).
}

// boot plans for the states enabled and disabled.
func (a serviceBootArgs) boot(ctx context.Context, c *states.Call, on bool) (*states.Plan, error) {
	s := &serviceState{c: c, name: a.Name, kwargs: a.Kwargs}
	look := *c
	look.Test = true
	o, err := (&serviceState{c: &look, name: a.Name, kwargs: a.Kwargs}).startup(ctx, on, nil, true)
	if err != nil {
		return nil, err
	}
	if c.Test && on && o.comment == fmt.Sprintf("The named service %s is not available", a.Name) && !nothingBefore(c) {
		o.result = nil
		o.comment = fmt.Sprintf("Service %s not present; if created in this state run, it would have been enabled", a.Name)
	}
	if c.Test || o.result != nil {
		s.promise(ctx, promisedService{boot: &on})
		return o.plan(nil), nil
	}
	p := &states.Plan{}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		o, err := s.startup(ctx, on, nil, true)
		if err != nil {
			return err
		}
		o.into(r)
		return nil
	})
	return p, nil
}

// serviceEnabled makes sure that a service is started when the machine boots.
func serviceEnabled(ctx context.Context, c *states.Call, a serviceBootArgs) (*states.Plan, error) {
	return a.boot(ctx, c, true)
}

// serviceDisabled makes sure that a service is not started when the machine boots.
func serviceDisabled(ctx context.Context, c *states.Call, a serviceBootArgs) (*states.Plan, error) {
	return a.boot(ctx, c, false)
}

// maskState masks a service or takes its mask away.
type maskState struct {
	s       *serviceState
	runtime bool
	to      bool // masked, or not
	needed  bool
}

func (m *maskState) words() (kind, action, verb string) {
	kind, action, verb = "masked", "masked", "mask"
	if m.runtime {
		kind, action = "runtime masked", "runtime masked"
	}
	if !m.to {
		action, verb = "unmasked", "unmask"
		if m.runtime {
			action = "runtime unmasked"
		}
	}
	return kind, action, verb
}

func (m *maskState) changes() *wire.Map {
	kind, _, _ := m.words()
	return wire.NewMap(kind, change(!m.to, m.to))
}

// look says what is so, or what would be done.
func (m *maskState) look(ctx context.Context) (*outcome, error) {
	_, action, _ := m.words()
	is, err := m.s.call(ctx, "masked", nil, m.runtime)
	now := m.s.promised(ctx).masked[m.runtime]
	if now != nil && err == nil {
		is = *now
	}
	switch {
	case unavailable(err):
		return &outcome{result: false, comment: "Service masking not available on this minion"}, nil
	case err != nil:
		return &outcome{result: false, comment: message(err)}, nil
	case module.Truth(is) == m.to && m.to:
		return &outcome{result: true, comment: fmt.Sprintf("Service %s is already %s", m.s.name, action)}, nil
	case module.Truth(is) == m.to:
		return &outcome{result: true, comment: fmt.Sprintf("Service %s was already %s", m.s.name, action)}, nil
	}
	m.needed = true
	m.s.promise(ctx, promisedService{masked: map[bool]*bool{m.runtime: &m.to}})
	return &outcome{changes: m.changes(), comment: fmt.Sprintf("Service %s would be %s", m.s.name, action)}, nil
}

// do does it, where it is needed.
func (m *maskState) do(ctx context.Context) (*outcome, error) {
	_, action, verb := m.words()
	o, err := m.look(ctx)
	if err != nil || !m.needed {
		return o, err
	}
	if _, err := m.s.call(ctx, verb, nil, m.runtime); err != nil {
		return &outcome{result: false, comment: message(err)}, nil
	}
	is, err := m.s.call(ctx, "masked", nil, m.runtime)
	if err != nil {
		return &outcome{result: false, comment: message(err)}, nil
	}
	if module.Truth(is) != m.to { // Salt's result is true even so
		return &outcome{result: true, comment: fmt.Sprintf("Failed to %s service %s", verb, m.s.name)}, nil
	}
	return &outcome{result: true, changes: m.changes(), comment: fmt.Sprintf("Service %s was %s", m.s.name, action)}, nil
}

func (m *maskState) plan(ctx context.Context) (*states.Plan, error) {
	o, err := m.look(ctx)
	if err != nil || !m.needed {
		return o.plan(nil), err
	}
	p := &states.Plan{Would: o.comment}
	p.Do(o.changes, func(ctx context.Context, r *states.Result) error {
		o, err := m.do(ctx)
		if err == nil {
			o.into(r)
		}
		return err
	})
	return p, nil
}

type serviceMaskedArgs struct {
	Name    string // Name of the service.
	Runtime bool   `default:"False"` // The mask that lasts until the next boot.
}

// serviceMasked makes sure that a service cannot be started (systemd).
func serviceMasked(ctx context.Context, c *states.Call, a serviceMaskedArgs) (*states.Plan, error) {
	return (&maskState{s: &serviceState{c: c, name: a.Name}, runtime: a.Runtime, to: true}).plan(ctx)
}

// serviceUnmasked makes sure that a service has no mask (systemd).
func serviceUnmasked(ctx context.Context, c *states.Call, a serviceMaskedArgs) (*states.Plan, error) {
	return (&maskState{s: &serviceState{c: c, name: a.Name}, runtime: a.Runtime, to: false}).plan(ctx)
}

type serviceWatchArgs struct {
	Name        string    // Name of the service.
	Sfun        string    `default:"None"`  // The function that watches.
	Sig         any       `default:"None"`  // What to look for among the processes.
	Reload      any       `default:"False"` // Reload the service instead of restarting it.
	FullRestart any       `default:"False"` // Without effect on systems that Salt has a full restart for no longer.
	InitDelay   any       `default:"None"`  // Seconds to wait afterwards.
	Force       any       `default:"False"` // With reload: restart it where it cannot reload.
	Kwargs      *wire.Map `arg:"**"`        // no_block, unmask, unmask_runtime (systemd).
}

// serviceModWatch restarts or reloads a service that watches, or stops one that is to be dead.
func serviceModWatch(ctx context.Context, c *states.Call, a serviceWatchArgs) (*states.Plan, error) {
	s := &serviceState{c: c, name: a.Name, sig: a.Sig, kwargs: a.Kwargs}
	delay, err := delayArg(a.InitDelay)
	if err != nil {
		return nil, err
	}
	if a.Sfun != "running" && a.Sfun != "dead" {
		return states.Decided(false, nil, "Unable to trigger watch for service."+pytext.Str(noneIfEmpty(a.Sfun))), nil
	}
	running, err := s.status(ctx, a.Sig)
	if err != nil {
		return nil, err
	}
	if now := s.promised(ctx); now.running != nil {
		running = *now.running
	}
	fun, verb := "stop", "stop"
	known := []string{"no_block"}
	if a.Sfun == "running" {
		known = []string{"no_block", "unmask", "unmask_runtime"}
		switch {
		case !module.Truth(running):
			fun, verb = "start", "start"
		case module.Truth(a.Reload) && module.Truth(a.Force) && forceReloads(c):
			fun, verb = "force_reload", "forcefully reload"
		case module.Truth(a.Reload):
			fun, verb = "reload", "reload"
		default:
			fun, verb = "restart", "restart"
		}
	} else if !module.Truth(running) {
		return states.Decided(true, nil, "Service is already stopped"), nil
	}
	past := verb + "ed"
	if verb == "stop" {
		past = "stopped"
	}
	p := &states.Plan{Would: "Service is set to be " + past}
	kwargs := wire.NewMap()
	if !c.Test {
		kwargs = s.systemdOnly(known...)
	}
	p.Warnings = s.warnings
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		if verb == "start" { // what is left of it
			if _, err := s.call(ctx, "stop", nil); err != nil {
				return err
			}
		}
		done, err := s.call(ctx, fun, kwargs)
		if err != nil {
			return err
		}
		if err := pause(ctx, delay); err != nil {
			return err
		}
		o := &outcome{result: done, changes: wire.NewMap(a.Name, done), comment: "Service " + past}
		if !module.Truth(done) {
			o.comment = fmt.Sprintf("Failed to %s the service", verb)
		}
		o.into(r)
		return nil
	})
	return p, nil
}

// forceReloads tells whether the system knows force-reload.
func forceReloads(c *states.Call) bool {
	return systemd.Booted(c.Host.Exists) || pytext.Str(get(c.Grains(), "os_family")) == "Debian"
}

func noneIfEmpty(s string) any {
	if s == "" {
		return nil
	}
	return s
}
