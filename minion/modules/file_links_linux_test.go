package modules

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
)

// A user has put links to root's files and directories where root's functions write: none
// follows one, whatever it does.
func TestUserLinks(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root is misled")
	}
	const user = 65534
	root := t.TempDir()
	home, victim := filepath.Join(root, "home"), filepath.Join(root, "victim")
	secret := filepath.Join(victim, "secret")
	must := func(errs ...error) {
		t.Helper()
		for _, err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	must(os.Mkdir(home, 0o755), os.Mkdir(victim, 0o755), os.WriteFile(secret, []byte("old\n"), 0o600), os.WriteFile(filepath.Join(root, "src"), []byte("new\n"), 0o644),
		os.Symlink(victim, filepath.Join(home, "dir")), os.Symlink(secret, filepath.Join(home, "file")),
		os.Lchown(home, user, user), os.Lchown(filepath.Join(home, "dir"), user, user), os.Lchown(filepath.Join(home, "file"), user, user))
	before, err := os.Stat(secret)
	must(err)
	reg := New()
	for _, call := range [][]any{
		{"file.touch", home + "/file", int64(1), int64(1)}, {"file.touch", home + "/dir/made"}, {"file.append", home + "/file", "x"}, {"file.truncate", home + "/file", int64(0)},
		{"file.seek_write", home + "/file", "x", int64(0)}, {"file.copy", root + "/src", home + "/file"}, {"file.copy", root + "/src", home + "/dir/made"},
		{"file.link", root + "/src", home + "/dir/made"}, {"file.symlink", "/x", home + "/dir/made"}, {"file.rename", root + "/src", home + "/dir/made"},
		{"file.rename", home + "/dir/secret", root + "/taken"}, {"file.move", home + "/dir/secret", root + "/taken"}, {"file.remove", home + "/dir/secret"},
		{"file.mkdir", home + "/dir/made"}, {"file.makedirs", home + "/dir/made/x"}, {"file.makedirs_perms", home + "/dir/made"}, {"file.write", home + "/file", "x"},
	} {
		res := reg.Run(t.Context(), &module.Call{Host: &host.Host{}, Opts: wire.NewMap(), CacheDir: t.TempDir(), Grains: func() *wire.Map { return wire.NewMap() }}, call[0].(string), call[1:], nil)
		if says := fmt.Sprint(res.Return, res.Err); call[0] == "file.rename" && !strings.Contains(says, "is not followed") {
			t.Errorf("%q does not name the link in the way: %s", call, says)
		}
		after, err := os.Stat(secret)
		b, _ := os.ReadFile(secret)
		if err != nil || string(b) != "old\n" || !after.ModTime().Equal(before.ModTime()) || after.Mode() != before.Mode() {
			t.Fatalf("%q changes root's file: %v %v, and says %v %v", call, err, after, res.Return, res.Err)
		}
		if left, err := os.ReadDir(victim); err != nil || len(left) != 1 {
			t.Fatalf("%q makes something in root's directory: %v", call, left)
		}
		if st, err := os.Stat(root + "/src"); err != nil || st.Size() != 4 {
			t.Fatalf("%q: the source is gone: %v", call, err)
		}
	}
	// What is the user's own, and what root has linked, is not in the way.
	must(os.Symlink(victim, filepath.Join(root, "mine")))
	res := reg.Run(t.Context(), &module.Call{Host: &host.Host{}, Opts: wire.NewMap(), Grains: func() *wire.Map { return wire.NewMap() }}, "file.copy", []any{root + "/src", root + "/mine/secret"}, nil)
	if b, err := os.ReadFile(secret); err != nil || !strings.HasPrefix(string(b), "new") {
		t.Errorf("%v %v %q", res.Return, res.Err, b)
	}
}
