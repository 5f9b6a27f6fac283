//go:build !unix

package host

import "os"

// newDraftDir makes the directory of a process's drafts.
func newDraftDir() (dir string, held *os.File, err error) {
	dir, err = os.MkdirTemp("", draftPrefix)
	return dir, nil, err
}
