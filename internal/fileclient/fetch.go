package fileclient

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/gosalt/gosalt/protocol/wire"
)

// Fetcher fetches files by addresses of all kinds: salt://, http://, https://, ftp://,
// s3://, file:// and paths of this machine. It may be used concurrently.
type Fetcher struct {
	Client Client       // of salt://; nil where there is none
	Cache  Cache        // of what comes from elsewhere
	HTTP   *http.Client // nil makes one of Limits
	Limits Limits
	// S3 returns the settings of s3:// addresses: key, keyid, service_url, location,
	// path_style, https_enable, verify_ssl. May be nil.
	S3 func() *wire.Map
}

// FetchOptions say how to fetch.
type FetchOptions struct {
	Env        string // of a salt:// address that names none
	SourceHash string // "sha256=..." or the digits alone: what the cache already has is not fetched again
	Insecure   bool   // take any certificate
	ETag       bool   // ask a web server whether what is in the cache is still right
	Dest       string // where to put it; "" is the cache
	MakeDirs   bool   // make the directories of Dest
	Gzip       int    // compress on the way from a master
}

// Errors of fetching that have Salt's words.
var (
	// ErrNoDirectory says that the directory of Dest is not there, and MakeDirs not set.
	ErrNoDirectory = errors.New("the directory to put the file in does not exist")
	// ErrScheme says that there is no way to fetch such an address.
	ErrScheme = errors.New("no way to fetch such an address")
)

// Scheme is an address's scheme in lower case, "" for a path; "c" of a Windows path is
// none.
func Scheme(address string) string {
	s, _, ok := strings.Cut(address, "://")
	if !ok || len(s) < 2 || strings.ContainsAny(s, "/\\ ") {
		return ""
	}
	return strings.ToLower(s)
}

// Fetch brings a file to this machine and returns its path. A file of this machine stays
// where it is. ErrNotFound is returned for a salt:// address that names no file.
func (f *Fetcher) Fetch(ctx context.Context, address string, o FetchOptions) (string, error) {
	scheme := Scheme(address)
	dest := o.Dest
	if dest != "" {
		if fi, err := os.Stat(dest); err == nil && fi.IsDir() || strings.HasSuffix(dest, "/") {
			dest = filepath.Join(dest, baseName(address))
		}
	}
	switch scheme {
	case "salt":
		return f.fetchSalt(ctx, address, dest, o)
	case "file", "":
		return LocalPath(address)
	}
	u, err := ParseAddress(address)
	if err != nil {
		return "", fmt.Errorf("address %s: %w", Redact(address), errors.Unwrap(err))
	}
	if dest == "" {
		if dest, err = f.Cache.External(address, o.Env); err != nil {
			return "", err
		}
		if o.SourceHash != "" && hasHash(ctx, dest, o.SourceHash) {
			return dest, nil
		}
		if err := f.Cache.makeDir(dest); err != nil {
			return "", err
		}
	} else if err := needDir(dest, o.MakeDirs); err != nil {
		return "", err
	}
	w, err := Create(dest, o.Dest == "")
	if err != nil {
		return "", err
	}
	defer w.Abort()
	switch scheme {
	case "http", "https":
		err = f.http(ctx, u, w, dest, o)
		if errors.Is(err, errNotModified) {
			return dest, nil
		}
	case "ftp":
		err = f.ftp(ctx, u, w)
	case "s3":
		err = f.s3(ctx, u, w, o)
	default:
		return "", fmt.Errorf("%s: %w: salt, http, https, ftp, s3 and file are known", Redact(address), ErrScheme)
	}
	if err != nil {
		return "", err
	}
	return dest, w.Commit()
}

func (f *Fetcher) fetchSalt(ctx context.Context, address, dest string, o FetchOptions) (string, error) {
	if f.Client == nil {
		return "", fmt.Errorf("fetch %s: there is no file server to fetch it from", address)
	}
	p, env, _ := ParseURL(address)
	if env == "" {
		env = o.Env
	}
	if env == "" {
		env = "base"
	}
	if dest == "" {
		return f.Client.Cache(ctx, env, p)
	}
	if err := needDir(dest, o.MakeDirs); err != nil {
		if _, serr := f.Client.Stat(ctx, env, p); serr != nil {
			return "", serr
		}
		return "", err
	}
	return dest, f.Client.Get(ctx, env, p, dest, o.Gzip)
}

