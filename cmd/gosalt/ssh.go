package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/gosalt/gosalt/cli"
	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/internal/logs"
	"github.com/gosalt/gosalt/inventory/providers"
	"github.com/gosalt/gosalt/master"
	"github.com/gosalt/gosalt/minion/grains"
	"github.com/gosalt/gosalt/minion/modules"
	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/ssh"
)

// sshMain is gosalt-ssh: a master of its own for one job, which reaches machines by SSH.
func sshMain(name string, args []string) int {
	return cli.SSH(cli.StdIO(name), args, cli.SSHEnv{Open: openSSHMaster})
}

// openSSHMaster makes the master, and the way to it.
func openSSHMaster(ctx context.Context, io cli.IO, cfg *config.Master, o *cli.SSHOptions) (net.Conn, func(), error) {
	level := o.LogLevel
	if level == "" {
		level = "error" // results tell what failed, and where
	}
	log, closer, err := logs.Open(logs.Options{Console: io.Err, ConsoleLevel: level, Bare: true})
	if err != nil {
		return nil, nil, err
	}
	borrowed, err := ownPlaces(cfg)
	if err != nil {
		return nil, nil, err
	}
	cfg.FileRecv = false // gosalt-ssh keeps nothing that machines send but their results
	m, err := master.New(master.Config{Master: cfg, Log: log, Portless: true, Borrowed: borrowed, AskPass: asker(io),
		Functions: sync.OnceValue(modules.New), Kinds: providers.All(),
		Grains: sync.OnceValue(func() *wire.Map {
			return grains.Collect(context.Background(), grains.Options{Opts: cfg.Opts(), ConfDir: filepath.Dir(cfg.ConfFile), Log: log})
		})})
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	ours, theirs := net.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		m.Converse(ctx, theirs)
	}()
	return ours, func() {
		ours.Close()
		cancel()
		<-ended
		m.Close()
		closer.Close()
	}, nil
}

// ownPlaces moves what a master keeps into the user's own directory, where the user may
// not write to the usual places and the configuration does not name others. borrowed tells whether it did.
func ownPlaces(cfg *config.Master) (borrowed bool, err error) {
	probe := filepath.Join(cfg.CacheDir, ".gosalt-ssh")
	err = os.MkdirAll(cfg.CacheDir, 0o700)
	if err == nil {
		var f *os.File
		if f, err = os.OpenFile(probe, os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
			f.Close()
			os.Remove(probe)
			return false, nil
		}
	}
	if !errors.Is(err, fs.ErrPermission) && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("cachedir: %w", err)
	}
	base, err := os.UserCacheDir()
	if err != nil {
		return false, fmt.Errorf("%s cannot be written, and there is no home directory: set root_dir, or run it as root", cfg.CacheDir)
	}
	base = filepath.Join(base, "gosalt", "ssh")
	if err := os.MkdirAll(base, 0o700); err != nil {
		return false, err
	}
	cfg.CacheDir = filepath.Join(base, "cache")
	cfg.PKIDir = filepath.Join(base, "pki")
	cfg.SockDir = filepath.Join(base, "run")
	cfg.JobStore = filepath.Join(cfg.CacheDir, "jobstore")
	cfg.ControlSocket = filepath.Join(cfg.SockDir, "control.sock")
	cfg.AuditLog = filepath.Join(base, "audit.log")
	return true, nil
}

// asker asks for passwords and passphrases on the terminal, one at a time; nil where
// there is none.
func asker(io cli.IO) func(context.Context, ssh.Prompt) (seal.Secret, error) {
	in, ok := io.In.(*os.File)
	if !ok || !cli.IsTerminal(in) {
		return nil
	}
	var mu sync.Mutex
	return func(_ context.Context, p ssh.Prompt) (seal.Secret, error) {
		mu.Lock()
		defer mu.Unlock()
		text, err := cli.Prompt(io, bufio.NewReader(in), p.Text+" ", !p.Echo)
		if err != nil {
			return seal.Secret{}, err
		}
		return seal.NewSecret(text), nil
	}
}
