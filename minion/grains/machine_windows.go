package grains

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

func (m *Machine) ask() error {
	v := windows.RtlGetVersion()
	m.Kernel, m.Nodename = "Windows", m.Hostname
	m.Release = fmt.Sprint(v.MajorVersion)
	m.Version = fmt.Sprintf("%d.%d.%d", v.MajorVersion, v.MinorVersion, v.BuildNumber)
	m.Arch = map[string]string{"amd64": "AMD64", "arm64": "ARM64", "386": "x86"}[runtime.GOARCH]
	m.Extra = windowsGrains
	return nil
}

// windowsGrains reads the registry.
func windowsGrains(set func(name string, v any)) {
	set("os", "Windows")
	set("os_family", "Windows")
	set("init", "Windows")
	set("num_cpus", int64(runtime.NumCPU()))
	set("ps", "tasklist.exe")
	if mem, err := memory(); err == nil {
		set("mem_total", int64(mem>>20))
	}
	text := func(path, name string) string {
		k, err := registry.OpenKey(registry.LOCAL_MACHINE, path, registry.QUERY_VALUE)
		if err != nil {
			return ""
		}
		defer k.Close()
		s, _, err := k.GetStringValue(name)
		if err != nil {
			return ""
		}
		return s
	}
	const current = `SOFTWARE\Microsoft\Windows NT\CurrentVersion`
	full := text(current, "ProductName")
	set("osfullname", full)
	build := text(current, "CurrentBuild")
	release := windowsRelease(full, build)
	set("osversion", build)
	set("osrelease", release)
	set("osfinger", "Windows-"+release)
	if n, err := strconv.ParseInt(strings.TrimSuffix(release, "Server"), 10, 64); err == nil {
		set("osrelease_info", []any{n})
	}
	set("machine_id", text(`SOFTWARE\Microsoft\Cryptography`, "MachineGuid"))
	set("cpu_model", text(`HARDWARE\DESCRIPTION\System\CentralProcessor\0`, "ProcessorNameString"))
	set("manufacturer", text(`HARDWARE\DESCRIPTION\System\BIOS`, "SystemManufacturer"))
	set("productname", text(`HARDWARE\DESCRIPTION\System\BIOS`, "SystemProductName"))
	set("biosversion", text(`HARDWARE\DESCRIPTION\System\BIOS`, "BIOSVersion"))
}

// windowsRelease is "2022Server" of "Windows Server 2022 Datacenter", "10" of
// "Windows 10 Pro". Windows 11 still calls itself 10 there; its build tells.
func windowsRelease(full, build string) string {
	words := strings.Fields(full)
	server := slices.Contains(words, "Server")
	for _, w := range words {
		if _, err := strconv.Atoi(w); err != nil {
			continue
		}
		if n, err := strconv.Atoi(build); err == nil && n >= 22000 && w == "10" && !server {
			w = "11"
		}
		if server {
			w += "Server"
		}
		return w
	}
	return ""
}

// memory is the physical memory in bytes (GlobalMemoryStatusEx).
func memory() (uint64, error) {
	status := struct {
		length, load                                                  uint32
		total, avail, pageTotal, pageAvail, virtTotal, virtAvail, ext uint64
	}{}
	status.length = uint32(unsafe.Sizeof(status))
	ok, _, err := windows.NewLazySystemDLL("kernel32.dll").NewProc("GlobalMemoryStatusEx").Call(uintptr(unsafe.Pointer(&status)))
	if ok == 0 {
		return 0, err
	}
	return status.total, nil
}
