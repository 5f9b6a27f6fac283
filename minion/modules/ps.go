package modules

import (
	"context"
	"errors"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("ps.top", psTop)
	register("ps.get_pid_list", psGetPidList)
	register("ps.kill_pid", psKillPid)
	register("ps.pkill", psPkill)
	register("ps.pgrep", psPgrep)
	register("ps.status", psStatus)
	register("ps.psaux", psPsaux)
	register("ps.lsof", psLsof)
	register("ps.netstat", psNetstat)
	register("ps.ss", psSs)
}

// processStates are the words for the letters of the kernel.
var processStates = map[byte]string{
	'R': "running", 'S': "sleeping", 'D': "disk-sleep", 'T': "stopped", 't': "tracing-stop", 'Z': "zombie", 'X': "dead", 'x': "dead",
	'K': "wake-kill", 'W': "waking", 'I': "idle", 'P': "parked",
}

func (p *process) stateName() string {
	if s, ok := processStates[p.state]; ok {
		return s
	}
	return "?"
}

// words is the command line, or the name where there is none.
func (p *process) words() any {
	if len(p.argv) > 0 {
		return p.argv
	}
	return p.name()
}

// bootTime is when the system started, in seconds since 1970.
func bootTime(c *module.Call) (float64, error) {
	text, err := procFile(c, "/proc/stat")
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseFloat(statusLine(text, "btime"), 64)
	if err != nil {
		return 0, module.Failf("/proc/stat: the start of the system: %w", err)
	}
	return n, nil
}

type psTopArgs struct {
	NumProcesses int           `default:"5"` // How many processes.
	Interval     time.Duration `default:"3"` // Seconds over which their use is measured.
}

// psTop returns the processes that used most of the processors for a while, the
// first one most.
//
//	gosalt '*' ps.top
//	gosalt '*' ps.top 5 10
func psTop(ctx context.Context, c *module.Call, a psTopArgs) ([]any, error) {
	boot, err := bootTime(c)
	if err != nil {
		return nil, err
	}
	before := map[string]float64{}
	id := func(p process) string { return strconv.Itoa(p.pid) + " " + strconv.FormatInt(p.statField(22), 10) }
	all, err := processes(c)
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		before[id(p)] = p.cpuSeconds()
	}
	if err := sleep(ctx, a.Interval); err != nil {
		return nil, err
	}
	if all, err = processes(c); err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(p process) bool { _, known := before[id(p)]; return !known })
	slices.SortStableFunc(all, func(p, q process) int {
		used, more := p.cpuSeconds()-before[id(p)], q.cpuSeconds()-before[id(q)]
		switch {
		case used > more:
			return -1
		case used < more:
			return 1
		}
		return 0
	})
	out := []any{}
	for _, p := range all[:min(len(all), max(0, a.NumProcesses))] {
		out = append(out, wire.NewMap("cmd", p.words(), "user", p.user, "status", p.stateName(), "pid", int64(p.pid),
			"create_time", p.started(boot), "cpu", named(p.cpuTimes(), "user", "system", "children_user", "children_system", "iowait"),
			"mem", named(memoryInfo(c, p.pid), "rss", "vms", "shared", "text", "lib", "data", "dirty")))
	}
	return out, nil
}

// named is a map of names and the values at these places.
func named(values []any, names ...string) *wire.Map {
	m := wire.NewMap()
	for i, v := range values {
		m.Set(names[i], v)
	}
	return m
}

// cpuTimes is the time on processors, of itself and of children that ended, and that
// of waiting for disks, in seconds.
func (p *process) cpuTimes() []any {
	out := make([]any, 5)
	for i, n := range []int{14, 15, 16, 17, 42} {
		out[i] = float64(p.statField(n)) / ticks
	}
	return out
}

