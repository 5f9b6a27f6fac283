package modules

import (
	"archive/tar"
	zipfile "archive/zip"
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("archive.list", archiveList)
	register("archive.unzip", archiveUnzip)
	register("archive.untar", archiveUntar)
	register("archive.is_encrypted", archiveIsEncrypted)
}

// errNotTar says that a file is no tar archive of a compression that we read.
var errNotTar = errors.New("not a tar archive")

// openTar reads a tar file, decompressed where it is with gzip, bzip2 or xz, whatever its
// name. close has to be called.
func openTar(ctx context.Context, name string) (r *tar.Reader, closeAll func() error, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	closeAll = f.Close
	defer func() {
		if err != nil {
			_ = closeAll()
		}
	}()
	b := bufio.NewReaderSize(f, 64<<10)
	head, _ := b.Peek(6)
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, closeAll, fmt.Errorf("%w: %w", errNotTar, err)
		}
		return tar.NewReader(z), closeAll, nil
	case bytes.HasPrefix(head, []byte("BZh")):
		return tar.NewReader(bzip2.NewReader(b)), closeAll, nil
	case bytes.HasPrefix(head, []byte{0xfd, '7', 'z', 'X', 'Z', 0}), bytes.HasPrefix(head, []byte{0x5d, 0, 0}):
		if whichProgram("xz") == "" {
			return nil, closeAll, module.Failf("Failed to read from tar archive. If it is XZ-compressed, install xz-utils to attempt extraction.")
		}
		cmd := exec.CommandContext(ctx, whichProgram("xz"), "--decompress", "--stdout")
		cmd.Stdin = b
		out, err := cmd.StdoutPipe()
		if err != nil {
			return nil, closeAll, err
		}
		if err := cmd.Start(); err != nil {
			return nil, closeAll, err
		}
		return tar.NewReader(out), func() error {
			_, _ = io.Copy(io.Discard, out)
			_ = cmd.Wait()
			return f.Close()
		}, nil
	}
	return tar.NewReader(b), closeAll, nil
}

// archiveContents are the paths in an archive, as Salt sorts them.
type archiveContents struct {
	dirs, files, links []string
	special            []string // of the files, those that are none: devices and FIFOs
}

func listTar(ctx context.Context, name string) (*archiveContents, error) {
	r, done, err := openTar(ctx, name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = done() }()
	c := &archiveContents{}
	for first := true; ; first = false {
		h, err := r.Next()
		if err == io.EOF {
			if first {
				if st, serr := os.Stat(name); serr == nil && st.Size() == 0 {
					return nil, errNotTar
				}
			}
			return c, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errNotTar, err)
		}
		switch member := strings.TrimRight(h.Name, "/"); h.Typeflag {
		case tar.TypeXGlobalHeader:
		case tar.TypeSymlink:
			c.links = append(c.links, member)
		case tar.TypeDir:
			c.dirs = append(c.dirs, member+"/")
		case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
			c.files, c.special = append(c.files, member), append(c.special, member)
		default:
			c.files = append(c.files, member)
		}
	}
}

func listZip(name string) (*archiveContents, error) {
	z, err := zipfile.OpenReader(name)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	c := &archiveContents{}
	dirs := map[string]bool{}
	for _, f := range z.File {
		switch mode := f.ExternalAttrs >> 16 & 0o170000; {
		case mode == 0o120000:
			c.links = append(c.links, f.Name)
		case mode == 0o040000:
			dirs[f.Name] = true
		default:
			c.files = append(c.files, f.Name)
		}
	}
	for _, f := range slices.Clone(c.files) { // archives made on Windows have no entries for directories
		if i := strings.LastIndexByte(f, '/'); i >= 0 {
			dirs[f[:i+1]] = true
		}
	}
	c.files = slices.DeleteFunc(c.files, func(f string) bool { return dirs[f] })
	c.dirs = slices.Collect(maps.Keys(dirs))
	return c, nil
}

// archiveKind guesses the kind of an archive from its name.
func archiveKind(name string) string {
	name = strings.ToLower(name)
	for _, end := range []string{"tar", "tar.gz", "tgz", "tar.bz2", "tbz2", "tbz", "tar.xz", "txz", "tar.lzma", "tlz"} {
		if strings.HasSuffix(name, "."+end) {
			return "tar"
		}
	}
	if strings.HasSuffix(name, ".zip") {
		return "zip"
	}
	return ""
}

