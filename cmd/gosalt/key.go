package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gosalt/gosalt/cli"
	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/master/jobs"
	"github.com/gosalt/gosalt/master/keys"
	"github.com/gosalt/gosalt/protocol/control"
	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/wire"
)

// keyMain is gosalt-key. It works on the master's files, whether a master runs or
// not, and tells a running one to look at them.
func keyMain(name string, args []string) int {
	syscall.Umask(0o077)
	io := cli.StdIO(name)
	if code, done := cli.Completing(io, args, nil); done {
		return code
	}
	o, err := cli.ParseKey(io, args)
	if err != nil {
		return io.Fail(err)
	}
	cfg, problems, err := config.LoadMaster(o.ConfigDir)
	if err != nil {
		for _, p := range problems {
			fmt.Fprintf(io.Err, "%s: %s\n", name, p)
		}
		return cli.Usage.Code(o.Strict)
	}
	env := cli.KeyEnv{Conf: cfg.Opts(), Passphrase: seal.NewSecret(cfg.KeyPass.Reveal())}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if o.GenKeys != "" {
		return cli.RunKey(ctx, io, o, env) // needs no master's directories
	}
	if o.EAuth != "" {
		remote, exit := cli.RemoteKeys(io, o, cfg)
		if remote == nil {
			return exit
		}
		env.Store = remote
		return cli.RunKey(ctx, io, o, env)
	}
	for _, dir := range []string{cfg.PKIDir, cfg.CacheDir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return notPermitted(io, o, err)
		}
	}
	ks := &keyStore{cfg: cfg}
	store, err := keys.Open(keys.Config{PKIDir: cfg.PKIDir, CacheDir: cfg.CacheDir, MasterID: cfg.ID, RotateAES: o.RotateAESKey,
		OnEvent: func(e keys.Event) { ks.events = append(ks.events, e.Data()) }})
	if err != nil {
		return notPermitted(io, o, err)
	}
	ks.Store = store
	env.Store = ks
	env.Tokens = &joinTokens{cfg: cfg, sudoUser: io.Getenv("SUDO_USER")}
	env.Gone = goneKeys(cfg)
	code := cli.RunKey(ctx, io, o, env)
	if ks.changed {
		ks.tell(io.Getenv("SUDO_USER"))
	}
	return code
}

func notPermitted(io cli.IO, o *cli.KeyOptions, err error) int {
	if !errors.Is(err, fs.ErrPermission) {
		return io.Fail(err)
	}
	fmt.Fprintf(io.Err, "%s: error: %v\n", io.Prog, err)
	io.Hint("run it as root or as the master's user")
	return cli.NotPermitted.Code(o.Strict)
}

// keyStore is the master's key directories as gosalt-key sees them.
type keyStore struct {
	*keys.Store
	cfg     *config.Master
	changed bool
	events  []any // of what was done, for the bus of a running master
}

func (k *keyStore) List(s cli.KeyState) ([]wire.MinionID, error) {
	return k.Store.List(keys.State(s))
}

func (k *keyStore) Read(s cli.KeyState, id wire.MinionID) (string, error) {
	return k.Store.Read(keys.State(s), id)
}

func (k *keyStore) Move(id wire.MinionID, from, to cli.KeyState) error {
	k.changed = true
	return k.Store.Move(id, keys.State(from), keys.State(to))
}

func (k *keyStore) Delete(s cli.KeyState, id wire.MinionID) error {
	k.changed = true
	return k.Store.Delete(keys.State(s), id)
}

func (k *keyStore) RotateAES() error {
	k.changed = true
	return k.Store.RotateAES()
}

// Forget drops the stored data of minions that have no key any more, those of keep
// apart.
func (k *keyStore) Forget(keep []wire.MinionID) error {
	if _, err := os.Stat(k.cfg.JobStore); err != nil {
		return nil // no master has run here
	}
	has := map[wire.MinionID]bool{}
	for _, id := range keep {
		has[id] = true
	}
	for _, st := range keys.States {
		ids, err := k.Store.List(st)
		if err != nil {
			return err
		}
		for _, id := range ids {
			has[id] = true
		}
	}
	store, err := jobs.Open(k.cfg.JobStore, jobs.Options{})
	if err != nil {
		return err
	}
	defer store.Close()
	ctx := context.Background()
	var gone []wire.MinionID
	for d, err := range store.AllMinionData(ctx) {
		if err != nil {
			return err
		}
		if !has[d.ID] {
			gone = append(gone, d.ID)
		}
	}
	for _, id := range gone {
		if err := store.ForgetMinion(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// tell makes a running master look at its keys now and fire the events of what was done
// to them, and says whether there is one.
func (k *keyStore) tell(sudoUser string) bool {
	// Where there is none, the next one sees the change by itself.
	_, err := control.Ask(context.Background(), k.cfg.ControlSocket, wire.NewMap("op", control.OpKeys, "events", k.events, "sudo_user", sudoUser), 2*time.Second)
	return err == nil
}
