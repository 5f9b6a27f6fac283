// Package pydate reads dates and times as Python's libraries do that Salt hands them
// to: Parse as dateutil.parser.parse, Strptime as datetime.strptime. What is written
// in a schedule or after --when means the same as with Salt.
package pydate

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Parse reads a date or time in about any form that people write, with the rules of
// dateutil 2.8: "5pm", "Tuesday 14:30", "3/10/2026 2:00 pm", "2026-03-10T13:59:55Z".
// What the text does not say is that of now, the time of day 0. A time without a zone
// is in now's location; one with a zone is converted to it.
func Parse(text string, now time.Time) (time.Time, error) {
	p := parser{tokens: split(text), now: now}
	if err := p.parse(); err != nil {
		return time.Time{}, fmt.Errorf("unknown form of time %q: expected one as \"5:00pm\", \"Tuesday 14:30\" or \"2026-03-10 14:00\"", text)
	}
	t, err := p.build()
	if err != nil {
		return time.Time{}, fmt.Errorf("time %q: %w", text, err)
	}
	return t, nil
}

// errForm says that a text is not of a form that is known.
var errForm = errors.New("unknown form")

// none marks a part that the text does not give.
const none = math.MinInt32

type parser struct {
	tokens []string
	now    time.Time
	ymd    ymd

	year, month, day, weekday   int
	hour, minute, second, micro int
	zone                        string
	offset                      int // seconds east of UTC
	ampm                        int
}

var (
	jumps    = []string{" ", ".", ",", ";", "-", "/", "'", "at", "on", "and", "ad", "m", "t", "of", "st", "nd", "rd", "th"}
	weekdays = []string{"mon monday", "tue tuesday", "wed wednesday", "thu thursday", "fri friday", "sat saturday", "sun sunday"}
	months   = []string{"jan january", "feb february", "mar march", "apr april", "may", "jun june", "jul july", "aug august",
		"sep sept september", "oct october", "nov november", "dec december"}
	hms  = []string{"h hour hours", "m minute minutes", "s second seconds"}
	half = []string{"am a", "pm p"}
)

// among is the place of the line that has a word, none where there is none.
func among(lines []string, word string) int {
	word = strings.ToLower(word)
	for i, l := range lines {
		if slices.Contains(strings.Fields(l), word) {
			return i
		}
	}
	return none
}

func isJump(s string) bool { return slices.Contains(jumps, strings.ToLower(s)) }

func isUTC(s string) bool {
	s = strings.ToLower(s)
	return s == "utc" || s == "gmt" || s == "z"
}

func (p *parser) at(i int) string {
	if i < 0 || i >= len(p.tokens) {
		return ""
	}
	return p.tokens[i]
}

// need is a token that has to be there.
func (p *parser) need(i int) (string, error) {
	if i < 0 || i >= len(p.tokens) {
		return "", errForm
	}
	return p.tokens[i], nil
}

func (p *parser) parse() error {
	p.year, p.month, p.day, p.weekday = none, none, none, none
	p.hour, p.minute, p.second, p.micro, p.offset, p.ampm = none, none, none, none, none, none
	p.ymd.y, p.ymd.m, p.ymd.d = -1, -1, -1
	for i := 0; i < len(p.tokens); i++ {
		var err error
		if i, err = p.token(i); err != nil {
			return err
		}
	}
	if err := p.resolve(); err != nil {
		return err
	}
	if p.year != none {
		p.year = p.fullYear(p.year, p.ymd.century)
	}
	switch {
	case p.offset == 0 && p.zone == "" || p.zone == "Z" || p.zone == "z":
		p.zone, p.offset = "UTC", 0
	case p.offset != 0 && p.zone != "" && isUTC(p.zone):
		p.offset = 0
	}
	for _, v := range []int{p.year, p.month, p.day, p.weekday, p.hour, p.minute, p.second, p.micro, p.offset, p.ampm} {
		if v != none {
			return nil
		}
	}
	if p.zone != "" {
		return nil
	}
	return errForm // nothing of a date
}

