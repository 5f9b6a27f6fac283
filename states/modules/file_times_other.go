//go:build !linux

package modules

import (
	"io/fs"
	"time"
)

// fileTime is the time of a file's last change, where there is no other.
func fileTime(fi fs.FileInfo, _ string) time.Time { return fi.ModTime() }
