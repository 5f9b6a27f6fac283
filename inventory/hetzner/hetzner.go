// Package hetzner finds the servers of a project of Hetzner Cloud.
package hetzner

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hetznercloud/hcloud-go/v2/hcloud/schema"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/internal/cloud"
	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Kind is what the table of providers needs to know.
var Kind = inventory.Kind{Name: "hetzner", Doc: "Servers of a project of Hetzner Cloud.", Options: options, New: New}

var options = []inventory.Option{
	{Name: "token", Type: inventory.Secret, Doc: "API token of the project, for reading; default: HCLOUD_TOKEN."},
	{Name: "label_selector", Type: inventory.Text, Doc: "Only servers whose labels it selects: env=prod,role in (web,db),!old; default: all."},
	{Name: "server_states", Type: inventory.List, Doc: "Only servers that are so: running, off, initializing, starting, stopping, migrating, rebuilding, deleting; default: all."},
	{Name: "page_size", Type: inventory.Number, Doc: "Servers in an answer, 1 to 50; default 50."},
	{Name: "max_attempts", Type: inventory.Number, Doc: "How often a call is tried when it is throttled or fails for a moment; default 5."},
	{Name: "endpoint", Type: inventory.Text, Doc: "URL of the API; default: HCLOUD_ENDPOINT, then https://api.hetzner.cloud/v1."},
}

const (
	call = "GET /servers"
	// listTime is how long all pages together may take.
	listTime = 5 * time.Minute
	maxPages = 100_000
)

// A Provider lists the servers of one project. There is one scope: a token is of a project,
// and the API answers for all locations.
type Provider struct {
	env      inventory.Env
	token    seal.Secret
	endpoint string
	selector string
	status   []string
	page     int
	attempts int
	wait     func(ctx context.Context, attempt int, after time.Duration) error // before a call is repeated
	http     *http.Client
}

var states = map[string]inventory.State{
	"running": inventory.Running, "migrating": inventory.Running,
	"initializing": inventory.Starting, "starting": inventory.Starting, "rebuilding": inventory.Starting,
	"stopping": inventory.Stopping, "deleting": inventory.Stopping,
	"off": inventory.Stopped,
}

// New makes a provider.
func New(o *inventory.Values, env inventory.Env) (inventory.Provider, error) {
	p := &Provider{env: env, token: o.Secret("token"), endpoint: o.Text("endpoint"), selector: o.Text("label_selector"), page: 50, attempts: 5, wait: cloud.Backoff}
	var bad []string
	number := func(name string, low, high int, into *int) {
		if n := o.Number(name); !o.Has(name) {
		} else if n < low || n > high {
			bad = append(bad, fmt.Sprintf("%s has to be %d to %d, not %d", name, low, high, n))
		} else {
			*into = n
		}
	}
	number("page_size", 1, 50, &p.page)
	number("max_attempts", 1, 50, &p.attempts)
	if u, err := url.Parse(p.endpoint); p.endpoint != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		bad = append(bad, "endpoint has to be a URL, as https://api.hetzner.cloud/v1")
	}
	var names []string
	for s := range states {
		names = append(names, s)
	}
	slices.Sort(names)
	for _, s := range o.List("server_states") {
		if !slices.Contains(names, s) {
			bad = append(bad, fmt.Sprintf("server_states: there is no %q; is it %q?", s, cmp.Or(module.Nearest(s, names), strings.Join(names, ", "))))
		}
		p.status = append(p.status, s)
	}
	if bad != nil {
		return nil, &inventory.Error{Source: env.Source, Kind: "hetzner", Reason: inventory.BadConfig, Msg: strings.Join(bad, "; ")}
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	cloud.SetLimits(t)
	p.http = &http.Client{Transport: cloud.LimitedTransport{RoundTripper: t}}
	return p, nil
}

