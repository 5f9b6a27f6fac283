//go:build unix

package modules

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("ssh.auth_keys", sshAuthKeys)
	register("ssh.check_key", sshCheckKey)
	register("ssh.check_key_file", sshCheckKeyFile)
	register("ssh.set_auth_key", sshSetAuthKey)
	register("ssh.set_auth_key_from_file", sshSetAuthKeyFromFile)
	register("ssh.rm_auth_key", sshRmAuthKey)
	register("ssh.rm_auth_key_from_file", sshRmAuthKeyFromFile)
	register("ssh.host_keys", sshHostKeys)
	register("ssh.user_keys", sshUserKeys)
	register("ssh.key_is_encrypted", sshKeyIsEncrypted)
}

// keyTypes are the kinds of keys by the names that people have for them.
var keyTypes = map[string]string{
	"r": "ssh-rsa", "rsa": "ssh-rsa", "ssh-rsa": "ssh-rsa", "d": "ssh-dss", "dsa": "ssh-dss", "dss": "ssh-dss", "ssh-dss": "ssh-dss",
	"e": "ecdsa-sha2-nistp256", "ecdsa": "ecdsa-sha2-nistp256", "ed25519": "ssh-ed25519", "ssh-ed25519": "ssh-ed25519",
}

// furtherKeyTypes are kinds of keys that have no other name.
var furtherKeyTypes = []string{"ecdsa-sha2-nistp521", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256",
	"rsa-sha2-512-cert-v01@openssh.com", "rsa-sha2-256-cert-v01@openssh.com", "ssh-rsa-cert-v01@openssh.com", "ecdsa-sha2-nistp256-cert-v01@openssh.com",
	"ecdsa-sha2-nistp384-cert-v01@openssh.com", "ecdsa-sha2-nistp521-cert-v01@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com",
	"sk-ecdsa-sha2-nistp256-cert-v01@openssh.com", "ssh-ed25519-cert-v01@openssh.com", "sk-ssh-ed25519@openssh.com", "sk-ssh-ed25519-cert-v01@openssh.com"}

func keyType(enc string) (string, error) {
	if t := keyTypes[enc]; t != "" {
		return t, nil
	}
	if slices.Contains(furtherKeyTypes, enc) {
		return enc, nil
	}
	return "", module.Failf("Incorrect encryption key type '%s'.", enc)
}

func authLine(key, enc, comment string, options []string) string {
	line := enc + " " + key + " " + comment + "\n"
	if len(options) > 0 {
		line = strings.Join(options, ",") + " " + line
	}
	return line
}

var digests = map[string]func() hash.Hash{"md5": md5.New, "sha1": sha1.New, "sha224": sha256.New224, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New}

var base64Text = lazyre.New(`^[A-Za-z0-9+/]*={0,2}$`)

// keyFingerprint is the hash of a public key: "16:27:ac:…"; "" for what is no base64.
func keyFingerprint(key, kind string) (string, error) {
	if kind == "" {
		kind = "sha256"
	}
	digest := digests[strings.ToLower(kind)]
	if digest == nil {
		return "", module.Failf("The fingerprint_hash_type %s is not supported.", strings.ToLower(kind))
	}
	if !base64Text.MatchString(key) {
		return "", nil
	}
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		return "", nil
	}
	h := digest()
	h.Write(raw)
	var parts []string
	for _, b := range h.Sum(nil) {
		parts = append(parts, hex.EncodeToString([]byte{b}))
	}
	return strings.Join(parts, ":"), nil
}

// keyLine is a line of authorized_keys: options, then kind, key and comment.
var keyLine = lazyre.New(`^(.*?)\s?((?:sk-)?(?:ssh-|ecds)[\w@.-]+\s.+)$`)

// readKeys reads a file of public keys.
func readKeys(c *module.Call, file, kind string) (*wire.Map, error) {
	text, err := wholeText(c, file)
	if err != nil {
		return nil, module.Failf("Problem reading ssh key file %s", file)
	}
	ret := wire.NewMap()
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		m := keyLine.FindStringSubmatch(line)
		if m == nil || strings.HasPrefix(line, "#") {
			continue
		}
		words := strings.Fields(m[2])
		if len(words) < 2 {
			continue
		}
		options := []any{}
		if m[1] != "" {
			for _, o := range strings.Split(m[1], ",") {
				options = append(options, o)
			}
		}
		print, err := keyFingerprint(words[1], kind)
		if err != nil {
			return nil, err
		}
		if print != "" {
			ret.Set(words[1], wire.NewMap("enc", words[0], "comment", strings.Join(words[2:], " "), "options", options, "fingerprint", print))
		}
	}
	return ret, nil
}

