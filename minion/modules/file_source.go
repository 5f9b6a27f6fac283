//go:build unix

package modules

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/fileclient"
	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/render"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("file.source_list", fileSourceList)
	register("file.apply_template_on_contents", fileApplyTemplateOnContents)
	register("file.get_managed", fileGetManaged)
}

// localSource is the path that an address of this machine means; ok is false for others.
func localSource(source string) (path string, ok bool) {
	u, err := fileclient.ParseAddress(source)
	if err != nil || !isProtocol(u.Scheme) {
		return source, true
	}
	if u.Scheme == "file" {
		return strings.TrimRight(pyJoin(u.Host, u.Path), "/"), true
	}
	return "", false
}

// cacheFile brings a file to this machine and returns its path, "" where there is none.
// A copy with the given checksum is not fetched again.
func cacheFile(ctx context.Context, c *module.Call, source, env, sum string) (string, error) {
	if path, ok := localSource(source); ok {
		if !c.Host.Exists(path) {
			return "", nil
		}
		return path, nil
	}
	if c.Files == nil {
		return "", module.Failf("source %s: there is no file server to fetch it from; give a path of this machine", source)
	}
	file, err := c.Files.Fetch(ctx, source, fileclient.FetchOptions{Env: env, SourceHash: sum})
	if errors.Is(err, fileclient.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return file, err
}

type fileSourceListArgs struct {
	Source     any    // An address, or a list of some of which the first that exists is taken; a map gives its checksum too.
	SourceHash any    // Checksum, for those that come without one.
	Saltenv    string // Environment of salt:// addresses.
}

// fileSourceList returns the first source that exists, with its checksum.
//
//	gosalt '*' file.source_list salt://http/httpd.conf '{hash_type: md5, hsum: <md5sum>}' base
func fileSourceList(ctx context.Context, c *module.Call, a fileSourceListArgs) ([]any, error) {
	list, ok := a.Source.([]any)
	if !ok {
		return []any{a.Source, a.SourceHash}, nil
	}
	for _, single := range list {
		sum := a.SourceHash
		if m, ok := single.(*wire.Map); ok {
			if m.Len() != 1 {
				continue
			}
			for k, v := range m.Strings() {
				single = k
				if module.Truth(v) {
					sum = v
				}
			}
		}
		s, ok := single.(string)
		if !ok {
			continue
		}
		there, err := sourceExists(ctx, c, s, a.Saltenv)
		if err != nil {
			return nil, err
		}
		if there {
			return []any{s, sum}, nil
		}
	}
	return nil, module.Failf("none of the specified sources were found")
}

// sourceExists tells whether there is something under an address: a file, or a directory.
func sourceExists(ctx context.Context, c *module.Call, source, env string) (bool, error) {
	if path, ok := localSource(source); ok {
		return strings.HasPrefix(path, "/") && c.Host.Exists(path), nil
	}
	path, named, ok := fileclient.ParseURL(source)
	if !ok || c.FileServer == nil {
		file, err := cacheFile(ctx, c, source, env, "")
		return file != "" && err == nil, context.Cause(ctx)
	}
	if named == "" {
		named = env
	}
	for _, list := range []func(context.Context, string, string) ([]string, error){c.FileServer.List, c.FileServer.Dirs} {
		names, err := list(ctx, named, path)
		if err != nil {
			return false, module.Failf("list the files of saltenv %s: %w", named, err)
		}
		for _, n := range names {
			if n == path {
				return true, nil
			}
		}
	}
	return false, nil
}

// fillTemplate renders the template of a file. vars are its variables beside Salt's own.
func fillTemplate(ctx context.Context, c *module.Call, engine string, src render.Source, vars *wire.Map) (string, error) {
	r := render.New(render.Config{Opts: c.Opts, Grains: c.Grains(), Pillar: c.Pillar(), Files: templateFiles{c}, Functions: templateFunctions{c}, Log: c.Log})
	src.Vars = map[string]any{}
	for k, v := range vars.Strings() {
		if !strings.HasPrefix(k, "__") {
			src.Vars[k] = v
		}
	}
	if engine == "py" {
		src.Vars["context"] = vars.Clone()
	}
	return r.Template(ctx, engine, src)
}

// templateEngines are the values of template= that are understood.
func templateEngine(name string) bool { return slices.Contains(render.TemplateEngines, name) }

type fileApplyTemplateOnContentsArgs struct {
	Contents string    // The template.
	Template string    // Its language: jinja.
	Context  *wire.Map // Its variables.
	Defaults *wire.Map // Variables for those that context does not have.
	Saltenv  string    // Environment of salt:// addresses.
}

// fileApplyTemplateOnContents renders a text as a template.
//
//	gosalt '*' file.apply_template_on_contents contents='This is a {{ template }} string.' template=jinja context="{'template': 'cool'}" defaults="{'template': 'cool'}" saltenv=base
func fileApplyTemplateOnContents(ctx context.Context, c *module.Call, a fileApplyTemplateOnContentsArgs) (any, error) {
	if !templateEngine(a.Template) {
		return wire.NewMap("result", false, "comment", "Specified template format "+a.Template+" is not supported"), nil
	}
	out, err := fillTemplate(ctx, c, a.Template, render.Source{Text: a.Contents, Env: a.Saltenv}, laidOver(a.Defaults, a.Context))
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	return out, nil
}

// laidOver lays one map over another.
func laidOver(base, over *wire.Map) *wire.Map {
	out := wire.NewMap()
	for _, m := range []*wire.Map{base, over} {
		for k, v := range m.All() {
			out.SetAny(k, v)
		}
	}
	return out
}

// managedSource are the arguments that say where contents come from.
type managedSource struct {
	name, template, source string
	sourceHash, hashName   any
	user, group, mode      any
	attrs                  any
	saltenv                string
	context, defaults      *wire.Map
	skipVerify, useEtag    bool
	kwargs                 *wire.Map
}

type fileGetManagedArgs struct {
	Name           string    // The file to be.
	Template       string    // jinja, or '' for none.
	Source         string    // Where its contents are: an address.
	SourceHash     any       // Their checksum, or where it is listed.
	SourceHashName any       // The name to look for in that list.
	User           any       // Whom it is to belong to.
	Group          any       // Which group.
	Mode           any       // Its permissions.
	Attrs          any       // Its attributes.
	Saltenv        string    // Environment of salt:// addresses.
	Context        *wire.Map // Variables of the template.
	Defaults       *wire.Map // Variables for those that context does not have.
	SkipVerify     bool      `default:"False"` // Take a source without a checksum.
	VerifySSL      bool      `default:"True"`  // Check the certificate of an https:// address.
	UseEtag        bool      `default:"False"` // Ask the web server whether it changed.
	Kwargs         *wire.Map `arg:"**"`        // Further variables of the template.
}

// fileGetManaged brings the source of a file to this machine, renders it, and returns its
// path, its checksum, and what went wrong.
//
//	gosalt '*' file.get_managed /etc/httpd/conf.d/httpd.conf jinja salt://http/httpd.conf '{hash_type: md5, hsum: <md5sum>}' None root root '755' None base None None
func fileGetManaged(ctx context.Context, c *module.Call, a fileGetManagedArgs) ([]any, error) {
	path, sum, comment, err := getManaged(ctx, c, managedSource{a.Name, a.Template, a.Source, a.SourceHash, a.SourceHashName, a.User, a.Group, a.Mode, a.Attrs,
		a.Saltenv, a.Context, a.Defaults, a.SkipVerify, a.UseEtag, a.Kwargs})
	if err != nil {
		return nil, err
	}
	return []any{path, sum, comment}, nil
}

// withoutPassword hides the password of an address.
func withoutPassword(source string) string {
	u, err := fileclient.ParseAddress(source)
	if err != nil || u.User == nil {
		return source
	}
	u.User = nil
	return strings.Replace(u.String(), "://", "://<redacted>:<redacted>@", 1)
}

// getManaged is file.get_managed. A path of a temporary file, which a rendered template
// is, is removed by dropTemporary.
func getManaged(ctx context.Context, c *module.Call, s managedSource) (path string, sum *wire.Map, comment string, err error) {
	sum = wire.NewMap()
	none := func(comment string) (string, *wire.Map, string, error) { return "", wire.NewMap(), comment, nil }
	if s.source == "" {
		return "", sum, "", nil
	}
	file, local := localSource(s.source)
	scheme := urlScheme(s.source)
	if !isProtocol(scheme) {
		scheme = ""
	}
	sha256 := func(p string) (*wire.Map, error) {
		digits, err := hashFile(c, p, "sha256")
		return wire.NewMap("hsum", digits, "hash_type", "sha256"), err
	}
	if local {
		if !c.Host.Exists(file) {
			return none("Local file source " + file + " does not exist")
		}
		path = file
	}
	switch {
	case scheme == "salt":
		cached, err := cacheFile(ctx, c, s.source, s.saltenv, "")
		if err != nil {
			return none("Failed to cache " + s.source + ": " + err.Error())
		}
		if cached == "" {
			return none("Source file " + s.source + " not found in saltenv '" + s.saltenv + "'")
		}
		path = cached
		if sum, err = sha256(cached); err != nil {
			return "", nil, "", err
		}
	case local && !module.Truth(s.sourceHash):
		if sum, err = sha256(file); err != nil {
			return "", nil, "", err
		}
	case s.skipVerify:
	case module.Truth(s.sourceHash):
		sum, err = fileGetSourceSum(ctx, c, fileGetSourceSumArgs{FileName: s.name, Source: s.source, SourceHash: s.sourceHash, SourceHashName: s.hashName, Saltenv: s.saltenv})
		var e *module.Error
		if errors.As(err, &e) {
			return none(e.Msg)
		}
		if err != nil {
			return "", nil, "", err
		}
	case !s.useEtag:
		return none("Unable to verify upstream hash of source file " + withoutPassword(s.source) + ", please set source_hash or set skip_verify to True")
	}
	if s.template == "" && local {
		return path, sum, "", nil
	}
	if path == "" {
		if path, err = cacheFile(ctx, c, s.source, s.saltenv, sum.Text("hsum")); err != nil {
			return none("Failed to cache " + withoutPassword(s.source) + ": " + err.Error())
		}
		if path == "" {
			return "", wire.NewMap(), "Source file '" + withoutPassword(s.source) + "' not found", nil
		}
		if s.skipVerify {
			if sum, err = sha256(path); err != nil {
				return "", nil, "", err
			}
		}
	}
	if path == s.name {
		return "", nil, "", module.Invalidf("Source file cannot be the same as destination")
	}
	if s.template == "" {
		return path, sum, "", nil
	}
	if !templateEngine(s.template) {
		return path, wire.NewMap(), "Specified template format " + s.template + " is not supported", nil
	}
	text, err := wholeText(c, path)
	if err != nil {
		return "", nil, "", err
	}
	vars := laidOver(s.kwargs, nil)
	for k, v := range map[string]any{"name": s.name, "source": s.source, "user": s.user, "group": s.group, "mode": s.mode, "attrs": s.attrs} {
		vars.Set(k, v)
	}
	out, err := fillTemplate(ctx, c, s.template, render.Source{Text: text, Path: path, Env: s.saltenv}, laidOver(vars, laidOver(s.defaults, s.context)))
	if err != nil {
		return path, wire.NewMap(), err.Error(), nil // as in Salt, the comment
	}
	tmp, err := os.CreateTemp("", temporaryPrefix)
	if err != nil {
		return "", nil, "", err
	}
	_, err = tmp.WriteString(out)
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return "", nil, "", err
	}
	// A host below a root has no path for it: the functions read it as their own file.
	if c.Host.Path("/") != "/" {
		return "", nil, "", module.Failf("a template is rendered for this machine only")
	}
	sum, err = sha256(tmp.Name())
	return tmp.Name(), sum, "", err
}

