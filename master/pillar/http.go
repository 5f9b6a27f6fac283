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
	query := httpquery.Query{URL: address, Total: httpTime, MaxBody: httpMost, Headers: []httpquery.Header{{Name: "User-Agent", Value: "gosalt/" + version.Gosalt()}}}
	if err := fromOptions(&query, q.Opts); err != nil {
		return "", nil, err
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

// fromOptions takes what the master's options say of all its questions to web servers.
func fromOptions(query *httpquery.Query, opts *wire.Map) error {
	seconds := func(name string) time.Duration {
		v, _ := opts.Get(name)
		switch x := v.(type) {
		case int64:
			return time.Duration(x) * time.Second
		case float64:
			return time.Duration(x * float64(time.Second))
		}
		return 0
	}
	query.Connect = seconds("http_connect_timeout")
	if t := seconds("http_request_timeout"); t > 0 && t < query.Total {
		query.Total = t
	}
	if n := opts.Int("http_max_body"); n > 0 && n < query.MaxBody {
		query.MaxBody = n
	}
	query.CABundle = opts.Text("ca_bundle")
	v, _ := opts.Get("verify_ssl")
	query.Insecure = v == false
	switch cert, _ := opts.Get("cert"); x := cert.(type) {
	case nil:
	case string:
		query.Cert = x
	case []any:
		if len(x) != 2 {
			return fmt.Errorf("the option 'cert' is to be a file, or a list of the certificate and its key")
		}
		query.Cert, query.Key = pytext.Str(x[0]), pytext.Str(x[1])
	default:
		return fmt.Errorf("the option 'cert' is to be a file, or a list of the certificate and its key, not %s", pytext.TypeName(x))
	}
	return nil
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
