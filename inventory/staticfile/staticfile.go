// Package staticfile is the source that somebody keeps by hand: a file of machines, or the
// machines in the configuration itself.
package staticfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/render/saltyaml"
	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Kind is the kind static.
var Kind = inventory.Kind{
	Name: "static",
	Doc:  "Machines that a file of YAML or JSON lists, or the configuration itself.",
	Options: []inventory.Option{
		{Name: "file", Type: inventory.Text, Doc: "The file, below the directory of the configuration when it is not absolute: a map of names, each with an address or a map, or a list of maps with an id."},
		{Name: "machines", Type: inventory.Map, Doc: "The same map in the configuration, without a file or besides it."},
	},
	New: open,
}

// maxFile is the longest file that is read.
const maxFile = 64 << 20

type provider struct {
	file     string
	machines *wire.Map
}

func open(v *inventory.Values, env inventory.Env) (inventory.Provider, error) {
	p := &provider{file: v.Text("file"), machines: v.Map("machines")}
	if p.file == "" && p.machines == nil {
		return nil, &inventory.Error{Source: env.Source, Reason: inventory.BadConfig, Msg: "neither file nor machines is given", Hint: "one of them has to say which machines there are"}
	}
	if p.file != "" && !filepath.IsAbs(p.file) {
		p.file = filepath.Join(env.ConfigDir, p.file)
	}
	if _, err := machines(p.machines, "machines", func(...any) string { return "" }); err != nil {
		return nil, err
	}
	return p, nil
}

// List reads the file at each call: it is small, and may have changed.
func (p *provider) List(ctx context.Context) iter.Seq2[inventory.Machine, error] {
	return func(yield func(inventory.Machine, error) bool) {
		ms, _ := machines(p.machines, "machines", func(...any) string { return "" })
		if p.file != "" {
			more, err := p.read()
			if err != nil {
				yield(inventory.Machine{}, err)
				return
			}
			for _, m := range more {
				if slices.ContainsFunc(ms, func(o inventory.Machine) bool { return o.ID == m.ID }) {
					yield(inventory.Machine{}, bad(p.file, "%s: it is in machines of the configuration, too", m.ID))
					return
				}
			}
			ms = append(ms, more...)
		}
		for _, m := range ms {
			if e := inventory.Interrupted(ctx, inventory.Error{Call: "read"}); e != nil {
				yield(inventory.Machine{}, e)
				return
			}
			if !yield(m, nil) {
				return
			}
		}
	}
}

func bad(place, format string, args ...any) *inventory.Error {
	msg := fmt.Sprintf(format, args...)
	if place != "" {
		msg = place + ": " + msg
	}
	return &inventory.Error{Call: "read", Reason: inventory.BadAnswer, Msg: msg}
}

func (p *provider) read() ([]inventory.Machine, error) {
	f, err := os.Open(p.file)
	if err == nil {
		defer f.Close()
		var st os.FileInfo
		if st, err = f.Stat(); err == nil && !st.Mode().IsRegular() {
			return nil, bad(p.file, "it is no regular file")
		}
	}
	if err != nil {
		e := &inventory.Error{Call: "read", Reason: inventory.BadAnswer, Msg: err.Error(), Err: err}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			e.Reason, e.Hint = inventory.NotFound, "the option file says which file it is"
		case errors.Is(err, fs.ErrPermission):
			e.Reason = inventory.NotPermitted
		}
		return nil, e
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, &inventory.Error{Call: "read", Reason: inventory.NoAnswer, Msg: err.Error(), Err: err}
	}
	if len(b) > maxFile {
		return nil, bad(p.file, "it is longer than %d bytes", maxFile)
	}
	doc, err := saltyaml.Parse(string(b), saltyaml.DefaultLimits)
	if err != nil {
		return nil, bad(p.file, "%s", strings.Join(strings.Fields(saltyaml.Message(err)), " "))
	}
	return machines(doc.Value, p.file, func(keys ...any) string {
		if at, ok := doc.At(keys...); ok {
			return fmt.Sprintf("%s:%d", p.file, at.Line)
		}
		return p.file
	})
}

// machines reads the map or list. place says where a part of it stands.
func machines(v any, what string, place func(keys ...any) string) ([]inventory.Machine, error) {
	var out []inventory.Machine
	seen := map[string]bool{}
	add := func(id string, entry any, keys ...any) error {
		m, err := machine(id, entry, func(key string) string { return place(append(slices.Clone(keys), key)...) }, func() string { return place(keys...) })
		if err != nil {
			return err
		}
		if seen[m.ID] {
			return bad(place(keys...), "%s is there twice", m.ID)
		}
		seen[m.ID] = true
		out = append(out, m)
		return nil
	}
	switch v := v.(type) {
	case nil:
	case *wire.Map:
		for k, entry := range v.All() {
			id := text(k)
			if id == "" {
				return nil, bad(place(k), "%v is no name of a machine", k)
			}
			if err := add(id, entry, k); err != nil {
				return nil, err
			}
		}
	case []any:
		for i, e := range v {
			if s := text(e); s != "" {
				if err := add(s, nil, i); err != nil {
					return nil, err
				}
				continue
			}
			em, ok := e.(*wire.Map)
			if !ok || text(get(em, "id")) == "" {
				return nil, bad(place(i), "machine %d of the list has to be a map with an id", i+1)
			}
			if err := add(text(get(em, "id")), em, i); err != nil {
				return nil, err
			}
		}
	default:
		return nil, bad(place(), "%s has to be a map of machines, or a list", what)
	}
	return out, nil
}

