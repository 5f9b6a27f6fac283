package ec2_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/ec2"
	"github.com/gosalt/gosalt/inventory/inventorytest"
	"github.com/gosalt/gosalt/protocol/wire"
)

func TestSuite(t *testing.T) {
	inventorytest.Run(t, func(t *testing.T) inventorytest.Service {
		kind := ec2.Kind
		kind.New = func(o *inventory.Values, env inventory.Env) (inventory.Provider, error) {
			p, err := ec2.New(o, env)
			if err == nil {
				ec2.SetPace(p.(*ec2.Provider), 0)
			}
			return p, err
		}
		f := newFakeAPI(t, map[string]*fakeRegion{
			"eu-west-1": {n: 13}, "us-east-1": {n: 7}, "ap-south-1": {},
			"eu-north-1": {n: 20, status: 403, code: "UnauthorizedOperation", msg: "You are not authorized to perform this operation.", after: 0},
			"sa-east-1":  {n: 20, hang: true, after: 1}, "me-south-1": {hang: true},
		})
		cfg := func(more ...any) *wire.Map { return keys(f.URL, append([]any{"page_size", int64(5)}, more...)...) }
		return inventorytest.Service{
			Kind: kind, Config: cfg("regions", "eu-west-1,us-east-1,ap-south-1"), Want: 20, Secrets: []string{"hushhush", "partner"},
			Partial: &inventorytest.Failure{Config: cfg("regions", "eu-west-1,eu-north-1,us-east-1"), Want: 20, Scope: "eu-north-1",
				Reason: inventory.NotPermitted, Call: "DescribeInstances", Hint: true},
			Failures: map[string]inventorytest.Failure{
				"expired":        {Config: cfg("regions", "eu-west-1", "access_key_id", "AKIAEXPIRED"), Reason: inventory.BadLogin, Call: "DescribeInstances", Hint: true},
				"wrong":          {Config: cfg("regions", "eu-west-1", "access_key_id", "AKIAWRONG"), Reason: inventory.BadLogin, Hint: true},
				"no credentials": {Config: wire.NewMap("regions", "eu-west-1"), Reason: inventory.NoCredentials, Call: "credentials", Hint: true},
				"no region":      {Config: cfg(), Reason: inventory.BadConfig, Hint: true},
				"no role":        {Config: cfg("regions", "eu-west-1", "role_arn", "arn:aws:iam::123456789012:role/inventory", "external_id", "partners"), Reason: inventory.NotPermitted, Call: "AssumeRole", Hint: true},
				"zone":           {Config: cfg("regions", "eu-west-1a"), Reason: inventory.BadConfig},
				"filter":         {Config: cfg("regions", "eu-west-1", "filters", wire.NewMap("instance_state_nam", "x")), Reason: inventory.BadConfig},
				"refused":        {Config: keys("http://127.0.0.1:1", "regions", "eu-west-1", "max_attempts", int64(1)), Reason: inventory.NoAnswer, Call: "DescribeInstances", Hint: true},
			},
			Hangs: map[string]*wire.Map{"connect": cfg("regions", "me-south-1"), "in the middle": cfg("regions", "sa-east-1"), "regions": cfg("regions", "me-south-1, all")},
			Large: func(t *testing.T, n int) *wire.Map {
				third := n / 3
				f := newFakeAPI(t, map[string]*fakeRegion{"eu-west-1": {n: third}, "eu-west-2": {n: third}, "us-east-1": {n: n - 2*third}})
				return keys(f.URL, "regions", "all", "page_size", int64(100))
			},
		}
	})
}

