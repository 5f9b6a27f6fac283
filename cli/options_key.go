package cli

import (
	"fmt"
	"strings"

	"github.com/gosalt/gosalt/internal/optparse"
)

// KeyOptions are the options of gosalt-key.
type KeyOptions struct {
	CommonOptions
	AuthOptions
	TokenOptions
	CloudInitOptions
	Out OutputOptions

	User            string // -u
	Quiet           bool   // -q
	Yes             bool   // -y
	RotateAESKey    bool   // --rotate-aes-key, True by default
	PreserveMinions bool   // --preserve-minions

	List    string // -l
	ListAll bool   // -L, and what is done without any action
	Accept  string // -a, a shell pattern or several with commas
	Reject  string // -r
	Print   string // -p
	Delete  string // -d
	Finger  string // -f

	Gone bool // --gone: only keys whose machine is in the inventory no more

	AcceptAll, RejectAll, PrintAll, DeleteAll, FingerAll bool // -A -R -P -D -F

	IncludeAll, IncludeAccepted, IncludeRejected, IncludeDenied bool

	GenKeys       string // --gen-keys: name of the pair
	GenKeysDir    string
	KeySize       int // bits
	GenSignature  bool
	Priv, Pub     string
	SignaturePath string
	AutoCreate    bool
}

// ParseKey reads gosalt-key's command line. An error is for IO.Fail.
func ParseKey(io IO, args []string) (*KeyOptions, error) {
	o := newKey(io)
	rest, err := o.parse(io, args, nil)
	if err != nil {
		return nil, err
	}
	if err := o.Out.finish(o.parser); err != nil {
		return nil, err
	}
	if o.List != "" && keyListStates(o.List) == nil {
		return nil, o.Errorf("'%s' is not a valid argument to '--list'", o.List)
	}
	switch {
	case o.KeySize < 2048:
		return nil, o.Errorf("The minimum value for keysize is 2048")
	case o.KeySize > 32768:
		return nil, o.Errorf("The maximum value for keysize is 32768")
	}
	return o, o.surplus(io, rest)
}

// surplus tells of arguments, which gosalt-key has none of. Salt takes no notice of
// them but with --delete-all, where it stops, with exit code 0.
func (o *KeyOptions) surplus(io IO, rest []string) error {
	switch {
	case len(rest) == 0:
		return nil
	case o.DeleteAll:
		code := OK.Code(o.Strict)
		if o.Strict {
			code = Usage.Code(true)
		}
		return &optparse.Exit{Code: code, Err: "Error: Delete all takes no arguments. Use -d to delete specified keys\n"}
	}
	fmt.Fprintf(io.Err, "%s: warning: arguments that are not used: %s\n", io.Prog, strings.Join(rest, " "))
	return nil
}

