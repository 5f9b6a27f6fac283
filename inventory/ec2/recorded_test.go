package ec2_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/ec2"
	"github.com/gosalt/gosalt/protocol/wire"
)

var record = flag.Bool("record", false, "write testdata/recorded.txtar anew, from the emulator at GOSALT_TEST_EC2")

const recording = "testdata/recorded.txtar"

// What an emulator of EC2 answered is played back: machines are made, listed, stopped,
// started and ended. GOSALT_TEST_EC2=http://127.0.0.1:5000 has the same done with an
// emulator that runs there; nothing connects to the machines.
func TestRecorded(t *testing.T) {
	live := os.Getenv("GOSALT_TEST_EC2")
	target, token := live, "gosalt-test-"
	switch {
	case live == "":
		target = playback(t)
	case *record:
		target = recorder(t, live)
	default:
		token = fmt.Sprintf("gosalt-%d-", time.Now().UnixNano())
	}
	cfg := func(more ...any) *wire.Map {
		return keys(target, append([]any{"regions", "eu-west-1,us-east-1", "page_size", int64(5)}, more...)...)
	}
	p := open(t, cfg())
	if live != "" {
		ec2.SetPace(p, 200*time.Millisecond)
	}

	// Seven machines, each its own reservation, so that the first region has two pages.
	var steps []string
	var made []inventory.Machine
	for i := range 7 {
		region, extra := "eu-west-1", wire.NewMap()
		if i == 6 {
			region = "us-east-1"
		}
		extra.Set("region", region)
		extra.Set("client_token", fmt.Sprint(token, i))
		spec := inventory.Spec{Name: fmt.Sprintf("web%d", i), Image: "ami-12c6146b", Size: "t3.micro", Tags: map[string]string{"role": "web", "gosalt:vm": "small", "odd": "a=b, {{ c }} \"é\" <x>&"}, Extra: extra}
		if i == 0 {
			extra.Set("private_ip", "127.0.1.1")
			extra.Set("disk", int64(12))
			extra.Set("volume_type", "gp3")
			spec.UserData = []byte("#cloud-config\n")
			spec.Key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKmQzQp0CCI4sLtXDRqOSHbJ3WIzDMsDBSgNo2n9G3Bv test"
		}
		m, err := p.Create(t.Context(), spec, func(s string) {
			if i == 0 {
				steps = append(steps, s)
			}
		})
		if err != nil {
			t.Fatalf("machine %d: %v", i, err)
		}
		if m.State != inventory.Running || m.Scope != region || m.Label != spec.Name || m.Tags["odd"] != spec.Tags["odd"] {
			t.Errorf("machine %d is %+v", i, m)
		}
		made = append(made, m)
	}
	first := made[0]
	if s := strings.ReplaceAll(strings.Join(steps, "|"), first.ID, "ID"); !strings.HasPrefix(s, "asking for t3.micro in eu-west-1|ID is made|") || !strings.HasSuffix(s, "ID is running") {
		t.Errorf("progress: %s", s)
	}

	list := func(p inventory.Provider) map[string]inventory.Machine {
		t.Helper()
		out := map[string]inventory.Machine{}
		for m, err := range p.List(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Check(); err != nil {
				t.Error(err)
			}
			if m.Tags["gosalt:vm"] == "small" && slices.ContainsFunc(made, func(o inventory.Machine) bool { return o.ID == m.ID }) {
				out[m.Label] = m
			}
		}
		return out
	}
	got := list(p)
	if names := strings.Join(slices.Sorted(maps.Keys(got)), " "); names != "web0 web1 web2 web3 web4 web5 web6" {
		t.Errorf("listed are %s", names)
	}
	m := got["web0"]
	for what, c := range map[string][2]any{
		"private address": {m.Private[0], netip.MustParseAddr("127.0.1.1")}, "type": {m.Type, "t3.micro"}, "image": {m.Image, "ami-12c6146b"},
		"region": {m.Region, "eu-west-1"}, "zone": {strings.HasPrefix(m.Zone, "eu-west-1"), true}, "account": {m.Account, "123456789012"},
		"state": {m.Attrs.Text("state"), "running"}, "groups": {len(m.Groups) > 0, true}, "public": {len(m.Public) > 0, true},
		"dns": {len(m.DNS) >= 2, true}, "vpc": {strings.HasPrefix(m.Attrs.Text("vpc_id"), "vpc-"), true}, "launched": {m.Created.IsZero(), false},
		"key": {m.Attrs.Text("key_name"), m.Tags["gosalt:key"]}, "lifecycle": {m.Attrs.Text("lifecycle"), "on-demand"},
	} {
		if c[0] != c[1] {
			t.Errorf("%s: %v instead of %v", what, c[0], c[1])
		}
	}
	if n := len(list(open(t, cfg("filters", wire.NewMap("tag:Name", []any{"web1", "web6"}))))); n != 2 {
		t.Errorf("the filter lets %d through, not 2", n)
	}

	sixth := open(t, cfg("filters", wire.NewMap("tag:Name", "web6")))
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	must(p.Stop(t.Context(), made[6].ID, nil))
	must(p.Stop(t.Context(), made[6].ID, nil)) // it has
	if s := list(sixth)["web6"].State; s != inventory.Stopped {
		t.Errorf("after stop it is %s", s)
	}
	must(p.Start(t.Context(), made[6].ID, nil))
	if s := list(sixth)["web6"].State; s != inventory.Running {
		t.Errorf("after start it is %s", s)
	}
	for i, m := range made {
		if i == 0 || i == 6 || live != "" && !*record { // the recording need not have it seven times
			must(p.Destroy(t.Context(), m.ID, nil))
		}
	}
	must(p.Destroy(t.Context(), first.ID, nil)) // it is gone
	must(p.Destroy(t.Context(), "i-0123456789abcdef0", nil))
	for name, m := range list(sixth) {
		if m.State != inventory.Gone {
			t.Errorf("after destroy %s is %s", name, m.State)
		}
	}
	err := p.Start(t.Context(), first.ID, nil)
	if err == nil || err.Error() != "prod (ec2), eu-west-1, StartInstances: not found: "+first.ID+" has been terminated" {
		t.Errorf("start of what is gone: %v", err)
	}
	err = p.Stop(t.Context(), "web0", nil)
	if err == nil || !strings.Contains(err.Error(), `"web0" is no id of an instance`) {
		t.Errorf("stop by name: %v", err)
	}
	_, err = p.Create(t.Context(), inventory.Spec{Name: "x", Image: "ami-00000000", Size: "t3.micro", Extra: wire.NewMap("region", "eu-west-1", "client_token", token+"x")}, nil)
	if err == nil || !strings.Contains(err.Error(), "prod (ec2), eu-west-1, DescribeImages: not found: ") {
		t.Errorf("an unknown image: %v", err)
	}
}

