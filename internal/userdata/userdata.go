// Package userdata makes what a new machine is started with, so that it becomes a minion:
// a cloud-config, or a shell script.
package userdata

import (
	"bytes"
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
	"text/template"

	"github.com/gosalt/gosalt/internal/lazyre"
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

var scriptTemplate = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("join.sh").Funcs(template.FuncMap{
		"quote": quote,
		// An URL with the machine's architecture in it, as a word of the shell.
		"arch": func(s string) string { return strings.ReplaceAll(quote(s), "{arch}", `'"$arch"'`) },
	}).Parse(script))
})

// quote makes one word of the shell of a text.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// Make is the user-data, in one of Formats.
func (d *Data) Make(format string) (string, error) {
	var b bytes.Buffer
	if err := scriptTemplate().Execute(&b, d); err != nil {
		return "", err
	}
	if format == "script" {
		return b.String(), nil
	}
	return cloudConfig(b.String()), nil
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
