package fileserver

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/target"
)

// Server is a file server: backends in the order in which they are asked. Its methods
// may be called concurrently.
type Server struct {
	backends []Backend
	hashes   *hashCache
}

// New makes a server. hashType is the algorithm of its hashes: "sha256".
func New(hashType string, backends ...Backend) (*Server, error) {
	if _, err := NewHash(hashType); err != nil {
		return nil, err
	}
	return &Server{backends: backends, hashes: newHashCache(hashType)}, nil
}

// Backends returns the backends with these names, in the server's order of asking, or
// all for none. Names with a minus sign before them are taken from all.
func (s *Server) Backends(names []string) []Backend {
	if len(names) == 0 {
		return s.backends
	}
	minus := !slices.ContainsFunc(names, func(n string) bool { return !strings.HasPrefix(n, "-") })
	var out []Backend
	for _, b := range s.backends {
		if slices.Contains(names, b.Name()) != minus && !(minus && slices.Contains(names, "-"+b.Name())) {
			out = append(out, b)
		}
	}
	return out
}

// HashType is the algorithm of the hashes: "sha256".
func (s *Server) HashType() string { return s.hashes.kind }

// Envs returns the environments of all backends, sorted, each once. A backend that
// fails is passed over; the error tells of it beside the others' result.
func (s *Server) Envs(ctx context.Context, backends []string) ([]string, error) {
	var out []string
	var errs []error
	for _, b := range s.Backends(backends) {
		envs, err := b.Envs(ctx)
		if err != nil {
			errs = append(errs, fmt.Errorf("environments of %s: %w", b.Name(), err))
		}
		out = append(out, envs...)
	}
	slices.Sort(out)
	return slices.Compact(out), errors.Join(errs...)
}

// Find finds a file by its address below salt://: a path, perhaps with ?saltenv= and
// index=, or behind a "|" that makes "?" a part of the name.
func (s *Server) Find(ctx context.Context, env, address string) (*File, error) {
	p, index := address, -1
	if rest, ok := strings.CutPrefix(address, "|"); ok {
		p = strings.TrimLeft(rest, "|")
	} else if before, query, ok := strings.Cut(address, "?"); ok {
		p = before
		query, _, _ = strings.Cut(query, "?")
		for _, part := range strings.Split(query, "&") {
			switch k, v, _ := strings.Cut(part, "="); k {
			case "saltenv":
				env = v
			case "index":
				n, err := strconv.Atoi(v)
				if err != nil || n < 0 {
					return nil, ErrNotFound
				}
				index = n
			}
		}
	}
	if p == "" || path.IsAbs(p) || strings.Contains(p, "../") || strings.ContainsRune(p, 0) {
		return nil, ErrNotFound
	}
	if p = path.Clean(p); !filepath.IsLocal(filepath.FromSlash(p)) {
		return nil, ErrNotFound
	}
	var failed error
	for _, b := range s.backends {
		f, err := b.Find(ctx, env, p, index)
		if err == nil {
			f.Backend = b.Name()
			return f, nil
		}
		if !errors.Is(err, ErrNotFound) && failed == nil {
			failed = fmt.Errorf("%s: %w", b.Name(), err)
		}
	}
	if failed != nil {
		return nil, failed
	}
	return nil, ErrNotFound
}

// List lists the files or directories of an environment that begin with a prefix, of all
// backends or of those named.
func (s *Server) List(ctx context.Context, k Kind, env, prefix string, backends []string) ([]string, error) {
	var out []string
	trees, err := s.trees(ctx, env, backends)
	for _, t := range trees {
		out = append(out, withPrefix(t.list(k), prefix)...)
	}
	if len(trees) > 1 {
		slices.Sort(out)
		out = slices.Compact(out)
	}
	return out, err
}

// Symlinks lists the symbolic links of an environment that begin with a prefix, and
// where they point.
func (s *Server) Symlinks(ctx context.Context, env, prefix string, backends []string) (map[string]string, error) {
	out := map[string]string{}
	prefix = strings.Trim(prefix, "/")
	trees, err := s.trees(ctx, env, backends)
	for _, t := range trees {
		for link, to := range t.Links {
			if _, ok := out[link]; !ok && strings.HasPrefix(link, prefix) {
				out[link] = to
			}
		}
	}
	return out, err
}

// trees are those of the backends that answer.
func (s *Server) trees(ctx context.Context, env string, backends []string) ([]*Tree, error) {
	var out []*Tree
	var errs []error
	for _, b := range s.Backends(backends) {
		t, err := b.Tree(ctx, env)
		if err != nil {
			errs = append(errs, fmt.Errorf("list %s of %s: %w", env, b.Name(), err))
			continue
		}
		out = append(out, t)
	}
	return out, errors.Join(errs...)
}

// Hash is the hash of a file in hex digits.
func (s *Server) Hash(ctx context.Context, f *File) (string, error) { return s.hashes.of(ctx, f) }

// Ignore hides files by name, as file_ignore_glob and file_ignore_regex do.
type Ignore struct {
	globs   []string
	regexes []*target.Regex
}

// NewIgnore reads the patterns. The regular expressions are Python's; one that cannot be
// read is left out, and is among the errors.
func NewIgnore(globs, regexes []string) (*Ignore, error) {
	i := &Ignore{globs: globs}
	var errs []error
	for _, text := range regexes {
		re, err := target.CompileRegex(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("file_ignore_regex %q: %w", text, err))
			continue
		}
		i.regexes = append(i.regexes, re)
	}
	return i, errors.Join(errs...)
}

// Match tells whether a path is hidden.
func (i *Ignore) Match(p string) bool {
	if i == nil {
		return false
	}
	for _, re := range i.regexes {
		if re.Search(p) {
			return true
		}
	}
	for _, g := range i.globs {
		if target.Fnmatch(g, p) {
			return true
		}
	}
	return false
}

// size writes a number of bytes for a person.
func size(n int64) string {
	switch {
	case n >= 1<<30 && n%(1<<30) == 0:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 1<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d bytes", n)
}
