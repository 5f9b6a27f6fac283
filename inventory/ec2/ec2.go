// Package ec2 finds the instances of Amazon EC2, and makes and ends them. It speaks
// through the AWS SDK, so credentials come from where they come for every AWS tool.
//
// Begin with Provider.List (list.go). A session (session.go) is what the configuration,
// the environment and the files of AWS come to; machine.go says what an instance is in
// words of package inventory; errors.go says what went wrong and what to do.
package ec2

import (
	"cmp"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/internal/cloud"
	"github.com/gosalt/gosalt/protocol/seal"
)

// Kind is what the table of providers needs to know.
var Kind = inventory.Kind{Name: "ec2", Doc: "Instances of Amazon EC2, in one region or more.", Options: options, New: New}

var options = []inventory.Option{
	{Name: "regions", Type: inventory.List, Doc: "Regions to list, patterns as eu-* too, or all, which are those that the account has enabled; default: the region of the profile or of the environment, then the one that this machine is in."},
	{Name: "profile", Type: inventory.Text, Doc: "Profile of AWS's configuration files; default: AWS_PROFILE, then default."},
	{Name: "config_file", Type: inventory.Text, Doc: "AWS's configuration file; default: AWS_CONFIG_FILE, then ~/.aws/config."},
	{Name: "credentials_file", Type: inventory.Text, Doc: "AWS's credentials file; default: AWS_SHARED_CREDENTIALS_FILE, then ~/.aws/credentials."},
	{Name: "access_key_id", Type: inventory.Text, Doc: "Access key; default: what AWS's tools find: the environment, the profile (SSO and credential_process, too), the role of the container or of the instance."},
	{Name: "secret_access_key", Type: inventory.Secret, Doc: "Secret of access_key_id."},
	{Name: "session_token", Type: inventory.Secret, Doc: "Session token of access_key_id, where it is a temporary one."},
	{Name: "role_arn", Type: inventory.Text, Doc: "Role to assume with those credentials; none by default. A role that demands MFA cannot be assumed by a program that runs in the background."},
	{Name: "external_id", Type: inventory.Secret, Doc: "External id that the role demands."},
	{Name: "role_session_name", Type: inventory.Text, Doc: "Name of the session, as CloudTrail shows it; default: gosalt- and the name of the source."},
	{Name: "role_duration", Type: inventory.Duration, Doc: "How long the role's credentials are valid, 15m to 12h; default 1h."},
	{Name: "filters", Type: inventory.Map, Doc: "Filters of DescribeInstances, each with a value or a list of values: {'tag:env': prod, instance-state-name: [running, stopped]}."},
	{Name: "page_size", Type: inventory.Number, Doc: "Instances in an answer, 5 to 1000; default 500."},
	{Name: "concurrency", Type: inventory.Number, Doc: "Regions that are listed at once; default 4."},
	{Name: "region_timeout", Type: inventory.Duration, Doc: "Time that the API may take for one region, repetitions included; default 1m."},
	{Name: "max_attempts", Type: inventory.Number, Doc: "How often a call is tried when it is throttled or fails for a moment; default 6."},
	{Name: "endpoint", Type: inventory.Text, Doc: "URL of the EC2 API, for emulators and private endpoints; default: AWS_ENDPOINT_URL_EC2, then the region's."},
	{Name: "sts_endpoint", Type: inventory.Text, Doc: "URL of the STS API, which roles are assumed at; default: AWS_ENDPOINT_URL_STS, then the region's."},
	{Name: "ca_bundle", Type: inventory.Text, Doc: "File with certificates (PEM) to trust instead of the system's; default: AWS_CA_BUNDLE."},
	{Name: "fips", Type: inventory.Bool, Doc: "Use the FIPS endpoints; default false."},
	{Name: "dualstack", Type: inventory.Bool, Doc: "Use the endpoints with IPv6; default false."},
}

// A Provider lists the instances of one account, in the configured regions.
type Provider struct {
	env      inventory.Env
	regions  []string // names and patterns; empty: the default one
	filters  []types.Filter
	page     int32
	lanes    int
	timeout  time.Duration
	attempts int

	profile, config, credentials    string
	keyID                           string
	secret, token                   seal.Secret
	role, roleSession               string
	externalID                      seal.Secret
	roleTime                        time.Duration
	endpoint, stsEndpoint, caBundle string
	fips, dualstack                 bool
	backoff                         func(attempt int, err error) (time.Duration, error) // for tests; nil: the SDK's
	poll                            time.Duration                                       // between two looks at a machine that is made or ended

	sessions cloud.Sessions[session]
	homes    sync.Map // the regions of instances that were made or looked at
}

