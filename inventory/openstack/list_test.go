package openstack_test

import (
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/inventorytest"
	"github.com/gosalt/gosalt/inventory/openstack"
	"github.com/gosalt/gosalt/protocol/wire"
)

const forbidden = `{"forbidden": {"code": 403, "message": "Policy doesn't allow os_compute_api:servers:detail to be performed."}}`

func TestSuite(t *testing.T) {
	inventorytest.Run(t, func(t *testing.T) inventorytest.Service {
		kind := openstack.Kind
		kind.New = newFast
		f := newFakeCloud(t, map[string]*fakeRegion{"RegionOne": {n: 13}, "RegionTwo": {n: 7}, "Empty": {},
			"Denied": {status: 403, body: forbidden}, "Hanging": {hang: true}, "Cut": {n: 20, cut: true, after: 5}})
		cfg := func(more ...any) *wire.Map { return f.keys(append([]any{"page_size", int64(5)}, more...)...) }
		return inventorytest.Service{
			Kind: kind, Config: cfg("regions", "RegionOne,RegionTwo,Empty"), Want: 20, Secrets: []string{"hushhush", "token-"},
			Partial: &inventorytest.Failure{Config: cfg("regions", "RegionOne,Denied,RegionTwo"), Want: 20, Scope: "Denied", Reason: inventory.NotPermitted, Call: "GET /servers/detail", Hint: true},
			Failures: map[string]inventorytest.Failure{
				"wrong password": {Config: cfg("password", "guess"), Reason: inventory.BadLogin, Call: "POST /auth/tokens", Hint: true},
				"no password":    {Config: wire.NewMap("auth_url", f.URL, "username", "salt", "project", "x"), Reason: inventory.NoCredentials, Hint: true},
				"nothing":        {Config: wire.NewMap("page_size", int64(5)), Reason: inventory.NoCredentials, Hint: true},
				"no region":      {Config: cfg("regions", "RegionTree"), Reason: inventory.NotFound, Scope: "RegionTree", Hint: true},
				"no keystone":    {Config: cfg("auth_url", f.URL+"/elsewhere/v3"), Reason: inventory.NotFound, Call: "POST /auth/tokens", Hint: true},
				"refused":        {Config: cfg("auth_url", "http://127.0.0.1:1/v3", "max_attempts", int64(1)), Reason: inventory.NoAnswer, Call: "POST /auth/tokens", Hint: true},
			},
			Hangs: map[string]*wire.Map{"connect": cfg("regions", "Hanging"), "in the middle": cfg("regions", "Cut"), "login": cfg("auth_url", f.URL+"/identity/hang")},
			Large: func(t *testing.T, n int) *wire.Map {
				third := n / 3
				f := newFakeCloud(t, map[string]*fakeRegion{"One": {n: third}, "Two": {n: third}, "Three": {n: n - 2*third}})
				return f.keys("page_size", int64(50)) // a page takes some 10 kB a server while it is read
			},
		}
	})
}

