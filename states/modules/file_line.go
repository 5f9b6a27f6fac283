package modules

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/textedit"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("file.line", fileLine)
	register("file.keyvalue", fileKeyvalue)
	register("file.blockreplace", fileBlockreplace)
}

// changedHere is the plan of an edit by an execution function: dry makes the diff of what
// it would do, real has it done. Salt calls both the same.
func changedHere(ctx context.Context, p *states.Plan, dry, real func(context.Context) (any, error)) error {
	p.Fine, p.Would, p.Did = "No changes needed to be made", "Changes would be made", "Changes were made"
	diff, err := dry(ctx)
	if err != nil || !module.Truth(diff) {
		return err
	}
	p.Do(wire.NewMap("diff", diff), func(ctx context.Context, r *states.Result) error {
		got, err := real(ctx)
		if err == nil && module.Truth(got) {
			r.Change("diff", got)
		}
		return err
	})
	return nil
}

type fileLineArgs struct {
	Name        string // Path of the file.
	Content     any    `default:"None"`  // The line; needless to delete.
	Match       any    `default:"None"`  // A text or an expression of the line to replace or delete; content where it is None.
	Mode        string `default:"None"`  // ensure, insert, replace or delete.
	Location    any    `default:"None"`  // To insert: start or end.
	Before      any    `default:"None"`  // To insert or ensure: a text or an expression of the line that follows.
	After       any    `default:"None"`  // To insert or ensure: a text or an expression of the line before.
	ShowChanges bool   `default:"True"`  // Show the difference.
	Backup      any    `default:"False"` // Keep a copy, with the time behind its name.
	Quiet       bool   `default:"False"` // No error where the file cannot be edited.
	Indent      bool   `default:"True"`  // The line is indented as its neighbour is.
	Create      bool   `default:"False"` // Make the file, empty, where there is none.
	User        any    `default:"None"`  // Owner, by name or number.
	Group       any    `default:"None"`  // Group, by name or number.
	FileMode    any    `default:"None"`  // Permissions in octal.
}

// fileLine puts a single line into a file, replaces it or deletes it.
func fileLine(ctx context.Context, c *states.Call, a fileLineArgs) (*states.Plan, error) {
	name := expandUser(c, a.Name)
	p := &states.Plan{Name: name}
	if name == "" {
		return nil, module.Failf("Must provide name to file.line")
	}
	// What file.managed has against it is not told, as in Salt.
	perms, err := fileManaged(ctx, c, fileManagedArgs{Name: name, Create: a.Create, User: a.User, Group: a.Group, Mode: a.FileMode, Newline: true,
		ShowChanges: true, FollowSymlinks: true, Kwargs: wire.NewMap()})
	prepare := err == nil && perms.Decision() == nil && !perms.Empty()
	made := prepare && a.Create && !c.Host.Exists(name) && c.Host.IsDir(filepath.Dir(name))
	prepare = prepare && !c.Test
	if !made {
		if _, err := thereAs(c, "file.line", name); err != nil {
			return p, err
		}
	}
	mode := strings.ToLower(a.Mode)
	switch {
	case mode == "":
		return p, module.Failf("Mode was not defined. How to process the file?")
	case mode != "delete" && a.Content == nil:
		return p, module.Failf("Content can only be empty if mode is ['delete']")
	}
	if prepare {
		p.Do(nil, func(ctx context.Context, _ *states.Result) error {
			states.Settle(ctx, perms, false)
			return nil
		})
	}
	path := name
	edit := func(call *module.Call) func(context.Context) (any, error) {
		return func(ctx context.Context) (any, error) {
			return call.Call(ctx, "file.line", args(path, a.Content), wire.NewMap("match", a.Match, "mode", mode, "location", a.Location, "before", a.Before,
				"after", a.After, "show_changes", a.ShowChanges, "backup", a.Backup, "quiet", a.Quiet, "indent", a.Indent))
		}
	}
	if made && c.Test { // the empty file that the run would make is one of our own
		tmp, err := os.CreateTemp("", "gosalt-")
		if err != nil {
			return p, err
		}
		defer os.Remove(tmp.Name())
		tmp.Close()
		path = tmp.Name()
		diff, err := edit(dry(c))(ctx)
		if err != nil {
			return p, err
		}
		would := wire.NewMap()
		if module.Truth(diff) {
			would.Set("diff", diff)
		}
		p.Would = "Changes would be made"
		p.Do(would, func(ctx context.Context, _ *states.Result) error {
			path = name
			states.Settle(ctx, perms, false)
			_, err := edit(wet(c))(ctx)
			return err
		})
		return p, nil
	}
	if made {
		p.Did = "Changes were made"
		p.Do(nil, func(ctx context.Context, r *states.Result) error {
			diff, err := edit(wet(c))(ctx)
			switch {
			case err == nil && module.Truth(diff):
				r.Change("diff", diff)
			case err == nil:
				r.Comment = "No changes needed to be made"
			}
			return err
		})
		return p, nil
	}
	nothing := p.Empty()
	err = changedHere(ctx, p, edit(dry(c)), edit(wet(c)))
	if p.Changes().Len() == 0 && !nothing {
		p.Did = p.Fine
	}
	return p, err
}