func get(m *wire.Map, key string) any { v, _ := m.Get(key); return v }

// text is a scalar as text, "" of anything else.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case int64, uint64, float64, bool:
		return fmt.Sprint(v)
	}
	return ""
}

var keys = []string{"id", "label", "state", "account", "region", "zone", "type", "image", "address", "private", "public", "dns", "created", "tags", "groups", "attrs", "ssh"}

// machine reads one entry: nothing, an address, or a map. place and whole look for where it
// stands, which takes a while in a long file.
func machine(id string, entry any, place func(key string) string, whole func() string) (inventory.Machine, error) {
	m := inventory.Machine{ID: id, Label: id}
	switch e := entry.(type) {
	case nil:
		m.DNS = []string{id}
		if a, err := netip.ParseAddr(id); err == nil {
			m.DNS = nil
			address(&m, a)
		}
	case string:
		if err := addresses(&m, e); err != nil {
			return m, bad(whole(), "%s: %s", id, err)
		}
	case *wire.Map:
		for k, v := range e.All() {
			key := text(k)
			if err := field(&m, key, v); err != nil {
				return m, bad(place(key), "%s: %s", id, err)
			}
		}
		if len(m.DNS) == 0 && len(m.Private) == 0 && len(m.Public) == 0 {
			m.DNS = []string{id}
		}
	default:
		return m, bad(whole(), "%s has to have an address, or a map", id)
	}
	if err := m.Check(); err != nil {
		return m, bad(whole(), "%s", err)
	}
	return m, nil
}

// address puts an address where it belongs.
func address(m *inventory.Machine, a netip.Addr) {
	if a = a.Unmap(); a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() {
		m.Private = append(m.Private, a)
	} else {
		m.Public = append(m.Public, a)
	}
}

// addresses takes an address or a name, or a list of them.
func addresses(m *inventory.Machine, v any) error {
	for _, e := range list(v) {
		s := strings.TrimSpace(text(e))
		if s == "" {
			return fmt.Errorf("%v is no address", e)
		}
		if a, err := netip.ParseAddr(s); err == nil {
			address(m, a)
		} else {
			m.DNS = append(m.DNS, s)
		}
	}
	return nil
}

func list(v any) []any {
	if l, ok := v.([]any); ok {
		return l
	}
	return []any{v}
}

func field(m *inventory.Machine, key string, v any) error {
	if v == nil {
		return nil
	}
	into := map[string]*string{"id": &m.ID, "label": &m.Label, "account": &m.Account, "region": &m.Region, "zone": &m.Zone, "type": &m.Type, "image": &m.Image}
	if p, ok := into[key]; ok {
		s := text(v)
		if s == "" && v != "" {
			return fmt.Errorf("%s has to be text", key)
		}
		*p = s
		return nil
	}
	switch key {
	case "state":
		m.State = inventory.State(text(v))
		if m.State == "" {
			return fmt.Errorf("state has to be text")
		}
	case "address":
		return addresses(m, v)
	case "private", "public":
		for _, e := range list(v) {
			a, err := netip.ParseAddr(text(e))
			if err != nil {
				return fmt.Errorf("%s: %q is no address", key, text(e))
			}
			if key == "private" {
				m.Private = append(m.Private, a)
			} else {
				m.Public = append(m.Public, a)
			}
		}
	case "dns", "groups":
		for _, e := range list(v) {
			s := text(e)
			if s == "" {
				return fmt.Errorf("%s has to be a list of texts", key)
			}
			if key == "dns" {
				m.DNS = append(m.DNS, s)
			} else {
				m.Groups = append(m.Groups, s)
			}
		}
	case "created":
		for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02"} {
			if t, err := time.Parse(layout, text(v)); err == nil {
				m.Created = t
				return nil
			}
		}
		return fmt.Errorf("created is %q, and has to be a time, as 2026-01-02T15:04:05Z", text(v))
	case "tags":
		tags, ok := v.(*wire.Map)
		if !ok {
			return fmt.Errorf("tags has to be a map")
		}
		m.Tags = map[string]string{}
		for k, tv := range tags.All() {
			s := text(tv)
			if tv != nil && s == "" && tv != "" {
				return fmt.Errorf("the tag %v has to be text", k)
			}
			m.Tags[fmt.Sprint(k)] = s
		}
	case "attrs", "ssh":
		mm, ok := v.(*wire.Map)
		if !ok {
			return fmt.Errorf("%s has to be a map", key)
		}
		if key == "attrs" {
			m.Attrs = mm
		} else {
			m.SSH = mm
		}
	default:
		s := fmt.Sprintf("there is no key %q", key)
		if near := module.Nearest(key, keys); near != "" {
			s += fmt.Sprintf(": is it %s?", near)
		}
		return errors.New(s)
	}
	return nil
}
