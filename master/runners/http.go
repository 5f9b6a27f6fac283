package runners

import (
	"context"
	"errors"
	"os"
	"strings"

	"github.com/gosalt/gosalt/internal/httpquery"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/version"
	"github.com/gosalt/gosalt/protocol/wire"
)

func registerHTTP(r *module.Registry) { module.Register(r, "http.query", httpQuery) }

type httpQueryArgs struct {
	URL            string    `arg:"url"`                       // Where to ask: http:// or https://.
	Output         bool      `default:"True"`                  // Of no effect; --quiet shows nothing.
	Method         string    `default:"GET"`                   // GET, POST, PUT and so on.
	Params         any       `default:"None"`                  // Added to the URL: a map, or text as a=1&b=2.
	Data           any       `default:"None"`                  // What is sent: text, or a map that is sent as a form.
	DataFile       string    `default:""`                      // A file of the master's machine that is sent.
	HeaderDict     *wire.Map `default:"None"`                  // Headers by name.
	HeaderList     []string  `default:"None"`                  // Headers as "Name: value".
	HeaderFile     string    `default:""`                      // A file of such lines.
	Username       string    `default:""`                      // Name to log in with (basic authentication).
	Password       string    `default:""`                      // Password to log in with.
	Decode         bool      `default:"False"`                 // Give the answer as data, too, in "dict".
	DecodeType     string    `default:"auto"`                  // What it is: json, xml, yaml, plain; auto goes by its type.
	Status         bool      `default:"False"`                 // Give the status.
	Headers        bool      `default:"False"`                 // Give the headers.
	Text           bool      `default:"False"`                 // Give the answer in "text", besides "body".
	TextOut        string    `default:""`                      // A file for the answer.
	DecodeOut      string    `default:""`                      // A file for the answer where it is decoded.
	HeadersOut     string    `default:""`                      // Of no effect, as in Salt where the file is not there.
	VerifySSL      *bool     `default:"None" arg:"verify_ssl"` // False does not look at the server's certificate; the option verify_ssl where not given.
	CABundle       string    `default:"" arg:"ca_bundle"`      // A file of certificates to trust, in place of the system's.
	Cert           any       `default:"None"`                  // The client's certificate: a file, or a list of it and its key.
	RaiseError     bool      `default:"True"`                  // False takes an answer of 400 or more for one like others.
	Test           bool      `default:"False"`                 // Ask test_url in place of url; nothing where there is none.
	TestURL        string    `default:"" arg:"test_url"`       // What to ask with test=True.
	Agent          string    `default:""`                      // The User-Agent.
	ConnectTimeout float64   `default:"None"`                  // Seconds to connect; the option http_connect_timeout (20) where not given.
	Timeout        float64   `default:"None"`                  // Seconds for all; the option http_request_timeout (3600) where not given.
	Port           any       `default:"80"`                    // Of no effect, as in Salt: the URL has it.
	Node           string    `default:"master"`                // Of no effect.
	Backend        string    `default:""`                      // Of no effect: there is one.
}

// httpQuery asks a web server from the master's machine. The answer is in "body"; where
// the server could not be reached, or refused, "error" says why. Who may call it reaches
// what the master reaches, and may write the files that the master may write.
//
//	gosalt-run http.query http://example.com/
//	gosalt-run http.query http://example.com/ status=True headers=True
//	gosalt-run http.query http://example.com/ method=POST data='a=1'
//	gosalt-run http.query http://example.com/list.json decode=True
func httpQuery(ctx context.Context, _ *module.Call, a httpQueryArgs) (*wire.Map, error) {
	opts := callOf(ctx).r.master.Opts()
	q := httpquery.Query{
		URL: a.URL, Method: a.Method, Params: a.Params, Data: a.Data, Username: a.Username, Password: a.Password,
		Decode: a.Decode, DecodeType: a.DecodeType, Status: a.Status, WithHeads: a.Headers, Text: a.Text, KeepErrors: !a.RaiseError,
		TextOut: a.TextOut, DecodeOut: a.DecodeOut, CABundle: a.CABundle,
		Connect: seconds(a.ConnectTimeout), Total: seconds(a.Timeout),
	}
	if err := errors.Join(q.SetCert(a.Cert), q.SetOptions(func(name string) any { v, _ := opts.Get(name); return v })); err != nil {
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
		text, err := os.ReadFile(a.DataFile)
		if err != nil {
			return nil, module.Failf("data_file: %w", err)
		}
		q.Data = string(text)
	}
	list := a.HeaderList
	if a.HeaderFile != "" {
		text, err := os.ReadFile(a.HeaderFile)
		if err != nil {
			return nil, module.Failf("header_file: %w", err)
		}
		list = strings.Split(string(text), "\n")
	}
	for name, v := range a.HeaderDict.Strings() {
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
	out, err := q.Do(ctx)
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	if a.Test {
		out.Set("test", true)
	}
	return out, nil
}
