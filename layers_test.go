package gosalt_test

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/gosalt/gosalt/"

// layers says what each part may import of ours, and why. The longest matching
// name counts. A new line here is a decision: make it visible in review.
var layers = map[string]struct {
	may []string
	why string
}{
	"protocol":          {[]string{"protocol"}, "the wire can be read, and used by others, alone"},
	"internal":          {[]string{"internal", "protocol"}, "tools that every part shares know none of the parts"},
	"internal/render":   {[]string{"internal", "protocol", "jinja"}, "Salt's files are templates"},
	"internal/bench":    {[]string{"internal", "protocol"}, "measures the programs from outside"},
	"internal/swarm":    {[]string{"internal", "protocol"}, "plays minions by the protocol alone"},
	"internal/gendocs":  {[]string{"cli", "internal", "master/runners", "minion/modules", "master/events", "master/jobs", "inventory"}, "prints the reference of everything"},
	"cli":               {[]string{"cli", "internal", "protocol"}, "the command line speaks to a master as anyone could"},
	"cli/output":        {[]string{"internal", "protocol"}, "the outputters serve out.* of the minions, too"},
	"internal/formulas": {[]string{"internal", "protocol", "jinja", "states", "minion/modules"}, "compiles formulas as a minion does"},
	"states":            {[]string{"states", "internal", "protocol", "jinja"}, "states run on a machine, whoever asked; they are compiled in the templates' data"},
	"jinja":             {nil, "complete in itself, importable by others"},
	"master":            {[]string{"master", "states", "internal", "protocol", "ssh", "inventory"}, "master and minion meet on the wire only"},
	"master/keys":       {[]string{"internal", "protocol"}, "subsystems of the master do not know one another"},
	"master/jobs":       {[]string{"master/jobs", "internal", "protocol"}, "likewise"},
	"master/audit":      {[]string{"internal", "protocol"}, "likewise"},
	"master/eauth":      {[]string{"internal", "protocol"}, "likewise"},
	"master/join":       {[]string{"internal", "protocol"}, "likewise"},
	"master/events":     {[]string{"internal", "protocol"}, "likewise"},
	"master/files":      {[]string{"master/files", "internal", "protocol"}, "likewise"},
	"master/vm":         {[]string{"inventory", "internal", "protocol"}, "machines come from the providers of the inventory; the master is an interface to it"},
	"master/pillar":     {[]string{"internal", "protocol"}, "likewise"},
	"master/runners":    {[]string{"master/jobs", "master/events", "master/vm", "inventory", "internal", "protocol"}, "runners read the job store; the rest of the master is an interface to them"},
	"minion":            {[]string{"minion", "states", "internal", "protocol"}, "master and minion meet on the wire only"},
	"minion/modules":    {[]string{"internal", "protocol", "jinja", "states", "minion/grains", "minion/schedule", "cli/output"}, "functions get what they may touch in their Call; of grains and schedule they know the forms; state.* compiles states; out.* shows data as the command line does"},
	"minion/schedule":   {[]string{"internal", "protocol"}, "knows the clock, and not what a minion does"},
	"inventory":         {[]string{"inventory", "internal", "protocol", "jinja"}, "names are templates; it finds machines for whoever asks: knows neither master nor SSH; its providers know nothing but their APIs"},
	"ssh":               {[]string{"ssh", "internal", "protocol"}, "reaches machines for whoever asks: knows neither master nor minion"},
	"cmd/gosalt":        {[]string{"cli", "master", "internal", "protocol", "ssh", "inventory", "minion/modules", "minion/grains"}, "wires the control side, where a runner (salt.cmd) may run a minion's function on the master's machine, and templates of pillars call them"},
	"cmd/gosalt-minion": {[]string{"cli", "minion", "internal", "protocol"}, "wires the machine side"},
}

type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
	Standard   bool
}

func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,Deps,Standard"}, args...)...).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var p pkg
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
	return pkgs
}

// within tells whether a package is the named one or below it.
func within(pkg, name string) bool { return pkg == name || strings.HasPrefix(pkg, name+"/") }

func TestLayers(t *testing.T) {
	for _, p := range list(t, "./...") {
		name, ours := strings.CutPrefix(p.ImportPath, module)
		if !ours {
			continue
		}
		rule := ""
		for r := range layers {
			if within(name, r) && len(r) > len(rule) {
				rule = r
			}
		}
		if rule == "" {
			t.Errorf("%s belongs to no layer: add it to the table", name)
			continue
		}
		for _, imp := range p.Imports {
			dep, ours := strings.CutPrefix(imp, module)
			if !ours || within(dep, rule) {
				continue
			}
			if !slices.ContainsFunc(layers[rule].may, func(m string) bool { return within(dep, m) }) {
				t.Errorf("%s imports %s: %s may not, as %s", name, dep, rule, layers[rule].why)
			}
		}
	}
}

// What a minion links too is a decision: no database, no cloud, nothing of the master.
// net/http is there, for 2.2 MB of program and 1.4 MB of memory: states name https://
// sources, and a minion fetches them itself.
func TestMinionStaysSmall(t *testing.T) {
	for _, p := range list(t, "./cmd/gosalt-minion") {
		for _, dep := range p.Deps {
			for _, no := range []string{module + "master", "zombiezen.com/go/sqlite", "modernc.org/sqlite", "github.com/aws", "github.com/jackc", "database/sql", "github.com/go-git"} {
				if within(dep, no) {
					t.Errorf("gosalt-minion links %s", dep)
				}
			}
		}
	}
}
