package modules

import (
	"path/filepath"
	"slices"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/states"
)

func init() {
	hooks("archive", states.Hooks{Before: safePath})
	hooks("ini", states.Hooks{Before: safePath})
}

var (
	// onlyLook are functions of file.* that write nothing at their name.
	onlyLook = []string{"exists", "missing", "accumulated", "cached", "not_cached"}
	// linkItself are those for which a link at the end of the path is not followed.
	linkItself = []string{"absent", "symlink", "hardlink", "rename", "shortcut"}
)

// safePath refuses paths by which a symbolic link of a user would lead root to what is
// not theirs, before anything is planned: what is shown of the file, too, is not theirs.
func safePath(c *states.Call, fun string) error {
	name := c.Low.Text("name")
	if !filepath.IsAbs(name) || slices.Contains(onlyLook, fun) {
		return nil
	}
	final := !slices.Contains(linkItself, fun)
	for _, option := range []string{"follow_symlinks", "follow"} {
		if v, ok := c.Low.Get(option); ok && !module.Truth(v) {
			final = false
		}
	}
	return c.Host.Safe(name, final)
}
