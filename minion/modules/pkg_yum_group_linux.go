package modules

import (
	"context"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("pkg.group_list", yumGroupList, onYum)
	register("pkg.group_info", yumGroupInfo, onYum)
	register("pkg.group_diff", yumGroupDiff, onYum)
	register("pkg.group_install", yumGroupInstall, onYum)
	register("pkg.groupinstall", yumGroupInstall, onYum)
}

var groupSections = map[string]string{
	"installed groups:":             "installed",
	"available groups:":             "available",
	"installed environment groups:": "installed environments",
	"available environment groups:": "available environments",
	"available language groups:":    "available languages",
}

var languageGroup = lazyre.New(`^(.+) \[(.+)\]`)

// yumGroupList returns the groups of packages that the repositories have.
//
//	gosalt '*' pkg.group_list
func yumGroupList(ctx context.Context, c *module.Call, _ noArgs) (*wire.Map, error) {
	y, err := yumOf(c)
	if err != nil {
		return nil, err
	}
	out, err := y.run(ctx, program{args: []string{"grouplist", "hidden"}})
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap("installed", []any{}, "available", []any{}, "installed environments", []any{}, "available environments", []any{}, "available languages", wire.NewMap())
	section := ""
	for _, line := range lines(out.out) {
		lower := strings.ToLower(line)
		if lower == "done" {
			break
		}
		if s, ok := groupSections[lower]; ok {
			section = s
			continue
		}
		line = strings.TrimSpace(line)
		switch section {
		case "":
		case "available languages":
			if m := languageGroup.FindStringSubmatch(line); m != nil {
				ret.Map(section).Set(line, wire.NewMap("name", m[1], "language", m[2]))
			}
		default:
			ret.Set(section, append(ret.List(section), line))
		}
	}
	return ret, nil
}

var (
	groupKinds   = []string{"mandatory", "optional", "default", "conditional"}
	groupSection = lazyre.New(`^(mandatory|optional|default|conditional) (?:groups|packages):\s*$`)
)

// groupInfo asks about a group. done are the groups that were expanded already.
func (y *yum) groupInfo(ctx context.Context, name string, expand bool, done *[]string, kwargs *wire.Map) (*wire.Map, error) {
	out, err := y.run(ctx, program{args: append(append([]string{"--quiet"}, yumOptions(kwargs)...), "groupinfo", name)})
	if err != nil {
		return nil, err
	}
	info, members := map[string]string{}, map[string][]string{}
	for _, k := range groupKinds {
		members[k] = []string{}
	}
	add := func(kind string, names ...string) {
		for _, n := range names {
			if !slices.Contains(members[kind], n) {
				members[kind] = append(members[kind], n)
			}
		}
	}
	kind := ""
	seen := map[string]bool{}
	var inner [][2]string
	for _, line := range lines(out.out) {
		if f := strings.Split(line, ":"); len(f) == 2 {
			info[strings.ToLower(strings.TrimSpace(f[0]))] = strings.TrimSpace(f[1])
		}
		line = strings.TrimLeft(strings.TrimSpace(line), punctuation)
		if m := groupSection.FindStringSubmatch(strings.ToLower(line)); m != nil {
			kind = m[1]
			if seen[kind] {
				kind = "" // the first of its kind counts
			}
			seen[m[1]] = true
			continue
		}
		if kind != "" {
			inner = append(inner, [2]string{kind, line})
		}
	}
	ret := wire.NewMap()
	group, environment := info["group"], info["environment group"]
	if environment != "" {
		ret.Set("type", "environment group")
	} else if group != "" {
		ret.Set("type", "package group")
	}
	id := info["environment-id"]
	if id == "" {
		id = info["group-id"]
	}
	if environment == "" {
		environment = group
	}
	if environment == "" && id == "" {
		return nil, module.Failf("Group '%s' not found", name)
	}
	ret.Set("group", noneOr(environment))
	ret.Set("id", noneOr(id))
	ret.Set("description", info["description"])
	for _, e := range inner {
		kind, member := e[0], e[1]
		if !expand || ret.Text("type") != "environment group" {
			add(kind, member)
			continue
		}
		if member == "" || slices.Contains(*done, member) {
			continue
		}
		*done = append(*done, member)
		sub, err := y.groupInfo(ctx, "@"+member, true, done, nil)
		if err != nil {
			return nil, err
		}
		for _, k := range groupKinds {
			add(k, pyTexts(sub.List(k))...)
		}
	}
	for _, k := range groupKinds {
		slices.Sort(members[k])
		ret.Set(k, texts(members[k]))
	}
	return ret, nil
}

