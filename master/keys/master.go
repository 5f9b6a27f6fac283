package keys

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/gosalt/gosalt/protocol/seal"
)

// MasterConfig says which keys a master has. Field names follow Salt's options.
type MasterConfig struct {
	PKIDir  string      // pki_dir
	KeySize int         // keysize in bits, of keys that are made; DefaultKeySize when zero
	KeyPass seal.Secret // key_pass: the passphrase of master.pem, or empty

	SignPubkey         bool        // master_sign_pubkey: sign the public key with a second pair
	SignKeyName        string      // master_sign_key_name; "master_sign" when empty
	SignKeyPass        seal.Secret // signing_key_pass
	UsePubkeySignature bool        // master_use_pubkey_signature: the signature lies in a file
	PubkeySignature    string      // master_pubkey_signature: its name; "master_pubkey_signature" when empty

	Log *slog.Logger // nil: nothing is logged
}

// DefaultKeySize is the size of keys that are made, in bits.
const DefaultKeySize = seal.DefaultBits

// Master is the master's own keys.
type Master struct {
	Key *seal.PrivateKey
	Pub string // the public key as cleaned PEM, as it is sent

	Sign         *seal.PrivateKey // signs Pub for each minion; nil where it does not
	PubSignature string           // or the signature as it lies in the file, cleaned; ""
}

// LoadMaster reads the master's keys and makes those that are missing. It refuses a
// private key that other users can read, or that belongs to one, and a public key
// that is not the private one's; each message says how to mend it.
func LoadMaster(cfg MasterConfig) (*Master, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.KeySize == 0 {
		cfg.KeySize = DefaultKeySize
	}
	if cfg.SignKeyName == "" {
		cfg.SignKeyName = "master_sign"
	}
	if cfg.PubkeySignature == "" {
		cfg.PubkeySignature = "master_pubkey_signature"
	}
	if err := prepareDir(cfg.PKIDir, cfg.Log); err != nil {
		return nil, err
	}
	if err := removeTemporary(cfg.PKIDir); err != nil {
		return nil, err
	}
	var m Master
	var err error
	if m.Key, m.Pub, err = loadPair(cfg, "master", cfg.KeyPass); err != nil {
		return nil, err
	}
	switch {
	case cfg.SignPubkey && cfg.UsePubkeySignature:
		path := filepath.Join(cfg.PKIDir, cfg.PubkeySignature)
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("signature of the master's public key: %w; make it with: gosalt-key --gen-signature", err)
		}
		m.PubSignature = seal.CleanKey(string(b))
	case cfg.SignPubkey:
		if m.Sign, _, err = loadPair(cfg, cfg.SignKeyName, cfg.SignKeyPass); err != nil {
			return nil, err
		}
	}
	return &m, nil
}

// loadPair reads <name>.pem and <name>.pub, and makes what is missing.
func loadPair(cfg MasterConfig, name string, pass seal.Secret) (*seal.PrivateKey, string, error) {
	path := filepath.Join(cfg.PKIDir, name+".pem")
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		cfg.Log.Info("making key pair", "path", path, "bits", cfg.KeySize)
		if err := GenerateFiles(cfg.PKIDir, name, cfg.KeySize, pass); err != nil {
			return nil, "", err
		}
	}
	key, err := LoadPrivate(path, pass)
	if err != nil {
		return nil, "", err
	}
	pub, err := loadPublic(filepath.Join(cfg.PKIDir, name+".pub"), key)
	return key, pub, err
}

// LoadPrivate reads a private key that only its owner may read.
func LoadPrivate(path string, pass seal.Secret) (*seal.PrivateKey, error) {
	f, err := os.Open(path)
	if err != nil {
		if errors.Is(err, fs.ErrPermission) {
			return nil, fmt.Errorf("private key cannot be read: %w; run as its owner or as root", err)
		}
		return nil, fmt.Errorf("private key: %w", err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("private key %s: %w", path, errNoFile)
	}
	if mode := fi.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("private key %s has mode %04o, so other users may know it: 0400 expected; if nobody used that: chmod 400 %s, otherwise make new keys", path, mode, path)
	}
	if err := checkOwner(fi, path, "chown"); err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	b, err := io.ReadAll(io.LimitReader(f, 4*maxPEM))
	if err != nil {
		return nil, err
	}
	key, err := seal.ParsePrivate(b, pass)
	if err != nil {
		return nil, fmt.Errorf("private key %s: %w", path, err)
	}
	return key, nil
}

// loadPublic reads the public half, or writes it where it is missing.
func loadPublic(path string, key *seal.PrivateKey) (string, error) {
	want := key.Public().PEM()
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return seal.CleanKey(want), writeDurable(filepath.Dir(path), filepath.Base(path), []byte(want), 0o644)
	}
	if err != nil {
		return "", fmt.Errorf("public key: %w", err)
	}
	have, err := seal.ParsePublic(b)
	if err != nil {
		return "", fmt.Errorf("public key %s: %w; remove it and it is made anew from the private key", path, err)
	}
	if !have.Equal(key.Public()) {
		return "", fmt.Errorf("public key %s does not belong to the private key beside it; remove it and it is made anew, or put the right private key back", path)
	}
	return seal.CleanKey(string(b)), nil
}

// GenerateFiles makes a key pair <name>.pem (0400) and <name>.pub (0644) in a
// directory. An existing private key is left as it is and is an error.
func GenerateFiles(dir, name string, bits int, pass seal.Secret) error {
	if name == "" || strings.ContainsAny(name, "/\\\x00") || name[0] == '.' {
		return fmt.Errorf("key name %q: a plain file name expected", name)
	}
	path := filepath.Join(dir, name+".pem")
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("make key pair: %s exists", path)
	}
	key, err := seal.Generate(bits)
	if err != nil {
		return fmt.Errorf("make key pair: %w", err)
	}
	text, err := key.PEM(pass)
	if err != nil {
		return fmt.Errorf("make key pair: %w", err)
	}
	if err := writeDurable(dir, name+".pem", text, 0o400); err != nil {
		return fmt.Errorf("make key pair: %w", err)
	}
	if err := writeDurable(dir, name+".pub", []byte(key.Public().PEM()), 0o644); err != nil {
		return fmt.Errorf("make key pair: %w", err)
	}
	return nil
}
