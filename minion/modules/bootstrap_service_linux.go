package modules

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/internal/minionservice"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/systemd"
)

const (
	bootName = minionservice.Name
	bootBy   = "gosalt-ssh bootstrap"
)

type bootState int

const (
	bootDown   bootState = iota // not started, or starting
	bootUp                      // runs
	bootFailed                  // was started and has ended
)

// bootService is how a system runs the minion, now and after each boot.
type bootService interface {
	kind() string
	// install writes what the system needs, and tells whether that was not so.
	install(ctx context.Context, program string) (changed bool, err error)
	// start starts the minion, or starts it anew.
	start(ctx context.Context) error
	// state says how it is, and why it failed.
	state(ctx context.Context) (bootState, string)
	// log is the end of what it logged since then.
	log(ctx context.Context, since time.Time) []string
	// note is what is to be known of the service; "" is nothing.
	note() string
	// remove stops it, and undoes install. What is not there is no error.
	remove(ctx context.Context) error
}

// bootManager finds the way in which this machine runs services.
func (b *bootstrap) bootManager() (bootService, error) {
	switch {
	case systemd.Booted(func(p string) bool { _, err := os.Stat(p); return err == nil }):
		return &bootSystemd{b: b, unit: "/etc/systemd/system/" + bootName + ".service"}, nil
	case whichProgram("openrc-run") != "" && whichProgram("rc-service") != "":
		return &bootOpenRC{b: b, script: "/etc/init.d/" + bootName}, nil
	}
	return &bootPlain{b: b}, nil
}

// tool runs a program that has to succeed.
func (b *bootstrap) tool(ctx context.Context, what string, args ...string) error {
	out, err := runTool(ctx, b.c, program{args: args, fails: true, merge: true})
	if err != nil {
		return err
	}
	if !out.ok() {
		return module.Failf("%s: %s ended with code %d: %s", what, strings.Join(args, " "), out.code, out.text())
	}
	return nil
}

// keep makes a file of the service, and notes it.
func (b *bootstrap) keep(name, text string, mode os.FileMode) (bool, error) {
	b.record.Files = addOnce(b.record.Files, name)
	if err := b.record.write(); err != nil {
		return false, err
	}
	return b.write(name, text, mode)
}

// drop removes the files of the service.
func (b *bootstrap) drop() error {
	for _, name := range b.record.Files {
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return whyNot("the service cannot be removed", err)
		}
	}
	return nil
}

// endOf are the last lines of a log file, those since then.
func endOf(name string, since time.Time) []string {
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || st.ModTime().Before(since) {
		return nil
	}
	buf := make([]byte, min(st.Size(), 16<<10))
	n, _ := f.ReadAt(buf, st.Size()-int64(len(buf)))
	return lastTen(string(buf[:n]))
}

func lastTen(text string) []string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return lines[max(len(lines)-10, 0):]
}

// bootSystemd is a machine with systemd.
type bootSystemd struct {
	b    *bootstrap
	unit string
}

func (s *bootSystemd) kind() string { return "systemd" }
func (s *bootSystemd) note() string { return "" }

func (s *bootSystemd) install(ctx context.Context, program string) (bool, error) {
	changed, err := s.b.keep(s.unit, minionservice.Systemd(bootBy, program), 0o644)
	if err != nil {
		return false, err
	}
	if changed {
		if err := s.b.tool(ctx, "systemd does not read its units", "systemctl", "daemon-reload"); err != nil {
			return false, err
		}
	}
	u, err := runTool(ctx, s.b.c, quietly("systemctl", "is-enabled", bootName+".service"))
	if err == nil && u.ok() {
		return changed, nil
	}
	return true, s.b.tool(ctx, "the service cannot be enabled", "systemctl", "enable", "--quiet", bootName+".service")
}

func quietly(args ...string) program { return program{args: args, fails: true} }

func (s *bootSystemd) start(ctx context.Context) error {
	// A run of failures before this is over.
	_, _ = runTool(ctx, s.b.c, quietly("systemctl", "reset-failed", bootName+".service"))
	return s.b.tool(ctx, "the service cannot be started", "systemctl", "restart", bootName+".service")
}

func (s *bootSystemd) state(ctx context.Context) (bootState, string) {
	out, err := runTool(ctx, s.b.c, quietly("systemctl", "show", "-p", "ActiveState", "-p", "SubState", "-p", "Result", "-p", "ExecMainStatus", bootName+".service"))
	if err != nil || !out.ok() {
		return bootDown, ""
	}
	p := map[string]string{}
	for line := range strings.Lines(out.out) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), "=")
		p[k] = v
	}
	switch {
	case p["ActiveState"] == "active":
		return bootUp, ""
	case p["ActiveState"] == "failed", p["SubState"] == "auto-restart":
		return bootFailed, fmt.Sprintf("%s, exit code %s", p["Result"], p["ExecMainStatus"])
	}
	return bootDown, ""
}

func (s *bootSystemd) log(ctx context.Context, since time.Time) []string {
	out, err := runTool(ctx, s.b.c, quietly("journalctl", "-u", bootName+".service", "-n", "10", "-o", "cat", "--no-pager", "--since", "@"+strconv.FormatInt(since.Unix(), 10)))
	if err != nil || !out.ok() || out.out == "" || strings.HasPrefix(out.out, "-- No entries") {
		return endOf(s.b.cfg.LogFile, since)
	}
	return lastTen(out.out)
}

