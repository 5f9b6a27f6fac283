package modules

import (
	"context"
	"slices"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("match.compound", matchCompound)
	register("match.glob", matchGlob)
	register("match.pcre", matchPcre)
	register("match.list", matchList)
	register("match.grain", matchGrain)
	register("match.grain_pcre", matchGrainPcre)
	register("match.pillar", matchPillar)
	register("match.pillar_pcre", matchPillarPcre)
	register("match.ipcidr", matchIpcidr)
	register("match.data", matchData)
	register("match.filter_by", matchFilterBy)
	register("match.search_by", matchSearchBy)
	register("match.ifelse", matchIfelse)
}

// matches tells whether this minion is meant. As in Salt, a target that cannot be
// read means nobody; the log says what is wrong with it.
func matches(c *module.Call, kind string, tgt any, delimiter, id string) bool {
	if id == "" {
		id = minionID(c)
	}
	switch tgt.(type) {
	case string, []any:
	default:
		tgt = pytext.Str(tgt)
	}
	t, err := target.Parse(tgt, kind, target.Options{Delimiter: delimiter})
	if err != nil {
		c.Log.Warn("target not understood: it matches nothing", "error", err)
		return false
	}
	s := target.Subject{ID: id, Grains: c.Grains(), Pillar: c.Pillar()}
	if kind == "data" {
		if s.Data, err = readData(c); err != nil {
			c.Log.Warn("data store not read: the target matches nothing", "error", err)
			return false
		}
	}
	ok, err := t.Match(s)
	if err != nil {
		c.Log.Warn("target not decided: it matches nothing", "error", err)
	}
	return ok && err == nil
}

// minionID is the id that the minion is known by.
func minionID(c *module.Call) string {
	if id := c.Opts.Text("id"); id != "" {
		return id
	}
	return c.Grains().Text("id")
}

type matchIDArgs struct {
	Tgt      any    // The target.
	MinionID string `default:"None"` // The id to hold it against: the minion's own.
}

type matchDataArgs struct {
	Tgt any // The target: key:value.
}

type matchDictArgs struct {
	Tgt       any    // The target: names down to a value, and what the value must look like.
	Delimiter string `default:":"` // What stands between the names.
}

// matchCompound tells whether the minion matches a compound target. Grains, pillar
// and addresses are always the minion's own.
//
//	gosalt '*' match.compound 'L@cheese,foo and *'
func matchCompound(ctx context.Context, c *module.Call, a matchIDArgs) (bool, error) {
	return matches(c, "compound", a.Tgt, ":", a.MinionID), nil
}

// matchGlob tells whether the minion's id matches a shell pattern.
//
//	gosalt '*' match.glob 'web*'
func matchGlob(ctx context.Context, c *module.Call, a matchIDArgs) (bool, error) {
	return matches(c, "glob", a.Tgt, ":", a.MinionID), nil
}

// matchPcre tells whether the minion's id begins with what a regular expression
// matches.
//
//	gosalt '*' match.pcre '.*'
func matchPcre(ctx context.Context, c *module.Call, a matchIDArgs) (bool, error) {
	return matches(c, "pcre", a.Tgt, ":", a.MinionID), nil
}

// matchList tells whether the minion's id is in a list, or in a text with commas.
//
//	gosalt '*' match.list 'server1,server2'
func matchList(ctx context.Context, c *module.Call, a matchIDArgs) (bool, error) {
	return matches(c, "list", a.Tgt, ":", a.MinionID), nil
}

// matchGrain tells whether one of the minion's grains matches a shell pattern.
//
//	gosalt '*' match.grain 'os:Ubuntu'
//	gosalt '*' match.grain 'ipv6|2001:db8::ff00:42:8329' delimiter='|'
func matchGrain(ctx context.Context, c *module.Call, a matchDictArgs) (bool, error) {
	return matches(c, "grain", a.Tgt, a.Delimiter, ""), nil
}

