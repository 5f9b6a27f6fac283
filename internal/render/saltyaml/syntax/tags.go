package syntax

import "strings"

// anchor reads "&name" or "*name".
func (s *scanner) anchor(k kind, context string) {
	start := s.mark()
	s.skip(1)
	from := s.pos
	for word(s.at(0)) {
		s.skip(1)
	}
	name := s.src[from:s.pos]
	if name == "" || !s.blankOrEnd(0) && strings.IndexByte("?:,]}%@`", s.at(0)) < 0 {
		s.fail(context, start, "did not find expected alphabetic or numeric character")
	}
	s.add(k, start)
	s.queue[len(s.queue)-1].text = name
}

// tag reads "!<uri>", "!suffix", "!handle!suffix" or "!".
func (s *scanner) tag() {
	const context = "while scanning a tag"
	start := s.mark()
	var handle, suffix string
	if s.at(1) == '<' {
		s.skip(2)
		suffix = s.uri(true, "", "while parsing a tag", start)
		if s.at(0) != '>' {
			s.fail(context, start, "did not find the expected '>'")
		}
		s.skip(1)
	} else {
		handle = s.handle(false, start)
		if len(handle) > 1 && strings.HasSuffix(handle, "!") {
			suffix = s.uri(false, "", "while parsing a tag", start)
		} else {
			suffix = s.uri(false, handle, "while parsing a tag", start)
			if handle = "!"; suffix == "" {
				handle, suffix = "", "!"
			}
		}
	}
	if !s.blankOrEnd(0) && (s.flow == 0 || s.at(0) != ',') {
		s.fail(context, start, "did not find expected whitespace or line break")
	}
	s.add(tagToken, start)
	t := &s.queue[len(s.queue)-1]
	t.text, t.suffix = handle, suffix
}

// handle reads "!", "!!" or "!name!"; outside a directive also "!name", which is the
// beginning of a suffix.
func (s *scanner) handle(directive bool, start Mark) string {
	if s.at(0) != '!' {
		context := "while scanning a tag"
		if directive {
			context = "while scanning a tag directive"
		}
		s.fail(context, start, "did not find expected '!'")
	}
	from := s.pos
	s.skip(1)
	for word(s.at(0)) {
		s.skip(1)
	}
	if s.at(0) == '!' {
		s.skip(1)
	} else if directive && s.pos-from > 1 {
		s.fail("while parsing a tag directive", start, "did not find expected '!'")
	}
	return s.src[from:s.pos]
}

// uri reads the text of a tag, whose beginning the head may have taken; with wide
// also "," and brackets.
func (s *scanner) uri(wide bool, head, context string, start Mark) string {
	length := len(head)
	var b []byte
	if length > 1 {
		b = append(b, head[1:]...)
	}
	for {
		c := s.at(0)
		if !word(c) && (c == 0 || strings.IndexByte(";/?:@&=+$.%!~*'()", c) < 0) && (!wide || c != ',' && c != '[' && c != ']') {
			break
		}
		if c == '%' {
			b = s.uriEscape(b, context, start)
		} else {
			b = append(b, c)
			s.skip(1)
		}
		length++
	}
	if length == 0 {
		s.fail(context, start, "did not find expected tag URI")
	}
	return string(b)
}

// uriEscape reads the bytes of one character, each "%41".
func (s *scanner) uriEscape(b []byte, context string, start Mark) []byte {
	for width, first := 1, true; width > 0; width, first = width-1, false {
		high, ok1 := hexDigit(s.at(1))
		low, ok2 := hexDigit(s.at(2))
		if s.at(0) != '%' || !ok1 || !ok2 {
			s.fail(context, start, "did not find URI escaped octet")
		}
		octet := high<<4 | low
		switch {
		case !first && octet&0xc0 != 0x80:
			s.fail(context, start, "found an incorrect trailing UTF-8 octet")
		case !first || octet < 0x80:
		case octet&0xe0 == 0xc0:
			width = 2
		case octet&0xf0 == 0xe0:
			width = 3
		case octet&0xf8 == 0xf0:
			width = 4
		default:
			s.fail(context, start, "found an incorrect leading UTF-8 octet")
		}
		b = append(b, octet)
		s.skip(3)
	}
	return b
}

// directive reads a line that begins with "%".
func (s *scanner) directive() {
	const context = "while scanning a directive"
	start := s.mark()
	s.skip(1)
	from := s.pos
	for word(s.at(0)) {
		s.skip(1)
	}
	name := s.src[from:s.pos]
	switch {
	case name == "":
		s.fail(context, start, "could not find expected directive name")
	case !s.blankOrEnd(0):
		s.fail(context, start, "found unexpected non-alphabetical character")
	}
	var t token
	switch name {
	case "YAML":
		s.blanks()
		t = token{kind: versionDirective, major: s.versionNumber(start)}
		if s.at(0) != '.' {
			s.fail("while scanning a %YAML directive", start, "did not find expected digit or '.' character")
		}
		s.skip(1)
		t.minor = s.versionNumber(start)
	case "TAG":
		s.blanks()
		t = token{kind: tagDirective, text: s.handle(true, start)}
		if !blank(s.at(0)) {
			s.fail("while scanning a %TAG directive", start, "did not find expected whitespace")
		}
		s.blanks()
		t.suffix = s.uri(true, "", "while parsing a %TAG directive", start)
		if !s.blankOrEnd(0) {
			s.fail("while scanning a %TAG directive", start, "did not find expected whitespace or line break")
		}
	default:
		s.fail(context, start, "found unknown directive name")
	}
	t.start, t.end = start, s.mark()
	s.blanks()
	s.comment()
	if !s.breakOrEnd(0) {
		s.fail(context, start, "did not find expected comment or line break")
	}
	s.skipLine()
	s.queue = append(s.queue, t)
}

func (s *scanner) versionNumber(start Mark) int {
	const context = "while scanning a %YAML directive"
	n := 0
	length := 0
	for ; s.at(0) >= '0' && s.at(0) <= '9'; s.skip(1) {
		if length++; length > 9 {
			s.fail(context, start, "found extremely long version number")
		}
		n = n*10 + int(s.at(0)-'0')
	}
	if length == 0 {
		s.fail(context, start, "did not find expected version number")
	}
	return n
}
