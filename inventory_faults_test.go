package gosalt_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/testproc"
)

// faultyClouds plays the APIs of clouds, as far as one machine is listed. The first part of a
// path says what is wrong: "ok" is nothing.
type faultyClouds struct {
	url string
	end chan struct{}
}

// oddTags are such as people have in clouds.
var oddTags = map[string]string{"Name": "odd", "ünï cöde": "größe 10 €", "a=b": "c=d", "quote": `"'` + "`", "line": "one\ntwo", "template": "{{ 7*7 }}{% raw %}", "glob": "*[a]?", "empty": "", "colon:key": "x:y"}

func (f *faultyClouds) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fault, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch fault {
	case "hang":
		select {
		case <-f.end:
		case <-r.Context().Done():
		}
		return
	case "html":
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Welcome to the hotel's network</body></html>")
		return
	case "html502":
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(502)
		io.WriteString(w, "<html><body bgcolor=white><h1>502 Bad Gateway</h1></body></html>")
		return
	}
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	form, _ := url.ParseQuery(string(body))
	switch {
	case form.Get("Action") != "":
		ec2Answer(w, fault, form)
	case strings.HasPrefix(path, "identity"):
		f.keystone(w, fault, path, body)
	case strings.HasPrefix(path, "compute"):
		novaAnswer(w, fault)
	case strings.HasSuffix(path, "pods"):
		kubeAnswer(w, fault)
	case strings.HasSuffix(path, "servers"):
		hetznerAnswer(w, fault)
	default:
		http.NotFound(w, r)
	}
}

// ec2Codes are the codes of EC2's reference.
var ec2Codes = map[string][3]string{
	"expired":  {"400", "RequestExpired", "Request has expired."},
	"wrongkey": {"401", "AuthFailure", "AWS was not able to validate the provided access credentials"},
	"denied":   {"403", "UnauthorizedOperation", "You are not authorized to perform this operation. User: arn:aws:iam::123456789012:user/u is not authorized to perform: ec2:DescribeInstances"},
	"throttle": {"503", "RequestLimitExceeded", "Request limit exceeded."},
}

func ec2Answer(w http.ResponseWriter, fault string, form url.Values) {
	if e, ok := ec2Codes[fault]; ok && form.Get("Action") == "DescribeInstances" {
		var code int
		fmt.Sscan(e[0], &code)
		w.WriteHeader(code)
		fmt.Fprintf(w, `<Response><Errors><Error><Code>%s</Code><Message>%s</Message></Error></Errors></Response>`, e[1], e[2])
		return
	}
	esc := func(s string) string {
		var b strings.Builder
		xml.EscapeText(&b, []byte(s))
		return b.String()
	}
	instance := func(id string, tags map[string]string) string {
		var b strings.Builder
		for k, v := range tags {
			fmt.Fprintf(&b, "<item><key>%s</key><value>%s</value></item>", esc(k), esc(v))
		}
		return fmt.Sprintf(`<item><ownerId>1</ownerId><instancesSet><item><instanceId>%s</instanceId><instanceState><code>16</code><name>running</name></instanceState><privateIpAddress>127.0.0.1</privateIpAddress><tagSet>%s</tagSet></item></instancesSet></item>`, id, b.String())
	}
	switch form.Get("Action") {
	case "DescribeRegions":
		io.WriteString(w, `<DescribeRegionsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><regionInfo><item><regionName>eu-west-1</regionName><optInStatus>opt-in-not-required</optInStatus></item></regionInfo></DescribeRegionsResponse>`)
	case "DescribeInstances":
		items := instance("i-00000000000000001", map[string]string{"Name": "m"})
		switch fault {
		case "empty":
			items = ""
		case "twins":
			items = instance("i-00000000000000001", map[string]string{"Name": "twin"}) + instance("i-00000000000000002", map[string]string{"Name": "twin"})
		case "odd":
			items = instance("i-00000000000000001", oddTags)
		}
		fmt.Fprintf(w, `<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><reservationSet>%s</reservationSet></DescribeInstancesResponse>`, items)
	default:
		w.WriteHeader(403)
		io.WriteString(w, `<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>no</Message></Error></Errors></Response>`)
	}
}

func sendJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(v)
}

type obj = map[string]any

