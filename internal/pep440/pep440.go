// Package pep440 compares the versions of Python packages (PEP 440) and reads what a
// requirement asks for (PEP 508, as far as pip's command line goes).
package pep440

import (
	"cmp"
	"fmt"
	"math/big"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/lazyre"
)

// Version is a version in the order of PEP 440.
type Version struct {
	epoch   *big.Int
	release []*big.Int
	pre     string // a, b, rc, or "" for none
	preN    *big.Int
	post    *big.Int // nil for none
	dev     *big.Int // nil for none
	local   []string
}

var form = lazyre.New(`(?i)^\s*v?(?:(\d+)!)?(\d+(?:\.\d+)*)(?:[-_.]?(a|b|c|rc|alpha|beta|pre|preview)[-_.]?(\d*))?(?:-(\d+)|([-_.]?)(post|rev|r)[-_.]?(\d*))?(?:[-_.]?(dev)[-_.]?(\d*))?(?:\+([a-z0-9]+(?:[-_.][a-z0-9]+)*))?\s*$`)

// Parse reads a version.
func Parse(s string) (Version, error) {
	m := form.FindStringSubmatch(s)
	if m == nil || len(s) > 500 {
		//lint:ignore ST1005 these are the words of Python
		return Version{}, fmt.Errorf("Invalid version: '%s'", s)
	}
	v := Version{epoch: number(m[1])}
	for _, p := range strings.Split(m[2], ".") {
		v.release = append(v.release, number(p))
	}
	if m[3] != "" {
		v.pre = map[string]string{"a": "a", "alpha": "a", "b": "b", "beta": "b"}[strings.ToLower(m[3])]
		if v.pre == "" {
			v.pre = "rc"
		}
		v.preN = number(m[4])
	}
	switch {
	case m[5] != "":
		v.post = number(m[5])
	case m[7] != "":
		v.post = number(m[8])
	}
	if m[9] != "" {
		v.dev = number(m[10])
	}
	if m[11] != "" {
		v.local = regexp.MustCompile(`[-_.]`).Split(strings.ToLower(m[11]), -1)
	}
	return v, nil
}

func number(s string) *big.Int {
	n := new(big.Int)
	n.SetString(s, 10)
	return n
}

// Compare is -1, 0 or 1 where a is before b, the same, or after it.
func Compare(a, b Version) int {
	if c := a.epoch.Cmp(b.epoch); c != 0 {
		return c
	}
	if c := compareRelease(a.release, b.release); c != 0 {
		return c
	}
	if c := cmp.Compare(a.phase(), b.phase()); c != 0 {
		return c
	}
	if a.pre != "" && b.pre != "" {
		if c := cmp.Compare(a.pre, b.pre); c != 0 {
			return c
		}
		if c := a.preN.Cmp(b.preN); c != 0 {
			return c
		}
	}
	if c := compareOptional(a.post, b.post, -1); c != 0 {
		return c
	}
	if c := compareOptional(a.dev, b.dev, 1); c != 0 {
		return c
	}
	return compareLocal(a.local, b.local)
}

// phase orders 1.dev1, 1a1 and 1.
func (v Version) phase() int {
	switch {
	case v.pre == "" && v.post == nil && v.dev != nil:
		return 0
	case v.pre != "":
		return 1
	}
	return 2
}

func compareRelease(a, b []*big.Int) int {
	zero := new(big.Int)
	for i := range max(len(a), len(b)) {
		x, y := zero, zero
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if c := x.Cmp(y); c != 0 {
			return c
		}
	}
	return 0
}

// compareOptional compares numbers of which one that is not there is before (-1) or after
// (1) all others.
func compareOptional(a, b *big.Int, none int) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return none
	case b == nil:
		return -none
	}
	return a.Cmp(b)
}

