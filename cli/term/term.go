// Package term knows the terminal: whether there is one, how wide it is, whether
// it wants colours, and the one line on it that says how far a command is.
package term

import (
	"runtime"

	"golang.org/x/term"
)

// filer is what an *os.File has and a buffer has not.
type filer interface{ Fd() uintptr }

// Is tells whether w (or a reader) is a terminal.
func Is(w any) bool {
	f, ok := w.(filer)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Width is the number of columns of the terminal w, 80 where that is not known.
func Width(w any) int {
	if f, ok := w.(filer); ok {
		if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
			return n
		}
	}
	return 80
}

// Color tells whether what is written to w is coloured: when forced, else on a
// terminal unless refused. Windows consoles get none.
func Color(w any, force, refuse bool) bool {
	return force || !refuse && runtime.GOOS != "windows" && Is(w)
}