type fileKeyvalueArgs struct {
	Name             string // Path of the file.
	Key              any    `default:"None"`  // The key, with value.
	Value            any    `default:"None"`  // Its value.
	KeyValues        any    `default:"None"`  // Several keys and their values, a map.
	Separator        string `default:"="`     // What stands between a key and its value.
	AppendIfNotFound bool   `default:"False"` // Add the keys that are not there at the end.
	// Add the keys that are not there at the beginning.
	PrependIfNotFound bool    `default:"False"`
	SearchOnly        bool    `default:"False"` // Without effect, as in Salt.
	ShowChanges       bool    `default:"True"`  // Show the difference.
	IgnoreIfMissing   bool    `default:"False"` // A file that is not there is fine.
	Count             int64   `default:"1"`     // How often a key may be there; more are removed. Below 0 all get the value.
	Uncomment         *string `default:"None"`  // Characters that are taken off the beginning of a line before it is looked at: '# '. None takes spaces off.
	KeyIgnoreCase     bool    `default:"False"` // Upper and lower case are the same in keys.
	ValueIgnoreCase   bool    `default:"False"` // Upper and lower case are the same in values.
}

// fileKeyvalue makes keys of a file have values, in lines such as key=value.
func fileKeyvalue(_ context.Context, c *states.Call, a fileKeyvalueArgs) (*states.Plan, error) {
	name := expandUser(c, a.Name)
	p := &states.Plan{Name: name}
	if name == "" {
		return nil, module.Failf("Must provide name to file.keyvalue")
	}
	pairs, isMap := a.KeyValues.(*wire.Map)
	switch {
	case a.Key != nil && a.Value != nil && isMap:
		return p, module.Failf("file.keyvalue can not combine key_values with key and value")
	case a.Key != nil && a.Value != nil:
		pairs = wire.NewMap(pytext.Str(a.Key), a.Value)
	case !module.Truth(a.KeyValues):
		return p, module.Failf("file.keyvalue key and value not supplied and key_values is empty")
	case !isMap:
		return p, module.Failf("file.keyvalue key and value not supplied and key_values is not a dictionary")
	}
	old, err := readText(c, name)
	if err != nil {
		if a.IgnoreIfMissing {
			p.Fine = "unable to open " + name
			return p, nil
		}
		return p, module.Failf("unable to open %s", name)
	}
	e := &keyValues{a: &a, left: map[string]int64{}}
	for k, v := range pairs.All() {
		e.keys = append(e.keys, keyValue{pytext.Str(k), v})
		e.left[pytext.Str(k)] = a.Count
	}
	for _, line := range textedit.SplitLines(old) {
		e.content = append(e.content, e.line(line))
	}
	e.missing()
	if e.changes == 0 {
		return p, nil
	}
	p.Did = fmt.Sprintf("Changed %d lines", e.changes)
	p.Would = fmt.Sprintf("File %s is set to be changed (%d lines)", name, e.changes)
	changes := wire.NewMap()
	if a.ShowChanges {
		p.Would += "\nPredicted diff:\n\r\t\t" + strings.Join(e.diff, "\r\t\t")
		changes.Set("diff", strings.Join(e.diff, ""))
	}
	p.Do(changes, func(context.Context, *states.Result) error {
		err := c.Host.ReplaceLinked(name, host.Keep, c.Umask, writeString(strings.Join(e.content, "")))
		if err != nil {
			return module.Failf("%s not writable", name)
		}
		return nil
	})
	return p, nil
}

