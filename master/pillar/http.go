package pillar

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/httpquery"
	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/pillar"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/render/saltyaml"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/internal/version"
	"github.com/gosalt/gosalt/protocol/wire"
)

// An answer of http_yaml and http_json has at most so many bytes, and takes at most so long,
// or as the options http_max_body and http_request_timeout say where that is less.
const (
	httpMost = 16 << 20
	httpTime = 20 * time.Second
)

// httpYAML is the ext_pillar http_yaml.
func httpYAML(ctx context.Context, q pillar.SourceRequest) (any, error) {
	body, args, err := httpGet(ctx, q, "url", "with_grains", "header_dict", "auth", "username", "password")
	if err != nil {
		return nil, err
	}
	v, err := saltyaml.Load(body)
	if err != nil {
		return nil, fmt.Errorf("get %s: the answer is no YAML: %w", args["from"], err)
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
		return nil, fmt.Errorf("get %s: the answer is no JSON: %w", args["from"], err)
	}
	if ns, ok := args["namespace"].(string); ok && ns != "" {
		v = wire.NewMap(ns, v)
	}
	return v, nil
}

// httpGet gets what the settings name. Beside them is "from", the address without its password.
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
		return "", nil, fmt.Errorf("the setting 'url' is no address: %w", errors.Unwrap(err))
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", nil, fmt.Errorf("the setting 'url' is to begin with http:// or https:// and a host, not with %q", u.Scheme+":")
	}
	query := httpquery.Query{URL: address, Headers: []httpquery.Header{{Name: "User-Agent", Value: "gosalt/" + version.Gosalt()}}}
	if err := query.SetOptions(func(name string) any { v, _ := q.Opts.Get(name); return v }); err != nil {
		return "", nil, fmt.Errorf("the master's options: %w", err)
	}
	if query.Total <= 0 || query.Total > httpTime {
		query.Total = httpTime
	}
	if query.MaxBody <= 0 || query.MaxBody > httpMost {
		query.MaxBody = httpMost
	}
	switch h := args["header_dict"].(type) {
	case nil:
	case *wire.Map:
		for k, v := range h.All() {
			query.Headers = append(query.Headers, httpquery.Header{Name: pytext.Str(k), Value: pytext.Str(v)})
		}
	default:
		return "", nil, fmt.Errorf("the setting 'header_dict' is to be a map, not %s", pytext.TypeName(h))
	}
	if err := authorize(&query, args); err != nil {
		return "", nil, err
	}
	out, err := query.Do(ctx)
	if err != nil {
		return "", nil, err
	}
	switch text := out.Text("error"); {
	case out.Int("status") == 599:
		return "", nil, fmt.Errorf("get %s: no answer within %s", u.Redacted(), query.Total)
	case text != "":
		return "", nil, fmt.Errorf("get %s: %s", u.Redacted(), text)
	}
	args["from"] = u.Redacted()
	return out.Text("body"), args, nil
}

// authorize adds a user's name and password.
func authorize(query *httpquery.Query, args map[string]any) error {
	query.Username, _ = args["username"].(string)
	if args["password"] != nil {
		query.Password = pytext.Str(args["password"])
	}
	if list, ok := args["auth"].([]any); ok && len(list) == 2 {
		query.Username, query.Password = pytext.Str(list[0]), pytext.Str(list[1])
	} else if args["auth"] != nil {
		return fmt.Errorf("the setting 'auth' is to be a list of a user and a password")
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
