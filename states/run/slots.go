package run

import (
	"context"
	"fmt"
	"strings"

	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

// slotMark begins a text that stands for what a function returns when the state is run:
// "__slot__:salt:test.echo(hi).key ~ /more".
const slotMark = "__slot__:"

// slots evaluates the slots of an argument: a text, the texts of a list or a map, and
// those of maps in a list, as deep as Salt looks.
func (r *Runner) slots(ctx context.Context, c *states.Call, v any) (any, error) {
	switch v := v.(type) {
	case string:
		return r.slot(ctx, c, v)
	case *wire.Map:
		return r.slotMap(ctx, c, v)
	case []any:
		var out []any
		for i, e := range v {
			w := e
			var err error
			switch e := e.(type) {
			case string:
				w, err = r.slot(ctx, c, e)
			case *wire.Map:
				w, err = r.slotMap(ctx, c, e)
			}
			if err != nil {
				return nil, err
			}
			if out == nil {
				out = append(make([]any, 0, len(v)), v[:i]...)
			}
			out = append(out, w)
		}
		if out != nil {
			return out, nil
		}
	}
	return v, nil
}

func (r *Runner) slotMap(ctx context.Context, c *states.Call, m *wire.Map) (any, error) {
	out := m
	for k, v := range m.All() {
		s, ok := v.(string)
		if !ok || !strings.HasPrefix(s, slotMark) {
			continue
		}
		w, err := r.slot(ctx, c, s)
		if err != nil {
			return nil, err
		}
		if out == m {
			out = m.Clone()
		}
		out.SetAny(k, w)
	}
	return out, nil
}

// slot is the value of one text. One that cannot be read stays as it is, with a warning.
func (r *Runner) slot(ctx context.Context, c *states.Call, s string) (any, error) {
	rest, ok := strings.CutPrefix(s, slotMark)
	if !ok {
		return s, nil
	}
	kind, call, ok := strings.Cut(rest, ":")
	if !ok || kind != "salt" {
		r.log.Warn("malformed slot: it should begin with __slot__:salt: and an execution function", "slot", s)
		return s, nil
	}
	fun, args, kwargs, ok := parseSlot(call)
	if !ok || !c.Functions().Has(fun) {
		r.log.Warn("malformed slot: a call such as test.arg('arg', kw='kwarg') is expected", "slot", s)
		return s, nil
	}
	v, err := c.Call.Call(ctx, fun, args, kwargs)
	if err != nil {
		return nil, fmt.Errorf("slot %s: %w", s, err)
	}
	text, more, appended := strings.Cut(call, "~")
	if i := strings.LastIndexByte(text, ')'); i >= 0 {
		if path := text[i+1:]; path != "" {
			if _, path, ok := strings.Cut(path, "."); ok {
				v, _ = target.Traverse(v, strings.TrimSpace(path), ".")
			}
		}
	}
	if appended {
		if t, ok := v.(string); ok {
			return t + strings.TrimSpace(more), nil
		}
		r.log.Error("slot: text is appended to a result that is none", "slot", s)
	}
	return v, nil
}

// parseSlot reads "mod.fun(a, 'b c', k=v)". As in Salt all arguments are texts; spaces
// count only between quotes, brackets nest.
func parseSlot(s string) (fun string, args []any, kwargs *wire.Map, ok bool) {
	kwargs = wire.NewMap()
	var word strings.Builder
	key, hasKey, filled := "", false, false
	var brackets []rune
	runes := []rune(s)
	inCall := false
	end := func() {
		switch {
		case hasKey:
			kwargs.Set(key, word.String())
		case filled:
			args = append(args, word.String())
		}
		word.Reset()
		key, hasKey, filled = "", false, false
	}
	for i := 0; i < len(runes); i++ {
		c := runes[i]
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
		case c == '\'' || c == '"':
			j := i + 1
			for ; j < len(runes) && runes[j] != c; j++ {
				if runes[j] == '\\' && j+1 < len(runes) && (runes[j+1] == c || runes[j+1] == '\\') {
					j++
				}
				word.WriteRune(runes[j])
			}
			if j == len(runes) {
				return "", nil, nil, false
			}
			i, filled = j, true
		case c == '#':
			for i+1 < len(runes) && runes[i+1] != '\n' {
				i++
			}
		case !inCall && c == '(':
			fun, inCall = word.String(), true
			word.Reset()
			filled = false
			if fun == "" {
				return "", nil, nil, false
			}
		case !inCall:
			word.WriteRune(c)
		case c == '(' || c == '[' || c == '{':
			brackets = append(brackets, c)
			word.WriteRune(c)
			filled = true
		case len(brackets) == 0 && c == ',':
			end()
		case len(brackets) == 0 && c == ')':
			end()
			return fun, args, kwargs, true
		case c == ')' || c == ']' || c == '}':
			if len(brackets) == 0 || map[rune]rune{'(': ')', '[': ']', '{': '}'}[brackets[len(brackets)-1]] != c {
				return "", nil, nil, false
			}
			brackets = brackets[:len(brackets)-1]
			word.WriteRune(c)
		case c == '=' && len(brackets) == 0:
			key, hasKey = word.String(), true
			word.Reset()
			filled = false
		default:
			word.WriteRune(c)
			filled = true
		}
	}
	return "", nil, nil, false
}
