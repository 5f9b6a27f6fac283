package inventory

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gosalt/gosalt/jinja"
	"github.com/gosalt/gosalt/jinja/py"
	"github.com/gosalt/gosalt/protocol/wire"
)

// An Entry is a machine as the inventory knows it.
type Entry struct {
	Machine
	Name   string // what it is called here, and its minion's id
	Source string
	Kind   string
	Host   string    // the address to connect to; "" when it has none of the wanted sort
	First  time.Time // when it was first seen
	Seen   time.Time // when it was last seen
	// Old says that the source, or this part of it, could not be listed since, or is
	// overdue: what is said of the machine may not be so any more.
	Old bool
	// Clash says that other machines have the same name by the template, so that Name has
	// the id behind it.
	Clash bool

	src *source
}

// StateText is the state, which is never empty.
func (e *Entry) StateText() State {
	if e.State == "" {
		return Unknown
	}
	return e.State
}

// Up tells whether the machine can be expected to answer.
func (e *Entry) Up() bool { return e.State != Stopped && e.State != Stopping && e.State != Gone }

// Map is the entry as data, for people and for grains: without what says how to log in.
func (e *Entry) Map() *wire.Map {
	m := wire.NewMap("name", e.Name, "source", e.Source, "provider", e.Kind, "id", e.ID, "state", string(e.StateText()))
	set := func(k, v string) {
		if v != "" {
			m.Set(k, v)
		}
	}
	set("label", e.Label)
	set("address", e.Host)
	if e.Exec != "" {
		set("exec", e.Exec)
	}
	set("scope", e.Scope)
	set("account", e.Account)
	set("region", e.Region)
	set("zone", e.Zone)
	set("type", e.Type)
	set("image", e.Image)
	list := func(k string, l []any) {
		if len(l) > 0 {
			m.Set(k, l)
		}
	}
	list("private", anys(e.Private))
	list("public", anys(e.Public))
	list("dns", anys(e.DNS))
	if !e.Created.IsZero() {
		m.Set("created", e.Created.UTC().Format(time.RFC3339))
	}
	if len(e.Tags) > 0 {
		tags := wire.NewMap()
		for _, k := range slices.Sorted(maps.Keys(e.Tags)) {
			tags.Set(k, e.Tags[k])
		}
		m.Set("tags", tags)
	}
	list("groups", anys(e.Groups))
	if e.Attrs.Len() > 0 {
		m.Set("attrs", e.Attrs)
	}
	return m
}

func anys[T any](l []T) []any {
	out := make([]any, len(l))
	for i, v := range l {
		out[i] = fmt.Sprint(v)
	}
	return out
}

// Roster is the entry of a roster: what the source says, above that what the
// configuration says. wrong is what stands in the way of reaching it.
func (e *Entry) Roster(ctx context.Context) (entry *wire.Map, wrong error) {
	entry = wire.NewMap()
	for k, v := range e.SSH.Strings() {
		entry.Set(k, v)
	}
	if e.src != nil && e.src.ssh.Len() > 0 {
		vars := e.vars()
		for k, v := range e.src.ssh.Strings() {
			got, err := e.src.render(ctx, v, vars)
			if err != nil {
				return entry, fmt.Errorf("inventory: %s: ssh: %s: %w", e.Source, k, err)
			}
			entry.Set(k, got)
		}
	}
	if !entry.Has("host") && e.Host != "" {
		entry.Set("host", e.Host)
	}
	switch {
	case !e.Up():
		wrong = fmt.Errorf("it is %s, said %s (%s) %s ago", e.StateText(), e.Source, e.Kind, Age(max(0, time.Since(e.Seen))))
	case e.Exec == "" && !entry.Has("host"):
		wanted := []string{}
		if e.src != nil {
			wanted = e.src.address
		}
		wrong = fmt.Errorf("it has no address of the sort that the source %s wants (address: %s); it has private %v, public %v, DNS %v",
			e.Source, strings.Join(wanted, ", "), e.Private, e.Public, e.DNS)
	}
	return entry, wrong
}

// render puts the entry's data into the templates of a value.
func (s *source) render(ctx context.Context, v any, vars map[string]any) (any, error) {
	switch v := v.(type) {
	case string:
		t := s.sshText[v]
		if t == nil {
			return v, nil
		}
		return t.render(ctx, vars)
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			var err error
			if out[i], err = s.render(ctx, e, vars); err != nil {
				return nil, err
			}
		}
		return out, nil
	case *wire.Map:
		out := wire.NewMap()
		for k, e := range v.All() {
			got, err := s.render(ctx, e, vars)
			if err != nil {
				return nil, err
			}
			out.SetAny(k, got)
		}
		return out, nil
	}
	return v, nil
}

// vars are what templates see.
func (e *Entry) vars() map[string]any {
	attrs := e.Attrs
	if attrs == nil {
		attrs = wire.NewMap()
	}
	tags := map[string]any{}
	for k, v := range e.Tags {
		tags[k] = v
	}
	return map[string]any{"id": e.ID, "label": e.Label, "name": e.Name, "state": string(e.StateText()), "scope": e.Scope, "account": e.Account, "region": e.Region, "zone": e.Zone,
		"type": e.Type, "image": e.Image, "private": anys(e.Private), "public": anys(e.Public), "dns": anys(e.DNS), "address": e.Host,
		"tags": tags, "groups": anys(e.Groups), "attrs": attrs, "source": e.Source, "provider": e.Kind}
}

