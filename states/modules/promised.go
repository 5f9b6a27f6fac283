package modules

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

// Under test=True nothing has been made of what earlier states of the run will make. A
// state that misses it does not fail for that, as Salt's does: a real run would not.

// earlier calls is with the parts of the tag (state, id, name, function) and the result of
// each earlier state that is to change something, until that returns true, and returns that
// state's id.
func earlier(c *states.Call, is func(tag []string, res *wire.Map) bool) (id string, ok bool) {
	if !c.Test {
		return "", false
	}
	parts := make([]string, 4) // one for all: a long run has thousands of states, each of which may ask
	for tag, v := range c.Running.Strings() {
		res, isMap := v.(*wire.Map)
		if isMap && undecided(res) && splitTag(tag, parts) && is(parts, res) {
			return parts[1], true
		}
	}
	return "", false
}

// splitTag splits a tag into its four parts.
func splitTag(tag string, parts []string) bool {
	const sep = "_|-"
	for i := range parts[:3] {
		var ok bool
		if parts[i], tag, ok = strings.Cut(tag, sep); !ok {
			return false
		}
	}
	parts[3] = tag
	return !strings.Contains(tag, sep)
}

// undecided tells whether a result is that of a state which would change something.
func undecided(res *wire.Map) bool {
	v, there := res.Get("result")
	return there && v == nil
}

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
	path = filepath.Clean(path)
	if id, ok = earlier(c, func(tag []string, _ *wire.Map) bool { return makes(tag[0], tag[3], tag[2], path) }); ok || !c.Test {
		return id, ok
	}
	for _, kind := range []string{"require", "watch", "onchanges", "require_any", "watch_any", "onchanges_any"} {
		for _, low := range c.Required[kind] {
			if res := c.Running.Map(states.Tag(low)); res != nil && undecided(res) && slices.Contains(makers, low.Text("state")) {
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
	earlier(c, func(tag []string, res *wire.Map) bool {
		if makes(tag[0], tag[3], tag[2], path) {
			gone = false
		}
		switch removed := get(res.Map("changes"), "removed").(type) {
		case string:
			gone = gone || removed == path || below(path, removed)
		case []any:
			gone = gone || slices.ContainsFunc(removed, func(v any) bool {
				s, ok := v.(string)
				return ok && (s == path || below(path, s))
			})
		}
		return false
	})
	return gone
}

// notYet is the outcome of a state whose file is to be made by an earlier one.
func notYet(path, id string) error {
	return states.Unknown(fmt.Sprintf("%s is not there yet: the state %s comes before, and what is to be changed is known when it has run", path, id))
}
