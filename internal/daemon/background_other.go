//go:build !unix

package daemon

import (
	"errors"
	"os"
	"os/exec"

	"github.com/gosalt/gosalt/internal/config"
)

func isChild() bool { return false }

func startChild(p Program, _ []string) int {
	return fail(p, exitUsage, errors.New("-d is for Unix systems: run it as a service here"))
}

func reportChild(error) {}

func becomeUser(string, *config.Common) error { return nil }

func notifySystemd(string) {}

// become starts another program; this process then ends.
func become(argv []string) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	os.Exit(0)
	return nil
}
