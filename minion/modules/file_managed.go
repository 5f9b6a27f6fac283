//go:build unix

package modules

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("file.manage_file", fileManageFile)
	register("file.check_managed", fileCheckManaged)
	register("file.check_managed_changes", fileCheckManagedChanges)
	register("file.check_file_meta", fileCheckFileMeta)
}

type fileManageFileArgs struct {
	Name           string    // The file.
	Sfn            any       // A file of this machine with the contents; '' fetches source.
	Ret            *wire.Map // Result of a state that is added to, or None.
	Source         any       // Where the contents are: an address; None for contents.
	SourceSum      *wire.Map // Their checksum: hash_type and hsum.
	User           any       // Whom the file is to belong to.
	Group          any       // Which group.
	Mode           any       // Its permissions.
	Attrs          *string   // Its attributes, letters of chattr.
	Saltenv        string    // Environment of salt:// addresses.
	Backup         any       // minion keeps a copy of the old file; '' is what the option backup_mode says.
	Makedirs       bool      `default:"False"`  // Make directories that are missing.
	Template       any       `default:"None"`   // Without effect.
	ShowChanges    bool      `default:"True"`   // False hides the diff.
	Contents       any       `default:"None"`   // The contents, in place of a source.
	DirMode        any       `default:"None"`   // Permissions of directories that are made.
	FollowSymlinks bool      `default:"True"`   // Change what a symbolic link points to, rather than to replace it.
	SkipVerify     bool      `default:"False"`  // Do not compare the source with its checksum.
	KeepMode       bool      `default:"False"`  // The permissions of the source.
	Encoding       string    `default:"None"`   // Of contents: utf-8, latin-1 and so on.
	EncodingErrors string    `default:"strict"` // What becomes of characters that the encoding has not: strict, ignore, replace.
	selinuxWanted
	VerifySSL bool      `default:"True"`  // Check the certificate of an https:// address.
	UseEtag   bool      `default:"False"` // Ask the web server whether it changed.
	Kwargs    *wire.Map `arg:"**"`        // Without effect.
}

// fileManageFile makes a file have contents, owner and permissions, and returns the
// result of a state: name, changes, comment, result.
//
//	gosalt '*' file.manage_file /etc/httpd/conf.d/httpd.conf '' '{}' salt://http/httpd.conf '{hash_type: md5, hsum: <md5sum>}' root root '755' '' base ''
func fileManageFile(ctx context.Context, c *module.Call, a fileManageFileArgs) (*wire.Map, error) {
	m := &manager{ctx: ctx, c: c, a: a, name: expandUser(c, a.Name), source: textOr(a.Source, ""), sfn: textOr(a.Sfn, ""), sum: a.SourceSum, mode: a.Mode}
	m.ret = a.Ret
	if m.ret.Len() == 0 {
		m.ret = wire.NewMap("name", m.name, "changes", wire.NewMap(), "comment", "", "result", true)
	} else {
		m.ret = m.ret.Clone()
	}
	m.changes = m.ret.Map("changes")
	if m.changes == nil {
		m.changes = wire.NewMap()
	}
	m.ret.Set("changes", m.changes)
	if m.sum == nil {
		m.sum = wire.NewMap()
	}
	if m.sum.Has("hsum") {
		m.sum = m.sum.Clone()
		m.sum.Set("hsum", strings.ToLower(m.sum.Text("hsum")))
	}
	ret, err := m.run()
	dropTemporary(m.sfn)
	return ret, err
}

// manager is one call of file.manage_file.
type manager struct {
	ctx          context.Context
	c            *module.Call
	a            fileManageFileArgs
	name         string
	source, sfn  string
	sum          *wire.Map
	mode         any
	ret, changes *wire.Map
}

func (m *manager) fail(format string, args ...any) (*wire.Map, error) {
	m.ret.Set("result", false)
	m.ret.Set("comment", fmt.Sprintf(format, args...))
	return m.ret, nil
}

