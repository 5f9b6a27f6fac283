package modules

import (
	"context"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pydate"
	"github.com/gosalt/gosalt/internal/pyre"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("file.tidied", fileTidied)
	register("file.pruned", filePruned)
	register("file.retention_schedule", fileRetentionSchedule)
}

type fileTidiedArgs struct {
	Name                   string    // Path of the directory.
	Age                    int       `default:"0"`       // Days: what is as old, or older, goes.
	Matches                any       `default:"None"`    // Expressions of Python, a list; what one of them matches from its beginning goes. All by default.
	Rmdirs                 bool      `default:"False"`   // Directories too.
	Size                   any       `default:"0"`       // Bytes, or a text such as 10MB: what is as large, or larger, goes.
	Exclude                any       `default:"None"`    // Expressions, a list; what one of them matches stays.
	FullPathMatch          bool      `default:"False"`   // The expressions are of whole paths.
	Followlinks            bool      `default:"False"`   // Go into directories that links point to.
	TimeComparison         any       `default:"atime"`   // Which time the age is of: atime, mtime or ctime.
	AgeSizeLogicalOperator string    `default:"OR"`      // Whether age OR size decide, or both: AND.
	AgeSizeOnly            any       `default:"None"`    // Only one of them decides: age or size.
	Rmlinks                bool      `default:"True"`    // Symbolic links too.
	Kwargs                 *wire.Map `arg:"**" read:"-"` // Not looked at.
}

// tidying is one call of file.tidied.
type tidying struct {
	a                *fileTidiedArgs
	size             int64
	time, only       string
	and              bool
	matches, exclude []*pyre.Regexp
	today            time.Time
	found            []any
}

// fileTidied removes what is old or large from below a directory.
func fileTidied(ctx context.Context, c *states.Call, a fileTidiedArgs) (*states.Plan, error) {
	name := expandUser(c, a.Name)
	p := &states.Plan{Name: name, Fine: "Nothing to remove from directory " + name}
	switch {
	case !filepath.IsAbs(name):
		return p, module.Failf("Specified file %s is not an absolute path", name)
	case !c.Host.IsDir(name):
		return p, module.Failf("%s does not exist or is not a directory.", name)
	}
	t := &tidying{a: &a, and: strings.EqualFold(a.AgeSizeLogicalOperator, "AND"), today: day(timeNow())}
	if t.time = strings.ToLower(pytext.Str(a.TimeComparison)); t.time != "ctime" && t.time != "mtime" {
		t.time = "atime"
	}
	if t.only = strings.ToLower(pytext.Str(a.AgeSizeOnly)); t.only != "age" && t.only != "size" {
		t.only = ""
	}
	if s, ok := a.Size.(string); ok {
		t.size = bytesOf(s)
	} else {
		t.size = int64(pytext.Number(a.Size))
	}
	var err error
	if t.matches, err = expressions(a.Matches, []any{".*"}); err == nil {
		t.exclude, err = expressions(a.Exclude, nil)
	}
	if err == nil {
		err = t.walk(c, name)
	}
	if err != nil || len(t.found) == 0 {
		return p, err
	}
	p.Would, p.Did = name+" is set for tidy", fmt.Sprintf("Removed %d files or directories from directory %s", len(t.found), name)
	p.Do(wire.NewMap("removed", t.found), func(ctx context.Context, r *states.Result) error {
		removed := []any{}
		for _, path := range t.found {
			r.Change("removed", removed)
			if _, err := c.Call.Call(ctx, "file.remove", args(path), nil); err != nil {
				return err
			}
			removed = append(removed, path)
		}
		r.Change("removed", removed)
		return nil
	})
	return p, nil
}

