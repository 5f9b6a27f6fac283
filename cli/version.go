package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sort"
	"strings"
)

// Version is gosalt's own; the build sets it.
var Version = "0.1.0"

// SaltVersion is the version of Salt whose protocol, options and texts these are.
const SaltVersion = "3006.18"

// VersionText is what --version prints after the program's name.
func VersionText() string { return Version + " (compatible with Salt " + SaltVersion + ")" }

// VersionsReport is what -V prints: versions of the program, of the modules it is
// built from, and of the system.
func VersionsReport() string {
	var b strings.Builder
	section := func(title string, rows [][2]string) {
		fmt.Fprintf(&b, "%s:\n", title)
		for _, r := range rows {
			fmt.Fprintf(&b, "%14s: %s\n", r[0], r[1])
		}
	}
	section("Gosalt Version", [][2]string{{"Gosalt", Version}, {"Salt protocol", SaltVersion}})
	rows := [][2]string{{"Go", runtime.Version()}}
	var modules [][2]string
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" || s.Key == "vcs.time" || s.Key == "CGO_ENABLED" {
				rows = append(rows, [2]string{s.Key, s.Value})
			}
		}
		for _, m := range info.Deps {
			modules = append(modules, [2]string{m.Path, m.Version})
		}
	}
	sort.Slice(modules, func(i, j int) bool { return modules[i][0] < modules[j][0] })
	b.WriteString("\n")
	section("Build", rows)
	b.WriteString("\nDependency Versions:\n")
	for _, m := range modules {
		fmt.Fprintf(&b, "  %s %s\n", m[0], m[1])
	}
	b.WriteString("\n")
	section("System Versions", [][2]string{{"os", runtime.GOOS}, {"machine", runtime.GOARCH}, {"cpus", fmt.Sprint(runtime.NumCPU())}})
	return b.String()
}
