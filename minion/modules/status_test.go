package modules

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pydate"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	saltNames["status"] = `all_status cpuinfo cpustats custom diskstats diskusage loadavg master meminfo netdev netstats nproc pid
		ping_master procs proxy_reconnect time uptime version vmstats w`
}

// TestRecordedStatus reads the files of /proc that Salt read when it was recorded.
func TestRecordedStatus(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("Linux only")
	}
	runRecorded(t, "testdata/status.json", false, func() *module.Call {
		c := rootedCall("testdata")
		c.Opts = wire.NewMap("status.cpustats.custom", []any{"cpu", "nope"}, "status.bogus.custom", []any{"x"})
		return c
	})
}

// TestStatusUptime: seconds, and the time without leading zeros.
func TestStatusUptime(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("Linux only")
	}
	before := time.Now().Unix()
	m := New().Run(t.Context(), rootedCall("testdata"), "status.uptime", nil, nil).Return.(*wire.Map)
	if m.Int("seconds") != 6721 || m.Int("days") != 0 || m.Text("time") != "1:52" || m.Int("users") != 1 {
		t.Errorf("got %s", pytext.Repr(m))
	}
	if since := m.Int("since_t"); since < before-6721 || since > time.Now().Unix()-6721 {
		t.Errorf("since_t = %d", since)
	}
	if _, err := time.Parse("2006-01-02T15:04:05.000000", m.Text("since_iso")); err != nil {
		t.Error(err)
	}
}

// TestStatusThisMachine: every function answers with its shape here.
func TestStatusThisMachine(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("Linux only")
	}
	r := New()
	run := func(fun string, args ...any) any {
		t.Helper()
		res := r.Run(t.Context(), nil, fun, args, nil)
		if res.Err != nil {
			t.Errorf("%s%v: %v", fun, args, res.Err)
		}
		return res.Return
	}
	load := run("status.loadavg").(*wire.Map)
	for _, k := range []string{"1-min", "5-min", "15-min"} {
		if v, ok := load.Get(k); !ok || pytext.TypeName(v) != "float" {
			t.Errorf("status.loadavg: %s is %v", k, v)
		}
	}
	if n := run("status.nproc"); n != int64(runtime.NumCPU()) {
		t.Errorf("status.nproc = %v", n)
	}
	me := pytext.Str(os.Getpid())
	procs := run("status.procs").(*wire.Map)
	if p := procs.Map(me); p.Text("user") == "" || !strings.Contains(p.Text("cmd"), filepath.Base(os.Args[0])) {
		t.Errorf("status.procs has of this test: %v", p)
	}
	if got := run("status.pid", filepath.Base(os.Args[0])); strings.Contains(got.(string), me) {
		t.Errorf("status.pid has this process: %v", got)
	}
	if root := run("status.diskusage", "/").(*wire.Map).Map("/"); root.Int("total") <= 0 || root.Int("available") < 0 {
		t.Errorf("status.diskusage /: %v", root)
	}
	if all := run("status.diskusage").(*wire.Map); !all.Has("/proc") {
		t.Errorf("status.diskusage has no /proc: %v", all)
	}
	if got := run("status.master"); got != nil {
		t.Errorf("status.master = %v", got)
	}
	if got := run("status.master", "127.0.0.1"); got != false && got != true {
		t.Errorf("status.master 127.0.0.1 = %v", got)
	}
	if res := r.Run(t.Context(), nil, "status.pid", []any{"("}, nil); res.Success {
		t.Error("status.pid took a bad expression")
	}
}

func TestStrftime(t *testing.T) {
	at := time.Date(2026, 1, 4, 15, 4, 5, 67000, time.UTC)
	for format, want := range map[string]string{
		"%A, %d. %B %Y %I:%M%p":    "Sunday, 04. January 2026 03:04PM",
		"%a %b %e %H:%M:%S %y":     "Sun Jan  4 15:04:05 26",
		"%j %u %w %U %W %V %G %g":  "004 7 0 01 00 01 2026 26",
		"%s %f %% %Q %":            "1767539045 000067 % %Q %",
		"%D|%F|%R|%T|%r|%c|%x|%X":  "01/04/26|2026-01-04|15:04|15:04:05|03:04:05 PM|Sun Jan  4 15:04:05 2026|01/04/26|15:04:05",
		"%k%l%P%C%n%t%z%Z":         "15 3pm20\n\t+0000UTC",
		"no sign 2006 Mon January": "no sign 2006 Mon January",
	} {
		if got := pydate.Strftime(at, format); got != want {
			t.Errorf("%q: got %q, want %q", format, got, want)
		}
	}
}

func TestReadUtmp(t *testing.T) {
	for arch, size := range map[string]int{"amd64": 384, "arm64": 400} {
		b := make([]byte, 2*size+10)
		b[0] = 2 // the start of the system
		r := b[size:]
		r[0] = 7
		binary.NativeEndian.PutUint32(r[4:], 812)
		copy(r[8:], "pts/0")
		copy(r[44:], "alice")
		copy(r[76:], "192.0.2.7")
		if size == 384 {
			binary.NativeEndian.PutUint32(r[340:], 1700000000)
		} else {
			binary.NativeEndian.PutUint64(r[344:], 1700000000)
		}
		got := readUtmp(b, arch)
		want := session{user: "alice", terminal: "pts/0", host: "192.0.2.7", started: 1700000000, pid: 812}
		if len(got) != 1 || got[0] != want {
			t.Errorf("%s: %+v", arch, got)
		}
	}
}
