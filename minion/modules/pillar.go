package modules

import (
	"context"
	"os"
	"path/filepath"
	"slices"

	"github.com/gosalt/gosalt/internal/decrypt"
	"github.com/gosalt/gosalt/internal/dictmerge"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/secret"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/internal/yamlarg"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("pillar.get", pillarGet)
	alias("pillar.fetch", "pillar.get")
	register("pillar.items", pillarItems)
	alias("pillar.data", "pillar.items")
	register("pillar.item", pillarItem)
	register("pillar.raw", pillarRaw)
	register("pillar.ls", pillarLs)
	register("pillar.keys", pillarKeys)
	register("pillar.obfuscate", pillarObfuscate)
	register("pillar.ext", pillarExt)
	register("pillar.file_exists", pillarFileExists)
	register("pillar.filter_by", pillarFilterBy)
}

// unset is what Salt takes for "no default was given".
const unset = "__unset__"

type pillarGetArgs struct {
	Key     string // The key, with colons between nested ones: "db:password".
	Default any    `default:"__unset__"` // What is returned where there is no such key.
	Merge   bool   `default:"False"`     // Lay the value over the default, where both are maps or both lists.
	// With merge, append to lists within maps, rather than replace them; not given, the option pillar_merge_lists decides.
	MergeNestedLists any    `default:"None"`
	Delimiter        string `default:":"`    // What stands between nested keys.
	Pillarenv        string `default:"None"` // Have the pillar compiled anew, of this environment alone.
	Saltenv          string `default:"None"` // Have the pillar compiled anew, with this environment of states for pillarenv_from_saltenv.
}

// pillarGet returns a value of the pillar that the minion has in memory, "" where there
// is no such key and no default.
//
//	gosalt '*' pillar.get pkg:apache
//	gosalt '*' pillar.get abc::def|ghi delimiter='|'
func pillarGet(ctx context.Context, c *module.Call, a pillarGetArgs) (any, error) {
	raise := false
	if a.Default == unset {
		if raise = isTrue(option(c, "pillar_raise_on_missing")); !raise {
			a.Default = ""
		}
	}
	p, err := pillarIn(ctx, c, a.Saltenv, a.Pillarenv)
	if err != nil {
		return nil, err
	}
	v, found := target.Traverse(p, a.Key, a.Delimiter)
	if a.Merge {
		lists := a.MergeNestedLists
		if lists == nil {
			lists = option(c, "pillar_merge_lists")
		}
		switch def := a.Default.(type) {
		case *wire.Map:
			m, ok := v.(*wire.Map)
			if !found || ok {
				out := dictmerge.Copy(def).(*wire.Map)
				if m != nil {
					dictmerge.Update(out, m, isTrue(lists))
				}
				return out, nil
			}
			c.Log.Error("pillar.get: the default is a map and the value is none: they are not merged", "key", a.Key, "type", pytext.TypeName(v))
		case []any:
			l, ok := v.([]any)
			if !found || ok {
				return extendNew(def, l), nil
			}
			c.Log.Error("pillar.get: the default is a list and the value is none: they are not merged", "key", a.Key, "type", pytext.TypeName(v))
		default:
			c.Log.Error("pillar.get: the default must be a map or a list to be merged", "key", a.Key, "type", pytext.TypeName(def))
		}
	}
	if found {
		return v, nil
	}
	if raise {
		return nil, noPillarKey(a.Key)
	}
	return a.Default, nil
}

// noPillarKey is Salt's KeyError.
func noPillarKey(key string) error { return module.Failf("Pillar key not found: %s", key) }

// extendNew is a list and the values of another that it lacks.
func extendNew(to, from []any) []any {
	out := slices.Clone(to)
	for _, v := range from {
		if !slices.ContainsFunc(to, func(e any) bool { return pytext.Equal(e, v) }) {
			out = append(out, v)
		}
	}
	return out
}

// option is an option of the minion's configuration.
func option(c *module.Call, name string) any {
	v, _ := c.Opts.Get(name)
	return v
}

