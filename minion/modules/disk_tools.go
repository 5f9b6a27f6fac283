package modules

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// The functions of this file call the programs that look after disks, and answer with
// what these tell.
func init() {
	register("disk.tune", diskTune)
	register("disk.dump", diskDump)
	register("disk.wipe", diskWipe)
	register("disk.resize2fs", diskResize2fs)
	register("disk.format", diskFormat)
	register("disk.hdparms", diskHdparms)
	register("disk.hpa", diskHpa)
	register("disk.smart_attributes", diskSmartAttributes)
	register("disk.iostat", diskIostat)
}

type diskTuneArgs struct {
	Device string    // The device: /dev/sda1.
	Kwargs *wire.Map `arg:"**"` // read-ahead and filesystem-read-ahead in sectors, read-only=True, read-write=True.
}

// diskTune sets attributes of a block device, and returns them as they are then.
//
//	gosalt '*' disk.tune /dev/sda1 read-ahead=1024 read-write=True
func diskTune(ctx context.Context, c *module.Call, a diskTuneArgs) (any, error) {
	switches := map[string]string{"read-ahead": "ra", "filesystem-read-ahead": "fra", "read-only": "ro", "read-write": "rw"}
	args, asked, wrong := []any{"blockdev"}, []any{}, []string{}
	for key, v := range a.Kwargs.Strings() {
		name, ok := switches[key]
		flag := name == "ro" || name == "rw"
		switch {
		case strings.HasPrefix(key, "__"):
			continue
		case !ok, flag && v != true && v != "True":
			wrong = append(wrong, key+"="+pytext.Str(v))
			continue
		case flag:
			args, asked = append(args, "--set"+name), append(asked, "getro")
		default:
			args, asked = append(args, "--set"+name, pytext.Str(v)), append(asked, "get"+name)
		}
	}
	if len(wrong) > 0 {
		return nil, module.Invalidf("Invalid keyword arguments: %s", strings.Join(wrong, ", "))
	}
	out, err := runProgram(ctx, c, append(args, a.Device)...)
	if err != nil {
		return nil, err
	}
	if out.Int("retcode") != 0 {
		return nil, module.Failf("%s", out.Text("stderr"))
	}
	return diskDump(ctx, c, diskDumpArgs{Device: a.Device, Args: asked})
}

// blockdevGets are what blockdev(8) tells of a device.
var blockdevGets = []string{"getro", "getsz", "getss", "getpbsz", "getiomin", "getioopt", "getalignoff", "getmaxsect", "getsize", "getsize64", "getra", "getfra"}

type diskDumpArgs struct {
	Device string // The device: /dev/sda1.
	Args   []any  `default:"None"` // Names of attributes, as getra; all where not given.
}

// diskDump returns the attributes of a block device, by the names that blockdev(8) has
// for asking after them; False where it cannot be read.
//
//	gosalt '*' disk.dump /dev/sda1
func diskDump(ctx context.Context, c *module.Call, a diskDumpArgs) (any, error) {
	args := []any{"blockdev"}
	for _, g := range blockdevGets {
		args = append(args, "--"+g)
	}
	out, err := runProgram(ctx, c, append(args, a.Device)...)
	if err != nil {
		return nil, err
	}
	if out.Int("retcode") != 0 {
		c.SetRetcode(int(out.Int("retcode")))
		return false, nil
	}
	all, i := wire.NewMap(), 0
	for line := range strings.Lines(out.Text("stdout")) {
		if line = strings.TrimRight(line, "\r\n"); line != "" && i < len(blockdevGets) {
			all.Set(blockdevGets[i], line)
			i++
		}
	}
	if len(a.Args) == 0 {
		return all, nil
	}
	some := wire.NewMap()
	for _, name := range a.Args {
		name := pytext.Str(name)
		v, ok := all.Get(name)
		if !ok {
			return nil, module.Invalidf("disk.dump: no attribute named %q; there are: %s", name, strings.Join(blockdevGets, ", "))
		}
		some.Set(name, v)
	}
	return some, nil
}

type diskDeviceArgs struct {
	Device string // The device: /dev/sda1.
}

// diskWipe removes the signatures of file systems, RAIDs and partition tables from a
// device, after which its data are not found any more; tells whether that was done.
//
//	gosalt '*' disk.wipe /dev/sda1
func diskWipe(ctx context.Context, c *module.Call, a diskDeviceArgs) (bool, error) {
	out, err := runProgram(ctx, c, "wipefs", "-a", a.Device)
	if err != nil {
		return false, err
	}
	if code := int(out.Int("retcode")); code != 0 {
		c.SetRetcode(code)
		c.Log.Error("wipefs failed", "device", a.Device, "stderr", out.Text("stderr"))
		return false, nil
	}
	return true, nil
}

