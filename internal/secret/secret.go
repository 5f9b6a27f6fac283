// Package secret knows which values were encrypted once, such as those of a pillar, and
// takes them out of everything that leaves the program: results of jobs, events, logs,
// errors, copies that are kept. It goes by the value and not by where it came from: a
// password is hidden in the output of a command, in a diff and in a file's name alike.
//
// A Set is filled where values are decrypted; Text, Value and Handler are for the edges.
package secret

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/gosalt/gosalt/protocol/wire"
)

// Mask stands where a secret stood.
const Mask = "**********"

// What is hidden within longer text has at least so many characters: shorter secrets are
// found everywhere by chance, and hiding them would tell where they are. They are hidden
// where they are the whole of a value.
const (
	minWithin = 4
	minLine   = 8 // of one line of many
)

// Bounds of a Set. Beyond them the oldest secrets are forgotten.
const (
	maxSecrets = 20_000
	maxBytes   = 8 << 20
)

// Set is a growing set of secrets. The zero value is an empty one, and a nil Set is one
// that stays empty. Its methods may be called concurrently.
type Set struct {
	mu    sync.RWMutex
	known map[string]bool
	order []string // as they came
	bytes int
	find  *finder // nil: to be made anew
}

// finder replaces what is known.
type finder struct {
	whole  map[string]bool
	within *strings.Replacer // nil: nothing is long enough
}

// New makes a set of secrets.
func New(secrets ...string) *Set {
	s := &Set{}
	s.Add(secrets...)
	return s
}

// Add makes texts known as secret. Empty ones are passed over.
func (s *Set) Add(texts ...string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range texts {
		if strings.TrimSpace(t) == "" || s.known[t] {
			continue
		}
		if s.known == nil {
			s.known = map[string]bool{}
		}
		s.known[t] = true
		s.order = append(s.order, t)
		s.bytes += len(t)
		s.find = nil
	}
	for len(s.order) > 1 && (len(s.order) > maxSecrets || s.bytes > maxBytes) {
		old := s.order[0]
		s.order = s.order[1:]
		s.bytes -= len(old)
		delete(s.known, old)
	}
}

// AddValue makes all text, and all numbers of six digits and more, of a value known as secret.
func (s *Set) AddValue(v any) {
	switch x := v.(type) {
	case string:
		s.Add(x)
	case []byte:
		s.Add(string(x))
	case int64, uint64, float64:
		if t := fmt.Sprint(x); len(t) >= 6 {
			s.Add(t)
		}
	case []any:
		for _, e := range x {
			s.AddValue(e)
		}
	case *wire.Map:
		for _, e := range x.All() {
			s.AddValue(e)
		}
	}
}

// Texts are the secrets, in the order in which they came to be known.
func (s *Set) Texts() []string {
	if s == nil {
		return nil
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.order)
}

// Len is how many secrets there are.
func (s *Set) Len() int {
	if s == nil {
		return 0
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.order)
}

