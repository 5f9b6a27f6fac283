package textedit

import (
	"fmt"
	"strings"

	"github.com/gosalt/gosalt/internal/pyre"
)

// Line says which line of a text is to be there, or to go.
type Line struct {
	Mode     string  // insert, ensure, delete or replace
	Content  *string // the line; may be nil to delete
	Match    string  // a text or an expression of the line to delete or replace; "" is Content
	Before   *string // a text or an expression of the line that the content stands before
	After    *string // likewise, after
	Location string  // "start" or "end", to insert
	Indent   bool    // the content is indented as its neighbour is
}

// Apply changes a text. An error says why the place was not found.
func (l Line) Apply(text string) (string, error) {
	lines := SplitLines(text)
	if len(lines) > 0 && lineEnd(lines[len(lines)-1]) != "" {
		lines = append(lines, "")
	}
	if text == "" && (l.Mode == "delete" || l.Mode == "replace") {
		return text, nil
	}
	lines, err := l.set(lines)
	if err != nil {
		return "", err
	}
	for i, s := range lines {
		if lineEnd(s) == "" && i+1 < len(lines) {
			prev := 1 // Salt's choice of the line whose end is copied
			if i > 0 && i-1 != 0 {
				prev = i - 1
			}
			lines[i] = withEnd(lines[prev], s)
		}
	}
	if n := len(lines); n > 0 && lines[n-1] == "" {
		lines = lines[:n-1]
	}
	return strings.Join(lines, ""), nil
}

// withEnd gives a line the line break of another.
func withEnd(src, line string) string {
	end := lineEnd(src)
	if end == "" {
		end = "\n"
	}
	return strings.TrimRight(line, " \t\n\r\v\f") + end
}

func (l Line) indented(src, line string) string {
	if !l.Indent {
		return line
	}
	n := 0
	for n < len(src) && (src[n] == '\t' || src[n] == ' ') {
		n++
	}
	return src[:n] + strings.TrimLeft(line, " \t\n\r\v\f")
}

// found are the lines in which a text is, or that an expression matches; nil and false
// where nothing was asked for.
func found(lines []string, expr *string) ([]string, bool, error) {
	if expr == nil {
		return nil, false, nil
	}
	if len(lines) == 0 || *expr == "" {
		return nil, false, nil
	}
	re, err := pyre.Compile(*expr, "s")
	if err != nil {
		return nil, false, fmt.Errorf("%w: '%s'", err, *expr)
	}
	var out []string
	for _, line := range lines {
		ok := strings.Contains(line, *expr)
		if !ok {
			m, err := re.Search(line)
			if err != nil {
				return nil, false, err
			}
			ok = m != nil
		}
		if ok {
			out = append(out, line)
		}
	}
	return out, true, nil
}

func index(lines []string, line string) int {
	for i, s := range lines {
		if s == line {
			return i
		}
	}
	return -1
}

// once refuses a place that is not found just once.
func once(lines []string, name string) error {
	switch n := len(lines); {
	case n > 1:
		return Error(fmt.Sprintf(`Found more than expected occurrences in "%s" expression`, name))
	case n < 1:
		return Error(fmt.Sprintf(`Found less than expected occurrences in "%s" expression`, name))
	}
	return nil
}

func insert(lines []string, at int, line string) []string {
	out := append([]string{}, lines[:at]...)
	return append(append(out, line), lines[at:]...)
}

