//go:build unix

package daemon

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
	"time"

	"github.com/gosalt/gosalt/internal/config"
	"golang.org/x/sys/unix"
)

// childEnv marks a process that was started in the background; its value is the
// descriptor on which it says that it is ready, or what went wrong.
const childEnv = "GOSALT_DAEMON_FD"

// readyWithin is how long a start in the background may take: a first start makes keys,
// and a minion waits for its master no longer than this.
const readyWithin = 10 * time.Second

func isChild() bool { return os.Getenv(childEnv) != "" }

// startChild starts this program again in a session of its own, and waits until it
// is ready, has failed, or has been given enough time.
func startChild(p Program, args []string) int {
	exe, err := os.Executable()
	if err != nil {
		return fail(p, exitGeneric, err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return fail(p, exitGeneric, err)
	}
	defer r.Close()
	cmd := exec.Command(exe)
	cmd.Args = append([]string{os.Args[0]}, args...)
	cmd.Env = append(os.Environ(), childEnv+"=3")
	cmd.ExtraFiles = []*os.File{w}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if wd, err := os.Getwd(); err == nil {
		cmd.Dir = wd // relative paths in the options mean what they meant
	}
	if err := cmd.Start(); err != nil {
		return fail(p, exitGeneric, err)
	}
	w.Close()
	r.SetReadDeadline(time.Now().Add(readyWithin))
	b, err := io.ReadAll(io.LimitReader(r, 64<<10))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return 0 // it lives, and goes on trying
	}
	if len(b) > 0 && b[0] == '+' {
		return 0
	}
	fmt.Fprintf(os.Stderr, "%s: error: %s\n", p.Name, b)
	if err := cmd.Wait(); err != nil {
		var ee *exec.ExitError
		if errors.As(err, &ee) && ee.ExitCode() > 0 {
			return ee.ExitCode()
		}
	}
	return exitGeneric
}

// reportChild tells the process that waits for this one how the start went.
func reportChild(err error) {
	fd, aerr := strconv.Atoi(os.Getenv(childEnv))
	if aerr != nil {
		return
	}
	os.Unsetenv(childEnv)
	f := os.NewFile(uintptr(fd), "ready")
	defer f.Close()
	if err != nil {
		io.WriteString(f, err.Error())
		return
	}
	io.WriteString(f, "+")
	if null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0); err == nil {
		for fd := range 3 {
			unix.Dup2(int(null.Fd()), fd)
		}
		null.Close()
	}
}

// become replaces this process by another program; it returns only if that fails.
func become(argv []string) error {
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return err
	}
	return syscall.Exec(path, argv, os.Environ())
}

// becomeUser changes to the user that the option or the configuration names.
func becomeUser(name string, c *config.Common) error {
	if name == "" {
		name = c.User
	}
	if name == "" {
		return nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return fmt.Errorf("option user: %w", err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return fmt.Errorf("option user: %w", err)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return fmt.Errorf("option user: %w", err)
	}
	if uid == os.Geteuid() {
		return nil
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("cannot run as user %s: %w; start it as root or as %s", name, os.ErrPermission, name)
	}
	var groups []int
	if ids, err := u.GroupIds(); err == nil {
		for _, s := range ids {
			if n, err := strconv.Atoi(s); err == nil {
				groups = append(groups, n)
			}
		}
	}
	if err := syscall.Setgroups(groups); err != nil {
		return fmt.Errorf("become user %s: %w", name, err)
	}
	if err := syscall.Setgid(gid); err != nil {
		return fmt.Errorf("become user %s: %w", name, err)
	}
	if err := syscall.Setuid(uid); err != nil {
		return fmt.Errorf("become user %s: %w", name, err)
	}
	os.Setenv("HOME", u.HomeDir)
	os.Setenv("USER", u.Username)
	return nil
}

// notifySystemd speaks sd_notify's protocol, where systemd started this process.
func notifySystemd(state string) {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return
	}
	if name[0] == '@' {
		name = "\x00" + name[1:]
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return
	}
	defer c.Close()
	c.Write([]byte(state))
}
