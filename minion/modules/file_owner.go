//go:build unix

package modules

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("file.gid_to_group", fileGidToGroup)
	register("file.group_to_gid", fileGroupToGid)
	register("file.uid_to_user", fileUidToUser)
	register("file.user_to_uid", fileUserToUid)
	register("file.get_gid", fileGetGid)
	register("file.get_group", fileGetGroup)
	register("file.get_uid", fileGetUid)
	register("file.get_user", fileGetUser)
	register("file.get_mode", fileGetMode)
	register("file.set_mode", fileSetMode)
	register("file.chown", fileChown)
	register("file.lchown", fileLchown)
	register("file.chgrp", fileChgrp)
	register("file.stats", fileStats)
	register("file.lstat", fileLstat)
	register("file.statvfs", fileStatvfs)
	register("file.lsattr", fileLsattr)
	register("file.chattr", fileChattr)
	register("file.restorecon", fileRestorecon)
	register("file.get_selinux_context", fileGetSelinuxContext)
	register("file.set_selinux_context", fileSetSelinuxContext)
}

type fileGidArgs struct {
	Gid any // Number of a group; a name is looked up first.
}

// fileGidToGroup returns the name of a group, the number where it has none, and an empty text for a
// name that does not exist.
//
//	gosalt '*' file.gid_to_group 0
func fileGidToGroup(ctx context.Context, c *module.Call, a fileGidArgs) (any, error) {
	gid, ok := wholeNumber(a.Gid)
	if !ok {
		n := groupID(c, a.Gid)
		if n == nil {
			return "", nil
		}
		gid = *n
	}
	return nameOrNumber(c.Host.GroupName(int(gid)), gid), nil
}

// nameOrNumber is a name, or the number where the host knows no name.
func nameOrNumber(name string, id int64) any {
	if name == strconv.FormatInt(id, 10) {
		return id
	}
	return name
}

func wholeNumber(v any) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case float64:
		return int64(v), true
	case string:
		n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
		return n, err == nil
	}
	return 0, false
}

// groupID is the number of a group; nil where there is none.
func groupID(c *module.Call, group any) *int64 {
	if n, ok := group.(int64); ok {
		return &n
	}
	g, err := c.Host.Group(pytext.Str(group))
	if group == nil || err != nil {
		return nil
	}
	n := int64(g.GID)
	return &n
}

// userID is the number of a user; nil where there is none. None is who runs the minion.
func userID(c *module.Call, user any) *int64 {
	switch u := user.(type) {
	case int64:
		return &u
	case nil:
		n := int64(os.Getuid())
		return &n
	}
	u, err := c.Host.User(pytext.Str(user))
	if err != nil {
		return nil
	}
	n := int64(u.UID)
	return &n
}

func idOrNothing(n *int64) any {
	if n == nil {
		return ""
	}
	return *n
}

type fileGroupArgs struct {
	Group any // Name of a group; a number is returned as it is.
}

// fileGroupToGid returns the number of a group, an empty text where there is none.
//
//	gosalt '*' file.group_to_gid root
func fileGroupToGid(ctx context.Context, c *module.Call, a fileGroupArgs) (any, error) {
	return idOrNothing(groupID(c, a.Group)), nil
}

type fileUidArgs struct {
	Uid any // Number of a user.
}

// fileUidToUser returns the name of a user, the number where it has none.
//
//	gosalt '*' file.uid_to_user 0
func fileUidToUser(ctx context.Context, c *module.Call, a fileUidArgs) (any, error) {
	uid, ok := a.Uid.(int64)
	if !ok {
		return nil, &module.Error{Kind: module.Arguments, Msg: "uid_to_user() argument 'uid': expected a number, got " + pytext.TypeName(a.Uid) + " " + pytext.Repr(a.Uid)}
	}
	return nameOrNumber(c.Host.UserName(int(uid)), uid), nil
}

type fileUserArgs struct {
	User any // Name of a user; a number is returned as it is, and None is the minion's.
}

// fileUserToUid returns the number of a user, an empty text where there is none.
//
//	gosalt '*' file.user_to_uid root
func fileUserToUid(ctx context.Context, c *module.Call, a fileUserArgs) (any, error) {
	return idOrNothing(userID(c, a.User)), nil
}

type fileFollowArgs struct {
	Path           string // A path.
	FollowSymlinks bool   `default:"True"` // Of the file that a symbolic link points to.
}

func statKey(c *module.Call, a fileFollowArgs, key string) (any, error) {
	m, err := statsOf(c, expandUser(c, a.Path), "", a.FollowSymlinks)
	if err != nil {
		return nil, err
	}
	v, _ := m.Get(key)
	return v, nil
}

