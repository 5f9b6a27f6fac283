package modules

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/durable"
	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/yamlarg"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("mount.active", mountActive)
	register("mount.is_mounted", mountIsMounted)
	register("mount.fstab", mountFstab)
	register("mount.set_fstab", mountSetFstab)
	register("mount.rm_fstab", mountRmFstab)
	register("mount.mount", mountMount)
	register("mount.remount", mountRemount)
	register("mount.umount", mountUmount)
	register("mount.swaps", mountSwaps)
	register("mount.swapon", mountSwapon)
	register("mount.swapoff", mountSwapoff)
	register("mount.is_fuse_exec", mountIsFuseExec)
	register("mount.get_mount_from_path", mountGetMountFromPath)
	register("mount.get_device_from_path", mountGetDeviceFromPath)
	register("mount.read_mount_cache", mountReadMountCache)
	register("mount.write_mount_cache", mountWriteMountCache)
	register("mount.delete_mount_cache", mountDeleteMountCache)
	planned("it is for other systems than Linux", "mount.vfstab", "mount.set_vfstab", "mount.rm_vfstab", "mount.automaster", "mount.set_automaster",
		"mount.rm_automaster", "mount.filesystems", "mount.set_filesystems", "mount.rm_filesystems")
}

type mountActiveArgs struct {
	Extended bool `default:"False"` // With numbers, roots and the options of the file systems themselves.
}

// mountActive returns what is mounted, by its place.
//
//	gosalt '*' mount.active
func mountActive(ctx context.Context, c *module.Call, a mountActiveArgs) (*wire.Map, error) {
	v, err := c.Call(ctx, "cmd.run_stdout", []any{[]any{"mount", "-l"}}, wire.NewMap("python_shell", false))
	if err != nil {
		return nil, err
	}
	names := map[string]any{}
	for line := range strings.Lines(pytext.Str(v)) {
		if f := strings.Fields(line); len(f) >= 3 {
			names[f[2]] = f[0]
		}
	}
	options := func(s string) []any {
		out := []any{}
		for _, o := range strings.Split(s, ",") {
			k, name, _ := strings.Cut(o, "=")
			if k == "uid" || k == "gid" {
				o = k + "=" + accountNumber(c, k, name)
			}
			out = append(out, strings.ReplaceAll(o, `\040`, `\ `))
		}
		return out
	}
	file := "/proc/self/mounts"
	if a.Extended {
		file = "/proc/self/mountinfo"
	}
	lines, err := procLines(c, file)
	if err != nil {
		return nil, module.Failf("File not readable %s", file)
	}
	ret := wire.NewMap()
	if !a.Extended {
		for _, f := range lines {
			if len(f) > 3 {
				ret.Set(f[1], wire.NewMap("device", f[0], "alt_device", names[f[1]], "fstype", f[2], "opts", options(f[3])))
			}
		}
		return ret, nil
	}
	blkid := wire.NewMap()
	if m, err := c.Call(ctx, "disk.blkid", nil, nil); err == nil {
		if known, ok := m.(*wire.Map); ok {
			blkid = known
		}
	}
	for _, f := range lines {
		sep := slices.Index(f, "-")
		if sep < 6 || sep+3 >= len(f) {
			continue
		}
		device := f[sep+2]
		var uuid, label any
		if m := blkid.Map(device); m != nil {
			label = mapValue(m, "LABEL")
			if u := mapValue(m, "UUID"); u != nil {
				uuid = strings.ToLower(pytext.Str(u))
			}
		}
		major, minor, _ := strings.Cut(f[2], ":")
		ret.Set(f[4], wire.NewMap("mountid", f[0], "parentid", f[1], "major", major, "minor", minor, "root", f[3], "opts", options(f[5]), "fstype", f[sep+1],
			"device", strings.ReplaceAll(device, `\040`, `\ `), "alt_device", names[f[4]], "superopts", options(f[sep+3]), "device_uuid", uuid, "device_label", label))
	}
	return ret, nil
}

// accountNumber is the number of a user or group that an option names.
func accountNumber(c *module.Call, kind, name string) string {
	if kind == "uid" {
		if u, err := c.Host.User(name); err == nil {
			return pytext.Str(int64(u.UID))
		}
	} else if g, err := c.Host.Group(name); err == nil {
		return pytext.Str(int64(g.GID))
	}
	return name
}

type mountNameArgs struct {
	Name string // Where it is mounted.
}

// mountIsMounted tells whether something is mounted there.
//
//	gosalt '*' mount.is_mounted /mnt/share
func mountIsMounted(ctx context.Context, c *module.Call, a mountNameArgs) (bool, error) {
	m, err := mountActive(ctx, c, mountActiveArgs{})
	return m.Has(a.Name), err
}

