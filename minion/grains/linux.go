package grains

import (
	"bytes"
	"debug/elf"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/protocol/wire"
)

// kernel is what every system tells.
func (c *collector) kernel() {
	c.set("num_gpus", int64(0))
	c.set("gpus", []any{})
	c.set("kernel", c.m.Kernel)
	c.set("nodename", c.m.Nodename)
	c.set("kernelrelease", c.m.Release)
	c.set("kernelversion", c.m.Version)
	c.set("cpuarch", c.m.Arch)
	if c.m.Extra != nil {
		c.m.Extra(c.set)
	}
}

// linux reads what Linux has in its files.
func (c *collector) linux() {
	c.selinux()
	c.systemd()
	c.set("init", c.initSystem())
	distribution := c.distribution()
	releaseNumbers(distribution)
	for k, v := range distribution.Strings() {
		c.set(k, v)
	}
	c.set("osarch", c.osArch(distribution.Text("os_family")))
	c.cpus()
	c.memory()
	c.gpus()
	c.deviceTree()
	c.firmware()
	c.virtual()
	c.set("ps", c.psCommand())
	c.disks()
	c.volumes()
	c.kernelParams()
	c.uefi()
	if id := c.machineID(); id != "" {
		c.set("machine_id", id)
	}
	c.set("transactional", c.which("transactional-update") != "")
	c.set("zfs_support", c.which("zpool") != "" && (c.isDir("/sys/module/zfs") || c.which("zfs-fuse") != ""))
	c.set("zfs_feature_flags", c.which("man") != "" && len(c.glob("/usr/share/man/man[57]/zpool-features.*")) > 0)
	c.initiators()
}

func (c *collector) selinux() {
	if c.which("selinuxenabled") == "" {
		return
	}
	state := c.line("/sys/fs/selinux/enforce")
	g := wire.NewMap("enabled", state != "")
	if c.which("getenforce") != "" {
		g.Set("enforced", map[string]string{"1": "Enforcing", "0": "Permissive", "": "Disabled"}[state])
	}
	c.set("selinux", g)
}

// systemd reads version and features from its library, where "systemctl --version"
// has them from.
func (c *collector) systemd() {
	if c.which("systemctl") == "" || c.which("localectl") == "" {
		return
	}
	for _, dir := range []string{
		"/usr/lib/systemd", "/usr/lib64/systemd", "/usr/lib/" + c.m.Arch + "-linux-gnu/systemd", "/lib/systemd",
		"/usr/lib/arm-linux-gnueabihf/systemd", "/usr/lib/i386-linux-gnu/systemd", "/usr/lib/powerpc64le-linux-gnu/systemd",
	} {
		files, err := os.ReadDir(c.Host.Path(dir))
		if err != nil {
			continue
		}
		for _, f := range files {
			rest, ok := strings.CutPrefix(f.Name(), "libsystemd-shared-")
			number := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
			if ok && number != "" && strings.HasSuffix(rest, ".so") {
				c.set("systemd", wire.NewMap("version", number, "features", c.systemdFeatures(dir+"/"+f.Name())))
				return
			}
		}
	}
	c.set("systemd", wire.NewMap("version", "UNDEFINED", "features", ""))
}

// systemdFeatures finds the text "+PAM +AUDIT … default-hierarchy=unified", which
// the library holds among its constants as it is printed.
func (c *collector) systemdFeatures(file string) string {
	lib, err := elf.Open(c.Host.Path(file))
	if err != nil {
		return ""
	}
	defer lib.Close()
	constants := lib.Section(".rodata")
	if constants == nil {
		return ""
	}
	b, err := constants.Data()
	if err != nil {
		return ""
	}
	for _, start := range []string{"+PAM ", "-PAM "} {
		if i := bytes.Index(b, []byte(start)); i >= 0 {
			if n := bytes.IndexByte(b[i:], 0); n > 0 && n < 4096 {
				return string(b[i : i+n])
			}
		}
	}
	return ""
}

// initSystem is what runs as process 1.
func (c *collector) initSystem() string {
	if c.exists("/run/systemd/system") {
		return "systemd"
	}
	cmdline := strings.Fields(strings.ReplaceAll(c.read("/proc/1/cmdline"), "\x00", " "))
	if len(cmdline) == 0 {
		return "unknown"
	}
	program := cmdline[0]
	if !strings.Contains(program, "/") {
		program = c.which(program)
	}
	if strings.HasSuffix(program, "bin/init") && c.exists(program) {
		text := bytes.ToLower([]byte(c.read(program)))
		first, at := "unknown", len(text)
		for _, name := range []string{"upstart", "sysvinit", "systemd"} {
			if i := bytes.Index(text, []byte(name)); i >= 0 && i < at {
				first, at = name, i
			}
		}
		return first
	}
	for _, name := range []string{"supervisord", "dumb-init", "tini"} {
		if p := c.which(name); p != "" && slices.Contains(cmdline, p) {
			return name
		}
	}
	if len(cmdline) == 1 && cmdline[0] == "runit" || slices.Contains(cmdline, "/sbin/my_init") {
		return "runit"
	}
	return "unknown"
}

