package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/gosalt/gosalt/internal/optparse"
	"github.com/gosalt/gosalt/internal/userdata"
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

func (c *CloudInitOptions) declare(p *optparse.Parser) {
	g := p.Add("User-Data",
		optparse.Flag(&c.CloudInit, "cloud_init", "--cloud-init").
			Help("Print user-data that makes a new machine a minion: it installs gosalt-minion as a service and joins with a new token, for which the options above hold."),
		optparse.Choice(&c.Format, userdata.Formats, "format", "--format").
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

// cloudInit prints user-data with a new token in it.
func (k *keyCommand) cloudInit() (Outcome, error) {
	o := &k.o.CloudInitOptions
	d := userdata.Data{By: k.io.Prog + " --cloud-init"}
	if err := d.Source(o.Install, o.SHA256); err != nil {
		return Usage, err
	}
	if o.AWS && k.o.Uses > 1 {
		return Usage, errors.New("--uses is for tokens, and --aws needs none")
	}
	if err := k.speakFor(&d); err != nil {
		return OK, err
	}
	text := d.Make(o.Format)
	if len(text) > 16<<10 {
		fmt.Fprintf(k.io.Err, "%s: warning: %d bytes of user-data: EC2 takes 16 KiB\n", k.io.Prog, len(text))
	}
	if err := k.writeSecret(text, os.O_TRUNC); err != nil {
		return OK, err
	}
	fmt.Fprintf(k.io.Err, "%s: %s\n", k.io.Prog, d.Whom)
	return OK, nil
}

// speakFor puts in what the machine shows to the master.
func (k *keyCommand) speakFor(d *userdata.Data) error {
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
