package modules

import (
	"context"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pydate"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("ps.cpu_percent", psCPUPercent)
	register("ps.cpu_times", psCPUTimes)
	register("ps.virtual_memory", psVirtualMemory)
	register("ps.swap_memory", psSwapMemory)
	register("ps.disk_partitions", psDiskPartitions)
	register("ps.disk_usage", psDiskUsage)
	register("ps.disk_partition_usage", psDiskPartitionUsage)
	register("ps.total_physical_memory", psTotalPhysicalMemory)
	register("ps.num_cpus", psNumCpus)
	register("ps.boot_time", psBootTime)
	register("ps.network_io_counters", psNetworkIOCounters)
	register("ps.disk_io_counters", psDiskIOCounters)
	register("ps.get_users", psGetUsers)
}

// cpuNames are the kinds of time in /proc/stat.
var cpuNames = []string{"user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guest_nice"}

// cpuTicks are the times of all processors together, and of each.
func cpuTicks(c *module.Call) (all []float64, each [][]float64, err error) {
	lines, err := procLines(c, "/proc/stat")
	if err != nil {
		return nil, nil, err
	}
	for _, f := range lines {
		if !strings.HasPrefix(f[0], "cpu") {
			continue
		}
		times := make([]float64, len(cpuNames))
		for i := range times {
			if i+1 < len(f) {
				n, _ := strconv.ParseFloat(f[i+1], 64)
				times[i] = n / ticks
			}
		}
		if f[0] == "cpu" {
			all = times
		} else {
			each = append(each, times)
		}
	}
	if all == nil {
		return nil, nil, module.Failf("/proc/stat: the line cpu is missing")
	}
	return all, each, nil
}

func timesMap(times []float64) *wire.Map {
	m := wire.NewMap()
	for i, t := range times {
		m.Set(cpuNames[i], t)
	}
	return m
}

type psCPUTimesArgs struct {
	PerCPU bool `default:"False"` // Each processor by itself.
}

// psCPUTimes returns what processors spent their time on, in seconds.
//
//	gosalt '*' ps.cpu_times
func psCPUTimes(ctx context.Context, c *module.Call, a psCPUTimesArgs) (any, error) {
	all, each, err := cpuTicks(c)
	if err != nil || !a.PerCPU {
		return timesMap(all), err
	}
	out := []any{}
	for _, t := range each {
		out = append(out, timesMap(t))
	}
	return out, nil
}

type psCPUPercentArgs struct {
	Interval time.Duration `default:"0.1"`   // Seconds over which it is measured.
	PerCPU   bool          `default:"False"` // Each processor by itself.
}

// psCPUPercent returns how much of the processors is used, in percent.
//
//	gosalt '*' ps.cpu_percent
func psCPUPercent(ctx context.Context, c *module.Call, a psCPUPercentArgs) (any, error) {
	all, each, err := cpuTicks(c)
	if err != nil {
		return nil, err
	}
	if err := sleep(ctx, a.Interval); err != nil {
		return nil, err
	}
	all2, each2, err := cpuTicks(c)
	if err != nil {
		return nil, err
	}
	if !a.PerCPU {
		return busyPercent(all, all2), nil
	}
	out := []any{}
	for i := range min(len(each), len(each2)) {
		out = append(out, busyPercent(each[i], each2[i]))
	}
	return out, nil
}

// busyPercent is the part of the time between two looks that was neither idle nor
// spent waiting for disks. The time of guests is in that of user and nice already.
func busyPercent(before, after []float64) float64 {
	total, idle := 0.0, 0.0
	for i := range cpuNames[:8] {
		d := max(0, after[i]-before[i])
		total += d
		if i == 3 || i == 4 {
			idle += d
		}
	}
	if total == 0 {
		return 0
	}
	return round1((total - idle) / total * 100)
}

// memory is /proc/meminfo in bytes.
func memory(c *module.Call) (map[string]uint64, error) {
	lines, err := procLines(c, "/proc/meminfo")
	if err != nil {
		return nil, err
	}
	m := map[string]uint64{}
	for _, f := range lines {
		if len(f) > 1 {
			n, _ := strconv.ParseUint(f[1], 10, 64)
			if len(f) > 2 {
				n *= 1024
			}
			m[strings.TrimSuffix(f[0], ":")] = n
		}
	}
	return m, nil
}

