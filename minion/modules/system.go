package modules

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/durable"
	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
)

func init() {
	register("system.halt", systemHalt)
	register("system.init", systemInit)
	register("system.poweroff", systemPoweroff)
	register("system.reboot", systemReboot)
	register("system.shutdown", systemShutdown)
	register("system.get_system_time", systemGetSystemTime)
	register("system.get_system_date", systemGetSystemDate)
	register("system.get_system_date_time", systemGetSystemDateTime)
	register("system.set_system_time", systemSetSystemTime)
	register("system.set_system_date", systemSetSystemDate)
	register("system.set_system_date_time", systemSetSystemDateTime)
	register("system.has_settable_hwclock", systemHasSettableHwclock)
	register("system.get_computer_name", systemGetComputerName)
	register("system.set_computer_name", systemSetComputerName)
	register("system.get_computer_desc", systemGetComputerDesc)
	register("system.set_computer_desc", systemSetComputerDesc)
	register("system.get_reboot_required_witnessed", systemGetRebootRequiredWitnessed)
	register("system.set_reboot_required_witnessed", systemSetRebootRequiredWitnessed)
}

// stopProgram runs one of the programs that stop the system and returns what it
// prints; its exit code becomes that of the job.
func stopProgram(ctx context.Context, c *module.Call, args ...any) (string, error) {
	if err := linuxOnly("how to stop the system"); err != nil {
		return "", err
	}
	out, err := runProgram(ctx, c, args...)
	if err != nil {
		return "", err
	}
	if code := out.Int("retcode"); code != 0 {
		c.SetRetcode(int(code))
	}
	return strings.TrimSpace(strings.TrimRight(out.Text("stdout"), "\n") + "\n" + out.Text("stderr")), nil
}

// systemHalt stops the system without cutting its power.
//
//	gosalt '*' system.halt
func systemHalt(ctx context.Context, c *module.Call, a noArgs) (string, error) {
	return stopProgram(ctx, c, "halt")
}

type systemInitArgs struct {
	Runlevel int // 0 to 6, as init(8) has them.
}

// systemInit changes the run level of the system.
//
//	gosalt '*' system.init 3
func systemInit(ctx context.Context, c *module.Call, a systemInitArgs) (string, error) {
	if a.Runlevel < 0 || a.Runlevel > 6 {
		return "", module.Invalidf("a run level from 0 to 6 is expected, got %d", a.Runlevel)
	}
	return stopProgram(ctx, c, "init", strconv.Itoa(a.Runlevel))
}

// systemPoweroff stops the system and cuts its power.
//
//	gosalt '*' system.poweroff
func systemPoweroff(ctx context.Context, c *module.Call, a noArgs) (string, error) {
	return stopProgram(ctx, c, "poweroff")
}

type systemAtArgs struct {
	AtTime any `default:"None"` // Minutes from now, or a time as shutdown(8) has it: 22:30; else at once.
}

func (a systemAtArgs) text() (string, error) {
	switch s := textOf(a.AtTime); {
	case !module.Truth(a.AtTime):
		return "now", nil
	case strings.HasPrefix(s, "-"):
		return "", module.Invalidf("a time is expected, got %q", s)
	default:
		return s, nil
	}
}

// systemReboot restarts the system.
//
//	gosalt '*' system.reboot
//	gosalt '*' system.reboot 5
func systemReboot(ctx context.Context, c *module.Call, a systemAtArgs) (string, error) {
	at, err := a.text()
	if err != nil {
		return "", err
	}
	return stopProgram(ctx, c, "shutdown", "-r", at)
}

// systemShutdown stops the system and cuts its power.
//
//	gosalt '*' system.shutdown 5
func systemShutdown(ctx context.Context, c *module.Call, a systemAtArgs) (string, error) {
	at, err := a.text()
	if err != nil {
		return "", err
	}
	return stopProgram(ctx, c, "shutdown", "-h", at)
}

type offsetArgs struct {
	UtcOffset any `default:"None"` // Hours and minutes that the clock asked for is ahead of UTC: "+0200"; the system's own.
}

var offsetFormat = lazyre.New(`^([+-])?(\d\d)(\d\d)$`)

// in is a time on the clock that is asked for.
func (a offsetArgs) in(t time.Time) (time.Time, error) {
	if a.UtcOffset == nil {
		return t.Local(), nil
	}
	m := offsetFormat.FindStringSubmatch(textOf(a.UtcOffset))
	if m == nil {
		return t, module.Invalidf("Invalid UTC offset: +HHMM or -HHMM is expected, got %s", textOf(a.UtcOffset))
	}
	hours, _ := strconv.Atoi(m[2])
	minutes, _ := strconv.Atoi(m[3])
	seconds := hours*3600 + minutes*60
	if m[1] == "-" {
		seconds = -seconds
	}
	return t.In(time.FixedZone("", seconds)), nil
}

func (a offsetArgs) format(layout string) (string, error) {
	t, err := a.in(time.Now())
	if err != nil {
		return "", err
	}
	return t.Format(layout), nil
}

