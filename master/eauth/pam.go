package eauth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strings"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/protocol/wire"
)

// pam asks the system's own accounts. Without cgo there is no libpam in this process,
// so its programs do the work, and get the password on their standard input:
//
//   - unix_chkpwd, PAM's helper for the local password file, which answers root for
//     any account and says whether it is locked or expired;
//   - su, for accounts that only the whole PAM stack knows (LDAP, SSSD, Kerberos), and
//     for a master that is not root. It is run as an unprivileged user, since root is
//     asked for no password.
type pam struct {
	chkpwd, su string // paths, "" where there is none
	run        chan struct{}
}

// pamAtOnce is how many of those programs run at a time.
const pamAtOnce = 4

func newPAM(c Config, _ *wire.Map) (Backend, error) {
	p := &pam{run: make(chan struct{}, pamAtOnce)}
	for _, dir := range []string{"/sbin", "/usr/sbin", "/usr/lib/linux-pam", "/usr/libexec"} {
		if st, err := os.Stat(dir + "/unix_chkpwd"); err == nil && st.Mode().IsRegular() {
			p.chkpwd = dir + "/unix_chkpwd"
			break
		}
	}
	for _, dir := range []string{"/bin", "/usr/bin"} {
		if st, err := os.Stat(dir + "/su"); err == nil && st.Mode()&os.ModeSetuid != 0 {
			p.su = dir + "/su"
			break
		}
	}
	if p.su == "" && (p.chkpwd == "" || os.Geteuid() != 0) {
		return nil, errors.New("neither unix_chkpwd (for a master that runs as root) nor su is installed: install libpam-modules-bin or util-linux")
	}
	if c.PAMService != "" && c.PAMService != "login" && c.PAMService != "su" {
		c.Log.Warn("auth.pam.service has no effect: gosalt asks unix_chkpwd, then PAM's service su", "service", c.PAMService)
	}
	return p, nil
}

// accountName is the form of an account's name: it becomes an argument of a command.
var accountName = lazyre.New(`^[A-Za-z0-9_][A-Za-z0-9_.@\\-]*\$?$`)

// What unix_chkpwd exits with (PAM's codes).
const (
	pamSuccess     = 0
	pamAuthInfo    = 9  // it cannot read the account's password
	pamUserUnknown = 10 // nor its account
)

func (p *pam) Authenticate(ctx context.Context, name, password string) error {
	if !accountName.MatchString(name) || password == "" || strings.ContainsAny(password, "\x00\r\n") {
		return ErrDenied
	}
	select {
	case p.run <- struct{}{}:
		defer func() { <-p.run }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if p.chkpwd != "" && os.Geteuid() == 0 {
		code, err := p.start(ctx, exec.CommandContext(ctx, p.chkpwd, name, "nonull"), password+"\x00")
		switch {
		case err != nil:
			return err
		case code == pamSuccess:
			code, err := p.start(ctx, exec.CommandContext(ctx, p.chkpwd, name, "chkexpiry"), "")
			if err != nil {
				return err
			}
			if code != pamSuccess {
				return fmt.Errorf("the password is right, but the account may not log in (unix_chkpwd: code %d, expired or to be changed)", code)
			}
			return nil
		case code != pamAuthInfo && code != pamUserUnknown || p.su == "":
			return ErrDenied
		}
	}
	if p.su == "" {
		return ErrDenied
	}
	cmd := exec.CommandContext(ctx, p.su, "-s", "/bin/sh", "-c", "exit 0", "--", name)
	if err := unprivileged(cmd); err != nil {
		return err
	}
	code, err := p.start(ctx, cmd, password+"\n")
	if err != nil {
		return err
	}
	if code != 0 {
		return ErrDenied
	}
	return nil
}

// start runs one of the programs and returns its exit code.
func (p *pam) start(ctx context.Context, cmd *exec.Cmd, input string) (int, error) {
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	cmd.Stdin = bytes.NewReader([]byte(input))
	newSession(cmd)
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case errors.As(err, &exit):
		return exit.ExitCode(), nil
	}
	return 0, err
}

func (p *pam) Groups(_ context.Context, name string) ([]string, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	ids, err := u.GroupIds()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, id := range ids {
		if g, err := user.LookupGroupId(id); err == nil {
			names = append(names, g.Name)
		}
	}
	return names, nil
}
