package gosalt_test

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"testing"
)

var foretell = flag.Bool("foretell", false, "TestMachines asks each single state for its plan, too, before it is carried out, and tells each failure that no plan has told")

// knowable is what states say that fail for want of a user, a group, a directory, a script,
// or a key that is one. Plans have to know that; how a command ends they cannot know.
var knowable = regexp.MustCompile(`(?i)\b(user|group)\b.*(is not available|does not exist|\bunknown\b|not present: )` +
	`|(parent|target) directory\b.*not present|directory not present|(symlink|hard link) is not present|no directory to create|invalid public ssh key|unable to cache script`)

// A foreteller holds what the steps of a scenario tell with test=True to what they do.
// Trees are asked for their plan before each run; single states where the scenario does
// (test: true), and all of them with -foretell.
type foreteller struct {
	t     *testing.T
	ours  *machineSide
	off   bool
	all   bool                            // tells each failure that no plan has told
	plans map[string]map[string]toldState // by step: what was told of the machine as it is now

	open []string // exceptions that no state has needed yet
	used map[string]bool
}

// toldState is a state's result, planned or done.
type toldState struct {
	Result  *bool          `json:"result"`
	Changes map[string]any `json:"changes"`
	Comment any            `json:"comment"`
	Num     int            `json:"__run_num__"`
}

// would tells whether a plan is to change something.
func (s toldState) would() bool { return s.Result == nil || *s.Result && len(s.Changes) > 0 }

func (s toldState) failed() bool { return s.Result != nil && !*s.Result }

func (s toldState) String() string {
	result := "None"
	if s.Result != nil {
		result = fmt.Sprint(*s.Result)
	}
	return fmt.Sprintf("%s, %v, changes %.300s", result, s.Comment, mustJSON(s.Changes))
}

// told are the results of a run by their tags; that of a single state by its function.
func told(step machineStep, raw json.RawMessage) map[string]toldState {
	var one toldState
	if step.State != nil {
		if json.Unmarshal(raw, &one) != nil {
			return nil
		}
		return map[string]toldState{fmt.Sprint(step.State["fun"]): one}
	}
	var all map[string]toldState
	if json.Unmarshal(raw, &all) != nil {
		return nil
	}
	return all
}

// planOf is a step with test=True, or without.
func planOf(step machineStep, test bool) machineStep {
	step.Test = test
	return step
}

// forget says that the machine is another one now.
func (f *foreteller) forget() { clear(f.plans) }

// before asks for the plan of a step that is to be carried out.
func (f *foreteller) before(step machineStep) {
	name := planOf(step, false)
	if f.off || step.Test || step.Call != nil || step.Files != nil || f.plans[name.label()] != nil || step.State != nil && !*foretell {
		return
	}
	f.ours.ask(planOf(step, true))
	f.keep(step)
}

func (f *foreteller) keep(step machineStep) {
	if f.plans == nil {
		f.plans = map[string]map[string]toldState{}
	}
	name := planOf(step, false)
	f.plans[name.label()] = told(step, f.ours.last)
}

// after takes what a step has come to.
func (f *foreteller) after(i int, step machineStep) {
	switch {
	case f.off || step.Call != nil || step.Files != nil:
		return
	case step.Test:
		f.keep(step)
		return
	}
	name := planOf(step, false)
	plan := f.plans[name.label()]
	f.forget()
	if plan == nil {
		return
	}
	for tag := range step.Unforeseen {
		f.open = append(f.open, tag)
	}
	done := told(step, f.ours.last)
	for _, tag := range slices.SortedFunc(maps.Keys(done), func(a, b string) int { return cmp.Compare(done[a].Num, done[b].Num) }) {
		did := done[tag]
		p, ok := plan[tag]
		wrong := ""
		switch changed := len(did.Changes) > 0; {
		case !ok && changed:
			wrong = "was not foretold"
		case !ok:
		case p.Result != nil && *p.Result && !p.would() && changed:
			wrong = "was to have nothing to do"
		case p.Result != nil && *p.Result && did.Result != nil && !*did.Result:
			wrong = "was not to fail"
		case p.Result == nil && did.Result != nil && !*did.Result && (f.all || knowable.MatchString(fmt.Sprint(did.Comment))):
			wrong = "was to change something, not to fail"
		case p.would() && did.Result != nil && *did.Result && !changed:
			wrong = "was to change something"
		case p.Result != nil && !*p.Result && (did.Result == nil || *did.Result):
			wrong = "was to fail"
		}
		switch {
		case wrong == "":
		case step.Unforeseen[tag] != "":
			if f.used == nil {
				f.used = map[string]bool{}
			}
			f.used[tag] = true
		default:
			f.t.Errorf("step %d: %s %s\nforetold %v\ndone     %v", i, tag, wrong, p, did)
		}
	}
}

// end fails for exceptions that no state needs.
func (f *foreteller) end() {
	for _, tag := range slices.Compact(slices.Sorted(slices.Values(f.open))) {
		if !f.used[tag] && !f.t.Failed() {
			f.t.Errorf("%s is named as unforeseen, and test=True tells what becomes of it", tag)
		}
	}
}