// A region that is denied, throttled, hangs, answers nonsense or goes round in circles is
// named, and does not hide the others.
func TestFaultsOfRegions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault fakeRegion
		more  []any
		want  string // of the error
		calls int    // of the faulty region; 0: any
		some  int    // machines that come before the fault
	}{
		"denied": {fault: fakeRegion{status: 403, code: "UnauthorizedOperation", msg: "You are not authorized to perform this operation. User: arn:aws:iam::1:user/salt is not authorized to perform: ec2:DescribeInstances because no identity-based policy allows the ec2:DescribeInstances action. Encoded authorization failure message: ABC"},
			want: "prod (ec2), eu-north-1, DescribeInstances: not permitted: You are not authorized to perform this operation. User: arn:aws:iam::1:user/salt is not authorized to perform: ec2:DescribeInstances because no identity-based policy allows the ec2:DescribeInstances action [UnauthorizedOperation] (allow ec2:DescribeInstances for arn:aws:iam::1:user/salt)", calls: 1},
		"denied, sealed": {fault: fakeRegion{status: 403, code: "UnauthorizedOperation", msg: "You are not authorized to perform this operation. Encoded authorization failure message: AQICA"},
			want: "prod (ec2), eu-north-1, DescribeInstances: not permitted: You are not authorized to perform this operation [UnauthorizedOperation] (allow ec2:DescribeInstances for arn:aws:iam::123456789012:user/salt)"},
		"throttled": {fault: fakeRegion{n: 20, status: 503, code: "RequestLimitExceeded", msg: "Request limit exceeded.", after: 1}, more: []any{"max_attempts", int64(2)},
			want: "prod (ec2), eu-north-1, DescribeInstances: throttled: Request limit exceeded. [RequestLimitExceeded] (the account makes too many calls", calls: 3, some: 5},
		"hangs": {fault: fakeRegion{hang: true}, more: []any{"region_timeout", "1s"},
			want: "prod (ec2), eu-north-1, DescribeInstances: no answer: no whole answer within 1s (see region_timeout; see endpoint: http://127.0.0.1:", calls: 1},
		"nonsense": {fault: fakeRegion{raw: "<html>502 Bad Gateway"}, want: "prod (ec2), eu-north-1, DescribeInstances: bad answer: ", calls: 1},
		"circles":  {fault: fakeRegion{n: 99, loop: true}, want: "prod (ec2), eu-north-1, DescribeInstances: bad answer: after page 2 the API leads to the same page again", calls: 2, some: 10},
		"clock":    {fault: fakeRegion{status: 403, code: "SignatureDoesNotMatch", msg: "Signature expired"}, want: "prod (ec2), eu-north-1, DescribeInstances: credentials are refused: Signature expired [SignatureDoesNotMatch] (the secret of the access key is wrong, or this machine's clock is)"},
		"broken":   {fault: fakeRegion{status: 500, code: "InternalError", msg: "An internal error has occurred"}, more: []any{"max_attempts", int64(2)}, want: "prod (ec2), eu-north-1, DescribeInstances: no answer: An internal error has occurred [InternalError] (the API has a fault, try again later)", calls: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeAPI(t, map[string]*fakeRegion{"eu-west-1": {n: 12}, "eu-north-1": &c.fault, "us-east-1": {n: 8}})
			p := open(t, keys(f.URL, append([]any{"regions", "eu-north-1,eu-west-1,us-east-1", "page_size", int64(5)}, c.more...)...))
			got, errs := inventorytest.Count(t, p)
			if got["eu-west-1"] != 12 || got["us-east-1"] != 8 || got["eu-north-1"] != c.some {
				t.Errorf("machines: %v", got)
			}
			if len(errs) != 1 || !strings.HasPrefix(errs[0], c.want) {
				t.Errorf("errors:\n%s\nwant\n%s", strings.Join(errs, "\n"), c.want)
			}
			if n := f.count("eu-north-1 DescribeInstances"); c.calls > 0 && n != c.calls {
				t.Errorf("it was asked %d times, not %d", n, c.calls)
			}
		})
	}
}

// A fault that passes is not seen.
func TestThrottledForAMoment(t *testing.T) {
	t.Parallel()
	f := newFakeAPI(t, map[string]*fakeRegion{"eu-west-1": {n: 12, status: 503, code: "RequestLimitExceeded", msg: "Request limit exceeded.", times: 1, after: 1}})
	got, errs := inventorytest.Count(t, open(t, keys(f.URL, "regions", "eu-west-1", "page_size", int64(5))))
	if got["eu-west-1"] != 12 || errs != nil {
		t.Error(got, errs)
	}
}

func TestRegions(t *testing.T) {
	regions := map[string]*fakeRegion{"eu-west-1": {n: 1}, "eu-north-1": {n: 2}, "us-east-1": {n: 4}}
	for name, c := range map[string]struct {
		regions any
		env     string
		want    string
		err     string
	}{
		"all":         {regions: "all", want: "eu-north-1 eu-west-1 us-east-1"},
		"pattern":     {regions: []any{"eu-*"}, want: "eu-north-1 eu-west-1"},
		"both":        {regions: []any{"us-east-1", "eu-n*", "us-east-1"}, want: "eu-north-1 us-east-1"},
		"none meant":  {regions: []any{"us-east-1", "ap-*"}, want: "us-east-1", err: "prod (ec2), DescribeRegions: not found: no region of the account is meant by ap-* (enabled are eu-north-1, eu-west-1, us-east-1)"},
		"environment": {env: "eu-west-1", want: "eu-west-1"},
		"unknown":     {regions: []any{"eu-west1", "us-east-1"}, want: "us-east-1", err: "prod (ec2), eu-west1, DescribeInstances: credentials are refused: AWS was not able to validate the provided access credentials [AuthFailure] (the key does not exist, its secret is wrong, this machine's clock is, or the account has not enabled the region; is the region eu-west-1?)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("AWS_REGION", c.env)
			f := newFakeAPI(t, regions)
			cfg := keys(f.URL)
			if c.regions != nil {
				cfg.Set("regions", c.regions)
			}
			got, errs := inventorytest.Count(t, open(t, cfg))
			if s := strings.Join(slices.Sorted(maps.Keys(got)), " "); s != c.want || strings.Join(errs, "\n") != c.err {
				t.Errorf("%s\n%s", s, strings.Join(errs, "\n"))
			}
		})
	}
}

