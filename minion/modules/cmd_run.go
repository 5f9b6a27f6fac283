package modules

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// cmdResult is what cmd.run_all returns.
type cmdResult struct {
	Pid            int
	Retcode        int
	Stdout, Stderr string
	timedOut       bool
	background     bool
	ignored        bool // ignore_retcode was asked for
	log            *cmdLog
}

func (r *cmdResult) failed() bool { return !r.background && r.Retcode != 0 }

// code is the exit code, None for a command that goes on by itself.
func (r *cmdResult) code() any {
	if r.background {
		return nil
	}
	return int64(r.Retcode)
}

// toMap has Salt's keys in Salt's order, which differs after a timeout.
func (r *cmdResult) toMap() *wire.Map {
	if r.timedOut {
		return wire.NewMap("stdout", r.Stdout, "stderr", r.Stderr, "retcode", r.code(), "pid", int64(r.Pid))
	}
	return wire.NewMap("pid", int64(r.Pid), "retcode", r.code(), "stdout", r.Stdout, "stderr", r.Stderr)
}

// runCommand does what all functions of the module have in common: it makes a
// process of the arguments, runs it, reads its output and sets the job's exit code.
// merge is whether standard error joins standard output unless the arguments say so.
func runCommand(ctx context.Context, c *module.Call, cmd any, o cmdOptions, merge bool) (*cmdResult, error) {
	log := newCmdLog(c, o.OutputLoglevel)
	timeout, err := cmdTimeout(o.Timeout)
	if err != nil {
		return nil, err
	}
	success, err := successCodes(o.SuccessRetcodes)
	if err != nil {
		return nil, err
	}
	if cmd, err = renderCommand(ctx, c, cmd, &o); err != nil {
		return nil, err
	}
	command, shown, err := newCommand(c, cmd, &o)
	if err != nil {
		return nil, err
	}
	command.Merge = merge
	if o.RedirectStderr != nil {
		command.Merge = *o.RedirectStderr
	}
	command.Timeout = timeout
	command.MaxOutput = c.Opts.Int("max_return")
	if c.Watched() && !o.HideOutput && !log.quiet && !o.Bg {
		live := newLiveOutput(o.OutputEncoding, func(stream, text string) { c.Progress(wire.NewMap(stream, text)) })
		defer live.close()
		command.Output = live.write
	}
	log.start(shown, &command, &o)

	if o.Bg {
		pid, err := c.Host.Start(command)
		if err != nil {
			return nil, cannotRun(shown, &command, log, err)
		}
		return &cmdResult{Pid: pid, background: true}, nil
	}
	exit, err := c.Host.Run(ctx, command)
	switch {
	case errors.Is(err, host.ErrTooMuchOutput):
		limit := command.MaxOutput
		if limit == 0 {
			limit = host.DefaultMaxOutput
		}
		code := exit.Code
		if code <= 0 {
			code = 1 // its own 0 is no success, as what it printed is not there
		}
		c.SetRetcode(code)
		return &cmdResult{Pid: exit.Pid, Retcode: code, Stdout: fmt.Sprintf("ERROR: the command printed more than max_return (%d bytes) allows, and what it printed is dropped. "+
			"Let it write to a file, or raise max_return in the minion's configuration", limit)}, nil
	case err != nil && ctx.Err() != nil:
		return nil, err
	case err != nil:
		return nil, cannotRun(shown, &command, log, err)
	}
	if exit.TimedOut {
		c.SetRetcode(1)
		text := fmt.Sprintf("%s : Timed out after %s seconds", shown, pytext.Str(o.Timeout))
		return &cmdResult{Pid: exit.Pid, Retcode: 1, Stdout: text, timedOut: true}, nil
	}
	ret := &cmdResult{Pid: exit.Pid, Retcode: exit.Code, ignored: o.IgnoreRetcode}
	if ret.Stdout, err = log.decode("stdout", exit.Stdout, &o); err != nil {
		return nil, err
	}
	if ret.Stderr, err = log.decode("stderr", exit.Stderr, &o); err != nil {
		return nil, err
	}
	if slices.Contains(success, ret.Retcode) || containsAny(ret.Stdout, o.SuccessStdout) || containsAny(ret.Stderr, o.SuccessStderr) {
		ret.Retcode = 0
	}
	if o.IgnoreRetcode {
		c.SetRetcode(0)
	} else {
		c.SetRetcode(ret.Retcode)
	}
	log.end(ret)
	ret.log = log
	return ret, nil
}

