package kubernetes

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/websocket"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"

	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/inventorytest"
	"github.com/gosalt/gosalt/protocol/wire"
)

const token = "eyJhbGciOiJSUzI1NiIsImtpZCI6Inh5eiJ9.secret"

// A cluster plays the API as it is documented: lists in pages, Status for what fails, and
// commands over a WebSocket (v5.channel.k8s.io), which run here.
type cluster struct {
	pods  []json.RawMessage
	nodes []json.RawMessage
	many  int // so many pods more
	hang  chan struct{}
	slow  bool // hangs in the middle of the second page
	old   bool // commands over SPDY only

	mu      sync.Mutex
	queries []string
	expire  bool // the next page but the first is asked for too late, once
	busy    int  // so many times it has too much to do
}

func fail(w http.ResponseWriter, code int, reason, msg, next string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": msg, "reason": reason, "code": code, "metadata": map[string]any{"continue": next}})
}

func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+token {
		fail(w, 401, "Unauthorized", "Unauthorized", "")
		return
	}
	if c.hang != nil && !c.slow && (!c.old || r.Method == http.MethodPost) {
		<-c.hang
		return
	}
	c.mu.Lock()
	c.queries = append(c.queries, r.URL.RawQuery)
	busy := c.busy > 0
	if busy {
		c.busy--
	}
	c.mu.Unlock()
	if busy {
		w.Header().Set("Retry-After", "0")
		fail(w, 429, "TooManyRequests", "the server has received too many requests and has asked us to try again later", "")
		return
	}
	switch p := r.URL.Path; {
	case p == "/api/v1/nodes":
		c.list(w, r, "NodeList", c.nodes, 0)
	case p == "/api/v1/namespaces/default/pods", p == "/api/v1/pods":
		c.list(w, r, "PodList", c.pods, c.many)
	case p == "/api/v1/namespaces/empty/pods":
		c.list(w, r, "PodList", nil, 0)
	case p == "/api/v1/namespaces/secret/pods":
		fail(w, 403, "Forbidden", `pods is forbidden: User "u" cannot list resource "pods" in API group "" in the namespace "secret"`, "")
	case p == "/api/v1/namespaces/nothing/pods":
		io.WriteString(w, "{}")
	case p == "/api/v1/namespaces/status/pods":
		io.WriteString(w, `{"kind": "Status", "apiVersion": "v1", "status": "Success"}`)
	case p == "/api/v1/namespaces/null/pods": // as older servers say that there is none
		io.WriteString(w, `{"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": null}`)
	case strings.HasSuffix(p, "/exec") && c.old:
		if r.Method != http.MethodPost {
			fail(w, 400, "BadRequest", "Upgrade request required", "")
			return
		}
		runSPDY(w, r)
	case strings.HasSuffix(p, "/exec"):
		websocket.Server{Handler: run, Handshake: func(cfg *websocket.Config, r *http.Request) error {
			for _, p := range cfg.Protocol {
				if p == "v5.channel.k8s.io" {
					cfg.Protocol = []string{p}
					return nil
				}
			}
			return errors.New("no protocol")
		}}.ServeHTTP(w, r)
	default:
		fail(w, 404, "NotFound", "the server could not find the requested resource", "")
	}
}

func (c *cluster) list(w http.ResponseWriter, r *http.Request, kind string, items []json.RawMessage, more int) {
	q := r.URL.Query()
	limit, _ := strconv.Atoi(q.Get("limit"))
	from, _ := strconv.Atoi(strings.TrimPrefix(q.Get("continue"), "again-"))
	if q.Get("labelSelector") == "((" {
		fail(w, 400, "BadRequest", "unable to parse requirement", "")
		return
	}
	c.mu.Lock()
	expired := c.expire && from > 0 && !strings.HasPrefix(q.Get("continue"), "again-")
	c.mu.Unlock()
	if expired {
		fail(w, 410, "Expired", "The provided continue parameter is too old", fmt.Sprint("again-", from))
		return
	}
	total := len(items) + more
	end := min(from+limit, total)
	w.Header().Set("Content-Type", "application/json")
	next := ""
	if end < total {
		next = strconv.Itoa(end)
	}
	fmt.Fprintf(w, `{"kind":%q,"apiVersion":"v1","metadata":{"resourceVersion":"1","continue":%q},"items":[`, kind, next)
	if c.slow && from > 0 {
		w.(http.Flusher).Flush()
		<-c.hang
		return
	}
	for i := from; i < end; i++ {
		if i > from {
			io.WriteString(w, ",")
		}
		if i < len(items) {
			w.Write(items[i])
			continue
		}
		fmt.Fprintf(w, `{"metadata":{"name":"p%[1]d","namespace":"default","uid":"uid-%[1]d","labels":{"n":"%[1]d"}},"spec":{"nodeName":"node1","containers":[{"name":"c","image":"img"}]},"status":{"phase":"Running","podIP":"10.1.0.1"}}`, i)
	}
	io.WriteString(w, "]}")
}