// fetch brings the source here, unless it is; false where there is none.
func (m *manager) fetch() (bool, error) {
	if m.sfn != "" {
		return true, nil
	}
	var err error
	m.sfn, err = cacheFile(m.ctx, m.c, m.source, m.a.Saltenv, m.sum.Text("hsum"))
	return m.sfn != "", err
}

func (m *manager) hashType() string {
	if t := m.sum.Text("hash_type"); t != "" {
		return t
	}
	if t := m.c.Opts.Text("hash_type"); t != "" {
		return t
	}
	return "sha256"
}

// verified compares what was fetched from the web with its checksum; "" is well.
func (m *manager) verified(more string) (string, error) {
	if m.source == "" || urlScheme(m.source) == "salt" || m.a.SkipVerify || m.a.UseEtag {
		return "", nil
	}
	got, err := hashFile(m.c, m.sfn, m.hashType())
	if err != nil || got == m.sum.Text("hsum") {
		return "", err
	}
	of := m.name
	if more != "" {
		of = m.source
	}
	return fmt.Sprintf("Specified %s checksum for %s (%s) does not match actual checksum (%s)%s", m.hashType(), of, m.sum.Text("hsum"), got, more), nil
}

func (m *manager) run() (*wire.Map, error) {
	c, a := m.c, m.a
	if m.source != "" {
		if m.sfn == "" {
			ok, err := m.fetch()
			if err != nil {
				return nil, err
			}
			if !ok {
				return m.fail("Source file '%s' not found", m.source)
			}
			digits, err := hashFile(c, m.sfn, m.hashType())
			if err != nil {
				return nil, err
			}
			m.sum = wire.NewMap("hash_type", m.hashType(), "hsum", digits)
		}
		if s := urlScheme(m.source); a.KeepMode && (s == "" || s == "salt" || s == "file") {
			mode, err := sourceMode(m.ctx, c, m.source, m.sfn, a.Saltenv)
			if err != nil {
				c.Log.Warn("the mode of the source is not known", "source", m.source, "error", err)
			} else {
				m.mode = mode
			}
		}
	}
	if c.Host.IsFile(m.name) || c.Host.IsLink(m.name) {
		return m.update()
	}
	return m.create()
}

// update changes a file that is there.
func (m *manager) update() (*wire.Map, error) {
	c, a := m.c, m.a
	real, link := m.name, c.Host.IsLink(m.name)
	if link && a.FollowSymlinks {
		real = realPath(c, m.name)
	}
	replaceLink := link && !a.FollowSymlinks
	if m.source != "" {
		have := ""
		if !replaceLink {
			var err error
			if have, err = hashFile(c, real, m.hashType()); err != nil {
				return nil, err
			}
		}
		if have == "" || have != m.sum.Text("hsum") {
			if ret, err := m.replaceBySource(real); ret != nil || err != nil {
				return ret, err
			}
		}
	}
	if a.Contents != nil {
		if ret, err := m.replaceByContents(real); ret != nil || err != nil {
			return ret, err
		}
	}
	if replaceLink && c.Host.IsLink(m.name) {
		if ok, err := m.fetch(); err != nil || !ok {
			if err != nil {
				return nil, err
			}
			return m.fail("Source file '%s' not found", m.source)
		}
		if wrong, err := m.verified(""); wrong != "" || err != nil {
			if err != nil {
				return nil, err
			}
			return m.fail("%s", wrong)
		}
		if err := m.put(m.sfn, m.name, true); err != nil {
			return m.fail("Failed to commit change: %s", host.OSError(err, m.name))
		}
		m.changes.Set("diff", "Replace symbolic link with regular file")
	}
	ret, err := m.perms(a.FollowSymlinks)
	if err != nil {
		return nil, err
	}
	if ret.Map("changes").Len() > 0 {
		ret.Set("comment", "File "+m.name+" updated")
	} else if ret.Bool("result") {
		ret.Set("comment", "File "+m.name+" is in the correct state")
	}
	return ret, nil
}

