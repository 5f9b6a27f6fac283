package pydate

import (
	"strconv"
	"strings"
)

// whole is the part of a number before its point.
func whole(t string) (int, error) {
	t, _, _ = strings.Cut(t, ".")
	if t == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(t)
	if err != nil {
		return 0, errForm
	}
	return n, nil
}

// sixtieths is how many sixtieths the part behind the point has, rounded down;
// false where that part is nothing.
func sixtieths(t string) (int, bool) {
	_, f, _ := strings.Cut(t, ".")
	f = strings.TrimRight(f, "0")
	if f == "" {
		return 0, false
	}
	if len(f) > 15 {
		f = f[:15]
	}
	n, _ := strconv.ParseInt(f, 10, 64)
	scale := int64(1)
	for range f {
		scale *= 10
	}
	return int(n * 60 / scale), true
}

// seconds reads "56" and "56.7032" into seconds and microseconds.
func (p *parser) seconds(t string) error {
	s, f, point := strings.Cut(t, ".")
	n, err := strconv.Atoi(s)
	if err != nil {
		return errForm
	}
	p.second, p.micro = n, 0
	if point {
		if p.micro, err = strconv.Atoi((f + "000000")[:6]); err != nil {
			return errForm
		}
	}
	return nil
}

// minutes reads "30" and "30.5" into minutes, and seconds where they are given.
func (p *parser) minutes(t string) error {
	n, err := whole(t)
	if err != nil {
		return err
	}
	p.minute, p.second = n, none
	if s, ok := sixtieths(t); ok {
		p.second = s
	}
	return nil
}

// number reads the number at i with what belongs to it.
func (p *parser) number(i int) (int, error) {
	t := p.tokens[i]
	n := len(t)
	next, hasNext := p.at(i+1), i+1 < len(p.tokens)
	switch {
	case len(p.ymd.v) == 3 && (n == 2 || n == 4) && p.hour == none && (!hasNext || next != ":" && among(hms, next) == none):
		return i, p.clock(t, n == 4) // 19990101T23[59]
	case n == 6 || n > 6 && strings.IndexByte(t, '.') == 6:
		if len(p.ymd.v) == 0 && !strings.Contains(t, ".") { // YYMMDD
			return i, p.addParts(t[:2], t[2:4], t[4:])
		}
		if err := p.clock(t, true); err != nil { // HHMMSS[.ss]
			return i, err
		}
		return i, p.seconds(t[4:])
	case n == 8 || n == 12 || n == 14: // YYYYMMDD[hhmm[ss]]
		y, err := strconv.Atoi(t[:4])
		if err != nil {
			return i, errForm
		}
		p.ymd.century = true
		if err := p.ymd.addLabel(y, 'y'); err != nil {
			return i, err
		}
		if err := p.addParts(t[4:6], t[6:8]); err != nil || n == 8 {
			return i, err
		}
		if err := p.clock(t[8:], true); err != nil || n == 12 {
			return i, err
		}
		if p.second, err = strconv.Atoi(t[12:]); err != nil {
			return i, errForm
		}
		return i, nil
	}
	if at := p.unit(i); at != none { // 12h, 30 min, 5s
		return p.measured(i, at)
	}
	switch {
	case i+2 < len(p.tokens) && next == ":":
		return p.colons(i)
	case hasNext && (next == "-" || next == "/" || next == "."):
		return p.separated(i, next)
	case !hasNext || isJump(next):
		if i+2 < len(p.tokens) && among(half, p.tokens[i+2]) != none { // 12 am
			h, err := whole(t)
			p.hour = to24(h, among(half, p.tokens[i+2]))
			return i + 2, err
		}
		v, err := whole(t)
		if err != nil {
			return i, err
		}
		return i + 1, p.ymd.addNumber(v)
	}
	v, err := whole(t)
	if err != nil {
		return i, err
	}
	if h := among(half, next); h != none && v < 24 { // 12am
		p.hour = to24(v, h)
		return i + 1, nil
	}
	if _, fraction := sixtieths(t); p.ymd.couldBeDay(v, fraction) {
		return i, p.ymd.addNumber(v)
	}
	return i, errForm
}

// clock reads HH or HHMM.
func (p *parser) clock(t string, minutes bool) error {
	var err error
	if p.hour, err = strconv.Atoi(t[:2]); err != nil {
		return errForm
	}
	if minutes {
		if p.minute, err = strconv.Atoi(t[2:4]); err != nil {
			return errForm
		}
	}
	return nil
}

func (p *parser) addParts(parts ...string) error {
	for _, s := range parts {
		if err := p.ymd.addText(s); err != nil {
			return err
		}
	}
	return nil
}

// unit finds the h, m or s that a number belongs to, after it or before it.
func (p *parser) unit(i int) int {
	is := func(k int) bool { return k >= 0 && k < len(p.tokens) && among(hms, p.tokens[k]) != none }
	switch {
	case is(i + 1):
		return i + 1
	case p.at(i+1) == " " && is(i+2):
		return i + 2
	case is(i - 1):
		return i - 1
	case i > 1 && i == len(p.tokens)-1 && p.tokens[i-1] == " " && is(i-2):
		return i - 2
	}
	return none
}

// measured reads a number with its unit at the place unit.
func (p *parser) measured(i, unit int) (int, error) {
	kind, last := among(hms, p.tokens[unit]), i
	if unit > i {
		last = unit
	} else {
		kind++ // the 04 of 12h04 is of the next smaller unit
	}
	t := p.tokens[i]
	switch kind {
	case 0:
		h, err := whole(t)
		if err != nil {
			return i, err
		}
		p.hour = h
		if m, ok := sixtieths(t); ok {
			p.minute = m
		}
	case 1:
		return last, p.minutes(t)
	case 2:
		return last, p.seconds(t)
	}
	return last, nil
}

// colons reads HH:MM[:SS[.ss]].
func (p *parser) colons(i int) (int, error) {
	h, err := whole(p.tokens[i])
	if err != nil {
		return i, err
	}
	p.hour = h
	if !isNumber(p.tokens[i+2]) {
		return i, errForm
	}
	if err := p.minutes(p.tokens[i+2]); err != nil {
		return i, err
	}
	if i+4 < len(p.tokens) && p.tokens[i+3] == ":" {
		return i + 4, p.seconds(p.tokens[i+4])
	}
	return i + 2, nil
}

// separated reads dates such as 01-02, 01/Jan/2026, 2026-03-10.
func (p *parser) separated(i int, sep string) (int, error) {
	if err := p.ymd.addText(p.tokens[i]); err != nil {
		return i, err
	}
	if i+2 >= len(p.tokens) || isJump(p.tokens[i+2]) {
		return i + 1, nil
	}
	if err := p.dayOrMonth(p.tokens[i+2], false); err != nil {
		return i, err
	}
	if p.at(i+3) != sep {
		return i + 2, nil
	}
	t, err := p.need(i + 4)
	if err != nil {
		return i, err
	}
	return i + 4, p.dayOrMonth(t, true)
}

func (p *parser) dayOrMonth(t string, any bool) error {
	if m := among(months, t); m != none && !isDigits(t) {
		return p.ymd.addLabel(m+1, 'm')
	}
	if !any && !isDigits(t) {
		return errForm
	}
	return p.ymd.addText(t)
}
