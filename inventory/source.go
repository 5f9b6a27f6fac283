package inventory

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Config is what an Inventory is made of.
type Config struct {
	// Sources is the option inventory of the configuration: names, each with the options
	// of a source.
	Sources *wire.Map
	// ConfigDir is where the configuration is: paths that are not absolute begin there.
	ConfigDir string
	// Place tells the file and line of a source, or of one of its keys; it may be nil.
	Place func(keys ...string) string
	// Dir is where the cache is kept. It is made.
	Dir string
	// Kinds are the kinds there are, see package providers.
	Kinds map[string]func() Kind
	// OnChange is told of each machine that was found, has changed, or is gone, after that
	// is stored. It is called by the refreshing goroutine, and may be nil.
	OnChange func(Change)
	// DialSSH is what providers reach sockets of other machines by; it may be nil.
	DialSSH DialSSH
}

// What a source has where it says nothing.
const (
	defaultRefresh = 5 * time.Minute
	defaultTimeout = 2 * time.Minute
	maxBackoff     = time.Hour
)

// A source is one of the configured sources.
type source struct {
	name   string
	kind   Kind
	values *Values
	stamp  string // of the whole configuration: names and rows made by another are made anew
	err    *Error // what is wrong with the configuration

	names   *template
	ssh     *wire.Map
	sshText map[string]*template // of the texts in ssh that are templates
	address []string
	refresh time.Duration
	timeout time.Duration
	enabled bool
	states  []State
}

// addressKinds are what the option address may name.
var addressKinds = []string{"private", "public", "dns", "private4", "private6", "public4", "public6"}