// fstabFields are the fields of a line of fstab(5).
var fstabFields = []string{"device", "name", "fstype", "opts", "dump", "pass_num"}

// fstabLine reads a line of fstab(5); nil for one that is no entry.
func fstabLine(line string) map[string]string {
	f := strings.Fields(line)
	if strings.HasPrefix(line, "#") || len(f) < 4 || len(f) > 6 {
		return nil
	}
	for len(f) < 6 {
		f = append(f, "0")
	}
	e := map[string]string{}
	for i, k := range fstabFields {
		e[k] = f[i]
	}
	return e
}

// fstabMatches tells whether a line is what is looked for; the order of options does not count.
func fstabMatches(line, want map[string]string, keys []string) bool {
	for _, k := range keys {
		a, b := line[k], want[k]
		if k == "opts" {
			x, y := strings.Split(a, ","), strings.Split(b, ",")
			slices.Sort(x)
			slices.Sort(y)
			a, b = strings.Join(x, ","), strings.Join(y, ",")
		}
		if a != b {
			return false
		}
	}
	return line != nil
}

type mountFstabArgs struct {
	Config string `default:"/etc/fstab"` // The file.
}

// mountFstab returns what is in /etc/fstab, by its place.
//
//	gosalt '*' mount.fstab
func mountFstab(ctx context.Context, c *module.Call, a mountFstabArgs) (*wire.Map, error) {
	ret := wire.NewMap()
	if !c.Host.IsFile(a.Config) {
		return ret, nil
	}
	text, err := wholeText(c, a.Config)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(text) {
		e := fstabLine(line)
		if e == nil {
			continue
		}
		opts := []any{}
		for _, o := range strings.Split(e["opts"], ",") {
			opts = append(opts, o)
		}
		name := e["name"]
		for ret.Has(name) {
			name += "_"
		}
		ret.Set(name, wire.NewMap("device", e["device"], "fstype", e["fstype"], "opts", opts, "dump", e["dump"], "pass", e["pass_num"]))
	}
	return ret, nil
}

type mountSetFstabArgs struct {
	Name      string    // Where it is mounted.
	Device    string    // What is mounted.
	Fstype    string    // The kind of file system.
	Opts      any       `default:"defaults"`   // Options, with commas or as a list.
	Dump      any       `default:"0"`          // Whether dump looks at it.
	PassNum   any       `default:"0"`          // When it is checked at the start.
	Config    string    `default:"/etc/fstab"` // The file.
	Test      bool      `default:"False"`      // Change nothing.
	MatchOn   any       `default:"auto"`       // What tells the line: device, name and so on, or a list of them.
	NotChange bool      `default:"False"`      // A line that is there is left as it is.
	Kwargs    *wire.Map `arg:"**"`             // Not looked at.
}

// specialKinds are file systems without a device that tells them.
var specialKinds = []string{"none", "tmpfs", "sysfs", "proc", "fusectl", "debugfs", "securityfs", "devtmpfs", "cgroup", "nfs", "nfs4", "glusterfs", "btrfs"}

// mountSetFstab makes /etc/fstab have a line. It returns present, new or change.
//
//	gosalt '*' mount.set_fstab /mnt/foo /dev/sdz1 ext4
func mountSetFstab(ctx context.Context, c *module.Call, a mountSetFstabArgs) (string, error) {
	entry := map[string]string{"name": a.Name, "device": strings.ReplaceAll(a.Device, `\ `, `\040`), "fstype": a.Fstype,
		"opts": strings.ReplaceAll(optionText(a.Opts), `\ `, `\040`), "dump": pytext.Str(a.Dump), "pass_num": pytext.Str(a.PassNum)}
	var keys []string
	switch m := a.MatchOn.(type) {
	case []any:
		keys = textList(m)
	case string:
		switch keys = []string{m}; {
		case m == "auto" && slices.Contains(specialKinds, a.Fstype):
			keys = []string{"name"}
		case m == "auto":
			keys = []string{"device"}
		}
	default:
		return "", module.Failf("match_on must be a string or list of strings")
	}
	for _, k := range keys {
		if !slices.Contains(fstabFields, k) {
			return "", module.Failf(`Unrecognized keys in match_on: "%s"`, k)
		}
	}
	if !c.Host.IsFile(a.Config) {
		return "", module.Failf(`Bad config file "%s"`, a.Config)
	}
	text, err := wholeText(c, a.Config)
	if err != nil {
		return "", module.Failf("Couldn't read from %s: %s", a.Config, host.OSError(err, a.Config))
	}
	line := entry["device"] + "\t\t" + entry["name"] + "\t" + entry["fstype"] + "\t" + entry["opts"] + "\t" + entry["dump"] + " " + entry["pass_num"] + "\n"
	word := ""
	var out strings.Builder
	for l := range strings.Lines(text) {
		e := fstabLine(l)
		if e != nil && fstabMatches(e, entry, keys) {
			word = "present"
			if !a.NotChange && !fstabMatches(e, entry, fstabFields) {
				word, l = "change", line
			}
		}
		out.WriteString(l)
	}
	if word == "" {
		word = "new"
		out.WriteString(line)
	}
	if word == "present" || a.Test || c.Opts.Bool("test") {
		return word, nil
	}
	if err := c.Host.WriteFile(a.Config, []byte(out.String())); err != nil {
		return "", module.Failf("File not writable %s", a.Config)
	}
	return word, nil
}

