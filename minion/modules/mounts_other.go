//go:build !linux

package modules

// statFS cannot ask these systems.
func statFS(string) (fsSize, error) { return fsSize{}, linuxOnly("the size of a file system") }