// fileGetGid returns the number of the group that a file belongs to.
//
//	gosalt '*' file.get_gid /etc/passwd
func fileGetGid(ctx context.Context, c *module.Call, a fileFollowArgs) (any, error) {
	return statKey(c, a, "gid")
}

// fileGetGroup returns the group that a file belongs to.
//
//	gosalt '*' file.get_group /etc/passwd
func fileGetGroup(ctx context.Context, c *module.Call, a fileFollowArgs) (any, error) {
	return statKey(c, a, "group")
}

// fileGetUid returns the number of the user that a file belongs to.
//
//	gosalt '*' file.get_uid /etc/passwd
func fileGetUid(ctx context.Context, c *module.Call, a fileFollowArgs) (any, error) {
	return statKey(c, a, "uid")
}

// fileGetUser returns the user that a file belongs to.
//
//	gosalt '*' file.get_user /etc/passwd
func fileGetUser(ctx context.Context, c *module.Call, a fileFollowArgs) (any, error) {
	return statKey(c, a, "user")
}

// fileGetMode returns the permissions of a file as four octal digits.
//
//	gosalt '*' file.get_mode /etc/passwd
func fileGetMode(ctx context.Context, c *module.Call, a fileFollowArgs) (any, error) {
	return statKey(c, a, "mode")
}

type fileSetModeArgs struct {
	Path string // A path.
	Mode any    // Permissions, as octal digits.
}

// fileSetMode sets the permissions of a file and returns what they are then.
//
//	gosalt '*' file.set_mode /etc/passwd 0644
func fileSetMode(ctx context.Context, c *module.Call, a fileSetModeArgs) (any, error) {
	return setMode(c, expandUser(c, a.Path), a.Mode)
}

func setMode(c *module.Call, path string, mode any) (any, error) {
	text := strings.TrimLeft(pytext.Str(mode), "0Oo")
	if text == "" {
		text = "0"
	}
	if !c.Host.Exists(path) {
		return nil, module.Failf("%s: File not found", path)
	}
	n, err := strconv.ParseUint(text, 8, 32)
	if err == nil {
		err = c.Host.Chmod(path, uint32(n))
	}
	if err != nil {
		return "Invalid Mode " + text, nil
	}
	return statKey(c, fileFollowArgs{path, true}, "mode")
}

// octal is a mode as four octal digits.
func octal(mode uint32) string {
	s := strconv.FormatUint(uint64(mode), 8)
	return strings.Repeat("0", max(0, 4-len(s))) + s
}

// normalMode writes a mode as Salt does: octal digits, four at least. nil stays nil.
func normalMode(mode any) any {
	if mode == nil {
		return nil
	}
	s := strings.ReplaceAll(pytext.Str(mode), "0o", "0")
	s = strings.TrimLeft(strings.Trim(strings.Trim(s, `"`), "'"), "0")
	return strings.Repeat("0", max(0, 4-len(s))) + s
}

type fileChownArgs struct {
	Path  string // A path.
	User  any    // Name or number of the user; None leaves it.
	Group any    // Name or number of the group; None leaves it.
}

// owners finds the ids for chown; the text says what does not exist. -1 leaves one.
func owners(c *module.Call, user, group any) (uid, gid int, missing string) {
	uid, gid = -1, -1
	if n := userID(c, user); n != nil {
		uid = int(*n)
	} else if module.Truth(user) {
		missing += "User does not exist\n"
	}
	if n := groupID(c, group); n != nil {
		gid = int(*n)
	} else if module.Truth(group) {
		missing += "Group does not exist\n"
	}
	return uid, gid, missing
}

// fileChown gives a file to a user and a group. What does not exist is named in the text
// that is returned; None is returned when all is well.
//
//	gosalt '*' file.chown /etc/passwd root root
func fileChown(ctx context.Context, c *module.Call, a fileChownArgs) (any, error) {
	return chown(c, expandUser(c, a.Path), a.User, a.Group)
}

func chown(c *module.Call, path string, user, group any) (any, error) {
	uid, gid, missing := owners(c, user, group)
	if !c.Host.Exists(path) {
		if missing == "" && c.Host.SetOwner(path, uid, gid, false) == nil {
			return nil, nil
		}
		missing += "File not found"
	}
	if missing != "" {
		return missing, nil
	}
	if err := c.Host.SetOwner(path, uid, gid, true); err != nil {
		return nil, systemError(err, path)
	}
	return nil, nil
}

// fileLchown gives a symbolic link itself to a user and a group.
//
//	gosalt '*' file.lchown /path/to/link root root
func fileLchown(ctx context.Context, c *module.Call, a fileChownArgs) (any, error) {
	path := expandUser(c, a.Path)
	uid, gid, missing := owners(c, a.User, a.Group)
	if missing != "" {
		return missing, nil
	}
	if err := c.Host.SetOwner(path, uid, gid, false); err != nil {
		return nil, systemError(err, path)
	}
	return nil, nil
}

