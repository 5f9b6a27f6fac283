package modules

import (
	"path/filepath"
	"slices"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

// A plan misses directories that a run may find: it fails for them only where no state
// before it makes them, as its name says, or could, as a command.

// lacksDir tells whether a directory is missing when the state is carried out: there is
// none, and under test=True no earlier state of the run may make it.
func lacksDir(c *states.Call, dir string) bool {
	return !c.Host.IsDir(dir) && (!c.Test || !mayBeMade(c, dir))
}

// inTheWay is what is at a path, or nearest above it, where that is no directory and so
// keeps one from being made; "" where nothing is, or under test=True an earlier state of the
// run may take it away.
func inTheWay(c *states.Call, dir string) string {
	path := filepath.Clean(dir)
	for !lexists(c, path) && path != filepath.Dir(path) {
		path = filepath.Dir(path)
	}
	if c.Host.IsDir(path) || promisedGone(c, path) || c.Test && comesFirst(c, func(low *wire.Map) bool {
		name := filepath.Clean(low.Text("name"))
		if low.Text("state") == "file" {
			return name == path || below(path, name) || low.Text("fun") == "rename"
		}
		return !slices.Contains(dirless, low.Text("state"))
	}) {
		return ""
	}
	return path
}

// blocked fails under test=True for a directory that cannot be made, as making it does.
func blocked(c *states.Call, dir string) error {
	if !c.Test || c.Host.IsDir(dir) || c.Low.Text("fun") == "recurse" { // which clears its way
		return nil
	}
	if way := inTheWay(c, dir); way != "" {
		return module.Failf("mkdir %s: file exists", c.Host.Path(way))
	}
	return nil
}

// dirless are the state modules whose states make no directories, whatever they change;
// those of file say which.
var dirless = []string{"at", "cron", "debconf", "environ", "file", "grains", "group", "host", "ini", "iptables", "locale", "nftables", "schedule", "stateconf",
	"sysctl", "test", "timezone"}

// mayBeMade tells under test=True whether an earlier state of the run is to make what is to
// be at a path, or may.
func mayBeMade(c *states.Call, path string) bool {
	path = filepath.Clean(path)
	if _, ok := firstEffect(c, withAbove(effect{"makes", path}, "makes below")...); ok { // as nearly always, and without looking at each
		return true
	}
	real := resolved(c, path)
	return comesFirst(c, func(low *wire.Map) bool {
		state := low.Text("state")
		if state != "file" {
			return !slices.Contains(dirless, state)
		}
		name := expandVars(expandUser(c, low.Text("name")))
		return filepath.IsAbs(name) && (leads(low.Text("fun"), filepath.Clean(name), path) || leads(low.Text("fun"), resolved(c, name), real))
	})
}

// comesFirst tells under test=True whether an earlier state of the run that is to change
// something is one of those asked for. One that was passed over for its onlyif, unless or
// the like counts, too, where something else is to change: a run may decide otherwise.
func comesFirst(c *states.Call, is func(low *wire.Map) bool) bool {
	if module.Truth(get(c.Low, "__prereq__")) { // looked at ahead of those that come before it
		return true
	}
	open := false
	for _, low := range c.Chunks {
		res := c.Running.Map(states.Tag(low))
		if res == nil || !undecided(res) {
			continue
		}
		if open = true; is(low) {
			return true
		}
	}
	return open && slices.ContainsFunc(c.Chunks, func(low *wire.Map) bool {
		res := c.Running.Map(states.Tag(low))
		return res != nil && get(res, "result") == true && conditional(low) && is(low)
	})
}

// conditional tells whether it depends on others whether a state is carried out.
func conditional(low *wire.Map) bool {
	return slices.ContainsFunc([]string{"onlyif", "unless", "creates", "onchanges", "onchanges_any", "onfail", "onfail_any", "onfail_all", "prereq", "parallel"}, low.Has)
}

// leads tells whether a function of file with that name can bring it about that there is
// something at a path: by making it, or one above it as a link or a copy, or one below it
// and all on the way.
func leads(fun, name, path string) bool {
	switch {
	case slices.Contains(noMakers, fun):
		return false
	case below(path, name):
		return fun == "symlink" || slices.Contains(treeMakers, "file."+fun)
	}
	return name == path || below(name, path)
}

// resolved is a path with the links in what is there of it resolved.
func resolved(c *states.Call, path string) string {
	rest := ""
	for dir := filepath.Clean(path); ; dir = filepath.Dir(dir) {
		if real, err := filepath.EvalSymlinks(c.Host.Path(dir)); err == nil || dir == filepath.Dir(dir) {
			return filepath.Join(real, rest)
		}
		rest = filepath.Join(filepath.Base(dir), rest)
	}
}
