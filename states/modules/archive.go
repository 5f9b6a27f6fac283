package modules

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() { register("archive.extracted", archiveExtracted) }

type archiveExtractedArgs struct {
	Name                string    // Directory to extract to.
	Source              any       // The archive: an address or a path; of a list the first that is there.
	SourceHash          any       `default:"None"`                   // Hash of the archive, or a file of hashes; needed for remote archives.
	SourceHashName      string    `default:"None"`                   // Name to look for in a file of hashes.
	SourceHashUpdate    bool      `default:"False"`                  // Extract it anew when the hash is another one than at the last time.
	SkipFilesListVerify bool      `default:"False"`                  // With source_hash: where the hash is that of the last time, do not look at the files.
	SkipVerify          bool      `default:"False"`                  // Take a remote archive without a hash.
	Password            any       `default:"None"`                   // Password of a zip file; those cannot be read.
	Options             any       `default:"None"`                   // Options for the programs tar and unzip, which are used then.
	ListOptions         string    `default:"None"`                   // Options of tar to list the archive, of a compression that only it knows.
	Force               bool      `default:"False"`                  // Remove what is in the way of a file, directory or link of the archive.
	Overwrite           bool      `default:"False"`                  // Extract it though all is there.
	Clean               bool      `default:"False"`                  // Remove the archive's paths at the top first.
	CleanParent         bool      `default:"False"`                  // Remove the directory first.
	User                any       `default:"None"`                   // Owner of what was extracted.
	Group               any       `default:"None"`                   // Its group.
	IfMissing           any       `default:"None"`                   // Do nothing where this path is there.
	TrimOutput          any       `default:"False"`                  // Report no more paths than this, 100 for True.
	UseCmdUnzip         any       `default:"None"`                   // Use the program unzip.
	ExtractPerms        bool      `default:"True"`                   // Give the files of a zip file their permissions.
	EnforceToplevel     bool      `default:"True"`                   // Refuse archives with more than one directory at the top.
	EnforceOwnershipOn  any       `default:"None"`                   // Set user and group on this path, rather than on all at the top.
	ArchiveFormat       any       `default:"None"`                   // tar or zip, where the name does not tell.
	UseEtag             bool      `default:"False"`                  // Ask http servers whether it has changed by its ETag.
	Kwargs              *wire.Map `arg:"**" read:"keep_source keep"` // keep_source, which was called keep.
}

// extracting is one call of archive.extracted.
type extracting struct {
	c        *states.Call
	a        *archiveExtractedArgs
	name     string // with a slash at its end
	source   string
	local    bool
	format   string
	cached   string
	contents *wire.Map
	sum      *wire.Map
	uid, gid int
	awaits   bool // an earlier state of the run is to make the user or group
	missing  bool // files of the archive are
	byHash   bool // its hash is another one
	wrong    []string
	warnings []string
	told     bool // the result is that of fetching the source
	brought  bool // the copy in the cache is of this call
}

var stripOption = lazyre.New(`--strip(?:-components)?(?:\s+|=)["']?(\d+)["']?`)

func absolute(v any) bool {
	s, ok := v.(string)
	return v == nil || ok && filepath.IsAbs(s)
}

// archiveExtracted makes sure that an archive is extracted in a directory. Nothing is
// written outside of that, whatever the archive says.
func archiveExtracted(ctx context.Context, c *states.Call, a archiveExtractedArgs) (*states.Plan, error) {
	x := &extracting{c: c, a: &a, uid: -1, gid: -1}
	p, err := x.plan(ctx)
	if p == nil {
		p = &states.Plan{}
	}
	p.Name = a.Name
	if x.told {
		p.Name = x.source
	}
	p.Warnings = x.warnings
	return p, err
}

