package returners

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosalt/gosalt/protocol/wire"
)

func ret(jid, id string, value any) *wire.Map {
	return wire.NewMap("success", true, "return", value, "retcode", int64(0), "jid", jid, "fun", "test.echo", "fun_args", []any{value}, "id", id)
}

const jid = "20261126232458297416"

func TestRawfile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sub", "events")
	r, err := openRawfile(Options{Config: wire.NewMap("rawfile_json.filename", name)}, Env{})
	if err != nil {
		t.Fatal(err)
	}
	n, err := r.Store(t.Context(), []Record{{Return, ret(jid, "web1", "grüße\n")}, {Load, wire.NewMap()}, {Event, wire.NewMap("tag", "a/b", "data", wire.NewMap("x", int64(1)))}})
	if n != 3 || err != nil {
		t.Fatal(n, err)
	}
	b, _ := os.ReadFile(name)
	const want = `{"success": true, "return": "grüße\n", "retcode": 0, "jid": "20261126232458297416", "fun": "test.echo", "fun_args": ["grüße\n"], "id": "web1"}
{"data": {"x": 1}, "tag": "a/b"}
`
	if string(b) != want {
		t.Errorf("got\n%s", b)
	}
}

func TestSyslog(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "log")
	c, err := net.ListenPacket("unixgram", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r, err := openSyslog(Options{Config: wire.NewMap("syslog.socket", socket, "syslog.level", "LOG_ERR", "syslog.facility", "LOG_LOCAL3",
		"syslog.tag", "jobs", "syslog.options", []any{"LOG_PID"})}, Env{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Store(t.Context(), []Record{{Return, ret(jid, "web1", "x")}}); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4096)
	n, _, err := c.ReadFrom(b)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(b[:n]); !strings.HasPrefix(got, "<155>") || !strings.Contains(got, fmt.Sprintf(` jobs[%d]: {"success": true, `, os.Getpid())) {
		t.Error(got)
	}
	for _, bad := range []*wire.Map{wire.NewMap("syslog.level", "LOG_LOUD"), wire.NewMap("syslog.facility", "USER"),
		wire.NewMap("syslog.tag", strings.Repeat("x", 33)), wire.NewMap("syslog.options", []any{"LOG_X"})} {
		if _, err := openSyslog(Options{Config: bad}, Env{}); err == nil {
			t.Errorf("%v was taken", bad)
		}
	}
}

func TestOptions(t *testing.T) {
	cfg := wire.NewMap("redis.host", "a", "redis", wire.NewMap("port", int64(1)), "alt.redis.host", "b", "other.redis", wire.NewMap("db", "7"),
		"returner.pgjsonb.host", "c", "alt.pgjsonb.host", "d")
	for _, row := range []struct{ alt, prefix, name, kw, want string }{
		{"", "redis", "host", "", "a"},
		{"", "redis", "port", "", "1"},
		{"", "redis", "db", "", "def"},
		{"alt", "redis", "host", "", "b"},
		{"alt", "redis", "port", "", "1"},
		{"other", "redis", "db", "", "7"},
		{"other", "redis", "db", "9", "9"},
		{"alt", "returner.pgjsonb", "host", "", "d"},
		{"none", "returner.pgjsonb", "host", "", "c"},
	} {
		o := Options{Config: cfg, Alternative: row.alt}
		if row.kw != "" {
			o.Kwargs = wire.NewMap(row.name, row.kw)
		}
		if got := o.Text(row.prefix, row.name, "def"); got != row.want {
			t.Errorf("%+v: got %s", row, got)
		}
	}
}

// memory is a returner that a test can take down.
type memory struct {
	mu   sync.Mutex
	down bool
	bad  string // the jid that is refused
	got  []string
}

func (m *memory) Store(_ context.Context, recs []Record) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return 0, fmt.Errorf("connection refused")
	}
	for i, r := range recs {
		if r.Data.Text("jid") == m.bad {
			return i, Refuse(fmt.Errorf("no such value"))
		}
		m.got = append(m.got, r.Data.Text("jid"))
	}
	return len(recs), nil
}

func (*memory) Close() {}

func (m *memory) set(down bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = down
}

func (m *memory) jids() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(m.got, " ")
}