// day is the beginning of a day.
func day(t time.Time) time.Time {
	y, m, d := t.Local().Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

func expressions(v any, none []any) ([]*pyre.Regexp, error) {
	list := listOf(v)
	if v == nil {
		list = none
	}
	var out []*pyre.Regexp
	for _, e := range list {
		re, err := pyre.Compile(pytext.Str(e), "")
		if err != nil {
			return nil, fmt.Errorf("expression %q: %w", pytext.Str(e), err)
		}
		out = append(out, re)
	}
	return out, nil
}

// walk looks at all below a directory: at what is in its directories first.
func (t *tidying) walk(c *states.Call, dir string) error {
	f, err := os.Open(c.Host.Path(dir))
	if err != nil {
		return nil // as os.walk of Python: what cannot be read is passed over
	}
	entries, _ := f.ReadDir(-1) // in the order of the directory, as Salt
	f.Close()
	var files, dirs []string
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		link := e.Type()&fs.ModeSymlink != 0
		if !e.IsDir() && (!link || !c.Host.IsDir(path)) {
			files = append(files, path)
			continue
		}
		dirs = append(dirs, path)
		if !link || t.a.Followlinks {
			if err := t.walk(c, path); err != nil {
				return err
			}
		}
	}
	for _, path := range slices.Concat(files, dirs) {
		gone, err := t.goes(c, path)
		if err != nil {
			return err
		}
		if gone {
			t.found = append(t.found, path)
		}
	}
	return nil
}

// goes tells whether a file is to be removed.
func (t *tidying) goes(c *states.Call, path string) (bool, error) {
	st, err := c.Host.Lstat(path)
	if err != nil || promisedGone(c, path) {
		return false, nil
	}
	goes, size := true, int64(0)
	switch {
	case st.Mode()&fs.ModeSymlink != 0:
		goes = t.a.Rmlinks
	case st.IsDir():
		goes = t.a.Rmdirs
	default:
		size = st.Size()
	}
	age := int(math.Abs(t.today.Sub(day(fileTime(st.FileInfo, t.time))).Hours()) / 24)
	old, large := age >= t.a.Age, size >= t.size
	switch {
	case t.only == "age":
		goes = goes && old
	case t.only == "size":
		goes = goes && large
	case t.and:
		goes = goes && old && large
	default:
		goes = goes && (old || large)
	}
	if !goes {
		return false, nil
	}
	name := filepath.Base(path)
	if t.a.FullPathMatch {
		name = path
	}
	in, err := matchesAny(t.matches, name)
	if err != nil || !in {
		return false, err
	}
	out, err := matchesAny(t.exclude, name)
	return !out, err
}

func matchesAny(l []*pyre.Regexp, s string) (bool, error) {
	for _, re := range l {
		m, err := re.Match(s)
		if err != nil || m != nil {
			return err == nil, err
		}
	}
	return false, nil
}

var sizeText = lazyre.New(`(?s)^([0-9.]*)\s*(.*)$`)

// bytesOf reads a size: "10MB" is in powers of 1000, "10M" and "10MiB" of 1024; 0 for
// what is none.
func bytesOf(s string) int64 {
	m := sizeText.FindStringSubmatch(strings.TrimSpace(s))
	value, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		return 0
	}
	unit := strings.ToLower(m[2])
	if unit == "" {
		unit = "b"
	}
	base := 1024.0
	switch power := strings.IndexByte("bkmgtpezy", unit[0]); {
	case power < 0 || unit[0] == 'b' && len(unit) > 1:
		return 0
	case len(unit) == 2 && unit[1] == 'b':
		base = 1000
		fallthrough
	case len(unit) == 1 || unit[1:] == "ib":
		return int64(value * math.Pow(base, float64(power)))
	}
	return 0
}

type filePrunedArgs struct {
	Name         string // Path of the directory.
	Recurse      bool   `default:"False"` // Empty directories within it too.
	IgnoreErrors bool   `default:"False"` // What cannot be removed is no failure, where something was.
	OlderThan    any    `default:"None"`  // Days: only directories that have not been changed for longer.
}

