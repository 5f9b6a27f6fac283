// Package output turns what a command returned into the text people and scripts
// read, with Salt's outputters by Salt's names.
//
// Start with Display. The data is mostly {minion id: value}; runners and key lists
// hand in what they have. Values are those of protocol/wire.
package output

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// Func writes data as text. It fails when the data has not the shape the outputter
// is for; the caller then shows it as nested.
type Func func(data any, o Options) (string, error)

// outputters is every outputter by its name in --out.
var outputters map[string]Func

func init() { // highstate shows orchestrations by calling back into Format
	outputters = map[string]Func{
		"columns":             columns,
		"highstate":           highstate,
		"json":                jsonOut,
		"key":                 keyOut,
		"nested":              nested,
		"newline_values_only": newlineValuesOnly,
		"no_return":           noReturn,
		"overstatestage":      overstateStage,
		"pprint":              pprintOut,
		"profile":             profile,
		"progress":            progressOut,
		"quiet":               quiet,
		"raw":                 raw,
		"table":               table,
		"txt":                 txt,
		"virt_query":          virtQuery,
		"yaml":                yamlOut,
	}
}

// Names lists the outputters that --out takes, sorted. "text" is another name of txt.
func Names() []string { return slices.Sorted(maps.Keys(outputters)) }

// Options say how to write. Start from Defaults: Salt's defaults are not zero.
type Options struct {
	Out          string            // --out; wins over the outputter a function asks for
	Indent       *int              // --out-indent; nil keeps the outputter's own, negative is one line
	SortKeys     bool              // json with its keys sorted (output_indent: pretty)
	File         string            // --out-file; "" is the writer
	Color        bool              // escape sequences of colour
	Theme        map[string]string // other escape sequences by colour name, as GREEN
	KeepEscapes  bool              // strip_colors: False; leaves ESC in values
	Static       bool              // --static: a state function's results are shown as highstate
	Progress     bool              // --progress: only the counter is shown
	Fun          string            // the function that was run
	Args         []any             // its arguments; highstate's filter form reads exclude= and terse=
	Retcode      int               // not 0 shows the structure in red
	NestedIndent int               // columns before nested's first level

	StateOutput        string   // full, terse, mixed, changes or filter, also with _id
	StateVerbose       bool     // false hides states that were right already
	StateOutputDiff    bool     // only states that changed or failed
	StateOutputProfile bool     // show start and duration of each state
	StateOutputPct     bool     // add success and failure in percent
	StateCompressIDs   bool     // fold the states of one id with many names
	StateTabular       bool     // terse lines in columns
	StateTabularFormat string   // terse lines in this Python format; wins over StateTabular
	StateOutputExclude []string // results the filter form leaves out: True, False, None
	StateOutputTerse   []string // results the filter form shows in one line

	Err io.Writer // where a wrong outputter is told; nil tells nobody
}

// Defaults are Salt's settings where no configuration says otherwise.
func Defaults() Options {
	return Options{StateOutput: "full", StateVerbose: true, StateOutputProfile: true}
}

// Display writes data with the outputter that a function asked for (name, "" for
// none) or the options demand, followed by a newline, to o.File or w. Nothing is
// written when the text is empty, as by the outputter quiet.
func Display(w io.Writer, data any, name string, o Options) error {
	text := Format(data, name, o)
	if text == "" {
		return nil
	}
	if o.File == "" {
		_, err := io.WriteString(w, text+"\n")
		return err
	}
	f, err := os.OpenFile(o.File, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o666)
	if err != nil {
		return fmt.Errorf("write the output file: %w", err)
	}
	if _, err := io.WriteString(f, text+"\n"); err != nil {
		f.Close()
		return fmt.Errorf("write the output file: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("write the output file: %w", err)
	}
	return nil
}

// Format is the text that Display writes, without white space at its end.
func Format(data any, name string, o Options) string {
	name = Choose(name, o)
	f, ok := outputters[name]
	if !ok {
		if name != "grains" { // old minions ask for it still
			o.tell("Invalid outputter %s specified, fall back to nested", name)
		}
		name, f = "nested", nested
	}
	text, err := f(data, o)
	if err != nil {
		o.tell("Outputter %s cannot show this result (%v), fall back to nested", name, err)
		text, _ = nested(data, o)
	}
	return strings.TrimRightFunc(text, pySpace)
}

// Choose is the outputter used when a function asks for name: --out wins (but for
// highstate, which is only shown where a function returned one), --static makes
// state functions highstate, and "" is nested.
func Choose(name string, o Options) string {
	if o.Progress {
		return "progress"
	}
	if o.Out != "" && o.Out != "highstate" {
		name = o.Out
	}
	module, _, _ := strings.Cut(o.Fun, ".")
	if name == "" && o.Static {
		if o.Out != "" {
			name = o.Out
		} else if module == "state" {
			name = "highstate"
		}
	}
	switch name {
	case "text":
		return "txt"
	case "":
		return "nested"
	}
	return name
}

func (o Options) tell(format string, args ...any) {
	if o.Err != nil {
		fmt.Fprintf(o.Err, "[ERROR   ] "+format+"\n", args...)
	}
}

// safe replaces ESC, so that a result cannot drive the terminal it is shown on.
func (o Options) safe(s string) string {
	if o.KeepEscapes {
		return s
	}
	return strings.ReplaceAll(s, "\x1b", "?")
}

func pySpace(r rune) bool {
	return r == ' ' || r >= '\t' && r <= '\r' || r >= 0x1c && r <= 0x1f || r == 0x85 || r == 0xa0 ||
		r == 0x1680 || r >= 0x2000 && r <= 0x200a || r == 0x2028 || r == 0x2029 || r == 0x202f ||
		r == 0x205f || r == 0x3000
}
