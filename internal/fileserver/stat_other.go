//go:build !linux

package fileserver

import "io/fs"

func statList(fi fs.FileInfo) []int64 { return plainStat(fi) }

func identity(fi fs.FileInfo) string { return plainIdentity(fi) }

func sameDir(fs.FileInfo) any { return nil }
