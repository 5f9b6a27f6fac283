package syntax

import "unicode/utf8"

// joined is text whose line breaks are folded: one becomes a space, more of them
// one less, and Unicode's separators stay.
type joined struct {
	text     []byte
	spaces   []byte // after the text, before it is known whether more comes
	breaks   []byte // the first line break
	trailing []byte // those after it
	newline  bool   // a line ended since the last character
}

// gap passes the white space between two pieces of a scalar.
func (j *joined) gap(s *scanner, tab func()) {
	for blank(s.at(0)) || s.breakAt(0) > 0 {
		switch {
		case blank(s.at(0)):
			if j.newline && s.at(0) == '\t' && tab != nil {
				tab()
			}
			if !j.newline {
				j.spaces = append(j.spaces, s.at(0))
			}
			s.skip(1)
		case !j.newline:
			j.spaces = j.spaces[:0]
			j.breaks = s.readLine(j.breaks)
			j.newline = true
		default:
			j.trailing = s.readLine(j.trailing)
		}
	}
}

// join adds the gap to the text.
func (j *joined) join() {
	switch {
	case !j.newline:
		j.text = append(j.text, j.spaces...)
	case len(j.breaks) == 0 || j.breaks[0] != '\n':
		j.text = append(append(j.text, j.breaks...), j.trailing...)
	case len(j.trailing) == 0:
		j.text = append(j.text, ' ')
	default:
		j.text = append(j.text, j.trailing...)
	}
	j.spaces, j.breaks, j.trailing, j.newline = j.spaces[:0], j.breaks[:0], j.trailing[:0], false
}

// read takes one character.
func (j *joined) read(s *scanner) {
	from := s.pos
	s.skip(1)
	j.text = append(j.text, s.src[from:s.pos]...)
}

// simple tells bytes that mean nothing but themselves, wherever in a scalar they stand.
var simple = func() (t [256]bool) {
	for c := byte('!'); c <= '~'; c++ {
		t[c] = c != ':' && c != ',' && c != '[' && c != ']' && c != '{' && c != '}' && c != '\'' && c != '"' && c != '\\'
	}
	return t
}()

// readSimple takes the characters from here on that are simple.
func (j *joined) readSimple(s *scanner) {
	rest := s.src[s.pos:]
	n := 0
	for n < len(rest) && simple[rest[n]] {
		n++
	}
	j.text = append(j.text, rest[:n]...)
	s.pos += n
	s.index += n
	s.column += n
}

func (s *scanner) addScalar(text []byte, plain bool, start, end Mark) {
	s.queue = append(s.queue, token{kind: scalarToken, start: start, end: end, text: string(text), plain: plain})
}

func (s *scanner) plainScalar() {
	const context = "while scanning a plain scalar"
	start, end := s.mark(), s.mark()
	indent := s.indent + 1
	j := joined{text: s.scratch[:0]}
	defer func() { s.scratch = j.text[:0] }()
	for !s.documentMark('-') && !s.documentMark('.') && s.at(0) != '#' {
		for !s.blankOrEnd(0) {
			c := s.at(0)
			if s.flow > 0 && c == ':' {
				switch s.at(1) {
				case ',', '?', '[', ']', '{', '}':
					s.fail(context, start, "found unexpected ':'")
				}
			}
			if c == ':' && s.blankOrEnd(1) ||
				s.flow > 0 && (c == ',' || c == '[' || c == ']' || c == '{' || c == '}') {
				break
			}
			if j.newline || len(j.spaces) > 0 {
				j.join()
			}
			if simple[c] {
				j.readSimple(s)
			} else {
				j.read(s)
			}
			end = s.mark()
		}
		if !blank(s.at(0)) && s.breakAt(0) == 0 {
			break
		}
		j.gap(s, func() {
			if s.column < indent {
				s.fail(context, start, "found a tab character that violates indentation")
			}
		})
		if s.flow == 0 && s.column < indent {
			break
		}
	}
	s.addScalar(j.text, true, start, end)
	if j.newline {
		s.keyAllowed = true
	}
}

func (s *scanner) quotedScalar(single bool) {
	const context = "while scanning a quoted scalar"
	start := s.mark()
	quote := s.at(0)
	s.skip(1)
	j := joined{text: s.scratch[:0]}
	defer func() { s.scratch = j.text[:0] }()
	for {
		if s.documentMark('-') || s.documentMark('.') {
			s.fail(context, start, "found unexpected document indicator")
		}
		if s.ended() {
			s.fail(context, start, "found unexpected end of stream")
		}
	piece:
		for !s.blankOrEnd(0) {
			c := s.at(0)
			switch {
			case single && c == quote && s.at(1) == quote:
				j.text = append(j.text, quote)
				s.skip(2)
			case c == quote:
				break piece
			case !single && c == '\\' && s.breakAt(1) > 0:
				s.skip(1)
				s.skipLine()
				j.newline = true
				break piece
			case !single && c == '\\':
				j.text = s.escape(j.text, start)
			case simple[c]:
				j.readSimple(s)
			default:
				j.read(s)
			}
		}
		if s.at(0) == quote {
			break
		}
		j.gap(s, nil)
		j.join()
	}
	s.skip(1)
	s.addScalar(j.text, false, start, s.mark())
}

