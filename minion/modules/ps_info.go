package modules

import (
	"context"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() { register("ps.proc_info", psProcInfo) }

// procAttrs are what ps.proc_info can tell of a process. Nil stands for what only
// root, or the process's own user, may see.
var procAttrs = map[string]func(c *module.Call, p *process) any{
	"cmdline":      func(c *module.Call, p *process) any { return slices.Clone(p.argv) },
	"cpu_num":      func(c *module.Call, p *process) any { return p.statField(39) },
	"cpu_percent":  func(c *module.Call, p *process) any { return 0.0 }, // of the first look at a process
	"cpu_times":    func(c *module.Call, p *process) any { return p.cpuTimes() },
	"create_time":  func(c *module.Call, p *process) any { return createTime(c, p) },
	"cwd":          func(c *module.Call, p *process) any { return p.link(c, "cwd") },
	"exe":          func(c *module.Call, p *process) any { return p.link(c, "exe") },
	"environ":      func(c *module.Call, p *process) any { return p.environ(c) },
	"gids":         func(c *module.Call, p *process) any { return p.ids(c, "Gid:") },
	"uids":         func(c *module.Call, p *process) any { return p.ids(c, "Uid:") },
	"io_counters":  func(c *module.Call, p *process) any { return p.io(c) },
	"memory_info":  func(c *module.Call, p *process) any { return memoryInfo(c, p.pid) },
	"name":         func(c *module.Call, p *process) any { return p.name() },
	"nice":         func(c *module.Call, p *process) any { return p.statField(19) },
	"num_fds":      func(c *module.Call, p *process) any { return p.openFiles(c) },
	"num_threads":  func(c *module.Call, p *process) any { return p.statField(20) },
	"pid":          func(c *module.Call, p *process) any { return int64(p.pid) },
	"ppid":         func(c *module.Call, p *process) any { return int64(p.ppid) },
	"status":       func(c *module.Call, p *process) any { return p.stateName() },
	"terminal":     func(c *module.Call, p *process) any { return terminalName(p.statField(7)) },
	"threads":      func(c *module.Call, p *process) any { return p.threads(c) },
	"username":     func(c *module.Call, p *process) any { return p.user },
	"cpu_affinity": func(c *module.Call, p *process) any { return p.affinity(c) },
	"memory_percent": func(c *module.Call, p *process) any {
		all, err := memory(c)
		if err != nil || all["MemTotal"] == 0 {
			return nil
		}
		return float64(memoryInfo(c, p.pid)[0].(int64)) / float64(all["MemTotal"]) * 100
	},
	"num_ctx_switches": func(c *module.Call, p *process) any {
		return []any{p.statusInt(c, "voluntary_ctxt_switches:"), p.statusInt(c, "nonvoluntary_ctxt_switches:")}
	},
}

// procAttrsPlanned are further ones that Salt has.
var procAttrsPlanned = []string{"connections", "ionice", "memory_full_info", "memory_maps", "open_files"}

type psProcInfoArgs struct {
	Pid   int      // Id of the process.
	Attrs []string `default:"None"` // What is asked for: name, status, memory_info and so on; all where it is left out.
}

// psProcInfo returns what the system knows of a process.
//
//	gosalt '*' ps.proc_info 2322
//	gosalt '*' ps.proc_info 2322 attrs='["pid", "name"]'
func psProcInfo(ctx context.Context, c *module.Call, a psProcInfoArgs) (*wire.Map, error) {
	if err := linuxOnly("what a process does"); err != nil {
		return nil, err
	}
	names := a.Attrs
	if names == nil {
		for n := range procAttrs {
			names = append(names, n)
		}
		slices.Sort(names)
	}
	for _, n := range names {
		if slices.Contains(procAttrsPlanned, n) {
			return nil, module.Failf("attribute %s of a process is not available in gosalt yet", n)
		}
		if procAttrs[n] == nil {
			return nil, module.Invalidf("invalid attr name '%s'", n)
		}
	}
	p, err := readProcess(c, a.Pid)
	if errors.Is(err, errNoProcess) {
		return nil, module.Failf("process PID not found (pid=%d)", a.Pid)
	}
	if err != nil {
		return nil, module.Failf("process %d: %w", a.Pid, err)
	}
	if p.user = c.Host.UserName(p.uid); p.user == "" {
		p.user = strconv.Itoa(p.uid)
	}
	ret := wire.NewMap()
	for _, n := range names {
		ret.Set(n, procAttrs[n](c, &p))
	}
	return ret, nil
}

// file reads one of a process's files, "" where that is not allowed.
func (p *process) file(c *module.Call, name string) string {
	b, _ := os.ReadFile(c.Host.Path("/proc/" + strconv.Itoa(p.pid) + "/" + name))
	return string(b)
}

func (p *process) link(c *module.Call, name string) any {
	to, err := os.Readlink(c.Host.Path("/proc/" + strconv.Itoa(p.pid) + "/" + name))
	if err != nil {
		return nil
	}
	return strings.TrimSuffix(to, " (deleted)")
}

func createTime(c *module.Call, p *process) any {
	boot, err := bootTime(c)
	if err != nil {
		return nil
	}
	return p.started(boot)
}

func (p *process) environ(c *module.Call) any {
	b, err := os.ReadFile(c.Host.Path("/proc/" + strconv.Itoa(p.pid) + "/environ"))
	if err != nil {
		return nil
	}
	env := wire.NewMap()
	for _, e := range strings.Split(string(b), "\x00") {
		if k, v, ok := strings.Cut(e, "="); ok {
			env.Set(k, v)
		}
	}
	return env
}

// ids are the real, effective and saved id.
func (p *process) ids(c *module.Call, name string) any {
	f := strings.Fields(statusLine(p.file(c, "status"), name))
	return numbersOf(f[:min(len(f), 3)])
}

func (p *process) statusInt(c *module.Call, name string) any {
	return number(statusLine(p.file(c, "status"), name))
}

// io is what a process read and wrote: calls, bytes of files, bytes in all.
func (p *process) io(c *module.Call) any {
	text := p.file(c, "io")
	if text == "" {
		return nil
	}
	var out []any
	for _, name := range []string{"syscr:", "syscw:", "read_bytes:", "write_bytes:", "rchar:", "wchar:"} {
		out = append(out, number(statusLine(text, name)))
	}
	return out
}

func (p *process) openFiles(c *module.Call) any {
	fds, err := os.ReadDir(c.Host.Path("/proc/" + strconv.Itoa(p.pid) + "/fd"))
	if err != nil {
		return nil
	}
	return int64(len(fds))
}

// threads are id, and seconds in the program and in the system, of each.
func (p *process) threads(c *module.Call) any {
	dir := "/proc/" + strconv.Itoa(p.pid) + "/task"
	entries, err := os.ReadDir(c.Host.Path(dir))
	if err != nil {
		return nil
	}
	out := []any{}
	for _, tid := range numbers(entries) {
		b, err := os.ReadFile(c.Host.Path(dir + "/" + strconv.Itoa(tid) + "/stat"))
		if err != nil {
			continue
		}
		t := process{stat: strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))}
		out = append(out, []any{int64(tid), float64(t.statField(14)) / ticks, float64(t.statField(15)) / ticks})
	}
	return out
}

