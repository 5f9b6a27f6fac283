package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

// verdict is what a condition comes to.
type verdict struct {
	skip    bool // the state is not run
	comment string
	noWatch bool // nor because of a watch
}

// conditions looks at onlyif, unless and creates. It returns the result of a state
// that is not run because of them, or nil. Its comment is a list; see lines.
func (r *Runner) conditions(ctx context.Context, c *states.Call) (*wire.Map, error) {
	low := c.Low
	if !low.Has("onlyif") && !low.Has("unless") && !low.Has("creates") || r.reg.Hooks(low.Text("state")).Checks {
		return nil, nil
	}
	var comments []any
	skip, noWatch := false, false
	opts := commandOptions(c)
	for _, check := range []struct {
		key string
		do  func(context.Context, *states.Call, *wire.Map) (verdict, error)
	}{{"onlyif", r.onlyIf}, {"unless", r.unless}, {"creates", r.creates}} {
		if !low.Has(check.key) {
			continue
		}
		v, err := check.do(ctx, c, opts)
		if err != nil {
			return nil, err
		}
		skip, noWatch = skip || v.skip, noWatch || v.noWatch
		r.note(low, "%s: %s: %s", check.key, pytext.Repr(get(low, check.key)), v.comment)
		comments = append(comments, v.comment)
	}
	if !skip {
		return nil, nil
	}
	res := wire.NewMap("result", true, "name", get(low, "name"), "changes", wire.NewMap(), "comment", comments)
	name(res, low)
	if noWatch {
		res.Set("skip_watch", true)
	}
	return res, nil
}

// lines makes the text of a comment that is a list of lines, and returns it as it was for
// the retries, which Salt lets quote the list.
func lines(res *wire.Map) (before string) {
	before = pytext.Str(get(res, "comment"))
	if l, ok := get(res, "comment").([]any); ok {
		text := make([]string, len(l))
		for i, v := range l {
			text[i] = pytext.Str(v)
		}
		res.Set("comment", strings.Join(text, "\n"))
	}
	return before
}

// global looks at global_state_conditions of the configuration: targets by state. It
// returns the result of a state that none of its targets lets run, or nil.
func (r *Runner) global(ctx context.Context, c *states.Call) *wire.Map {
	r.conditionsOnce.Do(func() {
		if v, err := c.Call.Call(ctx, "config.option", []any{"global_state_conditions"}, nil); err == nil {
			r.globalConditions, _ = v.(*wire.Map)
		}
	})
	low := c.Low
	asked, fits := false, false
	for state, cond := range r.globalConditions.Strings() {
		if state != "*" && state != low.Text("state") && state != low.Text("state")+"."+low.Text("fun") {
			continue
		}
		list, ok := cond.([]any)
		if !ok {
			list = []any{cond}
		}
		for _, expr := range list {
			asked = true
			got, err := c.Call.Call(ctx, "match.compound", []any{expr}, nil)
			fits = fits || err == nil && module.Truth(got)
		}
	}
	if !asked || fits {
		return nil
	}
	return wire.NewMap("name", get(low, "name"), "comment", "Failed to meet global state conditions. State not called.",
		"changes", wire.NewMap(), "result", nil)
}

// commandOptions are those of the chunk's own command that its conditions share.
func commandOptions(c *states.Call) *wire.Map {
	opts := wire.NewMap("ignore_retcode", true, "python_shell", true)
	exclude := c.Low.List("cmd_opts_exclude")
	if s := c.Low.Text("cmd_opts_exclude"); s != "" {
		exclude = []any{s}
	}
	excluded := func(key string) bool {
		for _, v := range exclude {
			if v == key {
				return true
			}
		}
		return false
	}
	for _, key := range []string{"cwd", "root", "runas", "env", "prepend_path", "timeout", "success_retcodes", "shell"} {
		if v := get(c.Low, key); v != nil && !excluded(key) {
			opts.Set(key, v)
		}
	}
	if c.Umask >= 0 && !excluded("umask") {
		opts.Set("umask", host.UmaskText(c.Umask))
	}
	if !opts.Has("shell") {
		if shell := c.Grains().Text("shell"); shell != "" {
			opts.Set("shell", shell)
		}
	}
	return opts
}

// list makes a list of a single thing.
func list(v any) []any {
	if l, ok := v.([]any); ok {
		return l
	}
	return []any{v}
}

// retcode runs a command of a condition. failed is the code where it cannot be run.
func (r *Runner) retcode(ctx context.Context, c *states.Call, cmd string, opts *wire.Map, failed int64) (int64, error) {
	v, err := c.Call.Call(ctx, "cmd.retcode", []any{cmd}, opts)
	var e *module.Error
	if errors.As(err, &e) && (e.Kind == module.Failed || e.Kind == module.NoCommand) {
		return failed, nil
	}
	n, _ := v.(int64)
	return n, err
}

