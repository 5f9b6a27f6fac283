package cli

import (
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/nodeset"
	"github.com/gosalt/gosalt/internal/optparse"
	"github.com/gosalt/gosalt/internal/yamlarg"
	"github.com/gosalt/gosalt/protocol/wire"
)

// TargetOptions say how the target is to be read.
type TargetOptions struct {
	Delimiter string // between the keys of nested grains and pillar, ":" by default

	kinds []*targetKind
}

// targetKind is one of the options that say what a target is.
type targetKind struct {
	name string // Salt's tgt_type
	long string
	set  bool
}

// GosaltOptions are the options and arguments of gosalt.
type GosaltOptions struct {
	CommonOptions
	RunOptions
	ExecutorOptions
	TargetOptions
	AuthOptions
	ViewOptions
	StatesOptions
	Out OutputOptions

	Timeout         int     // -t, seconds; 0 or less is the configuration's
	Static          bool    // -s
	Progress        bool    // -p
	FailHard        bool    // --failhard
	Async           bool    // --async
	Subset          int     // --subset
	Verbose         bool    // -v
	ShowTimeout     bool    // false by --hide-timeout
	ShowJID         bool    // --show-jid
	Batch           string  // -b, as given: "3", "10%", "%10"
	BatchWait       float64 // --batch-wait, seconds
	BatchSafeLimit  int     // --batch-safe-limit; 0 is off
	BatchSafeSize   string  // --batch-safe-size
	Transport       string  // --transport: auto, zmq, ssh
	QueueUntil      string  // --queue-until, as given: "2h", "18:00"
	Returner        string  // --return
	ReturnConfig    string  // --return_config
	ReturnKwargs    any     // --return_kwargs as YAML
	Doc             bool    // -d
	ArgsSeparator   string  // --args-separator
	Summary         bool    // --summary
	Metadata        any     // --metadata as YAML
	ConfigDump      bool    // --config-dump; then Job is empty
	PreviewTarget   bool    // --preview-target; then Job has only a target
	Job             Job
	metadata, kwarg string
}

// Job is what the arguments of gosalt ask for.
type Job struct {
	Target     any    // a string, or a []string for lists
	TargetType string // Salt's name of the kind: "glob", "list", "compound" …
	Compound          // functions and arguments
}

// ParseGosalt reads gosalt's command line. An error is for IO.Fail.
func ParseGosalt(io IO, args []string) (*GosaltOptions, error) {
	o := newGosalt(io)
	rest, err := o.parse(io, args, &o.ArgsStdin)
	if err != nil {
		return nil, err
	}
	o.RunOptions.finish()
	o.ExecutorOptions.finish()
	if err := o.Out.finish(o.parser); err != nil {
		return nil, err
	}
	o.Metadata, o.ReturnKwargs = yamlOption(o.metadata), yamlOption(o.kwarg)
	if o.Job.TargetType, err = o.targetType(); err != nil {
		return nil, err
	}
	if err := o.ViewOptions.check(o); err != nil {
		return nil, err
	}
	if o.ConfigDump {
		return o, nil
	}
	if err := o.readJob(rest); err != nil || o.PreviewTarget || o.Doc {
		return o, err
	}
	if err := o.StatesOptions.checkFiles(&o.CommonOptions); err != nil {
		return nil, err
	}
	return o, o.StatesOptions.prepare(&o.CommonOptions, &o.Job.Compound)
}

