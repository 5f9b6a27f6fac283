package output

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// highstate shows the results of states: {id: {"file_|-ID_|-name_|-managed": {...}}}.
// A list of texts in place of the states is a failed compilation; text and numbers
// are shown as they are, as orchestrations hold them.
func highstate(data any, o Options) (string, error) { return highstateAt(data, o, 1) }

func highstateAt(data any, o Options, level int) (string, error) {
	m, ok := unwrapHighstate(data).(*wire.Map)
	if !ok {
		switch x := unwrapHighstate(data).(type) {
		case string:
			return x, nil
		case nil:
			return "None", nil
		default:
			return "", fmt.Errorf("results of states expected, not %s", pytext.TypeName(x))
		}
	}
	masters := 0
	for k := range m.All() {
		s, ok := k.(string)
		if !ok {
			return "", fmt.Errorf("an id is text, not %s", pytext.TypeName(k))
		}
		if strings.HasSuffix(s, "_master") {
			masters++
		}
	}
	if m.Has("retcode") && masters == 1 { // an orchestration's own
		m = m.Clone()
		m.Delete("retcode")
	}
	if o.StateCompressIDs {
		if c, ok := compressIDs(m); ok {
			m = c
		} else {
			o.tell("Unable to compress state output by ID! Returning output normally.")
		}
	}
	if m.Len() == 0 {
		o.tell("Data passed to highstate outputter is not a valid highstate return: %s", pytext.Repr(m))
		return "", nil
	}
	var hosts []string
	for id, result := range m.Strings() {
		text, _, err := formatHost(id, result, o, level)
		if err != nil {
			return "", err
		}
		hosts = append(hosts, text)
	}
	return strings.Join(hosts, "\n"), nil
}

// unwrapHighstate takes the states out of what jobs and orchestrations wrap around them.
func unwrapHighstate(data any) any {
	if m, ok := data.(*wire.Map); ok && m.Has("return") {
		data, _ = m.Get("return")
	}
	if m, ok := data.(*wire.Map); ok && m.Has("data") {
		data, _ = m.Get("data")
	}
	if m, ok := data.(*wire.Map); ok && m.Len() == 1 {
		for _, v := range m.All() {
			if job, ok := v.(*wire.Map); ok && job.Has("jid") && job.Has("fun") {
				if inner, ok := job.Map("return").Get("data"); ok {
					return inner
				}
			}
		}
	}
	return data
}

// stateResult is one state of a highstate, read from its map.
type stateResult struct {
	tag      []string // module, id, name, function
	ret      *wire.Map
	result   any
	changes  any
	count    int // of the states folded into this one
	changed  bool
	text     string // of the changes
	duration any
	started  any
	timed    bool
}

// isFalse and isNone are identity, as in Python: 0 is not False here.
func (s *stateResult) isFalse() bool { return s.result == false }
func (s *stateResult) isNone() bool  { return s.result == nil }

func isNumber(v any, n float64) bool {
	switch pytext.TypeName(v) {
	case "int", "float":
		return pytext.Number(v) == n
	}
	return false
}

// truth is Python's bool(v).
func truth(v any) bool {
	switch x := v.(type) {
	case nil:
		return false
	case bool:
		return x
	case string:
		return x != ""
	case []byte:
		return len(x) > 0
	case []any:
		return len(x) > 0
	case *wire.Map:
		return x.Len() > 0
	}
	return pytext.Number(v) != 0 || pytext.TypeName(v) == "datetime.datetime"
}

// hostReport gathers the lines and sums of one minion.
type hostReport struct {
	o       Options
	c       palette
	level   int
	color   string // of the minion's name
	lines   []string
	counts  map[string]int // by the result's text, and "warnings"
	changed int
	millis  float64
	longest float64 // of the parallel states
}

// formatHost shows one minion's part; changed tells whether anything did.
func formatHost(host string, data any, o Options, level int) (text string, changed bool, err error) {
	r := &hostReport{o: o, c: o.colors(), level: level, counts: map[string]int{}}
	r.color = r.c.green
	switch x := data.(type) {
	case string:
		r.changed = 1
		for _, l := range pytext.SplitLines(x, false) {
			r.lines = append(r.lines, r.c.green+"    "+o.safe(l)+r.c.end)
		}
		r.color = r.c.cyan
	case []any:
		r.color = r.c.lightRed
		r.lines = append(r.lines, "    "+r.color+"Data failed to compile:"+r.c.end)
		for _, e := range x {
			r.lines = append(r.lines, r.color+"----------\n    "+o.safe(keyText(e))+r.c.end)
		}
	case *wire.Map:
		if inner := x.Map("results"); inner != nil && x.Int("gosalt_report") > 0 { // kept with what --profile and the like asked for
			x = inner
		}
		if err := r.states(host, x); err != nil {
			return "", false, err
		}
	default:
		if t := pytext.TypeName(x); t == "int" || t == "bool" {
			r.changed = 1
			r.lines = append(r.lines, r.c.green+"    "+pytext.Str(x)+r.c.end)
			r.color = r.c.cyan
		}
	}
	head := r.color + o.safe(host) + ":" + r.c.end
	return strings.Join(append([]string{head}, r.lines...), "\n"), r.changed > 0, nil
}

