//go:build unix

package modules

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pyre"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() { register("file.find", fileFind) }

type fileFindArgs struct {
	Path   string    // Where to look; a shell pattern means all that match.
	Args   []any     `arg:"*"`  // delete for delete=f, print for print=path.
	Kwargs *wire.Map `arg:"**"` // What is looked for, and what is done with it.
}

// fileFind looks for files below a directory. What is looked for, all of it together:
// name and iname (shell patterns), regex and iregex, type (letters of bcdflps), owner,
// group (names or numbers), size (1k; +1k for at least, -1k for at most), mtime (3d; +3d
// for older, -3d for newer), grep (an expression of the contents), mindepth and maxdepth.
//
// What is done: print (names of group, md5, mode, mtime, name, path, size, type, user),
// delete (letters of the types that may be deleted, a for all), exec (a command, {} is the
// path). test=True deletes nothing.
//
//	gosalt '*' file.find / type=f name=\*.bak size=+10m
//	gosalt '*' file.find /var mtime=+30d size=+10m print=path,size,mtime
//	gosalt '*' file.find /var/log name=\*.[0-9] mtime=+30d size=+10m delete
func fileFind(ctx context.Context, c *module.Call, a fileFindArgs) (any, error) {
	opts := a.Kwargs
	if opts == nil {
		opts = wire.NewMap()
	}
	has := func(s string) bool { return slices.ContainsFunc(a.Args, func(v any) bool { return v == s }) }
	switch {
	case has("delete"):
		opts.Set("delete", "f")
	case has("print"):
		opts.Set("print", "path")
	}
	f, err := newFinder(c, opts)
	if err != nil {
		return "error: " + err.Error(), nil // as in Salt
	}
	found := []any{}
	for _, p := range globPaths(c, expandUser(c, a.Path)) {
		if err := f.find(ctx, p, &found); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(found, compareFound)
	return found, nil
}

// foundFile is a file that a finder looks at.
type foundFile struct {
	path, name string
	st         *host.FileInfo // nil before someone asks
	err        error
}

func (e *foundFile) stat(c *module.Call) host.FileInfo {
	if e.st == nil {
		st, err := c.Host.Info(e.path, true)
		if err != nil {
			st, e.err = c.Host.Info(e.path, false)
		}
		e.st = &st
	}
	return *e.st
}

type finder struct {
	c         *module.Call
	criteria  []func(*foundFile) (bool, error)
	actions   []func(context.Context, *foundFile) (any, error)
	min       int
	max       int
	test      bool
	criterion [3][]func(*foundFile) (bool, error) // by what they need: the path, stat, the contents
}

func newFinder(c *module.Call, opts *wire.Map) (*finder, error) {
	f := &finder{c: c, max: math.MaxInt}
	number := func(key string, into *int) error {
		if v, ok := opts.Get(key); ok && v != nil {
			n, ok := wholeNumber(v)
			if !ok {
				return fmt.Errorf("invalid %s: a number expected, got %s", key, pytext.Repr(v))
			}
			*into = int(n)
		}
		return nil
	}
	if err := errors.Join(number("mindepth", &f.min), number("maxdepth", &f.max)); err != nil {
		return nil, err
	}
	if v, ok := opts.Get("test"); ok {
		f.test = module.Truth(v)
	}
	for key, v := range opts.Strings() {
		if strings.HasPrefix(key, "_") || key == "mindepth" || key == "maxdepth" || key == "test" {
			continue
		}
		if !module.Truth(v) {
			return nil, fmt.Errorf(`missing value for "%s" option`, key)
		}
		if err := f.option(key, pytext.Str(v)); err != nil {
			return nil, err
		}
	}
	if len(f.actions) == 0 {
		f.addPrint("path")
	}
	f.criteria = slices.Concat(f.criterion[0], f.criterion[1], f.criterion[2])
	return f, nil
}

func (f *finder) option(key, value string) error {
	switch key {
	case "name", "iname":
		// Salt's own reading of a pattern: "?" is one character or none.
		pattern := strings.NewReplacer(".", `\.`, "?", ".?", "*", ".*").Replace(value) + "$"
		return f.addRegex(key == "iname", pattern, value)
	case "regex", "iregex":
		return f.addRegex(key == "iregex", value, value)
	case "type":
		types, err := typeNames(value)
		if err != nil {
			return err
		}
		f.criterion[1] = append(f.criterion[1], func(e *foundFile) (bool, error) { return slices.Contains(types, e.stat(f.c).Type), nil })
	case "owner", "group":
		return f.addOwner(key, value)
	case "size":
		low, high, err := parseSize(value)
		if err != nil {
			return err
		}
		f.criterion[1] = append(f.criterion[1], func(e *foundFile) (bool, error) {
			n := e.stat(f.c).Size
			return n >= low && n <= high, nil
		})
	case "mtime":
		age, newer, err := parseAge(value)
		if err != nil {
			return err
		}
		limit := seconds(time.Now()) - age
		f.criterion[1] = append(f.criterion[1], func(e *foundFile) (bool, error) {
			t := float64(e.stat(f.c).Mtime.Unix())
			return newer && t >= limit || !newer && t <= limit, nil
		})
	case "grep":
		re, err := pyre.Compile(value, "")
		if err != nil {
			return fmt.Errorf(`invalid regular expression: "%s"`, value)
		}
		f.criterion[2] = append(f.criterion[2], func(e *foundFile) (bool, error) { return f.grep(e, re) })
	case "print":
		f.addPrint(value)
	case "delete":
		return f.addDelete(value)
	case "exec":
		f.addExec(value)
	default:
		return fmt.Errorf(`invalid option "%s"`, key)
	}
	return nil
}

func (f *finder) addRegex(fold bool, pattern, value string) error {
	flags := ""
	if fold {
		flags = "i"
	}
	re, err := pyre.Compile(pattern, flags)
	if err != nil {
		return fmt.Errorf(`invalid regular expression: "%s"`, value)
	}
	f.criterion[0] = append(f.criterion[0], func(e *foundFile) (bool, error) {
		m, err := re.Match(e.name)
		return m != nil, err
	})
	return nil
}

var typeLetters = map[rune]string{'b': "block", 'c': "char", 'd': "dir", 'f': "file", 'l': "link", 'p': "pipe", 's': "socket"}

func typeLetter(kind string) string {
	for l, k := range typeLetters {
		if k == kind {
			return string(l)
		}
	}
	return "?"
}

func typeNames(value string) ([]string, error) {
	var out []string
	for _, r := range strings.Join(strings.Fields(strings.ReplaceAll(value, ",", "")), "") {
		t, ok := typeLetters[r]
		if !ok {
			return nil, fmt.Errorf(`invalid file type "%c"`, r)
		}
		out = append(out, t)
	}
	return out, nil
}

func (f *finder) addOwner(key, value string) error {
	ids := map[int]bool{}
	for _, name := range strings.Fields(strings.ReplaceAll(value, ",", " ")) {
		if n, err := strconv.Atoi(name); err == nil {
			ids[n] = true
			continue
		}
		if key == "owner" {
			u, err := f.c.Host.User(name)
			if err != nil {
				return fmt.Errorf(`no such user "%s"`, name)
			}
			ids[u.UID] = true
			continue
		}
		g, err := f.c.Host.Group(name)
		if err != nil {
			return fmt.Errorf(`no such group "%s"`, name)
		}
		ids[g.GID] = true
	}
	f.criterion[1] = append(f.criterion[1], func(e *foundFile) (bool, error) {
		if key == "owner" {
			return ids[e.stat(f.c).UID], nil
		}
		return ids[e.stat(f.c).GID], nil
	})
	return nil
}

// parseSize reads "1k" as the sizes from 1024 to 2047, "+1k" as those from there on and
// "-1k" as those up to there.
func parseSize(value string) (low, high int64, err error) {
	s := strings.TrimSpace(value)
	style := byte('=')
	if s != "" && (s[0] == '-' || s[0] == '+') {
		style, s = s[0], s[1:]
	}
	unit := int64(1)
	if s != "" {
		if i := strings.IndexByte("bkmgt", s[len(s)-1]|0x20); i >= 0 {
			unit = 1 << (10 * i)
			s = strings.TrimSpace(s[:len(s)-1])
		}
	}
	x, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || math.IsNaN(x) || math.Abs(x) > 1e18 {
		return 0, 0, fmt.Errorf(`invalid size: "%s"`, value)
	}
	n := int64(x * float64(unit))
	switch style {
	case '-':
		return 0, n, nil
	case '+':
		return n, math.MaxInt64, nil
	}
	return n, n + unit - 1, nil
}

var ageSyntax = lazyre.New(`^\s*([+-]?)\s*(?:(\d+(?:\.\d*)?)\s*[wW])?\s*(?:(\d+(?:\.\d*)?)\s*[dD])?\s*(?:(\d+(?:\.\d*)?)\s*[hH])?\s*(?:(\d+(?:\.\d*)?)\s*[mM])?\s*(?:(\d+(?:\.\d*)?)\s*[sS])?\s*$`)

// parseAge reads "1w3d6h" as seconds, in whole units of the smallest that is named.
func parseAge(value string) (age float64, newer bool, err error) {
	m := ageSyntax.FindStringSubmatch(value)
	if m == nil {
		return 0, false, fmt.Errorf("invalid time interval: '%s'", value)
	}
	unit := 0.0
	for i, sec := range []float64{1, 60, 3600, 86400, 7 * 86400} {
		if text := m[6-i]; text != "" {
			x, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return 0, false, fmt.Errorf("invalid time interval: '%s'", value)
			}
			age += x * sec
			if unit == 0 {
				unit = sec
			}
		}
	}
	if unit == 0 {
		return 0, false, fmt.Errorf("invalid time interval: '%s'", value)
	}
	return math.Trunc(age/unit) * unit, m[1] == "-", nil
}

