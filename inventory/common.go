package inventory

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gosalt/gosalt/protocol/wire"
)

// Common are the options that every source has, whatever its kind.
var Common = []Option{
	{Name: "provider", Type: Text, Need: true, Doc: "The kind of the source, as ec2 or static."},
	{Name: "name", Type: Text, Doc: "The name of each machine, as a template of its id, label, tags, region and so on; {{ label or id }} when it is not given. Characters that no minion id may have become dashes."},
	{Name: "address", Type: List, Doc: "Which address to connect to: private, public, dns, private6, public6, or several in the order of preference; private, public, dns when it is not given."},
	{Name: "ssh", Type: Map, Doc: "How to reach the machines: the keys of a roster entry (user, port, priv, sudo, …). Texts may be templates, as name."},
	{Name: "refresh", Type: Duration, Doc: "How often the source is asked; 5m when it is not given, 0 asks only with inventory.refresh."},
	{Name: "timeout", Type: Duration, Doc: "How long one listing of the whole source may take; 2m when it is not given."},
	{Name: "enabled", Type: Bool, Doc: "false leaves the source out, and keeps what was known of it for later; true when it is not given."},
	{Name: "states", Type: List, Doc: "Which machines are targets, by what they do: running, starting, stopping, stopped, unknown; all of these when it is not given."},
}

// maxText is the longest text that a machine may have in any field.
const maxText = 64 << 10

// Check says what is wrong with a machine that a provider yielded, if anything.
func (m *Machine) Check() error {
	switch {
	case m.ID == "":
		return fmt.Errorf("a machine without an id")
	case len(m.ID) > 1024:
		return fmt.Errorf("an id of %d bytes: at most 1024 are allowed", len(m.ID))
	}
	switch m.State {
	case "", Running, Starting, Stopping, Stopped, Gone, Unknown:
	default:
		return fmt.Errorf("%s: there is no state %q", m.ID, m.State)
	}
	texts := []string{m.ID, m.Label, m.Scope, m.Account, m.Region, m.Zone, m.Type, m.Image, m.Exec}
	texts = append(append(texts, m.DNS...), m.Groups...)
	for k, v := range m.Tags {
		texts = append(texts, k, v)
	}
	for _, s := range texts {
		if !utf8.ValidString(s) {
			return fmt.Errorf("%s: %q is not UTF-8 text", m.ID, s)
		}
		if len(s) > maxText {
			return fmt.Errorf("%s: a text of %d bytes: at most %d are allowed", m.ID, len(s), maxText)
		}
	}
	for _, a := range slices.Concat(m.Private, m.Public) {
		if !a.IsValid() {
			return fmt.Errorf("%s: an address that is none", m.ID)
		}
	}
	for _, d := range m.DNS {
		if d == "" || strings.ContainsAny(d, " \t\r\n\x00/") {
			return fmt.Errorf("%s: %q is no name of DNS", m.ID, d)
		}
	}
	if len(m.Tags) > 1000 || len(m.Groups) > 10_000 {
		return fmt.Errorf("%s: %d tags and %d groups are too many", m.ID, len(m.Tags), len(m.Groups))
	}
	for name, x := range map[string]*wire.Map{"attrs": m.Attrs, "ssh": m.SSH} {
		if err := plain(x, 0); err != nil {
			return fmt.Errorf("%s: %s: %w", m.ID, name, err)
		}
	}
	return nil
}

// plain tells whether a value is one that wire can carry.
func plain(v any, depth int) error {
	if depth > 50 {
		return fmt.Errorf("nested deeper than 50 levels")
	}
	switch v := v.(type) {
	case nil, bool, string, []byte, int64, uint64, float64, int:
		return nil
	case []any:
		for _, e := range v {
			if err := plain(e, depth+1); err != nil {
				return err
			}
		}
		return nil
	case *wire.Map:
		if v == nil {
			return nil
		}
		for k, e := range v.All() {
			if _, ok := k.(string); !ok {
				return fmt.Errorf("the key %v is no text", k)
			}
			if err := plain(e, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("a value of the type %T is not plain", v)
}
