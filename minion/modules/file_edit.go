//go:build unix

package modules

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pydiff"
	"github.com/gosalt/gosalt/internal/pyre"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/textedit"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("file.line", fileLine)
	register("file.replace", fileReplace)
	register("file.search", fileSearch)
	register("file.blockreplace", fileBlockreplace)
	register("file.comment", fileComment)
	register("file.uncomment", fileUncomment)
	register("file.comment_line", fileCommentLine)
	register("file.sed", fileSed)
	register("file.sed_contains", fileSedContains)
	register("file.psed", filePsed)
	register("file.patch", filePatch)
}

// diffTexts is the unified diff of two texts without names, as Salt's functions return it.
func diffTexts(before, after string) string {
	return diffLines(textedit.SplitLines(before), textedit.SplitLines(after), "", "")
}

func diffLines(before, after []string, from, to string) string {
	return pydiff.Unified(decodeLines(before), decodeLines(after), from, to, 3)
}

// decodeLines takes lines that are not UTF-8 for Latin-1.
func decodeLines(lines []string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		if !utf8.ValidString(l) {
			r := make([]rune, len(l))
			for j := range len(l) {
				r[j] = rune(l[j])
			}
			l = string(r)
		}
		out[i] = l
	}
	return out
}

type fileLineArgs struct {
	Path        string  // A path.
	Content     any     `default:"None"`  // The line; needless to delete.
	Match       any     `default:"None"`  // A text or an expression of the line to replace or delete; content where it is None.
	Mode        string  `default:"None"`  // ensure, insert, replace or delete.
	Location    string  `default:"None"`  // To insert: start or end.
	Before      *string `default:"None"`  // To insert or ensure: a text or an expression of the line that follows.
	After       *string `default:"None"`  // To insert or ensure: a text or an expression of the line before.
	ShowChanges bool    `default:"True"`  // Return a diff, rather than whether something changed.
	Backup      any     `default:"False"` // Keep a copy, with the time behind its name.
	Quiet       bool    `default:"False"` // No error where there is no such file.
	Indent      bool    `default:"True"`  // The line is indented as its neighbour is.
}

// fileLine puts a single line into a file, replaces it or deletes it.
//
//	gosalt '*' file.line /etc/nsswitch.conf "networks:	files dns" after="hosts:.*?" mode='ensure'
//	gosalt '*' file.line /path/to/file content="CREATEMAIL_SPOOL=no" match="CREATE_MAIL_SPOOL=yes" mode="replace"
func fileLine(ctx context.Context, c *module.Call, a fileLineArgs) (any, error) {
	path := realPath(c, expandUser(c, a.Path))
	if !c.Host.IsFile(path) {
		if a.Quiet {
			return false, nil
		}
		return nil, module.Failf(`File "%s" does not exists or is not a file.`, path)
	}
	mode := strings.ToLower(a.Mode)
	switch mode {
	case "insert", "ensure", "delete", "replace":
	case "":
		return nil, module.Failf("Mode was not defined. How to process the file?")
	default:
		return nil, module.Failf(`Unknown mode: "%s"`, mode)
	}
	l := textedit.Line{Mode: mode, Location: a.Location, Before: a.Before, After: a.After, Indent: a.Indent}
	if a.Content == nil && mode != "delete" {
		return nil, module.Failf(`Content can only be empty if mode is "delete"`)
	}
	if a.Content != nil {
		s := pytext.Str(a.Content)
		l.Content = &s
	}
	if a.Match != nil {
		l.Match = pytext.Str(a.Match)
	}
	old, err := wholeText(c, path)
	if err != nil {
		return nil, err
	}
	text, err := l.Apply(old)
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	if text == old {
		return false, nil
	}
	if module.Truth(a.Backup) && !c.Opts.Bool("test") {
		name := path + "." + time.Now().Format("2006-01-02-15-04-05")
		if err := c.Host.CopyFile(path, name, true); err != nil {
			return nil, module.Failf("Unable to create the backup file of %s. Exception: %s", path, host.OSError(err, path))
		}
	}
	if !c.Opts.Bool("test") {
		if err := c.Host.WriteFile(path, []byte(text)); err != nil {
			return nil, systemError(err, path)
		}
	}
	if diff := diffTexts(old, text); a.ShowChanges && diff != "" {
		return diff, nil
	}
	return true, nil
}