// matchGrainPcre tells whether one of the minion's grains matches a regular
// expression.
//
//	gosalt '*' match.grain_pcre 'os:Fedo.*'
func matchGrainPcre(ctx context.Context, c *module.Call, a matchDictArgs) (bool, error) {
	return matches(c, "grain_pcre", a.Tgt, a.Delimiter, ""), nil
}

// matchPillar tells whether a value of the minion's pillar matches a shell pattern.
//
//	gosalt '*' match.pillar 'cheese:foo'
func matchPillar(ctx context.Context, c *module.Call, a matchDictArgs) (bool, error) {
	return matches(c, "pillar", a.Tgt, a.Delimiter, ""), nil
}

// matchPillarPcre tells whether a value of the minion's pillar matches a regular
// expression.
//
//	gosalt '*' match.pillar_pcre 'cheese:(swiss|american)'
func matchPillarPcre(ctx context.Context, c *module.Call, a matchDictArgs) (bool, error) {
	return matches(c, "pillar_pcre", a.Tgt, a.Delimiter, ""), nil
}

type matchIpcidrArgs struct {
	Tgt any // The target: 192.168.44.0/24, or an address.
}

// matchIpcidr tells whether the minion has an address of a net, or that address.
//
//	gosalt '*' match.ipcidr '192.168.44.0/24'
func matchIpcidr(ctx context.Context, c *module.Call, a matchIpcidrArgs) (bool, error) {
	return matches(c, "ipcidr", a.Tgt, ":", ""), nil
}

// matchData tells whether a value of the minion's data store (data.update) matches.
//
//	gosalt '*' match.data 'spam:eggs'
func matchData(ctx context.Context, c *module.Call, a matchDataArgs) (bool, error) {
	return matches(c, "data", a.Tgt, ":", ""), nil
}

// matchKinds are the values of tgt_type.
var matchKinds = []string{"compound", "data", "glob", "grain", "grain_pcre", "ipcidr", "list", "pcre", "pillar", "pillar_pcre"}

// matchKind checks a tgt_type. Salt has list as list_ there.
func matchKind(kind string) (string, error) {
	if kind == "list_" {
		kind = "list"
	}
	if !slices.Contains(matchKinds, kind) {
		return "", module.Invalidf("tgt_type %q is not known: one of %s is expected", kind, pytext.Str(anyOf(matchKinds)))
	}
	return kind, nil
}

func anyOf[T any](list []T) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = v
	}
	return out
}

type matchFilterByArgs struct {
	Lookup     *wire.Map // Targets, and what belongs to each.
	TgtType    string    `default:"compound"` // What kind of targets they are.
	MinionID   string    `default:"None"`     // The id to hold them against: the minion's own.
	Merge      any       `default:"None"`     // A map that is merged over what was chosen, such as values of the pillar.
	MergeLists bool      `default:"False"`    // Append to lists instead of replacing them.
	Default    any       `default:"default"`  // The entry that is taken where no target matches.
}

// matchFilterBy returns what belongs to the first target that matches the minion.
//
//	gosalt '*' match.filter_by '{web*: web, db*: db, default: other}'
//	gosalt '*' match.filter_by '{"G@os:Debian and web*": {pkg: apache2}}' merge='{port: 80}'
func matchFilterBy(ctx context.Context, c *module.Call, a matchFilterByArgs) (any, error) {
	otherwise, _ := entry(a.Lookup, a.Default)
	return filterBy(c, a, otherwise)
}

// filterBy chooses from the targets of a.Lookup; otherwise is for no match.
func filterBy(c *module.Call, a matchFilterByArgs, otherwise any) (any, error) {
	kind, err := matchKind(a.TgtType)
	if err != nil {
		return nil, err
	}
	for key, v := range a.Lookup.All() {
		if !matches(c, kind, key, ":", a.MinionID) {
			continue
		}
		if !module.Truth(a.Merge) {
			return v, nil
		}
		over, ok := a.Merge.(*wire.Map)
		if !ok {
			return nil, module.Invalidf("filter_by merge argument must be a dictionary.")
		}
		if v == nil {
			return over, nil
		}
		base, ok := v.(*wire.Map)
		if !ok {
			return nil, module.Invalidf("filter_by merges over a dictionary only, %s has %s", pytext.Repr(key), pytext.TypeName(v))
		}
		return mergeWithLists(base, over, a.MergeLists), nil
	}
	return otherwise, nil
}

