package modules

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pyre"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("mount.mounted", mountMounted)
	register("mount.mod_watch", mountModWatch)
}

type mountMountedArgs struct {
	Name                       string    // Where it is to be mounted.
	Device                     string    // What is mounted: a device, UUID=…, LABEL=…, or an address.
	Fstype                     string    // The kind of file system.
	Mkmnt                      bool      `default:"False"`      // Make the directory where there is none.
	Opts                       any       `default:"defaults"`   // Options, with commas or as a list.
	Dump                       any       `default:"0"`          // Whether dump looks at it.
	PassNum                    any       `default:"0"`          // When it is checked at the start.
	Config                     string    `default:"/etc/fstab"` // The file that has it mounted at the start.
	Persist                    bool      `default:"True"`       // Write it there.
	Mount                      bool      `default:"True"`       // Mount it now.
	User                       any       `default:"None"`       // Who mounts it.
	MatchOn                    any       `default:"auto"`       // What tells the line of the file: device, name and so on, or a list of them.
	DeviceNameRegex            any       `default:"None"`       // Expressions of other names of the device that are fine.
	ExtraMountInvisibleOptions any       `default:"None"`       // Further options that the system does not show.
	ExtraMountInvisibleKeys    any       `default:"None"`       // Further options of the form key=value that it does not show.
	ExtraMountIgnoreFsKeys     *wire.Map `default:"None"`       // By kind of file system, options whose value does not count.
	ExtraMountTranslateOptions *wire.Map `default:"None"`       // Options that the system shows by another name.
	HiddenOpts                 any       `default:"None"`       // Options that count for nothing.
	BindMountCopyActiveOpts    bool      `default:"True"`       // A bind mount has the options of what it is of, too.
	Kwargs                     *wire.Map `arg:"**" read:"-"`    // Not looked at.
}

// mounting is one call of mount.mounted.
type mounting struct {
	c              *states.Call
	a              *mountMountedArgs
	name, real, at string // at is real as the system writes it
	opts           []string
	device         string // its real name
	names          []string
	active         *wire.Map // what is mounted there; nil for nothing
	cacheIt        bool
	changes        *wire.Map
	comment        string
	result         any
	last           string // the last of the options that were compared
}

// mountMounted makes a file system be mounted, now and at the next start.
func mountMounted(ctx context.Context, c *states.Call, a mountMountedArgs) (*states.Plan, error) {
	p := &states.Plan{}
	for _, arg := range [][2]string{{a.Name, "name"}, {a.Device, "device"}, {a.Fstype, "fstype"}} {
		if arg[0] == "" {
			return p, module.Failf("Must provide %s to mount.mounted", arg[1])
		}
	}
	m := &mounting{c: c, a: &a, name: a.Name, changes: wire.NewMap(), result: true}
	if m.name != "/" {
		m.name = strings.TrimRight(m.name, "/")
	}
	m.opts = optionList(a.Opts)
	m.real = realPath(m.name)
	m.at = strings.ReplaceAll(m.real, " ", `\040`)
	if err := m.look(ctx); err != nil {
		return p, err
	}
	if !c.Test {
		p.Do(nil, func(ctx context.Context, r *states.Result) error {
			if err := m.run(ctx); err != nil {
				r.SetChanges(m.changes)
				return err
			}
			r.SetChanges(m.changes)
			r.Result, r.Comment = m.result, m.comment
			return nil
		})
		return p, nil
	}
	if err := m.run(ctx); err != nil {
		return p, err
	}
	return states.Decided(m.result, m.changes, m.comment), nil
}

// optionList reads options.
func optionList(v any) []string {
	if s, ok := v.(string); ok {
		return strings.Split(s, ",")
	}
	var out []string
	for _, e := range listOf(v) {
		out = append(out, pytext.Str(e))
	}
	return out
}

func anyList(l []string) []any {
	out := []any{}
	for _, s := range l {
		out = append(out, s)
	}
	return out
}

