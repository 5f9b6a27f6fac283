package minion

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gosalt/gosalt/internal/durable"
	"github.com/gosalt/gosalt/protocol/seal"
)

// Names of the key files in pki_dir, as Salt's minion has them.
const (
	privateKeyFile = "minion.pem"
	publicKeyFile  = "minion.pub"
	masterKeyFile  = "minion_master.pub"
)

// loadKey reads the minion's private key, and makes one where there is none. A key
// that other users can read is refused.
func loadKey(dir string, bits int) (*seal.PrivateKey, error) {
	name := filepath.Join(dir, privateKeyFile)
	text, err := readPrivate(name)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKey(dir, bits)
	}
	if err != nil {
		return nil, err
	}
	key, err := seal.ParsePrivate(text, seal.Secret{})
	if err != nil {
		return nil, fmt.Errorf("read the minion's key %s: %w", name, err)
	}
	return key, nil
}

func makeKey(dir string, bits int) (*seal.PrivateKey, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the minion's key: %w; run the minion as a user who may write there, or set root_dir or pki_dir", err)
	}
	key, err := seal.Generate(bits)
	if err != nil {
		return nil, fmt.Errorf("make the minion's key: %w", err)
	}
	pem, err := key.PEM(seal.Secret{})
	if err != nil {
		return nil, fmt.Errorf("make the minion's key: %w", err)
	}
	if err := durable.WriteFile(filepath.Join(dir, publicKeyFile), []byte(key.Public().PEM()), 0o644); err != nil {
		return nil, fmt.Errorf("make the minion's key: %w", err)
	}
	if err := durable.WriteFile(filepath.Join(dir, privateKeyFile), pem, 0o400); err != nil {
		return nil, fmt.Errorf("make the minion's key: %w", err)
	}
	return key, nil
}

// readMasterKey reads the master's key as it was first seen, or put there
// beforehand; nil where there is none.
func readMasterKey(name string) (*seal.PublicKey, error) {
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the master's key: %w", err)
	}
	key, err := seal.ParsePublic(b)
	if err != nil {
		return nil, fmt.Errorf("read the master's key %s: %w; remove the file to take the key that the master sends", name, err)
	}
	return key, nil
}

// masterKeyName is the file of one master's key: Salt's name for the first or only
// one, one with the master's address for further ones.
func masterKeyName(dir, master string, only bool) string {
	if only {
		return filepath.Join(dir, masterKeyFile)
	}
	safe := strings.Map(func(r rune) rune {
		if r == '/' || r == '\\' || r == ':' || r < 0x21 {
			return '_'
		}
		return r
	}, master)
	return filepath.Join(dir, "minion_master."+safe+".pub")
}

func writeMasterKey(name, pem string) error {
	if err := durable.WriteFile(name, []byte(pem), 0o644); err != nil {
		return fmt.Errorf("keep the master's key: %w", err)
	}
	return nil
}

// signingKey is the key with which the master's key has to be signed
// (verify_master_pubkey_sign).
func (l *link) signingKey() (*seal.PublicKey, error) {
	name := filepath.Join(l.cfg.PKIDir, l.cfg.MasterSignKeyName+".pub")
	key, err := readMasterKey(name)
	if err == nil && key == nil {
		err = fmt.Errorf("verify_master_pubkey_sign is on, and %s is missing: copy it from the master's pki_dir", name)
	}
	return key, err
}
