package render

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/render/saltyaml"
	"github.com/gosalt/gosalt/internal/render/value"
	"github.com/gosalt/gosalt/internal/serial"
	"github.com/gosalt/gosalt/jinja/py"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	natives["slsutil.serialize"] = native{"serializer, obj, **mod_kwargs", func(_ *Renderer, c *py.Call) (py.Value, error) {
		return serialize(c, text(c.Args[0]), c.Args[1], c.Args[2].(*py.Dict))
	}}
	natives["slsutil.deserialize"] = native{"serializer, stream_or_string, **mod_kwargs", func(_ *Renderer, c *py.Call) (py.Value, error) {
		return deserialize(text(c.Args[0]), c.Args[1], c.Args[2].(*py.Dict))
	}}
	natives["slsutil.banner"] = native{"width=72, commentchar='#', borderchar='#', blockstart=None, blockend=None, title=None, text=None, newline=False", banner}
	natives["slsutil.renderer"] = native{"path=None, string=None, default_renderer='jinja|yaml', **kwargs", slsutilRenderer}
	natives["file.dirname"] = native{"path", pathFunc(dirname)}
	natives["file.basename"] = native{"path", pathFunc(func(p string) string { return p[strings.LastIndexByte(p, '/')+1:] })}
	natives["file.join"] = native{"*args", func(_ *Renderer, c *py.Call) (py.Value, error) {
		out := ""
		for i, a := range c.Args[0].(py.Tuple) {
			s, ok := py.AsString(a)
			if !ok {
				if u, ok := a.(*py.Undefined); ok {
					return nil, u.Fail()
				}
				return nil, py.Raise("TypeError", "join() argument must be str, bytes, or os.PathLike object, not %s", pyQuoteless(a))
			}
			switch {
			case i == 0 || strings.HasPrefix(s, "/"):
				out = s
			case out == "" || strings.HasSuffix(out, "/"):
				out += s
			default:
				out += "/" + s
			}
		}
		return out, nil
	}}
	for name, params := range map[string]string{"load_map": "path, value", "import_yaml": "path", "import_json": "path"} {
		natives["jinja."+name] = native{params, func(r *Renderer, c *py.Call) (py.Value, error) {
			src := `{% ` + name + ` "` + text(c.Args[0]) + `" as imported %}` + "\n{{ imported | tojson }}\n"
			if name == "load_map" {
				v := text(c.Args[1])
				src = `{% from "` + text(c.Args[0]) + `" import ` + v + " with context %}\n{{ " + v + " | tojson }}\n"
			}
			out, err := r.Render(c.T.Context(), Source{Text: src, Env: "base"})
			if err != nil {
				return nil, err
			}
			return value.FromWire(out.Data, false)
		}}
	}
	natives["defaults.get"] = native{"key, default=''", defaultsGet}
}

func pyQuoteless(v py.Value) string { return "'" + py.TypeName(v) + "'" }

// dirname is os.path.dirname.
func dirname(p string) string {
	i := strings.LastIndexByte(p, '/') + 1
	head := p[:i]
	if strings.Trim(head, "/") != "" {
		head = strings.TrimRight(head, "/")
	}
	return head
}

func pathFunc(f func(string) string) func(*Renderer, *py.Call) (py.Value, error) {
	return func(_ *Renderer, c *py.Call) (py.Value, error) {
		s, ok := py.AsString(c.Args[0])
		if !ok {
			if u, ok := c.Args[0].(*py.Undefined); ok {
				return nil, u.Fail()
			}
			return nil, py.Raise("TypeError", "expected str, bytes or os.PathLike object, not %s", py.TypeName(c.Args[0]))
		}
		return f(s), nil
	}
}