func (m *manager) replaceBySource(real string) (*wire.Map, error) {
	ok, err := m.fetch()
	if err != nil {
		return nil, err
	}
	if !ok {
		return m.fail("Source file '%s' not found", m.source)
	}
	wrong, err := m.verified(". If the 'source_hash' value refers to a remote file with multiple possible matches, then it may be necessary to set 'source_hash_name'.")
	if err != nil {
		return nil, err
	}
	if wrong != "" {
		return m.fail("%s", wrong)
	}
	switch {
	case optionTrue(m.c, "obfuscate_templates"):
		m.changes.Set("diff", "<Obfuscated Template>")
	case !m.a.ShowChanges:
		m.changes.Set("diff", "<show_changes=False>")
	default:
		diff, err := diffFiles(m.c, real, m.sfn, false, true, false)
		if err != nil {
			diff = err.Error()
		}
		if diff != "" {
			m.changes.Set("diff", diff)
		}
	}
	if err := m.put(m.sfn, real, !m.a.FollowSymlinks); err != nil {
		return m.fail("Failed to commit change: %s", host.OSError(err, real))
	}
	return nil, nil
}

// encoded are the contents as bytes.
func (m *manager) encoded() ([]byte, error) {
	return encodeContents(m.a.Contents, m.a.Encoding, m.a.EncodingErrors)
}

func encodeContents(v any, name, errs string) ([]byte, error) {
	if b, ok := v.([]byte); ok {
		return b, nil
	}
	return host.Encode(pytext.Str(v), name, errs)
}

func (m *manager) replaceByContents(real string) (*wire.Map, error) {
	tmp, err := m.temporary()
	if err != nil {
		return nil, err
	}
	defer dropTemporary(tmp)
	diff, err := diffFiles(m.c, real, tmp, false, m.a.ShowChanges, true)
	if err != nil {
		m.ret.Set("warnings", append(m.ret.List("warnings"), "Failed to detect changes to file: "+err.Error()))
		diff = ""
	}
	if diff == "" {
		return nil, nil
	}
	m.changes.Set("diff", diff)
	if err := m.put(tmp, real, false); err != nil {
		return m.fail("Failed to commit change: %s", host.OSError(err, real))
	}
	return nil, nil
}

// temporary writes the contents into a file that only the minion can read.
func (m *manager) temporary() (string, error) {
	b, err := m.encoded()
	if err != nil {
		return "", err
	}
	f, err := os.CreateTemp("", temporaryPrefix)
	if err != nil {
		return "", err
	}
	_, err = f.Write(b)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return f.Name(), err
}

// put copies a file to its place. What was there is kept where backup says so.
func (m *manager) put(src, dest string, replaceLink bool) error {
	mode, err := configBackupMode(m.ctx, m.c, configBackupModeArgs{m.a.Backup})
	if err != nil {
		return err
	}
	if (mode == "minion" || mode == "both") && m.c.Host.Exists(dest) {
		if err := backupFile(m.c, dest); err != nil {
			return err
		}
	}
	// What is new is the minion's alone until it gets its permissions; what is in the
	// place of a link gets those that the link's file had.
	st, serr := m.c.Host.Info(dest, true)
	if replaceLink && m.c.Host.IsLink(dest) {
		if err := m.c.Host.Unlink(dest); err != nil {
			return err
		}
	} else if serr == nil {
		return m.c.Host.CopyFile(src, dest, false)
	}
	in, err := m.c.Host.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	owner, private := host.Keep, os.FileMode(0o600)
	owner.Mode = &private
	if err := m.c.Host.Replace(dest, owner, -1, func(w io.Writer) error { _, err := io.Copy(w, in); return err }); err != nil || serr != nil {
		return err
	}
	if err := m.c.Host.SetOwner(dest, st.UID, st.GID, false); err != nil {
		return err
	}
	return m.c.Host.Chmod(dest, st.Mode)
}

func (m *manager) perms(follow bool) (*wire.Map, error) {
	ret, _, err := checkPerms(m.ctx, m.c, permsWanted{m.name, m.a.User, m.a.Group, m.mode, m.a.Attrs, follow, m.a.selinuxWanted}, m.ret)
	return ret, err
}

