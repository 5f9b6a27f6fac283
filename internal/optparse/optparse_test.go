package optparse

import (
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"testing"
)

type example struct {
	Static       bool     `json:"static"`
	Timeout      int      `json:"timeout"`
	ShowTimeout  bool     `json:"show_timeout"`
	Batch        string   `json:"batch"`
	BatchWait    float64  `json:"batch_wait"`
	ModuleDirs   []string `json:"module_dirs"`
	NoHelp       bool     `json:"nohelp"`
	Along        bool     `json:"along"`
	Output       string   `json:"output"`
	OutputIndent *int     `json:"output_indent"`
	Verbose      bool     `json:"verbose"`
	LogLevel     string   `json:"log_level"`
}

// exampleParser is the parser that testdata/optparse.json was recorded with.
func exampleParser(e *example) *Parser {
	e.Timeout, e.ShowTimeout, e.ModuleDirs = 5, true, []string{}
	p := &Parser{Prog: "tool", Usage: "%prog [options] <word> [more]",
		Description: "A tool made up for this test, with a description that is long enough\nto be wrapped by the formatter of the help.",
		Epilog:      `See more about %prog with "man %prog" or at https://tool.example/docs/index.html.`}
	p.Add("",
		Action(func(*Parser) *Exit { return &Exit{Out: "tool 1.2\n"} }, "--version").Help("show program's version number and exit"),
		Action(func(p *Parser) *Exit { return &Exit{Out: p.Help()} }, "-h", "--help").Help("show this help message and exit"),
		Flag(&e.Static, "static", "-s", "--static").Help("Wait for all."),
		Int(&e.Timeout, "timeout", "-t", "--timeout").Help("Seconds to wait. Default: %default."),
		Unflag(&e.ShowTimeout, "show_timeout", "--hide-timeout").Help("Hide what did not answer in time, which is a help text that goes over more than one line of the terminal."),
		Text(&e.Batch, "batch", "-b", "--batch", "--batch-size").Help("How many at a time: a number or a per-cent-age like 10%."),
		Float(&e.BatchWait, "batch_wait", "--batch-wait").Help("Pause between well-known-and-long-hyphenated-words-for-wrapping and a_word_that_is_so_long_that_it_does_not_fit_the_column_at_all, -- dashes--between."),
		List(&e.ModuleDirs, "module_dirs", "-m", "--module-dirs").Metavar("DIR").Help("May be given again."),
		Flag(&e.NoHelp, "nohelp", "--nohelp"),
		Flag(&e.Along, "along", "--a-very-long-option-name"),
	)
	g := p.Add("Output Options",
		Text(&e.Output, "output", "--out", "--output").Help("Outputter."),
		OptionalInt(&e.OutputIndent, "output_indent", "--out-indent", "--output-indent").Help("Indent. Default: '%default'."),
		Flag(&e.Verbose, "verbose", "-v").Help("Say more."))
	g.Description = "Choose how results look."
	p.Add("Logging", Choice(&e.LogLevel, []string{"all", "debug", "warning"}, "log_level", "-l", "--log-level").
		Help("One of 'all', 'debug', 'warning'. \n Careful: debug shows secrets."))
	return p
}

// TestRecorded compares values, messages, exit codes and help with Python's optparse.
func TestRecorded(t *testing.T) {
	var cases []struct {
		Args     []string
		Code     *int
		Out, Err string
		Values   *example
		Rest     []string
	}
	data, err := os.ReadFile("testdata/optparse.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		var e example
		rest, err := exampleParser(&e).Parse(c.Args)
		var exit *Exit
		switch {
		case errors.As(err, &exit):
			if c.Code == nil || exit.Code != *c.Code || exit.Out != c.Out || exit.Err != c.Err {
				t.Errorf("%q: %d\n%s%s\nPython:\n%s%s", c.Args, exit.Code, exit.Out, exit.Err, c.Out, c.Err)
			}
		case err != nil || c.Code != nil:
			t.Errorf("%q: %v, Python ends with %s", c.Args, err, c.Err)
		default:
			if len(rest)+len(c.Rest) > 0 && !reflect.DeepEqual(rest, c.Rest) || !reflect.DeepEqual(&e, c.Values) {
				t.Errorf("%q: %q %+v, Python %q %+v", c.Args, rest, e, c.Rest, *c.Values)
			}
		}
	}
}

func TestAssign(t *testing.T) {
	var e example
	p := exampleParser(&e)
	if _, err := p.Parse([]string{"-t", "7"}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		dest  string
		value any
		found bool
	}{{"timeout", 9, true}, {"static", true, true}, {"output", "json", true}, {"output_indent", int64(2), true}, {"nosuch", 1, false}} {
		if found, err := p.Assign(c.dest, c.value); found != c.found || err != nil {
			t.Errorf("Assign(%s) = %v, %v", c.dest, found, err)
		}
	}
	if e.Timeout != 7 || !e.Static || e.Output != "json" || *e.OutputIndent != 2 {
		t.Errorf("the command line wins, else the file: %+v", e)
	}
	if !p.Explicit("static") || !p.Explicit("timeout") || p.Explicit("batch") {
		t.Error("given options are explicit, others are not")
	}
	if _, err := p.Assign("along", "maybe"); err == nil {
		t.Error("a flag takes true or false")
	}
}
