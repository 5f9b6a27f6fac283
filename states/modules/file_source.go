package modules

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/gosalt/gosalt/internal/fileclient"
	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

// sourceFile is a file that contents are taken from. The zero value is none.
type sourceFile struct {
	url            string // as the state names it
	path           string // of the copy on this machine; "" until it is brought
	text           []byte // in its place, of a template that was rendered
	hash, hashType string // of what is wanted; "" where nothing tells
	verify         bool   // the copy has to have that hash
}

// redacted is an address without the password that may stand in it.
func redacted(address string) string {
	u, err := fileclient.ParseAddress(address)
	if err != nil || u.User == nil || !strings.HasPrefix(u.Scheme, "http") {
		return address
	}
	u.User = nil
	return strings.Replace(u.String(), "://", "://<redacted>@", 1)
}

// scheme is how a source is reached: salt, http, https, ftp, s3, swift, file, or "" for
// a path.
func scheme(source string) string {
	s, _, ok := strings.Cut(source, "://")
	if !ok {
		return ""
	}
	switch s {
	case "salt", "http", "https", "ftp", "s3", "swift", "file":
		return s
	}
	return ""
}

// local is the path of a source on this machine.
func local(source string) (path string, ok bool) {
	switch scheme(source) {
	case "file":
		return strings.TrimPrefix(source, "file://"), true
	case "":
		return source, true
	}
	return "", false
}

// mode is the mode of a source, where it is known.
func (s *sourceFile) mode(ctx context.Context, c *states.Call) (fs.FileMode, bool) {
	if path, ok := local(s.url); ok {
		st, err := os.Stat(path)
		if err != nil {
			return 0, false
		}
		return st.Mode() & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky), true
	}
	if scheme(s.url) != "salt" {
		return 0, false
	}
	v, err := c.Call.Call(ctx, "cp.stat_file", args(s.url), wire.NewMap("saltenv", c.Env, "octal", true))
	text, ok := v.(string)
	if err != nil || !ok {
		c.Log.Warn("mode of the source is not known", "source", s.url, "error", err)
		return 0, false
	}
	mode, err := host.ParseMode(text)
	return mode, err == nil
}

// pick finds the source that is there, of one or a list, and its hash.
func (m *managed) pick(ctx context.Context) (source, hash string, err error) {
	if s, ok := m.a.Source.(string); ok {
		return s, hashText(m.a.SourceHash), nil
	}
	v, err := m.c.Call.Call(ctx, "file.source_list", args(m.a.Source, m.a.SourceHash, m.c.Env), nil)
	if err != nil {
		return "", "", &unmanaged{module.Failf("Unable to manage file: %w", err)} // under test=True, too
	}
	pair, ok := v.([]any)
	if !ok || len(pair) != 2 {
		return "", "", fmt.Errorf("source: a text or a list is expected, not %s", pytext.Repr(m.a.Source))
	}
	return pytext.Str(pair[0]), hashText(pair[1]), nil
}

func hashText(v any) string {
	if !module.Truth(v) {
		return ""
	}
	return pytext.Str(v)
}

// fetch finds out what the source is, and renders it where it is a template. What is not
// a template is brought only when it is known to be needed.
func (m *managed) fetch(ctx context.Context) (*sourceFile, error) {
	a, c := m.a, m.c
	source, sourceHash, err := m.pick(ctx)
	if err != nil {
		return nil, err
	}
	s := &sourceFile{url: source}
	path, isLocal := local(source)
	switch {
	case isLocal:
		s.path = c.Host.Path(path)
		if _, err := os.Stat(s.path); err != nil {
			return nil, &unmanaged{module.Failf("Local file source %s does not exist", path)}
		}
		s.hashType = "sha256"
		if sourceHash == "" {
			if s.hash, err = hashFile(s.path, "sha256"); err != nil {
				return nil, err
			}
		}
	case scheme(source) == "salt":
		v, err := c.Call.Call(ctx, "cp.hash_file", args(source), wire.NewMap("saltenv", c.Env))
		if err != nil {
			return nil, err
		}
		sum, ok := v.(*wire.Map)
		if !ok || sum.Len() == 0 {
			return nil, &unmanaged{module.Failf("Source file %s not found in saltenv '%s'", source, c.Env)}
		}
		s.hash, s.hashType = strings.ToLower(sum.Text("hsum")), sum.Text("hash_type")
		sourceHash = ""
	}
	if sourceHash != "" && !a.SkipVerify {
		want, kind, err := m.sourceSum(ctx, source, sourceHash)
		switch {
		case err != nil && noAnswer(message(err)):
			return nil, err
		case err != nil:
			return nil, &unmanaged{err}
		}
		if want != "" {
			s.hash, s.hashType, s.verify = want, kind, true
		}
	}
	if !isLocal && scheme(source) != "salt" && s.hash == "" && !a.SkipVerify && !a.UseEtag {
		return nil, &unmanaged{module.Failf("Unable to verify upstream hash of source file %s, please set source_hash or set skip_verify to True", redacted(source))}
	}
	if a.Template == "" {
		if scheme(source) != "salt" {
			return s, m.bring(ctx, s)
		}
		return s, nil
	}
	if isLocal && s.path == c.Host.Path(a.Name) {
		return nil, module.Failf("Source file cannot be the same as destination")
	}
	return m.render(ctx, s)
}

