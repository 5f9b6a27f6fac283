package textedit

import (
	"strings"

	"github.com/gosalt/gosalt/internal/pyre"
)

// Block is what is to stand between two markers.
type Block struct {
	Start, End    string // the lines with them stay
	Content       string
	AppendNewline *bool // a line break after the content; nil: where it has none
	// At most one says what happens where there are no markers: nothing is an error.
	Append, Prepend bool
	InsertBefore    string // an expression of the line before which they are put
	InsertAfter     string
}

// The errors of Apply, in Salt's words.
const (
	ErrUnterminated = Error("Unterminated marked block. End of file reached before marker_end.")
	ErrNoMarkers    = Error("Cannot edit marked block. Markers were not found in file.")
)

// lines are the block as lines.
func (b Block) lines(sep, end string, withStart bool) []string {
	var out []string
	end = bare(end) + sep
	if withStart {
		out = append(out, b.Start+sep)
	}
	content := strings.Split(strings.ReplaceAll(b.Content, "\r\n", "\n"), "\n")
	newline := false
	if b.AppendNewline != nil {
		newline = *b.AppendNewline
	} else {
		newline = !strings.HasSuffix(b.Content, "\n")
	}
	for i, line := range content {
		switch {
		case i < len(content)-1:
			out = append(out, line+sep)
		case newline:
			out = append(out, line+sep, end)
		default:
			out = append(out, line+end)
		}
	}
	return out
}

// Apply changes a text.
func (b Block) Apply(text string) (string, error) {
	var lines, out []string
	for s := range strings.Lines(text) { // Python's newline="" reads "\r" as an end too
		lines = append(lines, SplitLines(s)...)
	}
	sep := "\n"
	if len(lines) > 0 && strings.HasSuffix(lines[0], "\r\n") {
		sep = "\r\n"
	}
	inside, done := false, false
	for _, line := range lines {
		keep := true
		switch {
		case strings.Contains(line, b.Start):
			inside = true
		case inside:
			keep = false
			if i := strings.Index(line, b.End); i >= 0 {
				inside, done = false, true
				out = append(out, b.lines(sep, line[i:], false)...)
			}
		}
		if keep {
			out = append(out, line)
		}
	}
	if inside {
		return "", ErrUnterminated
	}
	if done {
		return strings.Join(out, ""), nil
	}
	block := b.lines(sep, b.End, true)
	switch {
	case b.Prepend:
		out = append(block, out...)
	case b.Append:
		if n := len(out); n > 0 && !strings.HasSuffix(out[n-1], sep) {
			out[n-1] += sep
		}
		out = append(out, block...)
	case b.InsertBefore != "" || b.InsertAfter != "":
		at, err := b.place(lines)
		if err != nil {
			return "", err
		}
		out = append(append(append([]string{}, out[:at]...), block...), out[at:]...)
	default:
		return "", ErrNoMarkers
	}
	return strings.Join(out, ""), nil
}

// place is where the block is put: at the first line that an expression matches.
func (b Block) place(lines []string) (int, error) {
	pattern, offset := b.InsertBefore, 0
	if pattern == "" {
		pattern, offset = b.InsertAfter, 1
	}
	re, err := pyre.Compile(pattern, "")
	if err != nil {
		return 0, err
	}
	for i, line := range lines {
		m, err := re.Search(line)
		if err != nil {
			return 0, err
		}
		if m != nil {
			return i + offset, nil
		}
	}
	return 0, ErrNoMarkers
}
