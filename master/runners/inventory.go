package runners

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/protocol/wire"
)

func registerInventory(r *module.Registry) {
	module.Register(r, "inventory.list", inventoryList)
	module.Register(r, "inventory.show", inventoryShow)
	module.Register(r, "inventory.sources", inventorySources)
	module.Register(r, "inventory.refresh", inventoryRefresh)
	module.Register(r, "inventory.diff", inventoryDiff)
}

type inventoryListArgs struct {
	Tgt     string `default:"*"`     // Which machines: a glob of their names, or what tgt_type says, as "V@tag:env=prod and web*" with compound.
	TgtType string `default:"None"`  // How tgt is to be read: glob, pcre, list or compound; compound where tgt has V@ in it and nothing is said, else glob.
	Format  string `default:"table"` // table, a line for each machine; data, with all that is known of each machine; ansible, an inventory as Ansible's programs print it.
}

type inventoryShowArgs struct {
	Name string // The machine's name, or its id at its provider.
}

type inventoryRefreshArgs struct {
	Source string `default:"None"` // The source to list; all of them where not given.
}

// parseInventoryTarget reads which machines are meant.
func parseInventoryTarget(ctx context.Context, inv *inventory.Inventory, tgt, kind string) (*target.Target, error) {
	if kind == "" || kind == "None" {
		kind = "glob"
		if strings.Contains(tgt, "V@") {
			kind = "compound"
		}
	}
	t, err := target.Parse(tgt, kind, target.Options{Machines: func(expr string) ([]string, error) { return inv.Match(ctx, expr) }})
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	return t, nil
}

// inventoryOf is the inventory, listed once at least.
func inventoryOf(ctx context.Context) (*inventory.Inventory, error) {
	inv, err := callOf(ctx).r.master.Inventory()
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	inv.First(ctx)
	return inv, nil
}

// inventoryList lists the machines that the inventory has found: all, or those of a
// target. They are as the sources told them last; inventory.sources says when that was.
//
//	gosalt-run inventory.list
//	gosalt-run inventory.list 'V@tag:env=prod and V@region:eu-*' --out json
//	gosalt-run inventory.list format=ansible --out json
func inventoryList(ctx context.Context, c *module.Call, a inventoryListArgs) (any, error) {
	inv, err := inventoryOf(ctx)
	if err != nil {
		return nil, err
	}
	if !slices.Contains([]string{"table", "data", "ansible"}, a.Format) {
		return nil, module.Failf("format is %q, and has to be table, data or ansible", a.Format)
	}
	t, err := parseInventoryTarget(ctx, inv, a.Tgt, a.TgtType)
	if err != nil {
		return nil, err
	}
	data := wire.NewMap()
	ans := newAnsible()
	for e, err := range inv.All(ctx) {
		if err != nil {
			return nil, err
		}
		ok, err := t.Match(target.Subject{ID: e.Name, Unknown: target.Differs})
		if err != nil {
			return nil, module.Failf("%w", err)
		}
		if !ok {
			continue
		}
		switch a.Format {
		case "ansible":
			ans.add(ctx, &e)
		case "data":
			data.Set(e.Name, withAge(&e))
		default:
			row := wire.NewMap("state", string(e.StateText()), "source", e.Source, "region", e.Region, "address", cmp.Or(e.Host, e.Exec), "age", ageText(&e), "id", e.ID)
			data.Set(e.Name, row)
		}
	}
	sayWarnings(ctx, inv)
	if a.Format == "ansible" {
		return ans.out(), nil
	}
	if a.Format == "table" && data.Len() > 0 {
		return withOutputter("columns", data), nil
	}
	return data, nil
}

// ageText is how long ago a machine was last seen, and whether it should have been since.
func ageText(e *inventory.Entry) string {
	age := inventory.Age(max(0, time.Since(e.Seen)))
	if e.Old {
		age += ", old"
	}
	return age
}

// sayWarnings reports what is old or wrong.
func sayWarnings(ctx context.Context, inv *inventory.Inventory) {
	for _, w := range inv.Warnings(ctx) {
		callOf(ctx).note("%s", w)
	}
}

func withAge(e *inventory.Entry) *wire.Map {
	m := e.Map()
	m.Set("first_seen", e.First.UTC().Format(time.RFC3339))
	m.Set("seen", e.Seen.UTC().Format(time.RFC3339))
	m.Set("age", int64(max(0, time.Since(e.Seen).Seconds())))
	m.Set("old", e.Old)
	if e.Clash {
		m.Set("clash", "other machines have the same name by the template: the id is behind it")
	}
	return m
}