// memoryInfo is what a process has in memory, in bytes: resident, all, shared, its
// program, libraries, data, and what is still to be written.
func memoryInfo(c *module.Call, pid int) []any {
	b, _ := os.ReadFile(c.Host.Path("/proc/" + strconv.Itoa(pid) + "/statm"))
	f := append(strings.Fields(string(b)), make([]string, 7)...)
	out := make([]any, 7)
	for i, at := range []int{1, 0, 2, 3, 4, 5, 6} {
		n, _ := strconv.ParseInt(f[at], 10, 64)
		out[i] = n * int64(os.Getpagesize())
	}
	return out
}

// psGetPidList returns the ids of all processes.
//
//	gosalt '*' ps.get_pid_list
func psGetPidList(ctx context.Context, c *module.Call, a noArgs) ([]int, error) {
	if err := linuxOnly("the list of processes"); err != nil {
		return nil, err
	}
	return processIDs(c), nil
}

type psKillPidArgs struct {
	Pid    int // Id of the process.
	Signal int `default:"15"` // Number of the signal; 9 ends it for sure.
}

// psKillPid sends a process a signal, and tells whether there is such a process.
//
//	gosalt '*' ps.kill_pid 2000 signal=9
func psKillPid(ctx context.Context, c *module.Call, a psKillPidArgs) (bool, error) {
	return sendSignal(a.Pid, a.Signal)
}

func sendSignal(pid, sig int) (bool, error) {
	if pid <= 0 {
		return false, module.Invalidf("the id of a process is expected, got %d", pid)
	}
	err := signalProcess(pid, sig)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, os.ErrProcessDone):
		return false, nil
	}
	return false, module.Failf("send signal %d to process %d: %w", sig, pid, err)
}

type psPkillArgs struct {
	Pattern string // Part of the name of a process.
	User    string `default:"None"`  // Only the processes of this user.
	Signal  int    `default:"15"`    // Number of the signal.
	Full    bool   `default:"False"` // Look at whole command lines.
}

// psPkill sends a signal to all processes whose name has this in it, and returns
// their ids; None where there are none. The minion itself is left out.
//
//	gosalt '*' ps.pkill httpd signal=9
//	gosalt '*' ps.pkill bash user=tom
func psPkill(ctx context.Context, c *module.Call, a psPkillArgs) (*wire.Map, error) {
	found, err := grepProcesses(c, a.User, a.Full, func(s string) bool { return strings.Contains(s, a.Pattern) })
	if err != nil {
		return nil, err
	}
	killed := []any{}
	var errs []error
	for _, p := range found {
		if p.pid == os.Getpid() {
			continue
		}
		ok, err := sendSignal(p.pid, a.Signal)
		if err != nil {
			errs = append(errs, err)
		}
		if ok {
			killed = append(killed, int64(p.pid))
		}
	}
	if len(errs) > 0 {
		return nil, module.Failf("%w", errors.Join(errs...))
	}
	if len(killed) == 0 {
		return nil, nil
	}
	return wire.NewMap("killed", killed), nil
}

// grepProcesses are the processes whose name, or command line, matches.
func grepProcesses(c *module.Call, user string, full bool, match func(string) bool) ([]process, error) {
	all, err := processes(c)
	return slices.DeleteFunc(all, func(p process) bool {
		text := p.name()
		if full {
			text = strings.Join(p.argv, " ")
		}
		return !match(text) || user != "" && p.user != user
	}), err
}

type psPgrepArgs struct {
	Pattern        string // Part of the name of a process.
	User           string `default:"None"`  // Only the processes of this user.
	Full           bool   `default:"False"` // Look at whole command lines.
	PatternIsRegex bool   `default:"False"` // The pattern is a regular expression.
}

