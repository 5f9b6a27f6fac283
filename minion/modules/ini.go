package modules

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/inifile"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("ini.set_option", iniSetOption)
	register("ini.get_option", iniGetOption)
	register("ini.remove_option", iniRemoveOption)
	register("ini.get_section", iniGetSection)
	register("ini.remove_section", iniRemoveSection)
	register("ini.get_ini", iniGetIni)
}

// readIni reads a file; one that is not there is empty.
func readIni(c *module.Call, name, separator, encoding string, noSpaces bool) (*inifile.Section, string, error) {
	b, err := os.ReadFile(c.Host.Path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return inifile.Parse("", inifile.Options{Separator: separator, NoSpaces: noSpaces}), "\x00", nil
	}
	if err != nil {
		return nil, "", module.Failf("Unable to open file '%s'. Exception: %w", name, err)
	}
	text, ok, err := host.Text(b, encoding)
	switch {
	case err != nil:
		return nil, "", module.Invalidf("encoding: %w", err)
	case !ok:
		return nil, "", module.Failf("Unable to open file '%s': its text is not %s; name its encoding", name, encodingName(encoding))
	}
	return inifile.Parse(text, inifile.Options{Separator: separator, NoSpaces: noSpaces}), text, nil
}

func encodingName(encoding string) string {
	if encoding == "" {
		return "UTF-8"
	}
	return encoding
}

// writeIni writes a file, unless it is so already. old is its text.
func writeIni(c *module.Call, name, encoding, old string, f *inifile.Section) error {
	text := f.String()
	if text == old {
		return nil
	}
	b := []byte(text)
	if e := strings.ToLower(strings.ReplaceAll(encoding, "_", "-")); e != "" && e != "utf-8" && e != "utf8" {
		var err error
		if b, err = host.Encode(text, e, "strict"); err != nil {
			return module.Failf("Unable to write file '%s': %w", name, err)
		}
	}
	if err := replaceFile(c, name, b); err != nil {
		return module.Failf("Unable to write file '%s'. Exception: %w", name, err)
	}
	return nil
}

type iniSetArgs struct {
	FileName  string    // Path of the file.
	Sections  *wire.Map `default:"None"`  // Sections, each with a map of options; options that are in no section stand beside them.
	Separator string    `default:"="`     // What stands between an option and its value.
	Encoding  string    `default:"None"`  // Encoding of the file: UTF-8.
	NoSpaces  bool      `default:"False"` // Write no spaces around the separator, in the whole file.
}

// iniSetOption sets options of an ini file and returns what changed. A file that is not
// there is made.
//
//	gosalt '*' ini.set_option /path/to/ini '{section_foo: {key: value}}'
func iniSetOption(ctx context.Context, c *module.Call, a iniSetArgs) (*wire.Map, error) {
	f, old, err := readIni(c, a.FileName, a.Separator, a.Encoding, a.NoSpaces)
	if err != nil {
		return nil, err
	}
	changes := f.Set(a.Sections)
	return changes, writeIni(c, a.FileName, a.Encoding, old, f)
}

type iniOptionArgs struct {
	FileName  string // Path of the file.
	Section   string // Name of the section; empty for options that are in none.
	Option    string // Name of the option.
	Separator string `default:"="`    // What stands between an option and its value.
	Encoding  string `default:"None"` // Encoding of the file: UTF-8.
}

// iniGetOption returns the value of an option of an ini file, None where there is none.
//
//	gosalt '*' ini.get_option /path/to/ini section_name option_name
func iniGetOption(ctx context.Context, c *module.Call, a iniOptionArgs) (any, error) {
	f, _, err := readIni(c, a.FileName, a.Separator, a.Encoding, false)
	if err != nil {
		return nil, err
	}
	return f.Get(a.Section, a.Option), nil
}

// iniRemoveOption removes an option from an ini file and returns its value, None where
// there is none.
//
//	gosalt '*' ini.remove_option /path/to/ini section_name option_name
func iniRemoveOption(ctx context.Context, c *module.Call, a iniOptionArgs) (any, error) {
	f, old, err := readIni(c, a.FileName, a.Separator, a.Encoding, false)
	if err != nil {
		return nil, err
	}
	v := f.Remove(a.Section, a.Option)
	return v, writeIni(c, a.FileName, a.Encoding, old, f)
}

type iniSectionArgs struct {
	FileName  string // Path of the file.
	Section   string // Name of the section.
	Separator string `default:"="`    // What stands between an option and its value.
	Encoding  string `default:"None"` // Encoding of the file: UTF-8.
}

// iniGetSection returns a section of an ini file as a map, an empty one where there is none.
//
//	gosalt '*' ini.get_section /path/to/ini section_name
func iniGetSection(ctx context.Context, c *module.Call, a iniSectionArgs) (*wire.Map, error) {
	f, _, err := readIni(c, a.FileName, a.Separator, a.Encoding, false)
	if err != nil {
		return nil, err
	}
	m, text := f.Section(a.Section)
	if text {
		return nil, module.Failf("%s is an option, and no section", pytext.Repr(a.Section))
	}
	if m == nil {
		m = wire.NewMap()
	}
	return m, nil
}

// iniRemoveSection removes a section from an ini file and returns it, None where there is
// none.
//
//	gosalt '*' ini.remove_section /path/to/ini section_name
func iniRemoveSection(ctx context.Context, c *module.Call, a iniSectionArgs) (any, error) {
	f, old, err := readIni(c, a.FileName, a.Separator, a.Encoding, false)
	if err != nil {
		return nil, err
	}
	m := f.RemoveSection(a.Section)
	if m == nil {
		return nil, nil
	}
	return m, writeIni(c, a.FileName, a.Encoding, old, f)
}

type iniFileArgs struct {
	FileName  string // Path of the file.
	Separator string `default:"="`    // What stands between an option and its value.
	Encoding  string `default:"None"` // Encoding of the file: UTF-8.
}

// iniGetIni returns an ini file as a map of its sections and options.
//
//	gosalt '*' ini.get_ini /path/to/ini
func iniGetIni(ctx context.Context, c *module.Call, a iniFileArgs) (*wire.Map, error) {
	f, _, err := readIni(c, a.FileName, a.Separator, a.Encoding, false)
	if err != nil {
		return nil, err
	}
	return f.Map(), nil
}

// replaceFile puts new contents in the place of a file, or of the one that a link leads to.
func replaceFile(c *module.Call, name string, b []byte) error {
	return c.Host.ReplaceLinked(name, host.Keep, -1, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
}
