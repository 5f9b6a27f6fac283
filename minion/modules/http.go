package modules

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/httpquery"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/render"
	"github.com/gosalt/gosalt/internal/version"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("http.query", httpQuery, module.Positional("url"))
	register("http.wait_for_successful_query", httpWait, module.Positional("url wait_for"))
	register("http.update_ca_bundle", httpUpdateCABundle)
}

// httpOptions are the arguments of a question beside its address.
type httpOptions struct {
	Method         string    `default:"GET"`                   // GET, POST, PUT and so on.
	Params         any       `default:"None"`                  // Added to the address: a map, or text as a=1&b=2.
	Data           any       `default:"None"`                  // What is sent: text, or a map that is sent as a form.
	DataFile       string    `default:"None"`                  // A file of this machine that is sent.
	HeaderDict     *wire.Map `default:"None"`                  // Headers by name.
	HeaderList     []string  `default:"None"`                  // Headers as "Name: value".
	HeaderFile     string    `default:"None"`                  // A file of such lines.
	Username       string    `default:"None"`                  // Name to log in with (basic authentication).
	Password       string    `default:"None"`                  // Password to log in with.
	Decode         bool      `default:"False"`                 // Give the answer as data, too, in "dict".
	DecodeType     string    `default:"auto"`                  // What it is: json, xml, yaml, plain; auto goes by its type.
	Status         bool      `default:"False"`                 // Give the status.
	Headers        bool      `default:"False"`                 // Give the headers.
	Text           bool      `default:"False"`                 // Give the answer in "text", besides "body".
	DataRender     bool      `default:"False"`                 // Render data_file first.
	DataRenderer   string    `default:"jinja"`                 // With these renderers.
	HeaderRender   bool      `default:"False"`                 // Render header_file first.
	HeaderRenderer string    `default:"jinja"`                 // With these renderers; jinja|yaml makes a map.
	TemplateDict   *wire.Map `default:"None"`                  // Variables of these templates.
	Test           bool      `default:"False"`                 // Ask test_url in place of the address; nothing where there is none.
	TestURL        string    `default:"None" arg:"test_url"`   // What to ask with test=True.
	TextOut        string    `default:"None"`                  // A file for the answer.
	HeadersOut     string    `default:"None"`                  // Of no effect.
	DecodeOut      string    `default:"None"`                  // A file for the answer where it is decoded.
	VerifySSL      *bool     `default:"None" arg:"verify_ssl"` // False does not look at the server's certificate; the option verify_ssl where not given.
	CABundle       string    `default:"None" arg:"ca_bundle"`  // A file of certificates to trust, in place of the system's.
	Cert           any       `default:"None"`                  // The client's certificate: a file, or a list of it and its key.
	RaiseError     bool      `default:"True"`                  // False takes an answer of 400 or more for one like others.
	Agent          string    `default:"None"`                  // The User-Agent.
	Opts           *wire.Map `default:"None"`                  // Options over those of the minion: http_request_timeout and so on.
	HideFields     any       `default:"None"`                  // Of no effect: what is sent is not logged.
	DecodeBody     bool      `default:"True"`                  // Of no effect: what comes is text.
	Port           any       `default:"None"`                  // Of no effect, as in Salt: the address has it.
	Node           any       `default:"None"`                  // Of no effect.
	Backend        any       `default:"None"`                  // Of no effect: there is one.
}

type httpQueryArgs struct {
	URL string `arg:"url"` // Where to ask: http:// or https://.
	httpOptions
}

// httpQuery asks a web server. The answer is in "body"; where the server could not be
// reached, or refused, "error" says why.
//
//	gosalt '*' http.query http://example.com/
//	gosalt '*' http.query http://example.com/ status=True headers=True
//	gosalt '*' http.query http://example.com/ method=POST params='{"key1": "val1"}' data='<xml>somecontent</xml>'
//	gosalt '*' http.query http://example.com/list.json decode=True
func httpQuery(ctx context.Context, c *module.Call, a httpQueryArgs) (*wire.Map, error) {
	option := func(name string) any {
		if v, ok := a.Opts.Get(name); ok {
			return v
		}
		v, _ := c.Opts.Get(name)
		return v
	}
	q := httpquery.Query{
		URL: a.URL, Method: a.Method, Params: a.Params, Data: a.Data, Username: a.Username, Password: a.Password,
		Decode: a.Decode, DecodeType: a.DecodeType, Status: a.Status, WithHeads: a.Headers, Text: a.Text, KeepErrors: !a.RaiseError,
		TextOut: a.TextOut, DecodeOut: a.DecodeOut, CABundle: a.CABundle,
	}
	if err := errors.Join(q.SetCert(a.Cert), q.SetOptions(option)); err != nil {
		return nil, module.Invalidf("%w", err)
	}
	if a.Test {
		if a.TestURL == "" {
			return wire.NewMap(), nil
		}
		q.URL = a.TestURL
	}
	if a.VerifySSL != nil {
		q.Insecure = !*a.VerifySSL
	}
	if a.DataFile != "" {
		v, err := httpFile(ctx, c, "data_file", a.DataFile, a.DataRender, a.DataRenderer, a.TemplateDict)
		if err != nil {
			return nil, err
		}
		q.Data = v
	}
	if err := httpHeaders(ctx, c, &q, a.httpOptions); err != nil {
		return nil, err
	}
	out, err := q.Do(ctx)
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	if a.Test {
		out.Set("test", true)
	}
	return out, nil
}

