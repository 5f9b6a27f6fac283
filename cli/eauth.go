package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/internal/durable"
	"github.com/gosalt/gosalt/protocol/control"
	"github.com/gosalt/gosalt/protocol/wire"
)

// login finds out what a command logs in with: what --auth asks for, else the token
// that --make-token kept. special is true for commands whose refusal Salt words as a
// failure to authenticate. The result is an exit code where the command ends here, else
// negative.
func (s *masterSession) login(a *AuthOptions, special bool) (exit int) {
	s.special = special
	if a.EAuth == "" {
		if a.MakeToken {
			fmt.Fprintln(s.io.Err, "ERROR: --make-token needs --auth: the system to log in with")
			return Usage.Code(s.strict)
		}
		s.eauth = s.keptToken()
		return -1
	}
	if !slices.Contains(control.LoginSystems, a.EAuth) {
		fmt.Fprintf(s.io.Out, "The specified external authentication system %q is not available\nAvailable eauth types: %s\n",
			a.EAuth, strings.Join(control.LoginSystems, ", "))
		fmt.Fprintln(s.io.Err, "ERROR: Authentication failed")
		if s.special { // gosalt-run, gosalt-key: to Salt's no failure
			return NotAuthenticated.Code(s.strict)
		}
		return NoReturn.Code(s.strict)
	}
	name, password := a.Username, string(a.Password)
	in := bufio.NewReader(s.io.In)
	var err error
	if name == "" {
		if name, err = s.prompt(in, "username: ", false); err != nil {
			return s.io.Fail(err)
		}
	}
	if name == "" { // as Salt: the user who calls
		if u, err := user.Current(); err == nil {
			name = u.Username
		}
	}
	if password == "" {
		if password, err = s.prompt(in, "password: ", true); err != nil {
			return s.io.Fail(err)
		}
	}
	s.who = name
	s.eauth = wire.NewMap("eauth", a.EAuth, "username", name, "password", password)
	if a.MakeToken {
		return s.makeToken()
	}
	return -1
}

// prompt asks for a line, without showing what is typed where it is a secret. Where
// the input is no terminal the line is read from it.
func (s *masterSession) prompt(in *bufio.Reader, text string, secret bool) (string, error) {
	return Prompt(s.io, in, text, secret)
}

