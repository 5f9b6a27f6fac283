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
	const valid = 0x20 // ST_VALID: the kernel's own mark, which statvfs(3) takes out
	return wire.NewMap("f_bavail", int64(st.Bavail), "f_bfree", int64(st.Bfree), "f_blocks", int64(st.Blocks),
		"f_bsize", int64(st.Bsize), "f_favail", int64(st.Ffree), "f_ffree", int64(st.Ffree), "f_files", int64(st.Files),
		"f_flag", int64(st.Flags)&^valid, "f_frsize", int64(st.Frsize), "f_namemax", int64(st.Namelen)), nil
}
