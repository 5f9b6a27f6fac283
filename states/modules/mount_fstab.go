package modules

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("mount.unmounted", mountUnmounted)
	register("mount.swap", mountSwap)
	register("mount.fstab_present", mountFstabPresent)
	register("mount.fstab_absent", mountFstabAbsent)
}

type mountUnmountedArgs struct {
	Name    string    // Where it is mounted.
	Device  any       `default:"None"`       // What is mounted there.
	Config  string    `default:"/etc/fstab"` // The file that has it mounted at the start.
	Persist bool      `default:"False"`      // Take it out of there, too.
	User    any       `default:"None"`       // Who unmounts it.
	Kwargs  *wire.Map `arg:"**" read:"-"`    // Not looked at.
}

// mountUnmounted makes nothing be mounted in a place.
func mountUnmounted(ctx context.Context, c *states.Call, a mountUnmountedArgs) (*states.Plan, error) {
	p := &states.Plan{}
	if a.Name == "" {
		return p, module.Failf("Must provide name to mount.unmounted")
	}
	v, err := c.Call.Call(ctx, "mount.active", nil, wire.NewMap("extended", true))
	if err != nil {
		return p, err
	}
	active, _ := v.(*wire.Map)
	fstab := wire.NewMap()
	if a.Persist {
		if fstab, err = mapOf(ctx, c, "mount.fstab", a.Config); err != nil {
			return p, err
		}
	}
	mounted := active.Has(strings.ReplaceAll(a.Name, " ", `\040`))
	p.Fine = "Target was already unmounted"
	line := fstab.Map(a.Name)
	other := line != nil && module.Truth(a.Device) && !pytext.Equal(get(line, "device"), a.Device)
	rest := ""
	switch {
	case a.Persist && line == nil:
		rest = ". fstab entry not found"
	case other:
		rest = fmt.Sprintf(". fstab entry for device %s not found", pytext.Str(a.Device))
	}
	purge := line != nil && !other
	p.Fine += rest
	if !mounted && !purge {
		return p, nil
	}
	p.Would = fmt.Sprintf("Mount point %s is mounted but should not be", a.Name)
	if !mounted {
		p.Would = fmt.Sprintf("Mount point %s is unmounted but needs to be purged from %s to be made persistent", a.Name, a.Config)
	}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		r.Comment = "Target was already unmounted"
		if mounted {
			v, err := c.Call.Call(ctx, "mount.umount", args(a.Name), wire.NewMap("device", a.Device, "user", a.User))
			if err != nil {
				return err
			}
			if v == true {
				r.Comment = "Target was successfully unmounted"
				r.Change("umount", true)
			} else {
				r.Comment, r.Result = pytext.Str(v), false
			}
			if _, err := c.Call.Call(ctx, "mount.delete_mount_cache", args(a.Name), nil); err != nil {
				return err
			}
		}
		if !purge {
			r.Comment += rest
			return nil
		}
		if _, err := c.Call.Call(ctx, "mount.rm_fstab", args(a.Name, a.Device, a.Config), nil); err != nil {
			return err
		}
		r.Comment += ". Removed target from fstab"
		r.Change("persist", "purged")
		return nil
	})
	return p, nil
}

type mountSwapArgs struct {
	Name    string // A device or a file.
	Persist bool   `default:"True"`       // Write it to /etc/fstab, too.
	Config  string `default:"/etc/fstab"` // The file.
}

