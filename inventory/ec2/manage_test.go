package ec2_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/ec2"
	"github.com/gosalt/gosalt/protocol/wire"
)

const runXML = `<RunInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><ownerId>1</ownerId><instancesSet><item><instanceId>i-1</instanceId><instanceState><code>0</code><name>pending</name></instanceState></item></instancesSet></RunInstancesResponse>`

// describeXML is one instance in a state, with the volume that it has.
func describeXML(state, reason string) string {
	return `<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><reservationSet><item><ownerId>1</ownerId><instancesSet><item><instanceId>i-1</instanceId>` +
		`<instanceState><name>` + state + `</name></instanceState><stateReason><code>Client.Bad</code><message>` + reason + `</message></stateReason>` +
		`<blockDeviceMapping><item><deviceName>/dev/xvda</deviceName><ebs><volumeId>vol-1</volumeId><deleteOnTermination>false</deleteOnTermination></ebs></item></blockDeviceMapping>` +
		`</item></instancesSet></item></reservationSet></DescribeInstancesResponse>`
}

// scripted answers each action with what is next for it; the last answer stays.
func scripted(t *testing.T, answers map[string][]http.HandlerFunc) (*ec2.Provider, func(action string) []url.Values) {
	var mu sync.Mutex
	got := map[string][]url.Values{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		form, _ := url.ParseQuery(string(body))
		action := form.Get("Action")
		mu.Lock()
		got[action] = append(got[action], form)
		list := answers[action]
		if len(list) > 1 {
			answers[action] = list[1:]
		}
		mu.Unlock()
		if len(list) == 0 {
			fault(w, 400, "InvalidAction", action)
			return
		}
		list[0](w, r)
	}))
	t.Cleanup(srv.Close)
	return open(t, keys(srv.URL, "regions", "eu-west-1")), func(action string) []url.Values {
		mu.Lock()
		defer mu.Unlock()
		return got[action]
	}
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) }
}

func lost(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

var small = inventory.Spec{Name: "x", Image: "resolve:ssm:/image", Size: "t3.micro"}

// An answer that got lost is asked for again with the same token, so that no second
// machine is made; what the image would leave behind ends with the machine.
func TestCreateAgain(t *testing.T) {
	p, got := scripted(t, map[string][]http.HandlerFunc{
		"RunInstances": {lost, says(runXML)},
		"DescribeInstances": {func(w http.ResponseWriter, _ *http.Request) { fault(w, 400, "InvalidInstanceID.NotFound", "not yet") },
			says(describeXML("pending", "")), says(describeXML("running", ""))},
		"ModifyInstanceAttribute": {says(`<ModifyInstanceAttributeResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><return>true</return></ModifyInstanceAttributeResponse>`)},
	})
	m, err := p.Create(t.Context(), small, nil)
	if err != nil || m.ID != "i-1" || m.State != inventory.Running {
		t.Fatal(m, err)
	}
	runs := got("RunInstances")
	if len(runs) != 2 || runs[0].Get("ClientToken") == "" || runs[0].Get("ClientToken") != runs[1].Get("ClientToken") {
		t.Errorf("requests: %v", runs)
	}
	if runs[0].Get("MetadataOptions.HttpTokens") != "required" {
		t.Errorf("the metadata service is open: %v", runs[0])
	}
	if mod := got("ModifyInstanceAttribute"); len(mod) != 1 || mod[0].Get("BlockDeviceMapping.1.Ebs.DeleteOnTermination") != "true" {
		t.Errorf("the volume stays: %v", mod)
	}
}

// Who ends the call gets what may have been made.
func TestCreateEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p, got := scripted(t, map[string][]http.HandlerFunc{
		"RunInstances":      {func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() }},
		"DescribeInstances": {says(describeXML("pending", ""))},
	})
	m, err := p.Create(ctx, small, nil)
	var e *inventory.Error
	if m.ID != "i-1" || !errors.As(err, &e) || e.Reason != inventory.Canceled || e.Call != "RunInstances" {
		t.Error(m, err)
	}
	if d := got("DescribeInstances"); len(d) != 1 || d[0].Get("Filter.1.Name") != "client-token" || d[0].Get("Filter.1.Value.1") != got("RunInstances")[0].Get("ClientToken") {
		t.Errorf("asked were %v", d)
	}
}

