// Package vm makes machines from profiles, for as long as somebody wants them, and ends
// them for certain: gosalt-run's vm.*.
//
// A machine has a record on disk from before it is made until it is gone, and the record's
// random reference in a tag. So one whose making was cut off, by an interrupt or by kill
// -9, is found again and ended: see clean.go. profile.go reads vm_profiles, test.go is
// vm.test, ready.go waits until a machine answers.
package vm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Master is what is used of the master. Its methods may be called concurrently.
type Master interface {
	// Provider is that of a source of the inventory.
	Provider(source string) (inventory.Provider, error)
	// Connected tells whether a minion is connected now.
	Connected(id wire.MinionID) bool
	// HasKey tells whether the master has a key of the minion, accepted or not.
	HasKey(id wire.MinionID) (bool, error)
	// ForgetKey deletes the minion's accepted key, if there is one.
	ForgetKey(id wire.MinionID, user string) error
	// Token makes a join token for one minion, and returns its text. Before there is a token,
	// named has written down its name.
	Token(id wire.MinionID, masters []string, life time.Duration, user string, named func(name string) error) (text string, err error)
	// RevokeToken ends a token; one that is gone is no error.
	RevokeToken(name, user string) error
	// Login tells whether SSH lets the master in at an address. What waiting may not mend is
	// a LoginError.
	Login(ctx context.Context, id wire.MinionID, address string, entry *wire.Map) error
	// Bootstrap makes the machine at an address a minion over SSH.
	Bootstrap(ctx context.Context, id wire.MinionID, address string, entry *wire.Map, masters []string, user string, progress func(string)) error
	// Run runs a function on a minion, and returns the load of its return.
	Run(ctx context.Context, id wire.MinionID, fun string, args []any, user string) (*wire.Map, error)
}

// Config is what a Manager is made of.
type Config struct {
	Dir       string    // of the records; made with the first one
	Profiles  *wire.Map // vm_profiles
	ConfigDir string    // where paths that are not absolute begin
	// Place tells the file and line of a profile, or of one of its keys; may be nil.
	Place  func(keys ...string) string
	Master Master
	Log    *slog.Logger
	// Poll is the time between two looks at what is waited for, and Settle how long a
	// provider may not yet show what it has just made. Zero are good ones.
	Poll, Settle time.Duration
}

// A Manager makes and ends machines. Its methods may be called concurrently.
type Manager struct {
	cfg      Config
	log      *slog.Logger
	records  records
	profiles map[string]*Profile
	wrong    map[string]error // profiles that cannot be used

	naming   sync.Mutex // between looking whether a name is free and taking it
	stopping chan struct{}
	stop     sync.Once
}

// destroyTime is how long a machine may take to end.
const destroyTime = 15 * time.Minute

// stopGrace is how much of that is left when the master ends. What is not gone by then the
// next start finds.
const stopGrace = 20 * time.Second

// New reads the profiles. A mistake in one does not hinder the others: see Problems.
func New(cfg Config) *Manager {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Poll == 0 {
		cfg.Poll = 500 * time.Millisecond
	}
	if cfg.Settle == 0 {
		cfg.Settle = 5 * time.Minute
	}
	m := &Manager{cfg: cfg, log: cfg.Log, records: records{cfg.Dir, &sync.Map{}}, profiles: map[string]*Profile{}, wrong: map[string]error{}, stopping: make(chan struct{})}
	for name, v := range cfg.Profiles.Strings() {
		if p, err := readProfile(name, v, cfg.ConfigDir, inventory.PlacesIn(cfg.Place, name)); err != nil {
			m.wrong[name] = err
		} else {
			m.profiles[name] = p
		}
	}
	return m
}

// Problems are the mistakes in the profiles.
func (m *Manager) Problems() (out []error) {
	for _, name := range slices.Sorted(maps.Keys(m.wrong)) {
		out = append(out, m.wrong[name])
	}
	return out
}

