package ssh

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/gosalt/gosalt/ssh/sshconfig"
	xssh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
	"golang.org/x/sys/cpu"
)

// Package knownhosts of x/crypto refuses a whole file for one line that it cannot read,
// as for a key of a type that it does not know, and goes through all lines for each host.
// OpenSSH passes over such lines; so do we, and look names up in an index.

// defaultHostKeys are the host key algorithms in the order in which we like them: cheap
// ones first.
var defaultHostKeys = []string{
	xssh.CertAlgoED25519v01, xssh.CertAlgoECDSA256v01, xssh.CertAlgoECDSA384v01, xssh.CertAlgoECDSA521v01, xssh.CertAlgoRSASHA512v01, xssh.CertAlgoRSASHA256v01,
	xssh.KeyAlgoED25519, xssh.KeyAlgoECDSA256, xssh.KeyAlgoECDSA384, xssh.KeyAlgoECDSA521, xssh.KeyAlgoRSASHA512, xssh.KeyAlgoRSASHA256,
}

// defaultKex puts the exchanges that cost little first.
var defaultKex = []string{
	xssh.KeyExchangeMLKEM768X25519, xssh.KeyExchangeCurve25519, xssh.KeyExchangeECDHP256, xssh.KeyExchangeECDHP384, xssh.KeyExchangeECDHP521,
	xssh.KeyExchangeDH14SHA256, xssh.KeyExchangeDH16SHA512, xssh.KeyExchangeDHGEXSHA256, xssh.InsecureKeyExchangeDH14SHA1,
}

// defaultCiphers starts with what this processor does fastest.
var defaultCiphers = func() []string {
	gcm := []string{xssh.CipherAES128GCM, xssh.CipherAES256GCM}
	chacha := []string{xssh.CipherChaCha20Poly1305}
	ctr := []string{xssh.CipherAES128CTR, xssh.CipherAES192CTR, xssh.CipherAES256CTR}
	if cpu.X86.HasAES && cpu.X86.HasPCLMULQDQ || cpu.ARM64.HasAES && cpu.ARM64.HasPMULL || cpu.S390X.HasAESGCM || runtime.GOOS == "darwin" {
		return slices.Concat(gcm, chacha, ctr)
	}
	return slices.Concat(chacha, gcm, ctr)
}()

// A knownLine is a line of a known_hosts file.
type knownLine struct {
	file     string
	n        int
	marker   string // "", "@cert-authority", "@revoked"
	patterns []string
	keyType  string
	key      string // base64
}

func (l *knownLine) place() string { return fmt.Sprintf("%s:%d", l.file, l.n) }

// means tells whether the line is for a name, as "web1" or "[web1]:2222".
func (l *knownLine) means(name string) bool {
	if len(l.patterns) == 1 && strings.HasPrefix(l.patterns[0], "|1|") {
		return hashedName(l.patterns[0], name)
	}
	return sshconfig.MatchList(l.patterns, name)
}

// hashedName tells whether "|1|salt|hash" hides a name.
func hashedName(text, name string) bool {
	parts := strings.Split(text, "|")
	if len(parts) != 4 {
		return false
	}
	salt, err1 := base64.StdEncoding.DecodeString(parts[2])
	hash, err2 := base64.StdEncoding.DecodeString(parts[3])
	if err1 != nil || err2 != nil {
		return false
	}
	mac := hmac.New(sha1.New, salt)
	io.WriteString(mac, strings.ToLower(name))
	return hmac.Equal(mac.Sum(nil), hash)
}

// A knownFile is a known_hosts file, read.
type knownFile struct {
	at      stamp
	lines   []*knownLine
	plain   map[string][]*knownLine // by a name that is no pattern
	pattern []*knownLine            // the rest
}

// maxKnownHosts is the longest known_hosts that is read.
const maxKnownHosts = 64 << 20

