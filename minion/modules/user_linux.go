package modules

import (
	"context"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("user.add", userAdd)
	register("user.delete", userDelete)
	register("user.info", userInfo)
	register("user.getent", userGetent)
	register("user.list_users", userListUsers)
	register("user.list_groups", userListGroups)
	register("user.primary_group", userPrimaryGroup)
	register("user.chuid", userChuid)
	register("user.chgid", userChgid)
	register("user.chshell", userChshell)
	register("user.chhome", userChhome)
	register("user.chgroups", userChgroups)
	register("user.chfullname", userChfullname)
	register("user.chroomnumber", userChroomnumber)
	register("user.chworkphone", userChworkphone)
	register("user.chhomephone", userChhomephone)
	register("user.chother", userChother)
	register("user.rename", userRename)
	register("user.chloginclass", userChloginclass)
	register("user.get_loginclass", userGetLoginclass)
}

// gecosNames are the parts of a user's description.
var gecosNames = []string{"fullname", "roomnumber", "workphone", "homephone", "other"}

func gecosParts(s string) []string {
	parts := strings.SplitN(s, ",", len(gecosNames))
	for len(parts) < len(gecosNames) {
		parts = append(parts, "")
	}
	return parts
}

// passwdLine is the line of a user in /etc/passwd, or what a directory service knows in
// its form; nil where there is none.
func passwdLine(h *host.Host, name string) ([]string, error) {
	f, err := h.Account("passwd", name, 7)
	if f != nil || err != nil {
		return f, err
	}
	u, err := h.User(name)
	if errors.Is(err, host.ErrNoUser) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return []string{u.Name, "x", strconv.Itoa(u.UID), strconv.Itoa(u.GID), "", u.Home, u.Shell}, nil
}

func userMap(h *host.Host, f []string) *wire.Map {
	uid, _ := strconv.ParseInt(f[2], 10, 64)
	gid, _ := strconv.ParseInt(f[3], 10, 64)
	m := wire.NewMap("gid", gid, "groups", groupsOf(h, f[0]), "home", f[5], "name", f[0], "passwd", f[1], "shell", f[6], "uid", uid)
	for i, part := range gecosParts(f[4]) {
		m.Set(gecosNames[i], part)
	}
	return m
}