type fileChgrpArgs struct {
	Path  string // A path.
	Group any    // Name or number of the group.
}

// fileChgrp gives a file to a group.
//
//	gosalt '*' file.chgrp /etc/passwd root
func fileChgrp(ctx context.Context, c *module.Call, a fileChgrpArgs) (any, error) {
	path := expandUser(c, a.Path)
	st, err := statsOf(c, path, "", true)
	if err != nil {
		return nil, err
	}
	user, _ := st.Get("user")
	return chown(c, path, user, a.Group)
}

type fileStatsArgs struct {
	Path           string // A path.
	HashType       string `default:"None"` // Also return this checksum of it, as sum.
	FollowSymlinks bool   `default:"True"` // Of the file that a symbolic link points to.
}

// fileStats returns what there is to know of a file: owner, times, size, permissions, kind.
//
//	gosalt '*' file.stats /etc/passwd
func fileStats(ctx context.Context, c *module.Call, a fileStatsArgs) (*wire.Map, error) {
	return statsOf(c, expandUser(c, a.Path), a.HashType, a.FollowSymlinks)
}

func statsOf(c *module.Call, path, hashType string, follow bool) (*wire.Map, error) {
	st, err := c.Host.Info(path, follow && c.Host.Exists(path))
	if err != nil {
		return nil, module.Failf("Path not found: %s", path)
	}
	ret := wire.NewMap("inode", int64(st.Inode), "uid", int64(st.UID), "gid", int64(st.GID),
		"group", nameOrNumber(c.Host.GroupName(st.GID), int64(st.GID)),
		"user", nameOrNumber(c.Host.UserName(st.UID), int64(st.UID)),
		"atime", seconds(st.Atime), "mtime", seconds(st.Mtime), "ctime", seconds(st.Ctime),
		"size", st.Size, "mode", octal(st.Mode))
	if hashType != "" {
		sum, err := hashFile(c, path, hashType)
		if err != nil {
			return nil, err
		}
		ret.Set("sum", sum)
	}
	ret.Set("type", st.Type)
	ret.Set("target", realPath(c, path))
	return ret, nil
}

// seconds is a time as Python has it, a float.
func seconds(t time.Time) float64 {
	return float64(t.Unix()) + float64(t.Nanosecond())*1e-9
}

// fileLstat returns the fields of lstat(2) of a file; a symbolic link is not followed. It
// is empty where there is no file.
//
//	gosalt '*' file.lstat /path/to/file
func fileLstat(ctx context.Context, c *module.Call, a filePathArgs) (*wire.Map, error) {
	path := expandUser(c, a.Path)
	if !filepath.IsAbs(path) {
		return nil, module.Invalidf("Path to file must be absolute.")
	}
	st, err := c.Host.Info(path, false)
	if err != nil {
		return wire.NewMap(), nil // as in Salt
	}
	return wire.NewMap("st_atime", seconds(st.Atime), "st_ctime", seconds(st.Ctime), "st_gid", int64(st.GID),
		"st_mode", int64(st.Raw), "st_mtime", seconds(st.Mtime), "st_nlink", int64(st.Links),
		"st_size", st.Size, "st_uid", int64(st.UID)), nil
}

// fileStatvfs returns what statvfs(2) says of the file system that a path is on.
//
//	gosalt '*' file.statvfs /path/to/file
func fileStatvfs(ctx context.Context, c *module.Call, a filePathArgs) (*wire.Map, error) {
	path := expandUser(c, a.Path)
	if !filepath.IsAbs(path) {
		return nil, module.Invalidf("File path must be absolute.")
	}
	m, err := statvfs(c.Host.Path(path))
	if err != nil {
		return nil, module.Failf("Could not statvfs '%s'", path)
	}
	return m, nil
}

// fileLsattr returns the attributes that a file has on Linux's file systems; None where
// the program lsattr is not installed.
//
//	gosalt '*' file.lsattr foo1.txt
func fileLsattr(ctx context.Context, c *module.Call, a filePathArgs) (any, error) {
	if _, err := host.LookPath("lsattr", searchPath(), "/"); err != nil {
		return nil, nil // as in Salt
	}
	if !c.Host.Exists(a.Path) {
		return nil, module.Invalidf("File or directory does not exist: %s", a.Path)
	}
	return fileAttributes(ctx, c, a.Path)
}

