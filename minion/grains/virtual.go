package grains

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/lazyre"
)

// virtual tells what the machine runs on: "physical", a hypervisor, or "container"
// with its kind in virtual_subtype. The values are those that Salt makes of
// systemd-detect-virt and dmidecode, whose answers detectVirt and the DMI files give
// without running them.
func (c *collector) virtual() {
	kind, subtype := c.fromDetect(c.detectVirt())
	if kind == "" {
		kind, subtype = c.fromFirmware()
	}
	if c.otherRoot() {
		subtype = "chroot"
	}
	if c.isDir("/proc/vz") {
		if c.exists("/proc/vz/version") {
			kind = "openvzhn"
		} else if c.exists("/proc/vz/veinfo") {
			kind = "openvzve"
		}
	}
	if m := envID.FindStringSubmatch(c.read("/proc/self/status")); m != nil {
		kind = map[bool]string{true: "openvzhn", false: "openvzve"}[strings.Trim(m[1], "0") == ""]
	}
	if s := c.xenKind(); s != "" {
		kind, subtype = "xen", s
	}
	if strings.Contains(c.cpuInfo(), "QEMU Virtual CPU") {
		kind = "kvm"
	}
	if k, s := c.fromProduct(); k != "" {
		kind = k
		subtype = either2(s, subtype)
	}
	kind, subtype = c.fromCgroup(kind, subtype)
	if subtype != "LXC" && strings.Contains(c.read("/proc/1/environ"), "container=lxc") {
		kind, subtype = "container", "LXC"
	}
	if kind == "" {
		kind = "physical"
	}
	if subtype != "" && kind == "physical" {
		kind = "virtual"
	}
	if slices.Contains([]string{"qemu", "kvm", "xen", "amazon"}, kind) && c.line("/sys/class/dmi/id/sys_vendor") == "Amazon EC2" {
		subtype = "Amazon EC2"
		if product := c.line("/sys/class/dmi/id/product_name"); product != "" {
			subtype = "Amazon EC2 (" + product + ")"
		}
		if kind != "xen" {
			kind = "Nitro"
		}
	}
	c.set("virtual", kind)
	c.setText("virtual_subtype", subtype)
	if strings.Contains(kind, "xen") {
		c.xenHypervisor()
	}
}

var envID = lazyre.New(`(?m)^envID:\s+(\d+)$`)

// fromDetect is what Salt makes of the answer of systemd-detect-virt.
func (c *collector) fromDetect(answer string) (kind, subtype string) {
	switch {
	case slices.Contains([]string{"qemu", "kvm", "oracle", "xen", "bochs", "chroot", "uml", "systemd-nspawn"}, answer):
		return answer, ""
	case strings.Contains(answer, "vmware"):
		return "VMware", ""
	case strings.Contains(answer, "microsoft"):
		return "VirtualPC", ""
	case strings.Contains(answer, "lxc"):
		return "container", "LXC"
	case strings.Contains(answer, "podman"):
		return "container", "Podman"
	case strings.Contains(answer, "docker"):
		return "container", "Docker"
	case strings.Contains(answer, "amazon"):
		return "Nitro", "Amazon EC2"
	}
	return "", ""
}

// fromFirmware is what Salt makes of the output of dmidecode.
func (c *collector) fromFirmware() (kind, subtype string) {
	dmi := func(name string) string { return c.line("/sys/class/dmi/id/" + name) }
	maker, product, bios := dmi("sys_vendor"), dmi("product_name"), dmi("bios_vendor")
	all := strings.Join([]string{maker, product, bios, dmi("board_vendor"), dmi("board_name"), dmi("product_version")}, "\n")
	switch {
	case strings.Contains(all, "BHYVE"):
		return "bhyve", ""
	case maker == "oVirt":
		return "kvm", "ovirt"
	case strings.HasPrefix(product, "RHEV Hypervisor"):
		return "kvm", "rhev"
	case strings.Contains(all, "VirtualBox"):
		return "VirtualBox", ""
	case strings.Contains(all, "VMware"):
		return "VMware", ""
	case strings.HasPrefix(maker, "Microsoft") && strings.Contains(all, "Virtual Machine"):
		return "VirtualPC", ""
	case strings.Contains(all, "Parallels Software"):
		return "Parallels", ""
	case maker == "Google", bios == "SeaBIOS", maker == "QEMU", bios == "QEMU", maker == "Bochs", bios == "Bochs":
		return "kvm", ""
	}
	return "", ""
}

