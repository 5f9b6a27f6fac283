package modules

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("group.present", groupPresent)
	register("group.absent", groupAbsent)
}

type groupPresentArgs struct {
	Name      string // Name of the group.
	Gid       any    `default:"None"`  // Its number; the next that is free.
	System    bool   `default:"False"` // A number of the range for the system.
	Addusers  any    `default:"None"`  // Users to put into it.
	Delusers  any    `default:"None"`  // Users to take out of it.
	Members   any    `default:"None"`  // The users that are to be in it, and no others.
	NonUnique bool   `default:"False"` // The number may be one that is in use.
}

// groupPresent makes a group be there, with its number and members.
func groupPresent(ctx context.Context, c *states.Call, a groupPresentArgs) (*states.Plan, error) {
	p := &states.Plan{Fine: fmt.Sprintf("Group %s is present and up to date", a.Name)}
	if a.Members != nil && (a.Addusers != nil || a.Delusers != nil) {
		return states.Decided(nil, nil, `Error: Conflicting options "members" with "addusers" and/or "delusers" can not be used together. `), nil
	}
	for _, v := range listOf(a.Addusers) {
		if contained(listOf(a.Delusers), v) {
			return states.Decided(nil, nil, "Error. Same user(s) can not be added and deleted simultaneously"), nil
		}
	}
	change, there, err := a.changes(ctx, c)
	if err == nil {
		a.promise(c, change)
	}
	if err == nil && (!there || change.Len() > 0) {
		for _, u := range slices.Concat(listOf(a.Members), listOf(a.Addusers)) {
			if lacksUser(c, u) {
				return p, module.Failf("User %s, who is to be a member of group %s, does not exist", pytext.Str(u), a.Name)
			}
		}
	}
	switch {
	case err != nil:
		return p, err
	case !there:
		p.Would, p.Did = fmt.Sprintf("Group %s set to be added", a.Name), fmt.Sprintf("New group %s created", a.Name)
		if !c.Test || !accountsMove(c) {
			if err := a.free(ctx, c); err != nil {
				return p, err
			}
		}
		p.Do(nil, func(ctx context.Context, r *states.Result) error { return a.add(ctx, c, r) })
	case change.Len() > 0:
		p.Would = "The following group attributes are set to be changed:\n"
		for k, v := range change.Strings() {
			p.Would += fmt.Sprintf("%s: %s\n", k, a.shown(k, v))
		}
		p.Did = p.Would
		p.Do(nil, func(ctx context.Context, r *states.Result) error { return a.update(ctx, c, r, change) })
	}
	return p, nil
}

func contained(l []any, v any) bool {
	return slices.ContainsFunc(l, func(e any) bool { return pytext.Equal(e, v) })
}

// shown is a change as Salt writes it: those who go as members are [] are a set of Python.
func (a *groupPresentArgs) shown(key string, v any) string {
	if l, ok := v.([]any); ok && key == "delusers" && a.Delusers == nil {
		return "{" + strings.Trim(pytext.Str(l), "[]") + "}"
	}
	return pytext.Str(v)
}

// changes are what is not as it should be; there is whether there is such a group.
func (a *groupPresentArgs) changes(ctx context.Context, c *states.Call) (change *wire.Map, there bool, err error) {
	group, err := mapOf(ctx, c, "group.info", a.Name)
	if err != nil || !a.foretold(c, group.Len() > 0) {
		return nil, false, err
	}
	change = wire.NewMap()
	have := membersToBe(c, a.Name, group.List("members"))
	if module.Truth(a.Gid) {
		gid, err := strconv.ParseInt(strings.TrimSpace(pytext.Str(a.Gid)), 10, 64)
		if err != nil { // Salt takes this result for a list of changes
			return wire.NewMap("result", false, "comment", "Invalid gid"), true, nil
		}
		if group.Int("gid") != gid {
			change.Set("gid", gid)
		}
	}
	if a.Members != nil {
		want := listOf(a.Members)
		other := slices.ContainsFunc(want, func(v any) bool { return !contained(have, v) }) || slices.ContainsFunc(have, func(v any) bool { return !contained(want, v) })
		switch {
		case other && len(want) == 0:
			all := slices.Clone(have)
			slices.SortFunc(all, func(a, b any) int { return strings.Compare(pytext.Str(a), pytext.Str(b)) })
			change.Set("delusers", all)
		case other:
			change.Set("members", a.Members)
		}
	}
	var add, del []any
	for _, u := range listOf(a.Addusers) {
		if !contained(have, u) {
			add = append(add, u)
		}
	}
	for _, u := range listOf(a.Delusers) {
		if contained(have, u) {
			del = append(del, u)
		}
	}
	if add != nil {
		change.Set("addusers", add)
	}
	if del != nil {
		change.Set("delusers", del)
	}
	return change, true, nil
}

