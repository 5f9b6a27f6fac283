package target

import (
	"errors"
	"strconv"
	"strings"
	"sync"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/yaml11"
	"github.com/gosalt/gosalt/protocol/wire"
)

// source is the data that a condition looks at.
type source int

const (
	fromGrains source = iota
	fromPillar
)

// valueKind is how a value is compared.
type valueKind int

const (
	globValue valueKind = iota
	regexValue
	exactValue
)

// dict is a condition on nested data, as "os:Deb*": keys down to a value, and what it
// must look like. The rules are those of salt.utils.data.subdict_match: every split of
// the expression into keys and value is tried, the longest keys first; values and
// patterns are compared as Python's str() in lower case.
type dict struct {
	expr      string
	delimiter string
	from      source
	kind      valueKind

	mu    sync.Mutex
	globs map[string]*glob
	regs  map[string]*regex // nil entries are expressions that Python refuses
}

// maxParts is how many keys an expression may have.
const maxParts = 32

// maxSteps bounds the work of one match, some tenths of a second: wildcards multiply.
const maxSteps = 1_000_000

var errSteps = errors.New("more than a million steps: write it with fewer wildcards")

func (p *parser) dictMatcher(expr string, offset int, from source, kind valueKind, delimiter string) (matcher, error) {
	what := [...]string{"grain", "pillar"}[from]
	first, pattern, found := strings.Cut(expr, delimiter)
	if !found {
		return nil, p.fail(offset, `"%s%svalue" is expected, got %q without a %q`, what, delimiter, expr, delimiter)
	}
	if n := strings.Count(expr, delimiter); n >= maxParts {
		return nil, p.fail(offset, "%d parts: at most %d are allowed", n+1, maxParts)
	}
	d := &dict{expr: expr, delimiter: delimiter, from: from, kind: kind, globs: map[string]*glob{}, regs: map[string]*regex{}}
	if kind == regexValue {
		// It is bad only when no split of it leaves a good expression.
		_, err := compileRegex(strings.ToLower(pattern))
		for rest := pattern; err != nil; {
			_, after, found := strings.Cut(rest, delimiter)
			if !found {
				return nil, p.fail(offset, "behind %q: %v", first+delimiter, err)
			}
			if _, again := compileRegex(strings.ToLower(after)); again == nil {
				break
			}
			rest = after
		}
	}
	if from == fromGrains {
		p.uses.grains = true
	} else {
		p.uses.pillar = true
	}
	return d, nil
}

func (d *dict) match(s *Subject) (bool, error) {
	data := s.Grains
	if d.from == fromPillar {
		data = s.Pillar
	}
	if s.Unknown != Seen {
		return s.unknown(), nil
	}
	m := &dictMatch{dict: d}
	var v any
	if data != nil {
		v = data
	}
	ok := m.subdict(v, d.expr, d.delimiter)
	if m.err != nil {
		return false, m.err
	}
	return ok, nil
}

// dictMatch is one run of a condition.
type dictMatch struct {
	*dict
	steps int
	err   error
}

// step counts work, and says whether there may be more of it.
func (m *dictMatch) step() bool {
	if m.steps++; m.steps > maxSteps && m.err == nil {
		m.err = errSteps
	}
	return m.err == nil
}

func (m *dictMatch) subdict(data any, expr, delimiter string) bool {
	parts := strings.Split(expr, delimiter)
	for i := len(parts) - 1; i > 0 && m.step(); i-- {
		key, rest, found := strings.Join(parts[:i], delimiter), strings.Join(parts[i:], delimiter), data
		if key == "*" {
			rest = expr
		} else {
			v, ok := traverse(data, parts[:i])
			if !ok {
				continue
			}
			found = v
		}
		switch v := found.(type) {
		case *wire.Map:
			if v.Len() > 0 && m.inMap(v, rest) {
				return true
			}
		case []any:
			for _, e := range v {
				if c, ok := e.(*wire.Map); ok && m.inMap(c, rest) {
					return true
				}
				if m.value(e, rest) {
					return true
				}
			}
		default:
			if m.value(v, rest) {
				return true
			}
		}
	}
	return false
}

