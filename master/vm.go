package master

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/master/join"
	"github.com/gosalt/gosalt/master/runners"
	"github.com/gosalt/gosalt/master/vm"
	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/ssh"
	"github.com/gosalt/gosalt/ssh/roster"
)

// VMDir is where the records of machines are that vm.create has made, below cachedir.
const VMDir = "vms"

// openVMs reads the profiles. A mistake in one hinders neither the others nor the master.
func (m *Master) openVMs() {
	m.vms = vm.New(vm.Config{Dir: filepath.Join(m.cfg.CacheDir, VMDir), Profiles: m.cfg.VMProfiles, Place: placesOf(m.cfg.Master, "vm_profiles"), ConfigDir: filepath.Dir(m.cfg.ConfFile),
		Master: vmMaster{m}, Log: m.log.With("part", "vm")})
	for _, err := range m.vms.Problems() {
		m.log.Error("a profile of virtual machines cannot be used", "error", err)
	}
	if m.inv == nil || m.cfg.Portless {
		return
	}
	for _, err := range m.vms.Sources() {
		m.log.Error("a profile of virtual machines cannot be used", "error", err)
	}
}

// placesOf tells where entries of an option stand in the configuration.
func placesOf(cfg *config.Master, option string) func(keys ...string) string {
	return func(keys ...string) string { return cfg.Places.Of(append([]string{option}, keys...)...) }
}

// VMs implements runners.Master.
func (r runnerMaster) VMs() (*vm.Manager, error) {
	if r.m.inv == nil {
		return nil, errors.New("no inventory is configured: the option inventory names the sources that make machines, and vm_profiles what they make")
	}
	if r.m.cfg.Portless {
		return nil, errors.New("machines are made by a master that runs: use gosalt-run")
	}
	return r.m.vms, nil
}

// vmMaster is the master as package vm sees it.
type vmMaster struct{ m *Master }

func (v vmMaster) Provider(source string) (inventory.Provider, error) {
	if v.m.inv == nil {
		return nil, errNoInventory
	}
	return v.m.inv.Provider(source)
}

func (v vmMaster) Connected(id wire.MinionID) bool { return v.m.presence.isConnected(id) }

func (v vmMaster) HasKey(id wire.MinionID) (bool, error) {
	st, err := v.m.keys.StateOf(id)
	return st != "", err
}

func (v vmMaster) ForgetKey(id wire.MinionID, user string) error {
	_, err := v.m.Unaccept(id, "", user)
	return err
}

func (v vmMaster) Token(id wire.MinionID, masters []string, life time.Duration, user string, named func(string) error) (text string, err error) {
	if len(masters) == 0 {
		if masters, err = join.Masters(v.m.cfg.Master); err != nil {
			if errors.Is(err, join.ErrNoAddress) {
				err = fmt.Errorf("%w, or by master in the profile", err)
			}
			return "", err
		}
	}
	secret := seal.NewJoinToken(masters, v.m.joining.finger, id)
	if text, err = secret.Text(); err != nil {
		return "", err
	}
	if err := named(secret.Name); err != nil {
		return "", err
	}
	_, err = v.m.joining.tokens.Issue(join.Token{ID: string(id), Uses: 1, By: user, Note: "vm.create"}, life, secret)
	v.m.audit("join token made", "user", user, "ref", secret.Name, "minion", string(id), "uses", 1, "life", life.String(), "result", err == nil)
	return text, err
}

func (v vmMaster) RevokeToken(name, user string) error {
	err := v.m.joining.tokens.Revoke(name, user)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	v.m.audit("join token revoked", "user", user, "ref", name, "result", err == nil)
	return err
}

// vmHost is a machine for SSH.
func vmHost(id wire.MinionID, address string, entry *wire.Map) (ssh.Host, error) {
	e := wire.NewMap("host", address)
	for k, val := range entry.Strings() {
		e.Set(k, val)
	}
	h := roster.Host(string(id), e, "vm_profiles")
	return h, h.Err
}

func (v vmMaster) Login(ctx context.Context, id wire.MinionID, address string, entry *wire.Map) error {
	h, err := vmHost(id, address, entry)
	if err != nil {
		return &vm.LoginError{Err: err, Final: true}
	}
	how, err := v.m.sshOptionsOf(nil)
	if err != nil {
		return err
	}
	conn, err := v.m.ssh.dialer(how.Dial).Dial(ctx, h)
	if err != nil {
		return loginError(err)
	}
	return conn.Close()
}

// loginError tells whether waiting may mend why SSH did not let us in.
func loginError(err error) error {
	switch ssh.KindOf(err) {
	case ssh.KindAuth:
		return &vm.LoginError{Err: err} // users and keys may come while the machine boots
	case ssh.KindHostKeyChanged, ssh.KindHostKeyRevoked, ssh.KindHostKeyUnknown, ssh.KindKnownHosts, ssh.KindKeyFile, ssh.KindPassphrase, ssh.KindBadPassphrase,
		ssh.KindAgent, ssh.KindNegotiation, ssh.KindRoster, ssh.KindOption:
		return &vm.LoginError{Err: err, Final: true}
	}
	return err
}

func (v vmMaster) Bootstrap(ctx context.Context, id wire.MinionID, address string, entry *wire.Map, masters []string, user string, progress func(string)) error {
	h, err := vmHost(id, address, entry)
	if err != nil {
		return err
	}
	o := BootstrapOptions{User: user, Progress: progress}
	if len(masters) > 0 {
		o.Master = masters[0]
	} else if v.m.cfg.RetPort != 4506 && len(v.m.cfg.JoinMasters) == 0 {
		// The session's address is known there alone; the port is not.
		if host := v.m.cfg.Interface; host != "" && host != "0.0.0.0" && host != "::" {
			o.Master = net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(v.m.cfg.RetPort))
		}
	} else if len(v.m.cfg.JoinMasters) > 0 {
		o.Master = v.m.cfg.JoinMasters[0]
	}
	_, err = v.m.Bootstrap(ctx, h, o)
	return err
}

func (v vmMaster) Run(ctx context.Context, id wire.MinionID, fun string, args []any, user string) (*wire.Map, error) {
	r := runnerMaster(v)
	ans, err := r.Ask(ctx, runners.Ask{Fun: fun, Args: args, Target: []any{string(id)}, Type: "list", User: user})
	if err != nil {
		return nil, err
	}
	if load := ans.Returns[id]; load != nil {
		return load, nil
	}
	if ans.JID == "" {
		return nil, fmt.Errorf("the master does not know the minion %s any more", id)
	}
	return nil, fmt.Errorf("no return: %s", r.Explain(ctx, ans.JID, id))
}
