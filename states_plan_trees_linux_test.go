package gosalt_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/testmachine"
	"go.yaml.in/yaml/v4"
)

// TestPlanTrees saves plans of the first tree of scenarios of TestMachines, whose states
// follow on one another, and carries them out: what was planned is done, all of it, and
// nothing else.
func TestPlanTrees(t *testing.T) {
	t.Parallel()
	testmachine.Need(t)
	for _, name := range []string{"accounts_first", "file_text", "system_more"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile("testdata/machine/" + name + ".yaml")
			if err != nil {
				t.Fatal(err)
			}
			var sc machineScenario
			if err := yaml.Unmarshal(text, &sc); err != nil {
				t.Fatal(err)
			}
			s := &machineSide{t: t, m: testmachine.New(t, testmachine.Options{Name: "machine", Bind: map[string]string{bin: "/opt/gosalt"}})}
			s.prepare(sc)
			var step machineStep
			for _, step = range sc.Steps {
				if step.SLS != "" {
					break
				}
				s.shell(step.Run)
			}
			s.m.Write("/srv/salt/step.sls", step.SLS)
			call := func(args ...string) map[string]toldState {
				t.Helper()
				r := s.m.Try("", append([]string{"/opt/gosalt/gosalt-call", "--local", "--out=json", "-l", "quiet"}, args...)...)
				var out struct{ Local map[string]toldState }
				if err := json.Unmarshal([]byte(r.Stdout), &out); err != nil {
					t.Fatalf("%q: %v: %s%s", args, err, r.Stdout, r.Stderr)
				}
				return out.Local
			}
			plan := call("state.apply", "step", "--plan", "/root/plan")
			done := call("state.apply_plan", "/root/plan")
			if len(done) == 0 || len(done) != len(plan) {
				t.Errorf("%d states are planned, %d carried out", len(plan), len(done))
			}
			changed := 0
			for tag, did := range done {
				if len(did.Changes) > 0 {
					changed++
				}
				p, ok := plan[tag]
				switch {
				case !ok || strings.Contains(did.String(), "Not done, because"):
					t.Errorf("%s\nplanned %v\ndone    %v", tag, p, did)
				case step.Unforeseen[tag] == "" && !p.would() && len(did.Changes) > 0 && !(p.failed() && mustJSON(p.Changes) == mustJSON(did.Changes)):
					t.Errorf("%s was not planned\nplanned %v\ndone    %v", tag, p, did)
				}
			}
			if changed < 10 {
				t.Errorf("%d states changed something", changed)
			}
		})
	}
}