// systemGetSystemTime returns the time of the system.
//
//	gosalt '*' system.get_system_time
//	gosalt '*' system.get_system_time "'+0200'"
func systemGetSystemTime(ctx context.Context, c *module.Call, a offsetArgs) (string, error) {
	return a.format("03:04:05 PM")
}

// systemGetSystemDate returns the date of the system.
//
//	gosalt '*' system.get_system_date
func systemGetSystemDate(ctx context.Context, c *module.Call, a offsetArgs) (string, error) {
	return a.format("Mon 01/02/2006")
}

// systemGetSystemDateTime returns date and time of the system.
//
//	gosalt '*' system.get_system_date_time "'-0500'"
func systemGetSystemDateTime(ctx context.Context, c *module.Call, a offsetArgs) (string, error) {
	return a.format("2006-01-02 15:04:05")
}

type systemSetSystemTimeArgs struct {
	Newtime string // The time: 22:05, 22:05:10, 10:05 PM or 10:05:10 PM.
	offsetArgs
}

// systemSetSystemTime sets the system's clock to a time of the day. False says that
// it was no time.
//
//	gosalt '*' system.set_system_time "'11:20'"
func systemSetSystemTime(ctx context.Context, c *module.Call, a systemSetSystemTimeArgs) (bool, error) {
	for _, layout := range []string{"3:4:5 PM", "3:4 PM", "15:4:5", "15:4"} {
		if t, err := time.Parse(layout, strings.ToUpper(a.Newtime)); err == nil {
			h, m, s := int64(t.Hour()), int64(t.Minute()), int64(t.Second())
			return systemSetSystemDateTime(ctx, c, systemSetSystemDateTimeArgs{Hours: &h, Minutes: &m, Seconds: &s, offsetArgs: a.offsetArgs})
		}
	}
	return false, nil
}

type systemSetSystemDateArgs struct {
	Newdate string // The date: 2026-11-22, 11-22-2026, 11-22-26, 11/22/2026, 11/22/26 or 2026/11/22.
	offsetArgs
}

// systemSetSystemDate sets the date of the system's clock.
//
//	gosalt '*' system.set_system_date '03-28-13'
func systemSetSystemDate(ctx context.Context, c *module.Call, a systemSetSystemDateArgs) (bool, error) {
	for _, layout := range []string{"2006-1-2", "1-2-2006", "1-2-06", "1/2/2006", "1/2/06", "2006/1/2"} {
		if t, err := time.Parse(layout, a.Newdate); err == nil {
			y, m, d := int64(t.Year()), int64(t.Month()), int64(t.Day())
			return systemSetSystemDateTime(ctx, c, systemSetSystemDateTimeArgs{Years: &y, Months: &m, Days: &d, offsetArgs: a.offsetArgs})
		}
	}
	return false, module.Invalidf("Invalid date format")
}

type systemSetSystemDateTimeArgs struct {
	Years   *int64 `default:"None"` // Four digits; as it is now where it is left out, as all that follow.
	Months  *int64 `default:"None"` // 1 to 12.
	Days    *int64 `default:"None"` // 1 to 31.
	Hours   *int64 `default:"None"` // 0 to 23.
	Minutes *int64 `default:"None"` // 0 to 59.
	Seconds *int64 `default:"None"` // 0 to 59.
	offsetArgs
}

// newTime is a time with what is given replaced.
func (a systemSetSystemDateTimeArgs) newTime(now time.Time) (time.Time, error) {
	now, err := a.in(now)
	if err != nil {
		return now, err
	}
	parts := []int{now.Year(), int(now.Month()), now.Day(), now.Hour(), now.Minute(), now.Second()}
	for i, v := range []*int64{a.Years, a.Months, a.Days, a.Hours, a.Minutes, a.Seconds} {
		if v != nil {
			parts[i] = int(*v)
		}
	}
	t := time.Date(parts[0], time.Month(parts[1]), parts[2], parts[3], parts[4], parts[5], 0, now.Location())
	if parts[0] < 1970 || t.Year() != parts[0] || int(t.Month()) != parts[1] || t.Day() != parts[2] || parts[3] > 23 || parts[4] > 59 || parts[5] > 59 ||
		min(parts[3], parts[4], parts[5]) < 0 {
		return now, module.Invalidf("no such time: %d-%d-%d %d:%d:%d", parts[0], parts[1], parts[2], parts[3], parts[4], parts[5])
	}
	return t, nil
}

