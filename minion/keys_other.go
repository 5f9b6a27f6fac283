//go:build !unix

package minion

import "os"

// readPrivate reads a file; who may read it is up to the system's access lists.
func readPrivate(name string) ([]byte, error) { return os.ReadFile(name) }