// isTrue is Python's truth of a value.
func isTrue(v any) bool {
	switch x := v.(type) {
	case nil:
		return false
	case string:
		return x != ""
	case []any:
		return len(x) > 0
	case *wire.Map:
		return x.Len() > 0
	case bool, int64, uint64, float64:
		return pytext.Number(x) != 0
	}
	return true
}

// pillarIn is the pillar in memory, or one compiled anew for an environment.
func pillarIn(ctx context.Context, c *module.Call, saltenv, pillarenv string) (*wire.Map, error) {
	if saltenv == "" && pillarenv == "" {
		return c.Pillar(), nil
	}
	return compilePillar(ctx, c, saltenv, pillarenv, nil, nil)
}

// compilePillar has the pillar compiled anew.
func compilePillar(ctx context.Context, c *module.Call, saltenv, pillarenv string, override *wire.Map, ext any) (*wire.Map, error) {
	if c.CompilePillar == nil {
		return c.Pillar(), nil
	}
	text := func(name string) string { s, _ := option(c, name).(string); return s }
	if pillarenv == "" {
		if isTrue(option(c, "pillarenv_from_saltenv")) {
			if pillarenv = saltenv; pillarenv == "" {
				pillarenv = text("saltenv")
			}
		} else {
			pillarenv = text("pillarenv")
		}
	}
	p, err := c.CompilePillar(ctx, module.PillarQuery{Saltenv: text("saltenv"), Pillarenv: pillarenv, Override: override, Ext: ext})
	if err != nil {
		return nil, module.Failf("the pillar could not be compiled: %w", err)
	}
	return p, nil
}

type pillarItemsArgs struct {
	Keys      []any     `arg:"*"`                        // Keys to be returned instead of all, from memory, as pillar.item does.
	Pillar    any       `default:"None" arg:"pillar,kw"` // Values that files and ext_pillar see, and that are laid over the pillar: a map.
	PillarEnc string    `default:"" arg:"pillar_enc,kw"` // What these values are decrypted with first: gpg or age.
	Pillarenv string    `default:"" arg:"pillarenv,kw"`  // The only environment to be used.
	Saltenv   string    `default:"" arg:"saltenv,kw"`    // Environment of states, for pillarenv_from_saltenv.
	Kwargs    *wire.Map `arg:"**"`                       // Without effect, as in Salt.
}

// pillarItems has the pillar compiled anew and returns it. Without an environment and
// values of its own the minion keeps what came, so that pillar.get tells the same. What
// was encrypted is hidden in the result.
//
//	gosalt '*' pillar.items
//	gosalt '*' pillar.items pillarenv=dev
//	gosalt '*' pillar.items pillar='{"role": "web"}'
func pillarItems(ctx context.Context, c *module.Call, a pillarItemsArgs) (*wire.Map, error) {
	if len(a.Keys) > 0 {
		return pillarItem(ctx, c, pillarItemArgs{Keys: a.Keys, Default: "", Delimiter: ":"})
	}
	override, err := pillarOverride(ctx, c, a.Pillar, a.PillarEnc)
	if err != nil {
		return nil, err
	}
	return compilePillar(ctx, c, a.Saltenv, a.Pillarenv, override, nil)
}

// pillarOverride reads the values that a call hands over, and decrypts them.
func pillarOverride(ctx context.Context, c *module.Call, v any, enc string) (*wire.Map, error) {
	if !isTrue(v) {
		return nil, nil
	}
	if enc != "" {
		valid := option(c, "decrypt_pillar_renderers")
		if list, ok := valid.([]any); ok && !slices.Contains(list, any(enc)) {
			return nil, module.Failf("Failed to decrypt pillar override: '%s' is not a valid decryption renderer. Valid choices are: %s", enc, joined(list))
		}
		set := secret.New()
		if c.Hide != nil {
			defer func() { c.Hide(set.Texts()...) }()
		}
		d := decrypt.New(decrypt.Options{GPGDir: gpgDir(c), AgeFiles: textList(option(c, "age_identity_file")), Log: c.Log})
		var err error
		if v, err = d.Value(ctx, dictmerge.Copy(v), decrypt.Request{Kind: enc, Newlines: true, Name: "pillar=", Secrets: set}); err != nil {
			return nil, module.Failf("Failed to decrypt pillar override: %w", err)
		}
		if text, ok := v.(string); ok {
			if v, err = yamlarg.Load(text); err != nil {
				return nil, module.Failf("Failed to decrypt pillar override: what was encrypted is no YAML: %w", err)
			}
			set.AddValue(v)
		}
	}
	m, ok := v.(*wire.Map)
	if !ok {
		// Salt logs this and goes on without the values.
		return nil, module.Invalidf("Pillar data must be formatted as a dictionary: pillar= is %s", pytext.TypeName(v))
	}
	return m, nil
}

func gpgDir(c *module.Call) string {
	if dir, ok := option(c, "gpg_keydir").(string); ok && dir != "" {
		return dir
	}
	conf, _ := option(c, "conf_file").(string)
	return filepath.Join(filepath.Dir(conf), "gpgkeys")
}

func textList(v any) []string {
	switch x := v.(type) {
	case string:
		if x != "" {
			return []string{x}
		}
	case []any:
		var out []string
		for _, e := range x {
			out = append(out, pytext.Str(e))
		}
		return out
	}
	return nil
}

func joined(list []any) string {
	out := ""
	for i, v := range list {
		if i > 0 {
			out += ", "
		}
		out += pytext.Str(v)
	}
	return out
}

type pillarItemArgs struct {
	Keys      []any     `arg:"*"`                        // The keys, with colons between nested ones.
	Default   any       `default:"" arg:"default,kw"`    // What stands for keys that are not there.
	Delimiter string    `default:":" arg:"delimiter,kw"` // What stands between nested keys.
	Pillarenv string    `default:"" arg:"pillarenv,kw"`  // Have the pillar compiled anew, of this environment alone.
	Saltenv   string    `default:"" arg:"saltenv,kw"`    // Have the pillar compiled anew, with this environment of states for pillarenv_from_saltenv.
	Kwargs    *wire.Map `arg:"**"`                       // Without effect, as in Salt.
}

// pillarItem returns values of the pillar that the minion has in memory, by key.
//
//	gosalt '*' pillar.item foo
//	gosalt '*' pillar.item foo:bar baz
func pillarItem(ctx context.Context, c *module.Call, a pillarItemArgs) (*wire.Map, error) {
	p, err := pillarIn(ctx, c, a.Saltenv, a.Pillarenv)
	if err != nil {
		return nil, err
	}
	out := wire.NewMap()
	for _, k := range a.Keys {
		v, ok := target.Traverse(p, pytext.Str(k), a.Delimiter)
		if !ok {
			v = a.Default
		}
		out.SetAny(k, v)
	}
	return out, nil
}

type pillarRawArgs struct {
	Key string `default:"None"` // One of the topmost keys; all where not given.
}

// pillarRaw returns the pillar that the minion has in memory, or one of its entries, {}
// where there is none.
//
//	gosalt '*' pillar.raw
//	gosalt '*' pillar.raw key=roles
func pillarRaw(_ context.Context, c *module.Call, a pillarRawArgs) (any, error) {
	if a.Key == "" {
		return c.Pillar(), nil
	}
	if v, ok := c.Pillar().Get(a.Key); ok {
		return v, nil
	}
	return wire.NewMap(), nil
}

type pillarLsArgs struct {
	Keys []any `arg:"*"` // Keys that are to be listed, whether they are there or not; as in Salt.
}

// pillarLs has the pillar compiled anew and lists its topmost keys.
//
//	gosalt '*' pillar.ls
func pillarLs(ctx context.Context, c *module.Call, a pillarLsArgs) ([]any, error) {
	p, err := pillarItems(ctx, c, pillarItemsArgs{Keys: a.Keys})
	if err != nil {
		return nil, err
	}
	out := []any{}
	for k := range p.All() {
		out = append(out, k)
	}
	return out, nil
}

type pillarKeysArgs struct {
	Key       string // The key of a map, with colons between nested ones.
	Delimiter string `default:":"` // What stands between nested keys.
}

