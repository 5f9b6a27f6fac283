package pillar

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gosalt/gosalt/internal/dictmerge"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Sources are the kinds of ext_pillar that need nothing but this machine.
func Sources() map[string]Source {
	return map[string]Source{
		"cmd_yaml": CmdYAML, "cmd_yamlex": CmdYAMLEx, "cmd_json": CmdJSON, "file_tree": FileTree, "nodegroups": Nodegroups,
		"extra_minion_data_in_pillar": ExtraMinionData,
	}
}

// Nodegroups is the ext_pillar nodegroups: the names of the nodegroups that the minion is in.
func Nodegroups(_ context.Context, q SourceRequest) (any, error) {
	args, err := BindArgs(q.Args, 0, "pillar_name")
	if err != nil {
		return nil, err
	}
	name, err := textArg(args, "pillar_name")
	if err != nil {
		return nil, err
	}
	if name == "" {
		name = "nodegroups"
	}
	in := []any{}
	for k := range q.Opts.Map("nodegroups").Strings() {
		if q.inNodegroup(k) {
			in = append(in, k)
		}
	}
	return wire.NewMap(name, in), nil
}

// inNodegroup tells whether the minion is in a nodegroup.
func (q *SourceRequest) inNodegroup(name string) bool {
	t, err := target.Parse(name, "nodegroup", target.Options{Nodegroups: q.Opts.Map("nodegroups")})
	if err == nil {
		var ok bool
		if ok, err = t.Match(target.Subject{ID: string(q.ID), Grains: q.Opts.Map("grains"), Pillar: q.Pillar}); err == nil {
			return ok
		}
	}
	q.Log.Error("a nodegroup cannot be matched", "nodegroup", name, "error", err)
	return false
}

// ExtraMinionData is the ext_pillar extra_minion_data_in_pillar: what the minion's option
// pass_to_ext_pillars sent, or the keys of it that include names.
func ExtraMinionData(_ context.Context, q SourceRequest) (any, error) {
	args, err := BindArgs(q.Args, 1, "include")
	if err != nil {
		return nil, err
	}
	if q.Extra.Len() == 0 {
		return nil, nil
	}
	var keys []string
	switch x := args["include"].(type) {
	case string:
		if x == "*" || x == "<all>" {
			return q.Extra, nil
		}
		keys = []string{x}
	case []any:
		for _, k := range x {
			s, ok := k.(string)
			if !ok {
				return nil, fmt.Errorf("the setting 'include' has %s where the name of a key is expected", pytext.Repr(k))
			}
			keys = append(keys, s)
		}
	default:
		return nil, fmt.Errorf("the setting 'include' is to be a key, a list of keys or <all>, not %s", pytext.TypeName(x))
	}
	out := wire.NewMap()
	for _, k := range keys {
		var at any = q.Extra
		for part := range strings.SplitSeq(k, ":") {
			m, _ := at.(*wire.Map)
			v, ok := m.Get(part)
			if !ok {
				at = nil
				break
			}
			at = v
		}
		if at == nil {
			continue
		}
		for _, part := range slices.Backward(strings.Split(k, ":")) {
			at = wire.NewMap(part, at)
		}
		dictmerge.Update(out, at.(*wire.Map), true)
	}
	return out, nil
}

