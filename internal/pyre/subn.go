package pyre

import "strings"

// SubN is Sub that replaces at most count matches (0 is all), and counts them.
func (re *Regexp) SubN(repl, text string, count int) (string, int, error) {
	parts, err := re.template(repl)
	if err != nil {
		return "", 0, err
	}
	ms, err := re.find(text, false, count)
	if err != nil || len(ms) == 0 {
		return text, 0, err
	}
	var b strings.Builder
	runes := []rune(text)
	at := 0
	for _, m := range ms {
		b.WriteString(string(runes[at:m.start]))
		for _, p := range parts {
			if p.group >= 0 {
				b.WriteString(m.groups[p.group].Text)
			} else {
				b.WriteString(p.text)
			}
		}
		at = m.end
	}
	b.WriteString(string(runes[at:]))
	return b.String(), len(ms), nil
}