// create makes a file that is not there.
func (m *manager) create() (*wire.Map, error) {
	c, a, test := m.c, m.a, m.c.Opts.Bool("test")
	if m.source != "" {
		ok, err := m.fetch()
		if err != nil {
			return nil, err
		}
		if !ok {
			return m.fail("Source file '%s' not found", m.source)
		}
		wrong, err := m.verified("")
		if err != nil {
			return nil, err
		}
		if wrong != "" {
			return m.fail("%s", wrong)
		}
		m.changes.Set("diff", "New file")
	}
	if !c.Host.IsDir(pyDirname(m.name)) {
		if !a.Makedirs {
			m.changes.Delete("diff")
			return m.fail("Parent directory not present")
		}
		if _, err := makedirs(m.ctx, c, m.name, a.User, a.Group, m.dirMode()); err != nil {
			return nil, err
		}
	}
	switch {
	case m.source != "" || test:
	case a.Contents == nil:
		if err := m.touchPrivate(); err != nil {
			return nil, err
		}
		m.changes.Set("new", "file "+m.name+" created")
		m.ret.Set("comment", "Empty file")
	default:
		if err := m.touchPrivate(); err != nil {
			return nil, err
		}
		m.changes.Set("diff", "New file")
	}
	from := m.sfn
	if a.Contents != nil {
		tmp, err := m.temporary()
		if err != nil {
			return nil, err
		}
		defer dropTemporary(tmp)
		from = tmp
	}
	if from != "" {
		if err := m.put(from, m.name, false); err != nil {
			return nil, systemError(err, m.name)
		}
	}
	if m.mode == nil {
		m.mode = octal(0o666 &^ c.Host.Umask())
	}
	ret, err := m.perms(false)
	if err != nil {
		return nil, err
	}
	if !module.Truth(mapValue(ret, "comment")) {
		ret.Set("comment", "File "+m.name+" updated")
	}
	switch {
	case test:
		ret.Set("comment", "File "+m.name+" not updated")
	case ret.Map("changes").Len() == 0 && ret.Bool("result"):
		ret.Set("comment", "File "+m.name+" is in the correct state")
	}
	return ret, nil
}

func mapValue(m *wire.Map, key string) any { v, _ := m.Get(key); return v }

// touchPrivate makes an empty file that nobody else can open before it has its
// permissions, where those were asked for.
func (m *manager) touchPrivate() error {
	mode := os.FileMode(0o666)
	if module.Truth(m.mode) {
		mode = 0o600
	}
	f, err := m.c.Host.OpenFile(m.name, os.O_WRONLY|os.O_CREATE, mode)
	if err != nil {
		return module.Failf("%s", host.Strerror(err))
	}
	return f.Close()
}

// dirMode is that of new directories: the file's, with x where there is anything.
func (m *manager) dirMode() any {
	if m.a.DirMode != nil || m.mode == nil {
		return m.a.DirMode
	}
	digits := pytext.Str(m.mode)
	digits = digits[max(0, len(digits)-3):]
	out := ""
	for _, r := range digits {
		if r > '0' && r <= '7' {
			r |= 1
		}
		out += string(r)
	}
	return out
}

// managedArgs are what the functions that only look have in common.
type managedArgs struct {
	Name           string    // The file.
	Source         any       // Where its contents are: an address, or a list of some.
	SourceHash     any       // Their checksum, or where it is listed.
	SourceHashName any       // The name to look for in that list.
	User           any       // Whom it is to belong to.
	Group          any       // Which group.
	Mode           any       // Its permissions.
	Attrs          *string   // Its attributes, letters of chattr.
	Template       string    // jinja, or '' for none.
	Context        *wire.Map // Variables of the template.
	Defaults       *wire.Map // Variables for those that context does not have.
	Saltenv        string    // Environment of salt:// addresses.
	Contents       any       `default:"None"`  // The contents, in place of a source.
	SkipVerify     bool      `default:"False"` // Take a source without a checksum.
}

type fileCheckManagedArgs struct {
	managedArgs
	selinuxWanted
	FollowSymlinks bool      `default:"False"` // The file that a symbolic link points to is meant.
	Kwargs         *wire.Map `arg:"**"`        // Further variables of the template.
}

