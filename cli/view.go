package cli

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/cli/output"
	"github.com/gosalt/gosalt/internal/nodeset"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/rogpeppe/go-internal/diff"
)

// result is what one minion returned.
type result struct {
	id    string
	value any
	out   string // the outputter that the function asks for
	code  int
}

// absence is a minion that did not return.
type absence struct {
	id    string
	state string // Salt's words: "No response", "Not connected"
	why   string // for programs: "pending", "running", ...
	text  string // for people
}

// view shows the results of a job in another way than Salt's.
type view interface {
	job(jid string, minions []string) error
	progress(id string, p *wire.Progress) error
	result(r result) error
	absence(a absence) error
	end(outcome Outcome) error
}

// newView is the way of showing that the options ask for; nil is Salt's.
func (g *gosaltRun) newView() view {
	v := g.o.ViewOptions
	switch {
	case g.o.Progress && !g.isDoc():
		return progressView{}
	case g.isDoc() || g.o.Static && !v.JSONDocument && !v.Fold && !v.DiffHosts:
		return nil
	case v.Live && (v.JSONDocument || g.out.Out == "json"):
		return &jsonLines{g: g}
	case v.JSONDocument:
		return &jsonDocument{g: g}
	case v.DiffHosts:
		return &diffView{foldView{g: g}}
	case v.Fold:
		return &foldView{g: g}
	}
	return nil
}

// progressView shows no results: how many there are is in the status line.
type progressView struct{}

func (progressView) job(string, []string) error            { return nil }
func (progressView) progress(string, *wire.Progress) error { return nil }
func (progressView) result(result) error                   { return nil }
func (progressView) absence(absence) error                 { return nil }
func (progressView) end(Outcome) error                     { return nil }

// group is minions whose results are equal.
type group struct {
	ids  []string
	r    result
	text string // what they have in common
}

// foldView shows equal results once.
type foldView struct {
	g       *gosaltRun
	results []result
	missing []absence
}

func (v *foldView) job(string, []string) error { return nil }

func (v *foldView) progress(string, *wire.Progress) error { return nil }

func (v *foldView) result(r result) error { v.results = append(v.results, r); return nil }

func (v *foldView) absence(a absence) error { v.missing = append(v.missing, a); return nil }

// groups joins equal results: the most common first, those of one size by name.
func (v *foldView) groups(failed bool) []group {
	at := map[string]int{}
	var out []group
	for _, r := range v.results {
		if (r.code != 0) != failed {
			continue
		}
		o := v.g.out
		o.Color, o.File, o.Out = false, "", ""
		text := output.Format(r.value, "", o)
		key := fmt.Sprintf("%d %s %s", r.code, r.out, text)
		i, ok := at[key]
		if !ok {
			i = len(out)
			at[key] = i
			out = append(out, group{r: r, text: text})
		}
		out[i].ids = append(out[i].ids, r.id)
	}
	sortGroups(out)
	return out
}

func sortGroups(groups []group) {
	for i := range groups {
		slices.SortFunc(groups[i].ids, nodeset.Compare)
	}
	slices.SortStableFunc(groups, func(a, b group) int {
		if n := len(b.ids) - len(a.ids); n != 0 {
			return n
		}
		return nodeset.Compare(a.ids[0], b.ids[0])
	})
}

func (v *foldView) end(Outcome) error {
	for _, failed := range []bool{false, true} {
		for _, gr := range v.groups(failed) {
			if err := v.g.show(v.name(gr.ids), gr.r.value, gr.r.out, gr.r.code); err != nil {
				return err
			}
		}
	}
	return v.showMissing()
}

// name is a set of minions as results are headed: with how many there are, unless one.
func (v *foldView) name(ids []string) string {
	if len(ids) == 1 || v.g.out.Out != "" && v.g.out.Out != "nested" && v.g.out.Out != "highstate" {
		return nodeset.Fold(ids)
	}
	return fmt.Sprintf("%s (%d)", nodeset.Fold(ids), len(ids))
}

func (v *foldView) showMissing() error {
	at := map[string]int{}
	var groups []group
	for _, a := range v.missing {
		msg := absentText(a, v.g.jid)
		i, ok := at[msg]
		if !ok {
			i = len(groups)
			at[msg] = i
			groups = append(groups, group{text: msg})
		}
		groups[i].ids = append(groups[i].ids, a.id)
	}
	sortGroups(groups)
	for _, gr := range groups {
		if err := v.g.show(v.name(gr.ids), gr.text, "no_return", 1); err != nil {
			return err
		}
	}
	return nil
}

// diffView shows how results differ from the most common one.
type diffView struct{ foldView }

func (v *diffView) end(Outcome) error {
	groups := append(v.groups(false), v.groups(true)...)
	if len(groups) == 0 {
		return v.showMissing()
	}
	common := 0
	for i, gr := range groups {
		if len(gr.ids) > len(groups[common].ids) {
			common = i
		}
	}
	base := groups[common]
	if err := v.g.show(v.name(base.ids), base.r.value, base.r.out, base.r.code); err != nil {
		return err
	}
	w, done, err := v.g.writer()
	if err != nil {
		return err
	}
	for i, gr := range groups {
		if i == common {
			continue
		}
		text := "same output, but exit code " + fmt.Sprint(gr.r.code) + " rather than " + fmt.Sprint(base.r.code) + "\n"
		if d := diff.Diff(nodeset.Fold(base.ids), lines(base.text), nodeset.Fold(gr.ids), lines(gr.text)); d != nil {
			text = string(d)
			if i := strings.IndexByte(text, '\n'); strings.HasPrefix(text, "diff ") {
				text = text[i+1:]
			}
		}
		fmt.Fprintf(w, "%s:\n%s", v.name(gr.ids), v.g.colorDiff(text))
	}
	if err := done(); err != nil {
		return err
	}
	return v.showMissing()
}

// lines is a text that ends with a line break, as differences need it.
func lines(s string) []byte { return []byte(strings.TrimSuffix(s, "\n") + "\n") }

// colorDiff colours a unified diff, where colours are wanted.
func (g *gosaltRun) colorDiff(text string) string {
	if !g.out.Color {
		return text
	}
	all := strings.SplitAfter(text, "\n")
	for i, line := range all {
		code := ""
		switch {
		case strings.HasPrefix(line, "+"):
			code = "32"
		case strings.HasPrefix(line, "-"):
			code = "31"
		case strings.HasPrefix(line, "@@"):
			code = "36"
		default:
			continue
		}
		body, ended := strings.CutSuffix(line, "\n")
		all[i] = "\x1b[0;" + code + "m" + body + "\x1b[0m"
		if ended {
			all[i] += "\n"
		}
	}
	return strings.Join(all, "")
}

// writer is where results go: --out-file, or standard output.
func (g *gosaltRun) writer() (w io.Writer, done func() error, err error) {
	if g.out.File == "" {
		return g.status.Writer(g.io.Out), func() error { return nil }, nil
	}
	f, err := os.OpenFile(g.out.File, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o666)
	if err != nil {
		return nil, nil, fmt.Errorf("write the output file: %w", err)
	}
	return f, f.Close, nil
}
