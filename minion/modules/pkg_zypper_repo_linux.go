package modules

import (
	"context"
	"net/url"
	"os"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/rpm"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("pkg.list_repos", zypperListRepos, onZypper)
	register("pkg.get_repo", zypperGetRepo, onZypper)
	register("pkg.mod_repo", zypperModRepo, onZypper)
	register("pkg.del_repo", zypperDelRepo, onZypper)
}

// repos are the repositories by alias, their options typed as Salt types them.
func (z *zypper) repos(root string) (*wire.Map, error) {
	dir := strings.TrimSuffix(root, "/") + "/etc/zypp/repos.d"
	all := wire.NewMap()
	entries, err := os.ReadDir(z.c.Host.Path(dir))
	if err != nil {
		z.c.Log.Warn("repositories not found", "directory", dir)
		return all, nil
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".repo") {
			continue
		}
		path := dir + "/" + e.Name()
		text, err := z.c.Host.ReadFile(path)
		if err != nil {
			return nil, module.Failf("%w", err)
		}
		f, err := rpm.ParseRepoFile(path, string(text), true)
		if err != nil {
			return nil, module.Failf("%w", err)
		}
		for alias, v := range f.Repos.Strings() {
			r := all.Map(alias)
			if r == nil {
				r = wire.NewMap()
				all.Set(alias, r)
			}
			for k, v := range v.(*wire.Map).Strings() {
				switch v {
				case "0", "1":
					r.Set(k, v == "1")
				case "NONE":
					r.Set(k, nil)
				default:
					if k != "comments" {
						r.Set(k, v)
					}
				}
			}
			r.Set("alias", alias)
		}
	}
	return all, nil
}

type zypperRootArgs struct {
	Root   string    `default:"None"` // Directory with another system.
	Kwargs *wire.Map `arg:"**"`       // Not looked at.
}

// zypperListRepos returns the repositories of packages by their alias.
//
//	gosalt '*' pkg.list_repos
func zypperListRepos(_ context.Context, c *module.Call, a zypperRootArgs) (*wire.Map, error) {
	z, err := zypperOf(c)
	if err != nil {
		return nil, err
	}
	return z.repos(a.Root)
}

type zypperRepoArgs struct {
	Repo   string    // Alias of the repository.
	Root   string    `default:"None"` // Directory with another system.
	Kwargs *wire.Map `arg:"**"`       // Not looked at.
}

// zypperGetRepo returns the options of a repository, {} where it is not configured.
//
//	gosalt '*' pkg.get_repo repo-oss
func zypperGetRepo(_ context.Context, c *module.Call, a zypperRepoArgs) (*wire.Map, error) {
	z, err := zypperOf(c)
	if err != nil {
		return nil, err
	}
	return z.repo(a.Repo, a.Root)
}

func (z *zypper) repo(alias, root string) (*wire.Map, error) {
	all, err := z.repos(root)
	if r := all.Map(alias); r != nil {
		return r, err
	}
	return wire.NewMap(), err
}

// zypperDelRepo removes a repository.
//
//	gosalt '*' pkg.del_repo repo-oss
func zypperDelRepo(ctx context.Context, c *module.Call, a zypperRepoArgs) (*wire.Map, error) {
	z, err := zypperOf(c)
	if err != nil {
		return nil, err
	}
	all, err := z.repos(a.Root)
	if err != nil {
		return nil, err
	}
	if all.Has(a.Repo) {
		doc, err := z.ask(ctx, zypperCall{root: a.Root}, "rr", "--loose-auth", "--loose-query", a.Repo)
		if err != nil {
			return nil, err
		}
		if m := doc.all("message"); len(m) > 0 && len(doc.all("progress")) > 0 {
			return wire.NewMap(a.Repo, true, "message", m[0].Text), nil
		}
	}
	return nil, module.Failf("Repository '%s' not found.", a.Repo)
}

type zypperModRepoArgs struct {
	Repo   string    // Alias of the repository.
	Kwargs *wire.Map `arg:"**"` // baseurl, mirrorlist or url; name, enabled, refresh, cache (keep packages), gpgcheck, gpgautoimport, priority; root.
}

