package kubernetes

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	clientspdy "k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// newSPDYExecutor is remotecommand's, but for the wait until the server agrees to speak SPDY:
// client-go's own transport asks a proxy, and reads what the server says, without the
// request's context.
func newSPDYExecutor(cfg *rest.Config, u *url.URL) (remotecommand.Executor, error) {
	secure, err := rest.TLSConfigFor(cfg)
	if err != nil {
		return nil, err
	}
	if secure == nil {
		secure = &tls.Config{}
	}
	secure = secure.Clone()
	secure.NextProtos = []string{"http/1.1"} // the only one that can be left for SPDY
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: secure, DisableKeepAlives: true, TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{},
		DialContext: cfg.Dial}
	if cfg.Proxy != nil {
		t.Proxy = cfg.Proxy
	}
	own, err := spdy.NewRoundTripperWithConfig(spdy.RoundTripperConfig{TLS: secure})
	if err != nil {
		return nil, err
	}
	up := &upgrade{http: t, own: own}
	wrapped, err := rest.HTTPWrappersForConfig(cfg, up)
	if err != nil {
		return nil, err
	}
	return remotecommand.NewSPDYExecutorForTransports(wrapped, clientspdy.NewUpgraderForStreaming(up), http.MethodPost, u)
}

// upgrade makes one HTTP connection one of SPDY.
type upgrade struct {
	http *http.Transport
	own  *spdy.SpdyRoundTripper // knows what an answer means that is none of SPDY
	conn net.Conn               // after a RoundTrip that the server agreed to
}

// RoundTrip implements http.RoundTripper. Its end is that of the request's context.
func (u *upgrade) RoundTrip(r *http.Request) (*http.Response, error) {
	var below net.Conn
	r = r.Clone(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { below = i.Conn }}))
	r.Header.Add(httpstream.HeaderConnection, httpstream.HeaderUpgrade)
	r.Header.Add(httpstream.HeaderUpgrade, spdy.HeaderSpdy31)
	resp, err := u.http.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if both, ok := resp.Body.(io.ReadWriteCloser); ok && resp.StatusCode == http.StatusSwitchingProtocols {
		u.conn = &begun{below, both}
		resp.Body = http.NoBody // who asked closes it
		return resp, nil
	}
	// What the server says instead: read here, where the wait has an end.
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(b))
	return resp, err
}

// NewConnection implements httpstream.UpgradeRoundTripper.
func (u *upgrade) NewConnection(resp *http.Response) (httpstream.Connection, error) {
	if u.conn == nil {
		return u.own.NewConnection(resp) // which says why not
	}
	return spdy.NewClientConnectionWithPings(u.conn, 5*time.Second)
}

// begun is a connection that is no longer one of HTTP; of what came over it, some was read
// ahead.
type begun struct {
	net.Conn
	both io.ReadWriteCloser
}

func (b *begun) Read(p []byte) (int, error)  { return b.both.Read(p) }
func (b *begun) Write(p []byte) (int, error) { return b.both.Write(p) }
func (b *begun) Close() error                { return b.both.Close() }
