package modules

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/render"
	"github.com/gosalt/gosalt/internal/serial"
	"github.com/gosalt/gosalt/jinja/py"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states/compile"
)

func init() {
	register("slsutil.update", slsutilUpdate)
	register("slsutil.merge", slsutilMerge)
	register("slsutil.merge_all", slsutilMergeAll)
	register("slsutil.renderer", slsutilRenderer)
	register("slsutil.serialize", slsutilSerialize)
	register("slsutil.deserialize", slsutilDeserialize)
	register("slsutil.banner", slsutilBanner)
	register("slsutil.boolstr", slsutilBoolstr)
	register("slsutil.file_exists", slsutilFileExists)
	register("slsutil.dir_exists", slsutilDirExists)
	register("slsutil.path_exists", slsutilPathExists)
	register("slsutil.findup", slsutilFindup)
	register("jinja.load_map", jinjaLoadMap)
	register("jinja.import_yaml", jinjaImportYAML)
	register("jinja.import_json", jinjaImportJSON)
	register("defaults.get", defaultsGet)
	register("defaults.merge", defaultsMerge)
	register("defaults.update", defaultsUpdate)
	register("defaults.deepcopy", defaultsDeepcopy)
	register("log.debug", logDebug)
	register("log.info", logInfo)
	register("log.warning", logWarning)
	register("log.error", logError)
	register("log.critical", logCritical)
	register("log.exception", logException)
}

// templates is the renderer that a function has its work done by.
func templates(c *module.Call) *render.Renderer {
	cfg := compile.FromCall(c, compile.CallOptions{})
	return render.New(render.Config{
		Opts: cfg.Opts, Grains: cfg.Grains, Pillar: cfg.Pillar, OrderedPillar: cfg.OrderedPillar, Functions: cfg.Functions, Log: cfg.Log,
		Files: compile.Files(cfg.Files), ConfigDefaults: configDefaults(),
		ReadLocal: func(_ context.Context, name string) ([]byte, error) { return cfg.ReadLocal(name) },
	})
}

// native runs a function that templates have too.
func native(ctx context.Context, c *module.Call, name string, args ...any) (any, error) {
	v, err := templates(c).CallNative(ctx, name, args...)
	var pe *py.Error
	if !errors.As(err, &pe) {
		return v, err
	}
	var re *render.Error
	switch {
	case pe.Type == "SaltInvocationError":
		return nil, module.Invalidf("%s", pe.Msg)
	case errors.As(err, &re):
		return nil, module.Failf("%s", re.Error())
	case pe.Type == "CommandExecutionError":
		return nil, module.Failf("%s", pe.Msg)
	}
	return nil, module.Failf("%s: %s", pe.Type, pe.Msg)
}

type slsutilUpdateArgs struct {
	Dest            any  // Dictionary to be updated.
	Upd             any  // What is laid over it.
	RecursiveUpdate bool `default:"True"`  // Dictionaries within one another too.
	MergeLists      bool `default:"False"` // Join lists rather than replace them.
}

// slsutilUpdate lays one dictionary over another.
//
//	gosalt '*' slsutil.update '{foo: Foo}' '{bar: Bar}'
func slsutilUpdate(ctx context.Context, c *module.Call, a slsutilUpdateArgs) (any, error) {
	return native(ctx, c, "slsutil.update", a.Dest, a.Upd, a.RecursiveUpdate, a.MergeLists)
}

type slsutilMergeArgs struct {
	ObjA       any    `arg:"obj_a"`     // First dictionary.
	ObjB       any    `arg:"obj_b"`     // Second dictionary, which counts more.
	Strategy   string `default:"smart"` // aggregate, list, none, overwrite, recurse, or smart: which the renderer decides.
	Renderer   string `default:"yaml"`  // Renderer that the data came from, for smart.
	MergeLists bool   `default:"False"` // Join lists rather than replace them.
}

// slsutilMerge merges two dictionaries by a strategy.
//
//	gosalt '*' slsutil.merge '{foo: Foo}' '{bar: Bar}'
func slsutilMerge(ctx context.Context, c *module.Call, a slsutilMergeArgs) (any, error) {
	return native(ctx, c, "slsutil.merge", a.ObjA, a.ObjB, a.Strategy, a.Renderer, a.MergeLists)
}

type slsutilMergeAllArgs struct {
	Lst        []any  // Dictionaries, the later ones counting more.
	Strategy   string `default:"smart"` // As in slsutil.merge.
	Renderer   string `default:"yaml"`  // Likewise.
	MergeLists bool   `default:"False"` // Join lists rather than replace them.
}

