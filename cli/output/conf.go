package output

import (
	"strings"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// FromConfig are the options that a configuration sets: Salt's option names, defaults
// for the rest. Colour is not among them: it depends on where the text goes, too.
func FromConfig(conf *wire.Map) Options {
	o := Defaults()
	o.Out = conf.Text("output")
	if v, ok := conf.Get("output_indent"); ok {
		o.Indent, o.SortKeys = confIndent(v)
	}
	o.File = conf.Text("output_file")
	if v, ok := conf.Get("strip_colors"); ok {
		o.KeepEscapes = v == false
	}
	if s := conf.Text("state_output"); s != "" {
		o.StateOutput = s
	}
	confBool(conf, "state_verbose", &o.StateVerbose)
	confBool(conf, "state_output_diff", &o.StateOutputDiff)
	confBool(conf, "state_output_profile", &o.StateOutputProfile)
	confBool(conf, "state_output_pct", &o.StateOutputPct)
	confBool(conf, "state_compress_ids", &o.StateCompressIDs)
	confBool(conf, "state_tabular", &o.StateTabular)
	o.StateTabularFormat = conf.Text("state_tabular")
	o.StateOutputExclude = confResults(conf, "state_output_exclude")
	o.StateOutputTerse = confResults(conf, "state_output_terse")
	return o
}

func confBool(conf *wire.Map, key string, b *bool) {
	if v, ok := conf.Get(key); ok {
		if x, ok := v.(bool); ok {
			*b = x
		}
	}
}

// confIndent reads output_indent of the configuration: a number, null for one line,
// "pretty" for four columns and sorted keys.
func confIndent(v any) (indent *int, sortKeys bool) {
	n := -1
	switch x := v.(type) {
	case nil:
	case int64:
		n = int(x)
	case string:
		if x != "pretty" {
			return nil, false
		}
		n, sortKeys = 4, true
	default:
		return nil, false
	}
	return &n, sortKeys
}

func confResults(conf *wire.Map, key string) []string {
	v, _ := conf.Get(key)
	switch x := v.(type) {
	case string:
		return strings.Split(x, ",")
	case []any:
		var list []string
		for _, e := range x {
			list = append(list, pytext.Str(e))
		}
		return list
	}
	return nil
}