func newKey(io IO) *KeyOptions {
	o := &KeyOptions{RotateAESKey: true, GenKeysDir: ".", KeySize: 2048, TokenOptions: TokenOptions{Uses: 1}, CloudInitOptions: CloudInitOptions{Format: "cloud-config"}}
	o.CommonOptions.declare(io, "%prog [options]",
		"%prog manages the keys by which the master knows its minions.")
	p := o.parser
	const actions, generation = "Actions", "Key Generation Options"
	p.Add("",
		optparse.Text(&o.User, "user", "-u", "--user").Help("User to run as."),
		o.declareHardCrash(),
		optparse.Flag(&o.Quiet, "quiet", "-q", "--quiet").Help("Do not show errors as results. Results are shown all the same, as by Salt."),
		optparse.Flag(&o.Yes, "yes", "-y", "--yes").
			Help("Take every question as answered with yes. Default: %default."),
		optparse.Bool(&o.RotateAESKey, "rotate_aes_key", "--rotate-aes-key").
			Help("False keeps the key that all minions share when keys are deleted or rejected; those minions can read along until it changes. Default: %default."),
		optparse.Bool(&o.PreserveMinions, "preserve_minions", "--preserve-minions").
			Help("True keeps the data that the master has of minions whose keys are deleted. Default: %default."),
	)
	o.AuthOptions.declare(p, false)
	o.Out.declare(p)
	p.Add(actions,
		optparse.Text(&o.List, "list", "-l", "--list").Metavar("ARG").
			Help("List keys by state: 'acc' or 'accepted', 'pre', 'un' or 'unaccepted', 'rej' or 'rejected', 'den' or 'denied', or 'all'."),
		optparse.Flag(&o.ListAll, "list_all", "-L", "--list-all").
			Help("List all keys. This is also done without any option."),
		optparse.Text(&o.Accept, "accept", "-a", "--accept").
			Help("Accept the waiting keys that match a shell pattern; --include-rejected and --include-denied add those."),
		optparse.Flag(&o.AcceptAll, "accept_all", "-A", "--accept-all").
			Help("Accept all waiting keys."),
		optparse.Text(&o.Reject, "reject", "-r", "--reject").
			Help("Reject the waiting keys that match a shell pattern; --include-accepted and --include-denied add those."),
		optparse.Flag(&o.RejectAll, "reject_all", "-R", "--reject-all").
			Help("Reject all waiting keys."),
		optparse.Flag(&o.IncludeAll, "include_all", "--include-all").
			Help("Like --include-rejected when accepting and --include-accepted when rejecting."),
		optparse.Flag(&o.IncludeAccepted, "include_accepted", "--include-accepted").
			Help("Reject accepted keys, too."),
		optparse.Flag(&o.IncludeRejected, "include_rejected", "--include-rejected").
			Help("Accept rejected keys, too."),
		optparse.Flag(&o.IncludeDenied, "include_denied", "--include-denied").
			Help("Accept or reject denied keys, too."),
		optparse.Text(&o.Print, "print", "-p", "--print").
			Help("Print the public keys that match a shell pattern."),
		optparse.Flag(&o.PrintAll, "print_all", "-P", "--print-all").
			Help("Print all public keys."),
		optparse.Text(&o.Delete, "delete", "-d", "--delete").
			Help("Delete the keys that match a shell pattern."),
		optparse.Flag(&o.DeleteAll, "delete_all", "-D", "--delete-all").
			Help("Delete all keys."),
		optparse.Flag(&o.Gone, "gone", "--gone").
			Help("List the keys whose machine is not in the inventory and not connected. With --delete or --delete-all, delete those and no others, after a question; nothing where a source of the inventory could not be listed whole."),
		optparse.Text(&o.Finger, "finger", "-f", "--finger").
			Help("Print the fingerprints of the keys that match a shell pattern, the master's own among them."),
		optparse.Flag(&o.FingerAll, "finger_all", "-F", "--finger-all").
			Help("Print the fingerprints of all keys."),
	)
	p.Add(generation,
		optparse.Text(&o.GenKeys, "gen_keys", "--gen-keys").
			Help("Make a pair of keys NAME.pem and NAME.pub, where NAME is this."),
		optparse.Text(&o.GenKeysDir, "gen_keys_dir", "--gen-keys-dir").
			Help("Directory for the pair of --gen-keys. Default: '%default'."),
		optparse.Int(&o.KeySize, "keysize", "--keysize").
			Help("Bits of the keys of --gen-keys, from 2048 to 32768. Default: %default."),
		optparse.Flag(&o.GenSignature, "gen_signature", "--gen-signature").
			Help("Sign the master's public key and write the signature to a file, which the master then sends to minions that verify it. It takes a pair of signing keys; --auto-create makes one."),
		optparse.Text(&o.Priv, "priv", "--priv").Help("File of the private key to sign with."),
		optparse.Text(&o.SignaturePath, "signature_path", "--signature-path").
			Help("Directory for the signature."),
		optparse.Text(&o.Pub, "pub", "--pub").Help("File of the public key to sign."),
		optparse.Flag(&o.AutoCreate, "auto_create", "--auto-create").
			Help("Make a pair of signing keys if there is none."),
	)
	o.TokenOptions.declare(p)
	o.CloudInitOptions.declare(p)
	o.declareLogging(false, "key_logfile", "/var/log/salt/key")
	return o
}
