package modules

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/debian"
	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("pkg.list_repos", pkgListRepos, onApt)
	register("pkg.get_repo", pkgGetRepo, onApt, module.Positional("repo"))
	register("pkg.mod_repo", pkgModRepo, onApt, module.Positional("repo saltenv aptkey"))
	register("pkg.del_repo", pkgDelRepo, onApt, module.Positional("repo"))
	register("pkg.expand_repo_def", pkgExpandRepoDef, onApt)
	register("pkg.add_repo_key", pkgAddRepoKey, onApt)
	register("pkg.del_repo_key", pkgDelRepoKey, onApt, module.Positional("name aptkey keydir"))
}

func texts(l []string) []any {
	out := make([]any, len(l))
	for i, s := range l {
		out[i] = s
	}
	return out
}

// sourceMap is a source as Salt returns it.
func sourceMap(s *debian.Source) *wire.Map {
	return wire.NewMap("file", s.File, "comps", texts(s.Comps), "disabled", s.Disabled, "dist", s.Dist, "type", s.Type, "uri", s.URI,
		"line", strings.TrimSpace(s.Line), "architectures", texts(s.Architectures), "signedby", s.SignedBy)
}

func (a *apt) sources() ([]*debian.Source, error) {
	all, err := debian.ReadSources(a.c.Host.Path)
	if err != nil {
		return nil, module.Failf("read the sources of packages: %w", err)
	}
	return all, nil
}

// save writes the files of sources, those in extra even if nothing is left for them.
func (a *apt) save(all []*debian.Source, extra ...string) error {
	var order []string
	text := map[string]*bytes.Buffer{}
	note := func(file string) *bytes.Buffer {
		if text[file] == nil {
			text[file] = &bytes.Buffer{}
			order = append(order, file)
		}
		return text[file]
	}
	for _, s := range all {
		note(s.File).WriteString(s.String())
	}
	for _, file := range extra {
		note(file)
	}
	for _, file := range order {
		if have, err := a.c.Host.ReadFile(file); err == nil && bytes.Equal(have, text[file].Bytes()) {
			continue
		}
		if err := a.c.Host.MakeDirs(filepath.Dir(file), host.Keep, -1); err != nil {
			return module.Failf("write %s: %w", file, err)
		}
		if err := a.c.Host.Replace(file, host.Keep, -1, func(w io.Writer) error { _, err := w.Write(text[file].Bytes()); return err }); err != nil {
			return module.Failf("write %s: %w", file, err)
		}
	}
	return nil
}

type pkgRepoKwargs struct {
	Kwargs *wire.Map `arg:"**"` // Not looked at.
}

// pkgListRepos returns the sources of packages by their address (apt).
//
//	gosalt '*' pkg.list_repos
func pkgListRepos(_ context.Context, c *module.Call, _ pkgRepoKwargs) (*wire.Map, error) {
	m, err := aptOf(c)
	if err != nil {
		return nil, err
	}
	all, err := m.sources()
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap()
	for _, s := range all {
		if !s.Invalid {
			ret.Set(s.URI, append(ret.List(s.URI), any(sourceMap(s))))
		}
	}
	return ret, nil
}

// expand makes the line of a source of ppa:owner/name, where the system knows those.
func (a *apt) expand(repo, auth string) string {
	rest, ok := strings.CutPrefix(repo, "ppa:")
	os := pytext.Str(grainOf(a.c, "os"))
	owner, name, parts := strings.Cut(rest, "/")
	if !ok || !parts || !slices.Contains([]string{"Ubuntu", "Mint", "neon"}, os) {
		return repo
	}
	dist := pytext.Str(grainOf(a.c, "oscodename"))
	if auth != "" {
		return "deb https://" + auth + "@private-ppa.launchpad.net/" + owner + "/" + name + "/ubuntu " + dist + " main"
	}
	return "deb http://ppa.launchpad.net/" + owner + "/" + name + "/ubuntu " + dist + " main"
}

func sameSource(a, b *debian.Source) bool {
	return a.Type == b.Type && strings.TrimRight(a.URI, "/") == strings.TrimRight(b.URI, "/") && a.Dist == b.Dist
}

type pkgRepoArgs struct {
	Repo    string    // The source as a line of sources.list, or ppa:owner/name (Ubuntu).
	PpaAuth string    `default:"None"` // User and password of a private PPA.
	Kwargs  *wire.Map `arg:"**"`       // Not looked at.
}