// look finds out what is mounted, and what the device is.
func (m *mounting) look(ctx context.Context) error {
	v, err := m.c.Call.Call(ctx, "mount.active", nil, wire.NewMap("extended", true))
	if err != nil {
		return err
	}
	all, _ := v.(*wire.Map)
	m.active = all.Map(m.at)
	device := m.a.Device
	switch upper := strings.ToUpper(device); {
	case strings.HasPrefix(device, "/") && slices.Contains(m.opts, "bind") && m.active != nil:
		m.bind(all)
	case strings.HasPrefix(device, "/"):
		m.device = realPath(device)
	case strings.HasPrefix(upper, "UUID="):
		m.device = strings.ToLower(strings.Trim(device[5:], `"`))
	case strings.HasPrefix(upper, "LABEL="):
		out, err := mapOf(ctx, m.c, "cmd.run_all", args("blkid", "-t", device), nil)
		if err != nil {
			return err
		}
		if out.Int("retcode") > 0 {
			return module.Failf("Unable to find device with label %s.", device[6:])
		}
		for line := range strings.Lines(out.Text("stdout")) {
			name, _, _ := strings.Cut(line, ":")
			m.names = append(m.names, name)
		}
		if len(m.names) > 0 {
			m.device = m.names[0]
		}
	default:
		m.device = device
	}
	if f := logicalVolume.FindStringSubmatch(device); f != nil { // its other name
		mapper := "/dev/mapper/" + strings.ReplaceAll(f[1], "-", "--") + "-" + strings.ReplaceAll(f[2], "-", "--")
		if m.c.Host.Exists(mapper) {
			m.device = mapper
		}
	}
	if f := fuseDevice.FindStringSubmatch(device); f != nil {
		m.device = f[1]
	}
	return nil
}

var (
	logicalVolume = lazyre.New(`^/dev/([^/]+)/([^/]+)$`)
	fuseDevice    = lazyre.New(`^\w+#(.+)`)
	sizeOption    = lazyre.New(`^size=([0-9]+)(k|m|g)`)
)

// bind finds the device that a bind mount is of, and the options that it has from there.
func (m *mounting) bind(all *wire.Map) {
	copyOf := func(e *wire.Map) {
		if m.a.BindMountCopyActiveOpts {
			m.opts = slices.Concat(m.opts, optionList(e.List("opts")), optionList(e.List("superopts")))
			slices.Sort(m.opts)
			m.opts = slices.Compact(m.opts)
		}
	}
	m.active = m.active.Clone()
	m.active.Set("opts", append(slices.Clone(m.active.List("opts")), "bind"))
	from := strings.ReplaceAll(m.a.Device, " ", `\040`)
	if !strings.HasPrefix(m.active.Text("device"), "/") { // of another machine, or of none
		if e := all.Map(from); e != nil {
			copyOf(e)
		}
		m.device = m.active.Text("device")
		return
	}
	for {
		if e := all.Map(from); e != nil {
			copyOf(e)
			m.device = e.Text("device")
			return
		}
		if from == "/" || from == "." {
			return
		}
		from = filepath.Dir(strings.ReplaceAll(from, `\040`, " "))
	}
}

// invisible are options that are not seen among those of what is mounted.
var invisible = []string{"_netdev", "actimeo", "bg", "comment", "defaults", "delay_connect", "direct-io-mode", "intr", "loop", "nointr", "nobootwait", "nofail",
	"password", "reconnect", "retry", "soft", "auto", "users", "bind", "nonempty", "transform_symlinks", "port", "backup-volfile-servers"}

// invisibleKeys are those of the form key=value.
var invisibleKeys = []string{"actimeo", "comment", "credentials", "direct-io-mode", "password", "port", "retry", "secretfile"}

