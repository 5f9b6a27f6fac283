package hetzner

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/inventorytest"
	"github.com/gosalt/gosalt/protocol/wire"
)

func TestMain(m *testing.M) {
	os.Unsetenv("HCLOUD_TOKEN")
	os.Unsetenv("HCLOUD_ENDPOINT")
	os.Exit(m.Run())
}

// serve answers as the reference of the API says. The path says what goes wrong.
func serve(t *testing.T, n int) string {
	end := make(chan struct{})
	var mu sync.Mutex
	faults := map[string]int{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fault := strings.Trim(strings.TrimSuffix(r.URL.Path, "/servers"), "/")
		page, _ := strconv.Atoi(r.URL.Query().Get("page"))
		size, _ := strconv.Atoi(r.URL.Query().Get("per_page"))
		say := func(status int, code, msg string) {
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"error": {"code": %q, "message": %q, "details": null}}`, code, msg)
		}
		mu.Lock()
		faults[fault]++
		times := faults[fault]
		mu.Unlock()
		switch {
		case r.Header.Get("Authorization") != "Bearer hushhush":
			say(401, "unauthorized", "unable to authenticate")
			return
		case fault == "throttled" || fault == "moment" && times < 3:
			say(429, "rate_limit_exceeded", "limit of 3600 requests per hour reached")
			return
		case fault == "selector":
			say(422, "invalid_input", "invalid input in field 'label_selector'")
			return
		case fault == "proxy":
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(502)
			io.WriteString(w, "<html>")
			return
		case fault == "empty":
			io.WriteString(w, "{}")
			return
		case fault == "hang":
			select {
			case <-end:
			case <-r.Context().Done():
			}
			return
		}
		var list []string
		for i := (page - 1) * size; i < min(page*size, n); i++ {
			list = append(list, fmt.Sprintf(`{"id": %d, "name": "web-%d", "status": "running", "created": "2026-01-02T03:04:05+00:00", "labels": {"role": "web", "env": ""},
				"public_net": {"ipv4": {"ip": "198.51.100.%d", "blocked": false, "dns_ptr": "web.example"}, "ipv6": {"ip": "2001:db8:%x::/64", "blocked": false, "dns_ptr": []}, "floating_ips": [], "firewalls": []},
				"private_net": [{"network": 4, "ip": "10.0.%d.%d", "alias_ips": ["10.9.0.1"], "mac_address": "86:00:ff:2a:7d:e1"}],
				"server_type": {"id": 1, "name": "cx22", "cores": 2, "memory": 4.0, "disk": 40, "architecture": "x86"}, "location": {"id": 1, "name": "fsn1", "network_zone": "eu-central", "city": "Falkenstein", "country": "DE"},
				"image": {"id": 5, "name": "debian-12", "os_flavor": "debian", "os_version": "12"}, "locked": false, "rescue_enabled": false, "volumes": [7], "primary_disk_size": 40, "load_balancers": []}`,
				i+1, i, i%250, i, i/250, i%250))
		}
		next := "null"
		if page*size < n {
			next = strconv.Itoa(page + 1)
		}
		if fault == "circles" && page == 2 {
			next = "2"
		}
		fmt.Fprintf(w, `{"servers": [%s], "meta": {"pagination": {"page": %d, "per_page": %d, "previous_page": null, "next_page": %s, "last_page": 9, "total_entries": %d}}}`, strings.Join(list, ","), page, size, next, n)
	}))
	t.Cleanup(func() { close(end); srv.Close() })
	return srv.URL
}

func newFast(o *inventory.Values, env inventory.Env) (inventory.Provider, error) {
	p, err := New(o, env)
	if err == nil {
		p.(*Provider).wait = func(ctx context.Context, _ int, _ time.Duration) error { return ctx.Err() }
	}
	return p, err
}

func TestSuite(t *testing.T) {
	inventorytest.Run(t, func(t *testing.T) inventorytest.Service {
		kind := Kind
		kind.New = newFast
		url := serve(t, 23)
		cfg := func(path string, more ...any) *wire.Map {
			return wire.NewMap(append([]any{"endpoint", url + "/" + path, "token", "hushhush", "page_size", int64(5)}, more...)...)
		}
		return inventorytest.Service{
			Kind: kind, Config: cfg(""), Want: 23, Secrets: []string{"hushhush", "guessed"},
			Failures: map[string]inventorytest.Failure{
				"no token":  {Config: wire.NewMap("endpoint", url), Reason: inventory.NoCredentials, Hint: true},
				"wrong":     {Config: wire.NewMap("endpoint", url, "token", "guessed"), Reason: inventory.BadLogin, Hint: true},
				"throttled": {Config: cfg("throttled"), Reason: inventory.Throttled, Hint: true},
				"selector":  {Config: cfg("selector", "label_selector", "(("), Reason: inventory.BadConfig, Hint: true},
				"proxy":     {Config: cfg("proxy"), Reason: inventory.NoAnswer, Hint: true},
				"empty":     {Config: cfg("empty"), Reason: inventory.BadAnswer, Hint: true}, // nobody's account: it does not mean that no machine is left
				"circles":   {Config: cfg("circles"), Want: 10, Reason: inventory.BadAnswer},
				"refused":   {Config: wire.NewMap("endpoint", "http://127.0.0.1:1", "token", "hushhush"), Reason: inventory.NoAnswer, Hint: true},
				"state":     {Config: cfg("", "server_states", "runing"), Reason: inventory.BadConfig},
			},
			Hangs: map[string]*wire.Map{"connect": cfg("hang")},
			Large: func(t *testing.T, n int) *wire.Map {
				return wire.NewMap("endpoint", serve(t, n), "token", "hushhush")
			},
		}
	})
}

func TestMachine(t *testing.T) {
	v, err := inventory.ReadValues("h", wire.NewMap("endpoint", serve(t, 1)+"/moment", "token", "hushhush"), Kind.Options)
	if err != nil {
		t.Fatal(err)
	}
	p, err := newFast(v, inventory.Env{Source: "h"})
	if err != nil {
		t.Fatal(err)
	}
	for m, err := range p.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		ip := netip.MustParseAddr
		for what, c := range map[string][2]any{
			"id": {m.ID, "1"}, "label": {m.Label, "web-0"}, "region": {m.Region, "fsn1"}, "type": {m.Type, "cx22"}, "image": {m.Image, "debian-12"}, "state": {m.State, inventory.Running},
			"public": {slices.Equal(m.Public, []netip.Addr{ip("198.51.100.0"), ip("2001:db8::1")}), true}, "private": {slices.Equal(m.Private, []netip.Addr{ip("10.0.0.0"), ip("10.9.0.1")}), true},
			"role": {m.Tags["role"], "web"}, "zone": {m.Attrs.Text("network_zone"), "eu-central"}, "cores": {m.Attrs.Int("cores"), int64(2)}, "created": {m.Created.UTC().Format(time.RFC3339), "2026-01-02T03:04:05Z"},
		} {
			if c[0] != c[1] {
				t.Errorf("%s: %v instead of %v (%+v)", what, c[0], c[1], m)
			}
		}
	}
}
