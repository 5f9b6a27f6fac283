package cli

import (
	"io"

	"github.com/gosalt/gosalt/cli/output"
	"github.com/gosalt/gosalt/protocol/wire"
)

// jsonDocument shows a whole job as one JSON value.
type jsonDocument struct {
	g       *gosaltRun
	jid     any
	minions []any
	returns *wire.Map
	codes   *wire.Map
	missing *wire.Map
}

func (d *jsonDocument) job(jid string, minions []string) error {
	if jid != "" {
		d.jid = jid
	}
	for _, id := range minions {
		d.minions = append(d.minions, id)
	}
	return nil
}

func (d *jsonDocument) progress(string, *wire.Progress) error { return nil }

func (d *jsonDocument) result(r result) error {
	if d.returns == nil {
		d.returns, d.codes = wire.NewMap(), wire.NewMap()
	}
	d.returns.Set(r.id, r.value)
	d.codes.Set(r.id, int64(r.code))
	return nil
}

func (d *jsonDocument) absence(a absence) error {
	if d.missing == nil {
		d.missing = wire.NewMap()
	}
	d.missing.Set(a.id, wire.NewMap("why", a.why, "reason", a.text))
	return nil
}

func (d *jsonDocument) end(outcome Outcome) error {
	doc := wire.NewMap("jid", d.jid, "fun", d.g.o.Job.Fun(), "outcome", outcome.String(), "minions", list(d.minions),
		"returns", orEmpty(d.returns), "retcodes", orEmpty(d.codes), "missing", orEmpty(d.missing))
	if d.g.problem != "" {
		doc.Set("error", d.g.problem)
	}
	o := output.Options{Indent: d.g.out.Indent, SortKeys: d.g.out.SortKeys, File: d.g.out.File}
	return output.Display(d.g.io.Out, doc, "json", o)
}

func list(l []any) []any {
	if l == nil {
		return []any{}
	}
	return l
}

func orEmpty(m *wire.Map) *wire.Map {
	if m == nil {
		return wire.NewMap()
	}
	return m
}

// jsonLines shows what happens as JSON, one value to a line.
type jsonLines struct {
	g                         *gosaltRun
	returned, failed, missing int64
}

var oneLine = -1

func (l *jsonLines) write(kv ...any) error {
	text := output.Format(wire.NewMap(kv...), "json", output.Options{Indent: &oneLine})
	w, done, err := l.g.writer()
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, text+"\n"); err != nil {
		return err
	}
	return done()
}

func (l *jsonLines) job(jid string, minions []string) error {
	ids := make([]any, len(minions))
	for i, id := range minions {
		ids[i] = id
	}
	if jid == "" {
		return nil
	}
	return l.write("event", "job", "jid", jid, "fun", l.g.o.Job.Fun(), "minions", ids)
}

func (l *jsonLines) progress(id string, p *wire.Progress) error {
	for _, line := range progressLines(p) {
		var err error
		switch {
		case line.state != nil:
			err = l.write("event", "state", "minion", id, "ret", line.state)
		case line.dropped > 0:
			err = l.write("event", "dropped", "minion", id, "lines", line.dropped)
		default:
			err = l.write("event", "line", "minion", id, "stream", line.stream, "line", line.text)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *jsonLines) result(r result) error {
	l.returned++
	if r.code != 0 {
		l.failed++
	}
	return l.write("event", "return", "minion", r.id, "retcode", int64(r.code), "return", r.value)
}

func (l *jsonLines) absence(a absence) error {
	l.missing++
	return l.write("event", "missing", "minion", a.id, "why", a.why, "reason", a.text)
}

func (l *jsonLines) end(outcome Outcome) error {
	kv := []any{"event", "end", "outcome", outcome.String(), "returned", l.returned, "failed", l.failed, "missing", l.missing}
	if l.g.problem != "" {
		kv = append(kv, "error", l.g.problem)
	}
	return l.write(kv...)
}