// optionText are options with commas between them.
func optionText(v any) string {
	if l, ok := v.([]any); ok {
		return strings.Join(textList(l), ",")
	}
	return orNothing(v)
}

type mountRmFstabArgs struct {
	Name   string // Where it is mounted.
	Device any    // What is mounted; None for anything.
	Config string `default:"/etc/fstab"` // The file.
}

// mountRmFstab removes a line from /etc/fstab.
//
//	gosalt '*' mount.rm_fstab /mnt/foo /dev/sdg
func mountRmFstab(ctx context.Context, c *module.Call, a mountRmFstabArgs) (bool, error) {
	text, err := wholeText(c, a.Config)
	if err != nil {
		return false, module.Failf("Couldn't read from %s: %s", a.Config, host.OSError(err, a.Config))
	}
	want, keys := map[string]string{"name": a.Name}, []string{"name"}
	if a.Device != nil {
		want["device"] = pytext.Str(a.Device)
		keys = append(keys, "device")
	}
	var out strings.Builder
	for l := range strings.Lines(text) {
		if !fstabMatches(fstabLine(l), want, keys) {
			out.WriteString(l)
		}
	}
	if out.Len() == len(text) {
		return true, nil
	}
	if err := c.Host.WriteFile(a.Config, []byte(out.String())); err != nil {
		return false, module.Failf("Couldn't write to %s: %s", a.Config, host.OSError(err, a.Config))
	}
	return true, nil
}

// runMount runs mount or umount. It returns True, or what the program has against it.
func runMount(ctx context.Context, c *module.Call, user any, cmd ...any) (any, error) {
	kwargs := wire.NewMap("python_shell", false)
	if module.Truth(user) {
		kwargs.Set("runas", user)
	}
	v, err := c.Call(ctx, "cmd.run_all", []any{cmd}, kwargs)
	if err != nil {
		return nil, err
	}
	if out, _ := v.(*wire.Map); out.Int("retcode") != 0 {
		return out.Text("stderr"), nil
	}
	return true, nil
}

type mountMountArgs struct {
	Name   string // Where it is to be mounted.
	Device any    `default:"False"`    // What is mounted; False for what /etc/fstab says.
	Mkmnt  bool   `default:"False"`    // Make the directory.
	Fstype any    `default:""`         // The kind of file system.
	Opts   any    `default:"defaults"` // Options, with commas or as a list.
	User   any    `default:"None"`     // Who mounts it.
	Util   string `default:"mount"`    // Without effect: mount is the only one.
}

// mountMount mounts a device. It returns True, or what mount has against it.
//
//	gosalt '*' mount.mount /mnt/foo /dev/sdz1 True
func mountMount(ctx context.Context, c *module.Call, a mountMountArgs) (any, error) {
	if a.Util != "mount" {
		return nil, module.Invalidf("mount.mount: util %q is not available in gosalt: mount is", a.Util)
	}
	if a.Mkmnt && !c.Host.Exists(a.Name) {
		if _, err := c.Call(ctx, "file.mkdir", []any{a.Name}, wire.NewMap("user", a.User)); err != nil {
			return nil, err
		}
	}
	if !module.Truth(a.Device) {
		return runMount(ctx, c, a.User, "mount", a.Name)
	}
	return runMount(ctx, c, a.User, append(append([]any{"mount"}, mountOptions(a.Opts, a.Fstype)...), a.Device, a.Name)...)
}

func mountOptions(opts, kind any) []any {
	var out []any
	if opts != nil {
		out = append(out, "-o", optionText(opts))
	}
	if module.Truth(kind) {
		out = append(out, "-t", kind)
	}
	return out
}

