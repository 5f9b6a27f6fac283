package vm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/protocol/wire"
)

// errUnsure is that a machine may be there and is not shown yet.
var errUnsure = errors.New("the source does not show it; as it may have been made a moment ago, it is looked for again")

// end ends a machine that the caller holds, and forgets it when it is gone for certain. It
// goes on when ctx has ended: nobody would do it later.
func (m *Manager) end(ctx context.Context, r *Record, progress func(string)) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), destroyTime)
	defer cancel()
	go func() {
		select {
		case <-ctx.Done():
			return
		case <-m.stopping:
		}
		t := time.NewTimer(stopGrace)
		defer t.Stop()
		select {
		case <-ctx.Done():
		case <-t.C:
			cancel()
		}
	}()
	left := inventory.Leftover{Ref: r.Ref, Things: r.Things, Refused: r.NotMade, Fresh: r.fresh(m.cfg.Settle)}
	r.Phase = ending
	if err := m.records.put(r); err != nil {
		return err
	}
	if r.Token != "" {
		// First: from now on nothing can join by it.
		if err := m.cfg.Master.RevokeToken(r.Token, r.By); err != nil {
			return fmt.Errorf("%s: its join token: %w", r.what(), err)
		}
	}
	// A source that has refused, and made nothing on the way, is not needed for this.
	if !r.NotMade || len(r.Things) > 0 {
		api, err := m.machines(r.Profile, r.Source)
		if err != nil {
			return fmt.Errorf("%s cannot be ended: %w", r.what(), err)
		}
		tell := func(s string) { progress(r.Name + ": " + s) }
		if r.ID != "" {
			if err := api.Destroy(ctx, r.ID, tell); err != nil {
				return fmt.Errorf("%s cannot be ended: %w", r.what(), err)
			}
		}
		if r.ID == "" || len(r.Things) > 0 {
			sure, err := api.Sweep(ctx, left, tell)
			if err != nil {
				return fmt.Errorf("%s: what was begun for it cannot be ended: %w", r.what(), err)
			}
			if !sure && left.Fresh {
				return fmt.Errorf("%s: %w", r.what(), errUnsure)
			}
		}
	}
	if r.Minion != "" {
		if err := m.cfg.Master.ForgetKey(wire.MinionID(r.Minion), r.By); err != nil {
			return fmt.Errorf("%s: its key: %w", r.what(), err)
		}
	}
	if err := m.records.drop(r.Ref); err != nil {
		return err
	}
	progress(fmt.Sprintf("%s: it is gone", r.Name))
	return nil
}

// Clean ends the machines whose owner is dead: throw-away ones, and those that were not
// made whole or not ended whole. The errors are of those that could not be ended; they
// stay on record.
func (m *Manager) Clean(ctx context.Context, progress func(string)) []error {
	list, err := m.records.list()
	var mu sync.Mutex
	var errs []error
	fail := func(err error) { mu.Lock(); errs = append(errs, err); mu.Unlock() }
	if err != nil {
		fail(err)
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, 4)
	for _, r := range list {
		if !r.leftover() {
			continue
		}
		release, ok, err := m.records.hold(r.Ref)
		if err != nil {
			fail(err)
		}
		if !ok {
			continue
		}
		now, err := m.records.get(r.Ref)
		if err != nil || !now.leftover() {
			release()
			if errors.Is(err, fs.ErrNotExist) {
				m.records.drop(r.Ref) // the lock that hold made anew
			}
			continue
		}
		wg.Go(func() {
			defer release()
			slots <- struct{}{}
			defer func() { <-slots }()
			progress(fmt.Sprintf("%s is left over from a call that did not end: ending it", now.what()))
			if err := m.end(ctx, now, progress); err != nil {
				fail(err)
			}
		})
	}
	wg.Wait()
	return errs
}

// cleanAgain is how long the master waits to try again what could not be ended.
const cleanAgain = time.Minute

// Run ends leftovers of an earlier process, and tries again what could not be ended, until
// ctx ends.
func (m *Manager) Run(ctx context.Context) error {
	defer m.stop.Do(func() { close(m.stopping) })
	stop := context.AfterFunc(ctx, func() { m.stop.Do(func() { close(m.stopping) }) })
	defer stop()
	for wait := time.Duration(0); ; wait = min(max(2*wait, cleanAgain), time.Hour) {
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
		errs := m.Clean(ctx, func(s string) { m.log.Info(s) })
		for _, err := range errs {
			m.log.Warn("a machine is left over", "error", err)
		}
		if len(errs) == 0 {
			wait = 0
		}
	}
}

// A seen machine is one that has our tag.
type seen struct {
	source  string
	machine inventory.Machine
}

// tagged lists the machines with our tag in the sources that profiles and records name.
func (m *Manager) tagged(ctx context.Context) (out []seen, errs []error) {
	sources := map[string]string{} // and a profile of each
	for name, p := range m.profiles {
		// What is wrong with a profile was told at the start, and concerns no machine.
		if _, err := m.machines(name, p.Source); err == nil {
			sources[p.Source] = name
		}
	}
	list, _ := m.records.list()
	for _, r := range list {
		sources[r.Source] = r.Profile
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	fail := func(err error) { mu.Lock(); errs = append(errs, err); mu.Unlock() }
	for _, source := range slices.Sorted(maps.Keys(sources)) {
		api, err := m.machines(sources[source], source)
		if err != nil {
			fail(err)
			continue
		}
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
			defer cancel()
			for machine, err := range api.List(ctx) {
				if err != nil {
					fail(err)
				} else if machine.Tags[inventory.TagRecord] != "" && machine.State != inventory.Gone {
					mu.Lock()
					out = append(out, seen{source, machine})
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return out, errs
}

// An Item is a machine in a list.
type Item struct {
	Record
	State   string // as its source says; "missing" where that does not have it
	Known   bool   // it is on record here
	Left    bool   // the call that made or ended it is dead, and it could not be ended yet
	Address string
}

// List is the machines that vm.create and vm.test have made. Errors are of sources that
// could not be listed whole.
func (m *Manager) List(ctx context.Context) (items []Item, errs []error) {
	list, err := m.records.list()
	if err != nil {
		errs = append(errs, err)
	}
	seen, problems := m.tagged(ctx)
	errs = append(errs, problems...)
	for _, r := range list {
		it := Item{Record: *r, State: "missing", Known: true}
		if len(problems) > 0 {
			it.State = "unknown"
		}
		_, held := m.records.held.Load(r.Ref)
		it.Left = r.leftover() && !held
		switch {
		case r.Phase == creating && held:
			it.State = "being made"
		case it.Left && len(problems) == 0:
			it.State = "unfinished"
		}
		for _, s := range seen {
			if s.source == r.Source && s.machine.Tags[inventory.TagRecord] == r.Ref {
				it.show(&s.machine)
			}
		}
		items = append(items, it)
	}
	for _, s := range seen {
		t := s.machine.Tags
		if !slices.ContainsFunc(list, func(r *Record) bool { return r.Ref == t[inventory.TagRecord] }) {
			it := Item{Record: Record{Ref: t[inventory.TagRecord], Name: s.machine.Label, Profile: t[inventory.TagProfile], Source: s.source, By: t[inventory.TagBy], Begun: s.machine.Created}}
			it.show(&s.machine)
			items = append(items, it)
		}
	}
	return items, errs
}

func (it *Item) show(m *inventory.Machine) {
	it.ID, it.State, it.Address = m.ID, string(m.State), m.Address("private", "public", "dns")
	if m.State == "" {
		it.State = string(inventory.Unknown)
	}
}
