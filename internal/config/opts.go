package config

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gosalt/gosalt/protocol/wire"
)

// Opts is the configuration under Salt's names, as test.get_opts and config.get show
// it: Salt's defaults, above them what the files hold, above that the values that are
// in effect. Times are numbers in the option's unit. Secrets are hidden. The map is the
// caller's.
func (m *Master) Opts() *wire.Map {
	opts := saltOpts(m, m.Raw, masterSide)
	opts.Set("token_dir", m.TokenDir)
	return opts
}

// Opts is the configuration under Salt's names, as Master.Opts.
func (m *Minion) Opts() *wire.Map { return saltOpts(m, m.Raw, minionSide) }

func saltOpts(cfg any, raw *wire.Map, s side) *wire.Map {
	known := knownToSalt()
	opts := wire.NewMapSize(len(known) + raw.Len() + 100)
	for _, o := range known {
		if text := o.defaults[s]; text != "" {
			opts.Set(o.name, fromJSON(text))
		}
	}
	for k, v := range raw.All() {
		if name, ok := k.(string); ok && isSecret(name) && v != nil && v != "" {
			v = hidden
		}
		opts.SetAny(k, v)
	}
	v := reflect.ValueOf(cfg).Elem()
	for _, o := range options(v.Type()) {
		if o.name == "-" {
			continue
		}
		def, _ := saltKnows(o.name)
		hasDefault := def.defaults[s] != ""
		f := v.FieldByIndex(o.index)
		if f.IsZero() && !hasDefault && !raw.Has(o.name) && def.name != "" && o.name != "beacons" {
			continue // an option that Salt leaves out when it is not set
		}
		if f.IsZero() && def.defaults[s] == "null" {
			opts.Set(o.name, nil)
			continue
		}
		if f.IsZero() && o.kind == "text" && def.defaults[s] == `""` {
			opts.Set(o.name, "") // a text or a list, and neither is given
			continue
		}
		if _, isText := textOf(raw, o.name); isText && o.kind == "text" {
			continue // a list of one that was written without a list
		}
		opts.Set(o.name, o.saltValue(f))
	}
	opts.Set("__role", s.String())
	return opts
}

func textOf(raw *wire.Map, name string) (string, bool) {
	v, _ := raw.Get(name)
	s, ok := v.(string)
	return s, ok
}

// saltValue is a field as Salt has it.
func (o option) saltValue(f reflect.Value) any {
	switch v := f.Interface().(type) {
	case time.Duration:
		if unit := units[o.unit]; v%unit == 0 {
			return int64(v / unit)
		}
		return float64(v) / float64(units[o.unit])
	case Secret:
		return v.String()
	case *wire.Map:
		if v == nil {
			return wire.NewMap()
		}
		return v
	case map[string][]string:
		m := wire.NewMap()
		envs := make([]string, 0, len(v))
		for env := range v {
			envs = append(envs, env)
		}
		slices.Sort(envs)
		for _, env := range envs {
			m.Set(env, anyList(v[env]))
		}
		return m
	case []string:
		if o.name == "master" && len(v) == 1 {
			return v[0]
		}
		return anyList(v)
	case *bool:
		if v == nil {
			return nil
		}
		return *v
	case nil:
		return wire.NewMap()
	}
	switch f.Kind() {
	case reflect.Int, reflect.Int64:
		return f.Int()
	case reflect.String:
		if o.kind == "text-or-true" && (f.String() == "" || f.String() == "True") {
			return f.String() != ""
		}
		return f.String()
	}
	return f.Interface()
}

func anyList(list []string) []any {
	l := make([]any, len(list))
	for i, s := range list {
		l[i] = s
	}
	return l
}

// isSecret tells whether an option of Salt holds a password or passphrase.
func isSecret(name string) bool {
	if _, known := saltKnows(name); !known {
		return false
	}
	for _, end := range []string{"password", "passwd", "passphrase", "_pass"} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}

// fromJSON reads a recorded default into the value model of protocol/wire.
func fromJSON(text string) any {
	// Nearly all are plain, and a decoder takes more memory for one than all of them do.
	switch {
	case text == "null":
		return nil
	case text == "true", text == "false":
		return text == "true"
	case text == "[]":
		return []any{}
	case text == "{}":
		return wire.NewMap()
	case len(text) > 1 && text[0] == '"' && strings.IndexByte(text, '\\') < 0:
		return text[1 : len(text)-1]
	}
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return i
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	v, err := jsonValue(d)
	if err != nil {
		panic("config: saltoptions.txt: " + text + ": " + err.Error())
	}
	return v
}

func jsonValue(d *json.Decoder) (any, error) {
	tok, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := tok.(type) {
	case json.Number:
		if i, err := t.Int64(); err == nil {
			return i, nil
		}
		return t.Float64()
	case json.Delim:
		if t == '[' {
			list := []any{}
			for d.More() {
				v, err := jsonValue(d)
				if err != nil {
					return nil, err
				}
				list = append(list, v)
			}
			_, err := d.Token()
			return list, err
		}
		m := wire.NewMap()
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return nil, err
			}
			v, err := jsonValue(d)
			if err != nil {
				return nil, err
			}
			m.SetAny(key, v)
		}
		_, err := d.Token()
		return m, err
	}
	return tok, nil
}