func readKnownFile(path string) (*knownFile, error) {
	at := stampOf(path) // before it is read: what comes in between is read once more
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxKnownHosts+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxKnownHosts {
		return nil, fmt.Errorf("%s is longer than %d bytes", path, maxKnownHosts)
	}
	k := parseKnownHosts(path, b)
	k.at = at
	return k, nil
}

// parseKnownHosts reads what a file holds. Lines that are none are passed over.
func parseKnownHosts(path string, b []byte) *knownFile {
	k := &knownFile{plain: map[string][]*knownLine{}}
	n := 0
	for line := range bytes.Lines(b) {
		n++
		words := strings.Fields(string(line))
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		l := &knownLine{file: path, n: n}
		if strings.HasPrefix(words[0], "@") {
			l.marker, words = words[0], words[1:]
			if l.marker != "@cert-authority" && l.marker != "@revoked" {
				continue
			}
		}
		if len(words) < 3 {
			continue
		}
		l.patterns, l.keyType, l.key = strings.Split(words[0], ","), words[1], words[2]
		k.lines = append(k.lines, l)
		special := l.marker != ""
		for _, p := range l.patterns {
			special = special || strings.ContainsAny(p, "*?!|")
		}
		if special {
			k.pattern = append(k.pattern, l)
			continue
		}
		for _, p := range l.patterns {
			p = strings.ToLower(p)
			k.plain[p] = append(k.plain[p], l)
		}
	}
	return k
}

// find returns the lines for a name, in the order of the file but patterns last.
func (k *knownFile) find(name string) []*knownLine {
	out := slices.Clone(k.plain[strings.ToLower(name)])
	for _, l := range k.pattern {
		if l.means(name) {
			out = append(out, l)
		}
	}
	return out
}

// knownHosts are the files that a Dialer has read so far.
type knownHosts struct {
	mu    sync.Mutex
	files map[string]*knownFile
}

// find returns the lines of all these files for a name. A file that is not there has none.
func (k *knownHosts) find(files []string, name string) ([]*knownLine, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []*knownLine
	for _, path := range files {
		f := k.files[path]
		if f == nil || !f.at.same(stampOf(path)) {
			var err error
			if f, err = readKnownFile(path); errors.Is(err, fs.ErrNotExist) {
				f = parseKnownHosts(path, nil)
			} else if err != nil {
				return nil, err
			}
			if k.files == nil {
				k.files = map[string]*knownFile{}
			}
			k.files[path] = f
		}
		out = append(out, f.find(name)...)
	}
	return out, nil
}

// keyAlgorithms are the algorithms that prove a key of a type.
func keyAlgorithms(keyType string, all []string) []string {
	switch keyType {
	case xssh.KeyAlgoRSA:
		return intersect(all, []string{xssh.KeyAlgoRSASHA512, xssh.KeyAlgoRSASHA256, xssh.KeyAlgoRSA})
	case xssh.CertAlgoRSAv01:
		return intersect(all, []string{xssh.CertAlgoRSASHA512v01, xssh.CertAlgoRSASHA256v01, xssh.CertAlgoRSAv01})
	}
	return intersect(all, []string{keyType})
}

func intersect(all, some []string) []string {
	var out []string
	for _, s := range all {
		if slices.Contains(some, s) {
			out = append(out, s)
		}
	}
	return out
}

// isCert tells whether an algorithm is one of certificates.
func isCert(algo string) bool { return strings.Contains(algo, "-cert-v0") }

// hostKeyCheck verifies one server.
type hostKeyCheck struct {
	d    *Dialer
	s    *settings
	name string // as known_hosts has it: "web1" or "[web1]:2222"
	bare string // without the port, "" when name has none

	err         *Error // what was wrong
	fingerprint string // of the key that was accepted
}

func (d *Dialer) newHostKeyCheck(s *settings) *hostKeyCheck {
	c := &hostKeyCheck{d: d, s: s}
	if s.alias != "" {
		c.name = s.alias
		return c
	}
	c.name = knownhosts.Normalize(s.addr())
	if c.name != s.hostName {
		c.bare = s.hostName
	}
	return c
}

