package openstack

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/internal/cloud"
)

// apiError says what a call that failed means.
func (p *Provider) apiError(ctx context.Context, region, call string, err error) *inventory.Error {
	e := &inventory.Error{Kind: "openstack", Source: p.env.Source, Scope: region, Call: call, Err: err}
	if ctx.Err() != nil {
		ended := cloud.Ended(ctx, call)
		e.Reason, e.Msg, e.Hint = ended.Reason, ended.Msg, ended.Hint
		return e
	}
	var late *cloud.LateError
	isLate := errors.As(err, &late)
	if isLate {
		err = late.Err
	}
	// A token that has expired is renewed within a call.
	var reauth *gophercloud.ErrUnableToReauthenticate
	var after *gophercloud.ErrErrorAfterReauthentication
	if errors.As(err, &reauth) {
		e.Call, err = "POST /auth/tokens", reauth.ErrReauth
	} else if errors.As(err, &after) {
		err = after.ErrOriginal
	}
	var code gophercloud.ErrUnexpectedResponseCode
	switch {
	case errors.As(err, &code):
		p.byStatus(e, &code)
	case isLate:
		e.Reason, e.Msg, e.Hint = inventory.NoAnswer, late.Error(), "see region_timeout; does the endpoint of the region answer?"
		return e
	default:
		byNetwork(e, err)
	}
	if isLate {
		e.Msg = late.Error() + ", the last one was: " + e.Msg
		if e.Reason != inventory.Throttled {
			e.Reason = inventory.NoAnswer
		}
	}
	return e
}

// byStatus knows what the answers of Keystone and Nova mean.
func (p *Provider) byStatus(e *inventory.Error, r *gophercloud.ErrUnexpectedResponseCode) {
	e.Code = fmt.Sprintf("HTTP %d", r.Actual)
	e.Msg = cmp.Or(messageOf(r.Body), http.StatusText(r.Actual))
	login := strings.Contains(e.Call, "/auth/tokens")
	switch s := r.Actual; {
	case s == http.StatusUnauthorized && login:
		e.Reason, e.Hint = inventory.BadLogin, "see username, password and user_domain, or the application credential, which may have expired; and the project, which the user needs a role in"
	case s == http.StatusUnauthorized:
		e.Reason, e.Hint = inventory.BadLogin, "the token has expired, or is of another cloud"
	case s == http.StatusForbidden:
		e.Reason, e.Hint = inventory.NotPermitted, "the user needs a role in the project that may list servers"
		if p.o.Bool("all_projects") {
			e.Hint = "all_projects needs a role of an administrator (policy os_compute_api:servers:index:get_all_tenants)"
		}
	case s == http.StatusNotFound && login, s == http.StatusMultipleChoices:
		e.Reason, e.Hint = inventory.NotFound, "is auth_url Keystone's, as https://cloud.example:5000/v3?"
	case s == http.StatusNotFound:
		e.Reason, e.Hint = inventory.NotFound, "the catalog's endpoint of the region does not lead to Nova; see interface"
	case s == http.StatusTooManyRequests, s == http.StatusRequestEntityTooLarge, s == 498:
		e.Reason, e.Hint = inventory.Throttled, "the project makes too many calls: refresh less often, or list fewer regions at once (concurrency)"
	case s == http.StatusBadRequest:
		e.Reason = inventory.BadConfig
		if p.o.Has("filters") && !login {
			e.Hint = "see filters"
		}
	case s >= 500:
		e.Reason, e.Hint = inventory.NoAnswer, "the cloud has a fault, try again later"
	default:
		e.Reason = inventory.BadAnswer
		if s < 300 { // a success, but not the one that there is
			e.Msg = "what came is no answer of OpenStack"
		}
		e.Hint = "is something between here and the cloud that answers itself, as a proxy? See auth_url"
	}
}

// messageOf is what an answer says: {"error": {"message": …}} of Keystone,
// {"forbidden": {"message": …}} of Nova.
func messageOf(body []byte) string {
	var doc map[string]json.RawMessage
	if json.Unmarshal(body, &doc) != nil {
		return ""
	}
	for _, v := range doc {
		var m struct{ Message string }
		if json.Unmarshal(v, &m) == nil && m.Message != "" {
			return cloud.OneLine(m.Message)
		}
	}
	return ""
}

// byNetwork knows why no answer came, or none that could be read.
func byNetwork(e *inventory.Error, err error) {
	var (
		dns   *net.DNSError
		cert  *tls.CertificateVerificationError
		large *cloud.TooLargeError
		at    *url.Error
		syn   *json.SyntaxError
		typ   *json.UnmarshalTypeError
	)
	host := "the cloud"
	if errors.As(err, &at) {
		if u, perr := url.Parse(at.URL); perr == nil {
			host = u.Host
		}
	}
	e.Reason, e.Msg = inventory.NoAnswer, cloud.OneLine(err.Error())
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		e.Reason, e.Msg, e.Hint = inventory.NotFound, "there is no host "+dns.Name, "see auth_url, and the catalog of the cloud"
	case errors.As(err, &cert):
		e.Hint = "see ca_bundle"
	case errors.As(err, &large), errors.As(err, &syn), errors.As(err, &typ), errors.Is(err, io.ErrUnexpectedEOF):
		e.Reason, e.Hint = inventory.BadAnswer, "is something between here and the cloud that answers itself, as a proxy?"
	case isNetwork(err):
		e.Hint = "can this machine reach " + host + "? A proxy is taken from HTTPS_PROXY"
	default:
		e.Reason = inventory.BadAnswer
	}
}

// isNetwork tells whether a call failed before there was an answer.
func isNetwork(err error) bool {
	var op *net.OpError
	var at *url.Error
	return errors.As(err, &op) || errors.As(err, &at) || errors.Is(err, io.EOF)
}
