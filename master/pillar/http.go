package pillar

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/pillar"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/render/saltyaml"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/internal/version"
	"github.com/gosalt/gosalt/protocol/wire"
)

// An answer of http_yaml and http_json has at most so many bytes, and takes at most so long.
const (
	httpMost = 16 << 20
	httpTime = 20 * time.Second
)

// httpClient follows a few redirects, to http and https only, and sends a password to the
// host that it is meant for alone (net/http drops it for others).
var httpClient = &http.Client{
	Timeout: httpTime,
	CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if len(via) >= 5 {
			return errors.New("more than 5 redirects")
		}
		if s := r.URL.Scheme; s != "http" && s != "https" {
			return fmt.Errorf("redirected to %s, which is neither http nor https", s)
		}
		if via[0].URL.Scheme == "https" && r.URL.Scheme == "http" {
			return errors.New("redirected from https to http")
		}
		return nil
	},
}

// httpYAML is the ext_pillar http_yaml.
func httpYAML(ctx context.Context, q pillar.SourceRequest) (any, error) {
	body, _, err := httpGet(ctx, q, "url", "with_grains", "header_dict", "auth", "username", "password")
	if err != nil {
		return nil, err
	}
	v, err := saltyaml.Load(body)
	if err != nil {
		return nil, fmt.Errorf("the answer is no YAML: %w", err)
	}
	return v, nil
}

// httpJSON is the ext_pillar http_json.
func httpJSON(ctx context.Context, q pillar.SourceRequest) (any, error) {
	body, args, err := httpGet(ctx, q, "url", "with_grains", "header_dict", "auth", "username", "password", "namespace")
	if err != nil {
		return nil, err
	}
	v, err := pytext.ParseJSON(strings.TrimSpace(body))
	if err != nil {
		return nil, fmt.Errorf("the answer is no JSON: %w", err)
	}
	if ns, ok := args["namespace"].(string); ok && ns != "" {
		v = wire.NewMap(ns, v)
	}
	return v, nil
}

// httpGet gets what the settings name.
func httpGet(ctx context.Context, q pillar.SourceRequest, names ...string) (string, map[string]any, error) {
	args, err := pillar.BindArgs(q.Args, 1, names...)
	if err != nil {
		return "", nil, err
	}
	address, ok := args["url"].(string)
	if !ok {
		return "", nil, fmt.Errorf("the setting 'url' is to be text, not %s", pytext.TypeName(args["url"]))
	}
	if address, err = fillURL(address, q, args["with_grains"] == true); err != nil {
		return "", nil, err
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", nil, fmt.Errorf("the setting 'url' is no address: %w", unwrapURL(err))
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", nil, fmt.Errorf("the setting 'url' is to begin with http:// or https:// and a host, not with %q", u.Scheme+":")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return "", nil, unwrapURL(err)
	}
	req.Header.Set("User-Agent", "gosalt/"+version.Gosalt())
	switch h := args["header_dict"].(type) {
	case nil:
	case *wire.Map:
		for k, v := range h.All() {
			req.Header.Set(pytext.Str(k), pytext.Str(v))
		}
	default:
		return "", nil, fmt.Errorf("the setting 'header_dict' is to be a map, not %s", pytext.TypeName(h))
	}
	if err := authorize(req, args); err != nil {
		return "", nil, err
	}
	resp, err := httpClient.Do(req)
	if err != nil {
		return "", nil, fmt.Errorf("get %s: %w", u.Redacted(), unwrapURL(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", nil, fmt.Errorf("get %s: the server answers %s", u.Redacted(), resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, httpMost+1))
	if err != nil {
		return "", nil, fmt.Errorf("get %s: %w", u.Redacted(), unwrapURL(err))
	}
	if len(body) > httpMost {
		return "", nil, fmt.Errorf("get %s: the answer has more than %d bytes", u.Redacted(), httpMost)
	}
	return string(body), args, nil
}

// authorize adds a user's name and password.
func authorize(req *http.Request, args map[string]any) error {
	user, _ := args["username"].(string)
	password := ""
	if args["password"] != nil {
		password = pytext.Str(args["password"])
	}
	if list, ok := args["auth"].([]any); ok && len(list) == 2 {
		user, password = pytext.Str(list[0]), pytext.Str(list[1])
	} else if args["auth"] != nil {
		return fmt.Errorf("the setting 'auth' is to be a list of a user and a password")
	}
	if user != "" {
		req.SetBasicAuth(user, password)
	}
	return nil
}

var grainInURL = lazyre.New(`<(.*?)>`)

// fillURL puts the minion's id, and its grains, into an address.
func fillURL(address string, q pillar.SourceRequest, grains bool) (string, error) {
	address = strings.ReplaceAll(address, "%s", quoteURL(string(q.ID)))
	if !grains {
		return address, nil
	}
	var missing error
	address = grainInURL.ReplaceAllStringFunc(address, func(m string) string {
		name := m[1 : len(m)-1]
		v, ok := target.Traverse(q.Opts.Map("grains"), name, ":")
		if !ok || v == nil || v == "" {
			missing = fmt.Errorf("the minion has no grain %s, which the address needs", name)
			return ""
		}
		return quoteURL(pytext.Str(v))
	})
	return address, missing
}

// quoteURL is Python's urllib.parse.quote.
func quoteURL(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("_.-~/", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// unwrapURL takes the address off an error: it may hold a password.
func unwrapURL(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err
	}
	return err
}
