//go:build unix

package modules

import (
	"bytes"
	"context"
	"crypto/rand"
	"os"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
)

const (
	shellFlag   = "-c"
	rootDir     = "/"
	shellByName = false // shells are named by their path
)

// localeNames are the variables that make programs speak another language. LC_ALL
// is not among them: who sets it means it.
var localeNames = []string{
	"LC_CTYPE", "LC_NUMERIC", "LC_TIME", "LC_COLLATE", "LC_MONETARY", "LC_MESSAGES", "LC_PAPER",
	"LC_NAME", "LC_ADDRESS", "LC_TELEPHONE", "LC_MEASUREMENT", "LC_IDENTIFICATION", "LANGUAGE",
}

// defaultShell is the shell of who started the minion.
func defaultShell() string {
	if s := os.Getenv("SHELL"); s != "" {
		return s
	}
	return "/bin/sh"
}

// loginTime bounds a user's login scripts.
const loginTime = 30 * time.Second

// loginEnv is the environment that a login of the user has: what PAM, the profile
// and its own login scripts make of it. It is printed by su between two marks,
// since such scripts print things too. Where the login is refused the user's
// environment is empty, as in Salt. Only root can ask without a password.
func loginEnv(c *module.Call, u *host.User, shell string, named bool) map[string]string {
	env := map[string]string{}
	if !named || os.Geteuid() != 0 || u.UID == 0 && os.Getuid() == 0 && u.Name == "" {
		return env
	}
	su, err := host.LookPath("su", os.Getenv("PATH")+":/bin:/usr/bin", "/")
	if err != nil {
		c.Log.Error("environment of the user not known: su is not installed", "user", u.Name)
		return env
	}
	mark := "<<<" + rand.Text() + ">>>"
	script := "printf %s '" + mark + "'; env -0; printf %s '" + mark + "'"
	ctx, cancel := context.WithTimeout(context.Background(), loginTime)
	defer cancel()
	exit, err := c.Host.Run(ctx, host.Command{
		Args: []string{su, "-s", shell, "-", u.Name, "-c", script}, Dir: "/", Env: os.Environ(),
	})
	parts := bytes.Split(exit.Stdout, []byte(mark))
	if err != nil || len(parts) != 3 {
		c.Log.Error("environment of the user not known: its login failed", "user", u.Name, "error", err,
			"stderr", strings.TrimSpace(string(exit.Stderr)))
		return env
	}
	for entry := range bytes.SplitSeq(parts[1], []byte{0}) {
		if k, v, ok := bytes.Cut(entry, []byte("=")); ok && len(k) > 0 {
			env[string(k)] = string(v)
		}
	}
	delete(env, "_") // names the env that printed it
	return env
}