// httpHeaders collects the headers: those of a file take the place of header_dict or header_list.
func httpHeaders(ctx context.Context, c *module.Call, q *httpquery.Query, a httpOptions) error {
	heads, list := a.HeaderDict, a.HeaderList
	if a.HeaderFile != "" {
		v, err := httpFile(ctx, c, "header_file", a.HeaderFile, a.HeaderRender, a.HeaderRenderer, a.TemplateDict)
		if err != nil {
			return err
		}
		if m, ok := v.(*wire.Map); ok {
			heads = m
		} else {
			list = strings.Split(pytext.Str(v), "\n")
		}
	}
	for name, v := range heads.Strings() {
		q.Headers = append(q.Headers, httpquery.Header{Name: name, Value: pytext.Str(v)})
	}
	for _, line := range list {
		if name, v, ok := strings.Cut(line, ":"); ok {
			q.Headers = append(q.Headers, httpquery.Header{Name: strings.TrimSpace(name), Value: strings.TrimSpace(v)})
		}
	}
	agent := a.Agent
	if agent == "" {
		agent = "Salt/" + version.Salt + " http.query()"
	}
	q.Headers = append(q.Headers, httpquery.Header{Name: "User-Agent", Value: agent})
	return nil
}

// httpFile is the text of a file, or what renderers make of it.
func httpFile(ctx context.Context, c *module.Call, arg, name string, rendered bool, pipe string, vars *wire.Map) (any, error) {
	text, err := os.ReadFile(c.Host.Path(name))
	if err != nil {
		return nil, module.Failf("%s: %w", arg, err)
	}
	if !rendered {
		return string(text), nil
	}
	if !strings.Contains(pipe, "yaml") && !strings.Contains(pipe, "json") {
		pipe += "|text"
	}
	values := map[string]any{}
	for k, v := range vars.Strings() {
		values[k] = v
	}
	r := render.New(render.Config{Opts: c.Opts, Grains: c.Grains(), Pillar: c.Pillar(), Files: templateFiles{c}, Functions: templateFunctions{c}, Log: c.Log})
	res, err := r.Render(ctx, render.Source{Text: string(text), Path: name, Pipe: pipe, Env: "base", Vars: values})
	if err != nil {
		return nil, module.Failf("%s: %w", arg, err)
	}
	return res.Data, nil
}

type httpWaitArgs struct {
	URL             string  `arg:"url"`     // Where to ask: http:// or https://.
	WaitFor         float64 `default:"300"` // Seconds after which it is given up.
	RequestInterval float64 `default:"1"`   // Seconds between two questions.
	httpOptions
}

// httpWait asks a web server again and again until it answers without an error, and
// returns that answer, or the last one.
//
//	gosalt '*' http.wait_for_successful_query http://example.com/ wait_for=160 request_interval=1
func httpWait(ctx context.Context, c *module.Call, a httpWaitArgs) (*wire.Map, error) {
	end := time.Now().Add(time.Duration(a.WaitFor * float64(time.Second)))
	for {
		out, err := httpQuery(ctx, c, httpQueryArgs{a.URL, a.httpOptions})
		if err == nil && out.Text("error") == "" {
			return out, nil
		}
		if !time.Now().Before(end) {
			return out, err
		}
		t := time.NewTimer(time.Duration(a.RequestInterval * float64(time.Second)))
		select {
		case <-ctx.Done():
			t.Stop()
			return nil, context.Cause(ctx)
		case <-t.C:
		}
	}
}

type httpBundleArgs struct {
	Target     string   `default:"None"` // The file: the option ca_bundle, or the one that this system has.
	Source     string   `default:"None"` // Where to get it: the option ca_bundle_url.
	MergeFiles []string `default:"None"` // Files with further certificates, which are appended.
}

// caBundles are the places of a system's certificates.
var caBundles = []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/pki/tls/certs/ca-bundle.trust.crt",
	"/etc/ssl/certs/ca-bundle.crt", "/var/lib/ca-certificates/ca-bundle.pem", "/etc/ssl/cert.pem"}

// httpUpdateCABundle fetches a file of certificates to trust. Salt takes them from curl's
// site without TLS where no source is named; here one has to be.
//
//	gosalt '*' http.update_ca_bundle source=https://example.com/cacerts.pem
//	gosalt '*' http.update_ca_bundle source=https://example.com/cacerts.pem merge_files=/path/to/mycert.pem
func httpUpdateCABundle(ctx context.Context, c *module.Call, a httpBundleArgs) (any, error) {
	if a.Target == "" {
		a.Target = c.Opts.Text("ca_bundle")
	}
	for _, name := range caBundles {
		if a.Target == "" && c.Host.Exists(name) {
			a.Target = name
		}
	}
	if a.Source == "" {
		a.Source = c.Opts.Text("ca_bundle_url")
	}
	switch {
	case a.Target == "":
		return nil, module.Failf("there is no file of certificates on this system: name one with target")
	case a.Source == "":
		return nil, module.Invalidf("source is expected: where the certificates are to be fetched, or the option ca_bundle_url")
	}
	q := httpquery.Query{URL: a.Source}
	out, err := q.Do(ctx)
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	if s := out.Text("error"); s != "" {
		return nil, module.Failf("fetch %s: %s", a.Source, s)
	}
	text := out.Text("body")
	if !strings.Contains(text, "-----BEGIN CERTIFICATE-----") {
		return nil, module.Failf("%s holds no certificate: %s is left as it is", a.Source, a.Target)
	}
	for _, name := range a.MergeFiles {
		more, err := os.ReadFile(c.Host.Path(name))
		if err != nil {
			return nil, module.Failf("merge_files: %w", err)
		}
		text += "\n" + string(more)
	}
	if err := replaceFile(c, a.Target, []byte(text)); err != nil {
		return nil, module.Failf("%w", err)
	}
	return nil, nil
}
