package modules

import (
	"context"
	"strings"

	"github.com/gosalt/gosalt/internal/gitaddr"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("git.ls_remote", gitLsRemote)
	register("git.remote_get", gitRemoteGet)
	register("git.remote_refs", gitRemoteRefs)
	register("git.remote_set", gitRemoteSet)
	register("git.remotes", gitRemotes)
}

type gitLsRemoteArgs struct {
	Cwd    any    `default:"None"`   // Directory of a repository, where remote is the name of one of its remotes.
	Remote string `default:"origin"` // Name of a remote repository, or an address.
	Ref    any    `default:"None"`   // Only this branch or tag.
	gitOptions
	User           string `default:"None"`                  // Who runs git.
	Password       string `default:"None"`                  // Password of user, on Windows.
	Identity       any    `default:"None"`                  // Private key for SSH: a path, an address of the file server, or a list.
	HTTPSUser      string `arg:"https_user" default:"None"` // User for an https:// address.
	HTTPSPass      string `arg:"https_pass" default:"None"` // Its password.
	IgnoreRetcode  bool   `default:"False"`                 // A failure is not logged.
	OutputEncoding string `default:"None"`                  // Encoding of what git prints.
	Saltenv        string `default:"base"`                  // Environment of the file server.
}

// gitLsRemote returns the hashes of the branches and tags of a remote repository.
//
//	gosalt '*' git.ls_remote /path/to/repo origin master
//	gosalt '*' git.ls_remote remote=https://mydomain.tld/repo.git ref=mytag opts='--tags'
func gitLsRemote(ctx context.Context, c *module.Call, a gitLsRemoteArgs) (*wire.Map, error) {
	remote := a.Remote
	if strings.Contains(remote, "://") {
		var err error
		if remote, err = gitAddress(remote, a.HTTPSUser, a.HTTPSPass); err != nil {
			return nil, err
		}
	}
	args, err := a.command("ls-remote", nil, remote)
	if err != nil {
		return nil, err
	}
	if module.Truth(a.Ref) {
		args = append(args, pytext.Str(a.Ref))
	}
	g := &gitCommand{args: args, who: gitUser{a.User, a.Password, a.IgnoreRetcode, a.OutputEncoding}, id: a.Identity, user: a.HTTPSUser, pass: a.HTTPSPass, saltenv: a.Saltenv}
	if a.Cwd != nil {
		g.cwd = gitDir(c, a.Cwd, a.User)
	}
	return gitHashes(ctx, c, g)
}

// gitHashes reads lines of a hash and a name.
func gitHashes(ctx context.Context, c *module.Call, g *gitCommand) (*wire.Map, error) {
	text, err := g.output(ctx, c)
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap()
	for _, line := range strings.Split(text, "\n") {
		if hash, name, ok := halves(line); ok {
			ret.Set(name, hash)
		}
	}
	return ret, nil
}

type gitRemoteRefsArgs struct {
	URL            string `arg:"url"`                       // Address of the repository.
	Heads          bool   `default:"False"`                 // Only branches.
	Tags           bool   `default:"False"`                 // Only tags.
	User           string `default:"None"`                  // Who runs git.
	Password       string `default:"None"`                  // Password of user, on Windows.
	Identity       any    `default:"None"`                  // Private key for SSH: a path, an address of the file server, or a list.
	HTTPSUser      string `arg:"https_user" default:"None"` // User for an https:// address.
	HTTPSPass      string `arg:"https_pass" default:"None"` // Its password.
	IgnoreRetcode  bool   `default:"False"`                 // A failure is not logged.
	OutputEncoding string `default:"None"`                  // Encoding of what git prints.
	Saltenv        string `default:"base"`                  // Environment of the file server.
	Filter         string `arg:"filter,kw" default:"None"`  // Only names that fit this pattern.
}

// gitRemoteRefs returns the hashes of all references of a remote repository.
//
//	gosalt '*' git.remote_refs https://mydomain.tld/repo.git filter='*-stable'
func gitRemoteRefs(ctx context.Context, c *module.Call, a gitRemoteRefsArgs) (*wire.Map, error) {
	address, err := gitAddress(a.URL, a.HTTPSUser, a.HTTPSPass)
	if err != nil {
		return nil, err
	}
	args := []string{"ls-remote"}
	if a.Heads {
		args = append(args, "--heads")
	}
	if a.Tags {
		args = append(args, "--tags")
	}
	args = append(args, address)
	if a.Filter != "" {
		args = append(args, a.Filter)
	}
	return gitHashes(ctx, c, &gitCommand{args: args, who: gitUser{a.User, a.Password, a.IgnoreRetcode, a.OutputEncoding},
		id: a.Identity, user: a.HTTPSUser, pass: a.HTTPSPass, saltenv: a.Saltenv})
}

type gitRemotesArgs struct {
	Cwd            any    // Directory of the repository.
	User           string `default:"None"`  // Who runs git.
	Password       string `default:"None"`  // Password of user, on Windows.
	RedactAuth     bool   `default:"True"`  // Leave users and passwords out of addresses.
	IgnoreRetcode  bool   `default:"False"` // A failure is not logged.
	OutputEncoding string `default:"None"`  // Encoding of what git prints.
}

