package modules

import (
	"context"
	"os"
	"path/filepath"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/seal"
)

func init() {
	register("key.finger", keyFinger)
	register("key.finger_master", keyFingerMaster)
}

type keyFingerArgs struct {
	HashType *string `default:"None"` // Hash of the fingerprint: sha256, md5, ... By default that of the option hash_type.
}

// keyFinger returns the fingerprint of this minion's public key, as gosalt-key -f shows it.
//
//	gosalt '*' key.finger
func keyFinger(_ context.Context, c *module.Call, a keyFingerArgs) (string, error) {
	return keyFileFinger(c, "minion.pub", a.HashType)
}

// keyFingerMaster returns the fingerprint of the key of the master that this minion has
// come to know.
//
//	gosalt '*' key.finger_master
func keyFingerMaster(_ context.Context, c *module.Call, a keyFingerArgs) (string, error) {
	return keyFileFinger(c, "minion_master.pub", a.HashType)
}

func keyFileFinger(c *module.Call, name string, hash *string) (string, error) {
	kind := c.Opts.Text("hash_type")
	if hash != nil {
		kind = *hash
	}
	text, err := os.ReadFile(filepath.Join(c.Opts.Text("pki_dir"), name))
	if os.IsNotExist(err) {
		return "", nil // Salt's answer, too
	}
	if err != nil {
		return "", module.Failf("the key cannot be read: %w", err)
	}
	print, err := seal.Fingerprint(string(text), kind)
	if err != nil {
		return "", module.Failf("the key %s: %w", name, err)
	}
	return print, nil
}
