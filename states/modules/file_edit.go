package modules

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pydiff"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("file.replace", fileReplace)
	register("file.comment", fileComment)
	register("file.uncomment", fileUncomment)
	register("file.append", fileAppend)
	register("file.prepend", filePrepend)
}

// thereAs finds a file that a state edits.
func thereAs(c *states.Call, fun, name string) (string, error) {
	name = expandUser(c, name)
	switch {
	case name == "":
		return "", module.Failf("Must provide name to %s", fun)
	case !filepath.IsAbs(name):
		return name, module.Failf("Specified file %s is not an absolute path", name)
	case !c.Host.Exists(name):
		if id, ok := promisedFile(c, name); ok {
			return name, notYet(name, id)
		}
		return name, module.Failf("%s: file not found", name)
	}
	return name, nil
}

// found tells whether a regular expression of Python is found in a file.
func found(ctx context.Context, c *states.Call, name, pattern string) (bool, error) {
	v, err := c.Call.Call(ctx, "file.search", args(name, pattern), wire.NewMap("multiline", true))
	return module.Truth(v), err
}

type fileReplaceArgs struct {
	Name              string // Path of the file.
	Pattern           string // A regular expression of Python.
	Repl              any    // What takes its place; \1 is its first group.
	Count             int    `default:"0"`     // How many are replaced; 0 is all.
	Flags             any    `default:"8"`     // Flags of the expression: 8 is MULTILINE, or a list of names.
	Bufsize           any    `default:"1"`     // file reads the whole file at once; gosalt always does.
	AppendIfNotFound  bool   `default:"False"` // Put it at the end where nothing is found.
	PrependIfNotFound bool   `default:"False"` // Put it at the beginning where nothing is found.
	NotFoundContent   any    `default:"None"`  // What is put there in place of repl.
	Backup            any    `default:".bak"`  // End of the name of a copy of the old file; False for none.
	ShowChanges       bool   `default:"True"`  // Show the difference.
	IgnoreIfMissing   bool   `default:"False"` // A file that is not there is fine.
	BackslashLiteral  bool   `default:"False"` // A backslash in repl is one.
}

// fileReplace replaces what matches a regular expression in a file.
func fileReplace(ctx context.Context, c *states.Call, a fileReplaceArgs) (*states.Plan, error) {
	name, err := thereAs(c, "file.replace", a.Name)
	p := &states.Plan{Name: name, Fine: "No changes needed to be made", Would: "Changes would have been made", Did: "Changes were made"}
	if err != nil {
		if a.IgnoreIfMissing && strings.HasSuffix(err.Error(), "file not found") {
			return p, nil
		}
		return p, err
	}
	do := func(ctx context.Context, dry bool) (any, error) {
		return c.Call.Call(ctx, "file.replace", nil, wire.NewMap("path", name, "pattern", a.Pattern, "repl", a.Repl, "count", int64(a.Count), "flags", a.Flags,
			"bufsize", a.Bufsize, "append_if_not_found", a.AppendIfNotFound, "prepend_if_not_found", a.PrependIfNotFound, "not_found_content", a.NotFoundContent,
			"backup", a.Backup, "dry_run", dry, "show_changes", a.ShowChanges, "ignore_if_missing", a.IgnoreIfMissing, "backslash_literal", a.BackslashLiteral))
	}
	return p, dryThenReal(ctx, p, do)
}

// dryThenReal plans a function that tells its changes with dry_run, too.
func dryThenReal(ctx context.Context, p *states.Plan, do func(ctx context.Context, dry bool) (any, error)) error {
	diff, err := do(ctx, true)
	if err != nil || !module.Truth(diff) {
		return err
	}
	p.Do(wire.NewMap("diff", diff), func(ctx context.Context, r *states.Result) error {
		real, err := do(ctx, false)
		if err == nil && module.Truth(real) {
			r.Change("diff", real)
		}
		return err
	})
	return nil
}

type fileCommentArgs struct {
	Name          string // Path of the file.
	Regex         string // A regular expression of the lines: ^bind 127.0.0.1
	Char          string `default:"#"`     // What makes a line a comment.
	Backup        any    `default:".bak"`  // End of the name of a copy of the old file; False for none.
	IgnoreMissing bool   `default:"False"` // It is fine where no line matches.
}

// unanchored takes flags and anchors off a regular expression.
var unanchored = lazyre.New(`^(\(\?[iLmsux]\))?\^?(.*?)\$?$`)

