package modules_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/minion/modules"
	statemodules "github.com/gosalt/gosalt/states/modules"
	"github.com/gosalt/gosalt/states/statetest"
)

// TestHTTPQuery holds http.query to Salt's words in each of its branches.
func TestHTTPQuery(t *testing.T) {
	asked := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if r.URL.Path == "/no" {
			w.WriteHeader(404)
		}
		fmt.Fprintf(w, "hello %s %s", r.Method, r.Header.Get("X-A"))
	}))
	defer srv.Close()
	m := statetest.New(t, statemodules.New(), modules.New())
	l := func(a ...any) []any { return a }
	for _, tt := range []struct {
		kv      []any
		path    string
		test    bool
		result  any
		comment string
	}{
		{nil, "/", false, false, " Either match text (match) or a status code (status) is required."},
		{l("status", int64(200)), "/", false, true, "Status 200 was found."},
		{l("status", int64(201)), "/", false, false, "Status 201 was not found."},
		{l("status", int64(404)), "/no", false, true, "Status 404 was found."},
		{l("match", "hello"), "/", false, true, `Match text "hello" was found.`},
		{l("match", "bye"), "/", false, false, `Match text "bye" was not found.`},
		{l("match", "hello"), "/no", false, false, `Match text "hello" was not found.`},
		{l("match", "^h.*GET", "match_type", "pcre"), "/", false, true, `Match pattern "^h.*GET" was found.`},
		{l("match", "^x", "match_type", "pcre"), "/", false, false, `Match pattern "^x" was not found.`},
		{l("match", "hello", "status", int64(200)), "/", false, true, `Match text "hello" was found. Status 200 was found.`},
		{l("match", "bye", "status", int64(200)), "/", false, false, `Match text "bye" was not found. Status 200 was found.`},
		{l("match", "hello", "status", int64(500)), "/", false, false, `Match text "hello" was found. Status 500 was not found.`},
		{l("status", []any{int64(200), int64(201)}, "status_type", "list"), "/", false, true, "Status 200 was found."},
		{l("status", []any{int64(301), "302"}, "status_type", "list"), "/", false, false, "Statuses [301, '302'] were not found."},
		{l("status", "2..", "status_type", "pcre"), "/", false, true, `Status pattern "2.." was found.`},
		{l("status", "5..", "status_type", "pcre"), "/", false, false, `Status pattern "5.." was not found.`},
		{l("match", "POST x", "method", "POST", "header_list", []any{"X-A: x"}), "/", false, true, `Match text "POST x" was found.`},
		{l("status", int64(200)), "/", true, nil, "Status 200 was not found. (TEST MODE)"},
		{l("status", int64(200), "test_url", srv.URL+"/"), "/no", true, nil, "Status 200 was found. (TEST MODE, TEST URL WAS: " + srv.URL + "/)"},
	} {
		before := asked
		res := m.Apply(t, tt.test, statetest.Low("http.query", srv.URL+tt.path, tt.kv...))
		if v, _ := res.Get("result"); v != tt.result || res.Text("comment") != tt.comment || res.Map("changes").Len() > 0 {
			t.Errorf("%v %s: %s\nwant %v, %q", tt.kv, tt.path, pytext.Repr(res), tt.result, tt.comment)
		}
		if !res.Has("data") {
			t.Errorf("%v: no data: %s", tt.kv, pytext.Repr(res))
		}
		if tt.test && !strings.Contains(tt.comment, "TEST URL") && asked != before {
			t.Errorf("%v: test=True asked the server", tt.kv)
		}
	}
	res := m.Apply(t, false, statetest.Low("http.wait_for_successful_query", srv.URL+"/", "status", int64(500), "wait_for", int64(0)))
	if v, _ := res.Get("result"); v != false || res.Text("comment") != "Status 500 was not found." {
		t.Errorf("waited: %s", pytext.Repr(res))
	}
	srv.Close()
	res = m.Apply(t, false, statetest.Low("http.query", srv.URL+"/", "status", int64(200)))
	if v, _ := res.Get("result"); v != false || res.Text("comment") != "Status 200 was not found." || !strings.Contains(res.Map("data").Text("error"), "refused") {
		t.Errorf("a server that is down: %s", pytext.Repr(res))
	}
}
