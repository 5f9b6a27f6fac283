package eauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// rest posts name and password, as a form, to an address. The answer 200 means that
// they fit; its body may be a JSON list of rules, which count beside those of the
// configuration.
type rest struct {
	noGroups
	url    string
	part   *wire.Map
	client *http.Client
}

func newREST(c Config, part *wire.Map) (Backend, error) {
	text := part.Text("^url")
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("^url: an address as https://auth.example.com/salt expected, not %q", text)
	}
	if host := u.Hostname(); u.Scheme == "http" && host != "localhost" && host != "::1" && !strings.HasPrefix(host, "127.") {
		c.Log.Warn("external_auth: rest: passwords go over the network unencrypted: use https", "url", u.Redacted())
	}
	client := &http.Client{Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error {
		return errors.New("it redirects, and passwords do not follow")
	}}
	return &rest{url: text, part: part, client: client}, nil
}

func (r *rest) Authenticate(ctx context.Context, user, password string) error {
	_, err := r.fetch(ctx, user, password)
	return err
}

// Rules are those of the configuration for the user, then those of the answer.
func (r *rest) Rules(ctx context.Context, user, password string) ([]any, error) {
	rules := append([]any{}, r.part.List(user)...)
	more, err := r.fetch(ctx, user, password)
	if err != nil && !errors.Is(err, ErrDenied) {
		return rules, err
	}
	if rules = append(rules, more...); len(rules) == 0 {
		return nil, nil
	}
	return rules, nil
}

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 1 << 20

func (r *rest) fetch(ctx context.Context, user, password string) ([]any, error) {
	form := url.Values{"username": {user}, "password": {password}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	res, err := r.client.Do(req)
	if err != nil {
		return nil, err // net/http keeps bodies out of its errors
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, err
	case len(body) > maxAnswer:
		return nil, fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	case res.StatusCode >= 500:
		return nil, fmt.Errorf("the server answers %s", res.Status)
	case res.StatusCode != http.StatusOK:
		return nil, ErrDenied
	}
	if strings.TrimSpace(string(body)) == "" || !json.Valid(body) {
		return nil, nil
	}
	v, err := pytext.ParseJSON(string(body))
	if err != nil {
		return nil, fmt.Errorf("the rules in the answer: %w", err)
	}
	rules, ok := v.([]any)
	if !ok && v != nil {
		return nil, fmt.Errorf("the answer is %s: a list of rules expected", wire.TypeName(v))
	}
	return rules, nil
}
