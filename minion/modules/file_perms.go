//go:build unix

package modules

import (
	"context"
	"fmt"
	"strings"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() { register("file.check_perms", fileCheckPerms) }

// selinuxWanted are the parts of a context that a file is to have; "" leaves one.
type selinuxWanted struct {
	Seuser  string `default:"None"` // The user of the SELinux context it is to have.
	Serole  string `default:"None"` // The role of that context.
	Setype  string `default:"None"` // The type of that context.
	Serange string `default:"None"` // The range of that context.
}

// permsWanted is what checkPerms brings about.
type permsWanted struct {
	Name              string
	User, Group, Mode any // nil leaves one
	Attrs             *string
	Follow            bool
	selinuxWanted
}

type fileCheckPermsArgs struct {
	Name           string    // A path.
	Ret            *wire.Map // Result of a state that is added to, or {}.
	User           any       // Name or number of the user; None leaves it.
	Group          any       // Name or number of the group; None leaves it.
	Mode           any       // Permissions, as octal digits; None leaves them.
	Attrs          *string   `default:"None"`  // Letters of the attributes that chattr sets; None leaves them.
	FollowSymlinks bool      `default:"False"` // The file that a symbolic link points to is meant.
	selinuxWanted
}

// fileCheckPerms makes owner, group, permissions and attributes of a file what they are
// to be. It returns the result of a state and what was there before.
//
//	gosalt '*' file.check_perms /etc/sudoers '{}' root root 400
func fileCheckPerms(ctx context.Context, c *module.Call, a fileCheckPermsArgs) ([]any, error) {
	ret, perms, err := checkPerms(ctx, c, permsWanted{a.Name, a.User, a.Group, a.Mode, a.Attrs, a.FollowSymlinks, a.selinuxWanted}, a.Ret)
	if err != nil {
		return nil, err
	}
	return []any{ret, perms}, nil
}

// differs tells whether a file is not someone's, by name or by number.
func differs(want, name, id any) bool {
	return module.Truth(want) && !pytext.Equal(want, name) && !pytext.Equal(want, id)
}

// checkPerms is file.check_perms. ret may be nil.
func checkPerms(ctx context.Context, c *module.Call, w permsWanted, ret *wire.Map) (*wire.Map, *wire.Map, error) {
	name, mode, test := expandUser(c, w.Name), normalMode(w.Mode), c.Opts.Bool("test")
	var comments []string
	text, wasText := "", true
	if ret.Len() == 0 {
		ret = wire.NewMap("name", name, "changes", wire.NewMap(), "comment", []any{}, "result", true)
	} else {
		ret = ret.Clone()
		v, _ := ret.Get("comment")
		if text, wasText = v.(string); !wasText {
			for _, e := range ret.List("comment") {
				comments = append(comments, pytext.Str(e))
			}
		}
	}
	changes := ret.Map("changes")
	if changes == nil {
		changes = wire.NewMap()
	}
	fail := func(format string, args ...any) {
		ret.Set("result", false)
		if s := fmt.Sprintf(format, args...); s != "" {
			comments = append(comments, s)
		}
	}
	cur, err := statsOf(c, name, "", w.Follow)
	if err != nil {
		return nil, nil, err
	}
	get := func(m *wire.Map, k string) any { v, _ := m.Get(k); return v }
	perms := wire.NewMap("luser", get(cur, "user"), "lgroup", get(cur, "group"), "lmode", get(cur, "mode"))
	if _, n := w.User.(int64); n {
		perms.Set("luser", get(cur, "uid"))
	}
	if _, n := w.Group.(int64); n {
		perms.Set("lgroup", get(cur, "gid"))
	}
	isLink := c.Host.IsLink(name)
	linkItself := isLink && !w.Follow
	if differs(w.User, get(cur, "user"), get(cur, "uid")) {
		perms.Set("cuser", w.User)
	}
	if differs(w.Group, get(cur, "group"), get(cur, "gid")) {
		perms.Set("cgroup", w.Group)
	}
	if !test && (perms.Has("cuser") || perms.Has("cgroup")) {
		user, group := w.User, w.Group
		if user == nil {
			user = get(cur, "user")
		}
		if group == nil {
			group = get(cur, "group")
		}
		uid, gid, missing := owners(c, user, group)
		if missing != "" {
			fail("%s", missing)
			if linkItself {
				comments = comments[:len(comments)-1]
			}
		} else if err := c.Host.SetOwner(name, uid, gid, !linkItself); err != nil {
			fail("")
		} else if !isLink {
			if _, err := setMode(c, name, get(cur, "mode")); err != nil { // chown takes setuid off
				return nil, nil, err
			}
		}
	}
	if mode != nil && !test && !linkItself && mode != get(cur, "mode") {
		perms.Set("cmode", mode)
		if _, err := setMode(c, name, mode); err != nil {
			return nil, nil, err
		}
	}
	post, err := statsOf(c, name, "", w.Follow)
	if err != nil {
		return nil, nil, err
	}
	owner := func(key string, want, have, id any, changed bool) {
		switch {
		case !module.Truth(want):
		case !differs(want, have, id):
			if changed {
				changes.Set(key, want)
			}
		case test:
			changes.Set(key, want)
		default:
			fail("Failed to change %s to %s", key, pytext.Str(want))
		}
	}
	owner("user", w.User, get(post, "user"), get(post, "uid"), perms.Has("cuser"))
	owner("group", w.Group, get(post, "group"), get(post, "gid"), perms.Has("cgroup"))
	if mode != nil && !linkItself {
		switch {
		case mode == get(post, "mode"):
			if perms.Has("cmode") {
				changes.Set("mode", mode)
			}
		case test:
			changes.Set("mode", mode)
		default:
			fail("Failed to change mode to %s", pytext.Str(mode))
		}
	}
	if w.Attrs != nil && !c.Host.IsDir(name) && !linkItself {
		if err := setAttributes(ctx, c, name, *w.Attrs, test, changes, fail); err != nil {
			return nil, nil, err
		}
	}
	if w.Seuser+w.Serole+w.Setype+w.Serange != "" {
		if err := setContext(ctx, c, name, w.selinuxWanted, test, ret, changes, func(s string) { comments = append(comments, s) }, fail); err != nil {
			return nil, nil, err
		}
	}
	ret.Set("changes", changes)
	if wasText {
		if text != "" {
			comments = append([]string{text}, comments...)
		}
		if v, ok := ret.Get("comment"); !ok || pytext.Str(v) != "File "+name+" selinux context to be updated" {
			ret.Set("comment", strings.Join(comments, "; "))
		}
	} else {
		list := make([]any, len(comments))
		for i, s := range comments {
			list[i] = s
		}
		ret.Set("comment", list)
	}
	if test && changes.Len() > 0 {
		ret.Set("result", nil)
	}
	return ret, perms, nil
}

// attrDiff compares the attributes of a file with those it is to have: what is missing,
// and what is too much. known is false where they cannot be asked for.
func attrDiff(ctx context.Context, c *module.Call, name, want string) (added, removed, old string, known bool) {
	if _, err := host.LookPath("lsattr", searchPath(), "/"); err != nil {
		return "", "", "", false
	}
	m, err := fileAttributes(ctx, c, name)
	if err != nil {
		return "", "", "", false
	}
	for _, e := range m.List(name) {
		old += pytext.Str(e)
	}
	for _, r := range want {
		if !strings.ContainsRune(old, r) && !strings.ContainsRune(added, r) {
			added += string(r)
		}
	}
	for _, r := range old {
		if r != 'e' && !strings.ContainsRune(want, r) {
			removed += string(r)
		}
	}
	return added, removed, old, true
}

func setAttributes(ctx context.Context, c *module.Call, name, want string, test bool, changes *wire.Map, fail func(string, ...any)) error {
	added, removed, old, known := attrDiff(ctx, c, name, want)
	if !known || added+removed == "" {
		return nil
	}
	now := want
	if !test {
		for _, step := range [][2]string{{"add", added}, {"remove", removed}} {
			if step[1] == "" {
				continue
			}
			if _, err := fileChattr(ctx, c, fileChattrArgs{[]any{name}, wire.NewMap("operator", step[0], "attributes", step[1])}); err != nil {
				return err
			}
		}
		if a, r, left, _ := attrDiff(ctx, c, name, want); a+r != "" {
			fail("Failed to change attributes to %s", want)
			now = left
		}
	}
	if old != now {
		changes.Set("attrs", wire.NewMap("old", old, "new", now))
	}
	return nil
}

func setContext(ctx context.Context, c *module.Call, name string, w selinuxWanted, test bool, ret, changes *wire.Map, say func(string), fail func(string, ...any)) error {
	text, err := fileGetSelinuxContext(ctx, c, filePathArgs{name})
	if err != nil {
		return err
	}
	cur := strings.SplitN(text, ":", 4)
	if len(cur) != 4 {
		fail("Failed to get selinux attributes")
		return nil
	}
	want := []string{w.Seuser, w.Serole, w.Setype, w.Serange}
	labels := []string{"User", "Role", "Type", "Range"}
	var before, after []string
	for i := range want {
		if want[i] == cur[i] {
			want[i] = ""
		}
		if want[i] != "" {
			before = append(before, labels[i]+": "+cur[i])
			after = append(after, labels[i]+": "+want[i])
		}
	}
	if len(after) == 0 {
		return nil
	}
	change := wire.NewMap("Old", strings.Join(before, " "), "New", strings.Join(after, " "))
	if test {
		ret.Set("comment", "File "+name+" selinux context to be updated")
		ret.Set("result", nil)
		changes.Set("selinux", change)
		return nil
	}
	set := fileSetSelinuxContextArgs{Path: name, User: want[0], Role: want[1], Type: want[2], Range: want[3], Persist: true}
	if set.Type == "" {
		set.Type = cur[2]
	}
	v, err := fileSetSelinuxContext(ctx, c, set)
	if err != nil {
		return err
	}
	now := strings.SplitN(pytext.Str(v), ":", 4)
	if len(now) != 4 {
		fail("Failed to set selinux attributes")
		return nil
	}
	say("The file " + name + " is set to be changed")
	for i, what := range []string{"seuser", "serole", "setype", "serange"} {
		if want[i] != "" && now[i] != want[i] {
			fail("Unable to update %s context", what)
		}
	}
	changes.Set("selinux", change)
	return nil
}
