// Package httpquery asks web servers as Salt's http.query does, with limits and a
// deadline. Start with Query.Do.
package httpquery

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/render/saltyaml"
	"github.com/gosalt/gosalt/protocol/wire"
)

// DefaultMaxBody is how much of an answer is read where Query does not say.
const DefaultMaxBody = 64 << 20

// Query is one question to a web server.
type Query struct {
	URL      string
	Method   string // GET where it is empty
	Params   any    // a map, or text as "a=1&b=2"; added to the URL
	Data     any    // the body: text, or a map that is sent as a form
	Headers  []Header
	Username string
	Password string

	Decode     bool   // the body as data, in "dict"
	DecodeType string // auto, json, xml, yaml, plain
	Status     bool   // the status in "status"
	WithHeads  bool   // the headers in "headers"
	Text       bool   // the body in "text", too
	KeepErrors bool   // an answer of 400 or more is an answer like others

	Insecure bool   // the server's certificate is not looked at
	CABundle string // a file of certificates to trust; "" is the system's
	Cert     string // a file with the client's certificate, and its key unless Key says where
	Key      string

	TextOut   string // a file for the body
	DecodeOut string // likewise, where it was decoded

	Connect, Total time.Duration // 0 is 20 s, an hour
	MaxBody        int64         // bytes
}

// Header is one header of the question.
type Header struct{ Name, Value string }

// Do asks. What goes wrong between here and the server, and what the server refuses, is
// told in the answer's "error", as Salt does; the error is a mistake in the question.
func (q *Query) Do(ctx context.Context) (*wire.Map, error) {
	req, err := q.request(ctx)
	if err != nil {
		return nil, err
	}
	client, err := q.client()
	if err != nil {
		return nil, err
	}
	defer client.CloseIdleConnections()
	out := wire.NewMap()
	resp, err := client.Do(req)
	if err != nil {
		if timedOut(err) {
			out.Set("status", int64(599))
		} else if q.Status {
			out.Set("status", int64(0))
		}
		out.Set("error", errorText(err))
		return out, nil
	}
	defer resp.Body.Close()
	most := q.MaxBody
	if most <= 0 {
		most = DefaultMaxBody
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	switch {
	case err != nil:
		out.Set("error", errorText(err))
		return out, nil
	case int64(len(raw)) > most:
		return nil, fmt.Errorf("the answer of %s has more than %d bytes (http_max_body)", req.URL.Redacted(), most)
	}
	body := strings.ToValidUTF8(string(raw), "\ufffd")
	if resp.StatusCode >= 400 && !q.KeepErrors {
		out.Set("status", int64(resp.StatusCode))
		out.Set("error", fmt.Sprintf("HTTP %d: %s", resp.StatusCode, reason(resp)))
		out.Set("body", body)
		return out, nil
	}
	out.Set("body", body)
	if err := writeOut(q.TextOut, raw); err != nil {
		return nil, err
	}
	if q.Status {
		out.Set("status", int64(resp.StatusCode))
	}
	if q.WithHeads {
		heads := wire.NewMap()
		for _, name := range headerNames(resp.Header) {
			heads.Set(name, strings.Join(resp.Header.Values(name), ","))
		}
		out.Set("headers", heads)
	}
	text := q.Text
	if q.Decode {
		v, plain, err := decode(q.DecodeType, resp.Header.Get("Content-Type"), body)
		if err != nil {
			return nil, err
		}
		if plain {
			text = true
		} else {
			out.Set("dict", v)
		}
		if err := writeOut(q.DecodeOut, raw); err != nil {
			return nil, err
		}
	}
	if text {
		out.Set("text", body)
	}
	return out, nil
}

func (q *Query) request(ctx context.Context) (*http.Request, error) {
	u, err := url.Parse(q.URL)
	if err != nil {
		return nil, fmt.Errorf("url: %w", errors.Unwrap(err))
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("url %q: it is to begin with http:// or https:// and a host", u.Redacted())
	}
	if q.Params != nil {
		more, err := form(q.Params)
		if err != nil {
			return nil, fmt.Errorf("params: %w", err)
		}
		if u.RawQuery != "" && more != "" {
			u.RawQuery += "&"
		}
		u.RawQuery += more
	}
	method := q.Method
	if method == "" {
		method = http.MethodGet
	}
	var body io.Reader
	if q.Data != nil {
		text, err := form(q.Data)
		if err != nil {
			return nil, fmt.Errorf("data: %w", err)
		}
		body = strings.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, err
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, h := range q.Headers {
		if strings.EqualFold(h.Name, "Host") {
			req.Host = h.Value
			continue
		}
		req.Header.Set(h.Name, h.Value)
	}
	switch pass, has := u.User.Password(); {
	case q.Username != "":
		req.SetBasicAuth(q.Username, q.Password)
	case u.User != nil && has:
		req.SetBasicAuth(u.User.Username(), pass)
	}
	return req, nil
}

// form is what is sent of a map, or text as it is.
func form(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case *wire.Map:
		var pairs []string
		for k, e := range v.All() {
			pairs = append(pairs, url.QueryEscape(pytext.Str(k))+"="+url.QueryEscape(pytext.Str(e)))
		}
		return strings.Join(pairs, "&"), nil
	}
	return "", fmt.Errorf("text or a map is expected, not %s", pytext.TypeName(v))
}

// SetOptions fills in what the options of a minion or master say, where the question says
// nothing itself: verify_ssl, ca_bundle, cert, http_connect_timeout, http_request_timeout
// and http_max_body.
func (q *Query) SetOptions(option func(name string) any) error {
	seconds := func(d *time.Duration, name string) {
		if *d > 0 {
			return
		}
		switch v := option(name).(type) {
		case int64:
			*d = time.Duration(v) * time.Second
		case float64:
			*d = time.Duration(v * float64(time.Second))
		}
	}
	seconds(&q.Connect, "http_connect_timeout")
	seconds(&q.Total, "http_request_timeout")
	if n, ok := option("http_max_body").(int64); ok && q.MaxBody <= 0 {
		q.MaxBody = min(n, 1<<30)
	}
	q.Insecure = q.Insecure || option("verify_ssl") == false
	if q.CABundle == "" {
		q.CABundle, _ = option("ca_bundle").(string)
	}
	if q.Cert == "" {
		return q.SetCert(option("cert"))
	}
	return nil
}

// SetCert takes a value of cert: a file, a list of the certificate and its key, or nil.
func (q *Query) SetCert(v any) error {
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		q.Cert = v
		return nil
	case []any:
		if len(v) == 2 {
			q.Cert, q.Key = pytext.Str(v[0]), pytext.Str(v[1])
			return nil
		}
	}
	return errors.New("cert: a file, or a list of the certificate and its key, is expected")
}

