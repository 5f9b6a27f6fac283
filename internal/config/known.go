package config

import (
	_ "embed"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// side is a set of programs with a configuration of their own.
type side int

const (
	masterSide side = iota
	minionSide
)

// String is "master" or "minion".
func (s side) String() string { return [...]string{"master", "minion"}[s] }

// saltOptions lists what Salt 3006.18 and 3007.10 know, recorded from them: a line for
// each option, with tabs between its name, the types that Salt takes, and the defaults
// of a master and of a minion as JSON, empty where there is none.
//
//go:embed saltoptions.txt
var saltOptions string

// saltOption is one line of saltOptions.
type saltOption struct {
	name     string
	defaults [2]string // JSON, by side; "" where there is none
	types    string
}

// knownToSalt are the lines of saltOptions, sorted by name as they are there.
var knownToSalt = sync.OnceValue(func() []saltOption {
	known := make([]saltOption, 0, strings.Count(saltOptions, "\n"))
	for line := range strings.Lines(saltOptions) {
		var o saltOption
		o.name, line, _ = strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		o.types, line, _ = strings.Cut(line, "\t")
		o.defaults[0], o.defaults[1], _ = strings.Cut(line, "\t")
		known = append(known, o)
	}
	return known
})

// saltKnows finds an option of Salt by its name.
func saltKnows(name string) (saltOption, bool) {
	known := knownToSalt()
	i, ok := slices.BinarySearchFunc(known, name, func(o saltOption, name string) int { return strings.Compare(o.name, name) })
	if !ok {
		return saltOption{}, false
	}
	return known[i], true
}

var structs = [...]reflect.Type{reflect.TypeFor[Master](), reflect.TypeFor[Minion]()}

// modelled are the names of one side's struct.
var modelled = [...]func() map[string]bool{
	sync.OnceValue(func() map[string]bool { return modelledNames(masterSide) }),
	sync.OnceValue(func() map[string]bool { return modelledNames(minionSide) }),
}

func modelledNames(s side) map[string]bool {
	names := map[string]bool{}
	for _, o := range options(structs[s]) {
		names[o.name] = true
	}
	return names
}

// usedBy tells of options that are read from Opts where they are needed, and have no
// field: those that a master passes on to its minions, and those of backends.
var usedBy = [...]func(name string) bool{
	func(name string) bool {
		switch name {
		case "top_file_merging_strategy", "env_order", "default_top", "renderer", "failhard", "state_top", "state_top_saltenv",
			"state_auto_order", "state_events", "state_aggregate", "jinja_env", "jinja_sls_env", "jinja_lstrip_blocks", "jinja_trim_blocks",
			"salt_cp_chunk_size",
			"http_connect_timeout", "http_request_timeout", "http_max_body", "verify_ssl", "ca_bundle", "cert":
			return true
		}
		return strings.HasPrefix(name, "gitfs_") && name != "gitfs_provider" ||
			strings.HasPrefix(name, "s3.") || strings.HasPrefix(name, "git_pillar_") && name != "git_pillar_provider" && name != "git_pillar_global_lock" ||
			strings.HasPrefix(name, "minionfs_")
	},
	func(name string) bool {
		switch name {
		case "http_connect_timeout", "http_request_timeout", "http_max_body", "verify_ssl", "ca_bundle", "ca_bundle_url", "cert":
			return true
		}
		return false
	},
}

// unknown reports what root holds beyond the options of this side's struct: in one
// notice what Salt knows, each by itself what nobody knows.
func (r *reader) unknown(root *node, s side) {
	var idle, other []string
	var first *node
	for _, k := range root.keys {
		name, isText := k.scalar.(string)
		_, salt := saltKnows(name)
		switch {
		case !isText:
			r.add(Problem{File: k.file, Line: k.line, Column: k.col, Severity: Warning,
				Text: fmt.Sprintf("%s as the name of an option: text is expected", describe(k))})
			continue
		case modelled[s]()[name], salt && usedBy[s](name), s == masterSide && name == "ssh_fallback": // ours, read where it is needed
			continue
		case modelled[1-s]()[name]:
			other = append(other, name)
		case salt || strings.Contains(name, "."): // name.option belongs to a module
			idle = append(idle, name)
		default:
			r.add(stranger(k, name, s))
			continue
		}
		if first == nil {
			first = k
		}
	}
	if first == nil {
		return
	}
	p := Problem{File: first.file, Line: first.line, Column: first.col, Severity: Notice}
	if len(idle) > 0 {
		p.Text = fmt.Sprintf("known to Salt, without effect here yet: %s", strings.Join(idle, ", "))
		r.add(p)
	}
	if len(other) > 0 {
		p.Text = fmt.Sprintf("options of the %s, without effect in this file: %s", 1-s, strings.Join(other, ", "))
		r.add(p)
	}
}

// stranger is the problem with a name that is no option. People keep data of their own
// in the configuration, where config.get finds it, so only what looks like a slip is an
// error: one letter off, or two in a name of eight or more.
func stranger(k *node, name string, s side) Problem {
	near, distance := nearest(name, s)
	p := Problem{File: k.file, Line: k.line, Column: k.col, Option: name, Severity: Warning,
		Text: fmt.Sprintf("unknown option %q: kept as data for config.get", name)}
	switch n := len(name); {
	case near == "":
	case n >= 5 && distance == 1, n >= 8 && distance == 2:
		p.Severity = Error
		p.Text = fmt.Sprintf("unknown option %q: write %s, or give your own data another name", name, near)
	default:
		p.Text += fmt.Sprintf(" (nearest option: %s)", near)
	}
	return p
}

// nearest finds the known option that a name resembles most, within a third of its
// letters.
func nearest(name string, s side) (string, int) {
	best, at := "", max(1, len(name)/3)+1
	try := func(known string) {
		if d := distance(name, known, at); d < at || d == at && best != "" && known < best {
			best, at = known, d
		}
	}
	for known := range modelled[s]() {
		try(known)
	}
	for _, known := range knownToSalt() {
		try(known.name)
	}
	if best == "" {
		return "", 0
	}
	return best, at
}

// distance is how many letters must be changed, put in, taken out or swapped with
// their neighbour to make b of a; anything above limit is limit+1.
func distance(a, b string, limit int) int {
	if d := len(a) - len(b); d > limit || -d > limit {
		return limit + 1
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		if min(slices.Min(row), slices.Min(last)) > limit {
			return limit + 1
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