// keysFile is the path of a user's file of keys, with %h, %u and %% as sshd_config has them.
func keysFile(c *module.Call, user, config string) (string, *host.User, error) {
	u, err := c.Host.User(user)
	if err != nil {
		return "", nil, module.Failf("User '%s' does not exist", user)
	}
	var b strings.Builder
	for i := 0; i < len(config); i++ {
		if config[i] != '%' {
			b.WriteByte(config[i])
			continue
		}
		if i++; i == len(config) {
			return "", nil, module.Failf("AuthorizedKeysFile path: Last character can't be escape character")
		}
		switch config[i] {
		case '%':
			b.WriteByte('%')
		case 'u':
			b.WriteString(user)
		case 'h':
			b.WriteString(u.Home)
		default:
			return "", nil, module.Failf(`AuthorizedKeysFile path: unknown token character "%%%c"`, config[i])
		}
	}
	path := b.String()
	if !filepath.IsAbs(path) {
		path = filepath.Join(u.Home, path)
	}
	return path, u, nil
}

type sshAuthKeysArgs struct {
	User                any    `default:"None"`                 // A user or a list of users; all where it is None.
	Config              string `default:".ssh/authorized_keys"` // The file, below the home directory.
	FingerprintHashType string `default:"None"`                 // Hash of the fingerprints: sha256, md5 and so on.
}

// sshAuthKeys returns the keys that may log in as a user, or as each of several.
//
//	gosalt '*' ssh.auth_keys root
//	gosalt '*' ssh.auth_keys user='[user1, user2]'
func sshAuthKeys(ctx context.Context, c *module.Call, a sshAuthKeysArgs) (*wire.Map, error) {
	users, one := a.User, false
	if !module.Truth(users) {
		v, err := c.Call(ctx, "user.list_users", nil, nil)
		if err != nil {
			return nil, err
		}
		users = v
	}
	list, ok := users.([]any)
	if !ok {
		list, one = []any{users}, true
	}
	ret := wire.NewMap()
	for _, u := range list {
		name := pytext.Str(u)
		file, _, err := keysFile(c, name, a.Config)
		if err != nil || !c.Host.IsFile(file) {
			continue
		}
		keys, err := readKeys(c, file, a.FingerprintHashType)
		if err != nil {
			return nil, err
		}
		if one {
			return keys, nil
		}
		ret.Set(name, keys)
	}
	return ret, nil
}

// authKeyArgs is a key of a user.
type authKeyArgs struct {
	User string // Name of the user.
	Key  string // The key, in base64.
}

type sshCheckKeyArgs struct {
	authKeyArgs
	Enc                 string   // Kind of the key: ssh-rsa, ed25519 and so on.
	Comment             string   // Comment behind it.
	Options             []string // Options before it.
	Config              string   `default:".ssh/authorized_keys"` // The file, below the home directory.
	CacheKeys           any      `default:"None"`                 // Without effect.
	FingerprintHashType string   `default:"None"`                 // Without effect here.
}

// sshCheckKey tells what setting a key would do: add, update, or nothing: exists.
//
//	gosalt '*' ssh.check_key <user> <key> <enc> <comment> <options>
func sshCheckKey(ctx context.Context, c *module.Call, a sshCheckKeyArgs) (string, error) {
	enc, err := keyType(a.Enc)
	if err != nil {
		return "", err
	}
	keys, err := sshAuthKeys(ctx, c, sshAuthKeysArgs{User: a.User, Config: a.Config, FingerprintHashType: a.FingerprintHashType})
	if err != nil {
		return "", err
	}
	k := keys.Map(a.Key)
	if k == nil {
		return "add", nil
	}
	if authLine(a.Key, k.Text("enc"), k.Text("comment"), keyOptions(k.List("options"))) != authLine(a.Key, enc, a.Comment, a.Options) {
		return "update", nil
	}
	return "exists", nil
}

func keyOptions(l []any) []string {
	var out []string
	for _, e := range l {
		out = append(out, pytext.Str(e))
	}
	return out
}

type sshKeyFileArgs struct {
	User                string // Name of the user.
	Source              string // File with keys: salt:// or another address.
	Config              string `default:".ssh/authorized_keys"` // The file, below the home directory.
	Saltenv             string `default:"base"`                 // Environment of the source.
	FingerprintHashType string `default:"None"`                 // Hash of the fingerprints.
}

