package modules

import (
	"os"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/target"
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

// globMatch is Python's fnmatch: "*" and "?" match any character, "/" too.
func globMatch(pattern, s string) bool { return target.Fnmatch(pattern, s) }

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
