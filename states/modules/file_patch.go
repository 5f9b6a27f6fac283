package modules

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() { register("file.patch", filePatch) }

type filePatchArgs struct {
	Name           string    // The file to change, or the directory that names in the patch are below.
	Source         any       `default:"None"`                     // The patch: an address or a path, or a list of which the first is taken that is there.
	SourceHash     any       `default:"None"`                     // Hash of the patch, or a file of hashes.
	SourceHashName string    `default:"None"`                     // Name to look for in a file of hashes.
	SkipVerify     bool      `default:"False"`                    // Take remote sources without a hash.
	Template       string    `default:"None"`                     // Render the patch: jinja.
	Context        any       `default:"None"`                     // Values for the template, over the defaults.
	Defaults       any       `default:"None"`                     // Values for the template.
	Options        any       `default:""`                         // Options of the program patch.
	RejectFile     *string   `default:"None"`                     // Where hunks are written that do not fit.
	Strip          any       `default:"None"`                     // How many directories are taken off the names in the patch, for a directory.
	Saltenv        string    `default:"None"`                     // Environment of the patch.
	Kwargs         *wire.Map `arg:"**" read:"hash dry_run_first"` // Not looked at.
}

// patching is one call of file.patch.
type patching struct {
	c       *states.Call
	a       *filePatchArgs
	name    string
	dir     bool
	strip   *int
	options []string
	tmp     string // directory of the files in between
	patch   string // path of the patch
}

// filePatch applies a patch with the program patch, unless it has been applied.
func filePatch(ctx context.Context, c *states.Call, a filePatchArgs) (*states.Plan, error) {
	o := &patching{c: c, a: &a, name: expandUser(c, a.Name)}
	p := &states.Plan{Fine: "Patch was already applied", Would: "The patch would be applied", Did: "Patch successfully applied"}
	if program, err := text(ctx, c, "cmd.which", "patch"); err != nil || program == "" {
		return p, module.Failf("patch executable not found on minion")
	}
	if err := o.arguments(p); err != nil {
		return p, err
	}
	var err error
	if o.tmp, err = os.MkdirTemp("", "gosalt-patch-"); err != nil {
		return p, err
	}
	kept := false
	defer func() {
		if !kept {
			os.RemoveAll(o.tmp)
		}
	}()
	if failed, err := o.fetch(ctx); failed != nil || err != nil {
		if failed != nil {
			failed.Warnings = p.Warnings
			return failed, err
		}
		return p, err
	}
	rejects := filepath.Join(o.tmp, "rejects")
	if a.RejectFile != nil && !c.Test {
		rejects = *a.RejectFile
	} else if err := os.WriteFile(rejects, nil, 0o600); err != nil {
		return p, err
	}
	// A run that writes elsewhere shows whether the patch fits.
	check, err := o.run(ctx, o.patch, false, append([]string{"-N", "-r", rejects, "-o", filepath.Join(o.tmp, "output")}, o.stripOption()...)...)
	if err != nil {
		return p, err
	}
	if code := check.Int("retcode"); code != 0 {
		reverse, err := o.run(ctx, rejects, true, "-R", "-f")
		switch {
		case err != nil:
			return p, err
		case code == 2 && check.Text("stderr") != "":
			return p, errors.New(check.Text("stderr"))
		case reverse.Int("retcode") == 0:
			return p, nil
		}
		why := "Patch would not apply cleanly, no changes made. Results of dry-run are below."
		if a.RejectFile == nil {
			why += " Run state again using the reject_file option to save rejects to a persistent file."
		}
		return p, errors.New(why + "\n\n" + nestedText(check, 14))
	}
	kept = !c.Test
	p.Do(check, func(ctx context.Context, r *states.Result) error {
		defer os.RemoveAll(o.tmp)
		out, err := o.run(ctx, o.patch, false, o.stripOption()...)
		if err != nil {
			return err
		}
		r.SetChanges(out)
		if out.Int("retcode") != 0 {
			return module.Failf("Failed to apply patch")
		}
		return nil
	})
	return p, nil
}

// arguments checks what the state is asked for.
func (o *patching) arguments(p *states.Plan) error {
	a, c := o.a, o.c
	switch {
	case a.Name == "":
		return module.Failf("A file/directory to be patched is required")
	case !filepath.IsAbs(o.name):
		return module.Failf("%s is not an absolute path", o.name)
	case !c.Host.Exists(o.name):
		return module.Failf("%s does not exist", o.name)
	}
	o.dir = c.Host.IsDir(o.name)
	for _, old := range []string{"hash", "dry_run_first"} {
		if a.Kwargs.Has(old) {
			p.Warnings = append(p.Warnings, fmt.Sprintf("The '%s' argument is no longer used and has been ignored.", old))
		}
	}
	if a.RejectFile != nil {
		switch dir := filepath.Dir(*a.RejectFile); {
		case !filepath.IsAbs(*a.RejectFile):
			return module.Failf("'%s' is not an absolute path", *a.RejectFile)
		case !c.Host.IsDir(dir):
			return module.Failf("Parent directory for reject_file '%s' either does not exist, or is not a directory", *a.RejectFile)
		}
	}
	return o.readOptions()
}