// IsTerminal tells whether a person sits at a file's other end.
func IsTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// Prompt asks for a line, without showing what is typed where it is a secret. Where
// the input is no terminal the line is read from in.
func Prompt(c IO, in *bufio.Reader, text string, secret bool) (string, error) {
	fmt.Fprint(c.Err, text)
	if f, ok := c.In.(*os.File); ok && secret && term.IsTerminal(int(f.Fd())) {
		b, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(c.Err)
		return string(b), err
	}
	line, err := in.ReadString('\n')
	if errors.Is(err, io.EOF) && line == "" {
		fmt.Fprintln(c.Err)
		return "", fmt.Errorf("the input ended where a %s was expected", strings.TrimSuffix(text, ": "))
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return strings.TrimRight(line, "\r\n"), nil
}

// tokenFile is where a token is kept: token_file of the configuration, else salt_token
// in ~/.config/salt where that is a directory, else in the home directory.
func (s *masterSession) tokenFile() string {
	if f := s.cfg.TokenFile; f != "" {
		return s.io.expandUser(f)
	}
	home := s.io.env("HOME")
	if home == "" {
		return ""
	}
	xdg := first(s.io.env("XDG_CONFIG_HOME"), filepath.Join(home, ".config"))
	if st, err := os.Stat(filepath.Join(xdg, "salt")); err == nil && st.IsDir() {
		return filepath.Join(xdg, "salt", "salt_token")
	}
	return filepath.Join(home, "salt_token")
}

// keptToken is the token that an earlier command kept; nil without one that may still
// count. One that others can read is not used.
func (s *masterSession) keptToken() *wire.Map {
	name := s.tokenFile()
	st, err := os.Stat(name)
	if err != nil || !st.Mode().IsRegular() || st.Size() > 4096 || time.Since(st.ModTime()) > s.cfg.TokenExpire {
		return nil
	}
	if st.Mode().Perm()&0o077 != 0 {
		fmt.Fprintf(s.io.Err, "%s: warning: the token in %s is not used: others can read it; chmod 600 it, or log in anew with --make-token\n", s.io.Prog, name)
		return nil
	}
	b, err := os.ReadFile(name)
	if err != nil || strings.TrimSpace(string(b)) == "" {
		return nil
	}
	return wire.NewMap("token", strings.TrimSpace(string(b)), "kept", true)
}

// makeToken logs in, and keeps the token that stands for that from now on.
func (s *masterSession) makeToken() (exit int) {
	var t *wire.Map
	err := s.ask(context.Background(), wire.NewMap("op", control.OpToken), func(f *wire.Map) error {
		t = f.Map("return")
		return nil
	})
	if err != nil {
		return s.explain(err)
	}
	if name := s.tokenFile(); name == "" {
		fmt.Fprintf(s.io.Err, "%s: warning: the token cannot be kept: HOME is not set\n", s.io.Prog)
	} else if err := durable.WriteFile(name, []byte(t.Text("token")), 0o600); err != nil {
		fmt.Fprintf(s.io.Err, "%s: warning: the token cannot be kept: %v\n", s.io.Prog, err)
	}
	s.eauth = wire.NewMap("token", t.Text("token"))
	return -1
}

// notAuthenticated says that a login failed, in Salt's words, which are others in
// gosalt than in gosalt-run and gosalt-key.
func (s *masterSession) notAuthenticated(e *wire.Error) Outcome {
	if s.special {
		fmt.Fprintln(s.io.Out, e.Msg)
	} else {
		fmt.Fprintln(s.io.Out, "Authentication error occurred.")
		fmt.Fprintf(s.io.Err, "%s: error: %s\n", s.io.Prog, e.Msg)
	}
	if s.eauth.Bool("kept") {
		s.io.Hint("the token in %s does not count any longer: log in with --auth and --make-token, or remove it", s.tokenFile())
	}
	return NotAuthenticated
}

// forbiddenText is Salt's text for what a user may not do.
func (s *masterSession) forbiddenText() string {
	if s.special && s.eauth != nil && s.who != "" {
		return fmt.Sprintf("Authentication failure of type \"eauth\" occurred for user %s.", s.who)
	}
	return "Authorization error occurred."
}

// remoteKeys are the master's keys for who has logged in: each step is asked of the
// master, which holds it against the user's rules.
type remoteKeys struct{ s *masterSession }

// RemoteKeys is the store of gosalt-key for who logs in with --auth; nil with the exit
// code where that fails.
func RemoteKeys(io IO, o *KeyOptions, cfg *config.Master) (KeyStore, int) {
	s := &masterSession{io: io, opts: &o.CommonOptions, cfg: cfg, strict: o.Strict}
	if exit := s.login(&o.AuthOptions, true); exit >= 0 {
		return nil, exit
	}
	return &remoteKeys{s}, 0
}

// keyDenied is what ends gosalt-key where the master refuses.
type keyDenied struct {
	s   *masterSession
	err error
}

func (e *keyDenied) Error() string { return e.err.Error() }
func (e *keyDenied) Unwrap() error { return e.err }

// keyRefused shows that the master refused a login or what was asked for after it.
func keyRefused(io IO, err error) (Outcome, bool) {
	var d *keyDenied
	var e *wire.Error
	if !errors.As(err, &d) || !errors.As(err, &e) {
		return OK, false
	}
	switch {
	case e.Op == "login":
		return d.s.notAuthenticated(e), true
	case e.Kind == wire.Forbidden:
		fmt.Fprintf(io.Out, "%s\n", d.s.forbiddenText())
		fmt.Fprintf(io.Err, "%s: error: %v\n", io.Prog, e)
		return NotAuthorized, true
	}
	return OK, false
}

// step asks the master for one step.
func (r *remoteKeys) step(kv ...any) (v any, err error) {
	req := wire.NewMap("op", control.OpKey)
	for i := 0; i < len(kv); i += 2 {
		req.Set(kv[i].(string), kv[i+1])
	}
	err = r.s.ask(context.Background(), req, func(f *wire.Map) error {
		v, _ = f.Get("return")
		return nil
	})
	if err != nil {
		return nil, &keyDenied{r.s, err}
	}
	return v, nil
}

func (r *remoteKeys) List(state KeyState) ([]wire.MinionID, error) {
	v, err := r.step("do", "list", "state", string(state))
	if err != nil {
		return nil, err
	}
	list, _ := v.([]any)
	ids := make([]wire.MinionID, 0, len(list))
	for _, e := range list {
		text, _ := e.(string)
		id, err := wire.ParseMinionID(text)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func (r *remoteKeys) Read(state KeyState, id wire.MinionID) (string, error) {
	v, err := r.step("do", "read", "state", string(state), "id", string(id))
	text, _ := v.(string)
	return text, err
}

func (r *remoteKeys) Move(id wire.MinionID, from, to KeyState) error {
	_, err := r.step("do", "move", "state", string(from), "to", string(to), "id", string(id))
	return err
}

func (r *remoteKeys) Delete(state KeyState, id wire.MinionID) error {
	_, err := r.step("do", "delete", "state", string(state), "id", string(id))
	return err
}

func (r *remoteKeys) Forget(keep []wire.MinionID) error {
	list := make([]any, len(keep))
	for i, id := range keep {
		list[i] = string(id)
	}
	_, err := r.step("do", "forget", "keep", list)
	return err
}

func (r *remoteKeys) RotateAES() error {
	_, err := r.step("do", "rotate")
	return err
}
