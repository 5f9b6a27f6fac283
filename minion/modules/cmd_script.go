package modules

import (
	"context"
	"errors"
	"io"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/gosalt/gosalt/internal/fileclient"
	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("cmd.script", cmdScript, module.Positional(orderScript))
	register("cmd.script_retcode", cmdScriptRetcode, module.Positional(orderScriptRetcode))
	register("cmd.exec_code", cmdExecCode, module.Positional("lang code cwd args"))
	register("cmd.exec_code_all", cmdExecCodeAll, module.Positional("lang code cwd args"))
}

type cmdScriptArgs struct {
	// Where the script is: a path of this machine, file:///path, salt://path, or what else the minion can fetch.
	Source string
	// Arguments for it: a text that is split into words, or a list.
	Args any `default:"None"`
	cmdOptions
	// Further variables of the template.
	Context *wire.Map `default:"None" arg:"context,kw"`
	// A variable of the template.
	Defaults *wire.Map `default:"None" arg:"defaults,kw"`
}

// cmdScript fetches a script, runs it and returns what cmd.run_all does. It is run
// from a copy that only its user can read, in cwd where that is given. When there
// is no such script the result says cache_error.
//
//	gosalt '*' cmd.script salt://scripts/runme.sh
//	gosalt '*' cmd.script salt://scripts/runme.sh 'arg1 "arg 2"'
//	gosalt '*' cmd.script salt://scripts/slow.sh timeout=600 runas=deploy
func cmdScript(ctx context.Context, c *module.Call, a cmdScriptArgs) (*wire.Map, error) {
	ret, err := runScript(ctx, c, a)
	if err != nil {
		return nil, err
	}
	if ret == nil {
		return wire.NewMap("pid", int64(0), "retcode", int64(1), "stdout", "", "stderr", "", "cache_error", true), nil
	}
	if a.HideOutput {
		ret.Stdout, ret.Stderr = "", ""
	}
	return ret.toMap(), nil
}

// cmdScriptRetcode runs a script as cmd.script does and returns its exit code.
//
//	gosalt '*' cmd.script_retcode salt://scripts/runme.sh 'arg1 arg2'
func cmdScriptRetcode(ctx context.Context, c *module.Call, a cmdScriptArgs) (any, error) {
	ret, err := runScript(ctx, c, a)
	if err != nil {
		return nil, err
	}
	if ret == nil {
		return int64(1), nil
	}
	return ret.code(), nil
}

// runScript returns nil where there is no such script: Salt makes no error of it,
// only a result that says so. The job fails all the same.
func runScript(ctx context.Context, c *module.Call, a cmdScriptArgs) (*cmdResult, error) {
	if a.Runas == "" {
		a.Runas = c.Runas // who is to read the script
	}
	source, err := fetchScript(ctx, c, a.Source, a.Saltenv)
	if err != nil || source == "" {
		c.SetRetcode(1)
		return nil, err
	}
	dir := a.Cwd
	if dir != "" {
		if dir, err = cmdDir(c, a.Cwd, a.Runas); err != nil {
			return nil, err
		}
	}
	var in io.Reader
	if a.Template != "" {
		text, err := renderScript(ctx, c, source, &a)
		if err != nil {
			return nil, err
		}
		in = strings.NewReader(text)
	} else {
		f, err := os.Open(source)
		if err != nil {
			return nil, module.Failf("read the script %s: %w", a.Source, err)
		}
		defer f.Close()
		in = f
	}
	file, err := writeScript(c, in, dir, path.Ext(withoutQuery(a.Source)), a.Runas, 0o500)
	if err != nil {
		return nil, err
	}
	defer os.Remove(file)

	words, err := scriptArgs(a.Args)
	if err != nil {
		return nil, err
	}
	if len(words) > 0 {
		no := false
		a.PythonShell = &no
	}
	a.Template = "" // the script is rendered, and its arguments are the caller's
	return runCommand(ctx, c, append([]any{file}, words...), a.cmdOptions, false)
}