// mountSwap takes a swap space into use, now and at the next start.
func mountSwap(ctx context.Context, c *states.Call, a mountSwapArgs) (*states.Plan, error) {
	p := &states.Plan{Fine: fmt.Sprintf("Swap %s already active", a.Name)}
	on, err := mapOf(ctx, c, "mount.swaps")
	if err != nil {
		return p, err
	}
	device := a.Name
	if c.Host.IsLink(a.Name) {
		to, err := c.Host.Readlink(a.Name)
		if err != nil {
			return p, err
		}
		if device = to; !strings.HasPrefix(to, "/") {
			device = "/dev/" + filepath.Base(to)
		}
	}
	active := on.Has(device)
	if c.Test {
		var result any = true
		text := p.Fine
		if !active {
			result, text = nil, fmt.Sprintf("Swap %s is set to be activated", a.Name)
		}
		if a.Persist {
			fstab, err := mapOf(ctx, c, "mount.fstab", a.Config)
			if err != nil {
				return p, err
			}
			kept := fstab.Has(a.Name)
			for k := range fstab.Strings() {
				kept = kept || fstab.Map(k).Text("device") == a.Name
			}
			if !kept {
				result = nil
				if on.Has(a.Name) {
					text = fmt.Sprintf("Swap %s is set to be added to the fstab and to be activated", a.Name)
				}
			}
		}
		return states.Decided(result, nil, text), nil
	}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		r.Comment = p.Fine
		changes := wire.NewMap()
		if !active {
			if _, err := c.Call.Call(ctx, "mount.swapon", args(device), nil); err != nil {
				return err
			}
			now, err := mapOf(ctx, c, "mount.swaps")
			if err != nil {
				return err
			}
			r.Comment = fmt.Sprintf("Swap %s activated", a.Name)
			if m := now.Map(device); m != nil {
				changes = m
			} else {
				r.Comment, r.Result = fmt.Sprintf("Swap %s failed to activate", a.Name), false
			}
		}
		r.SetChanges(changes)
		if !a.Persist {
			return nil
		}
		fstab, err := mapOf(ctx, c, "mount.fstab", a.Config)
		if err != nil {
			return err
		}
		if e := fstab.Map("none"); e != nil && e.Text("device") == a.Name && e.Text("fstype") != "swap" {
			return nil
		}
		v, err := c.Call.Call(ctx, "mount.set_fstab", args("none", a.Name, "swap", args("defaults"), int64(0), int64(0), a.Config), nil)
		if err != nil {
			return err
		}
		if v != "present" {
			r.Comment += persisted(v, changes)
		}
		return nil
	})
	return p, nil
}

type mountFstabPresentArgs struct {
	Name      string // What is mounted: a device, UUID=…, LABEL=…, or an address.
	FsFile    string // Where it is mounted.
	FsVfstype string // The kind of file system.
	FsMntops  any    `default:"defaults"`   // Options, with commas or as a list.
	FsFreq    any    `default:"0"`          // Whether dump looks at it.
	FsPassno  any    `default:"0"`          // When it is checked at the start.
	MountBy   string `default:"None"`       // Name the device otherwise: device, label, uuid, partlabel or partuuid.
	Config    string `default:"/etc/fstab"` // The file.
	Mount     bool   `default:"True"`       // Mount it, where the line is new.
	MatchOn   any    `default:"auto"`       // What tells the line: device, name and so on, or a list of them.
	NotChange bool   `default:"False"`      // A line that is there is left as it is.
	FsMount   any    `default:"True"`       // Without effect: AIX has it.
}

// deviceBy is a device by another of its names; "" where there is none.
func deviceBy(ctx context.Context, c *states.Call, device, by string) (string, error) {
	key := strings.ToUpper(by)
	if by == "" || by == "device" && strings.HasPrefix(device, "/") || strings.HasPrefix(device, key+"=") {
		return device, nil
	}
	kwargs := wire.NewMap("token", device)
	if strings.HasPrefix(device, "/") {
		kwargs = wire.NewMap("device", device)
	}
	v, err := c.Call.Call(ctx, "disk.blkid", nil, kwargs)
	if err != nil {
		return "", err
	}
	all, _ := v.(*wire.Map)
	name, known := oneKey(all)
	switch {
	case name == "" || by == "device":
		return name, nil
	case known.Text(key) == "":
		return "", module.Failf("%s has no %s", device, key)
	}
	return key + "=" + known.Text(key), nil
}