type fileReplaceArgs struct {
	Path             string // A path.
	Pattern          string // A regular expression in Python's syntax.
	Repl             any    // What stands instead; \1 and \g<name> are groups.
	Count            int    `default:"0"`     // At most so many; 0 is all.
	Flags            any    `default:"8"`     // Names of Python's re flags, as a list or one; or their number, 8 is MULTILINE.
	Bufsize          any    `default:"1"`     // Without effect: files are read whole.
	AppendIfNotFound bool   `default:"False"` // Add the line at the end where the expression is not found.
	// Add the line at the beginning where the expression is not found.
	PrependIfNotFound bool    `default:"False"`
	NotFoundContent   *string `default:"None"`  // The line that is added; repl where it is None.
	Backup            any     `default:".bak"`  // Behind the name of a copy; False for none.
	DryRun            bool    `default:"False"` // Change nothing, return what would change.
	SearchOnly        bool    `default:"False"` // Return only whether the expression is found.
	ShowChanges       bool    `default:"True"`  // Return a diff, rather than whether something changed.
	IgnoreIfMissing   bool    `default:"False"` // No error where there is no such file.
	PreserveInode     bool    `default:"True"`  // Hard links of the file get the new contents too.
	BackslashLiteral  bool    `default:"False"` // A backslash in repl is one.
}

// fileReplace replaces what a regular expression matches in a file.
//
//	gosalt '*' file.replace /path/to/file pattern='=' repl=':'
//	gosalt '*' file.replace /path/to/file pattern="bind-address\s*=" repl='bind-address:'
func fileReplace(ctx context.Context, c *module.Call, a fileReplaceArgs) (any, error) {
	path := realPath(c, expandUser(c, a.Path))
	if !c.Host.Exists(path) {
		if a.IgnoreIfMissing {
			return false, nil
		}
		return nil, module.Invalidf("File not found: %s", path)
	}
	old, err := wholeText(c, path)
	if err != nil {
		return nil, module.Invalidf("Cannot perform string replacements on a binary file: %s", path)
	}
	switch {
	case !textedit.IsText([]byte(old)):
		return nil, module.Invalidf("Cannot perform string replacements on a binary file: %s", path)
	case a.SearchOnly && (a.AppendIfNotFound || a.PrependIfNotFound):
		return nil, module.Invalidf("search_only cannot be used with append/prepend_if_not_found")
	case a.AppendIfNotFound && a.PrependIfNotFound:
		return nil, module.Invalidf("Only one of append and prepend_if_not_found is permitted")
	}
	flags, err := reFlags(a.Flags)
	if err != nil {
		return nil, err
	}
	if a.SearchOnly {
		return textedit.Search(a.Pattern, flags, old)
	}
	text, err := textedit.Replace{Pattern: a.Pattern, Repl: pytext.Str(a.Repl), Count: a.Count, Flags: flags, Literal: a.BackslashLiteral,
		Append: a.AppendIfNotFound, Prepend: a.PrependIfNotFound, NotFound: a.NotFoundContent}.Apply(old)
	if err != nil {
		return nil, err
	}
	changed := text != old
	if changed && !a.DryRun {
		if err := keepCopy(c, path, a.Path, a.Backup); err != nil {
			return nil, err
		}
		write := c.Host.WriteFile
		if a.PreserveInode && !a.AppendIfNotFound && !a.PrependIfNotFound {
			write = c.Host.Rewrite
		}
		if err := write(path, []byte(text)); err != nil {
			return nil, module.Failf("Exception: %s", host.OSError(err, path))
		}
	}
	if a.ShowChanges {
		return diffTexts(old, text), nil
	}
	return changed, nil
}

// keepCopy copies a file before it is changed; backup is behind the copy's name. Where
// the file was named by a symbolic link, the copy gets one as well.
func keepCopy(c *module.Call, path, given string, backup any) error {
	if !module.Truth(backup) {
		return nil
	}
	suffix := pytext.Str(backup)
	if err := c.Host.CopyFile(path, path+suffix, true); err != nil {
		return module.Failf("Unable to move the temp file '%s' to the backup file '%s'. Exception: %s", path, path+suffix, host.OSError(err, path+suffix))
	}
	given = expandUser(c, given)
	if !c.Host.IsLink(given) {
		return nil
	}
	to, err := c.Host.Readlink(given)
	if err != nil {
		return systemError(err, given)
	}
	if err := c.Host.Symlink(to+suffix, given+suffix, true); err != nil {
		return systemError(err, given+suffix)
	}
	return nil
}

