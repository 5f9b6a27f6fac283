package modules

import (
	"bufio"
	"context"
	"os"
	"strings"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("cmd.shells", cmdShells)
	register("cmd.which", cmdWhich)
	register("cmd.which_bin", cmdWhichBin)
	register("cmd.has_exec", cmdHasExec)
	register("cmd.tty", cmdTTY)
	register("cmd.shell_info", cmdShellInfo)
}

// cmdShells lists the shells of /etc/shells.
//
//	gosalt '*' cmd.shells
func cmdShells(ctx context.Context, c *module.Call, a noArgs) ([]string, error) {
	shells := validShells(c)
	if shells == nil {
		shells = []string{}
	}
	return shells, nil
}

// validShells is nil where there is no list of them.
func validShells(c *module.Call) []string {
	f, err := os.Open(c.Host.Path("/etc/shells"))
	if err != nil {
		return nil
	}
	defer f.Close()
	shells := []string{}
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if line := strings.TrimSpace(sc.Text()); line != "" && line[0] != '#' {
			shells = append(shells, line)
		}
	}
	return shells
}

type cmdWhichArgs struct {
	Cmd string // Name of a program, or a path.
}

// cmdWhich returns the path of a program, None where there is no such program. The
// directories of the minion's PATH are searched, then the usual ones.
//
//	gosalt '*' cmd.which cat
func cmdWhich(ctx context.Context, c *module.Call, a cmdWhichArgs) (any, error) {
	if p := which(a.Cmd); p != "" {
		return p, nil
	}
	return nil, nil
}

// which returns "" where there is no such program.
func which(name string) string {
	if name == "" {
		return ""
	}
	if cwd, err := os.Getwd(); err == nil && strings.Contains(name, "/") {
		if _, err := host.LookPath(name, "", cwd); err == nil {
			return name
		}
	}
	p, err := host.LookPath(name, searchPath(), "/")
	if err != nil {
		return ""
	}
	return p
}

type cmdWhichBinArgs struct {
	Cmds []string // Names of programs.
}

// cmdWhichBin returns the path of the first program of a list that there is, None
// where there is none of them.
//
//	gosalt '*' cmd.which_bin '[pip2, pip, pip-python]'
func cmdWhichBin(ctx context.Context, c *module.Call, a cmdWhichBinArgs) (any, error) {
	for _, name := range a.Cmds {
		if p := which(name); p != "" {
			return p, nil
		}
	}
	return nil, nil
}

// cmdHasExec tells whether there is such a program in the minion's PATH.
//
//	gosalt '*' cmd.has_exec cat
func cmdHasExec(ctx context.Context, c *module.Call, a cmdWhichArgs) (bool, error) {
	return which(a.Cmd) != "", nil
}

type cmdTTYArgs struct {
	Device string // Name of a terminal: tty0, pts3.
	Echo   string `default:""` // What to write there.
}

// cmdTTY writes a text to a terminal of the machine.
//
//	gosalt '*' cmd.tty tty0 'This is a test'
//	gosalt '*' cmd.tty pts3 'This is a test'
func cmdTTY(ctx context.Context, c *module.Call, a cmdTTYArgs) (*wire.Map, error) {
	var path string
	switch {
	case strings.HasPrefix(a.Device, "tty"):
		path = "/dev/" + a.Device
	case strings.HasPrefix(a.Device, "pts"):
		path = "/dev/" + strings.ReplaceAll(a.Device, "pts", "pts/")
	}
	if path == "" || strings.Contains(path, "..") {
		return wire.NewMap("Error", "The specified device is not a valid TTY"), nil
	}
	f, err := os.OpenFile(c.Host.Path(path), os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(a.Echo)
		_ = f.Close()
	}
	if err != nil {
		return wire.NewMap("Error", "Echoing to "+path+" returned error"), nil
	}
	return wire.NewMap("Success", "Message was successfully echoed to "+path), nil
}
