package keys

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gosalt/gosalt/protocol/seal"
)

func TestLoadMaster(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	cfg := MasterConfig{PKIDir: dir, KeySize: 2048, KeyPass: seal.NewSecret("s3cret"), SignPubkey: true}
	first, err := LoadMaster(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"master.pem": 0o400, "master.pub": 0o644, "master_sign.pem": 0o400, "master_sign.pub": 0o644} {
		fi, err := os.Stat(filepath.Join(dir, name))
		if err != nil || fi.Mode() != mode {
			t.Errorf("%s: %v, %v", name, fi, err)
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, "master.pem"))
	if err != nil || !strings.Contains(string(b), "ENCRYPTED") {
		t.Errorf("private key is not encrypted: %v", err)
	}
	again, err := LoadMaster(cfg)
	if err != nil || again.Pub != first.Pub || !again.Sign.Public().Equal(first.Sign.Public()) {
		t.Fatalf("loaded again: %v", err)
	}
	if strings.HasSuffix(again.Pub, "\n") || again.Key.Public().Bits() != 2048 {
		t.Errorf("public key %q", again.Pub)
	}

	if err := os.Remove(filepath.Join(dir, "master.pub")); err != nil {
		t.Fatal(err)
	}
	again, err = LoadMaster(cfg)
	if err != nil || again.Pub != first.Pub {
		t.Fatalf("public key made anew: %v", err)
	}

	cfg.UsePubkeySignature = true
	if _, err := LoadMaster(cfg); err == nil || !strings.Contains(err.Error(), "gosalt-key --gen-signature") {
		t.Errorf("without the file of the signature: %v", err)
	}
	writeFile(t, filepath.Join(dir, "master_pubkey_signature"), "c2lnbmF0dXJl\n", 0o644)
	again, err = LoadMaster(cfg)
	if err != nil || again.PubSignature != "c2lnbmF0dXJl" || again.Sign != nil {
		t.Errorf("with the file of the signature: %v", err)
	}

	// As a refusal says how to mend it, so it can be mended.
	for name, test := range map[string]struct {
		spoil func()
		want  string
	}{
		"passphrase": {func() { cfg.KeyPass = seal.Secret{} }, "key_pass"},
		"world-readable": {func() { chmod(t, filepath.Join(dir, "master.pem"), 0o644) },
			"chmod 400 "},
		"another public key": {func() { writeFile(t, filepath.Join(dir, "master.pub"), pub(0), 0o644) }, "does not belong to the private key"},
		"damaged public key": {func() { writeFile(t, filepath.Join(dir, "master.pub"), "x", 0o644) }, "remove it"},
		"damaged private key": {func() {
			chmod(t, filepath.Join(dir, "master.pem"), 0o600)
			writeFile(t, filepath.Join(dir, "master.pem"), "x", 0o400)
		}, "master.pem"},
		"directory": {func() {
			if err := os.Remove(filepath.Join(dir, "master.pem")); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(filepath.Join(dir, "master.pem"), 0o700); err != nil {
				t.Fatal(err)
			}
		}, "not a regular file"},
	} {
		dir = filepath.Join(t.TempDir(), "pki")
		cfg = MasterConfig{PKIDir: dir, KeySize: 2048, KeyPass: seal.NewSecret("s3cret")}
		if _, err := LoadMaster(cfg); err != nil {
			t.Fatal(err)
		}
		test.spoil()
		if _, err := LoadMaster(cfg); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want a message with %q", name, err, test.want)
		}
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func TestGenerateFiles(t *testing.T) {
	dir := t.TempDir()
	if err := GenerateFiles(dir, "minion", 2048, seal.Secret{}); err != nil {
		t.Fatal(err)
	}
	if err := GenerateFiles(dir, "minion", 2048, seal.Secret{}); err == nil || !strings.Contains(err.Error(), "exists") {
		t.Errorf("over an existing key: %v", err)
	}
	for _, name := range []string{"", "a/b", "..", ".x"} {
		if GenerateFiles(dir, name, 2048, seal.Secret{}) == nil {
			t.Errorf("name %q was taken", name)
		}
	}
	if GenerateFiles(dir, "weak", 1024, seal.Secret{}) == nil {
		t.Error("a key of 1024 bits was made")
	}
	if _, err := LoadPrivate(filepath.Join(dir, "minion.pem"), seal.Secret{}); err != nil {
		t.Error(err)
	}
}

func BenchmarkAccepted(b *testing.B) {
	s, err := Open(Config{PKIDir: filepath.Join(b.TempDir(), "pki")})
	if err != nil {
		b.Fatal(err)
	}
	path := filepath.Join(s.dir(Accepted), "m1")
	if err := os.WriteFile(path, []byte(pub(0)), 0o644); err != nil {
		b.Fatal(err)
	}
	base := s.now
	s.now = func() time.Time { return base().Add(time.Minute) } // the file is settled
	for b.Loop() {
		if _, err := s.Accepted("m1"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGenerate4096(b *testing.B) {
	for b.Loop() {
		if _, err := seal.Generate(4096); err != nil {
			b.Fatal(err)
		}
	}
}