// reFlags reads flags of Python's re: a number, a name or a list of names.
func reFlags(v any) (string, error) {
	names := map[string]string{
		"I": "i", "IGNORECASE": "i", "M": "m", "MULTILINE": "m", "S": "s", "DOTALL": "s",
		"X": "x", "VERBOSE": "x", "A": "", "ASCII": "", "U": "", "UNICODE": "", "L": "", "LOCALE": "",
	}
	var list []any
	switch f := v.(type) {
	case int64:
		out := ""
		for _, b := range []struct {
			bit  int64
			flag string
		}{{2, "i"}, {8, "m"}, {16, "s"}, {64, "x"}} {
			if f&b.bit != 0 {
				out += b.flag
			}
		}
		return out, nil
	case []any:
		list = f
	case string:
		list = []any{f}
	default:
		return "", module.Failf(`Invalid re flags: "%s", must be given either as a single flag string, a list of strings, as an integer, or as an re flag`, pytext.Str(v))
	}
	out := ""
	for _, e := range list {
		flag, ok := names[strings.ToUpper(pytext.Str(e))]
		if !ok {
			return "", module.Failf("Invalid re flag given: %s", pytext.Str(e))
		}
		if !strings.Contains(out, flag) {
			out += flag
		}
	}
	return out, nil
}

type fileSearchArgs struct {
	Path            string // A path.
	Pattern         string // A regular expression in Python's syntax.
	Flags           any    `default:"8"`     // As for file.replace.
	Bufsize         any    `default:"1"`     // Without effect.
	IgnoreIfMissing bool   `default:"False"` // No error where there is no such file.
	Multiline       bool   `default:"False"` // Add the flag MULTILINE.
}

// fileSearch tells whether a regular expression matches within a file.
//
//	gosalt '*' file.search /etc/crontab 'mymaintenance.sh'
func fileSearch(ctx context.Context, c *module.Call, a fileSearchArgs) (any, error) {
	flags, err := reFlags(a.Flags)
	if err != nil {
		return nil, err
	}
	list := []any{}
	for _, f := range flags {
		list = append(list, string(f))
	}
	if a.Multiline {
		list = append(list, "M")
	}
	return fileReplace(ctx, c, fileReplaceArgs{Path: a.Path, Pattern: a.Pattern, Repl: "", Flags: list, SearchOnly: true, DryRun: true, IgnoreIfMissing: a.IgnoreIfMissing})
}

type fileBlockreplaceArgs struct {
	Path             string // A path.
	MarkerStart      string `default:"#-- start managed zone --"` // What the line has that begins the block.
	MarkerEnd        string `default:"#-- end managed zone --"`   // What the line has that ends it.
	Content          string `default:""`                          // What is to be between them.
	AppendIfNotFound bool   `default:"False"`                     // Add the block at the end where there are no markers.
	// Add the block at the beginning where there are no markers.
	PrependIfNotFound bool    `default:"False"`
	Backup            any     `default:".bak"`  // Behind the name of a copy; False for none.
	DryRun            bool    `default:"False"` // Change nothing, return what would change.
	ShowChanges       bool    `default:"True"`  // Return a diff, rather than whether something changed.
	AppendNewline     *bool   `default:"False"` // A line break behind the content; None: where it has none.
	InsertBeforeMatch *string `default:"None"`  // Where there are no markers: before the first line that this expression matches.
	InsertAfterMatch  *string `default:"None"`  // Likewise, behind it.
}

