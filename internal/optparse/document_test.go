package optparse

import (
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
