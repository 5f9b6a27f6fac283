// Package roster says which machines there are and how to reach them: Salt's rosters, the
// user's SSH configuration, inventories of Ansible and Terraform, a range of addresses.
//
//	r, err := roster.Load(ctx, roster.Config{Rosters: []string{"flat"}, File: "/etc/salt/roster", Defaults: defaults})
//	hosts, err := r.Match(ctx, "web*", "glob")
//
// Each source has its file: flat.go, ansible.go, sshconfig.go, terraform.go, cache.go,
// scan.go; host.go reads the keys of an entry and complains about wrong ones; match.go
// has the targets.
package roster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/render"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/ssh"
)

// Names are the rosters there are.
var Names = []string{"ansible", "cache", "clustershell", "dir", "flat", "inventory", "range", "scan", "sshconfig", "sshknownhosts", "terraform"}

// Config says where the machines are to be found.
type Config struct {
	Rosters []string // names of Names, in the order of options; empty is flat
	File    string   // roster_file; "" is ConfigDir/roster
	// ConfigDir is the directory of the master's configuration, "" is /etc/salt.
	ConfigDir string
	Dir       string // roster_dir, of the roster dir; "" is /etc/salt/roster.d
	Domain    string // roster_domain, for entries of dir without a host

	Defaults   *wire.Map // roster_defaults: keys of a roster for all machines
	MinionOpts *wire.Map // ssh_minion_opts: beneath the minion_opts of each
	Nodegroups *wire.Map // nodegroups, for targets
	// ListNodegroups are ssh_list_nodegroups: names for lists of machines.
	ListNodegroups *wire.Map

	SSHConfigFile  string // ssh_config_file, "" is ~/.ssh/config
	KnownHostsFile string // ssh_known_hosts_file, "" is ~/.ssh/known_hosts

	ScanPorts   []int         // ssh_scan_ports; empty is 22
	ScanTimeout time.Duration // ssh_scan_timeout; zero is 10ms, as in Salt
	RangeServer string        // range_server, as "range.example.com:80"

	// Order is roster_order: how the roster cache finds keys of an entry.
	Order *wire.Map

	// Render is what the files of flat and dir are rendered with: the master's options and
	// functions. Files and Pillar may be nil.
	Render render.Config

	// Grains returns the grains of a machine that were seen before, or nil. It may be nil.
	Grains func(ctx context.Context, id string) *wire.Map
	// Known returns the minions that a master knows; nil where there is no master.
	Known func(ctx context.Context) ([]Minion, error)

	// Machines hands over the machines of the inventory, for the roster inventory; nil where
	// none is configured.
	Machines func(ctx context.Context, each func(Machine)) error
	// MachinesOf returns the ids that V@ in a target means; nil likewise.
	MachinesOf func(ctx context.Context, expr string) ([]string, error)

	Log *slog.Logger // warnings; nil drops them
}

// A Minion is what a master knows of one of its minions, for the roster cache.
type Minion struct {
	ID                   string
	Grains, Pillar, Mine *wire.Map
}

// A Roster is the machines of all its sources.
type Roster struct {
	cfg   Config
	hosts []ssh.Host
	byID  map[string]int

	// Warnings are what is odd in the sources, each with its place: unknown keys, the same
	// machine twice.
	Warnings []string
	about    []note // the same, in parallel

	twice map[string]string // of the file read last: names that stand in it once more, and where

	minions map[string]Minion   // of the roster cache
	down    map[string]bool     // machines of the inventory that are not running
	groups  map[string][]string // of an inventory: names of groups and their machines
	// scans find machines by the target itself.
	scans []func(ctx context.Context, tgt any, kind string) ([]ssh.Host, error)
}

// An Error is what is wrong in a source.
type Error struct {
	Source string // file, or file:line
	Host   string // the entry, "" when it is about the whole
	Msg    string
	Hint   string
	Err    error
}

