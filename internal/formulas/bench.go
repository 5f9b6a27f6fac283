package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/internal/fileclient"
	"github.com/gosalt/gosalt/states/compile"
)

// measure compiles one SLS of a formula under one scenario again and again, to low data,
// and prints the mean times. The first time, in which templates are parsed, stands by
// itself.
func measure(folder, expected, grainsFile, formula, scenario, sls string, n int) error {
	rec, err := readRecording(filepath.Join(expected, formula+".json"))
	if err != nil {
		return err
	}
	grains, err := readMap(grainsFile)
	if err != nil {
		return err
	}
	s := rec.Scenarios[scenario]
	if s == nil {
		return fmt.Errorf("%s has no scenario %s", formula, scenario)
	}
	cache, err := os.MkdirTemp("", "gosalt-formulas-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(cache)
	opts := config.DefaultMinion().Opts()
	opts.Set("id", minionID)
	opts.Set("file_client", "local")
	opts.Set("local_state", true)
	dir := filepath.Join(folder, formula)
	if grains, err = s.grains(grains); err != nil {
		return err
	}
	sc := &scene{rec: rec, name: scenario, s: s, grains: grains, opts: opts, r: &result{},
		files: fileclient.NewDirs(map[string][]string{"base": rec.roots(dir)}, cache)}
	rec.Scenarios, s.SLS, s.Managed = nil, nil, nil // what lies about costs the garbage collector time
	runtime.GC()
	ctx := context.Background()
	if err := sc.compilePillar(ctx, dir); err != nil {
		return err
	}
	var first, rest, cpu time.Duration
	chunks := 0
	for i := range n + 1 {
		began, used := time.Now(), processorTime()
		c, err := sc.compiler(ctx)
		if err != nil {
			return err
		}
		high, errs, err := c.SLS(ctx, compile.NewMatches("base", sls))
		if err != nil {
			return err
		}
		if errs = append(errs, c.High(high)...); len(errs) > 0 {
			return errs
		}
		chunks = len(c.Low(ctx, high))
		if took := time.Since(began); i == 0 {
			first = took
		} else {
			rest += took
			cpu += processorTime() - used
		}
	}
	fmt.Printf("%s %s under %s: %d states; the first time %v, then %v each, of which processor %v\n",
		formula, sls, scenario, chunks, first.Round(10*time.Microsecond), (rest / time.Duration(n)).Round(10*time.Microsecond), (cpu / time.Duration(n)).Round(10*time.Microsecond))
	return nil
}
