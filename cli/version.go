package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/gosalt/gosalt/internal/version"
)

// VersionsReport is what -V prints: versions of the program, of the modules it is
// built from, and of the system.
func VersionsReport() string {
	var b strings.Builder
	line := func(name, value string) { fmt.Fprintf(&b, "%20s: %s\n", name, value) }
	b.WriteString("Salt Version:\n") // what scripts look for: the Salt that this stands in for
	fmt.Fprintf(&b, "          Salt: %s\n", version.Salt)
	b.WriteString("\nGosalt Version:\n")
	line("Gosalt", version.Text())
	b.WriteString("\nBuild:\n")
	line("Go", runtime.Version())
	var modules []*debug.Module
	if info, ok := debug.ReadBuildInfo(); ok {
		modules = info.Deps
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" || s.Key == "vcs.time" || s.Key == "vcs.modified" || s.Key == "CGO_ENABLED" {
				line(s.Key, s.Value)
			}
		}
	}
	b.WriteString("\nDependency Versions:\n")
	for _, m := range modules {
		fmt.Fprintf(&b, "  %s: %s\n", m.Path, m.Version)
	}
	b.WriteString("\nSystem Versions:\n")
	line("os", runtime.GOOS)
	line("machine", runtime.GOARCH)
	line("cpus", fmt.Sprint(runtime.NumCPU()))
	return b.String()
}
