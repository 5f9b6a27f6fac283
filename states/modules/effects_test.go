package modules

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func foretells(results *wire.Map, shared *states.Shared) *states.Call {
	return &states.Call{Call: &module.Call{}, Test: true, Running: results, Shared: shared}
}

// open is the result of a state that is to change something.
func open(kv ...any) *wire.Map {
	return wire.NewMap("result", nil, "changes", wire.NewMap(kv...), "comment", "")
}

// What earlier states are to have done is that which the last of them is to do.
func TestEffects(t *testing.T) {
	fine := wire.NewMap("result", true, "changes", wire.NewMap(), "comment", "")
	gone := func(path string) *wire.Map { return open("removed", path) }
	for name, tc := range map[string]struct {
		results *wire.Map
		gone    bool   // /d/f
		made    string // /d/f, by which id
		user    bool   // u may come
		group   bool   // g may come
	}{
		"nothing before":              {results: wire.NewMap()},
		"made":                        {results: wire.NewMap("file_|-a_|-/d/f_|-managed", open()), made: "a"},
		"made by a name not clean":    {results: wire.NewMap("file_|-a_|-/d//x/../f_|-managed", open()), made: "a"},
		"made already":                {results: wire.NewMap("file_|-a_|-/d/f_|-managed", fine)},
		"made twice":                  {results: wire.NewMap("file_|-a_|-/d/f_|-managed", fine, "file_|-b_|-/d/f_|-touch", open(), "file_|-c_|-/d/f_|-append", open()), made: "b"},
		"its directory made":          {results: wire.NewMap("file_|-a_|-/d_|-directory", open())},
		"in a tree":                   {results: wire.NewMap("file_|-a_|-/_|-recurse", open()), made: "a", user: true, group: true},
		"unpacked":                    {results: wire.NewMap("archive_|-a_|-/d/_|-extracted", open()), made: "a"},
		"unpacked below":              {results: wire.NewMap("archive_|-a_|-/d/f_|-extracted", open())},
		"only looked at":              {results: wire.NewMap("file_|-a_|-/d/f_|-exists", open())},
		"removed":                     {results: wire.NewMap("file_|-a_|-/d/f_|-absent", gone("/d/f")), gone: true},
		"removed already":             {results: wire.NewMap("file_|-a_|-/d/f_|-absent", fine)},
		"its directory removed":       {results: wire.NewMap("file_|-a_|-/d_|-absent", gone("/d")), gone: true},
		"a directory with a slash":    {results: wire.NewMap("file_|-a_|-/d/_|-absent", gone("/d/")), gone: true},
		"another removed":             {results: wire.NewMap("file_|-a_|-/d/fx_|-absent", gone("/d/fx"))},
		"made, then removed":          {results: wire.NewMap("file_|-a_|-/d/f_|-managed", open(), "file_|-b_|-/d_|-absent", gone("/d")), gone: true, made: "a"},
		"removed, then made":          {results: wire.NewMap("file_|-b_|-/d_|-absent", gone("/d"), "file_|-a_|-/d/f_|-managed", open()), made: "a"},
		"tidied":                      {results: wire.NewMap("file_|-a_|-/d_|-tidied", open("removed", []any{"/d/e", "/d/f"})), gone: true},
		"left out of a tree":          {results: wire.NewMap("file_|-a_|-/d_|-recurse", open("removed", []any{"/d/f"})), gone: true, made: "a"},
		"cleaned":                     {results: wire.NewMap("file_|-a_|-/d_|-directory", open("/d/f", wire.NewMap("removed", "Removed due to clean"))), gone: true},
		"the user":                    {results: wire.NewMap("user_|-a_|-v_|-present", open(), "user_|-b_|-u_|-present", open()), user: true},
		"the user, in vain":           {results: wire.NewMap("user_|-a_|-u_|-present", open(), "user_|-b_|-u_|-absent", open())},
		"the user goes, a command":    {results: wire.NewMap("user_|-b_|-u_|-absent", open(), "cmd_|-c_|-x_|-run", open()), user: true, group: true},
		"a command, the user goes":    {results: wire.NewMap("cmd_|-c_|-x_|-run", open(), "user_|-b_|-u_|-absent", open()), group: true},
		"the group":                   {results: wire.NewMap("group_|-a_|-g_|-present", open()), group: true},
		"a user of the group's name":  {results: wire.NewMap("user_|-a_|-g_|-present", open()), group: true},
		"the file of users":           {results: wire.NewMap("file_|-a_|-/etc/passwd_|-append", open()), user: true, group: true},
		"a tag of more than 4 parts":  {results: wire.NewMap("cmd_|-a_|-x_|-y_|-run", open())},
		"a command that does nothing": {results: wire.NewMap("cmd_|-a_|-x_|-run", fine)},
	} {
		for _, c := range []*states.Call{foretells(tc.results, &states.Shared{}), foretells(tc.results, nil)} {
			id, _ := promisedFile(c, "/d/f")
			_, user := possibleUser(c, "u")
			if gone, group := promisedGone(c, "/d/f"), possibleGroup(c, "g"); gone != tc.gone || id != tc.made || user != tc.user || group != tc.group {
				t.Errorf("%s: gone %v, made by %q, user %v, group %v; expected %+v", name, gone, id, user, group, tc)
			}
		}
	}
}

