package modules

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("archive.tar", archiveTar)
	register("archive.gzip", archiveGzip)
	register("archive.gunzip", archiveGunzip)
	register("archive.cmd_zip", archiveCmdZip, module.Positional("zip_file sources template cwd runas"))
	register("archive.zip", archiveCmdZip)
	register("archive.cmd_unzip", archiveCmdUnzip)
}

// archiveTool runs a program for archives and returns the lines that it printed.
func archiveTool(ctx context.Context, c *module.Call, args []string, cwd, runas string) ([]string, error) {
	p := program{args: args, dir: cwd, merge: true}
	if whichProgram(args[0]) == "" {
		return nil, module.NoCommandf("'%s'", args[0])
	}
	if runas != "" {
		u, err := c.Host.User(runas)
		if err != nil {
			return nil, module.Failf("User '%s' does not exist", runas)
		}
		p.runas = u
	}
	out, err := runTool(ctx, c, p)
	if err != nil {
		return nil, err
	}
	if !out.ok() {
		c.SetRetcode(out.code)
	}
	return pytext.SplitLines(out.out, false), nil
}

// archiveSources are paths; those with *, ? or [ are patterns.
func archiveSources(c *module.Call, v any, cwd string) []string {
	var out []string
	if v == nil {
		return nil
	}
	for _, s := range commaList(v) {
		if !strings.ContainsAny(s, "*?[") {
			out = append(out, s)
			continue
		}
		found, _ := filepath.Glob(c.Host.Path(filepath.Join(cwd, s)))
		out = append(out, found...)
	}
	return out
}

type archiveTarArgs struct {
	Options  string // Options of tar: cjf, xf and so on.
	Tarfile  string // The archive.
	Sources  any    `default:"None"` // What goes in: a list, or with commas.
	Dest     string `default:"None"` // Directory to extract to.
	Cwd      string `default:"None"` // Directory that paths are relative to.
	Template string `default:"None"` // Not looked at.
	Runas    string `default:"None"` // User who runs it.
}

// archiveTar runs tar, and returns what it printed.
//
//	gosalt '*' archive.tar cjvf /tmp/tarfile.tar.bz2 /tmp/file_1,/tmp/file_2
//	gosalt '*' archive.tar xf foo.tar dest=/target/directory
func archiveTar(ctx context.Context, c *module.Call, a archiveTarArgs) ([]string, error) {
	words := strings.Fields(a.Options)
	if len(words) == 0 {
		return nil, module.Invalidf("Tar options can not be empty")
	}
	args := append(append([]string{"tar"}, words...), a.Tarfile)
	args = append(args, archiveSources(c, a.Sources, a.Cwd)...)
	if a.Dest != "" {
		args = append(args, "-C", a.Dest)
	}
	return archiveTool(ctx, c, args, a.Cwd, a.Runas)
}

type archiveGzipArgs struct {
	Sourcefile string // The file.
	Template   string `default:"None"` // Not looked at.
	Runas      string `default:"None"` // User who runs it.
	Options    string `default:"None"` // Further options: -k.
}

// archiveGzip compresses a file with gzip.
//
//	gosalt '*' archive.gzip /tmp/sourcefile.txt
func archiveGzip(ctx context.Context, c *module.Call, a archiveGzipArgs) ([]string, error) {
	words, err := host.Words(a.Options)
	if err != nil {
		return nil, module.Invalidf("options: %v", err)
	}
	return archiveTool(ctx, c, append(append([]string{"gzip"}, words...), a.Sourcefile), "", a.Runas)
}

type archiveGunzipArgs struct {
	Gzipfile string // The file.
	Template string `default:"None"` // Not looked at.
	Runas    string `default:"None"` // User who runs it.
	Options  string `default:"None"` // Further options: -k.
}

// archiveGunzip decompresses a file with gunzip.
//
//	gosalt '*' archive.gunzip /tmp/sourcefile.txt.gz
func archiveGunzip(ctx context.Context, c *module.Call, a archiveGunzipArgs) ([]string, error) {
	words, err := host.Words(a.Options)
	if err != nil {
		return nil, module.Invalidf("options: %v", err)
	}
	return archiveTool(ctx, c, append(append([]string{"gunzip"}, words...), a.Gzipfile), "", a.Runas)
}

type archiveZipArgs struct {
	ZipFile  string // The archive to make or to add to.
	Sources  any    // What goes in: a list, or with commas.
	Template string `default:"None"`  // Not looked at.
	Cwd      string `default:"None"`  // Directory that paths are relative to.
	Runas    string `default:"None"`  // User who runs it.
	Zip64    bool   `default:"False"` // Of no effect: zip files grow beyond 4 GB by themselves.
}

// archiveCmdZip makes a zip file with the program zip, and returns what it printed.
//
//	gosalt '*' archive.cmd_zip /tmp/zipfile.zip /tmp/sourcefile1,/tmp/sourcefile2
func archiveCmdZip(ctx context.Context, c *module.Call, a archiveZipArgs) ([]string, error) {
	return archiveTool(ctx, c, append([]string{"zip", "-r", a.ZipFile}, archiveSources(c, a.Sources, a.Cwd)...), a.Cwd, a.Runas)
}

type archiveCmdUnzipArgs struct {
	ZipFile    string    // The archive.
	Dest       string    // Directory to extract to.
	Excludes   any       `default:"None"`  // Paths to leave out: a list, or with commas.
	Options    string    `default:"None"`  // Further options of unzip.
	Template   string    `default:"None"`  // Not looked at.
	Runas      string    `default:"None"`  // User who runs it.
	TrimOutput any       `default:"False"` // Return no more lines than this, 100 for True.
	Password   any       `default:"None"`  // Refused: it would be seen in the list of processes.
	Kwargs     *wire.Map `arg:"**"`        // Not looked at.
}

// archiveCmdUnzip extracts a zip file with the program unzip, and returns what it printed.
//
//	gosalt '*' archive.cmd_unzip /tmp/zipfile.zip /opt options=-o
func archiveCmdUnzip(ctx context.Context, c *module.Call, a archiveCmdUnzipArgs) ([]string, error) {
	if module.Truth(a.Password) {
		return nil, module.Failf("unzip takes a password on its command line alone, where everybody sees it: extract %s by hand", a.ZipFile)
	}
	words, err := host.Words(a.Options)
	if err != nil {
		return nil, module.Invalidf("options: %v", err)
	}
	args := append(append([]string{"unzip"}, words...), a.ZipFile, "-d", a.Dest)
	if x := archiveSources(c, a.Excludes, ""); len(x) > 0 {
		args = append(append(args, "-x"), x...)
	}
	if whichProgram("unzip") == "" {
		return nil, module.NoCommandf("'unzip'")
	}
	out, err := runTool(ctx, c, program{args: args, merge: true})
	if err != nil {
		return nil, err
	}
	if !out.ok() {
		return nil, module.Failf("%s", out.out)
	}
	return trimmed(pytext.SplitLines(out.out, false), a.TrimOutput), nil
}