func (x *extracting) plan(ctx context.Context) (*states.Plan, error) {
	if p, err := x.arguments(ctx); p != nil || err != nil {
		return p, err
	}
	a, c := x.a, x.c
	if module.Truth(a.SourceHash) {
		v, err := c.Call.Call(ctx, "file.get_source_sum", nil, wire.NewMap("source", x.source, "source_hash", a.SourceHash,
			"source_hash_name", nilIfEmpty(a.SourceHashName), "saltenv", c.Env))
		if err != nil {
			return nil, err
		}
		x.sum, _ = v.(*wire.Map)
	}
	x.cached = x.source
	if a.SkipFilesListVerify {
		if p, err := x.sameAsBefore(ctx); p != nil || err != nil {
			return p, err
		}
	}
	if !x.local {
		// What there is to do is known when the archive is here: a plan brings it to the
		// cache, too, where the run finds it.
		if c.Test {
			before, err := text(ctx, c, "cp.is_cached", x.source, c.Env)
			if err != nil {
				return nil, err
			}
			x.brought = before == ""
		}
		real := *c
		real.Test = false
		q, err := fileCached(ctx, &real, fileCachedArgs{Name: x.source, SourceHash: a.SourceHash, SourceHashName: a.SourceHashName, SkipVerify: a.SkipVerify, Saltenv: c.Env, UseEtag: a.UseEtag})
		if err != nil {
			x.told = true
			return nil, err
		}
		if r := states.Settle(ctx, q, false); r.Result != true {
			x.told = true
			return states.Decided(r.Result, r.Changes, r.Comment), nil
		}
		if x.cached, err = text(ctx, c, "cp.is_cached", x.source, c.Env); err != nil {
			return nil, err
		}
	}
	before := x.readSum(x.cached)
	if module.Truth(a.SourceHash) && a.SourceHashUpdate && !a.SkipVerify && !c.Test {
		x.writeSum()
	}
	if p, err := x.list(ctx); p != nil || err != nil {
		return p, err
	}
	if a.Clean && a.CleanParent {
		return decided(false, "Only one of 'clean' and 'clean_parent' can be set to True"), nil
	}
	needed, p, err := x.needed(before)
	if p != nil || err != nil {
		return p, err
	}
	if needed {
		return x.extraction(ctx)
	}
	return x.ownership(ctx)
}