// secretKeys are those of a roster that are not shown.
var secretKeys = []string{"passwd", "priv_passwd", "sudo_passwd"}

// inventoryShow shows all that is known of one machine: attributes, when it was seen, and
// how it is reached over SSH (without passwords).
//
//	gosalt-run inventory.show web1
//	gosalt-run inventory.show i-0123456789abcdef0
func inventoryShow(ctx context.Context, c *module.Call, a inventoryShowArgs) (any, error) {
	inv, err := inventoryOf(ctx)
	if err != nil {
		return nil, err
	}
	e, err := inv.Get(ctx, a.Name)
	if errors.Is(err, inventory.ErrUnknown) {
		e, err = inv.ByID(ctx, a.Name)
	}
	if errors.Is(err, inventory.ErrUnknown) {
		var names []string
		for o := range inv.All(ctx) {
			names = append(names, o.Name)
		}
		text := fmt.Sprintf("the inventory has no machine %q", a.Name)
		if near := module.Nearest(a.Name, names); near != "" {
			text += fmt.Sprintf("; is it %q?", near)
		}
		return nil, module.Failf("%s See gosalt-run inventory.list and inventory.sources", text)
	}
	if err != nil {
		return nil, err
	}
	m := withAge(&e)
	entry, wrong := e.Roster(ctx)
	for _, k := range secretKeys {
		if entry.Has(k) {
			entry.Set(k, "(hidden)")
		}
	}
	m.Set("ssh", entry)
	if wrong != nil {
		m.Set("unreachable", wrong.Error())
	}
	sayWarnings(ctx, inv)
	return m, nil
}

// inventorySources shows how each source is: how many machines it has, when it was last
// listed whole, when it is asked again, and what is wrong with it.
//
//	gosalt-run inventory.sources
func inventorySources(ctx context.Context, _ *module.Call, _ struct{}) (any, error) {
	inv, err := inventoryOf(ctx)
	if err != nil {
		return nil, err
	}
	list, err := inv.Status(ctx)
	if err != nil {
		return nil, err
	}
	out := wire.NewMap()
	for _, st := range list {
		m := wire.NewMap("provider", st.Kind, "machines", int64(st.Machines))
		if !st.Enabled {
			m.Set("enabled", false)
		}
		switch {
		case st.Listed.IsZero():
			m.Set("listed", "never")
		default:
			m.Set("listed", st.Listed.UTC().Format(time.RFC3339))
			m.Set("age", inventory.Age(st.Age()))
		}
		if !st.Next.IsZero() && st.Enabled {
			m.Set("next", st.Next.UTC().Format(time.RFC3339))
		}
		if st.Error != "" {
			m.Set("error", st.Error)
		}
		if len(st.Scopes) > 0 {
			scopes := wire.NewMap()
			for k, v := range st.Scopes {
				scopes.Set(k, v)
			}
			m.Set("failed", scopes)
		}
		if len(st.Clashes) > 0 {
			names := []any{}
			for _, n := range st.Clashes {
				names = append(names, n)
			}
			m.Set("several_of_one_name", names)
		}
		out.Set(st.Name, m)
	}
	return out, nil
}

// namedSources are the sources that a call means.
func namedSources(inv *inventory.Inventory, name string) []string {
	if name != "" && name != "None" {
		return []string{name}
	}
	return inv.Sources()
}

// inventoryRefresh lists a source now, or all of them, and stores what came. It returns
// how many machines were found, have changed and are gone, and what was wrong. The exit code is
// 1 where anything could not be listed.
//
//	gosalt-run inventory.refresh
//	gosalt-run inventory.refresh prod
func inventoryRefresh(ctx context.Context, c *module.Call, a inventoryRefreshArgs) (any, error) {
	inv, err := callOf(ctx).r.master.Inventory()
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	type result struct {
		name string
		l    *inventory.Listing
		err  error
	}
	names := namedSources(inv, a.Source)
	results := make(chan result)
	for _, n := range names {
		go func() {
			l, err := inv.Refresh(ctx, n)
			results <- result{n, l, err}
		}()
	}
	got, failed := map[string]result{}, false
	for range names {
		r := <-results
		got[r.name] = r
	}
	out := wire.NewMap()
	for _, n := range names {
		r := got[n]
		if r.err != nil {
			return nil, module.Failf("%w", r.err)
		}
		out.Set(n, r.l.Map())
		failed = failed || len(r.l.Errors) > 0
	}
	for _, e := range inv.Problems() {
		if !slices.Contains(names, e.Source) && a.Source == "None" {
			out.Set(e.Source, wire.NewMap("errors", []any{e.Error()}))
			failed = true
		}
	}
	return withFailure(out, failed), nil
}

