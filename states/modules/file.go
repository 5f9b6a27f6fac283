package modules

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pydiff"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/textedit"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	hooks("file", states.Hooks{CheckCmd: []string{"managed"}, Before: safePath})
}

// timeNow is the clock that names of backups are made of.
var timeNow = time.Now

// expandUser makes ~ and ~name the home directory they stand for.
func expandUser(c *states.Call, name string) string {
	if !strings.HasPrefix(name, "~") {
		return name
	}
	who, rest, _ := strings.Cut(name[1:], "/")
	home := ""
	if who == "" {
		home = os.Getenv("HOME")
		if home == "" {
			home = "/root"
		}
	} else if u, err := c.Host.User(who); err == nil {
		home = u.Home
	}
	if home == "" {
		return name
	}
	return filepath.Join(home, rest)
}

// perms are the owner, permissions and attributes that a file should have.
type perms struct {
	user, group string // as the state names them, "" where it does not
	uid, gid    int    // -1 where the state names none
	mode        *fs.FileMode
	attrs       string
	selinux     *wire.Map
}

// readPerms reads the arguments. Under test=True a user or group that is not there yet is
// no error where a state before may make it.
func readPerms(c *states.Call, user, group, mode any, attrs string, selinux *wire.Map) (perms, error) {
	p := perms{uid: -1, gid: -1, attrs: attrs, selinux: selinux}
	var wrong []string
	if module.Truth(user) {
		p.user = pytext.Str(user)
		switch n, isID := user.(int64); {
		case isID:
			p.uid = int(n)
		default:
			u, err := c.Host.User(p.user)
			switch {
			case err == nil:
				p.uid = u.UID
			case !userToCome(c, p.user):
				wrong = append(wrong, fmt.Sprintf("User %s is not available ", p.user))
			}
		}
	} else if n, ok := user.(int64); ok && n == 0 {
		p.user, p.uid = "0", 0
	}
	if module.Truth(group) {
		p.group = pytext.Str(group)
		switch n, isID := group.(int64); {
		case isID:
			p.gid = int(n)
		default:
			g, err := c.Host.Group(p.group)
			switch {
			case err == nil:
				p.gid = g.GID
			case !possibleGroup(c, p.group):
				wrong = append(wrong, fmt.Sprintf("Group %s is not available", p.group))
			}
		}
	} else if n, ok := group.(int64); ok && n == 0 {
		p.group, p.gid = "0", 0
	}
	if len(wrong) > 0 {
		return p, errors.New(strings.Join(wrong, ""))
	}
	if mode != nil && pytext.Str(mode) != "" {
		m, err := host.ParseMode(pytext.Str(mode))
		if err != nil {
			return p, err
		}
		p.mode = &m
	}
	return p, nil
}

func (p *perms) octal() string {
	if p.mode == nil {
		return ""
	}
	return (&host.Stat{FileInfo: modeInfo{*p.mode}}).Octal()
}

// modeInfo is a mode as a file has it.
type modeInfo struct{ mode fs.FileMode }

func (m modeInfo) Name() string       { return "" }
func (m modeInfo) Size() int64        { return 0 }
func (m modeInfo) Mode() fs.FileMode  { return m.mode }
func (m modeInfo) ModTime() time.Time { return time.Time{} }
func (m modeInfo) IsDir() bool        { return false }
func (m modeInfo) Sys() any           { return nil }

// owner is what new files and directories get.
func (p *perms) owner() host.Owner { return host.Owner{UID: p.uid, GID: p.gid} }

// permDiff is what of a file's owner and permissions is not as it should be.
type permDiff struct {
	p                        *perms
	user, group, mode, attrs bool
	stat                     *host.Stat
}

func (d permDiff) any() bool { return d.user || d.group || d.mode || d.attrs }