// fileBlockreplace replaces what stands between two marked lines of a file.
//
//	gosalt '*' file.blockreplace /etc/hosts '#-- start managed zone foobar : DO NOT EDIT --' '#-- end managed zone foobar --' $'10.0.1.1 foo.foobar\n10.0.1.2 bar.foobar' True
func fileBlockreplace(ctx context.Context, c *module.Call, a fileBlockreplaceArgs) (any, error) {
	b := textedit.Block{Start: a.MarkerStart, End: a.MarkerEnd, Content: a.Content, AppendNewline: a.AppendNewline,
		Append: a.AppendIfNotFound, Prepend: a.PrependIfNotFound}
	ways := 0
	for _, on := range []bool{a.AppendIfNotFound, a.PrependIfNotFound, a.InsertBeforeMatch != nil && *a.InsertBeforeMatch != "", a.InsertAfterMatch != nil && *a.InsertAfterMatch != ""} {
		if on {
			ways++
		}
	}
	if ways > 1 {
		return nil, module.Invalidf("Only one of append_if_not_found, prepend_if_not_found, insert_before_match, and insert_after_match is permitted")
	}
	if a.InsertBeforeMatch != nil {
		b.InsertBefore = *a.InsertBeforeMatch
	}
	if a.InsertAfterMatch != nil {
		b.InsertAfter = *a.InsertAfterMatch
	}
	path := expandUser(c, a.Path)
	if !c.Host.Exists(path) {
		return nil, module.Invalidf("File not found: %s", path)
	}
	old, err := wholeText(c, path)
	if err != nil {
		return nil, module.Failf("Failed to read from %s: %v", path, err)
	}
	if !utf8.ValidString(old) {
		return nil, module.Invalidf("Cannot perform string replacements on a binary file: %s", path)
	}
	text, err := b.Apply(old)
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	diff := diffLines(blockLines(old), blockLines(text), "", "")
	if text != old && !a.DryRun {
		if a.Backup != false {
			backup := path + pytext.Str(a.Backup)
			st, err := c.Host.Info(path, true)
			if err != nil {
				return nil, systemError(err, path)
			}
			if err := c.Host.CopyFile(path, backup, true); err != nil {
				return nil, systemError(err, backup)
			}
			if err := c.Host.SetOwner(backup, st.UID, st.GID, true); err != nil {
				c.Log.Warn("the owner of the copy is not that of the file", "file", backup, "error", err)
			}
		}
		if err := c.Host.WriteFile(path, []byte(text)); err != nil {
			return nil, systemError(err, path)
		}
	}
	if a.ShowChanges {
		return diff, nil
	}
	return text != old, nil
}

// blockLines are lines as text files have them: "\r" does not end one for a diff.
func blockLines(s string) []string { return textedit.SplitLines(s) }

type fileCommentArgs struct {
	Path   string // A path.
	Regex  string // An expression of the lines; ^ and $ are kept at their ends, and are not part of a group.
	Char   string `default:"#"`    // What comments a line out.
	Backup any    `default:".bak"` // Behind the name of a copy; False for none.
}

// fileComment comments lines of a file out and returns a diff of these lines, False
// where there are none.
//
//	gosalt '*' file.comment /etc/modules pcspkr
func fileComment(ctx context.Context, c *module.Call, a fileCommentArgs) (any, error) {
	return commentLines(c, a, false)
}

// fileUncomment takes the comment sign off lines of a file.
//
//	gosalt '*' file.uncomment /etc/hosts.deny 'ALL: PARANOID'
func fileUncomment(ctx context.Context, c *module.Call, a fileCommentArgs) (any, error) {
	return commentLines(c, a, true)
}

type fileCommentLineArgs struct {
	Path   string // A path.
	Regex  string // An expression of the lines.
	Char   string `default:"#"`    // What comments a line out.
	Cmnt   bool   `default:"True"` // False takes the sign off.
	Backup any    `default:".bak"` // Behind the name of a copy; False for none.
}

// fileCommentLine comments lines of a file out, or in again.
//
//	gosalt '*' file.comment_line /etc/modules pcspkr
//	gosalt '*' file.comment_line /etc/modules '^bcm43xx' cmnt=False
func fileCommentLine(ctx context.Context, c *module.Call, a fileCommentLineArgs) (any, error) {
	return commentLines(c, fileCommentArgs{a.Path, a.Regex, a.Char, a.Backup}, !a.Cmnt)
}

