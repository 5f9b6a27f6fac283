package returners

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Options finds the options of a returner in a configuration, as Salt does: "redis.host",
// or host in a map redis; with an alternative configuration first "alternative.redis.host".
type Options struct {
	// Config is the configuration by Salt's names.
	Config *wire.Map
	// Alternative is the name of an alternative configuration (--return_config), or "".
	Alternative string
	// Kwargs go above all (--return_kwargs); may be nil.
	Kwargs *wire.Map
}

// get is the value of an option, nil where it is not set.
func (o Options) get(prefix, name string) any {
	if v, ok := o.Kwargs.Get(name); ok {
		return v
	}
	prefixes := []string{prefix}
	if o.Alternative != "" {
		// Salt's documentation has the second form, its code the first.
		prefixes = []string{o.Alternative + "." + prefix, o.Alternative + "." + strings.TrimPrefix(prefix, "returner."), prefix}
	}
	for _, p := range prefixes {
		if v, ok := o.Config.Map(p).Get(name); ok && v != nil {
			return v
		}
		if v, ok := o.Config.Get(p + "." + name); ok && v != nil {
			return v
		}
	}
	return nil
}

// Text is an option as text, def where it is not set.
func (o Options) Text(prefix, name, def string) string {
	switch v := o.get(prefix, name).(type) {
	case nil:
		return def
	case string:
		if v == "" {
			return def
		}
		return v
	default:
		return pytext.Str(v)
	}
}

// Int is an option that is a whole number.
func (o Options) Int(prefix, name string, def int) (int, error) {
	text := o.Text(prefix, name, "")
	if text == "" {
		return def, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("%s.%s: a whole number expected, got %q", prefix, name, text)
	}
	return n, nil
}

// List is an option that is a list of texts, or one.
func (o Options) List(prefix, name string) []string {
	switch v := o.get(prefix, name).(type) {
	case nil:
		return nil
	case []any:
		var out []string
		for _, e := range v {
			out = append(out, pytext.Str(e))
		}
		return out
	default:
		return []string{pytext.Str(v)}
	}
}

// Configured tells whether any option of a returner is set.
func (o Options) Configured(prefix string) bool {
	for k := range o.Config.Strings() {
		if k == prefix || strings.HasPrefix(k, prefix+".") {
			return true
		}
	}
	return false
}
