//go:build linux

package testmachine

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
)

// A Change is a path of a machine that is not as it was when it booted, as far as that
// is kept on its disk (not /tmp, /var/tmp, /run and /dev).
type Change struct {
	Path    string
	Kind    string // "file", "dir", "link", "gone", "other"
	Mode    fs.FileMode
	UID     uint32
	GID     uint32
	Content string // of a file, or where a link leads; of a file beyond 64 KiB a hash
}

func (c Change) String() string {
	if c.Kind == "gone" {
		return c.Path + ": gone"
	}
	return fmt.Sprintf("%s: %s %v %d:%d %q", c.Path, c.Kind, c.Mode, c.UID, c.GID, c.Content)
}

// Changes are all paths that were made, written, removed, or got other attributes since
// the machine booted, in order.
func (m *Machine) Changes() []Change {
	m.t.Helper()
	upper := m.Path("/run/testmachine/upper")
	var all []Change
	err := filepath.WalkDir(upper, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			if os.IsNotExist(err) {
				return nil // removed meanwhile
			}
			return err
		}
		name := strings.TrimPrefix(p, upper)
		if name == "" {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		st := info.Sys().(*syscall.Stat_t)
		c := Change{Path: name, Mode: info.Mode(), UID: st.Uid, GID: st.Gid}
		switch {
		case info.Mode()&fs.ModeCharDevice != 0 && st.Rdev == 0:
			c = Change{Path: name, Kind: "gone"}
		case info.IsDir():
			c.Kind = "dir"
			// The overlay makes the directories above what was written, too.
			if was, err := os.Lstat(name); err == nil && was.Mode() == c.Mode && was.Sys().(*syscall.Stat_t).Uid == c.UID && was.Sys().(*syscall.Stat_t).Gid == c.GID {
				return nil
			}
		case info.Mode()&fs.ModeSymlink != 0:
			c.Kind = "link"
			c.Content, _ = os.Readlink(p)
		case info.Mode().IsRegular():
			c.Kind = "file"
			b, err := os.ReadFile(p)
			if err != nil {
				return nil
			}
			if c.Content = string(b); len(b) > 64<<10 {
				c.Content = fmt.Sprintf("sha256 %x", sha256.Sum256(b))
			}
		default:
			c.Kind = "other"
		}
		all = append(all, c)
		return nil
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return all
}

// Diff tells where two machines that booted from the same system differ: one line for
// each path. ignore are paths that do not count, with all below them.
func Diff(a, b *Machine, ignore ...string) []string {
	a.t.Helper()
	left, right := byPath(a.Changes(), ignore), byPath(b.Changes(), ignore)
	var out []string
	for p, x := range left {
		if y, ok := right[p]; !ok {
			out = append(out, "only in the first: "+x.String())
		} else if x != y {
			out = append(out, fmt.Sprintf("differ: %s\n    and %s", x, y))
		}
	}
	for p, y := range right {
		if _, ok := left[p]; !ok {
			out = append(out, "only in the second: "+y.String())
		}
	}
	sort.Strings(out)
	return out
}

func byPath(all []Change, ignore []string) map[string]Change {
	m := make(map[string]Change, len(all))
next:
	for _, c := range all {
		for _, p := range ignore {
			if c.Path == p || strings.HasPrefix(c.Path, p+"/") {
				continue next
			}
		}
		m[c.Path] = c
	}
	return m
}
