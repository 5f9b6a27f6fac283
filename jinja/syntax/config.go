package syntax

import "fmt"

// Config is how templates are written. The zero value of a delimiter means
// Jinja's own.
type Config struct {
	BlockStart    string // {%
	BlockEnd      string // %}
	VariableStart string // {{
	VariableEnd   string // }}
	CommentStart  string // {#
	CommentEnd    string // #}

	LineStatementPrefix string // "" for none
	LineCommentPrefix   string // "" for none

	TrimBlocks          bool   // drop the newline after a block
	LstripBlocks        bool   // drop white space before a block at the start of its line
	KeepTrailingNewline bool   // keep the newline that ends the template
	Newline             string // what newlines of the text become; "" is \n

	Extensions []Extension
}

// Extension adds statements to the language.
type Extension interface {
	// Tags are the names of the statements that Parse reads.
	Tags() []string
	// Parse is called with the tag as the current token and must stop before the
	// end of the block. What it returns takes the statement's place.
	Parse(p *Parser) []Node
}

// withDefaults fills in the delimiters.
func (c Config) withDefaults() Config {
	set := func(s *string, def string) {
		if *s == "" {
			*s = def
		}
	}
	set(&c.BlockStart, "{%")
	set(&c.BlockEnd, "%}")
	set(&c.VariableStart, "{{")
	set(&c.VariableEnd, "}}")
	set(&c.CommentStart, "{#")
	set(&c.CommentEnd, "#}")
	set(&c.Newline, "\n")
	return c
}

// Error is a template that cannot be read.
type Error struct {
	Msg       string
	Name      string // of the template, or ""
	Line      int
	Assertion bool // jinja2 raises TemplateAssertionError, not TemplateSyntaxError
}

func (e *Error) Error() string {
	if e.Name == "" {
		return fmt.Sprintf("line %d: %s", e.Line, e.Msg)
	}
	return fmt.Sprintf("%s:%d: %s", e.Name, e.Line, e.Msg)
}