// fileAttributes asks lsattr; names of files to letters.
func fileAttributes(ctx context.Context, c *module.Call, path string) (*wire.Map, error) {
	out, err := runProgram(ctx, c, "lsattr", path)
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap()
	for line := range strings.Lines(out.Text("stdout")) {
		attrs, name, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			continue
		}
		letters := []any{}
		for _, r := range attrs {
			if strings.ContainsRune("aAcCdDeijPsStTu", r) {
				letters = append(letters, string(r))
			}
		}
		ret.Set(strings.TrimSpace(name), letters)
	}
	return ret, nil
}

type fileChattrArgs struct {
	Files  []any     `arg:"*"`  // Paths.
	Kwargs *wire.Map `arg:"**"` // operator (add or remove), attributes (letters of aAcCdDeijPsStTu), flags and version for chattr.
}

// fileChattr adds or removes attributes of files on Linux's file systems.
//
//	gosalt '*' file.chattr foo1.txt foo2.txt operator=add attributes=ai
func fileChattr(ctx context.Context, c *module.Call, a fileChattrArgs) (bool, error) {
	op, _ := a.Kwargs.Get("operator")
	if op != "add" && op != "remove" {
		return false, module.Invalidf("Need an operator: 'add' or 'remove' to modify attributes.")
	}
	attrs, _ := a.Kwargs.Get("attributes")
	if attrs == nil {
		return false, module.Invalidf("Need attributes: [aAcCdDeijPsStTu]")
	}
	sign := "+"
	if op == "remove" {
		sign = "-"
	}
	args := []any{"chattr", sign + pytext.Str(attrs)}
	if flags, _ := a.Kwargs.Get("flags"); flags != nil {
		args = append(args, "-"+pytext.Str(flags))
	}
	if version, _ := a.Kwargs.Get("version"); version != nil {
		args = append(args, "-v", version)
	}
	out, err := runProgram(ctx, c, append(args, a.Files...)...)
	if err != nil {
		return false, err
	}
	if out.Int("retcode") != 0 {
		c.SetRetcode(int(out.Int("retcode")))
	}
	return out.Text("stdout")+out.Text("stderr") == "", nil
}

type fileRestoreconArgs struct {
	Path      string // A path.
	Recursive bool   `default:"False"` // All that is below it too.
}

// fileRestorecon gives a file the SELinux context that the policy has for it.
//
//	gosalt '*' file.restorecon /home/user/.ssh/authorized_keys
func fileRestorecon(ctx context.Context, c *module.Call, a fileRestoreconArgs) (bool, error) {
	flags := "-F"
	if a.Recursive {
		flags = "-FR"
	}
	out, err := runProgram(ctx, c, "restorecon", flags, a.Path)
	if err != nil {
		return false, err
	}
	return out.Int("retcode") == 0, nil
}

// fileGetSelinuxContext returns the SELinux context of a file.
//
//	gosalt '*' file.get_selinux_context /etc/hosts
func fileGetSelinuxContext(ctx context.Context, c *module.Call, a filePathArgs) (string, error) {
	b := make([]byte, 4096)
	n, err := unix.Getxattr(c.Host.Path(a.Path), "security.selinux", b)
	if err != nil {
		c.SetRetcode(1)
		return "No selinux context information is available for " + a.Path, nil // as in Salt
	}
	return strings.TrimRight(string(b[:n]), "\x00"), nil
}

type fileSetSelinuxContextArgs struct {
	Path    string // A path.
	User    string `default:"None"`  // The user of the context.
	Role    string `default:"None"`  // Its role.
	Type    string `default:"None"`  // Its type.
	Range   string `default:"None"`  // Its range.
	Persist bool   `default:"False"` // Also put it into the policy, with selinux.fcontext_add_policy.
}

// fileSetSelinuxContext changes parts of the SELinux context of a file and returns it.
//
//	gosalt '*' file.set_selinux_context path type=httpd_sys_content_t
func fileSetSelinuxContext(ctx context.Context, c *module.Call, a fileSetSelinuxContextArgs) (any, error) {
	if a.User+a.Role+a.Type+a.Range == "" {
		return false, nil
	}
	if a.Persist {
		_, err := c.Call(ctx, "selinux.fcontext_add_policy", []any{a.Path},
			wire.NewMap("sel_type", a.Type, "sel_user", a.User, "sel_level", a.Range))
		if err != nil {
			return nil, err
		}
	}
	args := []any{"chcon"}
	for _, o := range [][2]string{{"-u", a.User}, {"-r", a.Role}, {"-t", a.Type}, {"-l", a.Range}} {
		if o[1] != "" {
			args = append(args, o[0], o[1])
		}
	}
	out, err := runProgram(ctx, c, append(args, a.Path)...)
	if err != nil {
		return nil, err
	}
	if n := out.Int("retcode"); n != 0 {
		c.SetRetcode(int(n))
		return false, nil
	}
	return fileGetSelinuxContext(ctx, c, filePathArgs{a.Path})
}
