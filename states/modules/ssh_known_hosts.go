package modules

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("ssh_known_hosts.present", sshKnownHostsPresent)
	register("ssh_known_hosts.absent", sshKnownHostsAbsent)
}

type sshKnownHostsPresentArgs struct {
	Name                string // Name or address of a host.
	User                any    `default:"None"` // Whose file; that of the machine where it is None.
	Fingerprint         any    `default:"None"` // The fingerprint that the host's key has to have.
	Key                 any    `default:"None"` // The key, in place of asking the host; with enc.
	Port                any    `default:"None"` // Port of the host; with hash_known_hosts False.
	Enc                 any    `default:"None"` // Kind of the key: ssh-rsa, ssh-ed25519 and so on.
	Config              any    `default:"None"` // The file: .ssh/known_hosts of the user, or /etc/ssh/ssh_known_hosts.
	HashKnownHosts      bool   `default:"True"` // Hash the host's name.
	Timeout             any    `default:"5"`    // Seconds to wait for the host.
	FingerprintHashType any    `default:"None"` // Hash of the fingerprint: sha256, md5 and so on.
}

// knownHostsFile is the file of the arguments.
func knownHostsFile(user, config any) (string, error) {
	file := ".ssh/known_hosts"
	if !module.Truth(user) {
		file = "/etc/ssh/ssh_known_hosts"
	}
	if module.Truth(config) {
		file = pytext.Str(config)
	}
	if !module.Truth(user) && !filepath.IsAbs(file) {
		return file, module.Failf(`If not specifying a "user", specify an absolute "config".`)
	}
	return file, nil
}

// sshKnownHostsPresent makes a host known by its key, which it is asked for where the
// arguments do not name it.
func sshKnownHostsPresent(ctx context.Context, c *states.Call, a sshKnownHostsPresentArgs) (*states.Plan, error) {
	file, err := knownHostsFile(a.User, a.Config)
	p := &states.Plan{}
	if err != nil {
		return p, err
	}
	switch {
	case module.Truth(a.Key) && module.Truth(a.Fingerprint):
		return p, module.Failf(`Specify either "key" or "fingerprint", not both.`)
	case module.Truth(a.Key) && !module.Truth(a.Enc):
		return p, module.Failf(`Required argument "enc" if using "key" argument.`)
	}
	if c.Test {
		return p, a.test(ctx, c, p, file)
	}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		ret, err := a.set(ctx, c, file, false)
		if err != nil {
			return err
		}
		switch ret.Text("status") {
		case "exists":
			r.Comment = fmt.Sprintf("%s already exists in %s", a.Name, file)
			return nil
		case "error":
			return module.Failf("%s", ret.Text("error"))
		}
		first := wire.NewMap()
		if l := ret.List("new"); len(l) > 0 {
			first, _ = l[0].(*wire.Map)
		}
		switch {
		case module.Truth(a.Key):
			r.Comment = fmt.Sprintf("%s's key saved to %s (key: %s)", a.Name, file, first.Text("key"))
		case module.Truth(a.Fingerprint):
			r.Comment = fmt.Sprintf("%s's key saved to %s (fingerprint: %s)", a.Name, file, first.Text("fingerprint"))
		case module.Truth(a.Enc):
			r.Comment = fmt.Sprintf("%s's %s key saved to %s (key: %s)", a.Name, pytext.Str(a.Enc), file, first.Text("key"))
		default:
			r.Comment = fmt.Sprintf("%s's key(s) saved to %s", a.Name, file)
		}
		r.SetChanges(change(get(ret, "old"), get(ret, "new")))
		return nil
	})
	return p, nil
}

// set has the host made known, or with test only asks what there is to do.
func (a *sshKnownHostsPresentArgs) set(ctx context.Context, c *states.Call, file string, test bool) (*wire.Map, error) {
	kwargs := wire.NewMap("user", a.User, "hostname", a.Name, "fingerprint", a.Fingerprint, "key", a.Key, "port", a.Port,
		"enc", a.Enc, "config", file, "hash_known_hosts", a.HashKnownHosts, "timeout", a.Timeout, "fingerprint_hash_type", a.FingerprintHashType)
	if test {
		kwargs.Set("test", true)
	}
	v, err := c.Call.Call(ctx, "ssh.set_known_host", nil, kwargs)
	m, _ := v.(*wire.Map)
	return m, err
}

// test asks the host for its keys, too, as the run does: what Salt looks at under
// test=True is only what is known already.
func (a *sshKnownHostsPresentArgs) test(ctx context.Context, c *states.Call, p *states.Plan, file string) error {
	if userToCome(c, a.User) {
		p.Would = fmt.Sprintf("Key for %s is set to be added to %s", a.Name, file)
		p.Do(nil, nil)
		return nil
	}
	v, err := c.Call.Call(ctx, "ssh.check_known_host", args(a.User, a.Name), wire.NewMap("key", a.Key, "fingerprint", a.Fingerprint, "config", file, "port", a.Port,
		"fingerprint_hash_type", a.FingerprintHashType))
	if err != nil {
		return err
	}
	if m, ok := v.(*wire.Map); ok && m.Has("error") {
		return module.Failf("%s", m.Text("error"))
	}
	ret, err := a.set(ctx, c, file, true)
	if err != nil {
		return err
	}
	p.Would = fmt.Sprintf("Key for %s is set to be updated in %s", a.Name, file)
	if v == "add" {
		p.Would = fmt.Sprintf("Key for %s is set to be added to %s", a.Name, file)
	}
	why := ret.Text("error")
	switch {
	case ret.Text("status") == "exists":
		p.Fine = fmt.Sprintf("Host %s is already in %s", a.Name, file)
		return nil
	case ret.Text("status") == "error" && (v != "add" || why != "Unable to receive remote host keys"): // a state before this one may be there to start it
		return module.Failf("%s", why)
	}
	p.Do(nil, nil)
	return nil
}

type sshKnownHostsAbsentArgs struct {
	Name   string // Name or address of a host.
	User   any    `default:"None"` // Whose file; that of the machine where it is None.
	Config any    `default:"None"` // The file.
}

// sshKnownHostsAbsent makes a host unknown.
func sshKnownHostsAbsent(ctx context.Context, c *states.Call, a sshKnownHostsAbsentArgs) (*states.Plan, error) {
	file, err := knownHostsFile(a.User, a.Config)
	p := &states.Plan{Fine: "Host is already absent", Would: fmt.Sprintf("Key for %s is set to be removed from %s", a.Name, file)}
	if err != nil {
		return p, err
	}
	if userToCome(c, a.User) {
		return p, nil
	}
	known, err := c.Call.Call(ctx, "ssh.get_known_host_entries", args(a.User, a.Name), wire.NewMap("config", file))
	if err != nil || !module.Truth(known) {
		return p, err
	}
	if lacksUser(c, a.User) {
		return p, module.Failf("User %s does not exist", pytext.Str(a.User))
	}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		v, err := c.Call.Call(ctx, "ssh.rm_known_host", nil, wire.NewMap("user", a.User, "hostname", a.Name, "config", file))
		if err != nil {
			return err
		}
		ret, _ := v.(*wire.Map)
		if ret.Text("status") == "error" {
			return module.Failf("%s", ret.Text("error"))
		}
		r.Comment = ret.Text("comment")
		r.SetChanges(change(known, nil))
		return nil
	})
	return p, nil
}
