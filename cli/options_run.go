package cli

import (
	"github.com/gosalt/gosalt/internal/optparse"
	"github.com/gosalt/gosalt/protocol/wire"
)

// RunnerOptions are the options and arguments of gosalt-run.
type RunnerOptions struct {
	CommonOptions
	RunOptions
	AuthOptions
	Out OutputOptions

	Timeout       int        // -t, seconds
	JID           wire.JobID // --jid; "" makes a new one
	Doc           bool       // -d
	Async         bool       // --async
	SkipGrains    bool       // --skip-grains
	Quiet         bool       // --quiet
	Follow        bool       // --follow
	Tags          []string   // the arguments of --follow
	ProfilingPath string     // --profiling-path
	Profiling     bool       // --enable-profiling
	Fun           string     // "" shows the documentation of all runners
	Args          []any      // typed
	jid           string
}

// ParseRun reads gosalt-run's command line. An error is for IO.Fail.
func ParseRun(io IO, args []string) (*RunnerOptions, error) {
	o := newRun(io)
	rest, err := o.parse(io, args, &o.ArgsStdin)
	if err != nil {
		return nil, err
	}
	o.RunOptions.finish()
	if err := o.Out.finish(o.parser); err != nil {
		return nil, err
	}
	if o.parser.Explicit("jid") {
		if o.JID, err = wire.ParseJobID(o.jid); err != nil {
			return nil, o.Errorf("'%s' is not a valid JID", o.jid)
		}
	}
	if o.Doc && len(rest) > 1 {
		return nil, o.Errorf("You can only get documentation for one method at one time")
	}
	if o.Follow {
		if o.Doc || o.Async || o.Quiet {
			return nil, o.Errorf("--follow watches events: --doc, --async and --quiet are for functions")
		}
		o.Tags = rest
		return o, nil
	}
	if len(rest) > 0 {
		o.Fun, o.Args = rest[0], ParseInput(rest[1:], o.NoParse)
	}
	return o, nil
}

func newRun(io IO) *RunnerOptions {
	o := &RunnerOptions{Timeout: 1, ProfilingPath: "/tmp/stats"}
	o.CommonOptions.declare(io, "%prog [options] <function> [arguments]",
		"%prog runs functions on the master itself: about jobs, minions and orchestration.")
	p := o.parser
	p.Add("",
		optparse.Int(&o.Timeout, "timeout", "-t", "--timeout").
			Help("Seconds to wait for answers, for runners that ask minions. Default: %default."),
		o.declareStdin(),
		optparse.Text(&o.jid, "jid", "--jid").
			Help("Id of the job, in place of a new one: 20 digits."),
		o.declareHardCrash(), o.declareNoParse(io),
		optparse.Flag(&o.Doc, "doc", "-d", "--doc", "--documentation").
			Help("Show the documentation of a runner or one of its functions, or of all."),
		optparse.Flag(&o.Async, "async", "--async").
			Help("Start the runner and do not wait."),
		optparse.Flag(&o.SkipGrains, "skip_grains", "--skip-grains").
			Help("Do not gather grains."),
	)
	o.AuthOptions.declare(p, true)
	o.Out.declare(p)
	p.Add(groupOutput, optparse.Flag(&o.Quiet, "quiet", "--quiet").
		Help("Do not show the result."))
	p.Add(groupView, optparse.Flag(&o.Follow, "follow", "--follow").
		Help("Run no function, but watch the master's event bus until Ctrl-C. Arguments are the tags to show, as globs or regular expressions; without any, all are shown. To a pipe or file, each event is a line of JSON with tag and data.")).
		Description = "What Salt's command does not have."
	declareProfiling(p, &o.ProfilingPath, &o.Profiling)
	o.declareLogging(true, "log_file", "/var/log/salt/master")
	return o
}
