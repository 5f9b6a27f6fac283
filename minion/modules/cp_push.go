package modules

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/gosalt/gosalt/internal/fileclient"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("cp.push", cpPush)
	register("cp.push_dir", cpPushDir)
	register("cp.recv", cpRecv)
	register("cp.recv_chunked", cpRecvChunked)
}

type cpPushArgs struct {
	Path string // File of this machine, by its full path.
	// Push it under the name it has here, rather than that of what a link points to.
	KeepSymlinks bool    `default:"False"`
	UploadPath   *string `default:"None"`  // Another path for it on the master.
	RemoveSource bool    `default:"False"` // Remove the file here when it is there.
}

// cpPush sends a file of this machine to the master, which keeps it in its cachedir
// under minions/<id>/files. The master must allow it with file_recv: True.
//
//	gosalt '*' cp.push /etc/fstab
//	gosalt '*' cp.push /etc/fstab upload_path=/new/path/fstab
//	gosalt '*' cp.push /tmp/filename remove_source=True
func cpPush(ctx context.Context, c *module.Call, a cpPushArgs) (any, error) {
	if strings.Contains(a.Path, "../") || !filepath.IsAbs(a.Path) {
		return false, nil
	}
	name, shown := c.Host.Path(a.Path), a.Path
	if !a.KeepSymlinks {
		if real, err := filepath.EvalSymlinks(name); err == nil {
			name, shown = real, hostPath(c, real)
		}
	}
	if st, err := os.Stat(name); err != nil || !st.Mode().IsRegular() {
		return false, nil
	}
	if a.UploadPath != nil && *a.UploadPath != "" {
		if strings.Contains(*a.UploadPath, "../") {
			return false, nil
		}
		shown = *a.UploadPath
	}
	fc, err := fileServer(c)
	if err != nil {
		return nil, err
	}
	p, ok := fc.(fileclient.Pusher)
	if !ok {
		return nil, module.Failf("there is no master to push to: file_client is local")
	}
	parts := strings.FieldsFunc(path.Clean(filepath.ToSlash(shown)), func(r rune) bool { return r == '/' })
	ok, err = p.Push(ctx, name, parts)
	var refused *wire.Error
	if errors.As(err, &refused) {
		c.Log.Error("the master does not take the file", "path", a.Path, "error", err)
		return false, nil
	}
	if err != nil {
		return nil, module.Failf("push %s: %w", a.Path, err)
	}
	if !ok {
		c.Log.Error("the master does not take the file: it needs file_recv: True, and a file_recv_max_size that is large enough", "path", a.Path)
		return false, nil
	}
	if a.RemoveSource {
		if err := os.Remove(name); err != nil {
			c.Log.Error("the file was pushed, and cannot be removed", "path", a.Path, "error", err)
			return false, nil
		}
	}
	return true, nil
}

type cpPushDirArgs struct {
	Path       string  // Directory of this machine, by its full path.
	Glob       *string `default:"None"` // Only files whose name matches.
	UploadPath *string `default:"None"` // Another path for it on the master.
}

// cpPushDir sends the files of a directory of this machine to the master, as
// cp.push does.
//
//	gosalt '*' cp.push_dir /usr/lib/mysql
//	gosalt '*' cp.push_dir /etc/modprobe.d/ glob='*.conf'
func cpPushDir(ctx context.Context, c *module.Call, a cpPushDirArgs) (any, error) {
	if strings.Contains(a.Path, "../") || !filepath.IsAbs(a.Path) {
		return false, nil
	}
	root := c.Host.Path(a.Path)
	if real, err := filepath.EvalSymlinks(root); err == nil {
		root = real
	}
	if st, err := os.Stat(root); err == nil && st.Mode().IsRegular() {
		return cpPush(ctx, c, cpPushArgs{Path: hostPath(c, root), UploadPath: a.UploadPath})
	}
	var files []string
	filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && (a.Glob == nil || target.Fnmatch(*a.Glob, d.Name())) {
			files = append(files, name)
		}
		return nil
	})
	if len(files) == 0 {
		return false, nil
	}
	for _, name := range files {
		upload := a.UploadPath
		if upload != nil && *upload != "" {
			rel := strings.Trim(strings.TrimPrefix(name, root), "/")
			s := "/" + strings.Trim(*upload, "/") + "/" + rel
			upload = &s
		}
		if v, err := cpPush(ctx, c, cpPushArgs{Path: hostPath(c, name), UploadPath: upload}); err != nil || v != true {
			return v, err
		}
	}
	return true, nil
}

type cpRecvArgs struct {
	Files *wire.Map // Contents by name.
	Dest  string    // Where to put them: a file, or a directory.
}

