// Package optparse reads command lines by the rules of Python's optparse, which
// Salt's users have in their fingers and scripts: options and arguments mix, long
// options may be cut to a unique prefix, values follow as "--opt value",
// "--opt=value" or "-ovalue", short flags cluster, "--" ends the options.
//
// An option is declared once, bound to the field it fills. From the declaration
// come parsing, the help text (help.go), the man page, the reference page and
// shell completion (document.go).
//
//	p := &optparse.Parser{Prog: "gosalt", Usage: "%prog [options] '<target>'"}
//	p.Add("", optparse.Flag(&o.Static, "static", "-s", "--static").Help("Wait for all."))
//	rest, err := p.Parse(args) // err is an *Exit: what to print, and the exit code
package optparse

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ExitUsage is the code of every mistake in a command line (EX_USAGE of sysexits.h).
const ExitUsage = 64

// Exit ends a command before it began: help and versions with code 0, mistakes
// with another. Out and Err are printed as they are.
type Exit struct {
	Code     int
	Out, Err string
}

func (e *Exit) Error() string {
	if s := strings.TrimSpace(e.Err); s != "" {
		return s
	}
	return fmt.Sprintf("exit with code %d", e.Code)
}

// Option is one declaration. The functions Flag to Action make them.
type Option struct {
	Names    []string // "-s", "--static"; the first long one stands in messages
	Dest     string   // Salt's name of the setting: its key in the Saltfile and configuration
	Meta     string   // name of the value in the help; "" is Dest in capitals
	Text     string   // help; %default stands for the default
	Choices  []string
	NoValue  bool
	Fallback string // the default as the help shows it
	set      func(opt, value string) error
	assign   func(v any) error
	action   func(p *Parser) *Exit
	explicit bool
}

// Help sets the help text.
func (o *Option) Help(text string) *Option { o.Text = text; return o }

// Metavar sets the name of the value in the help.
func (o *Option) Metavar(name string) *Option { o.Meta = name; return o }

// ShowDefault sets the default as the help shows it, where the field has another.
func (o *Option) ShowDefault(s string) *Option { o.Fallback = s; return o }

// Flag sets b to true.
func Flag(b *bool, dest string, names ...string) *Option { return flag(b, true, dest, names) }

// Unflag sets b, which is true before, to false.
func Unflag(b *bool, dest string, names ...string) *Option { return flag(b, false, dest, names) }

func flag(b *bool, on bool, dest string, names []string) *Option {
	return &Option{Names: names, Dest: dest, NoValue: true, Fallback: pyBool(*b),
		set: func(string, string) error { *b = on; return nil },
		assign: func(v any) error {
			x, ok := v.(bool)
			if !ok {
				return fmt.Errorf("true or false expected, not %v", v)
			}
			*b = x
			return nil
		}}
}

func pyBool(b bool) string {
	if b {
		return "True"
	}
	return "False"
}

// Text takes any text.
func Text(s *string, dest string, names ...string) *Option {
	return &Option{Names: names, Dest: dest, Fallback: *s,
		set:    func(_, v string) error { *s = v; return nil },
		assign: func(v any) error { *s = fmt.Sprint(v); return nil }}
}

// Bool takes the texts True and False in any case, as Salt's --rotate-aes-key does.
func Bool(b *bool, dest string, names ...string) *Option {
	return &Option{Names: names, Dest: dest, Fallback: pyBool(*b),
		set: func(opt, v string) error {
			switch strings.ToLower(v) {
			case "true":
				*b = true
			case "false":
				*b = false
			default:
				return fmt.Errorf("option %s: invalid boolean value: '%s' (choose from 'True', 'False')", opt, v)
			}
			return nil
		},
		assign: func(v any) error {
			x, ok := v.(bool)
			if !ok {
				return fmt.Errorf("true or false expected, not %v", v)
			}
			*b = x
			return nil
		}}
}

// Int takes a whole number: decimal, 0x, 0b, or octal with a leading 0.
func Int(n *int, dest string, names ...string) *Option {
	return &Option{Names: names, Dest: dest, Fallback: strconv.Itoa(*n),
		set: func(opt, v string) error {
			x, err := parseInt(v)
			if err != nil {
				return fmt.Errorf("option %s: invalid integer value: %s", opt, pyQuote(v))
			}
			*n = x
			return nil
		},
		assign: func(v any) error {
			x, err := parseInt(fmt.Sprint(v))
			if err != nil {
				return fmt.Errorf("a whole number expected, not %v", v)
			}
			*n = x
			return nil
		}}
}