// escapes are the characters that one after a backslash stands for.
var escapes = map[byte]rune{
	'0': 0, 'a': 7, 'b': 8, 't': '\t', '\t': '\t', 'n': '\n', 'v': '\v', 'f': '\f', 'r': '\r', 'e': 0x1b,
	' ': ' ', '"': '"', '/': '/', '\\': '\\', 'N': 0x85, '_': 0xa0, 'L': 0x2028, 'P': 0x2029,
}

// escape reads a backslash and what belongs to it.
func (s *scanner) escape(b []byte, start Mark) []byte {
	const context = "while parsing a quoted scalar"
	digits := 0
	switch c := s.at(1); c {
	case 'x':
		digits = 2
	case 'u':
		digits = 4
	case 'U':
		digits = 8
	default:
		r, ok := escapes[c]
		if !ok {
			s.fail(context, start, "found unknown escape character")
		}
		s.skip(2)
		return utf8.AppendRune(b, r)
	}
	s.skip(2)
	value := uint32(0)
	for i := range digits {
		d, ok := hexDigit(s.at(i))
		if !ok {
			s.fail(context, start, "did not find expected hexdecimal number")
		}
		value = value<<4 | uint32(d)
	}
	if value >= 0xd800 && value <= 0xdfff || value > 0x10ffff {
		s.fail(context, start, "found invalid Unicode character escape code")
	}
	s.skip(digits)
	return utf8.AppendRune(b, rune(value))
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}

// blockScalar reads what follows "|" or ">".
func (s *scanner) blockScalar(literal bool) {
	const context = "while scanning a block scalar"
	start := s.mark()
	s.skip(1)
	chomp := byte(0) // '+' keeps the line breaks at the end, '-' drops them, 0 keeps one
	increment := 0
	chomping := func() {
		if c := s.at(0); chomp == 0 && (c == '+' || c == '-') {
			chomp = c
			s.skip(1)
		}
	}
	chomping()
	if c := s.at(0); c >= '0' && c <= '9' {
		if c == '0' {
			s.fail(context, start, "found an indentation indicator equal to 0")
		}
		increment = int(c - '0')
		s.skip(1)
	}
	chomping()
	s.blanks()
	s.comment()
	if !s.breakOrEnd(0) {
		s.fail(context, start, "did not find expected comment or line break")
	}
	s.skipLine()
	end := s.mark()
	indent := 0
	if increment > 0 {
		indent = max(s.indent, 0) + increment
	}
	var text, leading, trailing []byte
	trailing = s.blockBreaks(&indent, trailing, start, &end)
	spaced := false // the line before began with white space, which is not folded
	for s.column == indent && !s.ended() {
		now := blank(s.at(0))
		if !literal && len(leading) > 0 && leading[0] == '\n' && !spaced && !now {
			if len(trailing) == 0 {
				text = append(text, ' ')
			}
		} else {
			text = append(text, leading...)
		}
		text = append(text, trailing...)
		leading, trailing = leading[:0], trailing[:0]
		spaced = now
		from := s.pos
		for !s.breakOrEnd(0) {
			s.skip(1)
		}
		text = append(text, s.src[from:s.pos]...)
		leading = s.readLine(leading)
		trailing = s.blockBreaks(&indent, trailing, start, &end)
	}
	if chomp != '-' {
		text = append(text, leading...)
	}
	if chomp == '+' {
		text = append(text, trailing...)
	}
	s.addScalar(text, false, start, end)
}

// blockBreaks passes the indentation of a block scalar's line and empty lines before
// it; an indent of 0 is found out here.
func (s *scanner) blockBreaks(indent *int, breaks []byte, start Mark, end *Mark) []byte {
	*end = s.mark()
	widest := 0
	for {
		for (*indent == 0 || s.column < *indent) && s.at(0) == ' ' {
			s.skip(1)
		}
		widest = max(widest, s.column)
		if (*indent == 0 || s.column < *indent) && s.at(0) == '\t' {
			s.fail("while scanning a block scalar", start, "found a tab character where an indentation space is expected")
		}
		if s.breakAt(0) == 0 {
			break
		}
		breaks = s.readLine(breaks)
		*end = s.mark()
	}
	if *indent == 0 {
		*indent = max(widest, s.indent+1, 1)
	}
	return breaks
}
