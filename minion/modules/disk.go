package modules

import (
	"context"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("disk.usage", diskUsage)
	register("disk.inodeusage", diskInodeusage)
	register("disk.percent", diskPercent)
	register("disk.blkid", diskBlkid)
	register("disk.fstype", diskFstype)
	register("disk.get_fstype_from_path", diskGetFstypeFromPath)
}

// sizedMount is a mounted file system with its size.
type sizedMount struct {
	mount
	fsSize
}

// diskFlags are the flags of df(1) that the functions of this module take.
type diskFlags struct {
	all    bool // those without blocks, too
	local  bool // not those of other machines
	kind   bool // the kind of the file system behind its name
	inodes bool
}

// readFlags reads letters as df(1) has them. Without effect are those that only
// change how df writes (h, H, k, P, v); Salt can make nothing of what h and H write.
func readFlags(args any, caller string) (f diskFlags, err error) {
	letters := textOf(args)
	if list, ok := args.([]any); ok {
		letters = ""
		for _, v := range list {
			letters += textOf(v)
		}
	}
	for _, r := range letters {
		switch r {
		case 'a':
			f.all = true
		case 'l':
			f.local = true
		case 'T':
			f.kind = true
		case 'i':
			f.inodes = true
		case 'h', 'H', 'k', 'P', 'v':
		case 'B', 't', 'x':
			return f, module.Invalidf("flag %q of df needs a value, for which %s has no place", r, caller)
		default:
			return f, module.Failf("Invalid flag passed to %s", caller)
		}
	}
	return f, nil
}

// remoteKinds are file systems that another machine has.
var remoteKinds = []string{"acfs", "afs", "auristorfs", "ceph", "cifs", "coda", "fhgfs", "fuse.sshfs", "gfs", "gfs2", "gpfs", "ibrix",
	"ncpfs", "nfs", "nfs4", "ocfs2", "panfs", "smb3", "smbfs", "snfs", "stnfs", "vxfs"}

func (m mount) remote() bool {
	return slices.Contains(remoteKinds, m.kind) || strings.HasPrefix(m.device, "//") ||
		strings.Contains(m.device, ":") && !strings.HasPrefix(m.device, "/")
}

// fileSystems are what df(1) lists: of the mounts of one file system the outermost,
// and none that has no blocks, unless all are asked for.
func fileSystems(c *module.Call, f diskFlags) ([]sizedMount, error) {
	all, err := mounts(c)
	if err != nil {
		return nil, err
	}
	var out []sizedMount
	for _, m := range all {
		if f.local && m.remote() {
			continue
		}
		size, err := statFS(c.Host.Path(m.path))
		if err != nil {
			c.Log.Debug("file system not asked for its size", "path", m.path, "error", err)
			continue
		}
		out = append(out, sizedMount{m, size})
	}
	if f.all {
		return out, nil
	}
	return outermost(out), nil
}

// outermost leaves one of the mounts of each device, by the rules of df(1), and drops
// file systems without blocks.
func outermost(all []sizedMount) []sizedMount {
	var out []sizedMount
	for _, m := range all {
		i := slices.IndexFunc(out, func(o sizedMount) bool { return o.fsSize.device == m.fsSize.device && m.fsSize.device != 0 })
		switch {
		case i < 0 || m.remote() && out[i].remote() && m.mount.device != out[i].mount.device:
			out = append(out, m)
		case strings.Contains(m.mount.device, "/") && !strings.Contains(out[i].mount.device, "/"),
			len(m.path) < len(out[i].path) && len(m.root) <= len(out[i].root),
			m.path == out[i].path && m.mount.device != out[i].mount.device:
			out[i] = m
		}
	}
	return slices.DeleteFunc(out, func(m sizedMount) bool { return m.blocks == 0 })
}

// name is what df shows first of a file system.
func (m sizedMount) name(f diskFlags) string {
	if f.kind {
		return m.mount.device + " " + m.kind
	}
	return m.mount.device
}

// percentText is used of used and free, in percent, rounded up.
func percentText(used, free uint64) string {
	if used+free == 0 {
		return "-"
	}
	return strconv.FormatUint((used*100+used+free-1)/(used+free), 10) + "%"
}

// kib is a number of blocks in KiB, rounded up.
func (s fsSize) kib(blocks uint64) string {
	return strconv.FormatUint((blocks*s.blockSize+1023)/1024, 10)
}

type diskArgs struct {
	Args any `default:"None"` // Flags of df(1): a for all file systems, i, l, T.
}

// diskUsage returns the mounted file systems with their size, in KiB.
//
//	gosalt '*' disk.usage
func diskUsage(ctx context.Context, c *module.Call, a diskArgs) (*wire.Map, error) {
	f, err := readFlags(a.Args, "disk.usage")
	if err != nil {
		return nil, err
	}
	all, err := fileSystems(c, f)
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap()
	for _, m := range all {
		blocks, used, free := m.kib(m.blocks), m.kib(m.blocks-m.free), m.kib(m.available)
		capacity := percentText(m.blocks-m.free, m.available)
		if f.inodes {
			blocks, used, free = inodeTexts(m.fsSize)
			capacity = percentText(m.files-m.freeFiles, m.freeFiles)
		}
		ret.Set(m.path, wire.NewMap("filesystem", m.name(f), "1K-blocks", blocks, "used", used, "available", free, "capacity", capacity))
	}
	return ret, nil
}

