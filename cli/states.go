package cli

import (
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gosalt/gosalt/cli/output"
	"github.com/gosalt/gosalt/internal/durable"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// statesReport is what StatesOptions ask for, gathered while results come in.
type statesReport struct {
	o       *StatesOptions
	fun     string
	began   time.Time
	minions []minionStates
	pending bool // test=True, and something would change
}

// minionStates is what one minion told.
type minionStates struct {
	id      string
	value   any    // the results, as they are without a report
	code    int    // exit code
	absent  string // why there are no results
	profile *wire.Map
	explain *wire.Map
	plan    *wire.Map
	sarif   *wire.Map
}

func newStatesReport(o *StatesOptions, fun string) *statesReport {
	return &statesReport{o: o, fun: fun, began: time.Now()}
}

// take keeps what a minion returned, and returns what is to be shown of it.
func (r *statesReport) take(id string, v any, code int) any {
	m := minionStates{id: id, value: v, code: code}
	if w, ok := v.(*wire.Map); ok && w.Int("gosalt_report") > 0 {
		m.value, _ = w.Get("results")
		m.profile, m.explain, m.plan = w.Map("profile"), w.Map("explain"), w.Map("plan")
		m.sarif = w.Map("sarif")
	}
	for _, s := range statesOf(m.value) {
		r.pending = r.pending || s.result == nil
	}
	r.minions = append(r.minions, m)
	return m.value
}

// absent keeps that a minion did not return.
func (r *statesReport) absent(id, why string) {
	r.minions = append(r.minions, minionStates{id: id, absent: why, code: 1})
}

// finish writes the files, and what is told after the results, to w.
func (r *statesReport) finish(w io.Writer, o output.Options) error {
	slices.SortStableFunc(r.minions, func(a, b minionStates) int { return strings.Compare(a.id, b.id) })
	for _, m := range r.minions {
		head := ""
		if len(r.minions) > 1 {
			head = " of " + m.id
		}
		if m.explain.Len() > 0 {
			fmt.Fprint(w, explainText(m.explain, head, o))
		}
		if m.profile != nil {
			fmt.Fprint(w, profileText(m.profile, head, o))
		}
	}
	if r.o.JUnit != "" {
		b, err := r.junit()
		if err != nil {
			return err
		}
		if err := durable.WriteFile(r.o.JUnit, b, 0o644); err != nil {
			return fmt.Errorf("--junit: %w", err)
		}
	}
	if r.o.SARIF != "" {
		if err := r.writeSARIF(); err != nil {
			return err
		}
	}
	if r.o.Plan != "" {
		return r.writePlan(w)
	}
	return nil
}

// writeSARIF saves what the linter has found, the runs of all minions in one log.
func (r *statesReport) writeSARIF() error {
	var doc *wire.Map
	var runs []any
	for _, m := range r.minions {
		if m.sarif != nil {
			doc = m.sarif.Clone()
			runs = append(runs, doc.List("runs")...)
		}
	}
	if doc == nil {
		return nil
	}
	doc.Set("runs", runs)
	text, err := pytext.JSON(doc, 2, false)
	if err != nil {
		return fmt.Errorf("--sarif: %w", err)
	}
	if err := durable.WriteFile(r.o.SARIF, []byte(text+"\n"), 0o644); err != nil {
		return fmt.Errorf("--sarif: %w", err)
	}
	return nil
}

// writePlan saves the plans of all minions, and says what is in them.
func (r *statesReport) writePlan(w io.Writer) error {
	all := wire.NewMap()
	var changes, fine, failed int
	var without []string
	for _, m := range r.minions {
		if m.plan == nil {
			without = append(without, m.id)
			continue
		}
		all.Set(m.id, m.plan)
		for _, s := range statesOf(m.value) {
			switch {
			case s.result == false:
				failed++
			case s.result == nil:
				changes++
			default:
				fine++
			}
		}
	}
	if all.Len() == 0 {
		fmt.Fprintf(w, "No plan was saved: there are no results to make it of.\n")
		return nil
	}
	var doc any = wire.NewMap("gosalt_plan", int64(1), "minions", all)
	if len(r.minions) == 1 {
		doc = r.minions[0].plan
	}
	text, err := pytext.JSON(doc, 1, false)
	if err != nil {
		return fmt.Errorf("--plan: %w", err)
	}
	if err := durable.WriteFile(r.o.Plan, []byte(text+"\n"), 0o600); err != nil {
		return fmt.Errorf("--plan: %w", err)
	}
	fmt.Fprintf(w, "Plan saved in %s: %d to change, %d fine as they are, %d cannot be done.", r.o.Plan, changes, fine, failed)
	if len(without) > 0 {
		fmt.Fprintf(w, " Without a plan: %s.", strings.Join(without, ", "))
	}
	fmt.Fprintf(w, "\nCarry it out with: state.apply_plan %s\n", r.o.Plan)
	return nil
}

func paint(o output.Options, code, text string) string {
	if !o.Color {
		return text
	}
	return "\x1b[0;" + code + "m" + text + "\x1b[0m"
}

// explainText is why states ran.
func explainText(m *wire.Map, of string, o output.Options) string {
	var b strings.Builder
	for tag, v := range m.Strings() {
		id := tag
		if p := strings.Split(tag, "_|-"); len(p) == 4 {
			id = p[1]
		}
		fmt.Fprintf(&b, "\n%s\n", paint(o, "36", "Why "+id+of+":"))
		lines, _ := v.([]any)
		for _, l := range lines {
			fmt.Fprintf(&b, "  %s\n", strings.ReplaceAll(pytext.Str(l), "\n", "\n  "))
		}
	}
	return b.String()
}

// profileText is where the time went.
func profileText(m *wire.Map, of string, o output.Options) string {
	ms := func(m *wire.Map, key string) float64 {
		v, _ := m.Get(key)
		return pytext.Number(v)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s\n", paint(o, "36", "Where the time went"+of+":"))
	line := func(key, what string) {
		total := ms(m, "total")
		part := 0.0
		if total > 0 {
			part = ms(m, key) * 100 / total
		}
		fmt.Fprintf(&b, "  %-12s %10.1f ms %4.0f %%  %s\n", key, ms(m, key), part, what)
	}
	line("pillar", "the pillar, and the checks before a run")
	line("compile", "reading, rendering and compiling the SLS files")
	line("states", fmt.Sprintf("running %d states", m.Int("count")))
	line("total", "")
	if m.Has("files") {
		line("files", fmt.Sprintf("of compile and states: %d requests to the file server", m.Int("file_requests")))
	}
	if slow := m.List("slowest"); len(slow) > 0 {
		fmt.Fprintf(&b, "  The slowest states:\n")
		for _, v := range slow {
			s, ok := v.(*wire.Map)
			if !ok || ms(s, "duration") == 0 {
				continue
			}
			fmt.Fprintf(&b, "  %10.1f ms  %-24s %s", ms(s, "duration"), s.Text("state"), s.Text("id"))
			if s.Text("name") != s.Text("id") {
				fmt.Fprintf(&b, " (%s)", firstOf(s.Text("name")))
			}
			fmt.Fprintf(&b, "  in %s\n", s.Text("sls"))
		}
	}
	return b.String()
}

func firstOf(s string) string {
	line, _, more := strings.Cut(s, "\n")
	if more {
		line += " ..."
	}
	return line
}

// oneState is one result of a run of states.
type oneState struct {
	fun, id, name, sls string
	result             any
	changes            any
	comment            string
	seconds            float64
}

// statesOf reads the results of a run of states; nil where a value is something else.
func statesOf(v any) []oneState {
	m, ok := v.(*wire.Map)
	if !ok {
		return nil
	}
	var out []oneState
	for tag, v := range m.Strings() {
		res, ok := v.(*wire.Map)
		p := strings.Split(tag, "_|-")
		if !ok || len(p) != 4 || !res.Has("result") {
			return nil
		}
		s := oneState{fun: p[0] + "." + p[3], id: p[1], name: p[2], sls: res.Text("__sls__")}
		s.result, _ = res.Get("result")
		s.changes, _ = res.Get("changes")
		comment, _ := res.Get("comment")
		s.comment = pytext.Str(comment)
		if l, ok := comment.([]any); ok {
			s.comment = ""
			for _, e := range l {
				s.comment += pytext.Str(e) + "\n"
			}
		}
		d, _ := res.Get("duration")
		s.seconds = pytext.Number(d) / 1000
		out = append(out, s)
	}
	return out
}

// The elements of a JUnit report, as Jenkins, GitLab and GitHub's actions read them.
type (
	junitSuites struct {
		XMLName xml.Name `xml:"testsuites"`
		Name    string   `xml:"name,attr"`
		junitSums
		Suites []junitSuite `xml:"testsuite"`
	}
	junitSums struct {
		Tests    int    `xml:"tests,attr"`
		Failures int    `xml:"failures,attr"`
		Errors   int    `xml:"errors,attr"`
		Skipped  int    `xml:"skipped,attr"`
		Time     string `xml:"time,attr"`
		seconds  float64
	}
	junitSuite struct {
		Name string `xml:"name,attr"`
		junitSums
		Timestamp string      `xml:"timestamp,attr"`
		Hostname  string      `xml:"hostname,attr"`
		Cases     []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		Time    string        `xml:"time,attr"`
		Failure *junitProblem `xml:"failure"`
		Error   *junitProblem `xml:"error"`
		Skipped *junitProblem `xml:"skipped"`
		Out     string        `xml:"system-out,omitempty"`
	}
	junitProblem struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr,omitempty"`
		Text    string `xml:",chardata"`
	}
)

func (s *junitSums) add(c junitCase, seconds float64) {
	s.Tests++
	s.seconds += seconds
	s.Time = fmt.Sprintf("%.3f", s.seconds)
	switch {
	case c.Error != nil:
		s.Errors++
	case c.Failure != nil:
		s.Failures++
	case c.Skipped != nil:
		s.Skipped++
	}
}

// junit is the report of all minions.
func (r *statesReport) junit() ([]byte, error) {
	all := junitSuites{Name: "gosalt " + r.fun, junitSums: junitSums{Time: "0.000"}}
	for _, m := range r.minions {
		suite := junitSuite{Name: m.id, Hostname: m.id, Timestamp: r.began.UTC().Format("2006-01-02T15:04:05"), junitSums: junitSums{Time: "0.000"}}
		add := func(c junitCase, seconds float64) {
			c.Time = fmt.Sprintf("%.3f", seconds)
			suite.Cases = append(suite.Cases, c)
			suite.add(c, seconds)
			all.add(c, seconds)
		}
		states := statesOf(m.value)
		if states == nil {
			add(r.whole(m), 0)
		}
		for _, s := range states {
			add(stateCase(s), s.seconds)
		}
		all.Suites = append(all.Suites, suite)
	}
	b, err := xml.MarshalIndent(all, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("--junit: %w", err)
	}
	return append([]byte(xml.Header), append(b, '\n')...), nil
}

// whole is the one test of a minion that has no results of states.
func (r *statesReport) whole(m minionStates) junitCase {
	c := junitCase{Name: r.fun, Class: r.fun}
	switch v := m.value.(type) {
	case []any:
		var lines []string
		for _, e := range v {
			lines = append(lines, pytext.Str(e))
		}
		c.Error = &junitProblem{Message: "the states do not compile: " + firstOf(strings.Join(lines, "\n")), Type: "compile", Text: strings.Join(lines, "\n")}
	default:
		text := m.absent
		if text == "" {
			text = pytext.Str(v)
		}
		switch {
		case m.absent != "":
			c.Error = &junitProblem{Message: "the minion did not return: " + firstOf(text), Type: "no return", Text: text}
		case m.code != 0:
			c.Error = &junitProblem{Message: firstOf(text), Type: "error", Text: text}
		default:
			c.Out = text
		}
	}
	return c
}

// stateCase is the test of one state.
func stateCase(s oneState) junitCase {
	c := junitCase{Name: s.fun + " " + s.id, Class: s.sls}
	if s.name != s.id {
		c.Name += " (" + firstOf(s.name) + ")"
	}
	if c.Class == "" {
		c.Class = s.fun
	}
	text := strings.TrimRight(s.comment, "\n")
	if m, ok := s.changes.(*wire.Map); ok && m.Len() > 0 {
		text += "\n" + output.Format(m, "nested", output.Defaults())
	}
	switch s.result {
	case false:
		c.Failure = &junitProblem{Message: firstOf(strings.TrimSpace(s.comment)), Type: s.fun, Text: text}
	case nil:
		c.Skipped = &junitProblem{Message: "would change", Text: text}
	default:
		c.Out = text
	}
	return c
}

// checkFiles refuses files that cannot be written before anything is run.
func (s *StatesOptions) checkFiles(o *CommonOptions) error {
	for _, f := range []struct{ option, name string }{{"--plan", s.Plan}, {"--junit", s.JUnit}, {"--sarif", s.SARIF}} {
		if f.name == "" {
			continue
		}
		dir := filepath.Dir(f.name)
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return o.Errorf("%s %s: there is no directory %s", f.option, f.name, dir)
		}
	}
	return nil
}
