package cli

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/gosalt/gosalt/cli/output"
	"github.com/gosalt/gosalt/cli/term"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/optparse"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/version"
	"github.com/gosalt/gosalt/internal/yamlarg"
	"github.com/gosalt/gosalt/protocol/wire"
)

const optparseUsage = optparse.ExitUsage

// DefaultConfigDir is where configuration is looked for: Salt's own place.
const DefaultConfigDir = "/etc/salt"

// The titles of the groups in the help.
const (
	groupTarget     = "Target Options"
	groupMoreTarget = "Additional Target Options"
	groupAuth       = "External Authentication"
	groupOutput     = "Output Options"
	groupLogging    = "Logging Options"
	groupProfiling  = "Profiling support"
)

// LogLevels are the levels of --log-level, in the order of Salt's messages.
var LogLevels = []string{"all", "debug", "error", "critical", "garbage", "info", "profile", "quiet", "trace", "warning"}

// fileLogLevels are the same, in the order of the messages about --log-file-level.
var fileLogLevels = []string{"all", "garbage", "trace", "debug", "profile", "info", "warning", "error", "critical", "quiet"}

// CommonOptions are the options of every command.
type CommonOptions struct {
	ConfigDir    string // -c, absolute
	Saltfile     string // the file that was read; "" for none
	HardCrash    bool   // --hard-crash: show errors with their whole cause
	Strict       bool   // --strict or GOSALT_STRICT=1: failures that Salt hides get exit codes
	LogLevel     string // -l; "" is the configuration's
	LogFile      string // --log-file; "" is the configuration's
	LogFileLevel string // --log-file-level; "" is the configuration's

	versions   bool
	completion string
	parser     *optparse.Parser
}

// Explicit tells whether the option for a setting, by Salt's name of it, was given
// on the command line or in the Saltfile; then it wins over the configuration.
func (c *CommonOptions) Explicit(setting string) bool { return c.parser.Explicit(setting) }

// Errorf is a mistake in the command line: usage, message, exit code 64.
func (c *CommonOptions) Errorf(format string, args ...any) error {
	return c.parser.Errorf(format, args...)
}

// Help is the command's help text.
func (c *CommonOptions) Help() string { return c.parser.Help() }

func (c *CommonOptions) declare(io IO, usage, description string) {
	c.ConfigDir = DefaultConfigDir
	if dir := io.env("SALT_CONFIG_DIR"); dir != "" {
		c.ConfigDir = dir
	}
	c.HardCrash = io.env("SALT_HARD_CRASH") != ""
	c.Strict = isOn(io.env("GOSALT_STRICT"))
	c.parser = &optparse.Parser{Prog: io.Prog, Usage: usage, Description: description,
		Epilog: `More is in "man %prog" and the reference, which "%prog --help" is a part of.`}
	c.parser.Add("",
		optparse.Action(func(*optparse.Parser) *optparse.Exit {
			return &optparse.Exit{Out: io.Prog + " " + version.Text() + "\n"}
		}, "--version").Help("show program's version number and exit"),
		optparse.Flag(&c.versions, "versions_report", "-V", "--versions-report").
			Help("Show the versions of the program and of what it is built from, and exit."),
		optparse.Choice(&c.completion, Shells, "completion", "--completion").Metavar("SHELL").
			Help("Print a script by which bash, zsh or fish complete the command lines of gosalt, and exit."),
		optparse.Action(func(p *optparse.Parser) *optparse.Exit { return &optparse.Exit{Out: p.Help()} }, "-h", "--help").
			Help("show this help message and exit"),
		optparse.Text(&c.Saltfile, "saltfile", "--saltfile").
			Help("File with options for this program. Without it $SALT_SALTFILE, ./Saltfile and ~/.salt/Saltfile are tried."),
		optparse.Text(&c.ConfigDir, "config_dir", "-c", "--config-dir").
			Help("Directory of the configuration. Default: '%default'."),
		optparse.Flag(&c.Strict, "strict", "--strict").
			Help("Exit with a code of its own for each failure that Salt's commands hide behind 0: minions that silently did not return, a master that is down, refused access. Also by GOSALT_STRICT=1."),
	)
}

func isOn(s string) bool {
	switch strings.ToLower(s) {
	case "", "0", "false", "no", "off":
		return false
	}
	return true
}

func (c *CommonOptions) declareHardCrash() *optparse.Option {
	return optparse.Flag(&c.HardCrash, "hard_crash", "--hard-crash").
		Help("Show where an unexpected error came from, and exit with a code for it. Default: %default.")
}