// fileComment makes lines that match a regular expression comments.
func fileComment(ctx context.Context, c *states.Call, a fileCommentArgs) (*states.Plan, error) {
	name, err := thereAs(c, "file.comment", a.Name)
	p := &states.Plan{Name: name, Fine: "Pattern already commented", Would: fmt.Sprintf("File %s is set to be updated", name), Did: "Commented lines successfully"}
	if err != nil {
		return p, err
	}
	bare := unanchored.ReplaceAllString(a.Regex, "$2")
	plain, err := found(ctx, c, name, `^(?!\s*`+a.Char+`)\s*`+bare)
	if err != nil {
		return p, err
	}
	if !plain {
		done, err := found(ctx, c, name, a.Char+bare)
		switch {
		case err != nil || done:
			return p, err
		case a.IgnoreMissing:
			p.Fine = "Pattern not found and ignore_missing set to True"
			return p, nil
		}
		return p, module.Failf("%s: Pattern not found", bare)
	}
	p.Do(wire.NewMap(name, "updated"), commentLines(c, name, a.Regex, a.Char, true, a.Backup, a.Char+bare, "Expected commented lines not found"))
	return p, nil
}

type fileUncommentArgs struct {
	Name   string // Path of the file.
	Regex  string // A regular expression of the lines, without the mark of the comment.
	Char   string `default:"#"`    // What makes a line a comment.
	Backup any    `default:".bak"` // End of the name of a copy of the old file; False for none.
}

// fileUncomment makes comments that match a regular expression lines.
func fileUncomment(ctx context.Context, c *states.Call, a fileUncommentArgs) (*states.Plan, error) {
	name, err := thereAs(c, "file.uncomment", a.Name)
	p := &states.Plan{Name: name, Fine: "Pattern already uncommented", Would: fmt.Sprintf("File %s is set to be updated", name), Did: "Uncommented lines successfully"}
	if err != nil {
		return p, err
	}
	bare := strings.TrimLeft(a.Regex, "^")
	commented, err := found(ctx, c, name, a.Char+"[ \t]*"+bare)
	if err != nil {
		return p, err
	}
	plain := "^[ \t]*" + bare
	if !commented {
		done, err := found(ctx, c, name, plain)
		if err != nil || done {
			return p, err
		}
		return p, module.Failf("%s: Pattern not found", a.Regex)
	}
	p.Do(wire.NewMap(name, "updated"), commentLines(c, name, a.Regex, a.Char, false, a.Backup, plain, "Expected uncommented lines not found"))
	return p, nil
}

// commentLines is the step of file.comment and file.uncomment.
func commentLines(c *states.Call, name, regex, char string, comment bool, backup any, expect, missing string) func(context.Context, *states.Result) error {
	return func(ctx context.Context, r *states.Result) error {
		r.SetChanges(nil)
		before, err := os.ReadFile(c.Host.Path(name))
		if err != nil {
			return err
		}
		if _, err := c.Call.Call(ctx, "file.comment_line", args(name, regex, char, comment, backup), nil); err != nil {
			return err
		}
		after, err := os.ReadFile(c.Host.Path(name))
		if err != nil {
			return err
		}
		if d := diffBytes(before, after); d != "" {
			r.Change("diff", d)
		}
		ok, err := found(ctx, c, name, expect)
		if err == nil && !ok {
			return module.Failf("%s", missing)
		}
		return err
	}
}

type fileAppendArgs struct {
	Name             string // Path of the file.
	Text             any    `default:"None"`  // Text, or a list of texts; each is left out that the file has already.
	Makedirs         bool   `default:"False"` // Make the directories above that are missing.
	Source           any    `default:"None"`  // Template whose text is appended.
	SourceHash       any    `default:"None"`  // Hash of the source.
	Template         string `default:"jinja"` // How sources are rendered.
	Sources          any    `default:"None"`  // Several sources.
	SourceHashes     any    `default:"None"`  // Their hashes.
	Defaults         any    `default:"None"`  // Values for the templates.
	Context          any    `default:"None"`  // Values for the templates, over the defaults.
	IgnoreWhitespace bool   `default:"True"`  // Spaces count for nothing when the text is looked for.
}