// differs compares a file with what it should be.
func (p *perms) differs(c *states.Call, name string, follow bool) (permDiff, error) {
	d := permDiff{p: p}
	var err error
	if follow {
		d.stat, err = c.Host.Stat(name)
	} else {
		d.stat, err = c.Host.Lstat(name)
	}
	if err != nil {
		return d, err
	}
	// A user that is to be made by a state before is another one than the present owner.
	d.user = p.user != "" && (p.uid != d.stat.UID)
	d.group = p.group != "" && (p.gid != d.stat.GID)
	d.mode = p.mode != nil && d.stat.Mode()&fs.ModeSymlink == 0 && p.octal() != d.stat.Octal()
	return d, nil
}

// changes are the differences as they are shown.
func (d permDiff) changes() *wire.Map {
	m := wire.NewMap()
	if d.user {
		m.Set("user", idOrName(d.p.user))
	}
	if d.group {
		m.Set("group", idOrName(d.p.group))
	}
	if d.mode {
		m.Set("mode", d.p.octal())
	}
	return m
}

func idOrName(s string) any {
	n := int64(0)
	if _, err := fmt.Sscanf(s, "%d", &n); err == nil && fmt.Sprint(n) == s {
		return n
	}
	return s
}

// set mends a file.
func (p *perms) set(c *states.Call, name string, follow bool, d permDiff) error {
	if d.user || d.group {
		uid, gid := -1, -1
		if d.user {
			uid = p.uid
		}
		if d.group {
			gid = p.gid
		}
		if d.user && uid < 0 || d.group && gid < 0 {
			return fmt.Errorf("user %q or group %q is not available", p.user, p.group)
		}
		if err := c.Host.SetOwner(name, uid, gid, follow); err != nil {
			return module.Failf("Failed to change owner of %s: %w", name, err)
		}
	}
	if d.mode {
		if err := c.Host.SetMode(name, *p.mode); err != nil {
			return module.Failf("Failed to change mode to %s: %w", p.octal(), err)
		}
	}
	return nil
}

// told says of a new file what Salt says: the owner where it is another than the system
// gives new files there, the mode where the arguments name one that is not 0600.
func (p *perms) told(c *states.Call, name string, r *states.Result) {
	if p.user != "" && p.uid != os.Geteuid() {
		r.Change("user", idOrName(p.user))
	}
	if p.group != "" && p.gid != c.Host.NewGID(filepath.Dir(c.Host.Real(name))) {
		r.Change("group", idOrName(p.group))
	}
	if p.mode != nil && p.octal() != "0600" {
		r.Change("mode", p.octal())
	}
}

// accumulated are the texts that file.accumulated has gathered for a file, by name.
func accumulated(c *states.Call, name string) *wire.Map {
	all, _ := c.Shared.Get("file.accumulated").(*wire.Map)
	if all == nil {
		return nil
	}
	return all.Map(name)
}

// noteAccumulator notes the ids of the states that an accumulator is for.
func noteAccumulator(c *states.Call, file, name string, deps []any) {
	all, _ := c.Shared.Get("file.accumulated.for").(*wire.Map)
	if all == nil {
		all = wire.NewMap()
	}
	key := file + "\x00" + name
	ids := all.List(key)
	for _, d := range deps {
		switch d := d.(type) {
		case *wire.Map:
			for _, id := range d.All() {
				ids = append(slices.Clone(ids), id)
			}
		default:
			ids = append(slices.Clone(ids), d)
		}
	}
	all.Set(key, ids)
	c.Shared.Set("file.accumulated.for", all)
}

// accumulatedFor are the texts that were gathered for a file on behalf of this state, or,
// where none were, all that were gathered for the file.
func accumulatedFor(c *states.Call, file string) []string {
	all, _ := c.Shared.Get("file.accumulated.for").(*wire.Map)
	acc := accumulated(c, file)
	var mine, others []string
	for name, texts := range acc.Strings() {
		for _, t := range acc.List(name) {
			others = append(others, pytext.Str(t))
		}
		if l, ok := texts.([]any); ok && all != nil && slices.Contains(all.List(file+"\x00"+name), any(c.ID)) {
			for _, t := range l {
				mine = append(mine, pytext.Str(t))
			}
		}
	}
	if mine != nil {
		return mine
	}
	return others
}