// readSource reads the options of one source. A mistake is kept in err: the others go on.
func (inv *Inventory) readSource(name string, v any) *source {
	s := &source{name: name, refresh: defaultRefresh, timeout: defaultTimeout, enabled: true}
	at := PlacesIn(inv.cfg.Place, name)
	bad := func(hint, format string, args ...any) *source {
		s.err = &Error{Source: name, Kind: s.kind.Name, Reason: BadConfig, Msg: At(at, "") + fmt.Sprintf(format, args...), Hint: hint}
		return s
	}
	cfg, ok := v.(*wire.Map)
	if !ok {
		return bad("see inventory: in the configuration", "it has to be a map with provider: and the options of that")
	}
	if name == "" || len(name) > maxSourceName || strings.ContainsFunc(name, func(r rune) bool {
		return r != '-' && r != '_' && r != '.' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) || name[0] == '.' {
		return bad("", "the name of a source has letters, digits, dots, dashes and underscores, at most %d", maxSourceName)
	}
	kind := cfg.Text("provider")
	known := make([]string, 0, len(inv.cfg.Kinds))
	for k := range inv.cfg.Kinds {
		known = append(known, k)
	}
	slices.Sort(known)
	get := inv.cfg.Kinds[kind]
	if get == nil {
		what := "provider is missing"
		if kind != "" {
			what = fmt.Sprintf("there is no provider %q", kind)
			if near := module.Nearest(kind, known); near != "" {
				what += fmt.Sprintf("; is it %q?", near)
			}
		}
		return bad("there are "+strings.Join(known, ", ")+"; a program can be built without some of them", "%s", what)
	}
	s.kind = get()
	common, own := wire.NewMap(), wire.NewMap()
	for k, v := range cfg.Strings() {
		if slices.ContainsFunc(Common, func(o Option) bool { return o.Name == k }) {
			common.Set(k, v)
		} else {
			own.Set(k, v)
		}
	}
	c, err := ReadValuesAt(name, common, at, Common)
	if err == nil {
		if s.values, err = ReadValuesAt(name, own, at, s.kind.Options); err != nil {
			// An option of all kinds may have been meant, too.
			if _, both := ReadValuesAt(name, cfg, at, Common, s.kind.Options); both != nil {
				err = both
			}
		}
	}
	if err != nil {
		if !errors.As(err, &s.err) {
			return bad("", "%v", err)
		}
		s.err.Kind = s.kind.Name
		return s
	}
	if c.Has("refresh") {
		s.refresh = c.Duration("refresh")
	}
	if s.refresh > 0 && s.refresh < time.Second {
		return bad("", "refresh has to be a second at least, or 0")
	}
	if t := c.Duration("timeout"); t > 0 {
		s.timeout = t
	}
	if c.Has("enabled") {
		s.enabled = c.Bool("enabled")
	}
	s.address = c.List("address")
	if len(s.address) == 0 {
		s.address = []string{"private", "public", "dns"}
	}
	for _, a := range s.address {
		if !slices.Contains(addressKinds, a) {
			return bad("", "address names %q, and may name %s", a, strings.Join(addressKinds, ", "))
		}
	}
	for _, st := range c.List("states") {
		if !slices.Contains([]State{Running, Starting, Stopping, Stopped, Unknown}, State(st)) {
			return bad("", "states names %q, and may name running, starting, stopping, stopped, unknown", st)
		}
		s.states = append(s.states, State(st))
	}
	text := c.Text("name")
	if text == "" {
		text = "{{ label or id }}"
	}
	if s.names, err = newTemplate("name", text); err != nil {
		return bad("", "%v", err)
	}
	s.ssh = c.Map("ssh")
	s.sshText = map[string]*template{}
	if err := s.findTemplates(s.ssh, 0); err != nil {
		return bad("", "%v", err)
	}
	b, err := wire.Encode(sortedMap(cfg), wire.Local)
	if err != nil {
		return bad("", "%v", err)
	}
	sum := sha256.Sum256(b)
	s.stamp = hex.EncodeToString(sum[:16])
	return s
}

// findTemplates compiles the texts in ssh that are templates.
func (s *source) findTemplates(v any, depth int) error {
	switch v := v.(type) {
	case string:
		if !strings.Contains(v, "{{") && !strings.Contains(v, "{%") {
			return nil
		}
		t, err := newTemplate("ssh", v)
		if err != nil {
			return err
		}
		s.sshText[v] = t
	case []any:
		for _, e := range v {
			if err := s.findTemplates(e, depth+1); err != nil {
				return err
			}
		}
	case *wire.Map:
		if v == nil || depth > 20 {
			return nil
		}
		for k, e := range v.Strings() {
			if err := s.findTemplates(e, depth+1); err != nil {
				return fmt.Errorf("ssh: %s: %w", k, err)
			}
		}
	}
	return nil
}

// sortedMap is a map with its keys in order, so that the same is written alike.
func sortedMap(m *wire.Map) *wire.Map {
	keys := make([]string, 0, m.Len())
	for k := range m.Strings() {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	out := wire.NewMap()
	for _, k := range keys {
		v, _ := m.Get(k)
		if sub, ok := v.(*wire.Map); ok {
			v = sortedMap(sub)
		}
		out.Set(k, v)
	}
	return out
}

// wants tells whether a machine in this state is one of the source's.
func (s *source) wants(st State) bool {
	if st == "" {
		st = Unknown
	}
	return len(s.states) == 0 || slices.Contains(s.states, st)
}

// secrets are the values of the source that no text may show.
func (s *source) secrets() []string {
	var out []string
	if s.values == nil {
		return nil
	}
	for _, v := range s.values.m {
		if sec, ok := v.(seal.Secret); ok && len(sec.Reveal()) >= 4 {
			out = append(out, sec.Reveal())
		}
	}
	return out
}

// asError completes an error of the source, and takes secrets out of it.
func (s *source) asError(err error) *Error {
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Reason: BadAnswer, Msg: err.Error(), Err: err}
	}
	c := *e
	c.Source, c.Kind = s.name, s.kind.Name
	for _, sec := range s.secrets() {
		c.Msg, c.Hint = strings.ReplaceAll(c.Msg, sec, "…"), strings.ReplaceAll(c.Hint, sec, "…")
		if c.Err != nil && strings.Contains(c.Err.Error(), sec) {
			if c.Msg == "" {
				c.Msg = strings.ReplaceAll(c.Err.Error(), sec, "…")
			}
			c.Err = nil
		}
	}
	return &c
}
