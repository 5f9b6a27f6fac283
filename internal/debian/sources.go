package debian

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/lazyre"
)

// A Source is a line of a sources.list(5) file.
type Source struct {
	File          string // the file that it is in, as the machine names it
	Line          string // as it was read
	Invalid       bool   // it is no source: a comment, an empty line, what apt would refuse
	Disabled      bool
	Type          string // deb or deb-src
	URI           string
	Dist          string
	Comps         []string
	Architectures []string
	SignedBy      string
	Comment       string
}

// SourcesFile is where sources go that name no file.
const SourcesFile = "/etc/apt/sources.list"

var cdrom = lazyre.New(`^(.*)(cdrom:.*/)(.*)$`)

// ParseSource reads a line.
func ParseSource(line, file string) *Source {
	if file == "" {
		file = SourcesFile
	}
	s := &Source{File: file, Line: line, Invalid: true}
	rest := strings.TrimSpace(line)
	if rest == "" {
		return s
	}
	if rest[0] == '#' {
		s.Disabled = true
		rest = rest[1:]
	}
	if i := strings.IndexByte(rest, '#'); i > 0 {
		s.Comment, rest = rest[i+1:], rest[:i]
	}
	rest = strings.TrimSpace(rest)
	words := strings.Fields(rest)
	if m := cdrom.FindStringSubmatch(rest); m != nil {
		words = append(append(strings.Fields(m[1]), strings.TrimSpace(m[2])), strings.Fields(m[3])...)
	}
	if len(words) < 3 || !slices.Contains([]string{"deb", "deb-src", "rpm", "rpm-src"}, words[0]) {
		return s
	}
	s.Type, words = words[0], words[1:]
	if strings.HasPrefix(words[0], "[") {
		end := slices.IndexFunc(words, func(w string) bool { return strings.HasSuffix(w, "]") })
		if end < 0 {
			return s
		}
		for _, o := range s.options() {
			key, value, _ := strings.Cut(o, "=")
			switch {
			case strings.HasPrefix(key, "arch"):
				s.Architectures = append(s.Architectures, strings.Split(value, ",")...)
			case strings.HasPrefix(key, "signed-by"):
				s.SignedBy = value
			}
		}
		words = words[end+1:]
	}
	if len(words) < 2 {
		return s
	}
	s.Invalid = false
	s.URI, s.Dist, s.Comps = words[0], words[1], words[2:]
	return s
}

var optionList = lazyre.New(`\[(.*=.*?)\]`)

// options are those of the line as it was read: arch=amd64, signed-by=/a.gpg.
func (s *Source) options() []string {
	m := optionList.FindStringSubmatch(s.Line)
	if m == nil {
		return nil
	}
	return strings.Fields(strings.Trim(m[1], "[]"))
}

// String is the line as it is written, with its end.
func (s *Source) String() string {
	if s.Invalid {
		if !strings.HasSuffix(s.Line, "\n") {
			return s.Line + "\n"
		}
		return s.Line
	}
	var parts []string
	if s.Disabled {
		parts = append(parts, "#")
	}
	parts = append(parts, s.Type)
	options := s.options()
	set := func(prefix, option string) {
		i := slices.IndexFunc(options, func(o string) bool { return strings.HasPrefix(o, prefix) })
		if i >= 0 {
			options[i] = option
		} else {
			options = append(options, option)
		}
	}
	if len(s.Architectures) > 0 {
		set("arch", "arch="+strings.Join(s.Architectures, ","))
	}
	if s.SignedBy != "" {
		set("signed-by", "signed-by="+s.SignedBy)
	}
	if len(options) > 0 {
		parts = append(parts, "["+strings.Join(options, " ")+"]")
	}
	parts = append(parts, s.URI, s.Dist, strings.Join(s.Comps, " "))
	if s.Comment != "" {
		parts = append(parts, "#"+s.Comment)
	}
	return strings.Join(parts, " ") + "\n"
}

// ReadSources reads all sources of a machine: sources.list, then the *.list files of
// sources.list.d by name. path finds a file of the machine.
func ReadSources(path func(string) string) ([]*Source, error) {
	files := []string{SourcesFile}
	entries, err := os.ReadDir(path("/etc/apt/sources.list.d"))
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".list") {
			files = append(files, filepath.Join("/etc/apt/sources.list.d", e.Name()))
		}
	}
	var all []*Source
	for _, file := range files {
		text, err := os.ReadFile(path(file))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(text)) {
			all = append(all, ParseSource(line, file))
		}
	}
	return all, nil
}
