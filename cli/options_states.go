package cli

import (
	"os"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/optparse"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

const groupStates = "Runs of states"

// StatesOptions are gosalt's own options for functions that run states.
type StatesOptions struct {
	Plan    string   // --plan: file to save the plan in
	Explain []string // --explain: ids of states
	Profile bool     // --profile
	JUnit   string   // --junit: file of the report
	SARIF   string   // --sarif: file of what slsutil.lint has found
}

func (s *StatesOptions) declare(p *optparse.Parser) {
	g := p.Add(groupStates,
		optparse.Text(&s.Plan, "plan", "--plan").Metavar("FILE").
			Help("Change nothing: show what would be done, and save it as a plan in this file. state.apply_plan FILE carries out exactly that, or refuses and says what has changed since."),
		optparse.List(&s.Explain, "explain", "--explain").Metavar("ID").
			Help("Tell after the results why the states of this id or name ran, or did not. May be given again."),
		optparse.Flag(&s.Profile, "profile", "--profile").
			Help("Tell after the results where the time went: pillar, compilation, files, states, and the ten slowest of these."),
		optparse.Text(&s.JUnit, "junit", "--junit").Metavar("FILE").
			Help("Write the results to this file as a JUnit report, for CI: a suite for each minion, a test for each state."),
		optparse.Text(&s.SARIF, "sarif", "--sarif").Metavar("FILE").
			Help("With slsutil.lint: write the findings to this file in the format SARIF as well, for code hosts and editors."),
	)
	g.Description = "For state.apply and its kin. Salt's commands do not have these, and Salt's minions know none but --junit."
}

// stateFunctions are those that take report=, and of which --plan makes plans.
var stateFunctions = []string{"state.apply", "state.sls", "state.highstate", "state.top", "state.sls_id", "state.single", "state.high", "state.template", "state.template_str"}

// prepare changes a job so that it does what the options ask for.
func (s *StatesOptions) prepare(o *CommonOptions, c *Compound) error {
	if c.Many || len(c.Funs) != 1 {
		if s.Plan != "" || s.Profile || len(s.Explain) > 0 || s.JUnit != "" || s.SARIF != "" {
			return o.Errorf("--plan, --explain, --profile, --junit and --sarif are for one function: state.apply, say")
		}
		return nil
	}
	fun := c.Funs[0]
	if s.SARIF != "" {
		if fun != "slsutil.lint" {
			return o.Errorf("--sarif is for slsutil.lint, not for %s", fun)
		}
		c.Args[0] = append(c.Args[0], wire.NewMap("__kwarg__", true, "format", "report"))
	}
	switch {
	case fun == "state.apply_plan":
		if s.Plan != "" {
			return o.Errorf("--plan makes a plan, and %s carries one out: name its file as the argument", fun)
		}
		if err := readPlanArg(o, c); err != nil {
			return err
		}
	case s.Plan == "" && !s.Profile && len(s.Explain) == 0:
		return nil
	case !slices.Contains(stateFunctions, fun):
		return o.Errorf("--plan, --explain and --profile are for functions that run states (%s), not for %s", strings.Join(stateFunctions, ", "), fun)
	}
	var report []any
	if s.Profile {
		report = append(report, "profile")
	}
	for _, id := range s.Explain {
		report = append(report, "explain:"+id)
	}
	if report != nil {
		c.Args[0] = append(c.Args[0], wire.NewMap("__kwarg__", true, "report", report))
	}
	if s.Plan != "" {
		c.Funs[0], c.Args[0] = "state.plan", append([]any{fun}, c.Args[0]...)
	}
	return nil
}

// maxPlan is the size of the largest file of plans.
const maxPlan = 256 << 20

// readPlanArg puts the plans in place of the name of their file, where that is on this
// machine; else the minions look for it on theirs.
func readPlanArg(o *CommonOptions, c *Compound) error {
	if len(c.Args[0]) == 0 {
		return o.Errorf("state.apply_plan: name the file that --plan has written")
	}
	name, ok := c.Args[0][0].(string)
	if !ok || strings.Contains(name, "://") {
		return nil
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil
	}
	if info.Size() > maxPlan {
		return o.Errorf("%s: a plan of %d bytes is too large (%d)", name, info.Size(), maxPlan)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return o.Errorf("the plan cannot be read: %v", err)
	}
	v, err := pytext.ParseJSON(string(b))
	if err != nil {
		return o.Errorf("%s is not a plan: %v", name, err)
	}
	m, ok := v.(*wire.Map)
	if !ok || !m.Has("gosalt_plan") {
		return o.Errorf("%s is not a plan: it has no gosalt_plan", name)
	}
	c.Args[0][0] = m
	return nil
}
