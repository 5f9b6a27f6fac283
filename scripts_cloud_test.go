package gosalt_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gosalt/gosalt/internal/testproc"
)

// A fakeCloud is the API of EC2, so far as machines are made, looked at and ended by it. Its
// machines are real minions, on this machine, which join by the token in their user-data.
// What image a machine is made of says what becomes of it:
//
//	resolve:ssm:/ok       it becomes a minion
//	resolve:ssm:/deaf     it is there, and does nothing
//	resolve:ssm:/refused  it is not made: a quota
//	resolve:ssm:/hang     it is made, and the answer does not come
//
// The file cloud in the scenario's directory has a line for each machine: id, name, state;
// and for each key pair: key, name. The file hold there, "RunInstances before", keeps the next
// call of this action, or, with after, its answer; then it is the file held.
type fakeCloud struct {
	w    *testproc.World
	file string
	end  chan struct{}

	mu   sync.Mutex
	list []*fakeInstance
	keys []string
	n    int
}

type fakeInstance struct {
	id, name, state, token string
	tags                   [][2]string
}

// cmdCloud starts it; its URL is in $EC2_ENDPOINT.
func cmdCloud(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: cloud")
	}
	c := &fakeCloud{w: world(ts), file: ts.MkAbs("cloud"), end: make(chan struct{})}
	srv := httptest.NewServer(c)
	ts.Defer(func() { close(c.end); srv.CloseClientConnections(); srv.Close() })
	ts.Setenv("EC2_ENDPOINT", srv.URL)
	ts.Check(c.write())
}

// write tells what there is. mu is held, or nobody else is there yet.
func (c *fakeCloud) write() error {
	var b bytes.Buffer
	for _, i := range c.list {
		fmt.Fprintln(&b, i.id, i.name, i.state)
	}
	for _, k := range c.keys {
		fmt.Fprintln(&b, "key", k)
	}
	return os.WriteFile(c.file, b.Bytes(), 0o600)
}

func (c *fakeCloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	form, _ := url.ParseQuery(string(body))
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.write()
	if c.holds(form.Get("Action"), "before") {
		c.hold(r)
		return
	}
	if c.holds(form.Get("Action"), "after") {
		defer c.hold(r)
		w = httptest.NewRecorder()
	}
	switch action := form.Get("Action"); action {
	case "ImportKeyPair", "DeleteKeyPair":
		name := form.Get("KeyName")
		c.keys = slices.DeleteFunc(c.keys, func(k string) bool { return k == name })
		if action == "ImportKeyPair" {
			c.keys = append(c.keys, name)
		}
		fmt.Fprintf(w, `<%sResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><return>true</return></%[1]sResponse>`, action)
	case "RunInstances":
		image := strings.TrimPrefix(form.Get("ImageId"), "resolve:ssm:/")
		if image == "refused" {
			w.WriteHeader(400)
			io.WriteString(w, `<Response><Errors><Error><Code>InstanceLimitExceeded</Code><Message>no more machines for you</Message></Error></Errors></Response>`)
			return
		}
		i := slices.IndexFunc(c.list, func(i *fakeInstance) bool { return i.token == form.Get("ClientToken") })
		if i < 0 {
			i = len(c.list)
			c.n++
			in := &fakeInstance{id: fmt.Sprintf("i-%017x", c.n), state: "running", token: form.Get("ClientToken")}
			for k := range form {
				n, ok := strings.CutPrefix(k, "TagSpecification.1.Tag.")
				if n, ok2 := strings.CutSuffix(n, ".Key"); ok && ok2 {
					in.tags = append(in.tags, [2]string{form.Get(k), form.Get("TagSpecification.1.Tag." + n + ".Value")})
					if form.Get(k) == "Name" {
						in.name = form.Get("TagSpecification.1.Tag." + n + ".Value")
					}
				}
			}
			c.list = append(c.list, in)
			if image == "ok" {
				if err := c.boot(in, form.Get("UserData")); err != nil {
					in.state = "terminated"
					fmt.Fprintln(os.Stderr, "fake cloud:", err)
				}
			}
		}
		if image == "hang" {
			c.wait(r)
			return
		}
		fmt.Fprintf(w, `<RunInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><ownerId>1</ownerId><instancesSet>%s</instancesSet></RunInstancesResponse>`, c.list[i].xml())
	case "DescribeInstances":
		var ids []string
		for k, v := range form {
			if strings.HasPrefix(k, "InstanceId.") {
				ids = append(ids, v[0])
			}
		}
		var b strings.Builder
		for _, i := range c.list {
			if ids != nil && !slices.Contains(ids, i.id) || form.Get("Filter.1.Name") == "client-token" && form.Get("Filter.1.Value.1") != i.token {
				continue
			}
			fmt.Fprintf(&b, `<item><ownerId>1</ownerId><instancesSet>%s</instancesSet></item>`, i.xml())
		}
		fmt.Fprintf(w, `<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><reservationSet>%s</reservationSet></DescribeInstancesResponse>`, b.String())
	case "TerminateInstances", "StopInstances", "StartInstances":
		state := map[string]string{"TerminateInstances": "terminated", "StopInstances": "stopped", "StartInstances": "running"}[action]
		for _, i := range c.list {
			if i.id != form.Get("InstanceId.1") {
				continue
			}
			i.state = state
			if p := c.w.Proc(i.name); p != nil && state != "running" {
				p.Kill()
			} else if p != nil {
				c.w.Spawn(i.name)
			}
		}
		fmt.Fprintf(w, `<%sResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><instancesSet/></%[1]sResponse>`, action)
	default:
		w.WriteHeader(400)
		fmt.Fprintf(w, `<Response><Errors><Error><Code>InvalidAction</Code><Message>%s</Message></Error></Errors></Response>`, action)
	}
}

