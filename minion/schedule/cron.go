package schedule

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/lazyre"
)

// Cron is a line of crontab, with the fields and signs of Python's croniter: minute,
// hour, day of month, month, day of week, and a sixth for seconds; names of months and
// days, ranges, steps, lists, "l" for the last day of the month, "l5" for the last
// Friday, "fri#2" for the second, and @daily and its like. Where both days are given
// one of them has to hold, as crontab has it.
type Cron struct {
	second, minute, hour, day, month, weekday cronField
	lastDay                                   bool
	nth                                       map[int][]int // of a weekday: which in the month; -1 the last
}

// cronField is the values that a field allows, as bits; all means that it says nothing.
type cronField struct {
	bits uint64
	all  bool
}

func (f cronField) has(n int) bool { return f.all || f.bits&(1<<n) != 0 }

var cronAliases = map[string]string{
	"@midnight": "0 0 * * *", "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@weekly": "0 0 * * 0",
	"@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
}

// cronFields are what the fields hold, in their order.
var cronFields = []struct {
	name   string
	lo, hi int
	names  []string
	first  int // the value of names[0]
}{
	{name: "minute", hi: 59}, {name: "hour", hi: 23}, {name: "day of month", lo: 1, hi: 31},
	{name: "month", lo: 1, hi: 12, first: 1, names: []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
	{name: "day of week", hi: 7, names: []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
	{name: "second", hi: 59},
}

// ParseCron reads a line of crontab.
func ParseCron(text string) (*Cron, error) {
	line := strings.ToLower(text)
	if alias, ok := cronAliases[line]; ok {
		line = alias
	}
	fields := strings.Fields(line)
	if len(fields) != 5 && len(fields) != 6 {
		return nil, fmt.Errorf("cron %q has %d fields: 5 are expected (minute, hour, day of month, month, day of week), or 6 with seconds", text, len(fields))
	}
	c := &Cron{nth: map[int][]int{}}
	if len(fields) == 5 {
		c.second.bits = 1
	}
	into := []*cronField{&c.minute, &c.hour, &c.day, &c.month, &c.weekday, &c.second}
	plain := false
	for i, field := range fields {
		for item := range strings.SplitSeq(field, ",") {
			item, nth, err := weekdayNth(i, item)
			if err == nil {
				err = c.item(into[i], i, item, nth, len(fields) == 6)
			}
			if err != nil {
				return nil, fmt.Errorf("cron %q: %s %q: %w", text, cronFields[i].name, field, err)
			}
			plain = plain || i == 4 && nth == 0
		}
		if all := uint64(1)<<(cronFields[i].hi+1) - uint64(1)<<cronFields[i].lo; i != 4 && into[i].bits == all || i == 4 && into[i].bits == 1<<7-1 {
			into[i].all = true
		}
	}
	if len(c.nth) > 0 && plain && !c.weekday.all {
		return nil, fmt.Errorf("cron %q: days of week with and without # or l cannot be combined", text)
	}
	return c, nil
}

var weekdayForm = lazyre.New(`^(\w+(?:-\w+)?)#(\d+)$|^l(\d+)$`)

// weekdayNth takes "fri#2" and "l5" apart: the day, and which in the month.
func weekdayNth(field int, item string) (day string, nth int, err error) {
	if field != 4 {
		return item, 0, nil
	}
	m := weekdayForm.FindStringSubmatch(item)
	switch {
	case m == nil:
		return item, 0, nil
	case m[3] != "":
		return m[3], -1, nil
	}
	if nth, err = strconv.Atoi(m[2]); err != nil || nth < 1 || nth > 5 {
		return "", 0, fmt.Errorf("1 to 5 expected after #")
	}
	return m[1], nth, nil
}

var (
	rangeForm = lazyre.New(`^([^-]+)-([^-/]+)(?:/(\d+))?$`)
	stepForm  = lazyre.New(`^([^-/]+)/(\d+)$`)
)

// item adds one member of a list to a field.
func (c *Cron) item(f *cronField, i int, item string, nth int, six bool) error {
	spec := cronFields[i]
	add := func(n int) {
		if i == 4 {
			n %= 7
			if nth != 0 {
				c.nth[n] = append(c.nth[n], nth)
			}
		}
		f.bits |= 1 << n
	}
	switch {
	case item == "*" || item == "?" && (i == 2 || i == 4):
		f.all = true
		return nil
	case item == "l" && i == 2:
		c.lastDay = true
		return nil
	}
	step := 1
	m := rangeForm.FindStringSubmatch(item)
	if m == nil {
		if s := stepForm.FindStringSubmatch(item); s != nil {
			if m = []string{"", s[1], strconv.Itoa(spec.hi), s[2]}; s[1] == "*" {
				m[1] = strconv.Itoa(spec.lo)
			}
		}
	}
	if m == nil {
		n, err := cronNumber(i, item)
		if err != nil {
			return err
		}
		if n == 0 && i == 2 && six {
			n = 1
		}
		if n < spec.lo || n > spec.hi {
			return fmt.Errorf("%d to %d expected", spec.lo, spec.hi)
		}
		add(n)
		return nil
	}
	lo, err := cronNumber(i, m[1])
	if err != nil {
		return err
	}
	if i == 2 && m[2] == "l" {
		m[2] = "31"
	}
	hi, err := cronNumber(i, m[2])
	if err != nil {
		return err
	}
	if m[3] != "" {
		if step, err = strconv.Atoi(m[3]); err != nil || step < 1 {
			return fmt.Errorf("a step of 1 or more expected")
		}
	}
	if i == 4 && hi == 0 && lo > 0 {
		hi = 7
	}
	if lo < spec.lo || hi < spec.lo || max(lo, hi) > spec.hi {
		return fmt.Errorf("%d to %d expected", spec.lo, spec.hi)
	}
	if lo > hi { // over the end: 22-4
		top := spec.hi
		if i == 4 {
			top = 6
		}
		n := lo
		for ; n <= top; n += step {
			add(n)
		}
		for n += spec.lo - top - 1; n <= hi; n += step {
			add(n)
		}
		return nil
	}
	for n := lo; n <= hi; n += step {
		add(n)
	}
	return nil
}

func cronNumber(i int, s string) (int, error) {
	if n := slices.Index(cronFields[i].names, s); n >= 0 {
		return n + cronFields[i].first, nil
	}
	if s == "" || strings.Trim(s, "0123456789") != "" || len(s) > 4 {
		return 0, fmt.Errorf("%q is neither a number nor a name", s)
	}
	return strconv.Atoi(s)
}

// cronYears is how far Next looks.
const cronYears = 50

// Next is the first time after now, in now's location. It is an error where there is
// none within fifty years, as on 30 February.
func (c *Cron) Next(now time.Time) (time.Time, error) {
	// What counts is what a clock on the wall shows.
	wall := time.Date(now.Year(), now.Month(), now.Day(), now.Hour(), now.Minute(), now.Second(), 0, time.UTC)
	for {
		w, err := c.nextWall(wall)
		if err != nil {
			return time.Time{}, err
		}
		t := time.Date(w.Year(), w.Month(), w.Day(), w.Hour(), w.Minute(), w.Second(), 0, now.Location())
		if e := t.Add(-time.Hour); e.Hour() == t.Hour() && e.After(now) {
			t = e // of an hour that comes twice, the first
		}
		if t.After(now) {
			return t, nil
		}
		wall = w // clocks were set back
	}
}

func (c *Cron) nextWall(w time.Time) (time.Time, error) {
	last := w.Year() + cronYears
	if c.second.bits == 1 && !c.second.all {
		w = w.Truncate(time.Minute).Add(time.Minute)
	} else {
		w = w.Add(time.Second)
	}
	for w.Year() <= last {
		y, m, d := w.Date()
		switch {
		case !c.month.has(int(m)):
			w = time.Date(y, m+1, 1, 0, 0, 0, 0, time.UTC)
		case !c.dayMatches(w):
			w = time.Date(y, m, d+1, 0, 0, 0, 0, time.UTC)
		case !c.hour.has(w.Hour()):
			w = w.Truncate(time.Hour).Add(time.Hour)
		case !c.minute.has(w.Minute()):
			w = w.Truncate(time.Minute).Add(time.Minute)
		case !c.second.has(w.Second()):
			w = w.Add(time.Second)
		default:
			return w, nil
		}
	}
	return time.Time{}, fmt.Errorf("no time within %d years fits", cronYears)
}

// dayMatches holds the day against both kinds of days.
func (c *Cron) dayMatches(w time.Time) bool {
	end := time.Date(w.Year(), w.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day()
	week := c.weekday.has(int(w.Weekday()))
	if len(c.nth) > 0 {
		week = slices.ContainsFunc(c.nth[int(w.Weekday())], func(n int) bool {
			return n == -1 && w.Day()+7 > end || n == (w.Day()-1)/7+1
		})
	}
	anyDay := c.day.all
	day := c.day.has(w.Day()) || c.lastDay && w.Day() == end
	switch {
	case anyDay:
		return week
	case len(c.nth) > 0 && !c.weekday.all:
		return week // croniter leaves the day of the month out then
	case c.weekday.all:
		return day
	}
	return day || week
}
