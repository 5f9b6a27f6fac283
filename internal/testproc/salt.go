package testproc

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Salt is a source tree of the real Salt, extracted somewhere outside of the repository.
type Salt struct {
	Version string // "3006.18"
	tree    string
}

// Salts finds the trees that SALT_TREES names (separated by colons); each folder's
// name ends in its version. SALT_SHIM may name a folder with modules that the trees
// want beside them. Without SALT_TREES there are none.
func Salts() []Salt {
	var all []Salt
	for _, tree := range filepath.SplitList(os.Getenv("SALT_TREES")) {
		version := strings.TrimLeft(filepath.Base(tree), "abcdefghijklmnopqrstuvwxyz-")
		all = append(all, Salt{version, tree})
	}
	return all
}

// Tree is the folder with its sources.
func (s Salt) Tree() string { return s.tree }

// Command is a call of one of Salt's programs: "salt-key".
func (s Salt) Command(prog string, args ...string) *exec.Cmd {
	cmd := exec.Command("/usr/bin/python3", append([]string{"-W", "ignore", filepath.Join(s.tree, "scripts", prog)}, args...)...)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+s.tree+":"+os.Getenv("SALT_SHIM"), "PYTHONDONTWRITEBYTECODE=1")
	return cmd
}

// SpawnSalt starts a daemon of the real Salt with the configuration written before.
// It cannot tell when it is ready.
func (w *World) SpawnSalt(name string, s Salt) (*Proc, error) {
	prog := "salt-minion"
	if IsMaster(name) {
		prog = "salt-master"
	}
	p, err := w.spawn(name, s.Command(prog, "-c", filepath.Join(w.Dir, name), "-l", "info"))
	if err != nil {
		return nil, fmt.Errorf("start %s of Salt %s: %w", prog, s.Version, err)
	}
	return p, nil
}

// EndTree ends the daemon with all its processes, as Salt's has many.
func (p *Proc) EndTree() error {
	if !p.Running() {
		return nil
	}
	killGroup(p.cmd.Process.Pid, false)
	if err := p.Wait(); err != nil {
		return err
	}
	killGroup(p.cmd.Process.Pid, true)
	return nil
}