// A region with a fault is named, and does not hide the others.
func TestFaultsOfRegions(t *testing.T) {
	for name, c := range map[string]struct {
		fault fakeRegion
		more  []any
		want  string
		calls int
		some  int // machines of the region that come before the fault
	}{
		"denied": {fault: fakeRegion{status: 403, body: forbidden}, more: []any{"all_projects", true}, calls: 1,
			want: "prod (openstack), Bad, GET /servers/detail: not permitted: Policy doesn't allow os_compute_api:servers:detail to be performed. [HTTP 403] (all_projects needs a role of an administrator"},
		"empty": {fault: fakeRegion{raw: "{}"}, calls: 1,
			want: `prod (openstack), Bad, GET /servers/detail: bad answer: the answer has no list "servers" (is something between here and the API that answers itself, as a proxy?)`},
		"throttled": {fault: fakeRegion{n: 20, status: 429, body: `{"overLimit": {"code": 429, "message": "This request was rate-limited.", "retryAfter": "0"}}`, after: 5}, more: []any{"max_attempts", int64(3)}, calls: 4, some: 5,
			want: "prod (openstack), Bad, GET /servers/detail: throttled: This request was rate-limited. [HTTP 429] ("},
		"broken": {fault: fakeRegion{status: 503, body: "<html>no server is available</html>"}, more: []any{"max_attempts", int64(2)}, calls: 2,
			want: "prod (openstack), Bad, GET /servers/detail: no answer: Service Unavailable [HTTP 503] (the cloud has a fault, try again later)"},
		"hangs": {fault: fakeRegion{hang: true}, more: []any{"region_timeout", "1s"}, calls: 1,
			want: "prod (openstack), Bad, GET /servers/detail: no answer: no whole answer within 1s (see region_timeout; does the endpoint of the region answer?)"},
		"nonsense": {fault: fakeRegion{raw: "<html>welcome"}, want: "prod (openstack), Bad, GET /servers/detail: bad answer: "},
		"no list":  {fault: fakeRegion{raw: `{"servers": "none"}`}, want: "prod (openstack), Bad, GET /servers/detail: bad answer: "},
		"no id":    {fault: fakeRegion{doc: `{"servers": [{"name": "x"}]}`}, want: "prod (openstack), Bad, GET /servers/detail: bad answer: page 1 has a server without an id"},
		"circles":  {fault: fakeRegion{n: 99, loop: true}, calls: 2, some: 10, want: "prod (openstack), Bad, GET /servers/detail: bad answer: after page 2 the API leads to the same page again"},
		"query":    {fault: fakeRegion{status: 400, body: `{"badRequest": {"code": 400, "message": "Invalid filters"}}`}, more: []any{"filters", wire.NewMap("name", "(")}, want: "prod (openstack), Bad, GET /servers/detail: wrong configuration: Invalid filters [HTTP 400] (see filters)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeCloud(t, map[string]*fakeRegion{"Bad": &c.fault, "RegionOne": {n: 12}, "RegionTwo": {n: 8}})
			got, errs := inventorytest.Count(t, open(t, f.keys(append([]any{"page_size", int64(5)}, c.more...)...)))
			if got["RegionOne"] != 12 || got["RegionTwo"] != 8 || got["Bad"] != c.some {
				t.Errorf("machines: %v", got)
			}
			if len(errs) != 1 || !strings.HasPrefix(errs[0], c.want) {
				t.Errorf("errors:\n%s\nwant\n%s", strings.Join(errs, "\n"), c.want)
			}
			if n := f.count("Bad GET /servers/detail"); c.calls > 0 && n != c.calls {
				t.Errorf("it was asked %d times, not %d", n, c.calls)
			}
		})
	}
}

// Faults that pass are not seen, nor is a token that has expired meanwhile.
func TestPassingFaults(t *testing.T) {
	f := newFakeCloud(t, map[string]*fakeRegion{"RegionOne": {n: 12, status: 429, times: 2, after: 5}, "RegionTwo": {n: 8, status: 503, times: 2}})
	p := open(t, f.keys("page_size", int64(5)))
	for range 2 {
		if got, errs := inventorytest.Count(t, p); got["RegionOne"] != 12 || got["RegionTwo"] != 8 || errs != nil {
			t.Error(got, errs)
		}
		f.mu.Lock()
		f.revoked = true
		f.mu.Unlock()
	}
	if len(f.logins) < 2 {
		t.Errorf("%d logins", len(f.logins))
	}
}

func TestRegions(t *testing.T) {
	f := newFakeCloud(t, map[string]*fakeRegion{"RegionOne": {n: 1}, "RegionTwo": {n: 2}})
	for name, c := range map[string]struct {
		regions any
		env     string
		want    string
		err     string
	}{
		"all":         {want: "RegionOne RegionTwo"},
		"environment": {env: "RegionTwo", want: "RegionTwo"},
		"named":       {regions: "RegionTwo,RegionTwo", want: "RegionTwo"},
		"mistyped":    {regions: "RegionOne,RegionTow", want: "RegionOne", err: "prod (openstack), RegionTow, catalog: not found: the cloud has no compute service in region RegionTow (is it RegionTwo? it has RegionOne, RegionTwo)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OS_REGION_NAME", c.env)
			cfg := f.keys()
			if c.regions != nil {
				cfg.Set("regions", c.regions)
			}
			got, errs := inventorytest.Count(t, open(t, cfg))
			if s := strings.Join(slices.Sorted(maps.Keys(got)), " "); s != c.want || strings.Join(errs, "\n") != c.err {
				t.Errorf("%s\n%s", s, strings.Join(errs, "\n"))
			}
		})
	}
	_, errs := inventorytest.Count(t, open(t, f.keys("interface", "internal")))
	if len(errs) != 1 || !strings.Contains(errs[0], "the cloud names no compute service that has a internal endpoint") {
		t.Error(errs)
	}
}

