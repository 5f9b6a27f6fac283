package kubernetes

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	clientspdy "k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// newSPDYExecutor is remotecommand's, but for the wait until the server agrees to speak SPDY:
// client-go's own transport dials with the request's context and then reads without it.
func newSPDYExecutor(cfg *rest.Config, u *url.URL) (remotecommand.Executor, error) {
	tls, err := rest.TLSConfigFor(cfg)
	if err != nil {
		return nil, err
	}
	proxy := http.ProxyFromEnvironment
	if cfg.Proxy != nil {
		proxy = cfg.Proxy
	}
	rt, err := spdy.NewRoundTripperWithConfig(spdy.RoundTripperConfig{TLS: tls, Proxier: proxy})
	if err != nil {
		return nil, err
	}
	up := &upgrade{SpdyRoundTripper: rt}
	wrapped, err := rest.HTTPWrappersForConfig(cfg, up)
	if err != nil {
		return nil, err
	}
	return remotecommand.NewSPDYExecutorForTransports(wrapped, clientspdy.NewUpgraderForStreaming(up), http.MethodPost, u)
}

// upgrade makes one HTTP connection one of SPDY.
type upgrade struct {
	*spdy.SpdyRoundTripper
	conn net.Conn // after a RoundTrip that the server agreed to
}

// RoundTrip implements http.RoundTripper. Its end is that of the request's context.
func (u *upgrade) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	r = r.Clone(ctx)
	r.Header.Add(httpstream.HeaderConnection, httpstream.HeaderUpgrade)
	r.Header.Add(httpstream.HeaderUpgrade, spdy.HeaderSpdy31)
	conn, err := u.Dial(r) // writes the request, too
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	br := bufio.NewReader(conn)
	resp, err := http.ReadResponse(br, nil)
	if err == nil && resp.StatusCode != http.StatusSwitchingProtocols {
		// What the server says instead: read here, where the wait has an end.
		var b []byte
		b, err = io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		resp.Body = io.NopCloser(bytes.NewReader(b))
	}
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		conn.Close()
		return resp, err
	}
	u.conn = &begun{conn, br}
	return resp, nil
}

// NewConnection implements httpstream.UpgradeRoundTripper.
func (u *upgrade) NewConnection(resp *http.Response) (httpstream.Connection, error) {
	if u.conn == nil {
		return u.SpdyRoundTripper.NewConnection(resp) // which says why not
	}
	return spdy.NewClientConnectionWithPings(u.conn, 5*time.Second)
}

// begun is a connection of which some was read ahead.
type begun struct {
	net.Conn
	r *bufio.Reader
}

func (b *begun) Read(p []byte) (int, error) { return b.r.Read(p) }