// detectVirt answers as systemd-detect-virt: the container first, else the hypervisor.
func (c *collector) detectVirt() string {
	if name := c.detectContainer(); name != "" {
		return name
	}
	dmi := c.detectDMI()
	if slices.Contains([]string{"oracle", "xen", "amazon", "parallels", "google"}, dmi) {
		return dmi
	}
	if strings.Contains(c.cpuInfo(), "User Mode Linux") {
		return "uml"
	}
	if c.exists("/proc/xen") || c.line("/sys/hypervisor/type") == "xen" {
		return "xen"
	}
	if name := hypervisors[c.m.Hypervisor]; name != "" {
		return name
	}
	if dmi != "" {
		return dmi
	}
	switch compatible := strings.Trim(c.read("/proc/device-tree/hypervisor/compatible"), "\x00"); {
	case compatible == "linux,kvm":
		return "kvm"
	case strings.Contains(compatible, "xen"):
		return "xen"
	case strings.Contains(compatible, "vmware"):
		return "vmware"
	}
	for _, p := range c.glob("/proc/device-tree/fw-cfg*") {
		if p != "" {
			return "qemu"
		}
	}
	return ""
}

// hypervisors are the signatures of CPUID, by the names of systemd.
var hypervisors = map[string]string{
	"XenVMMXenVMM": "xen", "KVMKVMKVM": "kvm", "Linux KVM Hv": "kvm", "TCGTCGTCGTCG": "qemu",
	"VMwareVMware": "vmware", "Microsoft Hv": "microsoft", "bhyve bhyve ": "bhyve", "QNXQVMBSQG": "qnx",
	"ACRNACRNACRN": "acrn", "SRESRESRESRE": "sre",
}

func (c *collector) detectContainer() string {
	release := c.read("/proc/sys/kernel/osrelease")
	switch {
	case c.exists("/proc/vz") && !c.exists("/proc/bc"):
		return "openvz"
	case strings.Contains(release, "Microsoft") || strings.Contains(release, "WSL"):
		return "wsl"
	}
	for _, file := range []string{"/run/host/container-manager", "/run/systemd/container"} {
		if name := c.line(file); name != "" {
			return name
		}
	}
	for e := range strings.SplitSeq(c.read("/proc/1/environ"), "\x00") {
		if name, ok := strings.CutPrefix(e, "container="); ok && name != "" && name != "oci" {
			return name
		}
	}
	switch {
	case c.exists("/run/.containerenv"):
		return "podman"
	case c.exists("/.dockerenv"):
		return "docker"
	}
	return ""
}

// dmiVendors are the beginnings of what DMI says, by the names of systemd.
var dmiVendors = [][2]string{
	{"KVM", "kvm"}, {"OpenStack", "kvm"}, {"KubeVirt", "kvm"}, {"Amazon EC2", "amazon"}, {"QEMU", "qemu"},
	{"VMware", "vmware"}, {"VMW", "vmware"}, {"innotek GmbH", "oracle"}, {"VirtualBox", "oracle"},
	{"Oracle Corporation", "oracle"}, {"Xen", "xen"}, {"Bochs", "bochs"}, {"Parallels", "parallels"}, {"BHYVE", "bhyve"},
	{"Hyper-V", "microsoft"}, {"Apple Virtualization", "apple"}, {"Google Compute Engine", "google"},
}