// diskResize2fs makes a file system of ext2, ext3 or ext4 as large as its device; True, or
// nothing where that failed.
//
//	gosalt '*' disk.resize2fs /dev/sda1
func diskResize2fs(ctx context.Context, c *module.Call, a diskDeviceArgs) (any, error) {
	out, err := runProgram(ctx, c, "resize2fs", a.Device)
	if err != nil {
		return nil, err
	}
	if code := int(out.Int("retcode")); code != 0 {
		c.SetRetcode(code)
		c.Log.Error("resize2fs failed", "device", a.Device, "stderr", out.Text("stderr"))
		return nil, nil
	}
	return true, nil
}

type diskFormatArgs struct {
	Device         string // The device: /dev/sdX1.
	FSType         string `arg:"fs_type" default:"ext4"`          // Which file system.
	InodeSize      any    `default:"None"`                        // ext: bytes for each inode (mkfs -i); xfs: the size of an inode.
	LazyItableInit any    `arg:"lazy_itable_init" default:"None"` // ext: 0 writes the tables of inodes at once.
	Fat            any    `default:"None"`                        // fat and vfat: bits of the table, 12, 16 or 32.
	Force          bool   `default:"False"`                       // ext and xfs: also where the device does not look like one for it.
}

// diskFormat makes a file system on a device, whose data are lost; tells whether that was
// done.
//
//	gosalt '*' disk.format /dev/sdX1
//	gosalt '*' disk.format /dev/sdX1 fs_type=xfs force=True
func diskFormat(ctx context.Context, c *module.Call, a diskFormatArgs) (bool, error) {
	args := []any{"mkfs", "-t", a.FSType}
	ext := strings.HasPrefix(a.FSType, "ext")
	switch {
	case a.InodeSize == nil:
	case ext:
		args = append(args, "-i", pytext.Str(a.InodeSize))
	case a.FSType == "xfs":
		args = append(args, "-i", "size="+pytext.Str(a.InodeSize))
	}
	if a.LazyItableInit != nil && ext {
		args = append(args, "-E", "lazy_itable_init="+pytext.Str(a.LazyItableInit))
	}
	if slices.Contains([]any{int64(12), int64(16), int64(32)}, a.Fat) && strings.HasSuffix(a.FSType, "fat") {
		args = append(args, "-F", pytext.Str(a.Fat))
	}
	if a.Force && ext {
		args = append(args, "-F")
	} else if a.Force && a.FSType == "xfs" {
		args = append(args, "-f")
	}
	made, err := runProgram(ctx, c, append(args, a.Device)...)
	if err != nil {
		return false, err
	}
	if made.Int("retcode") != 0 {
		c.Log.Error("mkfs failed", "device", a.Device, "stderr", made.Text("stderr"))
	}
	synced, err := runProgram(ctx, c, "sync")
	if err != nil {
		return false, err
	}
	return made.Int("retcode") == 0 && synced.Int("retcode") == 0, nil
}

type diskHdparmsArgs struct {
	Disks any // A disk, as sda or /dev/sda, or a list of them.
	Args  any `default:"None"` // Letters of hdparm(8) to ask for; all that only tell something where not given.
}

// diskNames are disks by the names of their devices.
func diskNames(v any) []string {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var names []string
	for _, d := range list {
		name := pytext.Str(d)
		if !strings.HasPrefix(name, "/dev") {
			name = "/dev/" + name
		}
		names = append(names, name)
	}
	return names
}

// diskHdparms returns what hdparm(8) tells of disks.
//
//	gosalt '*' disk.hdparms /dev/sda
func diskHdparms(ctx context.Context, c *module.Call, a diskHdparmsArgs) (*wire.Map, error) {
	letters := "aAbBcCdgHiJkMmNnQrRuW"
	if list, ok := a.Args.([]any); ok {
		letters = ""
		for _, l := range list {
			letters += pytext.Str(l)
		}
	} else if a.Args != nil {
		letters = pytext.Str(a.Args)
	}
	ret := wire.NewMap()
	for _, disk := range diskNames(a.Disks) {
		out, err := runProgram(ctx, c, "hdparm", "-"+letters, disk)
		if err != nil {
			return nil, err
		}
		if out.Int("retcode") != 0 {
			c.Log.Warn("hdparm failed", "disk", disk, "stderr", out.Text("stderr"))
		}
		ret.Set(disk, hdparmData(disk, out.Text("stdout")))
	}
	return ret, nil
}

var (
	hdparmIs     = lazyre.New(` is$`)
	hdparmMarked = lazyre.New(`^[0-9]+ \(.*\)`)
	hdparmSplit  = lazyre.New(`[/,]`)
)

