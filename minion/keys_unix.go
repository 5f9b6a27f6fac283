//go:build unix

package minion

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// readPrivate reads a file that nobody else may read.
func readPrivate(name string) ([]byte, error) {
	st, err := os.Stat(name)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("read the minion's key: %w; run the minion as the user whose pki_dir that is, or give the directories below root_dir to user %d", err, os.Geteuid())
	}
	if err != nil {
		return nil, err
	}
	if st.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("the private key %s can be read by others (mode %04o): make it private with: chmod 400 %s", name, st.Mode().Perm(), name)
	}
	if u, ok := st.Sys().(*syscall.Stat_t); ok && int(u.Uid) != os.Geteuid() && os.Geteuid() != 0 {
		return nil, fmt.Errorf("the private key %s belongs to user %d, not to the user %d that runs the minion: run it as that user, or chown the file", name, u.Uid, os.Geteuid())
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read the minion's key: %w", err)
	}
	return b, nil
}
