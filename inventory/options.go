package inventory

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/wire"
)

// A Type is what an option holds.
type Type string

// The types.
const (
	Text     Type = "text"
	Secret   Type = "secret" // a text that is never shown
	Number   Type = "number"
	Bool     Type = "true or false"
	Duration Type = "a time, as 30s, 5m or 1d, or seconds"
	List     Type = "a list of texts" // or one text, with commas
	Map      Type = "a map"
)

// An Option is one key of a source's configuration. Docs are printed from it.
type Option struct {
	Name string
	Type Type
	Doc  string // one sentence; says the default
	Need bool
}

// Values are the options of one source, with their types checked. A value that was not
// given is the zero value.
type Values struct {
	source string
	m      map[string]any
}

// ReadValues is ReadValuesAt for a configuration that is in no file.
func ReadValues(source string, cfg *wire.Map, options ...[]Option) (*Values, error) {
	return ReadValuesAt(source, cfg, nil, options...)
}

// ReadValuesAt checks a source's configuration against the options that there may be. It
// names every key that is wrong, each with what was expected and where it stands: at tells
// the file and line of a key, and for "" those of the whole; nil where that is not known.
func ReadValuesAt(source string, cfg *wire.Map, at func(key string) string, options ...[]Option) (*Values, error) {
	known := slices.Concat(options...)
	v := &Values{source: source, m: map[string]any{}}
	var bad []string
	say := func(key, format string, args ...any) { bad = append(bad, At(at, key)+fmt.Sprintf(format, args...)) }
	for key, val := range cfg.Strings() {
		i := slices.IndexFunc(known, func(o Option) bool { return o.Name == key })
		if i < 0 {
			var names []string
			for _, o := range known {
				names = append(names, o.Name)
			}
			s := fmt.Sprintf("there is no option %q", key)
			if near := module.Nearest(key, names); near != "" {
				s += fmt.Sprintf("; is it %q?", near)
			}
			say(key, "%s", s)
			continue
		}
		if val == nil {
			continue
		}
		got, ok := convert(val, known[i].Type)
		if !ok {
			say(key, "%s has to be %s", key, known[i].Type)
			continue
		}
		v.m[key] = got
	}
	for _, o := range known {
		if val, _ := cfg.Get(o.Name); o.Need && val == nil {
			say("", "%s is missing: %s", o.Name, o.Doc)
		}
	}
	if len(bad) > 0 {
		return nil, &Error{Source: source, Reason: BadConfig, Msg: strings.Join(bad, "; "), Hint: "see inventory: in the configuration"}
	}
	return v, nil
}

// PlacesIn tells where the keys of one entry stand, and for "" the entry itself, by a
// function that tells it of all; nil where that is nil.
func PlacesIn(place func(keys ...string) string, entry string) func(key string) string {
	if place == nil {
		return nil
	}
	return func(key string) string {
		if key == "" {
			return place(entry)
		}
		return place(entry, key)
	}
}

// At is the file and line of a key with a colon, to stand before what is wrong with it; ""
// where that is not known.
func At(at func(key string) string, key string) string {
	if at == nil {
		return ""
	}
	place := at(key)
	if place == "" && key != "" {
		place = at("") // it stands in no line of its own, as what "<<" brings
	}
	if place == "" {
		return ""
	}
	return place + ": "
}

// convert reads a value of YAML as a type.
func convert(v any, t Type) (any, bool) {
	scalar := func() (string, bool) {
		switch v := v.(type) {
		case string:
			return v, true
		case int64, uint64, float64, int:
			return fmt.Sprint(v), true
		}
		return "", false
	}
	switch t {
	case Text:
		return scalar()
	case Secret:
		s, ok := scalar()
		return seal.NewSecret(s), ok
	case Number:
		s, ok := scalar()
		n, err := strconv.Atoi(strings.TrimSpace(s))
		return n, ok && err == nil
	case Bool:
		switch v := v.(type) {
		case bool:
			return v, true
		case string:
			b, err := strconv.ParseBool(strings.ToLower(v))
			return b, err == nil
		}
		return false, false
	case Duration:
		s, ok := scalar()
		if f, err := strconv.ParseFloat(s, 64); err == nil && f >= 0 && f < 1e9 {
			return time.Duration(f * float64(time.Second)), ok
		}
		d, good := config.ParseDuration(s)
		return d, ok && good && d >= 0
	case List:
		if list, ok := v.([]any); ok {
			out := make([]string, 0, len(list))
			for _, e := range list {
				switch e.(type) {
				case string, int64, uint64, float64, int:
					out = append(out, fmt.Sprint(e))
				default:
					return nil, false
				}
			}
			return out, true
		}
		s, ok := scalar()
		var out []string
		for w := range strings.SplitSeq(s, ",") {
			if w = strings.TrimSpace(w); w != "" {
				out = append(out, w)
			}
		}
		return out, ok
	case Map:
		m, ok := v.(*wire.Map)
		return m, ok
	}
	panic("inventory: no type " + t)
}

func value[T any](v *Values, name string) T {
	t, _ := v.m[name].(T)
	return t
}

// Source is the name of the source.
func (v *Values) Source() string { return v.source }

// Has tells whether the option was given.
func (v *Values) Has(name string) bool { _, ok := v.m[name]; return ok }

// Text is an option of that type.
func (v *Values) Text(name string) string { return value[string](v, name) }

// Secret is an option of that type.
func (v *Values) Secret(name string) seal.Secret { return value[seal.Secret](v, name) }

// Number is an option of that type.
func (v *Values) Number(name string) int { return value[int](v, name) }

// Bool is an option of that type.
func (v *Values) Bool(name string) bool { return value[bool](v, name) }

// Duration is an option of that type.
func (v *Values) Duration(name string) time.Duration { return value[time.Duration](v, name) }

// List is an option of that type.
func (v *Values) List(name string) []string { return value[[]string](v, name) }

// Map is an option of that type; nil when it was not given.
func (v *Values) Map(name string) *wire.Map { return value[*wire.Map](v, name) }
