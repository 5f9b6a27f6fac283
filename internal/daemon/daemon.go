// Package daemon is what gosalt-master and gosalt-minion have in common as programs:
// their options, logging, signals, pid file, background start and word to systemd.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/internal/heap"
	"github.com/gosalt/gosalt/internal/logs"
	"github.com/gosalt/gosalt/internal/optparse"
	"github.com/gosalt/gosalt/internal/version"
)

// Exit codes of daemons (sysexits.h, as Salt's).
const (
	exitGeneric = 1
	exitUsage   = 64
	exitConfig  = 64 // Salt has no code of its own for a bad configuration
	exitNoPerm  = 77
)

// Program is one daemon.
type Program struct {
	Name        string // as it was called: "gosalt-master"
	Kind        string // "master", "minion": the name of its configuration file
	Description string
	// Load reads the configuration in a directory.
	Load func(dir string) (*config.Common, []config.Problem, error)
	// New makes the daemon, Run of what it returns works until its context ends. ready is
	// to be called when it can be used.
	New func(log *slog.Logger, ready func()) (Runner, error)
	// Again says of what Run returned which program the process is to become then; nil
	// where it is to end. May be nil.
	Again func(err error) []string
}

// Runner is a daemon that has been made.
type Runner interface {
	Run(ctx context.Context) error
}

type options struct {
	configDir, user, pidFile, logLevel, logFile, logFileLevel string
	daemon, noKeepalive                                       bool
}

func (o *options) parser(p Program) *optparse.Parser {
	o.configDir = os.Getenv("SALT_CONFIG_DIR")
	if o.configDir == "" {
		o.configDir = config.DefaultDir
	}
	ps := &optparse.Parser{Prog: p.Name, Usage: "%prog [options]", Description: p.Description}
	ps.Add("",
		optparse.Action(func(*optparse.Parser) *optparse.Exit {
			return &optparse.Exit{Out: p.Name + " " + version.Text() + "\n"}
		}, "--version").Help("show program's version number and exit"),
		optparse.Action(func(ps *optparse.Parser) *optparse.Exit { return &optparse.Exit{Out: ps.Help()} }, "-h", "--help").Help("show this help message and exit"),
		optparse.Text(&o.configDir, "config_dir", "-c", "--config-dir").Help("Pass in an alternative configuration directory. Default: '%default'.").ShowDefault(o.configDir),
		optparse.Text(&o.user, "user", "-u", "--user").Help("Specify user to run "+p.Name+"."),
		optparse.Flag(&o.daemon, "daemon", "-d", "--daemon").Help("Run the "+p.Name+" as a daemon."),
		optparse.Text(&o.pidFile, "pidfile", "--pid-file").Metavar("PIDFILE").Help("Specify the location of the pidfile."),
		optparse.Flag(&o.noKeepalive, "no_keepalive", "--disable-keepalive").Help("Of no effect: there is no process that restarts this one; leave that to systemd."),
	)
	ps.Add("Logging Options",
		optparse.Choice(&o.logLevel, logs.Levels, "log_level", "-l", "--log-level").Help("Console logging log level. One of 'all', 'garbage', 'trace', 'profile', 'debug', 'info', 'warning', 'error', 'critical', 'quiet'. Default: 'warning'."),
		optparse.Text(&o.logFile, "log_file", "--log-file").Help("Log file path. Default: log_file of the configuration."),
		optparse.Choice(&o.logFileLevel, logs.Levels, "log_level_logfile", "--log-file-level").Help("Logfile logging log level. Default: as --log-level."),
	)
	return ps
}

// Parser is a daemon's option table, for its documents.
func Parser(p Program) *optparse.Parser { return new(options).parser(p) }

// Main runs a daemon's command line and returns the exit code. Where the daemon is to
// become another program it does not return.
func Main(p Program, args []string) int {
	var again []string
	code := run(p, args, &again)
	if again == nil {
		return code
	}
	err := become(again)
	return fail(p, exitGeneric, fmt.Errorf("restart as %q: %w", again, err))
}