// readOptions takes those out of the options that the state decides on itself.
func (o *patching) readOptions() error {
	if o.a.Strip != nil {
		n, err := strconv.Atoi(pytext.Str(o.a.Strip))
		if err != nil {
			return module.Failf("strip: a number is expected, not %s", pytext.Repr(o.a.Strip))
		}
		o.strip = &n
	}
	var words []string
	if l, ok := o.a.Options.([]any); ok {
		for _, e := range l {
			words = append(words, pytext.Str(e))
		}
	} else {
		var err error
		if words, err = host.Words(pytext.Str(o.a.Options)); err != nil {
			return err
		}
	}
	var refused []string
	for i := 0; i < len(words); i++ {
		w := words[i]
		for _, no := range []string{"-N", "--forward", "-r", "--reject-file", "-o", "--output"} {
			if strings.HasPrefix(w, no) {
				refused = append(refused, w)
				break
			}
		}
		number, name := "", "-strip"
		switch {
		case strings.HasPrefix(w, "-p"):
			number, name = w[2:], "-p"
		case strings.HasPrefix(w, "--strip") && strings.Contains(w, "="):
			number = w[strings.LastIndexByte(w, '=')+1:]
		case strings.HasPrefix(w, "--strip"):
			if i+1 < len(words) {
				number = words[i+1]
			}
			i++
		default:
			o.options = append(o.options, w)
			continue
		}
		n, err := strconv.Atoi(number)
		if err != nil {
			return module.Failf("Invalid format for '%s' CLI option. Consider using the 'strip' option for this state.", name)
		}
		o.strip = &n
	}
	if len(refused) > 0 {
		return module.Failf("The following CLI options are not allowed: %s", strings.Join(refused, ", "))
	}
	return nil
}

func (o *patching) stripOption() []string {
	if o.dir && o.strip != nil {
		return []string{"-p" + strconv.Itoa(*o.strip)}
	}
	return nil
}

// fetch brings the patch here. failed is the plan of file.managed where it did not.
func (o *patching) fetch(ctx context.Context) (failed *states.Plan, err error) {
	a, c := o.a, o.c
	v, err := c.Call.Call(ctx, "file.source_list", args(a.Source, a.SourceHash, c.Env), nil)
	if err != nil {
		return nil, err
	}
	source := a.Source
	if pair, ok := v.([]any); ok && len(pair) > 0 {
		source = pair[0]
	}
	o.patch = filepath.Join(o.tmp, "patch")
	here := *c
	here.Test = false
	if a.Saltenv != "" {
		here.Env = a.Saltenv
	}
	p, err := fileManaged(ctx, &here, fileManagedArgs{Name: o.patch, Source: source, SourceHash: a.SourceHash, SourceHashName: a.SourceHashName, SkipVerify: a.SkipVerify,
		Template: a.Template, Context: a.Context, Defaults: a.Defaults, Create: true, Replace: true, Newline: true, ShowChanges: true, FollowSymlinks: true,
		KeepSource: true, VerifySsl: true, Kwargs: wire.NewMap()})
	if err != nil {
		return &states.Plan{Name: o.patch}, err
	}
	if r := states.Settle(ctx, p, false); r.Result != true {
		failed := states.Decided(r.Result, r.Changes, r.Comment)
		failed.Name = o.patch
		return failed, nil
	}
	return nil, nil
}

// run runs patch by the execution function.
func (o *patching) run(ctx context.Context, patch string, dry bool, options ...string) (*wire.Map, error) {
	all := slices.Concat(o.options, options)
	for i, w := range all {
		all[i] = host.Quote(w)
	}
	v, err := o.c.Call.Call(ctx, "file.patch", args(o.name, patch), wire.NewMap("options", strings.Join(all, " "), "dry_run", dry))
	m, _ := v.(*wire.Map)
	return m, err
}

// nestedText is a map of texts and numbers as the outputter nested shows it.
func nestedText(m *wire.Map, indent int) string {
	pad := strings.Repeat(" ", indent)
	var keys []string
	for k := range m.Strings() {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	lines := []string{pad + "----------"}
	for _, k := range keys {
		lines = append(lines, pad+k+":")
		v := get(m, k)
		if s, ok := v.(string); ok {
			for _, l := range pytext.SplitLines(s, false) {
				lines = append(lines, pad+"    "+l)
			}
			continue
		}
		lines = append(lines, pad+"    "+pytext.Str(v))
	}
	return strings.Join(lines, "\n")
}