// affinity are the processors that a process may run on: "0-3,6".
func (p *process) affinity(c *module.Call) any {
	out := []any{}
	for _, part := range strings.Split(statusLine(p.file(c, "status"), "Cpus_allowed_list:"), ",") {
		from, to, isRange := strings.Cut(part, "-")
		first, err := strconv.ParseInt(from, 10, 32)
		if err != nil {
			return nil
		}
		last := first
		if isRange {
			if last, err = strconv.ParseInt(to, 10, 32); err != nil {
				return nil
			}
		}
		for n := first; n <= last; n++ {
			out = append(out, n)
		}
	}
	return out
}

// terminalName is the file of a terminal by the number of its device, nil for none.
func terminalName(device int64) any {
	major, minor := device>>8&0xfff, device&0xff|device>>12&0xfff00
	switch {
	case device == 0:
		return nil
	case major >= 136 && major <= 143:
		return "/dev/pts/" + strconv.FormatInt((major-136)<<8|minor, 10)
	case major == 4 && minor < 64:
		return "/dev/tty" + strconv.FormatInt(minor, 10)
	case major == 4:
		return "/dev/ttyS" + strconv.FormatInt(minor-64, 10)
	case major == 5 && minor == 1:
		return "/dev/console"
	}
	return nil
}
