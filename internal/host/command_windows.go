package host

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// group is the job object that holds a command and whatever it starts.
type group struct {
	job windows.Handle
	pid int
}

// startGroup starts a command and puts it into a job object.
func startGroup(cmd *exec.Cmd) (*group, error) {
	attr(cmd).CreationFlags |= windows.CREATE_NEW_PROCESS_GROUP
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return nil, fmt.Errorf("make a job object: %w", err)
	}
	info := windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{}
	info.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_BREAKAWAY_OK
	_, err = windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)))
	if err != nil {
		_ = windows.CloseHandle(job)
		return nil, fmt.Errorf("set up a job object: %w", err)
	}
	if err := cmd.Start(); err != nil {
		_ = windows.CloseHandle(job)
		return nil, err
	}
	g := &group{job: job, pid: cmd.Process.Pid}
	p, err := windows.OpenProcess(windows.PROCESS_SET_QUOTA|windows.PROCESS_TERMINATE, false, uint32(g.pid))
	if err == nil {
		err = windows.AssignProcessToJobObject(job, p)
		_ = windows.CloseHandle(p)
	}
	if err != nil && cmd.ProcessState == nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = windows.CloseHandle(job)
		return nil, fmt.Errorf("put the command into its job object: %w", err)
	}
	return g, nil
}

func start(cmd *exec.Cmd) error { return cmd.Start() }

// signal asks the command to end: there are no other signals on this system.
func (g *group) signal(int) { g.terminate() }

func (g *group) terminate() {
	_ = windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, uint32(g.pid))
}
func (g *group) kill()  { _ = windows.TerminateJobObject(g.job, 1) }
func (g *group) close() { _ = windows.CloseHandle(g.job) }

// detach lets a command outlive us: without our console, outside of our job.
func detach(cmd *exec.Cmd) {
	attr(cmd).CreationFlags |= windows.DETACHED_PROCESS | windows.CREATE_NEW_PROCESS_GROUP
}

func attr(cmd *exec.Cmd) *syscall.SysProcAttr {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	return cmd.SysProcAttr
}

// runAs fails: Windows wants the user's password or token for it.
func runAs(cmd *exec.Cmd, u *User) error {
	return fmt.Errorf("run as user %s: not available in gosalt on Windows yet", u.Name)
}

// withUmask changes nothing: Windows has no such mask.
func withUmask(mask int, file string, args []string) (string, []string) { return file, args }

func exitCode(s *os.ProcessState) int {
	if s == nil {
		return -1
	}
	return s.ExitCode()
}

func executable(file string) error {
	st, err := os.Stat(file)
	if err != nil {
		return err
	}
	if st.IsDir() {
		return os.ErrPermission
	}
	return nil
}

// programExtensions are what may follow a program's name: those of PATHEXT, or
// nothing where the name has one already.
func programExtensions(name string) []string {
	list := strings.Split(os.Getenv("PATHEXT"), ";")
	if len(list) == 1 && list[0] == "" {
		list = []string{".com", ".exe", ".bat", ".cmd"}
	}
	for _, e := range list {
		if strings.EqualFold(filepath.Ext(name), e) {
			return []string{""}
		}
	}
	return list
}
