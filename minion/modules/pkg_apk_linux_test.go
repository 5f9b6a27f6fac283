package modules

import "testing"

func TestApkName(t *testing.T) {
	for _, tt := range []struct{ line, name, version string }{
		{"musl-1.2.4-r2", "musl", "1.2.4-r2"},
		{"musl-utils-1.2.4-r2", "musl-utils", "1.2.4-r2"},
		{"ca-certificates-bundle-20230506-r0", "ca-certificates-bundle", "20230506-r0"},
		{"WARNING: opening", "", ""},
		{"", "", ""},
	} {
		name, version, ok := apkName(tt.line)
		if name != tt.name || version != tt.version || ok != (tt.name != "") {
			t.Errorf("%q: %q %q %v", tt.line, name, version, ok)
		}
	}
}

func TestApkUpgrading(t *testing.T) {
	const out = "(1/2) Upgrading musl (1.2.4-r1 -> 1.2.4-r2)\n(2/2) Installing curl (8.5.0-r0)\nOK: 10 MiB in 20 packages\n"
	all := apkUpgrading.FindAllStringSubmatch(out, -1)
	if len(all) != 1 || all[0][1] != "musl" || all[0][3] != "1.2.4-r2" {
		t.Error(all)
	}
}
