// Package inifile reads, edits and writes files of sections and options as Salt's ini
// module does: comments, blank lines and lines that are no options stay where they are,
// and a commented option gives its place to the option that is set.
package inifile

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

var (
	heading  = lazyre.New(`(?m)^\s*\[(.+?)\]\s*$`)
	comment  = lazyre.New(`^\s*(#|;)\s*(.*)`)
	indented = lazyre.New(`^(\s+)(.*)`)
)

// Options say how a file is read and written.
type Options struct {
	Separator string // between name and value; "" is "="
	NoSpaces  bool   // write none around the separator
}

// Section is a section, or the whole of a file: entries in their order. Comments and what
// is not understood are entries whose names begin with "#".
type Section struct {
	name     string
	sep      string
	option   *regexp.Regexp
	noSpaces bool
	keys     []string
	values   map[string]any // text or *Section
}

func newSection(name, sep string, noSpaces bool) *Section {
	if sep == "" {
		sep = "="
	}
	return &Section{name: name, sep: sep, noSpaces: noSpaces, values: map[string]any{},
		option: regexp.MustCompile(`^(\s*)(.+?)\s*(` + regexp.QuoteMeta(sep) + `)\s*(.*)\s*`)}
}

// Parse reads a file.
func Parse(text string, o Options) *Section {
	f := newSection("", o.Separator, o.NoSpaces)
	text = strings.Join(pytext.SplitLines(text, false), "\n")
	if text == "" {
		return f
	}
	at := heading.FindAllStringSubmatchIndex(text, -1)
	end := func(i int) int {
		if i < len(at) {
			return at[i][0]
		}
		return len(text)
	}
	f.read(text[:end(0)])
	for i, m := range at {
		s := newSection(text[m[2]:m[3]], f.sep, false)
		s.read(text[m[1]:end(i+1)])
		f.update(s.name, s)
	}
	return f
}

// read takes the lines of a section.
func (s *Section) read(text string) {
	text = strings.Trim(text, "\n")
	if text == "" {
		return
	}
	comments, unknown, indent := 0, 0, ""
	for line := range strings.SplitSeq(text, "\n") {
		if comment.MatchString(line) {
			comments++
			s.update(fmt.Sprintf("#comment%d", comments), line)
			continue
		}
		if m := indented.FindStringSubmatch(line); m != nil {
			if strings.ReplaceAll(m[1], "\t", "    ") > indent {
				if len(s.keys) > 0 {
					last := s.keys[len(s.keys)-1]
					if old, ok := s.values[last].(string); ok {
						s.values[last] = old + "\n" + line
					}
				}
				continue
			}
		}
		if m := s.option.FindStringSubmatch(line); m != nil {
			indent = strings.ReplaceAll(m[1], "\t", "    ")
			s.update(m[2], m[4])
			continue
		}
		unknown++
		s.update(fmt.Sprintf("#unknown%d", unknown), line)
	}
}

func (s *Section) index(key string) int {
	for i, k := range s.keys {
		if k == key {
			return i
		}
	}
	return -1
}

// place makes room for a new option: where a comment has it, else at the end.
func (s *Section) place(key string) {
	for i, k := range s.keys {
		if !strings.Contains(k, "#comment") {
			continue
		}
		text, _ := s.values[k].(string)
		if m := s.option.FindStringSubmatch(strings.TrimLeft(text, "#")); m != nil && m[2] == key {
			delete(s.values, k)
			s.keys[i] = key
			return
		}
	}
	s.keys = append(s.keys, key)
}

