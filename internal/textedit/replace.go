package textedit

import (
	"strings"

	"github.com/gosalt/gosalt/internal/pyre"
)

// Replace says what is to be replaced, and what is to be added where it is not found.
type Replace struct {
	Pattern string // Python's syntax
	Repl    string // \1 and \g<name> are groups
	Count   int    // at most so many; 0 is all
	Flags   string // of "ims"
	Literal bool   // a backslash in Repl is one
	// Append and Prepend add a line where nothing was replaced and the line is not
	// there yet: NotFound, or Repl where that is nil.
	Append, Prepend bool
	NotFound        *string
}

// Apply changes a text.
func (r Replace) Apply(text string) (string, error) {
	re, wide, narrow, err := compile(r.Pattern, r.Flags, text)
	if err != nil {
		return "", err
	}
	repl := wide(r.Repl)
	if r.Literal {
		repl = strings.ReplaceAll(repl, `\`, `\\`)
	}
	out, n, err := re.SubN(repl, wide(text), r.Count)
	if err != nil {
		return "", err
	}
	out = narrow(out)
	if !r.Append && !r.Prepend {
		return out, nil
	}
	line := r.Repl
	if r.NotFound != nil {
		line = *r.NotFound
	}
	if n == 0 {
		probe := r.Repl
		if r.NotFound != nil && *r.NotFound != "" {
			probe = *r.NotFound
		}
		there, err := search("^"+pyre.Escape(probe)+"($|(?=\r\n))", r.Flags, text)
		if err != nil {
			return "", err
		}
		if there {
			return out, nil
		}
	}
	if n > 0 {
		return out, nil
	}
	if r.Prepend {
		return line + "\n" + out, nil
	}
	if out != "" && !strings.HasSuffix(out, "\n") {
		out += "\n"
	}
	return out + line + "\n", nil
}

// Search tells whether a text has a match.
func Search(pattern, flags, text string) (bool, error) { return search(pattern, flags, text) }

func search(pattern, flags, text string) (bool, error) {
	re, wide, _, err := compile(pattern, flags, text)
	if err != nil {
		return false, err
	}
	m, err := re.Search(wide(text))
	return m != nil, err
}
