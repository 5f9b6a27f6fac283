package openstack_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/openstack"
	"github.com/gosalt/gosalt/protocol/wire"
)

// fakeCloud answers as Keystone v3 and Nova v2.1 do, by their reference, with regions of
// which each has a fault or some servers.
type fakeCloud struct {
	URL     string
	regions map[string]*fakeRegion

	mu      sync.Mutex
	calls   []string // "RegionOne GET /servers/detail"
	queries []url.Values
	logins  []map[string]any
	revoked bool // all tokens that were given until now
	tokens  int
}

type fakeRegion struct {
	n      int
	old    bool   // knows no microversions
	status int    // of a fault, 0 for none
	body   string // of the fault
	times  int    // how often the fault comes; 0: always
	after  int    // servers that come before it
	hang   bool
	cut    bool // the answer begins, and does not end
	raw    string
	loop   bool
	doc    string // one server, instead of n
	failed int
}

func newFakeCloud(t *testing.T, regions map[string]*fakeRegion) *fakeCloud {
	f := &fakeCloud{regions: regions}
	end := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.serve(w, r, end) }))
	f.URL = srv.URL
	t.Cleanup(func() { close(end); srv.Close() })
	return f
}

func (f *fakeCloud) serve(w http.ResponseWriter, r *http.Request, end chan struct{}) {
	w.Header().Set("Content-Type", "application/json")
	switch {
	case strings.HasPrefix(r.URL.Path, "/identity/hang"):
		<-end
		return
	case r.URL.Path == "/identity/v3/auth/tokens":
		f.login(w, r)
		return
	case r.URL.Path == "/identity/" || r.URL.Path == "/identity":
		w.WriteHeader(300)
		fmt.Fprintf(w, `{"versions": {"values": [{"id": "v3.14", "status": "stable", "links": [{"rel": "self", "href": "%s/identity/v3/"}]}]}}`, f.URL)
		return
	}
	region, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/compute/"), "/")
	path = "/" + strings.TrimPrefix(path, "v2.1/")
	f.mu.Lock()
	f.calls = append(f.calls, region+" "+r.Method+" "+path)
	f.queries = append(f.queries, r.URL.Query())
	reg := f.regions[region]
	valid := r.Header.Get("X-Auth-Token") == fmt.Sprint("token-", f.tokens) && !f.revoked
	marker, _ := strconv.Atoi(r.URL.Query().Get("marker"))
	start := 0
	if r.URL.Query().Has("marker") {
		start = marker%1_000_000 + 1
	}
	faulty := reg != nil && path == "/servers/detail" && (reg.status != 0 || reg.hang || reg.raw != "" || reg.cut) && start >= reg.after && (reg.times == 0 || reg.failed < reg.times)
	if faulty {
		reg.failed++
	}
	f.mu.Unlock()
	switch {
	case reg == nil:
		w.WriteHeader(404)
	case !valid:
		w.WriteHeader(401)
		io.WriteString(w, `{"error": {"code": 401, "title": "Unauthorized", "message": "The request you have made requires authentication."}}`)
	case path == "/": // which versions there are
		v := `"version": "2.96", "min_version": "2.1"`
		if reg.old {
			v = `"version": "", "min_version": ""`
		}
		fmt.Fprintf(w, `{"version": {"id": "v2.1", "status": "CURRENT", %s, "links": []}}`, v)
	case path == "/flavors/detail":
		io.WriteString(w, `{"flavors": [{"id": "42", "name": "m1.nano", "ram": 64, "vcpus": 1, "disk": 1}]}`)
	case path != "/servers/detail":
		w.WriteHeader(404)
	case faulty && reg.cut:
		io.WriteString(w, `{"servers": [`)
		w.(http.Flusher).Flush()
		select {
		case <-end:
		case <-r.Context().Done():
		}
	case faulty && reg.hang:
		select {
		case <-end:
		case <-r.Context().Done():
		}
	case faulty && reg.raw != "":
		io.WriteString(w, reg.raw)
	case faulty:
		w.WriteHeader(reg.status)
		io.WriteString(w, reg.body)
	case reg.doc != "":
		io.WriteString(w, reg.doc)
	default:
		f.servers(w, r, region, reg, start)
	}
}

