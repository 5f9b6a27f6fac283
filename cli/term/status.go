package term

import (
	"io"
	"strings"
	"sync"

	"golang.org/x/text/width"
)

// Status is one line at the bottom of a terminal that changes while a command
// works, and is gone when the command prints or ends. On anything but a terminal
// it shows nothing. Its methods may be called concurrently.
type Status struct {
	mu      sync.Mutex
	w       io.Writer
	columns func() int
	on      bool
	text    string // what the line is to say
	shown   bool   // it is on the screen
}

// NewStatus makes the status line of w, which is standard error mostly.
func NewStatus(w io.Writer) *Status {
	return newStatus(w, Is(w), func() int { return Width(w) })
}

func newStatus(w io.Writer, on bool, columns func() int) *Status {
	return &Status{w: w, on: on, columns: columns}
}

// On tells whether the line is shown at all.
func (s *Status) On() bool { return s.on }

// Set shows text in the line, cut to the terminal's width; "" takes it away.
func (s *Status) Set(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.on || text == s.text && s.shown {
		return
	}
	s.text = text
	s.draw()
}

// Clear takes the line away until the next Set.
func (s *Status) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = ""
	s.erase()
}

// Writer returns a writer to w that takes the line away before it writes, and puts
// it back after text that ends a line. Use it for all that goes to the same screen.
func (s *Status) Writer(w io.Writer) io.Writer {
	if !s.on {
		return w
	}
	return &statusWriter{s, w}
}

type statusWriter struct {
	s *Status
	w io.Writer
}

func (sw *statusWriter) Write(p []byte) (int, error) {
	sw.s.mu.Lock()
	defer sw.s.mu.Unlock()
	sw.s.erase()
	n, err := sw.w.Write(p)
	if err == nil && len(p) > 0 && p[len(p)-1] == '\n' {
		sw.s.draw()
	}
	return n, err
}

// draw and erase need the lock. A failed write is of no consequence: the line is a courtesy.
func (s *Status) draw() {
	s.erase()
	if s.text == "" {
		return
	}
	_, _ = io.WriteString(s.w, cut(s.text, s.columns()-1))
	s.shown = true
}

func (s *Status) erase() {
	if s.shown {
		_, _ = io.WriteString(s.w, "\r\x1b[K")
		s.shown = false
	}
}

// cut shortens text to so many columns, and makes it one harmless line.
func cut(text string, columns int) string {
	var b strings.Builder
	for _, r := range text {
		if r < 0x20 || r >= 0x7f && r < 0xa0 {
			r = ' '
		}
		n := 1
		if k := width.LookupRune(r).Kind(); k == width.EastAsianWide || k == width.EastAsianFullwidth {
			n = 2
		}
		if columns -= n; columns < 0 {
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}