// zypperModRepo sets options of a repository, and makes it where it is not there: then it
// needs a baseurl or a mirrorlist. It returns its options.
//
//	gosalt '*' pkg.mod_repo alias enabled=False
//	gosalt '*' pkg.mod_repo alias baseurl=http://example.com/repo
func zypperModRepo(ctx context.Context, c *module.Call, a zypperModRepoArgs) (*wire.Map, error) {
	z, err := zypperOf(c)
	if err != nil {
		return nil, err
	}
	kw, root := a.Kwargs, a.Kwargs.Text("root")
	all, err := z.repos(root)
	if err != nil {
		return nil, err
	}
	added := false
	if !all.Has(a.Repo) {
		if err := z.addRepo(ctx, a.Repo, kw, all); err != nil {
			return nil, err
		}
		added = true
	}
	info, err := z.repo(a.Repo, root)
	if err != nil {
		return nil, err
	}
	if !added && kw.Has("baseurl") && !pytext.Equal(mapValue(kw, "baseurl"), mapValue(info, "baseurl")) {
		next := info.Clone() // zypper cannot change the address: it is made anew
		for k, v := range kw.Strings() {
			next.Set(k, v)
		}
		if !next.Has("cache") {
			next.Set("cache", false)
		}
		if _, err := zypperDelRepo(ctx, c, zypperRepoArgs{Repo: a.Repo, Root: root}); err != nil {
			return nil, err
		}
		return zypperModRepo(ctx, c, zypperModRepoArgs{a.Repo, next})
	}
	var opts []string
	for _, o := range []struct{ key, yes, no string }{
		{"enabled", "--enable", "--disable"}, {"refresh", "--refresh", "--no-refresh"}, {"cache", "--keep-packages", "--no-keep-packages"}, {"gpgcheck", "--gpgcheck", "--no-gpgcheck"},
	} {
		if v, ok := kw.Get(o.key); ok {
			if module.Truth(v) {
				opts = append(opts, o.yes)
			} else {
				opts = append(opts, o.no)
			}
		}
	}
	if v, ok := kw.Get("priority"); ok {
		opts = append(opts, "--priority="+pytext.Str(v))
	}
	if v, ok := kw.Get("humanname"); ok {
		opts = append(opts, "--name='"+pytext.Str(v)+"'")
	}
	if v, ok := kw.Get("name"); ok {
		opts = append(opts, "--name", pytext.Str(v))
	}
	var global []string
	if mapValue(kw, "gpgautoimport") == true {
		global = []string{"--gpg-auto-import-keys"}
	}
	if len(opts) > 0 {
		if _, err := z.ask(ctx, zypperCall{refresh: true, root: root}, append(append(append([]string{}, global...), "mr"), append(opts, a.Repo)...)...); err != nil {
			return nil, err
		}
	}
	if global != nil {
		if _, err := z.ask(ctx, zypperCall{root: root}, append(global, "refresh", a.Repo)...); err != nil {
			return nil, err
		}
	}
	ret, err := z.repo(a.Repo, root)
	if err == nil && global == nil && !added && len(opts) == 0 {
		ret.Set("comment", "Specified arguments did not result in modification of repo")
	}
	return ret, err
}

func (z *zypper) addRepo(ctx context.Context, alias string, kw, all *wire.Map) error {
	address := ""
	for _, k := range []string{"url", "mirrorlist", "baseurl"} {
		if v, ok := kw.Get(k); ok {
			address = pytext.Str(noneIfFalsy(v))
			break
		}
	}
	if address == "" || address == "None" {
		return module.Failf("Repository '%s' not found, and neither 'baseurl' nor 'mirrorlist' was specified", alias)
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme == "" {
		return module.Failf("Repository '%s' not found and URL for baseurl/mirrorlist is malformed", alias)
	}
	for other, r := range all.Strings() {
		if have := r.(*wire.Map).Text("baseurl"); have == address || u.Path == "" && have == address+"/" {
			return module.Failf("Repository '%s' already exists as '%s'.", alias, other)
		}
	}
	root := kw.Text("root")
	if _, err := z.ask(ctx, zypperCall{root: root}, "ar", address, alias); err != nil {
		return err
	}
	now, err := z.repos(root)
	if err == nil && !now.Has(alias) {
		err = module.Failf("Failed add new repository '%s' for unspecified reason. Please check zypper logs.", alias)
	}
	return err
}

func noneIfFalsy(v any) any {
	if module.Truth(v) {
		return v
	}
	return nil
}
