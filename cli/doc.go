// Package cli is what people type and see: the commands gosalt, gosalt-call,
// gosalt-key and gosalt-run, their options, arguments, output and exit codes,
// with the names, defaults and texts of Salt's commands.
//
// # From argv to an exit code
//
// A command gets an IO (its standard streams, environment and program name) and
// returns its exit code:
//
//	io := cli.StdIO(os.Args[0])
//	opts, err := cli.ParseGosalt(io, os.Args[1:]) // options_gosalt.go
//	if err != nil {
//		return io.Fail(err) // help, usage errors: prints, gives the code
//	}
//	opts.Job.Target, opts.Job.TargetType   // "*", "glob"; with -L a []string, "list"
//	opts.Job.Fun(), opts.Job.Arg()         // as Salt's messages hold them
//	opts.Timeout, opts.Explicit("timeout") // set here or in the Saltfile: wins over the configuration
//
// ParseCall, ParseKey and ParseRun are the same for the other three. Each fills a
// struct of its own; the shared groups (CommonOptions, RunOptions, TargetOptions,
// AuthOptions, OutputOptions) are embedded. Every option is declared once, with its
// names, type, default, group and help; parsing, --help, the reference page, the man
// page and shell completion come from that one declaration (internal/optparse,
// reference.go).
//
// # Values in
//
// ParseInput types arguments as Salt does: ParseInput([]string{"1", "a=[x]"}, nil)
// is []any{int64(1), *wire.Map{__kwarg__: true, a: [x]}}. SplitCompound makes the
// functions and argument lists of "a.b,c.d x , y".
//
// # Values out
//
// Package output turns a value into text:
//
//	o := opts.Out.Settings(io, conf)           // colour decided; conf holds Salt's option names
//	output.Display(io.Out, data, outputter, o) // {minion id: value}; "" is nested
//
// Display honours --out, --out-indent and --out-file, falls back as Salt does and
// ends the text with one newline. Package term has the live counter of a terminal.
//
// # Keys
//
// RunKey is gosalt-key, on any KeyStore (keystore.go).
//
// # Exit codes
//
// exit.go is the one table. MasterDown.Code(opts.Strict) is Salt's code for an
// outcome, or, where Salt would hide a failure behind 0 and --strict
// (GOSALT_STRICT=1) is on, its own.
package cli
