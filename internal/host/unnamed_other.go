//go:build !linux

package host

import (
	"errors"
	"os"
)

func unnamed(string, string) (*os.File, error) { return nil, errors.ErrUnsupported }

func giveName(*os.File, string) error { return errors.ErrUnsupported }