// machines are the names that packages have for processors: Debian's, then those of RPM.
var machines = map[elf.Machine][2]string{
	elf.EM_386: {"i386", "i686"}, elf.EM_PPC: {"powerpc", "ppc"}, elf.EM_PPC64: {"ppc64el", "ppc64le"},
	elf.EM_S390: {"s390x", "s390x"}, elf.EM_ARM: {"armhf", "armv7hl"}, elf.EM_X86_64: {"amd64", "x86_64"},
	elf.EM_AARCH64: {"arm64", "aarch64"}, elf.EM_RISCV: {"riscv64", "riscv64"}, elf.EM_LOONGARCH: {"loong64", "loongarch64"},
}

// osArch is the architecture of the installed packages, which may be another than
// the kernel's: that of the package manager's own program.
func (c *collector) osArch(family string) string {
	program, column := "", 0
	switch family {
	case "Debian":
		program = c.which("dpkg")
	case "RedHat", "Suse":
		program, column = c.which("rpm"), 1
	}
	if program == "" {
		return c.m.Arch
	}
	f, err := elf.Open(c.Host.Path(program))
	if err != nil {
		return c.m.Arch
	}
	defer f.Close()
	if names, ok := machines[f.Machine]; ok {
		return names[column]
	}
	return c.m.Arch
}

func (c *collector) cpus() {
	count, model, flags := int64(0), "Unknown", []string{}
	for line := range strings.Lines(c.cpuInfo()) {
		key, val, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		val, _, _ = strings.Cut(strings.TrimSpace(val), ":")
		val = strings.TrimSpace(val)
		switch strings.TrimSpace(key) {
		case "processor":
			count++
		case "# processors": // s390x
			if n, err := strconv.ParseInt(val, 10, 64); err == nil {
				count = n
			}
		case "vendor_id", "model name", "cpu":
			model = val
		case "flags", "Features":
			flags = strings.Fields(val)
		case "Processor": // old kernels on ARM
			model, _, _ = strings.Cut(val, "-")
			count = 1
		}
	}
	c.set("num_cpus", count)
	c.set("cpu_model", model)
	c.set("cpu_flags", texts(flags))
}

func (c *collector) memory() {
	total, swap := int64(0), int64(0)
	for line := range strings.Lines(c.read("/proc/meminfo")) {
		key, val, _ := strings.Cut(line, ":")
		f := strings.Fields(val)
		if len(f) == 0 {
			continue
		}
		kib, err := strconv.ParseInt(f[0], 10, 64)
		switch {
		case err != nil:
		case key == "MemTotal":
			total = kib / 1024
		case key == "SwapTotal":
			swap = kib / 1024
		}
	}
	c.set("mem_total", total)
	c.set("swap_total", swap)
}

// deviceTree names the board on machines without DMI.
func (c *collector) deviceTree() {
	text := func(name string) string { return strings.TrimRight(c.read("/proc/device-tree/"+name), "\x00") }
	if model := text("model"); model != "" {
		if maker, product, ok := strings.Cut(model, ","); ok {
			c.set("manufacturer", maker)
			c.set("productname", product)
		} else {
			c.set("productname", model)
		}
	}
	c.setText("serialnumber", text("system-id"))
	c.setText("serialnumber", text("serial-number"))
}

// firmwareGrains are the grains that DMI tells, by its files.
var firmwareGrains = [][2]string{
	{"biosversion", "bios_version"}, {"biosvendor", "bios_vendor"}, {"boardname", "board_name"},
	{"productname", "product_name"}, {"manufacturer", "sys_vendor"}, {"biosreleasedate", "bios_date"},
	{"uuid", "product_uuid"}, {"serialnumber", "product_serial"},
}

func (c *collector) firmware() {
	for _, f := range firmwareGrains {
		b, err := os.ReadFile(c.Host.Path("/sys/class/dmi/id/" + f[1]))
		if err != nil {
			continue // some are for root alone
		}
		s := strings.TrimSpace(strings.ToValidUTF8(string(b), "\ufffd"))
		if f[0] == "uuid" {
			s = strings.ToLower(s)
		}
		c.set(f[0], s)
	}
}

func (c *collector) psCommand() string {
	switch {
	case c.g.Text("virtual") == "openvzhn":
		return `ps -fH -p $(grep -l "^envID:[[:space:]]*0\$" /proc/[0-9]*/status | sed -e "s=/proc/\([0-9]*\)/.*=\1=")  | awk '{ $7=""; print }'`
	case c.g.Text("os_family") == "NILinuxRT":
		return "ps -o user,pid,ppid,tty,time,comm"
	}
	return "ps -efHww"
}