// update sets one entry and returns what changed, nil for nothing.
func (s *Section) update(key string, v any) any {
	old, there := s.values[key]
	if sub, ok := v.(*Section); ok {
		if o, ok := old.(*Section); ok && there {
			changes := wire.NewMap()
			for _, k := range sub.keys {
				if c := o.update(k, sub.values[k]); c != nil {
					changes.Set(k, c)
				}
			}
			if changes.Len() == 0 {
				return nil
			}
			return changes
		}
		// What is kept is a copy that is written as the whole is.
		next := newSection(key, s.sep, s.noSpaces)
		for _, k := range sub.keys {
			next.update(k, sub.values[k])
		}
		var before any
		if there {
			before = old
		} else {
			s.keys = append(s.keys, key)
		}
		s.values[key] = next
		return wire.NewMap("before", before, "after", next.plain(true))
	}
	text := pytext.Str(v)
	switch o := old.(type) {
	case nil:
		s.place(key)
	case string:
		if o == text {
			return nil
		}
	case *Section:
		old = o.plain(true)
	}
	s.values[key] = text
	return wire.NewMap("before", old, "after", text)
}

// Set sets options, and those of sections: maps. It returns what changed.
func (s *Section) Set(m *wire.Map) *wire.Map {
	changes := wire.NewMap()
	for k, v := range m.All() {
		key := pytext.Str(k)
		if sub, ok := v.(*wire.Map); ok {
			v = fromMap(key, sub, s.sep, s.noSpaces)
		}
		if c := s.update(key, v); c != nil {
			changes.Set(key, c)
		}
	}
	return changes
}

func fromMap(name string, m *wire.Map, sep string, noSpaces bool) *Section {
	s := newSection(name, sep, noSpaces)
	s.Set(m)
	return s
}

// Get is the value of an option, of a section or of the top, nil where there is none.
func (s *Section) Get(section, option string) any {
	if section != "" {
		sub, ok := s.values[section].(*Section)
		if !ok {
			return nil
		}
		s = sub
	}
	switch v := s.values[option].(type) {
	case string:
		return v
	case *Section:
		return v.plain(true)
	}
	return nil
}

// Section is one section, nil where there is none. text tells that it is an option.
func (s *Section) Section(name string) (m *wire.Map, text bool) {
	switch v := s.values[name].(type) {
	case *Section:
		return v.plain(false), false
	case string:
		return nil, true
	}
	return nil, false
}

// Remove removes an option of a section, or of the top where there is no such section,
// and returns its value.
func (s *Section) Remove(section, option string) any {
	if sub, ok := s.values[section].(*Section); ok {
		s = sub
	}
	v := s.Get("", option)
	s.drop(option)
	return v
}

// RemoveSection removes a section and returns it, nil where there is none.
func (s *Section) RemoveSection(name string) *wire.Map {
	sub, ok := s.values[name].(*Section)
	if !ok {
		return nil
	}
	s.drop(name)
	return sub.plain(false)
}

func (s *Section) drop(key string) {
	if i := s.index(key); i >= 0 {
		s.keys = append(s.keys[:i], s.keys[i+1:]...)
		delete(s.values, key)
	}
}

// Map are the options and sections without comments.
func (s *Section) Map() *wire.Map { return s.plain(false) }

func (s *Section) plain(all bool) *wire.Map {
	m := wire.NewMap()
	for _, k := range s.keys {
		if !all && strings.HasPrefix(k, "#") {
			continue
		}
		switch v := s.values[k].(type) {
		case *Section:
			m.Set(k, v.plain(all))
		default:
			m.Set(k, v)
		}
	}
	return m
}

// String is the file.
func (s *Section) String() string {
	var b strings.Builder
	s.write(&b)
	return strings.TrimLeft(b.String(), "\n")
}

func (s *Section) write(b *strings.Builder) {
	sep := s.sep
	switch {
	case strings.Trim(sep, " ") == "":
		sep = " "
	case s.noSpaces:
		sep = strings.TrimSpace(sep)
	default:
		sep = " " + strings.TrimSpace(sep) + " "
	}
	var subs []*Section
	for _, k := range s.keys {
		switch v := s.values[k].(type) {
		case *Section:
			subs = append(subs, v)
		case string:
			if comment.MatchString(k) {
				b.WriteString(v + "\n")
			} else {
				b.WriteString(k + sep + v + "\n")
			}
		}
	}
	for _, sub := range subs {
		b.WriteString("\n[" + sub.name + "]\n")
		sub.write(b)
	}
}
