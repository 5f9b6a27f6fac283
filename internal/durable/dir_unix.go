//go:build unix

package durable

import "os"

// SyncDir flushes a directory, so that the names in it last.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// SyncData flushes the contents of an open file.
func SyncData(f *os.File) error { return dataSync(f) }
