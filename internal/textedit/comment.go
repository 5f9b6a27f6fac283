package textedit

import (
	"fmt"
	"strings"

	"github.com/gosalt/gosalt/internal/pyre"
)

// Comment comments lines out, or in again.
type Comment struct {
	Pattern string // an expression; "^" and "$" at its ends are kept in their places
	Char    string // what comments a line out: "#"
	Undo    bool
}

// Apply changes a text and returns the lines that it changed, before and after.
func (c Comment) Apply(text string) (out string, before, after []string, err error) {
	end := ""
	if strings.HasSuffix(c.Pattern, "$") {
		end = "$"
	}
	body := strings.TrimRight(strings.TrimLeft(c.Pattern, "^"), "$")
	pattern := fmt.Sprintf("(%s)%s", body, end)
	switch {
	case c.Undo:
		pattern = fmt.Sprintf(`^%s\s*(%s)%s`, c.Char, body, end)
	case strings.HasPrefix(c.Pattern, "^"):
		pattern = "^" + pattern
	}
	re, err := pyre.Compile(pattern, "")
	if err != nil {
		return "", nil, nil, err
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		m, err := re.Match(line)
		if err != nil {
			return "", nil, nil, err
		}
		if m != nil {
			before = append(before, line)
			if c.Undo {
				line = strings.TrimLeft(line, c.Char)
			} else {
				line = c.Char + line
			}
			after = append(after, line)
		}
		b.WriteString(line)
	}
	return b.String(), before, after, nil
}
