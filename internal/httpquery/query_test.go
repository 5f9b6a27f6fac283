package httpquery

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func TestQuery(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header()["Date"] = nil
		types := map[string]string{"/j": "application/json", "/y": "text/yaml", "/m": "application/xml"}
		if ct := types[r.URL.Path]; ct != "" {
			w.Header().Set("Content-Type", ct)
		} else {
			w.Header().Set("Content-Type", "text/plain")
		}
		user, pass, _ := r.BasicAuth()
		switch r.URL.Path {
		case "/nothere":
			http.Error(w, "no", http.StatusNotFound)
		case "/j":
			fmt.Fprint(w, `{"a": [1, null]}`)
		case "/y":
			fmt.Fprint(w, "a: [x]")
		case "/m":
			fmt.Fprint(w, "<r><a>1</a><b><c>2</c><c>3</c><d/></b></r>")
		case "/big":
			fmt.Fprint(w, strings.Repeat("x", 1000))
		case "/away":
			http.Redirect(w, r, "ftp://elsewhere/", http.StatusFound)
		default:
			fmt.Fprintf(w, "%s %s %s %s %s:%s", r.Method, r.URL.RequestURI(), body, r.Header.Get("X-A"), user, pass)
		}
	}))
	defer s.Close()
	out := filepath.Join(t.TempDir(), "out")
	for _, c := range []struct {
		name, want string
		q          Query
	}{
		{"plain", `{"body": "GET /x   :"}`, Query{URL: "/x"}},
		{"all", `{"body": "PUT /x?a=1&b=c%20d v=1+2 h u:p", "status": 200, "headers": {"Content-Length": "30", "Content-Type": "text/plain"}, "text": "PUT /x?a=1&b=c%20d v=1+2 h u:p"}`,
			Query{URL: "/x?a=1", Method: "PUT", Params: "b=c%20d", Data: wire.NewMap("v", "1 2"), Headers: []Header{{"X-A", "h"}}, Username: "u", Password: "p", Status: true, WithHeads: true, Text: true}},
		{"json", `{"body": "{\"a\": [1, null]}", "dict": {"a": [1, null]}}`, Query{URL: "/j", Decode: true}},
		{"yaml", `{"body": "a: [x]", "dict": {"a": ["x"]}}`, Query{URL: "/y", Decode: true}},
		{"xml", `{"body": "<r><a>1</a><b><c>2</c><c>3</c><d/></b></r>", "dict": [{"a": "1"}, {"c": ["2", {"c": "3"}], "d": null}]}`, Query{URL: "/m", Decode: true}},
		{"decoded by its type", `{"body": "GET /x   :", "text": "GET /x   :"}`, Query{URL: "/x", Decode: true}},
		{"refused", `{"status": 404, "error": "HTTP 404: Not Found", "body": "no\n"}`, Query{URL: "/nothere"}},
		{"refused and taken", `{"body": "no\n", "status": 404}`, Query{URL: "/nothere", KeepErrors: true, Status: true}},
		{"file", `{"body": "GET /x   :"}`, Query{URL: "/x", TextOut: out}},
		{"another scheme", `{"error": "redirected to ftp, which is neither http nor https"}`, Query{URL: "/away"}},
		{"nobody", `{"status": 0, "error": "[Errno 111] Connection refused"}`, Query{URL: "http://127.0.0.1:1/", Status: true}},
		{"too much", "! has more than 100 bytes (http_max_body)", Query{URL: "/big", MaxBody: 100}},
		{"no json", "! the answer is no JSON", Query{URL: "/x", Decode: true, DecodeType: "json"}},
		{"no type", `! decode_type "ini": auto, json, xml, yaml or plain is expected`, Query{URL: "/x", Decode: true, DecodeType: "ini"}},
		{"no URL", "! it is to begin with http:// or https://", Query{URL: "ftp://x/"}},
		{"no bundle", "! ca_bundle: ", Query{URL: "/x", CABundle: out + "none"}},
		{"no certificate", "! cert: ", Query{URL: "/x", Cert: out}},
	} {
		if strings.HasPrefix(c.q.URL, "/") {
			c.q.URL = s.URL + c.q.URL
		}
		got, err := c.q.Do(t.Context())
		if want, fails := strings.CutPrefix(c.want, "! "); fails {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, not %s", c.name, err, want)
			}
			continue
		}
		if text := jsonText(got); err != nil || text != c.want && !strings.Contains(text, "Connection refused") {
			t.Errorf("%s: %s, %v, not %s", c.name, text, err, c.want)
		}
	}
	if b, err := os.ReadFile(out); string(b) != "GET /x   :" {
		t.Errorf("%q, %v", b, err)
	}
}

func jsonText(v any) string {
	text, err := pytext.JSON(v, -1, false)
	if err != nil {
		return err.Error()
	}
	return text
}

// TestSetOptions has options fill in what a question does not say.
func TestSetOptions(t *testing.T) {
	opts := map[string]any{"verify_ssl": false, "ca_bundle": "/ca", "cert": []any{"/c", "/k"}, "http_connect_timeout": 1.5, "http_request_timeout": int64(7), "http_max_body": int64(5)}
	option := func(name string) any { return opts[name] }
	var q Query
	if err := q.SetOptions(option); err != nil {
		t.Fatal(err)
	}
	if want := (Query{Insecure: true, CABundle: "/ca", Cert: "/c", Key: "/k", Connect: 1500 * time.Millisecond, Total: 7 * time.Second, MaxBody: 5}); !reflect.DeepEqual(q, want) {
		t.Errorf("%+v, want %+v", q, want)
	}
	said := Query{CABundle: "/own", Cert: "/mine", Connect: time.Second, Total: time.Minute, MaxBody: 9}
	q = said
	delete(opts, "verify_ssl")
	if err := q.SetOptions(option); err != nil || !reflect.DeepEqual(q, said) {
		t.Errorf("%+v, %v, want %+v", q, err, said)
	}
	for _, bad := range []any{int64(1), []any{"/c"}} {
		if err := q.SetCert(bad); err == nil {
			t.Errorf("cert %v: no error", bad)
		}
	}
}
