//go:build unix && !linux

package host

import (
	"errors"
	"os/exec"
)

func startFrom(string, *exec.Cmd) (*exec.Cmd, error) { return nil, errors.ErrUnsupported }
