package modules

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
)

func init() {
	register("alternatives.display", alternativesDisplay)
	register("alternatives.show_link", alternativesShowLink)
	register("alternatives.show_current", alternativesShowCurrent)
	register("alternatives.check_exists", alternativesCheckExists)
	register("alternatives.check_installed", alternativesCheckInstalled)
	register("alternatives.install", alternativesInstall)
	register("alternatives.remove", alternativesRemove)
	register("alternatives.auto", alternativesAuto)
	register("alternatives.set", alternativesSet)
}

// alternatives runs the system's program for them.
func alternatives(ctx context.Context, c *module.Call, quiet bool, args ...string) (*programExit, error) {
	if !c.Host.IsDir("/etc/alternatives") {
		return nil, notHere(c)
	}
	cmd := "update-alternatives"
	if pytext.Str(grainOf(c, "os_family")) == "RedHat" {
		cmd = "alternatives"
	}
	return runTool(ctx, c, program{args: append([]string{cmd}, args...), fails: quiet})
}

// said is what the program printed: on failure its error.
func said(out *programExit, err error) (string, error) {
	if err != nil {
		return "", err
	}
	if out.code > 0 && out.err != "" {
		return out.err, nil
	}
	return out.out, nil
}

type alternativesNameArgs struct {
	Name string // Name of the group: editor.
}

// alternativesDisplay returns what the system says of a group of alternatives.
//
//	gosalt '*' alternatives.display editor
func alternativesDisplay(ctx context.Context, c *module.Call, a alternativesNameArgs) (string, error) {
	return said(alternatives(ctx, c, true, "--display", a.Name))
}

// alternativesShowLink returns the link of a group: /usr/bin/editor.
//
//	gosalt '*' alternatives.show_link editor
func alternativesShowLink(ctx context.Context, c *module.Call, a alternativesNameArgs) (any, error) {
	dir := map[string]string{"RedHat": "/var/lib/alternatives", "Suse": "/var/lib/rpm/alternatives"}[pytext.Str(grainOf(c, "os_family"))]
	if dir != "" {
		text, err := c.Host.ReadFile(filepath.Join(dir, a.Name))
		lines := strings.Split(string(text), "\n")
		if err != nil || len(lines) < 2 {
			c.Log.Error("alternative not read", "name", a.Name, "error", err)
			return false, nil
		}
		return lines[1], nil
	}
	out, err := alternatives(ctx, c, true, "--query", a.Name)
	if err != nil {
		return nil, err
	}
	if out.code > 0 && out.err != "" {
		return false, nil
	}
	first, _, _ := strings.Cut(out.out, "\n\n")
	for _, line := range strings.Split(first, "\n") {
		if link, ok := strings.CutPrefix(line, "Link:"); ok {
			return strings.TrimSpace(link), nil
		}
	}
	return false, nil
}

// alternativesShowCurrent returns the path that a group leads to, False where there is none.
//
//	gosalt '*' alternatives.show_current editor
func alternativesShowCurrent(_ context.Context, c *module.Call, a alternativesNameArgs) (any, error) {
	to, err := c.Host.Readlink("/etc/alternatives/" + a.Name)
	if err != nil {
		c.Log.Error("alternative does not exist", "name", a.Name)
		return false, nil
	}
	return to, nil
}

type alternativesPathArgs struct {
	Name string // Name of the group: editor.
	Path string // Path of one of its alternatives.
}

// alternativesCheckExists tells whether a path is an alternative of a group.
//
//	gosalt '*' alternatives.check_exists editor /usr/bin/vim
func alternativesCheckExists(ctx context.Context, c *module.Call, a alternativesPathArgs) (bool, error) {
	out, err := alternatives(ctx, c, true, "--display", a.Name)
	if err != nil || out.code > 0 && out.err != "" {
		return false, err
	}
	for _, line := range strings.Split(out.out, "\n") {
		if strings.HasPrefix(line, a.Path) {
			return true, nil
		}
	}
	return false, nil
}

// alternativesCheckInstalled tells whether a group leads to a path.
//
//	gosalt '*' alternatives.check_installed editor /usr/bin/vim
func alternativesCheckInstalled(_ context.Context, c *module.Call, a alternativesPathArgs) (bool, error) {
	to, err := c.Host.Readlink("/etc/alternatives/" + a.Name)
	return err == nil && to == a.Path, nil
}

type alternativesInstallArgs struct {
	Name     string // Name of the group: editor.
	Link     string // Its link: /usr/bin/editor.
	Path     string // Path of the alternative.
	Priority any    // The highest one is taken, where nobody has chosen.
}

// alternativesInstall adds an alternative to a group.
//
//	gosalt '*' alternatives.install editor /usr/bin/editor /usr/bin/vim 50
func alternativesInstall(ctx context.Context, c *module.Call, a alternativesInstallArgs) (string, error) {
	return said(alternatives(ctx, c, false, "--install", a.Link, a.Name, a.Path, pytext.Str(a.Priority)))
}

// alternativesRemove takes an alternative out of its group.
//
//	gosalt '*' alternatives.remove editor /usr/bin/vim
func alternativesRemove(ctx context.Context, c *module.Call, a alternativesPathArgs) (string, error) {
	return said(alternatives(ctx, c, false, "--remove", a.Name, a.Path))
}

// alternativesAuto has a group lead to its alternative of the highest priority.
//
//	gosalt '*' alternatives.auto editor
func alternativesAuto(ctx context.Context, c *module.Call, a alternativesNameArgs) (string, error) {
	return said(alternatives(ctx, c, false, "--auto", a.Name))
}

// alternativesSet has a group lead to one of its alternatives.
//
//	gosalt '*' alternatives.set editor /usr/bin/vim
func alternativesSet(ctx context.Context, c *module.Call, a alternativesPathArgs) (string, error) {
	return said(alternatives(ctx, c, false, "--set", a.Name, a.Path))
}
