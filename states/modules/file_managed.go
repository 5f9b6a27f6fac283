package modules

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() { register("file.managed", fileManaged) }

type fileManagedArgs struct {
	Name           string    // Path of the file.
	Source         any       `default:"None"`                             // Where the contents are from: salt://, http(s)://, ftp://, s3://, file:// or a path; of a list the first that is there.
	SourceHash     any       `default:""`                                 // Hash of the source (sha256=...), or a file of hashes; needed for sources that are not salt:// or on this machine.
	SourceHashName string    `default:"None"`                             // Name to look for in a file of hashes.
	KeepSource     bool      `default:"True"`                             // Keep the source in the cache of files.
	User           any       `default:"None"`                             // Owner, by name or number.
	Group          any       `default:"None"`                             // Group, by name or number.
	Mode           any       `default:"None"`                             // Permissions in octal; keep takes those of the source.
	Attrs          string    `default:"None"`                             // Attributes as chattr has them: a, i and so on.
	Template       string    `default:"None"`                             // Render source or contents: jinja.
	Makedirs       bool      `default:"False"`                            // Make the directories above that are missing.
	DirMode        any       `default:"None"`                             // Permissions of those directories; by default those of the file, with x where there is r or w.
	Context        any       `default:"None"`                             // Values for the template, over the defaults.
	Replace        bool      `default:"True"`                             // Put the contents in place of others; otherwise only the permissions of a file that is there are looked at.
	Defaults       any       `default:"None"`                             // Values for the template.
	Backup         any       `default:""`                                 // minion keeps the old file below the cache directory.
	ShowChanges    bool      `default:"True"`                             // Show the difference.
	Create         bool      `default:"True"`                             // Make the file where there is none.
	Contents       any       `default:"None"`                             // The contents: text, or a list of lines.
	TmpDir         string    `default:""`                                 // Directory of the file that check_cmd sees.
	TmpExt         string    `default:""`                                 // End of that file's name.
	ContentsPillar any       `default:"None"`                             // Key of the pillar with the contents; of a list one after the other.
	ContentsGrains any       `default:"None"`                             // Grain with the contents, likewise.
	Newline        bool      `default:"True"    arg:"contents_newline"`   // End the contents with a new line.
	Delimiter      string    `default:":"       arg:"contents_delimiter"` // What stands between the keys of contents_pillar and contents_grains.
	Encoding       string    `default:"None"`                             // Encoding of the contents in the file; UTF-8 by default.
	EncodingErrors string    `default:"strict"`                           // What becomes of characters that the encoding has not: strict, ignore, replace.
	AllowEmpty     bool      `default:"True"`                             // Whether contents that are empty are right.
	FollowSymlinks bool      `default:"True"`                             // Change what a symbolic link points to, rather than the link.
	CheckCmd       any       `default:"None"`                             // Command that is given a file with the new contents before they are put in place; a failure keeps the old.
	SkipVerify     bool      `default:"False"`                            // Take remote sources without a hash.
	Selinux        *wire.Map `default:"None"`                             // SELinux context: seuser, serole, setype, serange.
	WinOwner       any       `default:"None"`                             // On Windows.
	WinPerms       any       `default:"None"`                             // On Windows.
	WinDenyPerms   any       `default:"None"`                             // On Windows.
	WinInheritance bool      `default:"True"`                             // On Windows.
	WinPermsReset  bool      `default:"False"`                            // On Windows.
	VerifySsl      bool      `default:"True"`                             // Verify the certificate of https sources.
	UseEtag        bool      `default:"False"`                            // Ask http servers whether a source has changed by its ETag.
	Kwargs         *wire.Map `arg:"**"`                                   // Further variables of the template.
}

// fileManaged makes a file hold the contents of a source, a template or a text, with an
// owner and permissions.
func fileManaged(ctx context.Context, c *states.Call, a fileManagedArgs) (*states.Plan, error) {
	m := &managed{c: c, a: &a}
	if err := m.arguments(ctx); err != nil {
		return &states.Plan{Name: a.Name, Warnings: m.warnings}, err
	}
	p, err := m.plan(ctx)
	if p == nil {
		p = &states.Plan{}
	}
	p.Name, p.Warnings = a.Name, append(m.warnings, p.Warnings...)
	if !a.KeepSource && !c.Test && err == nil {
		if p.Empty() {
			m.forget(ctx)
		} else {
			p.Do(nil, func(ctx context.Context, _ *states.Result) error { m.forget(ctx); return nil })
		}
	}
	return p, err
}

