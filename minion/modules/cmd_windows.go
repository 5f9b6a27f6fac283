package modules

import (
	"os"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
)

const (
	shellFlag   = "/c"
	rootDir     = `C:\`
	shellByName = true
)

// localeNames is empty: programs of Windows do not read them.
var localeNames []string

// defaultShell is the command interpreter of the system.
func defaultShell() string {
	if s := os.Getenv("COMSPEC"); s != "" {
		return s
	}
	return `C:\Windows\system32\cmd.exe`
}

// loginEnv is empty: see runAs of package host.
func loginEnv(c *module.Call, u *host.User, shell string, named bool) map[string]string { return nil }
