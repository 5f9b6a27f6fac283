package jobs

import (
	"errors"
	"os"

	"github.com/gosalt/gosalt/internal/durable"
)

// claim makes this process the owner of the store, unless another is.
func claim(path string) (owner bool, release func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return false, nil, err
	}
	owner, err = durable.TryLock(f)
	if err != nil {
		return false, nil, errors.Join(err, f.Close())
	}
	if !owner {
		return false, func() {}, f.Close()
	}
	return true, func() { f.Close() }, nil // closing gives up the lock
}
