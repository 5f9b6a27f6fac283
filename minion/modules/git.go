package modules

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/durable"
	"github.com/gosalt/gosalt/internal/gitaddr"
	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// gitUser is how git is run, whatever it does.
type gitUser struct {
	User           string `default:"None"`  // Who runs git: root, or the user of the minion.
	Password       string `default:"None"`  // Password of user, on Windows.
	IgnoreRetcode  bool   `default:"False"` // A failure is not logged.
	OutputEncoding string `default:"None"`  // Encoding of what git prints, as for cmd.run.
}

// gitOptions are options that a function hands on.
type gitOptions struct {
	Opts    any `default:""` // Options of the command: a text, split as a shell does, or a list.
	GitOpts any `default:""` // Options of git itself, before the command.
}

// gitCommand is one run of git.
type gitCommand struct {
	args    []string // without git itself
	cwd     string   // "" is the home of who runs it
	who     gitUser
	soft    bool // a failure is an answer
	merge   bool // standard error joins standard output
	id      any
	user    string // of HTTPS
	pass    string
	saltenv string
}

// gitExit is how git ended.
type gitExit struct {
	code     int64
	out, err string
}

// gitAddress is an address with the user in it.
func gitAddress(address, user, pass string) (string, error) {
	address, err := gitaddr.Login(address, user, pass)
	if err != nil {
		return "", module.Invalidf("%w", err)
	}
	return address, nil
}

// gitEnv has git ask the environment for user and password.
func gitEnv(g *gitCommand) *wire.Map {
	env := wire.NewMap()
	if g.pass != "" {
		env = wire.NewMap("GIT_CONFIG_COUNT", "1", "GIT_CONFIG_KEY_0", "credential.helper",
			"GIT_CONFIG_VALUE_0", `!f() { test "$1" = get && printf 'username=%s\npassword=%s\n' "$GOSALT_GIT_USER" "$GOSALT_GIT_PASSWORD"; }; f`,
			"GOSALT_GIT_USER", g.user, "GOSALT_GIT_PASSWORD", g.pass, "GIT_TERMINAL_PROMPT", "0")
	}
	return env
}

// run runs git, with one identity after the other where there are any.
func (g *gitCommand) run(ctx context.Context, c *module.Call) (*gitExit, error) {
	if which("git") == "" {
		return nil, notHereGit(c)
	}
	if !module.Truth(g.id) {
		e, err := g.once(ctx, c, gitEnv(g))
		if err != nil || e.code == 0 || g.soft {
			return e, err
		}
		text := e.err
		if g.merge {
			text = e.out
		}
		msg := "Command '" + gitaddr.Redact("git "+strings.Join(g.args, " ")) + "' failed"
		if text != "" {
			msg += ": " + gitaddr.Redact(text)
		}
		return nil, module.Failf("%s", msg)
	}
	return g.withIdentity(ctx, c)
}

func notHereGit(c *module.Call) error {
	return &module.Error{Kind: module.NotAvailable, Msg: "'" + c.Fun() + "' is not available: git is not installed."}
}

func (g *gitCommand) once(ctx context.Context, c *module.Call, env *wire.Map) (*gitExit, error) {
	argv := []any{"git"}
	secret := g.pass != ""
	for _, a := range g.args {
		argv = append(argv, a)
		secret = secret || gitaddr.Has(a)
	}
	kw := wire.NewMap("python_shell", false, "ignore_retcode", g.who.IgnoreRetcode, "redirect_stderr", g.merge, "env", env)
	if secret { // cmd logs command lines, and addresses may have passwords in them
		kw.Set("output_loglevel", "quiet")
	}
	if g.cwd != "" {
		kw.Set("cwd", g.cwd)
	}
	if g.who.User != "" {
		kw.Set("runas", g.who.User)
	}
	if g.who.Password != "" {
		kw.Set("password", g.who.Password)
	}
	if g.who.OutputEncoding != "" {
		kw.Set("output_encoding", g.who.OutputEncoding)
	}
	v, err := c.Call(ctx, "cmd.run_all", []any{argv}, kw)
	if err != nil {
		return nil, err
	}
	m := v.(*wire.Map)
	e := &gitExit{m.Int("retcode"), m.Text("stdout"), m.Text("stderr")}
	if secret && e.code != 0 && !g.who.IgnoreRetcode {
		c.Log.Error("command failed", "command", gitaddr.Redact("git "+strings.Join(g.args, " ")), "retcode", e.code, "stderr", gitaddr.Redact(e.err))
	}
	return e, nil
}