func (s *Set) finder() *finder {
	if s == nil {
		return nil
	}
	s.mu.RLock()
	f, n := s.find, len(s.order)
	s.mu.RUnlock()
	if f != nil || n == 0 {
		return f
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.find == nil {
		s.find = newFinder(s.order)
	}
	return s.find
}

func newFinder(secrets []string) *finder {
	f := &finder{whole: make(map[string]bool, len(secrets))}
	forms := map[string]bool{}
	for _, t := range secrets {
		f.whole[t] = true
		trimmed := strings.TrimSpace(t)
		f.whole[trimmed] = true
		if utf8.RuneCountInString(trimmed) < minWithin {
			continue
		}
		for _, form := range written(trimmed) {
			forms[form] = true
		}
		if strings.Contains(trimmed, "\n") {
			for line := range strings.SplitSeq(trimmed, "\n") {
				line = strings.TrimSpace(line)
				if utf8.RuneCountInString(line) >= minLine && !strings.HasPrefix(line, "-----") {
					forms[line] = true
				}
			}
		}
	}
	if len(forms) == 0 {
		return f
	}
	// The longest first: of two that begin alike, the replacer takes the first.
	list := make([]string, 0, len(forms))
	for form := range forms {
		list = append(list, form)
	}
	slices.SortFunc(list, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	pairs := make([]string, 0, 2*len(list))
	for _, form := range list {
		pairs = append(pairs, form, Mask)
	}
	f.within = strings.NewReplacer(pairs...)
	return f
}

// written is a secret in the forms in which it is met: as it is, as JSON and Python write
// it, in addresses, and in base64.
func written(t string) []string {
	forms := []string{t, base64.StdEncoding.EncodeToString([]byte(t))}
	if b, err := json.Marshal(t); err == nil {
		forms = append(forms, string(b[1:len(b)-1]))
	}
	if q := strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(t); q != t {
		forms = append(forms, q)
	}
	if q := url.QueryEscape(t); q != t {
		forms = append(forms, q)
	}
	if q := url.PathEscape(t); q != t {
		forms = append(forms, q)
	}
	return forms
}

// Text is a text without the secrets.
func (s *Set) Text(t string) string {
	f := s.finder()
	if f == nil {
		return t
	}
	return f.text(t)
}

func (f *finder) text(t string) string {
	if t == "" {
		return t
	}
	if f.whole[t] || f.whole[strings.TrimSpace(t)] {
		return Mask
	}
	if f.within == nil {
		return t
	}
	return f.within.Replace(t)
}

// Value is a value of the wire's model without the secrets, keys of maps included. It is
// v itself where nothing is to be hidden; v is never changed.
func (s *Set) Value(v any) any {
	f := s.finder()
	if f == nil {
		return v
	}
	out, _ := f.value(v)
	return out
}

func (f *finder) value(v any) (any, bool) {
	switch x := v.(type) {
	case string:
		t := f.text(x)
		return t, t != x
	case []byte:
		if t := f.text(string(x)); t != string(x) {
			return t, true
		}
	case int64, uint64, float64:
		if f.whole[fmt.Sprint(x)] {
			return Mask, true
		}
	case []any:
		var out []any
		for i, e := range x {
			if n, changed := f.value(e); changed {
				if out == nil {
					out = slices.Clone(x)
				}
				out[i] = n
			}
		}
		if out != nil {
			return out, true
		}
	case *wire.Map:
		return f.mapping(x)
	}
	return v, false
}

func (f *finder) mapping(m *wire.Map) (any, bool) {
	changed := false
	out := wire.NewMap()
	for k, e := range m.All() {
		nk, kc := f.value(k)
		ne, ec := f.value(e)
		if kc {
			for i := 2; ; i++ { // two keys that were secret must not become one
				if _, taken := out.GetAny(nk); !taken {
					break
				}
				nk = fmt.Sprintf("%s (%d)", Mask, i)
			}
		}
		changed = changed || kc || ec
		out.SetAny(nk, ne)
	}
	if !changed {
		return m, false
	}
	return out, true
}

// Error is an error whose text has no secrets; what it wraps is still found by errors.Is
// and errors.As.
func (s *Set) Error(err error) error {
	if err == nil {
		return nil
	}
	if t := err.Error(); s.Text(t) != t {
		return &masked{err, s.Text(t)}
	}
	return err
}

type masked struct {
	error
	text string
}

func (m *masked) Error() string { return m.text }
func (m *masked) Unwrap() error { return m.error }

// Handler is a log handler that lets no secret through, in messages or in attributes.
func (s *Set) Handler(h slog.Handler) slog.Handler { return &handler{h, s} }

type handler struct {
	next slog.Handler
	set  *Set
}

func (h *handler) Enabled(ctx context.Context, l slog.Level) bool { return h.next.Enabled(ctx, l) }

func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	if h.set.Len() == 0 {
		return h.next.Handle(ctx, r)
	}
	out := slog.NewRecord(r.Time, r.Level, h.set.Text(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		out.AddAttrs(h.attr(a))
		return true
	})
	return h.next.Handle(ctx, out)
}

func (h *handler) attr(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindString:
		return slog.String(a.Key, h.set.Text(v.String()))
	case slog.KindGroup:
		group := slices.Clone(v.Group())
		for i := range group {
			group[i] = h.attr(group[i])
		}
		return slog.Attr{Key: a.Key, Value: slog.GroupValue(group...)}
	case slog.KindAny:
		switch x := v.Any().(type) {
		case error:
			return slog.Any(a.Key, h.set.Error(x))
		case *wire.Map, []any:
			return slog.Any(a.Key, h.set.Value(x))
		default:
			if t := fmt.Sprint(x); h.set.Text(t) != t {
				return slog.String(a.Key, h.set.Text(t))
			}
		}
	}
	return slog.Attr{Key: a.Key, Value: v}
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	attrs = slices.Clone(attrs)
	for i := range attrs {
		attrs[i] = h.attr(attrs[i])
	}
	return &handler{h.next.WithAttrs(attrs), h.set}
}

func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{h.next.WithGroup(name), h.set}
}