// psVirtualMemory returns how the memory is used, in bytes.
//
//	gosalt '*' ps.virtual_memory
func psVirtualMemory(ctx context.Context, c *module.Call, a noArgs) (*wire.Map, error) {
	m, err := memory(c)
	if err != nil {
		return nil, err
	}
	total, free, buffers := m["MemTotal"], m["MemFree"], m["Buffers"]
	cached := m["Cached"] + m["SReclaimable"]
	used := total - free
	if rest := free + cached + buffers; rest <= total {
		used = total - rest
	}
	available, ok := m["MemAvailable"]
	if !ok || available > total {
		available = free
	}
	return wire.NewMap("total", wireUint(total), "available", wireUint(available), "percent", percentOf(total-available, total),
		"used", wireUint(used), "free", wireUint(free), "active", wireUint(m["Active"]), "inactive", wireUint(m["Inactive"]),
		"buffers", wireUint(buffers), "cached", wireUint(cached), "shared", wireUint(m["Shmem"]), "slab", wireUint(m["Slab"])), nil
}

// psSwapMemory returns how the swap space is used, in bytes, and how much came from
// and went to it since the start.
//
//	gosalt '*' ps.swap_memory
func psSwapMemory(ctx context.Context, c *module.Call, a noArgs) (*wire.Map, error) {
	m, err := memory(c)
	if err != nil {
		return nil, err
	}
	text, err := procFile(c, "/proc/vmstat")
	if err != nil {
		return nil, err
	}
	pages := func(name string) any { // of 4 KiB, whatever the machine's are
		n, _ := strconv.ParseUint(statusLine(text, name+" "), 10, 64)
		return wireUint(n * 4096)
	}
	total, free := m["SwapTotal"], m["SwapFree"]
	return wire.NewMap("total", wireUint(total), "used", wireUint(total-free), "free", wireUint(free), "percent", percentOf(total-free, total),
		"sin", pages("pswpin"), "sout", pages("pswpout")), nil
}

type psAllArgs struct {
	All bool `default:"False"` // Those without a disk, too.
}

// partitions are the mounted file systems; without all, those of a kind that has a
// disk (/proc/filesystems).
func partitions(c *module.Call, all bool) ([]any, error) {
	list, err := mounts(c)
	if err != nil {
		return nil, err
	}
	text, err := procFile(c, "/proc/filesystems")
	if err != nil {
		return nil, err
	}
	kinds := []string{"zfs"}
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) == 1 {
			kinds = append(kinds, f[0])
		}
	}
	out := []any{}
	for _, m := range list {
		if m.device == "none" {
			m.device = ""
		}
		if !all && (m.device == "" || !slices.Contains(kinds, m.kind)) {
			continue
		}
		longest := any(int64(255))
		if s, err := statFS(c.Host.Path(m.path)); err == nil {
			longest = s.nameMax
		}
		out = append(out, wire.NewMap("device", m.device, "mountpoint", m.path, "fstype", m.kind, "opts", m.options,
			"maxfile", longest, "maxpath", int64(4096)))
	}
	return out, nil
}

// psDiskPartitions returns the mounted file systems.
//
//	gosalt '*' ps.disk_partitions
func psDiskPartitions(ctx context.Context, c *module.Call, a psAllArgs) ([]any, error) {
	return partitions(c, a.All)
}

type psDiskUsageArgs struct {
	Path string // A path on the file system.
}

// psDiskUsage returns the size of a file system and what is used and free of it, in
// bytes.
//
//	gosalt '*' ps.disk_usage /home
func psDiskUsage(ctx context.Context, c *module.Call, a psDiskUsageArgs) (*wire.Map, error) {
	s, err := statFS(c.Host.Path(a.Path))
	if err != nil {
		return nil, module.Failf("size of the file system at %s: %w", a.Path, err)
	}
	used := s.blocks - s.free
	return wire.NewMap("total", wireUint(s.blocks*s.blockSize), "used", wireUint(used*s.blockSize), "free", wireUint(s.available*s.blockSize),
		"percent", percentOf(used, used+s.available)), nil
}

// psDiskPartitionUsage returns the mounted file systems with their sizes.
//
//	gosalt '*' ps.disk_partition_usage
func psDiskPartitionUsage(ctx context.Context, c *module.Call, a psAllArgs) ([]any, error) {
	list, err := partitions(c, a.All)
	if err != nil {
		return nil, err
	}
	for _, v := range list {
		m := v.(*wire.Map)
		size, err := psDiskUsage(ctx, c, psDiskUsageArgs{Path: m.Text("mountpoint")})
		if err != nil {
			return nil, err
		}
		for k, v := range size.Strings() {
			m.Set(k, v)
		}
	}
	return list, nil
}

// psTotalPhysicalMemory returns the size of the memory, in bytes.
//
//	gosalt '*' ps.total_physical_memory
func psTotalPhysicalMemory(ctx context.Context, c *module.Call, a noArgs) (any, error) {
	m, err := memory(c)
	return wireUint(m["MemTotal"]), err
}

