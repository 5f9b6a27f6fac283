package optparse

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/gosalt/gosalt/internal/pytext"
)

const (
	helpColumn = 24 // where help texts begin
	minHelp    = 11 // columns they have at least
)

func (p *Parser) columns() int {
	if p.Columns > 0 {
		return p.Columns - 2
	}
	return 78
}

func (p *Parser) expand(s string) string { return strings.ReplaceAll(s, "%prog", p.Prog) }

// UsageText is the line "Usage: …" with its newline.
func (p *Parser) UsageText() string { return "Usage: " + p.expand(p.Usage) + "\n" }

// Help is the help in optparse's layout: usage, description, the options by groups.
func (p *Parser) Help() string {
	var b strings.Builder
	b.WriteString(p.UsageText() + "\n")
	if p.Description != "" {
		p.paragraph(&b, p.Description, 0)
		b.WriteByte('\n')
	}
	column := p.helpStart()
	for i, g := range p.Groups {
		indent := 2
		if g.Title == "" {
			b.WriteString("Options:\n")
		} else {
			if i > 0 {
				b.WriteByte('\n')
			}
			b.WriteString("  " + g.Title + ":\n")
			indent = 4
		}
		if g.Description != "" {
			p.paragraph(&b, g.Description, indent)
			b.WriteByte('\n')
		}
		for _, o := range g.Options {
			p.option(&b, o, indent, column)
		}
	}
	if p.Epilog != "" {
		b.WriteByte('\n')
		p.paragraph(&b, p.Epilog, 0)
	}
	return b.String()
}

func (p *Parser) paragraph(b *strings.Builder, text string, indent int) {
	pad := strings.Repeat(" ", indent)
	for _, l := range pytext.Wrap(p.expand(text), max(p.columns()-indent, minHelp), pad, pad) {
		b.WriteString(l + "\n")
	}
}

// helpStart is the column of the help texts: after the longest option, at most helpColumn.
func (p *Parser) helpStart() int {
	widest := 0
	for _, g := range p.Groups {
		indent := 2
		if g.Title != "" {
			indent = 4
		}
		for _, o := range g.Options {
			widest = max(widest, indent+utf8.RuneCountInString(o.synopsis()))
		}
	}
	return min(widest+2, helpColumn)
}

// synopsis is the option's names with its value: "-c DIR, --config-dir=DIR".
func (o *Option) synopsis() string {
	var short, long []string
	meta := o.Metaname()
	for _, n := range o.Names {
		switch isLong := strings.HasPrefix(n, "--"); {
		case isLong && o.NoValue:
			long = append(long, n)
		case isLong:
			long = append(long, n+"="+meta)
		case o.NoValue:
			short = append(short, n)
		default:
			short = append(short, n+" "+meta)
		}
	}
	return strings.Join(append(short, long...), ", ")
}

// Metaname is the name of the option's value in the help.
func (o *Option) Metaname() string {
	if o.Meta != "" {
		return o.Meta
	}
	return strings.ToUpper(o.Dest)
}

// HelpText is the help with the default filled in.
func (o *Option) HelpText() string {
	fallback := o.Fallback
	if fallback == "" {
		fallback = "none"
	}
	return strings.ReplaceAll(o.Text, "%default", fallback)
}

func (p *Parser) option(b *strings.Builder, o *Option, indent, column int) {
	head := o.synopsis()
	room := column - indent - 2
	first := 0
	if utf8.RuneCountInString(head) > room {
		fmt.Fprintf(b, "%*s%s\n", indent, "", head)
		first = column
	} else {
		fmt.Fprintf(b, "%*s%-*s  ", indent, "", room, head)
	}
	lines := pytext.Wrap(p.expand(o.HelpText()), max(p.columns()-column, minHelp), "", "")
	if len(lines) == 0 {
		if first == 0 {
			b.WriteByte('\n')
		}
		return
	}
	for i, l := range lines {
		if i > 0 {
			first = column
		}
		fmt.Fprintf(b, "%*s%s\n", first, "", l)
	}
}