// newCommand is the process that the arguments describe. shown is the command as
// messages name it: the line for a shell, else Python's text of the list.
func newCommand(c *module.Call, cmd any, o *cmdOptions) (command host.Command, shown string, err error) {
	shell := o.Shell
	if shell == "" {
		shell = defaultShell()
	}
	if err := checkShell(c, shell, o.OutputLoglevel); err != nil {
		return command, "", err
	}
	if c.Direct() && !cmdPermitted(c, cmd) {
		return command, "", module.Failf(`The shell command "%s" is not permitted`, commandLine(cmd))
	}
	if o.Runas == "" {
		o.Runas = c.Runas
	}
	if o.Runas != "" || o.Group != "" {
		if command.User, err = cmdUser(c, o.Runas, o.Group); err != nil {
			return command, "", err
		}
	}
	if command.Dir, err = cmdDir(c, o.Cwd, o.Runas); err != nil {
		return command, "", err
	}
	command.Env = cmdEnv(c, o, shell, command.User)
	if command.Umask, err = cmdUmask(o.Umask); err != nil {
		return command, "", err
	}
	if o.Stdin != nil {
		text := *o.Stdin
		if !o.StdinRawNewlines {
			text = strings.ReplaceAll(text, `\n`, "\n")
		}
		command.Stdin = []byte(text)
	}
	command.Args, shown, err = cmdArgv(c, cmd, o.PythonShell, shell)
	return command, shown, err
}

// cmdArgv decides between shell and program.
func cmdArgv(c *module.Call, cmd any, pythonShell *bool, shell string) (argv []string, shown string, err error) {
	list, isList := cmd.([]any)
	words := make([]string, len(list))
	for i, w := range list {
		words[i] = pytext.Str(w)
	}
	line := commandLine(cmd)
	if strings.TrimSpace(line) == "" {
		return nil, "", module.Invalidf("the command is empty: give a command line, or a list of a program and its arguments")
	}
	if useShell(c, pythonShell) {
		if isList { // as Python: the first is the shell's command, the others its $0, $1 and so on
			return append([]string{shell, shellFlag}, words...), pytext.Repr(cmd), nil
		}
		return []string{shell, shellFlag, line}, line, nil
	}
	if !isList {
		if words, err = host.Words(line); err != nil {
			return nil, "", module.Failf("command line %q: %w", line, err)
		}
	}
	if len(words) == 0 || words[0] == "" {
		return nil, "", module.Invalidf("the command is empty: give a command line, or a list of a program and its arguments")
	}
	return words, pytext.Repr(anyList(words)), nil
}

// useShell is what Salt's python_shell means: a job that asks for the function
// itself gets a shell, functions and states that call it do not.
func useShell(c *module.Call, pythonShell *bool) bool {
	if pythonShell != nil {
		return *pythonShell
	}
	if c.Direct() {
		return true
	}
	safe, set := c.Opts.Get("cmd_safe")
	return set && safe == false
}

// commandLine is the command as one text. A bool is what YAML made of "true" or
// "false", which are programs, and no one has one named "True".
func commandLine(cmd any) string {
	switch v := cmd.(type) {
	case bool:
		return strconv.FormatBool(v)
	case []any:
		words := make([]string, len(v))
		for i, w := range v {
			words[i] = pytext.Str(w)
		}
		return strings.Join(words, " ")
	case nil:
		return ""
	}
	return pytext.Str(cmd)
}

func anyList(words []string) []any {
	out := make([]any, len(words))
	for i, w := range words {
		out[i] = w
	}
	return out
}

func checkShell(c *module.Call, shell, level string) error {
	if shells := validShells(c); level != "quiet" && shells != nil && !slices.Contains(shells, shell) {
		c.Log.Warn("shell is not in /etc/shells: it may be invalid for this user", "shell", shell)
	}
	if _, err := host.LookPath(shell, os.Getenv("PATH"), "/"); err != nil || !filepath.IsAbs(shell) && !shellByName {
		return module.Failf("The shell %s is not available", shell)
	}
	return nil
}

// cmdUser is who to run as. A group alone leaves the user that the minion is.
func cmdUser(c *module.Call, name, group string) (*host.User, error) {
	u := &host.User{UID: os.Getuid(), GID: os.Getgid()}
	var err error
	if name != "" {
		if u, err = c.Host.User(name); err != nil {
			return nil, notThere(err, host.ErrNoUser, "User '%s' is not available", name)
		}
	} else if u, err = c.Host.User(c.Host.UserName(os.Getuid())); err != nil {
		return nil, module.Failf("group=%s: the user of the minion, uid %d, has no account: %w", group, os.Getuid(), err)
	}
	if group != "" {
		g, err := c.Host.Group(group)
		if err != nil {
			return nil, notThere(err, host.ErrNoGroup, "Group '%s' is not available", group)
		}
		u.GID = g.GID
	}
	return u, nil
}

