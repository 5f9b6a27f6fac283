package kubernetes

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/internal/cloud"
)

const (
	pageTime = 30 * time.Second // of one page
	tries    = 4                // of one page, when the server has too much to do
)

const notTheAPI = "is the server of the kubeconfig's cluster an API server, or something before it that answers itself, as a proxy?"

// status is what the API says of a call that failed.
type status struct {
	Kind     string `json:"kind"`
	Message  string `json:"message"`
	Reason   string `json:"reason"`
	Metadata struct {
		Continue string `json:"continue"`
	} `json:"metadata"`
}

// pages gets a list. Where it has grown too old in the middle of it (410 Gone), the server
// says from where to go on.
func pages[T any](ctx context.Context, p *provider, scope, call string, u *url.URL, q url.Values, each func(*T) bool) error {
	q.Set("limit", strconv.Itoa(p.page))
	for n, again := 0, 0; ; n++ {
		var list struct {
			Kind     string `json:"kind"`
			Metadata struct {
				Continue string `json:"continue"`
			} `json:"metadata"`
			Items []T `json:"items"`
		}
		u.RawQuery = q.Encode()
		wait, st, err := p.get(ctx, scope, call, u, &list)
		switch {
		case err != nil && st.Reason == "Expired" && st.Metadata.Continue != "" && st.Metadata.Continue != q.Get("continue"):
			q.Set("continue", st.Metadata.Continue)
			continue
		case err != nil && err.Reason == inventory.Throttled && again < tries-1:
			again++
			t := time.NewTimer(wait)
			select {
			case <-ctx.Done():
				t.Stop()
				return inventory.Interrupted(ctx, inventory.Error{Scope: shown(scope), Call: call})
			case <-t.C:
			}
			continue
		case err != nil:
			return err
		}
		again = 0
		if list.Items == nil && !strings.HasSuffix(list.Kind, "List") { // an empty list may be null
			e := &inventory.Error{Scope: shown(scope), Call: call, Reason: inventory.BadAnswer, Msg: `the answer has no list "items"`, Hint: notTheAPI}
			if list.Kind != "" {
				e.Msg += ": it is a " + cloud.OneLine(list.Kind)
			}
			return e
		}
		for i := range list.Items {
			if !each(&list.Items[i]) {
				return nil
			}
		}
		if list.Metadata.Continue == "" {
			return nil
		}
		if list.Metadata.Continue == q.Get("continue") {
			return &inventory.Error{Scope: shown(scope), Call: call, Reason: inventory.BadAnswer, Msg: fmt.Sprintf("page %d says that the next page is itself", n+1)}
		}
		q.Set("continue", list.Metadata.Continue)
	}
}

// get gets one page. wait is for how long a server that has too much to do wants to be left
// alone.
func (p *provider) get(ctx context.Context, scope, call string, u *url.URL, into any) (wait time.Duration, st status, fail *inventory.Error) {
	e := &inventory.Error{Scope: shown(scope), Call: call}
	pctx, cancel := context.WithTimeout(ctx, pageTime)
	defer cancel()
	req, err := http.NewRequestWithContext(pctx, http.MethodGet, u.String(), nil)
	if err != nil {
		e.Reason, e.Err = inventory.BadConfig, err
		return 0, st, e
	}
	req.Header.Set("Accept", "application/json")
	resp, err := p.client.Do(req)
	if err != nil {
		return 0, st, p.netError(pctx, e, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
			return 0, st, p.netError(pctx, e, err)
		}
		return 0, st, nil
	}
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	json.Unmarshal(b, &st)
	return p.explain(e, resp, st), st, e
}

// explain fills in the error of an answer that is no list.
func (p *provider) explain(e *inventory.Error, resp *http.Response, st status) (wait time.Duration) {
	e.Code, e.Msg, e.Reason = st.Reason, st.Message, inventory.BadAnswer
	if e.Code == "" {
		e.Code = strconv.Itoa(resp.StatusCode)
	}
	if e.Msg == "" {
		e.Msg = p.base.Host + " says " + resp.Status
	}
	switch resp.StatusCode {
	default:
		if resp.StatusCode >= 500 {
			e.Reason, e.Hint = inventory.NoAnswer, "the API server, or a proxy before it, has a fault: try again later"
		}
	case http.StatusUnauthorized:
		e.Reason, e.Hint = inventory.BadLogin, "the login of the kubeconfig is wrong or has expired: does kubectl get pods work with it?"
	case http.StatusForbidden:
		e.Reason, e.Hint = inventory.NotPermitted, "the account needs a Role, or for nodes and all namespaces a ClusterRole, with this verb"
	case http.StatusNotFound:
		e.Reason = inventory.NotFound
	case http.StatusBadRequest:
		e.Reason, e.Hint = inventory.BadConfig, "are labels and fields selectors, as app=web and status.phase=Running?"
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		e.Reason, e.Hint, wait = inventory.Throttled, "the API server has too much to do: refresh less often, or list fewer namespaces", time.Second
		if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && n >= 0 {
			wait = min(time.Duration(n)*time.Second, 10*time.Second)
		}
	}
	return wait
}

// netError is why there was no answer.
func (p *provider) netError(ctx context.Context, e *inventory.Error, err error) *inventory.Error {
	if late := inventory.Interrupted(ctx, inventory.Error{Scope: e.Scope, Call: e.Call, Msg: p.base.Host + " did not answer in time"}); late != nil {
		return late
	}
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err // without the address, which has the selectors and a long token
	}
	e.Err, e.Reason = err, inventory.NoAnswer
	var op *net.OpError
	var dns *net.DNSError
	var large *cloud.TooLargeError
	var cert *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &dns):
		e.Reason, e.Hint = inventory.NotFound, "check the server of the kubeconfig's cluster"
	case errors.As(err, &cert), errors.As(err, &unknown):
		e.Reason, e.Hint = inventory.BadLogin, "certificate-authority of the kubeconfig's cluster has to be the one that signed the server's certificate"
	case errors.As(err, &large):
		e.Reason, e.Hint = inventory.BadAnswer, "make page_size smaller"
	case errors.As(err, &syntax), errors.As(err, &wrong), errors.Is(err, io.ErrUnexpectedEOF):
		e.Reason, e.Msg = inventory.BadAnswer, "the answer cannot be read: "+err.Error()
		e.Hint = notTheAPI
	case errors.As(err, &op), errors.Is(err, io.EOF):
		e.Hint = "is the cluster up, and " + p.base.Host + " reachable from here?"
	default:
		// A program that the kubeconfig names for logins fails like this.
		e.Reason, e.Hint = inventory.BadLogin, "does kubectl get pods work with this kubeconfig?"
	}
	return e
}