type archiveListArgs struct {
	Name            string // The archive: a path or an address.
	ArchiveFormat   string `default:"None"`  // tar or zip, where the name does not tell.
	Options         string `default:"None"`  // Options of tar for the compression, as --zstd.
	StripComponents int64  `default:"None"`  // Directories to leave away from the beginning of each path.
	Clean           bool   `default:"False"` // Remove the copy in the cache afterwards.
	Verbose         bool   `default:"False"` // Directories, files and links apart.
	Saltenv         string `default:"base"`  // Environment of the file server.
	SourceHash      string `default:"None"`  // Hash of the archive.
	UseEtag         bool   `default:"False"` // Ask http servers whether it has changed by its ETag.
}

// archiveList returns the paths in an archive.
//
//	gosalt '*' archive.list /path/to/archive.tar.gz
//	gosalt '*' archive.list salt://archive.zip verbose=True
func archiveList(ctx context.Context, c *module.Call, a archiveListArgs) (any, error) {
	v, err := c.Call(ctx, "cp.cache_file", []any{a.Name, a.Saltenv}, wire.NewMap("source_hash", noneText(a.SourceHash), "use_etag", a.UseEtag))
	if err != nil {
		return nil, err
	}
	cached, _ := v.(string)
	if cached == "" {
		return nil, module.Failf("Failed to cache %s", a.Name)
	}
	fail := func(format string, args ...any) error {
		return module.FailInfo(fmt.Sprintf(format, args...), wire.NewMap("archive location", cached))
	}
	kind := a.ArchiveFormat
	if kind == "" {
		if kind = archiveKind(a.Name); kind == "" {
			return nil, fail("Unable to guess archive format, please pass an 'archive_format' argument.")
		}
	}
	var all *archiveContents
	switch kind {
	case "zip":
		if all, err = listZip(cached); err != nil {
			return nil, fail("%s is not a ZIP file", a.Name)
		}
	case "tar":
		if all, err = listTar(ctx, cached); err != nil && a.Options != "" {
			all, err = listWithTar(ctx, c, cached, a.Options)
		}
		if err != nil {
			return nil, fail("Unable to list contents of %s. If this is an XZ-compressed tar archive, install XZ Utils to enable listing its contents. "+
				"If it is compressed using something other than XZ, it may be necessary to specify CLI options to decompress the archive. See the "+
				"documentation for details.", a.Name)
		}
	default:
		return nil, fail("Unsupported archive format '%s'", kind)
	}
	if a.Clean && strings.HasPrefix(cached, c.CacheDir) && c.CacheDir != "" {
		_ = os.Remove(cached)
	}
	if a.StripComponents < 0 {
		return nil, fail("'strip_components' must be a positive integer")
	}
	for _, l := range []*[]string{&all.dirs, &all.files, &all.links, &all.special} {
		if a.StripComponents > 0 {
			*l = stripped(*l, int(a.StripComponents))
		}
		slices.Sort(*l)
	}
	if !a.Verbose {
		paths := slices.Concat(all.dirs, all.files, all.links)
		slices.Sort(paths)
		return paths, nil
	}
	out := wire.NewMap("dirs", texts(all.dirs), "files", texts(all.files), "links", texts(all.links),
		"top_level_dirs", texts(topDirs(all.dirs)), "top_level_files", texts(top(all.files)), "top_level_links", texts(top(all.links)))
	if len(all.special) > 0 { // beside what Salt says: archive.extracted leaves them out
		out.Set("special", texts(all.special))
	}
	return out, nil
}

