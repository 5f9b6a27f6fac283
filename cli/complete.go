package cli

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gosalt/gosalt/cli/output"
	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/internal/optparse"
	"github.com/gosalt/gosalt/protocol/control"
	"github.com/gosalt/gosalt/protocol/wire"
)

// completePatience is how long somebody who pressed Tab waits for a master.
const completePatience = time.Second

// Completing answers a shell that asks how a command line may go on; done is false
// where the command line is no such question. functions are those of a program that
// runs them itself, with their arguments; nil asks the master.
func Completing(io IO, args []string, functions func(name string) []optparse.Candidate) (code int, done bool) {
	if len(args) < 2 || args[0] != optparse.CompleteOption {
		return 0, false
	}
	p, err := parserOf(canonical(io.Prog))
	if err != nil {
		return OK.Code(false), true
	}
	c := &completer{io: io, functions: functions}
	return p.AnswerShell(io.Out, args[1:], c.more), true
}

// canonical is a program's own name where it is called by Salt's.
func canonical(prog string) string { return "go" + strings.TrimPrefix(prog, "go") }

// completer knows what stands where on the command line of one program.
type completer struct {
	io        IO
	functions func(name string) []optparse.Candidate
	u         optparse.Unfinished
	words     []string
}

// more completes what the options alone do not tell.
func (c *completer) more(u optparse.Unfinished, words []string) (found []optparse.Candidate, files bool) {
	c.u, c.words = u, words
	if u.Value == nil {
		return c.argument()
	}
	found, files = valuesOf(u.Value)
	if found == nil {
		if found = c.optionValue(); found != nil {
			files = false
		}
	}
	return found, files
}

// valuesOf are the values that an option is known to take; files says that it takes
// the name of a file.
func valuesOf(o *optparse.Option) (found []optparse.Candidate, files bool) {
	long := strings.Join(o.Names, " ")
	switch o.Dest {
	case "output":
		for _, name := range output.Names() {
			found = append(found, optparse.Candidate{Text: name})
		}
	case "state_output":
		for _, name := range []string{"full", "terse", "mixed", "changes", "filter", "full_id", "terse_id", "mixed_id", "changes_id", "filter_id"} {
			found = append(found, optparse.Candidate{Text: name})
		}
	case "state_verbose", "rotate_aes_key", "preserve_minions":
		found = []optparse.Candidate{{Text: "True"}, {Text: "False"}}
	}
	for _, part := range []string{"file", "dir", "path", "root", "priv", "pub"} {
		files = files || strings.Contains(long, part)
	}
	return found, files
}

// optionValue are the values of an option that depend on this installation.
func (c *completer) optionValue() []optparse.Candidate {
	if canonical(c.io.Prog) != "gosalt-key" {
		return nil
	}
	dirs := map[string][]string{
		"accept": {"minions_pre"}, "reject": {"minions_pre"}, "delete": {"minions", "minions_pre", "minions_rejected", "minions_denied"},
		"print": {"minions", "minions_pre", "minions_rejected", "minions_denied"}, "finger": {"minions", "minions_pre", "minions_rejected", "minions_denied"},
	}[c.u.Value.Dest]
	for option, dir := range map[string]string{"--include-accepted": "minions", "--include-rejected": "minions_rejected", "--include-denied": "minions_denied"} {
		if slices.Contains(c.u.On, option) {
			dirs = append(dirs, dir)
		}
	}
	cfg := c.master()
	if cfg == nil {
		return nil
	}
	var found []optparse.Candidate
	for _, dir := range dirs {
		entries, err := os.ReadDir(filepath.Join(cfg.PKIDir, dir))
		if err != nil {
			continue
		}
		for _, e := range entries {
			found = append(found, optparse.Candidate{Text: e.Name(), Help: strings.TrimPrefix(dir, "minions_")})
		}
	}
	return found
}

// master is the configuration of the master that the command line is about, or nil.
func (c *completer) master() *config.Master {
	dir := c.io.env("SALT_CONFIG_DIR")
	if dir == "" {
		dir = DefaultConfigDir
	}
	for i, w := range c.words {
		switch {
		case (w == "-c" || w == "--config-dir") && i+1 < len(c.words):
			dir = c.words[i+1]
		case strings.HasPrefix(w, "--config-dir="):
			dir = strings.TrimPrefix(w, "--config-dir=")
		}
	}
	cfg, _, err := config.LoadMaster(c.io.expandUser(dir))
	if err != nil {
		return nil
	}
	return cfg
}

