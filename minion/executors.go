package minion

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/heap"
	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/yamlarg"
	"github.com/gosalt/gosalt/protocol/wire"
)

// An executor runs a function in place of a plain call, or does something before it:
// done is false where the next executor of the list is to go on.
type executor func(ctx context.Context, e *execution) (res module.Result, done bool, err error)

// execution is one function to be run by executors.
type execution struct {
	m    *Minion
	call *module.Call
	fun  string
	args []any
	opts *wire.Map // executor_opts of the job
}

var executors = map[string]executor{
	"direct_call": directCall,
	"splay":       splay,
	"sudo":        sudo,
}

// noExecutor says why the others of Salt's are not there.
var noExecutor = map[string]string{
	"docker":               ": gosalt does not run functions inside containers; use docker.* once it is there, or a minion in the container",
	"transactional_update": ": gosalt does not run functions inside transactions of transactional-update; call the program with cmd.run",
}

// execute runs a function by the executors that the job names (module_executors),
// else by those of the configuration, else by a plain call. With sudo_user the last
// one of a job's is always sudo, as in Salt; gosalt-call runs as who called it.
func (m *Minion) execute(ctx context.Context, c *module.Call, names []any, opts *wire.Map, fun string, args []any, called bool) module.Result {
	if len(names) == 0 {
		for _, n := range m.cfg.ModuleExecutors {
			names = append(names, n)
		}
	}
	if len(names) == 0 {
		names = []any{"direct_call"}
	}
	if !called && m.cfg.SudoUser != "" && names[len(names)-1] != "sudo" {
		names = append(names[:len(names)-1:len(names)-1], "sudo")
	}
	if len(names) == 1 && names[0] == "direct_call" || !m.reg.Has(fun) {
		return m.reg.Run(ctx, c, fun, args, nil)
	}
	e := &execution{m: m, call: c, fun: fun, args: args, opts: opts}
	for _, n := range names {
		name := pytext.Str(n)
		run := executors[name]
		if run == nil || name == "sudo" && m.cfg.SudoUser == "" {
			why := noExecutor[name]
			if name == "sudo" {
				why = ": it needs sudo_user in the configuration of the minion"
			}
			return m.reg.Fail(c, fun, module.Invalidf("Executor '%s' is not available%s", name, why))
		}
		res, done, err := run(ctx, e)
		if err != nil {
			return m.reg.Fail(c, fun, err)
		}
		if done {
			return res
		}
	}
	return module.Result{Success: true} // as Salt: none of them called the function
}

func directCall(ctx context.Context, e *execution) (module.Result, bool, error) {
	return e.m.reg.Run(ctx, e.call, e.fun, e.args, nil), true, nil
}

// splay waits for a part of the time in the option splaytime that is the minion's
// own, always the same.
func splay(ctx context.Context, e *execution) (module.Result, bool, error) {
	v, ok := e.opts.Get("splaytime")
	if !ok {
		v = e.m.cfg.Splaytime
	}
	var seconds float64
	switch v := v.(type) {
	case int64:
		seconds = float64(v)
	case float64:
		seconds = v
	default:
		return module.Result{}, false, module.Invalidf("splaytime: a number of seconds expected, not %s", pytext.Repr(v))
	}
	if !(seconds > 0) || seconds > 366*86400 {
		return module.Result{}, false, module.Invalidf("splaytime must be a positive integer")
	}
	delay := time.Duration(splayDelay(string(e.m.id), seconds)) * time.Second
	e.call.Log.Debug("splay", "fun", e.fun, "delay", delay)
	t := time.NewTimer(delay)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return module.Result{}, false, context.Cause(ctx)
	case <-t.C:
		return module.Result{}, false, nil
	}
}

// splayDelay is a minion's part of a splay time in whole seconds. It is Salt's: the
// one-at-a-time hash of Bob Jenkins over the id chooses one of 8192 places.
func splayDelay(id string, seconds float64) int64 {
	var h uint32
	for _, b := range []byte(id) {
		h += uint32(b)
		h += h << 10
		h ^= h >> 6
	}
	h += h << 3
	h ^= h >> 11
	h += h << 15
	return int64(seconds * float64(h&8191) / 8192)
}