func (r *hostReport) states(host string, m *wire.Map) error {
	var results []*stateResult
	for k, v := range m.All() {
		ret, ok := v.(*wire.Map)
		if !ok {
			continue
		}
		name := pytext.Str(k)
		if name != "changes" && ret.Len() > 0 && !ret.Has("__run_num__") {
			r.lines = append([]string{
				"The State execution failed to record the order in which all states were executed. The state return missing data is:",
				pytext.PPrint(ret, 1),
			}, r.lines...)
		}
		if ret.Has("result") {
			results = append(results, &stateResult{tag: strings.Split(name, "_|-"), ret: ret, count: 1})
		}
	}
	slices.SortStableFunc(results, func(a, b *stateResult) int {
		x, _ := a.ret.Get("__run_num__")
		y, _ := b.ret.Get("__run_num__")
		return compareFloat(pytext.Number(x), pytext.Number(y))
	})
	for _, s := range results {
		if err := r.state(s); err != nil {
			return err
		}
	}
	r.summary(host)
	return nil
}

func compareFloat(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// state adds one state to the sums and, unless it is to be left out, to the lines.
func (r *hostReport) state(s *stateResult) error {
	s.result, _ = s.ret.Get("result")
	var ok bool
	if s.changes, ok = s.ret.Get("changes"); !ok {
		return fmt.Errorf("the state %s has no changes", strings.Join(s.tag, "_|-"))
	}
	if len(s.tag) > 1 && r.o.StateCompressIDs && strings.Contains(strings.Join(s.tag, "_|-"), "_|-state_compressed_") {
		s.count = countInName(s.tag[1])
	}
	r.counts[resultKey(s.result)] += s.count
	s.duration, _ = s.ret.Get("duration")
	s.started, s.timed = s.ret.Get("start_time")
	r.addDuration(s)
	if err := r.readChanges(s); err != nil {
		return err
	}
	if r.o.StateOutputDiff && truth(s.result) && !s.changed ||
		!r.o.StateVerbose && truth(s.result) && !s.changed {
		return nil
	}
	color := r.c.green
	if s.changed {
		color = r.c.cyan
	}
	if s.isFalse() {
		color, r.color = r.c.red, r.c.red
	}
	if s.isNone() {
		color, r.color = r.c.lightYellow, r.c.lightYellow
	}
	if len(s.tag) < 4 {
		return fmt.Errorf("the state %q is not named module_|-id_|-name_|-function", strings.Join(s.tag, "_|-"))
	}
	mode := strings.ToLower(r.o.StateOutput)
	if strings.HasSuffix(mode, "_id") {
		s.tag[2] = s.tag[1]
	}
	show, terse := r.form(mode, s)
	switch {
	case terse:
		line, err := r.terse(s, color)
		if err != nil {
			return err
		}
		r.lines = append(r.lines, line)
	case show:
		return r.full(s, color)
	}
	return nil
}

// resultKey names a result for counting; Python's True is also 1.
func resultKey(v any) string {
	switch {
	case isNumber(v, 1):
		return "True"
	case isNumber(v, 0):
		return "False"
	}
	return pytext.Repr(v)
}

// form tells whether a state is shown, and whether in one line.
func (r *hostReport) form(mode string, s *stateResult) (show, terse bool) {
	switch {
	case strings.HasPrefix(mode, "filter"):
		exclude, short := r.filters()
		text := pytext.Str(s.result)
		if slices.Contains(short, text) {
			return true, true
		}
		return !slices.Contains(exclude, text), false
	case strings.HasPrefix(mode, "terse"):
		return true, true
	case strings.HasPrefix(mode, "mixed"):
		return true, !s.isFalse()
	case strings.HasPrefix(mode, "changes"):
		return true, truth(s.result) && !s.changed
	}
	return true, false
}

// filters are the results that the filter form leaves out and shows in one line:
// from the call's exclude= and terse= arguments, else from the configuration.
func (r *hostReport) filters() (exclude, terse []string) {
	exclude, terse = r.o.StateOutputExclude, r.o.StateOutputTerse
	for _, a := range r.o.Args {
		m, ok := a.(*wire.Map)
		if !ok || !m.Has("__kwarg__") {
			continue
		}
		if v, ok := m.Get("exclude"); ok {
			exclude = resultList(v)
		}
		if v, ok := m.Get("terse"); ok {
			terse = resultList(v)
		}
	}
	return exclude, terse
}

func resultList(v any) []string {
	switch x := v.(type) {
	case string:
		return strings.Split(x, ",")
	case []any:
		list := make([]string, len(x))
		for i, e := range x {
			list[i] = pytext.Str(e)
		}
		return list
	}
	return []string{pytext.Str(v)}
}

// millis reads milliseconds, a number or a text like "5.2 ms".
func millis(duration any) (float64, error) {
	if s, ok := duration.(string); ok {
		s, _, _ = strings.Cut(s, " ms")
		return strconv.ParseFloat(strings.TrimSpace(s), 64)
	}
	return pytext.Number(duration), nil
}

func (r *hostReport) addDuration(s *stateResult) {
	ms, err := millis(s.duration)
	if err != nil {
		r.o.tell("Cannot parse a float from duration %v", s.duration)
		return
	}
	if s.ret.Has("__parallel__") {
		r.longest = max(r.longest, ms)
		return
	}
	r.millis += ms
}

// readChanges finds whether the state changed something, and the text of it.
func (r *hostReport) readChanges(s *stateResult) error {
	switch s.ret.Text("name") {
	case "state.orch", "state.orchestrate", "state.sls":
		text, err := highstateAt(s.changes, r.o, r.level+1)
		if err != nil {
			return err
		}
		pad := strings.Repeat(" ", 14*r.level)
		s.changed = true
		s.text = pad + strings.ReplaceAll("\n"+text, "\n", "\n"+pad)
		r.changed++
		return nil
	}
	var err error
	s.changed, s.text, err = r.formatChanges(s.changes)
	if s.changed {
		n := 1
		if m, ok := s.changes.(*wire.Map); ok && s.count > 1 {
			n = max(1, m.Map("compressed changes").Len())
		}
		r.changed += n
	}
	return err
}

func (r *hostReport) formatChanges(changes any) (bool, string, error) {
	if !truth(changes) {
		return false, "", nil
	}
	m, ok := changes.(*wire.Map)
	if !ok {
		return true, "Invalid Changes data: " + pytext.Str(changes), nil
	}
	if ret := m.Map("ret"); ret != nil && m.Text("out") == "highstate" {
		var b strings.Builder
		changed := false
		for host, data := range ret.All() {
			text, c, err := formatHost(pytext.Str(host), data, r.o, 1)
			if err != nil {
				return false, "", err
			}
			b.WriteByte('\n')
			for i, l := range pytext.SplitLines(text, false) {
				if i > 0 {
					b.WriteByte('\n')
				}
				b.WriteString(strings.Repeat(" ", 14) + l)
			}
			changed = changed || c
		}
		return changed, b.String(), nil
	}
	o := r.o
	o.NestedIndent, o.Retcode = 14, 0
	return true, "\n" + Format(m, "nested", o), nil
}

// full adds the block of one state.
func (r *hostReport) full(s *stateResult, color string) error {
	end := r.c.end
	line := func(label, value string) {
		r.lines = append(r.lines, "    "+color+label+": "+r.o.safe(value)+end)
	}
	comment, err := r.comment(s)
	if err != nil {
		return err
	}
	r.lines = append(r.lines, color+"----------"+end)
	line("      ID", s.tag[1])
	line("Function", s.tag[0]+"."+s.tag[3])
	if s.tag[1] != s.tag[2] {
		line("    Name", s.tag[2])
	}
	line("  Result", pytext.Str(s.result))
	line(" Comment", comment)
	if r.o.StateOutputProfile && s.timed {
		duration := ""
		if d, ok := s.ret.Get("duration"); ok && d != "" {
			duration = pytext.Str(d) + " ms"
		}
		line(" Started", pytext.Str(s.started))
		line("Duration", duration)
	}
	r.lines = append(r.lines, color+"     Changes:   "+s.text+end)
	if warnings, ok := s.ret.Get("warnings"); ok {
		r.counts["warnings"]++
		pad := strings.Repeat(" ", 14)
		text := strings.Join(pytext.Wrap(strings.Join(resultLines(warnings), "\n"), 80, pad, pad), "\n")
		r.lines = append(r.lines, "   "+r.c.lightRed+" Warnings: "+strings.TrimLeftFunc(text, pySpace)+end)
	}
	return nil
}

func resultLines(v any) []string {
	if l, ok := v.([]any); ok {
		return resultList(l)
	}
	return []string{pytext.Str(v)}
}

// comment is the state's comment with its further lines under the first, and
// after it what the state has as data.
func (r *hostReport) comment(s *stateResult) (string, error) {
	v, ok := s.ret.Get("comment")
	if !ok {
		return "", fmt.Errorf("the state %s has no comment", strings.Join(s.tag, "_|-"))
	}
	text := strings.TrimFunc(pytext.Str(v), pySpace)
	text = strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", 14))
	data, ok := s.ret.Get("data")
	if !ok {
		return text, nil
	}
	switch x := data.(type) {
	case []any:
		for _, e := range x {
			text += " " + pytext.Str(e)
		}
	case *wire.Map:
		for k, e := range x.All() {
			text += "\n\t\t" + pytext.Str(k) + ": " + pytext.Str(e)
		}
	default:
		text += " " + pytext.Str(x)
	}
	return text, nil
}
