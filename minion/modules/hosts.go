//go:build unix

package modules

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("hosts.list_hosts", hostsListHosts)
	register("hosts.get_ip", hostsGetIP)
	register("hosts.get_alias", hostsGetAlias)
	register("hosts.has_pair", hostsHasPair)
	register("hosts.set_host", hostsSetHost)
	register("hosts.rm_host", hostsRmHost)
	register("hosts.add_host", hostsAddHost)
	register("hosts.set_comment", hostsSetComment)
}

// hostsPath is what the option hosts.file says, /etc/hosts by default.
func hostsPath(c *module.Call) string {
	if f := c.Opts.Text("hosts.file"); f != "" {
		return f
	}
	return "/etc/hosts"
}

// readHosts reads the file: addresses to aliases and comment, comments by their number.
func readHosts(c *module.Call) (*wire.Map, error) {
	text, err := c.Host.ReadFile(hostsPath(c))
	ret := wire.NewMap()
	if os.IsNotExist(err) {
		return ret, nil
	}
	if err != nil {
		return nil, systemError(err, hostsPath(c))
	}
	comments := 0
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if strings.HasPrefix(line, "#") {
			ret.Set(fmt.Sprintf("comment-%d", comments), []any{line})
			comments++
			continue
		}
		entry, comment, _ := strings.Cut(line, "#")
		comment = strings.TrimLeft(comment, " \t")
		words := strings.Fields(entry)
		if len(words) == 0 {
			continue
		}
		e := ret.Map(words[0])
		if e == nil {
			e = wire.NewMap("aliases", []any{})
			ret.Set(words[0], e)
		}
		aliases := e.List("aliases")
		for _, w := range words[1:] {
			aliases = append(aliases, w)
		}
		e.Set("aliases", aliases)
		if comment != "" {
			e.Set("comment", comment)
		}
	}
	return ret, nil
}

func writeHosts(c *module.Call, hosts *wire.Map) error {
	var b strings.Builder
	for addr, v := range hosts.Strings() {
		line := ""
		switch e := v.(type) {
		case []any:
			for _, s := range e {
				line += pytext.Str(s)
			}
		case *wire.Map:
			var names []string
			for _, a := range e.List("aliases") {
				names = append(names, pytext.Str(a))
			}
			line = addr + "\t\t" + strings.Join(names, " ")
			if e.Has("comment") {
				line += "\t\t# " + e.Text("comment")
			}
		}
		if line = strings.TrimSpace(line); line != "" {
			b.WriteString(line + "\n")
		}
	}
	if err := c.Host.WriteFile(hostsPath(c), []byte(b.String())); err != nil {
		return systemError(err, hostsPath(c))
	}
	return nil
}

// hostsListHosts returns what is in /etc/hosts, by address.
//
//	gosalt '*' hosts.list_hosts
func hostsListHosts(ctx context.Context, c *module.Call, a noArgs) (*wire.Map, error) {
	return readHosts(c)
}

type hostsHostArgs struct {
	Host string // A name.
}

// hostsGetIP returns the address that /etc/hosts has for a name, an empty text for none.
//
//	gosalt '*' hosts.get_ip <hostname>
func hostsGetIP(ctx context.Context, c *module.Call, a hostsHostArgs) (string, error) {
	hosts, err := readHosts(c)
	for addr, v := range hosts.Strings() {
		if e, ok := v.(*wire.Map); ok && slices.ContainsFunc(e.List("aliases"), func(x any) bool { return x == a.Host }) {
			return addr, err
		}
	}
	return "", err
}

type hostsIPArgs struct {
	IP string `arg:"ip"` // An address.
}

// hostsGetAlias lists the names that /etc/hosts has for an address.
//
//	gosalt '*' hosts.get_alias <ip addr>
func hostsGetAlias(ctx context.Context, c *module.Call, a hostsIPArgs) ([]any, error) {
	hosts, err := readHosts(c)
	if e := hosts.Map(a.IP); e != nil {
		return e.List("aliases"), err
	}
	return []any{}, err
}

type hostsPairArgs struct {
	IP    string `arg:"ip"` // An address.
	Alias any    // A name, or a list of names.
}

// hostsHasPair tells whether /etc/hosts has names for an address.
//
//	gosalt '*' hosts.has_pair <ip> <alias>
func hostsHasPair(ctx context.Context, c *module.Call, a hostsPairArgs) (bool, error) {
	hosts, err := readHosts(c)
	e := hosts.Map(a.IP)
	if e == nil || err != nil {
		return false, err
	}
	names, ok := a.Alias.([]any)
	if !ok {
		names = []any{a.Alias}
	}
	for _, n := range names {
		if !slices.ContainsFunc(e.List("aliases"), func(x any) bool { return pytext.Equal(x, n) }) {
			return false, nil
		}
	}
	return true, nil
}