// pickAddress is the address to connect to.
func pickAddress(m *Machine, order []string) string {
	first := func(l []netip.Addr, ok func(netip.Addr) bool) string {
		for _, a := range l {
			if a = a.Unmap(); ok(a) {
				return a.String()
			}
		}
		return ""
	}
	v4, v6 := func(a netip.Addr) bool { return a.Is4() }, func(a netip.Addr) bool { return a.Is6() && !a.IsLinkLocalUnicast() }
	for _, kind := range order {
		var l []netip.Addr
		var got string
		switch {
		case kind == "dns":
			if len(m.DNS) > 0 {
				return m.DNS[0]
			}
			continue
		case strings.HasPrefix(kind, "private"):
			l = m.Private
		default:
			l = m.Public
		}
		switch {
		case strings.HasSuffix(kind, "4"):
			got = first(l, v4)
		case strings.HasSuffix(kind, "6"):
			got = first(l, v6)
		default:
			if got = first(l, v4); got == "" {
				got = first(l, v6)
			}
		}
		if got != "" {
			return got
		}
	}
	return ""
}

// Lengths of names. A minion's is at most 255: what a clash puts behind a name is a dash,
// the id, or the beginning of it with its sum, and a dot and the name of the source.
const (
	maxName       = 140
	maxNameID     = 40
	maxSourceName = 64
)

// longName is the name with the id behind it. Ids that look alike as names, or are too long,
// have a sum with them: those of one source give different names.
func longName(base, id string) string {
	name := validName(id)
	if name == id && len(name) <= maxNameID {
		return base + "-" + name
	}
	name = strings.TrimRight(name[:min(len(name), maxNameID)], "-")
	if name != "" {
		name += "-"
	}
	return fmt.Sprintf("%s-%s%08x", base, name, crc([]byte(id)))
}

// validName makes a minion's id of a text: other characters than letters, digits, dots,
// dashes and underscores become dashes.
func validName(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r >= '0' && r <= '9', r >= 'A' && r <= 'Z', r >= 'a' && r <= 'z', r == '.', r == '_', r == '-':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() >= maxName {
			break
		}
	}
	return strings.TrimRight(strings.TrimLeft(b.String(), ".-"), "-")
}

// baseName is the name of a machine by the template, before others are looked at.
func (s *source) baseName(ctx context.Context, e *Entry) (string, error) {
	text, err := s.names.render(ctx, e.vars())
	if err != nil {
		return "", err
	}
	name := validName(strings.TrimSpace(text))
	if name == "" {
		name = validName(e.ID)
	}
	if name == "" {
		name = "machine"
	}
	return name, nil
}

// A template is one of the configuration: texts from a cloud are its data, never templates
// themselves.
type template struct {
	what string
	t    *jinja.Template
}

var templates = sync.OnceValue(func() *jinja.Environment {
	env := jinja.New()
	env.Limits = py.Limits{Memory: 4 << 20, Output: 64 << 10, Depth: 50, Range: 10_000, Steps: 100_000}
	return env
})

func newTemplate(what, text string) (*template, error) {
	t, err := templates().FromString(text)
	if err != nil {
		return nil, fmt.Errorf("%s: the template %q: %w", what, text, err)
	}
	return &template{what, t}, nil
}

func (t *template) render(ctx context.Context, vars map[string]any) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := t.t.Render(ctx, vars)
	if err != nil {
		return "", fmt.Errorf("the template of %s: %w", t.what, err)
	}
	return out, nil
}

// pack writes a machine for the cache. The same machine is written alike.
func pack(m *Machine) ([]byte, error) {
	tags := wire.NewMap()
	for _, k := range slices.Sorted(maps.Keys(m.Tags)) {
		tags.Set(k, m.Tags[k])
	}
	w := wire.NewMap("label", m.Label, "state", string(m.State), "account", m.Account, "region", m.Region, "zone", m.Zone, "type", m.Type, "image", m.Image,
		"private", anys(m.Private), "public", anys(m.Public), "dns", anys(m.DNS), "tags", tags, "groups", anys(m.Groups), "exec", m.Exec)
	if !m.Created.IsZero() {
		w.Set("created", m.Created.UTC().Unix())
	}
	if m.Attrs.Len() > 0 {
		w.Set("attrs", sortedMap(m.Attrs))
	}
	if m.SSH.Len() > 0 {
		w.Set("ssh", sortedMap(m.SSH))
	}
	return wire.Encode(w, wire.Local)
}

func unpack(b []byte, m *Machine) error {
	w, err := wire.DecodeMap(b, wire.Local, wire.Authenticated)
	if err != nil {
		return err
	}
	m.Label, m.State, m.Account, m.Region, m.Zone = w.Text("label"), State(w.Text("state")), w.Text("account"), w.Text("region"), w.Text("zone")
	m.Type, m.Image, m.Exec = w.Text("type"), w.Text("image"), w.Text("exec")
	addrs := func(key string) (out []netip.Addr) {
		for _, a := range w.List(key) {
			if ip, err := netip.ParseAddr(fmt.Sprint(a)); err == nil {
				out = append(out, ip)
			}
		}
		return out
	}
	texts := func(key string) (out []string) {
		for _, t := range w.List(key) {
			out = append(out, fmt.Sprint(t))
		}
		return out
	}
	m.Private, m.Public, m.DNS, m.Groups = addrs("private"), addrs("public"), texts("dns"), texts("groups")
	if t := w.Int("created"); t != 0 {
		m.Created = time.Unix(t, 0).UTC()
	}
	if tags := w.Map("tags"); tags.Len() > 0 {
		m.Tags = make(map[string]string, tags.Len())
		for k, v := range tags.Strings() {
			m.Tags[k] = fmt.Sprint(v)
		}
	}
	if a := w.Map("attrs"); a.Len() > 0 {
		m.Attrs = a
	}
	if a := w.Map("ssh"); a.Len() > 0 {
		m.SSH = a
	}
	return nil
}