type yumGroupInfoArgs struct {
	Name         string    // Name or id of the group.
	Expand       bool      `default:"False"` // Of an environment group, the packages in place of the groups.
	IgnoreGroups any       `default:"None"`  // Groups that are not expanded: a list.
	Kwargs       *wire.Map `arg:"**"`        // fromrepo, enablerepo, disablerepo.
}

// yumGroupInfo returns the packages of a group.
//
//	gosalt '*' pkg.group_info 'Perl Support'
func yumGroupInfo(ctx context.Context, c *module.Call, a yumGroupInfoArgs) (*wire.Map, error) {
	y, err := yumOf(c)
	if err != nil {
		return nil, err
	}
	done := commaList(a.IgnoreGroups)
	return y.groupInfo(ctx, a.Name, a.Expand, &done, groupRepos(a.Kwargs))
}

// groupRepos are the keywords that say which repositories count.
func groupRepos(kwargs *wire.Map) *wire.Map {
	m := wire.NewMap()
	for _, k := range []string{"fromrepo", "enablerepo", "disablerepo"} {
		if v, ok := kwargs.Get(k); ok {
			m.Set(k, v)
		}
	}
	return m
}

type yumGroupDiffArgs struct {
	Name   string    // Name or id of the group.
	Kwargs *wire.Map `arg:"**"` // fromrepo, enablerepo, disablerepo.
}

// yumGroupDiff returns which packages of a group are installed, and which are not.
//
//	gosalt '*' pkg.group_diff 'Perl Support'
func yumGroupDiff(ctx context.Context, c *module.Call, a yumGroupDiffArgs) (*wire.Map, error) {
	y, err := yumOf(c)
	if err != nil {
		return nil, err
	}
	have, err := y.list(ctx, pkgListOptions{})
	if err != nil {
		return nil, err
	}
	info, err := y.groupInfo(ctx, a.Name, true, new([]string), groupRepos(a.Kwargs))
	if err != nil {
		return nil, err
	}
	return groupDiff(info, have), nil
}

// groupDiff parts the members of a group by whether they are installed.
func groupDiff(info *wire.Map, have packages) *wire.Map {
	ret := wire.NewMap()
	for _, k := range groupKinds {
		in, out := []any{}, []any{}
		for _, m := range info.List(k) {
			if have[pytext.Str(m)] != nil {
				in = append(in, m)
			} else {
				out = append(out, m)
			}
		}
		ret.Set(k, wire.NewMap("installed", in, "not installed", out))
	}
	return ret
}

type yumGroupInstallArgs struct {
	Name    any       // Groups: a text with commas, or a list.
	Skip    any       `default:"None"` // Default packages to leave out.
	Include any       `default:"None"` // Optional packages to install, too.
	Kwargs  *wire.Map `arg:"**"`       // As those of pkg.install.
}

// yumGroupInstall installs the mandatory and default packages of groups, and returns what
// has changed.
//
//	gosalt '*' pkg.group_install 'Group 1,Group 2'
//	gosalt '*' pkg.group_install 'My Group' skip=foo,bar include=baz
func yumGroupInstall(ctx context.Context, c *module.Call, a yumGroupInstallArgs) (any, error) {
	y, err := yumOf(c)
	if err != nil {
		return nil, err
	}
	if !module.Truth(a.Name) {
		return nil, module.Invalidf("no groups specified")
	}
	lists := map[string][]string{}
	for what, v := range map[string]any{"groups": a.Name, "skip": a.Skip, "include": a.Include} {
		switch v := v.(type) {
		case nil:
		case string:
			lists[what] = strings.Split(v, ",")
		case []any:
			lists[what] = pyTexts(v)
		default:
			return nil, module.Invalidf("'%s' must be a list", what)
		}
	}
	var targets []string
	for _, g := range lists["groups"] {
		info, err := y.groupInfo(ctx, g, false, new([]string), nil)
		if err != nil {
			return nil, err
		}
		targets = append(targets, pyTexts(info.List("mandatory"))...)
		targets = append(targets, lacking(pyTexts(info.List("default")), lists["skip"])...)
	}
	have, err := y.list(ctx, pkgListOptions{})
	if err != nil {
		return nil, err
	}
	wanted := map[string]bool{}
	for _, n := range append(targets, lists["include"]...) {
		if have[n] == nil {
			wanted[n] = true
		}
	}
	if len(wanted) == 0 {
		return wire.NewMap(), nil
	}
	kw := withRepo(a.Kwargs, "", "")
	kw.Set("pkgs", texts(sortedNames(wanted)))
	return c.Call(ctx, "pkg.install", nil, kw)
}