// ParseAddress splits an address as Python's urlparse does: the first part of a salt://
// path stands where hosts do, and may be no name of one, as in "salt://my files/a".
func ParseAddress(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	rest, salt := strings.CutPrefix(address, "salt://")
	if err == nil || !salt {
		return u, err
	}
	host, path, found := strings.Cut(rest, "/")
	u = &url.URL{Scheme: "salt", Host: host}
	if found {
		u.Path, u.RawQuery, _ = strings.Cut("/"+path, "?")
	}
	return u, nil
}

// needDir sees to the directory of a file.
func needDir(dest string, make bool) error {
	dir := filepath.Dir(dest)
	if fi, err := os.Stat(dir); err == nil && fi.IsDir() {
		return nil
	}
	if !make {
		return fmt.Errorf("%s: %w", dir, ErrNoDirectory)
	}
	return os.MkdirAll(dir, 0o755)
}

// baseName is the last part of an address.
func baseName(address string) string {
	if p, _, ok := ParseURL(address); ok {
		return path.Base(strings.TrimLeft(p, "|"))
	}
	u, err := ParseAddress(address)
	if err == nil && u.RawQuery == "" && (len(u.Path) <= 1 || strings.HasSuffix(u.Path, "/")) {
		return "index.html"
	}
	if name := path.Base(address); name != "." && name != ".." && name != "/" {
		return name
	}
	return "index.html"
}

// LocalPath is the path in a file:// address, or the path itself. It must be absolute.
func LocalPath(address string) (string, error) {
	p := address
	if Scheme(address) == "file" {
		rest := address[len("file://"):]
		host, after, _ := strings.Cut(rest, "/")
		if host != "" && host != "localhost" {
			return "", fmt.Errorf("Path '%s' is not absolute", strings.TrimRight(rest, "/"))
		}
		p = "/" + after
		if un, err := url.PathUnescape(p); err == nil && strings.Contains(p, "%") {
			if _, serr := os.Stat(p); serr != nil {
				p = un
			}
		}
	}
	if !filepath.IsAbs(p) {
		return "", fmt.Errorf("Path '%s' is not absolute", p)
	}
	if len(p) > 1 {
		p = strings.TrimRight(p, "/")
	}
	return p, nil
}

// maxFileName is the longest name of a file that systems take.
const maxFileName = 255

// External is where the cache keeps a file of an address that is not salt://.
func (c Cache) External(address, env string) (string, error) {
	u, err := ParseAddress(address)
	if err != nil {
		return "", fmt.Errorf("address %s: %w", Redact(address), errors.Unwrap(err))
	}
	if env == "" {
		env = "base"
	}
	host := u.Host
	if u.Port() != "" {
		host = strings.ReplaceAll(host, ":", "")
	}
	name := u.Path
	if u.RawQuery != "" {
		name += "-" + u.RawQuery
	}
	rel := strings.TrimLeft(name, "/")
	if rel == "" {
		rel = "index.html"
	}
	if !filepath.IsLocal(filepath.FromSlash(rel)) || !filepath.IsLocal(filepath.FromSlash(env)) || strings.ContainsAny(host+env, "\x00/\\") || strings.ContainsRune(rel, 0) || host == ".." || host == "." {
		return "", fmt.Errorf("%s: Invalid path", Redact(address))
	}
	if len(name) > maxFileName {
		sum := sha256.Sum256([]byte(name))
		rel = hex.EncodeToString(sum[:])
	}
	return filepath.Join(c.Dir, "extrn_files", filepath.FromSlash(env), host, filepath.FromSlash(rel)), nil
}

// hasHash tells whether a file has the hash that source_hash names.
func hasHash(ctx context.Context, name, want string) bool {
	if i := strings.LastIndexByte(want, '='); i >= 0 {
		want = want[i+1:]
	}
	kind, ok := map[int]string{32: "md5", 40: "sha1", 56: "sha224", 64: "sha256", 96: "sha384", 128: "sha512"}[len(want)]
	if !ok {
		return false
	}
	got, err := HashFile(ctx, name, kind)
	return err == nil && strings.EqualFold(got, want)
}

// Redact takes the user and password out of an address.
func Redact(address string) string {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		return address
	}
	host, after, _ := strings.Cut(rest, "/")
	i := strings.LastIndexByte(host, '@')
	if i < 0 {
		return address
	}
	host = "<redacted>@" + host[i+1:]
	if strings.Contains(rest, "/") {
		host += "/" + after
	}
	return scheme + "://" + host
}
