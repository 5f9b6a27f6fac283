package libvirt

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/inventory"
)

// What cloud-init reads is there by its names, for the kernel and for other programs.
func TestSeed(t *testing.T) {
	data := "#cloud-config\n" + strings.Repeat("# x\n", 3000)
	b := seed(&plan{Spec: inventory.Spec{Name: "web1", UserData: []byte(data), Key: "ssh-ed25519 AAAA me"}})
	dir := t.TempDir()
	path := filepath.Join(dir, "seed.iso")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(b[17*sector:18*sector], wide("cidata")) || string(b[16*sector+40:16*sector+46]) != "cidata" {
		t.Error("no label")
	}
	mnt := filepath.Join(dir, "mnt")
	if err := os.Mkdir(mnt, 0o700); err != nil {
		t.Fatal(err)
	}
	// In mounts of its own, so that nothing stays.
	out, err := exec.Command("unshare", "-m", "/bin/sh", "-c", `mount -o loop,ro -t iso9660 "$1" "$2" && blkid -o value -s LABEL "$1"; cd "$2" && ls && cat meta-data && cat user-data`, "sh", path, mnt).CombinedOutput()
	if err != nil {
		t.Skipf("ISO images cannot be mounted here: %v %s", err, out)
	}
	if text := string(out); !strings.Contains(text, "cidata\nmeta-data\nuser-data\n") || !strings.Contains(text, `"public-keys":["ssh-ed25519 AAAA me"]`) || !strings.HasSuffix(text, data) {
		t.Errorf("%.600s", out)
	}
}