// grep looks through a regular file.
func (f *finder) grep(e *foundFile, re *pyre.Regexp) (bool, error) {
	if e.stat(f.c).Type != "file" {
		return false, nil
	}
	file, err := os.Open(f.c.Host.Path(e.path))
	if err != nil {
		return false, nil // what cannot be read does not match
	}
	defer file.Close()
	r := bufio.NewReader(io.LimitReader(file, maxText))
	for {
		line, rerr := r.ReadString('\n')
		if line != "" {
			if m, err := re.Search(strings.TrimSuffix(line, "\n")); m != nil || err != nil {
				return m != nil, err
			}
		}
		if rerr != nil {
			return false, nil // the end
		}
	}
}

func (f *finder) addPrint(value string) {
	what := strings.Fields(strings.ReplaceAll(value, ",", " "))
	if len(what) == 0 {
		what = []string{"path"}
	}
	f.actions = append(f.actions, func(_ context.Context, e *foundFile) (any, error) {
		out := []any{}
		for _, w := range what {
			st := host.FileInfo{}
			if w != "name" && w != "path" {
				st = e.stat(f.c)
			}
			switch w {
			case "path":
				out = append(out, e.path)
			case "name":
				out = append(out, e.path[strings.LastIndexByte(e.path, '/')+1:])
			case "size":
				out = append(out, st.Size)
			case "type":
				out = append(out, typeLetter(st.Type))
			case "mode":
				out = append(out, int64(st.Mode&0o777))
			case "mtime":
				out = append(out, st.Mtime.Unix())
			case "user":
				out = append(out, nameOrNumber(f.c.Host.UserName(st.UID), int64(st.UID)))
			case "group":
				out = append(out, nameOrNumber(f.c.Host.GroupName(st.GID), int64(st.GID)))
			case "md5":
				sum := ""
				if st.Type == "file" {
					var err error
					if sum, err = hashFile(f.c, e.path, "md5"); err != nil {
						return nil, err
					}
				}
				out = append(out, sum)
			}
		}
		if len(out) == 1 {
			return out[0], nil
		}
		return out, nil
	})
}

