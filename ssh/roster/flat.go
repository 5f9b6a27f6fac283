package roster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/render"
	"github.com/gosalt/gosalt/internal/render/saltyaml"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/ssh"
)

// maxFile is the longest roster that is read.
const maxFile = 64 << 20

// file is the roster file.
func (r *Roster) file() string {
	if r.cfg.File != "" {
		return r.cfg.File
	}
	return filepath.Join(r.cfg.ConfigDir, "roster")
}

// readFile reads a file of a roster; the error names it.
func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if err == nil {
		defer f.Close()
		var b []byte
		if b, err = io.ReadAll(io.LimitReader(f, maxFile+1)); err == nil {
			if len(b) > maxFile {
				return "", &Error{Source: path, Msg: fmt.Sprintf("the file is longer than %d bytes", maxFile)}
			}
			return string(b), nil
		}
	}
	e := &Error{Source: path, Err: err}
	var p *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.Msg, e.Hint = "there is no such file", "make one, or name another with --roster-file"
	case errors.Is(err, fs.ErrPermission):
		e.Msg, e.Hint = "permission denied", "it has to be readable for who runs this"
	case errors.As(err, &p):
		e.Msg = p.Err.Error()
	default:
		e.Msg = err.Error()
	}
	return "", e
}

// render renders a file of a roster and returns its data, and where its keys were written.
func (r *Roster) render(ctx context.Context, path string) (any, func(path ...any) string, error) {
	source, err := readFile(path)
	if err != nil {
		return nil, nil, err
	}
	out, err := render.New(r.cfg.Render).Render(ctx, render.Source{Text: source, Path: path, Env: "base"})
	var again []repeated
	if err != nil {
		if out, again = withoutRepeated(err); out == nil {
			return nil, nil, renderError(path, source, err)
		}
	}
	lines := strings.Split(source, "\n")
	rendered := strings.Split(out.Text, "\n")
	line := func(at int) string {
		if at < 1 || at > len(rendered) {
			return path
		}
		// Jinja may have moved the line: the one of the source that reads alike is meant.
		n := 0
		for i, l := range lines {
			if l == rendered[at-1] {
				if i == at-1 {
					n = i + 1
					break
				}
				if n != 0 {
					return path
				}
				n = i + 1
			}
		}
		if n == 0 {
			return path
		}
		return fmt.Sprintf("%s:%d", path, n)
	}
	r.twice = map[string]string{}
	for _, a := range again {
		r.twice[a.name] = line(a.line)
	}
	place := func(keys ...any) string {
		if out.Doc == nil {
			return path
		}
		if at, ok := out.Doc.At(keys...); ok {
			return line(at.Line)
		}
		return path
	}
	return out.Data, place, nil
}

// repeated is a machine whose name stands once more in a roster.
type repeated struct {
	name string
	line int // of the rendered text
}

const conflict = "found conflicting ID '"

// withoutRepeated reads a roster that is no YAML only because names of machines stand in
// it twice: what comes later is left out and told of, so that the other machines can be
// reached. nil is a file with other mistakes.
func withoutRepeated(err error) (*render.Result, []repeated) {
	var all []repeated
	res := &render.Result{}
	lines := []string(nil)
	for len(all) < 1000 {
		var e *saltyaml.Error
		if !errors.As(err, &e) || e.At.Column != 1 || !strings.HasPrefix(e.Problem, conflict) {
			return nil, nil
		}
		if lines == nil {
			res.Text = e.Text
			lines = strings.Split(e.Text, "\n")
		}
		if e.At.Line < 1 || e.At.Line > len(lines) {
			return nil, nil
		}
		all = append(all, repeated{strings.TrimSuffix(strings.TrimPrefix(e.Problem, conflict), "'"), e.At.Line})
		for i := e.At.Line - 1; i < len(lines); i++ {
			if l := lines[i]; i >= e.At.Line && l != "" && !strings.ContainsAny(l[:1], " \t\r#-}]") {
				break
			}
			lines[i] = ""
		}
		if res.Doc, err = saltyaml.Parse(strings.Join(lines, "\n"), saltyaml.DefaultLimits); err == nil {
			res.Data = res.Doc.Value
			return res, all
		}
	}
	return nil, nil
}