// says runs a condition that is a function: {fun: ..., args: [...], get_return: ...,
// further keywords}. told is false with a comment where it is none.
func (r *Runner) says(ctx context.Context, c *states.Call, kind string, entry *wire.Map) (truth, told bool, comment string, err error) {
	fun, ok := get(entry, "fun").(string)
	if !ok {
		return false, false, fmt.Sprintf("no `fun` argument in %s: %s", kind, pytext.Repr(entry)), nil
	}
	kwargs := wire.NewMap()
	for k, v := range entry.Strings() {
		if k != "fun" && k != "args" && k != "get_return" {
			w, err := r.slots(ctx, c, v)
			if err != nil {
				return false, false, "", err
			}
			kwargs.Set(k, w)
		}
	}
	args := entry.List("args")
	if s, ok := get(entry, "args").(string); ok {
		args = []any{s}
	}
	slotted, err := r.slots(ctx, c, args)
	if err != nil {
		return false, false, "", err
	}
	args, _ = slotted.([]any)
	c.SetRetcode(0)
	v, err := c.Call.Call(ctx, fun, args, kwargs)
	if err != nil {
		return false, false, "", fmt.Errorf("%s: %s: %w", kind, fun, err)
	}
	if path := entry.Text("get_return"); path != "" {
		v, _ = target.Traverse(v, path, ":")
	}
	if code := c.Retcode(); code != 0 {
		c.SetRetcode(0)
		return false, true, "", nil
	}
	return module.Truth(v), true, "", nil
}

// onlyIf: the state is run when all conditions hold.
func (r *Runner) onlyIf(ctx context.Context, c *states.Call, opts *wire.Map) (verdict, error) {
	v := verdict{comment: "onlyif condition is true"}
	for _, entry := range list(get(c.Low, "onlyif")) {
		holds := false
		switch e := entry.(type) {
		case string:
			code, err := r.retcode(ctx, c, e, opts, 100)
			if err != nil {
				return v, err
			}
			holds = code == 0
		case *wire.Map:
			truth, told, comment, err := r.says(ctx, c, "onlyif", e)
			if err != nil || !told {
				return verdict{comment: comment}, err
			}
			holds = truth
		default:
			return verdict{comment: "onlyif execution failed, bad type passed"}, nil
		}
		if !holds {
			return verdict{skip: true, comment: "onlyif condition is false", noWatch: true}, nil
		}
	}
	return v, nil
}

// unless: the state is not run when all conditions hold.
func (r *Runner) unless(ctx context.Context, c *states.Call, opts *wire.Map) (verdict, error) {
	v := verdict{comment: "unless condition is false"}
	for _, entry := range list(get(c.Low, "unless")) {
		holds := false
		switch e := entry.(type) {
		case string:
			code, err := r.retcode(ctx, c, e, opts, 0)
			if err != nil {
				return v, err
			}
			holds = code == 0
		case *wire.Map:
			truth, told, comment, err := r.says(ctx, c, "unless", e)
			if err != nil || !told {
				return verdict{comment: comment}, err
			}
			holds = truth
		default:
			v = verdict{comment: "unless condition is false, bad type passed"}
			continue
		}
		if !holds {
			return verdict{comment: "unless condition is false"}, nil
		}
		v = verdict{skip: true, comment: "unless condition is true", noWatch: true}
	}
	return v, nil
}

// creates: the state is not run when all files are there.
func (r *Runner) creates(_ context.Context, c *states.Call, _ *wire.Map) (verdict, error) {
	exists := func(path string) bool {
		_, err := os.Stat(c.Host.Path(path))
		return err == nil
	}
	switch v := get(c.Low, "creates").(type) {
	case string:
		if exists(v) {
			return verdict{skip: true, comment: v + " exists", noWatch: true}, nil
		}
	case []any:
		all := true
		for _, p := range v {
			s, ok := p.(string)
			all = all && ok && exists(s)
		}
		if all {
			return verdict{skip: true, comment: "All files in creates exist", noWatch: true}, nil
		}
	}
	return verdict{comment: "Creates files not found"}, nil
}

// checkCmd lets commands decide whether a state that was run has succeeded.
func (r *Runner) checkCmd(ctx context.Context, c *states.Call, res *wire.Map) error {
	opts := wire.NewMap("ignore_retcode", true, "python_shell", true)
	if shell := c.Grains().Text("shell"); shell != "" {
		opts.Set("shell", shell)
	}
	name(res, c.Low)
	res.Set("result", false) // what stays, with Salt, where there are no commands
	for _, entry := range list(get(c.Low, "check_cmd")) {
		cmd, ok := entry.(string)
		if !ok {
			return fmt.Errorf("check_cmd: a command is expected, not %s", pytext.Repr(entry))
		}
		code, err := r.retcode(ctx, c, cmd, opts, 100)
		if err != nil {
			return err
		}
		res.Set("result", code == 0)
		res.Set("comment", "check_cmd determined the state succeeded")
		if code != 0 {
			res.Set("comment", "check_cmd determined the state failed")
			return nil
		}
	}
	return nil
}
