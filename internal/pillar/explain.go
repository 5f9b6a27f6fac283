package pillar

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/render"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Part is one of the maps that a pillar was put together of, in their order.
type Part struct {
	Kind   string // "sls", "ext_pillar", "override"
	SLS    string // "db.server"
	Env    string // of the SLS
	File   string // where the SLS is on this machine
	Via    []string
	Ext    string   // name of the ext_pillar
	Prefix []string // keys below which an include puts it
	Data   *wire.Map

	source   string // of the file
	rendered *render.Result
}

// note keeps parts where the request asks for that.
func (run *compilation) note(parts ...Part) {
	if run.req.Trace {
		run.parts = append(run.parts, parts...)
	}
}

// Explanation tells from where a value of a pillar comes.
type Explanation struct {
	Key   string
	Found bool

	delimiter string
	Value     any
	Steps     []Step
}

// Step is one part that has the key.
type Step struct {
	Part   Part
	Line   int    // of the file; 0 where it cannot be told
	Value  any    // the key's value in this part
	Effect string // "sets it", "replaces it", "is merged into it", "is appended to it", "adds nothing"
}

// Where names the part: the file with its line, or what it is.
func (s *Step) Where() string {
	switch s.Part.Kind {
	case "override":
		return "the values of the call (pillar=)"
	case "ext_pillar":
		return "ext_pillar " + s.Part.Ext
	}
	if s.Line > 0 {
		return fmt.Sprintf("%s, line %d", s.Part.File, s.Line)
	}
	return s.Part.File
}

// Explain tells which parts have a key, as "db:password", in the order in which they
// were laid over one another. The request must have asked for a trace.
func (r *Result) Explain(key, delimiter string, mergeLists bool) *Explanation {
	if delimiter == "" {
		delimiter = ":"
	}
	e := &Explanation{Key: key, delimiter: delimiter}
	e.Value, e.Found = target.Traverse(r.Pillar, key, delimiter)
	path := strings.Split(key, delimiter)
	var before any
	has := false
	for _, p := range r.Parts {
		rest, ok := cutPrefix(path, p.Prefix)
		if !ok {
			continue
		}
		var v any = p.Data
		if len(rest) > 0 {
			if v, ok = target.Traverse(p.Data, strings.Join(rest, delimiter), delimiter); !ok {
				continue
			}
		}
		s := Step{Part: p, Value: v, Effect: effect(before, v, has, mergeLists), Line: p.line(rest)}
		e.Steps = append(e.Steps, s)
		before, has = v, true
	}
	return e
}

// Near tells of a key that was not found what there is at the place where it ends.
func (e *Explanation) Near(p *wire.Map) string {
	at, where := p, "the keys"
	for part := range strings.SplitSeq(e.Key, e.delimiter) {
		next := at.Map(part)
		if next == nil {
			break
		}
		at, where = next, "below "+part
	}
	var keys []string
	for k := range at.All() {
		keys = append(keys, pytext.Str(k))
	}
	if len(keys) == 0 {
		return "nothing"
	}
	if len(keys) > 20 {
		keys = append(keys[:20], "...")
	}
	return where + ": " + strings.Join(keys, ", ")
}

func effect(before, v any, has, mergeLists bool) string {
	if !has {
		return "sets it"
	}
	_, a := before.(*wire.Map)
	_, b := v.(*wire.Map)
	if a && b {
		return "is merged into it"
	}
	_, a = before.([]any)
	_, b = v.([]any)
	if a && b && mergeLists {
		return "is appended to it"
	}
	if pytext.Equal(before, v) {
		return "sets it to the same"
	}
	return "replaces it"
}

// cutPrefix takes the keys of an include off a path.
func cutPrefix(path, prefix []string) ([]string, bool) {
	if len(path) < len(prefix) {
		return nil, slices.Equal(path, prefix[:len(path)]) && len(path) == len(prefix)
	}
	if !slices.Equal(path[:len(prefix)], prefix) {
		return nil, false
	}
	return path[len(prefix):], true
}

// line is the line of the part's file that writes the key. What Jinja made of the file has
// other lines: the same line is looked for in the file, nearest to where it is in the text.
func (p *Part) line(path []string) int {
	if p.rendered == nil || p.rendered.Doc == nil || len(path) == 0 {
		return 0
	}
	steps := make([]any, len(path))
	for i, k := range path {
		steps[i] = k
	}
	at, ok := p.rendered.Doc.At(steps...)
	if !ok {
		return locate(p.source, steps)
	}
	text := strings.Split(p.rendered.Text, "\n")
	source := strings.Split(p.source, "\n")
	if at.Line > len(text) {
		return 0
	}
	want := text[at.Line-1]
	best := 0
	for i, l := range source {
		if l == want && (best == 0 || abs(i+1-at.Line) < abs(best-at.Line)) {
			best = i + 1
		}
	}
	if best == 0 {
		return locate(p.source, steps)
	}
	return best
}

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}