func (f *finder) addDelete(value string) error {
	if strings.Contains(value, "a") {
		value = "bcdpfls"
	}
	types, err := typeNames(value)
	if err != nil {
		return err
	}
	f.criterion[1] = append(f.criterion[1], func(e *foundFile) (bool, error) { return slices.Contains(types, e.stat(f.c).Type), nil })
	f.actions = append(f.actions, func(_ context.Context, e *foundFile) (any, error) {
		if f.test {
			return e.path, nil
		}
		var err error
		switch {
		case f.c.Host.IsFile(e.path) || f.c.Host.IsLink(e.path):
			err = f.c.Host.Unlink(e.path)
		case f.c.Host.IsDir(e.path):
			err = f.c.Host.Remove(e.path)
		}
		if err != nil {
			return nil, nil // what was not deleted is not listed
		}
		return e.path, nil
	})
	return nil
}

func (f *finder) addExec(command string) {
	f.actions = append(f.actions, func(ctx context.Context, e *foundFile) (any, error) {
		line := strings.ReplaceAll(command, "{}", e.path)
		words, err := host.Words(line)
		if err != nil || len(words) == 0 {
			return e.path + ": Failed", nil // as in Salt
		}
		res, err := f.c.Host.Run(ctx, host.Command{Args: words, Env: os.Environ(), Dir: "/"})
		if err != nil {
			f.c.Log.Error("command not run", "cmd", words[0], "error", err)
			return e.path + ": Failed", context.Cause(ctx)
		}
		if len(res.Stderr) > 0 {
			f.c.Log.Error("command printed an error", "cmd", words[0])
		}
		text, _, _ := host.Text(res.Stdout, "")
		return line + ":\n" + text + "\n", nil
	})
}