// lookManaged finds out what would change. comment says why it cannot.
func lookManaged(ctx context.Context, c *module.Call, a managedArgs, w selinuxWanted, keepMode, follow bool, kwargs *wire.Map) (changes *wire.Map, comment string, err error) {
	src, err := fileSourceList(ctx, c, fileSourceListArgs{a.Source, a.SourceHash, a.Saltenv})
	if err != nil {
		return nil, "", err
	}
	source := textOr(src[0], "")
	sfn, sum := "", wire.NewMap()
	if a.Contents == nil {
		var attrs any
		if a.Attrs != nil {
			attrs = *a.Attrs
		}
		sfn, sum, comment, err = getManaged(ctx, c, managedSource{a.Name, a.Template, source, src[1], a.SourceHashName, a.User, a.Group, a.Mode, attrs,
			a.Saltenv, a.Context, a.Defaults, a.SkipVerify, false, kwargs})
		defer func() { dropTemporary(sfn) }()
		if err != nil || comment != "" {
			return nil, comment, err
		}
		if keepMode && sfn != "" && source != "" {
			if mode, err := sourceMode(ctx, c, source, sfn, a.Saltenv); err == nil {
				a.Mode = mode
			}
		}
	}
	changes, err = checkFileMeta(ctx, c, fileCheckFileMetaArgs{Name: a.Name, Sfn: sfn, Source: source, SourceSum: sum, User: a.User, Group: a.Group,
		Mode: a.Mode, Attrs: a.Attrs, Saltenv: a.Saltenv, Contents: a.Contents, selinuxWanted: w, FollowSymlinks: follow})
	return changes, "", err
}

// fileCheckManaged tells whether a file is as it is to be: True, or None where it would
// change, with a text of what.
//
//	gosalt '*' file.check_managed /etc/httpd/conf.d/httpd.conf salt://http/httpd.conf '{hash_type: md5, hsum: <md5sum>}' None root root '755' None jinja None None base
func fileCheckManaged(ctx context.Context, c *module.Call, a fileCheckManagedArgs) ([]any, error) {
	changes, comment, err := lookManaged(ctx, c, a.managedArgs, a.selinuxWanted, false, a.FollowSymlinks, a.Kwargs)
	if err != nil {
		return nil, err
	}
	if comment != "" {
		return []any{false, comment}, nil
	}
	if strings.HasPrefix(a.Name, os.TempDir()) { // as in Salt
		for _, k := range []string{"user", "group", "mode"} {
			changes.Delete(k)
		}
	}
	if changes.Len() == 0 {
		return []any{true, "The file " + a.Name + " is in the correct state"}, nil
	}
	text := "The following values are set to be changed:\n"
	for k, v := range changes.Strings() {
		text += k + ": " + pytext.Str(v) + "\n"
	}
	return []any{nil, text}, nil
}

type fileCheckManagedChangesArgs struct {
	managedArgs
	KeepMode bool `default:"False"` // The permissions of the source.
	selinuxWanted
	VerifySSL      bool      `default:"True"`  // Check the certificate of an https:// address.
	FollowSymlinks bool      `default:"False"` // The file that a symbolic link points to is meant.
	Kwargs         *wire.Map `arg:"**"`        // Further variables of the template.
}

// fileCheckManagedChanges returns what would change for a file to be as it is to be.
//
//	gosalt '*' file.check_managed_changes /etc/httpd/conf.d/httpd.conf salt://http/httpd.conf '{hash_type: md5, hsum: <md5sum>}' None root root '755' None jinja None None base
func fileCheckManagedChanges(ctx context.Context, c *module.Call, a fileCheckManagedChangesArgs) (any, error) {
	changes, comment, err := lookManaged(ctx, c, a.managedArgs, a.selinuxWanted, a.KeepMode, a.FollowSymlinks, a.Kwargs)
	if err != nil {
		return nil, err
	}
	if comment != "" {
		return []any{false, comment}, nil
	}
	return changes, nil
}