// arguments checks what belongs together, and finds the source.
func (x *extracting) arguments(ctx context.Context) (*states.Plan, error) {
	a, c := x.a, x.c
	if a.SkipFilesListVerify && a.SkipVerify {
		return decided(false, `Only one of "skip_files_list_verify" and "skip_verify" can be set to True`), nil
	}
	if a.Kwargs.Has("keep_source") && a.Kwargs.Has("keep") {
		x.warnings = append(x.warnings, "Both 'keep_source' and 'keep' were used. Since these both do the same thing, 'keep' was ignored.")
	}
	if !filepath.IsAbs(a.Name) {
		return decided(false, "%s is not an absolute path", a.Name), nil
	}
	x.name = strings.TrimRight(a.Name, "/")
	if c.Host.IsFile(x.name) {
		return decided(false, "%s exists and is not a directory", x.name), nil
	}
	x.name += "/"
	if !absolute(a.IfMissing) {
		return decided(false, "Value for 'if_missing' is not an absolute path"), nil
	}
	if !absolute(a.EnforceOwnershipOn) {
		return decided(false, "Value for 'enforce_ownership_on' is not an absolute path"), nil
	}
	if on, ok := a.EnforceOwnershipOn.(string); ok {
		if rel, err := filepath.Rel(x.name, on); err != nil || strings.HasPrefix(rel, "../") {
			return decided(false, "Value for 'enforce_ownership_on' must be within %s", x.name), nil
		}
	}
	if path, ok := a.IfMissing.(string); ok && c.Host.Exists(path) {
		return decided(true, "Path %s exists", path), nil
	}
	if module.Truth(a.User) {
		v, err := c.Call.Call(ctx, "file.user_to_uid", []any{a.User}, nil)
		if n, ok := v.(int64); ok && err == nil {
			x.uid = int(n)
		} else if x.awaits = userToCome(c, a.User); !x.awaits {
			return decided(false, "User %s does not exist", pytext.Str(a.User)), err
		}
	}
	if module.Truth(a.Group) {
		v, err := c.Call.Call(ctx, "file.group_to_gid", []any{a.Group}, nil)
		if n, ok := v.(int64); ok && err == nil {
			x.gid = int(n)
		} else if possibleGroup(c, pytext.Str(a.Group)) {
			x.awaits = true
		} else {
			return decided(false, "Group %s does not exist", pytext.Str(a.Group)), err
		}
	}
	if a.SourceHashUpdate && !module.Truth(a.SourceHash) {
		x.warnings = append(x.warnings, "The 'source_hash_update' argument is ignored when 'source_hash' is not also specified.")
	}
	v, err := c.Call.Call(ctx, "file.source_list", []any{a.Source, a.SourceHash, c.Env}, nil)
	if err != nil {
		return nil, err
	}
	if l, ok := v.([]any); ok && len(l) > 0 {
		x.source, _ = l[0].(string)
	}
	if x.source == "" {
		return decided(false, "Invalid source \"%s\"", pytext.Str(a.Source)), nil
	}
	base := x.source
	if u, err := url.Parse(x.source); err == nil && u.Scheme != "" {
		base = path.Join(u.Host, u.Path)
	}
	if file, ok := local(x.source); ok {
		if s, _, isURL := strings.Cut(x.source, "://"); isURL && s != "file" {
			if c.Test {
				return decided(nil, "Archive %s would be cached (if necessary) and checked to discover if extraction is needed", redacted(x.source)), nil
			}
			x.told = true
			return decided(false, "Unsupported url scheme: %s", redacted(x.source)), nil
		}
		x.local = true
		x.source = realPath(expandUser(c, file))
		if !c.Host.IsFile(x.source) {
			return decided(false, "Source file '%s' does not exist", redacted(x.source)), nil
		}
	}
	return x.kind(ctx, base)
}

// kind finds the format, and checks what only some have.
func (x *extracting) kind(ctx context.Context, base string) (*states.Plan, error) {
	a := x.a
	x.format = strings.ToLower(pytext.Str(a.ArchiveFormat))
	if !module.Truth(a.ArchiveFormat) {
		if x.format = archiveKind(base); x.format == "" {
			return decided(false, "Could not guess archive_format from the value of the 'source' argument. Please set this archive_format to one of the following: tar, rar, zip"), nil
		}
	}
	switch x.format {
	case "tar", "zip":
	case "rar":
		for _, prog := range []string{"rar", "unrar"} {
			if found, err := text(ctx, x.c, "cmd.which", prog); err == nil && found != "" {
				return decided(false, "archives of rar are not extracted by gosalt: %s is installed, so cmd.run can do it", prog), nil
			}
		}
	default:
		return decided(false, "Invalid archive_format '%s'. Either set it to a supported value (tar, rar, zip) or remove this argument and the archive format will "+
			"be guessed based on file extension.", x.format), nil
	}
	if x.format == "zip" && module.Truth(a.Options) {
		if a.UseCmdUnzip == nil {
			a.UseCmdUnzip = true
		} else if !module.Truth(a.UseCmdUnzip) {
			return decided(false, "'use_cmd_unzip' cannot be set to False if CLI options are being specified (via the 'options' argument). Either remove 'use_cmd_unzip', or set it to True."), nil
		}
	}
	if x.format != "zip" && module.Truth(a.Password) {
		return decided(false, "The 'password' argument is only supported for zip archives"), nil
	}
	return nil, nil
}