// declareLogging adds the logging group. The setting of the log file's path differs
// by command, and so does whether -l is free.
func (c *CommonOptions) declareLogging(short bool, fileSetting, fileDefault string) {
	names := []string{"--log-level"}
	if short {
		names = []string{"-l", "--log-level"}
	}
	var quoted []string
	for _, l := range LogLevels {
		quoted = append(quoted, "'"+l+"'")
	}
	levels := strings.Join(quoted, ", ")
	const insecure = " The levels all, debug, garbage, profile and trace may put secrets in the log."
	g := c.parser.Add(groupLogging,
		optparse.Choice(&c.LogLevel, LogLevels, "log_level", names...).
			Help("Least level of messages shown on the terminal: one of "+levels+". Default: 'warning'."+insecure),
		optparse.Text(&c.LogFile, fileSetting, "--log-file").
			Help("File of the log. Default: '"+fileDefault+"'."),
		optparse.Choice(&c.LogFileLevel, fileLogLevels, "log_level_logfile", "--log-file-level").
			Help("Least level of messages in the log file: one of "+levels+". Default: 'warning'."+insecure),
	)
	g.Description = "These win over the configuration."
}

// parse reads argv, the lines of --args-stdin, the Saltfile and the place of the
// configuration, in Salt's order.
func (c *CommonOptions) parse(io IO, args []string, stdin *bool) ([]string, error) {
	rest, err := c.parser.Parse(args)
	if err != nil {
		return nil, err
	}
	if stdin != nil && *stdin {
		more, err := readLines(io)
		if err != nil {
			return nil, err
		}
		if more, err = c.parser.Parse(more); err != nil {
			return nil, err
		}
		rest = append(rest, more...)
	}
	if c.completion != "" {
		script, err := CompletionScript(c.completion)
		if err != nil {
			return nil, err
		}
		return nil, &optparse.Exit{Out: script}
	}
	if c.versions {
		return nil, &optparse.Exit{Out: VersionsReport()}
	}
	if err := c.readSaltfile(io); err != nil {
		return nil, err
	}
	c.ConfigDir = io.expandUser(c.ConfigDir)
	if info, err := os.Stat(c.ConfigDir); err != nil || !info.IsDir() {
		fmt.Fprintf(io.Err, "WARNING: CONFIG '%s' directory does not exist.\n", c.ConfigDir)
	}
	if c.ConfigDir, err = filepath.Abs(c.ConfigDir); err != nil {
		return nil, fmt.Errorf("make the configuration directory absolute: %w", err)
	}
	if c.LogFile != "" && !strings.Contains(c.LogFile, "/") {
		c.LogFile = "./" + c.LogFile // a bare name is one in the current directory
	}
	return rest, nil
}

func readLines(io IO) ([]string, error) {
	var lines []string
	s := bufio.NewScanner(io.In)
	s.Buffer(nil, 16<<20)
	for s.Scan() {
		lines = append(lines, strings.TrimRight(s.Text(), "\r\n"))
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("read arguments from standard input: %w", err)
	}
	return lines, nil
}

// readSaltfile takes the options under the program's name in the Saltfile; a file
// written for Salt's program of the same job is taken, too.
func (c *CommonOptions) readSaltfile(io IO) error {
	if c.Saltfile == "" {
		c.Saltfile = io.env("SALT_SALTFILE")
	}
	if c.Saltfile == "" {
		for _, f := range []string{"Saltfile", io.expandUser("~/.salt/Saltfile")} {
			if info, err := os.Stat(f); err == nil && info.Mode().IsRegular() {
				c.Saltfile = f
				break
			}
		}
	}
	if c.Saltfile == "" {
		return nil
	}
	if info, err := os.Stat(c.Saltfile); err != nil || !info.Mode().IsRegular() {
		return c.parser.Errorf("'%s' file does not exist.\n", c.Saltfile)
	}
	path, err := filepath.Abs(c.Saltfile)
	if err != nil {
		return fmt.Errorf("make the Saltfile's path absolute: %w", err)
	}
	c.Saltfile = path
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the Saltfile: %w", err)
	}
	v, err := yamlarg.Load(string(text))
	if err != nil {
		return c.parser.Errorf("%s is no YAML: %v", path, err)
	}
	all, ok := v.(*wire.Map)
	if !ok && v != nil {
		return c.parser.Errorf("%s: a map from program to options expected, not %s", path, pytext.TypeName(v))
	}
	own := all.Map(io.Prog)
	if own == nil {
		own = all.Map(strings.TrimPrefix(io.Prog, "go"))
	}
	for setting, v := range own.Strings() {
		if _, err := c.parser.Assign(setting, v); err != nil {
			return c.parser.Errorf("%s: %v", path, err)
		}
	}
	return nil
}

