package render

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/render/value"
	"github.com/gosalt/gosalt/jinja/py"
	"github.com/gosalt/gosalt/protocol/wire"
)

// The renderer py runs a file by the python3 of this machine, as Salt does in its own
// process. The program is our pyhelper.py, which speaks frames with us (pyframe.go);
// functions that the file calls run here.

//go:embed pyhelper.py
var pyHelper string

// pyBoot reads the helper from standard input, so that the command line stays short.
const pyBoot = `import os;inp=os.fdopen(os.dup(0),"rb");exec(compile(inp.read(int(inp.readline())),"<gosalt>","exec"))`

const (
	// scriptTime is how long a file of py or starlark may run, without the functions that
	// it calls. It is more than a template has, since files ask other machines.
	scriptTime = 60 * time.Second
	maxPrinted = 64 << 10 // of what a file prints, that is logged
)

// moduleName is what Python calls a file: its name up to the first dot.
func moduleName(file string) string {
	name, _, _ := strings.Cut(path.Base(filepath.ToSlash(file)), ".")
	if name == "" || name == "/" {
		return "sls"
	}
	return name
}

func renderPy(ctx context.Context, r *Renderer, s *Source, args string, d *data) error {
	if !d.isText {
		return &Error{Msg: "the renderer py needs text, and the one before it made data", Name: s.name()}
	}
	vars, err := r.scriptVars(ctx, s)
	if err != nil {
		return err
	}
	if args != "" {
		vars["argline"] = args
	}
	v, err := r.python(ctx, s, d.text, vars)
	if err != nil {
		return err
	}
	d.take(v)
	return nil
}

// take is what a script made: text, or data.
func (d *data) take(v any) {
	if text, ok := v.(string); ok {
		d.text, d.isText = text, true
	} else if v == nil {
		d.set(wire.NewMap())
	} else {
		d.set(v)
	}
}

// scriptVars are the variables of a file that is a program, under all the names that
// they have in Salt, but for salt itself.
func (r *Renderer) scriptVars(ctx context.Context, s *Source) (map[string]any, error) {
	vars, err := r.variables(ctx)
	if err != nil {
		return nil, err
	}
	delete(vars, "salt")
	delete(vars, "ifelse")
	for _, name := range []string{"grains", "pillar", "opts"} {
		vars["__"+name+"__"] = vars[name]
	}
	vars["saltenv"], vars["__env__"] = s.Env, s.Env
	vars["sls"], vars["__sls__"] = s.SLS, s.SLS
	slsVariables(vars, s.SLS, s.Path)
	if err := convertVars(vars, s.Vars); err != nil {
		return nil, err
	}
	return vars, nil
}

