package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"time"
)

// profiling starts the processor profile of --enable-profiling, and returns what ends
// it: the file is for go tool pprof.
func profiling(io IO, on bool, dir string) (stop func(), err error) {
	if !on {
		return func() {}, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("--profiling-path: %w", err)
	}
	name := filepath.Join(dir, fmt.Sprintf("%s-%s-%d.pprof", io.Prog, time.Now().Format("20060102-150405"), os.Getpid()))
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("--profiling-path: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("--enable-profiling: %w", err)
	}
	return func() {
		pprof.StopCPUProfile()
		if err := f.Close(); err != nil {
			fmt.Fprintf(io.Err, "%s: error: the profile: %v\n", io.Prog, err)
			return
		}
		fmt.Fprintf(io.Err, "%s: the profile is in %s; look at it with: go tool pprof -http=: %s\n", io.Prog, name, name)
	}, nil
}
