package modules

import (
	"context"
	"fmt"
	"math"
	"net"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pydate"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("status.loadavg", statusLoadavg)
	register("status.uptime", statusUptime)
	register("status.meminfo", statusMeminfo)
	register("status.cpuinfo", statusCpuinfo)
	register("status.cpustats", statusCpustats)
	register("status.diskstats", statusDiskstats)
	register("status.diskusage", statusDiskusage)
	register("status.vmstats", statusVmstats)
	register("status.nproc", statusNproc)
	register("status.netstats", statusNetstats)
	register("status.netdev", statusNetdev)
	register("status.w", statusW)
	register("status.all_status", statusAllStatus)
	register("status.procs", statusProcs)
	register("status.pid", statusPid)
	register("status.version", statusVersion)
	register("status.master", statusMaster)
	register("status.time", statusTime)
	register("status.custom", statusCustom)
	register("status.ping_master", statusPingMaster)
	planned("There are no proxy minions.", "status.proxy_reconnect")
}

// number is a text as the number that it is, else as it came.
func number(s string) any {
	if s != "" && strings.Trim(s, "0123456789") == "" {
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			return n
		}
		if n, err := strconv.ParseUint(s, 10, 64); err == nil {
			return n
		}
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) {
		return f
	}
	return s
}

func numbersOf(words []string) []any {
	out := make([]any, len(words))
	for i, w := range words {
		out[i] = number(w)
	}
	return out
}

// zip is a map of names and the words at these places, as numbers. Places that a line
// does not have are left out: older kernels print fewer.
func zip(words []string, names ...string) *wire.Map {
	m := wire.NewMap()
	for i, name := range names {
		if i < len(words) {
			m.Set(name, number(words[i]))
		}
	}
	return m
}

// procLines reads a file of /proc as lines of words, without empty ones.
func procLines(c *module.Call, path string) ([][]string, error) {
	text, err := procFile(c, path)
	if err != nil {
		return nil, err
	}
	var out [][]string
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 0 {
			out = append(out, f)
		}
	}
	return out, nil
}

// statusLoadavg returns how many processes ran or waited to, on average.
//
//	gosalt '*' status.loadavg
func statusLoadavg(ctx context.Context, c *module.Call, a noArgs) (*wire.Map, error) {
	load, err := loadAverage(c)
	if err != nil {
		return nil, err
	}
	return wire.NewMap("1-min", load[0], "5-min", load[1], "15-min", load[2]), nil
}

// statusUptime returns how long the system runs, since when, and how many are logged
// in.
//
//	gosalt '*' status.uptime
func statusUptime(ctx context.Context, c *module.Call, a noArgs) (*wire.Map, error) {
	lines, err := procLines(c, "/proc/uptime")
	if err != nil {
		return nil, err
	}
	if len(lines) == 0 {
		return nil, module.Failf("/proc/uptime is empty")
	}
	up, err := strconv.ParseFloat(lines[0][0], 64)
	if err != nil {
		return nil, module.Failf("/proc/uptime: %w", err)
	}
	users, err := loggedIn(c)
	if err != nil {
		return nil, err
	}
	seconds := int64(up)
	since := time.Now().UTC().Add(-time.Duration(seconds) * time.Second)
	return wire.NewMap("seconds", seconds, "since_iso", since.Format("2006-01-02T15:04:05.000000"), "since_t", since.Unix(),
		"days", seconds/86400, "time", fmt.Sprintf("%d:%d", seconds%86400/3600, seconds%3600/60),
		"users", int64(max(1, len(users)))), nil // Salt counts lines of output: one, when nobody is
}

// statusMeminfo returns what the kernel tells of its memory.
//
//	gosalt '*' status.meminfo
func statusMeminfo(ctx context.Context, c *module.Call, a noArgs) (*wire.Map, error) {
	lines, err := procLines(c, "/proc/meminfo")
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap()
	for _, f := range lines {
		if len(f) < 2 {
			continue
		}
		m := wire.NewMap("value", f[1])
		if len(f) > 2 {
			m.Set("unit", f[2])
		}
		ret.Set(strings.ReplaceAll(f[0], ":", ""), m)
	}
	return ret, nil
}