// pillarKeys lists the keys of a map in the pillar that the minion has in memory.
//
//	gosalt '*' pillar.keys web:sites
func pillarKeys(_ context.Context, c *module.Call, a pillarKeysArgs) ([]any, error) {
	v, ok := target.Traverse(c.Pillar(), a.Key, a.Delimiter)
	if !ok {
		return nil, noPillarKey(a.Key)
	}
	m, ok := v.(*wire.Map)
	if !ok {
		return nil, module.Failf("Pillar value in key %s is not a dict", a.Key)
	}
	out := []any{}
	for k := range m.All() {
		out = append(out, k)
	}
	return out, nil
}

// pillarObfuscate is pillar.items with the kinds of values in place of the values:
// '<str>' and so on.
//
//	gosalt '*' pillar.obfuscate
func pillarObfuscate(ctx context.Context, c *module.Call, a pillarItemsArgs) (any, error) {
	p, err := pillarItems(ctx, c, a)
	if err != nil {
		return nil, err
	}
	return obfuscated(p), nil
}

func obfuscated(v any) any {
	switch x := v.(type) {
	case *wire.Map:
		out := wire.NewMap()
		for k, e := range x.All() {
			out.SetAny(k, obfuscated(e))
		}
		return out
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = obfuscated(e)
		}
		return out
	}
	return "<" + pytext.TypeName(v) + ">"
}

type pillarExtArgs struct {
	External any // A map of the name of an ext_pillar and its settings, or YAML of one.
	Pillar   any `default:"None"` // Values that files and ext_pillar see, and that are laid over the pillar: a map.
}

// pillarExt has the pillar compiled with an ext_pillar of one's own. The master takes only
// those that its option on_demand_ext_pillar names, and leaves others out with a message
// in its log.
//
//	gosalt '*' pillar.ext '{nodegroups: }'
func pillarExt(ctx context.Context, c *module.Call, a pillarExtArgs) (*wire.Map, error) {
	if text, ok := a.External.(string); ok {
		var err error
		if a.External, err = yamlarg.Load(text); err != nil {
			return nil, module.Invalidf("external: %w", err)
		}
	}
	if _, ok := a.External.(*wire.Map); !ok {
		return nil, module.Invalidf("external: a map of the name of an ext_pillar and its settings is expected, not %s", pytext.TypeName(a.External))
	}
	override, err := pillarOverride(ctx, c, a.Pillar, "")
	if err != nil {
		return nil, err
	}
	return compilePillar(ctx, c, "", "", override, a.External)
}

type pillarFileExistsArgs struct {
	Path    string // A path below pillar_roots.
	Saltenv string `default:"None"` // The only environment to be looked at.
}

// pillarFileExists tells whether pillar_roots of this machine have a file: of use on the
// master's machine, and where there is no master.
//
//	gosalt '*' pillar.file_exists foo/bar.sls
func pillarFileExists(ctx context.Context, c *module.Call, a pillarFileExistsArgs) (bool, error) {
	roots, _ := option(c, "pillar_roots").(*wire.Map)
	if roots.Len() == 0 {
		return false, module.Failf("No pillar_roots found. Are you running this on the master?")
	}
	for env, dirs := range roots.Strings() {
		if a.Saltenv != "" && env != a.Saltenv {
			continue
		}
		list, _ := dirs.([]any)
		for _, d := range list {
			full := filepath.Join(pytext.Str(d), filepath.FromSlash(a.Path))
			if fi, err := os.Stat(c.Host.Path(full)); err == nil && fi.Mode().IsRegular() {
				return true, nil
			}
		}
	}
	return false, nil
}

type pillarFilterByArgs struct {
	// What to choose from: values of the pillar, which may be shell patterns, and what belongs to each.
	LookupDict *wire.Map
	// The key in the pillar that decides, with colons between nested ones.
	Pillar string
	// What is merged over what was chosen.
	Merge *wire.Map `default:"None"`
	// The entry that stands for values that are not there.
	Default any `default:"default"`
	// The entry that what was chosen is merged over.
	Base string `default:"None"`
}

// pillarFilterBy chooses an entry of a map by a value of the pillar.
//
//	gosalt '*' pillar.filter_by '{web: Serve it up, db: I query, default: x_x}' role
func pillarFilterBy(_ context.Context, c *module.Call, a pillarFilterByArgs) (any, error) {
	return chooseBy(c.Pillar(), a.Pillar, a.LookupDict, a.Merge, a.Default, a.Base)
}
