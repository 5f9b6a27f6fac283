// Package userdata makes what a new machine is started with, so that it becomes a minion:
// a cloud-config, or a shell script.
package userdata

import (
	sha "crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"sync"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/minionservice"
)

// Formats are the forms of user-data.
var Formats = []string{"cloud-config", "script"}

// Data is what it is made of.
type Data struct {
	By   string // what made it: "gosalt-key --cloud-init"
	Whom string // what the token is for, in words

	// Where gosalt-minion comes from, see Source.

	URL     string // with {arch} in it, or not
	Sums    [][2]string
	Package string

	Token string   // a join token; "": Join says how to join
	Join  []string // further arguments of gosalt-minion join
}

//go:embed join.sh
var script string

// sections are the parts of the script by their names: each begins with a line "#@ NAME".
// (A text/template would have the linker keep every method of the program: 9 MB.)
var sections = sync.OnceValue(func() map[string]string {
	m := map[string]string{}
	for part := range strings.SplitSeq("#@ head\n"+script, "#@ ") {
		name, text, _ := strings.Cut(part, "\n")
		m[name] = text
	}
	return m
})

// quote makes one word of the shell of a text.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// Make is the user-data, in one of Formats.
func (d *Data) Make(format string) string {
	var b strings.Builder
	write := func(section string, values ...string) {
		b.WriteString(strings.NewReplacer(values...).Replace(sections()[section]))
	}
	write("head", "@by@", d.By, "@whom@", d.Whom)
	if d.URL != "" {
		var sums []string
		for _, s := range d.Sums {
			sums = append(sums, s[0]+") sum="+s[1]+" ;;")
		}
		if d.Sums[0][0] != "*" {
			sums = append(sums, `*) fail "no SHA-256 is known of gosalt-minion for $arch" ;;`)
		}
		// The machine's architecture in a URL is put in by the shell.
		write("url", "@sums@", strings.Join(sums, "\n"), "@url@", strings.ReplaceAll(quote(d.URL), "{arch}", `'"$arch"'`))
	} else {
		if d.Package != "" {
			write("package", "@package@", quote(d.Package))
		}
		write("find")
	}
	by := "the user-data of " + d.By
	write("service", "@systemd@", minionservice.Systemd(by, "$program"), "@openrc@", minionservice.OpenRC(by, "$program"))
	if d.Token != "" {
		write("token", "@token@", d.Token)
	} else {
		var args strings.Builder
		for _, a := range d.Join {
			args.WriteString(" " + quote(a))
		}
		write("join", "@join@", args.String())
	}
	if format == "script" {
		return b.String()
	}
	return cloudConfig(b.String())
}

var (
	sumForm     = lazyre.New(`^[0-9a-fA-F]{64}$`)
	packageForm = lazyre.New(`^[A-Za-z0-9][A-Za-z0-9.+_:~=-]*$`)
	archs       = map[string]bool{"amd64": true, "arm64": true, "386": true, "arm": true}
)

// Source reads where gosalt-minion comes from: a URL, "package:NAME" or "image", and for a
// URL the SHA-256 of what is there. Its errors name both as the options --install and --sha256.
func (d *Data) Source(install, sha256 string) error {
	name, isPackage := strings.CutPrefix(install, "package:")
	switch {
	case install == "":
		return errors.New("--install is missing: the URL of gosalt-minion for the machine, package:NAME, or image where the image has it")
	case install == "image" || isPackage:
		if sha256 != "" {
			return fmt.Errorf("--sha256 is for a URL, and --install is %s", install)
		}
		if isPackage && !packageForm.MatchString(name) {
			return fmt.Errorf("--install %s: the name of a package expected", install)
		}
		d.Package = name
		if !isPackage {
			d.Package = ""
		}
		return nil
	}
	u, err := url.Parse(install)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" && u.Scheme != "file" || strings.ContainsFunc(install, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return fmt.Errorf("--install %q: a URL with https, http or file, package:NAME, or image expected", install)
	}
	d.URL = install
	if sha256 == "" {
		return errors.New("--sha256 is missing: the machine runs as root what it gets from there; give the sum, or the file here that is the same")
	}
	byArch := strings.Contains(install, "{arch}")
	for part := range strings.SplitSeq(sha256, ",") {
		arch, sum, named := strings.Cut(part, "=")
		switch {
		case byArch && (!named || !archs[arch]):
			return fmt.Errorf("--sha256 %s: ARCH=SUM expected, as the URL has {arch}: amd64, arm64, 386 or arm", part)
		case !byArch && (named && archs[arch] || len(d.Sums) > 0):
			return fmt.Errorf("--sha256 %s: one sum expected, as the URL has no {arch}", sha256)
		case !byArch:
			arch, sum = "*", part
		}
		if !sumForm.MatchString(sum) {
			if sum, err = fileSum(sum); err != nil {
				return fmt.Errorf("--sha256 %s: neither 64 hex digits nor a file: %w", part, err)
			}
		}
		d.Sums = append(d.Sums, [2]string{arch, strings.ToLower(sum)})
	}
	return nil
}

func fileSum(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// cloudConfig wraps a script for cloud-init. It is removed when it has run, for the token in it.
func cloudConfig(script string) string {
	var b strings.Builder
	b.WriteString(`#cloud-config
write_files:
- path: /run/gosalt-join.sh
  owner: root:root
  permissions: '0600'
  content: |
`)
	for line := range strings.Lines(script) {
		if line != "\n" {
			b.WriteString("    ")
		}
		b.WriteString(line)
	}
	b.WriteString(`runcmd:
- [sh, -c, 'sh /run/gosalt-join.sh; code=$?; rm -f /run/gosalt-join.sh; exit $code']
`)
	return b.String()
}
