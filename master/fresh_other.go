//go:build !linux

package master

import (
	"os"
	"path/filepath"
	"time"

	"github.com/gosalt/gosalt/master/keys"
	"github.com/gosalt/gosalt/protocol/wire"
)

// acceptedAt is when a minion's key file was last written.
func acceptedAt(pkiDir string, id wire.MinionID) time.Time {
	st, err := os.Stat(filepath.Join(pkiDir, string(keys.Accepted), string(id)))
	if err != nil {
		return time.Time{}
	}
	return st.ModTime()
}