// run runs a command: each message begins with its stream's number, 255 closes one.
func run(ws *websocket.Conn) {
	ws.PayloadType = websocket.BinaryFrame
	defer ws.WriteClose(1000)
	argv := ws.Request().URL.Query()["command"]
	var mu sync.Mutex
	send := func(stream byte, b []byte) {
		mu.Lock()
		defer mu.Unlock()
		websocket.Message.Send(ws, append([]byte{stream}, b...))
	}
	command(argv, func(in io.Writer) {
		for {
			var b []byte
			if websocket.Message.Receive(ws, &b) != nil || len(b) == 2 && b[0] == 255 {
				return
			}
			if len(b) > 1 && b[0] == 0 {
				in.Write(b[1:])
			}
		}
	}, writer(func(b []byte) { send(1, b) }), writer(func(b []byte) { send(2, b) }), writer(func(b []byte) { send(3, b) }))
}

// command runs a command and writes how it ended to status.
func command(argv []string, feed func(in io.Writer), stdout, stderr, status io.Writer) {
	end := func(st any) { json.NewEncoder(status).Encode(st) }
	cmd := exec.Command(argv[0], argv[1:]...)
	in, _ := cmd.StdinPipe()
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Start(); err != nil {
		end(map[string]any{"status": "Failure", "reason": "InternalError", "message": "error executing command in container: exec: " + strconv.Quote(argv[0]) + ": stat " + argv[0] + ": no such file or directory"})
		return
	}
	go func() {
		defer in.Close()
		feed(in)
	}()
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 0 {
		end(map[string]any{"status": "Failure", "reason": "NonZeroExitCode", "message": "command terminated", "details": map[string]any{"causes": []any{map[string]any{"reason": "ExitCode", "message": strconv.Itoa(code)}}}})
		return
	}
	end(map[string]any{"status": "Success"})
}

// runSPDY runs a command as servers did before WebSockets: a stream for each of its files.
func runSPDY(w http.ResponseWriter, r *http.Request) {
	w.Header().Set(httpstream.HeaderProtocolVersion, "v4.channel.k8s.io")
	streams := make(chan httpstream.Stream, 4)
	conn := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(s httpstream.Stream, _ <-chan struct{}) error {
		streams <- s
		return nil
	})
	if conn == nil {
		return
	}
	defer conn.Close()
	q := r.URL.Query()
	got := map[string]httpstream.Stream{}
	for want := 1 + len(q["stdin"]) + len(q["stdout"]) + len(q["stderr"]); len(got) < want; {
		select {
		case s := <-streams:
			got[s.Headers().Get("streamType")] = s
		case <-conn.CloseChan():
			return
		}
	}
	command(q["command"], func(in io.Writer) {
		if got["stdin"] != nil {
			io.Copy(in, got["stdin"])
		}
	}, got["stdout"], got["stderr"], got["error"])
	for _, name := range []string{"stdout", "stderr", "error"} {
		got[name].Close()
	}
	<-conn.CloseChan()
}

type writer func([]byte)

func (f writer) Write(b []byte) (int, error) { f(b); return len(b), nil }

func items(t testing.TB, name string) (out []json.RawMessage) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var l struct{ Items []json.RawMessage }
	if err := json.Unmarshal(b, &l); err != nil {
		t.Fatal(err)
	}
	return l.Items
}

