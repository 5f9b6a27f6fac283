package runners

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pmezard/go-difflib/difflib"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/master/jobs"
	"github.com/gosalt/gosalt/protocol/wire"
)

type jobsDiffArgs struct {
	JID     string `arg:"jid"`   // The first job's id.
	Other   string `arg:"jid2"`  // The second job's id.
	Context int    `default:"3"` // How many equal lines are shown around each difference.
}

// jobsDiff compares what minions returned to two jobs. The answer has up to four
// parts: under changed a text for each minion that returned something else, as a
// unified diff, where data is compared in YAML; under same the minions that returned
// the same; and the minions that returned to one of the jobs only.
//
//	gosalt-run jobs.diff 20261122063858048545 20261123063858048545
//	gosalt-run jobs.diff 20261122063858048545 20261123063858048545 context=0
func jobsDiff(ctx context.Context, _ *module.Call, a jobsDiffArgs) (*wire.Map, error) {
	if a.Context < 0 {
		return nil, fmt.Errorf("context: a number of lines from 0 expected, not %d", a.Context)
	}
	var both [2]map[string]*wire.Map
	for i, jid := range []string{a.JID, a.Other} {
		id, err := wire.ParseJobID(jid)
		if err != nil {
			return nil, err
		}
		if _, err := callOf(ctx).r.master.Jobs().Job(ctx, id); errors.Is(err, jobs.ErrUnknown) {
			return nil, fmt.Errorf("there is no job %s: see gosalt-run jobs.list_jobs", jid)
		} else if err != nil {
			return nil, err
		}
		both[i] = map[string]*wire.Map{}
		for ret, err := range jobReturns(ctx, jid) {
			if err != nil {
				return nil, err
			}
			both[i][ret.minion] = ret.load
		}
	}
	changed, same, only := wire.NewMap(), []any{}, [2][]any{}
	var ids []string
	for _, m := range both {
		for id := range m {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		first, second := both[0][id], both[1][id]
		switch {
		case second == nil:
			only[0] = append(only[0], id)
		case first == nil:
			only[1] = append(only[1], id)
		default:
			text, err := returnDiff(a, first, second)
			if err != nil {
				return nil, err
			}
			if text == "" {
				same = append(same, id)
			} else {
				changed.Set(id, text)
			}
		}
	}
	out := wire.NewMap()
	if changed.Len() > 0 {
		out.Set("changed", changed)
	}
	if len(same) > 0 {
		out.Set("same", same)
	}
	for i, jid := range []string{a.JID, a.Other} {
		if len(only[i]) > 0 {
			out.Set("only in "+jid, only[i])
		}
	}
	return out, nil
}

// returnDiff is a unified diff of two returns, "" where they are the same.
func returnDiff(a jobsDiffArgs, first, second *wire.Map) (string, error) {
	texts := [2]string{diffable(first), diffable(second)}
	if texts[0] == texts[1] {
		return "", nil
	}
	text, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{A: diffLines(texts[0]), B: diffLines(texts[1]),
		FromFile: a.JID, ToFile: a.Other, Context: a.Context})
	return strings.TrimSuffix(text, "\n"), err
}

// diffable is a return as text: its value, data in YAML, and its exit code where
// that is not 0.
func diffable(load *wire.Map) string {
	v, _ := load.Get("return")
	text, ok := v.(string)
	if !ok {
		text = pytext.YAML(withoutTimes(v), 2, false)
	}
	if code, _ := load.Get("retcode"); code != nil && code != int64(0) {
		text = strings.TrimSuffix(text, "\n") + "\nretcode: " + pytext.Str(code) + "\n"
	}
	return text
}

// withoutTimes leaves out of the results of states when and how long each ran, which
// is never the same twice.
func withoutTimes(v any) any {
	m, ok := v.(*wire.Map)
	if !ok || m.Len() == 0 {
		return v
	}
	out := wire.NewMap()
	for k, e := range m.All() {
		name, _ := k.(string)
		state, ok := e.(*wire.Map)
		if strings.Count(name, "_|-") != 3 || !ok {
			return v
		}
		state = state.Clone()
		state.Delete("start_time")
		state.Delete("duration")
		out.Set(name, state)
	}
	return out
}

// diffLines cuts a text into lines that all end with a line break.
func diffLines(text string) []string {
	lines := strings.SplitAfter(text, "\n")
	if last := len(lines) - 1; lines[last] == "" {
		return lines[:last]
	}
	lines[len(lines)-1] += "\n"
	return lines
}