// statusCpuinfo returns what the kernel tells of the processors; of several, each
// value is that of the last.
//
//	gosalt '*' status.cpuinfo
func statusCpuinfo(ctx context.Context, c *module.Call, a noArgs) (*wire.Map, error) {
	text, err := procFile(c, "/proc/cpuinfo")
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap()
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimRight(line, "\n"), ":")
		if len(f) < 2 {
			continue
		}
		if key := strings.TrimSpace(f[0]); key == "flags" {
			ret.Set(key, strings.Fields(f[1]))
		} else {
			ret.Set(key, strings.TrimSpace(f[1]))
		}
	}
	return ret, nil
}

// statusCpustats returns what processors spent their time on, in ticks, and counters
// of the kernel.
//
//	gosalt '*' status.cpustats
func statusCpustats(ctx context.Context, c *module.Call, a noArgs) (*wire.Map, error) {
	lines, err := procLines(c, "/proc/stat")
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap()
	for _, f := range lines {
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "cpu":
			t := zip(f[1:], "user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
			m := wire.NewMap()
			for _, name := range []string{"idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user"} {
				if v, ok := t.Get(name); ok {
					m.Set(name, v)
				}
			}
			ret.Set("cpu", m)
		case "intr":
			ret.Set("intr", wire.NewMap("total", number(f[1]), "irqs", numbersOf(f[2:])))
		case "softirq":
			ret.Set("softirq", wire.NewMap("total", number(f[1]), "softirqs", numbersOf(f[2:])))
		default:
			ret.Set(f[0], number(f[1]))
		}
	}
	return ret, nil
}

// statusDiskstats returns the kernel's counters of disks and their parts.
//
//	gosalt '*' status.diskstats
func statusDiskstats(ctx context.Context, c *module.Call, a noArgs) (*wire.Map, error) {
	lines, err := procLines(c, "/proc/diskstats")
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap()
	for _, f := range lines {
		if len(f) > 2 {
			ret.Set(f[2], zip(f, "major", "minor", "device", "reads_issued", "reads_merged", "sectors_read", "ms_spent_reading",
				"writes_completed", "writes_merged", "sectors_written", "ms_spent_writing", "io_in_progress", "ms_spent_in_io",
				"weighted_ms_spent_in_io"))
		}
	}
	return ret, nil
}

type statusDiskusageArgs struct {
	Paths []any `arg:"*"` // Paths, or kinds of file systems as shell patterns; without any, all file systems.
}

// statusDiskusage returns the size of file systems and what is free there, in bytes.
//
//	gosalt '*' status.diskusage
//	gosalt '*' status.diskusage / /boot
//	gosalt '*' status.diskusage 'ext?' xfs
func statusDiskusage(ctx context.Context, c *module.Call, a statusDiskusageArgs) (*wire.Map, error) {
	var paths, kinds []string
	for _, p := range a.Paths {
		if s := textOf(p); strings.HasPrefix(s, "/") {
			paths = append(paths, s)
		} else {
			kinds = append(kinds, s)
		}
	}
	if len(a.Paths) == 0 {
		kinds = []string{"*"}
	}
	if len(kinds) > 0 {
		all, err := mounts(c)
		if err != nil {
			return nil, err
		}
		for _, m := range all {
			if slices.ContainsFunc(kinds, func(k string) bool { return globMatch(k, m.kind) }) {
				paths = append(paths, m.path)
			}
		}
	}
	ret := wire.NewMap()
	for i, path := range paths {
		fs, err := statFS(c.Host.Path(path))
		if err != nil && i < len(a.Paths)-len(kinds) {
			return nil, module.Failf("size of %s: %w", path, err)
		}
		if err != nil {
			c.Log.Debug("file system not asked for its size", "path", path, "error", err)
			continue
		}
		ret.Set(path, wire.NewMap("available", wireUint(fs.available*fs.blockSize), "total", wireUint(fs.blocks*fs.blockSize)))
	}
	return ret, nil
}

// wireUint is a number of bytes as the wire has numbers.
func wireUint(n uint64) any {
	if n > math.MaxInt64 {
		return n
	}
	return int64(n)
}