// FileTree is the ext_pillar file_tree: files become values and directories maps, from
// nodegroups/NAME and hosts/ID below a directory.
func FileTree(ctx context.Context, q SourceRequest) (any, error) {
	args, err := BindArgs(q.Args, 0, "root_dir", "follow_dir_links", "debug", "keep_newline", "render_default",
		"renderer_blacklist", "renderer_whitelist", "template")
	if err != nil {
		return nil, err
	}
	root, err := textArg(args, "root_dir")
	if err != nil {
		return nil, err
	}
	if root == "" {
		return nil, fmt.Errorf("the setting 'root_dir' is missing")
	}
	t := &fileTree{ctx: ctx, q: q, follow: isTrue(args["follow_dir_links"]), template: args["template"] == true}
	switch x := args["keep_newline"].(type) {
	case nil:
	case bool:
		t.keepAll = x
	case []any:
		for _, g := range x {
			t.keep = append(t.keep, pytext.Str(g))
		}
	default:
		return nil, fmt.Errorf("the setting 'keep_newline' is to be True, False or a list of file globs, not %s", pytext.TypeName(x))
	}
	if t.pipe, err = textArg(args, "render_default"); err != nil {
		return nil, err
	}
	t.black, t.white = texts(args["renderer_blacklist"]), texts(args["renderer_whitelist"])
	dirs := []string{root}
	if !filepath.IsAbs(root) {
		env := q.Opts.Text("pillarenv")
		if env == "" {
			return nil, fmt.Errorf("root_dir is relative but pillarenv is not set")
		}
		dirs = nil
		for _, r := range q.Opts.Map("pillar_roots").List(env) {
			d := filepath.Join(pytext.Str(r), root)
			if !slices.Contains(dirs, d) {
				dirs = append(dirs, d)
			}
		}
		if dirs == nil {
			return nil, fmt.Errorf("root_dir is relative but no pillar_roots are specified for pillarenv %s", env)
		}
	}
	var all any = wire.NewMap()
	for _, d := range dirs {
		one, err := t.root(d)
		if err != nil {
			return nil, err
		}
		if all, err = dictmerge.Merge(all, one, dictmerge.Options{Strategy: "recurse"}); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func texts(v any) []string {
	switch x := v.(type) {
	case string:
		return []string{x}
	case []any:
		var out []string
		for _, e := range x {
			out = append(out, pytext.Str(e))
		}
		return out
	}
	return nil
}

// Bounds of a file_tree.
const (
	maxTreeBytes = 64 << 20
	maxTreeFiles = 100_000
)

type fileTree struct {
	ctx          context.Context
	q            SourceRequest
	follow       bool
	template     bool
	keepAll      bool
	keep         []string
	pipe         string
	black, white []string
	bytes, files int
}

// root reads one root directory.
func (t *fileTree) root(dir string) (*wire.Map, error) {
	fi, err := os.Stat(dir)
	if err != nil || !fi.IsDir() {
		return nil, fmt.Errorf("root_dir %s does not exist or is not a directory", dir)
	}
	var all any = wire.NewMap()
	add := func(d string) error {
		m := wire.NewMap()
		if err := t.dir(d, "", m, nil); err != nil {
			return err
		}
		var err error
		all, err = dictmerge.Merge(all, m, dictmerge.Options{Strategy: "recurse"})
		return err
	}
	groups, _ := os.ReadDir(filepath.Join(dir, "nodegroups"))
	for _, g := range groups {
		if t.q.Opts.Map("nodegroups").Has(g.Name()) && t.q.inNodegroup(g.Name()) {
			if err := add(filepath.Join(dir, "nodegroups", g.Name())); err != nil {
				return nil, err
			}
		}
	}
	// An id is no path: ids with a separator are refused before they are keys.
	mine := filepath.Join(dir, "hosts", filepath.Base(string(t.q.ID)))
	switch fi, err := os.Stat(mine); {
	case err != nil:
	case !fi.IsDir():
		t.q.Log.Error("file_tree: what is named as the minion is not a directory", "path", mine)
	default:
		if err := add(mine); err != nil {
			return nil, err
		}
	}
	return all.(*wire.Map), nil
}

// dir reads a directory into a map.
func (t *fileTree) dir(base, rel string, into *wire.Map, above []os.FileInfo) error {
	if t.ctx.Err() != nil {
		return context.Cause(t.ctx)
	}
	full := filepath.Join(base, rel)
	fi, err := os.Stat(full)
	if err != nil {
		return nil
	}
	if slices.ContainsFunc(above, func(a os.FileInfo) bool { return os.SameFile(a, fi) }) {
		return fmt.Errorf("%s is a link to a directory above it", full)
	}
	above = append(above[:len(above):len(above)], fi)
	entries, err := os.ReadDir(full)
	if err != nil {
		t.q.Log.Error("file_tree: a directory cannot be read", "path", full, "error", err)
		return nil
	}
	for _, e := range entries {
		p := filepath.Join(full, e.Name())
		fi, err := os.Stat(p)
		if err != nil {
			t.q.Log.Error("file_tree: a file cannot be read", "path", p, "error", err)
			continue
		}
		if fi.IsDir() {
			m := wire.NewMap()
			into.Set(e.Name(), m)
			if e.Type()&os.ModeSymlink == 0 || t.follow {
				if err := t.dir(base, filepath.Join(rel, e.Name()), m, above); err != nil {
					return err
				}
			}
			continue
		}
		if !fi.Mode().IsRegular() {
			t.q.Log.Error("file_tree: not a regular file", "path", p)
			continue
		}
		if err := t.file(p, filepath.Join(rel, e.Name()), into, e.Name()); err != nil {
			return err
		}
	}
	return nil
}

// file reads a file into a value.
func (t *fileTree) file(full, rel string, into *wire.Map, name string) error {
	data, err := readFile(full)
	if err != nil {
		t.q.Log.Error("file_tree: a file cannot be read", "path", full, "error", err)
		return nil
	}
	t.files++
	if t.bytes += len(data); t.bytes > maxTreeBytes || t.files > maxTreeFiles {
		return fmt.Errorf("the files have more than %d bytes together, or are more than %d", maxTreeBytes, maxTreeFiles)
	}
	text := string(data)
	if strings.HasSuffix(text, "\n") && !t.keepNewline(rel) {
		text = text[:len(text)-1]
	}
	var v any = text
	switch {
	case t.template:
		if v, err = t.q.Render(t.ctx, text, full, t.pipe, t.white, t.black); err != nil {
			return fmt.Errorf("%s: %w", full, err)
		}
	case !utf8.ValidString(text):
		v = []byte(text)
	}
	into.Set(name, v)
	return nil
}

func (t *fileTree) keepNewline(rel string) bool {
	return t.keepAll || slices.ContainsFunc(t.keep, func(g string) bool { return target.Fnmatch(g, filepath.ToSlash(rel)) })
}
