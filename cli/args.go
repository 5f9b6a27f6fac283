package cli

import (
	"strings"

	"github.com/gosalt/gosalt/internal/optparse"
	"github.com/gosalt/gosalt/internal/yamlarg"
)

// ParseInput types the arguments of a function as Salt does: yamlarg.ParseInput.
func ParseInput(args, noParse []string) []any { return yamlarg.ParseInput(args, noParse) }

// SplitKwarg cuts "name=value"; see yamlarg.SplitKwarg.
func SplitKwarg(arg string) (name, value string, ok bool) { return yamlarg.SplitKwarg(arg) }

// ParseArg is one argument as YAML; see yamlarg.ParseArg.
func ParseArg(arg string) any { return yamlarg.ParseArg(arg) }

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
