package ssh

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/gosalt/gosalt/internal/durable"
	"github.com/gosalt/gosalt/protocol/seal"
	xssh "golang.org/x/crypto/ssh"
)

// A keyFile is a private key that a Dialer has read: once, however many hosts use it.
type keyFile struct {
	path  string
	at    stamp
	cert  *xssh.Certificate // of path-cert.pub
	plain xssh.Signer       // nil while it is locked, or when there is an error
	pub   xssh.PublicKey
	pem   []byte // of a locked key
	err   *Error

	mu sync.Mutex // guards unlocking
}

// maxKeyFile is the longest key file that is read.
const maxKeyFile = 1 << 20

// key reads a key file, or returns what was read before.
func (d *Dialer) key(path string) *keyFile {
	now := stampOf(path)
	d.mu.Lock()
	k := d.keys[path]
	if k == nil || !k.at.same(now) {
		k = &keyFile{path: path, at: now}
		d.keys[path] = k
	}
	d.mu.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.pub == nil && k.err == nil {
		k.read()
	}
	return k
}

func (k *keyFile) read() {
	fail := func(kind Kind, err error, format string, args ...any) {
		k.err = &Error{Kind: kind, Msg: "private key " + k.path + ": " + fmt.Sprintf(format, args...), Err: err}
	}
	b, mode, err := readSmall(k.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		fail(KindKeyFile, err, "there is no such file")
		k.err.Hint = "name another one with priv: in the roster or with --priv"
		return
	case errors.Is(err, fs.ErrPermission):
		fail(KindKeyFile, err, "permission denied")
		k.err.Hint = "it has to be readable for who runs this"
		return
	case err != nil:
		fail(KindKeyFile, err, "%s", rootPath(err))
		k.err.Hint = "name the file of a private key"
		return
	}
	if _, _, _, _, err := xssh.ParseAuthorizedKey(b); err == nil { // before its mode: chmod would be the wrong advice
		fail(KindKeyFile, err, "it is a public key")
		k.err.Hint = "name the private one, which is mostly in the file without .pub"
		return
	}
	if runtime.GOOS != "windows" && mode&0o077 != 0 {
		fail(KindKeyFile, nil, "permissions %04o are too open", mode)
		k.err.Hint = "as ssh, we use keys only that nobody else can read: chmod 600 " + k.path
		return
	}
	k.plain, err = xssh.ParsePrivateKey(b)
	var locked *xssh.PassphraseMissingError
	switch {
	case errors.As(err, &locked):
		k.pem, k.pub = b, locked.PublicKey
		if k.pub == nil {
			// The older formats do not show the public half; the file beside may.
			if pb, _, err := readSmall(k.path + ".pub"); err == nil {
				k.pub, _, _, _, _ = xssh.ParseAuthorizedKey(pb)
			}
		}
	case err != nil:
		text := strings.TrimPrefix(err.Error(), "ssh: ")
		if strings.Contains(string(b), "PuTTY-User-Key-File") {
			text = "it is a key of PuTTY"
			fail(KindKeyFile, err, "%s", text)
			k.err.Hint = "turn it into one of OpenSSH: puttygen " + k.path + " -O private-openssh -o FILE"
			return
		}
		what := "it is no private key that can be read: " + OneLine(text)
		switch {
		case len(strings.TrimSpace(string(b))) == 0:
			what = "the file is empty"
		case strings.Contains(string(b), "-----BEGIN "):
			what = "the private key in it is damaged"
		case text == "no key found":
			what = "there is no private key in it"
		}
		fail(KindKeyFile, err, "%s", what)
		k.err.Hint = "is it the right file? ssh-keygen -y -f " + k.path + " shows what is in it"
		return
	default:
		k.pub = k.plain.PublicKey()
	}
	if cb, _, err := readSmall(k.path + "-cert.pub"); err == nil {
		if pub, _, _, _, err := xssh.ParseAuthorizedKey(cb); err == nil {
			k.cert, _ = pub.(*xssh.Certificate)
		}
	}
}

// readSmall reads a file of bounded size.
func readSmall(path string) ([]byte, fs.FileMode, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	if st.IsDir() {
		return nil, 0, errors.New("it is a directory")
	}
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err == nil && len(b) > maxKeyFile {
		err = errors.New("it is too long for a key")
	}
	return b, st.Mode().Perm(), err
}

// rootPath is the text of an error without the path, which the message has already.
func rootPath(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

// locked tells whether a passphrase is missing.
func (k *keyFile) locked() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.plain == nil && k.err == nil
}