// mountRemount mounts a device anew, with other options. It returns True, or what mount has
// against it.
//
//	gosalt '*' mount.remount /mnt/foo /dev/sdz1 True
func mountRemount(ctx context.Context, c *module.Call, a mountRemountArgs) (any, error) {
	mounted, err := mountIsMounted(ctx, c, mountNameArgs{a.Name})
	if err != nil {
		return nil, err
	}
	if !mounted {
		return mountMount(ctx, c, mountMountArgs{a.Name, a.Device, a.Mkmnt, a.Fstype, a.Opts, a.User, "mount"})
	}
	opts := strings.Split(optionText(a.Opts), ",")
	if !slices.Contains(opts, "remount") {
		opts = append(opts, "remount")
	}
	return runMount(ctx, c, a.User, append(append([]any{"mount"}, mountOptions(strings.Join(opts, ","), a.Fstype)...), a.Device, a.Name)...)
}

type mountRemountArgs struct {
	Name   string // Where it is mounted.
	Device any    // What is mounted.
	Mkmnt  bool   `default:"False"`    // Make the directory.
	Fstype any    `default:""`         // The kind of file system.
	Opts   any    `default:"defaults"` // Options, with commas or as a list.
	User   any    `default:"None"`     // Who mounts it.
}

type mountUmountArgs struct {
	Name   string // Where it is mounted.
	Device any    `default:"None"`  // What is mounted, to unmount that.
	User   any    `default:"None"`  // Who unmounts it.
	Util   string `default:"mount"` // Without effect: mount is the only one.
}

// mountUmount unmounts a device. It returns True, or what umount has against it.
//
//	gosalt '*' mount.umount /mnt/foo
func mountUmount(ctx context.Context, c *module.Call, a mountUmountArgs) (any, error) {
	mounted, err := mountIsMounted(ctx, c, mountNameArgs{a.Name})
	if err != nil {
		return nil, err
	}
	if !mounted {
		return a.Name + " does not have anything mounted", nil
	}
	what := any(a.Name)
	if module.Truth(a.Device) {
		what = a.Device
	}
	return runMount(ctx, c, a.User, "umount", what)
}

// mountSwaps returns the swap spaces that are in use.
//
//	gosalt '*' mount.swaps
func mountSwaps(ctx context.Context, c *module.Call, a noArgs) (*wire.Map, error) {
	lines, err := procLines(c, "/proc/swaps")
	if err != nil {
		return nil, systemError(err, "/proc/swaps")
	}
	ret := wire.NewMap()
	for _, f := range lines {
		if len(f) > 4 && f[0] != "Filename" {
			ret.Set(f[0], wire.NewMap("type", f[1], "size", f[2], "used", f[3], "priority", f[4]))
		}
	}
	return ret, nil
}

type mountSwaponArgs struct {
	Name     string // A device or a file.
	Priority any    `default:"None"` // Its priority.
}

// mountSwapon takes a swap space into use.
//
//	gosalt '*' mount.swapon /root/swapfile
func mountSwapon(ctx context.Context, c *module.Call, a mountSwaponArgs) (*wire.Map, error) {
	on, err := mountSwaps(ctx, c, noArgs{})
	if err != nil || on.Has(a.Name) {
		return wire.NewMap("stats", on.Map(a.Name), "new", false), err
	}
	cmd := []any{"swapon", a.Name}
	if module.Truth(a.Priority) {
		cmd = append(cmd, "-p", pytext.Str(a.Priority))
	}
	if _, err := c.Call(ctx, "cmd.run", []any{cmd}, wire.NewMap("python_shell", false)); err != nil {
		return nil, err
	}
	on, err = mountSwaps(ctx, c, noArgs{})
	if err != nil || !on.Has(a.Name) {
		return wire.NewMap(), err
	}
	return wire.NewMap("stats", on.Map(a.Name), "new", true), nil
}

// mountSwapoff takes a swap space out of use. It returns None where it was not in use.
//
//	gosalt '*' mount.swapoff /root/swapfile
func mountSwapoff(ctx context.Context, c *module.Call, a mountNameArgs) (any, error) {
	on, err := mountSwaps(ctx, c, noArgs{})
	if err != nil || !on.Has(a.Name) {
		return nil, err
	}
	if _, err := c.Call(ctx, "cmd.run", []any{[]any{"swapoff", a.Name}}, wire.NewMap("python_shell", false)); err != nil {
		return nil, err
	}
	on, err = mountSwaps(ctx, c, noArgs{})
	return !on.Has(a.Name), err
}

type mountIsFuseExecArgs struct {
	Cmd string // A program.
}

