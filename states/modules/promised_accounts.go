package modules

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

// A plan names users and groups that are not there. A run fails for them, unless a state
// before it is to make them, or may: packages and commands do so without saying it.

// promisedGroup tells whether an earlier state of the run is to make a group.
func promisedGroup(c *states.Call, group string) bool {
	_, ok := firstEffect(c, effect{"group", group})
	return ok
}

// possibleGroup tells whether an earlier state of the run is to make a group, or may.
func possibleGroup(c *states.Call, group string) bool {
	_, ok := firstEffect(c, effect{"group", group}, effect{"accounts", ""})
	return ok
}

// promisedUser tells whether an earlier state of the run is to make a user, and none after
// it to remove it.
func promisedUser(c *states.Call, user string) (id string, ok bool) {
	s, _ := lastEffect(c, effect{"user", user})
	return s.id, s.fun == "present"
}

// possibleUser tells whether an earlier state of the run is to make a user, or may.
func possibleUser(c *states.Call, user string) (id string, ok bool) {
	s, ok := lastEffect(c, effect{"user", user}, effect{"accounts", ""})
	return s.id, ok && (s.kind == "accounts" || s.fun == "present")
}

// A membership is that a user is to come into a group, or to leave it. No user is all of
// them, no group is all of them.
type membership struct {
	user, group string
	in          bool
}

// promiseMember notes a membership, for the states that come later.
func promiseMember(c *states.Call, user, group string, in bool) {
	promiseOf(c, "membership", "", membership{user, group, in})
}

// membersToBe are the members of a group as the earlier states of the run will leave them.
func membersToBe(c *states.Call, group string, members []any) []any {
	for p := range promised(c, "membership") {
		if m := p.value.(membership); m.group == group || m.group == "" {
			members = withName(members, m.user, m.in)
		}
	}
	return members
}

// groupsToBe are the groups of a user as the earlier states of the run will leave them.
func groupsToBe(c *states.Call, user string, groups []any) []any {
	for p := range promised(c, "membership") {
		if m := p.value.(membership); m.user == user || m.user == "" {
			groups = withName(groups, m.group, m.in)
		}
	}
	return groups
}

// withName is a list with a name, or without it; without any for no name.
func withName(list []any, name string, in bool) []any {
	has := func(v any) bool { return name == "" || pytext.Str(v) == name }
	switch {
	case !in:
		return slices.DeleteFunc(slices.Clone(list), has)
	case slices.ContainsFunc(list, has):
		return list
	}
	return append(slices.Clip(list), name)
}

// userToCome tells whether there is no such user yet, and an earlier state is to make it,
// or may.
func userToCome(c *states.Call, user any) bool {
	if !module.Truth(user) {
		return false
	}
	if _, err := c.Host.User(pytext.Str(user)); err == nil {
		return false
	}
	_, coming := possibleUser(c, pytext.Str(user))
	return coming
}

// lacksUser tells under test=True whether the run will fail for want of a user: there is
// none, and no earlier state can make it.
func lacksUser(c *states.Call, who any) bool {
	if _, isID := who.(int64); isID || !c.Test || !module.Truth(who) {
		return false
	}
	user := pytext.Str(who)
	if _, err := c.Host.User(user); !errors.Is(err, host.ErrNoUser) {
		return false
	}
	_, coming := possibleUser(c, user)
	return !coming
}

// accountless are the state modules whose states make no users and groups, whatever they
// change, unless they write the files of those.
var accountless = []string{"alternatives", "archive", "at", "cron", "environ", "file", "git", "grains", "group", "host", "http", "ini", "iptables", "kmod", "locale",
	"mount", "nftables", "pip", "pkgrepo", "schedule", "ssh_auth", "ssh_known_hosts", "sysctl", "test", "timezone", "user", "virtualenv"}

// accountsMove tells under test=True whether an earlier state of the run may free a number
// of a user or group.
func accountsMove(c *states.Call) bool {
	return comesFirst(c, func(low *wire.Map) bool {
		state := low.Text("state")
		return state == "user" || state == "group" || mayMakeAccounts([]string{state, low.Text("__id__"), low.Text("name"), low.Text("fun")})
	})
}

// accountFiles are the files that users and groups are read from, or where that is said.
var accountFiles = []string{"/etc/passwd", "/etc/group", "/etc/nsswitch.conf"}

// mayMakeAccounts tells whether a state that is to change something could make users and
// groups that it does not name.
func mayMakeAccounts(tag []string) bool {
	state, name, fun := tag[0], tag[2], tag[3]
	if !slices.Contains(accountless, state) {
		return true
	}
	for _, path := range accountFiles {
		if filepath.IsAbs(name) && filepath.Clean(name) == path || state == "mount" && strings.HasPrefix(path, filepath.Clean(name)+"/") || makes(state, fun, name, path) {
			return true
		}
	}
	return strings.HasPrefix(name, "/etc/userdb/") || strings.HasPrefix(name, "/run/userdb/")
}

// lacksGroup is lacksUser for a group.
func lacksGroup(c *states.Call, which any) bool {
	if _, isID := which.(int64); isID || !c.Test || !module.Truth(which) {
		return false
	}
	group := pytext.Str(which)
	_, err := c.Host.Group(group)
	return errors.Is(err, host.ErrNoGroup) && !possibleGroup(c, group)
}

// waitsForUser is the outcome of a state that can only be planned as a user who is to come.
func waitsForUser(c *states.Call, user any) error {
	if !userToCome(c, user) {
		return nil
	}
	id, _ := possibleUser(c, pytext.Str(user))
	return states.Unknown("There is no user " + pytext.Str(user) + " yet: the state " + id + " comes before, and what is to be changed is known when it has run")
}