// unlock returns the signer of a key; of a locked one after the passphrase that the roster
// has, or that a person gives.
func (k *keyFile) unlock(ctx context.Context, passphrase seal.Secret, ask func(context.Context, Prompt) (seal.Secret, error)) (xssh.Signer, *Error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.plain != nil || k.err != nil {
		return k.plain, k.err
	}
	try := func(p seal.Secret) bool {
		s, err := xssh.ParsePrivateKeyWithPassphrase(k.pem, []byte(p.Reveal()))
		if err == nil {
			k.plain, k.pub, k.pem = s, s.PublicKey(), nil
		}
		return err == nil
	}
	given := !passphrase.Empty()
	if given && try(passphrase) {
		return k.plain, nil
	}
	if ask == nil {
		if given {
			return nil, &Error{Kind: KindBadPassphrase, Msg: "private key " + k.path + ": the passphrase is wrong",
				Hint: "it is priv_passwd: in the roster, or --priv-passwd"}
		}
		return nil, &Error{Kind: KindPassphrase, Msg: "private key " + k.path + ": a passphrase is needed",
			Hint: "give it as priv_passwd: in the roster, or add the key to ssh-agent: ssh-add " + k.path}
	}
	for range 3 {
		p, err := ask(ctx, Prompt{Kind: AskPassphrase, File: k.path, Text: "Enter passphrase for key '" + k.path + "': "})
		if err != nil {
			return nil, &Error{Kind: KindPassphrase, Msg: "private key " + k.path + ": a passphrase is needed, and none was given", Err: err}
		}
		if try(p) {
			return k.plain, nil
		}
	}
	// Asked for once: what comes next would ask again for every host.
	k.err = &Error{Kind: KindBadPassphrase, Msg: "private key " + k.path + ": the passphrase is wrong"}
	return nil, k.err
}

// A lazySigner is a key whose passphrase is asked for when a server wants a signature of
// it, and not before.
type lazySigner struct {
	pub    xssh.PublicKey
	unlock func() (xssh.Signer, *Error)
}

func (l *lazySigner) PublicKey() xssh.PublicKey { return l.pub }

func (l *lazySigner) Sign(r io.Reader, data []byte) (*xssh.Signature, error) {
	return l.SignWithAlgorithm(r, data, "")
}

func (l *lazySigner) SignWithAlgorithm(r io.Reader, data []byte, algo string) (*xssh.Signature, error) {
	s, e := l.unlock()
	if e != nil {
		return nil, e
	}
	if a, ok := s.(xssh.AlgorithmSigner); ok {
		return a.SignWithAlgorithm(r, data, algo)
	}
	return s.Sign(r, data)
}

// Algorithms are those that a key of its type can sign with.
func (l *lazySigner) Algorithms() []string {
	if l.pub.Type() == xssh.KeyAlgoRSA {
		return []string{xssh.KeyAlgoRSASHA256, xssh.KeyAlgoRSASHA512, xssh.KeyAlgoRSA}
	}
	return []string{l.pub.Type()}
}

// DefaultKey is the key of gosalt itself: Salt's, <pki_dir>/ssh/salt-ssh.rsa, where there
// is one, else one of ed25519 beside it, which is made when it is not there.
func DefaultKey(pkiDir string) (path string, made bool, err error) {
	dir := filepath.Join(pkiDir, "ssh")
	salts := filepath.Join(dir, "salt-ssh.rsa")
	if _, err := os.Stat(salts); err == nil {
		return salts, false, nil
	}
	path = filepath.Join(dir, "salt-ssh.ed25519")
	made, err = MakeKey(path)
	return path, made, err
}

// MakeKey makes an ed25519 key without passphrase, and path.pub beside it, where there is
// none. Two that do it at once agree on one key.
func MakeKey(path string) (made bool, err error) {
	if _, err := os.Stat(path); err == nil {
		return false, nil
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return false, fmt.Errorf("make the key for ssh: %w", err)
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return false, err
	}
	block, err := xssh.MarshalPrivateKey(private, "gosalt-ssh")
	if err != nil {
		return false, err
	}
	signer, err := xssh.NewSignerFromKey(private)
	if err != nil {
		return false, err
	}
	tmp, err := os.CreateTemp(dir, ".new-")
	if err != nil {
		return false, fmt.Errorf("make the key for ssh: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(pem.EncodeToMemory(block))
	if err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Link(tmp.Name(), path)
		if errors.Is(err, fs.ErrExist) {
			return false, nil
		}
	}
	if err != nil {
		return false, fmt.Errorf("make the key for ssh: %w", err)
	}
	pub := strings.TrimSuffix(string(xssh.MarshalAuthorizedKey(signer.PublicKey())), "\n") + " gosalt-ssh\n"
	if err := durable.WriteFile(path+".pub", []byte(pub), 0o644); err != nil {
		return false, fmt.Errorf("make the key for ssh: %w", err)
	}
	return true, durable.SyncDir(dir)
}

// PublicKey is the public half of a private key, as a line for authorized_keys: what is in
// path.pub, or what the key itself says.
func PublicKey(path string) (string, error) {
	if b, _, err := readSmall(path + ".pub"); err == nil {
		if pub, comment, _, _, err := xssh.ParseAuthorizedKey(b); err == nil {
			return strings.TrimSpace(strings.TrimSpace(string(xssh.MarshalAuthorizedKey(pub))) + " " + comment), nil
		}
	}
	k := &keyFile{path: path}
	k.read()
	if k.err != nil {
		return "", k.err
	}
	if k.pub == nil {
		return "", &Error{Kind: KindPassphrase, Msg: "private key " + path + ": its public half is behind a passphrase, and there is no " + path + ".pub"}
	}
	return strings.TrimSpace(string(xssh.MarshalAuthorizedKey(k.pub))), nil
}

// sameKey tells whether two public keys are one.
func sameKey(a, b xssh.PublicKey) bool {
	return a != nil && b != nil && slices.Equal(a.Marshal(), b.Marshal())
}