// pkgGetRepo returns a source of packages, {} where it is not configured (apt).
//
//	gosalt '*' pkg.get_repo 'deb http://deb.debian.org/debian bookworm main'
func pkgGetRepo(_ context.Context, c *module.Call, a pkgRepoArgs) (*wire.Map, error) {
	m, err := aptOf(c)
	if err != nil {
		return nil, err
	}
	all, err := m.sources()
	if err != nil {
		return nil, err
	}
	want := debian.ParseSource(m.expand(a.Repo, a.PpaAuth), "")
	found := wire.NewMap()
	for _, s := range all {
		if s.Invalid || !sameSource(s, want) {
			continue
		}
		if len(want.Comps) > 0 && !slices.ContainsFunc(want.Comps, func(comp string) bool { return slices.Contains(s.Comps, comp) }) {
			continue
		}
		if slices.Equal(s.Architectures, want.Architectures) && s.SignedBy == want.SignedBy {
			return sourceMap(s), nil // of several the one that is meant
		}
		if found.Len() == 0 {
			found = sourceMap(s)
		}
	}
	return found, nil
}

type pkgModRepoArgs struct {
	Repo          string    // The source as a line of sources.list, or ppa:owner/name (Ubuntu).
	Saltenv       string    `default:"base"`  // Environment of the file server.
	Aptkey        bool      `default:"True"`  // Put keys into the keyring of all sources with apt-key, where that is there.
	Refresh       any       `default:"None"`  // False: do not read the lists of the repositories anew afterwards.
	RefreshDb     any       `default:"None"`  // The old name of refresh.
	Comps         any       `default:"None"`  // Components, with commas.
	Architectures any       `default:"None"`  // Architectures, with commas.
	Disabled      any       `default:"None"`  // Keep the source as a comment.
	Enabled       any       `default:"None"`  // The opposite.
	File          string    `default:"None"`  // File for the source.
	Dist          string    `default:"None"`  // Release.
	Uri           string    `default:"None"`  // Address.
	Type          string    `default:"None"`  // deb or deb-src.
	Comments      any       `default:"None"`  // Comment at the end of the line, or a list of words.
	Keyid         any       `default:"None"`  // Id of a key, or of several, to fetch from keyserver.
	Keyserver     string    `default:"None"`  // Where to fetch it.
	KeyUrl        string    `default:"None"`  // Address of a key: salt://, https://.
	KeyText       string    `default:"None"`  // A key.
	Consolidate   bool      `default:"False"` // Join all sources in sources.list, one line for each address, and remove the other files and what is no source.
	PpaAuth       string    `default:"None"`  // User and password of a private PPA.
	Kwargs        *wire.Map `arg:"**"`        // Not looked at.
}

func commaList(v any) []string {
	var out []string
	for _, s := range nameList(v) {
		out = append(out, strings.TrimSpace(s))
	}
	return out
}

