package cli

import (
	"fmt"
	"path/filepath"

	"github.com/gosalt/gosalt/internal/optparse"
)

// CpOptions are the options and arguments of gosalt-cp.
type CpOptions struct {
	CommonOptions
	TargetOptions
	Out OutputOptions

	Timeout  int  // -t, seconds
	Chunked  bool // -C
	Compress bool // not with -n

	Target     any      // a string, or a []string for lists
	TargetType string   // Salt's name of the kind
	Sources    []string // absolute, links resolved
	Dest       string   // on the minions
}

// ParseCp reads gosalt-cp's command line. An error is for IO.Fail.
func ParseCp(io IO, args []string) (*CpOptions, error) {
	o := newCp(io)
	rest, err := o.parse(io, args, nil)
	if err != nil {
		return nil, err
	}
	if err := o.Out.finish(o.parser); err != nil {
		return nil, err
	}
	if o.TargetType, err = o.chosen(o.parser); err != nil {
		return nil, err
	}
	if len(rest) <= 1 {
		fmt.Fprint(io.Out, o.Help())
		return nil, o.Errorf("Insufficient arguments")
	}
	o.Target = rest[0]
	if o.TargetType == "list" {
		o.Target = SplitTargetList(rest[0])
	}
	for _, s := range rest[1 : len(rest)-1] {
		p, err := filepath.Abs(s)
		if err != nil {
			return nil, err
		}
		if real, err := filepath.EvalSymlinks(p); err == nil {
			p = real
		}
		o.Sources = append(o.Sources, p)
	}
	o.Dest = rest[len(rest)-1]
	return o, nil
}

func newCp(io IO) *CpOptions {
	o := &CpOptions{Timeout: 5, Compress: true}
	o.CommonOptions.declare(io, "%prog [options] '<target>' SOURCE DEST",
		"%prog copies files of this machine to any number of others. Without --chunked they travel in one piece and should be small.")
	p := o.parser
	p.Add("",
		optparse.Int(&o.Timeout, "timeout", "-t", "--timeout").
			Help("Seconds to wait for answers before minions are asked whether they still work. Default: %default."),
		o.declareHardCrash(),
	)
	o.TargetOptions.declare(p, false)
	o.Out.declare(p)
	o.declareLogging(true, "log_file", "/var/log/salt/master")
	p.Add("File Options",
		optparse.Flag(&o.Chunked, "chunked", "-C", "--chunked").
			Help("Copy in pieces: files of any size, directories with all that is in them, and their permissions."),
		optparse.Unflag(&o.Compress, "gzip", "-n", "--no-compression").
			Help("With --chunked: do not compress the pieces."),
	)
	return o
}
