package inventory

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/target"
)

// attributes are what V@ may ask for, and what a machine has of each.
var attributes = map[string]func(e *Entry) []string{
	"account":  func(e *Entry) []string { return []string{e.Account} },
	"dns":      func(e *Entry) []string { return e.DNS },
	"group":    func(e *Entry) []string { return e.Groups },
	"id":       func(e *Entry) []string { return []string{e.ID} },
	"image":    func(e *Entry) []string { return []string{e.Image} },
	"ip":       nil, // an address or a network, see matcher
	"label":    func(e *Entry) []string { return []string{e.Label} },
	"name":     func(e *Entry) []string { return []string{e.Name} },
	"provider": func(e *Entry) []string { return []string{e.Kind} },
	"region":   func(e *Entry) []string { return []string{e.Region} },
	"scope":    func(e *Entry) []string { return []string{e.Scope} },
	"source":   func(e *Entry) []string { return []string{e.Source} },
	"state":    func(e *Entry) []string { return []string{string(e.StateText())} },
	"tag":      nil, // see matcher
	"type":     func(e *Entry) []string { return []string{e.Type} },
	"zone":     func(e *Entry) []string { return []string{e.Zone} },
}

// Attributes are the names of what V@ may ask for.
func Attributes() []string {
	var out []string
	for k := range attributes {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// matcher reads "tag:env=prod", "region:eu-*" and so on. Values are globs; case counts.
func matcher(expr string) (func(e *Entry) bool, error) {
	attr, pattern, ok := strings.Cut(expr, ":")
	of, known := attributes[attr]
	if !known {
		s := fmt.Sprintf("there is no attribute %q of machines", attr)
		near := module.Nearest(attr, append(Attributes(), "tags", "groups", "instance", "instance_type", "availability_zone", "kind"))
		if as := map[string]string{"tags": "tag", "groups": "group", "instance": "id", "instance_type": "type", "availability_zone": "zone", "kind": "provider"}[near]; as != "" {
			near = as
		}
		if near != "" {
			s += fmt.Sprintf("; is it %s?", near)
		}
		return nil, fmt.Errorf("%s There are %s", strings.TrimSuffix(s, "?")+map[bool]string{true: "?", false: "."}[near != ""], strings.Join(Attributes(), ", "))
	}
	if !ok || pattern == "" {
		example := attr + ":VALUE"
		if attr == "tag" {
			example = "tag:KEY=VALUE, or tag:KEY for all that have it,"
		}
		return nil, fmt.Errorf("the form V@%s is expected", example)
	}
	switch attr {
	case "tag":
		return tagMatcher(pattern), nil
	case "ip":
		p, err := netip.ParsePrefix(pattern)
		if a, aerr := netip.ParseAddr(pattern); err != nil && aerr == nil {
			p, err = a.Prefix(a.BitLen())
		}
		if err != nil {
			return nil, fmt.Errorf("%q is no address and no network: V@ip:10.1.0.0/16 is expected", pattern)
		}
		return func(e *Entry) bool {
			return slices.ContainsFunc(slices.Concat(e.Private, e.Public), func(a netip.Addr) bool { return p.Contains(a.Unmap()) })
		}, nil
	}
	return func(e *Entry) bool {
		return slices.ContainsFunc(of(e), func(v string) bool { return v != "" && target.Fnmatch(pattern, v) })
	}, nil
}

// tagMatcher reads KEY=VALUE or KEY. A key may hold "=" itself, so that each place is tried.
func tagMatcher(pattern string) func(e *Entry) bool {
	return func(e *Entry) bool {
		for i := 0; i < len(pattern); i++ {
			if pattern[i] != '=' {
				continue
			}
			if v, ok := e.Tags[pattern[:i]]; ok && target.Fnmatch(pattern[i+1:], v) {
				return true
			}
		}
		_, ok := e.Tags[pattern]
		return ok
	}
}

// Match returns the names of the machines that V@ means with this expression.
func (inv *Inventory) Match(ctx context.Context, expr string) ([]string, error) {
	ok, err := matcher(expr)
	if err != nil {
		return nil, err
	}
	var out []string
	for e, err := range inv.All(ctx) {
		if err != nil {
			return nil, err
		}
		if ok(&e) {
			out = append(out, e.Name)
		}
	}
	return out, nil
}