// keysOf fetches a file of keys; nil where it holds none.
func (a *sshKeyFileArgs) keysOf(ctx context.Context, c *module.Call) (*wire.Map, error) {
	v, err := c.Call(ctx, "cp.cache_file", []any{a.Source, a.Saltenv}, nil)
	if err != nil {
		return nil, err
	}
	file, _ := v.(string)
	if file == "" {
		return nil, module.Failf("Failed to pull key file from salt file server")
	}
	keys, err := readKeys(&module.Call{Host: &host.Host{}, Log: c.Log}, file, a.FingerprintHashType)
	if err == nil && keys.Len() == 0 {
		c.SetContext("ssh_auth.error", "No keys detected in "+a.Source+". Is file properly formatted?")
		return nil, nil
	}
	return keys, err
}

// sshCheckKeyFile tells what setting each key of a file would do, as ssh.check_key does.
//
//	gosalt '*' ssh.check_key_file root salt://ssh/keyfile
func sshCheckKeyFile(ctx context.Context, c *module.Call, a sshKeyFileArgs) (*wire.Map, error) {
	ret := wire.NewMap()
	keys, err := a.keysOf(ctx, c)
	if err != nil {
		if strings.HasPrefix(err.Error(), "Failed to pull") {
			return ret, nil
		}
		return nil, err
	}
	for key := range keys.Strings() {
		k := keys.Map(key)
		word, err := sshCheckKey(ctx, c, sshCheckKeyArgs{authKeyArgs: authKeyArgs{a.User, key}, Enc: k.Text("enc"), Comment: k.Text("comment"),
			Options: keyOptions(k.List("options")), Config: a.Config, FingerprintHashType: a.FingerprintHashType})
		if err != nil {
			return nil, err
		}
		ret.Set(key, word)
	}
	return ret, nil
}

type sshSetAuthKeyArgs struct {
	authKeyArgs
	Enc                 string   `default:"ssh-rsa"`              // Kind of the key: ssh-rsa, ed25519 and so on.
	Comment             string   `default:""`                     // Comment behind it.
	Options             []string `default:"None"`                 // Options before it.
	Config              string   `default:".ssh/authorized_keys"` // The file, below the home directory.
	CacheKeys           any      `default:"None"`                 // Without effect.
	FingerprintHashType string   `default:"None"`                 // Without effect here.
}

// sshSetAuthKey lets a key log in as a user. It returns new, replace, no change, or what is
// wrong: fail, invalid, Invalid public key.
//
//	gosalt '*' ssh.set_auth_key <user> '<key>' enc='dsa'
func sshSetAuthKey(ctx context.Context, c *module.Call, a sshSetAuthKeyArgs) (string, error) {
	if len(strings.Fields(a.Key)) > 1 {
		return "invalid", nil
	}
	enc, err := keyType(a.Enc)
	if err != nil {
		return "", err
	}
	if _, err := c.Host.User(a.User); err != nil {
		return "fail", nil
	}
	if print, err := keyFingerprint(a.Key, a.FingerprintHashType); err != nil || print == "" {
		return "Invalid public key", err
	}
	word, err := sshCheckKey(ctx, c, sshCheckKeyArgs{authKeyArgs: a.authKeyArgs, Enc: enc, Comment: a.Comment, Options: a.Options, Config: a.Config, FingerprintHashType: a.FingerprintHashType})
	if err != nil {
		return "", err
	}
	if word == "exists" {
		return "no change", nil
	}
	file, user, err := keysFile(c, a.User, a.Config)
	if err != nil {
		return "", err
	}
	line := authLine(a.Key, enc, a.Comment, a.Options)
	if word == "update" {
		err := editKeys(c, file, a.Key, line)
		if err != nil {
			err = module.Failf("Problem reading or writing to key file: %s", host.OSError(err, file))
		}
		return "replace", err
	}
	if strings.HasPrefix(file, user.Home) && !c.Host.IsDir(user.Home) {
		return "fail", nil
	}
	if err := addKey(c, file, user, line); err != nil {
		return "", module.Failf("Could not write to key file: %s", host.OSError(err, file))
	}
	return "new", nil
}

// addKey puts a line at the end of a file of keys. A new file, and the directory that it is
// in, are the user's alone.
func addKey(c *module.Call, file string, user *host.User, line string) error {
	private := func(path string, mode uint32) error {
		if os.Geteuid() == 0 {
			if err := c.Host.SetOwner(path, user.UID, user.GID, true); err != nil {
				return err
			}
		}
		return c.Host.Chmod(path, mode)
	}
	if dir := filepath.Dir(file); !c.Host.IsDir(dir) {
		if err := c.Host.MakeDirs(dir, host.Keep, 0o22); err != nil {
			return err
		}
		if err := private(dir, 0o700); err != nil {
			return err
		}
	}
	text := ""
	fresh := !c.Host.IsFile(file)
	if !fresh {
		b, err := c.Host.ReadFile(file)
		if err != nil {
			return err
		}
		if text = string(b); text != "" && !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
	}
	if err := c.Host.WriteFile(file, []byte(text+line)); err != nil || !fresh {
		return err
	}
	return private(file, 0o600)
}

