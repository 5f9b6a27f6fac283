package modules

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
)

// program is a program of the system that a function runs: apt-get, systemctl. It has no
// shell around it and speaks English.
type program struct {
	args  []string
	env   []string // over the minion's: "NAME=value"
	dir   string   // "" is /
	stdin []byte
	merge bool       // standard error goes where standard output goes
	fails bool       // a failure is an answer, and not logged
	below bool       // it is told of Host.Root itself
	runas *host.User // who runs it; nil for the minion's user
	umask int
	raw   bool                              // white space at the end is kept
	watch func(stream string, chunk []byte) // is given what it prints, at once; may be nil
}

// programExit is how a program ended. What it printed has no white space at its end.
type programExit struct {
	code     int
	out, err string
}

func (e *programExit) ok() bool { return e.code == 0 }

// text is what a program that failed had to say.
func (e *programExit) text() string {
	if e.err != "" {
		return e.err
	}
	return e.out
}

// whichProgram finds a program as Salt's path.which does: "" where there is none.
func whichProgram(name string) string {
	path, err := host.LookPath(name, searchPath(), "/")
	if err != nil {
		return ""
	}
	return path
}

// runTool runs a program of the system. An error says that it could not be run.
func runTool(ctx context.Context, c *module.Call, p program) (*programExit, error) {
	if c.Host.Root != "" && !p.below {
		return nil, module.Failf("%s works on this machine alone, not on one below %s", p.args[0], c.Host.Root)
	}
	env := map[string]bool{}
	var all []string
	for _, kv := range append(append([]string{}, p.env...), "LC_ALL=C", "LANGUAGE=C", "LANG=C", "PATH="+searchPath()) {
		k, _, _ := strings.Cut(kv, "=")
		if !env[k] {
			env[k] = true
			all = append(all, kv)
		}
	}
	for _, kv := range os.Environ() {
		k, _, _ := strings.Cut(kv, "=")
		if !env[k] && k != "NOTIFY_SOCKET" && !strings.HasPrefix(k, "LC_") {
			all = append(all, kv)
		}
	}
	cmd := host.Command{Args: p.args, Dir: p.dir, Env: all, Stdin: p.stdin, Merge: p.merge, User: p.runas, Umask: p.umask, Output: p.watch}
	if cmd.Dir == "" {
		cmd.Dir = "/"
	}
	e, err := c.Host.Run(ctx, cmd)
	if err != nil {
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
			return nil, module.NoCommandf("%s is not installed", p.args[0])
		}
		return nil, err
	}
	out := &programExit{code: e.Code, out: strings.ToValidUTF8(string(e.Stdout), "\ufffd"), err: strings.ToValidUTF8(string(e.Stderr), "\ufffd")}
	if !p.raw {
		out.out, out.err = strings.TrimRight(out.out, " \t\r\n"), strings.TrimRight(out.err, " \t\r\n")
	}
	if !p.fails {
		logFailure(c, p, out)
	}
	return out, nil
}

// logFailure notes a program that has failed.
func logFailure(c *module.Call, p program, out *programExit) {
	if !out.ok() {
		c.Log.Error("command failed", "command", strings.Join(p.args, " "), "retcode", out.code, "stderr", out.err)
	}
}

// ran runs a program and tells whether it succeeded.
func ran(ctx context.Context, c *module.Call, quiet bool, args ...string) (bool, error) {
	out, err := runTool(ctx, c, program{args: args, fails: quiet})
	return err == nil && out.ok(), err
}

// noProgram makes a program that is not there one that failed, as a shell does.
func noProgram(err error) error {
	var e *module.Error
	if errors.As(err, &e) && e.Kind == module.NoCommand {
		return nil
	}
	return err
}