// systemSetSystemDateTime sets the system's clock, and the clock of the machine where
// it has one that can be set.
//
//	gosalt '*' system.set_system_date_time 2015 5 12 11 37 53 "'-0500'"
func systemSetSystemDateTime(ctx context.Context, c *module.Call, a systemSetSystemDateTimeArgs) (bool, error) {
	t, err := a.newTime(time.Now())
	if err != nil {
		return false, err
	}
	if err := setClock(t); err != nil {
		return false, module.Failf("set the clock to %s: %w", t.Format(time.RFC3339), err)
	}
	if ok, _ := systemHasSettableHwclock(ctx, c, noArgs{}); ok {
		if out, err := runProgram(ctx, c, "hwclock", "--systohc"); err != nil || out.Int("retcode") != 0 {
			c.Log.Warn("clock of the machine not set: it is wrong after the next start", "error", err, "output", out.Text("stderr"))
		}
	}
	return true, nil
}

// systemHasSettableHwclock tells whether the machine has a clock of its own that can
// be set.
//
//	gosalt '*' system.has_settable_hwclock
func systemHasSettableHwclock(ctx context.Context, c *module.Call, a noArgs) (bool, error) {
	out, err := runProgram(ctx, c, "hwclock", "--test", "--systohc")
	var e *module.Error
	if errors.As(err, &e) && e.Kind == module.NoCommand {
		return false, nil
	}
	return err == nil && out.Int("retcode") == 0, err
}

// systemGetComputerName returns the name of the machine.
//
//	gosalt '*' system.get_computer_name
func systemGetComputerName(ctx context.Context, c *module.Call, a noArgs) (string, error) {
	return networkGetHostname(ctx, c, a)
}

// systemSetComputerName gives the machine another name, as network.mod_hostname does.
//
//	gosalt '*' system.set_computer_name master.saltstack.com
func systemSetComputerName(ctx context.Context, c *module.Call, a networkModHostnameArgs) (bool, error) {
	return networkModHostname(ctx, c, a)
}

// machineInfo is machine-info(5), which hostnamectl(1) writes too.
const machineInfo = "/etc/machine-info"

const prettyName = "PRETTY_HOSTNAME="

// systemGetComputerDesc returns the machine's name for people; False where it has
// none, unless the system has hostnamectl: then "".
//
//	gosalt '*' system.get_computer_desc
func systemGetComputerDesc(ctx context.Context, c *module.Call, a noArgs) (any, error) {
	b, err := os.ReadFile(c.Host.Path(machineInfo))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, module.Failf("%w", err)
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), prettyName); ok {
			v = strings.TrimSpace(v)
			if len(v) > 1 && (v[0] == '"' || v[0] == '\'') && v[len(v)-1] == v[0] {
				v = v[1 : len(v)-1]
			}
			return strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, "\n", `\t`, "\t").Replace(v), nil
		}
	}
	if _, err := host.LookPath("hostnamectl", environ(c).Text("PATH"), "/"); err == nil {
		return "", nil
	}
	return false, nil
}

type systemSetComputerDescArgs struct {
	Desc string // The name: Michael's laptop.
}

// systemSetComputerDesc gives the machine a name for people.
//
//	gosalt '*' system.set_computer_desc "Michael's laptop"
func systemSetComputerDesc(ctx context.Context, c *module.Call, a systemSetComputerDescArgs) (bool, error) {
	if err := linuxOnly("another name for people"); err != nil {
		return false, err
	}
	b, err := os.ReadFile(c.Host.Path(machineInfo))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return false, module.Failf("%w", err)
	}
	entry := prettyName + `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`).Replace(a.Desc) + "\"\n"
	var out strings.Builder
	found := false
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(strings.TrimSpace(line), prettyName) {
			if found {
				continue
			}
			line, found = entry, true
		}
		out.WriteString(strings.TrimSuffix(line, "\n") + "\n")
	}
	if !found {
		out.WriteString(entry)
	}
	if err := durable.WriteFile(c.Host.Path(machineInfo), []byte(out.String()), 0o644); err != nil {
		return false, module.Failf("%w", err)
	}
	return true, nil
}

// rebootWitness is where Salt remembers that a restart was asked for: gone with the next one.
const rebootWitness = "/var/volatile/tmp/salt/reboot_witnessed"

// systemSetRebootRequiredWitnessed remembers, until the machine is started anew, that
// something asked for a restart; True when it was not known before, as in Salt.
//
//	gosalt '*' system.set_reboot_required_witnessed
func systemSetRebootRequiredWitnessed(ctx context.Context, c *module.Call, _ noArgs) (bool, error) {
	name := c.Host.Path(rebootWitness)
	if _, err := os.Stat(filepath.Dir(name)); err == nil {
		return false, nil
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return false, module.Invalidf("Error creating %s: %v", filepath.Dir(rebootWitness), err)
	}
	if err := os.WriteFile(name, nil, 0o644); err != nil {
		return false, module.Failf("%w", err)
	}
	return true, nil
}

// systemGetRebootRequiredWitnessed tells whether system.set_reboot_required_witnessed was
// called since the machine was started.
//
//	gosalt '*' system.get_reboot_required_witnessed
func systemGetRebootRequiredWitnessed(ctx context.Context, c *module.Call, _ noArgs) (bool, error) {
	_, err := os.Stat(c.Host.Path(rebootWitness))
	return err == nil, nil
}
