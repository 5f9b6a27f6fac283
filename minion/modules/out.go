package modules

import (
	"context"
	"strings"

	"github.com/gosalt/gosalt/cli/output"
	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("out.out_format", outFormat)
	register("out.string_format", outStringFormat)
	register("out.html_format", outHTMLFormat)
}

type outFormatArgs struct {
	Data   any       // What is to be shown.
	Out    string    `default:"nested"` // The outputter, as in --out: nested, json, yaml, table, highstate and so on.
	Opts   *wire.Map `default:"None"`   // Options as of a minion's configuration, over its own: color, output_indent, state_output and so on.
	Kwargs *wire.Map `arg:"**"`         // Of no effect, or the title of a table: Salt hands them to the outputter.
}

// format shows data as the command line would.
func (a outFormatArgs) format(c *module.Call) string {
	conf := c.Opts
	if a.Opts.Len() > 0 {
		conf = wire.NewMap()
		for k, v := range c.Opts.Strings() {
			conf.Set(k, v)
		}
		for k, v := range a.Opts.Strings() {
			conf.Set(k, v)
		}
	}
	o := output.FromConfig(conf)
	o.Color = a.Opts.Bool("color")
	o.Err = warner{c}
	return output.Format(a.Data, a.Out, o)
}

// warner hands to the log what an outputter has to say.
type warner struct{ c *module.Call }

func (w warner) Write(b []byte) (int, error) {
	w.c.Log.Warn(strings.TrimSpace(strings.TrimPrefix(string(b), "[ERROR   ] ")))
	return len(b), nil
}

// outFormat returns data as the text that an outputter makes of it. With
// opts='{color: True}' it has the escape sequences of colours.
//
//	gosalt '*' out.out_format "{'key': 'value'}"
//	gosalt '*' out.out_format "{'key': 'value'}" out=json
func outFormat(_ context.Context, c *module.Call, a outFormatArgs) (string, error) {
	return a.format(c), nil
}

// escapes are the escape sequences of colours.
var escapes = lazyre.New(`\x1b[^m]*m`)

// outStringFormat returns data as the text that an outputter makes of it, without
// escape sequences.
//
//	gosalt '*' out.string_format "{'key': 'value'}" out=yaml
func outStringFormat(_ context.Context, c *module.Call, a outFormatArgs) (string, error) {
	return escapes.ReplaceAllString(a.format(c), ""), nil
}

// outHTMLFormat returns data as the text that an outputter makes of it, with entities
// for spaces and tags for the ends of lines. Other characters stay as they are, as in
// Salt: what is not trusted has to be escaped before.
//
//	gosalt '*' out.html_format "{'key': 'value'}" out=yaml
func outHTMLFormat(ctx context.Context, c *module.Call, a outFormatArgs) (string, error) {
	text, err := outStringFormat(ctx, c, a)
	return strings.NewReplacer(" ", "&nbsp;", "\n", "<br />").Replace(text), err
}

// jsonLine is data as JSON in one line, or indented and sorted.
func jsonLine(data any, pretty bool) (string, error) {
	indent := -1
	if pretty {
		indent = 4
	}
	return pytext.JSON(data, indent, pretty)
}