// pkgModRepo makes a source of packages be as told, and adds it where it is not there (apt).
//
//	gosalt '*' pkg.mod_repo 'deb http://deb.debian.org/debian bookworm main' comps=main,contrib
func pkgModRepo(ctx context.Context, c *module.Call, a pkgModRepoArgs) (*wire.Map, error) {
	m, err := aptOf(c)
	if err != nil {
		return nil, err
	}
	refresh := a.Refresh == nil || module.Truth(a.Refresh)
	if a.RefreshDb != nil {
		refresh = module.Truth(a.RefreshDb)
	}
	if whichProgram("apt-key") == "" {
		a.Aptkey = false
	}
	repo := a.Repo
	if strings.HasPrefix(repo, "ppa:") {
		done, err := m.addPPA(ctx, &a, refresh)
		if done || err != nil {
			return wire.NewMap(repo, wire.NewMap()), err
		}
		repo = m.expand(repo, a.PpaAuth)
	}
	all, err := m.sources()
	if err != nil {
		return nil, err
	}
	var emptied []string
	if a.Consolidate {
		all, emptied = consolidated(all)
	}
	want := debian.ParseSource(repo, "")
	if want.Invalid {
		return nil, module.Invalidf("Name %s is not valid. This must be the complete repo entry as seen in the sources file", repo)
	}
	if !a.Aptkey && want.SignedBy == "" {
		return nil, module.Invalidf("missing 'signedby' option when apt-key is missing")
	}
	if err := m.addKeys(ctx, &a, want); err != nil {
		return nil, err
	}
	comps := want.Comps
	full := slices.Clone(comps)
	if a.Comps != nil {
		comps = commaList(a.Comps)
		full = append(full, comps...)
	}
	archs := want.Architectures
	if a.Architectures != nil {
		archs = commaList(a.Architectures)
	}
	var mod *debian.Source
	for _, s := range all {
		if s.Invalid || !sameSource(s, want) && (s.Dist != a.Dist || s.Type != a.Type || a.Dist == "") {
			continue
		}
		if len(s.Comps) == 0 || !slices.Equal(archs, s.Architectures) || slices.ContainsFunc(full, func(comp string) bool { return slices.Contains(s.Comps, comp) }) {
			if mod == nil || slices.Equal(archs, s.Architectures) && s.SignedBy == want.SignedBy {
				mod = s
			}
		}
	}
	if mod == nil {
		mod = debian.ParseSource(repo, "")
		all = append(all, mod)
	}
	if a.Comments != nil {
		mod.Comment = joinComments(a.Comments)
	}
	mod.Line = want.Line
	mod.Comps, mod.Architectures, mod.SignedBy = comps, archs, want.SignedBy
	switch {
	case a.Disabled != nil:
		mod.Disabled = truthy(a.Disabled)
	case a.Enabled != nil:
		mod.Disabled = !truthy(a.Enabled)
	}
	for to, v := range map[*string]string{&mod.File: a.File, &mod.Dist: a.Dist, &mod.URI: a.Uri} {
		if v != "" {
			*to = v
		}
	}
	mod.URI = want.URI
	if err := m.save(all); err != nil {
		return nil, err
	}
	for _, file := range emptied {
		if file == mod.File {
			continue
		}
		if err := c.Host.Remove(file); err != nil {
			return nil, module.Failf("remove %s: %w", file, err)
		}
	}
	if refresh {
		if _, err := m.refresh(ctx, pkgRefreshOptions{}); err != nil {
			return nil, err
		}
	}
	ret := sourceMap(mod)
	ret.Set("line", strings.TrimRight(mod.Line, "\n")+"\n")
	return wire.NewMap(a.Repo, ret), nil
}

// consolidated are sources as those of sources.list, one for each address and release, and
// the files that nothing is left in.
func consolidated(all []*debian.Source) (kept []*debian.Source, emptied []string) {
	for _, s := range all {
		if s.Invalid {
			continue
		}
		if s.File != debian.SourcesFile && !slices.Contains(emptied, s.File) {
			emptied = append(emptied, s.File)
		}
		i := slices.IndexFunc(kept, func(k *debian.Source) bool {
			return k.Disabled == s.Disabled && k.Type == s.Type && k.URI == s.URI && k.Dist == s.Dist && slices.Equal(k.Architectures, s.Architectures)
		})
		if i < 0 {
			kept = append(kept, debian.ParseSource(s.Line, ""))
			continue
		}
		for _, comp := range s.Comps {
			if !slices.Contains(kept[i].Comps, comp) {
				kept[i].Comps = append(kept[i].Comps, comp)
			}
		}
	}
	return kept, emptied
}

func joinComments(v any) string {
	if l, ok := v.([]any); ok {
		words := make([]string, len(l))
		for i, e := range l {
			words[i] = pytext.Str(e)
		}
		return strings.TrimSpace(strings.Join(words, " "))
	}
	return strings.TrimSpace(pytext.Str(v))
}

// addPPA adds an archive of Launchpad with the program for that. done is false where the
// source is to be written as any other: a private one.
func (a *apt) addPPA(ctx context.Context, q *pkgModRepoArgs, refresh bool) (done bool, err error) {
	if !slices.Contains([]string{"Ubuntu", "Mint", "neon"}, pytext.Str(grainOf(a.c, "os"))) {
		return false, module.Failf(`cannot parse "ppa:" style repo definitions: %s`, q.Repo)
	}
	if q.PpaAuth != "" {
		if q.Keyid == nil {
			return false, module.Failf("Private PPAs require a keyid to be specified: %s", q.Repo[4:])
		}
		return false, nil
	}
	have, err := pkgGetRepo(ctx, a.c, pkgRepoArgs{Repo: q.Repo})
	if err != nil || have.Len() > 0 {
		return have.Len() > 0, err
	}
	if whichProgram("apt-add-repository") == "" {
		return false, module.NoCommandf("apt-add-repository is needed for %s: it is of the package software-properties-common", q.Repo)
	}
	args := []string{"apt-add-repository", "-y", q.Repo}
	out, err := a.run(ctx, program{args: args}, false)
	if err != nil {
		return false, err
	}
	if !out.ok() {
		return false, module.Failf("Unable to add PPA '%s'. '%s' exited with status %d: '%s' ", q.Repo[4:], strings.Join(args, " "), out.code, out.err)
	}
	if refresh {
		_, err = a.refresh(ctx, pkgRefreshOptions{})
	}
	return true, err
}