// forget removes the copy of the source from the cache of files.
func (m *managed) forget(ctx context.Context) {
	if m.cached == "" && scheme(m.source) == "salt" {
		v, _ := m.c.Call.Call(ctx, "cp.is_cached", args(m.source, m.c.Env), nil)
		m.cached, _ = v.(string)
	}
	if m.cached != "" && !m.c.Host.Rehearses() {
		_ = os.Remove(m.cached) // it may be another state's that has removed it
	}
}

// managed is one call of file.managed.
type managed struct {
	c        *states.Call
	a        *fileManagedArgs
	perm     perms
	keep     bool    // the mode is that of the source
	contents *[]byte // of the arguments; nil with a source, or with neither
	source   string
	cached   string // where the source's copy is
	context  *wire.Map
	defaults *wire.Map
	warnings []string
}

// arguments checks what belongs together, and reads contents and owner.
func (m *managed) arguments(ctx context.Context) error {
	a, c := m.a, m.c
	a.Name = expandUser(c, a.Name)
	if a.Name == "" {
		return module.Failf("Destination file name is required")
	}
	if s, ok := a.Mode.(string); ok && strings.EqualFold(s, "keep") {
		m.keep, a.Mode = true, nil
	}
	given := 0
	for _, v := range []any{a.Contents, a.ContentsPillar, a.ContentsGrains} {
		if v != nil {
			given++
		}
	}
	switch {
	case module.Truth(a.Source) && given > 0:
		return module.Failf("'source' cannot be used in combination with 'contents', 'contents_pillar', or 'contents_grains'")
	case m.keep && given > 0:
		return module.Failf("Mode preservation cannot be used in combination with 'contents', 'contents_pillar', or 'contents_grains'")
	case given > 1:
		return module.Failf("Only one of 'contents', 'contents_pillar', and 'contents_grains' is permitted")
	}
	if !module.Truth(a.Source) && given == 0 && a.Replace {
		a.Replace = false
		c.Log.Warn("file.managed has neither source nor contents: only the file's permissions are looked at", "name", a.Name)
	}
	if a.Kwargs.Has("file_mode") {
		m.warnings = append(m.warnings, "The 'file_mode' argument will be ignored.  Please use 'mode' instead to set file permissions.")
	}
	if a.User == nil && a.Kwargs.Has("owner") {
		a.User = get(a.Kwargs, "owner")
	}
	for k := range a.Kwargs.Strings() {
		if near := module.Nearest(k, fileManagedNames()); a.Template == "" && k != "file_mode" && k != "owner" && near != "" {
			m.warnings = append(m.warnings, fmt.Sprintf("'%s' is no argument of file.managed, and without a template nothing uses it. Did you mean '%s'?", k, near))
		}
	}
	return m.readContents(ctx, given > 0)
}

func fileManagedNames() []string {
	return []string{"source", "source_hash", "user", "group", "mode", "attrs", "template", "makedirs", "dir_mode", "context", "replace", "defaults",
		"backup", "show_changes", "create", "contents", "contents_pillar", "contents_grains", "check_cmd", "skip_verify", "follow_symlinks"}
}

// readContents makes the contents of contents, contents_pillar or contents_grains.
func (m *managed) readContents(ctx context.Context, given bool) error {
	if !given {
		return nil
	}
	a, c := m.a, m.c
	value, what := a.Contents, "'contents'"
	for _, from := range []struct {
		keys      any
		fun, name string
		what      string
	}{{a.ContentsPillar, "pillar.get", "Pillar", "contents_pillar"}, {a.ContentsGrains, "grains.get", "Grain", "contents_grains"}} {
		if from.keys == nil {
			continue
		}
		what = from.what + " " + pytext.Str(from.keys)
		keys, isList := from.keys.([]any)
		if !isList {
			keys = []any{from.keys}
		}
		var parts []any
		for _, key := range keys {
			v, err := c.Call.Call(ctx, from.fun, args(pytext.Str(key)), wire.NewMap("default", notThere, "delimiter", a.Delimiter))
			if err != nil {
				return err
			}
			if v == notThere {
				return module.Failf("%s %s does not exist", from.name, pytext.Str(key))
			}
			parts = append(parts, v)
		}
		value = parts[0]
		if isList {
			texts := make([]string, len(parts))
			for i, p := range parts {
				texts[i] = pytext.Str(p)
			}
			value = strings.Join(texts, "\n")
		}
	}
	if !a.AllowEmpty && !module.Truth(value) {
		return module.Failf("%s value would result in empty contents. Set allow_empty to True to allow the managed file to be empty.", what)
	}
	text := ""
	if b, ok := value.([]byte); ok {
		if a.Template != "" {
			return module.Failf("Contents specified by contents/contents_pillar/contents_grains appears to be binary data, and as will not be able to be treated as a Jinja template.")
		}
		m.contents = &b
		return nil
	}
	for _, part := range contentParts(value) {
		for _, line := range pytext.SplitLines(part, false) {
			text += line + "\n"
		}
	}
	if !a.Newline {
		text = strings.TrimRight(strings.TrimRight(text, "\n"), "\r")
	}
	if a.Template != "" {
		rendered, err := c.Call.Call(ctx, "file.apply_template_on_contents", nil, wire.NewMap("contents", text, "template", a.Template,
			"context", a.Context, "defaults", a.Defaults, "saltenv", c.Env))
		if err != nil {
			return err
		}
		switch r := rendered.(type) {
		case string:
			text = r
		case *wire.Map:
			return errors.New(r.Text("comment"))
		default:
			return module.Failf("Error while applying template on contents")
		}
	}
	b, err := host.Encode(text, a.Encoding, a.EncodingErrors)
	if err != nil {
		return module.Failf("Unable to manage file: %w", err)
	}
	m.contents = &b
	return nil
}

