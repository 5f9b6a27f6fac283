package modules

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	saltNames["ps"] = `boot_time cpu_percent cpu_times disk_io_counters disk_partition_usage disk_partitions disk_usage get_pid_list
		get_users kill_pid lsof netstat network_io_counters num_cpus pgrep pkill proc_info psaux ss status swap_memory top
		total_physical_memory virtual_memory`
}

// TestRecordedPs reads the files of /proc that Salt read when it was recorded.
func TestRecordedPs(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("Linux only")
	}
	runRecorded(t, "testdata/ps.json", false, func() *module.Call { return rootedCall("testdata") })
}

// TestPsProcesses starts a process, finds it in every way, and ends it.
func TestPsProcesses(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("Linux only")
	}
	sleepProgram, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip("sleep is not installed")
	}
	program := filepath.Join(t.TempDir(), "gosalt-test-of-processes") // a name longer than the kernel keeps
	if err := os.Symlink(sleepProgram, program); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	pid := int64(cmd.Process.Pid)
	r := New()
	run := func(fun string, args ...any) any {
		t.Helper()
		res := r.Run(t.Context(), nil, fun, args, nil)
		if res.Err != nil {
			t.Errorf("%s%v: %v", fun, args, res.Err)
		}
		return res.Return
	}
	if got, _ := run("ps.get_pid_list").([]any); !slices.Contains(got, any(pid)) {
		t.Errorf("ps.get_pid_list lacks %d: %v", pid, got)
	}
	want := pytext.Repr([]any{pid})
	if got := pytext.Repr(run("ps.pgrep", "gosalt-test-of-proc")); got != want {
		t.Errorf("ps.pgrep = %s, want %s", got, want)
	}
	if got := pytext.Repr(run("ps.pgrep", "^gosalt-test-of-processes$", nil, false, true)); got != want {
		t.Errorf("ps.pgrep with a regular expression = %s, want %s", got, want)
	}
	if got := pytext.Repr(run("ps.pgrep", "processes 1000", nil, true)); got != want {
		t.Errorf("ps.pgrep with full = %s, want %s", got, want)
	}
	if got := run("ps.pgrep", "gosalt-test-of-proc", "no such user"); got != nil {
		t.Errorf("ps.pgrep of another user = %v", got)
	}
	info := run("ps.proc_info", pid).(*wire.Map)
	if info.Text("name") != "gosalt-test-of-processes" || pytext.Repr(info.List("cmdline")) != pytext.Repr([]any{program, "1000"}) ||
		info.Int("ppid") != int64(os.Getpid()) || info.Int("pid") != pid || info.Int("num_threads") != 1 || info.Text("username") == "" {
		t.Errorf("ps.proc_info: %s", pytext.Repr(info))
	}
	if uids := info.List("uids"); len(uids) != 3 || uids[0] != int64(os.Getuid()) {
		t.Errorf("uids = %v", uids)
	}
	for _, fun := range []string{"memory_info", "cpu_times", "num_ctx_switches", "cpu_affinity", "threads", "io_counters"} {
		if len(info.List(fun)) == 0 {
			v, _ := info.Get(fun)
			t.Errorf("%s = %v", fun, v)
		}
	}
	one := run("ps.proc_info", pid, []any{"pid", "nice"}).(*wire.Map)
	if got := pytext.Repr(one); !strings.HasPrefix(got, "{'pid': "+pytext.Str(pid)+", 'nice': ") || one.Len() != 2 {
		t.Errorf("ps.proc_info of two attributes = %s", got)
	}
	if got := pytext.Repr(run("ps.pkill", "gosalt-test-of-processes")); got != "{'killed': "+want+"}" {
		t.Errorf("ps.pkill = %s", got)
	}
	if state, err := cmd.Process.Wait(); err != nil || state.Success() {
		t.Errorf("the process ended with %v, %v", state, err)
	}
	if got := run("ps.kill_pid", pid); got != false {
		t.Errorf("ps.kill_pid of a process that ended = %v", got)
	}
	if got := run("ps.pkill", "gosalt-test-of-processes"); got != nil {
		t.Errorf("ps.pkill of nothing = %v", got)
	}
	res := r.Run(t.Context(), nil, "ps.proc_info", []any{pid}, nil)
	if want := "ERROR: process PID not found (pid=" + pytext.Str(pid) + ")"; res.Return != want {
		t.Errorf("ps.proc_info of a process that ended = %v", res.Return)
	}
}

