package rpm

import (
	"slices"
	"strings"
)

var (
	x86s32 = []string{"i386", "i486", "i586", "i686"}
	arms32 = []string{"armv5tel", "armv5tejl", "armv6l", "armv6hl", "armv7l", "armv7hl", "armv7hnl"}
	others = []string{
		"x86_64", "athlon", "amd64", "ia32e", "ia64", "geode",
		"ppc", "ppc64", "ppc64le", "ppc64iseries", "ppc64pseries", "s390", "s390x",
		"alpha", "alphaev4", "alphaev45", "alphaev5", "alphaev56", "alphapca56", "alphaev6", "alphaev67", "alphaev68", "alphaev7",
		"aarch64", "sh3", "sh4", "sh4a",
	}
)

// Arch tells whether a text is an architecture that packages bear, "noarch" not being one.
func Arch(s string) bool {
	return slices.Contains(x86s32, s) || slices.Contains(arms32, s) || slices.Contains(others, s)
}

// Both32 tells whether two architectures are 32 bits wide and of one kind: packages of
// either run on such a system.
func Both32(a, b string) bool {
	return slices.Contains(x86s32, a) && slices.Contains(x86s32, b) || slices.Contains(arms32, a) && slices.Contains(arms32, b)
}

// Name is what a package is called: with its architecture where that is not the system's.
func Name(name, arch, osarch string) string {
	if Both32(arch, osarch) || arch == osarch || arch == "noarch" {
		return name
	}
	return name + "." + arch
}

// Normalize drops an architecture that goes without saying.
func Normalize(name, osarch string) string {
	base, arch, ok := SplitArch(name)
	if ok && (arch == osarch || arch == "noarch" || Both32(arch, osarch)) {
		return base
	}
	return name
}

// SplitArch parts "zsh.x86_64". ok is false where there is no architecture at the end.
func SplitArch(name string) (base, arch string, ok bool) {
	i := strings.LastIndexByte(name, '.')
	if i < 0 || !Arch(name[i+1:]) && name[i+1:] != "noarch" {
		return name, "", false
	}
	return name[:i], name[i+1:], true
}
