package ec2

import (
	"cmp"
	"context"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/internal/cloud"
)

// A session is what options, environment and AWS's files come to: credentials that renew
// themselves, and a region. It is kept until credentials are refused, so that what a user
// mends is read anew.
type session struct {
	cfg    aws.Config
	region string // the default one; "" where there is none
}

// credentialsTime is how long all places that may have credentials may take together: the
// services of an instance answer at once or not at all, a program may take longer.
const credentialsTime = time.Minute

// open is the session that there is, or a new one.
func (p *Provider) open(ctx context.Context) (*session, *inventory.Error) {
	return p.sessions.Get(ctx, "credentials", p.login)
}

func (p *Provider) login(ctx context.Context) (*session, *inventory.Error) {
	ctx, end := context.WithTimeout(ctx, credentialsTime)
	defer end()

	load := []func(*awsconfig.LoadOptions) error{
		awsconfig.WithHTTPClient(awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { cloud.SetLimits(t) })),
		awsconfig.WithLogger(logging.Nop{}), // it says in errors what matters
		awsconfig.WithRetryer(func() aws.Retryer { return p.retryer(nil) }),
	}
	if p.profile != "" {
		load = append(load, awsconfig.WithSharedConfigProfile(p.profile))
	}
	if p.config != "" {
		load = append(load, awsconfig.WithSharedConfigFiles([]string{p.config}))
	}
	if p.credentials != "" {
		load = append(load, awsconfig.WithSharedCredentialsFiles([]string{p.credentials}))
	}
	if p.keyID != "" {
		load = append(load, awsconfig.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(p.keyID, p.secret.Reveal(), p.token.Reveal())))
	}
	if p.fips {
		load = append(load, awsconfig.WithUseFIPSEndpoint(aws.FIPSEndpointStateEnabled))
	}
	if p.dualstack {
		load = append(load, awsconfig.WithUseDualStackEndpoint(aws.DualStackEndpointStateEnabled))
	}
	if p.stsEndpoint != "" { // for roles of profiles, too, which the SDK assumes by itself
		load = append(load, awsconfig.WithAPIOptions([]func(*middleware.Stack) error{stsAt(p.stsEndpoint)}))
	}
	if p.caBundle != "" {
		f, err := os.Open(p.caBundle)
		if err != nil {
			return nil, &inventory.Error{Kind: "ec2", Reason: inventory.BadConfig, Msg: "ca_bundle: " + err.Error(), Err: err}
		}
		defer f.Close()
		load = append(load, awsconfig.WithCustomCABundle(io.LimitReader(f, 8<<20)))
	}
	cfg, err := awsconfig.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, p.credentialsError("configuration of AWS", err)
	}
	cfg.HTTPClient = cloud.Limited{Client: cfg.HTTPClient}
	s := &session{cfg: cfg, region: cfg.Region}
	if s.region == "" && len(p.regions) == 0 {
		s.region = regionOfThisMachine(ctx, cfg)
	}
	if p.role != "" {
		source := s.sts(p)
		s.cfg.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(source, p.role, func(o *stscreds.AssumeRoleOptions) {
			o.RoleSessionName = p.roleSession
			o.Duration = cmp.Or(p.roleTime, time.Hour)
			if !p.externalID.Empty() {
				o.ExternalID = aws.String(p.externalID.Reveal())
			}
		}), func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = 5 * time.Minute })
	}
	if _, err := s.cfg.Credentials.Retrieve(ctx); err != nil {
		return nil, p.credentialsError("credentials", err)
	}
	return s, nil
}

// regionOfThisMachine asks the metadata service, which only instances have.
func regionOfThisMachine(ctx context.Context, cfg aws.Config) string {
	ctx, end := context.WithTimeout(ctx, 3*time.Second)
	defer end()
	out, err := imds.NewFromConfig(cfg).GetRegion(ctx, nil)
	if err != nil {
		return ""
	}
	return out.Region
}

// stsAt sends what is for STS to an address. The SDK has no setting for that which holds while
// it looks for credentials.
func stsAt(address string) func(*middleware.Stack) error {
	const endpoint = "ResolveEndpointV2" // puts the address into a request, which is signed after that
	return func(stack *middleware.Stack) error {
		if _, ok := stack.Finalize.Get(endpoint); !ok {
			return nil // no client of an API
		}
		return stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("gosaltSTS", func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
			req, ok := in.Request.(*smithyhttp.Request)
			u, err := url.Parse(address)
			if ok && err == nil && awsmiddleware.GetServiceID(ctx) == sts.ServiceID {
				req.URL.Scheme, req.URL.Host = u.Scheme, u.Host
				req.URL.Path = strings.TrimSuffix(u.Path, "/") + "/"
			}
			return next.HandleFinalize(ctx, in)
		}), endpoint, middleware.After)
	}
}

// sts is a client of the service for credentials. It is regional: without a region of our
// own the first that is configured by its name, or the oldest one.
func (s *session) sts(p *Provider) *sts.Client {
	region := s.region
	for _, r := range p.regions {
		if region == "" && !isPattern(r) {
			region = r
		}
	}
	return sts.NewFromConfig(s.cfg, func(o *sts.Options) {
		o.Region = cmp.Or(region, "us-east-1")
	})
}

// client is a client for one region, with a limit of its own for the rate of calls.
func (s *session) client(p *Provider, region string, last *lastError) *ec2.Client {
	return ec2.NewFromConfig(s.cfg, func(o *ec2.Options) {
		o.Region = region
		o.Retryer = p.retryer(last)
		o.APIOptions = append(o.APIOptions, checkAnswer)
		if p.endpoint != "" {
			o.BaseEndpoint = aws.String(p.endpoint)
		}
	})
}

// lastError is what a call failed with before it was repeated: when time runs out meanwhile,
// the SDK no longer says it.
type lastError struct{ err error }

type retryer struct {
	*retry.AdaptiveMode
	last *lastError
}

// RetryDelay is how long to wait before the next attempt.
func (r retryer) RetryDelay(attempt int, err error) (time.Duration, error) {
	if r.last != nil {
		r.last.err = err
	}
	return r.AdaptiveMode.RetryDelay(attempt, err)
}

// retryer repeats calls that are throttled or fail for a moment, and slows down when the
// API says so.
func (p *Provider) retryer(last *lastError) aws.Retryer {
	return retryer{retry.NewAdaptiveMode(func(o *retry.AdaptiveModeOptions) {
		o.StandardOptions = append(o.StandardOptions, func(o *retry.StandardOptions) {
			o.MaxAttempts = p.attempts
			if p.backoff != nil {
				o.Backoff = retry.BackoffDelayerFunc(p.backoff)
			}
		})
	}), last}
}
