package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// maxFile is the size of the largest configuration file that is read.
const maxFile = 16 << 20

// reader gathers the files of one configuration, and what is wrong with them.
type reader struct {
	problems []Problem
}

func (r *reader) add(p Problem) { r.problems = append(r.problems, p) }

// readAll reads the main file, then the files of default_include, then those of
// include, and lays each set over what came before: within a set, maps are merged
// and lists joined (salt.utils.dictupdate); between the sets, the later option
// replaces the earlier one (salt.config.master_config).
func (r *reader) readAll(path, defaultInclude string) *node {
	root := &node{file: path, line: 1, col: 1, kind: mapKind}
	if n, ok := r.readFile(path, true); ok {
		root = n
	}
	include := root.get("include")
	if n := root.get("default_include"); n != nil {
		if s, ok := n.scalar.(string); ok {
			defaultInclude = s
		}
	}
	sets := []*node{
		r.include(&node{kind: scalarKind, scalar: defaultInclude}, path, false, []string{path}),
		r.include(include, path, true, []string{path}),
	}
	for _, set := range sets {
		for i, k := range set.keys {
			root.set(k, set.vals[i])
		}
	}
	return root
}

// readFile reads one file. A missing one is only noted where it is the main file.
func (r *reader) readFile(path string, main bool) (*node, bool) {
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && main:
		r.add(Problem{File: path, Severity: Notice, Text: "there is no such file: the defaults are in effect"})
		return nil, false
	case err == nil && !st.Mode().IsRegular():
		r.add(Problem{File: path, Severity: Error, Text: "not a file: remove it or name another one"})
		return nil, false
	case err == nil && st.Size() > maxFile:
		r.add(Problem{File: path, Severity: Error, Text: fmt.Sprintf("%d bytes: a configuration file has at most %d", st.Size(), maxFile)})
		return nil, false
	}
	data, err := os.ReadFile(path)
	if err != nil {
		text := fmt.Sprintf("cannot be read: %v", errors.Unwrap(err))
		if errors.Is(err, fs.ErrPermission) {
			text += fmt.Sprintf("; this is run by %s: use sudo, or name another directory with -c", currentUser())
		}
		r.add(Problem{File: path, Severity: Error, Text: text})
		return nil, false
	}
	n, p := parseYAML(path, data)
	if p == nil && n.kind != mapKind {
		p = &Problem{File: path, Line: n.line, Column: n.col, Severity: Error,
			Text: fmt.Sprintf(`lines of the form "option: value" are expected, this is %s`, describe(n))}
	}
	if p != nil {
		if strings.HasSuffix(path, "_schedule.conf") {
			// The minion writes this file itself and writes it anew at the next change.
			p.Severity = Warning
			p.Text += "; the file is left out"
		}
		r.add(*p)
		return nil, false
	}
	if id := n.get("id"); id != nil && id.kind == scalarKind && id.scalar != nil {
		id.scalar = plainText(id)
	}
	return n, true
}

// include reads the files that paths name, relative to the file from, and merges them.
// chain are the files on the way here.
func (r *reader) include(paths *node, from string, verbose bool, chain []string) *node {
	sum := &node{file: from, line: 1, col: 1, kind: mapKind}
	if paths == nil {
		return sum
	}
	list := paths.list
	if paths.kind == scalarKind {
		list = []*node{paths}
	}
	for _, p := range list {
		pattern, ok := p.scalar.(string)
		if !ok || pattern == "" {
			continue // decoding the option itself says what is wrong with it
		}
		for _, file := range r.glob(pattern, from, p, verbose) {
			if slices.Contains(chain, file) {
				r.add(Problem{File: from, Line: p.line, Column: p.col, Option: "include", Severity: Error,
					Text: fmt.Sprintf("%s includes itself (%s): remove one of the includes", file, strings.Join(append(chain, file), " > "))})
				continue
			}
			n, ok := r.readFile(file, false)
			if !ok {
				continue
			}
			if s, t := sum.get("schedule"), n.get("schedule"); s != nil && t != nil && s.kind == mapKind && t.kind == mapKind {
				for i, k := range t.keys {
					s.set(k, t.vals[i])
				}
			}
			inner := r.include(n.get("include"), file, verbose, append(slices.Clone(chain), file))
			for i, k := range inner.keys {
				n.set(k, inner.vals[i])
			}
			mergeNodes(sum, n)
		}
	}
	return sum
}

// glob is the files of one include, sorted.
func (r *reader) glob(pattern, from string, p *node, verbose bool) []string {
	path := pattern
	if rest, ok := strings.CutPrefix(path, "~"); ok && (rest == "" || rest[0] == '/') {
		if home, err := os.UserHomeDir(); err == nil {
			path = home + rest
		}
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(from), path)
	}
	files, err := filepath.Glob(path)
	if err != nil {
		r.add(Problem{File: from, Line: p.line, Column: p.col, Option: "include", Severity: Error,
			Text: fmt.Sprintf("include: %q is not a pattern for files: %v", pattern, err)})
		return nil
	}
	// Python's glob keeps files that begin with a dot for patterns that do.
	if !strings.HasPrefix(filepath.Base(path), ".") {
		files = slices.DeleteFunc(files, func(f string) bool { return strings.HasPrefix(filepath.Base(f), ".") })
	}
	if len(files) == 0 && verbose {
		r.add(Problem{File: from, Line: p.line, Column: p.col, Option: "include", Severity: Warning,
			Text: fmt.Sprintf("include: no file matches %s", path)})
	}
	slices.Sort(files)
	return files
}

// mergeNodes lays upd over dest: maps are merged, lists joined without what is there
// already, all else is replaced.
func mergeNodes(dest, upd *node) {
	for i, k := range upd.keys {
		v := upd.vals[i]
		var old *node
		for j, dk := range dest.keys {
			if dk.scalar == k.scalar {
				old = dest.vals[j]
			}
		}
		switch {
		case old != nil && old != v && old.kind == mapKind && v.kind == mapKind:
			mergeNodes(old, v)
		case old != nil && old != v && old.kind == listKind && v.kind == listKind:
			joined := *old
			joined.list = slices.Clone(old.list)
			for _, e := range v.list {
				if !slices.ContainsFunc(joined.list, func(o *node) bool { return sameNode(o, e) }) {
					joined.list = append(joined.list, e)
				}
			}
			dest.set(k, &joined)
		default:
			dest.set(k, v)
		}
	}
}

// sameNode tells whether two nodes hold the same value.
func sameNode(a, b *node) bool {
	return reflect.DeepEqual(a.value(), b.value())
}
