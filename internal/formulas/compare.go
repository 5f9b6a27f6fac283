package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/internal/fileclient"
	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/render"
	"github.com/gosalt/gosalt/internal/render/value"
	"github.com/gosalt/gosalt/jinja/py"
	"github.com/gosalt/gosalt/minion/modules"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states/compile"
)

// minionID is the name of the minion of the recordings.
const minionID = "node1.example.com"

// result is how one formula came out.
type result struct {
	formula, repo, commit      string
	cells, equal, unstable     int
	files, filesEqual          int
	high, low, rendered, wrong int // what differs
}

func (r *result) String() string {
	return fmt.Sprintf("%-24s %d of %d cells equal, %d of %d files (high %d, low %d, text %d, errors %d differ)", r.formula, r.equal, r.cells, r.filesEqual, r.files, r.high, r.low, r.rendered, r.wrong)
}

func compare(ctx context.Context, rec *recording, dir string, grains *wire.Map, verbose bool) (*result, error) {
	r := &result{formula: rec.Formula, repo: rec.Repo, commit: rec.Commit}
	cache, err := os.MkdirTemp("", "gosalt-formulas-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(cache)
	opts := config.DefaultMinion().Opts()
	opts.Set("id", minionID)
	opts.Set("file_client", "local")
	opts.Set("local_state", true)
	base := &scene{rec: rec, grains: grains, opts: opts, verbose: verbose, r: r,
		files: fileclient.NewDirs(map[string][]string{"base": rec.roots(dir)}, cache)}
	for _, name := range slices.Sorted(maps.Keys(rec.Scenarios)) {
		sc := *base
		sc.name, sc.s = name, rec.Scenarios[name]
		if sc.grains, err = sc.s.grains(grains); err != nil {
			return nil, fmt.Errorf("%s: grains: %w", name, err)
		}
		if err := sc.run(ctx, dir); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return r, nil
}

// scene is one scenario at work.
type scene struct {
	rec     *recording
	name    string
	s       *scenario
	grains  *wire.Map
	opts    *wire.Map
	pillar  *wire.Map
	files   fileclient.Client
	verbose bool
	r       *result
	// shared is the pillar of all cells: Salt rendered them in one process, in which what
	// an SLS changes in the pillar stays changed.
	shared  *py.Dict
	missing []string // functions that were not there when it was recorded: a KeyError
}

func (sc *scene) differs(what, sls, format string, args ...any) {
	if sc.verbose {
		fmt.Printf("%s/%s %s: %s differs: %s\n", sc.rec.Formula, sc.name, sls, what, fmt.Sprintf(format, args...))
	}
}

// keyError is the error of a call to a function that was not there.
var keyError = lazyre.New(`failed: Jinja error: '([a-z_]+\.[a-z_]+)'$`)

func (sc *scene) run(ctx context.Context, dir string) error {
	for _, c := range sc.s.SLS {
		for _, e := range c.Errors {
			if m := keyError.FindStringSubmatch(e); m != nil {
				sc.missing = append(sc.missing, m[1])
			}
		}
	}
	if err := sc.compilePillar(ctx, dir); err != nil {
		sc.r.cells++
		if len(sc.s.PillarErrors) > 0 {
			sc.r.equal++
			return nil
		}
		sc.r.wrong++
		sc.differs("pillar", sc.s.PillarFile, "%v", err)
		return nil
	}
	if len(sc.s.PillarErrors) > 0 {
		sc.r.cells++
		sc.r.wrong++
		sc.differs("pillar", sc.s.PillarFile, "no error, expected %v", sc.s.PillarErrors)
		return nil
	}
	var want any
	if err := json.Unmarshal(sc.s.Pillar, &want); err != nil && len(sc.s.Pillar) > 0 {
		return err
	}
	if got := plain(sc.pillar); !reflect.DeepEqual(got, want) {
		sc.differs("pillar", sc.s.PillarFile, "%s", firstDifference(got, want))
	}
	for _, sls := range slices.Sorted(maps.Keys(sc.s.SLS)) {
		want, err := sc.want(sls)
		if err != nil {
			return err
		}
		if err := sc.cell(ctx, sls, want); err != nil {
			return fmt.Errorf("%s: %w", sls, err)
		}
	}
	for i := range sc.s.Managed {
		if err := sc.managed(ctx, &sc.s.Managed[i]); err != nil {
			return err
		}
	}
	return nil
}

// want follows same_as, which names the scenario where the same came out.
func (sc *scene) want(sls string) (*cell, error) {
	c := sc.s.SLS[sls]
	for range 10 {
		if c == nil || c.SameAs == "" {
			break
		}
		next := sc.rec.Scenarios[c.SameAs]
		if next == nil {
			return nil, fmt.Errorf("%s: there is no scenario %s", sls, c.SameAs)
		}
		c = next.SLS[sls]
	}
	if c == nil || c.SameAs != "" {
		return nil, fmt.Errorf("%s: same_as leads nowhere", sls)
	}
	return c, nil
}

// compilePillar makes the pillar of its one file, as a masterless minion does.
func (sc *scene) compilePillar(ctx context.Context, dir string) error {
	if sc.s.PillarFile == "" {
		var err error
		sc.pillar, err = parseMap(sc.s.Pillar)
		return err
	}
	path := filepath.Join(dir, filepath.FromSlash(sc.s.PillarFile))
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	sls := strings.TrimSuffix(filepath.Base(sc.s.PillarFile), ".sls")
	r := render.New(render.Config{Opts: sc.opts, Grains: sc.grains, Pillar: wire.NewMap(), Functions: sc.functions(), PillarRender: true})
	out, err := r.Render(ctx, render.Source{Text: string(data), Path: path, SLS: sls, Env: "base"})
	if err != nil {
		return err
	}
	m, ok := out.Data.(*wire.Map)
	if !ok {
		return fmt.Errorf("the pillar is no dictionary")
	}
	sc.pillar = m
	v, err := value.FromWire(m, true)
	if err != nil {
		return err
	}
	sc.shared = v.(*py.Dict)
	return nil
}

// functions are the recorded results of those that look at the machine, and gosalt's own.
func (sc *scene) functions() *functions {
	f := &functions{sc: sc, reg: modules.New()}
	return f
}

type functions struct {
	sc  *scene
	reg *module.Registry
}

func (f *functions) Names() []string {
	names := f.reg.Names()
	for _, c := range f.sc.s.MachineCalls {
		names = append(names, c.Fun)
	}
	return append(names, f.sc.missing...)
}

func (f *functions) recorded(name string) bool {
	return slices.ContainsFunc(f.sc.s.MachineCalls, func(c machineCall) bool { return c.Fun == name })
}

func (f *functions) Has(name string) bool {
	return f.recorded(name) || f.reg.Has(name) || slices.Contains(f.sc.missing, name)
}

func (f *functions) Call(ctx context.Context, name string, args []any, kwargs *wire.Map) (any, error) {
	a, k := plain(args), plain(kwargs)
	for _, c := range f.sc.s.MachineCalls {
		if c.Fun != name {
			continue
		}
		ca, ck := any(c.Args), any(c.Kwargs)
		if len(c.Args) == 0 {
			ca = []any{}
		}
		if len(c.Kwargs) == 0 {
			ck = map[string]any{}
		}
		if reflect.DeepEqual(a, ca) && reflect.DeepEqual(k, ck) {
			return toWire(c.Ret), nil
		}
	}
	if slices.Contains(f.sc.missing, name) {
		return nil, &module.Error{Kind: module.NotAvailable, Msg: "'" + name + "'"}
	}
	call := &module.Call{Opts: f.sc.opts, Grains: func() *wire.Map { return f.sc.grains }, Pillar: func() *wire.Map { return f.sc.pillar }}
	res := f.reg.Run(ctx, call, name, args, kwargs)
	return res.Return, res.Err
}

func (sc *scene) compiler(ctx context.Context) (*compile.Compiler, error) {
	local := map[string]bool{}
	for _, c := range sc.s.MachineCalls {
		local[c.Fun] = true
	}
	return compile.New(ctx, compile.Config{ID: minionID, Opts: sc.opts, Grains: sc.grains, Pillar: sc.pillar, OrderedPillar: true, SharedPillar: sc.shared,
		Files: sc.files, Functions: sc.functions(), Local: local})
}

// cell compiles one SLS and compares.
func (sc *scene) cell(ctx context.Context, sls string, want *cell) error {
	sc.r.cells++
	if want.Unstable {
		sc.r.unstable++
		sc.r.equal++
		return nil
	}
	ok := true
	c, err := sc.compiler(ctx)
	if err != nil {
		return err
	}
	high, errs, err := c.SLS(ctx, compile.NewMatches("base", sls))
	if err != nil {
		return err
	}
	rendering := errs
	if want.High != nil || len(errs) == 0 {
		got, err := value.ToWire(high)
		if err != nil {
			return err
		}
		if !reflect.DeepEqual(plain(got), want.High) {
			ok = false
			sc.r.high++
			sc.differs("high data", sls, "%s", firstDifference(plain(got), want.High))
		}
	}
	if want.SHA256 != "" {
		if got := sc.rendered(ctx, sls); got != want.SHA256 {
			ok = false
			sc.r.rendered++
			sc.differs("text after Jinja", sls, "%s, want %s", got, want.SHA256)
		}
	}
	if len(errs) == 0 {
		errs = c.High(high)
		if len(errs) == 0 {
			low := []any{}
			for _, ch := range c.Low(ctx, high) {
				w, err := value.ToWire(ch)
				if err != nil {
					return err
				}
				low = append(low, w)
			}
			if got := plain(low); !reflect.DeepEqual(got, want.Low) {
				ok = false
				sc.r.low++
				sc.differs("low data", sls, "%s", firstDifference(got, want.Low))
			}
		}
	}
	// Errors of the high data are recorded with those of rendering or with those of the
	// low data.
	if len(rendering) > 0 {
		errs = rendering
	}
	if d := sameErrors(errs, slices.Concat(want.Errors, want.LowErrors)); d != "" {
		ok = false
		sc.r.wrong++
		sc.differs("errors", sls, "%s", d)
	}
	if ok {
		sc.r.equal++
	}
	return nil
}

// rendered is the hash of the text that Jinja makes of the SLS.
func (sc *scene) rendered(ctx context.Context, sls string) string {
	c, err := sc.compiler(ctx)
	if err != nil {
		return err.Error()
	}
	base := strings.ReplaceAll(sls, ".", "/")
	for _, p := range []string{base + ".sls", base + "/init.sls"} {
		data, err := sc.files.ReadFile(ctx, "base", p)
		if err != nil {
			continue
		}
		if strings.HasPrefix(string(data), "#!") && !strings.HasPrefix(string(data), "#!/") && !strings.Contains(string(data[:min(len(data), 40)]), "jinja") {
			return hash(string(data))
		}
		out, err := c.Renderer().Render(ctx, render.Source{Text: string(data), Path: "/srv/formula/" + p, SLS: sls, Env: "base", Pipe: "jinja|text"})
		if err != nil {
			return err.Error()
		}
		return hash(out.Text)
	}
	return "no file"
}

// managed renders a template and compares the file that it becomes.
func (sc *scene) managed(ctx context.Context, m *managed) error {
	if m.Chosen == "" || m.SHA256 == "" && m.Error == "" {
		return nil
	}
	sc.r.files++
	path, _, _ := fileclient.ParseURL(m.Chosen)
	data, err := sc.files.ReadFile(ctx, "base", path)
	if err != nil {
		sc.differs("file", m.SLS, "%s: %v", m.Chosen, err)
		return nil
	}
	fresh := *sc // as it was before other SLS changed the pillar
	fresh.shared = nil
	c, err := fresh.compiler(ctx)
	if err != nil {
		return err
	}
	vars := map[string]any{"name": m.Name, "source": m.Chosen}
	chunk := sc.chunk(ctx, c, m)
	for k, v := range chunk.Strings() {
		switch k { // what file.managed does not know a template sees as variables
		case "state", "fun", "name", "order", "source", "template", "context", "defaults", "require", "watch", "__id__", "__sls__", "__env__":
		default:
			vars[k] = v
		}
	}
	defaults, variables := toWire(m.Defaults), toWire(m.Context)
	if w := chunk.Map("context"); w != nil && reflect.DeepEqual(plain(w), m.Context) {
		variables = w // the same, in its order
	}
	for _, from := range []any{defaults, variables} {
		if w, ok := from.(*wire.Map); ok {
			for k, v := range w.Strings() {
				vars[k] = v
			}
		}
	}
	text, err := c.Renderer().Template(ctx, m.Template, render.Source{Text: string(data), Env: "base", Vars: vars})
	switch {
	case m.Error != "" && err != nil:
		sc.r.filesEqual++
	case err != nil:
		sc.differs("file", m.SLS, "%s: %v", m.Chosen, err)
	case hash(text) == m.SHA256:
		sc.r.filesEqual++
	default:
		sc.differs("file", m.SLS, "%s: %d bytes, want %d", m.Chosen, len(text), m.Size)
	}
	return nil
}

// chunk is the state that a file is of: its arguments have the order that the recording
// has lost. Nil when the SLS does not compile.
func (sc *scene) chunk(ctx context.Context, c *compile.Compiler, m *managed) *wire.Map {
	high, errs, err := c.SLS(ctx, compile.NewMatches("base", m.SLS))
	if err != nil || len(append(errs, c.High(high)...)) > 0 {
		return nil
	}
	for _, ch := range c.Low(ctx, high) {
		w, err := value.ToWire(ch)
		if err != nil {
			return nil
		}
		if d := w.(*wire.Map); d.Text("__id__") == m.ID && d.Text("name") == m.Name {
			return d
		}
	}
	return nil
}

func hash(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

// sameErrors compares Salt's part of the messages up to the first empty line.
func sameErrors(got compile.Errors, want []string) string {
	var texts []string
	for _, e := range got {
		texts = append(texts, paragraph(e.Msg))
	}
	if len(texts) == 0 && len(want) == 0 || slices.Equal(texts, want) {
		return ""
	}
	return fmt.Sprintf("%q\n  want %q", texts, want)
}

func paragraph(s string) string {
	s, _, _ = strings.Cut(s, "\n\n")
	s, _, _ = strings.Cut(s, "\n; line ")
	return strings.TrimSpace(s)
}

// firstDifference tells where two values of JSON differ.
func firstDifference(got, want any) string {
	show := func(v any) string {
		b, _ := json.Marshal(v) // made of JSON
		if len(b) > 200 {
			b = append(b[:200], "…"...)
		}
		return string(b)
	}
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			break
		}
		for _, k := range slices.Sorted(maps.Keys(w)) {
			if _, ok := g[k]; !ok {
				return fmt.Sprintf("%s is missing: %s", k, show(w[k]))
			}
			if !reflect.DeepEqual(g[k], w[k]) {
				return k + "." + firstDifference(g[k], w[k])
			}
		}
		for k := range g {
			if _, ok := w[k]; !ok {
				return fmt.Sprintf("%s is there: %s", k, show(g[k]))
			}
		}
	case []any:
		g, ok := got.([]any)
		if !ok {
			break
		}
		for i := range w {
			if i >= len(g) {
				return fmt.Sprintf("[%d] is missing: %s", i, show(w[i]))
			}
			if !reflect.DeepEqual(g[i], w[i]) {
				return fmt.Sprintf("[%d].%s", i, firstDifference(g[i], w[i]))
			}
		}
		return fmt.Sprintf("%d elements, want %d", len(g), len(w))
	}
	return fmt.Sprintf("%s, want %s", show(got), show(want))
}