// differing are the options that what is mounted has not.
func (m *mounting) differing() []string {
	hidden := slices.Concat(invisible, optionList(m.a.ExtraMountInvisibleOptions), optionList(m.a.HiddenOpts))
	keys := slices.Concat(invisibleKeys, optionList(m.a.ExtraMountInvisibleKeys))
	ignored := []string{}
	if m.a.Fstype == "ramfs" {
		ignored = []string{"size"}
	}
	if v := get(m.a.ExtraMountIgnoreFsKeys, m.a.Fstype); v != nil {
		ignored = optionList(v)
	}
	translate := map[string]string{"tcp": "proto=tcp", "udp": "proto=udp"}
	for k, v := range m.a.ExtraMountTranslateOptions.Strings() {
		translate[k] = pytext.Str(v)
	}
	have, super := optionList(m.active.List("opts")), optionList(m.active.List("superopts"))
	var out []string
	for _, opt := range m.opts {
		if t := translate[opt]; t != "" {
			opt = t
		}
		key, value, hasValue := strings.Cut(opt, "=")
		if slices.Contains(keys, key) {
			opt = key
		}
		opt = inKilobytes(opt)
		if m.a.Fstype == "cifs" && key == "user" {
			opt = "username=" + value
		}
		if slices.Contains(ignored, key) {
			opt = key
		}
		if hasValue && (key == "uid" || key == "gid") {
			opt = key + "=" + m.number(key, value)
		}
		for i, o := range super { // a size of the file system stands for any option, as in Salt
			if sizeOption.MatchString(o) {
				super[i] = inKilobytes(o)
				opt = super[i]
			}
		}
		m.last = opt
		if !slices.Contains(have, opt) && !slices.Contains(super, opt) && !slices.Contains(hidden, opt) && !slices.Contains(ignored, opt) && !slices.Contains(keys, opt) {
			out = append(out, opt)
		}
	}
	return out
}

// inKilobytes writes a size as the system shows it.
func inKilobytes(opt string) string {
	f := sizeOption.FindStringSubmatch(opt)
	if f == nil {
		return opt
	}
	n, err := strconv.ParseInt(f[1], 10, 64)
	if err != nil {
		return opt
	}
	return fmt.Sprintf("size=%dk", n*map[string]int64{"k": 1, "m": 1 << 10, "g": 1 << 20}[f[2]])
}

// number is that of a user or group that an option names.
func (m *mounting) number(kind, name string) string {
	if kind == "uid" {
		if u, err := m.c.Host.User(name); err == nil {
			return strconv.Itoa(u.UID)
		}
	} else if g, err := m.c.Host.Group(name); err == nil {
		return strconv.Itoa(g.GID)
	}
	return name
}

// run goes through the steps; under test=True they are only told.
func (m *mounting) run(ctx context.Context) error {
	if m.active != nil && m.a.Mount {
		done, err := m.mounted(ctx)
		if done || err != nil {
			return err
		}
	}
	if m.active == nil {
		done, err := m.absent(ctx)
		if done || err != nil {
			return err
		}
	}
	if m.a.Persist {
		return m.persist(ctx)
	}
	return nil
}

// mounted looks at what is mounted: its options and its device. done is whether that is all.
func (m *mounting) mounted(ctx context.Context) (done bool, err error) {
	for _, k := range []string{"device", "alt_device", "device_uuid", "device_label"} {
		if v := m.active.Text(k); v != "" && (k == "device" || !slices.Contains(m.names, v)) {
			m.names = append(m.names, v)
		}
		if k == "device" && len(m.names) > 0 {
			m.names = append(m.names, realPath(m.names[0]))
		}
	}
	if len(m.opts) > 0 {
		if done, err := m.options(ctx); done || err != nil {
			return done, err
		}
	}
	if slices.Contains(m.names, m.device) {
		m.comment = "Target was already mounted"
		return false, nil
	}
	for _, e := range listOf(m.a.DeviceNameRegex) {
		re, err := pyre.Compile(pytext.Str(e), "")
		if err != nil {
			return true, fmt.Errorf("device_name_regex: %w", err)
		}
		for _, n := range m.names {
			if g, err := re.Match(n); err == nil && g != nil {
				m.comment = "An umount will not be forced because device matched device_name_regex: " + n
				return false, nil
			}
		}
	}
	if m.c.Test {
		m.result = nil
		m.comment = "An umount would have been forced because devices do not match.  Watched: " + m.a.Device
		return false, nil
	}
	text := "Forced unmount because devices don't match. Wanted: " + m.a.Device
	if m.device != m.a.Device {
		text += " (" + m.device + ")"
	}
	m.changes.Set("umount", text+", current: "+strings.Join(m.names, ", "))
	if _, err := m.c.Call.Call(ctx, "mount.umount", args(m.real), wire.NewMap("user", m.a.User)); err != nil {
		return true, err
	}
	still, err := m.isActive(ctx)
	if err != nil || still {
		m.comment, m.result = "Unable to unmount", nil
		return true, err
	}
	m.active, m.cacheIt = nil, true
	return false, nil
}

