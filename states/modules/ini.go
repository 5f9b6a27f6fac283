package modules

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/inifile"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("ini.options_present", iniOptionsPresent)
	register("ini.options_absent", iniOptionsAbsent)
	register("ini.sections_present", iniSectionsPresent)
	register("ini.sections_absent", iniSectionsAbsent)
}

// iniFile is a file as it is, and as it is to become.
type iniFile struct {
	c        *states.Call
	name     string
	encoding string
	now      *inifile.Section
	next     *inifile.Section
}

func openIni(c *states.Call, name, separator, encoding string, noSpaces bool) (*iniFile, error) {
	b, err := os.ReadFile(c.Host.Path(name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, module.Failf("Unable to open file '%s'. Exception: %w", name, err)
	}
	text, ok, err := host.Text(b, encoding)
	if err != nil {
		return nil, module.Invalidf("encoding: %w", err)
	}
	if !ok {
		return nil, module.Failf("Unable to open file '%s': its text is not in the encoding %s", name, encodingOr(encoding))
	}
	o := inifile.Options{Separator: separator, NoSpaces: noSpaces}
	return &iniFile{c, name, encoding, inifile.Parse(text, o), inifile.Parse(text, o)}, nil
}

func encodingOr(name string) string {
	if name == "" {
		return "utf-8"
	}
	return name
}

// plan is what leads to the file as it is to become. would is the comment under test=True.
func (f *iniFile) plan(changes *wire.Map, would string) *states.Plan {
	p := &states.Plan{Fine: "No anomaly detected", Did: "Changes take effect", Would: would}
	if f.c.Test {
		p.Fine = would
	}
	if changes.Len() == 0 {
		return p
	}
	// Salt tells no changes under test=True.
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		b, err := host.Encode(f.next.String(), encodingOr(f.encoding), "strict")
		if err != nil {
			return err
		}
		if err := f.c.Host.ReplaceLinked(f.name, host.Keep, f.c.Umask, func(w io.Writer) error {
			_, err := w.Write(b)
			return err
		}); err != nil {
			return module.Failf("Unable to write file '%s'. Exception: %w", f.name, err)
		}
		r.SetChanges(changes)
		return nil
	})
	return p
}

type iniOptionsArgs struct {
	Name      string    // Path of the file. It is made where it is not there.
	Sections  *wire.Map `default:"None"`  // Sections, each with a map of options; options that are in no section stand beside them.
	Separator string    `default:"="`     // What stands between an option and its value.
	Strict    bool      `default:"False"` // Remove the other options of these sections, and those that are in no section.
	Encoding  string    `default:"None"`  // Encoding of the file: UTF-8.
	NoSpaces  bool      `default:"False"` // Write no spaces around the separator, in the whole file.
}

// iniOptionsPresent sets options of an ini file and leaves the others as they are.
func iniOptionsPresent(ctx context.Context, c *states.Call, a iniOptionsArgs) (*states.Plan, error) {
	f, err := openIni(c, a.Name, a.Separator, a.Encoding, a.NoSpaces)
	if err != nil {
		return nil, err
	}
	var would strings.Builder
	changes, options := wire.NewMap(), wire.NewMap()
	current := f.now.Map()
	for k, v := range a.Sections.Strings() {
		if _, ok := v.(*wire.Map); !ok {
			options.Set(k, v)
			word := "Changed"
			if old, ok := current.Get(k); ok && pytext.Str(old) == pytext.Str(v) {
				word = "Unchanged"
			}
			fmt.Fprintf(&would, "%s key %s.\n", word, k)
		}
	}
	for k, v := range f.next.Set(options).Strings() {
		changes.Set(k, v)
	}
	if a.Strict && a.Sections.Len() > 0 {
		for k, old := range current.Strings() {
			if _, ok := old.(*wire.Map); ok || options.Has(k) {
				continue
			}
			fmt.Fprintf(&would, "Removed key %s.\n", k)
			f.next.Remove("", k)
			changes.Set(k, wire.NewMap("before", old, "after", nil))
		}
	}
	for name, v := range a.Sections.Strings() {
		body, ok := v.(*wire.Map)
		if !ok {
			continue
		}
		in := ""
		if name != "" {
			in = " in section " + name
		}
		old, _ := get(current, name).(*wire.Map)
		told := wire.NewMap()
		if a.Strict {
			for k, was := range old.Strings() {
				if body.Has(k) {
					continue
				}
				fmt.Fprintf(&would, "Deleted key %s%s.\n", k, in)
				f.next.Remove(name, k)
				told.Set(k, wire.NewMap("before", was, "after", nil))
			}
		}
		for k, v := range body.Strings() {
			word := "Changed"
			if was, ok := old.Get(k); ok && pytext.Str(was) == pytext.Str(v) {
				word = "Unchanged"
			}
			fmt.Fprintf(&would, "%s key %s%s.\n", word, k, in)
		}
		updated, _ := get(f.next.Set(wire.NewMap(name, body)), name).(*wire.Map)
		for k, v := range updated.Strings() {
			told.Set(k, v)
		}
		if told.Len() > 0 {
			changes.Set(name, told)
		}
	}
	return f.plan(changes, would.String()), nil
}

