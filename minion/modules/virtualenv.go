package modules

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pep440"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("virtualenv.create", virtualenvCreate)
	register("virtualenv.get_site_packages", virtualenvGetSitePackages)
	register("virtualenv.get_distribution_path", virtualenvGetDistributionPath)
	register("virtualenv.get_resource_path", virtualenvGetResourcePath)
	register("virtualenv.get_resource_content", virtualenvGetResourceContent)
	register("virtualenv.virtualenv_ver", virtualenvVer)
}

type virtualenvCreateArgs struct {
	Path               string    // Where it is made.
	VenvBin            string    `default:"None"`  // The program: virtualenv, or venv for the module of Python; the pillar or the configuration has venv_bin.
	SystemSitePackages bool      `default:"False"` // The packages of the system can be used in it.
	Distribute         bool      `default:"False"` // Of old versions of virtualenv.
	Clear              bool      `default:"False"` // Remove what is there first.
	Python             string    `default:"None"`  // The Python of the environment (virtualenv).
	ExtraSearchDir     any       `default:"None"`  // Directories with packages: a list, or a text with commas (virtualenv).
	NeverDownload      any       `default:"None"`  // Download nothing (virtualenv).
	Prompt             string    `default:"None"`  // What the shell shows (virtualenv).
	Pip                bool      `default:"False"` // Without effect: what makes an environment today puts pip into it.
	Symlinks           any       `default:"None"`  // Links in place of copies (venv).
	Upgrade            any       `default:"None"`  // For a newer Python (venv).
	User               string    `default:"None"`  // Who makes it.
	UseVt              bool      `default:"False"` // Without effect.
	Saltenv            string    `default:"base"`  // Without effect.
	Kwargs             *wire.Map `arg:"**"`        // Arguments of cmd.run_all.
}

// venvBin is the program that makes environments.
func venvBin(c *module.Call, given string) string {
	if given != "" {
		return given
	}
	if v := c.Pillar().Text("venv_bin"); v != "" {
		return v
	}
	if v := c.Opts.Text("venv_bin"); v != "" {
		return v
	}
	for _, name := range []string{"virtualenv", "virtualenv3"} {
		if which(name) != "" {
			return name
		}
	}
	return "venv"
}

// virtualenvCreate makes a virtual environment, and returns what cmd.run_all does.
//
//	gosalt '*' virtualenv.create /path/to/new/virtualenv
func virtualenvCreate(ctx context.Context, c *module.Call, a virtualenvCreateArgs) (*wire.Map, error) {
	bin := venvBin(c, a.VenvBin)
	cmd := []string{bin}
	if bin == "venv" {
		python := which("python3")
		if python == "" {
			python = which("python")
		}
		if python == "" {
			return nil, module.NoCommandf("python3 is not installed: virtualenv.create needs it, or virtualenv")
		}
		cmd = []string{python, "-m", "venv"}
	}
	dirs, isText := a.ExtraSearchDir, false
	if s, ok := dirs.(string); ok {
		isText = strings.TrimSpace(s) != ""
	}
	if !strings.Contains(bin, "venv") {
		if a.Upgrade != nil {
			return nil, module.Failf("The `upgrade`(`--upgrade`) option is not supported by '%s'", bin)
		}
		if a.Symlinks != nil {
			return nil, module.Failf("The `symlinks`(`--symlinks`) option is not supported by '%s'", bin)
		}
		if _, err := virtualenvVer(ctx, c, virtualenvVerArgs{VenvBin: bin, User: a.User}); err != nil {
			return nil, err
		}
		if strings.TrimSpace(a.Python) != "" {
			if which(a.Python) == "" {
				return nil, module.Failf("Cannot find requested python (%s).", a.Python)
			}
			cmd = append(cmd, "--python="+a.Python)
		}
		for _, d := range pipWords(dirs) {
			cmd = append(cmd, "--extra-search-dir="+d)
		}
		if a.NeverDownload == true {
			cmd = append(cmd, "--never-download")
		}
		if strings.TrimSpace(a.Prompt) != "" {
			cmd = append(cmd, "--prompt='"+a.Prompt+"'")
		}
	} else {
		for _, o := range []struct {
			name, opt string
			given     bool
		}{{"python", "--python", strings.TrimSpace(a.Python) != ""}, {"extra_search_dir", "--extra-search-dir", isText},
			{"never_download", "--never-download", a.NeverDownload != nil}, {"prompt", "--prompt", strings.TrimSpace(a.Prompt) != ""}} {
			if o.given {
				return nil, module.Failf("The `%s`(`%s`) option is not supported by '%s'", o.name, o.opt, bin)
			}
		}
		if a.Upgrade == true {
			cmd = append(cmd, "--upgrade")
		}
		if a.Symlinks == true {
			cmd = append(cmd, "--symlinks")
		}
	}
	if a.Clear {
		cmd = append(cmd, "--clear")
	}
	if a.SystemSitePackages {
		cmd = append(cmd, "--system-site-packages")
	}
	kw := plainKwargs(a.Kwargs)
	kw.Set("python_shell", false)
	if a.User != "" {
		kw.Set("runas", a.User)
	}
	v, err := c.Call(ctx, "cmd.run_all", []any{anyList(append(cmd, a.Path))}, kw)
	if err != nil {
		return nil, err
	}
	return v.(*wire.Map), nil
}

