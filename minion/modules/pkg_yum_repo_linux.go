package modules

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/rpm"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("pkg.list_repos", yumListRepos, onYum)
	register("pkg.get_repo", yumGetRepo, onYum)
	register("pkg.mod_repo", yumModRepo, onYum)
	register("pkg.del_repo", yumDelRepo, onYum)
}

// yumConfigs are where the options of dnf and yum may be; the first that is there counts.
var yumConfigs = []string{"/etc/yum/yum.conf", "/etc/yum.conf", "/etc/dnf/dnf.conf", "/etc/tdnf/tdnf.conf"}

// strictConfig tells whether what is there twice in a file is an error.
func strictConfig(kwargs *wire.Map) bool {
	v, ok := kwargs.Get("strict_config")
	return !ok || module.Truth(v)
}

// repoDirs are the directories with files of repositories: those that are given, or those
// of the configuration.
func repoDirs(c *module.Call, given any, kwargs *wire.Map) ([]string, error) {
	if dirs := commaList(given); module.Truth(given) && len(dirs) > 0 {
		return dirs, nil
	}
	for _, file := range yumConfigs {
		text, err := c.Host.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, module.Failf("Unable to read from %s: %w", file, err)
		}
		f, err := rpm.ParseRepoFile(file, string(text), strictConfig(kwargs))
		if err != nil {
			return nil, module.Failf("%w", err)
		}
		if main := f.Repos.Map("main"); main.Has("reposdir") {
			return commaList(main.Text("reposdir")), nil
		}
		return []string{"/etc/yum/repos.d", "/etc/yum.repos.d"}, nil
	}
	return nil, module.Failf("No suitable yum config file found in: ('%s')", strings.Join(yumConfigs, "', '"))
}

func readRepoFile(c *module.Call, path string, kwargs *wire.Map) (*rpm.RepoFile, error) {
	text, err := c.Host.ReadFile(path)
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	f, err := rpm.ParseRepoFile(path, string(text), strictConfig(kwargs))
	var e *rpm.ErrNoSection
	if errors.As(err, &e) {
		c.Log.Error("file of repositories not read", "file", path, "error", err)
		return &rpm.RepoFile{Repos: wire.NewMap()}, nil
	}
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	return f, nil
}

// yumRepos are the repositories by name, each with the file it is in.
func yumRepos(c *module.Call, basedir any, kwargs *wire.Map) (*wire.Map, error) {
	dirs, err := repoDirs(c, basedir, kwargs)
	if err != nil {
		return nil, err
	}
	all := wire.NewMap()
	for _, dir := range dirs {
		entries, err := os.ReadDir(c.Host.Path(dir))
		if err != nil {
			continue
		}
		for _, e := range entries {
			path := dir + "/" + e.Name()
			if !strings.HasSuffix(path, ".repo") {
				continue
			}
			f, err := readRepoFile(c, path, kwargs)
			if err != nil {
				return nil, err
			}
			for name, r := range f.Repos.Strings() {
				r.(*wire.Map).Set("file", path)
				all.Set(name, r)
			}
		}
	}
	return all, nil
}

// coprName is the name of a project of Copr as dnf has it: copr:owner/project.
func coprName(repo string) string {
	project, ok := strings.CutPrefix(repo, "copr:")
	owner, name, parts := strings.Cut(project, "/")
	if !ok || !parts {
		return repo
	}
	return "copr:copr.fedorainfracloud.org:" + owner + ":" + name
}

type yumListReposArgs struct {
	Basedir any       `default:"None"` // Directories with the files: a text with commas, or a list.
	Kwargs  *wire.Map `arg:"**"`       // strict_config=False: let options be there twice.
}

// yumListRepos returns the repositories of packages by their name.
//
//	gosalt '*' pkg.list_repos
//	gosalt '*' pkg.list_repos basedir=/etc/yum.repos.d
func yumListRepos(_ context.Context, c *module.Call, a yumListReposArgs) (*wire.Map, error) {
	return yumRepos(c, a.Basedir, a.Kwargs)
}

