package modules

import (
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	saltNames["disk"] = `blkid dump format fstype get_fstype_from_path hdparms hpa inodeusage iostat percent resize2fs
		smart_attributes tune usage wipe`
}

// TestDiskUsageIsThatOfDf compares with the program, file system by file system. What
// is in use changes between the two, the rest does not.
func TestDiskUsageIsThatOfDf(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("Linux only")
	}
	r := New()
	for _, flags := range []string{"", "a", "T", "l"} {
		args := []string{"-P"}
		if flags != "" {
			args = append(args, "-"+flags)
		}
		out, err := exec.Command("df", args...).Output()
		if err != nil {
			t.Skip("df:", err)
		}
		want := wire.NewMap()
		for line := range strings.Lines(string(out)) {
			f := strings.Fields(line)
			if flags == "T" && len(f) > 6 {
				f = append([]string{f[0] + " " + f[1]}, f[2:]...)
			}
			if len(f) == 6 && f[0] != "Filesystem" {
				want.Set(f[5], wire.NewMap("filesystem", f[0], "1K-blocks", f[1]))
			}
		}
		got := r.Run(t.Context(), nil, "disk.usage", []any{flags}, nil).Return.(*wire.Map)
		if got.Len() != want.Len() {
			t.Errorf("df -%s: %d file systems, want %d\n%s\n%s", flags, got.Len(), want.Len(), pytext.Repr(got), out)
		}
		for path, w := range want.Strings() {
			g, w := got.Map(path), w.(*wire.Map)
			if g.Text("filesystem") != w.Text("filesystem") || g.Text("1K-blocks") != w.Text("1K-blocks") {
				t.Errorf("df -%s: %s: got %v, want %v", flags, path, pytext.Repr(g), pytext.Repr(w))
			}
		}
	}
}

// TestOutermost: the rules of df for several mounts of one device.
func TestOutermost(t *testing.T) {
	m := func(device, path, root string, dev uint64) sizedMount {
		return sizedMount{mount{device: device, path: path, root: root, kind: "ext4"}, fsSize{blocks: 1, device: dev}}
	}
	for _, tc := range []struct {
		name string
		in   []sizedMount
		want string
	}{
		{"different devices", []sizedMount{m("/dev/a", "/", "/", 1), m("/dev/b", "/b", "/", 2)}, "/ /b"},
		{"a bind mount further in", []sizedMount{m("/dev/a", "/", "/", 1), m("/dev/a", "/srv/x", "/home", 1)}, "/"},
		{"the shorter path of the same root", []sizedMount{m("/dev/a", "/mnt/long", "/", 1), m("/dev/a", "/m", "/", 1)}, "/m"},
		{"a part of it on a shorter path", []sizedMount{m("/dev/a", "/mnt/long", "/", 1), m("/dev/a", "/m", "/part", 1)}, "/mnt/long"},
		{"rootfs gives way to the device", []sizedMount{m("rootfs", "/", "/", 1), m("/dev/a", "/", "/", 1)}, "/"},
		{"mounted over", []sizedMount{m("x", "/mnt", "/", 1), m("y", "/mnt", "/", 1)}, "/mnt"},
		{"without blocks", []sizedMount{{mount{path: "/proc"}, fsSize{device: 5}}, m("/dev/a", "/", "/", 1)}, "/"},
	} {
		var got []string
		for _, m := range outermost(tc.in) {
			got = append(got, m.path)
		}
		if s := strings.Join(got, " "); s != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, s, tc.want)
		}
	}
	last := outermost([]sizedMount{m("rootfs", "/", "/", 1), m("/dev/a", "/", "/", 1)})
	if last[0].mount.device != "/dev/a" {
		t.Errorf("rootfs did not give way: %+v", last)
	}
}

func TestDiskFunctions(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("Linux only")
	}
	r := New()
	all := r.Run(t.Context(), nil, "disk.percent", nil, nil).Return.(*wire.Map)
	usage := r.Run(t.Context(), nil, "disk.usage", nil, nil).Return.(*wire.Map)
	inodes := r.Run(t.Context(), nil, "disk.inodeusage", nil, nil).Return.(*wire.Map)
	if all.Len() != usage.Len() || inodes.Len() != usage.Len() || !usage.Has("/") {
		t.Errorf("percent %s\nusage %s\ninodeusage %s", pytext.Repr(all), pytext.Repr(usage), pytext.Repr(inodes))
	}
	if got := r.Run(t.Context(), nil, "disk.percent", []any{"/"}, nil).Return.(string); !strings.HasSuffix(got, "%") {
		t.Errorf("disk.percent / = %q", got)
	}
	if got := r.Run(t.Context(), nil, "disk.percent", []any{"/nope"}, nil); pytext.Repr(got.Return) != "{}" {
		t.Errorf("disk.percent /nope = %+v", got)
	}
	for flags, want := range map[string]string{"z": "ERROR: Invalid flag passed to disk.usage", "t": "ERROR executing 'disk.usage': flag 't'"} {
		if got := r.Run(t.Context(), nil, "disk.usage", []any{flags}, nil).Return.(string); !strings.HasPrefix(got, want) {
			t.Errorf("disk.usage %s = %q", flags, got)
		}
	}
	kind := r.Run(t.Context(), nil, "disk.get_fstype_from_path", []any{"/proc/sys"}, nil).Return
	if kind != "proc" {
		t.Errorf("disk.get_fstype_from_path /proc/sys = %v", kind)
	}
	if got := r.Run(t.Context(), nil, "disk.fstype", []any{"/nope"}, nil); got.Return != "" || got.Retcode != 1 {
		t.Errorf("disk.fstype /nope = %+v", got)
	}
	if got := r.Run(t.Context(), nil, "disk.fstype", []any{"proc"}, nil); got.Return != "proc" {
		t.Errorf("disk.fstype proc = %+v", got)
	}
}

func TestPercentText(t *testing.T) {
	for _, tc := range []struct {
		used, free uint64
		want       string
	}{{0, 0, "-"}, {0, 5, "0%"}, {1, 999, "1%"}, {1, 1, "50%"}, {5, 0, "100%"}, {501, 499, "51%"}} {
		if got := percentText(tc.used, tc.free); got != tc.want {
			t.Errorf("%d of %d: got %s, want %s", tc.used, tc.used+tc.free, got, tc.want)
		}
	}
}

func TestBlkidFields(t *testing.T) {
	got := pytext.Repr(blkidFields(`LABEL="my disk" UUID="1-2" BLOCK_SIZE="4096" TYPE="ext4" PARTLABEL="a \"b\" \\c"`))
	if want := `{'LABEL': 'my disk', 'UUID': '1-2', 'BLOCK_SIZE': '4096', 'TYPE': 'ext4', 'PARTLABEL': 'a "b" \\c'}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
