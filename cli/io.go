package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/gosalt/gosalt/cli/output"
	"github.com/gosalt/gosalt/internal/optparse"
)

// IO is where a command reads and writes, so that tests can stand in for a shell.
type IO struct {
	Prog   string              // name the command was called by: "gosalt-key"
	In     io.Reader           // answers, --args-stdin
	Out    io.Writer           // results
	Err    io.Writer           // everything else
	Getenv func(string) string // environment
}

// StdIO is the process's own streams; prog is argv[0], of which the last element counts.
func StdIO(prog string) IO {
	prog = strings.TrimSuffix(filepath.Base(prog), ".exe")
	return IO{Prog: prog, In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv}
}

// Fail prints why a command ends and returns its exit code: an *optparse.Exit says
// both itself, any other error is printed with the program's name and is code 1.
func (c IO) Fail(err error) int {
	var exit *optparse.Exit
	if errors.As(err, &exit) {
		io.WriteString(c.Out, exit.Out)
		io.WriteString(c.Err, exit.Err)
		return exit.Code
	}
	fmt.Fprintf(c.Err, "%s: error: %v\n", c.Prog, err)
	return MinionFailed.Code(false)
}

// Hint prints the next step after an error.
func (c IO) Hint(format string, args ...any) {
	fmt.Fprintf(c.Err, "%s: hint: %s\n", c.Prog, fmt.Sprintf(format, args...))
}

// env is a variable of the environment, "" without an environment.
func (c IO) env(name string) string {
	if c.Getenv == nil {
		return ""
	}
	return c.Getenv(name)
}

// expandUser replaces a leading ~ by the home directory.
func (c IO) expandUser(path string) string {
	if path != "~" && !strings.HasPrefix(path, "~/") {
		return path
	}
	home := c.env("HOME")
	if home == "" {
		return path
	}
	return filepath.Join(home, path[1:])
}

// aside is where to tell what belongs to results and is none: standard output where
// people read it, standard error where a program reads the results.
func (c IO) aside(o output.Options) io.Writer {
	if o.File != "" || o.Out != "" && o.Out != "nested" && o.Out != "highstate" {
		return c.Err
	}
	return c.Out
}
