package ec2_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/ec2"
	"github.com/gosalt/gosalt/protocol/wire"
)

// fakeAPI answers as EC2 and STS do, with regions of which each has a fault or some
// instances. Which region is meant is in the signature, as for the real ones.
type fakeAPI struct {
	URL     string
	regions map[string]*fakeRegion

	mu    sync.Mutex
	calls []string // "eu-west-1 DescribeInstances"
	forms []url.Values
	now   map[string]int // calls that are being answered, by region
	most  int
}

// fakeRegion has instances, or answers with a fault.
type fakeRegion struct {
	n      int
	status int    // of the fault, 0 for none
	code   string // of the fault
	msg    string
	times  int  // how often the fault comes; 0: always
	after  int  // pages that come before it
	hang   bool // instead of a fault
	raw    string
	loop   bool // each page leads to itself
	failed int
}

var scope = regexp.MustCompile(`Credential=([^/]+)/\d+/([^/]+)/([^/]+)/`)

func newFakeAPI(t *testing.T, regions map[string]*fakeRegion) *fakeAPI {
	f := &fakeAPI{regions: regions, now: map[string]int{}}
	end := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		form, _ := url.ParseQuery(string(body))
		m := scope.FindStringSubmatch(r.Header.Get("Authorization"))
		if m == nil {
			fault(w, 403, "MissingAuthenticationToken", "Request is missing Authentication Token")
			return
		}
		key, region := m[1], m[2]
		f.mu.Lock()
		f.calls = append(f.calls, region+" "+form.Get("Action"))
		f.forms = append(f.forms, form)
		f.now[region]++
		f.most = max(f.most, len(f.now))
		f.mu.Unlock()
		defer func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.now[region]--; f.now[region] == 0 {
				delete(f.now, region)
			}
		}()
		f.answer(w, r, end, key, region, form)
	}))
	f.URL = srv.URL
	t.Cleanup(func() { close(end); srv.Close() })
	return f
}

func (f *fakeAPI) answer(w http.ResponseWriter, r *http.Request, end chan struct{}, key, region string, form url.Values) {
	switch {
	case key == "AKIAEXPIRED":
		fault(w, 400, "RequestExpired", "Request has expired.")
		return
	case key == "AKIAWRONG":
		fault(w, 401, "AuthFailure", "AWS was not able to validate the provided access credentials")
		return
	}
	switch form.Get("Action") {
	case "AssumeRole":
		if form.Get("ExternalId") != "partner" {
			stsFault(w, 403, "AccessDenied", "User: arn:aws:iam::123456789012:user/salt is not authorized to perform: sts:AssumeRole on resource: "+form.Get("RoleArn"))
			return
		}
		fmt.Fprintf(w, `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials><AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`)
		return
	case "DecodeAuthorizationMessage":
		fmt.Fprintf(w, `<DecodeAuthorizationMessageResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><DecodeAuthorizationMessageResult><DecodedMessage>{"allowed":false,"explicitDeny":false,"context":{"principal":{"arn":"arn:aws:iam::123456789012:user/salt"},"action":"ec2:DescribeInstances","resource":"*"}}</DecodedMessage></DecodeAuthorizationMessageResult></DecodeAuthorizationMessageResponse>`)
		return
	}
	f.mu.Lock()
	reg, ok := f.regions[region]
	if !ok {
		f.mu.Unlock()
		fault(w, 401, "AuthFailure", "AWS was not able to validate the provided access credentials")
		return
	}
	start, _ := strconv.Atoi(form.Get("NextToken"))
	size, _ := strconv.Atoi(form.Get("MaxResults"))
	faulty := (reg.status != 0 || reg.hang || reg.raw != "") && (size == 0 || start >= reg.after*size) && (reg.times == 0 || reg.failed < reg.times)
	if faulty {
		reg.failed++
	}
	f.mu.Unlock()
	switch {
	case faulty && reg.hang:
		if size > 0 && reg.after > 0 { // a part of the answer
			w.WriteHeader(200)
			io.WriteString(w, `<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><reservationSet>`)
			w.(http.Flusher).Flush()
		}
		select {
		case <-end:
		case <-r.Context().Done():
		}
	case faulty && reg.raw != "":
		io.WriteString(w, reg.raw)
	case faulty:
		fault(w, reg.status, reg.code, reg.msg)
	case form.Get("Action") == "DescribeRegions":
		var b strings.Builder
		for name := range f.regions {
			fmt.Fprintf(&b, `<item><regionName>%s</regionName><regionEndpoint>ec2.%s.amazonaws.com</regionEndpoint><optInStatus>opt-in-not-required</optInStatus></item>`, name, name)
		}
		fmt.Fprintf(w, `<DescribeRegionsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r</requestId><regionInfo>%s</regionInfo></DescribeRegionsResponse>`, b.String())
	case form.Get("Action") == "DescribeInstances":
		var b bytes.Buffer
		b.WriteString(`<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r</requestId><reservationSet>`)
		for i := start; i < min(start+size, reg.n); i++ {
			fmt.Fprintf(&b, instanceXML, i, region, i, i%250, i/250%250, region, region, i)
		}
		b.WriteString(`</reservationSet>`)
		if start+size < reg.n {
			next := start + size
			if reg.loop && start > 0 {
				next = start
			}
			fmt.Fprintf(&b, `<nextToken>%d</nextToken>`, next)
		}
		b.WriteString(`</DescribeInstancesResponse>`)
		w.Write(b.Bytes())
	default:
		fault(w, 400, "InvalidAction", "The action "+form.Get("Action")+" is not valid for this web service.")
	}
}

