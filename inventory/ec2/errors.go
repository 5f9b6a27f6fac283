package ec2

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/internal/cloud"
)

// apiError says what a call that failed means. last is what it failed with before it was
// repeated, if it was.
func (p *Provider) apiError(ctx context.Context, s *session, region, call string, err, last error) *inventory.Error {
	e := &inventory.Error{Kind: "ec2", Source: p.env.Source, Scope: region, Call: call, Err: err}
	if ctx.Err() != nil {
		ended := cloud.Ended(ctx, call)
		e.Reason, e.Msg, e.Hint = ended.Reason, ended.Msg, ended.Hint
		return e
	}
	var late *cloud.LateError
	if errors.As(err, &late) {
		e.Reason, e.Msg = inventory.NoAnswer, late.Error()
		e.Hint = "see region_timeout; " + p.reachHint(region)
		var api smithy.APIError
		if errors.As(last, &api) {
			p.byCode(e, api)
			e.Msg = late.Error() + ", the last one was: " + e.Msg
		}
		return e
	}
	// Credentials are fetched within a call when they have to be renewed.
	var op *smithy.OperationError
	for inner := err; errors.As(inner, &op); inner = op.Err {
		if op.ServiceID != "EC2" {
			s.drop(p)
			c := p.credentialsError("credentials", err)
			c.Scope = region
			return c
		}
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		p.byCode(e, api)
		var resp *smithyhttp.ResponseError
		if e.Code == "UnknownError" && errors.As(err, &resp) {
			p.byStatus(e, resp.HTTPStatusCode())
			return e
		}
		if e.Reason == inventory.NotPermitted {
			p.permission(ctx, s, e, api.ErrorMessage())
		}
		if e.Reason == inventory.BadLogin {
			s.drop(p)
		}
		return e
	}
	if strings.Contains(err.Error(), "get identity: get credentials") || strings.Contains(err.Error(), "failed to refresh cached credentials") {
		s.drop(p)
		c := p.credentialsError("credentials", err)
		c.Scope = region
		return c
	}
	var resp *smithyhttp.ResponseError
	if errors.As(err, &resp) && resp.HTTPStatusCode() >= 400 { // with a text that is none of EC2's
		p.byStatus(e, resp.HTTPStatusCode())
		return e
	}
	p.byNetwork(e, region, err)
	return e
}

func (s *session) drop(p *Provider) {
	if s != nil {
		p.sessions.Forget(s)
	}
}

