package modules

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("file.mknod", fileMknod)
	register("file.shortcut", fileShortcut)
	register("file.mod_run_check_cmd", fileModRunCheckCmd)
}

type fileMknodArgs struct {
	Name  string // Path of the node.
	Ntype string // Its type: c for a character device, b for a block device, p for a pipe.
	Major int64  `default:"0"`    // Major number of a device.
	Minor int64  `default:"0"`    // Minor number of a device.
	User  any    `default:"None"` // Owner, by name or number.
	Group any    `default:"None"` // Group, by name or number.
	Mode  any    `default:"0600"` // Permissions in octal.
}

// fileMknod makes a device or a pipe.
func fileMknod(ctx context.Context, c *states.Call, a fileMknodArgs) (*states.Plan, error) {
	name := expandUser(c, a.Name)
	p := &states.Plan{Name: name}
	if name == "" {
		return nil, module.Failf("Must provide name to file.mknod")
	}
	kinds := map[string]struct{ is, what, at string }{
		"c": {"file.is_chrdev", "character device", "Character device"}, "b": {"file.is_blkdev", "block device", "Block device"}, "p": {"file.is_fifo", "fifo pipe", "Fifo pipe"},
	}
	k, ok := kinds[a.Ntype]
	if !ok {
		return p, module.Failf("Node type unavailable: '%s'. Available node types are character ('c'), block ('b'), and pipe ('p')", a.Ntype)
	}
	if c.Host.IsFile(name) {
		return p, module.Failf("File %s exists and is not a %s. Refusing to continue", name, k.what)
	}
	there := false
	if lexists(c, name) {
		var err error
		if there, err = truth(ctx, c, k.is, name); err != nil {
			return p, err
		}
	}
	if !there {
		if text := strings.TrimLeft(pytext.Str(a.Mode), "0Oo"); c.Test {
			if _, err := strconv.ParseUint(text, 8, 32); err != nil {
				return p, module.Failf("invalid literal for int() with base 8: '%s'", text)
			}
			if inTheWay(c, filepath.Dir(name)) != "" {
				return p, module.Failf("[Errno 20] Not a directory")
			}
		}
		p.Would = fmt.Sprintf("%s %s is set to be created", k.at, name)
		p.Do(nil, func(ctx context.Context, r *states.Result) error {
			ret, err := mapOf(ctx, c, "file.mknod", name, a.Ntype, a.Major, a.Minor, a.User, a.Group, a.Mode)
			if err == nil {
				answered(r, ret)
			}
			return err
		})
		return p, nil
	}
	if a.Ntype != "p" {
		v, err := c.Call.Call(ctx, "file.get_devmm", args(name), nil)
		if err != nil {
			return p, err
		}
		if pair, ok := v.([]any); ok && len(pair) == 2 && (pair[0] != a.Major || pair[1] != a.Minor) {
			return p, module.Failf("%s %s exists and has a different major/minor %s/%s. Refusing to continue", k.at, name, pytext.Str(pair[0]), pytext.Str(pair[1]))
		}
	}
	check := func(ctx context.Context, call *module.Call) (*wire.Map, error) {
		v, err := call.Call(ctx, "file.check_perms", args(name, nil, a.User, a.Group, a.Mode), nil)
		if err != nil {
			return nil, err
		}
		if pair, ok := v.([]any); ok && len(pair) > 0 {
			if m, ok := pair[0].(*wire.Map); ok {
				return m, nil
			}
		}
		return nil, fmt.Errorf("file.check_perms answered %s", pytext.Repr(v))
	}
	probe, err := check(ctx, dry(c))
	if err != nil {
		return p, err
	}
	p = retold(probe, fmt.Sprintf("%s %s is in the correct state", k.at, name), func(ctx context.Context) (*wire.Map, error) { return check(ctx, wet(c)) })
	p.Name = name
	return p, nil
}

type fileShortcutArgs struct {
	Name   string    // Path of the shortcut: it ends in .lnk or .url.
	Target any       `default:"None"` // What it opens.
	Kwargs *wire.Map `arg:"**"`       // arguments, working_dir, description, icon_location, force, backupname, makedirs and user.
}

// fileShortcut fails: shortcuts are a thing of Windows, where gosalt does not make them.
func fileShortcut(context.Context, *states.Call, fileShortcutArgs) (*states.Plan, error) {
	if runtime.GOOS == "windows" {
		return nil, module.Failf("gosalt does not make shortcuts yet: run a script that does, with cmd.run")
	}
	return nil, module.Failf("Shortcuts are only supported on Windows")
}

type fileModRunCheckCmdArgs struct {
	Name     any       // Not looked at.
	Cmd      string    // A command line; the name of the file is put behind it.
	Filename string    // The file.
	Kwargs   *wire.Map `arg:"**"` // Further arguments of cmd.run_all.
}

// fileModRunCheckCmd runs a command on a file, and fails where it does: file.managed has
// check_cmd done by the same rules.
func fileModRunCheckCmd(_ context.Context, c *states.Call, a fileModRunCheckCmdArgs) (*states.Plan, error) {
	p := &states.Plan{Would: "check_cmd would be executed"}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		v, err := c.Call.Call(ctx, "cmd.run_all", args(a.Cmd+" "+a.Filename), a.Kwargs)
		if err != nil {
			return err
		}
		out, _ := v.(*wire.Map)
		if out.Int("retcode") == 0 {
			return nil
		}
		r.Set("skip_watch", true)
		text := "check_cmd execution failed"
		for _, k := range []string{"stdout", "stderr"} {
			if s := out.Text(k); s != "" {
				text += "\n" + s
			}
		}
		return errors.New(text)
	})
	return p, nil
}