// Logins come from the source, from clouds.yaml, or from the environment.
func TestLogins(t *testing.T) {
	f := newFakeCloud(t, map[string]*fakeRegion{"RegionOne": {n: 1}, "RegionTwo": {n: 1}})
	url := f.URL + "/identity/v3"
	dir := t.TempDir()
	file := filepath.Join(dir, "clouds.yaml")
	if err := os.WriteFile(file, []byte(`
clouds:
  prod:
    region_name: RegionTwo
    auth: {auth_url: `+url+`, username: salt, project_name: demo, user_domain_name: Corp, project_domain_name: Corp}
  robot:
    auth_type: v3applicationcredential
    auth: {auth_url: `+url+`, application_credential_id: abc, application_credential_secret: hushhush}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "secure.yaml"), []byte("clouds: {prod: {auth: {password: hushhush}}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		cfg     *wire.Map
		env     map[string]string
		want    int
		methods string
		scope   string
		err     string
	}{
		"clouds.yaml":          {cfg: wire.NewMap("cloud", "prod", "clouds_file", file), want: 1, methods: "password", scope: "demo of Corp"},
		"OS_CLOUD":             {cfg: wire.NewMap(), env: map[string]string{"OS_CLOUD": "prod", "OS_CLIENT_CONFIG_FILE": file, "OS_PASSWORD": "other"}, want: 1, methods: "password", scope: "demo of Corp"},
		"credential of clouds": {cfg: wire.NewMap("cloud", "robot", "clouds_file", file), want: 2, methods: "application_credential"},
		"credential":           {cfg: wire.NewMap("auth_url", url, "application_credential_id", "abc", "application_credential_secret", "hushhush"), want: 2, methods: "application_credential"},
		"credential by name":   {cfg: wire.NewMap("auth_url", url, "application_credential_name", "abc", "username", "salt", "application_credential_secret", "hushhush"), want: 2, methods: "application_credential"},
		"environment":          {cfg: wire.NewMap(), env: map[string]string{"OS_AUTH_URL": url, "OS_USERNAME": "salt", "OS_PASSWORD": "hushhush", "OS_PROJECT_NAME": "demo", "OS_PROJECT_DOMAIN_ID": "default"}, want: 2, methods: "password", scope: "demo of default"},
		"no version":           {cfg: f.keys("auth_url", f.URL+"/identity"), want: 2, methods: "password", scope: "demo of Default"},
		"no such cloud":        {cfg: wire.NewMap("cloud", "prd", "clouds_file", file), err: `prod (openstack), clouds.yaml: not found: ` + file + ` has no cloud "prd" (is it prod? it has prod, robot)`},
		"no file":              {cfg: wire.NewMap("cloud", "prod", "clouds_file", file+"x"), err: `prod (openstack), clouds.yaml: not found: there is no ` + file + `x (see clouds_file)`},
	} {
		t.Run(name, func(t *testing.T) {
			for k, v := range c.env {
				t.Setenv(k, v)
			}
			f.logins = nil
			got, errs := inventorytest.Count(t, open(t, c.cfg))
			if strings.Join(errs, "\n") != c.err || len(got) != c.want {
				t.Fatal(got, errs)
			}
			if c.err != "" {
				return
			}
			auth := wire.NewMap("identity", f.logins[0]["identity"], "scope", f.logins[0]["scope"])
			id, _ := auth.Get("identity")
			if m := id.(map[string]any)["methods"].([]any); len(m) != 1 || m[0] != c.methods {
				t.Errorf("methods %v", m)
			}
			sc, _ := f.logins[0]["scope"].(map[string]any)
			got2 := ""
			if pr, ok := sc["project"].(map[string]any); ok {
				d := pr["domain"].(map[string]any)
				n, _ := d["name"].(string)
				if n == "" {
					n = d["id"].(string)
				}
				got2 = pr["name"].(string) + " of " + n
			}
			if got2 != c.scope {
				t.Errorf("scope %q, not %q", got2, c.scope)
			}
		})
	}
}

// What was refused is read anew the next time.
func TestMendedLogin(t *testing.T) {
	f := newFakeCloud(t, map[string]*fakeRegion{"RegionOne": {n: 1}})
	t.Setenv("OS_PASSWORD", "guess")
	cfg := f.keys()
	cfg.Delete("password")
	p := open(t, cfg)
	if _, errs := inventorytest.Count(t, p); len(errs) != 1 || !strings.Contains(errs[0], "POST /auth/tokens: credentials are refused: The request you have made requires authentication. [HTTP 401] (see username") {
		t.Fatal(errs)
	}
	t.Setenv("OS_PASSWORD", "hushhush")
	if got, errs := inventorytest.Count(t, p); got["RegionOne"] != 1 || errs != nil {
		t.Fatal(got, errs)
	}
}

// A server as Nova describes it, with all that there may be.
const server = `{"servers": [{
 "id": "0e44cc9c-e052-415d-afbf-469b0d384170", "name": "db1", "status": "ACTIVE", "tenant_id": "6f70656e737461636b20342065766572", "user_id": "u1",
 "accessIPv4": "", "accessIPv6": "", "created": "2026-01-02T03:04:05Z", "updated": "2026-02-02T03:04:05Z", "hostId": "2091634b", "key_name": "deploy", "locked": false,
 "addresses": {"back": [{"addr": "10.0.0.5", "version": 4, "OS-EXT-IPS:type": "fixed", "OS-EXT-IPS-MAC:mac_addr": "fa:16:3e:0c:2c:08"}, {"addr": "2001:db8::5", "version": 6, "OS-EXT-IPS:type": "fixed"}],
   "front": [{"addr": "192.168.0.3", "version": 4, "OS-EXT-IPS:type": "fixed"}, {"addr": "172.24.4.9", "version": 4, "OS-EXT-IPS:type": "floating"}]},
 "flavor": {"original_name": "m1.small", "vcpus": 2, "ram": 2048, "disk": 20, "ephemeral": 0, "swap": 0, "extra_specs": {}},
 "image": {"id": "70a599e0-31e7-49b7-b260-868f441e862b", "links": []}, "metadata": {"role": "db", "odd \"é\" {{": "a=b"}, "tags": ["nightly", "role"],
 "security_groups": [{"name": "default"}, {"name": "db"}, {"name": "default"}], "os-extended-volumes:volumes_attached": [{"id": "vol-1", "delete_on_termination": false}],
 "OS-EXT-AZ:availability_zone": "nova-1", "OS-EXT-STS:power_state": 1, "OS-EXT-STS:task_state": null, "OS-EXT-STS:vm_state": "active", "OS-SRV-USG:launched_at": "2026-01-02T03:05:05.000000", "OS-SRV-USG:terminated_at": null,
 "OS-EXT-SRV-ATTR:host": "compute7", "OS-EXT-SRV-ATTR:hypervisor_hostname": "compute7.example", "OS-EXT-SRV-ATTR:instance_name": "instance-00000001", "server_groups": ["g1"], "config_drive": "", "progress": 0, "links": []},
 {"id": "2", "name": "vol", "status": "ERROR", "image": "", "flavor": {"id": "42"}, "addresses": {}, "metadata": {}, "fault": {"code": 500, "message": "No valid host\nwas found.", "created": "2026-01-02T03:04:05Z"}, "OS-EXT-STS:power_state": 0},
 {"id": "3", "name": "off", "status": "SHUTOFF", "OS-EXT-STS:power_state": 4, "OS-EXT-STS:task_state": "powering-on"},
 {"id": "4", "name": "new", "status": "SOMETHING_NEW"}]}`

func TestMachines(t *testing.T) {
	f := newFakeCloud(t, map[string]*fakeRegion{"RegionOne": {doc: server}})
	var got []inventory.Machine
	for m, err := range open(t, f.keys()).List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Check(); err != nil {
			t.Error(err)
		}
		got = append(got, m)
	}
	if len(got) != 4 {
		t.Fatalf("%d machines", len(got))
	}
	m := got[0]
	ip := netip.MustParseAddr
	for what, c := range map[string][2]any{
		"label": {m.Label, "db1"}, "account": {m.Account, "6f70656e737461636b20342065766572"}, "zone": {m.Zone, "nova-1"}, "type": {m.Type, "m1.small"}, "image": {m.Image, "70a599e0-31e7-49b7-b260-868f441e862b"},
		"private": {slices.Equal(m.Private, []netip.Addr{ip("10.0.0.5"), ip("192.168.0.3")}), true}, "public": {slices.Equal(m.Public, []netip.Addr{ip("2001:db8::5"), ip("172.24.4.9")}), true},
		"groups": {strings.Join(m.Groups, " "), "default db"}, "role": {m.Tags["role"], "db"}, "odd": {m.Tags[`odd "é" {{`], "a=b"}, "state": {m.State, inventory.Running}, "created": {m.Created.Format(time.RFC3339), "2026-01-02T03:04:05Z"},
		"host": {m.Attrs.Text("host"), "compute7"}, "ram": {m.Attrs.Int("ram"), int64(2048)}, "launched": {m.Attrs.Text("launched"), "2026-01-02T03:05:05Z"}, "key": {m.Attrs.Text("key_name"), "deploy"},
		"error": {got[1].State, inventory.Stopped}, "fault": {got[1].Attrs.Text("fault"), "No valid host was found."}, "flavor": {got[1].Type, "42"}, "no image": {got[1].Image, ""},
		"starting": {got[2].State, inventory.Starting}, "unknown": {got[3].State, inventory.Unknown}, "word": {got[3].Attrs.Text("state"), "SOMETHING_NEW"},
	} {
		if c[0] != c[1] {
			t.Errorf("%s: %v instead of %v", what, c[0], c[1])
		}
	}
	if v, ok := m.Tags["nightly"]; !ok || v != "" {
		t.Errorf("a tag is a tag without a value: %v", m.Tags)
	}
}

// An old cloud has flavors by their ids alone, and filters are sent as they are.
func TestOldCloudAndFilters(t *testing.T) {
	f := newFakeCloud(t, map[string]*fakeRegion{"RegionOne": {n: 1, old: true}})
	for m, err := range open(t, f.keys("all_projects", true, "filters", wire.NewMap("name", "^web", "tags", []any{"a", "b"}, "project_id", "p1"))).List(t.Context()) {
		if err != nil || m.Type != "m1.nano" {
			t.Error(m.Type, err)
		}
	}
	q := f.queries[len(f.queries)-1]
	for k, want := range map[string]string{"name": "^web", "tags": "a,b", "project_id": "p1", "all_tenants": "1", "limit": "500"} {
		if q.Get(k) != want {
			t.Errorf("%s is %q, not %q", k, q.Get(k), want)
		}
	}
}

func TestWrongOptions(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  *wire.Map
		want string
	}{
		"filter":     {wire.NewMap("filters", wire.NewMap("statu", "ACTIVE")), `filters: there is no filter "statu" here; is it "status"?`},
		"or":         {wire.NewMap("filters", wire.NewMap("status", []any{"ACTIVE", "BUILD"})), "filters: status takes one value: Nova knows no 'or'"},
		"project":    {wire.NewMap("filters", wire.NewMap("project_id", "x")), "filters: project_id needs all_projects: true"},
		"interface":  {wire.NewMap("interface", "publicURL"), `interface has to be public, internal or admin, not "publicURL"`},
		"twice":      {wire.NewMap("project", "a", "project_id", "b"), "project and project_id say the same thing: one of them is enough"},
		"credential": {wire.NewMap("application_credential_id", "a"), "application_credential_secret is missing"},
		"url":        {wire.NewMap("auth_url", "cloud.example"), "auth_url has to be a URL, as https://cloud.example:5000/v3"},
		"page":       {wire.NewMap("page_size", int64(0)), "page_size has to be 1 to 1000, not 0"},
	} {
		if _, err := try(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