func (f *faultyClouds) keystone(w http.ResponseWriter, fault, path string, _ []byte) {
	switch {
	case !strings.HasSuffix(path, "/auth/tokens"):
		sendJSON(w, 300, obj{"versions": obj{"values": []any{obj{"id": "v3.14", "status": "stable", "links": []any{obj{"rel": "self", "href": f.url + "/" + fault + "/identity/v3/"}}}}}})
	case fault == "expired":
		sendJSON(w, 401, obj{"error": obj{"code": 401, "title": "Unauthorized", "message": "The request you have made requires authentication."}})
	case fault == "elsewhere":
		w.Header().Set("X-Subject-Token", "t")
		sendJSON(w, 201, obj{"token": obj{"expires_at": "2099-01-01T00:00:00.000000Z", "project": obj{"id": "p", "name": "p"}, "catalog": []any{}}})
	default:
		w.Header().Set("X-Subject-Token", "t")
		sendJSON(w, 201, obj{"token": obj{"expires_at": "2099-01-01T00:00:00.000000Z", "project": obj{"id": "p", "name": "p"}, "catalog": []any{
			obj{"type": "compute", "name": "nova", "endpoints": []any{obj{"interface": "public", "region": "RegionOne", "region_id": "RegionOne", "url": f.url + "/" + fault + "/compute/v2.1"}}}}}})
	}
}

func novaAnswer(w http.ResponseWriter, fault string) {
	switch fault {
	case "denied":
		sendJSON(w, 403, obj{"forbidden": obj{"code": 403, "message": "Policy doesn't allow os_compute_api:servers:detail to be performed."}})
	case "throttle":
		w.Header().Set("Retry-After", "0")
		sendJSON(w, 429, obj{"overLimit": obj{"code": 429, "message": "This request was rate-limited."}})
	default:
		sendJSON(w, 200, obj{"servers": []any{obj{"id": "5f4d", "name": "m", "status": "ACTIVE", "addresses": obj{"net": []any{obj{"addr": "127.0.0.1", "version": 4, "OS-EXT-IPS:type": "fixed"}}}}}})
	}
}

func kubeAnswer(w http.ResponseWriter, fault string) {
	status := func(code int, reason, msg string) {
		w.Header().Set("Retry-After", "0")
		sendJSON(w, code, obj{"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": msg, "reason": reason, "code": code})
	}
	switch fault {
	case "expired":
		status(401, "Unauthorized", "Unauthorized")
	case "denied":
		status(403, "Forbidden", `pods is forbidden: User "u" cannot list resource "pods" in API group "" in the namespace "default"`)
	case "throttle":
		status(429, "TooManyRequests", "too many requests")
	default:
		sendJSON(w, 200, obj{"kind": "PodList", "apiVersion": "v1", "metadata": obj{}, "items": []any{obj{"metadata": obj{"name": "m", "namespace": "default", "uid": "u-1"}, "spec": obj{"containers": []any{obj{"name": "c", "image": "i"}}}, "status": obj{"phase": "Running"}}}})
	}
}

func hetznerAnswer(w http.ResponseWriter, fault string) {
	switch fault {
	case "expired":
		sendJSON(w, 401, obj{"error": obj{"code": "unauthorized", "message": "unable to authenticate"}})
	case "denied":
		sendJSON(w, 403, obj{"error": obj{"code": "forbidden", "message": "insufficient permissions"}})
	case "throttle":
		sendJSON(w, 429, obj{"error": obj{"code": "rate_limit_exceeded", "message": "limit of 3600 requests per hour reached"}})
	default:
		sendJSON(w, 200, obj{"servers": []any{obj{"id": 1, "name": "m", "status": "running", "private_net": []any{obj{"ip": "127.0.0.1"}}}}, "meta": obj{"pagination": obj{"page": 1, "last_page": 1}}})
	}
}

