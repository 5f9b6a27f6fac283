package libvirt

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/protocol/wire"
)

// readISO reads a volume and its files as ECMA-119 says, from the primary descriptor (kind
// 1) or that of Joliet (kind 2). Numbers are there in both orders of bytes, which have to agree.
func readISO(t *testing.T, b []byte, kind byte) (label string, files map[string]string) {
	t.Helper()
	both := func(p []byte) uint32 {
		t.Helper()
		n := binary.LittleEndian.Uint32(p)
		if m := binary.BigEndian.Uint32(p[4:]); m != n {
			t.Fatalf("%d in one order of bytes, %d in the other", n, m)
		}
		return n
	}
	text := func(p []byte) string {
		if kind == 1 {
			return string(p)
		}
		var u []uint16
		for ; len(p) > 1; p = p[2:] {
			u = append(u, binary.BigEndian.Uint16(p))
		}
		return string(utf16.Decode(u))
	}
	extent := func(r []byte) []byte {
		t.Helper()
		at, size := both(r[2:]), both(r[10:])
		if int(at)*sector+int(size) > len(b) {
			t.Fatalf("%d bytes in sector %d are outside of the image", size, at)
		}
		return b[at*sector : at*sector+size]
	}
	var vol []byte
	for n := 16; ; n++ { // the descriptors end with one of kind 255
		d := b[n*sector : (n+1)*sector]
		if string(d[1:6]) != "CD001" || d[6] != 1 {
			t.Fatalf("sector %d is no descriptor: %q", n, d[:8])
		}
		if d[0] == 255 {
			break
		}
		if d[0] == kind {
			vol = d
		}
	}
	if vol == nil {
		t.Fatalf("there is no descriptor of kind %d", kind)
	}
	if kind == 2 && string(vol[88:91]) != "%/E" {
		t.Errorf("it is not Joliet's: %q", vol[88:91])
	}
	if n := both(vol[80:]); n == 0 || int(n)*sector > len(b) {
		t.Errorf("%d sectors in %d bytes", n, len(b))
	}
	if n := binary.LittleEndian.Uint16(vol[128:]); n != sector || binary.BigEndian.Uint16(vol[130:]) != sector {
		t.Errorf("sectors of %d bytes", n)
	}
	root := vol[156:190]
	// The table of paths has one entry, the root, in each order of bytes.
	at := both(root[2:])
	for _, c := range []struct {
		table uint32
		order binary.ByteOrder
	}{{binary.LittleEndian.Uint32(vol[140:]), binary.LittleEndian}, {binary.BigEndian.Uint32(vol[148:]), binary.BigEndian}} {
		p := b[c.table*sector:]
		if p[0] != 1 || c.order.Uint32(p[2:]) != at || c.order.Uint16(p[6:]) != 1 || both(vol[132:]) != 10 {
			t.Errorf("table of paths: % x", p[:10])
		}
	}
	files = map[string]string{}
	var names []string
	for dir := extent(root); len(dir) > 0 && dir[0] > 0; dir = dir[dir[0]:] {
		r := dir[:dir[0]]
		name := string(r[33 : 33+r[32]])
		if r[25]&2 != 0 { // itself and the one above, which is the same here
			if name != "\x00" && name != "\x01" || both(r[2:]) != at {
				t.Errorf("directory %q", name)
			}
			continue
		}
		name = text([]byte(name))
		names = append(names, name)
		files[name] = string(extent(r))
	}
	if !slices.IsSorted(names) {
		t.Errorf("files are to be sorted: %q", names)
	}
	return strings.TrimRight(text(vol[40:72]), " "), files
}

// What cloud-init reads is there by its names, for the kernel and for other programs.
func TestSeed(t *testing.T) {
	data := "#cloud-config\n" + strings.Repeat("# x\n", 3000)
	b := seed(&plan{Spec: inventory.Spec{Name: "web1", UserData: []byte(data), Key: "ssh-ed25519 AAAA me"}})
	for kind, names := range map[byte][2]string{1: {"META_DAT.;1", "USER_DAT.;1"}, 2: {"meta-data", "user-data"}} {
		label, files := readISO(t, b, kind)
		if label != "cidata" || len(files) != 2 || !strings.Contains(files[names[0]], `"public-keys":["ssh-ed25519 AAAA me"]`) || files[names[1]] != data {
			t.Errorf("%d: label %q, %.600q", kind, label, files)
		}
	}
	path := filepath.Join(t.TempDir(), "seed.iso")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Run("isoinfo", func(t *testing.T) {
		if _, err := exec.LookPath("isoinfo"); err != nil {
			t.Skip("isoinfo is not installed (Debian: genisoimage)")
		}
		for _, args := range [][]string{{"-J", "-x", "/user-data"}, {"-x", "/USER_DAT.;1"}} {
			if out, err := exec.Command("isoinfo", append(args, "-i", path)...).Output(); err != nil || string(out) != data {
				t.Errorf("%q: %v %.200q", args, err, out)
			}
		}
	})
	t.Run("kernel", func(t *testing.T) {
		mnt := t.TempDir()
		// In mounts of its own, so that nothing stays.
		out, err := exec.Command("unshare", "-m", "/bin/sh", "-c", `mount -o loop,ro -t iso9660 "$1" "$2" && blkid -o value -s LABEL "$1"; cd "$2" && ls && cat meta-data && cat user-data`, "sh", path, mnt).CombinedOutput()
		if err != nil {
			t.Skipf("ISO images cannot be mounted here: %v %s", err, out)
		}
		if text := string(out); !strings.Contains(text, "cidata\nmeta-data\nuser-data\n") || !strings.Contains(text, `"public-keys":["ssh-ed25519 AAAA me"]`) || !strings.HasSuffix(text, data) {
			t.Errorf("%.600s", out)
		}
	})
}

// How libvirt is reached by SSH is in the URI, by the names that virsh has for it.
func TestURIOfSSH(t *testing.T) {
	for uri, want := range map[string]string{
		"qemu+ssh://kvm1.example.com/system":                                    "{kvm1.example.com  0   false [/var/run/libvirt/libvirt-sock /var/run/libvirt/virtqemud-sock]}",
		"qemu+ssh://me@[::1]:2222/system?keyfile=/k&known_hosts=/h&no_verify=1": "{::1 me 2222 /k /h true [/var/run/libvirt/libvirt-sock /var/run/libvirt/virtqemud-sock]}",
		"qemu+libssh2://h/session?socket=/run/user/1/s":                         "{h  0   false [/run/user/1/s]}",
		"qemu+ssh://h/session":                                                  "where the socket of a session is on another machine is not known",
		"qemu+ssh:///system":                                                    "it names no host",
		"qemu+ssh://me:hush@h/system":                                           "a password has no place in it",
		"qemu+ssh://h:99999/system":                                             "99999 is no port",
	} {
		h, err := parseURI(uri)
		got := fmt.Sprint(err)
		if err == nil {
			got = fmt.Sprint(*h.ssh)
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s", uri, got)
		}
	}
}

// A refused URI is shown without its password.
func TestURIPassword(t *testing.T) {
	for _, uri := range []string{"qemu+tls://me:hushhush@host/system", "qemu+tls://me:hushhush@host%/system"} {
		v, err := inventory.ReadValues("lab", wire.NewMap("uri", uri), Kind.Options)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := open(v, inventory.Env{Source: "lab"}); err == nil || strings.Contains(err.Error(), "hushhush") {
			t.Errorf("%v", err)
		}
	}
}
