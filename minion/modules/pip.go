package modules

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/durable"
	"github.com/gosalt/gosalt/internal/gitaddr"
	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// pipEnv is which Python's packages are meant, and who works on them.
type pipEnv struct {
	BinEnv string `default:"None"` // A virtual environment, or the path of a pip or a Python: python3 of the system.
	User   string `default:"None"` // Who runs pip.
	Cwd    string `default:"None"` // Directory it starts in.
}

// command is how pip is called.
func (e *pipEnv) command(c *module.Call) ([]string, error) {
	if e.BinEnv == "" {
		for _, name := range []string{"python3", "python"} {
			if p := which(name); p != "" {
				return []string{p, "-m", "pip"}, nil
			}
		}
		return nil, module.NoCommandf("Could not find a `pip` binary")
	}
	name := "python"
	if os.PathSeparator == '\\' {
		name = "python.exe"
	}
	st, err := os.Stat(c.Host.Path(e.BinEnv))
	switch {
	case err == nil && st.IsDir():
		for _, p := range []string{name, "bin/" + name, "Scripts/" + name} {
			if p := filepath.Join(e.BinEnv, p); runnable(c, p) {
				return []string{p, "-m", "pip"}, nil
			}
		}
		return nil, module.NoCommandf("Could not find a pip binary in virtualenv %s", e.BinEnv)
	case err == nil && runnable(c, e.BinEnv):
		p := filepath.Clean(e.BinEnv)
		if strings.Contains(filepath.Base(p), "python") {
			return []string{p, "-m", "pip"}, nil
		}
		return []string{p}, nil
	}
	return nil, module.NoCommandf("Access denied to %s, could not find a pip binary", e.BinEnv)
}

func runnable(c *module.Call, path string) bool {
	st, err := os.Stat(c.Host.Path(path))
	return err == nil && st.Mode().IsRegular() && (st.Mode()&0o111 != 0 || os.PathSeparator == '\\')
}

// run runs pip with arguments. env are variables over the minion's; secret ones stay out
// of the log.
func (e *pipEnv) run(ctx context.Context, c *module.Call, args []string, env, more *wire.Map, secret bool) (*wire.Map, error) {
	cmd, err := e.command(c)
	if err != nil {
		return nil, err
	}
	kw := more.Clone()
	if kw == nil {
		kw = wire.NewMap()
	}
	all := wire.NewMap()
	for _, m := range []*wire.Map{kw.Map("env"), env} {
		for k, v := range m.Strings() {
			all.Set(k, v)
		}
	}
	if st, err := os.Stat(c.Host.Path(e.BinEnv)); e.BinEnv != "" && err == nil && st.IsDir() {
		all.Set("VIRTUAL_ENV", e.BinEnv)
	}
	kw.Set("python_shell", false)
	if all.Len() > 0 {
		kw.Set("env", all)
	}
	if e.User != "" {
		kw.Set("runas", e.User)
	}
	if e.Cwd != "" {
		kw.Set("cwd", e.Cwd)
	}
	if secret {
		kw.Set("output_loglevel", "quiet")
	}
	v, err := c.Call(ctx, "cmd.run_all", []any{anyList(append(cmd, args...))}, kw)
	if err != nil {
		return nil, err
	}
	return v.(*wire.Map), nil
}

func (e *pipEnv) contextKey() string {
	if e.BinEnv == "" {
		return "pip.version"
	}
	return "pip.version." + e.BinEnv
}

var pipVersionLine = lazyre.New(`^pip (\S+)`)

// version is that of pip.
func (e *pipEnv) version(ctx context.Context, c *module.Call) (string, error) {
	if v, ok := c.Context(e.contextKey()).(string); ok {
		return v, nil
	}
	ret, err := e.run(ctx, c, []string{"--version"}, nil, nil, false)
	if err != nil {
		return "", err
	}
	m := pipVersionLine.FindStringSubmatch(ret.Text("stdout"))
	if ret.Int("retcode") != 0 || m == nil {
		return "", module.NoCommandf("Could not find a `pip` binary")
	}
	c.SetContext(e.contextKey(), m[1])
	return m[1], nil
}

// pipVars reads environment variables.
func pipVars(v any) (*wire.Map, error) {
	if v == nil {
		return nil, nil
	}
	m, ok := v.(*wire.Map)
	if !ok {
		return nil, module.Failf("env_vars %s is not a dictionary", pytext.Str(v))
	}
	out := wire.NewMap()
	for k, v := range m.All() {
		out.Set(pytext.Str(k), pytext.Str(v))
	}
	return out, nil
}

// pipWords makes a list of a list, or of a text with commas.
func pipWords(v any) []string {
	if !module.Truth(v) {
		return nil
	}
	words := gitList(v)
	for i := range words {
		words[i] = strings.TrimSpace(words[i])
	}
	return words
}

// pipArgs are the arguments of a run of pip.
type pipArgs struct {
	args   []string
	env    *wire.Map // variables for what others should not read
	secret bool
}

func (p *pipArgs) add(words ...string) { p.args = append(p.args, words...) }