// fetchScript returns the path of a script on this machine, "" where there is none.
func fetchScript(ctx context.Context, c *module.Call, source, env string) (string, error) {
	local := ""
	switch {
	case filepath.IsAbs(source):
		local = source
	case strings.HasPrefix(source, "file://"):
		u, err := url.Parse(source)
		if err != nil || u.Host != "" && u.Host != "localhost" {
			return "", module.Failf("source %s: file:///path expected", source)
		}
		local = u.Path
	}
	if local != "" {
		local = c.Host.Path(local)
		if st, err := os.Stat(local); err != nil || !st.Mode().IsRegular() {
			return "", nil
		}
		return local, nil
	}
	if !strings.Contains(source, "://") {
		return "", module.Failf("source %s: an absolute path, file:///path or salt://path expected", source)
	}
	if c.Files == nil {
		return "", module.Failf("source %s: there is no file server to fetch it from; give a path of this machine", source)
	}
	file, err := c.Files.Fetch(ctx, source, fileclient.FetchOptions{Env: env})
	if errors.Is(err, module.ErrNoFile) {
		return "", nil
	}
	if err != nil {
		return "", module.Failf("fetch %s: %w", source, err)
	}
	return file, nil
}

func withoutQuery(source string) string {
	source, _, _ = strings.Cut(source, "?")
	return source
}

// writeScript makes a file that its user alone can read and run. dir "" is the
// directory of temporary files.
func writeScript(c *module.Call, from io.Reader, dir, ext, runas string, mode os.FileMode) (name string, err error) {
	f, err := os.CreateTemp(dir, "__salt.tmp.*"+ext)
	if err != nil {
		return "", module.Failf("make a file for the script: %w", err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if _, err = io.Copy(f, from); err != nil {
		return "", module.Failf("write the script: %w", err)
	}
	if err = f.Chmod(mode); err != nil && !shellByName {
		return "", module.Failf("write the script: %w", err)
	}
	if runas != "" && !shellByName {
		u, err := c.Host.User(runas)
		if err != nil {
			return "", notThere(err, host.ErrNoUser, "User '%s' is not available", runas)
		}
		if u.UID != os.Getuid() {
			if err := f.Chown(u.UID, -1); err != nil {
				return "", module.Failf("give the script to user %s: %w", runas, err)
			}
		}
	}
	if err = f.Close(); err != nil {
		return "", module.Failf("write the script: %w", err)
	}
	return f.Name(), nil
}

func scriptArgs(args any) ([]any, error) {
	switch v := args.(type) {
	case nil:
		return nil, nil
	case []any:
		return v, nil
	}
	words, err := host.Words(pytext.Str(args))
	if err != nil {
		return nil, module.Failf("args %q: %w", pytext.Str(args), err)
	}
	return anyList(words), nil
}

type cmdExecCodeArgs struct {
	Lang string // Program that runs the code: python3, bash, ruby.
	Code string // The code.
	// Directory it starts in: the home of the user it runs as, or / where that cannot be read.
	Cwd string `default:"None"`
	// Argument for the code, or a list of them.
	Args any `default:"None"`
	// Text it can read; \n stands for a new line.
	Stdin *string `default:"None" arg:"stdin,kw"`
	cmdEnviron
	cmdResults
}

// cmdExecCode runs a piece of code in a language that is installed and returns its
// standard output.
//
//	gosalt '*' cmd.exec_code ruby 'puts "cheese"'
//	gosalt '*' cmd.exec_code python3 'import sys; print(sys.argv[1:])' args='["arg1", "arg2"]'
func cmdExecCode(ctx context.Context, c *module.Call, a cmdExecCodeArgs) (string, error) {
	ret, err := runCode(ctx, c, a)
	if err != nil || a.HideOutput {
		return "", err
	}
	return ret.Stdout, nil
}

// cmdExecCodeAll runs a piece of code as cmd.exec_code does and returns what
// cmd.run_all does.
//
//	gosalt '*' cmd.exec_code_all python3 'import sys; sys.exit(3)'
func cmdExecCodeAll(ctx context.Context, c *module.Call, a cmdExecCodeArgs) (*wire.Map, error) {
	ret, err := runCode(ctx, c, a)
	if err != nil {
		return nil, err
	}
	if a.HideOutput {
		ret.Stdout, ret.Stderr = "", ""
	}
	return ret.toMap(), nil
}

func runCode(ctx context.Context, c *module.Call, a cmdExecCodeArgs) (*cmdResult, error) {
	if a.Runas == "" {
		a.Runas = c.Runas
	}
	file, err := writeScript(c, strings.NewReader(a.Code), "", "", a.Runas, 0o600)
	if err != nil {
		return nil, err
	}
	defer os.Remove(file)
	words := []any{a.Lang, file}
	switch v := a.Args.(type) {
	case nil:
	case []any:
		words = append(words, v...)
	default:
		words = append(words, pytext.Str(v))
	}
	o := cmdOptions{Cwd: a.Cwd, Stdin: a.Stdin, cmdEnviron: a.cmdEnviron, cmdResults: a.cmdResults}
	no := false
	o.PythonShell = &no
	return runCommand(ctx, c, words, o, false)
}
