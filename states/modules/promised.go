package modules

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/states"
)

// Under test=True nothing has been made of what earlier states of the run will make. A
// state that misses it does not fail for that, as Salt's does: a real run would not.

// makers are the state modules whose states make files that they do not name.
var makers = []string{"archive", "cmd", "git", "module", "mount", "pip", "pkg", "service", "virtualenv"}

// treeMakers are the states that make files below the path that they name, and noMakers the
// functions of file that make none there.
var (
	treeMakers = []string{"archive.extracted", "file.copy", "file.recurse", "file.rename"}
	noMakers   = []string{"absent", "exists", "missing", "not_cached", "pruned", "tidied"}
)

// makes tells whether a state makes the file of a path.
func makes(state, fun, name, path string) bool {
	if state != "file" && state != "archive" || state == "file" && slices.Contains(noMakers, fun) || !filepath.IsAbs(name) {
		return false
	}
	name = filepath.Clean(name)
	if below(path, name) {
		return slices.Contains(treeMakers, state+"."+fun)
	}
	return name == path && state == "file"
}

// below tells whether a path is in a directory, or further down.
func below(path, dir string) bool {
	dir = strings.TrimRight(dir, "/")
	return len(path) > len(dir) && path[len(dir)] == '/' && path[:len(dir)] == dir
}

// promisedFile tells whether an earlier state of the run is to make a file, or may: one
// of makers that is required.
func promisedFile(c *states.Call, path string) (id string, ok bool) {
	if !c.Test {
		return "", false
	}
	path = filepath.Clean(path)
	if e, ok := firstEffect(c, withAbove(effect{"makes", path}, "makes below")...); ok {
		return e.id, true
	}
	for _, kind := range []string{"require", "watch", "onchanges", "require_any", "watch_any", "onchanges_any"} {
		for _, low := range c.Required[kind] {
			if slices.Contains(makers, low.Text("state")) && undecided(resultOf(c, states.Tag(low))) {
				return low.Text("__id__"), true
			}
		}
	}
	return "", false
}

func isPromised(c *states.Call, path string) bool {
	_, ok := promisedFile(c, path)
	return ok
}

// promisedGone tells whether an earlier state of the run is to remove a file, by itself or
// with a directory above it, and none after it is to make it again.
func promisedGone(c *states.Call, path string) (gone bool) {
	if !c.Test || c.Host.Drafted(path) {
		return false
	}
	path = filepath.Clean(path)
	keys := append(withAbove(effect{"removes", path}, "removes"), withAbove(effect{"makes", path}, "makes below")...)
	last, _ := lastEffect(c, keys...)
	return last.kind == "removes"
}

// notYet is the outcome of a state that needs what an earlier one is to make.
func notYet(what, id string) error {
	return states.Unknown(fmt.Sprintf("%s is not there yet: the state %s comes before, and what is to be changed is known when it has run", what, id))
}

// notFound is what a state says that needs a program of the system which is not there.
// A plan does not fail for that where an earlier state may install it.
func notFound(c *states.Call, why string) error {
	state, fun := c.Low.Text("state"), c.Low.Text("fun")
	if e, ok := firstEffect(c, effect{"programs", ""}); ok {
		return notYet(fmt.Sprintf("What %s.%s needs", state, fun), e.id)
	}
	return module.Failf("State '%s.%s' was not found in SLS '%s'\nReason: %s\n", state, fun, c.SLS, why)
}
