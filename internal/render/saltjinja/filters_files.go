package saltjinja

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gosalt/gosalt/jinja/py"
)

// osError is an error of the system in Python's words.
func osError(err error, name string) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return py.Raise("FileNotFoundError", "[Errno 2] No such file or directory: %s", py.Quote(name))
	case errors.Is(err, fs.ErrPermission):
		return py.Raise("PermissionError", "[Errno 13] Permission denied: %s", py.Quote(name))
	}
	return &py.Error{Type: "OSError", Msg: err.Error(), Err: err}
}

// readBlock is the beginning of a file.
func readBlock(name string, n int) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, n)
	k, err := io.ReadFull(f, b)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return b[:k], err
}

// mostlyText tells whether at most 30 of 100 characters are none of a text.
func mostlyText(s string, also string) bool {
	n, other := 0, 0
	for _, r := range s {
		n++
		if (r < 32 || r > 126) && !strings.ContainsRune("\n\r\t\b"+also, r) {
			other++
		}
	}
	return float64(other)/float64(max(n, 1)) <= 0.30
}

func addFiles(t table) {
	name := func(c *py.Call) (string, error) {
		s, ok := py.AsString(c.Args[0])
		if !ok {
			return "", undefinedOr(c.Args[0], py.Raise("TypeError", "stat: path should be string, bytes, os.PathLike or integer, not %s", py.TypeName(c.Args[0])))
		}
		return s, nil
	}
	t.add("is_empty", "filename", func(c *py.Call) (py.Value, error) {
		s, err := name(c)
		if err != nil {
			return nil, err
		}
		fi, err := os.Stat(s)
		return err == nil && fi.Size() == 0, nil
	})
	t.add("is_text/is_text_file", "fp_, blocksize=512", func(c *py.Call) (py.Value, error) {
		s, err := name(c)
		if err != nil {
			return nil, err
		}
		n, ok := py.AsInt(c.Args[1])
		if !ok || n < 0 || n > 1<<20 {
			n = 512
		}
		b, err := readBlock(s, int(n))
		switch {
		case err != nil:
			return false, nil //nolint:nilerr // Salt says False of what cannot be read
		case slices.Contains(b, 0):
			return false, nil
		case utf8.Valid(b):
			return true, nil
		}
		latin := make([]rune, len(b))
		for i, x := range b {
			latin[i] = rune(x)
		}
		return mostlyText(string(latin), "\f"), nil
	})
	t.add("is_binary/is_bin_file", "path", func(c *py.Call) (py.Value, error) {
		s, err := name(c)
		if err != nil {
			return nil, err
		}
		if fi, err := os.Stat(s); err != nil || !fi.Mode().IsRegular() {
			return false, nil //nolint:nilerr // likewise
		}
		b, err := readBlock(s, 2048)
		if err != nil {
			return false, nil //nolint:nilerr // likewise
		}
		if !utf8.Valid(b) {
			return true, nil
		}
		return len(b) > 0 && (slices.Contains(b, 0) || !mostlyText(string(b), "")), nil
	})
	t.add("list_files", "directory", func(c *py.Call) (py.Value, error) {
		s, err := name(c)
		if err != nil {
			return nil, err
		}
		out := py.NewList(s)
		err = filepath.WalkDir(s, func(p string, _ fs.DirEntry, err error) error {
			if err != nil || p == s {
				return nil //nolint:nilerr // what cannot be read is not listed
			}
			out.Items = append(out.Items, p)
			return c.T.Alloc(len(p))
		})
		return out, err
	})
	t.add("which", "exe=None", func(c *py.Call) (py.Value, error) {
		some, err := py.Truth(c.T, c.Args[0])
		if err != nil || !some {
			return nil, err
		}
		exe, err := name(c)
		if err != nil {
			return nil, err
		}
		runs := func(p string) bool {
			fi, err := os.Stat(p)
			return err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0
		}
		if runs(exe) {
			return exe, nil
		}
		dirs := filepath.SplitList(os.Getenv("PATH"))
		for _, d := range []string{"/sbin", "/bin", "/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"} {
			if !slices.Contains(dirs, d) {
				dirs = append(dirs, d)
			}
		}
		for _, d := range dirs {
			if p := joinPath(d, exe); runs(p) {
				return p, nil
			}
		}
		return nil, nil
	})
	t.add("join/path_join", "*parts, **kwargs", func(c *py.Call) (py.Value, error) {
		for k, v := range c.Args[1].(*py.Dict).All() {
			if k != "use_posixpath" && !strings.HasPrefix(k.(string), "__") {
				s, err := py.Str(c.T, v)
				if err != nil {
					return nil, err
				}
				return nil, py.Raise("SaltInvocationError", "The following keyword arguments are not valid: %s=%s", k, s)
			}
		}
		var parts []string
		for _, p := range c.Args[0].(py.Tuple) {
			s, err := bytesOf(p)
			if err != nil {
				return nil, err
			}
			parts = append(parts, s)
		}
		return joinPath(parts...), nil
	})
	t.add("get_uid", "user=None", func(c *py.Call) (py.Value, error) {
		if c.Args[0] == nil {
			return int64(os.Geteuid()), nil
		}
		s, ok := py.AsString(c.Args[0])
		if !ok {
			return nil, undefinedOr(c.Args[0], py.Raise("TypeError", "getpwnam() argument must be str, not %s", py.TypeName(c.Args[0])))
		}
		u, err := user.Lookup(s)
		if err != nil {
			return nil, nil //nolint:nilerr // None, as Salt
		}
		n, err := strconv.ParseInt(u.Uid, 10, 64)
		if err != nil {
			return u.Uid, nil //nolint:nilerr // Windows has texts
		}
		return n, nil
	})
}

// normPath is posixpath.normpath, which keeps two leading slashes.
func normPath(p string) string {
	if p == "" {
		return "."
	}
	c := path.Clean(p)
	if strings.HasPrefix(p, "//") && !strings.HasPrefix(p, "///") {
		c = "/" + c
	}
	return c
}

// joinPath is salt.utils.path.join: parts below the first one, absolute or not.
func joinPath(parts ...string) string {
	if len(parts) == 0 {
		return ""
	}
	out := normPath(parts[0])
	for _, p := range parts[1:] {
		p = strings.TrimLeft(normPath(p), "/")
		switch {
		case strings.HasSuffix(out, "/"):
			out += p
		default:
			out += "/" + p
		}
	}
	return normPath(out)
}