// hdparmData reads the output of hdparm: "name = 1 (on)", "max sectors = 1/2, HPA is
// disabled", "Model=x, SerialNo=y".
func hdparmData(disk, text string) *wire.Map {
	data := wire.NewMap()
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line == disk+":" {
			continue
		}
		key, vals, ok := strings.Cut(line, ":")
		if ok {
			key = hdparmIs.ReplaceAllString(key, "")
		} else if key, vals, ok = strings.Cut(line, "="); !ok {
			continue
		}
		key = strings.ReplaceAll(strings.ToLower(strings.TrimSpace(key)), " ", "_")
		vals = strings.TrimSpace(vals)
		if hdparmMarked.MatchString(vals) {
			n, mark, _ := strings.Cut(vals, " ")
			mark, _, _ = strings.Cut(mark, " ")
			data.Set(key, []any{number(n), strings.Trim(mark, "()")})
			continue
		}
		var list []any
		deep := wire.NewMap()
		for _, v := range hdparmSplit.Split(vals, -1) {
			v = strings.TrimSpace(v)
			if n, err := strconv.ParseInt(v, 10, 64); err == nil {
				list = append(list, n)
			} else if k, of, ok := strings.Cut(v, "="); ok {
				if of = strings.TrimSpace(of); of != "" {
					deep.Set(strings.TrimSpace(k), of)
				}
			} else if v != "" {
				list = append(list, v)
			}
		}
		if deep.Len() > 0 {
			list = append(list, deep)
		}
		switch len(list) {
		case 0:
		case 1:
			data.Set(key, list[0])
		default:
			data.Set(key, list)
		}
	}
	return data
}

type diskHpaArgs struct {
	Disks any // A disk, as sda or /dev/sda, or a list of them.
	Size  any `default:"None"` // How many sectors to hide at the end, or which part: "5%". What is stored there is lost.
}

// diskHpa returns how many sectors of disks are hidden at their end (Host Protected
// Area), or hides some.
//
//	gosalt '*' disk.hpa /dev/sda
//	gosalt '*' disk.hpa /dev/sda 5%
func diskHpa(ctx context.Context, c *module.Call, a diskHpaArgs) (*wire.Map, error) {
	all, err := diskHdparms(ctx, c, diskHdparmsArgs{Disks: a.Disks, Args: "N"})
	if err != nil {
		return nil, err
	}
	ret := wire.NewMap()
	for disk, v := range all.Strings() {
		var visible, total int64
		known, status := false, ""
		for _, v := range v.(*wire.Map).Strings() {
			if list, ok := v.([]any); ok && len(list) == 3 {
				visible, _ = list[0].(int64)
				total, known = list[1].(int64)
				status, _ = list[2].(string)
			}
			break
		}
		switch {
		case !known:
			return nil, module.Failf("hdparm -N tells nothing of %s", disk)
		case visible == total, strings.Contains(status, "disabled"):
			ret.Set(disk, wire.NewMap("total", total))
		default:
			ret.Set(disk, wire.NewMap("total", total, "visible", visible, "hidden", total-visible))
		}
	}
	if a.Size == nil {
		return ret, nil
	}
	for disk, v := range ret.Strings() {
		total := v.(*wire.Map).Int("total")
		size, err := hpaSize(a.Size, total)
		if err != nil {
			return nil, err
		}
		out, err := runProgram(ctx, c, "hdparm", "--yes-i-know-what-i-am-doing", "-Np"+strconv.FormatInt(size, 10), disk)
		if err != nil {
			return nil, err
		}
		if out.Int("retcode") != 0 {
			return nil, module.Failf("hdparm -N of %s: %s", disk, out.Text("stderr"))
		}
	}
	return nil, nil
}

// hpaSize is how many sectors stay visible.
func hpaSize(v any, total int64) (int64, error) {
	text := pytext.Str(v)
	part, percent := strings.CutSuffix(text, "%")
	n, err := strconv.ParseInt(part, 10, 64)
	if err != nil || n < 0 || percent && n > 100 {
		return 0, module.Invalidf("size %q: a number of sectors or a part as 5%% is expected", text)
	}
	left := total - n
	if percent {
		left = (100 - n) * total / 100
	}
	if left <= 0 {
		left = total
	}
	return left, nil
}

type diskSmartAttributesArgs struct {
	Dev        string // The disk: sda or /dev/sda.
	Attributes []any  `default:"None"` // Numbers of attributes; all where not given.
	Values     []any  `default:"None"` // Columns of each, as raw_value; all where not given.
}