// serve serves a cluster and writes a kubeconfig for it.
func serve(t testing.TB, c *cluster, login string) string {
	t.Helper()
	srv := httptest.NewUnstartedServer(c)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS() // client-go sends no token without TLS
	t.Cleanup(func() {
		if c.hang != nil {
			close(c.hang)
		}
		srv.CloseClientConnections()
		srv.Close()
	})
	return config(t, srv.URL, login, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}))
}

func config(t testing.TB, server, login string, ca []byte) string {
	path := filepath.Join(t.TempDir(), "config")
	text := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "main", "clusters": [{"name": "c", "cluster": {"server": %q, "certificate-authority-data": %q}}],
"users": [{"name": "u", "user": {"token": %q}}], "contexts": [{"name": "main", "context": {"cluster": "c", "user": "u"}}, {"name": "other", "context": {"cluster": "c", "user": "u", "namespace": "empty"}}]}`, server, base64.StdEncoding.EncodeToString(ca), login)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSuite(t *testing.T) {
	t.Setenv("KUBECONFIG", "/nonexistent")
	t.Setenv("HOME", t.TempDir())
	inventorytest.Run(t, func(t *testing.T) inventorytest.Service {
		pods, nodes := items(t, "pods.json"), items(t, "nodes.json")
		good := serve(t, &cluster{pods: pods, nodes: nodes, many: 20, busy: 2}, token)
		return inventorytest.Service{
			Kind: Kind, Config: wire.NewMap("kubeconfig", good, "page_size", int64(7), "objects", "pods,nodes"), Want: len(pods) + len(nodes) + 20,
			Secrets: []string{token, "an-old-token"},
			Partial: &inventorytest.Failure{Config: wire.NewMap("kubeconfig", good, "namespaces", "default,secret"), Want: len(pods) + 20, Scope: "secret", Reason: inventory.NotPermitted, Call: "list pods", Hint: true},
			Failures: map[string]inventorytest.Failure{
				"login":         {Config: wire.NewMap("kubeconfig", serve(t, &cluster{}, "an-old-token")), Reason: inventory.BadLogin, Call: "list pods", Hint: true},
				"no right":      {Config: wire.NewMap("kubeconfig", good, "namespaces", "secret"), Reason: inventory.NotPermitted, Call: "list pods", Hint: true},
				"throttled":     {Config: wire.NewMap("kubeconfig", serve(t, &cluster{busy: 1000}, token)), Reason: inventory.Throttled, Call: "list pods"},
				"selector":      {Config: wire.NewMap("kubeconfig", good, "labels", "(("), Reason: inventory.BadConfig, Call: "list pods", Hint: true},
				"empty":         {Config: wire.NewMap("kubeconfig", good, "namespaces", "nothing,null"), Reason: inventory.BadAnswer, Scope: "nothing", Call: "list pods", Hint: true},
				"no list":       {Config: wire.NewMap("kubeconfig", good, "namespaces", "status"), Reason: inventory.BadAnswer, Call: "list pods", Hint: true},
				"refused":       {Config: wire.NewMap("kubeconfig", config(t, "https://127.0.0.1:1", token, nil)), Reason: inventory.NoAnswer, Call: "list pods", Hint: true},
				"no kubeconfig": {Config: wire.NewMap("objects", "pods"), Reason: inventory.NoCredentials, Hint: true},
				"no context":    {Config: wire.NewMap("kubeconfig", good, "context", "nowhere"), Reason: inventory.BadConfig},
				"no object":     {Config: wire.NewMap("kubeconfig", good, "objects", "services"), Reason: inventory.BadConfig},
			},
			Hangs: map[string]*wire.Map{
				"connect":       wire.NewMap("kubeconfig", serve(t, &cluster{hang: make(chan struct{})}, token)),
				"in the middle": wire.NewMap("kubeconfig", serve(t, &cluster{pods: pods, many: 20, slow: true, hang: make(chan struct{})}, token), "page_size", int64(2)),
			},
			Large: func(t *testing.T, n int) *wire.Map {
				return wire.NewMap("kubeconfig", serve(t, &cluster{many: n}, token), "page_size", int64(100))
			},
		}
	})
}

func list(t testing.TB, cfg *wire.Map) (p inventory.Provider, out map[string]inventory.Machine) {
	t.Helper()
	p = inventorytest.Service{Kind: Kind}.Open(t, cfg)
	return p, inventorytest.ByLabel(t, p)
}

func TestMachines(t *testing.T) {
	c := &cluster{pods: items(t, "pods.json"), nodes: items(t, "nodes.json"), expire: true}
	conf := serve(t, c, token)
	_, ms := list(t, wire.NewMap("kubeconfig", conf, "objects", "pods,nodes", "page_size", int64(1), "labels", "app=web", "fields", "status.phase=Running"))
	m := ms["web-6d4b75cb6d-hwl7x"]
	if m.State != inventory.Running || m.Exec != "kubernetes" || m.Account != "default" || m.Scope != "default" || m.Image != "nginx:1.27" || fmt.Sprint(m.Private) != "[10.244.1.17 fd00:10:244:1::11]" ||
		m.Tags["app"] != "web" || fmt.Sprint(m.Groups) != "[ReplicaSet/web-6d4b75cb6d]" || m.Created.Year() != 2026 {
		t.Errorf("%+v", m)
	}
	if a := m.Attrs; a.Text("container") != "nginx" || a.Text("node") != "node1" || !a.Bool("ready") || a.Int("restarts") != 2 || a.Text("pod") != m.Label {
		t.Errorf("%v", a)
	}
	for name, want := range map[string]inventory.State{"job-1-abcde": inventory.Stopped, "new-0": inventory.Starting, "old-0": inventory.Stopping} {
		if ms[name].State != want {
			t.Errorf("%s: %+v", name, ms[name])
		}
	}
	n := ms["node1"]
	if n.State != inventory.Running || n.Exec != "" || n.Region != "eu-central-1" || n.Zone != "eu-central-1a" || n.Type != "m6i.large" || fmt.Sprint(n.Private, n.Public, n.DNS, n.Groups) != "[10.0.0.11] [203.0.113.11] [node1.internal node1] [control-plane]" || n.Scope != "/nodes" {
		t.Errorf("%+v", n)
	}
	if ms["node2"].State != inventory.Unknown || ms["node2"].Attrs.Text("state") != "NotReady" {
		t.Errorf("%+v", ms["node2"])
	}
	if q := strings.Join(c.queries, " "); !strings.Contains(q, "continue=again-1") || !strings.Contains(q, "labelSelector=app%3Dweb") || !strings.Contains(q, "fieldSelector=status.phase%3DRunning") {
		t.Errorf("%s", q)
	}
	if _, ms := list(t, wire.NewMap("kubeconfig", conf, "container", "*")); ms["web-6d4b75cb6d-hwl7x/sidecar"].Attrs.Text("container") != "sidecar" || ms["web-6d4b75cb6d-hwl7x/nginx"].ID == "" {
		t.Errorf("%v", ms)
	}
	if _, ms := list(t, wire.NewMap("kubeconfig", conf, "container", "sidecar")); len(ms) != 1 {
		t.Errorf("%v", ms)
	}
	if _, ms := list(t, wire.NewMap("kubeconfig", conf, "context", "other")); len(ms) != 0 {
		t.Errorf("%v", ms)
	}
}

// A node that has not been heard of for a while is neither ready nor known not to be.
func TestLostNode(t *testing.T) {
	var n node
	if err := json.Unmarshal([]byte(`{"metadata": {"name": "n"}, "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}`), &n); err != nil {
		t.Fatal(err)
	}
	if m := n.machine(); m.State != inventory.Unknown || m.Attrs.Text("state") != "Unknown" {
		t.Errorf("%v %v", m.State, m.Attrs)
	}
}

