package cli

import (
	"path/filepath"
	"strings"

	"github.com/gosalt/gosalt/internal/optparse"
)

// CallOptions are the options and arguments of gosalt-call.
type CallOptions struct {
	CommonOptions
	RunOptions
	ExecutorOptions
	StatesOptions
	Out OutputOptions

	ProxyID            string   // --proxyid
	CacheDir           string   // --cachedir; "" is the configuration's
	Grains             bool     // -g
	ModuleDirs         []string // -m, absolute
	Doc                bool     // -d
	Master             string   // --master; "" is the configuration's
	Returner           string   // --return
	Local              bool     // --local
	FileRoot           string   // --file-root, absolute
	PillarRoot         string   // --pillar-root, absolute
	ShowSecrets        bool     // --show-secrets
	StatesDir          string   // --states-dir, absolute
	RetcodePassthrough bool     // --retcode-passthrough
	PrintMetadata      bool     // --metadata
	Metadata           any      // --set-metadata as YAML
	ID                 string   // --id; "" is the configuration's
	SkipGrains         bool     // --skip-grains
	RefreshGrainsCache bool     // --refresh-grains-cache
	NoReturnEvent      bool     // --no-return-event
	AuthTimeout        int      // -t, seconds to wait for the master
	ProfilingPath      string   // --profiling-path
	Profiling          bool     // --enable-profiling
	Live               bool     // --live: lines as they are printed
	Fun                string   // "" with -g, or with -d for all
	Args               []any    // typed
	metadata           string
	typed              []any // the arguments as they were typed
}

// ParseCall reads gosalt-call's command line. An error is for IO.Fail.
func ParseCall(io IO, args []string) (*CallOptions, error) {
	o := newCall(io)
	rest, err := o.parse(io, args, &o.ArgsStdin)
	if err != nil {
		return nil, err
	}
	o.RunOptions.finish()
	o.ExecutorOptions.finish()
	if err := o.Out.finish(o.parser); err != nil {
		return nil, err
	}
	o.Metadata = yamlOption(o.metadata)
	var dirs []string
	for _, m := range o.ModuleDirs {
		for d := range strings.SplitSeq(m, ",") {
			dirs = append(dirs, d)
		}
	}
	o.ModuleDirs = dirs
	paths := []*string{&o.FileRoot, &o.PillarRoot, &o.StatesDir}
	for i := range o.ModuleDirs {
		paths = append(paths, &o.ModuleDirs[i])
	}
	for _, p := range paths {
		if *p != "" {
			if *p, err = filepath.Abs(*p); err != nil {
				return nil, err
			}
		}
	}
	switch {
	case len(rest) == 0 && !o.Grains && !o.Doc:
		e := o.parser.Errorf("Requires function, --grains or --doc")
		e.Out = o.Help()
		return nil, e
	case len(rest) > 0 && o.Grains:
		return nil, o.Errorf("-g/--grains does not accept any arguments")
	case len(rest) > 1 && o.Doc:
		return nil, o.Errorf("You can only get documentation for one method at one time")
	case o.ProxyID != "":
		return nil, o.Errorf("--proxyid: gosalt has no proxy minions")
	case len(rest) > 0:
		for _, word := range rest[1:] {
			o.typed = append(o.typed, word)
		}
		job := Compound{Funs: rest[:1:1], Args: [][]any{ParseInput(rest[1:], o.NoParse)}}
		if !o.Doc {
			if err := o.StatesOptions.checkFiles(&o.CommonOptions); err != nil {
				return nil, err
			}
			if err := o.StatesOptions.prepare(&o.CommonOptions, &job); err != nil {
				return nil, err
			}
		}
		o.Fun, o.Args = job.Funs[0], job.Args[0]
	}
	return o, nil
}

