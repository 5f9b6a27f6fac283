package module

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

var (
	typeDuration = reflect.TypeFor[time.Duration]()
	typeMap      = reflect.TypeFor[*wire.Map]()
	typeList     = reflect.TypeFor[[]any]()
	typeStrings  = reflect.TypeFor[[]string]()
)

// convert makes a value of the wire into the type of an argument:
//
//	text       from text, bytes and, as Python writes them, numbers and bools
//	bool       from a bool, 0 and 1, and the words true/false, yes/no, on/off
//	int, float from a number, a bool, or a text that is one; an int loses nothing
//	Duration   from a number of seconds, a text that is one, or "1m30s"
//	[]string   from a list of scalars; a single one is a list of itself
//	[]any      from a list; *wire.Map from a map or a list of maps, which are joined
//	*T         as T, and nil for None
//	any        as it came
func convert(v any, t reflect.Type, split string) (reflect.Value, error) {
	out := reflect.New(t).Elem()
	switch {
	case t.Kind() == reflect.Interface:
		if v != nil {
			out.Set(reflect.ValueOf(v))
		}
		return out, nil
	case t == typeDuration:
		d, err := toDuration(v)
		out.SetInt(int64(d))
		return out, err
	case t == typeMap:
		m, err := toMap(v)
		out.Set(reflect.ValueOf(m))
		return out, err
	case t == typeList:
		l, err := toList(v)
		out.Set(reflect.ValueOf(l))
		return out, err
	case t == typeStrings:
		l, err := toStrings(v, split)
		out.Set(reflect.ValueOf(l))
		return out, err
	}
	var err error
	switch t.Kind() {
	case reflect.Pointer:
		if v == nil {
			return out, nil
		}
		var in reflect.Value
		if in, err = convert(v, t.Elem(), split); err == nil {
			out.Set(reflect.New(t.Elem()))
			out.Elem().Set(in)
		}
	case reflect.String:
		var s string
		s, err = toText(v)
		out.SetString(s)
	case reflect.Bool:
		var b bool
		b, err = toBool(v)
		out.SetBool(b)
	case reflect.Int, reflect.Int64, reflect.Int32, reflect.Int16, reflect.Int8:
		var n int64
		if n, err = toInt(v); err == nil && out.OverflowInt(n) {
			err = expected("a smaller number", v)
		}
		out.SetInt(n)
	case reflect.Float64:
		var f float64
		f, err = toFloat(v)
		out.SetFloat(f)
	default:
		panic(fmt.Sprintf("module: no argument can be of type %s", t))
	}
	return out, err
}

func toText(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case []byte:
		return string(v), nil
	case bool, int64, uint64, int, float64, time.Time:
		return pytext.Str(v), nil
	}
	return "", expected("a text", v)
}

func toBool(v any) (bool, error) {
	switch v := v.(type) {
	case nil:
		return false, nil
	case bool:
		return v, nil
	case int64:
		if v == 0 || v == 1 {
			return v == 1, nil
		}
	case string:
		switch strings.ToLower(v) {
		case "true", "yes", "on", "1":
			return true, nil
		case "false", "no", "off", "0", "", "none":
			return false, nil
		}
	}
	return false, expected("true or false", v)
}

func toInt(v any) (int64, error) {
	switch v := v.(type) {
	case int64:
		return v, nil
	case int:
		return int64(v), nil
	case bool:
		if v {
			return 1, nil
		}
		return 0, nil
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int64(v), nil
		}
	case string:
		if n, err := parseInt(v); err == nil {
			return n, nil
		}
	}
	return 0, expected("a whole number", v)
}

func parseInt(s string) (int64, error) { return strconv.ParseInt(strings.TrimSpace(s), 10, 64) }

func toFloat(v any) (float64, error) {
	switch v := v.(type) {
	case float64:
		return v, nil
	case uint64:
		return float64(v), nil
	case string:
		if f, err := strconv.ParseFloat(strings.TrimSpace(v), 64); err == nil {
			return f, nil
		}
	default:
		if n, err := toInt(v); err == nil {
			return float64(n), nil
		}
	}
	return 0, expected("a number", v)
}

func toDuration(v any) (time.Duration, error) {
	if s, ok := v.(string); ok {
		if d, err := time.ParseDuration(strings.TrimSpace(s)); err == nil {
			return d, nil
		}
	}
	f, err := toFloat(v)
	if err != nil || math.IsNaN(f) || math.Abs(f) > math.MaxInt64/float64(time.Second) {
		return 0, expected("a number of seconds, or a time such as 1m30s", v)
	}
	return time.Duration(f * float64(time.Second)), nil
}

func toMap(v any) (*wire.Map, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case *wire.Map:
		return v, nil
	case string:
		if v == "" { // Salt's own defaults leave maps empty like this
			return nil, nil
		}
	case []any:
		m := wire.NewMap()
		for _, e := range v {
			part, ok := e.(*wire.Map)
			if !ok {
				return nil, expected("a map, or a list of maps", v)
			}
			for k, val := range part.All() {
				m.SetAny(k, val)
			}
		}
		return m, nil
	}
	return nil, expected("a map", v)
}

func toList(v any) ([]any, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case []any:
		return v, nil
	}
	return nil, expected("a list", v)
}

func toStrings(v any, split string) ([]string, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case []any:
		out := make([]string, 0, len(v))
		for _, e := range v {
			s, err := toText(e)
			if err != nil {
				return nil, expected("a list of texts", v)
			}
			out = append(out, s)
		}
		return out, nil
	}
	s, err := toText(v)
	if err != nil {
		return nil, expected("a list of texts", v)
	}
	if split == "" {
		return []string{s}, nil
	}
	var out []string
	for _, part := range strings.Split(s, split) {
		out = append(out, strings.TrimSpace(part))
	}
	return out, nil
}

// expected says what an argument should have been, and what came instead.
func expected(what string, v any) error {
	text := pytext.Repr(v)
	if len(text) > 80 {
		text = text[:80] + "…"
	}
	return fmt.Errorf("expected %s, got %s %s", what, pytext.TypeName(v), text)
}