// archiveKind guesses the kind of an archive from its name.
func archiveKind(name string) string {
	name = strings.ToLower(name)
	for _, end := range []string{"tar", "tar.gz", "tgz", "tar.bz2", "tbz2", "tbz", "tar.xz", "txz", "tar.lzma", "tlz"} {
		if strings.HasSuffix(name, "."+end) {
			return "tar"
		}
	}
	for _, end := range []string{"zip", "rar"} {
		if strings.HasSuffix(name, "."+end) {
			return end
		}
	}
	return ""
}

// sumFile is where the hash of an archive is kept that was extracted.
func (x *extracting) sumFile(cached string) string {
	rel, err := filepath.Rel(x.c.CacheDir, cached)
	if err != nil || strings.HasPrefix(rel, "..") {
		rel = filepath.Join("local", strings.TrimLeft(cached, "/"))
	}
	return filepath.Join(x.c.CacheDir, "archive_hash", rel+".hash")
}

func (x *extracting) hashType() string {
	if t := x.c.Opts.Text("hash_type"); t != "" {
		return t
	}
	return "sha256"
}

// readSum is the hash that was kept, "" for none.
func (x *extracting) readSum(cached string) string {
	text, err := os.ReadFile(x.sumFile(cached))
	if err != nil {
		return ""
	}
	for _, line := range strings.Split(string(text), "\n") {
		if kind, sum, ok := strings.Cut(line, ":"); ok && kind == x.hashType() {
			return sum
		}
	}
	return ""
}

func (x *extracting) writeSum() {
	sum, err := hashFile(x.cached, x.hashType())
	if err == nil {
		err = os.MkdirAll(filepath.Dir(x.sumFile(x.cached)), 0o755)
	}
	if err == nil {
		err = os.WriteFile(x.sumFile(x.cached), []byte(x.hashType()+":"+sum+"\n"), 0o644)
	}
	if err != nil {
		x.c.Log.Warn("hash of the archive not kept", "archive", x.cached, "error", err)
	}
}

// sameAsBefore ends the state where the hash is that of the last time.
func (x *extracting) sameAsBefore(ctx context.Context) (*states.Plan, error) {
	cached := x.source
	if !x.local {
		var err error
		if cached, err = text(ctx, x.c, "cp.is_cached", x.source, x.c.Env); err != nil {
			return nil, err
		}
		if u, uerr := url.Parse(x.source); cached == "" && uerr == nil {
			cached = filepath.Join(x.c.CacheDir, "extrn_files", x.c.Env, u.Host, u.Path)
		}
	}
	if sum := x.readSum(cached); sum == "" || sum != x.sum.Text("hsum") {
		return nil, nil
	}
	return decided(true, "Archive %s existing source sum is the same as the expected one and skip_files_list_verify argument was set to True. Extraction is not needed", redacted(x.source)), nil
}

// list reads what is in the archive.
func (x *extracting) list(ctx context.Context) (*states.Plan, error) {
	a, c := x.a, x.c
	if x.format == "zip" {
		v, err := c.Call.Call(ctx, "archive.is_encrypted", []any{x.cached}, nil)
		if err == nil && module.Truth(v) {
			if !module.Truth(a.Password) {
				return decided(false, "Archive %s is password-protected, but no password was specified. Please set the 'password' argument.", redacted(x.source)), nil
			}
			return decided(false, "Archive %s is password-protected: such archives cannot be extracted by gosalt", redacted(x.source)), nil
		}
	}
	if x.format == "rar" {
		return decided(false, "%s", x.unlisted("rar command not available, is it installed? Additional info follows:\n\narchive location:\n    "+x.cached)), nil
	}
	kw := wire.NewMap("archive_format", x.format, "verbose", true)
	if a.ListOptions != "" {
		kw.Set("options", a.ListOptions)
	}
	if m := stripOption.FindStringSubmatch(pytext.Str(a.Options)); m != nil && x.format == "tar" {
		n, _ := strconv.ParseInt(m[1], 10, 64)
		kw.Set("strip_components", n)
	}
	v, err := c.Call.Call(ctx, "archive.list", []any{x.cached}, kw)
	if err != nil {
		return decided(false, "%s", x.unlisted(message(err))), nil
	}
	x.contents, _ = v.(*wire.Map)
	if a.EnforceToplevel && (len(x.contents.List("top_level_dirs")) > 1 || len(x.contents.List("top_level_files")) > 0) {
		return decided(false, "Archive does not have a single top-level directory. To allow this archive to be extracted, set 'enforce_toplevel' to False. "+
			"To avoid a '%s-bomb' it may also be advisable to set a top-level directory by adding it to the 'name' value (for example, setting 'name' to %s "+
			"instead of %s).", x.format, x.name+"some_dir", x.name), nil
	}
	return nil, nil
}

