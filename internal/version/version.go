// Package version says which gosalt this is, and which Salt it stands in for.
package version

import "runtime/debug"

// Version is gosalt's version; a release build sets it with -ldflags -X.
var Version = "0.1.0-dev"

// Salt is the Salt release whose behaviour gosalt follows.
const Salt = "3006.18"

// Text is what --version prints after the program's name.
func Text() string {
	if bi, ok := debug.ReadBuildInfo(); ok {
		for _, s := range bi.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				return Version + " (" + s.Value[:12] + ", speaks Salt " + Salt + ")"
			}
		}
	}
	return Version + " (speaks Salt " + Salt + ")"
}
