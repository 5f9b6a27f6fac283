package docker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/moby/moby/client"

	"github.com/gosalt/gosalt/inventory"
)

// An endpoint is where an API is, and how to speak to it.
type endpoint struct {
	addr string // "unix:///var/run/docker.sock"
	tls  *tls.Config
}

// A host is one API.
type host struct {
	addr  string
	scope string // the address, where there are several
	api   *client.Client
	last  atomic.Pointer[error] // of dialing
}

// newHost makes a client. The library dials a second way for connections that are taken
// over, without deadlines for TLS: here all are dialed by us, and TLS is below HTTP.
func newHost(e endpoint, several bool) (*host, error) {
	h := &host{addr: e.addr}
	if several {
		h.scope = e.addr
	}
	u, err := client.ParseHostURL(e.addr)
	if err != nil {
		return nil, fmt.Errorf("host %q: %w", e.addr, err)
	}
	network, addr := u.Scheme, u.Host
	switch network {
	case "unix":
	case "tcp", "http", "https":
		network = "tcp"
		if _, _, err := net.SplitHostPort(addr); err != nil {
			port := "2375"
			if e.tls != nil {
				port = "2376"
			}
			addr = net.JoinHostPort(strings.Trim(addr, "[]"), port)
		}
	default:
		return nil, fmt.Errorf("host %q: unix:// and tcp:// are supported", e.addr)
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		c, err := (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext(ctx, network, addr)
		if err == nil && e.tls != nil {
			t := tls.Client(c, e.tls)
			if err = t.HandshakeContext(ctx); err != nil {
				c.Close()
			}
			c = t
		}
		h.last.Store(&err)
		if err != nil {
			return nil, err
		}
		if ctx.Value(streaming) != nil {
			return c, nil
		}
		return &limited{Conn: c}, nil
	}
	hc := &http.Client{Transport: &http.Transport{MaxResponseHeaderBytes: 1 << 20, ResponseHeaderTimeout: callTime, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute},
		CheckRedirect: client.CheckRedirect}
	h.api, err = client.New(client.WithHTTPClient(hc), client.WithHost(e.addr), client.WithScheme("http"), client.WithDialContext(dial), client.WithUserAgent("gosalt"))
	return h, err
}

func (h *host) dialError() error {
	if p := h.last.Load(); p != nil {
		return *p
	}
	return nil
}

// explainDial is why a host is not reached, and what to do.
func (h *host) explainDial(err error, service string) (inventory.Reason, string) {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var dns *net.DNSError
	switch {
	case errors.Is(err, fs.ErrPermission):
		return inventory.NotPermitted, "may this user open the socket? it belongs to root and a group, as docker"
	case errors.Is(err, fs.ErrNotExist):
		return inventory.NoAnswer, "does " + service + " run there?"
	case errors.Is(err, syscall.ECONNREFUSED):
		return inventory.NoAnswer, "does " + service + " run there, on this address?"
	case errors.As(err, &dns):
		return inventory.NotFound, "check the host's name"
	case errors.As(err, &unknown), errors.As(err, &name), errors.As(err, &invalid):
		return inventory.BadLogin, "cert_path has to hold the ca.pem that signed the host's certificate"
	}
	var alert tls.AlertError
	if errors.As(err, &alert) || strings.Contains(err.Error(), "tls: ") {
		return inventory.BadLogin, "cert_path has to hold a certificate that the host takes, and tls has to be as the host has it"
	}
	return inventory.NoAnswer, ""
}

type ctxKey int

// streaming marks the context of connections whose answer has no limit: a command's.
const streaming ctxKey = 0

// maxAnswer is how much is read in answer to one request: 100,000 containers have half.
const maxAnswer = 256 << 20

var errTooMuch = fmt.Errorf("the answer is longer than %d MiB", maxAnswer>>20)

// limited is a connection that reads so much after each request.
type limited struct {
	net.Conn
	read atomic.Int64
}

func (l *limited) Write(p []byte) (int, error) {
	l.read.Store(0)
	return l.Conn.Write(p)
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if l.read.Add(int64(n)) > maxAnswer {
		return n, errTooMuch
	}
	return n, err
}

// CloseWrite is for connections that are taken over.
func (l *limited) CloseWrite() error {
	if c, ok := l.Conn.(client.CloseWriter); ok {
		return c.CloseWrite()
	}
	return nil
}

// dockerHosts says where Docker's APIs are, as its command finds them.
func dockerHosts(v *inventory.Values, env inventory.Env) ([]endpoint, error) {
	list, context := v.List("host"), v.Text("context")
	if len(list) > 0 && context != "" {
		return nil, errors.New("host and context are both given: one of them says where the API is")
	}
	if len(list) == 0 && context == "" {
		if h := os.Getenv("DOCKER_HOST"); h != "" {
			list = []string{h}
		} else {
			context = os.Getenv("DOCKER_CONTEXT")
			if context == "" {
				context = currentContext()
			}
		}
	}
	if len(list) == 0 && context != "" && context != "default" {
		e, err := contextEndpoint(v, env, context)
		if err != nil {
			return nil, err
		}
		return []endpoint{e}, nil
	}
	if len(list) == 0 {
		list = []string{client.DefaultDockerHost}
	}
	return withTLS(v, env, list)
}

// podmanHosts says where Podman's API is.
func podmanHosts(v *inventory.Values, env inventory.Env) ([]endpoint, error) {
	list := v.List("host")
	if len(list) == 0 {
		if h := os.Getenv("CONTAINER_HOST"); h != "" {
			list = []string{h}
		}
	}
	if len(list) == 0 {
		sock := "/run/podman/podman.sock"
		if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" && os.Geteuid() != 0 {
			sock = filepath.Join(dir, "podman/podman.sock")
		}
		list = []string{"unix://" + sock}
	}
	return withTLS(v, env, list)
}

