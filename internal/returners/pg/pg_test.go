//go:build linux

package pg

import (
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/dbtest"
	"github.com/gosalt/gosalt/internal/returners"
	"github.com/gosalt/gosalt/protocol/wire"
)

const jid = "20261126232458297416"

func record(id, fun string, value any) returners.Record {
	return returners.Record{Kind: returners.Return, Data: wire.NewMap("success", true, "return", value, "retcode", int64(0),
		"jid", jid, "fun", fun, "fun_args", []any{value}, "id", id)}
}

func TestPostgres(t *testing.T) {
	server := dbtest.Postgres(t)
	for _, row := range []struct{ name, kind, pass string }{{"pgjsonb", "jsonb", "pass"}, {"postgres", "text", "passwd"}} {
		t.Run(row.name, func(t *testing.T) {
			server.Exec("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
			prefix := "returner." + row.name
			opts := returners.Options{Config: wire.NewMap(prefix+".host", "127.0.0.1", prefix+".port", int64(server.Port), prefix+"."+row.pass, "secret")}
			r, err := Set()[row.name](opts, returners.Env{ID: "m_master"})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			load := returners.Record{Kind: returners.Load, Data: wire.NewMap("jid", jid, "fun", "test.echo", "tgt", "*")}
			event := returners.Record{Kind: returners.Event, Data: wire.NewMap("tag", "a/b", "data", wire.NewMap("x", int64(1)))}
			recs := []returners.Record{load, record("web1", "test.echo", "ü"), event, load, record("web1", "test.echo", "ü")}
			if n, err := r.Store(t.Context(), recs); n != 0 || err == nil || returners.Refused(err) {
				t.Fatalf("without tables: %d (%v)", n, err)
			}
			server.Exec(dbtest.Tables(row.kind))
			if n, err := r.Store(t.Context(), recs); n != len(recs) || err != nil {
				t.Fatal(n, err)
			}
			// One that does not fit is refused by itself.
			bad := record(strings.Repeat("i", 300), "test.echo", "x")
			if n, err := r.Store(t.Context(), []returners.Record{record("web2", strings.Repeat("long.", 30), "x"), bad, record("web3", "test.echo", "x")}); n != 1 || !returners.Refused(err) {
				t.Fatal(n, err)
			}
			if got, want := server.Exec("SELECT fun, jid, return, id, success FROM salt_returns ORDER BY id"),
				"test.echo|"+jid+"|\"ü\"|web1|true\n"+strings.Repeat("long.", 10)+"|"+jid+"|\"x\"|web2|true\n"; got != want {
				t.Errorf("rows:\n%s", got)
			}
			if got := server.Exec("SELECT tag, data, master_id FROM salt_events"); got != "a/b|{\"x\": 1}|m_master\n" {
				t.Error(got)
			}
			server.Stop()
			if _, err := r.Store(t.Context(), recs); err == nil || returners.Refused(err) {
				t.Errorf("without a server: %v", err)
			}
			server.Start()
			if _, err := r.Store(t.Context(), recs); err != nil {
				t.Error(err)
			}
			rd := r.(returners.Reader)
			got, err := rd.Returns(t.Context(), jid)
			if err != nil || got.Len() != 2 || got.Map("web1").Text("return") != "ü" {
				t.Errorf("%v (%v)", got, err)
			}
			if l, err := rd.Load(t.Context(), jid); err != nil || l.Text("tgt") != "*" {
				t.Errorf("%v (%v)", l, err)
			}
			if jobs, err := rd.Jobs(t.Context()); err != nil || !jobs.Has(jid) {
				t.Errorf("%v (%v)", jobs, err)
			}
		})
	}
}

// A password is in no error.
func TestPasswordIsNotShown(t *testing.T) {
	opts := returners.Options{Config: wire.NewMap("returner.pgjsonb.pass", "hunter2", "returner.pgjsonb.sslmode", "bogus")}
	_, err := Set()["pgjsonb"](opts, returners.Env{})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
}
