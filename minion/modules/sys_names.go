package modules

import (
	_ "embed"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/render"
)

// runnerText are the names of the runners, one a line: they are in the master's program,
// and a test holds the list to it.
//
//go:embed runners.txt
var runnerText string

func runnerNames() []string { return strings.Fields(runnerText) }

// rendererDocs say what the renderers do.
var rendererDocs = map[string]string{
	"jinja": "Renders a text as a template of Jinja, with Salt's filters, and salt, grains, pillar and opts.",
	"yaml":  "Makes data of YAML, as Salt's loader reads it.",
	"json":  "Makes data of JSON.",
	"text":  "Leaves a text as it is.",
}

// rendererNames are the renderers of files on a minion.
func rendererNames(patterns []any) []string {
	names := []string{}
	for _, name := range render.New(render.Config{}).Renderers() {
		if len(patterns) == 0 || slices.ContainsFunc(patterns, func(p any) bool { s, ok := p.(string); return ok && globMatch(s, name) }) {
			names = append(names, name)
		}
	}
	return names
}
