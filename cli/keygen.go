package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gosalt/gosalt/cli/output"
	"github.com/gosalt/gosalt/internal/durable"
	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/wire"
)

// result shows what making keys came to, as Salt does: under "return".
func (k *keyCommand) result(v any) error {
	return output.Display(k.io.Out, wire.NewMap("return", v), "nested", k.out)
}

// genKeys makes the pair NAME.pem and NAME.pub and shows the fingerprint. A pair
// that is there already is not replaced.
func (k *keyCommand) genKeys() (Outcome, error) {
	dir := k.o.GenKeysDir
	if filepath.Base(k.o.GenKeys) != k.o.GenKeys || k.o.GenKeys == "." || k.o.GenKeys == ".." {
		return OK, fmt.Errorf("--gen-keys takes the name of a pair, not a path: %q; the place is --gen-keys-dir", k.o.GenKeys)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return OK, fmt.Errorf("make the directory of the keys: %w", err)
	}
	pub, err := k.makePair(dir, k.o.GenKeys)
	if err != nil {
		return OK, err
	}
	f, err := seal.Fingerprint(pub, k.env.setting("hash_type", "sha256"))
	if err != nil {
		return OK, err
	}
	return OK, k.result(f)
}

// makePair writes a new pair, unless the private key is there, and returns the
// public key's text.
func (k *keyCommand) makePair(dir, name string) (string, error) {
	priv, pub := filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".pub")
	if _, err := os.Stat(priv); err == nil {
		text, err := os.ReadFile(pub)
		if errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("%s is there, but not %s: remove the one, or put back the other", priv, pub)
		}
		if err != nil {
			return "", fmt.Errorf("read the public key: %w", err)
		}
		return string(text), nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("look for the private key: %w", err)
	}
	generate := k.env.Generate
	if generate == nil {
		generate = seal.Generate
	}
	key, err := generate(k.o.KeySize)
	if err != nil {
		return "", fmt.Errorf("make a key of %d bits: %w", k.o.KeySize, err)
	}
	secret, err := key.PEM(k.env.Passphrase)
	if err != nil {
		return "", err
	}
	text := key.Public().PEM()
	if err := durable.WriteFile(pub, []byte(text), 0o644); err != nil {
		return "", err
	}
	if err := durable.WriteFile(priv, secret, 0o400); err != nil {
		return "", err
	}
	return text, nil
}

// genSignature signs the master's public key for minions that verify it.
func (k *keyCommand) genSignature() (Outcome, error) {
	o := k.o
	dir := k.pkiDir()
	refuse := func(format string, args ...any) (Outcome, error) {
		return NoKeyMatched, k.result(fmt.Sprintf(format, args...))
	}
	pub, priv := o.Pub, o.Priv
	switch {
	case pub == "":
		if pub = filepath.Join(dir, "master.pub"); !isFile(pub) {
			pub = ""
		}
	case !isFile(pub):
		return refuse("Public-key %s does not exist", pub)
	}
	name := k.env.setting("master_sign_key_name", "master_sign")
	switch {
	case priv == "":
		if priv = filepath.Join(dir, name+".pem"); !isFile(priv) {
			priv = ""
		}
	case !isFile(priv):
		return refuse("Private-key %s does not exist", priv)
	}
	if priv == "" {
		if !o.AutoCreate {
			return refuse("No usable private-key found")
		}
		if _, err := k.makePair(dir, name); err != nil {
			return OK, err
		}
		priv = filepath.Join(dir, name+".pem")
	}
	if pub == "" {
		return refuse("No usable public-key found")
	}
	if o.SignaturePath != "" {
		dir = o.SignaturePath
	}
	file := filepath.Join(dir, k.env.setting("master_pubkey_signature", "master_pubkey_signature"))
	if isFile(file) {
		k.io.Hint("%s is there already; remove it first", file)
		return NoKeyMatched, k.result(false)
	}
	if err := k.sign(priv, pub, file); err != nil {
		return OK, err
	}
	return OK, k.result(true)
}

func (k *keyCommand) sign(priv, pub, file string) error {
	secret, err := os.ReadFile(priv)
	if err != nil {
		return fmt.Errorf("read the private key: %w", err)
	}
	key, err := seal.ParsePrivate(secret, k.env.Passphrase)
	if err != nil {
		return fmt.Errorf("%s: %w", priv, err)
	}
	text, err := os.ReadFile(pub)
	if err != nil {
		return fmt.Errorf("read the public key: %w", err)
	}
	name := k.env.setting("signing_algorithm", "")
	algo, ok := seal.SigAlgorithm(name)
	if !ok {
		return fmt.Errorf("signing_algorithm: %s or %s expected, not %q", seal.PKCS1v15SHA1, seal.PKCS1v15SHA224, name)
	}
	sig, err := seal.SignMasterKey(key, algo, string(text))
	if err != nil {
		return fmt.Errorf("sign the public key: %w", err)
	}
	return durable.WriteFile(file, []byte(sig), 0o644)
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
