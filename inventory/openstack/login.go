package openstack

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/config/clouds"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
	"go.yaml.in/yaml/v4"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/internal/cloud"
)

// A session is a login: a token that renews itself, and where the services are. It is kept
// until it is refused.
type session struct {
	client   *gophercloud.ProviderClient
	endpoint gophercloud.EndpointOpts
	catalog  []string // regions that have a compute service
}

// loginTime is how long Keystone may take.
const loginTime = time.Minute

// open is the login that there is, or a new one.
func (p *Provider) open(ctx context.Context) (*session, *inventory.Error) {
	return p.sessions.Get(ctx, "POST /auth/tokens", p.login)
}

func (p *Provider) login(ctx context.Context) (*session, *inventory.Error) {
	auth, endpoint, tlsConfig, e := p.settings()
	if e != nil {
		return nil, e
	}
	const call = "POST /auth/tokens"
	client, err := openstack.NewClient(auth.IdentityEndpoint)
	if err != nil {
		return nil, &inventory.Error{Call: call, Reason: inventory.BadConfig, Msg: "auth_url: " + cloud.OneLine(err.Error()), Err: err}
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	cloud.SetLimits(t)
	t.TLSClientConfig = tlsConfig
	client.HTTPClient = http.Client{Transport: cloud.LimitedTransport{RoundTripper: t}}
	client.UserAgent.Prepend("gosalt")
	client.MaxBackoffRetries = uint(p.attempts - 1)
	if p.attempts > 1 {
		client.RetryBackoffFunc = func(ctx context.Context, resp *gophercloud.ErrUnexpectedResponseCode, err error, n uint) error {
			after, _ := strconv.Atoi(resp.ResponseHeader.Get("Retry-After"))
			return p.again(ctx, int(n), time.Duration(after)*time.Second, *resp)
		}
	}
	client.RetryFunc = func(ctx context.Context, method, url string, _ *gophercloud.RequestOpts, err error, n uint) error {
		var code gophercloud.ErrUnexpectedResponseCode
		passing := !errors.As(err, &code) && isNetwork(err) || slices.Contains([]int{500, 502, 503, 504}, code.Actual)
		if method != http.MethodGet || int(n) >= p.attempts || !passing || ctx.Err() != nil {
			return err
		}
		return p.again(ctx, int(n), 0, err)
	}
	ctx, end := context.WithTimeoutCause(ctx, loginTime, errLogin)
	defer end()
	if err := openstack.Authenticate(ctx, client, auth); err != nil {
		e := p.apiError(ctx, "", call, err)
		if errors.Is(context.Cause(ctx), errLogin) {
			e.Reason, e.Msg, e.Hint = inventory.NoAnswer, fmt.Sprintf("no answer within %s", loginTime), "can this machine reach "+auth.IdentityEndpoint+"?"
		}
		return nil, e
	}
	s := &session{client: client, endpoint: endpoint}
	if r, ok := client.GetAuthResult().(tokens.CreateResult); ok {
		if c, err := r.ExtractServiceCatalog(); err == nil {
			s.catalog = computeRegions(c, endpoint.Availability)
		}
	}
	return s, nil
}

var errLogin = errors.New("out of time")

// again waits before a call is repeated. When there is no time for that, the error is what
// the call failed with.
func (p *Provider) again(ctx context.Context, attempt int, after time.Duration, err error) error {
	if w := p.wait(ctx, attempt, after); w != nil {
		return err
	}
	return nil
}

// computeRegions are the regions of the catalog where servers are.
func computeRegions(c *tokens.ServiceCatalog, want gophercloud.Availability) (out []string) {
	for _, entry := range c.Entries {
		if entry.Type != "compute" {
			continue
		}
		for _, e := range entry.Endpoints {
			if r := cmp.Or(e.RegionID, e.Region); e.Interface == string(cmp.Or(want, gophercloud.AvailabilityPublic)) && r != "" && !slices.Contains(out, r) {
				out = append(out, r)
			}
		}
	}
	slices.Sort(out)
	return out
}

// fromEnv is the first of the variables that is set; none counts when the cloud comes
// from clouds.yaml.
func (p *Provider) fromEnv(names ...string) string {
	if p.cloudName() != "" {
		return ""
	}
	for _, n := range names {
		if v := os.Getenv(n); v != "" {
			return v
		}
	}
	return ""
}

// cloudName is the entry of clouds.yaml that counts, if one does.
func (p *Provider) cloudName() string {
	if c := p.o.Text("cloud"); c != "" {
		return c
	}
	if p.o.Text("auth_url") != "" {
		return ""
	}
	return os.Getenv("OS_CLOUD")
}

// settings are where and how to log in.
func (p *Provider) settings() (gophercloud.AuthOptions, gophercloud.EndpointOpts, *tls.Config, *inventory.Error) {
	var auth gophercloud.AuthOptions
	var endpoint gophercloud.EndpointOpts
	tlsConfig := &tls.Config{}
	if name := p.cloudName(); name != "" {
		opts := []clouds.ParseOption{clouds.WithCloudName(name), clouds.WithLocations(p.files()...)}
		var err error
		auth, endpoint, tlsConfig, err = clouds.Parse(opts...)
		if err != nil {
			return auth, endpoint, nil, p.cloudsError(name, err)
		}
	}
	set := func(into *string, v string) {
		if v != "" {
			*into = v
		}
	}
	set(&auth.IdentityEndpoint, p.setting("auth_url", "OS_AUTH_URL"))
	set(&auth.Username, p.setting("username", "OS_USERNAME"))
	set(&auth.UserID, p.setting("user_id", "OS_USER_ID"))
	set(&auth.Password, p.setting("password", "OS_PASSWORD"))
	set(&auth.TokenID, p.setting("token", "OS_TOKEN"))
	set(&auth.ApplicationCredentialID, p.setting("application_credential_id", "OS_APPLICATION_CREDENTIAL_ID"))
	set(&auth.ApplicationCredentialName, p.setting("application_credential_name", "OS_APPLICATION_CREDENTIAL_NAME"))
	set(&auth.ApplicationCredentialSecret, p.setting("application_credential_secret", "OS_APPLICATION_CREDENTIAL_SECRET"))
	if d := p.setting("user_domain", "OS_USER_DOMAIN_NAME"); d != "" {
		auth.DomainName, auth.DomainID = d, ""
	} else if d := p.fromEnv("OS_USER_DOMAIN_ID"); d != "" {
		auth.DomainID = d
	}
	if auth.Username != "" && auth.DomainID == "" && auth.DomainName == "" {
		auth.DomainName = "Default"
	}
	if auth.UserID != "" { // it has its domain with it
		auth.DomainID, auth.DomainName = "", ""
	}
	project, projectID := p.setting("project", "OS_PROJECT_NAME", "OS_TENANT_NAME"), p.setting("project_id", "OS_PROJECT_ID", "OS_TENANT_ID")
	byCredential := auth.ApplicationCredentialID != "" || auth.ApplicationCredentialName != ""
	switch domain := p.setting("project_domain", "OS_PROJECT_DOMAIN_NAME"); {
	case byCredential:
		auth.Scope, auth.TenantID, auth.TenantName = nil, "", ""
	case projectID != "":
		auth.Scope = &gophercloud.AuthScope{ProjectID: projectID}
	case project != "":
		auth.Scope = &gophercloud.AuthScope{ProjectName: project, DomainName: domain}
		if domain == "" {
			auth.Scope.DomainID = p.fromEnv("OS_PROJECT_DOMAIN_ID")
		}
		if domain == "" && auth.Scope.DomainID == "" {
			auth.Scope.DomainID, auth.Scope.DomainName = auth.DomainID, cmp.Or(auth.DomainName, map[bool]string{true: "Default"}[auth.DomainID == ""])
		}
	}
	if auth.Scope != nil { // it says the project; the library's older way is not needed beside it
		auth.TenantID, auth.TenantName = "", ""
	}
	auth.AllowReauth = auth.TokenID == ""
	set(&endpoint.Region, p.fromEnv("OS_REGION_NAME"))
	if i := cmp.Or(p.o.Text("interface"), strings.TrimSuffix(p.fromEnv("OS_INTERFACE", "OS_ENDPOINT_TYPE"), "URL")); i != "" {
		endpoint.Availability = gophercloud.Availability(i)
	}
	if file := cmp.Or(p.ca, p.fromEnv("OS_CACERT")); file != "" {
		pem, err := os.ReadFile(file)
		pool := x509.NewCertPool()
		if err == nil && !pool.AppendCertsFromPEM(pem) {
			err = fmt.Errorf("%s has no certificate in PEM", file)
		}
		if err != nil {
			return auth, endpoint, nil, &inventory.Error{Reason: inventory.BadConfig, Msg: "ca_bundle: " + err.Error(), Err: err}
		}
		tlsConfig.RootCAs = pool
	}
	var missing []string
	need := func(there bool, what string) {
		if !there {
			missing = append(missing, what)
		}
	}
	switch {
	case auth.IdentityEndpoint == "":
		need(false, "auth_url")
	case byCredential:
		need(auth.ApplicationCredentialSecret != "", "application_credential_secret")
		need(auth.ApplicationCredentialID != "" || auth.Username != "" || auth.UserID != "", "username of the application credential")
	case auth.TokenID == "":
		need(auth.Username != "" || auth.UserID != "", "username, application_credential_id or token")
		need(auth.Password != "" || auth.Username == "" && auth.UserID == "", "password")
		need(auth.Scope != nil || auth.TenantID != "" || auth.TenantName != "", "project or project_id")
	}
	if missing != nil {
		return auth, endpoint, nil, &inventory.Error{Call: "credentials", Reason: inventory.NoCredentials, Msg: strings.Join(missing, " and ") + " is missing",
			Hint: "say it in the source, in an entry of clouds.yaml that cloud: names, or in the environment (OS_AUTH_URL and so on)"}
	}
	return auth, endpoint, tlsConfig, nil
}

// files are the places of clouds.yaml. That of the working folder is left out: a daemon's
// is anywhere.
func (p *Provider) files() []string {
	if p.file != "" {
		return []string{p.file}
	}
	if f := os.Getenv("OS_CLIENT_CONFIG_FILE"); f != "" {
		return []string{f}
	}
	dir, _ := os.UserConfigDir()
	return []string{filepath.Join(dir, "openstack", "clouds.yaml"), "/etc/openstack/clouds.yaml"}
}

// cloudsError says what is wrong with clouds.yaml.
func (p *Provider) cloudsError(name string, err error) *inventory.Error {
	e := &inventory.Error{Call: "clouds.yaml", Reason: inventory.BadConfig, Err: err}
	var found string
	var names []string
	for _, f := range p.files() {
		b, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		found = f
		var doc struct{ Clouds map[string]any }
		if yaml.Unmarshal(b, &doc) == nil {
			for n := range doc.Clouds {
				names = append(names, n)
			}
		}
		break
	}
	slices.Sort(names)
	switch {
	case found == "":
		e.Reason, e.Msg = inventory.NotFound, "there is no "+strings.Join(p.files(), " or ")
		e.Hint = "see clouds_file"
	case len(names) > 0 && !slices.Contains(names, name):
		e.Reason, e.Msg = inventory.NotFound, fmt.Sprintf("%s has no cloud %q", found, name)
		e.Hint = "it has " + strings.Join(names, ", ")
		if near := module.Nearest(name, names); near != "" {
			e.Hint = "is it " + near + "? " + e.Hint
		}
	default:
		e.Msg = found + ": " + cloud.OneLine(err.Error())
	}
	return e
}
