package modules

import (
	"os"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
)

// cmdPermitted holds a command against cmd_blacklist_glob and cmd_whitelist_glob of
// the minion's configuration. What is in both is refused.
func cmdPermitted(c *module.Call, cmd any) bool {
	line := commandLine(cmd)
	matches := func(option string) (matched, set bool) {
		for _, p := range configGlobs(c, option) {
			set = true
			matched = matched || globMatch(p, line)
		}
		return matched, set
	}
	if black, _ := matches("cmd_blacklist_glob"); black {
		return false
	}
	white, limited := matches("cmd_whitelist_glob")
	return white || !limited
}

func configGlobs(c *module.Call, option string) []string {
	v, _ := c.Opts.Get(option)
	var out []string
	switch v := v.(type) {
	case string:
		if v != "" {
			out = append(out, v)
		}
	case []any:
		for _, p := range v {
			out = append(out, pytext.Str(p))
		}
	}
	return out
}

// globMatch is Python's fnmatch: "*" and "?" match any character, "/" too; "[a-z]"
// and "[!a-z]" one of a set; there is no escape.
func globMatch(pattern, s string) bool { return globRunes([]rune(pattern), []rune(s)) }

func globRunes(p, s []rune) bool {
	star, mark := -1, 0 // the last "*" and what it has swallowed so far
	pi, si := 0, 0
	for si < len(s) {
		if pi < len(p) && p[pi] == '*' {
			star, mark = pi, si
			pi++
			continue
		}
		if n := globOne(p[pi:], s[si]); n > 0 {
			pi += n
			si++
			continue
		}
		if star < 0 {
			return false
		}
		mark++
		pi, si = star+1, mark
	}
	for pi < len(p) && p[pi] == '*' {
		pi++
	}
	return pi == len(p)
}

// globOne matches one character and returns how much of the pattern that took, 0
// when it does not match.
func globOne(p []rune, r rune) int {
	if len(p) == 0 {
		return 0
	}
	switch p[0] {
	case '?':
		return 1
	case '[':
		if n, ok := globSet(p, r); n > 0 {
			if ok {
				return n
			}
			return 0
		}
	}
	if p[0] == r {
		return 1
	}
	return 0
}

// globSet reads a set and tells whether r is in it; n is its length, 0 when it is
// not closed and so no set.
func globSet(p []rune, r rune) (n int, ok bool) {
	i := 1
	not := i < len(p) && p[i] == '!'
	if not {
		i++
	}
	end := i + 1 // a "]" that comes first is a member
	for end < len(p) && p[end] != ']' {
		end++
	}
	if end >= len(p) {
		return 0, false
	}
	in := false
	for set := p[i:end]; len(set) > 0; {
		if len(set) >= 3 && set[1] == '-' {
			in = in || set[0] <= r && r <= set[2]
			set = set[3:]
			continue
		}
		in = in || set[0] == r
		set = set[1:]
	}
	return end + 1, in != not
}

// searchPath is the minion's PATH with the usual directories after it, since
// daemons are started with little.
func searchPath() string {
	const sep = string(os.PathListSeparator)
	dirs := strings.Split(os.Getenv("PATH"), sep)
	for _, d := range []string{"/sbin", "/bin", "/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"} {
		if !slices.Contains(dirs, d) {
			dirs = append(dirs, d)
		}
	}
	return strings.Join(dirs, sep)
}