// statusVmstats returns the kernel's counters of its memory.
//
//	gosalt '*' status.vmstats
func statusVmstats(ctx context.Context, c *module.Call, a noArgs) (*wire.Map, error) {
	lines, err := procLines(c, "/proc/vmstat")
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap()
	for _, f := range lines {
		if len(f) > 1 {
			ret.Set(f[0], number(f[1]))
		}
	}
	return ret, nil
}

// statusNproc returns how many processors the minion may use.
//
//	gosalt '*' status.nproc
func statusNproc(ctx context.Context, c *module.Call, a noArgs) (int, error) {
	return runtime.NumCPU(), nil
}

// statusNetstats returns the kernel's counters of TCP and IP. As in Salt the last one
// of each line is left out.
//
//	gosalt '*' status.netstats
func statusNetstats(ctx context.Context, c *module.Call, a noArgs) (*wire.Map, error) {
	lines, err := procLines(c, "/proc/net/netstat")
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap()
	var names []string
	for _, f := range lines {
		if len(names) == 0 || f[0] != names[0] {
			names = f
			continue
		}
		last := min(len(names), len(f)) - 1
		ret.Set(strings.ReplaceAll(f[0], ":", ""), zip(f[1:max(1, last)], names[1:max(1, last)]...))
	}
	return ret, nil
}

// statusNetdev returns the kernel's counters of network interfaces.
//
//	gosalt '*' status.netdev
func statusNetdev(ctx context.Context, c *module.Call, a noArgs) (*wire.Map, error) {
	text, err := procFile(c, "/proc/net/dev")
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap()
	for line := range strings.Lines(text) {
		name, counters, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		m := zip(strings.Fields(counters), "rx_bytes", "rx_packets", "rx_errs", "rx_drop", "rx_fifo", "rx_frame", "rx_compressed",
			"rx_multicast", "tx_bytes", "tx_packets", "tx_errs", "tx_drop", "tx_fifo", "tx_colls", "tx_carrier", "tx_compressed")
		keys, vals, _ := pytext.Sorted(m)
		sorted := wire.NewMap("iface", strings.TrimSpace(name))
		for i, k := range keys {
			sorted.SetAny(k, vals[i])
		}
		ret.Set(strings.TrimSpace(name), sorted)
	}
	return ret, nil
}

// statusW returns who is logged in and what they do, as the program w tells.
//
//	gosalt '*' status.w
func statusW(ctx context.Context, c *module.Call, a noArgs) ([]any, error) {
	out, err := runProgram(ctx, c, "w", "-fh")
	if err != nil {
		return nil, err
	}
	users := []any{}
	for line := range strings.Lines(out.Text("stdout")) {
		if f := strings.Fields(line); len(f) > 5 {
			users = append(users, wire.NewMap("idle", f[3], "jcpu", f[4], "login", f[2], "pcpu", f[5], "tty", f[1], "user", f[0],
				"what", strings.Join(f[6:], " ")))
		}
	}
	return users, nil
}

// statusAllStatus returns what the other functions of this module tell, together.
//
//	gosalt '*' status.all_status
func statusAllStatus(ctx context.Context, c *module.Call, a noArgs) (*wire.Map, error) {
	ret := wire.NewMap()
	for _, name := range []string{"cpuinfo", "cpustats", "diskstats", "diskusage", "loadavg", "meminfo", "netdev", "netstats", "uptime",
		"vmstats", "w"} {
		v, err := c.Call(ctx, "status."+name, nil, nil)
		if err != nil {
			return nil, err
		}
		ret.Set(name, v)
	}
	return ret, nil
}

// statusProcs returns the processes by their ids, each with user and command.
//
//	gosalt '*' status.procs
func statusProcs(ctx context.Context, c *module.Call, a noArgs) (*wire.Map, error) {
	all, err := processes(c)
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap()
	for _, p := range all {
		ret.Set(strconv.Itoa(p.pid), wire.NewMap("user", p.user, "cmd", strings.Join(strings.Fields(p.psCommand()), " ")))
	}
	return ret, nil
}

type statusPidArgs struct {
	Sig string // A regular expression.
}

