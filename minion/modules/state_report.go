package modules

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/fileclient"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/jinja/py"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states/run"
)

// report is what a run of states tells besides its results, where report= asks for it:
// the answer is then a map with gosalt_report, results, and profile, explain and plan.
type report struct {
	profile, plan bool
	explain       []string // ids or names

	files  *fileclient.Recorder // nil without a file server
	began  time.Time
	pillar time.Time   // when the pillar was there
	low    time.Time   // when the chunks were there
	done   time.Time   // when the last state had ended
	chunks []*wire.Map // as compiled; for plan

	ids      []string        // of all chunks
	excluded map[string]bool // ids that are in SLS files and in no chunk
	told     []run.Explanation
}

// newReport reads report=. It returns nil where nothing is asked for.
func newReport(v any) (*report, error) {
	r := &report{began: time.Now()}
	for _, want := range splitInput(v) {
		id, explain := strings.CutPrefix(want, "explain:")
		switch {
		case want == "profile":
			r.profile = true
		case want == "plan":
			r.plan = true
		case explain && id != "":
			r.explain = append(r.explain, id)
		default:
			return nil, module.Invalidf("report: profile, plan or explain:ID is expected, not %s", pytext.Repr(want))
		}
	}
	if !r.profile && !r.plan && len(r.explain) == 0 {
		return nil, nil
	}
	return r, nil
}

// watch makes a call whose files are recorded.
func (r *report) watch(c *module.Call) *module.Call {
	next := *c
	if c.FileServer != nil {
		r.files = fileclient.Record(c.FileServer)
		next.FileServer = r.files
		if c.Files != nil {
			next.Files = recordedFiles{c.Files, r.files}
		}
	}
	return &next
}

// recordedFiles notes the salt:// addresses that are fetched.
type recordedFiles struct {
	module.Files
	r *fileclient.Recorder
}

func (f recordedFiles) Fetch(ctx context.Context, url string, o fileclient.FetchOptions) (string, error) {
	if path, env, ok := fileclient.ParseURL(url); ok {
		if env == "" {
			if env = o.Env; env == "" {
				env = "base"
			}
		}
		f.r.Note(env, path)
	}
	return f.Files.Fetch(ctx, url, o)
}

// compiled notes the chunks that are about to be run.
func (r *report) compiled(low []*wire.Map) {
	if r == nil {
		return
	}
	r.low = time.Now()
	for _, c := range low {
		id := c.Text("__id__")
		r.ids = append(r.ids, id)
		delete(r.excluded, id)
	}
	if r.plan {
		r.chunks = make([]*wire.Map, len(low))
		for i, c := range low {
			r.chunks[i] = c.Clone()
		}
	}
}

// options asks a run for what the report needs.
func (r *report) options(o *run.Options) {
	if r == nil || len(r.explain) == 0 {
		return
	}
	o.Explain = func(low *wire.Map) bool {
		id := low.Text("__id__")
		return slices.Contains(r.explain, id) || slices.Contains(r.explain, low.Text("name")) ||
			slices.Contains(r.explain, strings.TrimPrefix(id, "listener_"))
	}
}

// ran notes the end of a run.
func (r *report) ran(runner *run.Runner) {
	if r != nil {
		r.done = time.Now()
		r.told = runner.Explanations()
	}
}

// answer is the results with the report around them.
func (r *report) answer(results *wire.Map) *wire.Map {
	if r == nil {
		return results
	}
	out := wire.NewMap("gosalt_report", int64(1), "results", results)
	if r.profile {
		out.Set("profile", r.times(results))
	}
	if len(r.explain) > 0 {
		out.Set("explain", r.explanations())
	}
	return out
}

// explanations are the lines by chunk; an id that no chunk has is told, too.
func (r *report) explanations() *wire.Map {
	m := wire.NewMap()
	seen := map[string]bool{}
	for _, e := range r.told {
		lines := make([]any, len(e.Lines))
		for i, l := range e.Lines {
			lines[i] = l
		}
		m.Set(e.Tag, lines)
		if p := strings.Split(e.Tag, "_|-"); len(p) == 4 {
			seen[p[1]], seen[p[2]] = true, true
		}
	}
	for _, id := range r.explain {
		if !seen[id] {
			m.Set(id, []any{r.unseen(id)})
		}
	}
	return m
}

// rendered notes the ids there are before exclude statements take some out.
func (r *report) rendered(high *py.Dict) {
	if r == nil || len(r.explain) == 0 {
		return
	}
	r.excluded = map[string]bool{}
	for k := range high.All() {
		if id, ok := py.AsString(k); ok && !strings.HasPrefix(id, "__") {
			r.excluded[id] = true
		}
	}
}

// unseen says why there is nothing to tell of an id.
func (r *report) unseen(id string) string {
	switch {
	case r.excluded[id]:
		return "it did not run: an exclude statement of the SLS files, or exclude= of the call, names it or its SLS"
	case slices.Contains(r.ids, id):
		return "the run ended before it came to this state"
	}
	text := "there is no state of this id or name"
	if near := module.Nearest(id, r.ids); near != "" {
		text += ". Did you mean '" + near + "'?"
	}
	return text
}

// slowest is how many states a profile names.
const slowest = 10

// times is where the time went, in milliseconds.
func (r *report) times(results *wire.Map) *wire.Map {
	ms := func(d time.Duration) float64 { return max(0, float64(d.Microseconds())/1000) }
	m := wire.NewMap("total", ms(r.done.Sub(r.began)), "pillar", ms(r.pillar.Sub(r.began)), "compile", ms(r.low.Sub(r.pillar)), "states", ms(r.done.Sub(r.low)))
	if r.files != nil {
		spent, n := r.files.Spent()
		m.Set("files", ms(spent))
		m.Set("file_requests", int64(n))
	}
	m.Set("count", int64(results.Len()))
	var all []*wire.Map
	for tag, v := range results.Strings() {
		res, ok := v.(*wire.Map)
		p := strings.Split(tag, "_|-")
		if !ok || len(p) != 4 {
			continue
		}
		all = append(all, wire.NewMap("duration", duration(res), "state", p[0]+"."+p[3], "id", p[1], "name", p[2], "sls", res.Text("__sls__")))
	}
	slices.SortStableFunc(all, func(a, b *wire.Map) int {
		x, _ := a.Get("duration")
		y, _ := b.Get("duration")
		switch x, y := x.(float64), y.(float64); {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	list := []any{}
	for _, e := range all[:min(slowest, len(all))] {
		list = append(list, e)
	}
	m.Set("slowest", list)
	return m
}

func duration(res *wire.Map) float64 {
	switch v, _ := res.Get("duration"); v := v.(type) {
	case float64:
		return v
	case int64:
		return float64(v)
	}
	return 0
}