func (c *collector) detectDMI() string {
	for _, file := range []string{"product_name", "sys_vendor", "board_vendor", "bios_vendor", "product_version"} {
		text := c.line("/sys/class/dmi/id/" + file)
		for _, v := range dmiVendors {
			if text != "" && strings.HasPrefix(text, v[0]) {
				return v[1]
			}
		}
	}
	return ""
}

// otherRoot tells whether we see another root directory than process 1.
func (c *collector) otherRoot() bool {
	ours, err1 := os.Stat(c.Host.Path("/"))
	inits, err2 := os.Stat(c.Host.Path("/proc/1/root") + "/.")
	return err1 == nil && err2 == nil && !os.SameFile(ours, inits)
}

// xenKind is the kind of a Xen domain, "" outside of Xen.
func (c *collector) xenKind() string {
	if !c.isDir("/proc/sys/xen") && !c.isDir("/sys/bus/xen") && !c.isDir("/proc/xen") {
		return ""
	}
	switch {
	case c.exists("/proc/xen/xsd_kva"):
		return "Xen Dom0"
	case c.line("/sys/class/dmi/id/product_name") == "HVM domU":
		return "Xen HVM DomU"
	case c.exists("/proc/xen/capabilities"):
		if strings.Contains(c.read("/proc/xen/capabilities"), "control_d") {
			return "Xen Dom0"
		}
		return "Xen PV DomU"
	case c.isDir("/sys/bus/xen/drivers/xenconsole"):
		return "Xen PV DomU"
	}
	return ""
}

// fromProduct is what the name of the product tells over everything before.
func (c *collector) fromProduct() (kind, subtype string) {
	product := c.read("/sys/devices/virtual/dmi/id/product_name")
	switch {
	case strings.Contains(product, "VirtualBox"):
		return "VirtualBox", ""
	case strings.Contains(product, "RHEV Hypervisor"):
		return "kvm", "rhev"
	case strings.Contains(product, "oVirt Node"):
		return "kvm", "ovirt"
	case strings.Contains(product, "Google"):
		return "gce", ""
	case strings.Contains(product, "BHYVE"):
		return "bhyve", ""
	}
	return "", ""
}

func (c *collector) fromCgroup(kind, subtype string) (string, string) {
	text := c.read("/proc/1/cgroup")
	switch {
	case strings.Contains(text, ":/lxc/"):
		return "container", "LXC"
	case strings.Contains(text, ":/kubepods/"):
		return kind, "kubernetes"
	case strings.Contains(text, ":/libpod_parent/"):
		return kind, "libpod"
	case containsAny(text, ":/system.slice/docker", ":/docker/", ":/docker-ce/"):
		return "container", "Docker"
	}
	return kind, subtype
}

// xenFeatures are the bits of /sys/hypervisor/properties/features.
var xenFeatures = map[uint]string{
	0: "writable_page_tables", 1: "writable_descriptor_tables", 2: "auto_translated_physmap", 3: "supervisor_mode_kernel",
	4: "pae_pgdir_above_4gb", 5: "mmu_pt_update_preserve_ad", 7: "gnttab_map_avail_bits", 8: "hvm_callback_vector",
	9: "hvm_safe_pvclock", 10: "hvm_pirqs", 11: "dom0", 12: "grant_map_identity", 13: "memory_op_vnode_supported",
	14: "ARM_SMCCC_supported",
}

func (c *collector) xenHypervisor() {
	part := func(name string) string { return c.line("/sys/hypervisor/version/" + name) }
	if major := part("major"); major != "" {
		c.set("virtual_hv_version", major+"."+part("minor")+part("extra"))
		c.set("virtual_hv_version_info", []any{major, part("minor"), part("extra")})
	}
	features := c.line("/sys/hypervisor/properties/features")
	bits, err := strconv.ParseUint(features, 16, 64)
	if err != nil {
		return
	}
	list := []any{}
	for bit := range uint(15) {
		if name := xenFeatures[bit]; name != "" && bits&(1<<bit) != 0 {
			list = append(list, name)
		}
	}
	c.set("virtual_hv_features", features)
	c.set("virtual_hv_features_list", list)
}
