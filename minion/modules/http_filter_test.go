package modules

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// TestHTTPQueryFilter has templates ask a web server, as Salt's filter http_query does.
func TestHTTPQueryFilter(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/data.json":
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"b": [1, 2.0], "a": {"x": null}}`)
		case "/echo":
			user, password, _ := r.BasicAuth()
			body, _ := io.ReadAll(r.Body)
			io.WriteString(w, strings.Join([]string{r.Method, r.URL.RawQuery, r.Header.Get("X-A"), user, password, string(body)}, "|"))
		case "/long":
			io.WriteString(w, strings.Repeat("x", 1001))
		default:
			http.Error(w, "nothing here", http.StatusNotFound)
		}
	}))
	defer srv.Close()
	c := statesCall(t, nil)
	c.Opts.Set("http_max_body", int64(1000))
	reg := New()
	for _, tc := range []struct{ text, want string }{
		{"{{ (url ~ '/data.json')|http_query(decode=True, decode_type='json') }}", `{'body': '{"b": [1, 2.0], "a": {"x": null}}', 'dict': {'b': [1, 2.0], 'a': {'x': None}}}`},
		{"{% set q = (url ~ '/data.json')|http_query(decode=True, status=True) %}{{ q.dict.b|sum }} {{ q.status }}", "3.0 200"},
		{"{{ ((url ~ '/echo')|http_query('PUT', data='sent', params={'k': 'a b'}, header_dict={'X-A': 'h'}, username='u', password='p')).body }}", "PUT|k=a+b|h|u|p|sent"},
		{"{{ (url ~ '/none')|http_query }}", `{'status': 404, 'error': 'HTTP 404: Not Found', 'body': 'nothing here\n'}`},
		{"{{ ((url ~ '/none')|http_query(raise_error=False)).body }}", "nothing here\n"},
		{"{{ ('http://127.0.0.1:1/'|http_query).error }}", "[Errno 111] Connection refused"},
		{"{{ 'ftp://x/'|http_query }}", "error: http:// or https://"},
		{"{{ (url ~ '/long')|http_query }}", "error: more than 1000 bytes"},
		{"{{ (url ~ '/echo')|http_query(decode=True, decode_type='json') }}", "error: the answer is no JSON"},
		{"{{ nope|http_query }}", "error: 'nope' is undefined"},
		{"{{ url|http_query('PUT', method='GET') }}", "error: multiple values for argument 'method'"},
		{"{{ url|http_query(metod='GET') }}", `error: unexpected keyword argument 'metod'. Did you mean 'method'?`},
	} {
		res := reg.Run(context.Background(), c, "slsutil.renderer", nil, wire.NewMap("string", tc.text, "default_renderer", "jinja", "url", srv.URL))
		got := pytext.Str(res.Return)
		part, fails := strings.CutPrefix(tc.want, "error: ")
		if fails != (res.Retcode != 0) || !fails && strings.TrimSuffix(got, "\n") != strings.TrimSuffix(tc.want, "\n") || fails && !strings.Contains(got, part) {
			t.Errorf("%s: %s (exit code %d)\nwant %s", tc.text, got, res.Retcode, tc.want)
		}
	}
}