// run is Main until what was opened is closed again.
func run(p Program, args []string, again *[]string) int {
	var o options
	if len(args) > 1 && args[0] == optparse.CompleteOption {
		return o.parser(p).AnswerShell(os.Stdout, args[1:], nil)
	}
	rest, err := o.parser(p).Parse(args)
	var exit *optparse.Exit
	if errors.As(err, &exit) {
		io.WriteString(os.Stdout, exit.Out)
		io.WriteString(os.Stderr, exit.Err)
		return exit.Code
	}
	if len(rest) > 0 {
		return fail(p, exitUsage, fmt.Errorf("no arguments are expected, got %q", rest))
	}
	if o.daemon && !isChild() {
		return startChild(p, args)
	}
	heap.Save(50) // memory matters more than the last bit of speed
	if _, err := os.Stat(o.configDir); err != nil {
		fmt.Fprintf(os.Stderr, "WARNING: CONFIG '%s' directory does not exist.\n", o.configDir)
	}
	common, problems, err := p.Load(o.configDir)
	report(p, problems)
	if err != nil {
		return exitConfig // each problem has been shown
	}
	if err := becomeUser(o.user, common); err != nil {
		return fail(p, exitNoPerm, err)
	}
	if o.logLevel == "" {
		o.logLevel = common.LogLevel
	}
	if o.logFile == "" {
		o.logFile = common.LogFile
	}
	if o.logFileLevel == "" {
		o.logFileLevel = common.LogLevelLogfile
	}
	log, closer, err := logs.Open(logs.Options{Console: os.Stderr, ConsoleLevel: o.logLevel, File: o.logFile, FileLevel: o.logFileLevel})
	if err != nil {
		warn(p, err)
	}
	defer closer.Close()
	prepare(log, p.Kind)
	pidFile := o.pidFile
	if pidFile == "" {
		pidFile = common.PIDFile
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	d, err := p.New(log, ready)
	if err != nil {
		o.logLast("cannot start", err)
		return fail(p, codeOf(err), err)
	}
	if remove, err := writePID(pidFile); err != nil {
		warn(p, fmt.Errorf("write pid file: %w; see pidfile and --pid-file", err))
	} else {
		defer remove()
	}
	err = d.Run(ctx)
	if p.Again != nil {
		if argv := p.Again(err); argv != nil {
			log.Warn("starting again", "argv", argv)
			*again = argv
			return 0
		}
	}
	if err != nil {
		o.logLast("stopped", err)
		return fail(p, codeOf(err), err)
	}
	log.Info("stopped")
	return 0
}

// logLast puts what ends the daemon into the log file. Standard error gets it from
// fail, in words for a person, and once.
func (o *options) logLast(what string, err error) {
	log, closer, oerr := logs.Open(logs.Options{ConsoleLevel: o.logLevel, File: o.logFile, FileLevel: o.logFileLevel})
	if oerr != nil {
		return // that there is no log file has been said
	}
	defer closer.Close()
	log.Error(what, "error", err)
}

func codeOf(err error) int {
	if errors.Is(err, os.ErrPermission) {
		return exitNoPerm
	}
	return exitGeneric
}

func fail(p Program, code int, err error) int {
	fmt.Fprintf(os.Stderr, "%s: error: %v\n", p.Name, err)
	reportChild(err)
	return code
}

func warn(p Program, err error) { fmt.Fprintf(os.Stderr, "%s: warning: %v\n", p.Name, err) }

// report shows what was found in the configuration.
func report(p Program, problems []config.Problem) {
	for _, pr := range problems {
		if pr.Severity == config.Notice {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s: %s\n", p.Name, pr)
		if pr.Severity == config.Error {
			reportChild(errors.New(pr.String()))
		}
	}
}

// writePID writes the pid file, and returns what removes it.
func writePID(name string) (remove func(), err error) {
	if name == "" {
		return func() {}, nil
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(name, []byte(strconv.Itoa(os.Getpid())), 0o644); err != nil {
		return nil, err
	}
	return func() {
		if b, err := os.ReadFile(name); err == nil && strings.TrimSpace(string(b)) == strconv.Itoa(os.Getpid()) {
			os.Remove(name)
		}
	}, nil
}

// ready tells systemd, and the process that started this one in the background, that
// the daemon can be used.
func ready() {
	notifySystemd("READY=1")
	reportChild(nil)
	// What starting took (configuration, grains, keys) is given back.
	time.AfterFunc(2*time.Second, debug.FreeOSMemory)
}
