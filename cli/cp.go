package cli

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/gosalt/gosalt/cli/output"
	"github.com/gosalt/gosalt/cli/term"
	"github.com/gosalt/gosalt/protocol/control"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Cp copies files to minions: the command gosalt-cp.
func Cp(io IO, args []string) int {
	o, err := ParseCp(io, args)
	if err != nil {
		return io.Fail(err)
	}
	s, code := openMaster(io, &o.CommonOptions)
	if s == nil {
		return code
	}
	if o.TargetType == "list_hosts" {
		return io.Fail(o.Errorf("--hosts is not available in gosalt yet"))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c := &copying{masterSession: s, o: o, results: wire.NewMap(), status: term.NewStatus(io.Err), absent: map[string]string{}, unknown: map[string]string{}}
	code, err = c.run(ctx)
	c.status.Clear()
	switch {
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(io.Err, "\nExiting gracefully on Ctrl-c")
		return Interrupted.Code(o.Strict)
	case err != nil:
		return s.explain(err)
	}
	return code
}

// copying is one run of gosalt-cp.
type copying struct {
	*masterSession
	o       *CpOptions
	status  *term.Status
	results *wire.Map         // by minion
	absent  map[string]string // minion to why it did not answer
	minions []string          // that the first job was for; nil before it
	unknown map[string]string // names without a key to what is shown of them
}

// maxWhole is how much may travel in one piece.
const maxWhole = 16 << 20

func (c *copying) run(ctx context.Context) (int, error) {
	var code int
	var err error
	if c.o.Chunked {
		code, err = c.chunked(ctx)
	} else {
		code, err = c.whole(ctx)
	}
	if code != 0 || err != nil {
		return code, err
	}
	if c.minions != nil && len(c.minions) == 0 {
		fmt.Fprintln(c.io.Out, noMinions)
	}
	for id, text := range c.unknown {
		c.results.Set(id, text)
	}
	if err := output.Display(c.io.Out, c.results, "nested", c.o.Out.Settings(c.io, c.cfg.Raw)); err != nil {
		return c.io.Fail(err), nil
	}
	return c.outcome().Code(c.strict), nil
}

// outcome is what Salt's command hides behind 0.
func (c *copying) outcome() Outcome {
	for id, why := range c.absent {
		fmt.Fprintf(c.io.Err, "%s: error: %s did not answer: %s\n", c.io.Prog, id, why)
	}
	switch {
	case len(c.minions) == 0:
		return BatchNoMatch
	case len(c.absent) > 0 || len(c.unknown) > 0:
		return HiddenSilence
	}
	for _, v := range c.results.All() {
		m, ok := v.(*wire.Map)
		if !ok {
			return HiddenFailure
		}
		for _, done := range m.All() {
			if done != true {
				return HiddenFailure
			}
		}
	}
	return OK
}

// whole copies small files in one job.
func (c *copying) whole(ctx context.Context) (int, error) {
	files, total := wire.NewMap(), 0
	missing := false
	for _, name := range c.o.Sources {
		st, err := os.Stat(name)
		switch {
		case err == nil && st.IsDir():
			fmt.Fprintf(c.io.Out, "%s is a directory, only files are supported in non-chunked mode. Use \"--chunked\" command line argument.\n", name)
			return 1, nil
		case err == nil && st.Mode().IsRegular():
			b, err := os.ReadFile(name)
			if err != nil {
				return c.io.Fail(err), nil
			}
			if total += len(b); total > maxWhole {
				return c.io.Fail(c.o.Errorf("the files have more than %d MiB in all: use --chunked", maxWhole>>20)), nil
			}
			files.Set(name, b)
		default:
			missing = true
			fmt.Fprintf(c.io.Err, "%s: error: The referenced file, %s is not available.\n", c.io.Prog, name)
		}
	}
	if missing && c.strict {
		return BadCommand.Code(true), nil
	}
	return 0, c.job(ctx, c.o.Target, c.o.TargetType, "cp.recv", []any{files, c.o.Dest}, func(id string, v any) {
		c.results.Set(id, v)
	})
}

// job runs a function on minions and hands out what they return.
func (c *copying) job(ctx context.Context, tgt any, kind, fun string, arg []any, got func(id string, v any)) error {
	if list, ok := tgt.([]string); ok {
		l := make([]any, len(list))
		for i, id := range list {
			l[i] = id
		}
		tgt = l
	}
	req := wire.NewMap("op", control.OpPublish, "fun", fun, "arg", arg, "follow", true, "tgt", tgt, "tgt_type", kind)
	if d := c.o.Delimiter; d != "" && d != ":" {
		req.Set("delimiter", d)
	}
	if c.o.Timeout > 0 {
		req.Set("timeout", int64(c.o.Timeout))
	}
	jid := ""
	return c.ask(ctx, req, func(f *wire.Map) error {
		switch f.Text("kind") {
		case control.KindJob:
			jid = f.Text("jid")
			if c.minions == nil {
				c.minions = []string{}
				for _, id := range f.List("minions") {
					c.minions = append(c.minions, fmt.Sprint(id))
				}
			}
		case control.KindReturn:
			v, _ := f.Map("load").Get("return")
			got(f.Text("id"), v)
		case control.KindAbsent:
			if id := f.Text("id"); slices.Contains(c.minions, id) {
				c.absent[id] = f.Text("text")
			} else {
				c.unknown[id] = absentText(absence{state: "No response", text: f.Text("text")}, jid)
			}
		}
		return nil
	})
}

// source is a file, or an empty directory, to be copied.
type source struct {
	name  string
	to    string // on the minions
	mode  fs.FileMode
	isDir bool
	size  int64
}

// walk finds what is below the sources, directories that are empty last.
func (c *copying) walk() ([]source, error) {
	var files, dirs []source
	for _, top := range c.o.Sources {
		err := filepath.WalkDir(top, func(name string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			fi, err := os.Stat(name) // links are followed, as Salt does
			if errors.Is(err, fs.ErrNotExist) && name != top {
				return fmt.Errorf("%s does not exist: a link to nowhere", name)
			}
			if err != nil {
				return err
			}
			s := source{name: name, mode: fi.Mode(), size: fi.Size()}
			switch {
			case d.IsDir():
				entries, err := os.ReadDir(name)
				if err == nil && len(entries) == 0 {
					s.isDir = true
					dirs = append(dirs, s)
				}
				return err
			case fi.IsDir():
				return fmt.Errorf("%s is a link to a directory: copy the directory itself", name)
			case !fi.Mode().IsRegular():
				return fmt.Errorf("%s is no regular file", name)
			}
			files = append(files, s)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	into := len(dirs) > 0 || len(files) > 1 || strings.HasSuffix(c.o.Dest, "/") || strings.HasSuffix(c.o.Dest, "\\")
	all := append(files, dirs...)
	for i := range all {
		all[i].to = c.remote(all[i].name, into)
	}
	return all, nil
}

// remote is where a file goes. into says that the destination is a directory.
func (c *copying) remote(name string, into bool) string {
	if slices.Contains(c.o.Sources, name) {
		if into {
			return join(c.o.Dest, filepath.Base(name))
		}
		return c.o.Dest
	}
	for _, top := range c.o.Sources {
		if rel, err := filepath.Rel(top, name); err == nil && filepath.IsLocal(rel) {
			return join(c.o.Dest, path.Join(filepath.Base(top), filepath.ToSlash(rel)))
		}
	}
	return c.o.Dest
}

// join is Python's os.path.join: it keeps the destination as it was written.
func join(dir, name string) string {
	if dir == "" || strings.HasSuffix(dir, "/") {
		return dir + name
	}
	return dir + "/" + name
}

// chunked copies files of any size, a piece in a job. Minions that fail are left out of
// what follows of that file, so that no piece is missing in the middle.
func (c *copying) chunked(ctx context.Context) (int, error) {
	all, err := c.walk()
	var pe *fs.PathError
	switch {
	case errors.As(err, &pe) && errors.Is(err, fs.ErrNotExist):
		fmt.Fprintf(c.io.Err, "%s does not exist\n", pe.Path)
		return BadCommand.Code(c.strict), nil
	case err != nil:
		fmt.Fprintf(c.io.Err, "%s: error: %v\n", c.io.Prog, err)
		return BadCommand.Code(c.strict), nil
	}
	for _, s := range all {
		if s.isDir {
			err = c.job(ctx, c.target(), c.kind(), "cp.recv_chunked", []any{s.to, nil}, func(id string, v any) { c.set(id, s.to, v) })
		} else {
			err = c.copy(ctx, s)
		}
		if err != nil {
			return 0, err
		}
		if len(c.minions) == 0 {
			break
		}
	}
	return 0, nil
}

// target is whom a job is for: the target at first, then who still answers.
func (c *copying) target() any {
	if c.minions == nil {
		return c.o.Target
	}
	var left []string
	for _, id := range c.minions {
		if _, gone := c.absent[id]; !gone {
			left = append(left, id)
		}
	}
	return left
}

func (c *copying) kind() string {
	if c.minions == nil {
		return c.o.TargetType
	}
	return "list"
}

func (c *copying) set(id, file string, v any) {
	m := c.results.Map(id)
	if m == nil {
		m = wire.NewMap()
		c.results.Set(id, m)
	}
	m.Set(file, v)
}

// copy copies one file.
func (c *copying) copy(ctx context.Context, s source) error {
	f, err := os.Open(s.name)
	if err != nil {
		return err
	}
	defer f.Close()
	size := int64(98304)
	if n := c.cfg.Opts().Int("salt_cp_chunk_size"); n > 0 {
		size = min(n, maxWhole)
	}
	buf := make([]byte, size)
	tgt, kind := c.target(), c.kind()
	for sent, first := int64(0), true; ; first = false {
		n, err := io.ReadFull(f, buf)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return fmt.Errorf("read %s: %w", s.name, err)
		}
		if n == 0 && !first {
			return nil
		}
		chunk, err := pack(buf[:n], c.o.Compress)
		if err != nil {
			return err
		}
		// By name: the end of base64 would make a text of it that looks like a keyword.
		kwargs := wire.NewMap("__kwarg__", true, "chunk", chunk, "append", !first, "compressed", c.o.Compress, "mode", int64(s.mode.Perm())|special(s.mode))
		var good []string
		err = c.job(ctx, tgt, kind, "cp.recv_chunked", []any{s.to, kwargs}, func(id string, v any) {
			c.set(id, s.to, v)
			if v == true {
				good = append(good, id)
			}
		})
		if err != nil {
			return err
		}
		if sent += int64(n); s.size > 0 {
			c.status.Set(fmt.Sprintf("%s: %d%% of %.1f MB, %d minions", filepath.Base(s.name), sent*100/max(s.size, sent), float64(s.size)/1e6, len(good)))
		}
		if len(good) == 0 {
			return nil
		}
		slices.Sort(good)
		tgt, kind = good, "list"
	}
}

// pack makes base64 of a piece, compressed where that is wanted.
func pack(b []byte, compress bool) (string, error) {
	if compress {
		var z bytes.Buffer
		w, err := gzip.NewWriterLevel(&z, gzip.BestSpeed)
		if err != nil {
			return "", err
		}
		if _, err := w.Write(b); err != nil {
			return "", err
		}
		if err := w.Close(); err != nil {
			return "", err
		}
		b = z.Bytes()
	}
	return base64.StdEncoding.EncodeToString(b), nil
}

// special are the bits of a mode that Go keeps elsewhere.
func special(m fs.FileMode) int64 {
	var n int64
	for _, b := range []struct {
		is  fs.FileMode
		bit int64
	}{{fs.ModeSetuid, 0o4000}, {fs.ModeSetgid, 0o2000}, {fs.ModeSticky, 0o1000}} {
		if m&b.is != 0 {
			n |= b.bit
		}
	}
	return n
}