// profile finds one by its name.
func (m *Manager) profile(name string) (*Profile, error) {
	if p := m.profiles[name]; p != nil {
		return p, nil
	}
	if err := m.wrong[name]; err != nil {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(m.profiles))
	if len(names) == 0 {
		return nil, fmt.Errorf("there is no profile %q: vm_profiles in the master's configuration has none", name)
	}
	text := fmt.Sprintf("there is no profile %q", name)
	if near := module.Nearest(name, names); near != "" {
		text += fmt.Sprintf("; is it %q?", near)
	}
	return nil, fmt.Errorf("%s (vm_profiles has %s)", text, strings.Join(names, ", "))
}

// machines is the provider of a source, which has to be one that makes machines.
func (m *Manager) machines(profile, source string) (inventory.Machines, error) {
	p, err := m.cfg.Master.Provider(source)
	if err != nil {
		return nil, fmt.Errorf("profile %s: %s%w", profile, inventory.At(inventory.PlacesIn(m.cfg.Place, profile), "source"), err)
	}
	vm, ok := p.(inventory.Machines)
	if !ok {
		return nil, fmt.Errorf("profile %s: %sthe source %s can list machines and not make any: one of ec2 or libvirt is needed", profile, inventory.At(inventory.PlacesIn(m.cfg.Place, profile), "source"), source)
	}
	return vm, nil
}

