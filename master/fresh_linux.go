package master

import (
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gosalt/gosalt/master/keys"
	"github.com/gosalt/gosalt/protocol/wire"
)

// acceptedAt is when a minion's key came into its place among the accepted ones.
func acceptedAt(pkiDir string, id wire.MinionID) time.Time {
	st, err := os.Stat(filepath.Join(pkiDir, string(keys.Accepted), string(id)))
	if err != nil {
		return time.Time{}
	}
	if s, ok := st.Sys().(*syscall.Stat_t); ok {
		return time.Unix(s.Ctim.Unix())
	}
	return st.ModTime()
}