// inMap looks for a pattern in a map: as one of its keys, as a condition of its own
// (always with ":" between the keys), or behind "*:" below every key.
func (m *dictMatch) inMap(target *wire.Map, pattern string) bool {
	if !m.step() {
		return false
	}
	pattern, wildcard := strings.CutPrefix(pattern, "*:")
	if pattern == "*" || target.Has(pattern) || m.subdict(target, pattern, ":") {
		return true
	}
	if !wildcard {
		return false
	}
	for _, v := range target.All() {
		switch v := v.(type) {
		case *wire.Map:
			if m.inMap(v, pattern) {
				return true
			}
		case []any:
			for _, e := range v {
				if m.value(e, pattern) {
					return true
				}
			}
		default:
			if m.value(v, pattern) {
				return true
			}
		}
		if m.err != nil {
			return false
		}
	}
	return false
}

// value compares a value with a pattern.
func (m *dictMatch) value(v any, pattern string) bool {
	if !m.step() {
		return false
	}
	text, pattern := strings.ToLower(pytext.Str(v)), strings.ToLower(pattern)
	switch m.kind {
	case exactValue:
		return text == pattern
	case globValue:
		m.mu.Lock()
		g := m.globs[pattern]
		if g == nil {
			g = compileGlob(pattern)
			m.globs[pattern] = g
		}
		m.mu.Unlock()
		return g.match(text)
	}
	m.mu.Lock()
	re, seen := m.regs[pattern]
	if !seen {
		re, _ = compileRegex(pattern)
		m.regs[pattern] = re
	}
	m.mu.Unlock()
	if re == nil {
		return false
	}
	ok, err := re.match(text)
	if err != nil {
		m.err = err
	}
	return ok
}

// Traverse follows keys through maps and lists, as
// salt.utils.data.traverse_dict_and_list does: "foo:bar:0". In a list a number is an
// index, or a key of the first map in it that has such a key; other keys are looked for
// in its maps. A map that lacks a text key is asked for what YAML makes of the text.
func Traverse(data any, path, delimiter string) (any, bool) {
	return traverse(data, strings.Split(path, delimiter))
}

func traverse(data any, keys []string) (any, bool) {
	for _, key := range keys {
		switch v := data.(type) {
		case *wire.Map:
			next, ok := v.Get(key)
			if !ok {
				loaded := yamlKey(key)
				if _, same := loaded.(string); same {
					return nil, false
				}
				if next, ok = lookup(v, loaded); !ok {
					return nil, false
				}
			}
			data = next
		case []any:
			next, ok := traverseList(v, key)
			if !ok {
				return nil, false
			}
			data = next
		default:
			return nil, false
		}
	}
	return data, true
}

func traverseList(list []any, key string) (any, bool) {
	var want any = key
	index, isIndex := pythonInt(key)
	if isIndex {
		want = index
	}
	for _, e := range list {
		if m, ok := e.(*wire.Map); ok {
			if v, ok := lookup(m, want); ok {
				return v, true
			}
		}
	}
	if !isIndex {
		return nil, false
	}
	if index < 0 {
		index += int64(len(list))
	}
	if index < 0 || index >= int64(len(list)) {
		return nil, false
	}
	return list[index], true
}

// lookup finds a key of any kind; as in Python, 1, 1.0 and True are the same key.
func lookup(m *wire.Map, key any) (any, bool) {
	if s, ok := key.(string); ok {
		return m.Get(s)
	}
	for k, v := range m.All() {
		if k == key {
			return v, true
		}
		a, aok := keyNumber(k)
		b, bok := keyNumber(key)
		if aok && bok && a == b {
			return v, true
		}
	}
	return nil, false
}

func keyNumber(v any) (float64, bool) {
	switch v := v.(type) {
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case int64:
		return float64(v), true
	case uint64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

// pythonInt is int() of a text: spaces around it and underscores within are allowed.
func pythonInt(s string) (int64, bool) {
	s = strings.TrimSpace(s)
	if strings.HasPrefix(s, "_") || strings.HasSuffix(s, "_") || strings.Contains(s, "__") {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.ReplaceAll(s, "_", ""), 10, 64)
	return n, err == nil
}

// yamlKey is what salt.utils.args.yamlify_arg makes of a key, where that can be a key:
// a scalar. The text itself stands for all else.
func yamlKey(key string) any {
	trimmed := strings.TrimSpace(key)
	switch {
	case key == "None":
		return nil
	case trimmed == "", strings.ContainsAny(key, "\t\r\n#"):
		return key
	case strings.Contains(key, "_") && strings.Trim(trimmed, "0123456789_") == "":
		return key
	}
	return yaml11.Resolve(trimmed)
}