// maxDiff is the size of the largest file whose difference is shown, maxText that of the
// largest one that is edited line by line.
const (
	maxDiff = 4 << 20
	maxText = 256 << 20
)

// diffContents is the difference between a file and what it will hold, as Salt shows it.
func diffContents(path string, b []byte) (string, error) {
	old, large, err := readForDiff(path)
	if err != nil {
		return "", err
	}
	if large || len(b) > maxDiff {
		return tooLarge, nil
	}
	return diffBytes(old, b), nil
}

// tooLarge stands in the place of a difference.
const tooLarge = "<the file is too large to show the difference>"

// diffFiles is the difference between two files.
func diffFiles(oldPath, newPath string) (string, error) {
	b, large, err := readForDiff(newPath)
	if err != nil {
		return "", err
	}
	if large {
		return tooLarge, nil
	}
	return diffContents(oldPath, b)
}

func readForDiff(path string) (b []byte, large bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	return readUpTo(f, maxDiff)
}

// readUpTo reads a file, and tells whether it is larger.
func readUpTo(f io.Reader, limit int) (b []byte, large bool, err error) {
	b, err = io.ReadAll(io.LimitReader(f, int64(limit)+1))
	return b, len(b) > limit, err
}

// writeString writes a text.
func writeString(text string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	}
}

func diffBytes(a, b []byte) string {
	switch oldText, newText := isText(a), isText(b); {
	case !oldText && !newText:
		return "Replace binary file"
	case !oldText:
		return "Replace binary file with text file"
	case !newText:
		return "Replace text file with binary file"
	}
	return pydiff.Unified(diffLines(a), diffLines(b), "", "", 3)
}

// diffLines are the lines of a file; what is not UTF-8 is read as Latin-1.
func diffLines(b []byte) []string {
	var lines []string
	for line := range bytes.Lines(b) {
		if utf8.Valid(line) {
			lines = append(lines, string(line))
			continue
		}
		r := make([]rune, len(line))
		for i, c := range line {
			r[i] = rune(c)
		}
		lines = append(lines, string(r))
	}
	return lines
}

// isText tells whether a file is text.
func isText(b []byte) bool { return textedit.IsText(b[:min(len(b), 512)]) }

type fileAbsentArgs struct {
	Name   string    // Path of what is to go.
	Kwargs *wire.Map `arg:"**" read:"-"` // Not looked at.
}

// fileAbsent removes a file, a link or a directory with all that is in it.
func fileAbsent(_ context.Context, c *states.Call, a fileAbsentArgs) (*states.Plan, error) {
	name := expandUser(c, a.Name)
	p := &states.Plan{Name: name, Fine: fmt.Sprintf("File %s is not present", name)}
	switch {
	case name == "":
		return nil, module.Failf("Must provide name to file.absent")
	case !filepath.IsAbs(name):
		return p, module.Failf("Specified file %s is not an absolute path", name)
	case name == "/":
		return p, module.Failf(`Refusing to make "/" absent`)
	}
	st, err := c.Host.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) || promisedGone(c, name) {
		return p, nil
	}
	if err != nil {
		return p, err
	}
	kind := "File"
	if st.IsDir() {
		kind = "Directory"
	}
	p.Would = fmt.Sprintf("%s %s is set for removal", kind, name)
	p.Did = fmt.Sprintf("Removed %s %s", strings.ToLower(kind), name)
	p.Do(wire.NewMap("removed", name), func(context.Context, *states.Result) error {
		if err := c.Host.Remove(name); err != nil {
			return module.Failf("Failed to remove %s: %w", name, err)
		}
		return nil
	})
	return p, nil
}

func init() {
	register("file.absent", fileAbsent)
	register("file.exists", fileExists)
	register("file.missing", fileMissing)
}

