package target

// Regex is a Python regular expression that is looked for anywhere in a text, as
// re.search does. It may be used concurrently.
type Regex struct{ re *regex }

// CompileRegex reads a Python regular expression.
func CompileRegex(source string) (*Regex, error) {
	re, err := compileRegexAt(source, "")
	if err != nil {
		return nil, err
	}
	return &Regex{re}, nil
}

// Search tells whether the expression is found in a text. One that takes too long on it
// is not found.
func (r *Regex) Search(text string) bool {
	ok, err := r.re.match(text)
	return ok && err == nil
}