// slsutilMergeAll merges the dictionaries of a list, in their order.
//
//	gosalt '*' slsutil.merge_all '[{foo: Foo}, {foo: Bar}]'
func slsutilMergeAll(ctx context.Context, c *module.Call, a slsutilMergeAllArgs) (any, error) {
	return native(ctx, c, "slsutil.merge_all", a.Lst, a.Strategy, a.Renderer, a.MergeLists)
}

type slsutilRendererArgs struct {
	Path            string    `default:"None"`       // File to render: salt://path, or a path of this machine.
	String          string    `default:"None"`       // Text to render in place of a file.
	DefaultRenderer string    `default:"jinja|yaml"` // Pipe of renderers where the first line names none.
	Kwargs          *wire.Map `arg:"**"`             // Variables of the template; saltenv and sls too.
}

// slsutilRenderer renders a file or a text as an SLS is rendered, and returns the data or
// the text.
//
//	gosalt '*' slsutil.renderer salt://path/to/file
//	gosalt '*' slsutil.renderer /path/to/file.jinja default_renderer='jinja'
//	gosalt '*' slsutil.renderer string='Hello, {{ name }}.' default_renderer='jinja' name='world'
func slsutilRenderer(ctx context.Context, c *module.Call, a slsutilRendererArgs) (any, error) {
	v, err := templates(c).RenderFor(ctx, a.Path, a.String, a.DefaultRenderer, a.Kwargs)
	var re *render.Error
	switch {
	case errors.As(err, &re):
		return nil, module.Failf("%s", re.Error())
	case errors.Is(err, render.ErrCall):
		return nil, module.Invalidf("%s", err)
	case err != nil:
		return nil, module.Failf("%s", err)
	}
	return v, nil
}

type slsutilSerializeArgs struct {
	Serializer string    // configparser, json, keyvalue, msgpack, plist, python, toml or yaml.
	Obj        any       // What to write.
	Kwargs     *wire.Map `arg:"**"` // Options of the serializer: indent, sort_keys, default_flow_style and so on.
}

// slsutilSerialize writes data as text.
//
//	gosalt '*' slsutil.serialize json '{foo: Foo!}'
func slsutilSerialize(ctx context.Context, c *module.Call, a slsutilSerializeArgs) (any, error) {
	v, err := templates(c).Serialize(ctx, a.Serializer, a.Obj, a.Kwargs)
	if err != nil {
		var pe *py.Error
		if errors.As(err, &pe) {
			return nil, module.Failf("%s", pe.Msg)
		}
	}
	return v, err
}

type slsutilDeserializeArgs struct {
	Serializer     string    // configparser, json, keyvalue, msgpack, plist, toml or yaml.
	StreamOrString any       // Text to read.
	Kwargs         *wire.Map `arg:"**"` // Options of the serializer.
}

// slsutilDeserialize reads data from text.
//
//	gosalt '*' slsutil.deserialize json stream_or_string='"{}"'
func slsutilDeserialize(ctx context.Context, c *module.Call, a slsutilDeserializeArgs) (any, error) {
	if serial.Reads(a.Serializer) {
		b, ok := a.StreamOrString.([]byte)
		if s, isText := a.StreamOrString.(string); isText {
			b, ok = []byte(s), true
		}
		if !ok {
			return nil, module.Failf("text is expected, not %s", pytext.TypeName(a.StreamOrString))
		}
		v, err := serial.Load(a.Serializer, b, a.Kwargs)
		if err != nil {
			return nil, module.Failf("%w", err)
		}
		return v, nil
	}
	return native(ctx, c, "slsutil.deserialize", a.Serializer, a.StreamOrString)
}

type slsutilBannerArgs struct {
	Width       int    `default:"72"`    // Columns.
	Commentchar string `default:"#"`     // What begins a comment.
	Borderchar  string `default:"#"`     // What the border is made of.
	Blockstart  any    `default:"None"`  // Line before the comment, such as /*.
	Blockend    any    `default:"None"`  // Line after it.
	Title       any    `default:"None"`  // First words; that the file is managed by Salt.
	Text        any    `default:"None"`  // What stands below.
	Newline     bool   `default:"False"` // End with a line break.
}

