package output

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// countInName is n of an id that compressIDs made: "id (n)".
func countInName(id string) int {
	if m := regexp.MustCompile(`\((\d+)\)$`).FindStringSubmatch(id); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			return n
		}
	}
	return 1
}

// compressIDs folds the states that one id made from several names into one state
// per result, with the sum of their durations, the earliest start and the changes
// by name. It is false when the data are no states, and then they are shown as they are.
func compressIDs(m *wire.Map) (*wire.Map, bool) {
	out := wire.NewMap()
	for host, data := range m.All() {
		states, ok := data.(*wire.Map)
		if !ok {
			return nil, false
		}
		folded, ok := compressHost(states)
		if !ok {
			return nil, false
		}
		out.SetAny(host, folded)
	}
	return out, true
}

func compressHost(states *wire.Map) (*wire.Map, bool) {
	group := func(name string, info *wire.Map) (string, bool) {
		key, _, _ := strings.Cut(name, "_|-")
		for _, field := range []string{"__id__", "__sls__", "result"} {
			v, ok := info.Get(field)
			if !ok {
				return "", false
			}
			key += "_" + pytext.Str(v)
		}
		return key, true
	}
	counts := map[string]int{}
	for k, v := range states.All() {
		info, isMap := v.(*wire.Map)
		name, isText := k.(string)
		if !isMap || !isText {
			return nil, false
		}
		key, ok := group(name, info)
		if !ok {
			return nil, false
		}
		counts[key]++
	}
	out := wire.NewMap()
	for name, v := range states.Strings() {
		info := v.(*wire.Map)
		key, _ := group(name, info)
		if counts[key] == 1 {
			out.Set(name, info)
			continue
		}
		tag := strings.Split(name, "_|-")
		if len(tag) < 3 {
			return nil, false
		}
		field := func(f string) string { v, _ := info.Get(f); return pytext.Str(v) }
		tag[1] = fmt.Sprintf("%s (%d)", field("__id__"), counts[key])
		tag[2] = "state_compressed_" + field("__sls__") + "_" + field("__id__") + "_" + field("result")
		joined := strings.Join(tag, "_|-")
		if have := out.Map(joined); have == nil {
			out.Set(joined, info.Clone())
		} else if !fold(have, info) {
			return nil, false
		}
	}
	return out, true
}

// fold adds a state to the one that stands for its group.
func fold(into, s *wire.Map) bool {
	for _, f := range []string{"__run_num__", "duration", "start_time"} {
		if !into.Has(f) || !s.Has(f) {
			return false
		}
	}
	a, _ := into.Get("__run_num__")
	b, _ := s.Get("__run_num__")
	if pytext.Number(b) < pytext.Number(a) {
		into.Set("__run_num__", b)
	}
	d1, _ := into.Get("duration")
	d2, _ := s.Get("duration")
	sum, err := strconv.ParseFloat(strconv.FormatFloat(pytext.Number(d1)+pytext.Number(d2), 'f', 3, 64), 64)
	if err != nil {
		return false
	}
	into.Set("duration", sum)
	t1, _ := into.Get("start_time")
	t2, _ := s.Get("start_time")
	if pytext.Str(t2) < pytext.Str(t1) {
		into.Set("start_time", t2)
	}
	have, _ := into.Get("changes")
	add, _ := s.Get("changes")
	if !truth(add) {
		return true
	}
	byName := wire.NewMap()
	if truth(have) {
		m, ok := have.(*wire.Map)
		if !ok {
			return false
		}
		if done := m.Map("compressed changes"); done.Len() > 0 {
			byName = done
		} else {
			byName.Set(into.Text("name"), have)
		}
	}
	byName.Set(s.Text("name"), add)
	into.Set("changes", wire.NewMap("compressed changes", byName))
	return true
}
