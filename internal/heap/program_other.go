//go:build !linux

package heap

func forgetProgram() {}
