// Package version says which gosalt this is, and which Salt it stands in for.
package version

import (
	"runtime/debug"
	"strconv"
	"strings"
)

// release is gosalt's version; the Makefile sets it with -ldflags -X.
var release = "0.1.0-dev"

// Salt is the Salt release whose protocol, options and texts gosalt follows, and
// which it reports where other code compares versions (the grain saltversion).
const Salt = "3006.18"

// Gosalt is the version of this program: "0.1.0".
func Gosalt() string { return release }

// SaltInfo is Salt as numbers, as in the grain saltversioninfo: 3006, 18.
func SaltInfo() []int {
	var out []int
	for _, p := range strings.Split(Salt, ".") {
		n, err := strconv.Atoi(p)
		if err != nil {
			break
		}
		out = append(out, n)
	}
	return out
}

// Text is what --version prints after the program's name.
func Text() string {
	commit := ""
	if bi, ok := debug.ReadBuildInfo(); ok {
		for _, s := range bi.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				commit = " at " + s.Value[:12]
			}
		}
	}
	return release + commit + " (compatible with Salt " + Salt + ")"
}

// Dependencies are the modules that are linked in, with their versions.
func Dependencies() map[string]string {
	out := map[string]string{}
	if bi, ok := debug.ReadBuildInfo(); ok {
		for _, d := range bi.Deps {
			out[d.Path] = d.Version
		}
	}
	return out
}
