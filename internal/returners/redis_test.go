//go:build linux

package returners_test

import (
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/dbtest"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/returners"
	"github.com/gosalt/gosalt/protocol/wire"
)

const jid = "20261126232458297416"

// record is a return as a minion makes it.
func record(id string, value any) returners.Record {
	return returners.Record{Kind: returners.Return, Data: wire.NewMap("success", true, "return", value, "retcode", int64(0),
		"jid", jid, "fun", "test.echo", "fun_args", []any{value}, "id", id)}
}

func TestRedis(t *testing.T) {
	server := dbtest.Redis(t)
	r, err := returners.Small()["redis"](returners.Options{Config: wire.NewMap("redis.host", "127.0.0.1", "redis.port", int64(server.Port), "redis.db", "3")},
		returners.Env{Keep: 86400})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	load := wire.NewMap("jid", jid, "fun", "test.echo", "tgt", "*", "user", "root")
	recs := []returners.Record{{Kind: returners.Load, Data: load}, record("web1", "a\r\nb"), record("web2", strings.Repeat("ü", 1<<20)), record("web1", "a\r\nb")}
	for range 2 { // the second time over a connection that was lost
		if n, err := r.Store(t.Context(), recs); n != len(recs) || err != nil {
			t.Fatal(n, err)
		}
		server.Stop()
		server.Start()
		r.Store(t.Context(), nil)
		if _, err := r.Store(t.Context(), recs); err == nil {
			continue
		}
	}
	rd := r.(returners.Reader)
	got, err := rd.Returns(t.Context(), jid)
	if err != nil || got.Len() != 2 || got.Map("web1").Text("return") != "a\r\nb" {
		t.Errorf("%v (%v)", got, err)
	}
	l, err := rd.Load(t.Context(), jid)
	if err != nil || pytext.Repr(l) != pytext.Repr(load) {
		t.Errorf("%v (%v)", l, err)
	}
	if l, err := rd.Load(t.Context(), "20260101000000000000"); l != nil || err != nil {
		t.Errorf("%v (%v)", l, err)
	}
	jobs, err := rd.Jobs(t.Context())
	if err != nil || jobs.Len() != 1 || !jobs.Has(jid) {
		t.Errorf("%v (%v)", jobs, err)
	}
}
