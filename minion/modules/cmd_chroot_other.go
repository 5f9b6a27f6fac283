//go:build !linux

package modules

func init() { planned("It needs Linux.", "cmd.run_chroot") }
