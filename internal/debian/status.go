package debian

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A Package is an entry of dpkg's status file.
type Package struct {
	Name    string
	Version string
	Arch    string
	Want    string // install, hold, deinstall, purge, unknown
	Flag    string // ok, reinstreq
	Status  string // installed, config-files, not-installed, half-installed, unpacked, half-configured, triggers-…
}

// maxLine bounds a line of a status file.
const maxLine = 1 << 20

// Status reads the packages that dpkg knows, in the order of the file. dir is
// /var/lib/dpkg, which may lie below another root. What a running dpkg has noted beside
// the file counts, as for dpkg-query. A machine without dpkg has none.
func Status(dir string) ([]Package, error) {
	all, err := readStatus(filepath.Join(dir, "status"))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, err
	}
	updates, err := os.ReadDir(filepath.Join(dir, "updates"))
	if err != nil {
		return all, nil
	}
	at := map[[2]string]int{}
	for i, p := range all {
		at[[2]string{p.Name, p.Arch}] = i
	}
	for _, u := range updates { // sorted: 0000, 0001 …
		if strings.Trim(u.Name(), "0123456789") != "" {
			continue
		}
		newer, err := readStatus(filepath.Join(dir, "updates", u.Name()))
		if err != nil {
			continue // dpkg has finished with it
		}
		for _, p := range newer {
			if i, ok := at[[2]string{p.Name, p.Arch}]; ok {
				all[i] = p
			} else {
				at[[2]string{p.Name, p.Arch}] = len(all)
				all = append(all, p)
			}
		}
	}
	return all, nil
}

func readStatus(name string) ([]Package, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all, err := ParseStatus(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return all, nil
}

// ParseStatus reads a status file.
func ParseStatus(r io.Reader) ([]Package, error) {
	var all []Package
	var p Package
	flush := func() {
		if p.Name != "" {
			all = append(all, p)
		}
		p = Package{}
	}
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 64<<10), maxLine)
	for s.Scan() {
		line := s.Bytes()
		if len(line) == 0 {
			flush()
			continue
		}
		var into *string
		var key string
		switch line[0] {
		case 'P':
			key, into = "Package:", &p.Name
		case 'V':
			key, into = "Version:", &p.Version
		case 'A':
			key, into = "Architecture:", &p.Arch
		case 'S':
			key = "Status:"
		default:
			continue
		}
		if len(line) < len(key) || string(line[:len(key)]) != key {
			continue
		}
		value := strings.TrimSpace(string(line[len(key):]))
		if into != nil {
			*into = value
			continue
		}
		if words := strings.Fields(value); len(words) == 3 {
			p.Want, p.Flag, p.Status = words[0], words[1], words[2]
		}
	}
	if err := s.Err(); err != nil {
		return nil, err
	}
	flush()
	return slices.Clip(all), nil
}