// addKeys brings the keys that the packages of a source are signed with.
func (a *apt) addKeys(ctx context.Context, q *pkgModRepoArgs, want *debian.Source) error {
	switch {
	case q.Keyid != nil:
		if !module.Truth(q.Keyid) || q.Keyserver == "" {
			return module.Failf("both keyserver and keyid options required.")
		}
		ids, ok := q.Keyid.([]any)
		if !ok {
			ids = []any{q.Keyid}
		}
		for _, id := range ids {
			if err := a.receiveKey(ctx, keyID(id), q.Keyserver, q.Aptkey, want.SignedBy); err != nil {
				return err
			}
		}
	case q.KeyUrl != "":
		v, err := a.c.Call(ctx, "cp.cache_file", []any{q.KeyUrl, q.Saltenv}, nil)
		if err != nil {
			return err
		}
		path, ok := v.(string)
		if !ok || path == "" {
			return module.Failf("Error: file not found: %s", q.KeyUrl)
		}
		if !q.Aptkey {
			return a.keyFile(path, want.SignedBy)
		}
		out, err := a.run(ctx, program{args: []string{"apt-key", "add", path}}, false)
		if err == nil && !strings.HasPrefix(strings.ToUpper(out.out), "OK") {
			err = module.Failf("Error: failed to add key from %s", q.KeyUrl)
		}
		return err
	case q.KeyText != "":
		if whichProgram("apt-key") == "" {
			return module.NoCommandf("apt-key is needed for key_text; use key_url with a file, and signed-by")
		}
		out, err := a.run(ctx, program{args: []string{"apt-key", "add", "-"}, stdin: []byte(q.KeyText)}, false)
		if err == nil && !strings.HasPrefix(strings.ToUpper(out.out), "OK") {
			err = module.Failf("Error: failed to add key:\n%s", q.KeyText)
		}
		return err
	}
	return nil
}

// keyID is an id as gpg takes it; YAML makes numbers of some.
func keyID(v any) string {
	if n, ok := v.(int64); ok {
		return "0x" + strings.ToUpper(hexOf(n))
	}
	return pytext.Str(v)
}

func hexOf(n int64) string {
	const digits = "0123456789abcdef"
	s := ""
	for u := uint64(n); ; u >>= 4 {
		s = digits[u&15:u&15+1] + s
		if u < 16 {
			return s
		}
	}
}

func (a *apt) receiveKey(ctx context.Context, id, server string, aptkey bool, signedBy string) error {
	if aptkey {
		have, err := a.run(ctx, program{args: []string{"apt-key", "export", id}, fails: true}, false)
		if err != nil || strings.HasPrefix(have.out, "-----BEGIN PGP") {
			return err
		}
		out, err := a.run(ctx, program{args: []string{"apt-key", "adv", "--batch", "--keyserver", server, "--logger-fd", "1", "--recv-keys", id}}, false)
		if err == nil && !out.ok() {
			err = module.Failf("Error: key retrieval failed: %s", out.out)
		}
		return err
	}
	gpg := []string{"gpg", "--no-default-keyring", "--keyring", signedBy}
	have, err := runTool(ctx, a.c, program{args: append(slices.Clone(gpg), "--list-keys", id), fails: true})
	if err != nil || have.ok() {
		return err
	}
	out, err := runTool(ctx, a.c, program{args: append(gpg, "--keyserver", server, "--recv-keys", id)})
	if err == nil && !out.ok() {
		err = module.Failf("Error: Could not add key: %s: %s", id, out.text())
	}
	return err
}

// keyFile puts a key where signed-by names it, in the binary form that apt wants.
func (a *apt) keyFile(path, signedBy string) error {
	key, err := os.ReadFile(path)
	if err != nil {
		return module.Failf("Error: Could not add key: %s: %w", path, err)
	}
	if !a.c.Host.IsDir(filepath.Dir(signedBy)) {
		return module.Failf("Error: Could not add key: %s: the directory %s does not exist", path, filepath.Dir(signedBy))
	}
	if bytes.Contains(key, []byte("-----BEGIN PGP")) {
		if key, err = dearmor(key); err != nil {
			return module.Failf("Error: Could not add key: %s: %w", path, err)
		}
	}
	if err := a.c.Host.Replace(signedBy, host.Keep, -1, func(w io.Writer) error { _, err := w.Write(key); return err }); err != nil {
		return module.Failf("Error: Could not add key: %s: %w", path, err)
	}
	return nil
}