type iniAbsentArgs struct {
	Name      string    // Path of the file.
	Sections  *wire.Map `default:"None"` // Sections, each with a list of options; a name without a list is an option that is in no section.
	Separator string    `default:"="`    // What stands between an option and its value.
	Encoding  string    `default:"None"` // Encoding of the file: UTF-8.
}

// iniOptionsAbsent removes options from an ini file.
func iniOptionsAbsent(ctx context.Context, c *states.Call, a iniAbsentArgs) (*states.Plan, error) {
	f, err := openIni(c, a.Name, a.Separator, a.Encoding, false)
	if err != nil {
		return nil, err
	}
	var would strings.Builder
	changes := wire.NewMap()
	for section, v := range a.Sections.Strings() {
		list, ok := v.([]any)
		m, isOption := f.now.Section(section)
		if s, isText := v.(string); isText && m != nil {
			list, ok = []any{s}, true
		}
		if !ok {
			old := f.now.Get("", section)
			if !isOption || !module.Truth(old) {
				fmt.Fprintf(&would, "Key %s does not exist.\n", section)
				continue
			}
			fmt.Fprintf(&would, "Deleted key %s.\n", section)
			f.next.Remove("", section)
			changes.Set(section, old)
			continue
		}
		in := ""
		if section != "" {
			in = " in section " + section
		}
		told := wire.NewMap()
		for _, o := range list {
			key := pytext.Str(o)
			old := f.now.Get(section, key)
			if !module.Truth(old) {
				fmt.Fprintf(&would, "Key %s%s does not exist.\n", key, in)
				continue
			}
			fmt.Fprintf(&would, "Deleted key %s%s.\n", key, in)
			f.next.Remove(section, key)
			told.Set(key, old)
		}
		if told.Len() > 0 {
			changes.Set(section, told)
		}
	}
	return f.plan(changes, orNone(would.String())), nil
}

func orNone(s string) string {
	if s == "" {
		return "No changes detected."
	}
	return s
}

type iniSectionsArgs struct {
	Name      string // Path of the file.
	Sections  any    `default:"None"` // A list of names of sections.
	Separator string `default:"="`    // What stands between an option and its value.
	Encoding  string `default:"None"` // Encoding of the file: UTF-8.
}

// names are the sections that are meant.
func (a iniSectionsArgs) names() ([]string, error) {
	if m, ok := a.Sections.(*wire.Map); ok {
		var out []string
		for k := range m.Strings() {
			out = append(out, k)
		}
		return out, nil
	}
	return textOrList(a.Sections)
}

// iniSectionsPresent makes sections of an ini file, without options.
func iniSectionsPresent(ctx context.Context, c *states.Call, a iniSectionsArgs) (*states.Plan, error) {
	names, err := a.names()
	if err != nil {
		return nil, err
	}
	f, err := openIni(c, a.Name, a.Separator, a.Encoding, false)
	if err != nil {
		return nil, err
	}
	var would strings.Builder
	changes := wire.NewMap()
	for _, name := range names {
		if m, _ := f.now.Section(name); m != nil {
			fmt.Fprintf(&would, "Section unchanged %s.\n", name)
			continue
		}
		fmt.Fprintf(&would, "Created new section %s.\n", name)
		for k, v := range f.next.Set(wire.NewMap(name, wire.NewMap())).Strings() {
			changes.Set(k, v)
		}
	}
	return f.plan(changes, orNone(would.String())), nil
}

// iniSectionsAbsent removes sections from an ini file, with their options.
func iniSectionsAbsent(ctx context.Context, c *states.Call, a iniSectionsArgs) (*states.Plan, error) {
	names, err := a.names()
	if err != nil {
		return nil, err
	}
	f, err := openIni(c, a.Name, a.Separator, a.Encoding, false)
	if err != nil {
		return nil, err
	}
	var would strings.Builder
	changes := wire.NewMap()
	for _, name := range names {
		old := f.next.RemoveSection(name)
		if old == nil {
			fmt.Fprintf(&would, "Section %s does not exist.\n", name)
			continue
		}
		fmt.Fprintf(&would, "Deleted section %s.\n", name)
		changes.Set(name, old)
	}
	return f.plan(changes, orNone(would.String())), nil
}