// RunOptions are the options of commands that run functions.
type RunOptions struct {
	ArgsStdin bool     // --args-stdin, already done
	NoParse   []string // --no-parse: names of keyword arguments that stay text

	noParse string
}

func (r *RunOptions) declareStdin() *optparse.Option {
	return optparse.Flag(&r.ArgsStdin, "args_stdin", "--args-stdin").
		Help("Read more options and arguments from standard input, one to a line.")
}

func (r *RunOptions) declareNoParse(io IO) *optparse.Option {
	r.noParse = io.env("SALT_NO_PARSE")
	return optparse.Text(&r.noParse, "no_parse", "--no-parse").Metavar("argname1,argname2,...").
		Help("Keyword arguments whose values stay text as they are, by name and with commas.")
}

func (r *RunOptions) finish() {
	for name := range strings.SplitSeq(r.noParse, ",") {
		if name = strings.TrimSpace(name); name != "" {
			r.NoParse = append(r.NoParse, name)
		}
	}
}

// ExecutorOptions choose how functions are run on the minion.
type ExecutorOptions struct {
	ModuleExecutors any // --module-executors as YAML; nil is the minion's own
	ExecutorOpts    any // --executor-opts as YAML

	executors, opts string
}

func (e *ExecutorOptions) declare() []*optparse.Option {
	return []*optparse.Option{
		optparse.Text(&e.executors, "module_executors", "--module-executors").Metavar("EXECUTOR_LIST").
			Help("Executors that run the function, in place of those in the minion's configuration."),
		optparse.Text(&e.opts, "executor_opts", "--executor-opts").Metavar("EXECUTOR_OPTS").
			Help("Options for the executors, in place of those in the minion's configuration."),
	}
}

func (e *ExecutorOptions) finish() {
	e.ModuleExecutors, e.ExecutorOpts = yamlOption(e.executors), yamlOption(e.opts)
}

// ExecutorOptsMap is --executor-opts as the map that it has to be; nil without.
func (e *ExecutorOptions) ExecutorOptsMap() (*wire.Map, error) {
	m, ok := e.ExecutorOpts.(*wire.Map)
	if !ok && module.Truth(e.ExecutorOpts) {
		return nil, fmt.Errorf("--executor-opts: a map as {splaytime: 30} expected, not %s", pytext.Repr(e.ExecutorOpts))
	}
	return m, nil
}

// yamlOption types the value of an option that takes YAML; "" is nil.
func yamlOption(s string) any {
	if s == "" {
		return nil
	}
	return ParseArg(s)
}

// AuthOptions say who is calling where it is not the user of this machine.
type AuthOptions struct {
	EAuth     string // -a: an authentication system of the master
	MakeToken bool   // -T
	Username  string
	Password  Secret // --password; asked for when the system needs it
}

// Secret is a text that never prints.
type Secret string

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "(hidden)"
}

// GoString hides the secret.
func (s Secret) GoString() string { return s.String() }

func (a *AuthOptions) declare(p *optparse.Parser, short bool) {
	names := []string{"--auth", "--eauth", "--external-auth"}
	if short {
		names = append([]string{"-a"}, names...)
	}
	p.Add(groupAuth,
		optparse.Text(&a.EAuth, "eauth", names...).
			Help("Authentication system of the master to log in with."),
		optparse.Flag(&a.MakeToken, "mktoken", "-T", "--make-token").
			Help("Log in and keep a token, which serves in place of the password until the master lets it expire."),
		optparse.Text(&a.Username, "username", "--username").Help("Name to log in with."),
		optparse.Text((*string)(&a.Password), "password", "--password").Help("Password to log in with. Others can see it in the list of processes: leave it out to be asked for it."),
	)
}

// OutputOptions are the options of how results are shown.
type OutputOptions struct {
	Output           string // --out; "" is the function's own, or nested
	OutputIndent     *int   // --out-indent
	OutputFile       string // --out-file; emptied already unless OutputFileAppend
	OutputFileAppend bool
	NoColor          bool
	ForceColor       bool
	StateOutput      string // --state-output; "" is the configuration's
	StateVerbose     string // --state-verbose; "" is the configuration's
	StateOutputDiff  bool   // --output-diff
}