// defaultsGet reads a value of salt://FORMULA/defaults.yaml or .json.
func defaultsGet(r *Renderer, c *py.Call) (py.Value, error) {
	formula, key, _ := strings.Cut(text(c.Args[0]), ":")
	if r.cfg.Files == nil {
		return nil, nil
	}
	for _, ext := range []string{"yaml", "json"} {
		f, err := r.cfg.Files.ReadFile(c.T.Context(), "base", path.Join(formula, "defaults."+ext))
		if err != nil {
			continue
		}
		load := saltyaml.Load
		if ext == "json" {
			load = pytext.ParseJSON
		}
		w, err := load(string(f.Data))
		if err != nil {
			return nil, py.Raise("CommandExecutionError", "salt://%s/defaults.%s: %v", formula, ext, err)
		}
		v, err := value.FromWire(w, false)
		if err != nil {
			return nil, err
		}
		if some, err := py.Truth(c.T, v); err != nil || !some {
			v = py.NewDict(0)
		}
		if key == "" {
			return v, nil
		}
		return traverse(c.T, v, key, c.Args[1])
	}
	if key == "" {
		return nil, nil
	}
	return nil, py.Raise("TypeError", "'NoneType' object is not subscriptable")
}

// ErrCall is the error of a call that may not be made this way.
var ErrCall = errors.New("wrong call")

type callError string

func (e callError) Error() string { return string(e) }

func (e callError) Is(target error) bool { return target == ErrCall }

// slsutilRenderer renders a text, or a file of the file server or this machine.
func slsutilRenderer(r *Renderer, c *py.Call) (py.Value, error) {
	kwargs := wire.NewMap()
	vars := map[string]any{}
	for k, v := range c.Args[3].(*py.Dict).All() {
		vars[text(k)] = v
	}
	for i, name := range []string{"path", "string"} {
		if u, ok := c.Args[i].(*py.Undefined); ok {
			return nil, u.Fail()
		} else if _, ok := py.AsString(c.Args[i]); !ok && c.Args[i] != nil {
			return nil, py.Raise("TypeError", "slsutil.renderer: %s must be text, not %s", name, py.TypeName(c.Args[i]))
		}
	}
	for k, v := range vars {
		kwargs.Set(k, v)
	}
	out, err := r.RenderFor(c.T.Context(), text(c.Args[0]), text(c.Args[1]), text(c.Args[2]), kwargs)
	var re *Error
	switch {
	case errors.As(err, &re):
		return nil, &py.Error{Type: "SaltRenderError", Msg: re.Error(), Err: err}
	case errors.Is(err, ErrCall):
		return nil, &py.Error{Type: "SaltInvocationError", Msg: err.Error(), Err: err}
	case err != nil:
		return nil, &py.Error{Type: "CommandExecutionError", Msg: err.Error(), Err: err}
	}
	return value.FromWire(out, true)
}

// RenderFor renders a file by its address, or a text, as slsutil.renderer does. vars are
// variables of the template, but for saltenv, sls and context. An error is *[Error]
// where it is about the file, ErrCall where it is about the call.
func (r *Renderer) RenderFor(ctx context.Context, file, str, pipe string, vars *wire.Map) (any, error) {
	switch {
	case file == "" && str == "":
		return nil, callError("Must pass either path or string")
	case file != "" && str != "":
		return nil, callError("Must not pass both path and string")
	}
	s := Source{Text: str, Env: "base", Pipe: pipe, Vars: map[string]any{}}
	for name, v := range vars.Strings() {
		str, _ := v.(string)
		switch {
		case name == "saltenv":
			s.Env = str
		case name == "sls":
			s.SLS = str
		case name == "context":
			if d, ok := v.(*wire.Map); ok {
				for k, v := range d.Strings() {
					s.Vars[k] = v
				}
			}
			if d, ok := v.(*py.Dict); ok {
				for k, v := range d.All() {
					s.Vars[text(k)] = v
				}
			}
		case strings.HasPrefix(name, "__pub_"):
		default:
			s.Vars[name] = v
		}
	}
	if str == "" {
		var err error
		if s.Text, s.Path, err = r.readURL(ctx, file, s.Env); err != nil {
			return nil, err
		}
	}
	out, err := r.Render(ctx, s)
	if err != nil {
		return nil, err
	}
	return out.Data, nil
}

