// Package ansible is the source that a program of Ansible's dynamic inventories prints:
// any of the hundreds there are, and scripts of one's own.
package ansible

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/ansible"
	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Kind is the kind ansible.
var Kind = inventory.Kind{
	Name: "ansible",
	Doc:  "Hosts that an executable in Ansible's dynamic inventory format prints.",
	Options: []inventory.Option{
		{Name: "command", Type: inventory.Text, Need: true, Doc: "The program, below the directory of the configuration when it is not absolute; it is run with --list, and with --host NAME where the list has no _meta."},
		{Name: "environment", Type: inventory.Map, Doc: "Variables of the program's environment, besides those of the master."},
		{Name: "run_timeout", Type: inventory.Duration, Doc: "How long one run may take; 1m when it is not given."},
		{Name: "tags", Type: inventory.List, Doc: "The variables that become tags; when it is not given, all whose value is no list or map, but for those named like a secret (password, token, key, …)."},
	},
	New: open,
}

type provider struct {
	script ansible.Script
	tags   []string
	all    bool
}

func open(v *inventory.Values, env inventory.Env) (inventory.Provider, error) {
	p := &provider{script: ansible.Script{Path: v.Text("command"), Timeout: v.Duration("run_timeout")}, tags: v.List("tags"), all: !v.Has("tags")}
	if !filepath.IsAbs(p.script.Path) {
		p.script.Path = filepath.Join(env.ConfigDir, p.script.Path)
	}
	if p.script.Timeout == 0 {
		p.script.Timeout = time.Minute
	}
	for k, val := range v.Map("environment").Strings() {
		s, ok := scalar(val)
		if !ok {
			return nil, &inventory.Error{Source: env.Source, Reason: inventory.BadConfig, Msg: "environment: " + k + " has to be text"}
		}
		p.script.Env = append(p.script.Env, k+"="+s)
	}
	return p, nil
}

// List runs the program at each call.
func (p *provider) List(ctx context.Context) iter.Seq2[inventory.Machine, error] {
	return func(yield func(inventory.Machine, error) bool) {
		inv := ansible.New()
		err := p.script.Read(ctx, inv)
		if err == nil {
			err = inv.Children()
		}
		if err == nil {
			err = inv.Acyclic()
		}
		if err != nil {
			yield(inventory.Machine{}, p.asError(ctx, err))
			return
		}
		vars := inv.Resolver(inv.Members())
		for _, id := range inv.Order {
			if e := inventory.Interrupted(ctx, inventory.Error{Call: p.call()}); e != nil {
				yield(inventory.Machine{}, e)
				return
			}
			m, err := p.machine(id, vars)
			if err != nil {
				yield(inventory.Machine{}, &inventory.Error{Call: p.call(), Reason: inventory.BadAnswer, Msg: err.Error()})
				return
			}
			if !yield(m, nil) {
				return
			}
		}
	}
}

func (p *provider) call() string { return filepath.Base(p.script.Path) + " --list" }

// asError says which reason it was. What the program wrote to its standard error is shown
// without the values of the configured environment.
func (p *provider) asError(ctx context.Context, err error) error {
	e := inventory.Error{Call: p.call(), Reason: inventory.BadAnswer, Msg: err.Error(), Err: err}
	var ae *ansible.Error
	if errors.As(err, &ae) {
		e.Msg, e.Hint = strings.TrimPrefix(ae.Error(), ae.Source+": "), ""
	}
	for _, v := range p.script.Env {
		if _, val, _ := strings.Cut(v, "="); len(val) > 3 {
			e.Msg, e.Err = strings.ReplaceAll(e.Msg, val, "…"), nil
		}
	}
	if i := inventory.Interrupted(ctx, e); i != nil {
		return i
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		e.Reason, e.Hint = inventory.NoAnswer, "run_timeout says how long it may take"
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, exec.ErrNotFound):
		if _, serr := os.Stat(p.script.Path); serr != nil {
			e.Reason, e.Hint = inventory.NotFound, "the option command says which program it is"
		} else {
			e.Reason, e.Hint = inventory.NotFound, "its first line names an interpreter that is not there"
		}
	case errors.Is(err, fs.ErrPermission):
		e.Reason, e.Hint = inventory.NotPermitted, "make it executable: chmod +x "+p.script.Path
	}
	return &e
}

func (p *provider) machine(id string, vars *ansible.Resolver) (inventory.Machine, error) {
	m := inventory.Machine{ID: id, Label: id, Groups: vars.Groups(id)}
	m.Groups = slices.DeleteFunc(slices.Clone(m.Groups), func(g string) bool { return g == "all" || g == "ungrouped" })
	entry, rest, wrong := ansible.Entry(vars.Vars(id))
	host := id
	if h, ok := entry.Get("host"); ok {
		if s, ok := scalar(h); ok && s != "" {
			host = s
		}
		entry.Delete("host")
	}
	if a, err := netip.ParseAddr(host); err == nil {
		if a = a.Unmap(); a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() {
			m.Private = []netip.Addr{a}
		} else {
			m.Public = []netip.Addr{a}
		}
	} else {
		m.DNS = []string{host}
	}
	m.Attrs = wire.NewMap()
	if wrong != nil {
		m.Attrs.Set("unreachable", wrong.Error())
	}
	if entry.Len() > 0 {
		m.SSH = entry
	}
	for k, v := range rest.Strings() {
		s, ok := scalar(v)
		switch {
		case p.all && secretive(k):
		case ok && (p.all || slices.Contains(p.tags, k)):
			if m.Tags == nil {
				m.Tags = map[string]string{}
			}
			m.Tags[k] = s
		case p.all:
			m.Attrs.Set(k, withoutSecrets(v))
		}
	}
	return m, m.Check()
}

// secretive tells whether a variable's name is one that secrets have.
func secretive(name string) bool {
	name = strings.ToLower(name)
	for _, w := range []string{"pass", "secret", "token", "credential", "private_key", "api_key", "access_key", "vault"} {
		if strings.Contains(name, w) {
			return true
		}
	}
	return name == "key" || strings.HasSuffix(name, "_key")
}

// withoutSecrets leaves out what has such a name within a value.
func withoutSecrets(v any) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = withoutSecrets(e)
		}
		return out
	case *wire.Map:
		out := wire.NewMap()
		for k, e := range v.All() {
			if s, ok := k.(string); !ok || !secretive(s) {
				out.SetAny(k, withoutSecrets(e))
			}
		}
		return out
	}
	return v
}

func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case int64, uint64, float64, bool:
		return fmt.Sprint(v), true
	}
	return "", false
}
