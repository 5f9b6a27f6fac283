package vm

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/userdata"
	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Options are the keys of a profile.
var Options = []inventory.Option{
	{Name: "source", Type: inventory.Text, Need: true, Doc: "The source of the inventory that makes the machine: one of ec2 or libvirt."},
	{Name: "image", Type: inventory.Text, Doc: "Image: an AMI's id or name, a volume's name or path."},
	{Name: "size", Type: inventory.Text, Doc: "Instance type; for libvirt CPUs and MiB, as 2x1024."},
	{Name: "network", Type: inventory.Text, Doc: "Subnet or network; default: the provider's."},
	{Name: "key", Type: inventory.Text, Doc: "Name of a key pair, or a public key's text."},
	{Name: "user_data", Type: inventory.Text, Doc: "User-data of your own for cloud-init, besides what makes the machine a minion."},
	{Name: "user_data_file", Type: inventory.Text, Doc: "File with it."},
	{Name: "tags", Type: inventory.Map, Doc: "Tags of the machine, besides gosalt's own."},
	{Name: "extra", Type: inventory.Map, Doc: "Keys that only the provider knows, as security_groups, region, pool, disk."},
	{Name: "name", Type: inventory.Text, Doc: "How the names of machines begin that are given none; default: the profile's name."},
	{Name: "join", Type: inventory.Text, Doc: "How it becomes a minion: token (its user-data has a join token), ssh (the master installs gosalt-minion over SSH), none. Default: token where ready is minion, else none."},
	{Name: "ready", Type: inventory.Text, Doc: "When it answers: minion (it is connected), ssh (its SSH server answers), running (its provider says so). Default minion."},
	{Name: "install", Type: inventory.Text, Doc: "Where gosalt-minion comes from with join: token, as gosalt-key --install: a URL, package:NAME or image. Default image."},
	{Name: "sha256", Type: inventory.Text, Doc: "SHA-256 of what is at the URL of install."},
	{Name: "master", Type: inventory.List, Doc: "Addresses of the master as the machine sees them; default: join_masters."},
	{Name: "address", Type: inventory.List, Doc: "Which of its addresses are used for SSH, the first that it has: private, public, dns. Default: private, public."},
	{Name: "ssh", Type: inventory.Map, Doc: "Keys of a roster entry for SSH: user, port, priv, sudo."},
	{Name: "timeout", Type: inventory.Duration, Doc: "Time for it to be made and to answer; default 10m."},
}

const defaultTimeout = 10 * time.Minute

// The ways of join and ready.
const (
	joinToken, joinSSH, joinNone        = "token", "ssh", "none"
	readyMinion, readySSH, readyRunning = "minion", "ssh", "running"
)

// A Profile says what machines to make.
type Profile struct {
	Name, Source         string
	Image, Size, Network string
	Key                  string
	UserData             []byte
	Tags                 map[string]string
	Extra                *wire.Map
	Prefix               string
	Join, Ready          string
	Masters              []string
	Address              []string
	SSH                  *wire.Map
	Timeout              time.Duration

	install userdata.Data
}