func (o *OutputOptions) declare(p *optparse.Parser) {
	g := p.Add(groupOutput,
		optparse.Text(&o.Output, "output", "--out", "--output").
			Help("Outputter that shows the results: "+strings.Join(output.Names(), ", ")+"."),
		optparse.OptionalInt(&o.OutputIndent, "output_indent", "--out-indent", "--output-indent").
			Help("Columns of indentation, for outputters that have some. A negative number puts everything on one line."),
		optparse.Text(&o.OutputFile, "output_file", "--out-file", "--output-file").
			Help("File to write the results to."),
		optparse.Flag(&o.OutputFileAppend, "output_file_append", "--out-file-append", "--output-file-append").
			Help("Keep what is in that file, and write after it."),
		optparse.Flag(&o.NoColor, "no_color", "--no-color", "--no-colour").Help("No colours."),
		optparse.Flag(&o.ForceColor, "force_color", "--force-color", "--force-colour").
			Help("Colours, even where the output is no terminal."),
		optparse.Text(&o.StateOutput, "state_output", "--state-output", "--state_output").
			Help("How the results of states are shown: 'full', 'terse', 'mixed', 'changes' or 'filter', each also with _id. Default: the configuration's."),
		optparse.Text(&o.StateVerbose, "state_verbose", "--state-verbose", "--state_verbose").
			Help("False hides states that were right already. Default: the configuration's."),
	)
	g.Description = "How results are shown."
}

// finish empties the output file, so that even a command without results leaves an
// empty one, as Salt's do.
func (o *OutputOptions) finish(p *optparse.Parser) error {
	if o.OutputFile == "" {
		return nil
	}
	if dir := filepath.Dir(o.OutputFile); !isDir(dir) { // before anything is done whose result would be lost
		return p.Errorf("%s: there is no directory %s to write the results to", o.OutputFile, dir)
	}
	if o.OutputFileAppend {
		return nil
	}
	info, err := os.Stat(o.OutputFile)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	if err := os.Truncate(o.OutputFile, 0); err != nil {
		return p.Errorf("%s: Access denied: %v", o.OutputFile, err)
	}
	return nil
}

func isDir(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// Settings make the options of package output: the command line's, else those in
// the configuration (a map of Salt's option names, or nil), else Salt's defaults.
func (o *OutputOptions) Settings(io IO, conf *wire.Map) output.Options {
	s := output.FromConfig(conf)
	s.Err = io.Err
	s.Out = first(o.Output, s.Out)
	if o.OutputIndent != nil {
		s.Indent, s.SortKeys = o.OutputIndent, false
	}
	s.File = first(o.OutputFile, s.File)
	s.Color = term.Color(io.Out, o.ForceColor, o.NoColor || s.File != "" || io.env("NO_COLOR") != "")
	switch v, _ := conf.Get("color"); { // decides for pipes, too, as with Salt
	case v == false && !o.ForceColor:
		s.Color = false
	case v == true && !o.NoColor && s.File == "" && io.env("NO_COLOR") == "" && runtime.GOOS != "windows":
		s.Color = true
	}
	if file := conf.Text("color_theme"); file != "" && s.Color {
		s.Theme = readTheme(io, file)
	}
	s.StateOutput = first(o.StateOutput, s.StateOutput)
	switch o.StateVerbose {
	case "":
	case "False", "false":
		s.StateVerbose = false
	default:
		s.StateVerbose = true
	}
	s.StateOutputDiff = s.StateOutputDiff || o.StateOutputDiff
	return s
}

// readTheme reads a file of colours: names as GREEN with the numbers of their escape
// sequence, as "0;32". A theme that cannot be read is told, and the usual colours stay.
func readTheme(io IO, file string) map[string]string {
	text, err := os.ReadFile(file)
	if err == nil {
		var v any
		if v, err = yamlarg.Load(string(text)); err == nil {
			m, ok := v.(*wire.Map)
			if ok {
				theme := map[string]string{}
				for name, code := range m.Strings() {
					theme[name] = "\x1b[" + pytext.Str(code) + "m"
				}
				return theme
			}
			err = fmt.Errorf("a map from colour to numbers expected, not %s", pytext.TypeName(v))
		}
	}
	fmt.Fprintf(io.Err, "%s: warning: color_theme %s: %v\n", io.Prog, file, err)
	return nil
}

func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

func confBool(conf *wire.Map, key string, b *bool) {
	if v, ok := conf.Get(key); ok {
		if x, ok := v.(bool); ok {
			*b = x
		}
	}
}
