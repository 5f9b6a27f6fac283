//go:build !unix

package control

import (
	"errors"
	"io/fs"
	"net"
)

func shortName(name string) (string, func(), error) { return name, func() {}, nil }

func listen(string, fs.FileMode) (net.Listener, error) {
	return nil, errors.New("a master runs on Unix systems only")
}