// temporaryPrefix begins the names of files that hold rendered templates.
const temporaryPrefix = "gosalt.tmp."

// dropTemporary removes a file that getManaged made; others are left.
func dropTemporary(path string) {
	if strings.HasPrefix(path, pyJoin(os.TempDir(), temporaryPrefix)) {
		_ = os.Remove(path) // a rest in the directory of temporary files
	}
}

// sourceMode is the mode of a source for keep_mode: of a file of this machine, or what
// the file server says.
func sourceMode(ctx context.Context, c *module.Call, source, cached, env string) (any, error) {
	if path, ok := localSource(source); ok {
		st, err := c.Host.Info(path, true)
		if err != nil {
			return nil, errors.New(host.OSError(err, path))
		}
		return octal(st.Mode), nil
	}
	if path, named, ok := fileclient.ParseURL(source); ok && c.FileServer != nil {
		if named == "" {
			named = env
		}
		info, err := c.FileServer.Stat(ctx, named, path)
		if err != nil {
			return nil, err
		}
		if m, known := info.Mode(); known {
			return octal(uint32(m.Perm())), nil
		}
	}
	st, err := c.Host.Info(cached, true)
	if err != nil {
		return nil, err
	}
	return octal(st.Mode), nil
}

// textOr is a text, or another where there is none.
func textOr(v any, other string) string {
	if v == nil {
		return other
	}
	return pytext.Str(v)
}