// sshCommand is how git calls ssh with an identity: as Salt does, it never asks.
const sshCommand = "ssh -oStrictHostKeyChecking=no -oPasswordAuthentication=no -oKbdInteractiveAuthentication=no -oChallengeResponseAuthentication=no -i "

func (g *gitCommand) withIdentity(ctx context.Context, c *module.Call) (*gitExit, error) {
	ids, ok := g.id.([]any)
	if !ok {
		ids = []any{g.id}
	}
	var failed, missing []string
	var last *gitExit
	for _, id := range ids {
		name := pytext.Str(id)
		key, done, err := g.key(ctx, c, name)
		if err != nil {
			return nil, err
		}
		if key == "" {
			if !strings.Contains(name, "salt://") {
				missing = append(missing, name)
			}
			c.Log.Error("identity does not exist", "identity", name)
			continue
		}
		encrypted, err := keyIsEncrypted(key)
		if err == nil && encrypted {
			failed = append(failed, "Identity file "+key+" is passphrase-protected and cannot be used in a non-interactive command.")
			done()
			continue
		}
		if err != nil {
			done()
			return nil, err
		}
		env := gitEnv(g)
		env.Set("GIT_SSH_COMMAND", sshCommand+shellWord(key))
		env.Set("GIT_IDENTITY", key)
		last, err = g.once(ctx, c, env)
		done()
		if err != nil || last.code == 0 {
			return last, err
		}
		text := last.err
		if g.merge {
			text = last.out
		}
		if text != "" {
			failed = append(failed, gitaddr.Redact(text))
		}
	}
	if g.soft && last != nil {
		return last, nil
	}
	msg := "Unable to authenticate using identity file:\n\n" + strings.Join(failed, "\n")
	if len(missing) > 0 {
		if len(failed) > 0 {
			msg += "\n\n"
		}
		msg += "The following identity file(s) were not found: " + strings.Join(missing, ", ")
	}
	return nil, module.Failf("%s", msg)
}

// shellWord quotes a word for a shell.
func shellWord(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// key is the file of an identity, "" where there is none. done removes what was fetched.
func (g *gitCommand) key(ctx context.Context, c *module.Call, name string) (path string, done func(), err error) {
	done = func() {}
	if !strings.Contains(name, "salt://") {
		if !c.Host.IsFile(name) {
			return "", done, nil
		}
		return name, done, nil
	}
	env := g.saltenv
	if env == "" {
		env = "base"
	}
	v, err := c.Call(ctx, "cp.cache_file", []any{name, env}, nil)
	cached, _ := v.(string)
	if err != nil || cached == "" {
		return "", done, err
	}
	text, err := os.ReadFile(cached)
	if err != nil {
		return "", done, module.Failf("read the identity %s: %w", name, err)
	}
	dir, err := os.MkdirTemp("", "gosalt-git-") // which nobody else can enter
	if err != nil {
		return "", done, module.Failf("make a place for the identity: %w", err)
	}
	done = func() { _ = os.RemoveAll(dir) }
	path = filepath.Join(dir, "identity")
	if err = durable.WriteFile(path, text, 0o600); err == nil && g.who.User != "" {
		var u *host.User
		if u, err = c.Host.User(g.who.User); err == nil {
			if err = os.Chown(path, u.UID, u.GID); err == nil {
				err = os.Chown(dir, u.UID, u.GID)
			}
		}
	}
	if err != nil {
		done()
		return "", func() {}, module.Failf("keep the identity %s: %w", name, err)
	}
	return path, done, nil
}

var privateKey = lazyre.New(`BEGIN (?:\w+\s)*PRIVATE KEY`)

func keyIsEncrypted(path string) (bool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return false, module.Failf("read the identity: %w", err)
	}
	if !privateKey.Match(text) {
		return false, module.Failf("%s is not a private key", path)
	}
	return strings.Contains(string(text), "ENCRYPTED"), nil
}