// inventoryDiff lists a source now, or all of them, and shows what differs from what is
// known: machines found, changed and gone. Nothing is stored. The exit code is 1 where anything
// could not be listed.
//
//	gosalt-run inventory.diff
func inventoryDiff(ctx context.Context, c *module.Call, a inventoryRefreshArgs) (any, error) {
	inv, err := callOf(ctx).r.master.Inventory()
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	out, failed := wire.NewMap(), false
	for _, n := range namedSources(inv, a.Source) {
		parts := map[string]*wire.Map{}
		l, err := inv.Diff(ctx, n, func(ch inventory.Change) {
			if parts[ch.What] == nil {
				parts[ch.What] = wire.NewMap()
			}
			m := ch.Map()
			var v any = ch.Machine.ID
			if ch.What == inventory.Changed {
				v = m.Map("changes")
			}
			parts[ch.What].Set(ch.Name, v)
		})
		if err != nil {
			return nil, module.Failf("%w", err)
		}
		m := wire.NewMap()
		for _, what := range []string{inventory.Found, inventory.Changed, inventory.Missing} {
			if parts[what] != nil {
				m.Set(what, parts[what])
			}
		}
		if errs := l.Map().List("errors"); len(errs) > 0 {
			m.Set("errors", errs)
			failed = true
		}
		out.Set(n, m)
	}
	return withFailure(out, failed), nil
}

// withFailure has a result make the exit code 1.
func withFailure(out *wire.Map, failed bool) any {
	if !failed {
		return out
	}
	return wire.NewMap("data", out, "outputter", "nested", "retcode", int64(1))
}

// ansibleInventory is what Ansible's programs print with --list.
type ansibleInventory struct {
	groups map[string][]any
	vars   *wire.Map
	all    []any
}

func newAnsible() *ansibleInventory {
	return &ansibleInventory{groups: map[string][]any{}, vars: wire.NewMap()}
}

// groupName is a text that Ansible takes as the name of a group.
func groupName(parts ...string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, strings.Join(parts, "_"))
}

// add puts a machine in: its address and login as Ansible's variables, its attributes as
// "cloud", and groups of its source, region, type, state, tags and groups.
func (x *ansibleInventory) add(ctx context.Context, e *inventory.Entry) {
	vars := wire.NewMap()
	entry, _ := e.Roster(ctx)
	for _, k := range [][2]string{{"host", "ansible_host"}, {"port", "ansible_port"}, {"user", "ansible_user"}, {"priv", "ansible_ssh_private_key_file"}, {"sudo", "ansible_become"}} {
		if v, ok := entry.Get(k[0]); ok {
			vars.Set(k[1], v)
		}
	}
	vars.Set("cloud", e.Map())
	x.vars.Set(e.Name, vars)
	x.all = append(x.all, e.Name)
	in := []string{groupName("source", e.Source), groupName("provider", e.Kind), groupName("state", string(e.StateText()))}
	for k, v := range map[string]string{"region": e.Region, "zone": e.Zone, "type": e.Type} {
		if v != "" {
			in = append(in, groupName(k, v))
		}
	}
	for _, g := range e.Groups {
		in = append(in, groupName(g))
	}
	for k, v := range e.Tags {
		in = append(in, groupName("tag", k, v))
	}
	for _, g := range in {
		if l := x.groups[g]; g != "" && g != "all" && g != "_meta" && g != "ungrouped" && (len(l) == 0 || l[len(l)-1] != e.Name) {
			x.groups[g] = append(l, e.Name)
		}
	}
}

func (x *ansibleInventory) out() *wire.Map {
	names := make([]string, 0, len(x.groups))
	for g := range x.groups {
		names = append(names, g)
	}
	slices.Sort(names)
	children := []any{"ungrouped"}
	out := wire.NewMap("_meta", wire.NewMap("hostvars", x.vars))
	for _, g := range names {
		children = append(children, g)
	}
	out.Set("all", wire.NewMap("children", children, "hosts", append([]any{}, x.all...)))
	for _, g := range names {
		out.Set(g, wire.NewMap("hosts", x.groups[g]))
	}
	return out
}
