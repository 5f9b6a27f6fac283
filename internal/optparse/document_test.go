package optparse

import (
	"os/exec"
	"strings"
	"testing"
)

func TestMarkdown(t *testing.T) {
	md := exampleParser(&example{}).Markdown()
	for _, want := range []string{
		"# tool\n\n    tool [options] <word> [more]\n",
		"| `-t TIMEOUT, --timeout=TIMEOUT` | Seconds to wait. Default: 5. |\n",
		"## Output Options\n\nChoose how results look.\n",
	} {
		if !strings.Contains(md, want) {
			t.Errorf("no %q in\n%s", want, md)
		}
	}
}

func TestMan(t *testing.T) {
	man := exampleParser(&example{}).Man("1.2", ".SH EXIT STATUS\n0")
	for _, want := range []string{
		".SH NAME\ntool \\- A tool made up", ".TP\n.B \\-s, \\-\\-static\nWait for all.\n", ".SS Output Options\n", ".SH EXIT STATUS\n0\n",
	} {
		if !strings.Contains(man, want) {
			t.Errorf("no %q in\n%s", want, man)
		}
	}
}

// TestCompletion runs the script where there is a bash.
func TestCompletion(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("needs bash")
	}
	script := exampleParser(&example{}).Completion()
	for _, c := range []struct{ words, want string }{
		{"tool --st", "--static"},
		{"tool -l d", "debug"},
		{"tool --out-in", "--out-indent"},
	} {
		out, err := exec.Command(bash, "-c", script+`
COMP_WORDS=(`+c.words+`); COMP_CWORD=$((${#COMP_WORDS[@]}-1)); _tool; echo "${COMPREPLY[*]}"`).CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != c.want {
			t.Errorf("%s completes to %q, %v", c.words, got, err)
		}
	}
}
