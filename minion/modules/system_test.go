package modules

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gosalt/gosalt/internal/module"
)

func init() {
	saltNames["system"] = `get_computer_desc get_computer_name get_reboot_required_witnessed get_system_date get_system_date_time
		get_system_time halt set_reboot_required_witnessed
		has_settable_hwclock init poweroff reboot set_computer_desc set_computer_name set_system_date set_system_date_time
		set_system_time shutdown`
}

// TestSystemTime: the layouts of Salt, and clocks that are ahead or behind.
func TestSystemTime(t *testing.T) {
	r := New()
	for fun, layout := range map[string]string{"get_system_time": "03:04:05 PM", "get_system_date": "Mon 01/02/2006", "get_system_date_time": "2006-01-02 15:04:05"} {
		got, _ := r.Run(t.Context(), nil, "system."+fun, nil, nil).Return.(string)
		if _, err := time.Parse(layout, got); err != nil {
			t.Errorf("system.%s: %v", fun, err)
		}
	}
	at := time.Date(2026, 11, 22, 23, 30, 0, 0, time.UTC)
	for offset, want := range map[any]string{"+0200": "2026-11-23 01:30", "-0530": "2026-11-22 18:00", "0100": "2026-11-23 00:30"} {
		got, err := offsetArgs{offset}.in(at)
		if err != nil || got.Format("2006-01-02 15:04") != want {
			t.Errorf("%v: got %v, %v; want %s", offset, got, err, want)
		}
	}
	for _, fun := range []string{"system.get_system_time", "system.get_system_date"} {
		if res := r.Run(t.Context(), nil, fun, []any{"+02:00"}, nil); res.Success || !strings.HasPrefix(res.Return.(string), "ERROR executing '"+fun+"': Invalid UTC offset") {
			t.Errorf("%s: %+v", fun, res)
		}
	}
}

// TestNewTime: what is given is replaced, and no time is made up.
func TestNewTime(t *testing.T) {
	now := time.Date(2026, 11, 22, 23, 30, 15, 0, time.UTC)
	n := func(i int64) *int64 { return &i }
	utc := offsetArgs{"+0000"}
	for _, tc := range []struct {
		args systemSetSystemDateTimeArgs
		want string // "" for an error
	}{
		{systemSetSystemDateTimeArgs{offsetArgs: utc}, "2026-11-22T23:30:15Z"},
		{systemSetSystemDateTimeArgs{Hours: n(1), Minutes: n(2), Seconds: n(3), offsetArgs: utc}, "2026-11-22T01:02:03Z"},
		{systemSetSystemDateTimeArgs{Years: n(2024), Months: n(2), Days: n(29), offsetArgs: utc}, "2024-02-29T23:30:15Z"},
		{systemSetSystemDateTimeArgs{Hours: n(1), offsetArgs: offsetArgs{"+0200"}}, "2026-11-23T01:30:15+02:00"},
		{systemSetSystemDateTimeArgs{Years: n(2023), Months: n(2), Days: n(29), offsetArgs: utc}, ""},
		{systemSetSystemDateTimeArgs{Hours: n(24), offsetArgs: utc}, ""},
		{systemSetSystemDateTimeArgs{Seconds: n(-1), offsetArgs: utc}, ""},
		{systemSetSystemDateTimeArgs{Years: n(20), offsetArgs: utc}, ""},
	} {
		got, err := tc.args.newTime(now)
		if (err != nil) != (tc.want == "") || err == nil && got.Format(time.RFC3339) != tc.want {
			t.Errorf("got %v, %v; want %q", got, err, tc.want)
		}
	}
	r := New()
	if res := r.Run(t.Context(), nil, "system.set_system_time", []any{"nonsense"}, nil); res.Return != false {
		t.Errorf("set_system_time: %+v", res)
	}
	if res := r.Run(t.Context(), nil, "system.set_system_date", []any{"nonsense"}, nil); res.Return != "ERROR executing 'system.set_system_date': Invalid date format" {
		t.Errorf("set_system_date: %+v", res)
	}
}

func TestComputerDesc(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("Linux only")
	}
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, "etc", "machine-info")
	r := New()
	onlyEnv(t, "PATH", t.TempDir())
	run := func(fun string, args ...any) any {
		return r.Run(t.Context(), rootedCall(root), "system."+fun, args, nil).Return
	}
	if got := run("get_computer_desc"); got != false {
		t.Errorf("without a file: %v", got)
	}
	for _, desc := range []string{"Michael's laptop", `a "quoted" \ one` + "\n\tand more"} {
		if got := run("set_computer_desc", desc); got != true {
			t.Errorf("set: %v", got)
		}
		if got := run("get_computer_desc"); got != desc {
			t.Errorf("got %q, want %q", got, desc)
		}
	}
	if err := os.WriteFile(file, []byte("ICON_NAME=computer\nPRETTY_HOSTNAME=old\nDEPLOYMENT=lab"), 0o644); err != nil {
		t.Fatal(err)
	}
	run("set_computer_desc", "new")
	b, _ := os.ReadFile(file)
	if want := "ICON_NAME=computer\nPRETTY_HOSTNAME=\"new\"\nDEPLOYMENT=lab\n"; string(b) != want {
		t.Errorf("got %q, want %q", b, want)
	}
}

// TestStopPrograms: what would be run, with programs that only write their arguments.
func TestStopPrograms(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("Linux only")
	}
	dir := t.TempDir()
	for _, name := range []string{"halt", "init", "poweroff", "shutdown"} {
		script := "#!/bin/sh\necho " + name + " \"$@\"\n"
		if name == "halt" {
			script += "echo not allowed >&2\nexit 3\n"
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	onlyEnv(t, "PATH", dir, "HOME", dir)
	r := New()
	for _, tc := range []struct {
		fun  string
		args []any
		want any
		code int
	}{
		{"system.halt", nil, "halt\nnot allowed", 3},
		{"system.init", []any{int64(3)}, "init 3", 0},
		{"system.poweroff", nil, "poweroff", 0},
		{"system.reboot", nil, "shutdown -r now", 0},
		{"system.reboot", []any{int64(5)}, "shutdown -r 5", 0},
		{"system.shutdown", []any{"22:30"}, "shutdown -h 22:30", 0},
		{"system.shutdown", []any{"-k"}, `ERROR executing 'system.shutdown': a time is expected, got "-k"`, 1},
		{"system.init", []any{int64(9)}, "ERROR executing 'system.init': a run level from 0 to 6 is expected, got 9", 1},
	} {
		if got := r.Run(t.Context(), &module.Call{}, tc.fun, tc.args, nil); got.Return != tc.want || got.Retcode != tc.code {
			t.Errorf("%s%v: %+v, want %q", tc.fun, tc.args, got, tc.want)
		}
	}
}