// TestInventoryFaults has sources of every kind fail in every way, as the programs see it: each
// is told with source, part and call and with what to do, its machines are the last ones and
// marked as old, and no source hinders another.
func TestInventoryFaults(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := &faultyClouds{end: make(chan struct{})}
	srv := httptest.NewServer(f)
	secure := httptest.NewUnstartedServer(f)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that do not trust it
	secure.StartTLS()
	f.url = srv.URL
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	deaf, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(f.end); srv.Close(); secure.Close(); silent.Close(); deaf.Close() })
	write := func(name, text string, mode os.FileMode) string {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return name
	}
	kube := func(server string) string {
		return write("kube-"+regexp.MustCompile(`\W+`).ReplaceAllString(server, "-"), fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: c, clusters: [{name: c, cluster: {server: '%s'}}], users: [{name: u, user: {token: hushhush}}], contexts: [{name: c, context: {cluster: c, user: u}}]}`, server), 0o600)
	}
	lists := write("lists", "#!/bin/sh\necho '{\"all\": {\"hosts\": [\"m\"]}, \"_meta\": {\"hostvars\": {\"m\": {\"ansible_host\": \"127.0.0.1\"}}}}'\n", 0o755)
	write("good.yaml", "m: 127.0.0.1\n", 0o644)
	write("bad.yaml", "m: {adress: 127.0.0.1}\n", 0o644)
	ok := map[string]string{
		"ec2":        "regions: [eu-west-1], access_key_id: AKIA, secret_access_key: hushhush, max_attempts: 2, endpoint: '" + srv.URL + "/ok'",
		"openstack":  "auth_url: '" + srv.URL + "/ok/identity/v3', username: u, password: hushhush, project: p, max_attempts: 2",
		"hetzner":    "token: hushhush, max_attempts: 2, endpoint: '" + srv.URL + "/ok'",
		"kubernetes": "kubeconfig: '" + kube(srv.URL+"/ok") + "'",
		"static":     "file: " + filepath.Join(dir, "good.yaml"),
		"ansible":    "command: " + lists,
	}
	closed := "http://127.0.0.1:1"
	at := func(kind, base string) string {
		return strings.NewReplacer(srv.URL+"/ok", base, kube(srv.URL+"/ok"), kube(base)).Replace(ok[kind])
	}
	type row struct{ name, kind, cfg, want string }
	var rows []row
	for _, kind := range []string{"ec2", "openstack", "hetzner", "kubernetes"} {
		call := map[string]string{"ec2": "eu-west-1, DescribeInstances: ", "openstack": "(RegionOne, GET /(servers|flavors)/detail|POST /auth/tokens): ", "hetzner": "GET /servers: ", "kubernetes": "(default, list pods|list): "}[kind]
		rows = append(rows,
			row{"expired", kind, at(kind, srv.URL+"/expired"), call + `credentials are refused: .*\(.+\)$`},
			row{"denied", kind, at(kind, srv.URL+"/denied"), call + `not permitted: .*\(.+\)$`},
			row{"throttle", kind, at(kind, srv.URL+"/throttle"), call + `throttled: .*\(.+\)$`},
			row{"hang", kind, at(kind, srv.URL+"/hang"), call + `no answer: .*\(.+\)$`},
			row{"refused", kind, at(kind, closed), call + `no answer: .*127\.0\.0\.1:1.*\(.+\)$`},
			row{"html", kind, at(kind, srv.URL+"/html"), call + `bad answer: .*\(.+\)$`},
			row{"html502", kind, at(kind, srv.URL+"/html502"), call + `no answer: .*502.*\(.+\)$`},
			row{"tls", kind, at(kind, secure.URL), call + `.*certificate.*\(.+\)$`},
		)
	}
	rows = append(rows,
		row{"nologin", "ec2", "regions: [eu-west-1], config_file: /dev/null, credentials_file: /dev/null, endpoint: '" + srv.URL + "/ok'", `no credentials: .*\(.+\)$`},
		row{"profile", "ec2", "regions: [eu-west-1], profile: prd, config_file: " + write("aws", "[profile prod]\nregion = eu-west-1\n", 0o600) + ", endpoint: '" + srv.URL + "/ok'", `not found: .*prd.*prod`},
		row{"region", "ec2", strings.Replace(ok["ec2"], "[eu-west-1]", "['xx-*']", 1), `not found: .*xx-\*`},
		row{"nologin", "openstack", "auth_url: '" + srv.URL + "/ok/identity/v3'", `no credentials: .*`},
		row{"region", "openstack", ok["openstack"] + ", regions: [RegionTwo]", `RegionTwo.*not found: .*RegionOne`},
		row{"nocompute", "openstack", at("openstack", srv.URL+"/elsewhere"), `not found: .*`},
		row{"nologin", "hetzner", "endpoint: '" + srv.URL + "/ok'", `no credentials: .*`},
		row{"context", "kubernetes", ok["kubernetes"] + ", context: d", `kubeconfig: wrong configuration: .*"d".*get-contexts`},
		row{"file", "kubernetes", "kubeconfig: /nonexistent/kube", `/nonexistent/kube`},
		row{"broken", "static", "file: " + filepath.Join(dir, "bad.yaml"), `bad\.yaml:1: m: there is no key .adress.: is it address`},
		row{"missing", "static", "file: none.yaml", `not found: .*none\.yaml`},
		row{"fails", "ansible", "command: " + write("fails", "#!/bin/sh\necho 'ERROR: no login' >&2\nexit 3\n", 0o755), `.*no login`},
		row{"hang", "ansible", "run_timeout: 1, command: " + write("hangs", "#!/bin/sh\nexec sleep 1000\n", 0o755), `no answer: .*`},
		row{"garbage", "ansible", "command: " + write("garbage", "#!/bin/sh\necho hello\n", 0o755), `bad answer: .*`},
		row{"notx", "ansible", "command: " + write("notx", "#!/bin/sh\n", 0o644), `notx.*`},
		row{"missing", "ansible", "command: /nonexistent/x", `/nonexistent/x`},
		row{"refused", "docker", "host: 'tcp://127.0.0.1:1'", `no answer: .*`},
		row{"html", "docker", "host: 'tcp://" + strings.TrimPrefix(srv.URL, "http://") + "'", `ContainerList: .*`},
		row{"notls", "docker", "host: 'tcp://" + strings.TrimPrefix(secure.URL, "https://") + "'", `wrong configuration: .* speaks TLS`},
		row{"nosocket", "podman", "host: 'unix:///nonexistent/sock'", `no answer: .*`},
		row{"nosocket", "libvirt", "uri: 'qemu+unix:///system?socket=/nonexistent/sock'", `no answer: .*`},
		row{"silent", "libvirt", "uri: 'qemu+tcp://" + silent.Addr().String() + "/system'", `no answer: .*`},
		row{"silent-http", "libvirt", "uri: 'qemu+tcp://" + strings.TrimPrefix(srv.URL, "http://") + "/system'", `no answer: .*`},
		row{"refused", "dns", "names: [a.example], resolver: '127.0.0.1:1'", `no answer: .*`},
		row{"silent", "dns", "names: [a.example], resolver: '" + deaf.LocalAddr().String() + "'", `no answer: .*`},
	)
	conf := func(bad bool) string {
		var b strings.Builder
		b.WriteString("inventory:\n")
		for _, r := range rows {
			cfg := r.cfg
			if !bad {
				if cfg = ok[r.kind]; cfg == "" { // an engine that is not there: nothing to keep
					continue
				}
			}
			// Only what never answers is given up soon: all others have time enough on a machine
			// that does much else.
			switch {
			case !bad || r.name != "hang" && !strings.HasPrefix(r.name, "silent"):
				cfg += ", timeout: 60s"
			case r.kind == "ec2" || r.kind == "openstack":
				cfg += ", timeout: 5s, region_timeout: 2s"
			default:
				cfg += ", timeout: 5s"
			}
			fmt.Fprintf(&b, "  %s-%s: {provider: %s, name: '%[1]s-%[2]s', refresh: 0, %[4]s}\n", r.kind, r.name, r.kind, cfg)
		}
		fmt.Fprintf(&b, "  good: {provider: static, refresh: 0, machines: {fine: 127.0.0.1}}\n")
		for _, what := range []string{"empty", "twins", "odd"} {
			fmt.Fprintf(&b, "  ec2-%s: {provider: ec2, name: '{{ tags.Name }}', refresh: 0, %s}\n", what, at("ec2", srv.URL+"/"+what))
		}
		return b.String()
	}

	w := testproc.New(dir, bin)
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	env := append(slices.DeleteFunc(os.Environ(), func(s string) bool {
		return strings.HasPrefix(s, "AWS_") || strings.HasPrefix(s, "OS_") || strings.HasPrefix(s, "HCLOUD_") || strings.HasPrefix(s, "KUBE")
	}), "HOME="+dir, "AWS_EC2_METADATA_DISABLED=true")
	w.Env = env
	run := func(prog string, args ...string) (stdout, stderr string, code int) {
		t.Helper()
		cmd := exec.Command(filepath.Join(bin, prog), append([]string{"-c", filepath.Join(dir, "master")}, args...)...)
		var out, errs strings.Builder
		cmd.Env, cmd.Stdout, cmd.Stderr = env, &out, &errs
		cmd.Run()
		if text := out.String() + errs.String(); strings.Contains(text, "hushhush") {
			t.Errorf("%s %q shows a secret:\n%s", prog, args, text)
		}
		return out.String(), errs.String(), cmd.ProcessState.ExitCode()
	}
	// All is well, and is kept.
	if err := w.Configure("master", "roster: inventory", conf(false)); err != nil {
		t.Fatal(err)
	}
	if out, errs, code := run("gosalt-ssh", "-H", "*", "--out", "json"); code != 0 || errs != "" {
		t.Fatalf("%d\n%s%s", code, out, errs)
	}
	// Then nothing is.
	if err := w.Configure("master", "roster: inventory", conf(true)); err != nil {
		t.Fatal(err)
	}
	if _, how, err := w.Start("master"); err != nil || how != testproc.Ready {
		t.Fatal(how, err)
	}
	out, errs, code := run("gosalt-run", "inventory.refresh", "--out", "json")
	if code != 1 {
		t.Errorf("exit code %d", code)
	}
	var got map[string]struct {
		Errors []string
		Found  int
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v\n%s%s", err, out, errs)
	}
	for _, r := range rows {
		name := r.kind + "-" + r.name
		e := got[name].Errors
		if len(e) == 0 || !strings.HasPrefix(e[0], name+" ("+r.kind+")") || !regexp.MustCompile(r.want).MatchString(e[0]) {
			t.Errorf("%s: %q\nwant %s", name, e, r.want)
		}
	}
	list, errs, code := run("gosalt-run", "inventory.list")
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, r := range rows {
		if !strings.Contains(errs, "note: inventory: "+r.kind+"-"+r.name+" ("+r.kind+")") {
			t.Errorf("inventory.list does not say what is wrong with %s-%s", r.kind, r.name)
		}
		if ok[r.kind] == "" || r.name == "region" && r.kind == "openstack" { // nothing was there, or is meant now
			continue
		}
		if name := r.kind + "-" + r.name; !regexp.MustCompile(`(?m)^` + name + ` .*[0-9]+s, old `).MatchString(list) {
			t.Errorf("%s is not there, and old", name)
		}
	}
	for _, name := range []string{"fine", "twin-i-00000000000000001", "twin-i-00000000000000002", "odd"} {
		if !regexp.MustCompile(`(?m)^` + name + ` .*[0-9]+s  `).MatchString(list) {
			t.Errorf("%s is not there:\n%s", name, list)
		}
	}
	out, errs, code = run("gosalt-ssh", "-H", "*", "--out", "json")
	if n := strings.Count(errs, "; its machines are as they were "); code != 0 || n < 40 || !strings.Contains(out, `"ec2-hang": "127.0.0.1"`) {
		t.Errorf("%d; %d warnings\n%s%s", code, n, out, errs)
	}
	// What is in tags is data, wherever it goes.
	out, errs, code = run("gosalt-run", "inventory.show", "odd", "--out", "json")
	var m struct{ Tags map[string]string }
	if err := json.Unmarshal([]byte(out), &m); err != nil || code != 0 || !maps.Equal(m.Tags, oddTags) {
		t.Errorf("%d %q, %v %s", code, m.Tags, err, errs)
	}
	for _, target := range []string{"V@tag:a=b=c=d", "V@tag:template={{*", "V@tag:quote=*", "V@tag:empty", "V@tag:colon:key=x:y"} {
		if out, _, code := run("gosalt-run", "inventory.list", target, "--out", "json"); code != 0 || !strings.Contains(out, `"odd"`) {
			t.Errorf("%s: %d %s", target, code, out)
		}
	}
}
