//go:build unix

package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// group is the process group of a running command.
type group struct{ id int }

// startGroup starts a command as the leader of a new process group.
func startGroup(cmd *exec.Cmd) (*group, error) {
	attr(cmd).Setpgid = true
	if err := start(cmd); err != nil {
		return nil, err
	}
	return &group{id: cmd.Process.Pid}, nil
}

// start starts a command, again when its file is busy: a program written just now
// is open in every process that was started meanwhile, until that runs its own
// program (golang.org/issue/22315).
func start(cmd *exec.Cmd) error {
	for wait := time.Millisecond; ; wait *= 2 {
		try := *cmd
		err := try.Start()
		if err == nil {
			*cmd = try
			return nil
		}
		if errors.Is(err, syscall.EACCES) && attr(cmd).Credential != nil && attr(cmd).Chroot == "" && cmd.Dir != "" {
			if from, ferr := startFrom(cmd.Dir, cmd); ferr == nil {
				*cmd = *from
				return nil
			}
			return err
		}
		if !errors.Is(err, syscall.ETXTBSY) || wait > 200*time.Millisecond {
			return err
		}
		time.Sleep(wait)
	}
}

func (g *group) terminate() { _ = syscall.Kill(-g.id, syscall.SIGTERM) }
func (g *group) kill()      { _ = syscall.Kill(-g.id, syscall.SIGKILL) }
func (g *group) close()     {}

func (g *group) signal(sig int) { _ = syscall.Kill(-g.id, syscall.Signal(sig)) }

// detach lets a command outlive us: a session of its own, without a terminal.
func detach(cmd *exec.Cmd) { attr(cmd).Setsid = true }

func attr(cmd *exec.Cmd) *syscall.SysProcAttr {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	return cmd.SysProcAttr
}

// runAs gives the new process the user's ids. Nothing is done for who we are
// already, so that an ordinary user may name itself.
func runAs(cmd *exec.Cmd, u *User) error {
	if u.UID == os.Getuid() && u.GID == os.Getgid() && os.Getuid() != 0 {
		return nil
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("run as user %s: only root may change the user, we are uid %d", u.Name, os.Getuid())
	}
	cred := &syscall.Credential{Uid: uint32(u.UID), Gid: uint32(u.GID)}
	for _, g := range u.Groups {
		cred.Groups = append(cred.Groups, uint32(g))
	}
	attr(cmd).Credential = cred
	return nil
}

// withUmask runs a program through a shell that sets the mask and becomes it: the
// mask of this process belongs to all its goroutines, and must not change.
func withUmask(mask int, file string, args []string) (string, []string) {
	set := fmt.Sprintf(`umask %04o && exec "$@"`, mask&0o777)
	return "/bin/sh", append([]string{"/bin/sh", "-c", set, args[0], file}, args[1:]...)
}

// exitCode is the exit code, or minus the signal, as Python's subprocess has it.
func exitCode(s *os.ProcessState) int {
	if s == nil {
		return -1
	}
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return -int(w.Signal())
	}
	return s.ExitCode()
}

func executable(file string) error {
	st, err := os.Stat(file)
	if err != nil {
		return err.(*fs.PathError).Err
	}
	if st.IsDir() {
		return syscall.EACCES
	}
	if err := unix.Access(file, unix.X_OK); err != nil {
		return err
	}
	return nil
}

func programExtensions(string) []string { return []string{""} }
