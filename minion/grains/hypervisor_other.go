//go:build !amd64

package grains

// hypervisor is not told by these processors; files tell it.
func hypervisor() string { return "" }