func newMemorySender(t *testing.T, dir string, m *memory, max int64, log *bytes.Buffer) *Sender {
	t.Helper()
	s, err := NewSender(SenderConfig{Dir: dir, MaxBytes: max, Set: Set{"memory": func(Options, Env) (Returner, error) { return m, nil }},
		Config: func() *wire.Map { return nil }, Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What cannot be delivered waits, over restarts too, is said once, and is delivered in
// its order.
func TestSenderWaitsForItsPlace(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		m := &memory{down: true}
		var log bytes.Buffer
		for process := range 3 {
			s := newMemorySender(t, dir, m, 1<<20, &log)
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() { s.Run(ctx) })
			for i := range 3 {
				if err := s.Send(Dest{Name: "memory"}, Record{Return, ret(fmt.Sprint(process*3+i), "web1", nil)}); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Minute)
			if process == 2 {
				if m.jids() != "" {
					t.Errorf("delivered while it was down: %s", m.jids())
				}
				m.set(false)
				time.Sleep(time.Minute)
			}
			cancel()
			wg.Wait()
			if n := strings.Count(log.String(), "cannot be reached: "); n != 1 {
				t.Errorf("said %d times:\n%s", n, log.String())
			}
			log.Reset()
		}
		if got := m.jids(); got != "0 1 2 3 4 5 6 7 8" {
			t.Error(got)
		}
	})
	// Nothing is left.
	var log bytes.Buffer
	m := &memory{}
	s := newMemorySender(t, dir, m, 1<<20, &log)
	for _, d := range s.dests {
		if !d.q.empty() {
			t.Error("the spool is not empty")
		}
	}
}

// A record that its place will never take does not hold up the others.
func TestSenderRefusedRecord(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		m := &memory{bad: "2"}
		var log bytes.Buffer
		s := newMemorySender(t, dir, m, 1<<20, &log)
		for i := range 5 {
			if err := s.Send(Dest{Name: "memory"}, Record{Return, ret(fmt.Sprint(i), "web1", nil)}); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		s.Run(ctx)
		if got := m.jids(); got != "0 1 3 4" {
			t.Error(got)
		}
		if !strings.Contains(log.String(), "jid=2") {
			t.Error(log.String())
		}
	})
}

func TestQueueIsBounded(t *testing.T) {
	q, err := openQueue(t.TempDir(), 10<<20)
	if err != nil {
		t.Fatal(err)
	}
	big := strings.Repeat("x", 1<<20)
	var dropped int64
	for i := range 30 {
		n, err := q.add(Record{Return, ret(fmt.Sprint(i), "web1", big)})
		if err != nil {
			t.Fatal(err)
		}
		dropped += n
	}
	if dropped == 0 || q.bytes > 10<<20 {
		t.Errorf("dropped %d, holds %d", dropped, q.bytes)
	}
	recs, _, err := q.peek(100, 100<<20)
	if err != nil || len(recs) == 0 || recs[len(recs)-1].Data.Text("jid") != "29" {
		t.Errorf("%d records (%v)", len(recs), err)
	}
	if _, err := q.add(Record{Return, ret("big", "web1", strings.Repeat("x", 11<<20))}); err == nil {
		t.Error("a record larger than the spool was taken")
	}
}

// A record of which a process that was killed wrote only a part is cut off.
func TestQueueTornEnd(t *testing.T) {
	dir := t.TempDir()
	q, err := openQueue(dir, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if _, err := q.add(Record{Return, ret(fmt.Sprint(i), "web1", nil)}); err != nil {
			t.Fatal(err)
		}
	}
	q.close()
	files, _ := filepath.Glob(filepath.Join(dir, "*.spool"))
	whole, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(whole) {
		if err := os.WriteFile(files[0], whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		q, err := openQueue(dir, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if cut == 0 { // an empty file is gone
			if _, err := q.add(Record{Return, ret("new", "web1", nil)}); err != nil {
				t.Fatal(err)
			}
			recs, ends, err := q.peek(9, 1<<20)
			if len(recs) != 1 || err != nil {
				t.Fatalf("%d records (%v)", len(recs), err)
			}
			if err := q.done(ends[0]); err != nil || !q.empty() {
				t.Fatal(err, q.empty())
			}
			os.Remove(filepath.Join(dir, "position"))
			q.close()
			continue
		}
		if _, err := q.add(Record{Return, ret("new", "web1", nil)}); err != nil {
			t.Fatal(err)
		}
		recs, _, err := q.peek(9, 1<<20)
		if err != nil || len(recs) != cut*3/len(whole)+1 || recs[len(recs)-1].Data.Text("jid") != "new" {
			t.Fatalf("cut at %d of %d: %d records (%v)", cut, len(whole), len(recs), err)
		}
		q.close()
	}
}

func TestRespProtocol(t *testing.T) {
	for _, answer := range []string{"", "x", "$5\r\nab\r\n", "*2\r\n:1\r\n", "$-2\r\n", ":x\r\n", "*99999999999\r\n", "$99999999999\r\n", "$2\r\nabxx", strings.Repeat("*1\r\n", 20)} {
		client, server := net.Pipe()
		go func() {
			b := make([]byte, 100)
			server.Read(b)
			server.Write([]byte(answer))
			server.Close()
		}()
		p := newResp(client)
		if v, err := p.do(t.Context(), [][]string{{"PING"}}); err == nil {
			t.Errorf("%q: got %v", answer, v)
		}
		client.Close()
	}
}

func TestSplit(t *testing.T) {
	b, _ := json.Marshal(Split(" redis,,local , redis"))
	if string(b) != `["redis","local"]` {
		t.Error(string(b))
	}
}
