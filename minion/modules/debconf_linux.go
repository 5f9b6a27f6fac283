package modules

import (
	"context"
	"os"
	"strings"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("debconf.get_selections", debconfGetSelections)
	register("debconf.show", debconfShow)
	register("debconf.set", debconfSet)
	register("debconf.set_file", debconfSetFile)
	register("debconf.set_template", debconfSetTemplate)
}

// debconfHere tells whether the functions are there, as in Salt: the package
// debconf-utils has to be installed.
func debconfHere(c *module.Call) error {
	if pytext.Str(grainOf(c, "os_family")) != "Debian" || whichProgram("debconf-get-selections") == "" {
		return notHere(c)
	}
	return nil
}

var debconfLine = lazyre.New(`(?m)^([^#\s]\S+)[\t ]+(\S+)[\t ]+(\S+)[\t ]+([^\n]*)$`)

type debconfSelectionsArgs struct {
	Fetchempty bool `default:"True"` // Questions without an answer, too.
}

// debconfGetSelections returns the answers to the questions of all packages: lists of
// question, type and value by package.
//
//	gosalt '*' debconf.get_selections
func debconfGetSelections(ctx context.Context, c *module.Call, a debconfSelectionsArgs) (*wire.Map, error) {
	if err := debconfHere(c); err != nil {
		return nil, err
	}
	out, err := runTool(ctx, c, program{args: []string{"debconf-get-selections"}})
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap()
	for _, m := range debconfLine.FindAllStringSubmatch(out.out, -1) {
		if a.Fetchempty || m[4] != "" {
			ret.Set(m[1], append(ret.List(m[1]), any([]any{m[2], m[3], m[4]})))
		}
	}
	return ret, nil
}

type debconfShowArgs struct {
	Name string // Name of the package.
}

// debconfShow returns the answers to the questions of a package: lists of question, type
// and value, None where debconf does not know it.
//
//	gosalt '*' debconf.show tzdata
func debconfShow(ctx context.Context, c *module.Call, a debconfShowArgs) (any, error) {
	all, err := debconfGetSelections(ctx, c, debconfSelectionsArgs{true})
	if err != nil {
		return nil, err
	}
	return mapValue(all, a.Name), nil
}

type debconfSetArgs struct {
	Package  string // Name of the package.
	Question string // The question.
	Type     string // Its type: string, boolean, select, password …
	Value    any    // The answer.
	Extra    []any  `arg:"*"` // Further words of the answer.
}

// debconfSet answers a question of a package.
//
//	gosalt '*' debconf.set tzdata tzdata/Areas select Europe
func debconfSet(ctx context.Context, c *module.Call, a debconfSetArgs) (bool, error) {
	if err := debconfHere(c); err != nil {
		return false, err
	}
	words := []string{a.Package, a.Question, a.Type, pytext.Str(a.Value)}
	for _, e := range a.Extra {
		words = append(words, pytext.Str(e))
	}
	line := strings.Join(words, " ")
	if strings.Contains(line, "\n") {
		return false, module.Invalidf("an answer to debconf is one line")
	}
	return true, setDebconf(ctx, c, []byte(line))
}

// setDebconf hands answers over on standard input, since some are passwords.
func setDebconf(ctx context.Context, c *module.Call, text []byte) error {
	out, err := runTool(ctx, c, program{args: []string{"debconf-set-selections"}, stdin: text, env: aptEnv})
	if err == nil && !out.ok() {
		c.Log.Error("debconf-set-selections failed", "retcode", out.code)
	}
	return err
}

type debconfFileArgs struct {
	Path    string    // File with the answers, as debconf-set-selections takes it: a path or an address.
	Saltenv string    `default:"base"` // Environment of the file server.
	Kwargs  *wire.Map `arg:"**"`       // Not looked at.
}

// debconfSetFile answers questions with a file.
//
//	gosalt '*' debconf.set_file salt://pathto/pkg.selections
func debconfSetFile(ctx context.Context, c *module.Call, a debconfFileArgs) (bool, error) {
	if err := debconfHere(c); err != nil {
		return false, err
	}
	v, err := c.Call(ctx, "cp.cache_file", []any{a.Path, a.Saltenv}, nil)
	if err != nil {
		return false, err
	}
	path, ok := v.(string)
	if !ok || path == "" {
		return false, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return false, module.Failf("read the answers: %w", err)
	}
	return true, setDebconf(ctx, c, text)
}

type debconfTemplateArgs struct {
	Path     string    // File with the answers: an address.
	Template string    // How it is rendered: jinja.
	Context  any       // Values for the template, over the defaults.
	Defaults any       // Values for the template.
	Saltenv  string    `default:"base"` // Environment of the file server.
	Kwargs   *wire.Map `arg:"**"`       // Not looked at.
}

// debconfSetTemplate answers questions with a file that is rendered first.
//
//	gosalt '*' debconf.set_template salt://pathto/pkg.selections.jinja jinja None None
func debconfSetTemplate(ctx context.Context, c *module.Call, a debconfTemplateArgs) (bool, error) {
	if err := debconfHere(c); err != nil {
		return false, err
	}
	f, err := os.CreateTemp("", "debconf-*")
	if err != nil {
		return false, module.Failf("make a file for the answers: %w", err)
	}
	_ = f.Close()
	defer os.Remove(f.Name())
	v, err := c.Call(ctx, "cp.get_template", nil, wire.NewMap("path", a.Path, "dest", f.Name(), "template", a.Template,
		"saltenv", a.Saltenv, "context", a.Context, "defaults", a.Defaults))
	if err != nil || !module.Truth(v) {
		return false, err
	}
	text, err := os.ReadFile(f.Name())
	if err != nil {
		return false, module.Failf("read the answers: %w", err)
	}
	return true, setDebconf(ctx, c, text)
}