// python runs a text by python3 and returns what its run() returned.
func (r *Renderer) python(ctx context.Context, s *Source, text string, vars map[string]any) (any, error) {
	file := s.Path
	if file == "" {
		file = s.name()
	}
	if file == "" {
		file = "<text>"
	}
	all := wire.NewMap()
	for k, v := range vars {
		w, err := value.ToWire(v)
		if err != nil {
			return nil, fmt.Errorf("variable %s: %w", k, err)
		}
		all.Set(k, w)
	}
	clock, stop := newClock(ctx, scriptTime)
	defer stop()
	p := &pyTalk{r: r, s: s, file: file, ctx: context.WithValue(clock, clockKey{}, clock),
		job: wire.NewMap("path", file, "source", text, "name", moduleName(file), "level", r.logLevel(ctx), "vars", all)}
	dir, err := os.Getwd()
	if err != nil {
		dir = "/"
	}
	cmd := host.Command{Args: []string{"python3", "-c", pyBoot}, Dir: dir, MaxOutput: maxPrinted,
		Env: append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")}
	printed, err := new(host.Host).Talk(clock, cmd, p.talk)
	if len(printed) > 0 {
		r.cfg.Log.Info("a file of the renderer py printed", "file", file, "text", strings.ToValidUTF8(string(printed), "\uFFFD"))
	}
	var missing *exec.Error
	var re *Error
	switch {
	case err == nil:
		return p.result, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("render %s: %w", s.name(), context.Cause(ctx))
	case errors.As(err, &re):
		return nil, re
	case errors.As(err, &missing):
		return nil, &Error{Msg: "The renderer py needs the program python3, and there is none in PATH; the renderer starlark needs no program", Name: s.name(), Err: err}
	case clock.Err() != nil:
		return nil, &Error{Msg: fmt.Sprintf("%s: %v", file, clock.Err()), Name: s.name(), Err: err}
	}
	msg := fmt.Sprintf("%s: python3 ended before run() did: %v", file, err)
	if last := strings.TrimSpace(string(printed)); last != "" {
		msg += "\n" + strings.ToValidUTF8(last, "\uFFFD")
	}
	return nil, &Error{Msg: msg, Name: s.name(), Err: err}
}

// logLevel is Python's number of the lowest level that is logged.
func (r *Renderer) logLevel(ctx context.Context) int64 {
	switch log := r.cfg.Log; {
	case log.Enabled(ctx, slog.LevelDebug):
		return 10
	case log.Enabled(ctx, slog.LevelInfo):
		return 20
	case log.Enabled(ctx, slog.LevelWarn):
		return 30
	}
	return 40
}

// pyTalk is our side of the frames of one file.
type pyTalk struct {
	r      *Renderer
	s      *Source
	file   string
	ctx    context.Context
	job    *wire.Map
	result any
}

func (p *pyTalk) talk(to io.Writer, from io.Reader) error {
	send := func(b []byte) error {
		head := append(strconv.AppendInt(nil, int64(len(b)), 10), '\n')
		if _, err := to.Write(head); err != nil {
			return err
		}
		_, err := to.Write(b)
		return err
	}
	if err := send([]byte(pyHelper)); err != nil {
		return err
	}
	b, err := appendFrame(nil, p.job, 0)
	if err != nil {
		return err
	}
	p.job = nil
	if err := send(b); err != nil {
		return err
	}
	in := bufio.NewReaderSize(from, 64<<10)
	for {
		m, err := readFrame(in)
		if err != nil {
			return err
		}
		reply, done, err := p.answer(m)
		if done || err != nil {
			return err
		}
		if b, err = appendFrame(b[:0], reply, 0); err != nil {
			return err
		}
		if err := send(b); err != nil {
			return err
		}
	}
}

// answer does what a message asks for.
func (p *pyTalk) answer(m []any) (reply any, done bool, err error) {
	at := func(i int) any {
		if i < len(m) {
			return m[i]
		}
		return nil
	}
	str := func(i int) string {
		s, _ := at(i).(string)
		return s
	}
	switch str(0) {
	case "has":
		return p.r.funcs.has(str(1)), false, nil
	case "names":
		return p.r.funcs.names(), false, nil
	case "log":
		p.r.scriptLog(str(1), p.file, str(3))
		return true, false, nil
	case "call":
		args, _ := at(2).([]any)
		kwargs, _ := at(3).(*wire.Map)
		v, err := p.r.callFunction(p.ctx, str(1), args, kwargs)
		if err == nil {
			return []any{"ok", v}, false, nil
		}
		class, msg := "Exception", err.Error()
		var pe *py.Error
		if errors.As(err, &pe) {
			class, msg = pe.Type, pe.Msg
		}
		return []any{class, msg}, false, nil
	case "done":
		p.result = at(1)
		return nil, true, nil
	case "failed":
		line, _ := at(2).(int64)
		return nil, true, &Error{Msg: strings.TrimRight(str(1), "\n"), Name: p.s.name(), Line: int(line)}
	}
	return nil, false, fmt.Errorf("%s: the helper of the renderer py sent an unknown message %q", p.file, str(0))
}

// callFunction runs an execution function for a script. Values are of the wire's model.
func (r *Renderer) callFunction(ctx context.Context, name string, args []any, kwargs *wire.Map) (any, error) {
	fn, ok := r.funcs.get(name)
	if !ok {
		return nil, &py.Error{Type: "KeyError", Msg: name}
	}
	c := &py.Call{T: py.NewThread(ctx, r.cfg.Limits.Limits)}
	for _, a := range args {
		v, err := value.FromWire(a, false)
		if err != nil {
			return nil, err
		}
		c.Args = append(c.Args, v)
	}
	for k, a := range kwargs.Strings() {
		v, err := value.FromWire(a, false)
		if err != nil {
			return nil, err
		}
		c.Kw = append(c.Kw, py.KW{Name: k, Value: v})
	}
	v, err := fn.Call(c)
	if err != nil {
		return nil, err
	}
	return value.ToWire(v)
}

// scriptLog writes what a script logs; level is Python's name of it.
func (r *Renderer) scriptLog(level, file, text string) {
	l := slog.LevelError
	switch level {
	case "DEBUG", "TRACE", "PROFILE", "GARBAGE":
		l = slog.LevelDebug
	case "INFO":
		l = slog.LevelInfo
	case "WARNING":
		l = slog.LevelWarn
	}
	r.cfg.Log.Log(context.Background(), l, "a file that is rendered says", "file", file, "text", text)
}
