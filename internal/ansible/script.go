package ansible

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/render/saltyaml"
	"github.com/gosalt/gosalt/protocol/wire"
)

// MaxOutput is how much a program may print.
const MaxOutput = 64 << 20

// A Script is a program that prints an inventory: a dynamic inventory.
type Script struct {
	Path string
	// Timeout ends each run; zero is 2 minutes.
	Timeout time.Duration
	// Env is added to the environment, each "NAME=value".
	Env []string
}

// Read runs the program with --list, and, where that does not tell the variables of the
// hosts (_meta), with --host for each of them.
func (s *Script) Read(ctx context.Context, inv *Inventory) error {
	m, err := s.run(ctx, "--list")
	if err != nil {
		return err
	}
	if err := inv.ReadJSON(m, s.Path); err != nil {
		return err
	}
	if m.Map("_meta").Has("hostvars") {
		return nil
	}
	for _, id := range slices.Clone(inv.Order) {
		vars, err := s.run(ctx, "--host", id)
		if err != nil {
			return err
		}
		for k, v := range vars.Strings() {
			inv.Hosts[id].Vars.Set(k, v)
		}
	}
	return nil
}

func (s *Script) run(ctx context.Context, args ...string) (*wire.Map, error) {
	timeout := s.Timeout
	if timeout == 0 {
		timeout = 2 * time.Minute
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	abs, err := filepath.Abs(s.Path)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, abs, args...)
	cmd.Dir = filepath.Dir(abs)
	cmd.WaitDelay = time.Second
	if len(s.Env) > 0 {
		cmd.Env = append(cmd.Environ(), s.Env...)
	}
	ownGroup(cmd)
	var complaint strings.Builder
	cmd.Stderr = &limited{w: &complaint, n: 4096}
	out := &bounded{n: MaxOutput}
	cmd.Stdout = out
	if err := cmd.Start(); err != nil {
		return nil, &Error{Source: s.Path, Msg: "run the inventory: " + err.Error(), Err: err, Hint: "it has to be a program; a file of INI is not to be executable"}
	}
	if err := cmd.Wait(); err != nil {
		what := fmt.Sprintf("%s %s: ", filepath.Base(s.Path), strings.Join(args, " "))
		switch {
		case out.over:
			return nil, &Error{Source: s.Path, Msg: what + fmt.Sprintf("it prints more than %d bytes", MaxOutput)}
		case ctx.Err() != nil:
			return nil, &Error{Source: s.Path, Msg: what + "it did not end in time", Err: ctx.Err()}
		}
		msg := what + err.Error()
		if text := strings.Join(strings.Fields(complaint.String()), " "); text != "" {
			msg += ": " + text
		}
		return nil, &Error{Source: s.Path, Msg: msg, Err: err}
	}
	v, err := saltyaml.LoadJSON(string(out.b))
	if err != nil {
		return nil, &Error{Source: s.Path, Msg: "what it prints is no JSON: " + strings.SplitN(err.Error(), "\n", 2)[0], Err: err}
	}
	m, ok := v.(*wire.Map)
	if !ok {
		return nil, &Error{Source: s.Path, Msg: "it prints " + kindOf(v) + ", and has to print a map of groups"}
	}
	return m, nil
}

// limited takes all that is written and keeps the first part.
type limited struct {
	w io.Writer
	n int
}

func (l *limited) Write(p []byte) (int, error) {
	k := min(len(p), l.n)
	l.n -= k
	if _, err := l.w.Write(p[:k]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// bounded keeps all that is written, up to n bytes; more is an error.
type bounded struct {
	b    []byte
	n    int
	over bool
}

func (w *bounded) Write(p []byte) (int, error) {
	if len(w.b)+len(p) > w.n {
		w.over = true
		return 0, fmt.Errorf("more than %d bytes", w.n)
	}
	w.b = append(w.b, p...)
	return len(p), nil
}

// ReadJSON reads what a program prints, and ansible-inventory --list.
func (inv *Inventory) ReadJSON(m *wire.Map, source string) error {
	for name, v := range m.Strings() {
		if name == "_meta" {
			continue
		}
		g := inv.Group(name, source)
		hosts, _ := v.([]any)
		if gm, ok := v.(*wire.Map); ok {
			if !gm.Has("hosts") && !gm.Has("vars") && !gm.Has("children") {
				// A host, by the oldest form.
				delete(inv.Groups, name)
				h := inv.Host(name, source)
				for k, v := range gm.Strings() {
					h.Vars.Set(k, v)
				}
				continue
			}
			hosts = gm.List("hosts")
			for _, c := range gm.List("children") {
				g.AddChild(fmt.Sprint(c))
				inv.Group(fmt.Sprint(c), source)
			}
			for k, v := range gm.Map("vars").Strings() {
				g.Vars.Set(k, v)
			}
		} else if hosts == nil && v != nil {
			return &Error{Source: source, Host: name, Msg: "the group is " + kindOf(v) + ", and has to be a list of hosts, or a map"}
		}
		for _, h := range hosts {
			id := fmt.Sprint(h)
			inv.Host(id, source)
			g.AddHost(id)
		}
	}
	for id, v := range m.Map("_meta").Map("hostvars").Strings() {
		h := inv.Host(id, source)
		if vars, ok := v.(*wire.Map); ok {
			for k, v := range vars.Strings() {
				h.Vars.Set(k, v)
			}
		}
	}
	return nil
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "nothing"
	case bool:
		return "a bool"
	case int64, uint64, float64:
		return "a number"
	case string:
		return "text"
	case []any:
		return "a list"
	case *wire.Map:
		return "a map"
	}
	return fmt.Sprintf("%T", v)
}