// token reads the token at i, with those that belong to it, and returns the last one.
func (p *parser) token(i int) (int, error) {
	t := p.tokens[i]
	if isNumber(t) {
		return p.number(i)
	}
	if d := among(weekdays, t); d != none {
		p.weekday = d
		return i, nil
	}
	if m := among(months, t); m != none {
		return p.monthName(i, m+1)
	}
	if h := among(half, t); h != none {
		if p.hour == none || p.hour < 0 || p.hour > 12 {
			return i, errForm
		}
		p.hour, p.ampm = to24(p.hour, h), h
		return i, nil
	}
	if p.couldBeZone(t, p.offset) {
		p.zone = t
		if p.offset = none; isUTC(t) {
			p.offset = 0
		}
		// In GMT+3 the sign says what GMT is from here: it is turned around.
		if next := p.at(i + 1); next == "+" || next == "-" {
			p.tokens[i+1] = map[string]string{"+": "-", "-": "+"}[next]
			p.offset = none
			if isUTC(p.zone) {
				p.zone = ""
			}
		}
		return i, nil
	}
	if p.hour != none && (t == "+" || t == "-") {
		return p.numericZone(i, t == "+")
	}
	if !isJump(t) {
		return i, errForm
	}
	return i, nil
}

// isNumber takes digits with at most one point among them.
func isNumber(s string) bool {
	digits := 0
	points := 0
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] >= '0' && s[i] <= '9':
			digits++
		case s[i] == '.':
			points++
		default:
			return false
		}
	}
	return digits > 0 && points <= 1
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// couldBeZone takes up to five capitals after a time of day.
func (p *parser) couldBeZone(t string, offset int) bool {
	if p.hour == none || p.zone != "" || offset != none || len(t) > 5 {
		return false
	}
	if t == "UTC" || t == "GMT" || t == "Z" || t == "z" {
		return true
	}
	for i := 0; i < len(t); i++ {
		if t[i] < 'A' || t[i] > 'Z' {
			return false
		}
	}
	return true
}

func (p *parser) numericZone(i int, east bool) (int, error) {
	t, err := p.need(i + 1)
	if err != nil {
		return i, err
	}
	hours, minutes := t, "0"
	switch {
	case len(t) == 4:
		hours, minutes = t[:2], t[2:]
	case p.at(i+2) == ":":
		if minutes, err = p.need(i + 3); err != nil {
			return i, err
		}
		i += 2
	case len(t) <= 2:
	default:
		return i, errForm
	}
	h, err1 := strconv.Atoi(hours)
	m, err2 := strconv.Atoi(minutes)
	if err1 != nil || err2 != nil {
		return i, errForm
	}
	p.offset = h*3600 + m*60
	if !east {
		p.offset = -p.offset
	}
	// -0300 (BRST)
	if i+5 < len(p.tokens) && isJump(p.tokens[i+2]) && p.tokens[i+3] == "(" && p.tokens[i+5] == ")" &&
		len(p.tokens[i+4]) >= 3 && p.couldBeZone(p.tokens[i+4], none) {
		p.zone = p.tokens[i+4]
		i += 4
	}
	return i + 1, nil
}

func (p *parser) monthName(i, month int) (int, error) {
	if err := p.ymd.addLabel(month, 'm'); err != nil {
		return i, err
	}
	next := p.at(i + 1)
	switch {
	case next == "-" || next == "/":
		t, err := p.need(i + 2)
		if err != nil {
			return i, err
		}
		if err := p.ymd.addText(t); err != nil {
			return i, err
		}
		if p.at(i+3) == next {
			if t, err = p.need(i + 4); err != nil {
				return i, err
			}
			if err := p.ymd.addText(t); err != nil {
				return i, err
			}
			i += 2
		}
		i += 2
	case i+4 < len(p.tokens) && next == " " && p.tokens[i+3] == " " && strings.EqualFold(p.tokens[i+2], "of"):
		if t := p.tokens[i+4]; isDigits(t) { // Jan of 01
			n, err := strconv.Atoi(t)
			if err != nil {
				return i, errForm
			}
			p.ymd.century = p.ymd.century || len(strconv.Itoa(p.fullYear(n, false))) > 2
			if err := p.ymd.addLabel(p.fullYear(n, false), 'y'); err != nil {
				return i, err
			}
		}
		i += 4
	}
	return i, nil
}

// fullYear makes a year of two digits the one that is nearest to now.
func (p *parser) fullYear(y int, century bool) int {
	if y >= 100 || century {
		return y
	}
	this := p.now.Year()
	y += this / 100 * 100
	switch {
	case y >= this+50:
		y -= 100
	case y < this-50:
		y += 100
	}
	return y
}

func to24(hour, half int) int {
	switch {
	case hour < 12 && half == 1:
		return hour + 12
	case hour == 12 && half == 0:
		return 0
	}
	return hour
}