func (q *Query) client() (*http.Client, error) {
	connect, total := q.Connect, q.Total
	if connect <= 0 {
		connect = 20 * time.Second
	}
	if total <= 0 {
		total = time.Hour
	}
	conf := &tls.Config{InsecureSkipVerify: q.Insecure} // verify_ssl=False is the caller's wish
	if q.CABundle != "" {
		pem, err := os.ReadFile(q.CABundle)
		if err != nil {
			return nil, fmt.Errorf("ca_bundle: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca_bundle: %s holds no certificate", q.CABundle)
		}
	}
	if q.Cert != "" {
		key := q.Key
		if key == "" {
			key = q.Cert
		}
		pair, err := tls.LoadX509KeyPair(q.Cert, key)
		if err != nil {
			return nil, fmt.Errorf("cert: %w", err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return &http.Client{
		Timeout: total,
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: connect}).DialContext,
			TLSHandshakeTimeout: connect, TLSClientConfig: conf, MaxResponseHeaderBytes: 1 << 20, DisableKeepAlives: true,
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			switch {
			case len(via) > 5:
				return errors.New("more than 5 redirects")
			case r.URL.Scheme != "http" && r.URL.Scheme != "https":
				return fmt.Errorf("redirected to %s, which is neither http nor https", r.URL.Scheme)
			case via[0].URL.Scheme == "https" && r.URL.Scheme == "http":
				return errors.New("redirected from https to http")
			}
			return nil
		},
	}, nil
}

func timedOut(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// errorText words an error as Salt does, without the address, which may hold a password.
func errorText(err error) string {
	if timedOut(err) {
		return "HTTP 599: Timeout"
	}
	var no syscall.Errno
	if errors.As(err, &no) {
		text := no.Error()
		return fmt.Sprintf("[Errno %d] %s%s", int(no), strings.ToUpper(text[:1]), text[1:])
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return err.Error()
}

// reason is the text of a status line.
func reason(resp *http.Response) string {
	_, text, _ := strings.Cut(resp.Status, " ")
	return text
}

// headerNames are the names of headers, sorted: net/http keeps no order.
func headerNames(h http.Header) []string {
	return slices.Sorted(maps.Keys(h))
}

func writeOut(file string, body []byte) error {
	if file == "" {
		return nil
	}
	if err := os.WriteFile(file, body, 0o600); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}

// decode makes data of a body; plain says that it is none.
func decode(kind, contentType, body string) (v any, plain bool, err error) {
	if kind == "auto" || kind == "" {
		switch {
		case contentType == "", strings.Contains(contentType, "json"):
			kind = "json"
		case strings.Contains(contentType, "xml"):
			kind = "xml"
		case strings.Contains(contentType, "yaml"):
			kind = "yaml"
		default:
			kind = "plain"
		}
	}
	switch kind {
	case "plain":
		return nil, true, nil
	case "json":
		if v, err = pytext.ParseJSON(strings.TrimSpace(body)); err != nil {
			err = fmt.Errorf("the answer is no JSON: %w", err)
		}
	case "yaml":
		if v, err = saltyaml.Load(body); err != nil {
			err = fmt.Errorf("the answer is no YAML: %w", err)
		}
	case "xml":
		if v, err = decodeXML(body); err != nil {
			err = fmt.Errorf("the answer is no XML: %w", err)
		}
	default:
		err = fmt.Errorf("decode_type %q: auto, json, xml, yaml or plain is expected", kind)
	}
	return v, false, err
}

// element is one of an XML document.
type element struct {
	XMLName  xml.Name
	Text     string    `xml:",chardata"`
	Children []element `xml:",any"`
}

// decodeXML lists what is in the outermost element: maps from an element's name to its
// text, or to what is in it.
func decodeXML(body string) (any, error) {
	var root element
	d := xml.NewDecoder(strings.NewReader(body))
	if err := d.Decode(&root); err != nil {
		return nil, err
	}
	out := []any{}
	for _, c := range root.Children {
		out = append(out, c.data())
	}
	return out, nil
}

func (e element) data() any {
	if len(e.Children) == 0 {
		return wire.NewMap(e.XMLName.Local, e.text())
	}
	m := wire.NewMap()
	for _, c := range e.Children {
		name := c.XMLName.Local
		old, has := m.Get(name)
		switch list, isList := old.([]any); {
		case !has && len(c.Children) == 0:
			m.Set(name, c.text())
		case !has:
			m.Set(name, c.data())
		case isList:
			m.Set(name, append(list, c.data()))
		default:
			m.Set(name, []any{old, c.data()})
		}
	}
	return m
}

func (e element) text() any {
	if e.Text == "" {
		return nil
	}
	return e.Text
}