func notThere(err, kind error, format, name string) error {
	if errors.Is(err, kind) {
		return module.Failf(format, name)
	}
	return module.Failf("%w", err)
}

// cmdDir is where the command starts: cwd, or the home of who runs it.
func cmdDir(c *module.Call, cwd, runas string) (string, error) {
	if cwd == "" {
		cwd = homeOf(c, runas)
		if !readableDir(cwd) {
			return rootDir, nil
		}
	}
	if rest, ok := strings.CutPrefix(cwd, "~"); ok && cwd != "~" && (rest == "" || rest[0] == '/') {
		cwd = filepath.Join(homeOf(c, runas), rest)
	}
	if st, err := os.Stat(cwd); !filepath.IsAbs(cwd) || err != nil || !st.IsDir() {
		return "", module.Failf("Specified cwd '%s' either not absolute or does not exist", cwd)
	}
	return cwd, nil
}

func readableDir(dir string) bool {
	if !filepath.IsAbs(dir) {
		return false
	}
	f, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer f.Close()
	st, err := f.Stat()
	return err == nil && st.IsDir()
}

func homeOf(c *module.Call, runas string) string {
	if runas != "" {
		if u, err := c.Host.User(runas); err == nil {
			return u.Home
		}
		return ""
	}
	if home, err := os.UserHomeDir(); err == nil {
		return home
	}
	if u, err := c.Host.User(c.Host.UserName(os.Getuid())); err == nil {
		return u.Home
	}
	return ""
}

// cmdEnv is the whole environment: the minion's, that of the user, what was asked
// for, and the plain locale where none of them has another.
func cmdEnv(c *module.Call, o *cmdOptions, shell string, u *host.User) []string {
	env := wire.NewMap()
	if u != nil {
		for k, v := range loginEnv(c, u, shell, o.Runas != "") {
			env.Set(k, v)
		}
	}
	for k, v := range o.Env.All() {
		if v == nil {
			c.Log.Error("environment variable passed without a value: it is set to nothing", "name", pytext.Str(k))
			v = ""
		}
		env.Set(pytext.Str(k), pytext.Str(v))
	}
	if u != nil && o.Runas != "" {
		env.Set("USER", u.Name)
		env.Set("HOME", u.Home)
	}
	if o.ResetSystemLocale {
		for _, name := range localeNames {
			if !env.Has(name) {
				env.Set(name, "C")
			}
		}
	}
	all := wire.NewMap()
	if !o.CleanEnv {
		for k, v := range environ(c).Strings() {
			if k != "NOTIFY_SOCKET" {
				all.Set(k, v)
			}
		}
	}
	for k, v := range env.Strings() {
		all.Set(k, v)
	}
	if o.PrependPath != "" {
		all.Set("PATH", o.PrependPath+string(filepath.ListSeparator)+all.Text("PATH"))
	}
	out := make([]string, 0, all.Len())
	for k, v := range all.Strings() {
		out = append(out, k+"="+v.(string))
	}
	return out
}

// cmdUmask reads an octal mask. Salt refuses 0, and so do we: 0 is "leave it".
func cmdUmask(v any) (int, error) {
	if v == nil {
		return 0, nil
	}
	text := strings.TrimLeft(pytext.Str(v), "0")
	if text == "" {
		return 0, module.Failf("Zero umask is not allowed.")
	}
	n, err := strconv.ParseUint(text, 8, 10) // host.NoUmask is the largest that means something
	if err != nil {
		return 0, module.Failf("Invalid umask: '%s'", pytext.Str(v))
	}
	return int(n), nil
}

// cmdTimeout reads the seconds of a timeout; its text is kept for the message.
func cmdTimeout(v any) (time.Duration, error) {
	var secs float64
	switch v := v.(type) {
	case nil:
		return 0, nil
	case int64:
		secs = float64(v)
	case float64:
		secs = v
	case string:
		if d, err := time.ParseDuration(v); err == nil {
			return d, nil
		}
		f, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
		if err != nil {
			return 0, module.Failf("Error: timeout %s must be a number", v)
		}
		secs = f
	default:
		return 0, module.Failf("Error: timeout %s must be a number", pytext.Str(v))
	}
	if secs < 0 || secs > float64(1<<62)/float64(time.Second) || math.IsNaN(secs) {
		return 0, module.Failf("Error: timeout %s must be a number of seconds, 0 for none", pytext.Str(v))
	}
	return time.Duration(secs * float64(time.Second)), nil
}

func successCodes(list []string) ([]int, error) {
	var codes []int
	for _, s := range list {
		n, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil {
			return nil, module.Invalidf("success_retcodes must be a list of integers")
		}
		codes = append(codes, n)
	}
	return codes, nil
}