func (m *mounting) isActive(ctx context.Context) (bool, error) {
	v, err := m.c.Call.Call(ctx, "mount.active", nil, wire.NewMap("extended", true))
	all, _ := v.(*wire.Map)
	return all.Has(m.at), err
}

// options mounts anew what has other options.
func (m *mounting) options(ctx context.Context) (done bool, err error) {
	cache, err := mapOf(ctx, m.c, "mount.read_mount_cache", m.real)
	if err != nil {
		return true, err
	}
	differ := m.differing()
	if len(differ) > 0 {
		slices.Sort(differ)
		why := strings.Join(differ, ",")
		if m.c.Test {
			m.result = nil
			m.comment = fmt.Sprintf("Remount would be forced because options (%s) changed", why)
			return true, nil
		}
		if done, err := m.remount(ctx, why); done || err != nil {
			return true, err
		}
		m.cacheIt = true
		if cache, err = mapOf(ctx, m.c, "mount.read_mount_cache", m.real); err != nil {
			return true, err
		}
	}
	if !cache.Has("opts") {
		m.cacheIt = true
		return false, nil
	}
	var missing []string
	for _, o := range optionList(get(cache, "opts")) {
		if !slices.Contains(m.opts, o) {
			missing = append(missing, o)
		}
	}
	if len(missing) == 0 {
		return false, nil
	}
	if m.c.Test {
		m.result = nil
		m.comment = fmt.Sprintf("Remount would be forced because options (%s)changed", strings.Join(missing, ","))
		return true, nil
	}
	m.cacheIt = true
	return m.remount(ctx, m.last) // which is what Salt names
}

// remount mounts with the options that are wanted.
func (m *mounting) remount(ctx context.Context, why string) (done bool, err error) {
	kwargs := wire.NewMap("mkmnt", m.a.Mkmnt, "fstype", m.a.Fstype, "opts", anyList(m.opts))
	fun := "mount.remount"
	if k := m.a.Fstype; k == "nfs" || k == "cvfs" || strings.HasPrefix(k, "fuse") {
		m.changes.Set("umount", fmt.Sprintf("Forced unmount and mount because options (%s) changed", why))
		v, err := m.c.Call.Call(ctx, "mount.umount", args(m.real), nil)
		if err != nil {
			return true, err
		}
		if v != true {
			return true, module.Failf("Unable to unmount %s: %s.", m.real, pytext.Str(v))
		}
		fun = "mount.mount"
	} else {
		m.changes.Set("umount", fmt.Sprintf("Forced remount because options (%s) changed", why))
	}
	v, err := m.c.Call.Call(ctx, fun, args(m.real, m.a.Device), kwargs)
	if err != nil {
		return true, err
	}
	if v != true {
		return true, module.Failf("%s", pytext.Str(v))
	}
	return false, nil
}

// absent mounts what is not mounted.
func (m *mounting) absent(ctx context.Context) (done bool, err error) {
	there := m.c.Host.Exists(m.name)
	if m.a.Mount {
		if m.c.Test {
			m.result = nil
			if (there || m.a.Mkmnt) && lacksUser(m.c, m.a.User) {
				return true, module.Failf("User '%s' is not available", pytext.Str(m.a.User))
			}
			if !there && !m.a.Mkmnt && !mayBeMade(m.c, m.name) {
				return true, module.Failf("Mount directory is not present")
			}
			switch {
			case there:
				m.comment = m.name + " would be mounted"
			case m.a.Mkmnt:
				m.comment = m.name + " would be created and mounted"
			default:
				m.comment = m.name + " does not exist and would not be created"
			}
			return true, nil
		}
		if !there && !m.a.Mkmnt {
			return true, module.Failf("Mount directory is not present")
		}
		v, err := m.c.Call.Call(ctx, "mount.mount", args(m.name, m.a.Device, m.a.Mkmnt, m.a.Fstype, anyList(m.opts)), wire.NewMap("user", m.a.User))
		if err != nil {
			return true, err
		}
		if why, ok := v.(string); ok {
			return true, module.Failf("%s", why)
		}
		m.cacheIt = true
		now, err := m.isActive(ctx)
		if now {
			m.comment = "Target was successfully mounted"
			m.changes.Set("mount", true)
		}
		return err != nil, err
	}
	switch {
	case !there && m.c.Test:
		m.comment = m.name + " does not exist and would neither be created nor mounted"
		if m.a.Mkmnt {
			m.result = nil
			m.comment = m.name + " would be created, but not mounted"
		}
	case !there && m.a.Mkmnt:
		if _, err := m.c.Call.Call(ctx, "file.mkdir", args(m.name), wire.NewMap("user", m.a.User)); err != nil {
			return true, err
		}
		m.comment = m.name + " was created, not mounted"
	case !there:
		m.comment = m.name + " not present and not mounted"
	case m.c.Test:
		m.comment = m.name + " would not be mounted"
	default:
		m.comment = m.name + " not mounted"
	}
	return false, nil
}