var renderedLine = lazyre.New(`(?m)^line (\d+), column \d+ of the rendered text`)

// renderError tells in a line why a file could not be rendered, and where.
func renderError(path, source string, err error) *Error {
	e := &Error{Source: path, Err: err, Hint: "a roster is YAML: the name of a machine, and below it host:, user:, …"}
	var re *render.Error
	if !errors.As(err, &re) {
		e.Msg = strings.SplitN(err.Error(), "\n", 2)[0]
		return e
	}
	var said []string
	for line := range strings.Lines(re.Msg) {
		line = strings.TrimSpace(line)
		if line == "" {
			break
		}
		if !strings.HasPrefix(line, `in "`) {
			said = append(said, line)
		}
	}
	e.Msg = strings.TrimSuffix(strings.Join(said, ", "), fmt.Sprintf("; line %d", re.Line))
	line := re.Line
	if m := renderedLine.FindStringSubmatch(err.Error()); m != nil {
		// A place of the YAML that the templates made.
		if line, _ = strconv.Atoi(m[1]); strings.Contains(source, "{%") || strings.Contains(source, "{{") || strings.Contains(source, "{#") {
			e.Source = fmt.Sprintf("%s (line %d after rendering)", path, line)
			line = 0
		}
	}
	if line > 0 {
		e.Source = fmt.Sprintf("%s:%d", path, line)
	}
	return e
}

// loadFlat reads the roster file: a map of the names of machines.
func loadFlat(ctx context.Context, r *Roster) error {
	path := r.file()
	data, place, err := r.render(ctx, path)
	if err != nil {
		return err
	}
	m, ok := data.(*wire.Map)
	if !ok {
		if data == nil {
			return nil
		}
		return &Error{Source: path, Msg: "it holds " + kindOf(data) + ", and has to be a map of machines", Hint: "the name of a machine, a colon, and below it host:, user:, …"}
	}
	seen := map[string]string{}
	for k, v := range m.All() {
		id, ok := k.(string)
		if !ok {
			if id = scalar(k); id == "" {
				id = fmt.Sprint(k)
			}
		}
		h := r.parseHost(id, v, func(key string) string {
			if key == "" {
				return place(k)
			}
			if p := place(k, key); p != path {
				return p
			}
			return place(k)
		})
		if other, ok := r.twice[id]; ok && h.Err == nil {
			h.Err = &ssh.Error{Host: id, Kind: ssh.KindRoster, Msg: (&Error{Source: h.Source, Host: id, Msg: "it stands in the roster twice, also in " + other,
				Hint: "give one of them another name, or take it out"}).Error()}
		}
		if h.Err == nil {
			// Two names for one machine may be meant, as with two users: it is said, no more.
			addr := fmt.Sprintf("%s@%s:%d %q", h.User, h.Host, h.Port, h.SSHOptions) // a ProxyJump leads to another network
			if other, ok := seen[addr]; ok {
				r.warn(h.Source, id, "it is the same machine as %s: %s", other, h.Host)
				r.about[len(r.about)-1].other = other
			} else {
				seen[addr] = id
			}
		}
		r.add(h)
	}
	return nil
}

// loadDir reads a directory with a file for each machine.
func loadDir(ctx context.Context, r *Roster) error {
	dir := r.cfg.Dir
	if dir == "" {
		dir = "/etc/salt/roster.d"
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		e := &Error{Source: dir, Msg: err.Error(), Err: err}
		if errors.Is(err, fs.ErrNotExist) {
			e.Msg, e.Hint = "there is no such directory", "roster_dir names it"
		}
		return e
	}
	var errs []error
	for _, d := range list {
		id := d.Name()
		if d.IsDir() || strings.HasPrefix(id, ".") || strings.HasSuffix(id, "~") {
			continue
		}
		path := filepath.Join(dir, id)
		data, place, err := r.render(ctx, path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		m, ok := data.(*wire.Map)
		if ok && !m.Has("host") && r.cfg.Domain != "" {
			m.Set("host", id+"."+r.cfg.Domain)
		}
		var v any = data
		if data == nil {
			v = wire.NewMap()
		}
		r.add(r.parseHost(id, v, func(key string) string {
			if key == "" {
				return path
			}
			return place(key)
		}))
	}
	return errors.Join(errs...)
}
