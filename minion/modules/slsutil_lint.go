package modules

import (
	"context"
	"maps"
	"slices"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/internal/version"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states/compile"
)

func init() { register("slsutil.lint", slsutilLint) }

type slsutilLintArgs struct {
	Target  any    `default:"None"` // Names of SLS or patterns, separated by commas or as a list; all by default.
	Saltenv string `default:"base"` // Environment.
	Format  string `default:"text"` // text, or sarif: what code hosts and editors read; report is both, for --sarif.
}

// slsutilLint looks for mistakes in SLS files before anything runs: templates that cannot be
// rendered, requisites that name nothing, IDs that come twice, states and arguments that
// there are not (with the nearest right one), tabs, modes that are no octal numbers. The
// exit code is 1 with errors; warnings alone leave it 0.
//
//	gosalt-call --local slsutil.lint
//	gosalt-call --local slsutil.lint 'web*' saltenv=dev
//	gosalt-call --local slsutil.lint --sarif lint.sarif
func slsutilLint(ctx context.Context, c *module.Call, a slsutilLintArgs) (any, error) {
	if !slices.Contains([]string{"text", "sarif", "report"}, a.Format) {
		return nil, module.Invalidf("format is text, sarif or report, not %q", a.Format)
	}
	files, err := fileServer(c)
	if err != nil {
		return nil, err
	}
	all, err := compile.ListStates(ctx, files, a.Saltenv)
	if err != nil {
		return nil, err
	}
	names := all
	if patterns := splitInput(a.Target); len(patterns) > 0 {
		names = nil
		for _, p := range patterns {
			some := false
			for _, n := range all {
				if target.Fnmatch(p, n) {
					names, some = append(names, n), true
				}
			}
			if !some {
				return nil, module.Failf("No matching sls found for '%s' in env '%s'", p, a.Saltenv)
			}
		}
	} else {
		names = slices.DeleteFunc(slices.Clone(all), func(n string) bool { return n == "top" })
	}
	cfg := compile.FromCall(c, compile.CallOptions{Saltenv: a.Saltenv})
	cfg.ConfigDefaults = configDefaults()
	found, err := compile.Lint(ctx, cfg, a.Saltenv, names, States())
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(found, func(f compile.Finding) bool { return !f.Warning }) {
		c.SetRetcode(exitCompile)
	}
	if a.Format == "sarif" {
		return sarif(found), nil
	}
	lines := make([]any, len(found))
	for i, f := range found {
		lines[i] = f.String()
	}
	if a.Format == "report" {
		return wire.NewMap("gosalt_report", int64(1), "results", lines, "sarif", sarif(found)), nil
	}
	return lines, nil
}

// sarif is the findings in the Static Analysis Results Interchange Format, version 2.1.0.
func sarif(found []compile.Finding) *wire.Map {
	rules := []any{}
	index := map[string]int64{}
	for _, name := range slices.Sorted(maps.Keys(compile.Rules)) {
		index[name] = int64(len(rules))
		rules = append(rules, wire.NewMap("id", name, "shortDescription", wire.NewMap("text", compile.Rules[name])))
	}
	results := []any{}
	for _, f := range found {
		level := "error"
		if f.Warning {
			level = "warning"
		}
		physical := wire.NewMap("artifactLocation", wire.NewMap("uri", f.At.File))
		if f.At.Line > 0 {
			region := wire.NewMap("startLine", int64(f.At.Line))
			if f.At.Column > 0 {
				region.Set("startColumn", int64(f.At.Column))
			}
			physical.Set("region", region)
		}
		results = append(results, wire.NewMap("ruleId", f.Rule, "ruleIndex", index[f.Rule], "level", level,
			"message", wire.NewMap("text", f.Msg), "locations", []any{wire.NewMap("physicalLocation", physical)}))
	}
	driver := wire.NewMap("name", "gosalt slsutil.lint", "version", version.Gosalt(), "rules", rules)
	return wire.NewMap("$schema", "https://json.schemastore.org/sarif-2.1.0.json", "version", "2.1.0",
		"runs", []any{wire.NewMap("tool", wire.NewMap("driver", driver), "results", results)})
}