func (l Line) set(lines []string) ([]string, error) {
	match := &l.Match
	if l.Match == "" {
		match = nil
		if l.Before == nil && l.After == nil {
			match = l.Content
		}
	}
	after, _, err := found(lines, l.After)
	if err != nil {
		return nil, err
	}
	before, _, err := found(lines, l.Before)
	if err != nil {
		return nil, err
	}
	matched, _, err := found(lines, match)
	if err != nil {
		return nil, err
	}
	content := ""
	if l.Content != nil {
		content = *l.Content
	}
	switch l.Mode {
	case "delete":
		if len(matched) == 0 {
			return lines, nil
		}
		var out []string
		for _, s := range lines {
			if s != matched[0] {
				out = append(out, s)
			}
		}
		return out, nil
	case "replace":
		if len(matched) == 0 {
			return lines, nil
		}
		i := index(lines, matched[0])
		lines[i] = l.indented(lines[i], content)
		return lines, nil
	case "insert":
		return l.insert(lines, before, after, content)
	}
	return l.ensure(lines, before, after, content)
}

func bare(s string) string { return strings.TrimRight(s, "\r\n") }

func (l Line) insert(lines, before, after []string, content string) ([]string, error) {
	switch {
	case l.Before == nil && l.After == nil && l.Location == "":
		return nil, Error(`On insert either "location" or "before/after" conditions are required.`)
	case l.Location == "end":
		if len(lines) > 0 {
			content = l.indented(lines[len(lines)-1], content)
		}
		return append(lines, content), nil
	case l.Location == "start":
		if len(lines) == 0 {
			return []string{content + "\n"}, nil
		}
		return insert(lines, 0, withEnd(lines[0], content)), nil
	case l.Location != "":
		return lines, nil
	case len(before) > 0 && len(after) > 0:
		if err := once(before, "before"); err != nil {
			return nil, err
		}
		if err := once(after, "after"); err != nil {
			return nil, err
		}
		last := index(lines, before[0])
		return insert(lines, last, l.indented(lines[last], content)), nil
	case len(after) > 0:
		if err := once(after, "after"); err != nil {
			return nil, err
		}
		i := index(lines, after[0])
		if i+1 >= len(lines) || bare(lines[i+1]) != bare(content) {
			lines = insert(lines, i+1, l.indented(lines[i], content))
		}
		return lines, nil
	case len(before) > 0:
		if err := once(before, "before"); err != nil {
			return nil, err
		}
		i := index(lines, before[0])
		prev := i - 1
		if prev < 0 { // Salt looks at the last line then
			prev = len(lines) - 1
		}
		if bare(lines[prev]) != bare(content) {
			lines = insert(lines, i, l.indented(lines[i], content))
		}
		return lines, nil
	}
	return nil, Error("Neither before or after was found in file")
}

func (l Line) ensure(lines, before, after []string, content string) ([]string, error) {
	switch {
	case len(before) > 0 && len(after) > 0:
		if err := once(after, "after"); err != nil {
			return nil, err
		}
		if err := once(before, "before"); err != nil {
			return nil, err
		}
		a, b := index(lines, after[0]), index(lines, before[0])
		for _, s := range lines {
			if strings.TrimLeft(s, " \t\n\r\v\f") == content {
				return lines, nil
			}
		}
		switch {
		case a+1 == b:
			return insert(lines, a+1, l.indented(lines[a], content)), nil
		case a+2 == b:
			lines[a+1] = l.indented(lines[a], content)
			return lines, nil
		}
		return nil, Error(`Found more than one line between boundaries "before" and "after".`)
	case len(before) > 0:
		if err := once(before, "before"); err != nil {
			return nil, err
		}
		i := index(lines, before[0])
		if i == 0 || bare(lines[i-1]) != bare(content) {
			src := lines[len(lines)-1] // Salt's lines[-1] for the first
			if i > 0 {
				src = lines[i-1]
			}
			lines = insert(lines, i, l.indented(src, content))
		}
		return lines, nil
	case len(after) > 0:
		if err := once(after, "after"); err != nil {
			return nil, err
		}
		i := index(lines, after[0])
		if i+1 >= len(lines) || bare(lines[i+1]) != bare(content) {
			lines = insert(lines, i+1, l.indented(lines[i], content))
		}
		return lines, nil
	}
	return nil, Error("Wrong conditions? Unable to ensure line without knowing where to put it before and/or after.")
}