// editKeys puts a line in the place of a key, or takes the key out where line is "".
func editKeys(c *module.Call, file, key, line string) error {
	b, err := c.Host.ReadFile(file)
	if err != nil {
		return err
	}
	var out strings.Builder
	for l := range strings.Lines(string(b)) {
		l = strings.TrimSpace(l)
		if l == "" {
			continue
		}
		m := keyLine.FindStringSubmatch(l)
		switch {
		case strings.HasPrefix(l, "#"):
		case m == nil && line == "":
			continue // Salt drops what is no key here
		case m != nil:
			if words := strings.Fields(m[2]); len(words) > 1 && words[1] == key {
				out.WriteString(line)
				continue
			}
		}
		out.WriteString(l + "\n")
	}
	return c.Host.WriteFile(file, []byte(out.String()))
}

type sshSetAuthKeyFromFileArgs struct {
	sshKeyFileArgs
	Options []string  `default:"None" arg:"options,kw"` // Options in place of those in the file.
	Kwargs  *wire.Map `arg:"**"`                        // Not looked at.
}

// sshSetAuthKeyFromFile lets all keys of a file log in as a user. It returns new, replace,
// no change or fail.
//
//	gosalt '*' ssh.set_auth_key_from_file <user> salt://ssh_keys/<user>.id_rsa.pub
func sshSetAuthKeyFromFile(ctx context.Context, c *module.Call, a sshSetAuthKeyFromFileArgs) (string, error) {
	keys, err := a.keysOf(ctx, c)
	if err != nil {
		return "", err
	}
	if keys == nil {
		return "fail", nil
	}
	var words []string
	for key := range keys.Strings() {
		k := keys.Map(key)
		options := a.Options
		if len(options) == 0 {
			options = keyOptions(k.List("options"))
		}
		word, err := sshSetAuthKey(ctx, c, sshSetAuthKeyArgs{authKeyArgs: authKeyArgs{a.User, key}, Enc: k.Text("enc"), Comment: k.Text("comment"), Options: options,
			Config: a.Config, FingerprintHashType: a.FingerprintHashType})
		if err != nil {
			return "", err
		}
		words = append(words, word)
	}
	for _, w := range []string{"fail", "replace", "new"} {
		if slices.Contains(words, w) {
			return w, nil
		}
	}
	return "no change", nil
}

type sshRmAuthKeyArgs struct {
	authKeyArgs
	Config              string `default:".ssh/authorized_keys"` // The file, below the home directory.
	FingerprintHashType string `default:"None"`                 // Without effect here.
}

// sshRmAuthKey takes a key away from a user. It returns Key removed, Key not present or Key
// not removed.
//
//	gosalt '*' ssh.rm_auth_key <user> <key>
func sshRmAuthKey(ctx context.Context, c *module.Call, a sshRmAuthKeyArgs) (string, error) {
	keys, err := sshAuthKeys(ctx, c, sshAuthKeysArgs{User: a.User, Config: a.Config, FingerprintHashType: a.FingerprintHashType})
	if err != nil {
		return "", err
	}
	if !keys.Has(a.Key) {
		return "Key not present", nil
	}
	file, _, err := keysFile(c, a.User, a.Config)
	if err != nil {
		return "", err
	}
	if err := editKeys(c, file, a.Key, ""); err != nil {
		c.Log.Warn("key file cannot be changed", "file", file, "error", err)
		return "Key not removed", nil
	}
	return "Key removed", nil
}

// sshRmAuthKeyFromFile takes all keys of a file away from a user, as ssh.rm_auth_key.
//
//	gosalt '*' ssh.rm_auth_key_from_file <user> salt://ssh_keys/<user>.id_rsa.pub
func sshRmAuthKeyFromFile(ctx context.Context, c *module.Call, a sshKeyFileArgs) (string, error) {
	keys, err := a.keysOf(ctx, c)
	if err != nil {
		return "", err
	}
	if keys == nil {
		return "fail", nil
	}
	var words []string
	for key := range keys.Strings() {
		word, err := sshRmAuthKey(ctx, c, sshRmAuthKeyArgs{authKeyArgs: authKeyArgs{a.User, key}, Config: a.Config, FingerprintHashType: a.FingerprintHashType})
		if err != nil {
			return "", err
		}
		words = append(words, word)
	}
	for _, w := range []string{"Key not removed", "Key removed"} {
		if slices.Contains(words, w) {
			return w, nil
		}
	}
	return "Key not present", nil
}

