package durable

import (
	"os"
	"syscall"
)

// dataSync leaves out what of the inode is not needed to read the contents back.
func dataSync(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); err != syscall.EINTR {
			return err
		}
	}
}