// option adds an option with its value, where there is one.
func (p *pipArgs) option(name string, v any) {
	if module.Truth(v) {
		p.add(name, pytext.Str(v))
	}
}

// address adds an option whose value is an address. One with a password goes by the
// environment, since others can read command lines.
func (p *pipArgs) address(name, v string) {
	if !gitaddr.Has(v) {
		p.add(name, v)
		return
	}
	p.env.Set("PIP_"+strings.ToUpper(strings.ReplaceAll(strings.TrimLeft(name, "-"), "-", "_")), v)
	p.secret = true
}

// proxy adds the proxy that is asked for, or that of the configuration.
func (p *pipArgs) proxy(c *module.Call, v any) {
	switch {
	case module.Truth(v):
		p.address("--proxy", pytext.Str(v))
	case v == false:
	case c.Opts.Text("proxy_host") != "" && c.Opts.Has("proxy_port"):
		port, _ := c.Opts.Get("proxy_port")
		if !module.Truth(port) {
			return
		}
		login := ""
		if u, w := c.Opts.Text("proxy_username"), c.Opts.Text("proxy_password"); u != "" && w != "" {
			login = u + ":" + w + "@"
		}
		p.address("--proxy", "http://"+login+c.Opts.Text("proxy_host")+":"+pytext.Str(port))
	}
}

func (p *pipArgs) timeout(v any) error {
	if !module.Truth(v) {
		return nil
	}
	n, err := strconv.Atoi(strings.TrimSpace(pytext.Str(v)))
	if err != nil {
		return module.Invalidf("'%s' is not a valid timeout, must be an integer", pytext.Str(v))
	}
	p.add("--timeout", strconv.Itoa(n))
	return nil
}

var pipAddress = lazyre.New(`^(https?|ftp|file)://`)

func pipURL(v string) error {
	if !pipAddress.MatchString(v) {
		return module.Failf("'%s' is not a valid URL", gitaddr.Redact(v))
	}
	return nil
}

var (
	pipNested  = lazyre.New(`(?m)(?:^|\s)(?:-r\s|--requirement[=\s])(.*)\n?`)
	pipComment = lazyre.New(`(?m)(?:^|\s+)#.*$`)
)

// requirements adds files of requirements. Those of the file server are fetched; another
// user than the minion's gets copies that he can read. A text is what is missing.
func (p *pipArgs) requirements(ctx context.Context, c *module.Call, e *pipEnv, v any, saltenv string) (missing string, done func(), err error) {
	done = func() {}
	dir := ""
	for _, req := range pipWords(v) {
		fetched := strings.HasPrefix(req, "salt://")
		if fetched {
			got, err := c.Call(ctx, "cp.cache_file", []any{req, saltenv}, nil)
			if err != nil {
				return "", done, err
			}
			path, _ := got.(string)
			if path == "" {
				return "pip requirements file '" + req + "' not found", done, nil
			}
			req = path
		}
		if e.User != "" {
			if dir == "" {
				if dir, err = os.MkdirTemp("", "gosalt-pip-"); err != nil {
					return "", done, module.Failf("make a place for the requirements: %w", err)
				}
				done = func() { _ = os.RemoveAll(dir) }
			}
			if e.Cwd == "" {
				abs, err := filepath.Abs(req)
				if err != nil {
					return "", done, module.Failf("find %s: %w", req, err)
				}
				e.Cwd, req = filepath.Dir(abs), abs
				if fetched { // the minion's cache is not that user's to enter
					e.Cwd = dir
				}
			}
			if !filepath.IsAbs(req) {
				req = filepath.Join(e.Cwd, req)
			}
			if err := copyRequirements(c, e.User, dir, req, map[string]bool{}); err != nil {
				return "", done, err
			}
			req = filepath.Join(dir, filepath.Base(req))
		}
		p.add("--requirement", req)
	}
	return "", done, nil
}

// copyRequirements copies a file of requirements and those that it names.
func copyRequirements(c *module.Call, user, dir, file string, seen map[string]bool) error {
	if seen[file] || len(seen) > 1000 {
		return nil
	}
	seen[file] = true
	text, err := os.ReadFile(c.Host.Path(file))
	if err != nil {
		return module.Failf("read the requirements: %w", err)
	}
	u, err := c.Host.User(user)
	if err != nil {
		return module.Failf("%w", err)
	}
	to := filepath.Join(dir, filepath.Base(file))
	if err = durable.WriteFile(to, text, 0o600); err == nil && os.PathSeparator == '/' {
		if err = os.Chown(to, u.UID, u.GID); err == nil {
			err = os.Chown(dir, u.UID, u.GID)
		}
	}
	if err != nil {
		return module.Failf("copy the requirements: %w", err)
	}
	for _, m := range pipNested.FindAllStringSubmatch(pipComment.ReplaceAllString(string(text), ""), -1) {
		next := strings.TrimSpace(m[1])
		if !filepath.IsAbs(next) {
			next = filepath.Join(filepath.Dir(file), next)
		}
		if err := copyRequirements(c, user, dir, next, seen); err != nil {
			return err
		}
	}
	return nil
}
