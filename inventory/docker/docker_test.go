package docker

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/inventorytest"
	"github.com/gosalt/gosalt/protocol/wire"
)

// An engine plays Docker's API: a recorded list, and commands that run here.
type engine struct {
	list   []byte
	status int // of the list, when it is not 200
	hang   chan struct{}
	slow   bool // ends in the middle of the list and hangs

	mu    sync.Mutex
	query url.Values
	execs []*fakeExec
}

type fakeExec struct {
	Cmd  []string
	User string
	code int
}

func (e *engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Api-Version", "1.41")
	path := r.URL.Path
	if strings.HasPrefix(path, "/v1.41/") {
		path = strings.TrimPrefix(path, "/v1.41")
	}
	fail := func(code int, msg string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		json.NewEncoder(w).Encode(map[string]string{"message": msg})
	}
	switch {
	case path == "/_ping":
		if e.hang != nil && !e.slow {
			<-e.hang
		}
	case path == "/containers/json" && e.status != 0:
		fail(e.status, "it says no")
	case path == "/containers/json":
		e.mu.Lock()
		e.query = r.URL.Query()
		e.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		if e.slow {
			w.Write(e.list[:len(e.list)/2])
			w.(http.Flusher).Flush()
			<-e.hang
			return
		}
		w.Write(e.list)
	case strings.HasSuffix(path, "/exec"):
		switch strings.Split(path, "/")[2] {
		case "stopped":
			fail(409, "Container stopped is not running")
			return
		case "gone":
			fail(404, "No such container: gone")
			return
		}
		x := &fakeExec{}
		json.NewDecoder(r.Body).Decode(x)
		e.mu.Lock()
		e.execs = append(e.execs, x)
		n := len(e.execs) - 1
		e.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(201)
		fmt.Fprintf(w, `{"Id":"x%d"}`, n)
	case strings.HasSuffix(path, "/start"):
		x := e.exec(path)
		io.Copy(io.Discard, r.Body)
		c, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
		var mu sync.Mutex
		cmd := exec.Command(x.Cmd[0], x.Cmd[1:]...)
		in, err := cmd.StdinPipe()
		if err != nil {
			return
		}
		cmd.Stdout, cmd.Stderr = &frames{&mu, c, 1}, &frames{&mu, c, 2}
		if err := cmd.Start(); err != nil {
			(&frames{&mu, c, 1}).Write([]byte("OCI runtime exec failed: " + err.Error() + "\r\n"))
			e.ended(x, 126)
			return
		}
		go func() { io.Copy(in, rw); in.Close() }()
		cmd.Wait()
		e.ended(x, cmd.ProcessState.ExitCode())
	case strings.HasPrefix(path, "/exec/"):
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"ID":"x","Running":false,"ExitCode":%d,"Pid":1}`, e.code(path))
	default:
		fail(404, "page not found")
	}
}

func (e *engine) exec(path string) *fakeExec {
	e.mu.Lock()
	defer e.mu.Unlock()
	var n int
	fmt.Sscanf(strings.Split(path, "/")[2], "x%d", &n)
	return e.execs[n]
}

func (e *engine) ended(x *fakeExec, code int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	x.code = code
}

func (e *engine) code(path string) int {
	x := e.exec(path)
	e.mu.Lock()
	defer e.mu.Unlock()
	return x.code
}

type frames struct {
	mu     *sync.Mutex
	w      io.Writer
	stream byte
}

func (f *frames) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := append([]byte{f.stream, 0, 0, 0}, binary.BigEndian.AppendUint32(nil, uint32(len(p)))...)
	f.w.Write(append(b, p...))
	return len(p), nil
}

// serve serves an engine on a socket.
func serve(t testing.TB, e *engine) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "docker") // the path of a socket has 107 bytes at most
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "sock"))
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: e}
	go srv.Serve(l)
	t.Cleanup(func() {
		if e.hang != nil {
			close(e.hang)
		}
		srv.Close()
	})
	return "unix://" + l.Addr().String()
}

func recorded(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// alone keeps the tests away from the user's own configuration.
func alone(t *testing.T) {
	for _, v := range []string{"DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY", "DOCKER_API_VERSION", "CONTAINER_HOST"} {
		t.Setenv(v, "")
	}
	t.Setenv("DOCKER_CONFIG", t.TempDir())
}

func TestSuite(t *testing.T) {
	alone(t)
	inventorytest.Run(t, func(t *testing.T) inventorytest.Service {
		list := recorded(t, "docker-20.10.json")
		good := serve(t, &engine{list: list})
		closed := "unix:///nonexistent/docker.sock"
		second := serve(t, &engine{list: []byte("[]")})
		hosts := func(h ...any) *wire.Map { return wire.NewMap("host", h) }
		return inventorytest.Service{
			Kind: Kind, Config: hosts(good, second), Want: 5,
			Partial: &inventorytest.Failure{Config: hosts(closed, good), Want: 5, Scope: closed, Reason: inventory.NoAnswer, Call: "ContainerList", Hint: true},
			Failures: map[string]inventorytest.Failure{
				"nothing listens": {Config: hosts("unix:///nonexistent/docker.sock"), Reason: inventory.NoAnswer, Call: "ContainerList", Hint: true},
				"refused":         {Config: hosts("tcp://127.0.0.1:1"), Reason: inventory.NoAnswer, Call: "ContainerList", Hint: true},
				"forbidden":       {Config: hosts(serve(t, &engine{status: 403})), Reason: inventory.NotPermitted, Call: "ContainerList", Hint: true},
				"not logged in":   {Config: hosts(serve(t, &engine{status: 401})), Reason: inventory.BadLogin, Call: "ContainerList"},
				"error":           {Config: hosts(serve(t, &engine{status: 500})), Reason: inventory.BadAnswer, Call: "ContainerList"},
				"no list":         {Config: hosts(serve(t, &engine{list: []byte(`{"a": 1}`)})), Reason: inventory.BadAnswer, Call: "ContainerList"},
				"no context":      {Config: wire.NewMap("context", "nowhere"), Reason: inventory.BadConfig},
				"no filter":       {Config: wire.NewMap("host", good, "filters", wire.NewMap("labels", "a")), Reason: inventory.BadConfig},
				"ssh":             {Config: hosts("ssh://root@127.0.0.1"), Reason: inventory.BadConfig},
			},
			Hangs: map[string]*wire.Map{
				"connect":       hosts(serve(t, &engine{hang: make(chan struct{})})),
				"in the middle": hosts(serve(t, &engine{list: list, slow: true, hang: make(chan struct{})})),
			},
		}
	})
}

// A call that has no answer while its caller still waits is one without an answer.
func TestLate(t *testing.T) {
	p, h := &provider{kind: "docker"}, &host{addr: "tcp://10.0.0.5:2375"}
	if e := p.fail(t.Context(), h, "ExecCreate", fmt.Errorf("post: %w", context.DeadlineExceeded)); e.Reason != inventory.NoAnswer || e.Msg != "tcp://10.0.0.5:2375 did not answer within 30s" {
		t.Errorf("%v", e)
	}
}

// ssh:// is refused with what to do instead, from wherever it comes.
func TestSSH(t *testing.T) {
	alone(t)
	dir := os.Getenv("DOCKER_CONFIG")
	sum := sha256.Sum256([]byte("far"))
	meta := filepath.Join(dir, "contexts", "meta", hex.EncodeToString(sum[:]))
	if err := os.MkdirAll(meta, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(meta, "meta.json"), []byte(`{"Name": "far", "Endpoints": {"docker": {"Host": "ssh://root@far"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, cfg := range []*wire.Map{wire.NewMap("host", "ssh://root@far"), wire.NewMap("context", "far")} {
		v, err := inventory.ReadValues("c", cfg, Kind.Options)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Kind.New(v, inventory.Env{Source: "c"}); err == nil || !strings.Contains(err.Error(), "forward its socket") {
			t.Errorf("%v", err)
		}
	}
}

func TestMachines(t *testing.T) {
	alone(t)
	e := &engine{list: recorded(t, "docker-20.10.json")}
	s := inventorytest.Service{Kind: Kind}
	p := s.Open(t, wire.NewMap("host", serve(t, e), "filters", wire.NewMap("label", []any{"a=b", "c"}, "status", "running")))
	ms := inventorytest.ByLabel(t, p)
	m := ms["shop-web-1"]
	if m.State != inventory.Running || m.Exec != "docker" || m.Image != "nginx:1.27" || fmt.Sprint(m.Private) != "[172.19.0.7 172.18.0.2 fd00:1::2]" || fmt.Sprint(m.Groups) != "[shop]" ||
		m.Tags["note"] != `a "quoted" = ü` || m.Created.Year() != 2026 || m.Scope != "" {
		t.Errorf("%+v", m)
	}
	if a := m.Attrs; a.Text("health") != "healthy" || a.Text("service") != "web" || a.Text("network_mode") != "shop_default" ||
		fmt.Sprint(a.List("ports"), a.List("networks")) != "[0.0.0.0:8080->80/tcp 443/tcp] [back shop_default]" {
		t.Errorf("%v", a)
	}
	if m := ms["c3"]; m.State != inventory.Stopped || m.Attrs.Text("state") != "created" || len(m.Private) != 0 {
		t.Errorf("%+v", m)
	}
	if m := ms["c1"]; m.Tags["role"] != "web" || len(m.ID) != 64 {
		t.Errorf("%+v", m)
	}
	if got := e.query.Get("filters"); got != `{"label":{"a=b":true,"c":true},"status":{"running":true}}` || e.query.Get("all") != "1" {
		t.Errorf("query %v", e.query)
	}

	p = inventorytest.Service{Kind: PodmanKind}.Open(t, wire.NewMap("host", serve(t, &engine{list: recorded(t, "podman-4.3.json")})))
	if m := inventorytest.ByLabel(t, p)["p1"]; m.State != inventory.Running || m.Exec != "podman" || m.Tags["a"] != "b" || m.Image != "localhost/bb:latest" {
		t.Errorf("%+v", m)
	}
}

// Where the API is, is found as the docker command finds it.
func TestEndpoints(t *testing.T) {
	alone(t)
	srv := httptest.NewTLSServer(&engine{list: recorded(t, "docker-20.10.json")})
	defer srv.Close()
	addr := "tcp://" + srv.Listener.Addr().String()
	certs := t.TempDir()
	os.WriteFile(filepath.Join(certs, "ca.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600)
	count := func(t *testing.T, cfg *wire.Map, want int, text string) {
		t.Helper()
		s := inventorytest.Service{Kind: Kind}
		n := 0
		var last error
		for _, err := range s.Open(t, cfg).List(t.Context()) {
			if last = err; err == nil {
				n++
			}
		}
		if n != want || text == "" && last != nil || text != "" && (last == nil || !strings.Contains(last.Error(), text)) {
			t.Errorf("%d machines, %v", n, last)
		}
	}
	t.Run("TLS", func(t *testing.T) { count(t, wire.NewMap("host", addr, "cert_path", certs), 5, "") })
	t.Run("an unknown certificate", func(t *testing.T) {
		count(t, wire.NewMap("host", addr, "tls", true), 0, "credentials are refused")
	})
	t.Run("any certificate", func(t *testing.T) {
		count(t, wire.NewMap("host", addr, "tls", true, "tls_verify", false), 5, "")
	})
	t.Run("no TLS", func(t *testing.T) { count(t, wire.NewMap("host", addr), 0, "wrong configuration") })
	t.Run("DOCKER_HOST", func(t *testing.T) {
		t.Setenv("DOCKER_HOST", addr)
		t.Setenv("DOCKER_CERT_PATH", certs)
		t.Setenv("DOCKER_TLS_VERIFY", "1")
		count(t, nil, 5, "")
	})
	t.Run("the current context", func(t *testing.T) {
		dir := os.Getenv("DOCKER_CONFIG")
		// sha256 of "far away"
		const sum = "0a08c630fab02682c8b4dacf728ae84dd8f8ca528f7af3d3832062c124d1676b"
		write := func(name, text string) {
			os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700)
			os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)
		}
		write("config.json", `{"currentContext": "far away"}`)
		write("contexts/meta/"+sum+"/meta.json", fmt.Sprintf(`{"Name":"far away","Metadata":{},"Endpoints":{"docker":{"Host":%q,"SkipTLSVerify":false}}}`, addr))
		ca, _ := os.ReadFile(filepath.Join(certs, "ca.pem"))
		write("contexts/tls/"+sum+"/docker/ca.pem", string(ca))
		count(t, nil, 5, "")
		count(t, wire.NewMap("context", "far away"), 5, "")
	})
	t.Run("a certificate of ours is wanted", func(t *testing.T) {
		srv := httptest.NewUnstartedServer(&engine{})
		srv.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
		srv.StartTLS()
		defer srv.Close()
		count(t, wire.NewMap("host", "tcp://"+srv.Listener.Addr().String(), "tls", true, "tls_verify", false), 0, "certificate")
	})
}

func TestExec(t *testing.T) {
	alone(t)
	e := &engine{list: []byte("[]")}
	p := inventorytest.Service{Kind: Kind}.Open(t, wire.NewMap("host", serve(t, e), "user", "1000")).(inventory.Executor)
	testExec(t, p, inventory.Machine{ID: "c1", Label: "c1"})
	if e.execs[0].User != "1000" {
		t.Errorf("user %q", e.execs[0].User)
	}
	for id, want := range map[string]string{"stopped": "start it first", "gone": "not there any more"} {
		_, err := p.Exec(t.Context(), inventory.Machine{ID: id}, []string{"/bin/true"}, nil, io.Discard, io.Discard)
		var ie *inventory.Error
		if !errors.As(err, &ie) || ie.Reason != inventory.NotFound || ie.Call != "ExecCreate" || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// testExec is what commands in a container have to do.
func testExec(t *testing.T, p inventory.Executor, m inventory.Machine) {
	t.Helper()
	run := func(stdin io.Reader, argv ...string) (string, string, int) {
		t.Helper()
		var out, errs bytes.Buffer
		code, err := p.Exec(t.Context(), m, argv, stdin, &out, &errs)
		if err != nil {
			t.Errorf("%q: %v", argv, err)
		}
		return out.String(), errs.String(), code
	}
	if out, errs, code := run(nil, "/bin/sh", "-c", "echo out; echo err >&2; exit 3"); out != "out\n" || errs != "err\n" || code != 3 {
		t.Errorf("%q %q %d", out, errs, code)
	}
	big := strings.Repeat("0123456789abcdef", 1<<16)
	if out, _, code := run(strings.NewReader(big), "/bin/sh", "-c", "cat"); out != big || code != 0 {
		t.Errorf("%d bytes came back of %d, code %d", len(out), len(big), code)
	}
	r, w := io.Pipe() // which nobody closes
	defer w.Close()
	if _, _, code := run(r, "/bin/sh", "-c", "exit 4"); code != 4 {
		t.Errorf("code %d", code)
	}
	_, err := p.Exec(t.Context(), m, []string{"/nonexistent"}, nil, io.Discard, io.Discard)
	var ie *inventory.Error
	if !errors.As(err, &ie) || ie.Reason != inventory.NotFound || ie.Hint == "" {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	started := make(chan struct{})
	go func() { <-started; cancel() }()
	_, err = p.Exec(ctx, m, []string{"/bin/sh", "-c", "echo; read x"}, r, writerFunc(func(b []byte) { close(started) }), io.Discard)
	if !errors.As(err, &ie) || ie.Reason != inventory.Canceled {
		t.Errorf("%v", err)
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(b []byte) (int, error) { f(b); return len(b), nil }

func FuzzDemux(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x00\x00\x00\x03abc\x02\x00\x00\x00\x00\x00\x00\x01x"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var out, errs bytes.Buffer
		_, err := demux(bytes.NewReader(in), &out, &errs)
		if out.Len()+errs.Len() > len(in) {
			t.Fatal("more came out than went in")
		}
		// Split anywhere it reads alike.
		var out2, errs2 bytes.Buffer
		_, err2 := demux(iotestOneByte{bytes.NewReader(in)}, &out2, &errs2)
		if !bytes.Equal(out.Bytes(), out2.Bytes()) || !bytes.Equal(errs.Bytes(), errs2.Bytes()) || (err == nil) != (err2 == nil) {
			t.Fatalf("%q %v, %q %v", out.Bytes(), err, out2.Bytes(), err2)
		}
	})
}

type iotestOneByte struct{ r io.Reader }

func (o iotestOneByte) Read(p []byte) (int, error) { return o.r.Read(p[:min(len(p), 1)]) }
