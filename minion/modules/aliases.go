//go:build unix

package modules

import (
	"context"
	"os"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("aliases.list_aliases", aliasesListAliases, module.Outputter("yaml"))
	register("aliases.get_target", aliasesGetTarget, module.Outputter("txt"))
	register("aliases.has_target", aliasesHasTarget, module.Outputter("txt"))
	register("aliases.set_target", aliasesSetTarget, module.Outputter("txt"))
	register("aliases.rm_alias", aliasesRmAlias, module.Outputter("txt"))
}

// aliasesPath is what the option aliases.file says, /etc/aliases by default.
func aliasesPath(c *module.Call) string {
	if f := c.Opts.Text("aliases.file"); f != "" {
		return f
	}
	return "/etc/aliases"
}

// mailAlias is an entry of the file, or a line that is none; see aliases(5).
type mailAlias struct {
	alias, target string
	comment       string // with the blanks before it; of a line that is no entry: all of it
}

// readAliases reads the file; one that is not there has no lines. Unlike Salt 3006 it
// knows that a target may go on in the next line.
func readAliases(c *module.Call) ([]mailAlias, error) {
	text, err := c.Host.ReadFile(aliasesPath(c))
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, systemError(err, aliasesPath(c))
	}
	var all []mailAlias
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\r\n")
		body, comment := line, ""
		if i := strings.IndexByte(line, '#'); i >= 0 {
			i = len(strings.TrimRight(line[:i], " \t"))
			body, comment = line[:i], line[i:]
		}
		alias, target, is := strings.Cut(body, ":")
		more := strings.TrimSpace(body)
		switch {
		case more != "" && body[0] != more[0] && len(all) > 0 && all[len(all)-1].alias != "":
			last := &all[len(all)-1]
			last.target = strings.TrimSpace(last.target + " " + more)
			last.comment += comment
		case is && alias != "":
			all = append(all, mailAlias{alias, strings.TrimSpace(target), comment})
		default:
			all = append(all, mailAlias{comment: line})
		}
	}
	return all, nil
}

func writeAliases(ctx context.Context, c *module.Call, all []mailAlias) error {
	var b strings.Builder
	for _, a := range all {
		if a.alias != "" {
			b.WriteString(a.alias + ": " + a.target)
		}
		b.WriteString(a.comment + "\n")
	}
	if err := c.Host.WriteFile(aliasesPath(c), []byte(b.String())); err != nil {
		return systemError(err, aliasesPath(c))
	}
	if c.Host.Root != "" {
		return nil
	}
	if has, err := c.Call(ctx, "cmd.has_exec", []any{"newaliases"}, nil); err != nil || has != true {
		return err
	}
	_, err := c.Call(ctx, "cmd.run", []any{"newaliases"}, nil)
	return err
}

// aliasTarget is a target as the file has it: several with commas between them.
func aliasTarget(v any) (string, error) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var texts []string
	for _, t := range list {
		texts = append(texts, pytext.Str(t))
	}
	s := strings.Join(texts, ", ")
	switch {
	case s == "":
		return "", module.Invalidf("target can not be an empty string")
	case strings.ContainsAny(s, "\r\n"):
		return "", module.Invalidf("a target has no line breaks: %s", pytext.Repr(s))
	}
	return s, nil
}

func aliasOf(all []mailAlias, alias string) (target string, ok bool) {
	for _, a := range all {
		if a.alias != "" && a.alias == alias {
			target, ok = a.target, true // the last counts, as in Salt's map
		}
	}
	return target, ok
}

// aliasesListAliases returns what is in /etc/aliases: names to targets.
//
//	gosalt '*' aliases.list_aliases
func aliasesListAliases(ctx context.Context, c *module.Call, a noArgs) (*wire.Map, error) {
	all, err := readAliases(c)
	ret := wire.NewMap()
	for _, e := range all {
		if e.alias != "" {
			ret.Set(e.alias, e.target)
		}
	}
	return ret, err
}

type aliasesAliasArgs struct {
	Alias string // A local user or address.
}

// aliasesGetTarget returns where the mail of an alias goes, an empty text where there is none.
//
//	gosalt '*' aliases.get_target alias
func aliasesGetTarget(ctx context.Context, c *module.Call, a aliasesAliasArgs) (string, error) {
	all, err := readAliases(c)
	target, _ := aliasOf(all, a.Alias)
	return target, err
}

type aliasesTargetArgs struct {
	Alias  string // A local user or address.
	Target any    // Where its mail goes: an address, or a list of addresses.
}

// aliasesHasTarget tells whether the mail of an alias goes there.
//
//	gosalt '*' aliases.has_target alias target
func aliasesHasTarget(ctx context.Context, c *module.Call, a aliasesTargetArgs) (bool, error) {
	want, err := aliasTarget(a.Target)
	if err != nil {
		return false, err
	}
	all, err := readAliases(c)
	target, ok := aliasOf(all, a.Alias)
	return ok && target == want, err
}

// aliasesSetTarget says in /etc/aliases where the mail of an alias goes, and runs
// newaliases where there is one.
//
//	gosalt '*' aliases.set_target alias target
func aliasesSetTarget(ctx context.Context, c *module.Call, a aliasesTargetArgs) (bool, error) {
	if a.Alias == "" {
		return false, module.Invalidf("alias can not be an empty string")
	}
	if strings.ContainsAny(a.Alias, ":#\r\n") {
		return false, module.Invalidf("an alias has no colon, # or line break: %s", pytext.Repr(a.Alias))
	}
	want, err := aliasTarget(a.Target)
	if err != nil {
		return false, err
	}
	all, err := readAliases(c)
	if err != nil {
		return false, err
	}
	if target, ok := aliasOf(all, a.Alias); ok && target == want {
		return true, nil
	}
	var out []mailAlias
	set := false
	for _, e := range all {
		if e.alias == "" || e.alias != a.Alias {
			out = append(out, e)
		} else if !set {
			e.target, set = want, true
			out = append(out, e)
		}
	}
	if !set {
		out = append(out, mailAlias{alias: a.Alias, target: want})
	}
	return true, writeAliases(ctx, c, out)
}

// aliasesRmAlias takes an alias out of /etc/aliases, and runs newaliases where there is
// one.
//
//	gosalt '*' aliases.rm_alias alias
func aliasesRmAlias(ctx context.Context, c *module.Call, a aliasesAliasArgs) (bool, error) {
	all, err := readAliases(c)
	if err != nil {
		return false, err
	}
	if target, _ := aliasOf(all, a.Alias); target == "" {
		return true, nil
	}
	var out []mailAlias
	for _, e := range all {
		if e.alias == "" || e.alias != a.Alias {
			out = append(out, e)
		}
	}
	return true, writeAliases(ctx, c, out)
}