func noneText(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// stripped leaves directories away from the beginning of paths, and paths that have no more.
func stripped(paths []string, n int) []string {
	var out []string
	for _, p := range paths {
		if parts := strings.SplitN(p, "/", n+1); len(parts) > n && parts[n] != "" {
			out = append(out, parts[n])
		}
	}
	return out
}

func top(paths []string) []string {
	return slices.DeleteFunc(slices.Clone(paths), func(p string) bool { return strings.Contains(p, "/") })
}

// topDirs are the directories at the top; one that is no member itself counts where all
// directories are in it.
func topDirs(dirs []string) []string {
	out := slices.DeleteFunc(slices.Clone(dirs), func(p string) bool { return strings.Count(p, "/") != 1 })
	if len(dirs) == 0 {
		return out
	}
	prefix := dirs[0]
	for _, d := range dirs {
		for !strings.HasPrefix(d, prefix) {
			prefix = prefix[:len(prefix)-1]
		}
	}
	if first, _, ok := strings.Cut(prefix, "/"); ok && !slices.Contains(out, first+"/") {
		out = append(out, first+"/")
	}
	return out
}

// listWithTar has the program tar list an archive of a compression that only it knows.
func listWithTar(ctx context.Context, c *module.Call, name, options string) (*archiveContents, error) {
	words, err := host.Words(options)
	if err != nil {
		return nil, err
	}
	out, err := runTool(ctx, c, program{args: append(append([]string{"tar", "--list", "--verbose"}, words...), "-f", name)})
	if err != nil {
		return nil, err
	}
	if !out.ok() {
		return nil, errNotTar
	}
	all := &archiveContents{}
	for _, line := range strings.Split(out.out, "\n") {
		f := strings.SplitN(strings.Join(strings.Fields(line), " "), " ", 6)
		if len(f) < 6 {
			continue
		}
		switch member := f[5]; line[0] {
		case 'l':
			member, _, _ = strings.Cut(member, " -> ")
			all.links = append(all.links, member)
		case 'd':
			all.dirs = append(all.dirs, strings.TrimRight(member, "/")+"/")
		default:
			member, _, _ = strings.Cut(member, " link to ")
			all.files = append(all.files, member)
		}
	}
	return all, nil
}

// inside is a member's path below the directory that is extracted to. What leads out of it
// is refused; what is absolute is taken as if it were not.
func inside(name string) (string, error) {
	clean := path.Clean(strings.TrimLeft(name, "/"))
	if clean == ".." || strings.HasPrefix(clean, "../") || strings.ContainsRune(clean, 0) {
		return "", module.Failf("the archive has a path that leads out of the directory: %s", name)
	}
	return filepath.FromSlash(clean), nil
}

// extractor writes the members of an archive below a directory, and nowhere else: links
// that lead out of it are made, and not followed. A file is there when it is complete,
// since the next run looks whether it is there, not whether it is whole.
type extractor struct {
	c    *module.Call
	root *os.Root
	dirs []func() error // sets the attributes of directories, when all is in them
	made []string       // what was not there before
}

func newExtractor(c *module.Call, dest string) (*extractor, error) {
	root, err := os.OpenRoot(c.Host.Path(dest))
	if err != nil {
		return nil, module.Failf("extract to %s: %w", dest, err)
	}
	return &extractor{c: c, root: root}, nil
}

// undo removes what was made of an archive that cannot be extracted whole.
func (x *extractor) undo() {
	for _, name := range slices.Backward(x.made) {
		_ = x.root.Remove(name) // a directory in which something else is, stays
	}
	x.dirs = nil
}

// outside words the error of a member that leads out of the directory by a link.
func outside(name string, err error) error {
	if err != nil && strings.HasSuffix(err.Error(), "path escapes from parent") {
		return fmt.Errorf("the archive has a path that leads out of the directory, by a symbolic link: %s", name)
	}
	return err
}

func (x *extractor) close() error {
	var first error
	for i := len(x.dirs) - 1; i >= 0; i-- {
		if err := x.dirs[i](); err != nil && first == nil {
			first = err
		}
	}
	return errors.Join(first, x.root.Close())
}

// make room for a member: its directory is there, and nothing but a directory is in its place.
func (x *extractor) room(name string, dir bool) error {
	if parent := filepath.Dir(name); parent != "." {
		if err := x.parents(parent); err != nil {
			return err
		}
	}
	st, err := x.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		x.made = append(x.made, name)
		return nil
	case err != nil:
		return err
	case st.IsDir() && dir:
		return nil
	case st.IsDir():
		return fmt.Errorf("%s is a directory, and a file in the archive", name)
	case st.Mode()&fs.ModeSymlink != 0 && dir:
		if to, err := x.root.Stat(name); err == nil && to.IsDir() {
			return nil
		}
	}
	return x.root.Remove(name)
}

// parents makes the directories above a member that are missing.
func (x *extractor) parents(name string) error {
	switch st, err := x.root.Stat(name); {
	case err == nil && st.IsDir():
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if up := filepath.Dir(name); up != "." {
		if err := x.parents(up); err != nil {
			return err
		}
	}
	err := x.root.Mkdir(name, 0o777)
	if err == nil {
		x.made = append(x.made, name)
	}
	return err
}

// unfinished is the name of a member while it is written. The next run has the same one,
// and so takes away what one that was killed has left. It is short, as that of the member
// may be as long as names can be.
func unfinished(name string) string {
	h := fnv.New64a()
	h.Write([]byte(filepath.Base(name)))
	return filepath.Join(filepath.Dir(name), fmt.Sprintf(".gosalt-%016x", h.Sum64()))
}

// file writes one: under another name first, until it is complete and attributes, which
// may be nil, has given it its owner and times.
func (x *extractor) file(name string, mode fs.FileMode, r io.Reader, attributes func(name string) error) error {
	if err := x.room(name, false); err != nil {
		return err
	}
	tmp := unfinished(name)
	if err := x.root.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := x.root.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		err = &fs.PathError{Op: e.Op, Path: filepath.Join(filepath.Dir(f.Name()), filepath.Base(name)), Err: e.Err}
	}
	if cerr := f.Chmod(mode); err == nil {
		err = cerr
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil && attributes != nil {
		err = attributes(tmp)
	}
	if err == nil {
		err = x.root.Rename(tmp, name)
	}
	if err != nil {
		_ = x.root.Remove(tmp)
	}
	return err
}

// tarMember extracts one member of a tar file.
func (x *extractor) tarMember(h *tar.Header, r io.Reader) error {
	name, err := inside(h.Name)
	if err != nil {
		return err
	}
	mode := h.FileInfo().Mode()
	perm := mode.Perm() | mode&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky)
	attributesOf := func(name string) error {
		if os.Geteuid() == 0 {
			uid, gid := h.Uid, h.Gid
			if u, err := x.c.Host.User(h.Uname); err == nil && h.Uname != "" {
				uid = u.UID
			}
			if g, err := x.c.Host.Group(h.Gname); err == nil && h.Gname != "" {
				gid = g.GID
			}
			if err := x.root.Lchown(name, uid, gid); err != nil {
				return err
			}
		}
		if h.Typeflag == tar.TypeSymlink {
			return nil
		}
		if err := x.root.Chmod(name, perm); err != nil {
			return err
		}
		return x.root.Chtimes(name, h.ModTime, h.ModTime)
	}
	attributes := func() error { return attributesOf(name) }
	switch h.Typeflag {
	case tar.TypeXGlobalHeader:
		return nil
	case tar.TypeDir:
		if err := x.room(name, true); err != nil {
			return err
		}
		if err := x.root.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		x.dirs = append(x.dirs, attributes)
		return nil
	case tar.TypeSymlink:
		if err := x.room(name, false); err != nil {
			return err
		}
		if err := x.root.Symlink(h.Linkname, name); err != nil {
			return err
		}
	case tar.TypeLink:
		to, err := inside(h.Linkname)
		if err != nil {
			return err
		}
		if _, err := x.root.Lstat(to); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is a hard link to %s, which is not in the directory", name, to)
		}
		if err := x.room(name, false); err != nil {
			return err
		}
		return x.root.Link(to, name)
	case tar.TypeReg, tar.TypeGNUSparse:
		return x.file(name, perm, r, attributesOf)
	default: // devices and FIFOs have no place in what a state extracts
		x.c.Log.Warn("left out of an archive: it is no file, directory or link", "path", h.Name)
		return nil
	}
	return attributes()
}

type archiveUntarArgs struct {
	Tarfile string // The archive: a path.
	Dest    string // Directory to extract to.
}

// archiveUntar extracts a tar file, compressed with gzip, bzip2, xz or not, and returns the
// paths in it. Nothing is written outside of the directory, whatever the archive says.
//
//	gosalt '*' archive.untar /tmp/a.tar.gz /opt
func archiveUntar(ctx context.Context, c *module.Call, a archiveUntarArgs) (names []string, err error) {
	r, done, err := openTar(ctx, c.Host.Path(a.Tarfile))
	if err != nil {
		return nil, module.Failf("read %s: %w", a.Tarfile, err)
	}
	defer func() { _ = done() }()
	x, err := newExtractor(c, a.Dest)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			x.undo()
		}
		if cerr := x.close(); err == nil && cerr != nil {
			err = module.Failf("extract %s: %w", a.Tarfile, cerr)
		}
	}()
	for {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		h, err := r.Next()
		if err == io.EOF {
			return names, nil
		}
		if err == nil {
			err = outside(h.Name, x.tarMember(h, r))
		}
		if err != nil {
			return nil, module.Failf("extract %s: %w", a.Tarfile, err)
		}
		names = append(names, strings.TrimRight(h.Name, "/"))
	}
}

type archiveUnzipArgs struct {
	ZipFile      string    // The archive: a path.
	Dest         string    // Directory to extract to.
	Excludes     any       `default:"None"`  // Paths to leave out: a list, or with commas.
	Options      string    `default:"None"`  // Not looked at.
	Template     string    `default:"None"`  // Not looked at.
	Runas        string    `default:"None"`  // Not looked at.
	TrimOutput   any       `default:"False"` // Return no more paths than this, 100 for True.
	Password     any       `default:"None"`  // Password; archives with one cannot be read here.
	ExtractPerms bool      `default:"True"`  // Give the files their permissions.
	Kwargs       *wire.Map `arg:"**"`        // Not looked at.
}