func (s *bootSystemd) remove(ctx context.Context) error {
	if _, err := os.Stat(s.unit); err == nil {
		if err := s.b.tool(ctx, "the service cannot be stopped", "systemctl", "disable", "--now", "--quiet", bootName+".service"); err != nil {
			return err
		}
	}
	if err := s.b.drop(); err != nil {
		return err
	}
	_, _ = runTool(ctx, s.b.c, quietly("systemctl", "reset-failed", bootName+".service"))
	return s.b.tool(ctx, "systemd does not read its units", "systemctl", "daemon-reload")
}

// bootOpenRC is a machine with OpenRC: Alpine, Gentoo.
type bootOpenRC struct {
	b      *bootstrap
	script string
}

func (s *bootOpenRC) kind() string { return "OpenRC" }
func (s *bootOpenRC) note() string { return "" }

func (s *bootOpenRC) install(ctx context.Context, program string) (bool, error) {
	changed, err := s.b.keep(s.script, minionservice.OpenRC(bootBy, program), 0o755)
	if err != nil {
		return false, err
	}
	out, err := runTool(ctx, s.b.c, quietly("rc-update", "show", "default"))
	if err == nil && out.ok() && strings.Contains(out.out, bootName) {
		return changed, nil
	}
	return true, s.b.tool(ctx, "the service cannot be enabled", "rc-update", "add", bootName, "default")
}

func (s *bootOpenRC) start(ctx context.Context) error {
	return s.b.tool(ctx, "the service cannot be started", "rc-service", bootName, "restart")
}

func (s *bootOpenRC) state(ctx context.Context) (bootState, string) {
	out, err := runTool(ctx, s.b.c, quietly("rc-service", bootName, "status"))
	switch {
	case err != nil:
		return bootDown, ""
	case out.ok():
		return bootUp, ""
	case strings.Contains(out.out+out.err, "crashed"), strings.Contains(out.out+out.err, "unsupervised"):
		return bootFailed, out.text()
	}
	return bootDown, ""
}

func (s *bootOpenRC) log(_ context.Context, since time.Time) []string {
	return endOf(s.b.cfg.LogFile, since)
}

func (s *bootOpenRC) remove(ctx context.Context) error {
	if _, err := os.Stat(s.script); err == nil {
		if state, _ := s.state(ctx); state != bootDown {
			if err := s.b.tool(ctx, "the service cannot be stopped", "rc-service", bootName, "stop"); err != nil {
				return err
			}
		}
		_, _ = runTool(ctx, s.b.c, quietly("rc-update", "del", bootName, "default"))
	}
	return s.b.drop()
}

// bootPlain is a machine without any of them: the minion runs in the background, and cron
// starts it after a boot, where there is one.
type bootPlain struct {
	b       *bootstrap
	program string
}

const plainCron = "/etc/cron.d/" + bootName

func (s *bootPlain) kind() string { return "in the background" }

func (s *bootPlain) note() string {
	if s.cron() {
		return ""
	}
	return "this machine has neither systemd nor OpenRC nor cron: after a boot, start it with " + s.program + " -d"
}

// cron tells whether there is one that reads /etc/cron.d.
func (s *bootPlain) cron() bool {
	st, err := os.Stat(filepath.Dir(plainCron))
	return err == nil && st.IsDir() && (whichProgram("cron") != "" || whichProgram("crond") != "")
}

func (s *bootPlain) install(_ context.Context, program string) (bool, error) {
	s.program = program
	if !s.cron() {
		return false, nil
	}
	return s.b.keep(plainCron, fmt.Sprintf("# Written by %s.\n@reboot root %s -d -c %s\n", bootBy, program, config.DefaultDir), 0o644)
}

// pid is the minion's process; 0 where it does not run.
func (s *bootPlain) pid() int {
	if s.b.cfg == nil {
		return 0
	}
	b, err := os.ReadFile(s.b.cfg.PIDFile)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid < 2 {
		return 0
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	name, _, _ := strings.Cut(string(line), "\x00")
	if err != nil || filepath.Base(name) != "gosalt-minion" {
		return 0 // the number is another's now
	}
	return pid
}

func (s *bootPlain) start(ctx context.Context) error {
	if err := s.stop(ctx); err != nil {
		return err
	}
	// It is not to keep what the SSH session has in its environment.
	return s.b.tool(ctx, "the minion cannot be started", "env", "-i", "PATH="+searchPath(), "HOME=/root", s.program, "-d", "-c", config.DefaultDir)
}

func (s *bootPlain) stop(ctx context.Context) error {
	pid := s.pid()
	if pid == 0 {
		return nil
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return module.Failf("the minion cannot be stopped: %w", err)
	}
	end := time.Now().Add(15 * time.Second)
	for s.pid() == pid {
		if time.Now().After(end) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

func (s *bootPlain) state(context.Context) (bootState, string) {
	if s.pid() != 0 {
		return bootUp, ""
	}
	if s.program == "" {
		return bootDown, ""
	}
	return bootFailed, "it has ended"
}

func (s *bootPlain) log(_ context.Context, since time.Time) []string {
	return endOf(s.b.cfg.LogFile, since)
}

func (s *bootPlain) remove(ctx context.Context) error {
	if err := s.stop(ctx); err != nil {
		return err
	}
	return s.b.drop()
}
