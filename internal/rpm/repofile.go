package rpm

import (
	"fmt"
	"strings"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// A RepoFile is a file that names repositories, as dnf and zypper have them: sections
// with options, read as Python's configparser does. Comments at its head belong to the
// file, later ones to the section that they are in.
type RepoFile struct {
	Header string // comments before the first section, each with its line's end
	// Repos has the options of each section, in the order of the file. "comments" is the
	// list of those in the section.
	Repos *wire.Map
}

// ErrNoSection is the error of a file that does not begin with a section.
type ErrNoSection struct {
	File string
	Line int
	Text string
}

func (e *ErrNoSection) Error() string {
	return fmt.Sprintf("File contains no section headers.\nfile: %s, line: %d\n%s", pytext.Repr(e.File), e.Line, pytext.Repr(e.Text))
}

// ParseRepoFile reads a file that names repositories. name is for errors. strict refuses
// sections and options that are there twice; else the last one counts.
func ParseRepoFile(name, text string, strict bool) (*RepoFile, error) {
	p := &repoParser{f: &RepoFile{Repos: wire.NewMap()}, file: name, strict: strict, sections: map[string]bool{}, options: map[string]bool{}}
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	lines := strings.SplitAfter(text, "\n")
	for i, line := range lines {
		if line == "" {
			break
		}
		if err := p.line(i+1, line); err != nil {
			return nil, err
		}
	}
	p.finish()
	if len(p.bad) > 0 {
		//lint:ignore ST1005 these are the words of configparser
		return nil, fmt.Errorf("Source contains parsing errors: %s%s", pytext.Repr(name), strings.Join(p.bad, ""))
	}
	p.comments(lines)
	return p.f, nil
}

type repoParser struct {
	f        *RepoFile
	file     string
	strict   bool
	section  *wire.Map
	name     string
	option   string
	values   []string
	indent   int // of the last line that was not a continuation
	sections map[string]bool
	options  map[string]bool
	bad      []string
}

func (p *repoParser) finish() {
	if p.option != "" {
		p.section.Set(p.option, strings.TrimRight(strings.Join(p.values, "\n"), " \t\r\n\v\f"))
	}
	p.option, p.values = "", nil
}

func (p *repoParser) line(n int, line string) error {
	value := strings.TrimSpace(line)
	comment := strings.HasPrefix(value, "#") || strings.HasPrefix(value, ";")
	if value == "" || comment {
		if !comment && p.option != "" {
			p.values = append(p.values, "") // may be in the middle of a value
		}
		return nil
	}
	indent := len(line) - len(strings.TrimLeft(line, " \t\v\f"))
	if p.option != "" && indent > p.indent {
		p.values = append(p.values, value)
		return nil
	}
	p.indent = indent
	if end := strings.LastIndexByte(value, ']'); value[0] == '[' && end > 1 {
		p.finish()
		p.name = value[1:end]
		if p.strict && p.sections[p.name] {
			//lint:ignore ST1005 these are the words of configparser
			return fmt.Errorf("While reading from %s [line %2d]: section %s already exists", pytext.Repr(p.file), n, pytext.Repr(p.name))
		}
		p.sections[p.name] = true
		if p.name == "DEFAULT" { // holds for the others, and is none
			p.section = wire.NewMap()
		} else if p.section = p.f.Repos.Map(p.name); p.section == nil {
			p.section = wire.NewMap()
			p.f.Repos.Set(p.name, p.section)
		}
		return nil
	}
	if p.section == nil {
		return &ErrNoSection{p.file, n, line}
	}
	p.finish()
	i := strings.IndexAny(value, "=:")
	key := ""
	if i >= 0 {
		key = strings.ToLower(strings.TrimSpace(value[:i]))
	}
	if key == "" {
		p.bad = append(p.bad, fmt.Sprintf("\n\t[line %2d]: %s", n, pytext.Repr(line)))
		return nil
	}
	if id := p.name + "\x00" + key; p.strict && p.options[id] {
		//lint:ignore ST1005 these are the words of configparser
		return fmt.Errorf("While reading from %s [line %2d]: option %s in section %s already exists", pytext.Repr(p.file), n, pytext.Repr(key), pytext.Repr(p.name))
	} else {
		p.options[id] = true
	}
	p.option, p.values = key, []string{strings.TrimSpace(value[i+1:])}
	return nil
}

// comments gives the comments to the head of the file and to the sections.
func (p *repoParser) comments(lines []string) {
	section, inside := "", false
	for _, line := range lines {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "#") && !inside:
			p.f.Header += line + "\n"
		case strings.HasPrefix(line, "#"):
			if s := p.f.Repos.Map(section); s != nil {
				s.Set("comments", append(s.List("comments"), any(strings.TrimLeft(line[1:], " \t"))))
			}
		case strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]"):
			section, inside = line[1:len(line)-1], true
		}
	}
}

// Comments are comments as they stand in a file, one a line. v is one of them or a list.
func Comments(v any) string {
	l, ok := v.([]any)
	if !ok {
		l = []any{v}
	}
	var b strings.Builder
	for _, e := range l {
		b.WriteString("# " + strings.TrimLeft(strings.TrimLeft(pytext.Str(e), "#"), " \t\r\n\v\f") + "\n")
	}
	return b.String()
}

// Value is an option's value as it stands in a file.
func Value(v any) string {
	switch v := v.(type) {
	case bool:
		if v {
			return "1"
		}
		return "0"
	case string:
		return strings.ReplaceAll(v, "\n", "\n ") // a line of a value is indented
	}
	return pytext.Str(v)
}
