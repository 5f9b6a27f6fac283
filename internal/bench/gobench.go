package main

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/lazyre"
)

// benchLine is a line of go test -bench: the name, how often, then values with units.
var benchLine = lazyre.New(`(?m)^Benchmark\S*\s+\d+\s+(.*)$`)

// goBench runs a benchmark of a package and returns its metrics by their units.
func (b *bench) goBench(pkg, name, times string) (map[string]float64, error) {
	cmd := exec.CommandContext(b.ctx, "go", "test", "-run", "^$", "-bench", "^"+name+"$", "-benchtime", times, "-timeout", "20m", pkg)
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s of %s: %w: %.300s", name, pkg, err, append(out, problems.Bytes()...))
	}
	m := benchLine.FindSubmatch(out)
	if m == nil {
		return nil, fmt.Errorf("%s of %s printed no figures: %.300q", name, pkg, out)
	}
	metrics := map[string]float64{}
	w := strings.Fields(string(m[1]))
	for i := 0; i+1 < len(w); i += 2 {
		v, err := strconv.ParseFloat(w[i], 64)
		if err != nil {
			return nil, fmt.Errorf("%s of %s: %q: a number is expected", name, pkg, w[i])
		}
		metrics[w[i+1]] = v
	}
	return metrics, nil
}

// sls measures from the text of an SLS file to its data, and the same with the compiler
// of states around it, to low data.
func (b *bench) sls() error {
	var errs []error
	for _, p := range []struct{ what, pkg, name string }{
		{"an SLS of 200 lines, from text to data", "./internal/render", "BenchmarkSLS"},
		{"an SLS of 200 lines, from text to low data", "./states/compile", "BenchmarkSLS"},
	} {
		m, err := b.goBench(p.pkg, p.name, "500x")
		if err != nil {
			errs = append(errs, err)
			continue
		}
		b.add(Figure{What: p.what, Unit: "ms", Value: m["ns/op"] / 1e6, Goal: 1, Notes: fmt.Sprintf("%.0f lines", m["lines"])})
	}
	return errors.Join(errs...)
}

// jobs measures the master's job store when it is full.
func (b *bench) jobs() error {
	m, err := b.goBench("./master/jobs", "BenchmarkMillion", "1x")
	if err != nil {
		return err
	}
	b.add(Figure{What: "job store: 1,000,000 returns stored, per second", Unit: "returns", Value: m["returns/s"], Notes: fmt.Sprintf("%.0f bytes a return", m["bytes/return"])})
	b.add(Figure{What: "a job of 1,000 returns read from it", Unit: "ms", Value: m["ms/job-of-1000"], Notes: fmt.Sprintf("its newest 20 jobs: %.1f ms", m["ms/newest-20"])})
	b.add(Figure{What: "a tenth of it purged", Unit: "s", Value: m["s/purge"], Notes: fmt.Sprintf("%.0f jobs", m["jobs-purged"])})
	return nil
}
