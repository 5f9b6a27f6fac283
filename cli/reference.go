package cli

import (
	"fmt"
	"strings"

	"github.com/gosalt/gosalt/internal/optparse"
	"github.com/gosalt/gosalt/internal/version"
)

// Programs are the commands with option tables, by name.
var Programs = []string{"gosalt", "gosalt-call", "gosalt-key", "gosalt-run", "gosalt-cp", "gosalt-ssh"}

// parserOf is the parser of a program with the defaults of an empty environment.
func parserOf(prog string) (*optparse.Parser, error) {
	io := IO{Prog: prog}
	switch prog {
	case "gosalt":
		return newGosalt(io).parser, nil
	case "gosalt-call":
		return newCall(io).parser, nil
	case "gosalt-key":
		return newKey(io).parser, nil
	case "gosalt-ssh":
		return newSSH(io).parser, nil
	case "gosalt-run":
		return newRun(io).parser, nil
	case "gosalt-cp":
		return newCp(io).parser, nil
	}
	return nil, fmt.Errorf("no program is called %q: %s expected", prog, strings.Join(Programs, ", "))
}

// Reference is the page of a program for docs/ref, in Markdown, with the exit codes.
func Reference(prog string) (string, error) {
	p, err := parserOf(prog)
	if err != nil {
		return "", err
	}
	return p.Markdown() + "\n" + ExitReference(), nil
}

// ExitReference is the table of exit codes in Markdown.
func ExitReference() string {
	var b strings.Builder
	b.WriteString("## Exit codes\n\nUnder `--strict` or `GOSALT_STRICT=1` failures that Salt's commands hide behind 0 have codes of their own.\n\n| code | strict | name | when |\n|---|---|---|---|\n")
	for _, c := range exitCodes {
		fmt.Fprintf(&b, "| %d | %d | %s | %s |\n", c.Salt, c.Strict, c.Name, c.When)
	}
	return b.String()
}

// Man is the manual page of a program.
func Man(prog string) (string, error) {
	p, err := parserOf(prog)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(".SH EXIT STATUS\n")
	for _, c := range exitCodes {
		code := fmt.Sprint(c.Salt)
		if c.Strict != c.Salt {
			code = fmt.Sprintf("%d, strict %d", c.Salt, c.Strict)
		}
		fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", code, strings.ReplaceAll(c.When, "-", `\-`))
	}
	b.WriteString(".SH ENVIRONMENT\n")
	for _, e := range [][2]string{
		{"GOSALT_STRICT", "1 is the option \\-\\-strict."},
		{"SALT_CONFIG_DIR", "directory of the configuration, where \\-\\-config\\-dir does not say."},
		{"SALT_SALTFILE", "file of options, where \\-\\-saltfile does not say."},
		{"SALT_NO_PARSE", "names of the option \\-\\-no\\-parse."},
		{"SALT_HARD_CRASH", "any text is the option \\-\\-hard\\-crash."},
		{"NO_COLOR", "any text is the option \\-\\-no\\-color."},
	} {
		fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", e[0], e[1])
	}
	return p.Man(version.Text(), b.String()), nil
}
