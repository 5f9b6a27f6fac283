package modules

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("group.add", groupAdd)
	register("group.delete", groupDelete)
	register("group.info", groupInfo)
	register("group.getent", groupGetent)
	register("group.chgid", groupChgid)
	register("group.adduser", groupAdduser)
	register("group.deluser", groupDeluser)
	register("group.members", groupMembers)
}

// hostBelow is the host whose root is another directory: the argument root.
func hostBelow(c *module.Call, root *string) *host.Host {
	if root == nil || *root == "" || *root == "/" {
		return c.Host
	}
	return &host.Host{Root: c.Host.Path(*root)}
}

// accountTool runs one of the programs that change users and groups, without a shell, and
// tells whether it did. What it printed is in the log, but for a password.
func accountTool(ctx context.Context, c *module.Call, args ...any) (bool, *wire.Map, error) {
	if _, err := host.LookPath(args[0].(string), searchPath(), "/"); err != nil {
		return false, nil, module.Failf("Command '%s' cannot be found", args[0])
	}
	v, err := c.Call(ctx, "cmd.run_all", []any{args}, wire.NewMap("python_shell", false))
	m, _ := v.(*wire.Map)
	if err != nil || m == nil {
		return false, nil, err
	}
	return m.Int("retcode") == 0, m, nil
}

// withRoot adds the option that the tools have for another root.
func withRoot(args []any, option string, root *string) []any {
	if root != nil {
		return append(args, option, *root)
	}
	return args
}

func groupMap(f []string) *wire.Map {
	gid, _ := strconv.ParseInt(f[2], 10, 64)
	members := []any{}
	if f[3] != "" {
		for _, m := range strings.Split(f[3], ",") {
			members = append(members, m)
		}
	}
	return wire.NewMap("name", f[0], "passwd", f[1], "gid", gid, "members", members)
}

type groupAddArgs struct {
	Name      string  // Name of the new group.
	Gid       any     `default:"None"`  // Its number; the next that is free.
	System    bool    `default:"False"` // A number of the range for the system.
	Root      *string `default:"None"`  // Directory to work below.
	NonUnique bool    `default:"False"` // The number may be one that is in use.
}

// groupAdd makes a group.
//
//	gosalt '*' group.add foo 3456
func groupAdd(ctx context.Context, c *module.Call, a groupAddArgs) (bool, error) {
	args := []any{"groupadd"}
	if module.Truth(a.Gid) {
		args = append(args, "-g", pytext.Str(a.Gid))
		if a.NonUnique {
			args = append(args, "-o")
		}
	}
	if a.System {
		args = append(args, "-r")
	}
	ok, _, err := accountTool(ctx, c, append(withRoot(args, "-R", a.Root), a.Name)...)
	return ok, err
}

type groupNameArgs struct {
	Name string  // Name of the group.
	Root *string `default:"None"` // Directory to work below.
}

// groupDelete removes a group.
//
//	gosalt '*' group.delete foo
func groupDelete(ctx context.Context, c *module.Call, a groupNameArgs) (bool, error) {
	ok, _, err := accountTool(ctx, c, append(withRoot([]any{"groupdel"}, "-R", a.Root), a.Name)...)
	return ok, err
}

// groupInfo returns what is known of a group: name, passwd, gid, members.
//
//	gosalt '*' group.info foo
func groupInfo(ctx context.Context, c *module.Call, a groupNameArgs) (*wire.Map, error) {
	f, err := hostBelow(c, a.Root).Account("group", a.Name, 4)
	if err != nil {
		return nil, systemError(err, "/etc/group")
	}
	if f != nil {
		return groupMap(f), nil
	}
	if g, err := hostBelow(c, a.Root).Group(a.Name); err == nil { // of a directory service
		members := []any{}
		for _, m := range g.Members {
			members = append(members, m)
		}
		return wire.NewMap("name", g.Name, "passwd", "*", "gid", int64(g.GID), "members", members), nil
	}
	return wire.NewMap(), nil
}

type accountGetentArgs struct {
	Refresh bool    `default:"False"` // Without effect: nothing is kept.
	Root    *string `default:"None"`  // Directory to work below.
}

// groupGetent returns what is known of all groups.
//
//	gosalt '*' group.getent
func groupGetent(ctx context.Context, c *module.Call, a accountGetentArgs) ([]any, error) {
	all, err := hostBelow(c, a.Root).Accounts("group", 4)
	if err != nil {
		return nil, systemError(err, "/etc/group")
	}
	out := []any{}
	for _, f := range all {
		out = append(out, groupMap(f))
	}
	return out, nil
}

type groupChgidArgs struct {
	Name      string  // Name of the group.
	Gid       int64   // Its new number.
	Root      *string `default:"None"`  // Directory to work below.
	NonUnique bool    `default:"False"` // The number may be one that is in use.
}

// groupChgid gives a group another number.
//
//	gosalt '*' group.chgid foo 4376
func groupChgid(ctx context.Context, c *module.Call, a groupChgidArgs) (bool, error) {
	info, err := groupInfo(ctx, c, groupNameArgs{a.Name, a.Root})
	if err != nil || info.Len() == 0 || info.Int("gid") == a.Gid {
		return info.Len() > 0, err
	}
	option := "-g"
	if a.NonUnique {
		option = "-og"
	}
	if _, _, err := accountTool(ctx, c, append(withRoot([]any{"groupmod"}, "-R", a.Root), option, pytext.Str(a.Gid), a.Name)...); err != nil {
		return false, err
	}
	info, err = groupInfo(ctx, c, groupNameArgs{a.Name, a.Root})
	return info.Len() > 0 && info.Int("gid") == a.Gid, err
}

type groupUserArgs struct {
	Name     string  // Name of the group.
	Username string  // Name of the user.
	Root     *string `default:"None"` // Directory to work below.
}

// groupAdduser puts a user into a group.
//
//	gosalt '*' group.adduser foo bar
func groupAdduser(ctx context.Context, c *module.Call, a groupUserArgs) (bool, error) {
	ok, _, err := accountTool(ctx, c, withRoot([]any{"gpasswd", "--add", a.Username, a.Name}, "--root", a.Root)...)
	return ok, err
}

// groupDeluser takes a user out of a group. One that is not in it is no error.
//
//	gosalt '*' group.deluser foo bar
func groupDeluser(ctx context.Context, c *module.Call, a groupUserArgs) (bool, error) {
	info, err := groupInfo(ctx, c, groupNameArgs{a.Name, nil})
	if err != nil || !slices.ContainsFunc(info.List("members"), func(v any) bool { return v == a.Username }) {
		return err == nil, err
	}
	ok, _, err := accountTool(ctx, c, withRoot([]any{"gpasswd", "--del", a.Username, a.Name}, "--root", a.Root)...)
	return ok, err
}

type groupMembersArgs struct {
	Name        string  // Name of the group.
	MembersList string  // Names of users with commas between them.
	Root        *string `default:"None"` // Directory to work below.
}

// groupMembers makes a group have just these members.
//
//	gosalt '*' group.members foo 'user1,user2,user3'
func groupMembers(ctx context.Context, c *module.Call, a groupMembersArgs) (bool, error) {
	ok, _, err := accountTool(ctx, c, withRoot([]any{"gpasswd", "--members", a.MembersList, a.Name}, "--root", a.Root)...)
	return ok, err
}