func TestWrongSpecs(t *testing.T) {
	p := open(t, keys("http://127.0.0.1:1", "regions", "eu-west-1"))
	for name, c := range map[string]struct {
		spec inventory.Spec
		want string
	}{
		"empty":    {inventory.Spec{}, "image is missing: an id (ami-…), a name, or resolve:ssm: and a parameter; size is missing: an instance type, as t3.micro"},
		"mistyped": {inventory.Spec{Image: "a", Size: "b", Extra: wire.NewMap("securty_groups", "x")}, `there is no option "securty_groups"; is it "security_groups"?`},
		"aws":      {inventory.Spec{Image: "a", Size: "b", Tags: map[string]string{"aws:x": ""}}, `tag "aws:x": aws: is for AWS alone`},
		"tags":     {inventory.Spec{Image: "a", Size: "b", Tags: map[string]string{strings.Repeat("k", 200): ""}}, "keys may have 127 characters and values 255"},
	} {
		if _, err := p.Create(t.Context(), c.spec, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An exchange is what was asked, of which region, and what the answer was.
type exchange struct{ ask, answer string }

// askOf is a request in a form that is the same each time.
func askOf(r *http.Request) (string, []byte) {
	body, _ := io.ReadAll(r.Body)
	form, _ := url.ParseQuery(string(body))
	region := ""
	if m := scope.FindStringSubmatch(r.Header.Get("Authorization")); m != nil {
		region = m[2]
	}
	return region + " " + form.Encode(), body
}

// recorder passes requests on and writes down what comes back.
func recorder(t *testing.T, to string) string {
	var mu sync.Mutex
	var all []exchange
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		ask, body := askOf(r)
		req, _ := http.NewRequestWithContext(r.Context(), r.Method, to+r.URL.Path, bytes.NewReader(body))
		req.Header = r.Header.Clone()
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		answer, _ := io.ReadAll(resp.Body)
		w.WriteHeader(resp.StatusCode)
		w.Write(answer)
		var lines []string
		for l := range strings.Lines(string(answer)) {
			if l = strings.TrimSpace(l); l != "" {
				lines = append(lines, l)
			}
		}
		all = append(all, exchange{ask, fmt.Sprintf("%d\n%s\n", resp.StatusCode, strings.Join(lines, ""))})
	}))
	t.Cleanup(func() {
		srv.Close()
		a := &txtar.Archive{Comment: []byte("What an emulator of EC2 answered. Each part is named by a number; its lines are the region and the request, the status, and the body.\n")}
		for i, x := range all {
			a.Files = append(a.Files, txtar.File{Name: fmt.Sprint(i + 1), Data: []byte(x.ask + "\n" + x.answer)})
		}
		if err := os.WriteFile(recording, txtar.Format(a), 0o644); err != nil {
			t.Error(err)
		}
	})
	return srv.URL
}

// playback answers each request as it was answered; one that comes again as it was then.
// Regions are listed at the same time, so the order counts only among equal requests.
func playback(t *testing.T) string {
	a, err := txtar.ParseFile(recording)
	if err != nil {
		t.Fatal(err)
	}
	answers := map[string][]string{}
	for _, f := range a.Files {
		ask, answer, _ := strings.Cut(string(f.Data), "\n")
		answers[ask] = append(answers[ask], answer)
	}
	var mu sync.Mutex
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		ask, _ := askOf(r)
		list := answers[ask]
		if len(list) == 0 {
			t.Errorf("this was never asked: %s", ask)
			fault(w, 400, "NotRecorded", ask)
			return
		}
		if len(list) > 1 {
			answers[ask] = list[1:]
		}
		status, body, _ := strings.Cut(list[0], "\n")
		var n int
		fmt.Sscan(status, &n)
		w.WriteHeader(n)
		io.WriteString(w, body)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}
