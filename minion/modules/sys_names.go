package modules

import (
	_ "embed"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/render"
	"github.com/gosalt/gosalt/protocol/wire"
)

// runnerText are the runners, one a line, each with its arguments as JSON: they are in
// the master's program, and a test holds the list to it.
//
//go:embed runners.txt
var runnerText string

func runnerNames() (names []string) {
	for line := range strings.Lines(runnerText) {
		name, _, _ := strings.Cut(line, "\t")
		names = append(names, name)
	}
	return names
}

// runnerSpecs are the arguments of the runners that a pattern names.
func runnerSpecs(pattern string) (*wire.Map, error) {
	specs := wire.NewMap()
	for line := range strings.Lines(runnerText) {
		name, text, _ := strings.Cut(line, "\t")
		if !nameMatches(pattern, name) {
			continue
		}
		spec, err := pytext.ParseJSON(text)
		if err != nil {
			return nil, module.Failf("runners.txt: %s: %w", name, err)
		}
		specs.Set(name, spec)
	}
	return specs, nil
}

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
