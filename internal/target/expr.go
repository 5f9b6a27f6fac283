package target

// Expr is an expression as Salt has them for tags of events and for names in lists of
// permissions: the text itself, a glob, or a regular expression for the whole text.
type Expr struct {
	text string
	glob *glob
	re   *regex // nil where it is no regular expression
}

// CompileExpr reads an expression: whatever it is, it means at least itself.
func CompileExpr(text string) *Expr {
	e := &Expr{text: text, glob: compileGlob(text)}
	if re, err := compileRegex(`(?:` + text + `)\Z`); err == nil {
		e.re = re
	}
	return e
}

// Match tells whether a text is meant. A regular expression that takes too long means
// nothing.
func (e *Expr) Match(text string) bool {
	if e.text == text || e.glob.match(text) {
		return true
	}
	if e.re == nil {
		return false
	}
	ok, err := e.re.match(text)
	return ok && err == nil
}
