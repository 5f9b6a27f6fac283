//go:build unix

package modules

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("timezone.get_zone", timezoneGetZone)
	register("timezone.get_zonecode", timezoneGetZonecode)
	register("timezone.get_offset", timezoneGetOffset)
	register("timezone.set_zone", timezoneSetZone)
	register("timezone.zone_compare", timezoneZoneCompare)
	register("timezone.get_hwclock", timezoneGetHwclock)
	register("timezone.set_hwclock", timezoneSetHwclock)
}

const (
	zoneDir   = "/usr/share/zoneinfo/"
	localtime = "/etc/localtime"
	adjtime   = "/etc/adjtime"
)

// systemdBooted tells whether systemd runs this machine.
func systemdBooted(c *module.Call) bool { return c.Host.IsDir("/run/systemd/system") }

// timezoneGetZone returns the name of the system's time zone.
//
//	gosalt '*' timezone.get_zone
func timezoneGetZone(ctx context.Context, c *module.Call, a noArgs) (string, error) {
	if to, err := c.Host.Readlink(localtime); err == nil {
		if !filepath.IsAbs(to) {
			to = path.Join("/etc", to)
		}
		if name, ok := strings.CutPrefix(path.Clean(to), zoneDir); ok {
			return name, nil
		}
	}
	if b, err := c.Host.ReadFile("/etc/timezone"); err == nil && len(bytes.TrimSpace(b)) > 0 {
		return strings.TrimSpace(string(b)), nil
	}
	b, err := c.Host.ReadFile(c.Host.Real(localtime))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "UTC", nil
	case err != nil:
		return "", module.Failf("Unable to determine timezone: %w", err)
	}
	if name := zoneLike(c, b); name != "" {
		return name, nil
	}
	return "", module.Failf("Unable to determine timezone")
}

// zoneLike finds the zone whose file has these bytes: where /etc/localtime is a copy.
func zoneLike(c *module.Call, content []byte) string {
	root := c.Host.Path(zoneDir)
	found := ""
	_ = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !d.Type().IsRegular() {
			return nil
		}
		name, _ := filepath.Rel(root, p)
		if name[0] >= 'a' && name[0] <= 'z' { // posix/, right/ and tables
			return nil
		}
		if b, err := c.Host.ReadFile(zoneDir + name); err == nil && bytes.Equal(b, content) {
			found = name
			return fs.SkipAll
		}
		return nil
	})
	return found
}

// dateSays is what date(1) prints: it reads the zone anew, where this process has the one
// that it began with.
func dateSays(ctx context.Context, c *module.Call, format string) (string, error) {
	v, err := c.Call(ctx, "cmd.run", []any{[]any{"date", format}}, wire.NewMap("python_shell", false))
	s, _ := v.(string)
	return s, err
}

// timezoneGetZonecode returns the abbreviation of the time zone: CET.
//
//	gosalt '*' timezone.get_zonecode
func timezoneGetZonecode(ctx context.Context, c *module.Call, a noArgs) (string, error) {
	return dateSays(ctx, c, "+%Z")
}

// timezoneGetOffset returns the offset of the time zone from UTC: +0100.
//
//	gosalt '*' timezone.get_offset
func timezoneGetOffset(ctx context.Context, c *module.Call, a noArgs) (string, error) {
	return dateSays(ctx, c, "+%z")
}

type timezoneArgs struct {
	Timezone string // Name of the zone: Europe/Berlin.
}

// file is the zone's file; "" for a name that leads elsewhere.
func (a timezoneArgs) file() string {
	p := path.Clean(zoneDir + a.Timezone)
	if !strings.HasPrefix(p, zoneDir) || a.Timezone == "" {
		return ""
	}
	return p
}

// timezoneSetZone sets the system's time zone. Programs that run, cron and syslog among
// them, take it when they are started anew.
//
//	gosalt '*' timezone.set_zone 'America/Denver'
func timezoneSetZone(ctx context.Context, c *module.Call, a timezoneArgs) (any, error) {
	file := a.file()
	if file == "" || !c.Host.IsFile(file) {
		return "Zone does not exist: " + zoneDir + a.Timezone, nil
	}
	if systemdBooted(c) {
		if v, err := c.Call(ctx, "cmd.which", []any{"timedatectl"}, nil); err == nil && v != nil {
			// It tells those who listen; what it leaves undone follows.
			if _, err := c.Call(ctx, "cmd.run_all", []any{[]any{"timedatectl", "set-timezone", a.Timezone}}, wire.NewMap("python_shell", false, "ignore_retcode", true)); err != nil {
				c.Log.Info("timedatectl did not take the time zone", "error", err)
			}
		}
	}
	if err := linkZone(c, file); err != nil {
		return nil, err
	}
	switch family := c.Grains().Text("os_family"); {
	case strings.Contains(family, "RedHat"):
		return true, sedIfThere(ctx, c, "/etc/sysconfig/clock", "^ZONE=.*", `ZONE="`+a.Timezone+`"`)
	case strings.Contains(family, "Suse"):
		return true, sedIfThere(ctx, c, "/etc/sysconfig/clock", "^TIMEZONE=.*", `TIMEZONE="`+a.Timezone+`"`)
	case strings.Contains(family, "Debian"), strings.Contains(family, "Gentoo"):
		if err := c.Host.WriteFile("/etc/timezone", []byte(strings.TrimSpace(a.Timezone)+"\n")); err != nil {
			return nil, module.Failf("write /etc/timezone: %w", err)
		}
	}
	return true, nil
}

