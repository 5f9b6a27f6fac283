package modules

import (
	"io/fs"
	"slices"
	"strconv"
)

// numbers are the names of directory entries that are numbers, sorted.
func numbers(entries []fs.DirEntry) []int {
	var out []int
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}