// slsutilBanner is a block of comment for managed files, which warns of changes by hand.
//
//	{{ salt['slsutil.banner'](commentchar=' *', borderchar='*', blockstart='/**', blockend=' */') }}
func slsutilBanner(ctx context.Context, c *module.Call, a slsutilBannerArgs) (any, error) {
	return native(ctx, c, "slsutil.banner", int64(a.Width), a.Commentchar, a.Borderchar, a.Blockstart, a.Blockend, a.Title, a.Text, a.Newline)
}

type slsutilBoolstrArgs struct {
	Value any    // Whether.
	True  string `default:"true" arg:"true"`   // What to return then.
	False string `default:"false" arg:"false"` // And otherwise.
}

// slsutilBoolstr is one text of two.
//
//	{{ salt['slsutil.boolstr'](enabled, 'yes', 'no') }}
func slsutilBoolstr(_ context.Context, _ *module.Call, a slsutilBoolstrArgs) (string, error) {
	if module.Truth(a.Value) {
		return a.True, nil
	}
	return a.False, nil
}

type slsutilPathArgs struct {
	Path    string // Path below the root of the file server.
	Saltenv string `default:"base"` // Environment.
}

// slsutilFileExists tells whether the file server has a file.
//
//	gosalt '*' slsutil.file_exists nginx/defaults.yaml
func slsutilFileExists(ctx context.Context, c *module.Call, a slsutilPathArgs) (bool, error) {
	s, err := fileServer(c)
	if err != nil {
		return false, err
	}
	list, err := s.List(ctx, a.Saltenv, a.Path)
	return slices.Contains(list, a.Path), err
}

// slsutilDirExists tells whether the file server has a directory.
//
//	gosalt '*' slsutil.dir_exists nginx/files
func slsutilDirExists(ctx context.Context, c *module.Call, a slsutilPathArgs) (bool, error) {
	s, err := fileServer(c)
	if err != nil {
		return false, err
	}
	list, err := s.Dirs(ctx, a.Saltenv, a.Path)
	return slices.Contains(list, a.Path), err
}

// slsutilPathExists tells whether the file server has a file or directory.
//
//	gosalt '*' slsutil.path_exists nginx/defaults.yaml
func slsutilPathExists(ctx context.Context, c *module.Call, a slsutilPathArgs) (bool, error) {
	ok, err := slsutilFileExists(ctx, c, a)
	if ok || err != nil {
		return ok, err
	}
	return slsutilDirExists(ctx, c, a)
}

type slsutilFindupArgs struct {
	Startpath string // Where to begin: a path below the root of the file server, or "" for the root.
	Filenames any    // Names to look for, a text or a list.
	Saltenv   string `default:"base"` // Environment.
}

// slsutilFindup returns the first file of a name in a directory of the file server or one
// above it.
//
//	gosalt '*' slsutil.findup formulas/shared/nginx map.jinja
//	{{ salt['slsutil.findup'](tplfile, 'defaults.yaml') }}
func slsutilFindup(ctx context.Context, c *module.Call, a slsutilFindupArgs) (string, error) {
	exists := func(p string) (bool, error) {
		return slsutilPathExists(ctx, c, slsutilPathArgs{p, a.Saltenv})
	}
	at := a.Startpath
	if at != "" {
		at = path.Clean(at)
		ok, err := exists(at)
		if err != nil {
			return "", err
		}
		if !ok {
			return "", module.Invalidf("Starting path not found in the state tree: %s", at)
		}
	}
	var names []string
	switch x := a.Filenames.(type) {
	case string:
		names = []string{x}
	case []any:
		names = splitInput(x)
	default:
		return "", module.Invalidf("Filenames argument must be a string or list of strings")
	}
	for {
		for _, n := range names {
			full := path.Join(at, strings.TrimLeft(n, "/"))
			if ok, err := exists(full); ok || err != nil {
				return full, err
			}
		}
		if at == "" {
			return "", module.Failf("File pattern(s) not found in path ancestry")
		}
		if at = path.Dir(at); at == "." || at == "/" {
			at = ""
		}
	}
}

type jinjaLoadMapArgs struct {
	Path  string // Template, below the root of the file server: nginx/map.jinja.
	Value string // Name of the variable.
}

// jinjaLoadMap returns a variable of a template, to look at what a map.jinja makes.
//
//	gosalt '*' jinja.load_map nginx/map.jinja nginx
func jinjaLoadMap(ctx context.Context, c *module.Call, a jinjaLoadMapArgs) (any, error) {
	return native(ctx, c, "jinja.load_map", a.Path, a.Value)
}

type jinjaImportArgs struct {
	Path string // File, below the root of the file server.
}