// List yields the servers page by page.
func (p *Provider) List(ctx context.Context) iter.Seq2[inventory.Machine, error] {
	return func(yield func(inventory.Machine, error) bool) {
		fail := func(e *inventory.Error) {
			if ctx.Err() != nil {
				e = cloud.Ended(ctx, call)
			}
			yield(inventory.Machine{}, p.named(e))
		}
		token := cmp.Or(p.token.Reveal(), os.Getenv("HCLOUD_TOKEN"))
		if token == "" {
			fail(&inventory.Error{Call: "credentials", Reason: inventory.NoCredentials, Msg: "there is no token",
				Hint: "say token: in the source, or set HCLOUD_TOKEN; the console makes one under Security, API tokens"})
			return
		}
		budget := cloud.Budget{Whole: listTime}
		for page := 1; ; {
			var a answer
			err := budget.Call(ctx, func(ctx context.Context) (err error) {
				a, err = p.fetch(ctx, token, page)
				return err
			})
			if err != nil {
				fail(p.apiError(err))
				return
			}
			for i := range a.Servers {
				if ctx.Err() != nil {
					fail(nil)
					return
				}
				if !yield(machineOf(&a.Servers[i]), nil) {
					return
				}
			}
			next := 0
			if a.Meta.Pagination != nil {
				next = a.Meta.Pagination.NextPage
			}
			if next == 0 {
				return
			}
			if next <= page || next > maxPages {
				fail(&inventory.Error{Call: call, Reason: inventory.BadAnswer, Msg: fmt.Sprintf("after page %d the API leads to page %d", page, next)})
				return
			}
			page = next
		}
	}
}

// An answer is a page of servers.
type answer struct {
	schema.ServerListResponse
	schema.MetaResponse
}

// A statusError is an answer with an error. Its code is the API's own, "" where something
// else answered.
type statusError struct {
	status int
	code   string
	msg    string
}

func (e *statusError) Error() string { return cmp.Or(e.msg, http.StatusText(e.status)) }

// passing are the codes after which a call may be repeated.
var passing = []string{"conflict", "rate_limit_exceeded", "bad_gateway", "timeout", "service_error", "server_error", "maintenance"}

// fetch asks for a page, and again when that may help. The client of Hetzner's own package
// would do the same, and make the program 12 MB larger: it brings Prometheus with it.
func (p *Provider) fetch(ctx context.Context, token string, page int) (a answer, err error) {
	for attempt := 1; ; attempt++ {
		a, err = p.once(ctx, token, page)
		var s *statusError
		if err == nil || attempt >= p.attempts || !errors.As(err, &s) || !slices.Contains(passing, s.code) && s.status < 500 {
			return a, err
		}
		if p.wait(ctx, attempt, 0) != nil {
			return a, err
		}
	}
}

func (p *Provider) once(ctx context.Context, token string, page int) (a answer, err error) {
	q := url.Values{"page": {strconv.Itoa(page)}, "per_page": {strconv.Itoa(p.page)}, "sort": {"id:asc"}, "status": p.status}
	if p.selector != "" {
		q.Set("label_selector", p.selector)
	}
	base := cmp.Or(p.endpoint, os.Getenv("HCLOUD_ENDPOINT"), "https://api.hetzner.cloud/v1")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(base, "/")+"/servers?"+q.Encode(), nil)
	if err != nil {
		return a, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("User-Agent", "gosalt")
	resp, err := p.http.Do(req)
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var e schema.ErrorResponse
		_ = json.NewDecoder(resp.Body).Decode(&e) // whoever answered
		return a, &statusError{status: resp.StatusCode, code: e.Error.Code, msg: cloud.OneLine(e.Error.Message)}
	}
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		return a, fmt.Errorf("the answer cannot be read: %w", err)
	}
	if a.Servers == nil { // an account without servers has an empty list
		return a, errors.New(`the answer has no list "servers"`)
	}
	return a, nil
}

func (p *Provider) named(e *inventory.Error) *inventory.Error {
	e.Source, e.Kind = p.env.Source, "hetzner"
	return e
}