// A server that hangs up says nothing about the login.
func TestHangUp(t *testing.T) {
	p := &provider{base: &url.URL{Host: "10.0.0.1:6443"}}
	if e := p.netError(t.Context(), &inventory.Error{Call: "list pods"}, &url.Error{Op: "Get", URL: "https://10.0.0.1:6443/", Err: io.EOF}); e.Reason != inventory.NoAnswer || !strings.Contains(e.Hint, "10.0.0.1:6443") {
		t.Errorf("%v", e)
	}
}

// A server that does not say whether a command begins is not waited for longer than that.
func TestExecLate(t *testing.T) {
	for name, old := range map[string]bool{"WebSocket": false, "SPDY": true} {
		c := &cluster{pods: items(t, "pods.json"), old: old}
		p, ms := list(t, wire.NewMap("kubeconfig", serve(t, c, token)))
		c.hang = make(chan struct{})
		p.(*provider).begin = 50 * time.Millisecond
		var e *inventory.Error
		if _, err := p.(inventory.Executor).Exec(t.Context(), ms["web-6d4b75cb6d-hwl7x"], []string{"true"}, nil, io.Discard, io.Discard); !errors.As(err, &e) || e.Reason != inventory.NoAnswer || !strings.Contains(e.Msg, "within 50ms") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Nor is a proxy that does not say whether there is a way on.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p, ms := list(t, wire.NewMap("kubeconfig", serve(t, &cluster{pods: items(t, "pods.json")}, token)))
	p.(*provider).begin = 50 * time.Millisecond
	p.(*provider).cfg.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: l.Addr().String()})
	m := ms["web-6d4b75cb6d-hwl7x"]
	var e *inventory.Error
	if _, err := p.(inventory.Executor).Exec(t.Context(), m, []string{"true"}, nil, io.Discard, io.Discard); !errors.As(err, &e) || e.Reason != inventory.NoAnswer || !strings.Contains(e.Msg, "within 50ms") {
		t.Errorf("proxy: %v", err)
	}
	ex, err := newSPDYExecutor(p.(*provider).cfg, p.(*provider).base)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := ex.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: io.Discard}); err == nil || !strings.Contains(err.Error(), "deadline exceeded") {
		t.Errorf("SPDY by a proxy: %v", err)
	}
}