// sudo runs the function by gosalt-call as the user of the option sudo_user.
func sudo(ctx context.Context, e *execution) (module.Result, bool, error) {
	call, err := callProgram()
	if err != nil {
		return module.Result{}, false, module.Failf("%w", err)
	}
	args, err := e.words()
	if err != nil {
		return module.Result{}, false, err
	}
	env := os.Environ()
	h := e.call.Host
	if h == nil {
		h = &host.Host{}
	}
	// The arguments go by standard input: the list of processes shows command lines.
	cmd := host.Command{Args: []string{"sudo", "-n", "-u", e.m.cfg.SudoUser, "--", call, "--out", "json", "--out-indent=-1", "--metadata", "--no-return-event",
		"--log-level", "quiet", "-c", filepath.Dir(e.m.cfg.ConfFile), "--args-stdin"}, Dir: "/", Env: env, Stdin: []byte(strings.Join(args, "\n") + "\n")}
	exit, err := h.Run(ctx, cmd)
	if err != nil {
		return module.Result{}, false, module.Failf("sudo -u %s: %w", e.m.cfg.SudoUser, err)
	}
	if v, err := pytext.ParseJSON(strings.TrimSpace(string(exit.Stdout))); err == nil {
		if m, ok := v.(*wire.Map); ok && m.Map("local").Has("retcode") {
			m = m.Map("local")
			value, _ := m.Get("return")
			code := int(m.Int("retcode"))
			return module.Result{Return: value, Retcode: code, Success: code == 0, Out: m.Text("out")}, true, nil
		}
	}
	text := strings.TrimSpace(string(exit.Stderr))
	if text == "" {
		text = strings.TrimSpace(string(exit.Stdout))
	}
	if exit.Code == 0 {
		exit.Code = 1
	}
	return module.Result{Return: text, Retcode: exit.Code, Out: "nested"}, true, nil
}

// callProgram is the path of gosalt-call, which is installed beside this program.
func callProgram() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	call := filepath.Join(filepath.Dir(self), "gosalt-call")
	if _, err := os.Stat(call); err != nil {
		return "", fmt.Errorf("executor sudo runs gosalt-call, which is not beside %s: %w", self, err)
	}
	return call, nil
}

// words are the function and its arguments as lines of a command line that reads
// them as the values they are.
func (e *execution) words() ([]string, error) {
	words := []string{"--", e.fun}
	add := func(prefix string, v any) error {
		word, err := argWord(v)
		if err != nil {
			return err
		}
		words = append(words, prefix+word)
		return nil
	}
	for _, a := range e.args {
		if m, ok := a.(*wire.Map); ok && m.Bool("__kwarg__") {
			for k, v := range m.Strings() {
				if k == "__kwarg__" {
					continue
				}
				if err := add(k+"=", v); err != nil {
					return nil, err
				}
			}
			continue
		}
		if err := add("", a); err != nil {
			return nil, err
		}
	}
	return words, nil
}

// argWord is a value as one word of a command line, which is read as YAML. Text that
// has a # is kept as it is written, quotes and all, unless it is something else in YAML.
func argWord(v any) (string, error) {
	if text, ok := v.(string); ok && !strings.ContainsAny(text, "\n\r") && text == strings.TrimSpace(text) {
		back, err := yamlarg.Load(text)
		same := err != nil || back == any(text)
		if hash := strings.Contains(text, "#"); hash && !same {
			_, isText := back.(string)
			if same = isText || back == nil; !same {
				return "", module.Invalidf("executor sudo cannot hand on the argument %s", pytext.Repr(text))
			}
		}
		if same {
			return text, nil
		}
	}
	word, err := pytext.JSON(v, -1, false)
	if err != nil {
		return "", module.Invalidf("executor sudo cannot hand on an argument of %s: %v", wire.TypeName(v), err)
	}
	return word, nil
}

// executeJob runs a function of a job by the executors that the job names. What was
// encrypted in the pillar is not in the result.
func (m *Minion) executeJob(ctx context.Context, c *module.Call, job *wire.Job, fun string, args []any) module.Result {
	defer heap.Work()()
	return m.hide(m.execute(ctx, c, job.ModuleExecutors, job.ExecutorOpts, fun, args, false))
}

// executorNames reads a list of executors as a command line gives it: one name, or a
// list of them.
func executorNames(v any) []any {
	switch v := v.(type) {
	case []any:
		return v
	case nil:
		return nil
	}
	return []any{v}
}
