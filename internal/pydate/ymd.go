package pydate

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// ymd are the numbers of a date in the order in which they were written, and which
// of them is known to be what.
type ymd struct {
	v       []int
	y, m, d int // places in v; -1: not known
	century bool
}

// addText adds a number as it was written: one of more than two digits is a year.
func (d *ymd) addText(t string) error {
	n, err := strconv.Atoi(t)
	if err != nil || t[0] == '+' || t[0] == '-' {
		return errForm
	}
	if len(t) > 2 {
		d.century = true
		return d.addLabel(n, 'y')
	}
	return d.addLabel(n, 0)
}

// addNumber adds a number by value: one above 100 is a year.
func (d *ymd) addNumber(n int) error {
	if n > 100 {
		d.century = true
		return d.addLabel(n, 'y')
	}
	return d.addLabel(n, 0)
}

func (d *ymd) addLabel(n int, label byte) error {
	d.v = append(d.v, n)
	var at *int
	switch label {
	case 'y':
		at = &d.y
	case 'm':
		at = &d.m
	default:
		return nil
	}
	if *at >= 0 {
		return errForm // given twice
	}
	*at = len(d.v) - 1
	return nil
}

func daysOf(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

func (d *ymd) couldBeDay(n int, fraction bool) bool {
	most := 31
	switch {
	case d.m < 0:
	case d.y < 0:
		most = daysOf(2000, d.v[d.m])
	default:
		most = daysOf(d.v[d.y], d.v[d.m])
	}
	return n >= 1 && (n < most || n == most && !fraction)
}

// resolve says which number is the year, the month, the day.
func (p *parser) resolve() error {
	v := p.ymd.v
	at := [3]int{p.ymd.y, p.ymd.m, p.ymd.d}
	known := 0
	for _, i := range at {
		if i >= 0 {
			known++
		}
	}
	if known > 0 && len(v) == known || len(v) == 3 && known == 2 {
		if len(v) == 3 && known == 2 {
			rest := 3 - max(at[0], 0) - max(at[1], 0) - max(at[2], 0)
			at[slices.Index(at[:], -1)] = rest
		}
		for i, f := range []*int{&p.year, &p.month, &p.day} {
			if at[i] >= 0 {
				*f = v[at[i]]
			}
		}
		return nil
	}
	set := func(y, m, d int) { p.year, p.month, p.day = y, m, d }
	m := p.ymd.m
	switch {
	case len(v) > 3:
		return errForm
	case len(v) == 1 || m >= 0 && len(v) == 2:
		other := v[0]
		if m >= 0 {
			p.month = v[m]
			other = v[(m+len(v)-1)%len(v)]
		}
		if len(v) > 1 || m < 0 {
			if other > 31 {
				p.year = other
			} else {
				p.day = other
			}
		}
	case len(v) == 2:
		switch {
		case v[0] > 31:
			p.year, p.month = v[0], v[1]
		case v[1] > 31:
			p.month, p.year = v[0], v[1]
		default:
			p.month, p.day = v[0], v[1]
		}
	case len(v) == 3:
		switch {
		case m == 0 && v[1] > 31:
			set(v[1], v[0], v[2])
		case m == 0:
			set(v[2], v[0], v[1])
		case m == 1 && v[0] > 31:
			set(v[0], v[1], v[2])
		case m == 1:
			set(v[2], v[1], v[0])
		case m == 2 && v[1] > 31:
			set(v[1], v[2], v[0])
		case m == 2:
			set(v[0], v[2], v[1])
		case v[0] > 31 || p.ymd.y == 0:
			set(v[0], v[1], v[2])
		case v[0] > 12:
			set(v[2], v[1], v[0])
		default:
			set(v[2], v[0], v[1])
		}
	}
	return nil
}

// build makes the time, with the parts of now where the text gives none.
func (p *parser) build() (time.Time, error) {
	pick := func(v, def int) int {
		if v == none {
			return def
		}
		return v
	}
	year, month := pick(p.year, p.now.Year()), pick(p.month, int(p.now.Month()))
	hour, minute, second, micro := pick(p.hour, 0), pick(p.minute, 0), pick(p.second, 0), pick(p.micro, 0)
	for _, c := range []struct {
		name      string
		v, lo, hi int
	}{{"year", year, 1, 9999}, {"month", month, 1, 12}, {"hour", hour, 0, 23}, {"minute", minute, 0, 59}, {"second", second, 0, 59}} {
		if c.v < c.lo || c.v > c.hi {
			return time.Time{}, fmt.Errorf("%s must be in %d..%d", c.name, c.lo, c.hi)
		}
	}
	day := pick(p.day, min(p.now.Day(), daysOf(year, month)))
	if day < 1 || day > daysOf(year, month) {
		return time.Time{}, fmt.Errorf("day is out of range for month")
	}
	if p.weekday != none && (p.day == none || p.day == 0) {
		have := (int(time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).Weekday()) + 6) % 7
		day += (p.weekday - have + 7) % 7
	}
	loc, to := p.now.Location(), p.now.Location()
	if p.offset != none {
		name, _ := time.Date(year, time.Month(month), day, hour, minute, second, 0, loc).Zone()
		if p.zone == "" || p.zone != name {
			loc = time.FixedZone(p.zone, p.offset)
		}
	}
	return time.Date(year, time.Month(month), day, hour, minute, second, micro*1000, loc).In(to), nil
}