// diskSmartAttributes returns the attributes by which a disk tells how it is (SMART), by
// their numbers.
//
//	gosalt '*' disk.smart_attributes /dev/sda
//	gosalt '*' disk.smart_attributes /dev/sda attributes='[5, 187, 188, 197, 198]'
func diskSmartAttributes(ctx context.Context, c *module.Call, a diskSmartAttributesArgs) (*wire.Map, error) {
	out, err := runProgram(ctx, c, "smartctl", "--attributes", diskNameOf(a.Dev))
	if err != nil {
		return nil, err
	}
	if out.Int("retcode") != 0 {
		return nil, module.Failf("smartctl --attributes %s: %s", diskNameOf(a.Dev), strings.TrimSpace(out.Text("stderr")+"\n"+out.Text("stdout")))
	}
	return smartTable(out.Text("stdout"), a.Attributes, a.Values), nil
}

func diskNameOf(dev string) string {
	if strings.HasPrefix(dev, "/dev/") {
		return dev
	}
	return "/dev/" + dev
}

// smartTable reads the table of smartctl: a head with the names of columns, then a line
// for each attribute, whose last column may hold spaces.
func smartTable(text string, attributes, values []any) *wire.Map {
	ret := wire.NewMap()
	var fields []string
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if fields == nil {
			if strings.HasPrefix(line, "ID#") {
				fields = words[1:]
			}
			continue
		}
		if len(words) == 0 {
			break
		}
		id, err := strconv.ParseInt(words[0], 10, 64)
		if err != nil {
			break
		}
		if attributes != nil && !slices.Contains(attributes, any(id)) {
			continue
		}
		attr := wire.NewMap()
		for i, f := range fields {
			f = strings.ToLower(f)
			if i+1 >= len(words) || values != nil && !slices.Contains(values, any(f)) {
				continue
			}
			cell := words[i+1 : i+2]
			if i == len(fields)-1 {
				cell = words[i+1:]
			}
			attr.Set(f, smartCell(cell))
		}
		ret.SetAny(id, attr)
	}
	return ret
}

// smartCell is a cell as a number, a list of numbers, or text.
func smartCell(words []string) any {
	var list []any
	for _, w := range words {
		n, err := strconv.ParseInt(w, 10, 64)
		if err != nil {
			return strings.Join(words, " ")
		}
		list = append(list, n)
	}
	if len(list) == 1 {
		return list[0]
	}
	return list
}

type diskIostatArgs struct {
	Interval int `default:"1"`    // Seconds between two measurements.
	Count    int `default:"5"`    // How many measurements.
	Disks    any `default:"None"` // A disk or a list of them; all, and the processors, where not given.
}

// diskIostat returns the averages of what iostat(1) measures of disks and, as sys, of the
// processors.
//
//	gosalt '*' disk.iostat 1 5 disks=sda
func diskIostat(ctx context.Context, c *module.Call, a diskIostatArgs) (*wire.Map, error) {
	flags, disks := "-x", []any{}
	switch v := a.Disks.(type) {
	case nil:
	case []any:
		flags, disks = "-xd", v
	default:
		flags, disks = "-xd", []any{v}
	}
	args := []any{"iostat", flags, strconv.Itoa(a.Interval), strconv.Itoa(a.Count)}
	for _, d := range disks {
		args = append(args, pytext.Str(d))
	}
	out, err := runProgram(ctx, c, args...)
	if err != nil {
		return nil, err
	}
	return iostatAverages(out.Text("stdout")), nil
}

// iostatAverages reads the reports of iostat -x and takes the average of each column.
func iostatAverages(text string) *wire.Map {
	type columns struct {
		names []string
		sums  []float64
		n     float64
	}
	all, order := map[string]*columns{}, []string{}
	add := func(of string, names, cells []string) {
		k := all[of]
		if k == nil {
			k = &columns{names: names, sums: make([]float64, len(names))}
			all[of] = k
			order = append(order, of)
		}
		k.n++
		for i := range min(len(cells), len(k.sums)) {
			x, _ := strconv.ParseFloat(strings.ReplaceAll(cells[i], ",", "."), 64)
			k.sums[i] += x
		}
	}
	var cpu, disk []string
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
			cpu, disk = nil, nil
		case words[0] == "avg-cpu:":
			cpu = words[1:]
		case words[0] == "Device:" || words[0] == "Device":
			disk = words[1:]
		case cpu != nil:
			add("sys", cpu, words)
			cpu = nil
		case disk != nil:
			add(words[0], disk, words[1:])
		}
	}
	ret := wire.NewMap()
	for _, of := range order {
		k, m := all[of], wire.NewMap()
		for i, name := range k.names {
			m.Set(name, math.Round(k.sums[i]/k.n*100)/100)
		}
		ret.Set(of, m)
	}
	return ret
}