// algorithms are those to ask the server for: of several keys that a server has, it is to
// show the one that we know.
func (c *hostKeyCheck) algorithms() ([]string, *Error) {
	all := c.s.hostKeyAlgorithms
	if c.s.policy == Ignore {
		return all, nil
	}
	lines, err := c.lines()
	if err != nil {
		return nil, err
	}
	var first []string
	for _, l := range lines {
		switch l.marker {
		case "@cert-authority":
			// The type of an authority's key says nothing of the types of keys that it signed.
			for _, a := range all {
				if isCert(a) {
					first = append(first, a)
				}
			}
		case "":
			first = append(first, keyAlgorithms(l.keyType, all)...)
		}
	}
	for _, a := range all {
		if !isCert(a) {
			first = append(first, a)
		}
	}
	// Certificates last: without an authority they are worth as much as the key within.
	first = append(first, all...)
	seen := map[string]bool{}
	return slices.DeleteFunc(first, func(a string) bool {
		dup := seen[a]
		seen[a] = true
		return dup
	}), nil
}

func (c *hostKeyCheck) lines() ([]*knownLine, *Error) {
	lines, err := c.d.known.find(c.s.knownHosts, c.name)
	if err == nil && len(lines) == 0 && c.bare != "" {
		lines, err = c.d.known.find(c.s.knownHosts, c.bare)
	}
	if err != nil {
		return nil, &Error{Host: c.s.name, Kind: KindKnownHosts, Msg: "read known_hosts: " + err.Error(), Err: err}
	}
	return lines, nil
}

// check is called with the key that a server has proved to have.
func (c *hostKeyCheck) check(_ string, _ net.Addr, key xssh.PublicKey) error {
	c.fingerprint = xssh.FingerprintSHA256(key)
	if c.s.policy == Ignore {
		return nil
	}
	if e := c.verify(key); e != nil {
		c.err = e
		return e
	}
	return nil
}

func (c *hostKeyCheck) verify(key xssh.PublicKey) *Error {
	lines, e := c.lines()
	if e != nil {
		return e
	}
	plain := key
	cert, isCertificate := key.(*xssh.Certificate)
	if isCertificate {
		plain = cert.Key
	}
	blob := base64.StdEncoding.EncodeToString(plain.Marshal())
	for _, l := range lines {
		if l.marker == "@revoked" && (l.key == blob || isCertificate && l.key == base64.StdEncoding.EncodeToString(cert.SignatureKey.Marshal())) {
			return &Error{Host: c.s.name, Kind: KindHostKeyRevoked,
				Msg:  fmt.Sprintf("the key of %s is marked as revoked in %s", c.name, l.place()),
				Hint: "somebody may listen in; ask whoever runs the machine"}
		}
	}
	var certErr error
	if isCertificate {
		authority := base64.StdEncoding.EncodeToString(cert.SignatureKey.Marshal())
		for _, l := range lines {
			if l.marker == "@cert-authority" && l.key == authority {
				checker := xssh.CertChecker{}
				if cert.CertType != xssh.HostCert {
					certErr = errors.New("it is a certificate of a user")
				} else if certErr = checker.CheckCert(c.principal(), cert); certErr == nil {
					return nil
				}
				break
			}
		}
		c.fingerprint = xssh.FingerprintSHA256(plain)
	}
	var others []*knownLine
	for _, l := range lines {
		if l.marker != "" {
			continue
		}
		if l.key == blob {
			return nil
		}
		others = append(others, l)
	}
	if certErr != nil {
		return &Error{Host: c.s.name, Kind: KindHostKeyUnknown, Err: certErr,
			Msg:  fmt.Sprintf("the certificate of %s is not valid: %s", c.name, strings.TrimPrefix(certErr.Error(), "ssh: ")),
			Hint: "it has to be renewed there, or its key added to known_hosts"}
	}
	what := plain.Type() + " " + c.fingerprint
	if len(others) > 0 && !(c.bareOnly(others)) {
		l := others[0]
		for _, o := range others {
			if o.keyType == plain.Type() {
				l = o
				break
			}
		}
		e := &Error{Host: c.s.name, Kind: KindHostKeyChanged,
			Msg:  fmt.Sprintf("the host key of %s has changed: it is %s now, and %s has another", c.name, what, l.place()),
			Hint: fmt.Sprintf("somebody may listen in; if the machine was set up anew: ssh-keygen -f %s -R %s", l.file, shellName(c.name))}
		if l.keyType != plain.Type() {
			e.Msg = fmt.Sprintf("%s shows the host key %s, and %s has %s of it, which it does not have", c.name, what, l.place(), article(l.keyType))
		}
		return e
	}
	if c.s.policy == AcceptNew {
		return c.accept(plain)
	}
	e = &Error{Host: c.s.name, Kind: KindHostKeyUnknown,
		Msg:  fmt.Sprintf("the host key of %s is not known: %s", c.name, what),
		Hint: "if that is the right one, add it with --accept-new; with -i keys are not looked at"}
	if len(c.s.knownHosts) > 0 {
		files := slices.DeleteFunc(slices.Clone(c.s.knownHosts[1:]), func(f string) bool { _, err := os.Stat(f); return err != nil })
		e.Msg += " is not in " + strings.Join(slices.Insert(files, 0, c.s.knownHosts[0]), " nor in ")
	}
	return e
}