// mountIsFuseExec tells whether a program mounts by FUSE.
//
//	gosalt '*' mount.is_fuse_exec sshfs
func mountIsFuseExec(ctx context.Context, c *module.Call, a mountIsFuseExecArgs) (bool, error) {
	path, err := host.LookPath(a.Cmd, searchPath(), "/")
	if err != nil {
		return false, nil
	}
	v, err := c.Call(ctx, "cmd.run", []any{[]any{"ldd", path}}, wire.NewMap("python_shell", false))
	return strings.Contains(pytext.Str(v), "libfuse"), err
}

type mountPathArgs struct {
	Path string // A path.
}

// mountGetMountFromPath returns the place where the file system of a path is mounted.
//
//	gosalt '*' mount.get_mount_from_path /opt/some/nested/path
func mountGetMountFromPath(ctx context.Context, c *module.Call, a mountPathArgs) (string, error) {
	path := c.Host.Path(a.Path)
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	for ; path != "/"; path = filepath.Dir(path) {
		here, err := statFS(path)
		if err != nil {
			continue
		}
		if up, err := statFS(filepath.Dir(path)); err == nil && up.device != here.device {
			return path, nil
		}
	}
	return path, nil
}

// mountGetDeviceFromPath returns the device that a path is on.
//
//	gosalt '*' mount.get_device_from_path /
func mountGetDeviceFromPath(ctx context.Context, c *module.Call, a mountPathArgs) (any, error) {
	at, err := mountGetMountFromPath(ctx, c, a)
	if err != nil {
		return nil, err
	}
	m, err := mountActive(ctx, c, mountActiveArgs{})
	return mapValue(m.Map(at), "device"), err
}

// mountCache is what states have mounted, by place; it lasts beyond the minion.
func mountCache(c *module.Call) (file string, cache *wire.Map, err error) {
	dir := c.CacheDir
	if dir == "" {
		dir = c.Opts.Text("cachedir")
	}
	if dir == "" {
		return "", wire.NewMap(), nil
	}
	file = filepath.Join(dir, "mounts")
	b, err := os.ReadFile(file)
	if err != nil {
		return file, wire.NewMap(), nil
	}
	v, err := yamlarg.Load(string(b))
	m, _ := v.(*wire.Map)
	if err != nil || m.Map("mounts") == nil {
		return file, wire.NewMap(), nil
	}
	return file, m.Map("mounts"), nil
}

func saveMountCache(file string, cache *wire.Map) (bool, error) {
	if file == "" {
		return false, module.Failf("Unable to write mount cache.")
	}
	err := os.MkdirAll(filepath.Dir(file), 0o700)
	if err == nil {
		err = durable.WriteFile(file, []byte(pytext.YAML(wire.NewMap("mounts", cache), 2, false)), 0o600)
	}
	if err != nil {
		return false, module.Failf("Unable to write mount cache.")
	}
	return true, nil
}

// mountReadMountCache returns what a state has mounted there.
//
//	gosalt '*' mount.read_mount_cache /mnt/share
func mountReadMountCache(ctx context.Context, c *module.Call, a mountNameArgs) (*wire.Map, error) {
	_, cache, err := mountCache(c)
	if m := cache.Map(a.Name); m != nil {
		return m, err
	}
	return wire.NewMap(), err
}

type mountWriteMountCacheArgs struct {
	RealName  string // Where it is mounted.
	Device    string // What is mounted.
	Mkmnt     bool   // Whether the directory is made.
	Fstype    string // The kind of file system.
	MountOpts any    // The options.
}

// mountWriteMountCache notes what a state has mounted.
//
//	gosalt '*' mount.write_mount_cache /mnt/share /dev/sda1 False ext4 defaults,nosuid
func mountWriteMountCache(ctx context.Context, c *module.Call, a mountWriteMountCacheArgs) (bool, error) {
	file, cache, err := mountCache(c)
	if err != nil {
		return false, err
	}
	cache = cache.Clone()
	cache.Set(a.RealName, wire.NewMap("device", a.Device, "fstype", a.Fstype, "mkmnt", a.Mkmnt, "opts", a.MountOpts))
	return saveMountCache(file, cache)
}

type mountDeleteMountCacheArgs struct {
	RealName string // Where it was mounted.
}

// mountDeleteMountCache forgets what a state has mounted.
//
//	gosalt '*' mount.delete_mount_cache /mnt/share
func mountDeleteMountCache(ctx context.Context, c *module.Call, a mountDeleteMountCacheArgs) (bool, error) {
	file, cache, err := mountCache(c)
	if err != nil || !cache.Has(a.RealName) {
		return err == nil, err
	}
	cache = cache.Clone()
	cache.Delete(a.RealName)
	return saveMountCache(file, cache)
}
