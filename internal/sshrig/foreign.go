//go:build linux

package sshrig

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// An emulator runs programs of another processor.
type emulator struct {
	path string
	head string // how its programs begin, as the kernel's binfmt_misc takes it
	mask string
}

func emulatorOf(arch string) emulator {
	if arch == "arm64" {
		return emulator{"/usr/bin/qemu-aarch64-static",
			`\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00`,
			`\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff`}
	}
	return emulator{path: "/nonexistent/qemu-" + arch}
}

// emulate has a command, and what it starts, run programs of another processor. The
// kernel is told so for a user namespace of their own, not for the whole system.
func emulate(cmd *exec.Cmd, arch string) {
	e := emulatorOf(arch)
	script := `mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc && printf %s "$1" > /proc/sys/fs/binfmt_misc/register && shift && exec "$@"`
	cmd.Args = append([]string{"sh", "-c", script, "sh", fmt.Sprintf(":gosalt:M:0:%s:%s:%s:F", e.head, e.mask, e.path)}, cmd.Args...)
	cmd.Path = "/bin/sh"
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	all := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 65536}}
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS
	cmd.SysProcAttr.UidMappings, cmd.SysProcAttr.GidMappings, cmd.SysProcAttr.GidMappingsEnableSetgroups = all, all, true
}

// needEmulator skips a test where programs of that processor cannot be run.
func needEmulator(t testing.TB, arch string) {
	t.Helper()
	e := emulatorOf(arch)
	if _, err := os.Stat(e.path); err != nil {
		t.Skipf("programs for %s cannot be run: %v; apt-get install qemu-user-static", arch, err)
	}
	if os.Getuid() != 0 {
		t.Skip("a user namespace with all users needs root")
	}
	cmd := exec.Command("true")
	emulate(cmd, arch)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("this kernel has no binfmt_misc for user namespaces (Linux 6.7 and later has): %v: %s", err, out)
	}
}
