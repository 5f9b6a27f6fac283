package runners

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// timeForms are the parts of a time that are found by their form; what is left is
// the date.
var timeForms = sync.OnceValue(func() (f struct{ jid, compact, zone, clock, hour *regexp.Regexp }) {
	// A job id is the time of its making.
	f.jid = regexp.MustCompile(`^(\d{14})(\d{6})$`)
	// 20261122, 20261122T0637, 20261122063756
	f.compact = regexp.MustCompile(`^(\d{8})(?:[T ]?(\d{2})(\d{2})(\d{2})?(?:\.(\d{1,9}))?)?(Z|[+-]\d{2}:?\d{2})?$`)
	// An offset follows a time of day, so that 2026-11-22 has none.
	f.zone = regexp.MustCompile(`(?i)(:\d{2}(?:[.,]\d+)?(?:\s*[ap]m)?)\s*(?:\b(?:utc|gmt|z)|z)?([+-])(\d{2}):?(\d{2})?$`)
	f.clock = regexp.MustCompile(`(?i)(?:^|[\st,])(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?(?:\s*([ap])\.?m\.?)?(?:\s*(?:utc|gmt|z))?(?:$|[\s,])`)
	f.hour = regexp.MustCompile(`(?i)(?:^|[\s,])(\d{1,2})\s*([ap])\.?m\b\.?`)
	return f
})

// parseTime reads a time in the forms that people use and Python's dateutil takes:
//
//	2026, Nov 22 06:37:56.703290   as jobs.list_jobs shows it
//	2026-11-22, 2026-11-22T06:37Z, 2026-11-22 06:37:56+01:00, 20261122T0637
//	22 Nov 2026, Nov 22nd 6:37pm, Sunday November 22, 2026
//	11/22/2026, 22.11.2026         month first where it can be
//	06:37                          today
//	20261122063756703290           a job id
//
// Job ids are in UTC, and so is a time without an offset. What is not given is
// that of now for year, month and day, and 0 for the time of day.
func parseTime(s string, now time.Time) (time.Time, error) {
	f := timeForms()
	now = now.UTC()
	rest := strings.TrimSpace(s)
	if m := f.jid.FindStringSubmatch(rest); m != nil {
		if t, err := time.Parse("20060102150405.000000", m[1]+"."+m[2]); err == nil {
			return t, nil
		}
	}
	if m := f.compact.FindStringSubmatch(rest); m != nil {
		d := m[1]
		return clockTime{hour: m[2], minute: m[3], second: m[4], fraction: m[5]}.on(s, d[:4], d[4:6], d[6:], offset(m[6]))
	}
	var shift time.Duration
	if m := f.zone.FindStringSubmatchIndex(rest); m != nil {
		shift = offset(rest[m[4]:])
		rest = rest[:m[3]]
	}
	var c clockTime
	if m := f.clock.FindStringSubmatchIndex(rest); m != nil {
		part := func(i int) string {
			if m[2*i] < 0 {
				return ""
			}
			return rest[m[2*i]:m[2*i+1]]
		}
		c = clockTime{part(1), part(2), part(3), part(4), part(5)}
		rest = rest[:m[0]] + " " + rest[m[1]:]
	} else if m := f.hour.FindStringSubmatchIndex(rest); m != nil {
		c = clockTime{hour: rest[m[2]:m[3]], half: rest[m[4]:m[5]]}
		rest = rest[:m[0]] + " " + rest[m[1]:]
	}
	d, err := readDate(rest)
	if err != nil || d.empty() && c.hour == "" {
		return time.Time{}, unknownTime(s)
	}
	if d.year == "" {
		d.year = strconv.Itoa(now.Year())
	}
	if d.month == "" {
		d.month = strconv.Itoa(int(now.Month()))
	}
	if d.day == "" {
		d.day = strconv.Itoa(now.Day())
		if d.named { // "Nov 2026" in a month that has no 31st
			d.day = strconv.Itoa(min(now.Day(), daysIn(d.year, d.month)))
		}
	}
	return c.on(s, d.fullYear(now), d.month, d.day, shift)
}

func unknownTime(s string) error {
	return fmt.Errorf("unknown form of time %q: expected one as \"2026-11-22 06:37\" or \"2026, Nov 22 06:37\"", s)
}

// offset reads "+01:00", "-0500", "+01"; "" and "Z" are none.
func offset(s string) time.Duration {
	if s == "" || s == "Z" {
		return 0
	}
	digits := strings.ReplaceAll(s[1:], ":", "")
	h, _ := strconv.Atoi(digits[:2])
	m := 0
	if len(digits) >= 4 {
		m, _ = strconv.Atoi(digits[2:4])
	}
	d := time.Duration(h)*time.Hour + time.Duration(m)*time.Minute
	if s[0] == '-' {
		return -d
	}
	return d
}

// clockTime is a time of day as it was written; "" is what was not.
type clockTime struct{ hour, minute, second, fraction, half string }