// An API with a fault of its own may have made a machine all the same.
func TestCreateServerFault(t *testing.T) {
	p, got := scripted(t, map[string][]http.HandlerFunc{
		"RunInstances": {func(w http.ResponseWriter, _ *http.Request) {
			fault(w, 500, "InternalError", "An internal error has occurred")
		}},
		"DescribeInstances": {says(describeXML("pending", ""))},
	})
	m, err := p.Create(t.Context(), small, nil)
	var e *inventory.Error
	if m.ID != "i-1" || !errors.As(err, &e) || e.Reason != inventory.NoAnswer || e.Call != "RunInstances" {
		t.Error(m, err)
	}
	if d := got("DescribeInstances"); len(d) != 1 || d[0].Get("Filter.1.Value.1") != got("RunInstances")[0].Get("ClientToken") {
		t.Errorf("asked were %v", d)
	}
}

// A machine that ends instead of starting says why, and what was made for one that is
// refused is taken away.
func TestCreateFails(t *testing.T) {
	p, _ := scripted(t, map[string][]http.HandlerFunc{
		"RunInstances": {says(runXML)}, "DescribeInstances": {says(describeXML("pending", "")), says(describeXML("terminated", "Client.InvalidSnapshot: no such volume"))},
	})
	m, err := p.Create(t.Context(), small, nil)
	if want := "prod (ec2), eu-west-1, DescribeInstances: not found: i-1 is terminated instead of running: Client.InvalidSnapshot: no such volume [Client.Bad]"; m.ID != "i-1" || fmt.Sprint(err) != want {
		t.Errorf("%s\n%v", m.ID, err)
	}

	done := `<%sResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><return>true</return></%[1]sResponse>`
	p, got := scripted(t, map[string][]http.HandlerFunc{
		"RunInstances": {func(w http.ResponseWriter, _ *http.Request) {
			fault(w, 400, "InstanceLimitExceeded", "You have requested more instances (1) than your current instance limit of 0 allows")
		}},
		"ImportKeyPair": {says(fmt.Sprintf(done, "ImportKeyPair"))}, "DeleteKeyPair": {says(fmt.Sprintf(done, "DeleteKeyPair"))},
	})
	spec := small
	spec.Key, spec.Extra = "ssh-ed25519 AAAA me", wire.NewMap("public_ip", true)
	_, err = p.Create(t.Context(), spec, nil)
	if err == nil || !strings.Contains(err.Error(), "RunInstances: not permitted: You have requested more instances") || !strings.Contains(err.Error(), "a quota or the capacity") {
		t.Error(err)
	}
	in, out := got("ImportKeyPair"), got("DeleteKeyPair")
	if len(in) != 1 || len(out) != 1 || in[0].Get("KeyName") != out[0].Get("KeyName") {
		t.Errorf("key pairs: %v %v", in, out)
	}
}

// Large user-data is compressed, and what is too large even then is refused.
func TestUserData(t *testing.T) {
	p, got := scripted(t, map[string][]http.HandlerFunc{"RunInstances": {says(runXML)}, "DescribeInstances": {says(describeXML("terminated", ""))}})
	spec := small
	spec.UserData = []byte("#cloud-config\n" + strings.Repeat("# text\n", 10_000))
	p.Create(t.Context(), spec, nil)
	if r := got("RunInstances"); len(r) != 1 || !strings.HasPrefix(r[0].Get("UserData"), "H4sI") {
		t.Errorf("requests: %v", r)
	}
	var noise strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&noise, "%x", uint32(i)*2654435761)
	}
	spec.UserData = []byte(noise.String())
	if _, err := p.Create(t.Context(), spec, nil); err == nil || !strings.Contains(err.Error(), "EC2 takes 16384") {
		t.Error(err)
	}
}

