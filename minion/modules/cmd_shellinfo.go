package modules

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
)

type cmdShellInfoArgs struct {
	Shell       string // One of bash, zsh, tcsh, perl, python, ruby, php.
	ListModules bool   `default:"False"` // List the modules of PowerShell; without effect for other shells.
}

// shellVersions is how each shell tells its version, and how to find it in that.
var shellVersions = map[string]struct {
	pattern string
	args    []string
}{
	"bash":   {`version (\d\S*)`, []string{"bash", "--version"}},
	"zsh":    {`^zsh (\d\S*)`, []string{"zsh", "--version"}},
	"tcsh":   {`^tcsh (\d\S*)`, []string{"tcsh", "--version"}},
	"perl":   {`^(\d\S*)`, []string{"perl", "-e", `printf "%vd\n", $^V;`}},
	"python": {`^Python (\d\S*)`, []string{"python", "-V"}},
	"ruby":   {`^ruby (\d\S*)`, []string{"ruby", "-v"}},
	"php":    {`^PHP (\d\S*)`, []string{"php", "-v"}},
}

var leadingVersion = lazyre.New(`^\d[\d.]*`)

// cmdShellInfo tells whether a shell or script interpreter is installed, where, and
// in which version.
//
//	gosalt '*' cmd.shell_info bash
func cmdShellInfo(ctx context.Context, c *module.Call, a cmdShellInfoArgs) (*wire.Map, error) {
	s, ok := shellVersions[a.Shell]
	if !ok {
		return wire.NewMap("error", "Salt does not know how to get the version number for "+a.Shell, "installed", nil), nil
	}
	exit, err := c.Host.Run(ctx, host.Command{
		Args: s.args, Dir: rootDir, Env: os.Environ(), Merge: true, Timeout: 10 * time.Second,
	})
	line := strings.Join(s.args, " ")
	if err != nil {
		return wire.NewMap("error", fmt.Sprintf("Unable to run command '%s' Reason: %s", line, osReason(err, s.args[0])), "installed", false), nil
	}
	if exit.TimedOut {
		return wire.NewMap("error", fmt.Sprintf("Unable to run command '%s' Reason: Timed out.", line), "installed", false), nil
	}
	out, _, err := host.Text(exit.Stdout, "")
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap("installed", nil, "path", which(s.args[0]))
	if m := regexp.MustCompile("(?i)" + s.pattern).FindStringSubmatch(out); m != nil {
		ret.Set("version_raw", m[1])
		if v := leadingVersion.FindString(m[1]); v != "" {
			parts := strings.Split(v, ".")
			if len(parts) == 1 {
				parts = append(parts, "0")
			}
			ret.Set("installed", true)
			ret.Set("version", strings.Join(parts[:min(3, len(parts))], "."))
		}
	}
	if !ret.Has("version") {
		ret.Set("error", fmt.Sprintf("The version regex pattern for shell %s, could not find the version string", a.Shell))
		ret.Set("stdout", out)
	}
	return ret, nil
}