// jinjaImportYAML returns the data of a YAML file, as import_yaml reads it.
//
//	gosalt '*' jinja.import_yaml nginx/defaults.yaml
func jinjaImportYAML(ctx context.Context, c *module.Call, a jinjaImportArgs) (any, error) {
	return native(ctx, c, "jinja.import_yaml", a.Path)
}

// jinjaImportJSON returns the data of a JSON file, as import_json reads it.
//
//	gosalt '*' jinja.import_json nginx/defaults.json
func jinjaImportJSON(ctx context.Context, c *module.Call, a jinjaImportArgs) (any, error) {
	return native(ctx, c, "jinja.import_json", a.Path)
}

type defaultsGetArgs struct {
	Key     string // Formula and key: core:users:root.
	Default any    `default:""` // What stands for a key that is not there.
}

// defaultsGet returns a value of the file defaults.yaml or defaults.json of a formula.
//
//	gosalt '*' defaults.get core:users:root
func defaultsGet(ctx context.Context, c *module.Call, a defaultsGetArgs) (any, error) {
	return native(ctx, c, "defaults.get", a.Key, a.Default)
}

type defaultsMergeArgs struct {
	Dest        any  // Dictionary to be changed.
	Src         any  // What is laid over it.
	MergeLists  bool `default:"False"` // Join lists rather than replace them.
	InPlace     bool `default:"True"`  // Change dest itself, which templates see.
	ConvertNone bool `default:"True"`  // Take None for an empty dictionary.
}

// defaultsMerge lays one dictionary over another.
//
//	gosalt '*' defaults.merge '{a: b}' '{d: e}'
func defaultsMerge(ctx context.Context, c *module.Call, a defaultsMergeArgs) (any, error) {
	return native(ctx, c, "defaults.merge", a.Dest, a.Src, a.MergeLists, a.InPlace, a.ConvertNone)
}

type defaultsUpdateArgs struct {
	Dest        any  // Dictionary of dictionaries.
	Defaults    any  // What each of them gets where it has nothing of its own.
	MergeLists  bool `default:"True"` // Join lists rather than replace them.
	InPlace     bool `default:"True"` // Change dest itself, which templates see.
	ConvertNone bool `default:"True"` // Take None for an empty dictionary.
}

// defaultsUpdate gives each dictionary of a dictionary the same defaults.
//
//	{% do salt['defaults.update'](group.nodes, group.defaults) %}
func defaultsUpdate(ctx context.Context, c *module.Call, a defaultsUpdateArgs) (any, error) {
	return native(ctx, c, "defaults.update", a.Dest, a.Defaults, a.MergeLists, a.InPlace, a.ConvertNone)
}

type defaultsDeepcopyArgs struct {
	Source any // What to copy.
}

// defaultsDeepcopy copies data, for templates that go on to change it.
//
//	{% set mine = salt['defaults.deepcopy'](theirs) %}
func defaultsDeepcopy(_ context.Context, _ *module.Call, a defaultsDeepcopyArgs) (any, error) {
	return a.Source, nil
}

type logArgs struct {
	Message any // What to log.
}

// logDebug logs a message of the level debug.
//
//	{% do salt['log.debug']('here') %}
func logDebug(ctx context.Context, c *module.Call, a logArgs) (any, error) {
	return native(ctx, c, "log.debug", a.Message)
}

// logInfo logs a message of the level info.
//
//	{% do salt['log.info']('here') %}
func logInfo(ctx context.Context, c *module.Call, a logArgs) (any, error) {
	return native(ctx, c, "log.info", a.Message)
}

// logWarning logs a message of the level warning.
//
//	{% do salt['log.warning']('here') %}
func logWarning(ctx context.Context, c *module.Call, a logArgs) (any, error) {
	return native(ctx, c, "log.warning", a.Message)
}

// logError logs a message of the level error.
//
//	{% do salt['log.error']('here') %}
func logError(ctx context.Context, c *module.Call, a logArgs) (any, error) {
	return native(ctx, c, "log.error", a.Message)
}

// logCritical logs a message of the level critical.
//
//	{% do salt['log.critical']('here') %}
func logCritical(ctx context.Context, c *module.Call, a logArgs) (any, error) {
	return native(ctx, c, "log.critical", a.Message)
}

// logException logs a message of the level error; there is no exception to tell of.
//
//	{% do salt['log.exception']('here') %}
func logException(ctx context.Context, c *module.Call, a logArgs) (any, error) {
	return native(ctx, c, "log.exception", a.Message)
}