// servers is a page, with a link to the next one as Nova makes it.
func (f *fakeCloud) servers(w http.ResponseWriter, r *http.Request, region string, reg *fakeRegion, start int) {
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
	number := 0
	for i, name := range regionsOf(f.regions) {
		if name == region {
			number = i + 1
		}
	}
	var b bytes.Buffer
	b.WriteString(`{"servers": [`)
	last := ""
	for i := start; i < min(start+limit, reg.n); i++ {
		last = fmt.Sprint(number*1_000_000 + i)
		if reg.loop && i == start+limit-1 && start > 0 {
			last = r.URL.Query().Get("marker")
		}
		flavor := `{"original_name": "m1.nano", "vcpus": 1, "ram": 64, "disk": 1}`
		if r.Header.Get("X-OpenStack-Nova-API-Version") == "" {
			flavor = `{"id": "42"}`
		}
		if i > start {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id": %q, "name": "web-%d", "status": "ACTIVE", "tenant_id": "p1", "metadata": {"role": "web"}, "flavor": %s, "image": {"id": "img-1"},
			"created": "2026-01-02T03:04:05Z", "updated": "2026-01-02T03:04:06Z", "addresses": {"net": [{"addr": "10.%d.%d.%d", "version": 4, "OS-EXT-IPS:type": "fixed"}]}}`,
			last, i, flavor, number, i/250%250, i%250)
	}
	b.WriteString("]")
	if start+limit < reg.n {
		// Behind a proxy these links often lead nowhere: only that there is one counts.
		fmt.Fprintf(&b, `, "servers_links": [{"rel": "next", "href": "http://nova.internal:8774/v2.1/servers/detail?marker=%s"}]`, last)
	}
	b.WriteString("}")
	w.Write(b.Bytes())
}

func regionsOf(m map[string]*fakeRegion) (out []string) {
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func (f *fakeCloud) login(w http.ResponseWriter, r *http.Request) {
	var doc map[string]any
	json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&doc)
	auth, _ := doc["auth"].(map[string]any)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.logins = append(f.logins, auth)
	text, _ := json.Marshal(auth)
	if !strings.Contains(string(text), "hushhush") {
		w.WriteHeader(401)
		io.WriteString(w, `{"error": {"code": 401, "title": "Unauthorized", "message": "The request you have made requires authentication."}}`)
		return
	}
	f.tokens++
	f.revoked = false
	var endpoints []any
	for name := range f.regions {
		endpoints = append(endpoints, map[string]any{"id": name, "interface": "public", "region": name, "region_id": name, "url": f.URL + "/compute/" + name + "/v2.1"})
	}
	w.Header().Set("X-Subject-Token", fmt.Sprint("token-", f.tokens))
	w.WriteHeader(201)
	json.NewEncoder(w).Encode(map[string]any{"token": map[string]any{
		"methods": []string{"password"}, "expires_at": "2099-01-01T00:00:00.000000Z", "issued_at": "2026-01-01T00:00:00.000000Z",
		"project": map[string]any{"id": "p1", "name": "demo"}, "user": map[string]any{"id": "u1", "name": "salt"},
		"catalog": []any{
			map[string]any{"type": "identity", "name": "keystone", "id": "k", "endpoints": []any{map[string]any{"id": "x", "interface": "public", "region": "Elsewhere", "region_id": "Elsewhere", "url": f.URL + "/identity/v3"}}},
			map[string]any{"type": "compute", "name": "nova", "id": "n", "endpoints": endpoints},
		}}})
}

func (f *fakeCloud) count(call string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(slices.DeleteFunc(slices.Clone(f.calls), func(c string) bool { return c != call }))
}

// The environment's and the user's settings of OpenStack are taken away.
func TestMain(m *testing.M) {
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "OS_") {
			os.Unsetenv(name)
		}
	}
	os.Setenv("XDG_CONFIG_HOME", "/nonexistent")
	os.Exit(m.Run())
}

// keys are what every configuration here begins with.
func (f *fakeCloud) keys(more ...any) *wire.Map {
	return wire.NewMap(append([]any{"auth_url", f.URL + "/identity/v3", "username", "salt", "password", "hushhush", "project", "demo"}, more...)...)
}

func try(cfg *wire.Map) (inventory.Provider, error) {
	v, err := inventory.ReadValues("prod", cfg, openstack.Kind.Options)
	if err != nil {
		return nil, err
	}
	return newFast(v, inventory.Env{Source: "prod"})
}

func newFast(v *inventory.Values, env inventory.Env) (inventory.Provider, error) {
	p, err := openstack.New(v, env)
	if err == nil {
		openstack.NoWait(p.(*openstack.Provider))
	}
	return p, err
}

func open(t testing.TB, cfg *wire.Map) inventory.Provider {
	t.Helper()
	p, err := try(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