func containsAny(s string, parts []string) bool {
	return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(s, p) })
}

// cannotRun words why a program was not started, as Salt does; the environment,
// which Salt prints with it, is left out: it may hold secrets.
func cannotRun(shown string, command *host.Command, log *cmdLog, err error) error {
	if log.quiet {
		shown = "REDACTED"
	}
	where := wire.NewMap("cwd", command.Dir)
	if command.User != nil {
		where.Set("user", command.User.Name)
	}
	return module.Failf("Unable to run command '%s' with the context '%s', reason: %s", shown, pytext.Repr(where), osReason(err, command.Args[0]))
}

// osReason writes a system error as Python does: [Errno 2] No such file or directory: 'x'.
func osReason(err error, name string) string {
	var no syscall.Errno
	if errors.Is(err, exec.ErrNotFound) {
		no = syscall.ENOENT
	} else if !errors.As(err, &no) {
		return err.Error()
	}
	text := []rune(no.Error())
	text[0] = unicode.ToUpper(text[0])
	return fmt.Sprintf("[Errno %d] %s: %s", int(no), string(text), pytext.Repr(name))
}

// cmdLog writes what happens to a command at the level that was asked for.
type cmdLog struct {
	call  *module.Call
	level slog.Level
	quiet bool
	name  string
}

func newCmdLog(c *module.Call, level string) *cmdLog {
	l := &cmdLog{call: c}
	switch strings.ToLower(level) {
	case "quiet":
		l.quiet = true
	case "all", "garbage", "trace", "profile":
		l.level = slog.LevelDebug - 4
	case "debug":
		l.level = slog.LevelDebug
	case "info":
		l.level = slog.LevelInfo
	case "warning":
		l.level = slog.LevelWarn
	case "error", "critical":
		l.level = slog.LevelError
	default:
		c.Log.Error("invalid output_loglevel: falling back to info", "output_loglevel", level,
			"valid", "all, critical, debug, error, garbage, info, profile, quiet, trace, warning")
		l.level = slog.LevelInfo
	}
	return l
}

// start logs the first word of the command only: the others may be secrets.
func (l *cmdLog) start(shown string, command *host.Command, o *cmdOptions) {
	l.name, _, _ = strings.Cut(strings.TrimSpace(shown), " ")
	if l.quiet {
		return
	}
	attrs := []any{"cmd", l.name, "cwd", command.Dir}
	if o.Runas != "" {
		attrs = append(attrs, "runas", o.Runas)
	}
	if o.Group != "" {
		attrs = append(attrs, "group", o.Group)
	}
	l.call.Log.Info("executing command", append(attrs, "background", o.Bg)...)
}

// end logs how a command ended, in Salt's words: people look for them in logs, and
// gosalt-call shows them.
func (l *cmdLog) end(ret *cmdResult) {
	if l.quiet {
		return
	}
	level, failed := l.failure(ret)
	ctx := context.Background()
	if ret.Stdout != "" {
		l.call.Log.Log(ctx, level, "stdout: "+ret.Stdout)
	}
	if ret.Stderr != "" {
		l.call.Log.Log(ctx, level, "stderr: "+ret.Stderr)
	}
	if failed {
		l.call.Log.Log(ctx, level, fmt.Sprintf("retcode: %d", ret.Retcode))
	}
}

// failure logs that a command failed, if it did. level is that of its output.
func (l *cmdLog) failure(ret *cmdResult) (level slog.Level, failed bool) {
	if !ret.failed() || ret.ignored {
		return l.level, false
	}
	l.call.Log.Error(fmt.Sprintf("Command '%s' failed with return code: %d", l.name, ret.Retcode))
	return max(l.level, slog.LevelError), true
}

// output logs what cmd.run returns, as Salt does on top of the above.
func (l *cmdLog) output(ret *cmdResult) {
	if l == nil || l.quiet {
		return
	}
	level, _ := l.failure(ret)
	l.call.Log.Log(context.Background(), level, "output: "+ret.Stdout)
}

// decode makes text of output.
func (l *cmdLog) decode(stream string, b []byte, o *cmdOptions) (string, error) {
	s, ok, err := host.Text(b, o.OutputEncoding)
	if err != nil {
		return "", module.Invalidf("output_encoding: %w", err)
	}
	if !ok && !l.quiet {
		l.call.Log.Error("output could not be decoded: characters have been replaced", "cmd", l.name, "stream", stream)
	}
	if o.Rstrip && (!o.UseVt || o.Bg) {
		s = strings.TrimRightFunc(s, pythonSpace)
	}
	return s, nil
}

// pythonSpace is what str.strip() removes: Unicode's white space and the four
// separators of ASCII.
func pythonSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }
