package userdata

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// Every form of the script is whole, and one that a shell can read.
func TestScripts(t *testing.T) {
	sum := strings.Repeat("0a", 32)
	for name, d := range map[string]Data{
		"url":     {URL: "https://x.example/it's", Sums: [][2]string{{"*", sum}}, Token: "T"},
		"archs":   {URL: "https://x.example/minion-{arch}", Sums: [][2]string{{"amd64", sum}, {"arm64", sum}}, Token: "T"},
		"package": {Package: "gosalt-minion", Token: "T"},
		"image":   {Join: []string{"--aws", "it's"}},
	} {
		d.By, d.Whom = "the test", "For everyone."
		text := d.Make("script")
		if regexp.MustCompile(`@[a-z]*@|#@|\{arch`).MatchString(text) {
			t.Errorf("%s: something is left open:\n%s", name, text)
		}
		cmd := exec.Command("sh", "-n")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s\n%s", name, err, out, text)
		}
		want := map[string]string{
			"url":   `url='https://x.example/it'\''s'`,
			"archs": `url='https://x.example/minion-'"$arch"''`,
			"image": `join -c /etc/salt --timeout 600 '--aws' 'it'\''s'`,
		}[name]
		if !strings.Contains(text, want) {
			t.Errorf("%s: %q is missing:\n%s", name, want, text)
		}
	}
}
