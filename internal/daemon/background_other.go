//go:build !unix

package daemon

import (
	"errors"

	"github.com/gosalt/gosalt/internal/config"
)

func isChild() bool { return false }

func startChild(p Program, _ []string) int {
	return fail(p, exitUsage, errors.New("-d is for Unix systems: run it as a service here"))
}

func reportChild(error) {}

func becomeUser(string, *config.Common) error { return nil }

func notifySystemd(string) {}