// out runs git and returns what it printed.
func (g *gitCommand) output(ctx context.Context, c *module.Call) (string, error) {
	e, err := g.run(ctx, c)
	if err != nil {
		return "", err
	}
	return e.out, nil
}

// succeeds runs git for what it does.
func (g *gitCommand) succeeds(ctx context.Context, c *module.Call) (bool, error) {
	_, err := g.run(ctx, c)
	return err == nil, err
}

// gitPath makes a path absolute: it is below the home of the user.
func gitPath(c *module.Call, path any, user string) string {
	return filepath.Join(homeOf(c, user), pytext.Str(path))
}

// gitDir is gitPath for what may be absolute already.
func gitDir(c *module.Call, path any, user string) string {
	p := pytext.Str(path)
	if filepath.IsAbs(p) {
		return p
	}
	return gitPath(c, p, user)
}

// gitWords makes words of options: a text is split as a shell does it.
func gitWords(v any) ([]string, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case []any:
		var out []string
		for _, e := range v {
			out = append(out, pytext.Str(e))
		}
		return out, nil
	case string:
		out, err := host.Words(v)
		if err != nil {
			return nil, module.Invalidf("options %q: %w", v, err)
		}
		if n := len(out); n > 0 && out[n-1] == "--" {
			out = out[:n-1]
		}
		return out, nil
	}
	return []string{pytext.Str(v)}, nil
}

// command makes a command of the options of git, the command, its options, less those
// that drop names, and further words.
func (o *gitOptions) command(name string, drop []string, rest ...string) ([]string, error) {
	out, err := gitWords(o.GitOpts)
	if err != nil {
		return nil, err
	}
	opts, err := gitWords(o.Opts)
	if err != nil {
		return nil, err
	}
	out = append(out, strings.Fields(name)...)
	for _, w := range opts {
		if !slices.Contains(drop, w) {
			out = append(out, w)
		}
	}
	return append(out, rest...), nil
}

// gitList makes a list of texts of a list, or of a text with commas.
func gitList(v any) []string {
	if l, ok := v.([]any); ok {
		var out []string
		for _, e := range l {
			out = append(out, pytext.Str(e))
		}
		return out
	}
	if v == nil {
		return nil
	}
	return strings.Split(pytext.Str(v), ",")
}

// halves parts a line at its first white space, as Python's split(None, 1); ok is whether
// there are two parts.
func halves(line string) (first, rest string, ok bool) {
	line = strings.TrimLeft(line, " \t\r\n\f\v")
	i := strings.IndexAny(line, " \t\r\n\f\v")
	if i < 0 {
		return line, "", false
	}
	rest = strings.TrimLeft(line[i:], " \t\r\n\f\v")
	return line[:i], rest, rest != ""
}

// gitVersion is the version of git: "2.39.5".
func gitVersionOf(ctx context.Context, c *module.Call) (string, error) {
	if v, ok := c.Context("git.version").(string); ok {
		return v, nil
	}
	text, err := (&gitCommand{args: []string{"--version"}}).output(ctx, c)
	if err != nil {
		return "", err
	}
	text, _, _ = strings.Cut(text, "(")
	text, _, _ = strings.Cut(text, ".windows")
	words := strings.Fields(text)
	version := "unknown"
	if len(words) > 0 {
		version = words[len(words)-1]
	}
	c.SetContext("git.version", version)
	return version, nil
}

// gitSince tells whether git is at least of a version.
func gitSince(ctx context.Context, c *module.Call, least ...int) (have string, ok bool, err error) {
	have, err = gitVersionOf(ctx, c)
	if err != nil {
		return "", false, err
	}
	for i, part := range strings.Split(have, ".") {
		if i == len(least) {
			return have, true, nil
		}
		n, err := strconv.Atoi(part)
		if err != nil || n != least[i] {
			return have, err == nil && n > least[i], nil
		}
	}
	return have, true, nil
}

func gitWorktrees(ctx context.Context, c *module.Call) error {
	have, ok, err := gitSince(ctx, c, 2, 7)
	if err == nil && !ok {
		return module.Failf("Worktrees are only supported in git 2.7.0 and newer (detected git version: %s)", have)
	}
	return err
}
