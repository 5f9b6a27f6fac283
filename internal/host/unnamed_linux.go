package host

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// unnamed makes a file without a name in a directory, for path, as its errors tell: it is
// gone with who writes it, however that ends. Not every file system has them.
func unnamed(dir, path string) (*os.File, error) {
	if !procFD() {
		return nil, unix.EOPNOTSUPP // it could not get a name
	}
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

// giveName gives an unnamed file a name that nothing else has.
func giveName(f *os.File, name string) error {
	return unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", f.Fd()), unix.AT_FDCWD, name, unix.AT_SYMLINK_FOLLOW)
}