// apiError says what a call that failed means.
func (p *Provider) apiError(err error) *inventory.Error {
	e := &inventory.Error{Call: call, Reason: inventory.BadAnswer, Msg: err.Error(), Err: err}
	var (
		api  *statusError
		late *cloud.LateError
		dns  *net.DNSError
		at   *url.Error
		cert *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &api):
		e.Code = cmp.Or(api.code, fmt.Sprintf("HTTP %d", api.status))
		switch {
		case api.status == http.StatusUnauthorized:
			e.Reason, e.Hint = inventory.BadLogin, "the token is wrong or was deleted: make a new one in the console, under Security, API tokens"
		case api.status == http.StatusForbidden:
			e.Reason, e.Hint = inventory.NotPermitted, "the token may not read this project"
		case api.status == http.StatusTooManyRequests:
			e.Reason, e.Hint = inventory.Throttled, "a project has 3600 calls an hour: refresh less often"
		case api.code == "invalid_input":
			e.Reason, e.Hint = inventory.BadConfig, "see label_selector"
		case api.status == http.StatusNotFound:
			e.Reason, e.Hint = inventory.NotFound, "see endpoint"
		case api.status >= 500:
			e.Reason, e.Hint = inventory.NoAnswer, "the API has a fault, try again later"
		}
	case errors.As(err, &late):
		e.Reason, e.Msg = inventory.NoAnswer, late.Error()
	case errors.As(err, &dns) && dns.IsNotFound:
		e.Reason, e.Msg, e.Hint = inventory.NotFound, "there is no host "+dns.Name, "see endpoint"
	case errors.As(err, &cert):
		e.Reason, e.Hint = inventory.NoAnswer, "what answers is not the API, but maybe a proxy with a certificate of its own: this machine has to trust that"
	case errors.As(err, &at):
		e.Reason, e.Hint = inventory.NoAnswer, "can this machine reach the API? A proxy is taken from HTTPS_PROXY"
	default:
		e.Hint = "is something between here and the API that answers itself, as a proxy?"
	}
	return e
}

// machineOf is a server in the words of an inventory.
func machineOf(s *schema.Server) inventory.Machine {
	m := inventory.Machine{ID: strconv.FormatInt(s.ID, 10), Label: s.Name, State: cmp.Or(states[s.Status], inventory.Unknown), Created: s.Created, Tags: s.Labels,
		Region: s.Location.Name, Type: s.ServerType.Name}
	a := wire.NewMap()
	set := func(name, v string) {
		if v != "" {
			a.Set(name, v)
		}
	}
	text := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	set("state", s.Status)
	set("network_zone", s.Location.NetworkZone)
	set("city", s.Location.City)
	set("country", s.Location.Country)
	set("architecture", s.ServerType.Architecture)
	a.Set("cores", int64(s.ServerType.Cores))
	a.Set("memory_gb", float64(s.ServerType.Memory))
	if i := s.Image; i != nil {
		m.Image = cmp.Or(text(i.Name), i.Description, strconv.FormatInt(i.ID, 10))
		set("os", i.OSFlavor)
		set("os_version", text(i.OSVersion))
	}
	addr := func(list *[]netip.Addr, s string) {
		if ip, err := netip.ParseAddr(s); err == nil && !slices.Contains(*list, ip) {
			*list = append(*list, ip)
		}
	}
	addr(&m.Public, s.PublicNet.IPv4.IP)
	set("dns_ptr", s.PublicNet.IPv4.DNSPtr)
	if n, err := netip.ParsePrefix(s.PublicNet.IPv6.IP); err == nil { // a server has a whole network, and takes the first address of it
		m.Public = append(m.Public, n.Addr().Next())
		set("ipv6_network", n.String())
	}
	for _, n := range s.PrivateNet {
		addr(&m.Private, n.IP)
		for _, ip := range n.AliasIPs {
			addr(&m.Private, ip)
		}
	}
	if g := s.PlacementGroup; g != nil {
		set("placement_group", cmp.Or(g.Name, strconv.FormatInt(g.ID, 10)))
	}
	a.Set("locked", s.Locked)
	a.Set("rescue", s.RescueEnabled)
	a.Set("disk_gb", int64(s.PrimaryDiskSize))
	var volumes []any
	for _, id := range s.Volumes {
		volumes = append(volumes, id)
	}
	if volumes != nil {
		a.Set("volumes", volumes)
	}
	m.Attrs = a
	return m
}
