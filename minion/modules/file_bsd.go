//go:build unix && !linux

package modules

import (
	"golang.org/x/sys/unix"

	"github.com/gosalt/gosalt/protocol/wire"
)

func statvfs(path string) (*wire.Map, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return nil, err
	}
	return wire.NewMap("f_bavail", int64(st.Bavail), "f_bfree", int64(st.Bfree), "f_blocks", int64(st.Blocks),
		"f_bsize", int64(st.Iosize), "f_favail", int64(st.Ffree), "f_ffree", int64(st.Ffree), "f_files", int64(st.Files),
		"f_flag", int64(st.Flags), "f_frsize", int64(st.Bsize), "f_namemax", int64(255)), nil
}