// linkZone makes /etc/localtime a link to a zone, unless it is one.
func linkZone(c *module.Call, file string) error {
	if to, err := c.Host.Readlink(localtime); err == nil && to == file {
		return nil
	}
	if err := c.Host.Symlink(file, localtime, true); err != nil {
		return module.Failf("set the time zone: %w", err)
	}
	return nil
}

func sedIfThere(ctx context.Context, c *module.Call, file, pattern, text string) error {
	if !c.Host.Exists(file) {
		return nil
	}
	_, err := c.Call(ctx, "file.replace", []any{file, pattern, text}, nil)
	return err
}

// timezoneZoneCompare tells whether a zone is the one that the system has: by the content
// of the zone's file.
//
//	gosalt '*' timezone.zone_compare 'America/Denver'
func timezoneZoneCompare(ctx context.Context, c *module.Call, a timezoneArgs) (bool, error) {
	file := a.file()
	if file == "" || !c.Host.IsFile(file) {
		return false, module.Invalidf(`Can't find a local timezone "%s"`, a.Timezone)
	}
	now, err := c.Host.ReadFile(c.Host.Real(localtime))
	if err != nil {
		why := err
		var pe *fs.PathError
		if errors.As(err, &pe) {
			why = pe.Err
		}
		return false, module.Failf("Failed to read %s to determine current timezone: %s", localtime, upperFirst(why.Error()))
	}
	zone, err := c.Host.ReadFile(file)
	if err != nil {
		return false, module.Failf("read the zone: %w", err)
	}
	return bytes.Equal(now, zone), nil
}

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// timezoneGetHwclock returns what the hardware clock has: UTC or localtime.
//
//	gosalt '*' timezone.get_hwclock
func timezoneGetHwclock(ctx context.Context, c *module.Call, a noArgs) (string, error) {
	if b, err := c.Host.ReadFile(adjtime); err == nil {
		lines := strings.Split(strings.TrimSpace(string(b)), "\n")
		if len(lines) >= 3 && strings.TrimSpace(lines[2]) == "LOCAL" {
			return "localtime", nil
		}
	}
	return "UTC", nil
}

type timezoneClockArgs struct {
	Clock string // UTC or localtime.
}

// timezoneSetHwclock says what the hardware clock has: UTC or localtime.
//
//	gosalt '*' timezone.set_hwclock UTC
func timezoneSetHwclock(ctx context.Context, c *module.Call, a timezoneClockArgs) (bool, error) {
	word := ""
	switch strings.ToLower(a.Clock) {
	case "utc":
		word = "UTC"
	case "localtime", "local":
		word = "LOCAL"
	default:
		return false, module.Invalidf("clock: UTC or localtime is expected, not %q", a.Clock)
	}
	if systemdBooted(c) {
		if v, err := c.Call(ctx, "cmd.which", []any{"timedatectl"}, nil); err == nil && v != nil {
			local := "false"
			if word == "LOCAL" {
				local = "true"
			}
			code, err := c.Call(ctx, "cmd.retcode", []any{[]any{"timedatectl", "set-local-rtc", local}}, wire.NewMap("python_shell", false, "ignore_retcode", true))
			return code == int64(0), err
		}
	}
	lines := []string{"0.0 0 0.0", "0", word}
	if b, err := c.Host.ReadFile(adjtime); err == nil {
		if old := strings.Split(strings.TrimSpace(string(b)), "\n"); len(old) >= 2 {
			lines = []string{old[0], old[1], word}
		}
	}
	if err := c.Host.WriteFile(adjtime, []byte(strings.Join(lines, "\n")+"\n")); err != nil {
		return false, module.Failf("write %s: %w", adjtime, err)
	}
	if strings.Contains(c.Grains().Text("os_family"), "Debian") {
		yes := "UTC=yes"
		if word == "LOCAL" {
			yes = "UTC=no"
		}
		return true, sedIfThere(ctx, c, "/etc/default/rcS", "^UTC=.*", yes)
	}
	return true, nil
}