// Serialize writes data by one of Salt's serializers.
func (r *Renderer) Serialize(ctx context.Context, kind string, obj any, opts *wire.Map) (any, error) {
	v, err := value.FromWire(obj, false)
	if err != nil {
		return nil, err
	}
	o, err := value.FromWire(opts, false)
	if err != nil {
		return nil, err
	}
	d, ok := o.(*py.Dict)
	if !ok {
		d = py.NewDict(0)
	}
	out, err := serialize(&py.Call{T: py.NewThread(ctx, r.cfg.Limits.Limits)}, kind, v, d)
	if err != nil {
		return nil, err
	}
	return value.ToWire(out)
}

// readURL reads a file by its address: salt://, or a path of this machine.
func (r *Renderer) readURL(ctx context.Context, url, env string) (data, where string, err error) {
	name, salt := strings.CutPrefix(url, "salt://")
	if !salt && !strings.HasPrefix(url, "/") && !strings.Contains(url, "://") {
		name, salt = url, true // as cp.get_url takes it
	}
	if salt {
		if n, e, ok := strings.Cut(name, "?saltenv="); ok {
			name, env = n, e
		}
		if r.cfg.Files == nil {
			return "", "", fmt.Errorf("there is no file server to read %s from", url)
		}
		f, err := r.cfg.Files.ReadFile(ctx, env, strings.TrimLeft(path.Clean("/"+name), "/"))
		if err != nil {
			return "", "", fmt.Errorf("%s is not on the file server in saltenv %s", url, env)
		}
		return string(f.Data), f.Path, nil
	}
	if r.cfg.ReadLocal == nil {
		return "", "", fmt.Errorf("%s cannot be read: only salt:// addresses can", url)
	}
	b, err := r.cfg.ReadLocal(ctx, url)
	if err != nil {
		return "", "", fmt.Errorf("read %s: %w", url, err)
	}
	return string(b), url, nil
}

// serialize writes data by one of Salt's serializers.
func serialize(c *py.Call, kind string, obj py.Value, opts *py.Dict) (py.Value, error) {
	on := func(name string, def bool) (bool, error) {
		v, ok := opts.GetStr(name)
		if !ok {
			return def, nil
		}
		return py.Truth(c.T, v)
	}
	switch kind {
	case "json":
		if err := onlyOptions(opts, "JSONEncoder.__init__()", "skipkeys", "ensure_ascii", "check_circular", "allow_nan", "sort_keys", "indent", "separators", "default", "cls"); err != nil {
			return nil, err
		}
		o := py.JSON{Raw: true}
		if v, ok := opts.GetStr("indent"); ok {
			o.Indent = v
		}
		if v, ok := opts.GetStr("separators"); ok && v != nil {
			pair := separators(v)
			if len(pair) != 2 {
				return nil, py.Raise("SerializationError", "separators: a list of two texts is expected, such as [\",\", \": \"]")
			}
			o.ItemSep, o.KeySep = pair[0], pair[1]
		}
		var err error
		if o.SortKeys, err = on("sort_keys", false); err != nil {
			return nil, err
		}
		ascii, err := on("ensure_ascii", false)
		if err != nil {
			return nil, err
		}
		o.Raw = !ascii
		s, err := o.Dump(c.T, obj)
		return s, serialError("SerializationError", err)
	case "yaml", "yamlex":
		return dumpYAML(c, obj, opts, on)
	case "toml", "tomlmod":
		return dumpTOML(c.T, obj)
	case "python":
		return dumpPython(c, obj, opts, on)
	}
	if !serial.Writes(kind) {
		return nil, py.Raise("CommandExecutionError", "Serializer '%s' not found.", kind)
	}
	v, err := value.ToWire(obj)
	if err != nil {
		return nil, err
	}
	ov, err := value.ToWire(opts)
	if err != nil {
		return nil, err
	}
	om, _ := ov.(*wire.Map)
	out, err := serial.Dump(kind, v, om)
	if err != nil {
		return nil, &py.Error{Type: "SerializationError", Msg: err.Error(), Err: err}
	}
	return value.FromWire(out, false)
}