// take takes a name for a new machine, and keeps it on record.
func (m *Manager) take(r *Record) (release func(), err error) {
	m.naming.Lock()
	defer m.naming.Unlock()
	list, err := m.records.list()
	if err != nil {
		return nil, err
	}
	for _, old := range list {
		if old.Name == r.Name {
			return nil, fmt.Errorf("there is a machine %s already: gosalt-run vm.destroy %s ends it", old.what(), old.Name)
		}
	}
	if r.Minion != "" {
		has, err := m.cfg.Master.HasKey(wire.MinionID(r.Minion))
		if err != nil {
			return nil, err
		}
		if has {
			return nil, fmt.Errorf("%s is the id of a minion that the master knows: take another name, or delete its key first: gosalt-key -d %s", r.Minion, r.Minion)
		}
	}
	release, ok, err := m.records.hold(r.Ref)
	if err == nil && !ok {
		err = errors.New("a new record is locked")
	}
	if err != nil {
		return nil, err
	}
	if err := m.records.put(r); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// Create makes a machine of a profile and waits until it answers. "" is a name of its own.
// What was not made whole is ended again, also when ctx ends. A machine that was made but
// does not answer in time stays, to be looked at; it is returned beside the error.
func (m *Manager) Create(ctx context.Context, profile, name, user string, progress func(string)) (*Record, error) {
	r, release, err := m.create(ctx, profile, name, user, false, progress)
	if release != nil {
		release()
	}
	return r, err
}

// create is Create. Of a throw-away machine nothing stays when there is an error; else
// release has to be called, before which nobody else touches it.
func (m *Manager) create(ctx context.Context, profile, name, user string, throwaway bool, progress func(string)) (r *Record, release func(), err error) {
	p, err := m.profile(profile)
	if err != nil {
		return nil, nil, err
	}
	api, err := m.machines(p.Name, p.Source)
	if err != nil {
		return nil, nil, err
	}
	r = &Record{Ref: strings.ToLower(rand.Text()), Name: name, Profile: p.Name, Source: p.Source, By: user, Begun: time.Now().UTC().Truncate(time.Second), Phase: creating, Throwaway: throwaway}
	if r.Name == "" {
		r.Name = strings.ToLower(p.Prefix) + "-" + strings.ToLower(rand.Text()[:6])
	}
	if !nameForm.MatchString(r.Name) {
		return nil, nil, fmt.Errorf("profile %s: the name %q: letters, digits, dots and dashes are expected, 63 at most", p.Name, r.Name)
	}
	if p.Join != joinNone {
		r.Minion = r.Name
	}
	if release, err = m.take(r); err != nil {
		return nil, nil, fmt.Errorf("profile %s: %w", p.Name, err)
	}
	undo := func(cause error) error {
		progress(fmt.Sprintf("%s: ending what was made", r.Name))
		err := m.end(ctx, r, progress)
		release()
		release = nil
		if err != nil {
			return fmt.Errorf("%w; and it could not be ended: %w: it is tried again", cause, err)
		}
		return cause
	}
	whole, cancel := context.WithTimeoutCause(ctx, p.Timeout, fmt.Errorf("%s are over (timeout of the profile)", p.Timeout))
	defer cancel()
	spec, err := m.spec(p, r)
	if err != nil {
		r.NotMade = true
		return nil, nil, undo(fmt.Errorf("profile %s: %w", p.Name, err))
	}
	progress(fmt.Sprintf("%s: making it by source %s", r.Name, p.Source))
	machine, err := api.Create(whole, spec, func(s string) { progress(r.Name + ": " + s) })
	if machine.ID != "" {
		r.ID = machine.ID
	}
	if err != nil {
		r.NotMade = r.ID == "" && refused(err)
		return nil, nil, undo(fmt.Errorf("profile %s, source %s: %s cannot be made: %w", p.Name, p.Source, r.Name, err))
	}
	r.Phase = waiting
	if err := m.records.put(r); err != nil {
		return nil, nil, undo(err)
	}
	late := m.answers(whole, p, r, api, machine, progress)
	if late != nil {
		late = fmt.Errorf("profile %s, source %s: %w", p.Name, p.Source, late)
		if throwaway || ctx.Err() != nil {
			return nil, nil, undo(late)
		}
	}
	r.Phase = made
	if err := m.records.put(r); err != nil {
		return nil, nil, undo(err)
	}
	if late != nil {
		return r, release, fmt.Errorf("%w; it stays, to be looked at: gosalt-run vm.destroy %s ends it", late, r.Name)
	}
	progress(fmt.Sprintf("%s: it answers", r.Name))
	return r, release, nil
}

// refused tells whether an error of Create is an answer: there is no machine then. Without
// an answer there may be one.
func refused(err error) bool {
	var e *inventory.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Reason {
	case inventory.NoCredentials, inventory.BadLogin, inventory.NotPermitted, inventory.Throttled, inventory.NotFound, inventory.BadConfig:
		return true
	}
	return false
}

// spec is what is asked of the provider.
func (m *Manager) spec(p *Profile, r *Record) (inventory.Spec, error) {
	s := inventory.Spec{Name: r.Name, Image: p.Image, Size: p.Size, Network: p.Network, Key: p.Key, UserData: p.UserData, Tags: maps.Clone(p.Tags), Extra: p.Extra}
	s.Tags[inventory.TagProfile], s.Tags[inventory.TagRecord], s.Tags[inventory.TagBy] = p.Name, r.Ref, r.By
	s.Begin = func(thing string) error {
		r.Things, r.Last = append(r.Things, thing), time.Now().UTC().Truncate(time.Second)
		return m.records.put(r)
	}
	if p.Join != joinToken {
		return s, nil
	}
	text, err := m.cfg.Master.Token(wire.MinionID(r.Minion), p.Masters, max(p.Timeout, time.Minute), r.By, func(name string) error {
		r.Token = name
		return m.records.put(r)
	})
	if err != nil {
		return s, fmt.Errorf("a join token for %s: %w", r.Minion, err)
	}
	d := p.install
	d.By, d.Token = "gosalt-run vm.create", text
	d.Whom = fmt.Sprintf("token %s in it is for %s", r.Token, r.Minion)
	s.UserData, err = join(d.Make("cloud-config"), p.UserData)
	return s, err
}

// find is a machine of ours by its name, its id or its reference. known tells whether it is
// on record.
func (m *Manager) find(ctx context.Context, name string) (r *Record, known bool, err error) {
	list, err := m.records.list()
	if err != nil && len(list) == 0 {
		return nil, false, err
	}
	var names []string
	for _, r := range list {
		if r.Name == name || r.ID == name || r.Ref == name {
			return r, true, nil
		}
		names = append(names, r.Name)
	}
	// One whose record was lost has the tag.
	seen, problems := m.tagged(ctx)
	for _, s := range seen {
		if s.machine.ID == name || s.machine.Label == name || s.machine.Tags[inventory.TagRecord] == name {
			t := s.machine.Tags
			ref := t[inventory.TagRecord]
			if !refForm.MatchString(ref) {
				continue
			}
			return &Record{Ref: ref, Name: s.machine.Label, Profile: t[inventory.TagProfile], Source: s.source, ID: s.machine.ID, By: t[inventory.TagBy], Begun: s.machine.Created, Phase: made}, false, nil
		}
	}
	text := fmt.Sprintf("%s is no machine that vm.create has made: only those are touched", name)
	if near := module.Nearest(name, names); near != "" {
		text += fmt.Sprintf("; is it %s?", near)
	} else if len(names) > 0 {
		text += "; there are " + strings.Join(names, ", ")
	}
	return nil, false, errors.Join(append([]error{errors.New(text)}, problems...)...)
}

// own finds a machine and holds it while f runs.
func (m *Manager) own(ctx context.Context, name string, f func(r *Record) error) error {
	r, known, err := m.find(ctx, name)
	if err != nil {
		return err
	}
	return m.held(r, known, f)
}

// held holds a machine while f runs.
func (m *Manager) held(r *Record, known bool, f func(r *Record) error) error {
	release, ok, err := m.records.hold(r.Ref)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("%s is in use by another call: wait until that has ended", r.what())
	}
	defer release()
	now, err := m.records.get(r.Ref) // it may have changed, or gone, meanwhile
	switch {
	case err == nil:
		r = now
	case !errors.Is(err, fs.ErrNotExist):
		return err
	case known: // its name may be another machine's by now
		m.records.drop(r.Ref) // the lock that hold made anew
		return fmt.Errorf("%s was ended by another call", r.what())
	}
	return f(r)
}