var nameForm = lazyre.New(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?$`)

// place tells the file and line of a profile's key, and of the whole for ""; may be nil.
type place func(key string) string

// profileError is a mistake in the configuration.
func profileError(name, format string, args ...any) error {
	return fmt.Errorf("vm_profiles: %s: %w (see vm_profiles in the master's configuration)", name, fmt.Errorf(format, args...))
}

// readProfile reads one profile, and names all that is wrong in it.
func readProfile(name string, v any, confDir string, at place) (*Profile, error) {
	cfg, ok := v.(*wire.Map)
	if !ok {
		return nil, profileError(name, "%sit has to be a map with source, image and so on", inventory.At(at, ""))
	}
	if !nameForm.MatchString(name) {
		return nil, profileError(name, "%sthe name of a profile has letters, digits, dots and dashes, 63 at most", inventory.At(at, ""))
	}
	o, err := inventory.ReadValuesAt(name, cfg, at, Options)
	if err != nil {
		var e *inventory.Error
		if errors.As(err, &e) {
			return nil, profileError(name, "%s", e.Msg)
		}
		return nil, profileError(name, "%w", err)
	}
	p := &Profile{Name: name, Source: o.Text("source"), Image: o.Text("image"), Size: o.Text("size"), Network: o.Text("network"), Key: o.Text("key"),
		Tags: map[string]string{}, Extra: o.Map("extra"), Prefix: cmp.Or(o.Text("name"), name), Ready: cmp.Or(o.Text("ready"), readyMinion),
		Masters: o.List("master"), Address: o.List("address"), SSH: o.Map("ssh"), Timeout: cmp.Or(o.Duration("timeout"), defaultTimeout)}
	p.Join = o.Text("join")
	if p.Join == "" {
		p.Join = joinNone
		if p.Ready == readyMinion {
			p.Join = joinToken
		}
	}
	if len(p.Address) == 0 {
		p.Address = []string{"private", "public"}
	}
	var bad []string
	say := func(key, format string, args ...any) {
		bad = append(bad, inventory.At(at, key)+fmt.Sprintf(format, args...))
	}
	oneOf := func(key, got string, may ...string) {
		if !slices.Contains(may, got) {
			text := fmt.Sprintf("%s is %q, and has to be %s", key, got, strings.Join(may, ", "))
			if near := module.Nearest(got, may); near != "" {
				text += fmt.Sprintf("; is it %q?", near)
			}
			say(key, "%s", text)
		}
	}
	oneOf("join", p.Join, joinToken, joinSSH, joinNone)
	oneOf("ready", p.Ready, readyMinion, readySSH, readyRunning)
	for _, a := range p.Address {
		oneOf("address", a, "private", "public", "dns")
	}
	if len(p.Prefix) > 50 || !nameForm.MatchString(p.Prefix) {
		say("name", "name is %q: letters, digits, dots and dashes are expected, 50 at most", p.Prefix)
	}
	for k, v := range o.Map("tags").Strings() {
		switch v.(type) {
		case string, int64, uint64, float64, bool, int:
			p.Tags[k] = fmt.Sprint(v)
		default:
			say("tags", "tags: %s has to be a text", k)
		}
		if strings.HasPrefix(k, "gosalt:") {
			say("tags", "tags: %s: gosalt: is for gosalt's own", k)
		}
	}
	switch {
	case o.Has("user_data") && o.Has("user_data_file"):
		say("user_data_file", "user_data and user_data_file are both given")
	case o.Has("user_data"):
		p.UserData = []byte(o.Text("user_data"))
	case o.Has("user_data_file"):
		file := o.Text("user_data_file")
		if !filepath.IsAbs(file) {
			file = filepath.Join(confDir, file)
		}
		info, err := os.Stat(file)
		if err == nil && info.Size() > maxUserData {
			err = fmt.Errorf("%s has %d bytes: at most %d are expected", file, info.Size(), maxUserData)
		}
		if err == nil {
			p.UserData, err = os.ReadFile(file)
		}
		if err != nil {
			say("user_data_file", "user_data_file: %v", err)
		}
	}
	if p.Join == joinToken {
		if err := p.install.Source(cmp.Or(o.Text("install"), "image"), o.Text("sha256")); err != nil {
			say("install", "%s", strings.NewReplacer("--install", "install", "--sha256", "sha256").Replace(err.Error()))
		}
	} else {
		for _, k := range []string{"install", "sha256"} {
			if o.Has(k) {
				say(k, "%s is for join: token", k)
			}
		}
	}
	if p.Join == joinSSH && p.Ready == readyRunning || p.Join == joinToken && p.Ready != readyMinion {
		say("join", "with join: %s it has to be ready: minion", p.Join)
	}
	if len(bad) > 0 {
		return nil, profileError(name, "%s", strings.Join(bad, "; "))
	}
	if p.Join == joinSSH {
		p.Ready = readyMinion
	}
	return p, nil
}

// maxUserData bounds what a profile's own user-data may be; providers take less.
const maxUserData = 1 << 20
