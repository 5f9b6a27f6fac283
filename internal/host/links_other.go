//go:build !linux

package host

import "os"

const noFollow = 0

func (h *Host) pin(name string, final bool) (path string, done func(), err error) {
	if final {
		name = h.Real(name)
	}
	return h.Path(name), func() {}, nil
}

// Safe tells whether root may write to a path, or why not. It is for Linux.
func (h *Host) Safe(string, bool) error { return nil }

// Follow is Real for what is about to be written.
func (h *Host) Follow(name string) (string, error) { return h.Real(name), nil }

func setMode(path string, mode uint32) error { return os.Chmod(path, fileMode(mode)) }