// disks parts the block devices that are no kernel inventions by whether they turn.
func (c *collector) disks() {
	disks, ssds := []any{}, []any{}
	for _, entry := range c.glob("/sys/block/*") {
		target, err := os.Readlink(c.Host.Path(entry))
		if err == nil && strings.HasPrefix(target, "../devices/virtual/") {
			continue
		}
		switch c.line(entry + "/queue/rotational") {
		case "0":
			ssds = append(ssds, filepath.Base(entry))
		case "1":
			disks = append(disks, filepath.Base(entry))
		}
	}
	c.set("disks", disks)
	c.set("ssds", ssds)
}

// volumes are software RAID devices, and LVM volume groups with their active
// volumes where LVM is installed.
func (c *collector) volumes() {
	raids := []string{}
	for line := range strings.Lines(c.read("/proc/mdstat")) {
		name, _, ok := strings.Cut(line, " : ")
		if ok && name != "Personalities" && !strings.HasPrefix(line, "unused devices:") {
			raids = append(raids, name)
		}
	}
	slices.Sort(raids)
	if c.exists("/proc/mdstat") {
		c.set("mdadm", texts(raids))
	}
	if c.which("lvm") == "" {
		return
	}
	groups := wire.NewMap()
	for _, dir := range c.glob("/sys/block/dm-*/dm") {
		uuid := c.line(dir + "/uuid")
		if !strings.HasPrefix(uuid, "LVM-") || strings.Contains(uuid[4:], "-") {
			continue // with a suffix it is a part of another volume
		}
		if vg, lv, ok := lvmName(c.line(dir + "/name")); ok {
			groups.Set(vg, append(groups.List(vg), lv))
		}
	}
	c.set("lvm", groups)
}

// lvmName parts "group-volume", in which a "-" of either is doubled.
func lvmName(s string) (group, volume string, ok bool) {
	for i := 0; i < len(s); i++ {
		if s[i] != '-' {
			continue
		}
		if i+1 < len(s) && s[i+1] == '-' {
			i++
			continue
		}
		return strings.ReplaceAll(s[:i], "--", "-"), strings.ReplaceAll(s[i+1:], "--", "-"), true
	}
	return "", "", false
}

// kernelParams are pairs of name and value, None where there is none. As in Salt a
// value with "=" in it counts as none.
func (c *collector) kernelParams() {
	if !c.exists("/proc/cmdline") {
		return
	}
	words, err := host.Words(c.read("/proc/cmdline"))
	if err != nil {
		c.Log.Debug("kernel parameters not read", "error", err)
		return
	}
	params := []any{}
	for _, w := range words {
		parts := strings.Split(w, "=")
		var value any
		if len(parts) == 2 {
			value = strings.Trim(parts[1], `"`)
		}
		params = append(params, []any{parts[0], value})
	}
	c.set("kernelparams", params)
}

func (c *collector) uefi() {
	secure := false
	efi := false
	for _, dir := range []string{"/sys/firmware/efi/efivars", "/sys/firmware/efi/vars"} {
		if !c.exists(dir) {
			continue
		}
		efi = true
		pattern := dir + "/SecureBoot-*"
		if strings.HasSuffix(dir, "/vars") {
			pattern += "/data"
		}
		if files := c.glob(pattern); len(files) == 1 {
			b := c.read(files[0])
			secure = b != "" && b[len(b)-1] == 1
		}
		break
	}
	c.set("efi", efi)
	c.set("efi-secure-boot", secure)
}

// initiators are the names under which storage networks know the machine.
func (c *collector) initiators() {
	lines := func(file, prefix string, cut bool) []any {
		out := []any{}
		for line := range strings.Lines(c.read(file)) {
			if rest, ok := strings.CutPrefix(strings.TrimSpace(line), prefix); ok {
				if cut {
					out = append(out, rest)
				} else {
					out = append(out, prefix+rest)
				}
			}
		}
		return out
	}
	if c.Opts.Bool("iscsi_grains") {
		c.set("iscsi_iqn", lines("/etc/iscsi/initiatorname.iscsi", "InitiatorName=", true))
	}
	if c.Opts.Bool("nvme_grains") {
		c.set("nvme_nqn", lines("/etc/nvme/hostnqn", "nqn.", false))
	}
	if c.Opts.Bool("fibre_channel_grains") {
		out := []any{}
		for _, f := range c.glob("/sys/class/fc_host/*/port_name") {
			out = append(out, strings.TrimPrefix(c.line(f), "0x"))
		}
		c.set("fc_wwn", out)
	}
}

// machineID is the id of machine-id(5).
func (c *collector) machineID() string {
	for _, p := range []string{"/etc/machine-id", "/var/lib/dbus/machine-id"} {
		if c.exists(p) {
			return strings.TrimSpace(c.read(p))
		}
	}
	return ""
}