// mergeWithLists puts one map over another, maps inside of maps likewise. Lists are
// replaced, or get the elements that they lack.
func mergeWithLists(base, over *wire.Map, lists bool) *wire.Map {
	if !lists {
		return mergeMaps(base, over)
	}
	out := base.Clone()
	for k, v := range over.All() {
		old, _ := entry(base, k)
		switch inner := old.(type) {
		case *wire.Map:
			if m, ok := v.(*wire.Map); ok {
				v = mergeWithLists(inner, m, true)
			}
		case []any:
			if l, ok := v.([]any); ok {
				v = union(inner, l)
			}
		}
		out.SetAny(k, v)
	}
	return out
}

// union is a list with the elements of another that it lacks.
func union(list, more []any) []any {
	out := slices.Clone(list)
	for _, v := range more {
		if !slices.ContainsFunc(out, func(e any) bool { return pytext.Equal(e, v) }) {
			out = append(out, v)
		}
	}
	return out
}

type matchSearchByArgs struct {
	Lookup   *wire.Map // Names, and a list of targets for each.
	TgtType  string    `default:"compound"` // What kind of targets they are.
	MinionID string    `default:"None"`     // The id to hold them against: the minion's own.
}

// matchSearchBy returns the names whose targets match the minion, once for each
// target that does; None where there is none.
//
//	gosalt '*' match.search_by '{web: [node1, node2], db: [node2, node]}'
func matchSearchBy(ctx context.Context, c *module.Call, a matchSearchByArgs) (any, error) {
	kind, err := matchKind(a.TgtType)
	if err != nil {
		return nil, err
	}
	var found []any
	for key, v := range a.Lookup.All() {
		list, ok := v.([]any)
		if !ok {
			return nil, module.Invalidf("a list of targets is expected for %s, got %s", pytext.Repr(key), pytext.TypeName(v))
		}
		for _, tgt := range list {
			if matches(c, kind, tgt, ":", a.MinionID) {
				found = append(found, key)
			}
		}
	}
	if found == nil {
		return nil, nil
	}
	return found, nil
}

type matchIfelseArgs struct {
	Args       []any  `arg:"*"`                              // Targets, each with its value behind it; at the end the value for no match.
	TgtType    string `default:"compound" arg:"tgt_type,kw"` // What kind of targets they are.
	MinionID   string `default:"None" arg:"minion_id,kw"`    // The id to hold them against: the minion's own.
	Merge      any    `default:"None" arg:"merge,kw"`        // A map that is merged over what was chosen.
	MergeLists bool   `default:"False" arg:"merge_lists,kw"` // Append to lists instead of replacing them.
}

// matchIfelse returns the value behind the first target that matches the minion, else
// the last argument. True and False stand for targets that match all and none.
//
//	gosalt '*' match.ifelse 'foo*' 'Foo!' 'bar*' 'Bar!' minion_id=bar03
func matchIfelse(ctx context.Context, c *module.Call, a matchIfelseArgs) (any, error) {
	if len(a.Args)%2 == 0 {
		return nil, module.Invalidf("The ifelse function must have an odd number of arguments!")
	}
	lookup, last := wire.NewMap(), len(a.Args)-1
	for i := 0; i < last; i += 2 {
		switch a.Args[i] {
		case true:
			lookup.Set("*", a.Args[i+1])
		case false:
		default:
			lookup.Set(pytext.Str(a.Args[i]), a.Args[i+1])
		}
	}
	f := matchFilterByArgs{Lookup: lookup, TgtType: a.TgtType, MinionID: a.MinionID, Merge: a.Merge, MergeLists: a.MergeLists}
	return filterBy(c, f, a.Args[last])
}
