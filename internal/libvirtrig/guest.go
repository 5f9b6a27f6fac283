//go:build linux

package libvirtrig

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	_ "embed"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// KernelEnv names the directory of an unpacked package of a kernel (Debian: linux-image-cloud-amd64),
// with boot/vmlinuz-* and lib/modules; "" is this system's own.
const KernelEnv = "GOSALT_TEST_KERNEL"

//go:embed guest.sh
var guestInit string

// guestModules are the drivers of the guest: its disks, its network, what is on the disk for cloud-init.
var guestModules = []string{"virtio_pci", "virtio_blk", "virtio_net", "isofs"}

// Guest writes the kernel and the initramfs of a small system into a directory. It does what
// cloud-init would do with our user-data, and then runs gosalt-minion, which is copied into it. The
// test is skipped where a program or a kernel for that is missing.
func Guest(t testing.TB, dir, minion string) (kernelFile, initrd string) {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("the emulated machine is an x86-64")
	}
	for name, pkg := range map[string]string{"qemu-system-x86_64": "qemu-system-x86", "qemu-img": "qemu-utils", "busybox": "busybox-static"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is not installed (Debian: %s)", name, pkg)
		}
	}
	busybox, _ := exec.LookPath("busybox")
	if f, err := elf.Open(busybox); err != nil || f.Section(".interp") != nil {
		t.Skip("busybox is not static (Debian: busybox-static)")
	}
	kernel, modules := findKernel(t)
	var a archive
	for _, dir := range []string{"bin", "dev", "proc", "sys", "lib", "usr", "usr/bin"} {
		a.add(dir, fs.ModeDir|0o755, nil)
	}
	a.add("init", 0o755, []byte(guestInit))
	a.add("bin/busybox", 0o755, read(t, busybox))
	a.add("usr/bin/gosalt-minion", 0o755, read(t, minion))
	var order strings.Builder
	for i, m := range modules {
		name := fmt.Sprintf("lib/%02d-%s", i, filepath.Base(m))
		a.add(name, 0o644, read(t, m))
		fmt.Fprintln(&order, "/"+name)
	}
	a.add("lib/order", 0o644, []byte(order.String()))

	kernelFile, initrd = filepath.Join(dir, "kernel"), filepath.Join(dir, "initrd")
	write(t, kernelFile, read(t, kernel))
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	z.Write(a.end())
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, initrd, b.Bytes())
	return kernelFile, initrd
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t testing.TB, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// findKernel finds a kernel and the files of its drivers, each after those that it needs.
func findKernel(t testing.TB) (kernel string, modules []string) {
	t.Helper()
	root := os.Getenv(KernelEnv)
	if root == "" {
		root = "/"
	}
	kernels, _ := filepath.Glob(filepath.Join(root, "boot/vmlinuz-*"))
	if len(kernels) == 0 {
		t.Skipf("there is no kernel in %s: %s names the directory of an unpacked one", filepath.Join(root, "boot"), KernelEnv)
	}
	kernel = slices.Max(kernels)
	_, version, _ := strings.Cut(filepath.Base(kernel), "-")
	files := map[string]string{}
	builtIn := map[string]bool{}
	for _, lib := range []string{"lib/modules", "usr/lib/modules"} {
		list, _ := os.ReadFile(filepath.Join(root, lib, version, "modules.builtin"))
		for line := range strings.Lines(string(list)) {
			name := strings.TrimSuffix(filepath.Base(strings.TrimSpace(line)), ".ko")
			builtIn[strings.ReplaceAll(name, "-", "_")] = true
		}
		filepath.WalkDir(filepath.Join(root, lib, version), func(path string, _ fs.DirEntry, err error) error {
			if name, ok := strings.CutSuffix(filepath.Base(path), ".ko"); err == nil && ok {
				files[strings.ReplaceAll(name, "-", "_")] = path
			}
			return nil
		})
	}
	seen := map[string]bool{}
	var add func(name string)
	add = func(name string) {
		file := files[name]
		if builtIn[name] || seen[name] {
			return
		}
		if file == "" {
			t.Skipf("the kernel %s has no driver %s that is not compressed: %s names the directory of an unpacked one", kernel, name, KernelEnv)
		}
		seen[name] = true
		f, err := elf.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if s := f.Section(".modinfo"); s != nil {
			data, err := s.Data()
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.SplitSeq(string(data), "\x00") {
				if deps, ok := strings.CutPrefix(line, "depends="); ok && deps != "" {
					for dep := range strings.SplitSeq(deps, ",") {
						add(strings.ReplaceAll(dep, "-", "_"))
					}
				}
			}
		}
		modules = append(modules, file)
	}
	for _, m := range guestModules {
		add(m)
	}
	return kernel, modules
}

// An archive is an initramfs in the form newc of cpio.
type archive struct{ b bytes.Buffer }

func (a *archive) add(name string, mode fs.FileMode, data []byte) {
	unix := uint32(mode.Perm()) | 0o100000
	if mode.IsDir() {
		unix = uint32(mode.Perm()) | 0o040000
	}
	if name == "TRAILER!!!" {
		unix = 0
	}
	fmt.Fprintf(&a.b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", a.b.Len(), unix, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0)
	a.b.WriteString(name + "\x00")
	pad := func() {
		for a.b.Len()%4 != 0 {
			a.b.WriteByte(0)
		}
	}
	pad()
	a.b.Write(data)
	pad()
}

func (a *archive) end() []byte {
	a.add("TRAILER!!!", 0, nil)
	return a.b.Bytes()
}