// holds tells whether a call is to be kept here.
func (c *fakeCloud) holds(action, when string) bool {
	b, err := os.ReadFile(filepath.Join(filepath.Dir(c.file), "hold"))
	return err == nil && strings.TrimSpace(string(b)) == action+" "+when
}

// hold keeps a call, when all that it has done can be read. mu is held.
func (c *fakeCloud) hold(r *http.Request) {
	c.write()
	dir := filepath.Dir(c.file)
	os.Rename(filepath.Join(dir, "hold"), filepath.Join(dir, "held"))
	c.wait(r)
}

// wait lets others be answered until the client has gone. mu is held.
func (c *fakeCloud) wait(r *http.Request) {
	c.write()
	c.mu.Unlock()
	defer c.mu.Lock()
	select {
	case <-c.end:
	case <-r.Context().Done():
	}
}

func (i *fakeInstance) xml() string {
	esc := func(s string) string {
		var b strings.Builder
		xml.EscapeText(&b, []byte(s))
		return b.String()
	}
	var tags strings.Builder
	for _, t := range i.tags {
		fmt.Fprintf(&tags, "<item><key>%s</key><value>%s</value></item>", esc(t[0]), esc(t[1]))
	}
	return fmt.Sprintf(`<item><instanceId>%s</instanceId><instanceState><code>0</code><name>%s</name></instanceState><privateIpAddress>127.0.0.1</privateIpAddress><tagSet>%s</tagSet></item>`, i.id, i.state, tags.String())
}

var joinTokenForm = regexp.MustCompile(`gosalt-join1-[0-9A-Za-z_-]+`)

// boot does what cloud-init would do with the user-data.
func (c *fakeCloud) boot(i *fakeInstance, data string) error {
	b, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		return err
	}
	if bytes.HasPrefix(b, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return err
		}
		if b, err = io.ReadAll(z); err != nil {
			return err
		}
	}
	token := joinTokenForm.Find(b)
	if token == nil {
		return fmt.Errorf("there is no token in the user-data of %s", i.name)
	}
	if err := c.w.Configure(i.name); err != nil {
		return err
	}
	// Beside it, as a machine boots when the API has answered.
	go func() {
		join := exec.Command(filepath.Join(c.w.Bin, "gosalt-minion"), "join", "-c", filepath.Join(c.w.Dir, i.name), "-")
		join.Stdin = bytes.NewReader(token)
		if out, err := join.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "fake cloud: %s cannot join: %v\n%s", i.name, err, out)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if i.state == "running" {
			c.w.Spawn(i.name)
		}
	}()
	return nil
}