// OptionalInt is Int where "not given" differs from every number.
func OptionalInt(n **int, dest string, names ...string) *Option {
	var x int
	o := Int(&x, dest, names...)
	o.Fallback = "none"
	set, assign := o.set, o.assign
	o.set = func(opt, v string) error {
		if err := set(opt, v); err != nil {
			return err
		}
		*n = &x
		return nil
	}
	o.assign = func(v any) error {
		if err := assign(v); err != nil {
			return err
		}
		*n = &x
		return nil
	}
	return o
}

// Float takes a number.
func Float(f *float64, dest string, names ...string) *Option {
	set := func(opt, v string) error {
		x, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
		if err != nil {
			return fmt.Errorf("option %s: invalid floating-point value: %s", opt, pyQuote(v))
		}
		*f = x
		return nil
	}
	return &Option{Names: names, Dest: dest, Fallback: strconv.FormatFloat(*f, 'g', -1, 64), set: set,
		assign: func(v any) error { return set("", fmt.Sprint(v)) }}
}

// Choice takes one of the choices.
func Choice(s *string, choices []string, dest string, names ...string) *Option {
	o := &Option{Names: names, Dest: dest, Fallback: *s, Choices: choices}
	o.set = func(opt, v string) error {
		if !slices.Contains(choices, v) {
			quoted := make([]string, len(choices))
			for i, c := range choices {
				quoted[i] = pyQuote(c)
			}
			return fmt.Errorf("option %s: invalid choice: %s (choose from %s)", opt, pyQuote(v), strings.Join(quoted, ", "))
		}
		*s = v
		return nil
	}
	o.assign = func(v any) error { return o.set(names[len(names)-1], fmt.Sprint(v)) }
	return o
}

// List gathers the values of an option that may be given again.
func List(l *[]string, dest string, names ...string) *Option {
	return &Option{Names: names, Dest: dest, Fallback: "none",
		set: func(_, v string) error { *l = append(*l, v); return nil },
		assign: func(v any) error {
			*l = nil
			if x, ok := v.([]any); ok {
				for _, e := range x {
					*l = append(*l, fmt.Sprint(e))
				}
				return nil
			}
			*l = []string{fmt.Sprint(v)}
			return nil
		}}
}

// Action takes no value and ends the command, as --help does.
func Action(f func(p *Parser) *Exit, names ...string) *Option {
	return &Option{Names: names, NoValue: true, action: f}
}

func parseInt(s string) (int, error) {
	s = strings.TrimSpace(s)
	sign := ""
	digits := s
	if s != "" && (s[0] == '-' || s[0] == '+') {
		sign, digits = s[:1], s[1:]
	}
	base := 10
	switch lower := strings.ToLower(s); {
	case strings.HasPrefix(lower, "0x"):
		base, digits = 16, digits[2:]
	case strings.HasPrefix(lower, "0b"):
		base, digits = 2, digits[2:]
	case strings.HasPrefix(lower, "0"):
		base = 8
	}
	n, err := strconv.ParseInt(strings.TrimPrefix(sign, "+")+digits, base, 0)
	return int(n), err
}