// Patterns are compiled when they are needed: the program begins for many other things.
var (
	regionName  = pattern(`^[A-Za-z0-9][A-Za-z0-9-]{0,62}$`)
	zoneName    = pattern(`^[a-z]{2,}(-[a-z]+)+-\d+[a-z]$`)
	roleName    = pattern(`^arn:aws[a-z-]*:iam::\d{12}:role/.+$`)
	sessionBad  = pattern(`[^\w+=,.@-]`)
	sessionName = pattern(`^[\w+=,.@-]{2,64}$`)
)

func pattern(s string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(s) })
}

// New makes a provider.
func New(o *inventory.Values, env inventory.Env) (inventory.Provider, error) {
	p := &Provider{
		env: env, page: 500, lanes: 4, timeout: time.Minute, attempts: 6, poll: 2 * time.Second,
		profile: o.Text("profile"), keyID: o.Text("access_key_id"), secret: o.Secret("secret_access_key"), token: o.Secret("session_token"),
		role: o.Text("role_arn"), roleSession: o.Text("role_session_name"), externalID: o.Secret("external_id"), roleTime: o.Duration("role_duration"),
		endpoint: o.Text("endpoint"), stsEndpoint: o.Text("sts_endpoint"), fips: o.Bool("fips"), dualstack: o.Bool("dualstack"),
	}
	path := func(name string) string {
		f := o.Text(name)
		if f != "" && !filepath.IsAbs(f) {
			f = filepath.Join(env.ConfigDir, f)
		}
		return f
	}
	p.config, p.credentials, p.caBundle = path("config_file"), path("credentials_file"), path("ca_bundle")

	var bad []string
	say := func(format string, args ...any) { bad = append(bad, fmt.Sprintf(format, args...)) }
	number := func(name string, low, high int, into func(int)) {
		if !o.Has(name) {
			return
		}
		if n := o.Number(name); n < low || n > high {
			say("%s has to be %d to %d, not %d", name, low, high, n)
		} else {
			into(n)
		}
	}
	number("page_size", 5, 1000, func(n int) { p.page = int32(n) })
	number("concurrency", 1, 50, func(n int) { p.lanes = n })
	number("max_attempts", 1, 50, func(n int) { p.attempts = n })
	if o.Has("region_timeout") {
		if p.timeout = o.Duration("region_timeout"); p.timeout < time.Second {
			say("region_timeout has to be 1s or more")
		}
	}
	if o.Has("regions") {
		for _, r := range o.List("regions") {
			switch {
			case zoneName().MatchString(r):
				say("regions: %s is a zone, its region is %s", r, r[:len(r)-1])
			case !regionName().MatchString(strings.NewReplacer("*", "x", "?", "x").Replace(r)):
				say("regions: %q cannot be the name of a region, as eu-west-1 is", r)
			default:
				p.regions = append(p.regions, r)
			}
		}
		if len(o.List("regions")) == 0 {
			say("regions names none: leave it out for the default one, or say all")
		}
	}
	if (p.keyID == "") != p.secret.Empty() {
		say("access_key_id and secret_access_key belong together")
	}
	if !p.token.Empty() && p.keyID == "" {
		say("session_token needs access_key_id and secret_access_key")
	}
	if p.role == "" {
		for _, name := range []string{"external_id", "role_session_name", "role_duration"} {
			if o.Has(name) {
				say("%s needs role_arn", name)
			}
		}
	} else if !roleName().MatchString(p.role) {
		say("role_arn has to be as arn:aws:iam::123456789012:role/NAME, not %q", p.role)
	}
	if p.roleSession != "" && !sessionName().MatchString(p.roleSession) {
		say("role_session_name may have 2 to 64 letters, digits and any of _+=,.@-")
	}
	if p.roleSession == "" {
		s := sessionBad().ReplaceAllString("gosalt-"+cmp.Or(env.Source, "inventory"), "-")
		p.roleSession = s[:min(len(s), 64)]
	}
	if o.Has("role_duration") && (p.roleTime < 15*time.Minute || p.roleTime > 12*time.Hour) {
		say("role_duration has to be 15m to 12h")
	}
	for name, s := range map[string]string{"endpoint": p.endpoint, "sts_endpoint": p.stsEndpoint} {
		if u, err := url.Parse(s); s != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
			say("%s has to be a URL, as https://host or http://127.0.0.1:5000", name)
		}
	}
	var wrong []string
	p.filters, wrong = readFilters(o.Map("filters"))
	bad = append(bad, wrong...)
	if len(bad) > 0 {
		return nil, &inventory.Error{Source: env.Source, Kind: "ec2", Reason: inventory.BadConfig, Msg: strings.Join(bad, "; ")}
	}
	return p, nil
}