// bareOnly tells whether lines speak of the host's name without its port: that one has
// another key there says nothing of this port.
func (c *hostKeyCheck) bareOnly(lines []*knownLine) bool {
	return c.bare != "" && !slices.ContainsFunc(lines, func(l *knownLine) bool { return l.means(c.name) })
}

// principal is what a certificate has to name.
func (c *hostKeyCheck) principal() string {
	if c.s.alias != "" {
		return c.s.alias
	}
	return c.s.hostName
}

// accept writes the key of a host that had none into the first file.
func (c *hostKeyCheck) accept(key xssh.PublicKey) *Error {
	fail := func(err error) *Error {
		return &Error{Host: c.s.name, Kind: KindKnownHosts, Err: err, Msg: "write the new host key of " + c.name + ": " + err.Error()}
	}
	if len(c.s.knownHosts) == 0 {
		return nil // UserKnownHostsFile=none: OpenSSH goes on, too
	}
	path := c.s.knownHosts[0]
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fail(err)
	}
	c.d.known.mu.Lock()
	defer c.d.known.mu.Unlock()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fail(err)
	}
	defer f.Close()
	if err := lockFile(f); err != nil {
		return fail(err)
	}
	// Another one may have met the machine in the meantime.
	b, err := io.ReadAll(io.LimitReader(f, maxKnownHosts))
	if err != nil {
		return fail(err)
	}
	blob := base64.StdEncoding.EncodeToString(key.Marshal())
	for _, l := range parseKnownHosts(path, b).find(c.name) {
		if l.marker == "" && l.key == blob {
			return nil
		} else if l.marker == "" {
			return &Error{Host: c.s.name, Kind: KindHostKeyChanged, Msg: fmt.Sprintf("two host keys of %s at once: %s was just written with another one", c.name, l.place()),
				Hint: "do several machines answer at this address?"}
		}
	}
	name := c.name
	if c.s.hash {
		name = knownhosts.HashHostname(name)
	}
	line := name + " " + key.Type() + " " + blob + "\n"
	if len(b) > 0 && b[len(b)-1] != '\n' {
		line = "\n" + line
	}
	if _, err := f.WriteString(line); err != nil {
		return fail(err)
	}
	if err := f.Sync(); err != nil {
		return fail(err)
	}
	delete(c.d.known.files, path)
	c.d.log.Info("host key accepted", "host", c.s.name, "key", key.Type()+" "+c.fingerprint, "file", path)
	return nil
}

func article(keyType string) string { return "the key " + keyType }

// shellName quotes a name for a shell when it has brackets.
func shellName(name string) string {
	if strings.ContainsAny(name, "[]*?") {
		return "'" + name + "'"
	}
	return name
}
