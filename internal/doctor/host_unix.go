//go:build linux || darwin

package doctor

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func statDisk(dir string) (diskSpace, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return diskSpace{}, err
	}
	s := diskSpace{free: fs.Bavail * uint64(fs.Bsize), total: fs.Blocks * uint64(fs.Bsize), files: fs.Files, freeFiles: fs.Ffree}
	s.readOnly = readOnly(&fs)
	if st, err := os.Stat(dir); err == nil {
		if sys, ok := st.Sys().(*syscall.Stat_t); ok {
			s.dev = uint64(sys.Dev)
		}
	}
	return s, nil
}

func maxFiles() (uint64, error) {
	var l unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l)
	return l.Cur, err
}