// With many regions only a few are asked at once, and the first machines come while
// others are still asked.
func TestLanes(t *testing.T) {
	regions := map[string]*fakeRegion{"us-east-1": {n: 3}, "zz-hang-1": {hang: true}}
	for _, r := range []string{"eu-west-1", "eu-west-2", "eu-west-3", "eu-north-1", "eu-south-1"} {
		regions[r] = &fakeRegion{n: 3}
	}
	f := newFakeAPI(t, regions)
	n := 0
	for _, err := range open(t, keys(f.URL, "regions", "zz-hang-1, eu-west-1, eu-west-2, eu-west-3, eu-north-1, eu-south-1, us-east-1", "concurrency", int64(2))).List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 18 { // all that there are, and one region has not answered
			break
		}
	}
	if f.most > 2 {
		t.Errorf("%d regions were asked at once", f.most)
	}
}

// Filters are sent as they are, and wrong ones are found before anyone is asked.
func TestFilters(t *testing.T) {
	f := newFakeAPI(t, map[string]*fakeRegion{"eu-west-1": {n: 1}})
	inventorytest.Count(t, open(t, keys(f.URL, "regions", "eu-west-1", "filters", wire.NewMap("tag:env", "prod", "instance-state-name", []any{"running", "stopped"}, "ebs-optimized", true))))
	form := f.forms[0]
	for k, want := range map[string]string{"Filter.1.Name": "tag:env", "Filter.1.Value.1": "prod", "Filter.2.Value.2": "stopped", "Filter.3.Value.1": "true", "MaxResults": "500"} {
		if form.Get(k) != want {
			t.Errorf("%s is %q, not %q: %v", k, form.Get(k), want, form)
		}
	}
	for name, c := range map[string]struct {
		filter *wire.Map
		want   string
	}{
		"near":     {wire.NewMap("instance-state", "x"), `DescribeInstances has no filter "instance-state"; is it "instance-state-code"?`},
		"python":   {wire.NewMap("vpc_id", "x"), `DescribeInstances has no filter "vpc_id"; is it "vpc-id"?`},
		"tag":      {wire.NewMap("environment", "x"), `DescribeInstances has no filter "environment"; a tag is "tag:environment"`},
		"no key":   {wire.NewMap("tag:", "x"), `tag: needs the key of a tag, as tag:env`},
		"no value": {wire.NewMap("vpc-id", []any{}), `vpc-id has no value, so nothing could match`},
		"nested":   {wire.NewMap("vpc-id", wire.NewMap()), `vpc-id has to be a text or a list of texts`},
		"too many": {wire.NewMap("instance-id", slices.Repeat([]any{"i-1"}, 201)), `201 values are more than the 200 that the API takes`},
	} {
		_, err := try(keys(f.URL, "regions", "eu-west-1", "filters", c.filter))
		if want := "prod (ec2): wrong configuration: filters: " + c.want; err == nil || err.Error() != want {
			t.Errorf("%s: %v\nwant %s", name, err, want)
		}
	}
}