// unlisted says what helps where an archive cannot be listed.
func (x *extracting) unlisted(msg string) string {
	var wants []string
	if x.a.IfMissing == nil {
		wants = append(wants, "'if_missing' must be set")
	}
	if x.a.EnforceOwnershipOn == nil && x.uid+x.gid > -2 {
		wants = append(wants, "Ownership cannot be managed without setting 'enforce_ownership_on'.")
	}
	if len(wants) == 0 {
		return msg
	}
	how := "The following workarounds must be used for this state to proceed"
	if x.format == "tar" {
		how = "If the source archive is a tar archive compressed using a compression type not natively supported by the tar command, then setting the " +
			"'list_options' argument may allow the contents to be listed. Otherwise, if Salt is unable to determine the files/directories in the archive, " +
			"the following workaround(s) would need to be used for this state to proceed"
	}
	msg += fmt.Sprintf("\n\n%s (assuming the source file is a valid %s archive):\n", how, x.format)
	for _, w := range wants {
		msg += "\n- " + w
	}
	return msg
}

// paths are those of one kind in the archive, but for devices and FIFOs, which are not
// extracted.
func (x *extracting) paths(kind string) []string {
	var out []string
	left := x.contents.List("special")
	for _, e := range x.contents.List(kind) {
		if !slices.Contains(left, e) {
			out = append(out, pytext.Str(e))
		}
	}
	return out
}

// needed tells whether the archive has to be extracted.
func (x *extracting) needed(before string) (bool, *states.Plan, error) {
	a, c := x.a, x.c
	needed := a.Overwrite
	for _, kind := range []string{"dirs", "files", "links"} {
		for _, p := range x.paths(kind) {
			st, err := c.Host.Lstat(strings.TrimRight(x.name+p, "/"))
			switch {
			case errors.Is(err, fs.ErrNotExist) && x.promised(kind, p):
			case errors.Is(err, fs.ErrNotExist):
				needed, x.missing = true, true
			case err != nil:
				if !strings.Contains(err.Error(), "not a directory") {
					return false, nil, err
				}
			case st.IsDir() != (kind == "dirs"), (st.Mode()&fs.ModeSymlink != 0) != (kind == "links"):
				x.wrong = append(x.wrong, p)
			}
		}
	}
	if len(x.wrong) > 0 {
		list := "\n\n"
		for i, p := range x.wrong {
			if i > 0 {
				list += "\n"
			}
			list += "- " + p
		}
		comment := fmt.Sprintf("The below paths (relative to %s) exist, but are the incorrect type (file instead of directory, symlink instead of file, etc.).", x.name)
		switch {
		case c.Test && a.Clean:
			return false, decided(nil, "%s", comment+" Since the 'clean' option is enabled, the destination paths would be cleared and the archive would be extracted."+list), nil
		case c.Test && a.CleanParent:
			return false, decided(nil, "%s", comment+" Since the 'clean_parent' option is enabled, the destination parent directory would be removed first and then re-created and the archive would be extracted"), nil
		case !a.Clean && !a.Force:
			return false, decided(false, "%s", comment+" To proceed with extraction, set 'force' to True. Note that this will remove these paths before extracting."+list), nil
		}
		needed = true
	}
	if !needed && a.SourceHashUpdate && before != "" {
		sum, err := hashFile(x.cached, x.hashType())
		if err != nil {
			return false, nil, err
		}
		x.byHash = sum != before
		needed = x.byHash
	}
	return needed, nil, nil
}