// gitRemotes returns the addresses of the remote repositories, for fetch and for push.
//
//	gosalt '*' git.remotes /path/to/repo
func gitRemotes(ctx context.Context, c *module.Call, a gitRemotesArgs) (*wire.Map, error) {
	text, err := (&gitCommand{args: []string{"remote", "--verbose"}, cwd: gitDir(c, a.Cwd, a.User), who: gitUser{a.User, a.Password, a.IgnoreRetcode, a.OutputEncoding}}).output(ctx, c)
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap()
	for _, line := range strings.Split(text, "\n") {
		name, info, ok := halves(line)
		i := strings.LastIndexAny(strings.TrimRight(info, " \t"), " \t")
		if !ok || i < 0 {
			continue
		}
		address, action := strings.TrimRight(info[:i], " \t"), strings.ToLower(strings.Trim(info[i+1:], "() \t"))
		if action != "fetch" && action != "push" {
			c.Log.Warn("unknown action of a remote repository", "action", action, "remote", name)
			continue
		}
		if a.RedactAuth {
			address = gitaddr.Redact(address)
		}
		m := ret.Map(name)
		if m == nil {
			m = wire.NewMap()
			ret.Set(name, m)
		}
		m.Set(action, address)
	}
	return ret, nil
}

type gitRemoteGetArgs struct {
	Cwd            any    // Directory of the repository.
	Remote         string `default:"origin"` // Name of the remote repository.
	User           string `default:"None"`   // Who runs git.
	Password       string `default:"None"`   // Password of user, on Windows.
	RedactAuth     bool   `default:"True"`   // Leave users and passwords out of addresses.
	IgnoreRetcode  bool   `default:"False"`  // A failure is not logged.
	OutputEncoding string `default:"None"`   // Encoding of what git prints.
}

// gitRemoteGet returns the addresses of a remote repository.
//
//	gosalt '*' git.remote_get /path/to/repo upstream
func gitRemoteGet(ctx context.Context, c *module.Call, a gitRemoteGetArgs) (*wire.Map, error) {
	all, err := gitRemotes(ctx, c, gitRemotesArgs{a.Cwd, a.User, a.Password, a.RedactAuth, a.IgnoreRetcode, a.OutputEncoding})
	if err != nil {
		return nil, err
	}
	if m := all.Map(a.Remote); m != nil {
		return m, nil
	}
	return nil, module.Failf("Remote '%s' not present in git checkout located at %s", a.Remote, gitDir(c, a.Cwd, a.User))
}

type gitRemoteSetArgs struct {
	Cwd            any    // Directory of the repository.
	URL            string `arg:"url"`                            // Address of the remote repository.
	Remote         string `default:"origin"`                     // Its name.
	User           string `default:"None"`                       // Who runs git.
	Password       string `default:"None"`                       // Password of user, on Windows.
	HTTPSUser      string `arg:"https_user" default:"None"`      // User for an https:// address.
	HTTPSPass      string `arg:"https_pass" default:"None"`      // Its password, which is not kept: give it to the functions that need it.
	PushURL        any    `arg:"push_url" default:"None"`        // Another address to push to.
	PushHTTPSUser  string `arg:"push_https_user" default:"None"` // User for that one.
	PushHTTPSPass  string `arg:"push_https_pass" default:"None"` // Its password, which is not kept.
	IgnoreRetcode  bool   `default:"False"`                      // A failure is not logged.
	OutputEncoding string `default:"None"`                       // Encoding of what git prints.
}

// gitRemoteSet gives a remote repository its address.
//
//	gosalt '*' git.remote_set /path/to/repo git@github.com:user/repo.git remote=upstream
func gitRemoteSet(ctx context.Context, c *module.Call, a gitRemoteSetArgs) (*wire.Map, error) {
	who := gitUser{a.User, a.Password, a.IgnoreRetcode, a.OutputEncoding}
	cwd := gitDir(c, a.Cwd, a.User)
	all, err := gitRemotes(ctx, c, gitRemotesArgs{Cwd: cwd, User: a.User, Password: a.Password, RedactAuth: true, OutputEncoding: a.OutputEncoding})
	if err != nil {
		return nil, err
	}
	address, err := gitAddress(a.URL, a.HTTPSUser, a.HTTPSPass)
	if err != nil {
		return nil, err
	}
	push := ""
	if module.Truth(a.PushURL) {
		if push, err = gitAddress(pytext.Str(a.PushURL), a.PushHTTPSUser, a.PushHTTPSPass); err != nil {
			return nil, err
		}
	}
	todo := [][]string{{"remote", "add", a.Remote, address}}
	if all.Has(a.Remote) {
		todo = append([][]string{{"remote", "rm", a.Remote}}, todo...)
	}
	if push != "" {
		todo = append(todo, []string{"remote", "set-url", "--push", a.Remote, push})
	}
	for _, args := range todo {
		if _, err := (&gitCommand{args: args, cwd: cwd, who: who}).run(ctx, c); err != nil {
			return nil, err
		}
	}
	return gitRemoteGet(ctx, c, gitRemoteGetArgs{cwd, a.Remote, a.User, a.Password, true, a.IgnoreRetcode, a.OutputEncoding})
}