// persist writes the line that has it mounted at the next start.
func (m *mounting) persist(ctx context.Context) error {
	kwargs := wire.NewMap("match_on", m.a.MatchOn, "test", m.c.Test)
	v, err := m.c.Call.Call(ctx, "mount.set_fstab", args(m.name, m.a.Device, m.a.Fstype, anyList(m.opts), m.a.Dump, m.a.PassNum, m.a.Config), kwargs)
	if err != nil {
		return err
	}
	if m.c.Test {
		text := map[string]string{"new": "%s needs to be written to the fstab in order to be made persistent.", "change": "The %s fstab entry must be updated."}
		if m.a.Mount {
			text = map[string]string{"new": "%s is mounted, but needs to be written to the fstab in order to be made persistent.", "change": "%s is mounted, but its fstab entry must be updated."}
		}
		if format := text[pytext.Str(v)]; format != "" {
			m.result = nil
			m.comment += ". " + fmt.Sprintf(format, m.name)
			return nil
		}
		m.comment += persisted(v, m.changes)
		return nil
	}
	if m.cacheIt {
		if _, err := m.c.Call.Call(ctx, "mount.write_mount_cache", args(m.real, m.a.Device), wire.NewMap("mkmnt", m.a.Mkmnt, "fstype", m.a.Fstype, "mount_opts", anyList(m.opts))); err != nil {
			return err
		}
	}
	m.comment += persisted(v, m.changes)
	return nil
}

// persisted words what has become of a line of /etc/fstab.
func persisted(word any, changes *wire.Map) string {
	switch word {
	case "present":
		return ". Entry already exists in the fstab."
	case "new":
		changes.Set("persist", "new")
		return ". Added new entry to the fstab."
	case "change":
		changes.Set("persist", "update")
		return ". Updated the entry in the fstab."
	}
	return ""
}

type mountWatchArgs struct {
	Name   string    // Where it is mounted.
	User   any       `default:"None"` // Who mounts it.
	Sfun   string    `default:""`     // The function that watches.
	Kwargs *wire.Map `arg:"**"`       // Its arguments: device and fstype are needed, opts is defaults.
}

// mountModWatch mounts anew what a state has mounted, when something that it watches has
// changed.
func mountModWatch(_ context.Context, c *states.Call, a mountWatchArgs) (*states.Plan, error) {
	if a.Sfun != "mounted" {
		return &states.Plan{Fine: fmt.Sprintf("Watch not supported in %s at this time", a.Sfun)}, nil
	}
	for _, k := range []string{"device", "fstype"} {
		if !a.Kwargs.Has(k) {
			return nil, module.Failf("%s cannot be remounted: %s is missing, which mount.mounted has", a.Name, k)
		}
	}
	p := &states.Plan{Would: fmt.Sprintf("%s would be remounted", a.Name), Did: fmt.Sprintf("%s remounted", a.Name)}
	opts := get(a.Kwargs, "opts")
	if opts == nil {
		opts = "defaults"
	}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		v, err := c.Call.Call(ctx, "mount.remount", args(a.Name, get(a.Kwargs, "device"), false, get(a.Kwargs, "fstype"), opts), wire.NewMap("user", a.User))
		if err == nil && v != true {
			return module.Failf("%s failed to remount: %s", a.Name, pytext.Str(v))
		}
		return err
	})
	return p, nil
}

// oneKey is the only key of a map, and its value.
func oneKey(m *wire.Map) (string, *wire.Map) {
	all := maps.Collect(m.Strings())
	if len(all) != 1 {
		return "", nil
	}
	for k := range all {
		return k, m.Map(k)
	}
	return "", nil
}
