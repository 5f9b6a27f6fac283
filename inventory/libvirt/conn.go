package libvirt

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	lv "github.com/digitalocean/go-libvirt"
	"github.com/digitalocean/go-libvirt/socket/dialers"

	"github.com/gosalt/gosalt/inventory"
)

// A host is where a libvirt is.
type host struct {
	uri   string
	scope string // the URI, where there are several

	ssh     *inventory.SSHSocket // how to get there, where that is SSH
	dialSSH inventory.DialSSH

	driver  lv.ConnectURI // what is asked for there, "qemu:///system"
	network string        // unix, tcp
	addr    []string      // tried in this order
	tls     bool
	name    string // of the certificate
	pki     string // directory of certificates, or ""
	verify  bool
}

// parseURI reads a connection URI, https://libvirt.org/uri.html.
func parseURI(text string) (*host, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("it is no URI, as qemu:///system")
	}
	driver, way, _ := strings.Cut(u.Scheme, "+")
	if driver == "" || u.Opaque != "" {
		return nil, errors.New("it is no URI, as qemu:///system")
	}
	if u.User != nil && !strings.Contains(way, "ssh") { // that of SSH is told of below
		return nil, errors.New("a user name and password have no place in it: certificates, or the rights of the socket, say who may")
	}
	q := u.Query()
	h := &host{uri: text, driver: lv.ConnectURI(driver + "://" + u.Path), verify: q.Get("no_verify") != "1", pki: q.Get("pkipath"), name: u.Hostname()}
	if way == "" && u.Host != "" {
		way = "tls"
	}
	switch way {
	case "", "unix":
		h.network = "unix"
		if s := q.Get("socket"); s != "" {
			h.addr = []string{s}
			break
		}
		dir := "/var/run/libvirt"
		if u.Path == "/session" {
			dir = filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "libvirt")
		}
		h.addr = []string{filepath.Join(dir, "libvirt-sock"), filepath.Join(dir, "virt"+driver+"d-sock")}
	case "tcp", "tls":
		h.network, h.tls = "tcp", way == "tls"
		port := u.Port()
		if port == "" {
			port = map[string]string{"tcp": "16509", "tls": "16514"}[way]
		}
		if u.Hostname() == "" {
			return nil, errors.New("it names no host")
		}
		h.addr = []string{net.JoinHostPort(u.Hostname(), port)}
	case "ssh", "libssh", "libssh2":
		if u.Hostname() == "" {
			return nil, errors.New("it names no host")
		}
		if _, has := u.User.Password(); has {
			return nil, errors.New("a password has no place in it: use a key, or the agent")
		}
		h.ssh = &inventory.SSHSocket{Host: u.Hostname(), User: u.User.Username(), KeyFile: q.Get("keyfile"), KnownHosts: q.Get("known_hosts"),
			NoVerify: !h.verify || q.Get("known_hosts_verify") == "ignore", Paths: []string{"/var/run/libvirt/libvirt-sock", "/var/run/libvirt/virt" + driver + "d-sock"}}
		if u.Port() != "" {
			n, err := strconv.ParseUint(u.Port(), 10, 16)
			if err != nil || n == 0 {
				return nil, fmt.Errorf("%s is no port", u.Port())
			}
			h.ssh.Port = int(n)
		}
		if s := q.Get("socket"); s != "" {
			h.ssh.Paths = []string{s}
		} else if u.Path == "/session" {
			return nil, errors.New("where the socket of a session is on another machine is not known: name it by ?socket=, as /run/user/1000/libvirt/libvirt-sock")
		}
	default:
		return nil, fmt.Errorf("there is no transport %q: unix, tcp, tls and ssh are known", way)
	}
	return h, nil
}

// A conn is a connection to a libvirt. It lasts for one listing or one change.
type conn struct {
	h    *host
	l    *lv.Libvirt
	raw  net.Conn
	once sync.Once
}

func (h *host) fail(call string, reason inventory.Reason, err error) *inventory.Error {
	return &inventory.Error{Scope: h.scope, Call: call, Reason: reason, Err: err}
}