const notThere = "\x00not there\x00"

// contentParts are the texts that contents consist of.
func contentParts(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		out := make([]string, len(v))
		for i, e := range v {
			out[i] = pytext.Str(e)
		}
		return out
	}
	return []string{pytext.Str(v)}
}

// plan looks at the file.
func (m *managed) plan(ctx context.Context) (*states.Plan, error) {
	a, c := m.a, m.c
	if !a.Create && !c.Host.IsFile(a.Name) {
		return states.Decided(true, nil, fmt.Sprintf("File %s is not present and is not set for creation", a.Name)), nil
	}
	var err error
	if m.perm, err = readPerms(c, a.User, a.Group, a.Mode, a.Attrs, a.Selinux); err != nil {
		return nil, err
	}
	if !filepath.IsAbs(a.Name) {
		return nil, module.Failf("Specified file %s is not an absolute path", a.Name)
	}
	if c.Host.IsDir(a.Name) && (a.FollowSymlinks || !c.Host.IsLink(a.Name)) {
		return nil, module.Failf("Specified target %s is a directory", a.Name)
	}
	if m.context, err = mapArg(a.Context, "Context"); err != nil {
		return nil, err
	}
	if m.defaults, err = mapArg(a.Defaults, "Defaults"); err != nil {
		return nil, err
	}
	if c.Host.Exists(a.Name) && (!a.Replace || m.alreadyIs(ctx)) {
		return m.permsOnly()
	}
	if acc := accumulated(c, a.Name); acc != nil {
		m.context = m.context.Clone()
		m.context.Set("accumulator", acc)
	}
	src := &sourceFile{}
	none, isList := a.Source.([]any) // an empty list is one of which none is found
	if m.contents == nil && (module.Truth(a.Source) || isList && len(none) == 0) {
		if src, err = m.fetch(ctx); err != nil {
			if c.Test { // Salt words it without a prefix there
				return nil, err
			}
			var u *unmanaged
			if errors.As(err, &u) {
				return nil, u.err
			}
			return nil, module.Failf("Unable to manage file: %w", err)
		}
		m.source = src.url
	}
	if m.keep && src.url != "" {
		if mode, ok := src.mode(ctx, c); ok {
			m.perm.mode = &mode
		}
	}
	if st, lerr := c.Host.Lstat(a.Name); lerr == nil && (st.Mode().IsRegular() || c.Host.IsLink(a.Name)) {
		return m.existing(ctx, src)
	}
	return m.missing(ctx, src)
}

// alreadyIs tells whether the file has the hash that a source of elsewhere is said to
// have. Then nobody asks for the source.
func (m *managed) alreadyIs(ctx context.Context) bool {
	a := m.a
	if m.contents != nil || a.Template != "" || !module.Truth(a.Source) || a.SkipVerify {
		return false
	}
	source, sourceHash, err := m.pick(ctx)
	if err != nil || sourceHash == "" || scheme(source) == "salt" {
		return false
	}
	if _, isLocal := local(source); isLocal {
		return false
	}
	want, kind, err := m.sourceSum(ctx, source, sourceHash)
	if err != nil || want == "" {
		return false
	}
	sum, err := hashFile(m.c.Host.Path(a.Name), kind)
	return err == nil && sum == want
}

// unmanaged is an error that Salt tells as it is.
type unmanaged struct{ err error }

func (u *unmanaged) Error() string { return u.err.Error() }

