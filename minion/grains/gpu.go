package grains

import (
	"bufio"
	"os"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/protocol/wire"
)

// gpuVendors are the vendors that Salt names, by their number on the PCI bus.
var gpuVendors = map[uint64]string{
	0x10de: "nvidia", 0x1022: "amd", 0x1002: "amd", 0x8086: "intel", 0x1013: "cirrus logic",
	0x15ad: "vmware", 0x102b: "matrox", 0x1a03: "aspeed",
}

// gpus are the devices of the display and accelerator classes on the PCI bus. Their
// names come from the machine's list of PCI ids, which is read only when there are any.
func (c *collector) gpus() {
	for _, option := range []string{"enable_lspci", "enable_gpu_grains"} {
		if v, ok := c.Opts.Get(option); ok && v == false {
			return
		}
	}
	gpus := []any{}
	for _, dir := range c.glob("/sys/bus/pci/devices/*") {
		class := hexNumber(c.line(dir + "/class"))
		// 03xx: display controllers, of which 0380 and 0300, 0302 are meant; 12xx: accelerators.
		if class>>16 != 0x03 && class>>16 != 0x12 {
			continue
		}
		vendor, device := hexNumber(c.line(dir+"/vendor")), hexNumber(c.line(dir+"/device"))
		name, ok := gpuVendors[vendor]
		if !ok {
			name = "unknown"
		}
		gpus = append(gpus, wire.NewMap("vendor", name, "model", c.pciName(vendor, device)))
	}
	c.set("num_gpus", int64(len(gpus)))
	c.set("gpus", gpus)
}

func hexNumber(s string) uint64 {
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "0x"), 16, 64)
	if err != nil {
		return 0
	}
	return n
}

// pciName looks a device up in pci.ids; without it the name is its number, as lspci
// prints it.
func (c *collector) pciName(vendor, device uint64) string {
	wantVendor, wantDevice := hex4(vendor), hex4(device)
	for _, file := range []string{"/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids"} {
		f, err := os.Open(c.Host.Path(file))
		if err != nil {
			continue
		}
		defer f.Close()
		inside := false
		for sc := bufio.NewScanner(f); sc.Scan(); {
			line := sc.Text()
			switch {
			case line == "" || line[0] == '#':
			case line[0] != '\t':
				inside = strings.HasPrefix(line, wantVendor+"  ")
			case inside && len(line) > 1 && line[1] != '\t':
				if name, ok := strings.CutPrefix(line[1:], wantDevice+"  "); ok {
					return name
				}
			}
		}
	}
	return "Device " + wantDevice
}

func hex4(n uint64) string {
	s := strconv.FormatUint(n, 16)
	return strings.Repeat("0", max(0, 4-len(s))) + s
}