// statusPid returns the ids of the processes whose user and command match a regular
// expression, one a line; the minion's own is left out.
//
//	gosalt '*' status.pid sshd
func statusPid(ctx context.Context, c *module.Call, a statusPidArgs) (string, error) {
	re, err := regexp.Compile(a.Sig)
	if err != nil {
		return "", module.Invalidf("%w", err)
	}
	all, err := processes(c)
	if err != nil {
		return "", err
	}
	var ids []string
	for _, p := range all {
		if p.pid != os.Getpid() && re.MatchString(p.user+" "+p.psCommand()) {
			ids = append(ids, strconv.Itoa(p.pid))
		}
	}
	return strings.Join(ids, "\n"), nil
}

// statusVersion returns what the kernel tells of itself.
//
//	gosalt '*' status.version
func statusVersion(ctx context.Context, c *module.Call, a noArgs) (string, error) {
	text, err := procFile(c, "/proc/version")
	return strings.TrimSpace(text), err
}

type statusMasterArgs struct {
	Master    string `default:"None"` // Name or address of the master.
	Connected bool   `default:"True"` // Without effect: a gosalt minion sees for itself when it loses its master.
}

// statusMaster tells whether this machine has a connection to the port that a master
// publishes on; None for a name that is not known.
//
//	gosalt '*' status.master salt.example.com
func statusMaster(ctx context.Context, c *module.Call, a statusMasterArgs) (any, error) {
	if a.Master == "" {
		return nil, nil
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", a.Master)
	if err != nil {
		c.Log.Debug("name of the master not found", "master", a.Master, "error", err)
		return nil, nil
	}
	port := c.Opts.Int("publish_port")
	if port == 0 {
		port = 4505
	}
	all, err := sockets(c, "tcp", "tcp6")
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		for _, addr := range addrs {
			if s.state == tcpEstablished && int64(s.remote.Port()) == port && s.remote.Addr().Unmap() == addr.Unmap() {
				return true, nil
			}
		}
	}
	return false, nil
}

type statusTimeArgs struct {
	Format string `default:"%A, %d. %B %Y %I:%M%p"` // How it is written, as pydate.Strftime(3) reads it.
}

// statusTime returns the machine's date and time.
//
//	gosalt '*' status.time
//	gosalt '*' status.time '%s'
func statusTime(ctx context.Context, c *module.Call, a statusTimeArgs) (string, error) {
	return pydate.Strftime(time.Now(), a.Format), nil
}

// statusCustom returns the values that the minion's configuration chooses from other
// functions: status.cpustats.custom is a list of what to take from status.cpustats.
//
//	gosalt '*' status.custom
func statusCustom(ctx context.Context, c *module.Call, a noArgs) (*wire.Map, error) {
	ret := wire.NewMap()
	chosen, err := configDotVals(ctx, c, configDotValsArgs{Value: "status"})
	if err != nil {
		return nil, err
	}
	for key, names := range chosen.Strings() {
		fun := key[:strings.LastIndexByte(key, '.')]
		list, ok := names.([]any)
		if fun == "status" || fun == "status.custom" || !ok {
			continue
		}
		if !c.Functions().Has(fun) {
			c.Log.Warn("custom status: no such function", "option", key, "fun", fun)
			continue
		}
		v, err := c.Call(ctx, fun, nil, nil)
		if err != nil {
			return nil, err
		}
		m, _ := v.(*wire.Map)
		for _, name := range list {
			value, ok := m.Get(textOf(name))
			if !ok {
				c.Log.Warn("custom status: the function does not return it", "fun", fun, "name", name)
				value = "UNKNOWN"
			}
			ret.Set(textOf(name), value)
		}
	}
	return ret, nil
}

type statusPingMasterArgs struct {
	Master string // Address of the master: "salt", "192.0.2.7", "[2001:db8::7]:4506".
}

// statusPingMaster tells whether a master answers at an address. The address may have a
// port; else it is that of the minion's configuration.
//
//	gosalt '*' status.ping_master salt.example.com
func statusPingMaster(ctx context.Context, c *module.Call, a statusPingMasterArgs) (bool, error) {
	if a.Master == "" {
		return false, nil
	}
	if c.Reach == nil {
		return false, module.Failf("this minion has no way to a master")
	}
	err := c.Reach(ctx, a.Master)
	if err != nil {
		c.Log.Info("no answer of a master", "master", a.Master, "error", err)
	}
	return err == nil, nil
}