type keyValue struct {
	key   string
	value any
}

// keyValues is one call of file.keyvalue.
type keyValues struct {
	a       *fileKeyvalueArgs
	keys    []keyValue
	left    map[string]int64 // how often a key may still be there
	content []string
	diff    []string
	changes int
}

// bare is a line without what uncomment takes off its beginning.
func (e *keyValues) bare(line string) string {
	if e.a.Uncomment == nil {
		return strings.TrimLeftFunc(line, unicode.IsSpace)
	}
	return strings.TrimLeft(line, *e.a.Uncomment)
}

// line is what becomes of a line.
func (e *keyValues) line(line string) string {
	test := e.bare(line)
	uncommented := len(line) > len(test)
	if e.a.KeyIgnoreCase {
		test = strings.ToLower(test)
	}
	for _, kv := range e.keys {
		key := kv.key
		if e.a.KeyIgnoreCase {
			key = strings.ToLower(key)
		}
		if !strings.HasPrefix(test, key) {
			continue
		}
		working := line
		if uncommented {
			working = e.bare(line)
		}
		lineKey, value, ok := strings.Cut(working, e.a.Separator)
		if !ok || lineKey != key && (!e.a.KeyIgnoreCase || strings.ToLower(lineKey) != key) {
			continue
		}
		value, want := strings.TrimSpace(value), strings.TrimSpace(pytext.Str(kv.value))
		if e.a.ValueIgnoreCase {
			value, want = strings.ToLower(value), strings.ToLower(want)
		}
		match, change := value == want, false
		switch left := e.left[kv.key]; {
		case uncommented && left > 0:
			change = true
		case uncommented:
			match = true
		default:
			change = left == 0
		}
		if !match || change {
			line = e.change(line, lineKey, kv)
		}
		if e.left[kv.key] > 0 {
			e.left[kv.key]--
		}
	}
	return line
}

// change replaces a line, or drops it when its key has been there often enough.
func (e *keyValues) change(old, key string, kv keyValue) string {
	e.diff = append(e.diff, "- "+old)
	e.changes++
	if e.left[kv.key] == 0 {
		return ""
	}
	line := key + e.a.Separator + pytext.Str(kv.value) + "\n"
	if _, ok := kv.value.(string); ok {
		e.diff = append(e.diff, "+ "+line)
	} else {
		e.diff = append(e.diff, fmt.Sprintf("+ %s (from %s type)\n", strings.TrimRightFunc(line, unicode.IsSpace), pytext.TypeName(kv.value)))
	}
	return line
}

// missing adds the keys that were not found.
func (e *keyValues) missing() {
	if !e.a.AppendIfNotFound && !e.a.PrependIfNotFound {
		return
	}
	var added []string
	for _, kv := range e.keys {
		if e.left[kv.key] <= 0 {
			continue
		}
		added = append(added, kv.key+e.a.Separator+pytext.Str(kv.value)+"\n")
	}
	if len(added) == 0 {
		return
	}
	e.changes += len(added)
	if e.a.AppendIfNotFound {
		e.content = append(e.content, added...)
		e.diff = append(e.diff, "- <EOF>\n")
		for _, l := range added {
			e.diff = append(e.diff, "+ "+l)
		}
		e.diff = append(e.diff, "+ <EOF>\n")
		return
	}
	head, front := []string{"  <SOF>\n"}, []string{}
	for i := len(added) - 1; i >= 0; i-- { // the last one is the first line
		front = append(front, added[i])
		head = append(head, "+ "+added[i])
	}
	e.content, e.diff = append(front, e.content...), append(head, e.diff...)
}

