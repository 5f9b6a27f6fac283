package ec2

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/aws/smithy-go"

	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/internal/cloud"
)

// What comes of calls that never reached the API, or had an answer that nobody can read.
func TestNetworkErrors(t *testing.T) {
	wrapped := func(err error) error {
		return &smithy.OperationError{ServiceID: "EC2", OperationName: "DescribeInstances", Err: fmt.Errorf("exceeded maximum number of attempts, 6, %w", err)}
	}
	for name, c := range map[string]struct {
		region, endpoint string
		err              error
		reason           inventory.Reason
		want             string
	}{
		"no such region":   {"eu-west1", "", &net.DNSError{Name: "ec2.eu-west1.amazonaws.com", IsNotFound: true}, inventory.NotFound, "there is no host ec2.eu-west1.amazonaws.com (is the region eu-west-1?)"},
		"none like it":     {"moon-base-1", "", &net.DNSError{Name: "ec2.moon-base-1.amazonaws.com", IsNotFound: true}, inventory.NotFound, "(is moon-base-1 a region that the account has enabled? aws ec2 describe-regions lists them)"},
		"no such endpoint": {"eu-west-1", "https://emulator", &net.DNSError{Name: "emulator", IsNotFound: true}, inventory.NotFound, "there is no host emulator (see endpoint: https://emulator)"},
		"no DNS":           {"eu-west-1", "", &net.DNSError{Name: "x", Err: "server misbehaving", IsTemporary: true}, inventory.NoAnswer, "the name x cannot be resolved: server misbehaving (see this machine's DNS)"},
		"refused":          {"eu-west-1", "", &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}, inventory.NoAnswer, "dial tcp: connection refused (can this machine reach ec2.eu-west-1.amazonaws.com? A proxy is taken from HTTPS_PROXY)"},
		"certificate":      {"eu-west-1", "", &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, inventory.NoAnswer, "(see ca_bundle)"},
		"too long":         {"eu-west-1", "", &cloud.TooLargeError{}, inventory.BadAnswer, "the answer is longer than 64 MiB (see page_size)"},
		"not XML":          {"eu-west-1", "", &smithy.DeserializationError{Err: errors.New("unexpected EOF")}, inventory.BadAnswer, "unexpected EOF (is something between here and AWS that answers itself, as a proxy?)"},
	} {
		p := &Provider{env: inventory.Env{Source: "prod"}, endpoint: c.endpoint}
		e := p.named(p.apiError(t.Context(), nil, c.region, "DescribeInstances", wrapped(c.err), nil))
		if e.Reason != c.reason || !strings.HasPrefix(e.Error(), "prod (ec2), "+c.region+", DescribeInstances: "+string(c.reason)+": ") || !strings.HasSuffix(e.Error(), c.want) {
			t.Errorf("%s: %v\nwant %s: %s", name, e, c.reason, c.want)
		}
	}
}

// Codes lead to different things to do.
func TestCodes(t *testing.T) {
	p := &Provider{profile: "corp"}
	for code, c := range map[string]struct {
		reason inventory.Reason
		hint   string
	}{
		"RequestLimitExceeded":         {inventory.Throttled, "refresh less often"},
		"UnauthorizedOperation":        {inventory.NotPermitted, "allow ec2:StopInstances"},
		"OperationNotPermitted":        {inventory.NotPermitted, "protected"},
		"ExpiredToken":                 {inventory.BadLogin, "aws sso login --profile corp"},
		"AuthFailure":                  {inventory.BadLogin, "has not enabled the region"},
		"OptInRequired":                {inventory.NotPermitted, "has not enabled"},
		"InvalidInstanceID.NotFound":   {inventory.NotFound, ""},
		"InsufficientInstanceCapacity": {inventory.NotPermitted, "another type or zone"},
		"VcpuLimitExceeded":            {inventory.NotPermitted, "a higher quota"},
		"InvalidParameterValue":        {inventory.BadConfig, ""},
		"InternalError":                {inventory.NoAnswer, "try again later"},
		"SomethingNew":                 {inventory.BadAnswer, ""},
	} {
		e := &inventory.Error{Call: "StopInstances", Scope: "eu-west-1"}
		p.byCode(e, &smithy.GenericAPIError{Code: code, Message: "it\nsays"})
		if e.Reason != c.reason || !strings.Contains(e.Hint, c.hint) || c.hint == "" && e.Hint != "" || e.Msg != "it says" {
			t.Errorf("%s: %v, hint %q", code, e.Reason, e.Hint)
		}
	}
}