type fileCheckFileMetaArgs struct {
	Name      string    // The file.
	Sfn       string    // A file of this machine with the contents; '' fetches source.
	Source    any       // Where the contents are: an address.
	SourceSum *wire.Map // Their checksum: hash_type and hsum.
	User      any       // Whom the file is to belong to.
	Group     any       // Which group.
	Mode      any       // Its permissions.
	Attrs     *string   // Its attributes, letters of chattr.
	Saltenv   string    // Environment of salt:// addresses.
	Contents  any       `default:"None"` // The contents, in place of a source.
	selinuxWanted
	VerifySSL      bool `default:"True"`  // Check the certificate of an https:// address.
	FollowSymlinks bool `default:"False"` // The file that a symbolic link points to is meant.
}

// fileCheckFileMeta returns what would change for a file to have contents, owner and
// permissions.
//
//	gosalt '*' file.check_file_meta /etc/httpd/conf.d/httpd.conf None salt://http/httpd.conf '{hash_type: md5, hsum: <md5sum>}' root root '755' None base
func fileCheckFileMeta(ctx context.Context, c *module.Call, a fileCheckFileMetaArgs) (*wire.Map, error) {
	return checkFileMeta(ctx, c, a)
}

func checkFileMeta(ctx context.Context, c *module.Call, a fileCheckFileMetaArgs) (*wire.Map, error) {
	changes := wire.NewMap()
	st, err := statsOf(c, expandUser(c, a.Name), a.SourceSum.Text("hash_type"), a.FollowSymlinks)
	if err != nil {
		changes.Set("newfile", a.Name)
		return changes, nil // what is not there is new
	}
	source := textOr(a.Source, "")
	if a.SourceSum.Has("hsum") && a.SourceSum.Text("hsum") != st.Text("sum") {
		if a.Sfn == "" && source != "" {
			if a.Sfn, err = cacheFile(ctx, c, source, a.Saltenv, a.SourceSum.Text("hsum")); err != nil {
				return nil, err
			}
		}
		if a.Sfn == "" {
			changes.Set("sum", "Checksum differs")
		} else {
			diff, err := diffFiles(c, a.Name, a.Sfn, false, true, true)
			if err != nil {
				diff = err.Error()
			}
			changes.Set("diff", diff)
		}
	}
	if a.Contents != nil {
		m := &manager{c: c, a: fileManageFileArgs{Contents: a.Contents}}
		tmp, err := m.temporary()
		if err != nil {
			return nil, err
		}
		defer dropTemporary(tmp)
		diff, err := diffFiles(c, a.Name, tmp, false, true, true)
		if err != nil {
			diff = err.Error()
		}
		if diff != "" {
			changes.Set("diff", diff)
		}
	}
	if a.User != nil && !pytext.Equal(a.User, mapValue(st, "user")) && !pytext.Equal(a.User, mapValue(st, "uid")) {
		changes.Set("user", a.User)
	}
	if a.Group != nil && !pytext.Equal(a.Group, mapValue(st, "group")) && !pytext.Equal(a.Group, mapValue(st, "gid")) {
		changes.Set("group", a.Group)
	}
	if mode := normalMode(a.Mode); mode != nil && mode != normalMode(mapValue(st, "mode")) {
		changes.Set("mode", mode)
	}
	if a.Attrs != nil && *a.Attrs != "" {
		if added, removed, _, known := attrDiff(ctx, c, a.Name, *a.Attrs); known && added+removed != "" {
			changes.Set("attrs", *a.Attrs)
		}
	}
	if a.Seuser+a.Serole+a.Setype+a.Serange != "" {
		text, err := fileGetSelinuxContext(ctx, c, filePathArgs{a.Name})
		if err != nil {
			return nil, err
		}
		cur := strings.SplitN(text, ":", 4)
		if len(cur) != 4 {
			return nil, module.Failf("%s has no SELinux context that could be compared: %s", a.Name, text)
		}
		for i, w := range [][2]string{{"user", a.Seuser}, {"role", a.Serole}, {"type", a.Setype}, {"range", a.Serange}} {
			if w[1] != "" && w[1] != cur[i] {
				changes.Set("selinux", wire.NewMap(w[0], w[1]))
			}
		}
	}
	return changes, nil
}
