package host

import (
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// startFrom starts a command in a directory that we may enter, and the user that it runs as
// may not, as Salt does: package syscall changes the user first, and the directory then.
// The directory belongs to a thread of its own, which ends with the goroutine.
func startFrom(dir string, cmd *exec.Cmd) (*exec.Cmd, error) {
	try := *cmd
	try.Dir = ""
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and no unlocking: nobody else is to have this directory
		err := unix.Unshare(unix.CLONE_FS)
		if err == nil {
			err = unix.Chdir(dir)
		}
		if err == nil {
			err = try.Start()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		return nil, err
	}
	try.Dir = dir
	return &try, nil
}
