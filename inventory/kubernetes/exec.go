package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/util/exec"
	"k8s.io/streaming/pkg/httpstream"

	"github.com/gosalt/gosalt/inventory"
)

// Exec implements inventory.Executor: over a WebSocket, or SPDY where the server, or a proxy
// before it, has no other. The API cannot end a command: when ctx ends, the connection does,
// and with it the command's input.
func (p *provider) Exec(ctx context.Context, m inventory.Machine, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	fail := func(e *inventory.Error) (int, error) {
		e.Source, e.Kind, e.Scope, e.Call = p.env.Source, "kubernetes", m.Scope, "exec"
		return 0, e
	}
	ns, name, container := m.Attrs.Text("namespace"), m.Attrs.Text("pod"), m.Attrs.Text("container")
	if ns == "" || name == "" {
		return fail(&inventory.Error{Reason: inventory.NotFound, Msg: m.Label + " is no pod"})
	}
	u := p.base.JoinPath("namespaces", ns, "pods", name, "exec")
	q := url.Values{"command": argv, "container": {container}, "stdout": {"true"}, "stderr": {"true"}}
	if stdin != nil {
		q.Set("stdin", "true")
	}
	u.RawQuery = q.Encode()
	cfg := rest.CopyConfig(p.cfg)
	var late atomic.Bool
	cfg.Wrap(func(rt http.RoundTripper) http.RoundTripper { return handshake{rt, p.begin, &late} })
	ws, err := remotecommand.NewWebSocketExecutor(cfg, http.MethodGet, u.String())
	if err != nil {
		return fail(&inventory.Error{Reason: inventory.BadConfig, Err: err})
	}
	spdy, err := newSPDYExecutor(cfg, u)
	if err != nil {
		return fail(&inventory.Error{Reason: inventory.BadConfig, Err: err})
	}
	ex, err := remotecommand.NewFallbackExecutor(ws, spdy, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
	if err != nil {
		return fail(&inventory.Error{Reason: inventory.BadConfig, Err: err})
	}
	err = ex.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: stdin, Stdout: stdout, Stderr: stderr})
	var code exec.CodeExitError
	switch {
	case ctx.Err() != nil:
		return fail(inventory.Interrupted(ctx, inventory.Error{Msg: "the command was ended"}))
	case err == nil:
		return 0, nil
	case errors.As(err, &code):
		return code.Code, nil
	}
	e := &inventory.Error{Err: err, Reason: inventory.NoAnswer}
	switch text := err.Error(); {
	case late.Load():
		e.Msg = fmt.Sprintf("%s did not answer within %s", p.base.Host, p.begin)
	case strings.Contains(text, "forbidden"):
		e.Reason, e.Hint = inventory.NotPermitted, "the account needs the verbs create and get on pods/exec"
	case strings.Contains(text, "nauthorized"):
		e.Reason = inventory.BadLogin
	case strings.Contains(text, "container not found"), strings.Contains(text, "not found"):
		e.Reason, e.Hint = inventory.NotFound, "is the pod still there, with this container running? inventory.refresh looks again"
		if strings.Contains(text, "executable file") || strings.Contains(text, "no such file") {
			e.Hint = "is " + argv[0] + " in the image, and may the user run it?"
		}
	case strings.Contains(text, "executable file"), strings.Contains(text, "no such file or directory"):
		e.Reason, e.Hint = inventory.NotFound, "is "+argv[0]+" in the image, and may the user run it?"
	}
	return fail(e)
}

// handshake bounds the time until a command's connection is there: what is sent over it
// then has no limit.
type handshake struct {
	http.RoundTripper
	within time.Duration
	late   *atomic.Bool // it was not there in time: errors of client-go do not always say so
}

// RoundTrip implements http.RoundTripper.
func (h handshake) RoundTrip(r *http.Request) (*http.Response, error) {
	deadline := time.Now().Add(h.within)
	ctx, cancel := context.WithDeadline(r.Context(), deadline)
	defer cancel()
	resp, err := h.RoundTripper.RoundTrip(r.WithContext(ctx))
	// A connection that has the deadline may tell of it before the context does.
	if err != nil && !time.Now().Before(deadline) && r.Context().Err() == nil {
		h.late.Store(true)
	}
	return resp, err
}