// filePruned removes a directory that is empty, or the empty directories below it.
func filePruned(_ context.Context, c *states.Call, a filePrunedArgs) (*states.Plan, error) {
	name := expandUser(c, a.Name)
	p := &states.Plan{Name: name, Fine: fmt.Sprintf("Directory %s is not present", name), Would: fmt.Sprintf("Directory %s is set for removal", name)}
	if !c.Host.IsDir(name) {
		return p, nil
	}
	recurse := a.Recurse || a.IgnoreErrors
	p.Do(wire.NewMap("deleted", name), func(ctx context.Context, r *states.Result) error {
		r.SetChanges(nil)
		v, err := c.Call.Call(ctx, "file.rmdir", args(name), wire.NewMap("recurse", recurse, "verbose", true, "older_than", a.OlderThan))
		if err != nil {
			return err
		}
		res, ok := v.(*wire.Map)
		if !ok {
			return fmt.Errorf("file.rmdir answered %s", pytext.Repr(v))
		}
		deleted := slices.Clone(res.List("deleted"))
		slices.SortFunc(deleted, func(a, b any) int { return strings.Compare(pytext.Str(a), pytext.Str(b)) })
		switch done := module.Truth(get(res, "result")); {
		case done && !recurse:
			r.Comment = fmt.Sprintf("Removed directory %s", name)
			r.Change("deleted", name)
		case (done || a.IgnoreErrors) && len(deleted) > 0:
			r.Comment = fmt.Sprintf("Recursively removed empty directories under %s", name)
			r.Change("deleted", deleted)
		case done:
			r.Comment = ""
		default:
			res = res.Clone()
			res.Delete("result")
			r.SetChanges(res)
			return module.Failf("Failed to remove directory %s", name)
		}
		return nil
	})
	return p, nil
}

type fileRetentionScheduleArgs struct {
	Name           string    // Path of the directory with the backups.
	Retain         *wire.Map // How many are kept, by kind: most_recent, first_of_hour, first_of_day, first_of_week, first_of_month, first_of_year; all for no limit.
	StrptimeFormat string    `default:"None"` // The time in the names of the files, with the signs of strptime; the time of their last change where it is None.
	Timezone       any       `default:"None"` // Without effect: times are those of the machine.
}

// backupFile is a file with its time.
type backupFile struct {
	name  string
	at    time.Time
	epoch float64
}

// fileRetentionSchedule removes all backups of a directory but those that a schedule keeps.
func fileRetentionSchedule(ctx context.Context, c *states.Call, a fileRetentionScheduleArgs) (*states.Plan, error) {
	name := expandUser(c, a.Name)
	p := &states.Plan{Name: name}
	switch {
	case name == "":
		return nil, module.Failf("Must provide name to file.retention_schedule")
	case !c.Host.IsDir(name):
		return p, module.Failf("Name provided to file.retention must be a directory")
	}
	entries, err := os.ReadDir(c.Host.Path(name))
	if err != nil {
		return p, err
	}
	names := []string{".", ".."}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	var files []backupFile
	var ignored []string
	for _, n := range names {
		f := backupFile{name: n}
		if a.StrptimeFormat != "" {
			f.at, err = pydate.Strptime(n, a.StrptimeFormat, time.UTC)
		} else if n == "." || n == ".." {
			err = fs.ErrInvalid
		} else {
			var st fs.FileInfo
			if st, err = os.Lstat(c.Host.Path(filepath.Join(name, n))); err == nil {
				f.at = st.ModTime().Local()
			}
		}
		if err != nil {
			ignored = append(ignored, n)
			continue
		}
		f.epoch = float64(f.at.UnixMicro())
		files = append(files, f)
	}
	retained, err := retain(files, a.Retain)
	if err != nil {
		return p, err
	}
	var deleted []string
	for _, f := range newestNames(files) {
		if !slices.Contains(retained, f) {
			deleted = append(deleted, f)
		}
	}
	p.Fine = fmt.Sprintf("0 backups were removed from %s.\n", name)
	if c.Test {
		p.Fine = fmt.Sprintf("0 backups would have been removed from %s.\n", name)
	}
	if len(deleted) == 0 {
		return p, nil
	}
	p.Would = fmt.Sprintf("%d backups would have been removed from %s.\n", len(deleted), name)
	p.Did = fmt.Sprintf("%d backups were removed from %s.\n", len(deleted), name)
	p.Do(wire.NewMap("retained", backwards(retained), "deleted", backwards(deleted), "ignored", backwards(ignored)), func(ctx context.Context, r *states.Result) error {
		for _, n := range deleted {
			if _, err := c.Call.Call(ctx, "file.remove", args(filepath.Join(name, n)), nil); err != nil {
				return err
			}
		}
		return nil
	})
	return p, nil
}