type yumRepoArgs struct {
	Repo    string    // Name of the repository, or copr:owner/project.
	Basedir any       `default:"None"` // Directories with the files: a text with commas, or a list.
	Kwargs  *wire.Map `arg:"**"`       // strict_config=False: let options be there twice.
}

// yumGetRepo returns the options of a repository, {} where it is not configured.
//
//	gosalt '*' pkg.get_repo epel
func yumGetRepo(_ context.Context, c *module.Call, a yumRepoArgs) (*wire.Map, error) {
	all, err := yumRepos(c, a.Basedir, a.Kwargs)
	if err != nil {
		return nil, err
	}
	r := all.Map(coprName(a.Repo))
	if r == nil {
		return wire.NewMap(), nil
	}
	r.Delete("file")
	return r, nil
}

// yumDelRepo removes a repository, with its file where nothing else is in that.
//
//	gosalt '*' pkg.del_repo epel
func yumDelRepo(_ context.Context, c *module.Call, a yumRepoArgs) (string, error) {
	repo := coprName(a.Repo)
	dirs, err := repoDirs(c, a.Basedir, a.Kwargs)
	if err != nil {
		return "", err
	}
	all, err := yumRepos(c, texts(dirs), a.Kwargs)
	if err != nil {
		return "", err
	}
	if !all.Has(repo) {
		return "Error: the " + repo + " repo does not exist in " + pytext.Repr(texts(dirs)), nil
	}
	file := all.Map(repo).Text("file")
	alone := true
	for name, r := range all.Strings() {
		if name != repo && r.(*wire.Map).Text("file") == file {
			alone = false
		}
	}
	if alone {
		if err := c.Host.Remove(file); err != nil {
			return "", module.Failf("remove %s: %w", file, err)
		}
		return "File " + file + " containing repo " + repo + " has been removed", nil
	}
	f, err := readRepoFile(c, file, a.Kwargs)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(f.Header)
	for name, r := range f.Repos.Strings() {
		if name == repo {
			continue
		}
		b.WriteString("\n[" + name + "]")
		comments := ""
		for k, v := range r.(*wire.Map).Strings() {
			if k == "comments" {
				comments = rpm.Comments(v)
			} else {
				b.WriteString("\n" + k + "=" + rpm.Value(v))
			}
		}
		b.WriteString("\n" + comments + "\n")
	}
	if err := writeRepoFile(c, file, b.String()); err != nil {
		return "", err
	}
	return "Repo " + repo + " has been removed from " + file, nil
}

func writeRepoFile(c *module.Call, file, text string) error {
	if err := c.Host.Replace(file, host.Keep, -1, func(w io.Writer) error { _, err := io.WriteString(w, text); return err }); err != nil {
		return module.Failf("write %s: %w", file, err)
	}
	return nil
}

type yumModRepoArgs struct {
	Repo    string    // Name of the repository, or copr:owner/project.
	Basedir any       `default:"None"` // Directories with the files; a new one is written to the first that is there.
	Kwargs  *wire.Map `arg:"**"`       // Options: name, baseurl, mirrorlist, enabled, gpgcheck, gpgkey, comments …; an empty one is removed.
}

