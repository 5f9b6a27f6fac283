package doctor

import (
	"errors"

	"golang.org/x/sys/unix"
)

func readOnly(fs *unix.Statfs_t) bool { return fs.Flags&unix.MNT_RDONLY != 0 }

func openFiles() uint64 { return 0 }

func clockSynced() (bool, error) { return false, errors.ErrUnsupported }

// PortOwner names the program that listens on a port; it is not known here.
func PortOwner(int) string { return "" }