func TestPsThisMachine(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("Linux only")
	}
	r := New()
	run := func(fun string, kwargs ...any) any {
		t.Helper()
		res := r.Run(t.Context(), nil, fun, nil, wire.NewMap(kwargs...))
		if res.Err != nil {
			t.Errorf("%s%v: %v", fun, kwargs, res.Err)
		}
		return res.Return
	}
	top := run("ps.top", "num_processes", int64(2), "interval", 0.01).([]any)
	if len(top) != 2 {
		t.Fatalf("ps.top = %v", top)
	}
	keys := ""
	for k := range top[0].(*wire.Map).Strings() {
		keys += k + " "
	}
	if keys != "cmd user status pid create_time cpu mem " {
		t.Errorf("ps.top: %s", keys)
	}
	if n := run("ps.num_cpus").(int64); n < 1 {
		t.Errorf("ps.num_cpus = %d", n)
	}
	for _, v := range append(run("ps.cpu_percent", "per_cpu", true, "interval", 0.01).([]any), run("ps.cpu_percent", "interval", 0.01)) {
		if p := v.(float64); p < 0 || p > 100 {
			t.Errorf("ps.cpu_percent = %v", v)
		}
	}
	if got := run("ps.disk_usage", "path", "/").(*wire.Map); got.Int("total") <= 0 || got.Int("used") <= 0 {
		t.Errorf("ps.disk_usage = %v", got)
	}
	all := run("ps.disk_partitions", "all", true).([]any)
	if len(all) == 0 || len(run("ps.disk_partitions").([]any)) > len(all) {
		t.Errorf("ps.disk_partitions = %v", all)
	}
	for _, v := range run("ps.disk_partition_usage").([]any) {
		if m := v.(*wire.Map); !m.Has("mountpoint") || !m.Has("percent") {
			t.Errorf("ps.disk_partition_usage has %v", m)
		}
	}
	if got := run("ps.boot_time", "time_format", "%Y").(string); len(got) != 4 {
		t.Errorf("ps.boot_time = %v", got)
	}
	run("ps.get_users")
	run("ps.disk_io_counters")
	run("ps.network_io_counters")
	if res := r.Run(context.Background(), nil, "ps.proc_info", []any{int64(1), []any{"bogus"}}, nil); res.Success {
		t.Error("ps.proc_info took an unknown attribute")
	}
	if res := r.Run(context.Background(), nil, "ps.kill_pid", []any{int64(-1)}, nil); res.Success {
		t.Error("ps.kill_pid took -1, which is all processes")
	}
}

func TestSplitCmdline(t *testing.T) {
	for in, want := range map[string]string{
		"":                            "[]",
		"/bin/a\x00-b\x00":            "['/bin/a', '-b']",
		"/bin/a\x00\x00-b\x00":        "['/bin/a', '', '-b']",
		"sshd: root@pts/0":            "['sshd:', 'root@pts/0']",
		"nginx: master process x\x00": "['nginx:', 'master', 'process', 'x']",
	} {
		if got := pytext.Repr(anyOf(splitCmdline(in))); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

func TestTerminalName(t *testing.T) {
	for dev, want := range map[int64]any{0: nil, 0x8800: "/dev/pts/0", 0x8803: "/dev/pts/3", 0x401: "/dev/tty1", 0x440: "/dev/ttyS0", 0x501: "/dev/console"} {
		if got := terminalName(dev); got != want {
			t.Errorf("%#x: got %v, want %v", dev, got, want)
		}
	}
}
