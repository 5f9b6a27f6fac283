package cli

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/gosalt/gosalt/internal/optparse"
	"github.com/gosalt/gosalt/internal/yamlarg"
	"github.com/gosalt/gosalt/protocol/wire"
)

// ParseInput types the arguments of a function as Salt does: each is read as YAML,
// "name=value" becomes a keyword argument, and those follow together as one map
// that holds __kwarg__: true. Keywords named in noParse keep their text.
func ParseInput(args, noParse []string) []any {
	out := make([]any, 0, len(args)+1)
	kwargs := wire.NewMap()
	for _, arg := range args {
		name, value, ok := SplitKwarg(arg)
		switch {
		case !ok:
			out = append(out, jidText(ParseArg(arg)))
		case slices.Contains(noParse, name):
			kwargs.Set(name, value)
		default:
			kwargs.Set(name, ParseArg(value))
		}
	}
	if kwargs.Len() == 0 {
		return out
	}
	load := wire.NewMap("__kwarg__", true)
	for k, v := range kwargs.All() {
		load.SetAny(k, v)
	}
	return append(out, load)
}

// jidText keeps a job id text, which as YAML would be a number.
func jidText(v any) any {
	switch v.(type) {
	case int64, uint64:
		if s := fmt.Sprint(v); len(s) == 20 {
			return s
		}
	}
	return v
}

// SplitKwarg cuts "name=value"; ok is false for what is no keyword argument: a name
// that does not begin with a letter, "a==b", or a value of several lines.
func SplitKwarg(arg string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(arg, "=")
	if !ok || strings.HasPrefix(value, "=") || !kwargName().MatchString(name) {
		return "", "", false
	}
	value = strings.TrimSuffix(value, "\n") // Python's $ stands before a last line break, too
	if strings.Contains(value, "\n") {
		return "", "", false
	}
	return name, value, true
}

// ParseArg is one argument as YAML. It stays text where YAML would lose some of it
// or make something no function takes: white space other than spaces in it, a map
// or list without its brackets, a comment, numbers with underscores, no YAML at all.
func ParseArg(arg string) any {
	switch trimmed := strings.TrimFunc(arg, pySpace); {
	case trimmed == "" || trimmed == "---" || trimmed == "...",
		strings.Contains(arg, "_") && strings.Trim(trimmed, "0123456789_") == "",
		strings.ContainsAny(arg, "\t\r\n"):
		return arg
	}
	if arg == "None" {
		return nil
	}
	v, err := yamlarg.Load(arg)
	if err != nil {
		return arg
	}
	if strings.Contains(arg, "#") {
		switch v.(type) {
		case string, nil:
			return arg
		}
		return v
	}
	switch x := v.(type) {
	case *wire.Map:
		if arg[0] != '{' {
			return arg
		}
	case []any:
		if arg[0] != '[' {
			return arg
		}
	case []byte:
		return arg
	case string:
		if x == "" && (arg == "|" || arg == "!") {
			return arg
		}
	case nil:
		if arg == "!" {
			return arg
		}
	}
	return v
}

// Compound is what "a.b,c.d" and the arguments after it come to: one function with
// its arguments, or several, each with its own.
type Compound struct {
	Funs []string
	Args [][]any
	Many bool // a comma made it a compound command, even of one function
}

// Fun is the function or the list of functions as Salt's messages hold them.
func (c Compound) Fun() any {
	if !c.Many {
		return c.Funs[0]
	}
	list := make([]any, len(c.Funs))
	for i, f := range c.Funs {
		list[i] = f
	}
	return list
}

// Arg is the arguments as Salt's messages hold them: a list, or a list of lists.
func (c Compound) Arg() []any {
	if !c.Many {
		return c.Args[0]
	}
	list := make([]any, len(c.Args))
	for i, a := range c.Args {
		list[i] = a
	}
	return list
}

// SplitCompound makes the functions and arguments of a command. The separator (a
// comma by default) stands by itself between the arguments of two functions; when
// it does not stand as often as needed, it is looked for inside the arguments. The
// error is Salt's text for too few or too many arguments.
func SplitCompound(fun string, args []string, separator string, noParse []string) (Compound, *optparse.Exit) {
	if !strings.Contains(fun, ",") {
		return Compound{Funs: []string{fun}, Args: [][]any{ParseInput(args, noParse)}}, nil
	}
	c := Compound{Funs: strings.Split(fun, ","), Many: true}
	groups := [][]string{nil}
	add := func(arg string) { groups[len(groups)-1] = append(groups[len(groups)-1], arg) }
	alone := 0
	for _, a := range args {
		if a == separator {
			alone++
		}
	}
	if alone == len(c.Funs)-1 {
		for _, a := range args {
			if a == separator {
				groups = append(groups, nil)
			} else {
				add(a)
			}
		}
	} else {
		for _, a := range args {
			for i, part := range splitBy(a, separator) {
				if i > 0 {
					groups = append(groups, nil)
				}
				if part != "" || !strings.Contains(a, separator) {
					add(part)
				}
			}
		}
		if len(c.Funs) > len(groups) {
			return c, errTooFewArgs
		}
		if len(c.Funs) < len(groups) {
			return c, errTooManyArgs
		}
	}
	for _, g := range groups {
		c.Args = append(c.Args, ParseInput(g, noParse))
	}
	return c, nil
}

func splitBy(s, separator string) []string {
	if separator == "" {
		return []string{s}
	}
	return strings.Split(s, separator)
}

var (
	errTooFewArgs  = &optparse.Exit{Code: exitIncomplete, Err: "Cannot execute compound command without defining all arguments.\n"}
	errTooManyArgs = &optparse.Exit{Code: exitIncomplete, Err: "Cannot execute compound command with more arguments than commands.\n"}
)

// kwargName is the name of a keyword argument: a letter or underscore, then also
// digits, dots and dashes.
var kwargName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[\pL\p{Nl}\p{No}_][\pL\p{Nd}\p{Nl}\p{No}_.-]*$`)
})

// pySpace is what Python's str.strip takes off.
func pySpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }
