package daemon

import (
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
)

// prepare sets what a process that holds keys should have: files that only their
// owner can read, no core dumps, and all the descriptors it may have.
func prepare(log *slog.Logger, kind string) {
	if kind == "minion" {
		// What jobs make is for the machine: Salt's minion has this mask as a daemon. Its own
		// files have modes that say who may read them.
		syscall.Umask(0o022)
	} else {
		syscall.Umask(0o077)
	}
	limitMemory()
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		log.Debug("core dumps could not be turned off", "error", err)
	}
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return
	}
	want := syscall.Rlimit{Cur: max(l.Max, 65536), Max: max(l.Max, 65536)}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &want); err != nil {
		l.Cur = l.Max
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
			log.Warn("the limit of open files could not be raised", "error", err)
		}
	}
}

// limitMemory tells the garbage collector what the control group allows, where
// GOMEMLIMIT does not: nine tenths of it, so that it works harder before the kernel
// ends the process.
func limitMemory() {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(own)) {
		path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if !ok {
			continue
		}
		for ; ; path = filepath.Dir(path) {
			b, err := os.ReadFile(filepath.Join("/sys/fs/cgroup", path, "memory.max"))
			if n, nerr := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && nerr == nil {
				debug.SetMemoryLimit(n / 10 * 9)
				return
			}
			if path == "/" || path == "." {
				return
			}
		}
	}
}
