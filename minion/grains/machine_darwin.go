package grains

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/gosalt/gosalt/protocol/wire"
)

func (m *Machine) ask() error {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return fmt.Errorf("uname: %w", err)
	}
	m.Kernel, m.Nodename = unix.ByteSliceToString(u.Sysname[:]), unix.ByteSliceToString(u.Nodename[:])
	m.Release, m.Version = unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Version[:])
	m.Arch = unix.ByteSliceToString(u.Machine[:])
	m.Extra = darwin
	return nil
}

// darwin asks the kernel's own variables.
func darwin(set func(name string, v any)) {
	text := func(name string) string {
		s, err := unix.Sysctl(name)
		if err != nil {
			return ""
		}
		return s
	}
	release := text("kern.osproductversion")
	set("os", "MacOS")
	set("os_family", "MacOS")
	set("osfullname", "macOS "+release)
	set("osrelease", release)
	set("osbuild", text("kern.osversion"))
	set("init", "launchd")
	set("manufacturer", "Apple Inc.")
	set("productname", text("hw.model"))
	set("cpu_model", text("machdep.cpu.brand_string"))
	if n, err := unix.SysctlUint32("hw.ncpu"); err == nil {
		set("num_cpus", int64(n))
	}
	if n, err := unix.SysctlUint64("hw.memsize"); err == nil {
		set("mem_total", int64(n>>20))
	}
	set("ps", "ps auxwww")
	numbers := wire.NewMap("os", "MacOS", "osfullname", "macOS "+release, "osrelease", release)
	releaseNumbers(numbers)
	for _, name := range []string{"osrelease_info", "osmajorrelease", "osfinger"} {
		if v, ok := numbers.Get(name); ok {
			set(name, v)
		}
	}
}
