//go:build unix

package main

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// hideToken starts this program again without the token among its arguments, which every
// user of the machine can read for as long as it runs: it is read from a pipe then. It
// returns where that cannot be done.
func hideToken(args []string, token string) {
	exe, err := os.Executable()
	if err != nil {
		return
	}
	r, w, err := os.Pipe()
	if err != nil {
		return
	}
	if _, err := w.WriteString(token + "\n"); err != nil { // a pipe holds that much
		return
	}
	w.Close()
	fd, err := unix.Dup(int(r.Fd())) // the copy stays open in the new program
	if err != nil {
		return
	}
	argv := []string{os.Args[0], "join"}
	for _, a := range args {
		if a == token {
			a = fmt.Sprintf("--token-file=/dev/fd/%d", fd)
		}
		argv = append(argv, a)
	}
	_ = syscall.Exec(exe, argv, os.Environ())
}