// dearmor takes the ASCII armor off (RFC 4880, section 6.2), of several blocks one after the other.
func dearmor(text []byte) ([]byte, error) {
	var out, body []byte
	in, header := false, false
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		switch {
		case bytes.HasPrefix(line, []byte("-----BEGIN PGP")):
			in, header, body = true, true, nil
		case bytes.HasPrefix(line, []byte("-----END PGP")):
			b, err := base64.StdEncoding.DecodeString(string(body))
			if err != nil {
				return nil, err
			}
			out, in = append(out, b...), false
		case in && header:
			header = len(line) > 0
			if header && !bytes.Contains(line, []byte(": ")) { // no empty line before the key
				header, body = false, append(body, line...)
			}
		case in && len(line) > 0 && line[0] != '=':
			body = append(body, line...)
		}
	}
	if len(out) == 0 {
		return nil, module.Failf("there is no key in it")
	}
	return out, nil
}

// pkgDelRepo removes a source of packages, with its file where nothing else is in that (apt).
//
//	gosalt '*' pkg.del_repo 'deb http://deb.debian.org/debian bookworm main'
func pkgDelRepo(ctx context.Context, c *module.Call, a pkgRepoArgs) (string, error) {
	m, err := aptOf(c)
	if err != nil {
		return "", err
	}
	all, err := m.sources()
	if err != nil {
		return "", err
	}
	repo := m.expand(a.Repo, a.PpaAuth)
	want := debian.ParseSource(repo, "")
	var keep []*debian.Source
	var from []string
	for _, s := range all {
		if s.Invalid || !sameSource(s, want) || !slices.Equal(s.Architectures, want.Architectures) {
			keep = append(keep, s)
			continue
		}
		rest := lacking(s.Comps, want.Comps)
		if len(rest) == len(s.Comps) && len(s.Comps)+len(want.Comps) > 0 {
			keep = append(keep, s)
			continue
		}
		if !slices.Contains(from, s.File) {
			from = append(from, s.File)
		}
		if len(rest) > 0 {
			s.Comps = rest
			keep = append(keep, s)
		}
	}
	if len(from) == 0 {
		return "", module.Failf("Repo %s doesn't exist in the sources.list(s)", repo)
	}
	ret := ""
	var empty []string
	for _, file := range from {
		used := slices.ContainsFunc(keep, func(s *debian.Source) bool { return s.File == file })
		if !used && strings.Contains(file, "sources.list.d/") {
			if err := c.Host.Remove(file); err != nil {
				return "", module.Failf("remove %s: %w", file, err)
			}
			ret += "File " + file + " containing repo '" + repo + "' has been removed."
			continue
		}
		if !used {
			empty = append(empty, file)
		}
		ret += "Repo '" + repo + "' has been removed from " + file + ".\n"
	}
	if err := m.save(keep, empty...); err != nil {
		return "", err
	}
	_, err = m.refresh(ctx, pkgRefreshOptions{})
	return ret, err
}

type pkgExpandArgs struct {
	Repo          string    // The source as a line of sources.list, or ppa:owner/name (Ubuntu).
	Comps         any       `default:"None"` // Components, with commas.
	Architectures any       `default:"None"` // Architectures, with commas.
	Disabled      any       `default:"None"` // Kept as a comment.
	File          string    `default:"None"` // File for the source.
	Dist          string    `default:"None"` // Release.
	Uri           string    `default:"None"` // Address.
	PpaAuth       string    `default:"None"` // User and password of a private PPA.
	Kwargs        *wire.Map `arg:"**"`       // Not looked at.
}

// pkgExpandRepoDef returns a source of packages as pkg.get_repo would, once it is
// configured: what pkgrepo.managed compares (apt).
//
//	gosalt '*' pkg.expand_repo_def 'deb http://deb.debian.org/debian bookworm main'
func pkgExpandRepoDef(_ context.Context, c *module.Call, a pkgExpandArgs) (*wire.Map, error) {
	m, err := aptOf(c)
	if err != nil {
		return nil, err
	}
	s := debian.ParseSource(m.expand(a.Repo, a.PpaAuth), a.File)
	if a.Comps != nil {
		s.Comps = commaList(a.Comps)
	}
	if a.Architectures != nil {
		s.Architectures = commaList(a.Architectures)
	}
	if a.Disabled != nil {
		s.Disabled = truthy(a.Disabled)
	}
	if a.Dist != "" {
		s.Dist = a.Dist
	}
	if a.Uri != "" {
		s.URI = a.Uri
	}
	if !s.Invalid {
		s.Comment = "" // it does not count
		s.Line = strings.TrimSpace(s.String())
	}
	return sourceMap(s), nil
}

