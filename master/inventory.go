package master

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"

	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/master/events"
	"github.com/gosalt/gosalt/protocol/control"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/ssh"
	"github.com/gosalt/gosalt/ssh/roster"
)

// OpenInventory opens the inventory of a configuration; nil where none is configured. Its
// cache is below cachedir. dial reaches sources through SSH; it may be nil.
func OpenInventory(cfg *config.Master, kinds map[string]func() inventory.Kind, onChange func(inventory.Change), dial inventory.DialSSH, log *slog.Logger) (*inventory.Inventory, error) {
	if cfg.Inventory.Len() == 0 {
		return nil, nil
	}
	inv, err := inventory.Open(inventory.Config{Sources: cfg.Inventory, Place: placesOf(cfg, "inventory"), ConfigDir: filepath.Dir(cfg.ConfFile), Dir: filepath.Join(cfg.CacheDir, "inventory"),
		Kinds: kinds, OnChange: onChange, DialSSH: dial}, log)
	if err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	return inv, nil
}

// openInventory opens the inventory where one is configured. A mistake in a source is
// told, and hinders neither the others nor the master.
func (m *Master) openInventory() error {
	if m.cfg.Inventory.Len() == 0 {
		return nil
	}
	if m.cfg.Kinds == nil {
		return errors.New("inventory: this program has no providers")
	}
	var err error
	m.cloudNews = newCloudNews()
	m.inv, err = OpenInventory(m.cfg.Master, m.cfg.Kinds, func(c inventory.Change) {
		m.bus.Publish(events.Cloud(c.Name, c.What), c.Map())
		m.cloudNews.add(c)
	}, m.dialSocket, m.log.With("part", "inventory"))
	if err != nil {
		return err
	}
	for _, e := range m.inv.Problems() {
		if m.cfg.Portless { // who uses the inventory is told by warnings
			break
		}
		m.log.Error("a source of the inventory cannot be used", "source", e.Source, "error", e.Error())
	}
	return nil
}

// errNoInventory is for who uses one where there is none.
var errNoInventory = errors.New("no inventory is configured: the option inventory says where machines are to be found")

// targetOptions are what targets are read with: nodegroups, and V@ from the inventory.
func (m *Master) targetOptions(ctx context.Context, delimiter string) target.Options {
	return target.Options{Delimiter: delimiter, Nodegroups: m.cfg.Nodegroups, Machines: func(expr string) ([]string, error) { return m.machinesOf(ctx, expr) }}
}

// machinesOf returns the ids of the machines that V@ means.
func (m *Master) machinesOf(ctx context.Context, expr string) ([]string, error) {
	if m.inv == nil {
		return nil, errNoInventory
	}
	if err := m.firstListing(ctx); err != nil {
		return nil, err
	}
	return m.inv.Match(ctx, expr)
}

// firstListing lists what was never listed; a master for one command line lists what is
// due.
func (m *Master) firstListing(ctx context.Context) error {
	if m.cfg.Portless {
		m.invFresh.Do(func() { m.inv.Fresh(ctx) })
	} else {
		m.inv.First(ctx)
	}
	return ctx.Err()
}

// warnInventory tells who asks what is old or wrong in the inventory.
func (m *Master) warnInventory(ctx context.Context, send func(*wire.Map) error) error {
	if m.inv == nil {
		return nil
	}
	for _, w := range m.inv.Warnings(ctx) {
		if err := send(wire.NewMap("kind", control.KindWarning, "text", w)); err != nil {
			return err
		}
	}
	return nil
}

// usesInventory is the mark that resolve leaves in a request whose target has V@.
const usesInventory = "_inventory"

// rosterMachines hands over the machines of the inventory to a roster.
func (m *Master) rosterMachines(ctx context.Context, each func(roster.Machine)) error {
	if err := m.firstListing(ctx); err != nil {
		return err
	}
	for e, err := range m.inv.All(ctx) {
		if err != nil {
			return err
		}
		entry, wrong := e.Roster(ctx)
		rm := roster.Machine{ID: e.Name, Entry: entry, Attrs: e.Map(), Source: "inventory " + e.Source, Wrong: wrong, Down: !e.Up()}
		if e.Exec != "" && e.Up() {
			rm.Exec = m.execOf(e)
		}
		each(rm)
	}
	return nil
}

// execOf runs commands on a machine through its provider.
func (m *Master) execOf(e inventory.Entry) ssh.Exec {
	return func(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
		p, err := m.inv.Provider(e.Source)
		if err != nil {
			return 0, err
		}
		x, ok := p.(inventory.Executor)
		if !ok {
			return 0, fmt.Errorf("%s (%s) cannot run commands", e.Source, e.Kind)
		}
		return x.Exec(ctx, e.Machine, argv, stdin, stdout, stderr)
	}
}

// handleCloud answers a minion that asks what the inventory knows of its machine: that of
// its name, or the one whose id at its provider is the minion's.
func (m *Master) handleCloud(ctx context.Context, r *minionRequest) (any, error) {
	if m.inv == nil {
		return wire.NewMap(), nil
	}
	e, err := m.inv.Get(ctx, string(r.ID))
	if errors.Is(err, inventory.ErrUnknown) {
		e, err = m.inv.ByID(ctx, string(r.ID))
	}
	if errors.Is(err, inventory.ErrUnknown) {
		return wire.NewMap(), nil
	}
	if err != nil {
		return nil, err
	}
	return e.Map(), nil
}

// Inventory implements runners.Master.
func (r runnerMaster) Inventory() (*inventory.Inventory, error) {
	if r.m.inv == nil {
		return nil, errNoInventory
	}
	return r.m.inv, nil
}