// pyQuote is Python's repr of a text without anything to escape but quotes.
func pyQuote(s string) string {
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		return `"` + s + `"`
	}
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`, "\n", `\n`).Replace(s) + "'"
}

// Group is a headed part of the help.
type Group struct {
	Title       string
	Description string
	Options     []*Option
}

// Parser is a command's options. The first group, without a title, comes first in
// the help. Fields may be set until Parse.
type Parser struct {
	Prog        string // name of the program; %prog in the texts
	Usage       string // what follows "Usage: "
	Description string
	Epilog      string
	Groups      []*Group
	Columns     int // width of the help; 0 is 80
}

// Add appends options to the group of that title, which it makes when new.
func (p *Parser) Add(title string, options ...*Option) *Group {
	for _, g := range p.Groups {
		if g.Title == title {
			g.Options = append(g.Options, options...)
			return g
		}
	}
	g := &Group{Title: title, Options: options}
	p.Groups = append(p.Groups, g)
	return g
}

// Explicit tells whether the option that sets dest was given on the command line
// or in the Saltfile, and so wins over the configuration file.
func (p *Parser) Explicit(dest string) bool {
	for o := range p.All() {
		if o.Dest == dest && o.explicit {
			return true
		}
	}
	return false
}

// All yields every option in the order of the help.
func (p *Parser) All() func(yield func(*Option) bool) {
	return func(yield func(*Option) bool) {
		for _, g := range p.Groups {
			for _, o := range g.Options {
				if !yield(o) {
					return
				}
			}
		}
	}
}

// Assign gives the option that sets dest a value from a file, unless the command
// line gave one. It is false when no option sets dest.
func (p *Parser) Assign(dest string, v any) (bool, error) {
	found := false
	for o := range p.All() {
		if o.Dest != dest || o.assign == nil {
			continue
		}
		found = true
		if o.explicit {
			continue
		}
		if err := o.assign(v); err != nil {
			return true, fmt.Errorf("%s: %w", dest, err)
		}
		o.explicit = true
	}
	return found, nil
}

// Parse fills the bound fields and returns the arguments that are no options. An
// error is an *Exit. It may be called again for more arguments.
func (p *Parser) Parse(args []string) ([]string, error) {
	var rest []string
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		var err *Exit
		switch {
		case arg == "--":
			return append(rest, args...), nil
		case strings.HasPrefix(arg, "--"):
			args, err = p.long(arg, args)
		case len(arg) > 1 && arg[0] == '-':
			args, err = p.short(arg, args)
		default:
			rest = append(rest, arg)
		}
		if err != nil {
			return nil, err
		}
	}
	return rest, nil
}

func (p *Parser) long(arg string, args []string) ([]string, *Exit) {
	name, value, hasValue := strings.Cut(arg, "=")
	o, full, err := p.match(name)
	if err != nil {
		return nil, err
	}
	switch {
	case o.NoValue && hasValue:
		return nil, p.Errorf("%s option does not take a value", full)
	case o.NoValue:
		return args, p.apply(o, full, "")
	case !hasValue && len(args) == 0:
		return nil, p.Errorf("%s option requires 1 argument", full)
	case !hasValue:
		value, args = args[0], args[1:]
	}
	return args, p.apply(o, full, value)
}

// match finds the option of a long name or a unique beginning of one.
func (p *Parser) match(name string) (*Option, string, *Exit) {
	var found *Option
	var names []string
	for o := range p.All() {
		for _, n := range o.Names {
			if n == name {
				return o, n, nil
			}
			if strings.HasPrefix(n, name) {
				found = o
				names = append(names, n)
			}
		}
	}
	switch len(names) {
	case 0:
		return nil, "", p.Errorf("no such option: %s", name)
	case 1:
		return found, names[0], nil
	}
	slices.Sort(names)
	return nil, "", p.Errorf("ambiguous option: %s (%s?)", name, strings.Join(names, ", "))
}

func (p *Parser) short(arg string, args []string) ([]string, *Exit) {
	for i, r := range arg[1:] {
		name := "-" + string(r)
		o := p.named(name)
		if o == nil {
			return nil, p.Errorf("no such option: %s", name)
		}
		if o.NoValue {
			if err := p.apply(o, name, ""); err != nil {
				return nil, err
			}
			continue
		}
		value := arg[1+i+len(string(r)):]
		if value == "" {
			if len(args) == 0 {
				return nil, p.Errorf("%s option requires 1 argument", name)
			}
			value, args = args[0], args[1:]
		}
		return args, p.apply(o, name, value)
	}
	return args, nil
}

func (p *Parser) named(name string) *Option {
	for o := range p.All() {
		if slices.Contains(o.Names, name) {
			return o
		}
	}
	return nil
}

func (p *Parser) apply(o *Option, name, value string) *Exit {
	if o.action != nil {
		return o.action(p)
	}
	o.explicit = true
	if err := o.set(name, value); err != nil {
		return p.Errorf("%v", err)
	}
	return nil
}

// Errorf is a mistake in the command line: the usage, the message, exit code 64.
func (p *Parser) Errorf(format string, args ...any) *Exit {
	msg := fmt.Sprintf(format, args...)
	return &Exit{Code: ExitUsage, Err: p.UsageText() + "\n" + p.Prog + ": error: " + msg + "\n"}
}
