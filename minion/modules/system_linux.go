package modules

import (
	"time"

	"golang.org/x/sys/unix"
)

// setClock sets the clock of the running system.
func setClock(t time.Time) error {
	tv := unix.NsecToTimeval(t.UnixNano())
	return unix.Settimeofday(&tv)
}