// promised tells whether an earlier state of the run is to extract a path of that kind there.
func (x *extracting) promised(kind, path string) bool {
	path = strings.TrimRight(path, "/")
	for p := range promised(x.c, "archive") {
		if paths := p.value.(map[string]string); p.what == x.name && paths[path] == kind {
			return true
		}
	}
	return false
}

// promise notes what is to be extracted.
func (x *extracting) promise() {
	if !x.c.Test || module.Truth(x.a.Options) { // those may leave out some
		return
	}
	paths := map[string]string{}
	for _, kind := range []string{"dirs", "files", "links"} {
		for _, p := range x.paths(kind) {
			paths[strings.TrimRight(p, "/")] = kind
		}
	}
	promiseOf(x.c, "archive", x.name, paths)
}

// why is added to comments.
func (x *extracting) why() string {
	switch {
	case x.byHash:
		return ", due to source_hash update"
	case x.missing:
		return ", due to absence of one or more files/dirs"
	}
	return ""
}

// extraction plans to extract the archive.
func (x *extracting) extraction(ctx context.Context) (*states.Plan, error) {
	a, c := x.a, x.c
	if want := x.sum.Text("hsum"); x.local && want != "" && !a.SkipVerify {
		ok, err := truth(ctx, c, "file.check_hash", x.source, want)
		if err != nil {
			return nil, err
		}
		if !ok {
			return decided(false, "%s does not match the desired source_hash %s", redacted(x.source), want), nil
		}
	}
	p := &states.Plan{Would: fmt.Sprintf("Archive %s would be extracted to %s", redacted(x.source), x.name)}
	if a.Clean {
		p.Would += ", after cleaning destination path(s)"
	}
	p.Would += x.why()
	x.promise()
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		r.SetChanges(nil)
		if err := x.clear(r); err != nil {
			return err
		}
		made := false
		if !c.Host.IsDir(x.name) {
			q, err := fileDirectory(ctx, c, fileDirectoryArgs{Name: strings.TrimRight(x.name, "/"), User: a.User, Makedirs: true, AllowSymlink: true})
			if err != nil {
				return err
			}
			if res := states.Settle(ctx, q, false); res.Result == false {
				return errors.New(res.Comment)
			}
			made = true
		}
		files, err := x.extract(ctx)
		if err != nil {
			if made {
				_ = os.Remove(c.Host.Path(strings.TrimRight(x.name, "/"))) // where nothing is in it
			}
			return err
		}
		missing, failed := x.own(ctx, r)
		if !module.Truth(files) {
			return module.Failf("No files were extracted from %s", redacted(x.source))
		}
		if made {
			r.Change("directories_created", []any{x.name})
		}
		r.Change("extracted_files", files)
		trim := "False"
		if module.Truth(a.TrimOutput) {
			trim = pytext.Str(a.TrimOutput)
			if a.TrimOutput == true {
				trim = "100"
			}
		}
		r.Comment = fmt.Sprintf("%s extracted to %s%s. Output was trimmed to %s number of lines", redacted(x.source), x.name, x.why(), trim)
		x.unowned(r, missing, failed)
		return x.forget(ctx)
	})
	return p, nil
}