// names asks the master for names; where none answers at once there are none.
func (c *completer) names(what, fun string) []optparse.Candidate {
	cfg := c.master()
	if cfg == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), completePatience)
	defer cancel()
	s := &masterSession{io: c.io, opts: &CommonOptions{}, cfg: cfg}
	var found []optparse.Candidate
	_ = s.ask(ctx, wire.NewMap("op", control.OpNames, "what", what, "fun", fun), func(f *wire.Map) error {
		for _, v := range f.List("return") {
			if pair, ok := v.([]any); ok && len(pair) == 2 {
				text, _ := pair[0].(string)
				help, _ := pair[1].(string)
				found = append(found, optparse.Candidate{Text: text, Help: help})
			}
		}
		return nil
	})
	return found
}

// argument completes a word that is no option.
func (c *completer) argument() (found []optparse.Candidate, files bool) {
	args := c.u.Args
	on := func(names ...string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return slices.Contains(c.u.On, n) })
	}
	switch canonical(c.io.Prog) {
	case "gosalt":
		switch len(args) {
		case 0:
			return c.target(on), false
		case 1:
			return c.function(c.remoteFunctions), false
		}
		return c.arguments(args[1], c.remoteArguments), true
	case "gosalt-cp":
		if len(args) == 0 {
			return c.target(on), false
		}
		return nil, true
	case "gosalt-run":
		if len(args) == 0 {
			runners := c.names("runners", "")
			return append(runners, optparse.Candidate{Text: "doctor", Help: "Look for what is wrong on both sides"}), false
		}
		if args[0] == "doctor" {
			return c.names("minions", ""), false
		}
		return c.arguments(args[0], func(fun string) []optparse.Candidate { return c.names("runner arguments", fun) }), true
	case "gosalt-call":
		if c.functions == nil {
			return nil, true
		}
		if len(args) == 0 {
			return c.function(func() []optparse.Candidate { return c.functions("") }), false
		}
		return c.arguments(args[0], c.functions), true
	}
	return nil, false
}

// target completes the target by what kind of target was chosen.
func (c *completer) target(on func(...string) bool) []optparse.Candidate {
	switch {
	case on("-N", "--nodegroup"):
		var found []optparse.Candidate
		if cfg := c.master(); cfg != nil {
			for name := range cfg.Nodegroups.Strings() {
				found = append(found, optparse.Candidate{Text: name, Help: "node group"})
			}
		}
		return found
	case on("-L", "--list"):
		return c.afterComma(c.names("minions", ""))
	case on("-G", "--grain", "-P", "--grain-pcre", "-I", "--pillar", "-J", "--pillar-pcre", "-S", "--ipcidr", "-C", "--compound", "-E", "--pcre", "-R", "--range"):
		return nil
	}
	return c.names("minions", "")
}

// afterComma completes the last of several names with commas between them.
func (c *completer) afterComma(names []optparse.Candidate) []optparse.Candidate {
	before := c.u.Word[:strings.LastIndexByte(c.u.Word, ',')+1]
	out := slices.Clone(names)
	for i := range out {
		out[i].Text = before + out[i].Text
	}
	return out
}

func (c *completer) function(all func() []optparse.Candidate) []optparse.Candidate {
	return c.afterComma(all())
}

func (c *completer) remoteFunctions() []optparse.Candidate { return c.names("functions", "") }

func (c *completer) remoteArguments(fun string) []optparse.Candidate {
	return c.names("arguments", fun)
}

// arguments are the keywords of a function that have not been given.
func (c *completer) arguments(fun string, of func(string) []optparse.Candidate) []optparse.Candidate {
	if strings.Contains(fun, ",") || strings.Contains(c.u.Word, "=") {
		return nil
	}
	var out []optparse.Candidate
	for _, a := range of(fun) {
		if !slices.ContainsFunc(c.u.Args, func(w string) bool { return strings.HasPrefix(w, a.Text+"=") }) {
			out = append(out, optparse.Candidate{Text: a.Text + "=", Help: a.Help})
		}
	}
	return out
}