func commentLines(c *module.Call, a fileCommentArgs, undo bool) (any, error) {
	path := realPath(c, expandUser(c, a.Path))
	if !c.Host.IsFile(path) {
		return nil, module.Invalidf("File not found: %s", path)
	}
	old, err := wholeText(c, path)
	if err != nil || !textedit.IsText([]byte(old)) {
		return nil, module.Invalidf("Cannot perform string replacements on a binary file: %s", path)
	}
	text, before, after, err := textedit.Comment{Pattern: a.Regex, Char: a.Char, Undo: undo}.Apply(old)
	if err != nil {
		return nil, err
	}
	if len(before) == 0 {
		return false, nil
	}
	if module.Truth(a.Backup) {
		st, err := c.Host.Info(path, true)
		if err == nil {
			err = c.Host.CopyFile(path, path+pytext.Str(a.Backup), true)
		}
		if err == nil {
			err = c.Host.SetOwner(path+pytext.Str(a.Backup), st.UID, st.GID, true)
		}
		if err != nil {
			return nil, module.Failf("Exception: %s", host.OSError(err, path))
		}
	}
	if err := c.Host.WriteFile(path, []byte(text)); err != nil {
		return nil, module.Failf("Exception: %s", host.OSError(err, path))
	}
	return diffLines(before, after, "", ""), nil
}