// mountFstabPresent makes /etc/fstab have a line.
func mountFstabPresent(ctx context.Context, c *states.Call, a mountFstabPresentArgs) (*states.Plan, error) {
	p := &states.Plan{}
	at := a.FsFile
	if at != "/" {
		at = strings.TrimRight(at, "/")
	}
	if m, ok := a.FsMntops.(*wire.Map); ok {
		return p, module.Invalidf("fs_mntops: options are a text with commas or a list, not %s", pytext.Repr(m))
	}
	device, err := deviceBy(ctx, c, a.Name, a.MountBy)
	if err != nil {
		return p, err
	}
	if device == "" {
		return p, module.Failf("Device %s cannot be converted to %s", a.Name, a.MountBy)
	}
	set := func(ctx context.Context, test bool) (string, error) {
		v, err := c.Call.Call(ctx, "mount.set_fstab", nil, wire.NewMap("name", at, "device", device, "fstype", a.FsVfstype, "opts", a.FsMntops, "dump", a.FsFreq,
			"pass_num", a.FsPassno, "config", a.Config, "test", test, "match_on", a.MatchOn, "not_change", a.NotChange))
		return pytext.Str(v), err
	}
	word, err := set(ctx, true)
	if err != nil {
		return p, err
	}
	if c.Test {
		text := map[string]string{"present": "%s entry is already in %s.", "new": "%s entry will be written in %s.", "change": "%s entry will be updated in %s."}[word]
		text = fmt.Sprintf(text, at, a.Config)
		if word == "new" && a.Mount {
			text += fmt.Sprintf("\nWill mount %s on %s", a.Name, at)
		}
		if word == "present" { // Salt's result is None here, too
			return states.Decided(true, nil, text), nil
		}
		p = states.Decided(nil, nil, text)
	}
	p.Fine = fmt.Sprintf("%s entry was already in %s.", at, a.Config)
	if word == "present" {
		return p, nil
	}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		word, err := set(ctx, false)
		if err != nil {
			return err
		}
		r.Change("persist", word)
		r.Comment = fmt.Sprintf("%s entry updated in %s.", at, a.Config)
		if word != "new" {
			return nil
		}
		r.Comment = fmt.Sprintf("%s entry added in %s.", at, a.Config)
		if !a.Mount {
			return nil
		}
		v, err := c.Call.Call(ctx, "mount.mount", args(at), nil)
		if err != nil {
			return err
		}
		if why, ok := v.(string); ok {
			if _, rest, cut := strings.Cut(why, ":"); cut {
				why = rest
			}
			r.Result = false
			r.Comment += "\nError while mounting " + why
			return nil
		}
		r.Comment += fmt.Sprintf("\nMounted %s on %s", a.Name, at)
		return nil
	})
	return p, nil
}

type mountFstabAbsentArgs struct {
	Name    string // What is mounted.
	FsFile  string // Where it is mounted.
	MountBy string `default:"None"`       // How the line names the device: device, label, uuid, partlabel or partuuid.
	Config  string `default:"/etc/fstab"` // The file.
}

// mountFstabAbsent removes a line from /etc/fstab.
func mountFstabAbsent(ctx context.Context, c *states.Call, a mountFstabAbsentArgs) (*states.Plan, error) {
	p := &states.Plan{}
	at := a.FsFile
	if at != "/" {
		at = strings.TrimRight(at, "/")
	}
	device, err := deviceBy(ctx, c, a.Name, a.MountBy)
	if err != nil {
		return p, err
	}
	fstab, err := mapOf(ctx, c, "mount.fstab", a.Config)
	if err != nil {
		return p, err
	}
	p.Fine = fmt.Sprintf("%s entry is already missing in %s.", at, a.Config)
	there := fstab.Has(at)
	if !there {
		return p, nil
	}
	p.Would = fmt.Sprintf("%s entry will be removed from %s.", at, a.Config)
	p.Did = fmt.Sprintf("%s entry removed from %s.", at, a.Config)
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		ok, err := truth(ctx, c, "mount.rm_fstab", at, nilIfEmpty(device), a.Config)
		if err == nil && !ok {
			err = module.Failf("%s entry failed when removing from %s.", at, a.Config)
		}
		if err == nil {
			r.Change("persist", "removed")
		}
		return err
	})
	return p, nil
}
