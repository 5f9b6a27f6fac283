// Package testproc runs the real programs as processes of their own, for tests: a
// master and minions below one directory, each with its own configuration, ports
// and log, to be stopped, killed and started again.
//
// Build makes the programs, New a World for one test; World.Start starts a daemon in
// it and waits until it can be used.
package testproc

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// BinEnv names a directory with programs that are there already, to be tested
// instead of those built from the sources: an installation, a release.
const BinEnv = "GOSALT_BIN"

// Race tells whether the programs are built with the race detector: they are when the test is.
const Race = raceEnabled

var links = map[string][]string{
	"gosalt":        {"gosalt-master", "gosalt-key", "gosalt-run", "gosalt-cp", "gosalt-ssh"},
	"gosalt-minion": {"gosalt-call"},
}

// Build builds the programs into dir, with their links, and returns where they are:
// dir, or what BinEnv names.
//
// For programs with the race detector it takes a second's sleep out of each end: the
// detector waits for stragglers there, which a program that has a command's answer to
// print does not have.
func Build(dir string) (string, error) {
	if os.Getenv("GORACE") == "" {
		if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
			return "", err
		}
	}
	return build(dir, raceEnabled)
}

// BuildPlain is Build without the race detector, with which a program takes a quarter of a
// second of the processor to start: for tests that run hundreds of commands, and look at
// what these say or leave behind. Their daemons are to be those of Build.
func BuildPlain(dir string) (string, error) { return build(dir, false) }

func build(dir string, race bool) (string, error) {
	if bin := os.Getenv(BinEnv); bin != "" {
		return filepath.Abs(bin)
	}
	// The tag lets tests set a minion's clock wrong, see minion/clock_shift.go. What a debugger
	// needs would be a third of the programs, which are linked for every run of the tests, and
	// copied to machines.
	args := []string{"build", "-tags", "gosalt_clock", "-ldflags", "-s -w", "-o", dir + string(filepath.Separator)}
	env := append(os.Environ(), "CGO_ENABLED=0")
	if race {
		args = append(args, "-race")
		env = append(os.Environ(), "CGO_ENABLED=1")
	}
	for prog := range links {
		args = append(args, "github.com/gosalt/gosalt/cmd/"+prog)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	cmd := exec.Command("go", args...)
	cmd.Env = env
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return dir, Link(dir)
}

// Link gives the two programs in dir their further names.
func Link(dir string) error {
	for prog, names := range links {
		for _, name := range names {
			if err := os.Symlink(prog, filepath.Join(dir, name)); err != nil {
				return err
			}
		}
	}
	return nil
}