// foretold tells whether there will be such a group when the state's turn comes. One that
// is to be made has a number that nobody knows yet.
func (a *groupPresentArgs) foretold(c *states.Call, there bool) bool {
	switch s, _ := lastEffect(c, effect{"group", a.Name}, effect{"no group", a.Name}); {
	case s.kind == "no group":
		return false
	case s.kind == "group" && !there:
		return strings.HasPrefix(s.tag, "group_|-") && !module.Truth(a.Gid)
	}
	return there
}

// promise notes who is to come into the group, and who to go, for the states that come later.
func (a *groupPresentArgs) promise(c *states.Call, change *wire.Map) {
	if change == nil { // a new group
		members := listOf(a.Addusers)
		if len(members) == 0 {
			members = listOf(a.Members)
		}
		for _, u := range members {
			promiseMember(c, pytext.Str(u), a.Name, true)
		}
		return
	}
	if change.Has("members") {
		promiseMember(c, "", a.Name, false)
	}
	for _, u := range slices.Concat(listOf(get(change, "members")), listOf(get(change, "addusers"))) {
		promiseMember(c, pytext.Str(u), a.Name, true)
	}
	for _, u := range listOf(get(change, "delusers")) {
		promiseMember(c, pytext.Str(u), a.Name, false)
	}
}

// free fails where another group has the number.
func (a *groupPresentArgs) free(ctx context.Context, c *states.Call) error {
	if a.Gid == nil || a.NonUnique {
		return nil
	}
	v, err := c.Call.Call(ctx, "group.getent", nil, nil)
	if err != nil {
		return err
	}
	for _, e := range listOf(v) {
		if g, ok := e.(*wire.Map); ok && pytext.Equal(get(g, "gid"), a.Gid) {
			return module.Failf("Group %s is not present but gid %s is already taken by group %s", a.Name, pytext.Str(a.Gid), g.Text("name"))
		}
	}
	return nil
}

func names(v any) string {
	var out []string
	for _, e := range listOf(v) {
		out = append(out, pytext.Str(e))
	}
	return strings.Join(out, ",")
}

func (a *groupPresentArgs) add(ctx context.Context, c *states.Call, r *states.Result) error {
	v, err := c.Call.Call(ctx, "group.add", args(a.Name), wire.NewMap("gid", a.Gid, "system", a.System, "non_unique", a.NonUnique))
	if err != nil {
		return err
	}
	if !module.Truth(v) {
		return module.Failf("Failed to create new group %s", a.Name)
	}
	members := names(a.Members)
	if s := names(a.Addusers); s != "" {
		members = s
	}
	if members != "" {
		if _, err := c.Call.Call(ctx, "group.members", args(a.Name, members), nil); err != nil {
			return err
		}
	}
	group, err := mapOf(ctx, c, "group.info", a.Name)
	if err != nil {
		return err
	}
	r.SetChanges(group)
	left, _, err := a.changes(ctx, c)
	if err != nil {
		return err
	}
	if left.Len() > 0 {
		r.SetChanges(wire.NewMap("Failed", left))
		return module.Failf("Group %s has been created but, some changes could not be applied", a.Name)
	}
	return nil
}

func (a *groupPresentArgs) update(ctx context.Context, c *states.Call, r *states.Result, change *wire.Map) error {
	for k, v := range change.Strings() {
		var err error
		switch k {
		case "gid":
			_, err = c.Call.Call(ctx, "group.chgid", args(a.Name, v), wire.NewMap("non_unique", a.NonUnique))
		case "members":
			_, err = c.Call.Call(ctx, "group.members", args(a.Name, names(a.Members)), nil)
		case "addusers", "delusers":
			for _, u := range listOf(v) {
				if err == nil {
					_, err = c.Call.Call(ctx, map[string]string{"addusers": "group.adduser", "delusers": "group.deluser"}[k], args(a.Name, u), nil)
				}
			}
		}
		if err != nil {
			return err
		}
	}
	left, _, err := a.changes(ctx, c)
	if err != nil {
		return err
	}
	if left.Len() > 0 {
		r.SetChanges(wire.NewMap("Failed", left))
		return module.Failf("%sSome changes could not be applied", r.Comment)
	}
	r.SetChanges(wire.NewMap("Final", "All changes applied successfully"))
	return nil
}

type groupAbsentArgs struct {
	Name string // Name of the group.
}

// groupAbsent removes a group.
func groupAbsent(ctx context.Context, c *states.Call, a groupAbsentArgs) (*states.Plan, error) {
	p := &states.Plan{Fine: "Group not present", Would: fmt.Sprintf("Group %s is set for removal", a.Name), Did: fmt.Sprintf("Removed group %s", a.Name)}
	group, err := mapOf(ctx, c, "group.info", a.Name)
	last, _ := lastEffect(c, effect{"group", a.Name}, effect{"no group", a.Name})
	if err != nil || last.kind == "no group" || last.kind == "" && group.Len() == 0 {
		return p, err
	}
	promiseMember(c, "", a.Name, false)
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		ok, err := truth(ctx, c, "group.delete", a.Name)
		if err == nil && !ok {
			err = module.Failf("Failed to remove group %s", a.Name)
		}
		if err == nil {
			r.Change(a.Name, "")
		}
		return err
	})
	return p, nil
}
