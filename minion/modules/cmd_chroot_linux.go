package modules

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() { register("cmd.run_chroot", cmdRunChroot, module.Positional(orderRunChroot)) }

type cmdRunChrootArgs struct {
	Root string // Directory that the command takes for /.
	Cmd  any    // Command line for the shell in there: /bin/bash where there is one, else /bin/sh.
	cmdOptions
	// Directories of this machine that are seen under the same path in there.
	Binds []string `default:"None" arg:"binds,kw"`
}

// cmdRunChroot runs a command below another root directory, with /dev, /proc and
// /sys mounted there as long as it runs, and returns what cmd.run_all does. What
// still runs in there afterwards is ended. Mounts that were there before stay.
//
//	gosalt '*' cmd.run_chroot /var/lib/lxc/container/rootfs 'sh /tmp/bootstrap.sh'
func cmdRunChroot(ctx context.Context, c *module.Call, a cmdRunChrootArgs) (ret *wire.Map, err error) {
	if st, err := os.Stat(a.Root); !filepath.IsAbs(a.Root) || err != nil || !st.IsDir() {
		return nil, module.Failf("root '%s' either not absolute or does not exist", a.Root)
	}
	program, err := host.LookPath("chroot", searchPath(), "/")
	if err != nil {
		return nil, module.NoCommandf("chroot")
	}
	mounted, err := mountChroot(a.Root, a.Binds)
	defer func() {
		endChroot(c, a.Root)
		if uerr := unmountAll(mounted); uerr != nil && err == nil {
			ret, err = nil, module.Failf("leave the root %s: %w", a.Root, uerr)
		}
	}()
	if err != nil {
		return nil, err
	}
	line := []string{program}
	if a.Runas != "" {
		line = append(line, "--userspec", a.Runas+":"+a.Group)
	}
	shell := "/bin/sh"
	if st, err := os.Stat(filepath.Join(a.Root, "bin/bash")); err == nil && st.Mode().IsRegular() {
		shell = "/bin/bash"
	}
	line = append(line, a.Root, shell, shellFlag, commandLine(a.Cmd))
	o := a.cmdOptions
	no := false
	o.PythonShell, o.Runas, o.Group = &no, "", ""
	if c.Runas != "" { // only root may change the root
		own := *c
		own.Runas, c = "", &own
	}
	result, err := runCommand(ctx, c, anyList(line), o, false)
	if err != nil {
		return nil, err
	}
	if a.HideOutput {
		result.Stdout, result.Stderr = "", ""
	}
	return result.toMap(), nil
}

// mountChroot mounts what is not mounted yet, and returns what it did even when it
// fails half-way.
func mountChroot(root string, binds []string) (mounted []string, err error) {
	type mount struct {
		source, target, kind string
		flags                uintptr
	}
	list := []mount{
		{"devtmpfs", "/dev", "devtmpfs", 0}, {"proc", "/proc", "proc", 0}, {"sysfs", "/sys", "sysfs", 0},
	}
	for _, b := range binds {
		list = append(list, mount{b, b, "", unix.MS_BIND})
	}
	for _, m := range list {
		target := filepath.Join(root, filepath.Join("/", m.target))
		if isMounted(target) {
			continue
		}
		if err := os.MkdirAll(target, 0o755); err != nil {
			return mounted, module.Failf("make the mount point %s: %w", target, err)
		}
		if err := unix.Mount(m.source, target, m.kind, m.flags, ""); err != nil {
			return mounted, module.Failf("mount %s on %s: %w", m.source, target, err)
		}
		mounted = append(mounted, target)
	}
	return mounted, nil
}

func isMounted(target string) bool {
	real, err := filepath.EvalSymlinks(target)
	if err != nil {
		return false
	}
	table, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return false
	}
	for line := range strings.SplitSeq(string(table), "\n") {
		if f := strings.Fields(line); len(f) > 1 && unescapeMount(f[1]) == real {
			return true
		}
	}
	return false
}

// unescapeMount reads the octal escapes of /proc/self/mounts (fstab(5)).
func unescapeMount(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func unmountAll(mounted []string) error {
	var errs []error
	for _, target := range slices.Backward(mounted) {
		if err := unix.Unmount(target, 0); err != nil {
			errs = append(errs, module.Failf("unmount %s: %w", target, err))
		}
	}
	return errors.Join(errs...)
}

// endChroot ends what still runs below a root: asked three times, then killed.
func endChroot(c *module.Call, root string) {
	for i := range 6 {
		pids := chrootPids(root)
		if len(pids) == 0 {
			return
		}
		sig := unix.SIGTERM
		if i >= 3 {
			sig = unix.SIGKILL
		}
		for _, pid := range pids {
			_ = unix.Kill(pid, sig) // it may have ended by itself
		}
		time.Sleep(50 * time.Millisecond)
	}
	if pids := chrootPids(root); len(pids) > 0 {
		c.Log.Error("processes below the root could not be killed: it stays mounted", "root", root, "pids", pytext.Repr(pidList(pids)))
	}
}

func pidList(pids []int) []any {
	out := make([]any, len(pids))
	for i, p := range pids {
		out[i] = int64(p)
	}
	return out
}

// chrootPids are the processes whose root directory is root or below it.
func chrootPids(root string) []int {
	real, err := filepath.EvalSymlinks(root)
	if err != nil || real == "/" {
		return nil
	}
	links, err := filepath.Glob("/proc/[0-9]*/root")
	if err != nil {
		return nil
	}
	var pids []int
	for _, l := range links {
		target, err := os.Readlink(l)
		if err != nil || target != real && !strings.HasPrefix(target, real+"/") {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(l))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