// clear removes what is in the way, or is to be removed before.
func (x *extracting) clear(r *states.Result) error {
	a, c := x.a, x.c
	var removed []any
	remove := func(p string) error {
		if !c.Host.Exists(p) && !c.Host.IsLink(p) {
			return nil
		}
		return c.Host.Remove(p)
	}
	if len(x.wrong) > 0 && !a.Clean {
		for _, p := range x.wrong {
			if err := remove(strings.TrimRight(x.name+p, "/")); err != nil {
				return err
			}
			removed = append(removed, x.name+p)
		}
	}
	if a.CleanParent {
		if err := remove(strings.TrimRight(x.name, "/")); err != nil {
			return module.Failf("Unable to remove the directory %s. The following errors were observed:\n\n- %w", x.name, err)
		}
		if removed == nil {
			r.Change("removed", fmt.Sprintf("Directory %s was removed prior to the extraction", x.name))
		}
	}
	if a.Clean {
		for _, p := range append(x.paths("top_level_dirs"), x.paths("top_level_files")...) {
			full := strings.TrimRight(x.name+p, "/")
			if !c.Host.Exists(full) && !c.Host.IsLink(full) {
				continue
			}
			if err := c.Host.Remove(full); err != nil {
				return module.Failf("One or more paths could not be cleaned. The following errors were observed:\n\n- %w", err)
			}
			removed = append(removed, x.name+p)
		}
	}
	if removed != nil {
		r.Change("removed", removed)
	}
	return nil
}

// extract does it, and returns the paths.
func (x *extracting) extract(ctx context.Context) (any, error) {
	a, c := x.a, x.c
	kw := wire.NewMap("trim_output", a.TrimOutput)
	if module.Truth(a.Options) {
		kw.Set("options", pytext.Str(a.Options))
	}
	switch {
	case x.format == "zip" && module.Truth(a.UseCmdUnzip):
		return c.Call.Call(ctx, "archive.cmd_unzip", []any{x.cached, x.name}, kw)
	case x.format == "zip":
		kw.Set("extract_perms", a.ExtractPerms)
		return c.Call.Call(ctx, "archive.unzip", []any{x.cached, x.name}, kw)
	case a.Options == nil:
		v, err := c.Call.Call(ctx, "archive.untar", []any{x.cached, x.name}, nil)
		return x.trim(v), err
	}
	words, err := host.Words(pytext.Str(a.Options))
	if err != nil {
		return nil, module.Invalidf("options: %v", err)
	}
	short := "xv"
	var long []any
	for i, w := range slices.DeleteFunc(words, func(w string) bool { return w == "v" || w == "-v" || w == "--verbose" }) {
		if i > 0 || strings.HasPrefix(w, "-") {
			long = append(long, w)
		} else {
			short += strings.NewReplacer("x", "", "f", "").Replace(w)
		}
	}
	cmd := append(append([]any{"tar", short}, long...), "-f", x.cached)
	v, err := c.Call.Call(ctx, "cmd.run_all", []any{cmd}, wire.NewMap("cwd", x.name, "python_shell", false))
	if err != nil {
		return nil, err
	}
	out, _ := v.(*wire.Map)
	if out.Int("retcode") != 0 {
		return nil, errors.New(strings.TrimSpace(out.Text("stderr")))
	}
	var files []any
	for _, line := range pytext.SplitLines(out.Text("stdout"), false) {
		files = append(files, line)
	}
	if len(files) == 0 {
		return "no tar output so far", nil
	}
	return x.trim(files), nil
}

func (x *extracting) trim(v any) any {
	l, ok := v.([]any)
	n := len(l)
	switch t := x.a.TrimOutput.(type) {
	case bool:
		if t {
			n = 100
		}
	case int64:
		if t > 0 {
			n = int(t)
		}
	case string:
		if i, err := strconv.Atoi(t); err == nil && i > 0 {
			n = i
		}
	}
	if !ok {
		return v
	}
	return l[:min(n, len(l))]
}