// groupsOf lists the groups of a user by name, sorted.
func groupsOf(h *host.Host, name string) []any {
	u, err := h.User(name)
	if err != nil {
		return []any{}
	}
	var names []string
	local := map[int]bool{}
	groups, err := h.Accounts("group", 4)
	if err != nil {
		groups = nil
	}
	for _, f := range groups { // several names may have one number
		if gid, err := strconv.Atoi(f[2]); err == nil && slices.Contains(u.Groups, gid) {
			local[gid] = true
			names = append(names, f[0])
		}
	}
	for _, gid := range u.Groups {
		if n := h.GroupName(gid); !local[gid] && n != strconv.Itoa(gid) && !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	out := []any{}
	for _, n := range names {
		out = append(out, n)
	}
	return out
}

type userAddArgs struct {
	Name       string  // Name of the new user.
	Uid        any     `default:"None"`  // Its number; the next that is free.
	Gid        any     `default:"None"`  // Name or number of its own group.
	Groups     any     `default:"None"`  // Further groups, as a list or with commas.
	Home       *string `default:"None"`  // Its home directory.
	Shell      any     `default:"None"`  // Its shell.
	Unique     bool    `default:"True"`  // False: the number may be one that is in use.
	System     bool    `default:"False"` // A number of the range for the system.
	Fullname   any     `default:""`      // Its full name.
	Roomnumber any     `default:""`      // Its room.
	Workphone  any     `default:""`      // Its telephone at work.
	Homephone  any     `default:""`      // Its telephone at home.
	Other      any     `default:""`      // What else is to be said.
	Createhome bool    `default:"True"`  // Make its home directory.
	Loginclass any     `default:"None"`  // Without effect: OpenBSD has those.
	Nologinit  bool    `default:"False"` // Leave it out of the logs of logins, whose files grow with high numbers.
	Root       *string `default:"None"`  // Directory to work below.
	Usergroup  *bool   `default:"None"`  // Make a group of its name; False: do not.
}

// userAdd makes a user.
//
//	gosalt '*' user.add name <uid> <gid> <groups> <home> <shell>
func userAdd(ctx context.Context, c *module.Call, a userAddArgs) (bool, error) {
	args := []any{"useradd"}
	option := func(o string, v any) {
		if v != nil && v != "" {
			args = append(args, o, pytext.Str(v))
		}
	}
	option("-s", a.Shell)
	option("-u", a.Uid)
	groups := nameList(a.Groups)
	switch {
	case a.Gid != nil && a.Gid != "":
		option("-g", a.Gid)
	case a.Usergroup != nil && *a.Usergroup:
		args = append(args, "-U")
	case slices.Contains(groups, a.Name) && userGroupsEnabled(c):
		if n := groupID(c, a.Name); n != nil {
			option("-g", *n)
		}
	}
	for _, flag := range []struct {
		on   bool
		name string
	}{{a.Usergroup != nil && !*a.Usergroup, "-N"}, {a.Createhome, "-m"}, {!a.Createhome, "-M"}, {a.Nologinit, "-l"}} {
		if flag.on {
			args = append(args, flag.name)
		}
	}
	if a.Home != nil {
		args = append(args, "-d", *a.Home)
	}
	if !a.Unique {
		args = append(args, "-o")
	}
	if a.System {
		args = append(args, "-r")
	}
	ok, _, err := accountTool(ctx, c, withRoot(append(args, a.Name), "-R", a.Root)...)
	if err != nil || !ok {
		return false, err
	}
	if len(groups) > 0 {
		if _, err := userChgroups(ctx, c, userChgroupsArgs{Name: a.Name, Groups: a.Groups, Root: a.Root}); err != nil {
			return false, err
		}
	}
	for i, v := range []any{a.Fullname, a.Roomnumber, a.Workphone, a.Homephone, a.Other} {
		if module.Truth(v) {
			if _, err := setGecos(ctx, c, a.Name, i, v, a.Root); err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// nameList reads names from a list, or from a text with commas.
func nameList(v any) []string {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		out := make([]string, len(v))
		for i, e := range v {
			out[i] = pytext.Str(e)
		}
		return out
	}
	return strings.Split(pytext.Str(v), ",")
}

// userGroupsEnabled is what /etc/login.defs says of USERGROUPS_ENAB.
func userGroupsEnabled(c *module.Call) bool {
	text, err := os.ReadFile(c.Host.Path("/etc/login.defs"))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line[:min(15, len(line))], "USERGROUPS_ENAB") {
			return strings.Contains(line, "yes")
		}
	}
	return false
}

type userDeleteArgs struct {
	Name   string  // Name of the user.
	Remove bool    `default:"False"` // Its home directory and its mail too.
	Force  bool    `default:"False"` // Though it is logged in.
	Root   *string `default:"None"`  // Directory to work below.
}

// userDelete removes a user.
//
//	gosalt '*' user.delete name remove=True force=True
func userDelete(ctx context.Context, c *module.Call, a userDeleteArgs) (bool, error) {
	args := []any{"userdel"}
	if a.Remove {
		args = append(args, "-r")
	}
	if a.Force {
		args = append(args, "-f")
	}
	ok, out, err := accountTool(ctx, c, withRoot(append(args, a.Name), "-R", a.Root)...)
	if err != nil || ok {
		return ok, err
	}
	// Debian's userdel fails with 12 for a mailbox that is not there.
	mail := strings.Contains(out.Text("stderr"), "var/mail") || strings.Contains(out.Text("stderr"), "var/spool/mail")
	return out.Int("retcode") == 12 && mail && grainOf(c, "os_family") == "Debian", nil
}

type userNameArgs struct {
	Name any     // Name of the user.
	Root *string `default:"None"` // Directory to work below.
}

// userInfo returns what is known of a user.
//
//	gosalt '*' user.info root
func userInfo(ctx context.Context, c *module.Call, a userNameArgs) (*wire.Map, error) {
	h := hostBelow(c, a.Root)
	f, err := passwdLine(h, pytext.Str(a.Name))
	if err != nil || f == nil {
		return wire.NewMap(), err
	}
	return userMap(h, f), nil
}

// userGetent returns what is known of all users.
//
//	gosalt '*' user.getent
func userGetent(ctx context.Context, c *module.Call, a accountGetentArgs) ([]any, error) {
	h := hostBelow(c, a.Root)
	all, err := h.Accounts("passwd", 7)
	if err != nil {
		return nil, systemError(err, "/etc/passwd")
	}
	out := []any{}
	for _, f := range all {
		out = append(out, userMap(h, f))
	}
	return out, nil
}

type userListUsersArgs struct {
	Root *string `default:"None"` // Directory to work below.
}

// userListUsers lists the names of all users.
//
//	gosalt '*' user.list_users
func userListUsers(ctx context.Context, c *module.Call, a userListUsersArgs) ([]string, error) {
	all, err := hostBelow(c, a.Root).Accounts("passwd", 7)
	if err != nil {
		return nil, systemError(err, "/etc/passwd")
	}
	names := []string{}
	for _, f := range all {
		names = append(names, f[0])
	}
	slices.Sort(names)
	return names, nil
}

type userOnlyArgs struct {
	Name string // Name of the user.
}

// userListGroups lists the groups that a user is in.
//
//	gosalt '*' user.list_groups foo
func userListGroups(ctx context.Context, c *module.Call, a userOnlyArgs) ([]any, error) {
	return groupsOf(c.Host, a.Name), nil
}

// userPrimaryGroup returns the name of a user's own group.
//
//	gosalt '*' user.primary_group saltadmin
func userPrimaryGroup(ctx context.Context, c *module.Call, a userOnlyArgs) (any, error) {
	u, err := c.Host.User(a.Name)
	if err != nil {
		c.SetRetcode(1)
		return "id: '" + a.Name + "': no such user", nil // what id says, as in Salt
	}
	return c.Host.GroupName(u.GID), nil
}

// changeUser runs usermod unless the user is so already, and tells whether it is then.
func changeUser(ctx context.Context, c *module.Call, name, key string, want any, root *string, options ...any) (bool, error) {
	info, err := userInfo(ctx, c, userNameArgs{name, root})
	if err != nil {
		return false, err
	}
	if info.Len() == 0 {
		return false, module.Failf("User '%s' does not exist", name)
	}
	if pytext.Equal(mapValue(info, key), want) {
		return true, nil
	}
	args := append(withRoot([]any{"usermod"}, "-R", root), options...)
	if _, _, err := accountTool(ctx, c, append(args, pytext.Str(want), name)...); err != nil {
		return false, err
	}
	if key == "name" {
		name = pytext.Str(want)
	}
	info, err = userInfo(ctx, c, userNameArgs{name, root})
	return err == nil && pytext.Equal(mapValue(info, key), want), err
}

type userChuidArgs struct {
	Name string  // Name of the user.
	Uid  int64   // Its new number.
	Root *string `default:"None"` // Directory to work below.
}

// userChuid gives a user another number.
//
//	gosalt '*' user.chuid foo 4376
func userChuid(ctx context.Context, c *module.Call, a userChuidArgs) (bool, error) {
	return changeUser(ctx, c, a.Name, "uid", a.Uid, a.Root, "-u")
}

type userChgidArgs struct {
	Name string  // Name of the user.
	Gid  int64   // Number of its new group.
	Root *string `default:"None"` // Directory to work below.
}

// userChgid gives a user another group of its own.
//
//	gosalt '*' user.chgid foo 4376
func userChgid(ctx context.Context, c *module.Call, a userChgidArgs) (bool, error) {
	return changeUser(ctx, c, a.Name, "gid", a.Gid, a.Root, "-g")
}

type userChshellArgs struct {
	Name  string  // Name of the user.
	Shell string  // Its new shell.
	Root  *string `default:"None"` // Directory to work below.
}

// userChshell gives a user another shell.
//
//	gosalt '*' user.chshell foo /bin/zsh
func userChshell(ctx context.Context, c *module.Call, a userChshellArgs) (bool, error) {
	return changeUser(ctx, c, a.Name, "shell", a.Shell, a.Root, "-s")
}

type userChhomeArgs struct {
	Name    string  // Name of the user.
	Home    string  // Its new home directory.
	Persist bool    `default:"False"` // Move what is in the old one.
	Root    *string `default:"None"`  // Directory to work below.
}

// userChhome gives a user another home directory.
//
//	gosalt '*' user.chhome foo /home/users/foo
func userChhome(ctx context.Context, c *module.Call, a userChhomeArgs) (bool, error) {
	options := []any{"-d"}
	if a.Persist {
		options = []any{"-m", "-d"}
	}
	return changeUser(ctx, c, a.Name, "home", a.Home, a.Root, options...)
}

type userChgroupsArgs struct {
	Name   string  // Name of the user.
	Groups any     // Names of groups, as a list or with commas.
	Append bool    `default:"False"` // Keep those that it is in.
	Root   *string `default:"None"`  // Directory to work below.
}

// userChgroups makes a user be in groups: these, and its own.
//
//	gosalt '*' user.chgroups foo wheel,root
//	gosalt '*' user.chgroups foo wheel,root append=True
func userChgroups(ctx context.Context, c *module.Call, a userChgroupsArgs) (bool, error) {
	groups := nameList(a.Groups)
	have := nameList(groupsOf(c.Host, a.Name))
	if sameNames(have, groups) {
		return true, nil
	}
	args := []any{"usermod"}
	if a.Append {
		args = append(args, "-a")
	}
	args = withRoot(append(args, "-G", strings.Join(groups, ","), a.Name), "-R", a.Root)
	ok, out, err := accountTool(ctx, c, args...)
	if err != nil || ok || !strings.Contains(out.Text("stderr"), "not found in") {
		return ok, err
	}
	// A user of a directory service: its groups are those of /etc/group all the same.
	all := true
	for _, g := range groups {
		ok, _, err := accountTool(ctx, c, "gpasswd", "-a", a.Name, g)
		if err != nil {
			return false, err
		}
		all = all && ok
	}
	return all, nil
}

func sameNames(a, b []string) bool {
	x, y := slices.Clone(a), slices.Clone(b)
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(slices.Compact(x), slices.Compact(y))
}

// setGecos changes one part of a user's description.
func setGecos(ctx context.Context, c *module.Call, name string, part int, value any, root *string) (bool, error) {
	f, err := passwdLine(hostBelow(c, root), name)
	if err != nil {
		return false, err
	}
	if f == nil {
		return false, errors.New(`"getpwnam(): name not found: '` + name + `'"`)
	}
	parts, want := gecosParts(f[4]), ""
	if value != nil {
		want = pytext.Str(value)
	}
	if parts[part] == want {
		return true, nil
	}
	parts[part] = want
	args := append(withRoot([]any{"usermod"}, "-R", root), "-c", strings.TrimRight(strings.Join(parts, ","), ","), name)
	if _, _, err := accountTool(ctx, c, args...); err != nil {
		return false, err
	}
	f, err = passwdLine(hostBelow(c, root), name)
	return err == nil && f != nil && gecosParts(f[4])[part] == want, err
}

type userChfullnameArgs struct {
	Name     string  // Name of the user.
	Fullname any     // Its full name.
	Root     *string `default:"None"` // Directory to work below.
}

// userChfullname changes the full name of a user.
//
//	gosalt '*' user.chfullname foo "Foo Bar"
func userChfullname(ctx context.Context, c *module.Call, a userChfullnameArgs) (bool, error) {
	return setGecos(ctx, c, a.Name, 0, a.Fullname, a.Root)
}

type userChroomnumberArgs struct {
	Name       string  // Name of the user.
	Roomnumber any     // Its room.
	Root       *string `default:"None"` // Directory to work below.
}

// userChroomnumber changes the room of a user.
//
//	gosalt '*' user.chroomnumber foo 123
func userChroomnumber(ctx context.Context, c *module.Call, a userChroomnumberArgs) (bool, error) {
	return setGecos(ctx, c, a.Name, 1, a.Roomnumber, a.Root)
}

type userChworkphoneArgs struct {
	Name      string  // Name of the user.
	Workphone any     // Its telephone at work.
	Root      *string `default:"None"` // Directory to work below.
}

// userChworkphone changes the telephone of a user at work.
//
//	gosalt '*' user.chworkphone foo 7735550123
func userChworkphone(ctx context.Context, c *module.Call, a userChworkphoneArgs) (bool, error) {
	return setGecos(ctx, c, a.Name, 2, a.Workphone, a.Root)
}

type userChhomephoneArgs struct {
	Name      string  // Name of the user.
	Homephone any     // Its telephone at home.
	Root      *string `default:"None"` // Directory to work below.
}

// userChhomephone changes the telephone of a user at home.
//
//	gosalt '*' user.chhomephone foo 7735551234
func userChhomephone(ctx context.Context, c *module.Call, a userChhomephoneArgs) (bool, error) {
	return setGecos(ctx, c, a.Name, 3, a.Homephone, a.Root)
}

type userChotherArgs struct {
	Name  string  // Name of the user.
	Other any     // What else is to be said.
	Root  *string `default:"None"` // Directory to work below.
}

// userChother changes the rest of a user's description.
//
//	gosalt '*' user.chother foobar
func userChother(ctx context.Context, c *module.Call, a userChotherArgs) (bool, error) {
	return setGecos(ctx, c, a.Name, 4, a.Other, a.Root)
}

type userRenameArgs struct {
	Name    string  // Name of the user.
	NewName string  // Its new name.
	Root    *string `default:"None"` // Directory to work below.
}

// userRename gives a user another name.
//
//	gosalt '*' user.rename name new_name
func userRename(ctx context.Context, c *module.Call, a userRenameArgs) (bool, error) {
	info, err := userInfo(ctx, c, userNameArgs{a.NewName, a.Root})
	if err != nil {
		return false, err
	}
	if info.Len() > 0 {
		return false, module.Failf("User '%s' already exists", a.NewName)
	}
	return changeUser(ctx, c, a.Name, "name", a.NewName, a.Root, "-l")
}

type userChloginclassArgs struct {
	Name       string  // Name of the user.
	Loginclass any     // The class.
	Root       *string `default:"None"` // Directory to work below.
}

// userChloginclass returns False: only OpenBSD has login classes.
//
//	gosalt '*' user.chloginclass foo staff
func userChloginclass(ctx context.Context, c *module.Call, a userChloginclassArgs) (bool, error) {
	return false, nil
}

// userGetLoginclass returns False: only OpenBSD has login classes.
//
//	gosalt '*' user.get_loginclass foo
func userGetLoginclass(ctx context.Context, c *module.Call, a userOnlyArgs) (bool, error) {
	return false, nil
}