// find looks at a path and at what is below it.
func (f *finder) find(ctx context.Context, path string, found *[]any) error {
	if f.min < 1 {
		name := path[strings.LastIndexByte(path, '/')+1:]
		if err := f.look(ctx, &foundFile{path: path, name: name}, found); err != nil {
			return err
		}
	}
	if !f.c.Host.IsDir(path) {
		return nil
	}
	return f.walk(ctx, path, 1, found)
}

// walk goes through a directory: directories before files, as Python's os.walk has them.
func (f *finder) walk(ctx context.Context, dir string, depth int, found *[]any) error {
	if depth > f.max {
		return nil
	}
	entries, err := os.ReadDir(f.c.Host.Path(dir))
	if err != nil {
		return nil // what cannot be read is passed over
	}
	var below []string
	for _, e := range entries {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		path := pyJoin(dir, e.Name())
		if e.IsDir() {
			below = append(below, path)
		}
		if depth >= f.min {
			if err := f.look(ctx, &foundFile{path: path, name: filepath.Base(path)}, found); err != nil {
				return err
			}
		}
	}
	for _, d := range below {
		if err := f.walk(ctx, d, depth+1, found); err != nil {
			return err
		}
	}
	return nil
}

func (f *finder) look(ctx context.Context, e *foundFile, found *[]any) error {
	for _, fits := range f.criteria {
		ok, err := fits(e)
		if err != nil {
			return err
		}
		if !ok || e.err != nil {
			return nil
		}
	}
	for _, act := range f.actions {
		v, err := act(ctx, e)
		if err != nil {
			return err
		}
		if v != nil {
			*found = append(*found, v)
		}
	}
	return nil
}

// compareFound sorts texts, numbers, and lists of them as Python does.
func compareFound(a, b any) int {
	switch x := a.(type) {
	case string:
		if y, ok := b.(string); ok {
			return strings.Compare(x, y)
		}
	case int64:
		if y, ok := b.(int64); ok {
			return cmp.Compare(x, y)
		}
	case []any:
		if y, ok := b.([]any); ok {
			return slices.CompareFunc(x, y, compareFound)
		}
	}
	return 0
}
