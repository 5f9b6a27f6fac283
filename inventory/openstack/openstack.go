// Package openstack finds the servers of OpenStack clouds: Keystone says who we are and
// where Nova is, and Nova which servers there are. It speaks through gophercloud.
//
// Begin with Provider.List (list.go). login.go reads clouds.yaml and the environment,
// machine.go says what a server is in words of package inventory, errors.go what went
// wrong.
package openstack

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/internal/cloud"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Kind is what the table of providers needs to know.
var Kind = inventory.Kind{Name: "openstack", Doc: "Servers of an OpenStack cloud, in one region or more.", Options: options, New: New}

var options = []inventory.Option{
	{Name: "cloud", Type: inventory.Text, Doc: "Entry of clouds.yaml; default: OS_CLOUD, unless auth_url says where to log in."},
	{Name: "clouds_file", Type: inventory.Text, Doc: "The file clouds.yaml, with a secure.yaml beside it if there is one; default: OS_CLIENT_CONFIG_FILE, then clouds.yaml in ~/.config/openstack and /etc/openstack."},
	{Name: "auth_url", Type: inventory.Text, Doc: "URL of Keystone, as https://cloud.example:5000/v3; default: OS_AUTH_URL. This and what follows goes above clouds.yaml."},
	{Name: "username", Type: inventory.Text, Doc: "User; default: OS_USERNAME."},
	{Name: "user_id", Type: inventory.Text, Doc: "User by id, instead of username; default: OS_USER_ID."},
	{Name: "password", Type: inventory.Secret, Doc: "Password of the user; default: OS_PASSWORD."},
	{Name: "user_domain", Type: inventory.Text, Doc: "Name of the user's domain; default: OS_USER_DOMAIN_NAME, then Default."},
	{Name: "project", Type: inventory.Text, Doc: "Name of the project to log in to; default: OS_PROJECT_NAME."},
	{Name: "project_id", Type: inventory.Text, Doc: "Project by id, instead of project; default: OS_PROJECT_ID."},
	{Name: "project_domain", Type: inventory.Text, Doc: "Name of the project's domain; default: OS_PROJECT_DOMAIN_NAME, then the user's."},
	{Name: "application_credential_id", Type: inventory.Text, Doc: "Application credential, which has its project with it; default: OS_APPLICATION_CREDENTIAL_ID."},
	{Name: "application_credential_name", Type: inventory.Text, Doc: "Application credential by name, of the user; default: OS_APPLICATION_CREDENTIAL_NAME."},
	{Name: "application_credential_secret", Type: inventory.Secret, Doc: "Secret of the application credential; default: OS_APPLICATION_CREDENTIAL_SECRET."},
	{Name: "token", Type: inventory.Secret, Doc: "A token instead of a user; it cannot be renewed; default: OS_TOKEN."},
	{Name: "regions", Type: inventory.List, Doc: "Regions to list, or all; default: the one of clouds.yaml or OS_REGION_NAME, else all that the cloud names."},
	{Name: "interface", Type: inventory.Text, Doc: "Which endpoints to use: public, internal or admin; default: as clouds.yaml or OS_INTERFACE says, else public."},
	{Name: "all_projects", Type: inventory.Bool, Doc: "List the servers of all projects, which needs a role of an administrator; default false."},
	{Name: "filters", Type: inventory.Map, Doc: "Filters of Nova: name (a regular expression), status, flavor, image, host, ip, tags, tags-any, not-tags, not-tags-any, availability_zone, project_id, user_id, changes-since."},
	{Name: "page_size", Type: inventory.Number, Doc: "Servers in an answer, 1 to 1000; default 500. The cloud may give fewer."},
	{Name: "concurrency", Type: inventory.Number, Doc: "Regions that are listed at once; default 4."},
	{Name: "region_timeout", Type: inventory.Duration, Doc: "Time that the API may take for one region, repetitions included; default 1m."},
	{Name: "max_attempts", Type: inventory.Number, Doc: "How often a call is tried when it is throttled or fails for a moment; default 5."},
	{Name: "ca_bundle", Type: inventory.Text, Doc: "File with certificates (PEM) to trust instead of the system's; default: as clouds.yaml or OS_CACERT says."},
}

// A Provider lists the servers of one project, or of all.
type Provider struct {
	env      inventory.Env
	o        *inventory.Values
	file, ca string
	query    url.Values
	regions  []string
	page     int
	lanes    int
	timeout  time.Duration
	attempts int
	wait     func(ctx context.Context, attempt int, after time.Duration) error // before a call is tried again

	sessions cloud.Sessions[session]
}