// sedEscape makes a text a part of sed's s command.
func sedEscape(s string, all bool) string {
	s = strings.ReplaceAll(strings.ReplaceAll(s, "'", `'"'"'`), "/", `\/`)
	if all {
		for _, r := range "^.[$()|*+?{" {
			s = strings.ReplaceAll(s, string(r), `\`+string(r))
		}
	}
	return s
}

type fileSedArgs struct {
	Path        string // A path.
	Before      any    // An expression of sed.
	After       any    // What stands instead.
	Limit       string `default:""`      // An expression of the lines that are meant.
	Backup      string `default:".bak"`  // Behind the name of a copy.
	Options     string `default:"-r -e"` // Options of sed.
	Flags       string `default:"g"`     // Flags of its s command.
	EscapeAll   bool   `default:"False"` // Before is a text, not an expression.
	NegateMatch bool   `default:"False"` // The lines that limit does not match are meant.
}

// fileSed edits a file with the program sed and returns what cmd.run_all does. Prefer
// file.replace, which is the same everywhere.
//
//	gosalt '*' file.sed /etc/httpd/httpd.conf 'LogLevel warn' 'LogLevel info'
func fileSed(ctx context.Context, c *module.Call, a fileSedArgs) (any, error) {
	path := expandUser(c, a.Path)
	if !c.Host.Exists(path) {
		return false, nil
	}
	options, err := host.Words(a.Options)
	if err != nil {
		return nil, err
	}
	cmd := []any{"sed", "-i" + a.Backup}
	for _, o := range options {
		cmd = append(cmd, o)
	}
	script := fmt.Sprintf("s/%s/%s/%s", sedEscape(pytext.Str(a.Before), a.EscapeAll), sedEscape(pytext.Str(a.After), a.EscapeAll), a.Flags)
	if a.NegateMatch {
		script = "!" + script
	}
	if limit := sedEscape(a.Limit, a.EscapeAll); limit != "" {
		script = "/" + limit + "/ " + script
	}
	return c.Call(ctx, "cmd.run_all", []any{append(cmd, script, path)}, wire.NewMap("python_shell", false))
}

type fileSedContainsArgs struct {
	Path  string // A path.
	Text  any    // An expression of sed.
	Limit any    `default:""`  // An expression of the lines that are meant.
	Flags string `default:"g"` // Flags of its s command.
}

// fileSedContains tells whether the program sed finds an expression in a file. Prefer
// file.search.
//
//	gosalt '*' file.contains /etc/crontab 'mymaintenance.sh'
func fileSedContains(ctx context.Context, c *module.Call, a fileSedContainsArgs) (bool, error) {
	path := expandUser(c, a.Path)
	if !c.Host.Exists(path) {
		return false, nil
	}
	script := fmt.Sprintf("s/%s/$/p%s", sedEscape(pytext.Str(a.Text), false), a.Flags)
	if limit := sedEscape(pytext.Str(a.Limit), false); limit != "" {
		script = "/" + limit + "/ " + script
	}
	v, err := c.Call(ctx, "cmd.run", []any{[]any{"sed", "-n", "-r", "-e", script, path}}, wire.NewMap("python_shell", false))
	return module.Truth(v), err
}

type filePsedArgs struct {
	Path      string // A path.
	Before    any    // A regular expression in Python's syntax.
	After     any    // What stands instead.
	Limit     string `default:""`      // Only what is behind the first match of this is kept.
	Backup    string `default:".bak"`  // Behind the name of a copy.
	Flags     string `default:"gMS"`   // g for all, and Python's flags A, I, M, S, U, X.
	EscapeAll bool   `default:"False"` // Before is a text, not an expression.
	Multi     bool   `default:"False"` // Refused: in Salt this takes files apart.
}

// filePsed edits a file with a regular expression. It is here for old trees: prefer
// file.replace.
//
//	gosalt '*' file.sed /etc/httpd/httpd.conf 'LogLevel warn' 'LogLevel info'
func filePsed(ctx context.Context, c *module.Call, a filePsedArgs) (any, error) {
	path := expandUser(c, a.Path)
	if a.Multi {
		return nil, module.Invalidf("file.psed: multi=True is not available in gosalt: use file.replace")
	}
	old, err := wholeText(c, path)
	if err != nil {
		return nil, err
	}
	flags, count := "", 1
	for _, f := range a.Flags {
		if f == 'g' {
			count = 0
			continue
		}
		flag, err := reFlags(string(f))
		if err != nil {
			return nil, err
		}
		if !strings.Contains(flags, flag) {
			flags += flag
		}
	}
	if err := c.Host.CopyFile(path, path+a.Backup, true); err != nil {
		return nil, systemError(err, path+a.Backup)
	}
	text := old
	if a.Limit != "" {
		i := strings.Index(text, a.Limit)
		if re, err := pyre.Compile(sedEscape(a.Limit, a.EscapeAll), ""); err == nil {
			if m, _ := re.Search(text); m != nil {
				i = strings.Index(text, m[0].Text) + len(m[0].Text)
			}
		}
		if i < 0 {
			return nil, errors.New("the limit was not found")
		}
		text = text[i:]
	}
	text, err = textedit.Replace{Pattern: sedEscape(pytext.Str(a.Before), a.EscapeAll), Repl: sedEscape(pytext.Str(a.After), a.EscapeAll), Count: count, Flags: flags}.Apply(text)
	if err != nil {
		return nil, err
	}
	if err := c.Host.Rewrite(path, []byte(text)); err != nil {
		return nil, systemError(err, path)
	}
	return nil, nil
}

type filePatchArgs struct {
	Originalfile string // The file to change, or the directory that names in the patch are below.
	Patchfile    string // A diff.
	Options      string `default:""`      // Options of the program patch.
	DryRun       bool   `default:"False"` // Change nothing.
}

// filePatch applies a diff with the program patch and returns what cmd.run_all does.
//
//	gosalt '*' file.patch /opt/file.txt /tmp/file.txt.patch
func filePatch(ctx context.Context, c *module.Call, a filePatchArgs) (any, error) {
	program, err := host.LookPath("patch", searchPath(), "/")
	if err != nil {
		return nil, module.Failf("patch executable not found. Is the distribution's patch package installed?")
	}
	words, err := host.Words(a.Options)
	if err != nil {
		return nil, err
	}
	cmd := []any{program}
	has := func(what ...string) bool {
		for _, e := range cmd {
			for _, w := range what {
				if s := e.(string); s == w || strings.HasSuffix(w, "*") && strings.HasPrefix(s, strings.TrimSuffix(w, "*")) {
					return true
				}
			}
		}
		return false
	}
	for _, w := range words {
		cmd = append(cmd, w)
	}
	if a.DryRun {
		if k := pytext.Str(grainOf(c, "kernel")); k == "FreeBSD" || k == "OpenBSD" {
			cmd = append(cmd, "-C")
		} else {
			cmd = append(cmd, "--dry-run")
		}
	}
	if !has("-N", "--forward") {
		cmd = append(cmd, "--forward")
	}
	if !has("-r", "-r *", "--reject-file*") {
		cmd = append(cmd, "--reject-file=-")
	}
	cmd = append(cmd, "-i", a.Patchfile)
	if c.Host.IsDir(a.Originalfile) {
		cmd = append(cmd, "-d", a.Originalfile)
		if !has("-p*", "--strip=*") {
			cmd = append(cmd, "--strip=0")
		}
	} else {
		cmd = append(cmd, a.Originalfile)
	}
	return c.Call(ctx, "cmd.run_all", []any{cmd}, wire.NewMap("python_shell", false))
}

// grainOf is the value of a grain, nil where there is none.
func grainOf(c *module.Call, name string) any {
	v, _ := c.Grains().Get(name)
	return v
}
