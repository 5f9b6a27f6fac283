package keys

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"
	"time"
)

// changeTime returns when the inode changed last, and its number.
func changeTime(fi fs.FileInfo) (time.Time, uint64) {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return time.Unix(st.Ctim.Unix()), st.Ino
	}
	return fi.ModTime(), 0
}

// checkOwner refuses what belongs neither to root nor to the user of this process.
// Root itself takes what belongs to anyone: it works beside a daemon of another user.
func checkOwner(fi fs.FileInfo, path, mend string) error {
	st, ok := fi.Sys().(*syscall.Stat_t)
	euid := os.Geteuid()
	if !ok || euid == 0 || st.Uid == 0 || int(st.Uid) == euid {
		return nil
	}
	return fmt.Errorf("%s belongs to user %s, this process runs as %s; mend it with: %s %s %s",
		path, userName(int(st.Uid)), userName(euid), mend, userName(euid), path)
}

func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return strconv.Itoa(uid)
}

// groupTrusted tells whether a file's group is one of this process's own.
func groupTrusted(fi fs.FileInfo) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	if int(st.Gid) == os.Getegid() {
		return true
	}
	groups, err := os.Getgroups()
	if err != nil {
		return false
	}
	for _, g := range groups {
		if int(st.Gid) == g {
			return true
		}
	}
	return false
}
