package modules

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
)

// ticks is how many clock ticks a second has in /proc: USER_HZ, the same on all
// systems that Go runs on.
const ticks = 100

// process is what /proc tells of a process (proc_pid_stat(5)).
type process struct {
	pid, ppid int
	uid       int    // real user id
	user      string // its name, or the number
	comm      string // name of the program, at most 15 bytes
	state     byte   // R, S, D, Z and so on
	argv      []string
	stat      []string // the fields of stat from the state on: stat[0] is field 3
}

// statField is a number of the line stat, counted from 1 as in its manual page.
func (p *process) statField(n int) int64 {
	if n-3 >= len(p.stat) {
		return 0
	}
	v, _ := strconv.ParseInt(p.stat[n-3], 10, 64)
	return v
}

// started is when it began, in seconds since 1970.
func (p *process) started(boot float64) float64 { return float64(p.statField(22))/ticks + boot }

// cpuSeconds is the time that it spent on processors.
func (p *process) cpuSeconds() float64 { return float64(p.statField(14)+p.statField(15)) / ticks }

// psCommand is the command line as ps(1) shows it.
func (p *process) psCommand() string {
	switch {
	case p.state == 'Z':
		return "[" + p.comm + "] <defunct>"
	case len(p.argv) == 0:
		return "[" + p.comm + "]"
	}
	return strings.Join(p.argv, " ")
}

// name is the program's name: where the kernel's is cut, that of the command line.
func (p *process) name() string {
	if len(p.comm) >= 15 && len(p.argv) > 0 {
		if base := filepath.Base(p.argv[0]); strings.HasPrefix(base, p.comm) {
			return base
		}
	}
	return p.comm
}

// processes are all processes that can be seen, by their numbers. One that ends while
// it is read is left out.
func processes(c *module.Call) ([]process, error) {
	if err := linuxOnly("the list of processes"); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(c.Host.Path("/proc"))
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	names := map[int]string{}
	var out []process
	for _, pid := range numbers(entries) {
		p, err := readProcess(c, pid)
		if err != nil {
			continue
		}
		name, ok := names[p.uid]
		if !ok {
			if name = c.Host.UserName(p.uid); name == "" {
				name = strconv.Itoa(p.uid)
			}
			names[p.uid] = name
		}
		p.user = name
		out = append(out, p)
	}
	return out, nil
}

// errNoProcess is the error of readProcess for a number that no process has.
var errNoProcess = errors.New("no process of that number")

// readProcess reads one process; its user's name is left to the caller.
func readProcess(c *module.Call, pid int) (p process, err error) {
	dir := c.Host.Path("/proc/" + strconv.Itoa(pid))
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return p, errNoProcess
		}
		return p, err
	}
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return p, errNoProcess // it ended while it was read
	}
	p = process{pid: pid, comm: string(stat[open+1 : end]), stat: strings.Fields(string(stat[end+1:]))}
	if len(p.stat) < 20 {
		return p, errNoProcess
	}
	p.state, p.ppid = p.stat[0][0], int(p.statField(4))
	if cmdline, err := os.ReadFile(dir + "/cmdline"); err == nil {
		p.argv = splitCmdline(string(cmdline))
	}
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return p, errNoProcess
	}
	if f := strings.Fields(statusLine(string(status), "Uid:")); len(f) > 0 {
		p.uid, err = strconv.Atoi(f[0])
	}
	return p, err
}

// statusLine is what stands behind a name in a file such as /proc/1/status.
func statusLine(text, name string) string {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// splitCmdline parts the arguments. A process that wrote a text of its own over them,
// as sshd does, has spaces between its words.
func splitCmdline(s string) []string {
	if s == "" {
		return nil
	}
	sep := "\x00"
	if !strings.HasSuffix(s, sep) {
		sep = " "
	}
	args := strings.Split(strings.TrimSuffix(s, sep), sep)
	if sep == "\x00" && len(args) == 1 && strings.Contains(args[0], " ") {
		return strings.Split(args[0], " ")
	}
	return args
}

// numbers are the names of directory entries that are numbers, sorted.
func numbers(entries []fs.DirEntry) []int {
	var out []int
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}

// loadAverage is how many processes ran or waited to, over 1, 5 and 15 minutes.
func loadAverage(c *module.Call) (load [3]float64, err error) {
	lines, err := procLines(c, "/proc/loadavg")
	if err != nil {
		return load, err
	}
	if len(lines) == 0 || len(lines[0]) < 3 {
		return load, module.Failf("/proc/loadavg: three numbers are expected")
	}
	for i := range load {
		if load[i], err = strconv.ParseFloat(lines[0][i], 64); err != nil {
			return load, module.Failf("/proc/loadavg: %w", err)
		}
	}
	return load, nil
}