type hostsSetHostArgs struct {
	IP      string `arg:"ip"` // An address.
	Alias   string // Its names, with blanks between them; '' removes the address.
	Comment string `default:"None"` // A comment behind them.
}

// hostLines are the lines of the file, which is made if it is not there.
func hostLines(c *module.Call) ([]string, error) {
	file := hostsPath(c)
	if !c.Host.Exists(file) {
		if err := c.Host.WriteFile(file, nil); err != nil {
			return nil, systemError(err, file)
		}
	}
	text, err := c.Host.ReadFile(file)
	if err != nil {
		return nil, systemError(err, file)
	}
	return slices.Collect(strings.Lines(string(text))), nil
}

func putHostLines(c *module.Call, lines []string) (bool, error) {
	if err := c.Host.WriteFile(hostsPath(c), []byte(strings.Join(lines, ""))); err != nil {
		return false, systemError(err, hostsPath(c))
	}
	return true, nil
}

// hostsSetHost gives an address these names in /etc/hosts, and no others.
//
//	gosalt '*' hosts.set_host <ip> <alias>
func hostsSetHost(ctx context.Context, c *module.Call, a hostsSetHostArgs) (bool, error) {
	lines, err := hostLines(c)
	if err != nil {
		return false, err
	}
	add := a.IP + "\t\t" + a.Alias + "\n"
	if a.Comment != "" {
		add = a.IP + "\t\t" + a.Alias + "\t\t# " + a.Comment + "\n"
	}
	if strings.TrimSpace(a.Alias) == "" {
		add = ""
	}
	done := false
	for i, line := range lines {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") || words[0] != a.IP {
			continue
		}
		lines[i], done = "", true
		if add != "" {
			lines[i], add = add, ""
		}
	}
	if !done {
		if n := len(lines); n > 0 && !strings.HasSuffix(lines[n-1], "\n") {
			lines[n-1] += "\n"
		}
		lines = append(lines, add)
	}
	return putHostLines(c, lines)
}

// hostsRmHost takes a name away from an address in /etc/hosts.
//
//	gosalt '*' hosts.rm_host <ip> <alias>
func hostsRmHost(ctx context.Context, c *module.Call, a hostsPairArgs) (bool, error) {
	if there, err := hostsHasPair(ctx, c, a); err != nil || !there {
		return err == nil, err
	}
	lines, err := hostLines(c)
	if err != nil {
		return false, err
	}
	for i, line := range lines {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		entry, comment, commented := strings.Cut(line, "#")
		words := strings.Fields(entry)
		if len(words) == 0 || words[0] != a.IP {
			continue
		}
		left := a.IP + "\t\t"
		for _, w := range words[1:] {
			if w != pytext.Str(a.Alias) {
				left += w + " "
			}
		}
		comment = strings.TrimLeft(comment, " \t")
		switch {
		case strings.TrimSpace(left) == a.IP:
			left = ""
		case commented && comment != "":
			left += "# " + comment + "\n"
		default:
			left += "\n"
		}
		lines[i] = left
	}
	return putHostLines(c, lines)
}

// hostsAddHost adds a name to an address in /etc/hosts.
//
//	gosalt '*' hosts.add_host <ip> <alias>
func hostsAddHost(ctx context.Context, c *module.Call, a hostsPairArgs) (bool, error) {
	if there, err := hostsHasPair(ctx, c, a); err != nil || there {
		return there, err
	}
	hosts, err := readHosts(c)
	if err != nil {
		return false, err
	}
	e := hosts.Map(a.IP)
	if e == nil {
		e = wire.NewMap()
		hosts.Set(a.IP, e)
	}
	e.Set("aliases", append(e.List("aliases"), a.Alias))
	return true, writeHosts(c, hosts)
}

type hostsSetCommentArgs struct {
	IP      string `arg:"ip"` // An address.
	Comment string // What stands behind its names.
}

// hostsSetComment sets the comment of an address in /etc/hosts.
//
//	gosalt '*' hosts.set_comment <ip> <comment>
func hostsSetComment(ctx context.Context, c *module.Call, a hostsSetCommentArgs) (bool, error) {
	hosts, err := readHosts(c)
	if err != nil {
		return false, err
	}
	e := hosts.Map(a.IP)
	if e == nil {
		return false, nil
	}
	if e.Has("comment") && e.Text("comment") == a.Comment {
		return true, nil
	}
	e.Set("comment", a.Comment)
	return true, writeHosts(c, hosts)
}
