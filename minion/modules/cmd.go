package modules

import (
	"context"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("cmd.run", cmdRun, module.Positional(orderRun))
	register("cmd.run_all", cmdRunAll, module.Positional(orderRunAll))
	register("cmd.run_stdout", cmdRunStdout, module.Positional(orderRunStdout))
	register("cmd.run_stderr", cmdRunStderr, module.Positional(orderRunStdout))
	register("cmd.retcode", cmdRetcode, module.Positional(orderRetcode))
	register("cmd.shell", cmdShell, module.Positional(orderShell))
	register("cmd.run_bg", cmdRunBg, module.Positional(orderRunBg))
	planned("PowerShell is for Windows: cmd.run with shell=pwsh, or cmd.exec_code pwsh, runs it where it is installed.", "cmd.powershell", "cmd.powershell_all")
}

// cmdEnviron is what surrounds a command, whatever is done with its output. The
// order is that of Salt, since arguments may be given by position.
type cmdEnviron struct {
	// User to run as, with its groups and its login environment. Only root may name another than itself.
	Runas string `default:"None"`
	// Group to run as, in place of the user's own.
	Group string `default:"None"`
	// Shell that reads the command line: $SHELL of the minion, or /bin/sh.
	Shell string `default:"None"`
	// Whether a shell reads the command line, so that pipes, redirections and variables work. True when the job
	// itself asks for the function, or with cmd_safe: False in the minion's configuration; otherwise False: the line
	// is split into words and the program started as it is.
	PythonShell *bool `default:"None"`
	// Environment variables to add: a map, or a list of maps.
	Env *wire.Map `default:"None"`
	// Give the command nothing but env: none of the minion's own variables.
	CleanEnv bool `default:"False"`
	// Template engine that cmd and cwd are rendered with first: jinja.
	Template string `default:"None"`
}

// cmdOptions are what most functions of the module take after the command.
type cmdOptions struct {
	// Directory it starts in: the home of the user it runs as, or / where that cannot be read.
	Cwd string `default:"None"`
	// Text it can read; \n stands for a new line.
	Stdin *string `default:"None"`
	cmdEnviron
	cmdResults
}

// cmdResults is what becomes of the output and of the exit code.
type cmdResults struct {
	// Remove white space from the end of the output.
	Rstrip bool `default:"True"`
	// File creation mask in octal: 022, 0077.
	Umask any `default:"None"`
	// Encoding of the output: UTF-8, as the system has it, or latin-1, cp850 and so on. What cannot be decoded is replaced.
	OutputEncoding string `default:"None"`
	// Level at which the minion logs the output: quiet logs neither command nor output.
	OutputLoglevel string `default:"debug"`
	// Without effect: Salt's callbacks are Python functions.
	LogCallback any `default:"None"`
	// Return no output, as for commands that print secrets.
	HideOutput bool `default:"False"`
	// Seconds after which the command and all it started are killed; 0 is none.
	Timeout any `default:"None"`
	// Let programs speak English: the locale variables that the environment does not set are set to C.
	ResetSystemLocale bool `default:"True"`
	// The exit code says nothing of success: the job succeeds whatever it is.
	IgnoreRetcode bool `default:"False"`
	// File environment of templates and scripts: base.
	Saltenv string `default:"None"`
	// Keep white space at the end of the output, as rstrip=False does. It can be followed while it runs without this.
	UseVt bool `default:"False"`
	cmdMore
}

// cmdMore are the arguments that are only given by name.
type cmdMore struct {
	// Send standard error where standard output goes.
	RedirectStderr *bool `default:"None" arg:"redirect_stderr,kw"`
	// Let it run on by itself and return at once, without output.
	Bg bool `default:"False" arg:"bg,kw"`
	// Password of runas, on Windows.
	Password string `default:"None" arg:"password,kw"`
	// The command is Base64 of UTF-16, for PowerShell.
	EncodedCmd bool `default:"False" arg:"encoded_cmd,kw"`
	// Make a failed command an error whose text is the output.
	RaiseErr bool `default:"False" arg:"raise_err,kw"`
	// Directory to look for programs in before those of PATH.
	PrependPath string `default:"None" arg:"prepend_path,kw"`
	// Exit codes that count as success, besides 0; a list, or a text with commas.
	SuccessRetcodes []string `default:"None" arg:"success_retcodes,kw" split:","`
	// Texts that make it a success when one of them is in the output; a list, or a text with commas.
	SuccessStdout []string `default:"None" arg:"success_stdout,kw" split:","`
	// Texts that make it a success when one of them is in the error output; a list, or a text with commas.
	SuccessStderr []string `default:"None" arg:"success_stderr,kw" split:","`
	// Leave \n in stdin as it is.
	StdinRawNewlines bool `default:"False" arg:"stdin_raw_newlines,kw"`
	// Pillar environment of templates.
	Pillarenv string `default:"None" arg:"pillarenv,kw"`
	// Pillar values for templates, over those of the minion.
	Pillar *wire.Map `default:"None" arg:"pillar,kw"`
	// Code page of the console, on Windows.
	WindowsCodepage int `default:"65001" arg:"windows_codepage,kw"`
}