func TestExec(t *testing.T) {
	t.Run("WebSocket", func(t *testing.T) { testExec(t, &cluster{pods: items(t, "pods.json")}) })
	t.Run("SPDY", func(t *testing.T) { testExec(t, &cluster{pods: items(t, "pods.json"), old: true}) })
}

func testExec(t *testing.T, c *cluster) {
	p, ms := list(t, wire.NewMap("kubeconfig", serve(t, c, token)))
	x, m := p.(inventory.Executor), ms["web-6d4b75cb6d-hwl7x"]
	sh := func(stdin io.Reader, line string) (string, string, int) {
		t.Helper()
		var out, errs bytes.Buffer
		code, err := x.Exec(t.Context(), m, []string{"/bin/sh", "-c", line}, stdin, &out, &errs)
		if err != nil {
			t.Errorf("%s: %v", line, err)
		}
		return out.String(), errs.String(), code
	}
	if out, errs, code := sh(nil, "echo out; echo err >&2; exit 3"); out != "out\n" || errs != "err\n" || code != 3 {
		t.Errorf("%q %q %d", out, errs, code)
	}
	big := strings.Repeat("0123456789abcdef", 1<<14)
	if out, _, code := sh(strings.NewReader(big), "cat"); out != big || code != 0 {
		t.Errorf("%d bytes, code %d", len(out), code)
	}
	r, w := io.Pipe() // which nobody closes
	defer w.Close()
	if _, _, code := sh(r, "exit 4"); code != 4 {
		t.Errorf("code %d", code)
	}
	var e *inventory.Error
	if _, err := x.Exec(t.Context(), m, []string{"/nonexistent"}, nil, io.Discard, io.Discard); !errors.As(err, &e) || e.Reason != inventory.NotFound || e.Hint == "" {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if _, err := x.Exec(ctx, m, []string{"/bin/sh", "-c", "echo; read x"}, r, writer(func([]byte) { cancel() }), io.Discard); !errors.As(err, &e) || e.Reason != inventory.Canceled {
		t.Errorf("%v", err)
	}
	p, ms = list(t, wire.NewMap("kubeconfig", serve(t, &cluster{nodes: items(t, "nodes.json")}, token), "objects", "nodes"))
	if _, err := p.(inventory.Executor).Exec(t.Context(), ms["node1"], []string{"true"}, nil, io.Discard, io.Discard); err == nil {
		t.Error("a command ran on a node")
	}
}