// newestNames are the names of files; of those with the very same time the last counts.
func newestNames(files []backupFile) []string {
	var out []string
	for _, f := range files {
		out = append(out, f.name)
	}
	return out
}

func backwards(l []string) []any {
	l = slices.Clone(l)
	slices.Sort(l)
	slices.Reverse(l)
	out := []any{}
	for _, s := range l {
		out = append(out, s)
	}
	return out
}

// retain picks the files that a schedule keeps: the first of each of the last n periods.
func retain(files []backupFile, rules *wire.Map) ([]string, error) {
	byDate := []func(backupFile) float64{
		func(f backupFile) float64 { return float64(f.at.Year()) }, func(f backupFile) float64 { return float64(f.at.Month()) },
		func(f backupFile) float64 { return float64(f.at.Day()) }, func(f backupFile) float64 { return float64(f.at.Hour()) },
		func(f backupFile) float64 { return f.epoch },
	}
	byWeek := []func(backupFile) float64{
		byDate[0], func(f backupFile) float64 { _, w := f.at.ISOWeek(); return float64(w) },
		func(f backupFile) float64 { return float64((f.at.Weekday() + 6) % 7) }, byDate[4],
	}
	depths := map[string]int{"first_of_year": 1, "first_of_month": 2, "first_of_day": 3, "first_of_hour": 4, "most_recent": 5}
	var out []string
	for rule, v := range rules.Strings() {
		n := math.MaxInt
		if v != "all" {
			var err error
			if n, err = strconv.Atoi(pytext.Str(v)); err != nil {
				return nil, fmt.Errorf("retain: %s: a number or all is expected, not %s", rule, pytext.Repr(v))
			}
		}
		var kept []string
		depth, known := depths[rule]
		switch {
		case rule == "first_of_week":
			if n < math.MaxInt {
				n++ // as in Salt
			}
			kept = firstOf(files, byWeek, 2, n)
		case known:
			kept = firstOf(files, byDate, depth, n)
		default:
			return nil, fmt.Errorf("retain: %q is not known: most_recent, first_of_hour, first_of_day, first_of_week, first_of_month or first_of_year is expected", rule)
		}
		for _, k := range kept {
			if !slices.Contains(out, k) {
				out = append(out, k)
			}
		}
	}
	return out, nil
}

// firstOf groups files by the first depth keys, and takes the earliest of the n last groups.
func firstOf(files []backupFile, keys []func(backupFile) float64, depth, n int) []string {
	if n < 1 && depth > 0 {
		return nil
	}
	groups := map[float64][]backupFile{}
	var order []float64
	if len(keys) == 0 { // of those with the same time the last counts
		return []string{files[len(files)-1].name}
	}
	for _, f := range files {
		k := keys[0](f)
		if _, ok := groups[k]; !ok {
			order = append(order, k)
		}
		groups[k] = append(groups[k], f)
	}
	if len(order) == 0 {
		return nil
	}
	slices.Sort(order)
	if depth <= 0 {
		return firstOf(groups[order[0]], keys[1:], 0, 1)
	}
	var out []string
	for _, k := range slices.Backward(order) {
		if len(out) >= n {
			break
		}
		out = append(out, firstOf(groups[k], keys[1:], depth-1, n-len(out))...)
	}
	return out
}