type cmdRunArgs struct {
	Cmd any // Command line; or a list, the program and its arguments.
	cmdOptions
}

// cmdRun runs a command and returns what it printed, standard output and standard
// error together. Its exit code becomes that of the job.
//
//	gosalt '*' cmd.run "ls -l | awk '/foo/{print $2}'"
//	gosalt '*' cmd.run 'grep f' stdin='one\ntwo\nthree\nfour\nfive\n'
//	gosalt '*' cmd.run cmd='sed -e s/=/:/g' runas=nobody timeout=10
func cmdRun(ctx context.Context, c *module.Call, a cmdRunArgs) (string, error) {
	return cmdOutput(ctx, c, a, true)
}

// cmdOutput is cmd.run with the usual place of standard error settled.
func cmdOutput(ctx context.Context, c *module.Call, a cmdRunArgs, merge bool) (string, error) {
	ret, err := runCommand(ctx, c, a.Cmd, a.cmdOptions, merge)
	if err != nil {
		return "", err
	}
	ret.log.output(ret)
	out := ret.Stdout
	if a.HideOutput {
		out = ""
	}
	if a.RaiseErr && !a.IgnoreRetcode && ret.failed() {
		return "", module.Failf("%s", out)
	}
	return out, nil
}

// cmdRunAll runs a command and returns its process id, exit code, standard output
// and standard error.
//
//	gosalt '*' cmd.run_all 'ls -l /nowhere'
func cmdRunAll(ctx context.Context, c *module.Call, a cmdRunArgs) (*wire.Map, error) {
	ret, err := runCommand(ctx, c, a.Cmd, a.cmdOptions, false)
	if err != nil {
		return nil, err
	}
	if a.HideOutput {
		ret.Stdout, ret.Stderr = "", ""
	}
	return ret.toMap(), nil
}

// cmdRunStdout runs a command and returns its standard output alone.
//
//	gosalt '*' cmd.run_stdout 'ls -l /nowhere'
func cmdRunStdout(ctx context.Context, c *module.Call, a cmdRunArgs) (string, error) {
	return cmdOutput(ctx, c, a, false)
}

// cmdRunStderr runs a command and returns its standard error alone.
//
//	gosalt '*' cmd.run_stderr 'ls -l /nowhere'
func cmdRunStderr(ctx context.Context, c *module.Call, a cmdRunArgs) (string, error) {
	ret, err := runCommand(ctx, c, a.Cmd, a.cmdOptions, false)
	if err != nil || a.HideOutput {
		return "", err
	}
	return ret.Stderr, nil
}

// cmdRetcode runs a command and returns its exit code.
//
//	gosalt '*' cmd.retcode 'file /bin/bash'
func cmdRetcode(ctx context.Context, c *module.Call, a cmdRunArgs) (any, error) {
	ret, err := runCommand(ctx, c, a.Cmd, a.cmdOptions, true)
	if err != nil {
		return nil, err
	}
	return ret.code(), nil
}

type cmdShellArgs struct {
	Cmd any // Command line for the shell.
	cmdOptions
}

// cmdShell is cmd.run with a shell, wherever it is called from.
//
//	gosalt '*' cmd.shell "ls -l | awk '/foo/{print $2}'"
func cmdShell(ctx context.Context, c *module.Call, a cmdShellArgs) (string, error) {
	if a.PythonShell == nil {
		yes := true
		a.PythonShell = &yes
	}
	return cmdOutput(ctx, c, cmdRunArgs(a), true)
}

type cmdRunBgArgs struct {
	Cmd any // Command line; or a list, the program and its arguments.
	// Directory it starts in: the home of the user it runs as, or / where that cannot be read.
	Cwd string `default:"None"`
	cmdEnviron
	cmdResults
}

// cmdRunBg starts a command, leaves it to itself and returns its process id. It
// goes on when the job or the minion ends; nothing is known of its output or end.
//
//	gosalt '*' cmd.run_bg "sleep 60; echo done > /tmp/done"
func cmdRunBg(ctx context.Context, c *module.Call, a cmdRunBgArgs) (*wire.Map, error) {
	o := cmdOptions{Cwd: a.Cwd, cmdEnviron: a.cmdEnviron, cmdResults: a.cmdResults}
	o.Bg = true
	ret, err := runCommand(ctx, c, a.Cmd, o, false)
	if err != nil {
		return nil, err
	}
	return wire.NewMap("pid", int64(ret.Pid)), nil
}