// Whenever it is asked, the answer is that of looking through all results.
func TestEffectsAsTheResultsHaveThem(t *testing.T) {
	paths := []string{"/a", "/a/b", "/a/b/c", "/a/bc", "/b"}
	funs := []string{"managed", "absent", "recurse", "exists"}
	rnd := rand.New(rand.NewPCG(1, 2))
	pick := func(from []string) string { return from[rnd.IntN(len(from))] }
	scan := func(results *wire.Map, path string) (gone bool, made string) {
		for tag, v := range results.Strings() {
			p := strings.Split(tag, "_|-")
			res := v.(*wire.Map)
			if get(res, "result") != nil {
				continue
			}
			if makes(p[0], p[3], p[2], path) {
				gone = false
				if made == "" {
					made = p[1]
				}
			}
			if removed := res.Map("changes").Text("removed"); removed == path || removed != "" && below(path, removed) {
				gone = true
			}
		}
		return gone, made
	}
	for range 200 {
		results, shared := wire.NewMap(), &states.Shared{}
		var running []*wire.Map
		var removes []string
		for i := range 30 {
			fun, path := pick(funs), pick(paths)
			res := open()
			removed := ""
			if fun == "absent" {
				removed = path
			}
			switch rnd.IntN(4) {
			case 0:
				res.Set("result", true)
			case 1:
				res.Set("comment", "Started in a separate process")
				running, removes = append(running, res), append(removes, removed)
			default:
				if removed != "" {
					res.Map("changes").Set("removed", removed)
				}
			}
			results.Set(fmt.Sprintf("file_|-i%d_|-%s_|-%s", i, path, fun), res)
			if len(running) > 0 && rnd.IntN(4) == 0 { // one of the parallel ones has ended
				n := rnd.IntN(len(running))
				running[n].Set("comment", "")
				if rnd.IntN(2) == 0 {
					running[n].Set("result", false)
				} else if removes[n] != "" {
					running[n].Map("changes").Set("removed", removes[n])
				}
				running, removes = slices.Delete(running, n, n+1), slices.Delete(removes, n, n+1)
			}
			if rnd.IntN(3) > 0 {
				continue
			}
			c := foretells(results, shared)
			for _, path := range paths {
				gone, made := scan(results, path)
				id, _ := promisedFile(c, path)
				if g := promisedGone(c, filepath.Join(path, ".")); g != gone || id != made {
					t.Fatalf("%s: gone %v, made by %q; expected %v, %q", path, g, id, gone, made)
				}
			}
		}
	}
}

// Those that listen are a run of their own, and know of the others.
func TestEffectsBeforeListeners(t *testing.T) {
	shared := &states.Shared{}
	all := wire.NewMap("file_|-a_|-/f_|-absent", open("removed", "/f"), "user_|-b_|-u_|-present", open())
	c := foretells(all, shared)
	if !promisedGone(c, "/f") || nothingBefore(c) {
		t.Error("not foretold")
	}
	shared.Set(states.ListenedTo, all)
	mine := wire.NewMap()
	c = foretells(mine, shared)
	if _, user := promisedUser(c, "u"); !user || !promisedGone(c, "/f") || nothingBefore(c) {
		t.Error("a listener does not know of the states before")
	}
	mine.Set("file_|-listener_c_|-/f_|-managed", open())
	if id, _ := promisedFile(c, "/f"); id != "listener_c" || promisedGone(c, "/f") {
		t.Errorf("made by %q", id)
	}
	mine.Set("user_|-listener_d_|-u_|-absent", open())
	if _, user := promisedUser(c, "u"); user {
		t.Error("the user is there in spite of the last state")
	}
}

// Who is in a group follows on what earlier states do to users and groups.
func TestMemberships(t *testing.T) {
	results, shared := wire.NewMap(), &states.Shared{}
	state := func(mod, name, fun string, do func(c *states.Call)) {
		c := foretells(results, shared)
		c.Low = wire.NewMap("state", mod, "__id__", fmt.Sprint("s", results.Len()), "name", name, "fun", fun)
		do(c)
		results.Set(states.Tag(c.Low), open())
	}
	is := func(what string, members, groups []any) {
		t.Helper()
		c := foretells(results, shared)
		if m, g := membersToBe(c, "g", []any{"a"}), groupsToBe(c, "u", []any{"own", "g", "h"}); !slices.Equal(m, members) || !slices.Equal(g, groups) {
			t.Errorf("%s: members %v, groups %v; expected %v, %v", what, m, g, members, groups)
		}
	}
	is("nothing before", []any{"a"}, []any{"own", "g", "h"})
	state("group", "g", "present", func(c *states.Call) { promiseMember(c, "u", "g", true) })
	is("added", []any{"a", "u"}, []any{"own", "g", "h"})
	state("user", "u", "present", func(c *states.Call) { promiseMember(c, "u", "g", false) })
	is("taken out", []any{"a"}, []any{"own", "h"})
	state("group", "h", "absent", func(c *states.Call) { promiseMember(c, "", "h", false) })
	is("a group goes", []any{"a"}, []any{"own"})
	state("group", "g", "present", func(c *states.Call) {
		promiseMember(c, "", "g", false)
		promiseMember(c, "u", "g", true)
		promiseMember(c, "v", "g", true)
	})
	is("others", []any{"u", "v"}, []any{"own", "g"})
	results.Map(states.Tag(wire.NewMap("state", "group", "__id__", "s3", "name", "g", "fun", "present"))).Set("result", false)
	is("a state that fails does nothing", []any{"a"}, []any{"own"})
	state("user", "a", "absent", func(c *states.Call) { promiseMember(c, "a", "", false) })
	is("a user goes", nil, []any{"own"})
}
