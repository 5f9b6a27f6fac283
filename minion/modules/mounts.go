package modules

import (
	"strings"

	"github.com/gosalt/gosalt/internal/module"
)

// mount is a mounted file system (proc_pid_mountinfo(5)).
type mount struct {
	device  string // "/dev/sda1", or a name
	path    string // where it is mounted
	root    string // what of it is mounted: "/"
	kind    string // "ext4"
	options string // with commas between them
	number  string // of the device: "8:1"
}

// mounts are the mounted file systems, in the order in which they were mounted.
func mounts(c *module.Call) ([]mount, error) {
	lines, err := procLines(c, "/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var out []mount
	for _, f := range lines {
		// id, parent, device, root, path, options, further fields, "-", kind, source, options of the file system
		for i := 6; i+2 < len(f); i++ {
			if f[i] != "-" {
				continue
			}
			m := mount{number: f[2], root: mountText(f[3]), path: mountText(f[4]), options: f[5], kind: f[i+1], device: mountText(f[i+2])}
			if i+3 < len(f) {
				m.options = joinOptions(m.options, f[i+3])
			}
			out = append(out, m)
			break
		}
	}
	return out, nil
}

// joinOptions puts the options of a file system behind those of its mount, as
// /proc/mounts does: rw and ro stand there once.
func joinOptions(a, b string) string {
	for _, o := range strings.Split(b, ",") {
		if o != "rw" && o != "ro" && o != "" {
			a += "," + o
		}
	}
	return a
}

// mountText reads the octal numbers that stand for space, tab, newline and \.
func mountText(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// fsSize is the size of a file system. Counts are in blocks of blockSize bytes.
type fsSize struct {
	blockSize               uint64
	blocks, free, available uint64 // available: to others than root
	files, freeFiles        uint64
	device                  uint64 // number of the device, 0 where it is not known
	nameMax                 int64  // bytes of the longest name of a file
}