type virtualenvVerArgs struct {
	VenvBin string    // The program virtualenv.
	User    string    `default:"None"` // Who runs it.
	Kwargs  *wire.Map `arg:"**"`       // Not looked at.
}

var virtualenvNumber = lazyre.New(`^\d+\.\d[\w.]*$`)

// virtualenvVer returns the version of virtualenv as a list of numbers.
//
//	gosalt '*' virtualenv.virtualenv_ver virtualenv
func virtualenvVer(ctx context.Context, c *module.Call, a virtualenvVerArgs) ([]any, error) {
	kw := wire.NewMap("python_shell", false, "redirect_stderr", true)
	if a.User != "" {
		kw.Set("runas", a.User)
	}
	v, err := c.Call(ctx, "cmd.run_all", []any{[]any{a.VenvBin, "--version"}}, kw)
	if err != nil {
		return nil, err
	}
	ret := v.(*wire.Map)
	for _, w := range strings.Fields(ret.Text("stdout")) {
		if _, err := pep440.Parse(w); err != nil || !virtualenvNumber.MatchString(w) || ret.Int("retcode") != 0 {
			continue
		}
		var out []any
		for _, n := range regexp.MustCompile(`\d+`).FindAllString(regexp.MustCompile(`(rc|\+ds).*$`).ReplaceAllString(w, ""), -1) {
			i, _ := pytext.ParseJSON(strings.TrimLeft(n[:len(n)-1], "0") + n[len(n)-1:])
			out = append(out, i)
		}
		return out, nil
	}
	return nil, module.Failf("Unable to get the virtualenv version output using '%s'. Returned data: %s", pytext.Repr([]any{a.VenvBin, "--version"}), pytext.Repr(ret))
}

type virtualenvArgs struct {
	Venv string // Path of the environment.
}

// virtualenvGetSitePackages returns the directory of the packages of an environment.
//
//	gosalt '*' virtualenv.get_site_packages /path/to/my/venv
func virtualenvGetSitePackages(ctx context.Context, c *module.Call, a virtualenvArgs) (string, error) {
	return virtualenvPython(ctx, c, a.Venv, `import sysconfig; print(sysconfig.get_path("purelib"))`)
}

type virtualenvDistributionArgs struct {
	Venv         string // Path of the environment.
	Distribution string // Name of a package.
}

// virtualenvGetDistributionPath returns the directory that a package is installed in.
//
//	gosalt '*' virtualenv.get_distribution_path /path/to/my/venv my_distribution
func virtualenvGetDistributionPath(ctx context.Context, c *module.Call, a virtualenvDistributionArgs) (string, error) {
	return virtualenvPython(ctx, c, a.Venv, "import sys, pkg_resources; print(pkg_resources.get_distribution(sys.argv[1]).location)", a.Distribution)
}

type virtualenvResourceArgs struct {
	Venv     string // Path of the environment.
	Package  string `default:"None"` // Name of a package.
	Resource string `default:"None"` // Path of a file in it.
}

// virtualenvGetResourcePath returns the path of a file that belongs to a package.
//
//	gosalt '*' virtualenv.get_resource_path /path/to/my/venv package=my_package resource=my/resource.xml
func virtualenvGetResourcePath(ctx context.Context, c *module.Call, a virtualenvResourceArgs) (string, error) {
	return virtualenvPython(ctx, c, a.Venv, "import sys, pkg_resources; print(pkg_resources.resource_filename(sys.argv[1], sys.argv[2]))", a.Package, a.Resource)
}

// virtualenvGetResourceContent returns what is in a file that belongs to a package, as
// Python writes it.
//
//	gosalt '*' virtualenv.get_resource_content /path/to/my/venv package=my_package resource=my/resource.xml
func virtualenvGetResourceContent(ctx context.Context, c *module.Call, a virtualenvResourceArgs) (string, error) {
	return virtualenvPython(ctx, c, a.Venv, "import sys, pkg_resources; print(pkg_resources.resource_string(sys.argv[1], sys.argv[2]))", a.Package, a.Resource)
}

// virtualenvPython runs a line of Python in an environment. Arguments are not put into the
// line, so they are never code.
func virtualenvPython(ctx context.Context, c *module.Call, venv, code string, args ...string) (string, error) {
	bin := filepath.Join(venv, "bin", "python")
	if os.PathSeparator == '\\' {
		bin = filepath.Join(venv, "Scripts", "python.exe")
	}
	if !c.Host.Exists(bin) {
		return "", module.Failf("Path '%s' does not appear to be a virtualenv: '%s' not found.", venv, bin)
	}
	v, err := c.Call(ctx, "cmd.run_all", []any{anyList(append([]string{bin, "-c", code}, args...))}, wire.NewMap("python_shell", false))
	if err != nil {
		return "", err
	}
	ret := v.(*wire.Map)
	if ret.Int("retcode") != 0 {
		return "", module.Failf("%s\n%s", ret.Text("stdout"), ret.Text("stderr"))
	}
	return ret.Text("stdout"), nil
}