// psPgrep returns the ids of the processes whose name has this in it; None where
// there are none.
//
//	gosalt '*' ps.pgrep httpd
//	gosalt '*' ps.pgrep '^ssh' pattern_is_regex=True
func psPgrep(ctx context.Context, c *module.Call, a psPgrepArgs) (any, error) {
	match := func(s string) bool { return strings.Contains(s, a.Pattern) }
	if a.PatternIsRegex {
		re, err := regexp.Compile(a.Pattern)
		if err != nil {
			return nil, module.Invalidf("%w", err)
		}
		match = re.MatchString
	}
	found, err := grepProcesses(c, a.User, a.Full, match)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	ids := make([]int, len(found))
	for i, p := range found {
		ids[i] = p.pid
	}
	return ids, nil
}

type psStatusArgs struct {
	Status string // running, sleeping, disk-sleep, stopped, zombie, idle and so on.
}

// psStatus returns the processes in a state, each with id and name.
//
//	gosalt '*' ps.status zombie
func psStatus(ctx context.Context, c *module.Call, a psStatusArgs) ([]any, error) {
	if a.Status == "" {
		return nil, module.Invalidf("Filter is required for ps.status")
	}
	all, err := processes(c)
	out := []any{}
	for _, p := range all {
		if p.stateName() == a.Status {
			out = append(out, wire.NewMap("name", p.name(), "pid", int64(p.pid)))
		}
	}
	return out, err
}

type psNameArgs struct {
	Name any // What is looked for.
}

// psPsaux returns the lines of the program ps (ps aux) that match a regular
// expression, and how many they are.
//
//	gosalt '*' ps.psaux www-data.+apache2
func psPsaux(ctx context.Context, c *module.Call, a psNameArgs) ([]any, error) {
	re, err := regexp.Compile(textOf(a.Name))
	if err != nil {
		return nil, module.Invalidf("%w", err)
	}
	lines, err := programLines(ctx, c, re.MatchString, "ps", "aux")
	if err != nil {
		return nil, err
	}
	lines = slices.DeleteFunc(lines, func(v any) bool { return strings.Contains(v.(string), "ps.psaux") }) // who asks
	return []any{textOf(a.Name), lines, strconv.Itoa(len(lines)) + " occurrence(s)."}, nil
}

// programLines are the lines that a program prints which match.
func programLines(ctx context.Context, c *module.Call, match func(string) bool, args ...any) ([]any, error) {
	out, err := runProgram(ctx, c, args...)
	if err != nil {
		return nil, err
	}
	lines := []any{}
	for line := range strings.Lines(out.Text("stdout")) {
		if line = strings.TrimRight(line, "\n"); match(line) {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

// psLsof returns what the program lsof prints of the files that programs of this name
// have open.
//
//	gosalt '*' ps.lsof apache2
func psLsof(ctx context.Context, c *module.Call, a psNameArgs) ([]any, error) {
	out, err := runProgram(ctx, c, "lsof", "-c", textOf(a.Name))
	if err != nil {
		return nil, err
	}
	c.SetRetcode(int(out.Int("retcode")))
	return []any{textOf(a.Name), out.Text("stdout")}, nil
}

// psNetstat returns the lines of the program netstat (netstat -nap) that have this in
// them.
//
//	gosalt '*' ps.netstat apache2
func psNetstat(ctx context.Context, c *module.Call, a psNameArgs) ([]any, error) {
	lines, err := programLines(ctx, c, func(s string) bool { return strings.Contains(s, textOf(a.Name)) }, "netstat", "-nap")
	return []any{textOf(a.Name), lines}, err
}

// psSs returns the lines of the program ss (ss -neap) that have this in them.
//
//	gosalt '*' ps.ss apache2
func psSs(ctx context.Context, c *module.Call, a psNameArgs) ([]any, error) {
	lines, err := programLines(ctx, c, func(s string) bool { return strings.Contains(s, textOf(a.Name)) }, "ss", "-neap")
	return []any{textOf(a.Name), lines}, err
}

// round1 rounds to one place behind the point.
func round1(f float64) float64 { return math.Round(f*10) / 10 }

// percentOf is a part of a whole in percent, to one place.
func percentOf(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return round1(float64(part) / float64(whole) * 100)
}