func inodeTexts(s fsSize) (all, used, free string) {
	text := func(n uint64) string { return strconv.FormatUint(n, 10) }
	return text(s.files), text(s.files - s.freeFiles), text(s.freeFiles)
}

// diskInodeusage returns the mounted file systems with the number of files that they
// hold and can hold.
//
//	gosalt '*' disk.inodeusage
func diskInodeusage(ctx context.Context, c *module.Call, a diskArgs) (*wire.Map, error) {
	f, err := readFlags(a.Args, "disk.inodeusage")
	if err != nil {
		return nil, err
	}
	all, err := fileSystems(c, f)
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap()
	for _, m := range all {
		inodes, used, free := inodeTexts(m.fsSize)
		ret.Set(m.path, wire.NewMap("inodes", inodes, "used", used, "free", free, "use", percentText(m.files-m.freeFiles, m.freeFiles),
			"filesystem", m.name(f)))
	}
	return ret, nil
}

type diskPercentArgs struct {
	Args string `default:"None"` // Where a file system is mounted: only this one.
}

// diskPercent returns how much of the mounted file systems is used.
//
//	gosalt '*' disk.percent /var
func diskPercent(ctx context.Context, c *module.Call, a diskPercentArgs) (any, error) {
	all, err := fileSystems(c, diskFlags{})
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap()
	for _, m := range all {
		ret.Set(m.path, percentText(m.blocks-m.free, m.available))
	}
	if a.Args == "" {
		return ret, nil
	}
	if v, ok := ret.Get(a.Args); ok {
		return v, nil
	}
	c.Log.Error("no file system is mounted there", "path", a.Args)
	return wire.NewMap(), nil
}

type diskBlkidArgs struct {
	Device string `default:"None"` // Only this one: /dev/sda1.
	Token  string `default:"None"` // Only devices that have this: UUID=12345678.
}

// diskBlkid returns what the program blkid finds on block devices: kind, UUID and
// label of file systems.
//
//	gosalt '*' disk.blkid
//	gosalt '*' disk.blkid /dev/sda
//	gosalt '*' disk.blkid token=TYPE=ext4
func diskBlkid(ctx context.Context, c *module.Call, a diskBlkidArgs) (*wire.Map, error) {
	args := []any{"blkid"}
	switch {
	case a.Device != "":
		args = append(args, a.Device)
	case a.Token != "":
		args = append(args, "-t", a.Token)
	}
	out, err := runProgram(ctx, c, args...)
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap()
	if code := out.Int("retcode"); code != 0 {
		c.SetRetcode(int(code))
		return ret, nil
	}
	for line := range strings.Lines(out.Text("stdout")) {
		if device, fields, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
			ret.Set(device, blkidFields(fields))
		}
	}
	return ret, nil
}

// blkidFields reads NAME="value" NAME="value".
func blkidFields(s string) *wire.Map {
	m := wire.NewMap()
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		name, rest, ok := strings.Cut(s, `="`)
		if !ok {
			break
		}
		var value strings.Builder
		i := 0
		for ; i < len(rest) && rest[i] != '"'; i++ {
			if rest[i] == '\\' && i+1 < len(rest) {
				i++
			}
			value.WriteByte(rest[i])
		}
		m.Set(name, value.String())
		s = rest[min(len(rest), i+1):]
	}
	return m
}

type diskFstypeArgs struct {
	Device string // A block device, or a path on a file system.
}

// diskFstype returns the kind of the file system on a device: ext4; "" where there is
// none.
//
//	gosalt '*' disk.fstype /dev/sdX1
func diskFstype(ctx context.Context, c *module.Call, a diskFstypeArgs) (string, error) {
	all, err := mounts(c)
	if err != nil {
		return "", err
	}
	for _, m := range slices.Backward(all) {
		if m.device == a.Device {
			return m.kind, nil
		}
	}
	st, err := os.Stat(c.Host.Path(a.Device))
	if err != nil {
		c.SetRetcode(1)
		return "", nil
	}
	if st.Mode()&os.ModeDevice == 0 {
		return kindOfPath(all, a.Device), nil
	}
	out, err := runProgram(ctx, c, "blkid", "-o", "value", "-s", "TYPE", a.Device)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(out.Text("stdout")), nil
}

// mountOf is the mount that a path is below, nil for none.
func mountOf(all []mount, path string) *mount {
	var found *mount
	for i, m := range all {
		below := m.path == path || m.path == "/" || strings.HasPrefix(path, m.path+"/")
		if below && (found == nil || len(m.path) >= len(found.path)) {
			found = &all[i]
		}
	}
	return found
}

func kindOfPath(all []mount, path string) string {
	if m := mountOf(all, path); m != nil {
		return m.kind
	}
	return ""
}

type diskPathArgs struct {
	Path string // A path.
}

// diskGetFstypeFromPath returns the kind of the file system that a path is on.
//
//	gosalt '*' disk.get_fstype_from_path /root
func diskGetFstypeFromPath(ctx context.Context, c *module.Call, a diskPathArgs) (string, error) {
	all, err := mounts(c)
	if err != nil {
		return "", err
	}
	return kindOfPath(all, a.Path), nil
}
