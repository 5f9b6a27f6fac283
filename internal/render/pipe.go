package render

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/dictmerge"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/render/saltyaml"
	"github.com/gosalt/gosalt/protocol/wire"
)

// step is one renderer of a pipe with its arguments.
type step struct {
	name string
	args string
	run  renderer
}

// renderer changes what goes through a pipe.
type renderer func(ctx context.Context, r *Renderer, s *Source, args string, d *data) error

// renderer finds a renderer by its name.
func (r *Renderer) renderer(name string) renderer {
	switch name {
	case "jinja":
		return renderJinja
	case "yaml":
		return renderYAML
	case "json":
		return renderJSON
	case "py":
		return renderPy
	case "starlark":
		return renderStarlark
	case "yamlex":
		return renderYAMLEx
	case "stateconf":
		return renderStateconf
	case "text":
		return func(context.Context, *Renderer, *Source, string, *data) error { return nil }
	}
	extra := r.cfg.Renderers[name]
	if extra == nil {
		return nil
	}
	return func(ctx context.Context, _ *Renderer, s *Source, args string, d *data) error {
		var in any = d.text
		if !d.isText {
			in = d.value
		}
		out, err := extra(ctx, *s, args, in)
		if err != nil {
			return err
		}
		if text, ok := out.(string); ok {
			d.text, d.isText = text, true
		} else {
			d.set(out)
		}
		return nil
	}
}

// Renderers lists the names that a pipe may hold.
func (r *Renderer) Renderers() []string {
	out := []string{"jinja", "json", "py", "starlark", "stateconf", "text", "yaml", "yamlex"}
	out = append(out, slices.Collect(maps.Keys(r.cfg.Renderers))...)
	slices.Sort(out)
	return out
}

// unmade are Salt's renderers that are not here.
var unmade = []string{"aws_kms", "cheetah", "dson", "genshi", "hjson", "json5", "mako", "msgpack", "nacl", "pass", "pydsl", "pyobjects", "tomlmod", "toml", "wempy"}

// oldStyle are names of pairs from before there were pipes.
var oldStyle = map[string]string{
	"yaml_jinja": "jinja|yaml", "yamlex_jinja": "jinja|yamlex", "yaml_mako": "mako|yaml", "yaml_wempy": "wempy|yaml",
	"json_jinja": "jinja|json", "json_mako": "mako|json", "json_wempy": "wempy|json",
}

// pipe reads the pipe that a source names, or the default.
func (r *Renderer) pipe(s Source) ([]step, error) {
	pipe := s.Pipe
	if pipe == "" {
		if pipe = r.cfg.Opts.Text("renderer"); pipe == "" {
			pipe = "jinja|yaml"
		}
	}
	line := 0
	if first, _, _ := strings.Cut(s.Text, "\n"); strings.HasPrefix(first, "#!") && !strings.HasPrefix(first, "#!/") {
		pipe, line = strings.TrimSpace(first)[2:], 1
	}
	if long, ok := oldStyle[pipe]; ok {
		pipe = long
	}
	white, black := s.Whitelist, s.Blacklist
	if white == nil && black == nil {
		white, black = r.texts("renderer_whitelist"), r.texts("renderer_blacklist")
	}
	var steps []step
	for part := range strings.SplitSeq(pipe, "|") {
		name, args, _ := strings.Cut(strings.TrimSpace(part), " ")
		if len(white) > 0 && !slices.Contains(white, name) || slices.Contains(black, name) {
			r.cfg.Log.Warn("a renderer is not allowed by the configuration and left out", "renderer", name, "file", s.name())
			continue
		}
		run := r.renderer(name)
		if run == nil {
			e := &Error{Name: s.name(), Line: line, Buffer: s.Text}
			if e.Line == 0 {
				e.Buffer = ""
			}
			e.Msg = fmt.Sprintf("The renderer %q is not available", pipe)
			if slices.Contains(unmade, name) {
				e.Msg += fmt.Sprintf(": %s is one of Salt's that gosalt does not have", name)
			} else if name != pipe {
				e.Msg += fmt.Sprintf(": there is no %q", name)
			}
			e.Msg += "; there are " + strings.Join(r.Renderers(), ", ")
			return nil, e
		}
		steps = append(steps, step{name, strings.TrimSpace(args), run})
	}
	return steps, nil
}

// texts is an option that is a list of names.
func (r *Renderer) texts(option string) []string {
	var out []string
	for _, v := range r.cfg.Opts.List(option) {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

func renderYAML(_ context.Context, r *Renderer, s *Source, _ string, d *data) error {
	if !d.isText {
		return nil
	}
	doc, err := saltyaml.Parse(d.text, saltyaml.DefaultLimits)
	if err != nil {
		return yamlError(err, s, d.text)
	}
	d.doc = doc
	if truth(doc.Value) {
		d.set(doc.Value)
	} else {
		d.set(wire.NewMap())
	}
	return nil
}

// yamlError tells where in the rendered text a mistake is.
func yamlError(err error, s *Source, text string) error {
	e := &Error{Msg: saltyaml.Message(err), Name: s.name(), Err: err}
	var ye *saltyaml.Error
	if errors.As(err, &ye) && ye.At.Line > 0 {
		e.Column = ye.At.Column
		e.Note = fmt.Sprintf("line %d, column %d of the rendered text:\n%s", ye.At.Line, ye.At.Column, excerpt(text, ye.At.Line))
		if lines := pytext.SplitLines(text, false); ye.At.Line <= len(lines) {
			if blank := lines[ye.At.Line-1]; strings.ContainsRune(blank[:len(blank)-len(strings.TrimLeft(blank, " \t"))], '\t') {
				e.Note += "\nThere is a tab at the beginning of that line: YAML takes spaces alone."
			}
		}
	}
	return e
}

// renderYAMLEx is YAML whose values may say how they are merged.
func renderYAMLEx(_ context.Context, _ *Renderer, s *Source, _ string, d *data) error {
	if !d.isText {
		return nil
	}
	v, err := saltyaml.LoadAggregate(d.text)
	if err != nil {
		return yamlError(err, s, d.text)
	}
	if plain := dictmerge.Plain(v); truth(plain) {
		d.set(plain)
		d.marked = v
	} else {
		d.set(wire.NewMap())
	}
	return nil
}

func renderJSON(_ context.Context, _ *Renderer, s *Source, _ string, d *data) error {
	if !d.isText {
		return nil
	}
	v, err := saltyaml.RenderJSON(d.text)
	if err != nil {
		e := &Error{Msg: err.Error(), Name: s.name(), Err: err}
		if je, ok := err.(*pytext.JSONError); ok {
			e.Line, e.Column, e.Buffer = je.Line, je.Column, d.text
		}
		return e
	}
	d.set(v)
	return nil
}