func withTLS(v *inventory.Values, env inventory.Env, list []string) ([]endpoint, error) {
	dir := v.Text("cert_path")
	if dir == "" && !v.Has("host") {
		dir = os.Getenv("DOCKER_CERT_PATH")
	}
	if dir != "" && !filepath.IsAbs(dir) {
		dir = filepath.Join(env.ConfigDir, dir)
	}
	var out []endpoint
	for _, addr := range list {
		e := endpoint{addr: addr}
		if strings.HasPrefix(addr, "ssh://") { // which is what most have a user name in
			return nil, errors.New("host: the API is not reached by ssh://: forward its socket, as ssh -nNT -L /run/other.sock:/var/run/docker.sock HOST does, and name unix:///run/other.sock")
		}
		if u, err := url.Parse(addr); err == nil && u.User != nil {
			return nil, errors.New("host: a user name and password have no place in an address")
		}
		on := dir != "" || strings.HasSuffix(addr, ":2376") || strings.HasPrefix(addr, "https://") || !v.Has("host") && os.Getenv("DOCKER_TLS_VERIFY") != ""
		if v.Has("tls") {
			on = v.Bool("tls")
		}
		if on && !strings.HasPrefix(addr, "unix:") {
			cfg, err := tlsOf(addr, dir)
			if err != nil {
				return nil, err
			}
			cfg.InsecureSkipVerify = v.Has("tls_verify") && !v.Bool("tls_verify")
			e.tls = cfg
		}
		out = append(out, e)
	}
	return out, nil
}

// tlsOf reads the certificates that there are in a directory.
func tlsOf(addr, dir string) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if u, err := url.Parse(addr); err == nil {
		cfg.ServerName = u.Hostname()
	}
	if dir == "" {
		return cfg, nil
	}
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("cert_path: %w", err)
	}
	ca, err := readSmall(filepath.Join(dir, "ca.pem"))
	switch {
	case err == nil:
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(ca) {
			return nil, fmt.Errorf("cert_path: %s holds no certificate", filepath.Join(dir, "ca.pem"))
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("cert_path: %w", err)
	}
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if _, err := os.Stat(cert); err == nil {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("cert_path: %s and %s: %w", cert, key, err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

func readSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 1<<20))
}