type sshHostKeysArgs struct {
	Keydir  any  `default:"None"` // The directory; /etc/ssh where it is None.
	Private bool `default:"True"` // The private keys, too.
	Certs   bool `default:"True"` // The certificates, too.
}

var hostKeyFile = lazyre.New(`^ssh_host_(.+)_key((-cert)?\.pub)?`)

// sshHostKeys returns the keys of this machine.
//
//	gosalt '*' ssh.host_keys keydir=/etc/ssh private=False
func sshHostKeys(ctx context.Context, c *module.Call, a sshHostKeysArgs) (*wire.Map, error) {
	dir := "/etc/ssh"
	if module.Truth(a.Keydir) {
		dir = pytext.Str(a.Keydir)
	}
	entries, err := os.ReadDir(c.Host.Path(dir))
	if err != nil {
		return nil, systemError(err, dir)
	}
	ret := wire.NewMap()
	for _, e := range entries {
		m := hostKeyFile.FindStringSubmatch(e.Name())
		if m == nil || m[2] == "" && !a.Private || m[3] != "" && !a.Certs {
			continue
		}
		text, err := wholeText(c, filepath.Join(dir, e.Name()))
		if err != nil {
			text = ""
		}
		ret.Set(m[1]+m[2], strings.TrimSpace(text))
	}
	return ret, nil
}

type sshUserKeysArgs struct {
	User    any `default:"None"` // A user or a list of users; all where it is None.
	Pubfile any `default:"None"` // Name of the public key; the usual names where it is None, False for none.
	Prvfile any `default:"None"` // Name of the private key, likewise.
}

// sshUserKeys returns the keys of users.
//
//	gosalt '*' ssh.user_keys user=user1 prvfile=False
func sshUserKeys(ctx context.Context, c *module.Call, a sshUserKeysArgs) (*wire.Map, error) {
	users := a.User
	if !module.Truth(users) {
		v, err := c.Call(ctx, "user.list_users", nil, nil)
		if err != nil {
			return nil, err
		}
		users = v
	}
	list, ok := users.([]any)
	if !ok {
		list = []any{users}
	}
	usual := []string{"id_rsa", "id_dsa", "id_ecdsa", "id_ed25519"}
	ret := wire.NewMap()
	for _, u := range list {
		user, err := c.Host.User(pytext.Str(u))
		if err != nil {
			continue
		}
		var files []string
		for _, f := range []struct {
			given any
			end   string
		}{{a.Pubfile, ".pub"}, {a.Prvfile, ""}} {
			switch {
			case module.Truth(f.given):
				files = append(files, pytext.Str(f.given))
			case f.given != false:
				for _, n := range usual {
					files = append(files, n+f.end)
				}
			}
		}
		keys := wire.NewMap()
		for _, f := range files {
			path := f
			if !filepath.IsAbs(f) {
				path = filepath.Join(user.Home, ".ssh", f)
			}
			if text, err := wholeText(c, path); err == nil {
				keys.Set(filepath.Base(f), strings.TrimSpace(text))
			}
		}
		if keys.Len() > 0 {
			ret.Set(pytext.Str(u), keys)
		}
	}
	return ret, nil
}

type sshKeyIsEncryptedArgs struct {
	Key string // Path of a private key.
}

// sshKeyIsEncrypted tells whether a private key asks for a passphrase.
//
//	gosalt '*' ssh.key_is_encrypted /root/id_rsa
func sshKeyIsEncrypted(ctx context.Context, c *module.Call, a sshKeyIsEncryptedArgs) (bool, error) {
	text, err := wholeText(c, a.Key)
	if err != nil {
		return false, nil
	}
	if strings.Contains(text, "ENCRYPTED") {
		return true, nil
	}
	_, body, ok := strings.Cut(text, "-----BEGIN OPENSSH PRIVATE KEY-----")
	if !ok {
		return false, nil
	}
	body, _, _ = strings.Cut(body, "-----END")
	raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(body), ""))
	const magic = "openssh-key-v1\x00" // then the name of the cipher: none (PROTOCOL.key of OpenSSH)
	return err == nil && strings.HasPrefix(string(raw), magic) && !strings.HasPrefix(string(raw[len(magic):]), "\x00\x00\x00\x04none"), nil
}