// permsOnly plans for a file whose contents are left alone.
func (m *managed) permsOnly() (*states.Plan, error) {
	a, c := m.a, m.c
	p := &states.Plan{Fine: fmt.Sprintf("File %s exists with proper permissions. No changes made.", a.Name), Would: fmt.Sprintf("File %s not updated", a.Name)}
	diff, err := m.perm.differs(c, a.Name, a.FollowSymlinks)
	if err != nil {
		return nil, err
	}
	if c.Test {
		p.Fine = p.Would
	}
	if diff.mode {
		p.Would = fmt.Sprintf("File %s will be updated with permissions %s from its current state of %s", a.Name, m.perm.octal(), diff.stat.Octal())
	}
	if diff.any() {
		p.Do(diff.changes(), func(context.Context, *states.Result) error { return m.perm.set(c, a.Name, a.FollowSymlinks, diff) })
	}
	return p, nil
}

// existing plans for a file that is there.
func (m *managed) existing(ctx context.Context, src *sourceFile) (*states.Plan, error) {
	a, c := m.a, m.c
	real := a.Name
	if a.FollowSymlinks {
		var err error
		if real, err = c.Host.Follow(a.Name); err != nil {
			return nil, err
		}
	}
	link := c.Host.IsLink(a.Name) && !a.FollowSymlinks
	p := &states.Plan{
		Fine:  fmt.Sprintf("File %s is in the correct state", a.Name),
		Did:   fmt.Sprintf("File %s updated", a.Name),
		Would: fmt.Sprintf("The file %s is set to be changed\nNote: No changes made, actual changes may\nbe different due to other states.", a.Name),
	}
	if c.Test {
		p.Fine = fmt.Sprintf("The file %s is in the correct state", a.Name)
	}
	if !c.Host.Exists(real) && !link { // a link to nothing
		return m.missing(ctx, src)
	}
	differs := link
	if !link {
		var err error
		if differs, err = m.contentDiffers(c, real, src); err != nil {
			return nil, err
		}
	}
	if differs && (m.contents != nil || src.url != "") {
		if err := m.bring(ctx, src); err != nil {
			return nil, err
		}
		text := ""
		if c.Host.IsFile(real) || !link { // what differs shows also where a link becomes a file
			var err error
			if text, err = m.diff(ctx, real, src); err != nil {
				return nil, err
			}
		}
		if link && text == "" {
			text = "Replace symbolic link with regular file"
		}
		p.Do(wire.NewMap("diff", text), func(ctx context.Context, r *states.Result) error {
			if err := m.checkCmd(ctx, r, src); err != nil {
				return err
			}
			if err := backup(c, real, a.Backup); err != nil {
				return fmt.Errorf("back up %s: %w", real, err)
			}
			o := host.Keep
			if st, err := c.Host.Stat(real); err == nil && link {
				o = host.Owner{UID: st.UID, GID: st.GID}
			}
			if err := c.Host.Replace(real, o, c.Umask, m.write(c, src)); err != nil {
				return module.Failf("Failed to commit change: %w", err)
			}
			return nil
		})
	}
	diff, err := m.perm.differs(c, a.Name, a.FollowSymlinks)
	if err != nil {
		return nil, err
	}
	if diff.any() {
		p.Do(diff.changes(), func(context.Context, *states.Result) error { return m.perm.set(c, a.Name, a.FollowSymlinks, diff) })
	}
	return p, nil
}

// missing plans for a file that is to be made.
func (m *managed) missing(ctx context.Context, src *sourceFile) (*states.Plan, error) {
	a, c := m.a, m.c
	dir := filepath.Dir(a.Name)
	if !a.Makedirs && lacksDir(c, dir) {
		return nil, module.Failf("Parent directory not present")
	}
	if err := blocked(c, dir); err != nil {
		return nil, err
	}
	if !c.Test {
		if err := m.bring(ctx, src); err != nil {
			return nil, err
		}
	}
	p := &states.Plan{
		Did:   fmt.Sprintf("File %s updated", a.Name),
		Would: fmt.Sprintf("The file %s is set to be changed\nNote: No changes made, actual changes may\nbe different due to other states.", a.Name),
	}
	empty := m.contents == nil && src.url == ""
	if empty {
		p.Did = "Empty file"
	}
	p.Do(wire.NewMap("newfile", a.Name), func(ctx context.Context, r *states.Result) error {
		if err := m.checkCmd(ctx, r, src); err != nil {
			return err
		}
		r.SetChanges(nil)
		if !c.Host.IsDir(dir) {
			o := m.perm.owner()
			mode, err := m.dirMode()
			if err != nil {
				return err
			}
			o.Mode = mode
			if err := c.Host.MakeDirs(dir, o, c.Umask); err != nil {
				return err
			}
		}
		o := m.perm.owner()
		if m.perm.mode != nil {
			o.Mode = m.perm.mode
		}
		if err := c.Host.ReplaceLinked(a.Name, o, c.Umask, m.write(c, src)); err != nil {
			return module.Failf("File %s not created: %w", a.Name, err)
		}
		if empty {
			r.Change("new", fmt.Sprintf("file %s created", a.Name))
		} else {
			r.Change("diff", "New file")
		}
		if st, err := c.Host.Stat(a.Name); err == nil && src.url != "" && m.perm.mode == nil && st.Octal() != "0600" {
			r.Change("mode", st.Octal()) // Salt copies sources with 0600, and then gives the file its mode
		}
		m.perm.told(c, a.Name, r)
		return nil
	})
	return p, nil
}