const instanceXML = `<item><reservationId>r-%08x</reservationId><ownerId>123456789012</ownerId><groupSet/><instancesSet><item>` +
	`<instanceId>i-%s-%017x</instanceId><imageId>ami-12c6146b</imageId><instanceState><code>16</code><name>running</name></instanceState>` +
	`<privateDnsName/><dnsName/><instanceType>t3.micro</instanceType><launchTime>2026-01-02T03:04:05.000Z</launchTime>` +
	`<privateIpAddress>10.1.%d.%d</privateIpAddress><placement><availabilityZone>%sa</availabilityZone><tenancy>default</tenancy></placement>` +
	`<groupSet><item><groupId>sg-1</groupId><groupName>web</groupName></item></groupSet>` +
	`<tagSet><item><key>Name</key><value>web-%s-%d</value></item><item><key>role</key><value>web</value></item></tagSet></item></instancesSet></item>`

func fault(w http.ResponseWriter, status int, code, msg string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Response><Errors><Error><Code>%s</Code><Message>%s</Message></Error></Errors><RequestID>r</RequestID></Response>`, code, msg)
}

func stsFault(w http.ResponseWriter, status int, code, msg string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>r</RequestId></ErrorResponse>`, code, msg)
}

func (f *fakeAPI) count(call string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(slices.DeleteFunc(slices.Clone(f.calls), func(c string) bool { return c != call }))
}

// The environment's and the user's settings of AWS are taken away.
func TestMain(m *testing.M) {
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION",
		"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_EC2", "AWS_ENDPOINT_URL_STS", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_CA_BUNDLE",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"} {
		os.Unsetenv(name)
	}
	os.Setenv("AWS_CONFIG_FILE", "/dev/null")
	os.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	os.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	os.Exit(m.Run())
}

// keys are what every configuration here begins with.
func keys(url string, more ...any) *wire.Map {
	return wire.NewMap(append([]any{"access_key_id", "AKIATEST", "secret_access_key", "hushhush", "endpoint", url, "sts_endpoint", url}, more...)...)
}

func open(t testing.TB, cfg *wire.Map) *ec2.Provider {
	t.Helper()
	p, err := try(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p.(*ec2.Provider)
}

func try(cfg *wire.Map) (inventory.Provider, error) {
	v, err := inventory.ReadValues("prod", cfg, ec2.Kind.Options)
	if err != nil {
		return nil, err
	}
	p, err := ec2.Kind.New(v, inventory.Env{Source: "prod"})
	if err == nil {
		ec2.SetPace(p.(*ec2.Provider), 0)
	}
	return p, err
}