// byCode knows the codes of the API's reference.
func (p *Provider) byCode(e *inventory.Error, api smithy.APIError) {
	e.Code, e.Msg = api.ErrorCode(), cloud.OneLine(api.ErrorMessage())
	code := e.Code
	switch {
	case slices.Contains([]string{"RequestLimitExceeded", "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException",
		"TooManyRequestsException", "EC2ThrottledException", "SlowDown", "BandwidthLimitExceeded", "LimitExceededException"}, code):
		e.Reason = inventory.Throttled
		e.Hint = "the account makes too many calls: refresh less often, list fewer regions at once (concurrency), or ask AWS for a higher limit"
	case slices.Contains([]string{"UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "UnauthorizedAccess", "OperationNotPermitted"}, code):
		e.Reason = inventory.NotPermitted
		e.Hint = "allow ec2:" + e.Call + " in a policy of who calls"
		if code == "OperationNotPermitted" {
			e.Hint = "the instance is protected from this; change its protection first"
		}
	case slices.Contains([]string{"ExpiredToken", "ExpiredTokenException", "RequestExpired"}, code):
		e.Reason = inventory.BadLogin
		e.Hint = "the credentials have expired: get new ones (" + p.loginHint() + "); if they are new, see whether this machine's clock is right"
	case slices.Contains([]string{"AuthFailure", "InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "IncompleteSignature", "MissingAuthenticationToken",
		"InvalidAccessKeyId", "NotAuthorized", "InvalidSecurityToken"}, code):
		e.Reason = inventory.BadLogin
		e.Hint = "the key does not exist, its secret is wrong, this machine's clock is, or the account has not enabled the region"
		if near := nearRegion(e.Scope); near != "" && !isRegion(e.Scope) {
			e.Hint += "; is the region " + near + "?"
		}
		if code == "SignatureDoesNotMatch" {
			e.Hint = "the secret of the access key is wrong, or this machine's clock is"
		}
	case slices.Contains([]string{"OptInRequired", "PendingVerification", "Blocked", "InvalidRegion"}, code):
		e.Reason = inventory.NotPermitted
		e.Hint = "the account has not enabled this region or service"
		if code == "InvalidRegion" {
			e.Reason, e.Hint = inventory.NotFound, regionHint(e.Scope)
		}
	case strings.Contains(code, "NotFound"), strings.HasSuffix(code, ".Unknown"):
		e.Reason = inventory.NotFound
	case strings.Contains(code, "LimitExceeded"), strings.HasPrefix(code, "Insufficient"), code == "MaxSpotInstanceCountExceeded":
		e.Reason = inventory.NotPermitted
		e.Hint = "a quota or the capacity of the zone is used up: another type or zone, or a higher quota"
	case slices.Contains([]string{"InternalError", "InternalFailure", "Unavailable", "ServiceUnavailable", "RequestTimeout"}, code):
		e.Reason = inventory.NoAnswer
		e.Hint = "the API has a fault, try again later"
	case strings.HasPrefix(code, "Invalid"), strings.HasPrefix(code, "Missing"), strings.HasPrefix(code, "Unsupported"), strings.HasPrefix(code, "UnknownParameter"), code == "FilterLimitExceeded", code == "VPCIdNotSpecified":
		e.Reason = inventory.BadConfig
	default:
		e.Reason = inventory.BadAnswer
		if api.ErrorFault() == smithy.FaultServer {
			e.Reason = inventory.NoAnswer
		}
	}
}

// byStatus is for answers that are not EC2's own, as of a proxy.
func (p *Provider) byStatus(e *inventory.Error, status int) {
	e.Code, e.Msg = fmt.Sprintf("HTTP %d", status), cmp.Or(http.StatusText(status), "no answer of EC2")
	if status >= 500 {
		e.Reason, e.Hint = inventory.NoAnswer, "the API, or a proxy before it, has a fault: try again later"
		return
	}
	e.Reason, e.Hint = inventory.BadAnswer, cmp.Or(p.endpointHint(), "is something between here and AWS that answers itself, as a proxy?")
}

// byNetwork knows why no answer came, or none that could be read.
func (p *Provider) byNetwork(e *inventory.Error, region string, err error) {
	var (
		dns   *net.DNSError
		bad   *x509.UnknownAuthorityError
		host  x509.HostnameError
		cert  *tls.CertificateVerificationError
		large *cloud.TooLargeError
		parse *smithy.DeserializationError
		neter net.Error
	)
	e.Reason, e.Msg = inventory.NoAnswer, rootText(err)
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		e.Reason, e.Msg = inventory.NotFound, "there is no host "+dns.Name
		e.Hint = cmp.Or(p.endpointHint(), regionHint(region))
	case errors.As(err, &dns):
		e.Msg, e.Hint = "the name "+dns.Name+" cannot be resolved: "+dns.Err, "see this machine's DNS"
	case errors.As(err, &cert), errors.As(err, &bad), errors.As(err, &host):
		e.Hint = "see ca_bundle"
	case errors.As(err, &large):
		e.Reason, e.Hint = inventory.BadAnswer, "see page_size"
	case errors.As(err, &parse):
		e.Reason = inventory.BadAnswer
		e.Hint = cmp.Or(p.endpointHint(), "is something between here and AWS that answers itself, as a proxy?")
	case errors.As(err, &neter) && neter.Timeout():
		e.Hint = p.reachHint(region)
	default:
		e.Hint = p.reachHint(region)
		if strings.Contains(err.Error(), "resolve endpoint") || strings.Contains(err.Error(), "ResolveEndpoint") {
			e.Reason, e.Hint = inventory.NotFound, regionHint(region)
		}
	}
}

func (p *Provider) endpointHint() string {
	if p.endpoint != "" {
		return "see endpoint: " + p.endpoint
	}
	for _, name := range []string{"AWS_ENDPOINT_URL_EC2", "AWS_ENDPOINT_URL"} {
		if v := os.Getenv(name); v != "" {
			return "see " + name + ": " + v
		}
	}
	return ""
}

func (p *Provider) reachHint(region string) string {
	return cmp.Or(p.endpointHint(), fmt.Sprintf("can this machine reach ec2.%s.amazonaws.com? A proxy is taken from HTTPS_PROXY", region))
}

func regionHint(region string) string {
	if near := nearRegion(region); near != "" && !isRegion(region) {
		return "is the region " + near + "?"
	}
	return "is " + region + " a region that the account has enabled? aws ec2 describe-regions lists them"
}

// permission adds what the API says of who may not do what. Where it only gives that
// sealed, it is asked to open it, which not everyone may.
func (p *Provider) permission(ctx context.Context, s *session, e *inventory.Error, text string) {
	msg, sealed, _ := strings.Cut(text, "Encoded authorization failure message:")
	e.Msg = strings.TrimRight(cloud.OneLine(msg), ".")
	if m := denied().FindStringSubmatch(msg); m != nil {
		e.Hint = "allow " + m[2] + " for " + m[1]
		if strings.Contains(msg, "explicit deny") {
			e.Hint = m[2] + " is denied explicitly for " + m[1] + ": see the policy that denies it"
		}
		return
	}
	sealed = strings.TrimSpace(sealed)
	if sealed == "" || len(sealed) > 16<<10 || s == nil {
		return
	}
	ctx, end := context.WithTimeout(ctx, 5*time.Second)
	defer end()
	out, err := s.sts(p).DecodeAuthorizationMessage(ctx, &sts.DecodeAuthorizationMessageInput{EncodedMessage: aws.String(sealed)}, func(o *sts.Options) { o.RetryMaxAttempts = 1 })
	if err != nil {
		return
	}
	var d struct {
		ExplicitDeny bool
		Context      struct {
			Principal struct{ ARN string }
			Action    string
			Resource  string
		}
	}
	if json.Unmarshal([]byte(aws.ToString(out.DecodedMessage)), &d) != nil || d.Context.Action == "" {
		return
	}
	verb := "allow "
	if d.ExplicitDeny {
		verb = "a policy denies explicitly "
	}
	e.Hint = verb + d.Context.Action + " for " + cmp.Or(d.Context.Principal.ARN, "who calls")
}

var denied = pattern(`(?:User|Principal): (\S+) is not authorized to perform: ([a-zA-Z0-9-]+:[A-Za-z0-9]+)`)

// credentialsError says why there are no credentials, and where they were looked for.
func (p *Provider) credentialsError(call string, err error) *inventory.Error {
	e := &inventory.Error{Kind: "ec2", Source: p.env.Source, Call: call, Reason: inventory.NoCredentials, Err: err}
	var (
		noProfile awsconfig.SharedConfigProfileNotExistError
		load      awsconfig.SharedConfigLoadError
		mfa       awsconfig.AssumeRoleTokenProviderNotSetError
		expired   *ssocreds.InvalidTokenError
		op        *smithy.OperationError
		api       smithy.APIError
	)
	service := ""
	for inner := err; errors.As(inner, &op); inner = op.Err {
		if service = op.ServiceID; service != "ec2imds" {
			e.Call = op.OperationName
		}
	}
	switch {
	case errors.As(err, &noProfile):
		e.Reason = inventory.NotFound
		e.Msg = fmt.Sprintf("there is no profile %q in %s", noProfile.Profile, strings.Join(p.files(), " and "))
		if names := p.profiles(); len(names) > 0 {
			e.Hint = "there are " + strings.Join(names, ", ")
			if near := module.Nearest(noProfile.Profile, names); near != "" {
				e.Hint = "is it " + near + "? " + e.Hint
			}
		}
	case errors.As(err, &mfa), strings.Contains(err.Error(), "MFA"):
		e.Reason, e.Call = inventory.BadConfig, "AssumeRole"
		e.Msg = "the role demands MFA, and nobody is there to type a code"
		e.Hint = "use a role without mfa_serial for the inventory, or a profile of SSO"
	case errors.As(err, &expired), strings.Contains(err.Error(), "SSO session has expired"), strings.Contains(err.Error(), "SSO token"), service == "SSO", service == "SSO OIDC":
		e.Reason = inventory.BadLogin
		e.Msg = "the login with SSO is missing or has expired"
		e.Hint = p.loginHint()
	case errors.As(err, &load):
		e.Reason, e.Call, e.Msg = inventory.BadConfig, "", load.Filename+" cannot be read: "+rootText(load.Err)
	case service == "STS" && errors.As(err, &api):
		p.byCode(e, api)
		if e.Reason == inventory.NotPermitted {
			e.Hint = "the role's trust policy has to allow sts:" + e.Call + " to who calls, with its external_id, and must not demand MFA; a policy of who calls has to allow it, too"
		}
	case service == "STS":
		p.byNetwork(e, "", err)
		e.Hint = "can this machine reach STS? see sts_endpoint and HTTPS_PROXY"
	case strings.Contains(err.Error(), "credential process"), strings.Contains(err.Error(), "process provider"):
		e.Msg, e.Hint = "credential_process of the profile failed: "+rootText(err), "run its command line by hand"
	case call != "credentials":
		e.Reason, e.Call, e.Msg = inventory.BadConfig, "", rootText(err)
	default:
		profile := cmp.Or(p.profile, os.Getenv("AWS_PROFILE"), "default")
		e.Msg = "there are none in the environment (AWS_ACCESS_KEY_ID, AWS_WEB_IDENTITY_TOKEN_FILE, AWS_CONTAINER_CREDENTIALS_FULL_URI), in profile " + profile +
			" of " + strings.Join(p.files(), " and ") + ", or from the metadata service, which instances with a role have"
		e.Hint = "say profile: or access_key_id: and secret_access_key:, or give this machine a role"
	}
	return e
}

func (p *Provider) loginHint() string {
	if profile := cmp.Or(p.profile, os.Getenv("AWS_PROFILE")); profile != "" {
		return "aws sso login --profile " + profile
	}
	return "aws sso login"
}

// files are the files of AWS that count.
func (p *Provider) files() []string {
	home, _ := os.UserHomeDir()
	return []string{
		cmp.Or(p.config, os.Getenv("AWS_CONFIG_FILE"), filepath.Join(home, ".aws", "config")),
		cmp.Or(p.credentials, os.Getenv("AWS_SHARED_CREDENTIALS_FILE"), filepath.Join(home, ".aws", "credentials")),
	}
}

// profiles are the names of the profiles in those files, for hints.
func (p *Provider) profiles() []string {
	var names []string
	for _, file := range p.files() {
		f, err := os.Open(file)
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(io.LimitReader(f, 1<<20)); lines.Scan(); {
			line := strings.TrimSpace(lines.Text())
			if !strings.HasPrefix(line, "[") || !strings.HasSuffix(line, "]") || strings.HasPrefix(line, "[sso-session") || strings.HasPrefix(line, "[services") {
				continue
			}
			name := strings.TrimSpace(strings.TrimPrefix(strings.Trim(line, "[]"), "profile "))
			if name != "" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		f.Close()
	}
	slices.Sort(names)
	return names
}

// rootText is the innermost cause, without the names of all the layers above it.
func rootText(err error) string {
	for {
		var inner error
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			inner = e.Unwrap()
		case interface{ Unwrap() []error }:
			if list := e.Unwrap(); len(list) > 0 {
				inner = list[0]
			}
		}
		if inner == nil {
			return cloud.OneLine(err.Error())
		}
		if _, ok := err.(*net.OpError); ok {
			return cloud.OneLine(err.Error())
		}
		err = inner
	}
}
