package swarm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/wire"
)

// KeyOf is the key pair of the minion with this number.
func KeyOf(keys []*seal.PrivateKey, n int) *seal.PrivateKey { return keys[n%len(keys)] }

// Keys returns n key pairs of 2048 bits from the files 0.pem, 1.pem, ... of a
// directory, and makes those that are missing. Ten thousand pairs would take an
// hour to make, and their number makes no difference to a master.
func Keys(dir string, n int) ([]*seal.PrivateKey, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("directory of the swarm's keys: %w", err)
	}
	keys := make([]*seal.PrivateKey, n)
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() { keys[i], errs[i] = loadKey(filepath.Join(dir, strconv.Itoa(i)+".pem")) })
	}
	wg.Wait()
	return keys, errors.Join(errs...)
}

func loadKey(name string) (*seal.PrivateKey, error) {
	text, err := os.ReadFile(name)
	if err == nil {
		return seal.ParsePrivate(text, seal.NewSecret(""))
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("key of the swarm: %w", err)
	}
	key, err := seal.Generate(seal.MinBits)
	if err != nil {
		return nil, err
	}
	if text, err = key.PEM(seal.NewSecret("")); err != nil {
		return nil, err
	}
	// Another process may be making the same file: the first one's key counts.
	tmp, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return nil, fmt.Errorf("key of the swarm: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(text)
	if err := errors.Join(err, tmp.Close()); err != nil {
		return nil, fmt.Errorf("key of the swarm: %w", err)
	}
	if err := os.Link(tmp.Name(), name); errors.Is(err, fs.ErrExist) {
		return loadKey(name)
	} else if err != nil {
		return nil, fmt.Errorf("key of the swarm: %w", err)
	}
	return key, nil
}

// Seed puts the public keys of the swarm's minions among the accepted ones of a master,
// whose pki_dir is given, so that nobody has to accept them.
func Seed(pkiDir string, cfg Config) error {
	dir := filepath.Join(pkiDir, "minions")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("accept the swarm's keys: %w", err)
	}
	pems := map[*seal.PrivateKey][]byte{}
	for i := range cfg.Count {
		n := cfg.First + i
		id, err := wire.ParseMinionID(string(cfg.ID(n)))
		if err != nil {
			return fmt.Errorf("accept the swarm's keys: %w", err)
		}
		key := KeyOf(cfg.Keys, n)
		if pems[key] == nil {
			pems[key] = []byte(seal.CleanKey(key.Public().PEM()))
		}
		if err := os.WriteFile(filepath.Join(dir, string(id)), pems[key], 0o644); err != nil {
			return fmt.Errorf("accept the swarm's keys: %w", err)
		}
	}
	return nil
}