// filterNames are the filters of the API's reference that make sense here.
var filterNames = []string{"name", "status", "flavor", "image", "host", "ip", "ip6", "tags", "tags-any", "not-tags", "not-tags-any", "availability_zone", "project_id", "user_id", "changes-since"}

// New makes a provider.
func New(o *inventory.Values, env inventory.Env) (inventory.Provider, error) {
	p := &Provider{env: env, o: o, page: 500, lanes: 4, timeout: time.Minute, attempts: 5, wait: cloud.Backoff, regions: o.List("regions"), query: url.Values{}}
	var bad []string
	say := func(format string, args ...any) { bad = append(bad, fmt.Sprintf(format, args...)) }
	number := func(name string, low, high int, into *int) {
		if !o.Has(name) {
			return
		}
		if n := o.Number(name); n < low || n > high {
			say("%s has to be %d to %d, not %d", name, low, high, n)
		} else {
			*into = n
		}
	}
	number("page_size", 1, 1000, &p.page)
	number("concurrency", 1, 50, &p.lanes)
	number("max_attempts", 1, 50, &p.attempts)
	if o.Has("region_timeout") {
		if p.timeout = o.Duration("region_timeout"); p.timeout < time.Second {
			say("region_timeout has to be 1s or more")
		}
	}
	for name, into := range map[string]*string{"clouds_file": &p.file, "ca_bundle": &p.ca} {
		if *into = o.Text(name); *into != "" && !filepath.IsAbs(*into) {
			*into = filepath.Join(env.ConfigDir, *into)
		}
	}
	if u := o.Text("auth_url"); u != "" {
		if v, err := url.Parse(u); err != nil || v.Host == "" || v.Scheme != "http" && v.Scheme != "https" {
			say("auth_url has to be a URL, as https://cloud.example:5000/v3")
		}
	}
	if i := o.Text("interface"); i != "" && !slices.Contains([]string{"public", "internal", "admin"}, i) {
		say("interface has to be public, internal or admin, not %q", i)
	}
	pair := func(a, b string) {
		if o.Has(a) && o.Has(b) {
			say("%s and %s say the same thing: one of them is enough", a, b)
		}
	}
	pair("project", "project_id")
	pair("username", "user_id")
	pair("application_credential_id", "application_credential_name")
	if (o.Has("application_credential_id") || o.Has("application_credential_name")) && !o.Has("application_credential_secret") {
		say("application_credential_secret is missing")
	}
	if o.Has("application_credential_id") && (o.Has("project") || o.Has("project_id")) {
		say("an application credential belongs to its project: leave out project and project_id")
	}
	if o.Has("regions") && len(p.regions) == 0 {
		say("regions names none: leave it out for all")
	}
	bad = append(bad, p.readFilters(o.Map("filters"))...)
	if o.Bool("all_projects") {
		p.query.Set("all_tenants", "1")
	} else if p.query.Has("project_id") {
		say("filters: project_id needs all_projects: true")
	}
	if len(bad) > 0 {
		return nil, &inventory.Error{Source: env.Source, Kind: "openstack", Reason: inventory.BadConfig, Msg: strings.Join(bad, "; ")}
	}
	return p, nil
}

// readFilters makes a map of filters into a query.
func (p *Provider) readFilters(m *wire.Map) (bad []string) {
	for name, v := range m.Strings() {
		if !slices.Contains(filterNames, name) {
			s := fmt.Sprintf("filters: there is no filter %q here", name)
			if near := module.Nearest(name, filterNames); near != "" {
				s += fmt.Sprintf("; is it %q?", near)
			} else {
				s += "; there are " + strings.Join(filterNames, ", ")
			}
			bad = append(bad, s)
			continue
		}
		var texts []string
		list, isList := v.([]any)
		if !isList {
			list = []any{v}
		}
		for _, e := range list {
			switch e := e.(type) {
			case string, int64, bool:
				texts = append(texts, fmt.Sprint(e))
			}
		}
		switch {
		case len(texts) != len(list) || len(texts) == 0:
			bad = append(bad, fmt.Sprintf("filters: %s has to be a text", name))
		case len(texts) > 1 && !strings.Contains(name, "tags"):
			bad = append(bad, fmt.Sprintf("filters: %s takes one value: Nova knows no 'or'", name))
		default:
			p.query.Set(name, strings.Join(texts, ","))
		}
	}
	return bad
}

// setting is an option, or what the environment has instead. Secrets only leave here to go
// into the library's options.
func (p *Provider) setting(option string, env ...string) string {
	if s := p.o.Secret(option); !s.Empty() {
		return s.Reveal()
	}
	if s := p.o.Text(option); s != "" {
		return s
	}
	return p.fromEnv(env...)
}