type pkgAddRepoKeyArgs struct {
	Path      string `default:"None"` // File with the key: a path or an address.
	Text      string `default:"None"` // The key.
	Keyserver string `default:"None"` // Server to fetch it from.
	Keyid     any    `default:"None"` // Its id there.
	Saltenv   string `default:"base"` // Environment of the file server.
	Aptkey    bool   `default:"True"` // Use apt-key, where that is there.
	Keydir    string `default:"None"` // Directory for keys without apt-key, /etc/apt/keyrings by default.
	Keyfile   string `default:"None"` // Name of the file in it.
}

// pkgAddRepoKey adds a key that packages are signed with, and tells whether it is there (apt).
//
//	gosalt '*' pkg.add_repo_key salt://apt/test.key
func pkgAddRepoKey(ctx context.Context, c *module.Call, a pkgAddRepoKeyArgs) (bool, error) {
	m, err := aptOf(c)
	if err != nil {
		return false, err
	}
	if a.Keydir == "" {
		a.Keydir = "/etc/apt/keyrings"
	}
	if a.Keyfile == "" {
		a.Keyfile = filepath.Base(a.Path)
	}
	q := &pkgModRepoArgs{KeyUrl: a.Path, KeyText: a.Text, Keyid: a.Keyid, Keyserver: a.Keyserver, Saltenv: a.Saltenv, Aptkey: a.Aptkey && whichProgram("apt-key") != ""}
	if a.Path == "" && a.Text == "" && a.Keyid == nil {
		return false, module.Invalidf("one of path, text and keyid with keyserver is needed")
	}
	if err := m.addKeys(ctx, q, &debian.Source{SignedBy: filepath.Join(a.Keydir, a.Keyfile)}); err != nil {
		c.Log.Error("key not added", "error", err)
		return false, nil
	}
	return true, nil
}

type pkgDelRepoKeyArgs struct {
	Name   string    `default:"None"` // Not looked at.
	Aptkey bool      `default:"True"` // Use apt-key, where that is there.
	Keydir string    `default:"None"` // Directory of keys without apt-key, /etc/apt/keyrings by default.
	Keyid  any       `default:"None"` // Id of the key.
	Kwargs *wire.Map `arg:"**"`       // Not looked at.
}

// pkgDelRepoKey removes a key that packages are signed with, and returns its id (apt).
//
//	gosalt '*' pkg.del_repo_key keyid=0123ABCD
func pkgDelRepoKey(ctx context.Context, c *module.Call, a pkgDelRepoKeyArgs) (any, error) {
	m, err := aptOf(c)
	if err != nil {
		return nil, err
	}
	if a.Keyid == nil {
		return nil, module.Invalidf("keyid or keyid_ppa and PPA name must be passed")
	}
	id := keyID(a.Keyid)
	if a.Aptkey && whichProgram("apt-key") != "" {
		out, err := m.run(ctx, program{args: []string{"apt-key", "del", id}}, false)
		if err == nil && !out.ok() {
			err = module.Failf("Failed to remove keyid %s: %s", id, out.err)
		}
		return a.Keyid, err
	}
	if a.Keydir == "" {
		a.Keydir = "/etc/apt/keyrings"
	}
	entries, err := os.ReadDir(c.Host.Path(a.Keydir))
	if err != nil {
		c.Log.Error("directory of keys not read", "directory", a.Keydir, "error", err)
		return false, nil
	}
	for _, e := range entries {
		file := filepath.Join(a.Keydir, e.Name())
		out, err := runTool(ctx, c, program{args: []string{"gpg", "--no-default-keyring", "--keyring", file, "--list-keys", "--with-colons", id}, fails: true})
		if err != nil {
			return nil, err
		}
		if out.ok() {
			if err := c.Host.Remove(file); err != nil {
				return nil, err
			}
			return a.Keyid, nil
		}
	}
	c.Log.Error("no file holds the key", "keyid", id, "directory", a.Keydir)
	return false, nil
}
