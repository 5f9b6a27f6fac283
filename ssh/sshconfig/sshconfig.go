// Package sshconfig reads OpenSSH's client configuration, ssh_config(5): Host and Match
// blocks, Include, patterns, quoted words. What a key means is left to the caller.
//
// Start at Load and Config.Lookup.
package sshconfig

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A Value is what a line says.
type Value struct {
	Key    string   // in lower case
	Args   []string // its words, without quotes
	Source string   // "/root/.ssh/config:12"
}

// Text is the value as one text.
func (v Value) Text() string { return strings.Join(v.Args, " ") }

// A Named is a host that a configuration has a name for, without wildcards.
type Named struct {
	Name   string
	Source string
}

// Config is one or several files, read.
type Config struct {
	// Warnings are lines that could not be read, with their places.
	Warnings []string

	blocks []*block
	home   string
}

// A block is the lines below one Host or Match, in one file.
type block struct {
	parent *block // of the block in which the file was included
	conds  []cond
	values []Value
}

// A cond is one criterion of Match, or a Host line, whose kind is "originalhost".
type cond struct {
	kind     string
	negate   bool
	patterns []string
	source   string
}

// maxDepth bounds how deep files may include one another, as in OpenSSH.
const maxDepth = 16

// multiple are the keys of which every line counts, not only the first.
var multiple = map[string]bool{
	"identityfile": true, "certificatefile": true, "localforward": true, "remoteforward": true,
	"dynamicforward": true, "sendenv": true, "setenv": true,
}

// raw are the keys whose value is the rest of the line, quotes and all.
var raw = map[string]bool{"proxycommand": true, "localcommand": true, "remotecommand": true, "knownhostscommand": true}

// Load reads files in their order; one that does not exist is passed over. Home is what
// ~ means.
func Load(files []string, home string) (*Config, error) {
	c := &Config{home: home}
	for _, f := range files {
		// Paths in the user's file are below ~/.ssh, those of the system's beside it.
		base := filepath.Dir(f)
		if err := c.read(c.tilde(f), base, nil, 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return c, nil
}

// tilde replaces a leading ~.
func (c *Config) tilde(p string) string {
	if rest, ok := strings.CutPrefix(p, "~/"); ok {
		return filepath.Join(c.home, rest)
	}
	return p
}

// maxFile is the longest configuration that is read.
const maxFile = 4 << 20

func (c *Config) read(name, base string, parent *block, depth int) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("read ssh configuration: %w", err)
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.Size() > maxFile {
		return fmt.Errorf("read ssh configuration %s: it has %d bytes, more than %d", name, st.Size(), maxFile)
	}
	cur := &block{parent: parent}
	c.blocks = append(c.blocks, cur)
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for n := 1; sc.Scan(); n++ {
		source := fmt.Sprintf("%s:%d", name, n)
		key, args, err := Split(sc.Text())
		if err != nil {
			c.warn(source, err.Error())
			continue
		}
		switch key {
		case "":
		case "host":
			cur = &block{parent: parent, conds: []cond{{kind: "originalhost", patterns: args, source: source}}}
			c.blocks = append(c.blocks, cur)
			if len(args) == 0 {
				c.warn(source, "Host without a name")
			}
		case "match":
			conds, err := matchConds(args, source)
			if err != nil {
				// A block whose condition is not known holds for nobody.
				c.warn(source, err.Error())
				conds = []cond{{kind: "never"}}
			}
			cur = &block{parent: parent, conds: conds}
			c.blocks = append(c.blocks, cur)
		case "include":
			if depth >= maxDepth {
				c.warn(source, "files include one another too deep")
				continue
			}
			for _, a := range args {
				p := c.tilde(a)
				if !filepath.IsAbs(p) {
					p = filepath.Join(c.tilde(base), p)
				}
				names, err := filepath.Glob(p)
				if err != nil {
					c.warn(source, "bad pattern "+a)
					continue
				}
				for _, f := range names {
					if err := c.read(f, base, cur, depth+1); err != nil {
						c.warn(source, err.Error())
					}
				}
			}
			// What follows still belongs to the block, but comes after what was included.
			cur = &block{parent: cur.parent, conds: cur.conds}
			c.blocks = append(c.blocks, cur)
		default:
			if len(args) == 0 {
				c.warn(source, key+" without a value")
				continue
			}
			cur.values = append(cur.values, Value{Key: key, Args: args, Source: source})
		}
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("read ssh configuration %s: %w", name, err)
	}
	return nil
}

func (c *Config) warn(source, text string) { c.Warnings = append(c.Warnings, source+": "+text) }

// Split reads one line: the key in lower case, and its words. An empty line or a comment
// has no key.
func Split(line string) (key string, args []string, err error) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return "", nil, nil
	}
	i := strings.IndexAny(line, " \t=")
	if i < 0 {
		return strings.ToLower(line), nil, nil
	}
	key = strings.ToLower(line[:i])
	rest := strings.TrimLeft(line[i:], " \t")
	if rest != "" && rest[0] == '=' {
		rest = strings.TrimLeft(rest[1:], " \t")
	}
	if raw[key] {
		if rest == "" {
			return key, nil, nil
		}
		return key, []string{rest}, nil
	}
	args, err = words(rest)
	return key, args, err
}