func newGosalt(io IO) *GosaltOptions {
	o := &GosaltOptions{Timeout: 5, ShowTimeout: true, BatchSafeSize: "8", ArgsSeparator: ","}
	o.CommonOptions.declare(io, "%prog [options] '<target>' <function> [arguments]",
		"%prog runs functions on any number of machines at once, and shows what they return.")
	p := o.parser
	p.Add("", o.ExecutorOptions.declare()...)
	p.Add("",
		optparse.Int(&o.Timeout, "timeout", "-t", "--timeout").
			Help("Seconds to wait for answers before minions are asked whether they still work. Default: %default."),
		o.declareStdin(), o.declareHardCrash(), o.declareNoParse(io),
		optparse.Flag(&o.Static, "static", "-s", "--static").
			Help("Show the results together, when all minions have returned."),
		optparse.Flag(&o.Progress, "progress", "-p", "--progress").
			Help("Show how many minions have returned, in place of the results."),
		optparse.Flag(&o.FailHard, "failhard", "--failhard").
			Help("With --batch: stop at the first failure."),
		optparse.Flag(&o.Async, "async", "--async").
			Help("Send the job, print its id and do not wait."),
		optparse.Int(&o.Subset, "subset", "--subset").
			Help("Run on this many minions only, chosen at random among those that have the function."),
		optparse.Flag(&o.Verbose, "verbose", "-v", "--verbose").
			Help("Show the job's id, and what minions are asked while waiting."),
		optparse.Unflag(&o.ShowTimeout, "show_timeout", "--hide-timeout").
			Help("Do not show minions that did not return in time."),
		optparse.Flag(&o.ShowJID, "show_jid", "--show-jid").
			Help("Show the job's id."),
		optparse.Text(&o.Batch, "batch", "-b", "--batch", "--batch-size").
			Help("Run on this many minions at a time: a number, or a part of all like 10%."),
		optparse.Float(&o.BatchWait, "batch_wait", "--batch-wait").
			Help("With --batch: seconds between a minion's return and the next minion's turn."),
		optparse.Int(&o.BatchSafeLimit, "batch_safe_limit", "--batch-safe-limit").
			Help("Use batches when this many minions or more match."),
		optparse.Text(&o.BatchSafeSize, "batch_safe_size", "--batch-safe-size").
			Help("Size of the batches that --batch-safe-limit makes. Default: %default."),
		optparse.Text(&o.QueueUntil, "queue_until", "--queue-until").Metavar("TIME").
			Help("Minions that are away run the job when they are back before then: 2h, 1d12h, 18:00 or '2026-11-27 08:00'."),
		optparse.Choice(&o.Transport, []string{"auto", "zmq", "ssh"}, "transport", "--transport").
			Help("How minions are reached: auto is over SSH those of the roster that are not connected, zmq never, ssh all of the roster. Default: auto."),
		optparse.Text(&o.Returner, "return", "--return").Metavar("RETURNER").
			Help("Returner, or several with commas, that the minions also send their results to."),
		optparse.Text(&o.ReturnConfig, "return_config", "--return_config").Metavar("RETURNER_CONF").
			Help("Name of the returner's configuration to use."),
		optparse.Text(&o.kwarg, "return_kwargs", "--return_kwargs").Metavar("RETURNER_KWARGS").
			Help("Options for the returner, as a map in YAML."),
		optparse.Flag(&o.Doc, "doc", "-d", "--doc", "--documentation").
			Help("Show the documentation of a function or module, or of all."),
		optparse.Text(&o.ArgsSeparator, "args_separator", "--args-separator").
			Help("What stands between the arguments of the functions of a compound command, for arguments that hold commas. Default: '%default'."),
		optparse.Flag(&o.Summary, "cli_summary", "--summary").
			Help("Show in the end how many minions returned, did not, or failed."),
		optparse.Text(&o.metadata, "metadata", "--metadata").Metavar("METADATA").
			Help("Data kept with the job, in YAML, by which jobs can be found."),
		optparse.Flag(&o.Out.StateOutputDiff, "state_output_diff", "--output-diff").
			Help("Show only states that changed something or failed."),
		optparse.Flag(&o.ConfigDump, "config_dump", "--config-dump").
			Help("Print the master's configuration and exit."),
		optparse.Flag(&o.PreviewTarget, "preview_target", "--preview-target").
			Help("Show which minions the target matches. Nothing is run."),
	)
	o.TargetOptions.declare(p, true)
	o.AuthOptions.declare(p, true)
	o.Out.declare(p)
	o.ViewOptions.declare(p)
	o.StatesOptions.declare(p)
	o.declareLogging(true, "log_file", "/var/log/salt/master")
	return o
}