// yumModRepo sets options of a repository, and makes it where it is not there: then it
// needs a name, and a baseurl or a mirrorlist. It returns what is in its file.
//
//	gosalt '*' pkg.mod_repo epel enabled=1 gpgcheck=1
//	gosalt '*' pkg.mod_repo epel baseurl= mirrorlist=https://example.com/mirrors
func yumModRepo(ctx context.Context, c *module.Call, a yumModRepoArgs) (*wire.Map, error) {
	opts := wire.NewMap()
	var drop []string
	for k, v := range a.Kwargs.Strings() {
		switch {
		case strings.HasPrefix(k, "__") || k == "saltenv":
		case module.Truth(v) || v == false || pytext.Equal(v, int64(0)):
			opts.Set(k, v)
		default:
			drop = append(drop, k)
		}
	}
	if a.Kwargs.Has("mirrorlist") && a.Kwargs.Has("baseurl") {
		return nil, module.Invalidf("Only one of 'mirrorlist' and 'baseurl' can be specified")
	}
	repo := coprName(a.Repo)
	switch {
	case opts.Has("mirrorlist"):
		drop = append(drop, "baseurl")
	case opts.Has("baseurl"):
		drop = append(drop, "mirrorlist")
	}
	if slices.Contains(drop, "name") {
		return nil, module.Invalidf("The repo name cannot be deleted")
	}
	dirs, err := repoDirs(c, a.Basedir, a.Kwargs)
	if err != nil {
		return nil, err
	}
	all, err := yumRepos(c, texts(dirs), a.Kwargs)
	if err != nil {
		return nil, err
	}
	f := &rpm.RepoFile{Repos: wire.NewMap()}
	file := ""
	if !all.Has(repo) && repo != a.Repo {
		if all, err = enableCopr(ctx, c, strings.TrimPrefix(a.Repo, "copr:"), dirs, a.Kwargs); err != nil {
			return nil, err
		}
	}
	switch {
	case all.Has(repo):
		file = all.Map(repo).Text("file")
		if f, err = readRepoFile(c, file, a.Kwargs); err != nil {
			return nil, err
		}
	default:
		i := slices.IndexFunc(dirs, c.Host.Exists)
		switch {
		case i < 0:
			return nil, module.Invalidf("The repo does not exist and needs to be created, but none of the following basedir directories exist: %s", pytext.Repr(texts(dirs)))
		case !opts.Has("name"):
			return nil, module.Invalidf("The repo does not exist and needs to be created, but a name was not given")
		case !opts.Has("baseurl") && !opts.Has("mirrorlist"):
			return nil, module.Invalidf("The repo does not exist and needs to be created, but either a baseurl or a mirrorlist needs to be given")
		}
		file = dirs[i] + "/" + repo + ".repo"
		if strings.ContainsRune(repo, filepath.Separator) {
			return nil, module.Invalidf("the name of a repository is the name of a file, and '%s' is none", repo)
		}
		f.Repos.Set(repo, wire.NewMap())
	}
	r := f.Repos.Map(repo)
	for _, pair := range [][2]string{{"baseurl", "mirrorlist"}, {"mirrorlist", "baseurl"}} {
		if slices.Contains(drop, pair[0]) && !opts.Has(pair[1]) && !r.Has(pair[1]) {
			return nil, module.Invalidf("Cannot delete %s without specifying %s", pair[0], pair[1])
		}
	}
	for _, k := range drop {
		r.Delete(k)
	}
	for k, v := range opts.Strings() {
		r.Set(k, v)
	}
	var b strings.Builder
	b.WriteString(f.Header)
	for name, r := range f.Repos.Strings() {
		r := r.(*wire.Map)
		comments := ""
		if v, ok := r.Get("comments"); ok {
			comments = rpm.Comments(v)
			r.Delete("comments")
		}
		b.WriteString("[" + name + "]\n")
		for k, v := range r.Strings() {
			b.WriteString(k + "=" + rpm.Value(v) + "\n")
		}
		b.WriteString(comments + "\n")
	}
	if err := writeRepoFile(c, file, b.String()); err != nil {
		return nil, err
	}
	return wire.NewMap(file, f.Repos), nil
}

// enableCopr has dnf's plugin add a project of Copr.
func enableCopr(ctx context.Context, c *module.Call, project string, dirs []string, kwargs *wire.Map) (*wire.Map, error) {
	y, err := yumOf(c)
	if err != nil {
		return nil, err
	}
	plugin := "yum-plugin-copr"
	if y.dnf() {
		plugin = "dnf-plugins-core"
	}
	have, err := y.list(ctx, pkgListOptions{})
	if err != nil {
		return nil, err
	}
	if have[plugin] == nil {
		return nil, module.Invalidf("%s must be installed to use COPR", plugin)
	}
	out, err := y.run(ctx, program{args: []string{"copr", "enable", project, "-y"}})
	if err != nil {
		return nil, err
	}
	if !out.ok() {
		return nil, module.Failf("Unable to add COPR '%s'. '%s' exited with status %d: '%s' ", project, y.prog, out.code, out.err)
	}
	return yumRepos(c, texts(dirs), kwargs)
}