// words splits at blanks; a word may be quoted in part, and # starts a comment.
func words(s string) (out []string, err error) {
	for {
		s = strings.TrimLeft(s, " \t")
		if s == "" || s[0] == '#' {
			return out, nil
		}
		var w strings.Builder
		var quote byte
		i := 0
		for ; i < len(s); i++ {
			ch := s[i]
			switch {
			case ch == '\\' && i+1 < len(s) && strings.IndexByte(`"'\`, s[i+1]) >= 0:
				i++
				w.WriteByte(s[i])
			case quote != 0 && ch == quote:
				quote = 0
			case quote == 0 && (ch == '"' || ch == '\''):
				quote = ch
			case quote == 0 && (ch == ' ' || ch == '\t'):
				goto end
			default:
				w.WriteByte(ch)
			}
		}
	end:
		if quote != 0 {
			return nil, fmt.Errorf("a quote that is not closed")
		}
		out = append(out, w.String())
		s = s[i:]
	}
}

// matchConds reads the criteria of a Match line.
func matchConds(args []string, source string) ([]cond, error) {
	if len(args) == 0 {
		return nil, errors.New("a Match without a condition")
	}
	var out []cond
	for i := 0; i < len(args); i++ {
		word := args[i]
		kind, value, has := strings.Cut(word, "=")
		kind = strings.ToLower(kind)
		negate := strings.HasPrefix(kind, "!")
		kind = strings.TrimPrefix(kind, "!")
		switch kind {
		case "all":
			out = append(out, cond{kind: kind, negate: negate})
			continue
		case "canonical", "final":
			// There is one pass only, as CanonicalizeHostname is off.
			out = append(out, cond{kind: "never", negate: negate})
			continue
		case "host", "originalhost", "user", "localuser", "tagged":
		case "exec", "localnetwork", "command", "sessiontype", "version":
			return nil, fmt.Errorf("condition %s of Match is not supported: the block is passed over", kind)
		default:
			return nil, fmt.Errorf("there is no condition %q of Match", kind)
		}
		if !has {
			if i++; i >= len(args) {
				return nil, fmt.Errorf("condition %s of Match without a pattern", kind)
			}
			value = args[i]
		}
		out = append(out, cond{kind: kind, negate: negate, patterns: strings.Split(value, ","), source: source})
	}
	return out, nil
}

// Settings are the values that hold for one host.
type Settings struct{ values map[string][]Value }

// Get is the value of a key, in lower case.
func (s Settings) Get(key string) (Value, bool) {
	v := s.values[key]
	if len(v) == 0 {
		return Value{}, false
	}
	return v[0], true
}

// All are the values of a key that may be given several times.
func (s Settings) All(key string) []Value { return s.values[key] }

// Who is asked about in Lookup.
type Who struct {
	Host      string // as it was typed
	User      string // who logs in, "" when nothing says so yet
	LocalUser string
}

// Lookup returns what holds for a host: for each key the first value that applies.
func (c *Config) Lookup(w Who) Settings {
	s := Settings{map[string][]Value{}}
	applies := map[*block]bool{}
	for _, b := range c.blocks {
		ok := b.parent == nil || applies[b.parent]
		for _, cd := range b.conds {
			ok = ok && cd.holds(w, s)
		}
		applies[b] = ok
		if !ok {
			continue
		}
		for _, v := range b.values {
			if old := s.values[v.Key]; len(old) == 0 || multiple[v.Key] {
				s.values[v.Key] = append(old, v)
			}
		}
	}
	return s
}

func (cd cond) holds(w Who, s Settings) bool {
	var ok bool
	switch cd.kind {
	case "all":
		ok = true
	case "never":
	case "originalhost":
		ok = MatchList(cd.patterns, strings.ToLower(w.Host))
	case "host":
		host := w.Host
		if v, is := s.Get("hostname"); is {
			host = strings.ReplaceAll(v.Text(), "%h", w.Host)
		}
		ok = MatchList(cd.patterns, strings.ToLower(host))
	case "user":
		user := w.User
		if v, is := s.Get("user"); user == "" && is {
			user = v.Text()
		}
		if user == "" {
			user = w.LocalUser
		}
		ok = MatchList(cd.patterns, user)
	case "localuser":
		ok = MatchList(cd.patterns, w.LocalUser)
	case "tagged":
		v, _ := s.Get("tag")
		ok = MatchList(cd.patterns, v.Text())
	}
	return ok != cd.negate
}

// Hosts are the names on Host lines that are no patterns, in their order, each once.
func (c *Config) Hosts() []Named {
	var out []Named
	seen := map[string]bool{}
	for _, b := range c.blocks {
		for _, cd := range b.conds {
			if cd.kind != "originalhost" || cd.negate {
				continue
			}
			for _, p := range cd.patterns {
				if p != "" && !strings.ContainsAny(p, "*?!") && !seen[p] {
					seen[p] = true
					out = append(out, Named{p, cd.source})
				}
			}
		}
	}
	return out
}

// MatchList tells whether a list of patterns, some of them negated by "!", means a name.
func MatchList(patterns []string, name string) bool {
	matched := false
	for _, p := range patterns {
		p, negate := strings.CutPrefix(strings.TrimSpace(p), "!")
		if MatchPattern(strings.ToLower(p), strings.ToLower(name)) {
			if negate {
				return false
			}
			matched = true
		}
	}
	return matched
}

// MatchPattern tells whether a pattern with * and ? means a name.
func MatchPattern(pattern, name string) bool {
	p, n := 0, 0
	star, back := -1, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, back = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p++
			n++
		case star >= 0:
			back++
			p, n = star+1, back
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// Keys lists the keys that hold, sorted.
func (s Settings) Keys() []string {
	var out []string
	for k := range s.values {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
