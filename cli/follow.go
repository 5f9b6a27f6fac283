package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gosalt/gosalt/cli/output"
	"github.com/gosalt/gosalt/cli/term"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/protocol/control"
	"github.com/gosalt/gosalt/protocol/wire"
)

// follow shows the events of the master's bus until it is interrupted, which is its
// end and no failure: gosalt-run --follow [TAG...]. To a pipe or a file goes one line
// of JSON for each; on a terminal a line with time and tag, and the data below it.
func (s *masterSession) follow(ctx context.Context, tags []string, settings output.Options) int {
	var match []*target.Expr
	for _, tag := range tags {
		match = append(match, target.CompileExpr(tag))
	}
	show := s.eventLine
	if settings.Out != "" || term.Is(s.io.Out) || settings.Color {
		show = func(tag string, data *wire.Map) error { return s.eventBlock(tag, data, settings) }
	}
	err := s.ask(ctx, wire.NewMap("op", control.OpEvents, "tags", []any{}), func(f *wire.Map) error {
		if f.Text("kind") != control.KindEvent {
			return nil
		}
		if n := f.Int("lost"); n > 0 {
			fmt.Fprintf(s.io.Err, "%s: warning: %d events were lost: they are not read fast enough\n", s.io.Prog, n)
		}
		meant := len(match) == 0
		for _, m := range match {
			meant = meant || m.Match(f.Text("tag"))
		}
		if !meant {
			return nil
		}
		return show(f.Text("tag"), f.Map("data"))
	})
	switch {
	case errors.Is(err, context.Canceled):
		return OK.Code(s.strict)
	case err != nil:
		return s.explain(err)
	}
	return OK.Code(s.strict)
}

// eventLine is an event as one line of JSON.
func (s *masterSession) eventLine(tag string, data *wire.Map) error {
	text, err := pytext.JSON(wire.NewMap("tag", tag, "data", data), -1, false)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.io.Out, text)
	return err
}

// eventBlock is an event for people: when, which, and what it says, the time not again.
func (s *masterSession) eventBlock(tag string, data *wire.Map, settings output.Options) error {
	data = data.Clone()
	when := time.Now().UTC()
	if t, err := time.Parse("2006-01-02T15:04:05.999999", data.Text("_stamp")); err == nil {
		when = t
	}
	data.Delete("_stamp")
	on, off := "", ""
	if settings.Color {
		on, off = "\x1b[0;36m", "\x1b[0m"
	}
	if _, err := fmt.Fprintf(s.io.Out, "%s %s%s%s\n", when.Local().Format("15:04:05.000"), on, tag, off); err != nil {
		return err
	}
	settings.NestedIndent = 4
	return output.Display(s.io.Out, data, "", settings)
}