func newCall(io IO) *CallOptions {
	o := &CallOptions{AuthTimeout: 60, ProfilingPath: "/tmp/stats"}
	o.CommonOptions.declare(io, "%prog [options] <function> [arguments]",
		"%prog runs functions on this machine, with or without a master.")
	p := o.parser
	p.Add("", optparse.Text(&o.ProxyID, "proxyid", "--proxyid").
		Help("Id of the proxy minion to run as."))
	p.Add("", o.ExecutorOptions.declare()...)
	p.Add("",
		optparse.Text(&o.CacheDir, "cachedir", "--cachedir").ShowDefault("/var/cache/salt/").
			Help("Directory of cached files. Default: the configuration's, or '%default'."),
		o.declareStdin(), o.declareHardCrash(), o.declareNoParse(io),
		optparse.Flag(&o.Grains, "grains_run", "-g", "--grains").
			Help("Show the grains of this machine."),
		optparse.List(&o.ModuleDirs, "module_dirs", "-m", "--module-dirs").
			Help("Directory with more modules. May be given again."),
		optparse.Flag(&o.Doc, "doc", "-d", "--doc", "--documentation").
			Help("Show the documentation of a function or module, or of all."),
		optparse.Text(&o.Master, "master", "--master").
			Help("Master to use, which must have accepted this minion's key. Default: the configuration's; of several the first that answers."),
		optparse.Text(&o.Returner, "return", "--return").Metavar("RETURNER").
			Help("Returner, or several with commas, to send the result to."),
		optparse.Flag(&o.Local, "local", "--local").
			Help("Run without a master, from the files of this machine."),
		optparse.Text(&o.FileRoot, "file_root", "--file-root").
			Help("Directory of the states and files, as the environment base."),
		optparse.Text(&o.PillarRoot, "pillar_root", "--pillar-root").
			Help("Directory of the pillar, as the environment base."),
		optparse.Text(&o.StatesDir, "states_dir", "--states-dir").
			Help("Directory with more state modules."),
		optparse.Flag(&o.RetcodePassthrough, "retcode_passthrough", "--retcode-passthrough").
			Help("Exit with the function's own return code."),
		optparse.Flag(&o.PrintMetadata, "print_metadata", "--metadata").
			Help("Show with the result how it came about: function, arguments, job id, return code, outputter."),
		optparse.Text(&o.metadata, "metadata", "--set-metadata").Metavar("METADATA").
			Help("Data kept with the job, in YAML, by which jobs can be found."),
		optparse.Flag(&o.ShowSecrets, "show_secrets", "--show-secrets").
			Help("Show what was encrypted in the pillar, which is hidden otherwise. The master still gets it hidden. gosalt's own."),
		optparse.Text(&o.ID, "id", "--id").
			Help("Minion id to use. Default: the configuration's."),
		optparse.Flag(&o.SkipGrains, "skip_grains", "--skip-grains").
			Help("Do not gather grains: there are none then."),
		optparse.Flag(&o.RefreshGrainsCache, "refresh_grains_cache", "--refresh-grains-cache").
			Help("Gather the grains anew, though they are cached."),
		optparse.Flag(&o.NoReturnEvent, "no_return_event", "--no-return-event").
			Help("Do not send the result to the master."),
		optparse.Int(&o.AuthTimeout, "auth_timeout", "-t", "--timeout").
			Help("Seconds to wait for the master. Default: %default."),
		optparse.Flag(&o.Out.StateOutputDiff, "state_output_diff", "--output-diff").
			Help("Show only states that changed something or failed."),
	)
	o.Out.declare(p)
	o.StatesOptions.declare(p)
	p.Add(groupView, optparse.Flag(&o.Live, "live", "--live").
		Help("Show what commands print while they run, each line after \"local\": | for standard output and for states that are done, ! for standard error. Then the result as always. Where that is for programs (--out=json) the lines go to standard error.")).
		Description = "What Salt's command does not have."
	declareProfiling(p, &o.ProfilingPath, &o.Profiling)
	o.declareLogging(true, "log_file", "/var/log/salt/minion")
	return o
}

func declareProfiling(p *optparse.Parser, path *string, on *bool) {
	p.Add(groupProfiling,
		optparse.Text(path, "profiling_path", "--profiling-path").
			Help("Directory for the profiles. Default: '%default'."),
		optparse.Flag(on, "profiling_enabled", "--enable-profiling").
			Help("Write a processor profile to the directory of --profiling-path."),
	)
}