type fileBlockreplaceArgs struct {
	Name             string // Path of the file.
	MarkerStart      string `default:"#-- start managed zone --"` // What the line has that begins the block.
	MarkerEnd        string `default:"#-- end managed zone --"`   // What the line has that ends it.
	Source           any    `default:"None"`                      // Template whose text is put behind content.
	SourceHash       any    `default:"None"`                      // Hash of the source.
	Template         string `default:"jinja"`                     // How sources are rendered.
	Sources          any    `default:"None"`                      // Several sources.
	SourceHashes     any    `default:"None"`                      // Their hashes.
	Defaults         any    `default:"None"`                      // Values for the templates.
	Context          any    `default:"None"`                      // Values for the templates, over the defaults.
	Content          string `default:""`                          // What is to be between the markers.
	AppendIfNotFound bool   `default:"False"`                     // Add the block at the end where there are no markers.
	// Add the block at the beginning where there are no markers.
	PrependIfNotFound bool `default:"False"`
	Backup            any  `default:".bak"` // End of the name of a copy of the old file; False for none.
	ShowChanges       bool `default:"True"` // Show the difference.
	AppendNewline     any  `default:"None"` // A line break behind the content; None: where it has none.
	InsertBeforeMatch any  `default:"None"` // Where there are no markers: before the first line that this expression matches.
	InsertAfterMatch  any  `default:"None"` // Likewise, behind it.
}

// fileBlockreplace keeps a block of a file, between two marked lines, as it should be.
// Texts of file.accumulated are put behind its content.
func fileBlockreplace(ctx context.Context, c *states.Call, a fileBlockreplaceArgs) (*states.Plan, error) {
	name := expandUser(c, a.Name)
	p := &states.Plan{Name: name}
	if name == "" {
		return nil, module.Failf("Must provide name to file.blockreplace")
	}
	sources, err := oneOrMore(a.Source, a.Sources, a.SourceHash, a.SourceHashes)
	if err != nil {
		return p, err
	}
	if _, err := thereAs(c, "file.blockreplace", name); err != nil {
		return p, err
	}
	content := a.Content
	for _, t := range accumulatedFor(c, name) {
		if content == "" {
			content = t
		} else {
			content += "\n" + t
		}
	}
	if len(sources) > 0 {
		texts, at, err := sourceTexts(ctx, c, sources, a.Template, a.Defaults, a.Context)
		if err != nil {
			if at != "" && !strings.HasPrefix(message(err), "Jinja ") { // a template that fails is this state's
				p.Name = at
			}
			return p, err
		}
		content += strings.Join(texts, "")
	}
	edit := func(dry bool) func(context.Context) (any, error) {
		return func(ctx context.Context) (any, error) {
			v, err := c.Call.Call(ctx, "file.blockreplace", args(name, a.MarkerStart, a.MarkerEnd), wire.NewMap("content", content, "append_if_not_found", a.AppendIfNotFound,
				"prepend_if_not_found", a.PrependIfNotFound, "insert_before_match", a.InsertBeforeMatch, "insert_after_match", a.InsertAfterMatch,
				"backup", a.Backup, "dry_run", dry, "show_changes", a.ShowChanges, "append_newline", a.AppendNewline))
			if err != nil {
				err = fmt.Errorf("Encountered error managing block: %s. See the log for details.", message(err)) //lint:ignore ST1005 Salt's words
			}
			return v, err
		}
	}
	return p, changedHere(ctx, p, edit(true), edit(false))
}

// oneOrMore are the sources of the arguments source and sources, which exclude each other.
func oneOrMore(source, sources, hash, hashes any) ([]any, error) {
	all := listOf(sources)
	switch {
	case module.Truth(source) && len(all) > 0:
		return nil, module.Failf("source and sources are mutually exclusive")
	case module.Truth(hash) && len(listOf(hashes)) > 0:
		return nil, module.Failf("source_hash and source_hashes are mutually exclusive")
	case module.Truth(source):
		return []any{source}, nil
	}
	return all, nil
}

// readText reads a whole file of text.
func readText(c *states.Call, name string) (string, error) {
	f, err := c.Host.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.IsDir() {
		return "", errors.New("it is a directory")
	}
	b, large, err := readUpTo(f, maxText)
	switch {
	case err != nil:
		return "", err
	case large:
		return "", fmt.Errorf("it is larger than %d MB", maxText>>20)
	}
	return string(b), nil
}