// dirMode is the mode of directories that are made on the way.
func (m *managed) dirMode() (*os.FileMode, error) {
	if m.a.DirMode != nil {
		mode, err := host.ParseMode(pytext.Str(m.a.DirMode))
		return &mode, err
	}
	if m.perm.mode == nil {
		return nil, nil
	}
	mode := *m.perm.mode
	for shift := range 3 {
		if mode>>(3*shift)&7 != 0 {
			mode |= 1 << (3 * shift)
		}
	}
	mode &= 0o777
	return &mode, nil
}

// contentDiffers tells whether the file holds something else.
func (m *managed) contentDiffers(c *states.Call, real string, src *sourceFile) (bool, error) {
	if m.contents != nil {
		same, err := holds(c, real, *m.contents)
		return !same, err
	}
	if src.url == "" {
		return false, nil
	}
	if src.hash == "" {
		return true, nil
	}
	sum, err := hashFile(c.Host.Path(real), src.hashType)
	return sum != src.hash, err
}

// write writes the new contents.
func (m *managed) write(c *states.Call, src *sourceFile) func(io.Writer) error {
	return func(w io.Writer) error {
		if m.contents != nil {
			_, err := w.Write(*m.contents)
			return err
		}
		if src.url == "" {
			return nil
		}
		if src.text != nil {
			_, err := w.Write(src.text)
			return err
		}
		f, err := os.Open(src.path)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(w, f)
		return err
	}
}

// diff is how the change is shown.
func (m *managed) diff(ctx context.Context, real string, src *sourceFile) (string, error) {
	if v, err := m.c.Call.Call(ctx, "config.option", args("obfuscate_templates"), nil); err == nil && module.Truth(v) {
		return "<Obfuscated Template>", nil
	}
	if !m.a.ShowChanges {
		return "<show_changes=False>", nil
	}
	if m.contents != nil {
		return diffContents(m.c.Host.Path(real), *m.contents)
	}
	if src.text != nil {
		return diffContents(m.c.Host.Path(real), src.text)
	}
	return diffFiles(m.c.Host.Path(real), src.path)
}

// checkCmd lets check_cmd see the new contents.
func (m *managed) checkCmd(ctx context.Context, r *states.Result, src *sourceFile) error {
	if !module.Truth(m.a.CheckCmd) || m.c.Host.Rehearses() { // its file would be in tmp_dir, which programs may watch
		return nil
	}
	tmp, err := os.CreateTemp(m.a.TmpDir, "__salt.tmp.*"+m.a.TmpExt)
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	err = m.write(m.c, src)(tmp)
	if err == nil {
		err = tmp.Close()
	}
	if err == nil && m.perm.mode != nil {
		err = os.Chmod(tmp.Name(), *m.perm.mode)
	}
	if err == nil && (m.perm.uid >= 0 || m.perm.gid >= 0) {
		err = os.Chown(tmp.Name(), m.perm.uid, m.perm.gid)
	}
	if err != nil {
		return module.Failf("Unable to check_cmd file: %w", err)
	}
	kwargs := wire.NewMap("python_shell", true)
	if shell := m.c.Grains().Text("shell"); shell != "" {
		kwargs.Set("shell", shell)
	}
	v, err := m.c.Call.Call(ctx, "cmd.run_all", args(pytext.Str(m.a.CheckCmd)+" "+tmp.Name()), kwargs)
	if err != nil {
		return err
	}
	out, _ := v.(*wire.Map)
	if out.Int("retcode") == 0 {
		return nil
	}
	r.Set("skip_watch", true)
	msg := "check_cmd execution failed"
	for _, k := range []string{"stdout", "stderr"} {
		if s := out.Text(k); s != "" {
			msg += "\n" + s
		}
	}
	return errors.New(msg)
}