// Where credentials come from, and what is said when there are none.
func TestCredentials(t *testing.T) {
	f := newFakeAPI(t, map[string]*fakeRegion{"eu-west-1": {n: 1}})
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	config := write("config", `
[default]
region = eu-west-1
[profile staging]
region = eu-west-1
role_arn = arn:aws:iam::123456789012:role/x
source_profile = base
mfa_serial = arn:aws:iam::123456789012:mfa/me
[profile chain]
region = eu-west-1
role_arn = arn:aws:iam::123456789012:role/inventory
external_id = partner
source_profile = production
[profile sso]
region = eu-west-1
sso_session = corp
sso_account_id = 123456789012
sso_role_name = ReadOnly
[sso-session corp]
sso_region = eu-west-1
sso_start_url = https://example.awsapps.com/start
[profile program]
region = eu-west-1
credential_process = /bin/false
`)
	creds := write("credentials", "[base]\naws_access_key_id = AKIABASE\naws_secret_access_key = hushhush\n[production]\naws_access_key_id = AKIAPROD\naws_secret_access_key = hushhush\n")
	t.Setenv("HOME", dir)
	for name, c := range map[string]struct {
		cfg  []any
		want string // "" is that it works
	}{
		"profile":  {cfg: []any{"profile", "production", "regions", "eu-west-1"}},
		"role":     {cfg: []any{"profile", "production", "regions", "eu-west-1", "role_arn", "arn:aws:iam::123456789012:role/inventory", "external_id", "partner"}},
		"source":   {cfg: []any{"profile", "chain"}}, // its role is assumed at sts_endpoint, too
		"mistyped": {cfg: []any{"profile", "producton"}, want: `prod (ec2), configuration of AWS: not found: there is no profile "producton" in CONFIG and CREDENTIALS (is it production? there are base, chain, default, production, program, sso, staging)`},
		"mfa":      {cfg: []any{"profile", "staging"}, want: "prod (ec2), AssumeRole: wrong configuration: the role demands MFA, and nobody is there to type a code (use a role without mfa_serial for the inventory, or a profile of SSO)"},
		"sso":      {cfg: []any{"profile", "sso"}, want: "prod (ec2), credentials: credentials are refused: the login with SSO is missing or has expired (aws sso login --profile sso)"},
		"program":  {cfg: []any{"profile", "program"}, want: "prod (ec2), credentials: no credentials: credential_process of the profile failed: "},
		"none":     {cfg: []any{}, want: "prod (ec2), credentials: no credentials: there are none in the environment (AWS_ACCESS_KEY_ID, AWS_WEB_IDENTITY_TOKEN_FILE, AWS_CONTAINER_CREDENTIALS_FULL_URI), in profile default of CONFIG and CREDENTIALS, or from the metadata service, which instances with a role have (say profile:"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := wire.NewMap(append([]any{"endpoint", f.URL, "sts_endpoint", f.URL, "config_file", config, "credentials_file", creds}, c.cfg...)...)
			got, errs := inventorytest.Count(t, open(t, cfg))
			if c.want == "" {
				if got["eu-west-1"] != 1 || errs != nil {
					t.Error(got, errs)
				}
				return
			}
			want := strings.Replace(c.want, "CONFIG and CREDENTIALS", config+" and "+creds, 1)
			if len(errs) != 1 || !strings.HasPrefix(errs[0], want) {
				t.Errorf("%s\nwant\n%s", strings.Join(errs, "\n"), want)
			}
		})
	}
}

// Credentials that were refused are read anew the next time.
func TestMendedCredentials(t *testing.T) {
	f := newFakeAPI(t, map[string]*fakeRegion{"eu-west-1": {n: 1}})
	file := filepath.Join(t.TempDir(), "credentials")
	put := func(id string) {
		if err := os.WriteFile(file, []byte("[default]\naws_access_key_id = "+id+"\naws_secret_access_key = hushhush\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("AKIAEXPIRED")
	p := open(t, wire.NewMap("endpoint", f.URL, "credentials_file", file, "regions", "eu-west-1"))
	if _, errs := inventorytest.Count(t, p); len(errs) != 1 || !strings.Contains(errs[0], "credentials are refused: Request has expired. [RequestExpired] (the credentials have expired") {
		t.Fatal(errs)
	}
	put("AKIANEW")
	if got, errs := inventorytest.Count(t, p); got["eu-west-1"] != 1 || errs != nil {
		t.Fatal(got, errs)
	}
}

func TestWrongOptions(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  *wire.Map
		want string
	}{
		"half a key": {wire.NewMap("access_key_id", "A"), "access_key_id and secret_access_key belong together"},
		"page":       {wire.NewMap("page_size", int64(2000)), "page_size has to be 5 to 1000, not 2000"},
		"role":       {wire.NewMap("role_arn", "inventory"), `role_arn has to be as arn:aws:iam::123456789012:role/NAME, not "inventory"`},
		"no role":    {wire.NewMap("external_id", "x"), "external_id needs role_arn"},
		"endpoint":   {wire.NewMap("endpoint", "localhost:5000"), "endpoint has to be a URL, as https://host or http://127.0.0.1:5000"},
		"region":     {wire.NewMap("regions", "eu west 1"), `regions: "eu west 1" cannot be the name of a region, as eu-west-1 is`},
		"mfa":        {wire.NewMap("mfa_serial", "arn"), `there is no option "mfa_serial"`},
	} {
		if _, err := try(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
