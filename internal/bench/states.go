package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// stateTree writes SLS files: five, 500 managed files of ten lines; big, 3,000 states of
// which each requires the one before; gone, 3,000 files that are to be removed.
func stateTree(dir, out string) error {
	if err := os.MkdirAll(filepath.Join(dir, "f"), 0o700); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "gone"), 0o700); err != nil {
		return err
	}
	var five, big, gone strings.Builder
	for i := range 500 {
		fmt.Fprintf(&five, "%s/f%d:\n  file.managed:\n    - source: salt://f/%d\n    - makedirs: True\n    - mode: '0644'\n", out, i, i)
		text := strings.Repeat(fmt.Sprintf("a line of the file number %d\n", i), 10)
		if err := os.WriteFile(filepath.Join(dir, "f", fmt.Sprint(i)), []byte(text), 0o600); err != nil {
			return err
		}
	}
	for i := range 3000 {
		fmt.Fprintf(&big, "s%d:\n  test.nop:\n    - name: n%d\n", i, i)
		if i > 0 {
			fmt.Fprintf(&big, "    - require: [{test: s%d}]\n", i-1)
		}
		there := filepath.Join(dir, "gone", fmt.Sprint(i))
		if err := os.WriteFile(there, nil, 0o600); err != nil {
			return err
		}
		fmt.Fprintf(&gone, "%s: {file.absent: []}\n", there)
	}
	for name, text := range map[string]string{"five.sls": five.String(), "big.sls": big.String(), "gone.sls": gone.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// states measures runs without a master: what is not changed, what is, what is large.
func (b *bench) states() error {
	type result struct{ seconds, own, mem float64 }
	once := func(t tools, s *site, tree, sls string, more ...string) (r result, err error) {
		cmd := t.command(b.ctx, "salt-call", "-c", s.minionDir(), "--local", "--file-root", tree, "--retcode-passthrough", "--out", "quiet", "state.apply", sls)
		cmd.Args = append(cmd.Args, more...)
		began := time.Now()
		out, err := cmd.CombinedOutput()
		r.seconds = time.Since(began).Seconds()
		if err != nil {
			return r, fmt.Errorf("state.apply %s: %w: %.300s", sls, err, bytes.TrimSpace(out))
		}
		u := cmd.ProcessState.SysUsage().(*syscall.Rusage)
		r.own = float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
		r.mem = float64(u.Maxrss) / 1024
		return r, nil
	}
	kinds := []struct {
		what, sls string
		clean     bool // what is there is removed before each run
		goal      float64
		args      []string
	}{
		{"state.apply of 500 file.managed, nothing to change, median", "five", false, 100, nil},
		{"state.apply of 500 file.managed, all new, median", "five", true, 0, nil},
		{"state.apply of 3,000 states, each requires the one before, median", "big", false, 0, nil},
		{"state.apply test=True of 3,000 file.absent, median", "gone", false, 0, []string{"test=True"}},
	}
	measure := func(t tools, name string, tries int) ([]result, error) {
		s, err := b.site("states-" + name)
		if err != nil {
			return nil, err
		}
		tree, out := filepath.Join(s.dir, "tree"), filepath.Join(s.dir, "out")
		if err := stateTree(tree, out); err != nil {
			return nil, err
		}
		var medians []result
		for _, k := range kinds {
			if _, err := once(t, s, tree, k.sls, k.args...); err != nil { // the first one makes the files
				return nil, err
			}
			var all []result
			for range tries {
				if k.clean {
					if err := os.RemoveAll(out); err != nil {
						return nil, err
					}
				}
				r, err := once(t, s, tree, k.sls, k.args...)
				if err != nil {
					return nil, err
				}
				all = append(all, r)
			}
			slices.SortFunc(all, func(a, b result) int { return int((a.seconds - b.seconds) * 1e6) })
			medians = append(medians, all[len(all)/2])
		}
		return medians, nil
	}
	ours, err := measure(b, "ours", 5)
	if err != nil {
		return err
	}
	var theirs []result
	note := ""
	if b.peer != nil {
		if theirs, err = measure(b.peer, "salt", 3); err != nil {
			note = "; Salt was not measured: " + err.Error()
		}
	}
	for i, k := range kinds {
		f := Figure{What: k.what, Unit: "ms", Value: ours[i].seconds * 1000, Goal: k.goal, Notes: fmt.Sprintf("%.0f ms of processor, %.0f MB at most%s", ours[i].own*1000, ours[i].mem, note)}
		if theirs != nil {
			v := theirs[i].seconds * 1000
			f.Peer = &v
			f.Notes += fmt.Sprintf("; Salt: %.0f ms, %.0f MB", theirs[i].own*1000, theirs[i].mem)
		}
		b.add(f)
	}
	return nil
}
