package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// formula compiles the apache formula to low data, with its pillar.example, by a program
// without a master. What a test.ping takes is left out on both sides, so that Salt's long
// start does not count. FORMULAS names a folder with the formula in it.
func (b *bench) formula() error {
	folder := os.Getenv("FORMULAS")
	if folder == "" {
		return fmt.Errorf("left out: FORMULAS is to name a folder that holds apache-formula, of github.com/saltstack-formulas")
	}
	dir, err := filepath.Abs(filepath.Join(folder, "apache-formula"))
	if err != nil {
		return err
	}
	example, err := os.ReadFile(filepath.Join(dir, "pillar.example"))
	if err != nil {
		return err
	}
	notes := map[string]string{}
	f := Figure{What: "apache-formula to low data, processor without that of a test.ping, median", Unit: "ms"}
	err = b.both(f, func(t tools, name string, tries int) (float64, error) {
		s, err := b.site("formula-" + name)
		if err != nil {
			return 0, err
		}
		pillar := filepath.Join(s.dir, "pillar")
		if err := os.MkdirAll(pillar, 0o700); err != nil {
			return 0, err
		}
		for file, text := range map[string]string{"top.sls": "base:\n  '*': [p]\n", "p.sls": string(example)} {
			if err := os.WriteFile(filepath.Join(pillar, file), []byte(text), 0o600); err != nil {
				return 0, err
			}
		}
		processor := func(fun ...string) (float64, error) {
			var all []float64
			for range min(tries, 7) {
				args := append([]string{"-c", s.minionDir(), "--local", "--file-root", dir, "--pillar-root", pillar, "--out", "json"}, fun...)
				cmd := t.command(b.ctx, "salt-call", args...)
				if out, err := cmd.Output(); err != nil || fun[0] != "test.ping" && len(out) < 10_000 {
					return 0, fmt.Errorf("%v printed %.200q: %w", fun, out, err)
				}
				u := cmd.ProcessState.SysUsage().(*syscall.Rusage)
				all = append(all, float64(u.Utime.Sec+u.Stime.Sec)*1e3+float64(u.Utime.Usec+u.Stime.Usec)/1e3)
			}
			slices.Sort(all)
			return all[len(all)/2], nil
		}
		ping, err := processor("test.ping")
		if err != nil {
			return 0, err
		}
		whole, err := processor("state.show_low_sls", "apache")
		notes[name] = fmt.Sprintf("%s: %.0f ms with its start", name, whole)
		return whole - ping, err
	})
	if err == nil {
		last := &b.figures[len(b.figures)-1]
		if last.Peer != nil {
			last.Notes += fmt.Sprintf("%.0f times; %s; ", *last.Peer/last.Value, notes["salt"])
		}
		last.Notes += notes["ours"]
	}
	return err
}
