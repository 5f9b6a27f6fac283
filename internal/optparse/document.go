package optparse

import (
	"fmt"
	"strings"
)

// Markdown is the reference page of the command: usage, description, and a table of
// options for each group.
func (p *Parser) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n    %s\n", p.Prog, p.expand(p.Usage))
	if p.Description != "" {
		fmt.Fprintf(&b, "\n%s\n", p.expand(p.Description))
	}
	for _, g := range p.Groups {
		title := g.Title
		if title == "" {
			title = "Options"
		}
		fmt.Fprintf(&b, "\n## %s\n\n", title)
		if g.Description != "" {
			fmt.Fprintf(&b, "%s\n\n", p.expand(g.Description))
		}
		b.WriteString("| option | meaning |\n|---|---|\n")
		for _, o := range g.Options {
			fmt.Fprintf(&b, "| `%s` | %s |\n", markdownCell(o.synopsis()), markdownCell(p.expand(o.HelpText())))
		}
	}
	return b.String()
}

func markdownCell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "*", `\*`, "<", "&lt;").Replace(strings.Join(strings.Fields(s), " "))
}

// Man is the manual page of the command, section 1. Extra sections, in roff, come
// before the end.
func (p *Parser) Man(version string, extra ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s 1 \"\" \"gosalt %s\" \"gosalt\"\n", roff(strings.ToUpper(p.Prog)), roff(version))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(p.Prog), roff(summary(p.expand(p.Description), p.Prog)))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", roff(p.expand(p.Usage)))
	if p.Description != "" {
		fmt.Fprintf(&b, ".SH DESCRIPTION\n%s\n", roff(p.expand(p.Description)))
	}
	b.WriteString(".SH OPTIONS\n")
	for _, g := range p.Groups {
		if g.Title != "" {
			fmt.Fprintf(&b, ".SS %s\n", roff(g.Title))
		}
		if g.Description != "" {
			fmt.Fprintf(&b, "%s\n", roff(p.expand(g.Description)))
		}
		for _, o := range g.Options {
			fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(o.synopsis()), roff(p.expand(o.HelpText())))
		}
	}
	for _, e := range extra {
		b.WriteString(strings.TrimRight(e, "\n") + "\n")
	}
	return b.String()
}

// summary is the description without the program's name at its start and the dot at its end.
func summary(description, prog string) string {
	s := strings.TrimPrefix(strings.Join(strings.Fields(description), " "), prog+" ")
	return strings.TrimSuffix(s, ".")
}

// roff escapes text for a manual page: backslashes, dashes, and what would be a
// request at the beginning of a line.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(strings.Join(strings.Fields(s), " "))
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}