// Start starts a machine that was stopped, and waits until it answers.
func (m *Manager) Start(ctx context.Context, name string, progress func(string)) (*Record, error) {
	var out *Record
	err := m.own(ctx, name, func(r *Record) error {
		out = r
		api, err := m.machines(r.Profile, r.Source)
		if err != nil {
			return err
		}
		p := m.profiles[r.Profile]
		if p == nil { // it is gone from the configuration: then it is enough that it runs
			p = &Profile{Name: r.Profile, Ready: readyRunning, Timeout: defaultTimeout}
		}
		ctx, cancel := context.WithTimeoutCause(ctx, p.Timeout, fmt.Errorf("%s are over (timeout of the profile)", p.Timeout))
		defer cancel()
		if err := api.Start(ctx, r.ID, func(s string) { progress(r.Name + ": " + s) }); err != nil {
			return fmt.Errorf("%s cannot be started: %w", r.what(), err)
		}
		if err := m.answers(ctx, p, r, api, inventory.Machine{ID: r.ID}, progress); err != nil {
			return fmt.Errorf("%s: %w", r.what(), err)
		}
		return nil
	})
	return out, err
}

// Stop stops a machine, and waits until it has.
func (m *Manager) Stop(ctx context.Context, name string, progress func(string)) (*Record, error) {
	var out *Record
	err := m.own(ctx, name, func(r *Record) error {
		out = r
		api, err := m.machines(r.Profile, r.Source)
		if err != nil {
			return err
		}
		if err := api.Stop(ctx, r.ID, func(s string) { progress(r.Name + ": " + s) }); err != nil {
			return fmt.Errorf("%s cannot be stopped: %w", r.what(), err)
		}
		return nil
	})
	return out, err
}

// Destroy ends a machine, and what the master has of it: its key, its token.
func (m *Manager) Destroy(ctx context.Context, name string, progress func(string)) (*Record, error) {
	var out *Record
	err := m.own(ctx, name, func(r *Record) error {
		out = r
		return m.end(ctx, r, progress)
	})
	return out, err
}

// Sources are the mistakes that show when profiles meet the inventory: sources that are
// not there, or that cannot make machines. Nobody is asked.
func (m *Manager) Sources() (out []error) {
	for _, name := range slices.Sorted(maps.Keys(m.profiles)) {
		if _, err := m.machines(name, m.profiles[name].Source); err != nil {
			out = append(out, err)
		}
	}
	return out
}