// cpRecv writes small files that come with the call; it is for gosalt-cp. The result
// says for each whether it was written.
//
//	gosalt '*' cp.recv '{/tmp/a: text}' /tmp/b
func cpRecv(_ context.Context, c *module.Call, a cpRecvArgs) (any, error) {
	ret := wire.NewMap()
	isDir := func(p string) bool {
		st, err := os.Stat(c.Host.Path(p))
		return err == nil && st.IsDir()
	}
	for k, v := range a.Files.All() {
		base := path.Base(pytext.Str(k))
		var final string
		switch {
		case base == path.Base(a.Dest) && !strings.HasSuffix(a.Dest, "/") && !isDir(a.Dest):
			final = a.Dest
		case isDir(a.Dest):
			final = path.Join(a.Dest, base)
			if strings.HasSuffix(a.Dest, "/") {
				final = a.Dest + base
			}
		case strings.Contains(a.Dest, "/") && isDir(path.Dir(a.Dest)): // a bare name has no directory, as Salt sees it
			final = a.Dest
		default:
			return "Destination unavailable", nil
		}
		ret.Set(final, writeWhole(c.Host.Path(final), asBytes(v)) == nil)
	}
	return ret, nil
}

func asBytes(v any) []byte {
	switch v := v.(type) {
	case []byte:
		return v
	case string:
		return []byte(v)
	}
	return []byte(pytext.Str(v))
}

// writeWhole writes a file so that no one sees a half of it.
func writeWhole(name string, b []byte) error {
	w, err := fileclient.Create(name, false)
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := w.Write(b); err != nil {
		return err
	}
	return w.Commit()
}

type cpRecvChunkedArgs struct {
	Dest       string // Where to put it.
	Chunk      any    // Piece of the file in base64; None makes a directory.
	Append     bool   `default:"False"` // Put it behind what is there.
	Compressed bool   `default:"True"`  // The piece is compressed with gzip.
	Mode       any    `default:"None"`  // Permissions of the file.
}

// maxRecvChunk is what one piece may hold when it is unpacked.
const maxRecvChunk = 256 << 20

// cpRecvChunked writes a piece of a file, or makes a directory; it is for gosalt-cp.
// The result is True, or says what is wrong.
//
//	gosalt '*' cp.recv_chunked /tmp/dir None
func cpRecvChunked(_ context.Context, c *module.Call, a cpRecvChunkedArgs) (any, error) {
	fail := func(err error) (any, error) {
		c.SetRetcode(1)
		return osReason(err, a.Dest), nil
	}
	dest := c.Host.Path(a.Dest)
	if a.Chunk == nil {
		if st, err := os.Stat(dest); err == nil && st.Mode().IsRegular() {
			return "Path exists and is a file", nil
		}
		if err := os.MkdirAll(dest, 0o755); err != nil {
			return fail(err)
		}
		return true, nil
	}
	data, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(asBytes(a.Chunk))), ""))
	if err != nil {
		return nil, module.Failf("chunk: base64 expected: %w", err)
	}
	if a.Compressed {
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, module.Failf("chunk: gzip expected: %w", err)
		}
		if data, err = io.ReadAll(io.LimitReader(z, maxRecvChunk+1)); err != nil {
			return nil, module.Failf("chunk: %w", err)
		}
		if len(data) > maxRecvChunk {
			return nil, module.Failf("chunk: more than %d bytes when unpacked", maxRecvChunk)
		}
	}
	flags := os.O_WRONLY | os.O_CREATE
	if a.Append {
		flags |= os.O_APPEND
	} else {
		flags |= os.O_TRUNC
	}
	f, err := os.OpenFile(dest, flags, 0o666)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(dest), 0o755); err != nil {
			return fail(err)
		}
		f, err = os.OpenFile(dest, flags, 0o666)
	}
	if err != nil {
		return fail(err)
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return fail(err)
	}
	if mode, ok := a.Mode.(int64); ok && !a.Append {
		if err := f.Chmod(fs.FileMode(mode&0o777) | special(mode)); err != nil {
			return fail(err)
		}
	}
	if err := f.Close(); err != nil {
		return fail(err)
	}
	return true, nil
}

// special are the bits of a mode that Go keeps elsewhere.
func special(mode int64) fs.FileMode {
	var m fs.FileMode
	for _, b := range []struct {
		bit int64
		is  fs.FileMode
	}{{0o4000, fs.ModeSetuid}, {0o2000, fs.ModeSetgid}, {0o1000, fs.ModeSticky}} {
		if mode&b.bit != 0 {
			m |= b.is
		}
	}
	return m
}
