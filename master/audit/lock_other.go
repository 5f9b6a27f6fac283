//go:build !unix

package audit

import "os"

// lockFile does nothing: one process writes a log here.
func lockFile(*os.File) error { return nil }

func unlockFile(*os.File) {}