// own sets owner and group. Under test it only tells whether it would.
func (x *extracting) own(ctx context.Context, r *states.Result) (missing, failed []string) {
	a, c := x.a, x.c
	if x.uid < 0 && x.gid < 0 {
		return nil, nil
	}
	var recurse []any
	if x.uid >= 0 {
		recurse = append(recurse, "user")
	}
	if x.gid >= 0 {
		recurse = append(recurse, "group")
	}
	dirs, others := x.paths("top_level_dirs"), append(x.paths("top_level_files"), x.paths("top_level_links")...)
	if on, ok := a.EnforceOwnershipOn.(string); ok {
		dirs, others = []string{on}, nil
		if !c.Host.IsDir(on) {
			dirs, others = nil, []string{on}
		}
	}
	full := func(p string) string {
		if filepath.IsAbs(p) {
			return p
		}
		return x.name + p
	}
	for _, d := range dirs {
		name := full(d)
		if !c.Host.IsDir(name) {
			if !c.Test {
				missing = append(missing, name)
			}
			continue
		}
		q, err := fileDirectory(ctx, c, fileDirectoryArgs{Name: strings.TrimRight(name, "/"), User: a.User, Group: a.Group, Recurse: recurse, AllowSymlink: true})
		if err != nil {
			failed = append(failed, name)
			continue
		}
		res := states.Settle(ctx, q, c.Test)
		if res.Changes.Len() > 0 {
			r.Change("updated ownership", true)
		}
		if res.Result == false {
			failed = append(failed, name)
		}
	}
	for _, f := range others {
		name := full(f)
		st, err := c.Host.Lstat(name)
		switch {
		case err != nil:
			if !c.Test {
				missing, failed = append(missing, name), append(failed, name)
			}
		case x.uid >= 0 && st.UID != x.uid || x.gid >= 0 && st.GID != x.gid:
			if !c.Test {
				if err := c.Host.SetOwner(name, x.uid, x.gid, false); err != nil {
					failed = append(failed, f)
					continue
				}
			}
			r.Change("updated ownership", true)
		}
	}
	return missing, failed
}

// unowned adds to the comment what has not got its owner.
func (x *extracting) unowned(r *states.Result, missing, failed []string) {
	if len(missing) > 0 {
		if x.a.IfMissing == nil {
			r.Result = false
		}
		r.Comment += "\n\nWhile trying to enforce user/group ownership, the following paths were missing:\n\n- " + strings.Join(missing, "\n- ")
	}
	if len(failed) > 0 {
		r.Result = false
		r.Comment += "\n\nWhile trying to enforce user/group ownership, Salt was unable to change ownership on the following paths:\n\n- " + strings.Join(failed, "\n- ")
	}
}

// ownership plans for an archive that is extracted already.
func (x *extracting) ownership(ctx context.Context) (*states.Plan, error) {
	const fine = "All files in archive are already present"
	if x.awaits {
		return decided(nil, fine+". Ownership would be updated on one or more files/directories."), x.forget(ctx)
	}
	if x.uid < 0 && x.gid < 0 {
		return decided(true, fine), x.forget(ctx)
	}
	look := *x
	look.c = rehearsing(x.c)
	would := &states.Result{Changes: wire.NewMap()}
	look.own(ctx, would)
	p := &states.Plan{Fine: fine, Would: fine + ". Ownership would be updated on one or more files/directories."}
	if would.Changes.Len() > 0 {
		p.Do(would.Changes, func(ctx context.Context, r *states.Result) error {
			r.SetChanges(nil)
			r.Comment = fine
			missing, failed := x.own(ctx, r)
			x.unowned(r, missing, failed)
			return nil
		})
	}
	return p, x.forget(ctx)
}

// forget removes the copy in the cache, where keep_source says so.
func (x *extracting) forget(ctx context.Context) error {
	keep, ok := x.a.Kwargs.Get("keep_source")
	if !ok {
		if keep, ok = x.a.Kwargs.Get("keep"); !ok {
			return nil
		}
	}
	if !x.local && (x.brought || !x.c.Test) && !module.Truth(keep) && x.cached != "" {
		return x.c.Host.Remove(x.cached)
	}
	return nil
}