// psNumCpus returns the number of processors.
//
//	gosalt '*' ps.num_cpus
func psNumCpus(ctx context.Context, c *module.Call, a noArgs) (int, error) {
	_, each, err := cpuTicks(c)
	return len(each), err
}

type psBootTimeArgs struct {
	TimeFormat string `default:"None"` // How it is written, as pydate.Strftime(3) reads it; else seconds since 1970.
}

// psBootTime returns when the system started.
//
//	gosalt '*' ps.boot_time
//	gosalt '*' ps.boot_time time_format='%d %b %Y'
func psBootTime(ctx context.Context, c *module.Call, a psBootTimeArgs) (any, error) {
	boot, err := bootTime(c)
	if err != nil {
		return nil, err
	}
	if a.TimeFormat == "" {
		return int64(boot), nil
	}
	return pydate.Strftime(time.Unix(int64(boot), 0), a.TimeFormat), nil
}

type psNetworkIOCountersArgs struct {
	Interface string `default:"None"` // Only this interface; else all together.
}

// psNetworkIOCounters returns what network interfaces sent and received; False for an
// interface that is not there.
//
//	gosalt '*' ps.network_io_counters interface=eth0
func psNetworkIOCounters(ctx context.Context, c *module.Call, a psNetworkIOCountersArgs) (any, error) {
	text, err := procFile(c, "/proc/net/dev")
	if err != nil {
		return nil, err
	}
	names := []string{"bytes_sent", "bytes_recv", "packets_sent", "packets_recv", "errin", "errout", "dropin", "dropout"}
	places := []int{8, 0, 9, 1, 2, 10, 3, 11}
	sums := make([]uint64, len(names))
	found := a.Interface == ""
	for line := range strings.Lines(text) {
		name, rest, ok := strings.Cut(line, ":")
		if !ok || a.Interface != "" && strings.TrimSpace(name) != a.Interface {
			continue
		}
		found = true
		addFields(sums, strings.Fields(rest), places)
	}
	if !found {
		return false, nil
	}
	return sumsMap(names, sums), nil
}

func addFields(sums []uint64, f []string, places []int) {
	for i, at := range places {
		if at < len(f) {
			n, _ := strconv.ParseUint(f[at], 10, 64)
			sums[i] += n
		}
	}
}

func sumsMap(names []string, sums []uint64) *wire.Map {
	m := wire.NewMap()
	for i, n := range names {
		m.Set(n, wireUint(sums[i]))
	}
	return m
}

type psDiskIOCountersArgs struct {
	Device string `default:"None"` // Only this disk, or part of one: sda1; else all disks together.
}

// psDiskIOCounters returns what disks read and wrote: calls, bytes and milliseconds;
// False for a disk that is not there.
//
//	gosalt '*' ps.disk_io_counters device=sda1
func psDiskIOCounters(ctx context.Context, c *module.Call, a psDiskIOCountersArgs) (any, error) {
	lines, err := procLines(c, "/proc/diskstats")
	if err != nil {
		return nil, err
	}
	names := []string{"read_count", "write_count", "read_bytes", "write_bytes", "read_time", "write_time", "read_merged_count",
		"write_merged_count", "busy_time"}
	places := []int{3, 7, 5, 9, 6, 10, 4, 8, 12}
	sums := make([]uint64, len(names))
	found := a.Device == ""
	for _, f := range lines {
		if len(f) < 14 {
			continue
		}
		if a.Device == "" {
			if _, err := os.Stat(c.Host.Path("/sys/block/" + strings.ReplaceAll(f[2], "/", "!"))); err != nil {
				continue // part of a disk, which is counted already
			}
		} else if f[2] != a.Device {
			continue
		}
		found = true
		addFields(sums, f, places)
	}
	if !found {
		return false, nil
	}
	const sector = 512 // bytes, whatever the disk's are
	sums[2] *= sector
	sums[3] *= sector
	return sumsMap(names, sums), nil
}

// psGetUsers returns who is logged in, where and since when.
//
//	gosalt '*' ps.get_users
func psGetUsers(ctx context.Context, c *module.Call, a noArgs) ([]any, error) {
	all, err := loggedIn(c)
	out := []any{}
	for _, s := range all {
		if s.host == ":0" || s.host == ":0.0" {
			s.host = "localhost"
		}
		out = append(out, wire.NewMap("name", s.user, "terminal", s.terminal, "host", s.host, "started", s.started, "pid", int64(s.pid)))
	}
	return out, err
}
