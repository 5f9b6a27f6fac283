package modules

import "golang.org/x/sys/unix"

// statFS asks the kernel for the size of the file system that a path is on.
func statFS(path string) (fsSize, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return fsSize{}, err
	}
	size := uint64(s.Frsize)
	if size == 0 {
		size = uint64(s.Bsize)
	}
	out := fsSize{blockSize: size, blocks: s.Blocks, free: s.Bfree, available: s.Bavail, files: s.Files, freeFiles: s.Ffree, nameMax: int64(s.Namelen)}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err == nil {
		out.device = uint64(st.Dev)
	}
	return out, nil
}