// noAnswer tells whether an error is of a server or of the file system, rather than of
// what a file of hashes says.
func noAnswer(text string) bool {
	return slices.ContainsFunc([]string{"Error: ", "fetch ", "[Errno "}, func(prefix string) bool { return strings.HasPrefix(text, prefix) })
}

// sourceSum is the hash that source_hash says.
func (m *managed) sourceSum(ctx context.Context, source, sourceHash string) (sum, kind string, err error) {
	v, err := m.c.Call.Call(ctx, "file.get_source_sum", nil, wire.NewMap("file_name", m.a.Name, "source", source, "source_hash", sourceHash,
		"source_hash_name", nilIfEmpty(m.a.SourceHashName), "saltenv", m.c.Env, "verify_ssl", m.a.VerifySsl))
	if err != nil {
		return "", "", err
	}
	out, ok := v.(*wire.Map)
	if !ok {
		return "", "", nil
	}
	return strings.ToLower(out.Text("hsum")), out.Text("hash_type"), nil
}

func nilIfEmpty(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// render makes the file of a template.
func (m *managed) render(ctx context.Context, s *sourceFile) (*sourceFile, error) {
	a, c := m.a, m.c
	if s.verify {
		if err := m.bring(ctx, s); err != nil {
			return nil, &unmanaged{err}
		}
	}
	values := m.defaults.Clone()
	for k, v := range m.context.All() {
		values.SetAny(k, v)
	}
	kwargs := wire.NewMap()
	for k, v := range a.Kwargs.Strings() {
		kwargs.Set(k, v)
	}
	for _, kv := range []struct {
		k string
		v any
	}{{"template", a.Template}, {"saltenv", c.Env}, {"context", values}, {"name", a.Name}, {"source", s.url}, {"user", a.User}, {"group", a.Group},
		{"mode", a.Mode}, {"attrs", nilIfEmpty(a.Attrs)}} {
		kwargs.Set(kv.k, kv.v)
	}
	from := s.url
	if s.path != "" {
		from = s.path
	}
	v, text, err := template(ctx, c, from, kwargs)
	if err != nil {
		if text := message(err); strings.HasPrefix(text, "Jinja ") || strings.HasPrefix(text, "Problem running salt function in Jinja") {
			return nil, err
		}
		return nil, &unmanaged{err}
	}
	path, ok := v.(string)
	if !ok || path == "" {
		return nil, &unmanaged{module.Failf("Source file '%s' not found", redacted(s.url))}
	}
	sum := sha256.Sum256(text)
	return &sourceFile{url: s.url, path: path, text: text, hash: hex.EncodeToString(sum[:]), hashType: "sha256"}, nil
}

// template renders a file in memory. v is empty where there is no such file.
func template(ctx context.Context, c *states.Call, from string, kwargs *wire.Map) (v any, text []byte, err error) {
	inMemory, made := module.InMemory(ctx)
	if v, err = c.Call.Call(inMemory, "cp.get_template", args(from, ""), kwargs); err != nil {
		return nil, nil, err
	}
	if t, ok := made(); ok {
		return v, []byte(t), nil
	}
	if path, ok := v.(string); ok && path != "" { // another function has taken its place
		text, err = os.ReadFile(path)
	}
	return v, text, err
}

// bring copies a source to this machine, and checks its hash.
func (m *managed) bring(ctx context.Context, s *sourceFile) error {
	if s.url == "" {
		return nil
	}
	if s.path == "" {
		kwargs := wire.NewMap("saltenv", m.c.Env)
		if scheme(s.url) != "salt" {
			kwargs.Set("verify_ssl", m.a.VerifySsl)
			kwargs.Set("use_etag", m.a.UseEtag)
			if s.hash != "" {
				kwargs.Set("source_hash", s.hash)
			}
		}
		v, err := m.c.Call.Call(ctx, "cp.cache_file", args(s.url), kwargs)
		if err != nil {
			return &unmanaged{module.Failf("Failed to cache %s: %w", redacted(s.url), err)}
		}
		path, ok := v.(string)
		if !ok || path == "" {
			return &unmanaged{module.Failf("Source file '%s' not found", redacted(s.url))}
		}
		s.path, m.cached = path, path
	}
	if s.hash == "" {
		s.hashType = "sha256"
		var err error
		s.hash, err = hashFile(s.path, s.hashType)
		return err
	}
	if !s.verify {
		return nil
	}
	sum, err := hashFile(s.path, s.hashType)
	if err != nil {
		return err
	}
	if sum != s.hash && !m.c.Host.Exists(m.a.Name) { // Salt words it so for a new file
		return &unmanaged{module.Failf("Specified %s checksum for %s (%s) does not match actual checksum (%s)", s.hashType, m.a.Name, s.hash, sum)}
	}
	if sum != s.hash {
		return &unmanaged{module.Failf("Specified %s checksum for %s (%s) does not match actual checksum (%s). If the 'source_hash' value refers to a remote file with multiple possible matches, then it may be necessary to set 'source_hash_name'.",
			s.hashType, s.url, s.hash, sum)}
	}
	return nil
}

// hashes are the kinds of hash that sources may have.
var hashes = map[string]func() hash.Hash{"md5": md5.New, "sha1": sha1.New, "sha224": sha256.New224, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New}

// hashFile is the hash of a file of this machine, in hex digits.
func hashFile(path, kind string) (string, error) {
	if kind == "" {
		kind = "sha256"
	}
	make := hashes[kind]
	if make == nil {
		return "", fmt.Errorf("hash type %q is not known", kind)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := make()
	buf := copyBuffers.Get().(*[64 << 10]byte)
	defer copyBuffers.Put(buf)
	if _, err := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{f}, buf[:]); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// copyBuffers serve runs with many small files.
var copyBuffers = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// holds tells whether a file holds just these bytes.
func holds(c *states.Call, name string, want []byte) (bool, error) {
	st, err := c.Host.Stat(name)
	if err != nil {
		return false, err
	}
	if st.Size() != int64(len(want)) {
		return false, nil
	}
	got, err := os.ReadFile(c.Host.Path(name))
	return bytes.Equal(got, want), err
}

// backup keeps a file below the cache directory, where backup or backup_mode ask for it.
func backup(c *states.Call, name string, asked any) error {
	mode := hashText(asked)
	if mode == "" {
		mode = c.Opts.Text("backup_mode")
	}
	if mode != "minion" && mode != "both" {
		return nil
	}
	st, err := c.Host.Stat(name)
	if err != nil || !st.Mode().IsRegular() {
		return err
	}
	now := timeNow()
	dir := filepath.Join(c.CacheDir, "file_backup", filepath.Dir(name))
	to := filepath.Join(dir, fmt.Sprintf("%s_%s_%06d_%d", filepath.Base(name), now.Format("Mon_Jan_02_15:04:05"), now.Nanosecond()/1000, now.Year()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	from, err := c.Host.Open(name)
	if err != nil {
		return err
	}
	defer from.Close()
	mask := st.Mode() & fs.ModePerm
	return (&host.Host{}).Replace(to, host.Owner{UID: st.UID, GID: st.GID, Mode: &mask}, -1, func(w io.Writer) error {
		_, err := io.Copy(w, from)
		return err
	})
}

// mapArg reads an argument that has to be a map.
func mapArg(v any, what string) (*wire.Map, error) {
	switch v := v.(type) {
	case *wire.Map:
		return v, nil
	case []any: // a list of maps of one key each, as SLS files often have it
		m := wire.NewMap()
		for _, e := range v {
			one, ok := e.(*wire.Map)
			if !ok {
				return nil, errors.New(what + " must be formed as a dict")
			}
			for k, x := range one.All() {
				m.SetAny(k, x)
			}
		}
		if len(v) > 0 {
			return nil, errors.New(what + " must be formed as a dict")
		}
		return m, nil
	case nil:
		return wire.NewMap(), nil
	}
	if !module.Truth(v) {
		return wire.NewMap(), nil
	}
	return nil, errors.New(what + " must be formed as a dict")
}