// What was begun is ended: by the token of the request, or, of a record that says no more, by
// the tag. As long as nothing is shown of what was begun a moment ago, it is not sure.
func TestSweep(t *testing.T) {
	const done = `<%sResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><return>true</return></%[1]sResponse>`
	const none = `<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><reservationSet/></DescribeInstancesResponse>`
	answers := func(describe ...http.HandlerFunc) map[string][]http.HandlerFunc {
		return map[string][]http.HandlerFunc{"DescribeInstances": describe, "TerminateInstances": {says(fmt.Sprintf(done, "TerminateInstances"))}, "DeleteKeyPair": {says(fmt.Sprintf(done, "DeleteKeyPair"))}}
	}
	quiet := func(string) {}
	var begun []string
	spec := small
	spec.Key, spec.Tags = "ssh-ed25519 AAAA me", map[string]string{inventory.TagRecord: "abc"}
	spec.Begin = func(s string) error { begun = append(begun, s); return nil }
	p, _ := scripted(t, map[string][]http.HandlerFunc{"RunInstances": {says(runXML)}, "DescribeInstances": {says(describeXML("terminated", ""))}, "ImportKeyPair": {says(fmt.Sprintf(done, "ImportKeyPair"))}})
	p.Create(t.Context(), spec, nil)
	if want := "[key pair gosalt-vm-abc in eu-west-1 instance with the client token gosalt-vm-abc in eu-west-1]"; fmt.Sprint(begun) != want {
		t.Fatal(begun)
	}
	// Nothing is made that could not be written down.
	spec.Begin = func(string) error { return errors.New("the disk is full") }
	p, got := scripted(t, map[string][]http.HandlerFunc{})
	if _, err := p.Create(t.Context(), spec, nil); err == nil || !strings.Contains(err.Error(), "the disk is full") || len(got("ImportKeyPair")) > 0 {
		t.Error(err)
	}

	there := []http.HandlerFunc{says(describeXML("running", "")), says(describeXML("running", "")), says(describeXML("terminated", ""))}
	for name, row := range map[string]struct {
		left   inventory.Leftover
		api    map[string][]http.HandlerFunc
		sure   bool
		ended  int
		keys   int
		filter string
	}{
		"by its token":    {inventory.Leftover{Ref: "abc", Things: begun, Fresh: true}, answers(there...), true, 1, 1, "client-token"},
		"not shown yet":   {inventory.Leftover{Ref: "abc", Things: begun, Fresh: true}, answers(says(none)), false, 0, 1, "client-token"},
		"long ago":        {inventory.Leftover{Ref: "abc", Things: begun}, answers(says(none)), true, 0, 1, "client-token"},
		"refused":         {inventory.Leftover{Ref: "abc", Things: begun, Refused: true}, answers(), true, 0, 1, ""},
		"before":          {inventory.Leftover{Ref: "abc", Things: begun[:1], Fresh: true}, answers(), true, 0, 1, ""},
		"only by its tag": {inventory.Leftover{Ref: "abc", Fresh: true}, answers(there...), true, 1, 0, "tag:gosalt:vm-record"},
	} {
		p, got := scripted(t, row.api)
		sure, err := p.Sweep(t.Context(), row.left, quiet)
		if err != nil || sure != row.sure || len(got("TerminateInstances")) != row.ended || len(got("DeleteKeyPair")) != row.keys {
			t.Errorf("%s: sure: %v, %v; ended %d, keys %d", name, sure, err, len(got("TerminateInstances")), len(got("DeleteKeyPair")))
		}
		filter := ""
		if d := got("DescribeInstances"); len(d) > 0 {
			filter = d[0].Get("Filter.1.Name")
		}
		if filter != row.filter {
			t.Errorf("%s: asked by %q", name, filter)
		}
	}
}

// The console is that of now, where the type of the instance has it.
func TestConsole(t *testing.T) {
	const console = `<GetConsoleOutputResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><instanceId>i-1</instanceId><output>aGVsbG8K</output></GetConsoleOutputResponse>`
	p, got := scripted(t, map[string][]http.HandlerFunc{"DescribeInstances": {says(describeXML("running", ""))}, "GetConsoleOutput": {
		func(w http.ResponseWriter, _ *http.Request) {
			fault(w, 400, "UnsupportedOperation", "not of this type")
		}, says(console)}})
	text, command, err := p.Console(t.Context(), "i-1")
	if err != nil || text != "hello\n" || command != "aws ec2 get-console-output --latest --output text --region eu-west-1 --instance-id i-1" {
		t.Error(text, command, err)
	}
	if c := got("GetConsoleOutput"); len(c) != 2 || c[0].Get("Latest") != "true" || c[1].Get("Latest") != "" {
		t.Errorf("%v", c)
	}
	p, _ = scripted(t, map[string][]http.HandlerFunc{"DescribeInstances": {says(describeXML("running", ""))}})
	if text, command, err := p.Console(t.Context(), "i-1"); err == nil || text != "" || command == "" {
		t.Error(text, command, err)
	}
}