// fileAppend puts texts at the end of a file that are not in it.
func fileAppend(ctx context.Context, c *states.Call, a fileAppendArgs) (*states.Plan, error) {
	e := &addText{c: c, fun: "file.append", name: a.Name, makedirs: a.Makedirs}
	texts, err := e.texts(ctx, a.Text, a.Source, a.Sources, a.Template, a.Defaults, a.Context)
	if err != nil {
		return &states.Plan{Name: e.name}, err
	}
	return e.plan(ctx, texts, a.IgnoreWhitespace, func(old, lines []string) []string { return append(old, lines...) },
		func(n int) string { return fmt.Sprintf("Appended %d lines", n) }, "is in correct state")
}

type filePrependArgs struct {
	Name         string // Path of the file.
	Text         any    `default:"None"`  // Text, or a list of texts; each is left out that the file has already.
	Makedirs     bool   `default:"False"` // Make the directories above that are missing.
	Source       any    `default:"None"`  // Template whose text is put there.
	SourceHash   any    `default:"None"`  // Hash of the source.
	Template     string `default:"jinja"` // How sources are rendered.
	Sources      any    `default:"None"`  // Several sources.
	SourceHashes any    `default:"None"`  // Their hashes.
	Defaults     any    `default:"None"`  // Values for the templates.
	Context      any    `default:"None"`  // Values for the templates, over the defaults.
	Header       bool   `default:"False"` // The text has to be the first lines of the file, not just in it.
}

// filePrepend puts texts at the beginning of a file that are not in it.
func filePrepend(ctx context.Context, c *states.Call, a filePrependArgs) (*states.Plan, error) {
	e := &addText{c: c, fun: "file.prepend", name: a.Name, makedirs: a.Makedirs, header: a.Header}
	texts, err := e.texts(ctx, a.Text, a.Source, a.Sources, a.Template, a.Defaults, a.Context)
	if err != nil {
		return &states.Plan{Name: e.name}, err
	}
	return e.plan(ctx, texts, true, func(old, lines []string) []string { return append(append([]string{}, lines...), old...) },
		func(n int) string { return fmt.Sprintf("Prepended %d lines", n) }, "is in correct state")
}

// addText is one call of file.append or file.prepend.
type addText struct {
	c         *states.Call
	fun, name string
	makedirs  bool
	header    bool
}

// texts are those of the arguments: text, or rendered sources.
func (e *addText) texts(ctx context.Context, text, source, sources any, engine string, defaults, values any) ([]string, error) {
	e.name = expandUser(e.c, e.name)
	if e.name == "" {
		return nil, module.Failf("Must provide name to %s", e.fun)
	}
	if !filepath.IsAbs(e.name) {
		return nil, module.Failf("Specified file %s is not an absolute path", e.name)
	}
	all, err := oneOrMore(source, sources, nil, nil)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		if text == nil {
			return nil, module.Failf("No text found to append. Nothing appended")
		}
		return contentParts(text), nil
	}
	out, _, err := sourceTexts(ctx, e.c, all, engine, defaults, values)
	return out, err
}

// sourceTexts renders templates. at is the source that has failed.
func sourceTexts(ctx context.Context, c *states.Call, sources []any, engine string, defaults, values any) (out []string, at string, err error) {
	vars, err := mapArg(defaults, "Defaults")
	if err != nil {
		return nil, "", err
	}
	more, err := mapArg(values, "Context")
	if err != nil {
		return nil, "", err
	}
	vars = vars.Clone()
	for k, v := range more.All() {
		vars.SetAny(k, v)
	}
	for _, s := range sources {
		at := pytext.Str(s)
		v, b, err := template(ctx, c, at, wire.NewMap("template", engine, "saltenv", c.Env, "context", vars))
		if err != nil {
			return nil, at, err
		}
		path, ok := v.(string)
		if !ok || path == "" {
			return nil, at, module.Failf("Failed to load template file %s", at)
		}
		if len(b) == 0 {
			return nil, at, module.Failf("Failed to read rendered template file %s (%s)", path, at)
		}
		out = append(out, string(b))
	}
	return out, "", nil
}