func compareLocal(a, b []string) int {
	for i := range max(len(a), len(b)) {
		switch {
		case i >= len(a):
			return -1
		case i >= len(b):
			return 1
		}
		an, bn := allDigits(a[i]), allDigits(b[i])
		c := strings.Compare(a[i], b[i])
		switch {
		case an && bn:
			c = number(a[i]).Cmp(number(b[i]))
		case an:
			c = 1
		case bn:
			c = -1
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

func allDigits(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}

// Sort sorts versions; those that are none come first.
func Sort(versions []string) {
	slices.SortStableFunc(versions, func(x, y string) int {
		a, errA := Parse(x)
		b, errB := Parse(y)
		switch {
		case errA != nil && errB != nil:
			return strings.Compare(x, y)
		case errA != nil:
			return -1
		case errB != nil:
			return 1
		}
		return Compare(a, b)
	})
}

// Spec is one condition of a requirement.
type Spec struct{ Op, Version string }

// Meets tells whether a version meets all conditions.
func Meets(version string, specs []Spec) bool {
	v, err := Parse(version)
	if err != nil {
		return false
	}
	for _, s := range specs {
		if !s.meets(v, version) {
			return false
		}
	}
	return true
}

func (s Spec) meets(v Version, text string) bool {
	if s.Op == "===" {
		return strings.EqualFold(text, s.Version)
	}
	if prefix, ok := strings.CutSuffix(s.Version, ".*"); ok {
		p, err := Parse(prefix)
		if err != nil {
			return false
		}
		n := len(p.release)
		release := slices.Clone(v.release)
		for len(release) < n {
			release = append(release, new(big.Int))
		}
		same := v.epoch.Cmp(p.epoch) == 0 && compareRelease(release[:n], p.release) == 0
		return same == (s.Op == "==")
	}
	w, err := Parse(s.Version)
	if err != nil {
		return false
	}
	if w.local == nil && (s.Op == "==" || s.Op == "!=") {
		v.local = nil
	}
	c := Compare(v, w)
	switch s.Op {
	case "==":
		return c == 0
	case "!=":
		return c != 0
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	case ">=":
		return c >= 0
	case "~=":
		n := len(w.release) - 1
		return n > 0 && c >= 0 && len(v.release) >= n && v.epoch.Cmp(w.epoch) == 0 && compareRelease(v.release[:n], w.release[:n]) == 0
	}
	return false
}

// Requirement is what pip is asked for.
type Requirement struct {
	Name  string // "" where only the package itself knows it
	Specs []Spec
}

var (
	named     = lazyre.New(`^\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[[A-Za-z0-9._,\s-]*\])?\s*(.*?)\s*$`)
	condition = lazyre.New(`^\s*(===|==|~=|!=|<=|>=|<|>)\s*([^\s,;)]+)\s*$`)
	wheel     = lazyre.New(`^([^-]+)-([^-]+)(?:-\d[^-]*)?-[^-]+-[^-]+-[^-]+\.whl$`)
	egg       = lazyre.New(`[#&]egg=([^&\[]+)`)
	address   = lazyre.New(`^[A-Za-z][A-Za-z0-9+.-]*:`)
)

// ParseRequirement reads one as pip does: a name with conditions, an address, a path.
func ParseRequirement(line string) (Requirement, error) {
	if address.MatchString(line) || strings.HasPrefix(line, ".") || strings.ContainsAny(line, `/\`) && !strings.Contains(line, "@ ") {
		if m := egg.FindStringSubmatch(line); m != nil {
			r, err := ParseRequirement(m[1])
			return r, err
		}
		base, _, _ := strings.Cut(line, "#")
		if m := wheel.FindStringSubmatch(filepath.Base(strings.ReplaceAll(base, `\`, "/"))); m != nil {
			return Requirement{strings.ReplaceAll(m[1], "_", "-"), []Spec{{"==", m[2]}}}, nil
		}
		return Requirement{}, nil
	}
	text, _, _ := strings.Cut(line, ";")
	m := named.FindStringSubmatch(text)
	if m == nil {
		return Requirement{}, invalid(line)
	}
	r := Requirement{Name: m[1]}
	rest := m[2]
	if rest == "" || strings.HasPrefix(rest, "@") {
		return r, nil
	}
	if strings.HasPrefix(rest, "(") && strings.HasSuffix(rest, ")") {
		rest = rest[1 : len(rest)-1]
	}
	for _, one := range strings.Split(rest, ",") {
		c := condition.FindStringSubmatch(one)
		if c == nil {
			return Requirement{}, invalid(line)
		}
		r.Specs = append(r.Specs, Spec{c[1], c[2]})
	}
	return r, nil
}

func invalid(line string) error {
	//lint:ignore ST1005 these are the words of pip
	return fmt.Errorf("Invalid requirement: '%s'", line)
}

var runs = lazyre.New(`[-_.]+`)

// Normal is the name of a package in the form in which names are the same (PEP 503).
func Normal(name string) string { return strings.ToLower(runs.ReplaceAllString(name, "-")) }