// archiveUnzip extracts a zip file, and returns the paths in it. Nothing is written outside
// of the directory, whatever the archive says.
//
//	gosalt '*' archive.unzip /tmp/zipfile.zip /opt
func archiveUnzip(ctx context.Context, c *module.Call, a archiveUnzipArgs) (names []string, err error) {
	z, err := zipfile.OpenReader(c.Host.Path(a.ZipFile))
	if err != nil {
		return nil, module.Failf("Exception encountered unpacking zipfile: %w", err)
	}
	defer z.Close()
	x, err := newExtractor(c, a.Dest)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			x.undo()
		}
		if cerr := x.close(); err == nil && cerr != nil {
			err = module.Failf("Exception encountered unpacking zipfile: %w", cerr)
		}
	}()
	excludes := commaList(a.Excludes)
	umask := fs.FileMode(c.Host.Umask())
	for _, f := range z.File {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		if slices.Contains(excludes, f.Name) {
			continue
		}
		if f.Flags&1 != 0 {
			return nil, module.Failf("Exception encountered unpacking zipfile: File '%s' is encrypted: use the program unzip, with use_cmd_unzip", f.Name)
		}
		if err := outside(f.Name, x.zipMember(f, a.ExtractPerms, umask)); err != nil {
			return nil, module.Failf("Exception encountered unpacking zipfile: %w", err)
		}
		names = append(names, f.Name)
	}
	return trimmed(names, a.TrimOutput), nil
}

// zipMember extracts one member of a zip file.
func (x *extractor) zipMember(f *zipfile.File, perms bool, umask fs.FileMode) error {
	name, err := inside(f.Name)
	if err != nil {
		return err
	}
	mode := f.ExternalAttrs >> 16
	perm := fs.FileMode(mode & 0o777)
	if mode == 0 || !perms {
		perm = 0o666 &^ umask
		if strings.HasSuffix(f.Name, "/") {
			perm = 0o777 &^ umask
		}
	}
	if strings.HasSuffix(f.Name, "/") {
		if err := x.room(name, true); err != nil {
			return err
		}
		if err := x.root.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		x.dirs = append(x.dirs, func() error { return x.root.Chmod(name, perm) })
		return nil
	}
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	if mode&0o170000 == 0o120000 {
		to, err := io.ReadAll(io.LimitReader(r, 4096))
		if err != nil {
			return err
		}
		if err := x.room(name, false); err != nil {
			return err
		}
		return x.root.Symlink(string(to), name)
	}
	return x.file(name, perm, r, nil)
}

func trimmed(names []string, trim any) []string {
	n := len(names)
	switch v := trim.(type) {
	case bool:
		if v {
			n = 100
		}
	case int64:
		if v > 0 {
			n = int(v)
		}
	case string:
		if f, err := parseNumber(v); err == nil && f > 0 {
			n = int(f)
		}
	}
	if n >= len(names) {
		return names
	}
	return append(names[:n:n], fmt.Sprintf("List trimmed after %d files.", n))
}

type archiveEncryptedArgs struct {
	Name       string // The archive: a path or an address.
	Clean      bool   `default:"False"` // Not looked at.
	Saltenv    string `default:"base"`  // Environment of the file server.
	SourceHash any    `default:"None"`  // Hash of the archive: a copy in the cache that has it is not fetched anew.
	UseEtag    bool   `default:"False"` // Ask http servers whether it has changed by its ETag.
}

// archiveIsEncrypted tells whether a zip file needs a password.
//
//	gosalt '*' archive.is_encrypted /path/to/myfile.zip
func archiveIsEncrypted(ctx context.Context, c *module.Call, a archiveEncryptedArgs) (bool, error) {
	v, err := c.Call(ctx, "cp.cache_file", []any{a.Name, a.Saltenv}, wire.NewMap("source_hash", a.SourceHash, "use_etag", a.UseEtag))
	if err != nil {
		return false, err
	}
	name := pytext.Str(v)
	if !module.Truth(v) {
		return false, module.Failf("Failed to cache %s", a.Name)
	}
	z, err := zipfile.OpenReader(name)
	if err != nil {
		return false, module.FailInfo(a.Name+" is not a ZIP file", wire.NewMap("archive location", name))
	}
	defer z.Close()
	return slices.ContainsFunc(z.File, func(f *zipfile.File) bool { return f.Flags&1 != 0 }), nil
}
