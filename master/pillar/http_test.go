package pillar

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/pillar"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// TestHTTPFails has servers of http_yaml and http_json that are of no use: the minion and the
// log are told which and why, and passwords are not.
func TestHTTPFails(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/tab":
			io.WriteString(w, "a:\n\tb: 1\n")
		case "/twice":
			io.WriteString(w, "a: 1\na: 2\n")
		case "/large":
			io.WriteString(w, "a: "+strings.Repeat("x", 2000))
		case "/slow":
			<-r.Context().Done()
		case "/short":
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "a: 1\n")
		case "/file":
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		case "/around":
			http.Redirect(w, r, "/around", http.StatusFound)
		case "/broken":
			http.Error(w, "a: 1", http.StatusInternalServerError)
		case "/text":
			io.WriteString(w, "text")
		default:
			http.NotFound(w, r)
		}
	}))
	defer srv.Close()
	tls := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "a: 1\n") }))
	tls.Config.ErrorLog = log.New(io.Discard, "", 0)
	tls.StartTLS()
	defer tls.Close()
	host := strings.TrimPrefix(srv.URL, "http://")
	for _, c := range []struct {
		name, kind string
		settings   any
		opts       *wire.Map
		want       string // in the only error; "" for a pillar that is made
	}{
		{"not there", "yaml", srv.URL + "/none", nil, "get @/none: HTTP 404: Not Found"},
		{"an error of the server", "yaml", srv.URL + "/broken", nil, "get @/broken: HTTP 500: Internal Server Error"},
		{"nobody there", "json", gone.URL, nil, "[Errno 111] Connection refused"},
		{"a tab", "yaml", srv.URL + "/tab", nil, "get @/tab: the answer is no YAML: "},
		{"a key that comes twice", "yaml", srv.URL + "/twice", nil, "conflicting ID"},
		{"no JSON", "json", srv.URL + "/twice", nil, "get @/twice: the answer is no JSON: Expecting value: line 1 column 1 (char 0)"},
		{"no map", "yaml", srv.URL + "/text", nil, "it gave str, and a map is expected"},
		{"too large", "yaml", srv.URL + "/large", wire.NewMap("http_max_body", int64(1000)), "the answer of @/large has more than 1000 bytes"},
		{"too slow", "yaml", srv.URL + "/slow", wire.NewMap("http_request_timeout", 0.05), "get @/slow: no answer within 50ms"},
		{"cut off", "yaml", srv.URL + "/short", nil, "get @/short: unexpected EOF"},
		{"led to a file", "yaml", srv.URL + "/file", nil, "neither http nor https"},
		{"led around", "yaml", srv.URL + "/around", nil, "more than 5 redirects"},
		{"a file", "yaml", "file:///etc/passwd", nil, `not with "file:"`},
		{"no address", "yaml", "http://a b/", nil, "is no address"},
		{"no text", "yaml", wire.NewMap("url", int64(1)), nil, "the setting 'url' is to be text, not int"},
		{"nothing", "yaml", wire.NewMap(), nil, "the setting 'url' is missing"},
		{"a password", "yaml", wire.NewMap("url", "http://u:hunter2@"+host+"/none", "header_dict", "x"), nil, "the setting 'header_dict' is to be a map, not str"},
		{"a password in the address", "yaml", "http://u:hunter2@" + host + "/none", nil, "get http://u:xxxxx@" + host + "/none: HTTP 404"},
		{"a certificate of nobody", "yaml", tls.URL, nil, "certificate"},
		{"a certificate that is not looked at", "yaml", tls.URL, wire.NewMap("verify_ssl", false), ""},
		{"certificates that are not there", "yaml", tls.URL, wire.NewMap("ca_bundle", "/nowhere/ca.pem"), "ca_bundle: open /nowhere/ca.pem: no such file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			opts := wire.NewMap("ext_pillar", []any{wire.NewMap("http_"+c.kind, c.settings)})
			for k, v := range c.opts.All() {
				opts.SetAny(k, v)
			}
			var logged bytes.Buffer
			s := newService(t, t.TempDir(), &logged, opts)
			res, err := s.Compile(t.Context(), &pillar.Request{ID: "web1", Grains: wire.NewMap()}, false)
			if err != nil {
				t.Fatal(err)
			}
			if c.want == "" {
				if got := pytext.Repr(res.Pillar); got != "{'a': 1}" {
					t.Errorf("%s, errors %q", got, res.Errors)
				}
				return
			}
			text := strings.ReplaceAll(strings.Join(res.Errors, "\n"), srv.URL, "@")
			if len(res.Errors) != 1 || !strings.HasPrefix(text, "Failed to load ext_pillar http_"+c.kind+": ") || !strings.Contains(text, c.want) {
				t.Errorf("%q, want %q", text, c.want)
			}
			if logged.Len() == 0 || strings.Contains(logged.String()+text, "hunter2") {
				t.Errorf("the log: %s", logged.String())
			}
		})
	}
}