type filePathArgs struct {
	Name   string    // The path.
	Kwargs *wire.Map `arg:"**" read:"-"` // Not looked at.
}

// fileExists fails where nothing is under the path.
func fileExists(_ context.Context, c *states.Call, a filePathArgs) (*states.Plan, error) {
	name := expandUser(c, a.Name)
	if name == "" {
		return nil, module.Failf("Must provide name to file.exists")
	}
	p := &states.Plan{Name: name, Fine: fmt.Sprintf("Path %s exists", name)}
	if !c.Host.Exists(name) {
		if id, ok := promisedFile(c, name); ok && !lexists(c, name) {
			return p, states.Unknown(fmt.Sprintf("Path %s does not exist yet: the state %s comes before", name, id))
		}
		return p, module.Failf("Specified path %s does not exist", name)
	}
	return p, nil
}

// fileMissing fails where something is under the path.
func fileMissing(_ context.Context, c *states.Call, a filePathArgs) (*states.Plan, error) {
	name := expandUser(c, a.Name)
	if name == "" {
		return nil, module.Failf("Must provide name to file.missing")
	}
	p := &states.Plan{Name: name, Fine: fmt.Sprintf("Path %s is missing", name)}
	if c.Host.Exists(name) && !promisedGone(c, name) {
		return p, module.Failf("Specified path %s exists", name)
	}
	return p, nil
}

type fileAccumulatedArgs struct {
	Name      string    // Name of the accumulator: a key of the template's variable accumulator.
	Filename  string    // The file whose template uses it.
	Text      any       // The text, or a list of them.
	RequireIn any       `default:"None"`    // The states that use it; require_in or watch_in has to name file.managed of the file.
	WatchIn   any       `default:"None"`    // Likewise.
	Kwargs    *wire.Map `arg:"**" read:"-"` // Not looked at.
}

func init() { register("file.accumulated", fileAccumulated) }

// fileAccumulated gathers texts of several states for the template of one file.
func fileAccumulated(_ context.Context, c *states.Call, a fileAccumulatedArgs) (*states.Plan, error) {
	if a.Name == "" {
		return nil, module.Failf("Must provide name to file.accumulated")
	}
	if a.Text == nil {
		return nil, module.Failf("No text supplied for accumulator")
	}
	deps := slices.Concat(c.Low.List("require_in"), c.Low.List("watch_in"))
	if len(deps) == 0 {
		return nil, module.Failf("Orphaned accumulator %s in %s:%s", a.Name, c.SLS, c.ID)
	}
	used := false
	for _, d := range deps {
		switch d := d.(type) {
		case *wire.Map:
			used = used || d.Has("file")
		case string: // a bare id: Salt asks whether "file" is in it, as text
			used = used || strings.Contains(d, "file")
		}
	}
	if !used {
		return nil, module.Failf("Orphaned accumulator %s in %s:%s", a.Name, c.SLS, c.ID)
	}
	texts, ok := a.Text.([]any)
	if !ok {
		texts = []any{a.Text}
	}
	all, _ := c.Shared.Get("file.accumulated").(*wire.Map)
	if all == nil {
		all = wire.NewMap()
	}
	mine := all.Map(a.Filename)
	if mine == nil {
		mine = wire.NewMap()
	}
	have := mine.List(a.Name)
	comment := ""
	for _, t := range texts {
		if !slices.ContainsFunc(have, func(v any) bool { return pytext.Repr(v) == pytext.Repr(t) }) {
			have = append(slices.Clone(have), t)
			comment = fmt.Sprintf("Accumulator %s for file %s was charged by text", a.Name, a.Filename)
		}
	}
	mine.Set(a.Name, have)
	noteAccumulator(c, a.Filename, a.Name, deps)
	all.Set(a.Filename, mine)
	c.Shared.Set("file.accumulated", all)
	return &states.Plan{Fine: comment}, nil
}