// on is the time on a date, in UTC. What is no date or time is refused, not
// carried over into the next month.
func (c clockTime) on(whole, year, month, day string, shift time.Duration) (time.Time, error) {
	n := map[*string]int{}
	for _, p := range []*string{&year, &month, &day, &c.hour, &c.minute, &c.second} {
		if *p == "" {
			continue
		}
		v, err := strconv.Atoi(*p)
		if err != nil {
			return time.Time{}, unknownTime(whole)
		}
		n[p] = v
	}
	h := n[&c.hour]
	if c.half != "" {
		if h < 1 || h > 12 {
			return time.Time{}, unknownTime(whole)
		}
		h %= 12
		if strings.EqualFold(c.half, "p") {
			h += 12
		}
	}
	nanos, _ := strconv.Atoi((c.fraction + "000000000")[:9])
	t := time.Date(n[&year], time.Month(n[&month]), n[&day], h, n[&c.minute], n[&c.second], nanos, time.UTC)
	if t.Year() != n[&year] || int(t.Month()) != n[&month] || t.Day() != n[&day] || t.Hour() != h || t.Minute() != n[&c.minute] || t.Second() != n[&c.second] {
		return time.Time{}, unknownTime(whole)
	}
	return t.Add(-shift), nil
}

// writtenDate is a date as it was written; "" is what was not.
type writtenDate struct {
	year, month, day string
	named            bool // the month by its name
}

func (d writtenDate) empty() bool { return d.year == "" && d.month == "" && d.day == "" }

// fullYear makes two digits the year nearest to now, at most 50 years ahead.
func (d writtenDate) fullYear(now time.Time) string {
	if len(d.year) > 2 {
		return d.year
	}
	n, err := strconv.Atoi(d.year)
	if err != nil {
		return d.year
	}
	n += now.Year() / 100 * 100
	if n >= now.Year()+50 {
		n -= 100
	} else if n < now.Year()-50 {
		n += 100
	}
	return strconv.Itoa(n)
}

// readDate sorts the words and numbers of a date.
func readDate(s string) (d writtenDate, err error) {
	var numbers []string
	for _, word := range strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(" \t,;/.-", r) }) {
		low := strings.ToLower(word)
		if m := monthOf(low); m > 0 && d.month == "" {
			d.month, d.named = strconv.Itoa(m), true
			continue
		}
		if filler(low) {
			continue
		}
		for _, ordinal := range []string{"st", "nd", "rd", "th"} {
			low = strings.TrimSuffix(low, ordinal)
		}
		if _, err := strconv.ParseUint(low, 10, 32); err != nil || len(low) > 4 || len(low) == 3 {
			return d, unknownTime(s)
		}
		if len(low) == 4 && d.year == "" {
			d.year = low
			if len(numbers) == 0 && !d.named {
				numbers = append(numbers, "") // what follows is month, then day
			}
			continue
		}
		numbers = append(numbers, low)
	}
	yearFirst := len(numbers) > 0 && numbers[0] == ""
	if yearFirst {
		numbers = numbers[1:]
	}
	return d, d.place(numbers, yearFirst, s)
}

// place decides what the numbers are that could be more than one thing.
func (d *writtenDate) place(n []string, yearFirst bool, s string) error {
	over12 := func(v string) bool { i, _ := strconv.Atoi(v); return i > 12 }
	over31 := func(v string) bool { i, _ := strconv.Atoi(v); return i > 31 }
	if d.year == "" && (d.named && len(n) == 2 || len(n) == 3) {
		last := len(n) - 1
		if over31(n[0]) { // 99-1-31
			d.year, n, yearFirst = n[0], n[1:], true
		} else {
			d.year, n = n[last], n[:last]
		}
	}
	switch {
	case len(n) == 0:
	case len(n) == 1 && (d.named || d.year == ""):
		if over31(n[0]) && d.year == "" { // Nov 99
			d.year = n[0]
		} else {
			d.day = n[0]
		}
	case len(n) == 1:
		d.month = n[0]
	case len(n) == 2 && !d.named && over12(n[0]) && !yearFirst:
		d.day, d.month = n[0], n[1]
	case len(n) == 2 && !d.named:
		d.month, d.day = n[0], n[1]
	default:
		return unknownTime(s)
	}
	return nil
}

// monthOf is the number of a month's name, short or in full; 0 for other words.
func monthOf(word string) int {
	for m := time.January; m <= time.December; m++ {
		full := strings.ToLower(m.String())
		if word == full || word == full[:3] || word == "sept" && m == time.September {
			return int(m)
		}
	}
	return 0
}

// filler tells whether a word of a date says nothing that the rest does not.
func filler(word string) bool {
	switch word {
	case "at", "on", "and", "of", "t", "ad", "m", "utc", "gmt", "z":
		return true
	}
	for d := time.Sunday; d <= time.Saturday; d++ {
		full := strings.ToLower(d.String())
		if word == full || word == full[:3] {
			return true
		}
	}
	return false
}

func daysIn(year, month string) int {
	y, _ := strconv.Atoi(year)
	m, _ := strconv.Atoi(month)
	return time.Date(y, time.Month(m)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}