// Error is one line: place, entry, what is wrong, and what to do.
func (e *Error) Error() string {
	s := "roster"
	if e.Source != "" {
		s += " " + e.Source
	}
	s += ": "
	if e.Host != "" {
		s += e.Host + ": "
	}
	s += e.Msg
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// Load reads the sources. With several an entry of a later one replaces that of an
// earlier one. An error of one source does not hide the others: what was read is returned
// with it.
func Load(ctx context.Context, cfg Config) (*Roster, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if len(cfg.Rosters) == 0 {
		cfg.Rosters = []string{"flat"}
	}
	if cfg.ConfigDir == "" {
		cfg.ConfigDir = "/etc/salt"
	}
	r := &Roster{cfg: cfg, byID: map[string]int{}, groups: map[string][]string{}}
	var errs []error
	for _, name := range cfg.Rosters {
		name = strings.TrimSpace(name)
		load := sources[name]
		if load == nil {
			errs = append(errs, &Error{Msg: fmt.Sprintf("there is no roster named %q", name), Hint: "there are " + strings.Join(Names, ", ")})
			continue
		}
		if err := load(ctx, r); err != nil {
			errs = append(errs, err)
		}
	}
	for _, w := range r.Warnings {
		cfg.Log.Warn("roster", "warning", w)
	}
	return r, errors.Join(errs...)
}

// sources read the machines of each kind of roster.
var sources map[string]func(ctx context.Context, r *Roster) error

func init() {
	sources = map[string]func(ctx context.Context, r *Roster) error{
		"ansible":       loadAnsible,
		"cache":         loadCache,
		"clustershell":  loadClustershell,
		"dir":           loadDir,
		"flat":          loadFlat,
		"inventory":     loadInventory,
		"range":         loadRange,
		"scan":          loadScan,
		"sshconfig":     loadSSHConfig,
		"sshknownhosts": loadKnownHosts,
		"terraform":     loadTerraform,
	}
}

// add puts in a machine, or replaces that of an earlier source. That is said, but for a
// roster that lies over the inventory: there it is meant.
func (r *Roster) add(h ssh.Host) {
	if i, ok := r.byID[h.ID]; ok {
		if old := r.hosts[i]; old.Source != h.Source && !strings.HasPrefix(old.Source, "inventory ") {
			r.warn(h.Source, h.ID, "it stands in %s, too: this one holds", old.Source)
		}
		r.hosts[i] = h
		return
	}
	r.byID[h.ID] = len(r.hosts)
	r.hosts = append(r.hosts, h)
}

func (r *Roster) warn(source, host, format string, args ...any) {
	e := &Error{Source: source, Host: host, Msg: fmt.Sprintf(format, args...)}
	r.Warnings = append(r.Warnings, strings.TrimPrefix(e.Error(), "roster "))
	r.about = append(r.about, note{host: host})
}

// note says more of a warning.
type note struct {
	host  string // the entry that it is about, "" for the whole
	other string // matters only where this one is chosen, too
	minor bool   // no person is to be bothered with it
}

// Notes are the warnings for who runs a job on these machines: all but those about others.
func (r *Roster) Notes(hosts []ssh.Host) []string {
	chosen := map[string]bool{}
	for _, h := range hosts {
		chosen[h.ID] = true
	}
	var out []string
	for i, n := range r.about {
		if _, machine := r.byID[n.host]; !n.minor && (chosen[n.host] || !machine) && (n.other == "" || chosen[n.other]) {
			out = append(out, "roster "+r.Warnings[i])
		}
	}
	return out
}

// Hosts are all machines, in the order of the sources.
func (r *Roster) Hosts() []ssh.Host { return slices.Clone(r.hosts) }

// Get is one machine.
func (r *Roster) Get(id string) (ssh.Host, bool) {
	i, ok := r.byID[id]
	if !ok {
		return ssh.Host{}, false
	}
	return r.hosts[i], true
}
