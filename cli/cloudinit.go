package cli

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"text/template"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/optparse"
	"github.com/gosalt/gosalt/protocol/wire"
)

// CloudInitOptions are those options of gosalt-key that are about user-data.
type CloudInitOptions struct {
	CloudInit bool   // --cloud-init
	Format    string // --format
	Install   string // --install
	SHA256    string // --sha256
	AWS       bool   // --aws
}

// userDataFormats are the forms of user-data.
var userDataFormats = []string{"cloud-config", "script"}

func (c *CloudInitOptions) declare(p *optparse.Parser) {
	g := p.Add("User-Data",
		optparse.Flag(&c.CloudInit, "cloud_init", "--cloud-init").
			Help("Print user-data that makes a new machine a minion: it installs gosalt-minion as a service and joins with a new token, for which the options above hold."),
		optparse.Choice(&c.Format, userDataFormats, "format", "--format").
			Help("'cloud-config', or 'script' for a shell script that any machine can run as root. Default: '%default'."),
		optparse.Text(&c.Install, "install", "--install").Metavar("FROM").
			Help("Where the machine gets gosalt-minion from: the URL of the program, in which {arch} is amd64, arm64, 386 or arm, as the machine is; 'package:NAME' for its package manager; or 'image' where it is in the image already."),
		optparse.Text(&c.SHA256, "sha256", "--sha256").Metavar("SUM").
			Help("SHA-256 of the program at the URL: 64 hex digits, or a file here that is the same. For several kinds of machines ARCH=SUM, with commas between them."),
		optparse.Flag(&c.AWS, "aws", "--aws").
			Help("Have the instance show its identity document (autosign_cloud) instead of a token, so that the user-data holds no secret."),
	)
	g.Description = "What a new virtual machine is started with."
}

//go:embed cloudinit.sh
var joinScript string

// joinData is what the script is made of.
type joinData struct {
	Prog    string
	Whom    string // what the token is for, in words
	URL     string // with {arch} in it, or not
	Sums    [][2]string
	Package string
	Token   string
	Join    []string // further arguments of gosalt-minion join
}

var joinTemplate = template.Must(template.New("cloudinit.sh").Funcs(template.FuncMap{
	"quote": shellQuote,
	// An URL with the machine's architecture in it, as a word of the shell.
	"arch": func(s string) string { return strings.ReplaceAll(shellQuote(s), "{arch}", `'"$arch"'`) },
}).Parse(joinScript))

// shellQuote makes one word of the shell of a text.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// cloudInit prints user-data with a new token in it.
func (k *keyCommand) cloudInit() (Outcome, error) {
	o := &k.o.CloudInitOptions
	d := joinData{Prog: k.io.Prog}
	if err := o.source(&d); err != nil {
		return Usage, err
	}
	if o.AWS && k.o.Uses > 1 {
		return Usage, errors.New("--uses is for tokens, and --aws needs none")
	}
	if err := k.speakFor(&d); err != nil {
		return OK, err
	}
	var script bytes.Buffer
	if err := joinTemplate.Execute(&script, d); err != nil {
		return OK, err
	}
	text := script.String()
	if o.Format != "script" {
		text = cloudConfig(text)
	}
	if len(text) > 16<<10 {
		fmt.Fprintf(k.io.Err, "%s: warning: %d bytes of user-data: EC2 takes 16 KiB\n", k.io.Prog, len(text))
	}
	var to io.Writer = k.io.Out
	if k.out.File != "" {
		f, err := os.OpenFile(k.out.File, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		if err != nil {
			return OK, err
		}
		defer f.Close()
		to = f
	}
	if _, err := io.WriteString(to, text); err != nil {
		return OK, err
	}
	fmt.Fprintf(k.io.Err, "%s: %s\n", k.io.Prog, d.Whom)
	return OK, nil
}

// speakFor puts in what the machine shows to the master.
func (k *keyCommand) speakFor(d *joinData) error {
	if k.o.AWS {
		masters, finger, err := k.env.Tokens.Master(k.o.Masters)
		if err != nil {
			return err
		}
		d.Whom = "it holds no secret: instances join by their identity document (autosign_cloud)"
		d.Join = []string{"--aws", "--finger", finger}
		if k.o.ID != "" {
			if _, err := wire.ParseMinionID(k.o.ID); err != nil || strings.ContainsAny(k.o.ID, "*?[") {
				return fmt.Errorf("--id %q: with --aws the id of one minion is expected", k.o.ID)
			}
			d.Join = append(d.Join, "--id", k.o.ID)
		}
		d.Join = append(d.Join, masters...)
		return nil
	}
	t, about, err := k.issue()
	if err != nil {
		return err
	}
	d.Token, err = t.Text()
	d.Whom = fmt.Sprintf("token %s in it is for %s, until %s", about.Text("name"), whom(about), about.Text("expires"))
	return err
}

var (
	sumForm     = lazyre.New(`^[0-9a-fA-F]{64}$`)
	packageForm = lazyre.New(`^[A-Za-z0-9][A-Za-z0-9.+_:~=-]*$`)
	archs       = map[string]bool{"amd64": true, "arm64": true, "386": true, "arm": true}
)

// source reads --install and --sha256.
func (o *CloudInitOptions) source(d *joinData) error {
	name, isPackage := strings.CutPrefix(o.Install, "package:")
	switch {
	case o.Install == "":
		return errors.New("--install is missing: the URL of gosalt-minion for the machine, package:NAME, or image where the image has it")
	case o.Install == "image" || isPackage:
		if o.SHA256 != "" {
			return fmt.Errorf("--sha256 is for a URL, and --install is %s", o.Install)
		}
		if isPackage && !packageForm.MatchString(name) {
			return fmt.Errorf("--install %s: the name of a package expected", o.Install)
		}
		d.Package = name
		if !isPackage {
			d.Package = ""
		}
		return nil
	}
	u, err := url.Parse(o.Install)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" && u.Scheme != "file" || strings.ContainsFunc(o.Install, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return fmt.Errorf("--install %q: a URL with https, http or file, package:NAME, or image expected", o.Install)
	}
	d.URL = o.Install
	if o.SHA256 == "" {
		return errors.New("--sha256 is missing: the machine runs as root what it gets from there; give the sum, or the file here that is the same")
	}
	byArch := strings.Contains(o.Install, "{arch}")
	for part := range strings.SplitSeq(o.SHA256, ",") {
		arch, sum, named := strings.Cut(part, "=")
		switch {
		case byArch && (!named || !archs[arch]):
			return fmt.Errorf("--sha256 %s: ARCH=SUM expected, as the URL has {arch}: amd64, arm64, 386 or arm", part)
		case !byArch && (named && archs[arch] || len(d.Sums) > 0):
			return fmt.Errorf("--sha256 %s: one sum expected, as the URL has no {arch}", o.SHA256)
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
	h := sha256.New()
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