// plan plans the file with what it lacks of the texts.
func (e *addText) plan(ctx context.Context, texts []string, loose bool, join func(old, lines []string) []string, did func(n int) string, fine string) (*states.Plan, error) {
	c := e.c
	p := &states.Plan{Name: e.name, Fine: fmt.Sprintf("File %s %s", e.name, fine), Would: fmt.Sprintf("File %s is set to be updated", e.name)}
	dir := filepath.Dir(e.name)
	if !c.Host.IsDir(dir) && !e.makedirs && !c.Host.Drafted(e.name) {
		if !lacksDir(c, dir) { // an earlier state may make the directory
			p = states.Decided(nil, wire.NewMap("new", e.name), fmt.Sprintf("File %s is set to be created", e.name))
			p.Name = e.name
			return p, nil
		}
		return p, module.Failf("%s: file not found", e.name)
	}
	if err := blocked(c, dir); err != nil {
		return p, err
	}
	var old []byte
	there := c.Host.Exists(e.name)
	if there {
		var err error
		if old, err = os.ReadFile(c.Host.Path(e.name)); err != nil {
			return p, err
		}
	}
	oldLines := pytext.SplitLines(string(old), false)
	var lines []string
	for _, text := range texts {
		if e.header {
			continue
		}
		has, err := hasText(ctx, c, e.name, string(old), text, loose)
		if err != nil {
			return p, err
		}
		if !has {
			lines = append(lines, pytext.SplitLines(text, false)...)
		}
	}
	if e.header {
		var want []string
		for _, text := range texts {
			want = append(want, pytext.SplitLines(text, false)...)
		}
		if len(oldLines) < len(want) || strings.Join(oldLines[:len(want)], "\n") != strings.Join(want, "\n") {
			lines = want
		}
	}
	if len(lines) == 0 && there {
		return p, nil
	}
	p.Did = did(len(lines))
	if len(lines) == 0 {
		p.Did = p.Fine
	}
	newLines := join(oldLines[:len(oldLines):len(oldLines)], lines)
	changes := wire.NewMap()
	switch {
	case !there && c.Test:
		changes.Set("new", e.name)
		p.Would = fmt.Sprintf("File %s is set to be created", e.name)
	case !isText(old):
		changes.Set("diff", "Replace binary file")
	default:
		if changes.Set("diff", joinedDiff(oldLines, newLines)); e.fun == "file.prepend" {
			changes.Set("diff", pydiff.Unified(pytext.SplitLines(string(old), true), ended(newLines), "", "", 3))
		}
	}
	p.Do(changes, func(context.Context, *states.Result) error {
		if err := c.Host.MakeDirs(dir, host.Keep, c.Umask); err != nil {
			return err
		}
		return c.Host.ReplaceLinked(e.name, host.Keep, c.Umask, func(w io.Writer) error {
			_, err := io.WriteString(w, e.joined(string(old), lines))
			return err
		})
	})
	return p, nil
}

// joined is the file's text with the lines before or after it. What was there stays as it
// is, with whatever line ends it has.
func (e *addText) joined(old string, lines []string) string {
	added := strings.Join(ended(lines), "")
	if e.fun == "file.prepend" {
		return added + old
	}
	if added != "" && old != "" && !strings.HasSuffix(old, "\n") {
		old += "\n"
	}
	return old + added
}

// hasText tells whether a file's text has another one, of whole lines, spaces aside if loose.
func hasText(ctx context.Context, c *states.Call, name, old, text string, loose bool) (bool, error) {
	if !loose {
		if old == "" {
			return false, nil
		}
		return found(ctx, c, name, text)
	}
	var expr strings.Builder
	expr.WriteString("(?m)^")
	for _, line := range pytext.SplitLines(text, false) {
		words := strings.Fields(line)
		for i, w := range words {
			words[i] = regexp.QuoteMeta(w)
		}
		expr.WriteString(`\s*` + strings.Join(words, `\s*`) + `\s*`)
	}
	expr.WriteString("$")
	re, err := regexp.Compile(expr.String())
	if err != nil {
		return false, err
	}
	return re.MatchString(old), nil
}

// joinedDiff is Salt's diff of lines without line ends: its own lines joined by new ones.
func joinedDiff(a, b []string) string {
	end := func(l []string) []string {
		out := make([]string, len(l))
		for i, s := range l {
			out[i] = s + "\x00"
		}
		return out
	}
	d := pydiff.Unified(end(a), end(b), "", "", 3)
	if d == "" {
		return ""
	}
	var out []string
	for _, part := range strings.SplitAfter(d, "\n") {
		for _, line := range strings.Split(part, "\x00") {
			if line != "" {
				out = append(out, line)
			}
		}
	}
	return strings.Join(out, "\n")
}

// ended are lines with their ends.
func ended(lines []string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = l + "\n"
	}
	return out
}