func (t *TargetOptions) declare(p *optparse.Parser, extended bool) {
	t.Delimiter = ":"
	add := func(name, short, long, help string) {
		k := &targetKind{name: name, long: long}
		t.kinds = append(t.kinds, k)
		dest := name
		if name == "pillar" {
			dest = "pillar_target"
		}
		p.Add(groupTarget, optparse.Flag(&k.set, dest, short, long).Help(help))
	}
	add("list_hosts", "-H", "--hosts", "List the hosts of the roster; for gosalt-ssh.")
	add("pcre", "-E", "--pcre", "The target is a regular expression for minion ids.")
	add("list", "-L", "--list", "The target is minion ids, with commas or spaces between them.")
	add("grain", "-G", "--grain", `The target is a grain and a shell pattern for its value: "os:Debian*".`)
	add("grain_pcre", "-P", "--grain-pcre", `The target is a grain and a regular expression for its value: "os:(Debian|Ubuntu)".`)
	add("nodegroup", "-N", "--nodegroup", "The target is the name of a node group in the master's configuration.")
	add("range", "-R", "--range", "The target is an expression for a range server, like %cluster.")
	if extended {
		add("compound", "-C", "--compound", "The target is joined by and, or, not and parentheses from targets of all kinds, each marked by its letter: 'G@os:Debian and web* or E@db[0-9]+'.")
		add("pillar", "-I", "--pillar", `The target is a key of the pillar and a shell pattern for its value: "role:web*".`)
		add("pillar_pcre", "-J", "--pillar-pcre", `The target is a key of the pillar and a regular expression for its value: "role:(web|db)".`)
		add("ipcidr", "-S", "--ipcidr", "The target is an address or a network: 10.0.0.0/8.")
	}
	p.Groups[slices.IndexFunc(p.Groups, func(g *optparse.Group) bool { return g.Title == groupTarget })].Description =
		"How the target is read. Without any of these it is a shell pattern for minion ids."
	p.Add(groupMoreTarget, optparse.Text(&t.Delimiter, "delimiter", "--delimiter").
		Help("What stands between the keys of nested grains and pillar. Default: '%default'."))
}

// targetType is Salt's name of the kind of target that was chosen.
func (o *GosaltOptions) targetType() (string, error) { return o.chosen(o.parser) }

func (t *TargetOptions) chosen(p *optparse.Parser) (string, error) {
	var names []string
	kind := "glob"
	for _, k := range t.kinds {
		if k.set {
			names = append(names, k.long)
			kind = k.name
		}
	}
	if len(names) > 1 {
		return "", p.Errorf("The options %s are mutually exclusive. Please only choose one of them", strings.Join(names, "/"))
	}
	return kind, nil
}

// readJob makes the job of the arguments: target, function, its arguments.
func (o *GosaltOptions) readJob(args []string) error {
	help := ""
	if len(args) <= 1 && !o.Doc && !o.PreviewTarget {
		help = o.Help()
	}
	incomplete := func(msg string) error {
		return &optparse.Exit{Code: exitIncomplete, Out: help, Err: "\n" + msg + "\n\n"}
	}
	if o.Doc {
		if len(args) == 0 {
			args = []string{"*"}
		}
		if len(args) < 2 || args[1] != "sys.doc" {
			args = slices.Insert(args, 1, "sys.doc")
		}
		if len(args) > 3 {
			return o.Errorf("You can only get documentation for one method at one time.")
		}
	}
	if len(args) == 0 {
		return incomplete("Cannot execute command without defining a target.")
	}
	o.Job.Target = args[0]
	if o.Job.TargetType == "list" {
		o.Job.Target = SplitTargetList(args[0])
	}
	if o.PreviewTarget {
		return nil
	}
	if len(args) < 2 {
		return incomplete("Incomplete options passed.")
	}
	c, exit := SplitCompound(args[1], args[2:], o.ArgsSeparator, o.NoParse)
	if exit != nil {
		return exit
	}
	o.Job.Compound = c
	return nil
}

// missingNodegroup is a node group that the target names and that is not configured, or "".
func (j *Job) missingNodegroup(known *wire.Map) string {
	text, _ := j.Target.(string)
	switch j.TargetType {
	case "nodegroup":
		if !known.Has(text) {
			return text
		}
	case "compound":
		for word := range strings.FieldsSeq(text) {
			if name, ok := strings.CutPrefix(strings.Trim(word, "()"), "N@"); ok && !known.Has(name) {
				return name
			}
		}
	}
	return ""
}

// SplitTargetList cuts the target of -L at commas, else at white space. web[01-20]
// stands for twenty names, as --fold writes them.
func SplitTargetList(s string) []string {
	var parts []string
	if strings.Contains(s, ",") {
		parts = nodeset.Split(strings.ReplaceAll(s, " ", ""))
	} else {
		parts = strings.FieldsFunc(s, yamlarg.IsSpace)
	}
	if !strings.Contains(s, "[") {
		return parts
	}
	var out []string
	for _, part := range parts {
		names, err := nodeset.Expand(part)
		if err != nil || len(out)+len(names) > nodeset.MaxNames {
			names = []string{part} // it matches nothing, and is named as that
		}
		out = append(out, names...)
	}
	return out
}