// connect opens a connection and chooses the driver.
func (h *host) connect(ctx context.Context) (*conn, error) {
	raw, err := h.dial(ctx)
	if err != nil {
		return nil, err
	}
	c := &conn{h: h, raw: raw}
	c.l = lv.NewWithDialer(dialers.NewAlreadyConnected(&framed{Conn: raw}))
	if err := c.call(ctx, "ConnectOpen", callTime, func() error { return c.l.ConnectToURI(h.driver) }); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (h *host) dial(ctx context.Context) (net.Conn, error) {
	if h.ssh != nil {
		return h.through(ctx)
	}
	dctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var raw net.Conn
	var err error
	for _, a := range h.addr {
		if raw, err = (&net.Dialer{}).DialContext(dctx, h.network, a); err == nil || !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err == nil && h.tls {
		raw, err = h.secure(dctx, raw)
	}
	if err == nil {
		return raw, nil
	}
	if late := inventory.Interrupted(ctx, inventory.Error{Scope: h.scope, Call: "connect", Msg: "no connection came about in time"}); late != nil {
		return nil, late
	}
	e := h.fail("connect", inventory.NoAnswer, err)
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	switch {
	case errors.Is(err, fs.ErrPermission):
		e.Reason, e.Hint = inventory.NotPermitted, "may this user open the socket? it belongs to root and the group libvirt"
	case errors.Is(err, fs.ErrNotExist):
		e.Hint = "does libvirtd, or virtqemud, run there?"
	case errors.Is(err, syscall.ECONNREFUSED):
		e.Hint = "does libvirtd listen there? libvirtd-tcp.socket or libvirtd-tls.socket is what listens"
	case errors.As(err, &dns):
		e.Reason, e.Hint = inventory.NotFound, "check the host's name"
	case errors.As(err, &cert), errors.Is(err, errCertificate), errors.Is(err, fs.ErrInvalid):
		e.Reason, e.Hint = inventory.BadLogin, "?pkipath= of the URI names the directory with cacert.pem, clientcert.pem and clientkey.pem"
	}
	return nil, e
}

// through is a connection through SSH.
func (h *host) through(ctx context.Context) (net.Conn, error) {
	sctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	raw, err := h.dialSSH(sctx, *h.ssh)
	if err == nil {
		return raw, nil
	}
	if late := inventory.Interrupted(ctx, inventory.Error{Scope: h.scope, Call: "ssh", Msg: "no connection came about in time"}); late != nil {
		return nil, late
	}
	var e *inventory.Error
	if !errors.As(err, &e) {
		return nil, h.fail("ssh", inventory.NoAnswer, err)
	}
	e.Scope = h.scope
	return nil, e
}

var errCertificate = errors.New("the host refused our certificate")

// secure speaks TLS. The other end says with one byte whether it takes our certificate.
func (h *host) secure(ctx context.Context, raw net.Conn) (net.Conn, error) {
	ca, cert, key := "/etc/pki/CA/cacert.pem", "/etc/pki/libvirt/clientcert.pem", "/etc/pki/libvirt/private/clientkey.pem"
	if h.pki != "" {
		ca, cert, key = filepath.Join(h.pki, "cacert.pem"), filepath.Join(h.pki, "clientcert.pem"), filepath.Join(h.pki, "clientkey.pem")
	}
	cfg := &tls.Config{ServerName: h.name, MinVersion: tls.VersionTLS12, InsecureSkipVerify: !h.verify}
	fail := func(err error) (net.Conn, error) { raw.Close(); return nil, err }
	if b, err := os.ReadFile(ca); err == nil {
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(b) {
			return fail(fmt.Errorf("%s holds no certificate: %w", ca, fs.ErrInvalid))
		}
	} else if h.verify {
		return fail(fmt.Errorf("the CA's certificate: %s: %w", err, fs.ErrInvalid))
	}
	if _, err := os.Stat(cert); err == nil {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return fail(fmt.Errorf("%s and %s: %s: %w", cert, key, err, fs.ErrInvalid))
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	t := tls.Client(raw, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		return fail(err)
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	var ok [1]byte
	if _, err := t.Read(ok[:]); err != nil || ok[0] != 1 {
		return fail(errors.Join(errCertificate, err))
	}
	return t, nil
}

// lost tells whether the connection is of no more use.
func (c *conn) lost() bool {
	select {
	case <-c.l.Disconnected():
		return true
	default:
		return false
	}
}

// close ends the connection, and with it calls that have no answer.
func (c *conn) close() {
	c.once.Do(func() {
		if !c.lost() {
			done := make(chan struct{})
			go func() { c.l.Disconnect(); close(done) }()
			select {
			case <-done:
			case <-time.After(time.Second):
			}
		}
		c.raw.Close()
	})
}

// call makes a call within a time: the library itself waits for answers for ever. One that
// has none keeps a goroutine until the connection ends.
func (c *conn) call(ctx context.Context, name string, within time.Duration, f func() error) error {
	t := time.NewTimer(within)
	defer t.Stop()
	got := make(chan error, 1)
	go func() {
		defer func() {
			if v := recover(); v != nil { // the library's decoder, at an answer that is none
				got <- fmt.Errorf("%w: %v", errDecode, v)
			}
		}()
		got <- f()
	}()
	select {
	case err := <-got:
		if err == nil {
			return nil
		}
		if late := inventory.Interrupted(ctx, inventory.Error{Scope: c.h.scope, Call: name}); late != nil {
			c.raw.Close()
			return late
		}
		return c.explain(name, err)
	case <-ctx.Done():
		c.raw.Close()
		return inventory.Interrupted(ctx, inventory.Error{Scope: c.h.scope, Call: name, Msg: "libvirt did not answer in time"})
	case <-t.C:
		return &inventory.Error{Scope: c.h.scope, Call: name, Reason: inventory.NoAnswer, Msg: fmt.Sprintf("libvirt did not answer within %s", within)}
	}
}

// ask is call with an answer. One that comes after the time is over is nobody's.
func ask[T any](ctx context.Context, c *conn, name string, within time.Duration, f func() (T, error)) (T, error) {
	var got, none T
	err := c.call(ctx, name, within, func() (err error) { got, err = f(); return })
	if err != nil {
		return none, err // got may still be written to
	}
	return got, nil
}

var errDecode = errors.New("the answer cannot be read")

// explain makes an error of what libvirt says.
func (c *conn) explain(call string, err error) *inventory.Error {
	e := c.h.fail(call, inventory.BadAnswer, err)
	var le lv.Error
	if !errors.As(err, &le) {
		if c.lost() {
			e.Reason, e.Msg = inventory.NoAnswer, "libvirt closed the connection: "+err.Error()
		}
		return e
	}
	e.Code, e.Msg = fmt.Sprint(le.Code), le.Message
	switch code := lv.ErrorNumber(le.Code); {
	case slices.Contains([]lv.ErrorNumber{lv.ErrAuthFailed, lv.ErrAuthUnavailable, lv.ErrAuthCancelled}, code):
		e.Reason, e.Hint = inventory.BadLogin, "a login by SASL or polkit is not supported: be root, in the group libvirt, or have a certificate"
	case code == lv.ErrOperationDenied, code == lv.ErrAccessDenied:
		e.Reason = inventory.NotPermitted
	case slices.Contains([]lv.ErrorNumber{lv.ErrNoDomain, lv.ErrNoStorageVol, lv.ErrNoStoragePool, lv.ErrNoNetwork, lv.ErrNoConnect}, code):
		e.Reason = inventory.NotFound
	case code == lv.ErrAgentUnresponsive:
		e.Reason = inventory.NoAnswer
	}
	return e
}

// isCode tells whether libvirt said this.
func isCode(err error, codes ...lv.ErrorNumber) bool {
	var le lv.Error
	return errors.As(err, &le) && slices.Contains(codes, lv.ErrorNumber(le.Code))
}

// maxPacket is the largest message that libvirt has, VIR_NET_MESSAGE_MAX.
const maxPacket = 32<<20 + 64

// framed looks at the lengths of messages before the library takes memory for them.
type framed struct {
	net.Conn
	head []byte // of the next message, as far as it has come
	left uint32 // of this message
}

func (f *framed) Read(p []byte) (int, error) {
	n, err := f.Conn.Read(p)
	for b := p[:n]; len(b) > 0; {
		if f.left > 0 {
			k := min(uint32(len(b)), f.left)
			f.left -= k
			b = b[k:]
			continue
		}
		k := min(4-len(f.head), len(b))
		f.head, b = append(f.head, b[:k]...), b[k:]
		if len(f.head) == 4 {
			size := binary.BigEndian.Uint32(f.head)
			if size < 28 || size > maxPacket {
				return 0, fmt.Errorf("a message of %d bytes: 28 to %d are expected", size, maxPacket)
			}
			f.left, f.head = size-4, f.head[:0]
		}
	}
	return n, err
}