func serialError(class string, err error) error {
	var pe *py.Error
	if errors.As(err, &pe) {
		return &py.Error{Type: class, Msg: pe.Msg, Err: err}
	}
	return err
}

// deserialize reads data by one of Salt's serializers.
func deserialize(kind string, v py.Value, opts *py.Dict) (py.Value, error) {
	if u, ok := v.(*py.Undefined); ok {
		return nil, u.Fail()
	}
	s, ok := py.AsString(v)
	if b, isBytes := v.(py.Bytes); isBytes {
		s, ok = string(b), true
	}
	load := map[string]func(string) (any, error){"json": pytext.ParseJSON, "yaml": saltyaml.Load}[kind]
	if serial.Reads(kind) {
		ov, err := value.ToWire(opts)
		if err != nil {
			return nil, err
		}
		om, _ := ov.(*wire.Map)
		load = func(s string) (any, error) { return serial.Load(kind, []byte(s), om) }
	}
	switch {
	case load == nil:
		return nil, py.Raise("CommandExecutionError", "Serializer '%s' not found.", kind)
	case !ok:
		return nil, py.Raise("DeserializationError", "text is expected, not %s", py.TypeName(v))
	}
	w, err := load(s)
	if err != nil {
		return nil, &py.Error{Type: "DeserializationError", Msg: saltyaml.Message(err), Err: err}
	}
	return value.FromWire(w, false)
}

// banner is a block of comment that warns of changes by hand.
func banner(_ *Renderer, c *py.Call) (py.Value, error) {
	width64, ok := py.AsInt(c.Args[0])
	if !ok || width64 > 10000 {
		return nil, py.Raise("TypeError", "width must be a number of columns up to 10000")
	}
	width := int(width64)
	comment, border := text(c.Args[1]), text(c.Args[2])
	str := func(v py.Value, def string) (string, error) {
		if v == nil {
			return def, nil
		}
		return py.Str(c.T, v)
	}
	title, err := str(c.Args[5], "THIS FILE IS MANAGED BY SALT - DO NOT EDIT")
	if err != nil {
		return nil, err
	}
	body, err := str(c.Args[6], "The contents of this file are managed by Salt. Any changes to this file may be overwritten automatically and without warning.")
	if err != nil {
		return nil, err
	}
	ledge := strings.TrimRightFunc(comment, pySpace)
	redge := strings.TrimFunc(comment, pySpace)
	lgutter, rgutter := ledge+" ", " "+redge
	n := func(s string) int { return len([]rune(s)) }
	textWidth := width - n(lgutter) - n(rgutter)
	if textWidth <= 0 {
		return nil, py.Raise("ArgumentValueError", "Width is too small to render banner")
	}
	if r := []rune(border); len(r) > 0 {
		border = string(r[:1])
	}
	borderLine := comment + strings.Repeat(border, max(0, width-n(ledge)-n(redge))) + redge
	spacer := comment + strings.Repeat(" ", max(0, width-2*n(comment))) + comment
	var block []string
	if c.Args[3] != nil {
		block = append(block, text(c.Args[3]))
	}
	block = append(block, borderLine, spacer)
	for _, line := range pytext.Wrap(title, textWidth, "", "") {
		free := textWidth - n(line)
		left := free/2 + free&textWidth&1
		block = append(block, lgutter+strings.Repeat(" ", left)+line+strings.Repeat(" ", free-left)+rgutter)
	}
	block = append(block, spacer)
	for _, line := range pytext.Wrap(body, textWidth, "", "") {
		block = append(block, lgutter+line+strings.Repeat(" ", textWidth-n(line))+rgutter)
	}
	block = append(block, borderLine)
	if c.Args[4] != nil {
		block = append(block, text(c.Args[4]))
	}
	out := strings.Join(block, "\n")
	newline, err := py.Truth(c.T, c.Args[7])
	if newline {
		out += "\n"
	}
	return out, err
}
