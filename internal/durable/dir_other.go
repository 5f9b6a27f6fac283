//go:build !unix

package durable

import "os"

// SyncDir does nothing: these systems cannot, and order a rename all the same.
func SyncDir(string) error { return nil }

// SyncData flushes the contents of an open file.
func SyncData(f *os.File) error { return f.Sync() }
