//go:build unix && !linux

package durable

import "os"

func dataSync(f *os.File) error { return f.Sync() }
