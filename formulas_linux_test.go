package gosalt_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/testmachine"
	"go.yaml.in/yaml/v4"
)

// TestFormulasApplied applies public formulas, each twice, to a machine with gosalt and to
// an equal one with the real Salt 3006: the results, comments and changes are the same,
// what test=True has told is what the runs do, and in the end the machines are the same.
// GOSALT_FORMULAS names a directory with the formulas, NAME-formula each, and in debs/ the
// Debian packages that they install, with all that those need and this system lacks
// (apt-get install --download-only gets them), and their index Packages (dpkg-scanpackages
// -m . >Packages); SALT_TREES the Salt. testdata/formulas.yaml says which formulas, with
// which pillar. What came of it is in docs/formulas.md.
func TestFormulasApplied(t *testing.T) {
	dir := os.Getenv("GOSALT_FORMULAS")
	if dir == "" || salt3006() == nil {
		t.Skip("GOSALT_FORMULAS names no directory of formulas, or SALT_TREES no Salt 3006")
	}
	testmachine.Need(t)
	b, err := os.ReadFile(filepath.Join("testdata", "formulas.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var all struct {
		Groups map[string][]struct {
			Formula string            `yaml:"formula"`
			SLS     []string          `yaml:"sls"`
			Pillar  string            `yaml:"pillar"`
			File    string            `yaml:"pillar_file"` // of the formula, as its pillar
			Before  string            `yaml:"before"`
			Apart   map[string]string `yaml:"apart"`
			// Unforeseen are tags of states whose end test=True cannot tell before the
			// first run, with the reason; Again before the second.
			Unforeseen map[string]string `yaml:"unforeseen"`
			Again      map[string]string `yaml:"again"`
		} `yaml:"groups"`
		Prepare string            `yaml:"prepare"`
		Mask    map[string]string `yaml:"mask"`
		Ignore  []string          `yaml:"ignore"`
	}
	if err := yaml.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	for name, group := range all.Groups {
		t.Run(name, func(t *testing.T) {
			tree := t.TempDir()
			sc := machineScenario{foretold: true, reload: true, Systemd: true, Any: true, Tree: tree, Mask: all.Mask, Ignore: all.Ignore,
				bind: map[string]string{filepath.Join(dir, "debs"): "/srv/repo"}}
			sc.Steps = append(sc.Steps, machineStep{Run: all.Prepare})
			top := "base: {'*': [empty"
			formula := ""
			for _, f := range group {
				from := filepath.Join(dir, f.Formula+"-formula")
				if _, err := os.Stat(from); err != nil {
					t.Logf("%s is not there", from)
					continue
				}
				copyFiles(t, filepath.Join(from, f.Formula), filepath.Join(tree, "states", f.Formula))
				pillar := []byte(f.Pillar)
				if f.File != "" {
					if pillar, err = os.ReadFile(filepath.Join(from, f.File)); err != nil {
						t.Fatal(err)
					}
				}
				if len(pillar) > 0 {
					writeFile(t, filepath.Join(tree, "pillar", f.Formula+".sls"), pillar)
					top += ", " + f.Formula
				}
				if f.SLS == nil {
					f.SLS = []string{f.Formula}
				}
				if f.Before != "" {
					sc.Steps = append(sc.Steps, machineStep{Run: f.Before})
				}
				step := machineStep{SLS: fmt.Sprintf("# %s\ninclude: [%s]\n", f.Formula, strings.Join(f.SLS, ", ")), Apart: f.Apart}
				again := step
				step.Unforeseen, again.Unforeseen = f.Unforeseen, f.Again
				sc.Steps = append(sc.Steps, step, again)
			}
			writeFile(t, filepath.Join(tree, "pillar", "top.sls"), []byte(top+"]}\n"))
			writeFile(t, filepath.Join(tree, "pillar", "empty.sls"), []byte("{}\n"))
			sc.tell = func(step machineStep, got json.RawMessage) {
				formula = strings.TrimPrefix(strings.SplitN(step.SLS, "\n", 2)[0], "# ")
				var results map[string]struct {
					Result  any            `json:"result"`
					Comment any            `json:"comment"`
					Changes map[string]any `json:"changes"`
				}
				if err := json.Unmarshal(got, &results); err != nil {
					t.Logf("%s: no results: %.2000s", formula, got)
					return
				}
				var changed, failed int
				for tag, r := range results {
					if r.Result == false {
						failed++
						t.Logf("%s fails: %v", tag, r.Comment)
					}
					if len(r.Changes) > 0 {
						changed++
					}
				}
				t.Logf("%s: %d states, %d changed, %d failed", formula, len(results), changed, failed)
			}
			runScenario(t, sc, filepath.Join(tree, "no recording"))
		})
	}
}

func writeFile(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// copyFiles copies the files of a tree, and what links in it lead to; one that is not there
// has none.
func copyFiles(t *testing.T, from, to string) {
	t.Helper()
	if _, err := os.Stat(from); err != nil {
		return
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", "-rL", from+"/.", to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
