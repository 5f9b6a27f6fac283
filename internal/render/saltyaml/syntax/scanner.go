package syntax

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// kind is what a token is.
type kind uint8

const (
	streamEnd kind = iota
	versionDirective
	tagDirective
	documentStart
	documentEnd
	blockSequenceStart // the indentation grew before "-"
	blockMappingStart  // … before a key
	blockEnd           // the indentation shrank
	flowSequenceStart
	flowSequenceEnd
	flowMappingStart
	flowMappingEnd
	blockEntry // "-"
	flowEntry  // ","
	keyMark    // "?", or before a key that only its ":" gave away
	valueMark  // ":"
	aliasToken
	anchorToken
	tagToken
	scalarToken
)

func (k kind) in(set ...kind) bool { return slices.Contains(set, k) }

// token is a piece of the text that has a meaning of its own.
type token struct {
	kind         kind
	start, end   Mark
	text         string // of a scalar, anchor or alias; the handle of a tag
	suffix       string // what follows the handle of a tag; the prefix a directive gives it
	plain        bool   // a scalar without quotes or "|"
	major, minor int    // of a %YAML directive
}

// simpleKey is a place where a key may have begun that is known for one only when
// its ":" comes, in the same line and within 1,024 characters.
type simpleKey struct {
	possible, required  bool
	number              int // of the token that would be the key
	index, line, column int
}

// maxKey is how many characters a key without "?" may have.
const maxKey = 1024

// scanner cuts the text into tokens. Lines and columns count from 0 in here.
type scanner struct {
	src                 string
	pos                 int // in bytes
	index, line, column int // in characters

	scratch []byte // the scalar that is read

	queue  []token
	head   int // tokens of the queue that were taken
	parsed int // tokens that were taken in all

	indent     int
	indents    []int
	flow       int // open brackets
	keyAllowed bool
	keys       []simpleKey // one for the block, one for each open bracket
}

func newScanner(src string) *scanner {
	src = strings.TrimPrefix(src, "\ufeff") // a mark of the encoding, which has no column
	return &scanner{src: src, indent: -1, keyAllowed: true, keys: make([]simpleKey, 1)}
}

// fail ends the parse; Parse recovers it.
func (s *scanner) fail(context string, began Mark, problem string) {
	panic(&Error{Class: "ScannerError", Context: context, Began: began, Problem: problem, At: s.mark()})
}

func (s *scanner) mark() Mark { return Mark{s.line + 1, s.column + 1} }

func (k simpleKey) mark() Mark { return Mark{k.line + 1, k.column + 1} }

// at is the byte i bytes on, 0 after the end of the text.
func (s *scanner) at(i int) byte {
	if s.pos+i < len(s.src) {
		return s.src[s.pos+i]
	}
	return 0
}

func (s *scanner) ended() bool { return s.pos >= len(s.src) }

// breakAt is the length in bytes of the line break that is i bytes on, 0 for none.
func (s *scanner) breakAt(i int) int {
	switch s.at(i) {
	case '\n':
		return 1
	case '\r':
		if s.at(i+1) == '\n' {
			return 2
		}
		return 1
	case 0xc2:
		if s.at(i+1) == 0x85 {
			return 2
		}
	case 0xe2:
		if c := s.at(i + 2); s.at(i+1) == 0x80 && (c == 0xa8 || c == 0xa9) {
			return 3
		}
	}
	return 0
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

func (s *scanner) breakOrEnd(i int) bool { return s.pos+i >= len(s.src) || s.breakAt(i) > 0 }

func (s *scanner) blankOrEnd(i int) bool { return blank(s.at(i)) || s.breakOrEnd(i) }

// word tells characters of names.
func word(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c == '-'
}

// skip goes on by n characters of the same line.
func (s *scanner) skip(n int) {
	for range n {
		w := 1
		if s.pos < len(s.src) && s.src[s.pos] >= utf8.RuneSelf || s.pos >= len(s.src) {
			_, w = utf8.DecodeRuneInString(s.src[s.pos:])
		}
		s.pos += w
	}
	s.index += n
	s.column += n
}

func (s *scanner) skipLine() {
	n := s.breakAt(0)
	if n == 0 {
		return
	}
	s.index++
	if n == 2 && s.src[s.pos] == '\r' {
		s.index++
	}
	s.pos += n
	s.line++
	s.column = 0
}

// readLine passes a line break and adds to b what it stands for: "\n", or itself when
// it is one of Unicode's separators.
func (s *scanner) readLine(b []byte) []byte {
	switch n := s.breakAt(0); n {
	case 0:
	case 3:
		b = append(b, s.src[s.pos:s.pos+3]...)
	default:
		b = append(b, '\n')
	}
	s.skipLine()
	return b
}

// peek is the next token, which stays.
func (s *scanner) peek() *token {
	for {
		more := s.waiting() == 0
		if !more {
			s.dropStaleKeys()
			for i := range s.keys {
				if s.keys[i].possible && s.keys[i].number == s.parsed {
					more = true
					break
				}
			}
		}
		if !more {
			return &s.queue[s.head]
		}
		s.fetch()
	}
}

// waiting counts the tokens that are still to be taken.
func (s *scanner) waiting() int { return len(s.queue) - s.head }

// next takes the token that peek showed, which is gone with the next peek.
func (s *scanner) next() {
	s.parsed++
	if s.head++; s.head == len(s.queue) {
		s.queue, s.head = s.queue[:0], 0
	}
}

func (s *scanner) add(k kind, start Mark) {
	s.queue = append(s.queue, token{kind: k, start: start, end: s.mark()})
}

// indicator adds a token of n characters that is before us.
func (s *scanner) indicator(k kind, n int) {
	start := s.mark()
	s.skip(n)
	s.add(k, start)
}

func (s *scanner) insert(number int, k kind, m Mark) {
	s.queue = slices.Insert(s.queue, s.head+number-s.parsed, token{kind: k, start: m, end: m})
}

// documentMark tells whether "---" or "..." stands here at the start of a line.
func (s *scanner) documentMark(c byte) bool {
	return s.column == 0 && s.at(0) == c && s.at(1) == c && s.at(2) == c && s.blankOrEnd(3)
}

func (s *scanner) fetch() {
	s.toNextToken()
	s.dropStaleKeys()
	s.unroll(s.column)
	c := s.at(0)
	switch {
	case s.ended():
		s.fetchEnd()
	case s.column == 0 && c == '%':
		s.endBlocks()
		s.directive()
	case s.documentMark('-'):
		s.endBlocks()
		s.indicator(documentStart, 3)
	case s.documentMark('.'):
		s.endBlocks()
		s.indicator(documentEnd, 3)
	case c == '[':
		s.openFlow(flowSequenceStart)
	case c == '{':
		s.openFlow(flowMappingStart)
	case c == ']':
		s.closeFlow(flowSequenceEnd)
	case c == '}':
		s.closeFlow(flowMappingEnd)
	case c == ',':
		s.removeKey()
		s.keyAllowed = true
		s.indicator(flowEntry, 1)
	case c == '-' && s.blankOrEnd(1):
		s.fetchBlockEntry()
	case c == '?' && (s.flow > 0 || s.blankOrEnd(1)):
		s.fetchKey()
	case c == ':' && (s.flow > 0 || s.blankOrEnd(1)):
		s.fetchValue()
	case c == '*':
		s.saveKey()
		s.anchor(aliasToken, "while scanning an alias")
	case c == '&':
		s.saveKey()
		s.anchor(anchorToken, "while scanning an anchor")
	case c == '!':
		s.saveKey()
		s.tag()
	case (c == '|' || c == '>') && s.flow == 0:
		s.removeKey()
		s.keyAllowed = true
		s.blockScalar(c == '|')
	case c == '\'' || c == '"':
		s.saveKey()
		s.quotedScalar(c == '\'')
	case s.plainStart(c):
		s.saveKey()
		s.plainScalar()
	default:
		s.fail("while scanning for the next token", s.mark(), "found character that cannot start any token")
	}
}

// plainStart tells whether a scalar without quotes may begin with the character.
func (s *scanner) plainStart(c byte) bool {
	switch {
	case c == '-':
		return !blank(s.at(1))
	case c == '?' || c == ':':
		return s.flow == 0 && !s.blankOrEnd(1)
	}
	return !s.blankOrEnd(0) && !strings.ContainsRune(",[]{}#&*!|>'\"%@`", rune(c))
}

// toNextToken passes white space and comments.
func (s *scanner) toNextToken() {
	for {
		if s.column == 0 && strings.HasPrefix(s.src[s.pos:], "\ufeff") {
			s.skip(1)
		}
		for c := s.at(0); c == ' ' || c == '\t' && (s.flow > 0 || !s.keyAllowed); c = s.at(0) {
			s.skip(1)
		}
		s.comment()
		if s.breakAt(0) == 0 {
			return
		}
		s.skipLine()
		if s.flow == 0 {
			s.keyAllowed = true
		}
	}
}

// comment passes a comment, up to the end of its line.
func (s *scanner) comment() {
	if s.at(0) == '#' {
		for !s.breakOrEnd(0) {
			s.skip(1)
		}
	}
}

func (s *scanner) blanks() {
	for blank(s.at(0)) {
		s.skip(1)
	}
}

func (s *scanner) dropStaleKeys() {
	for i := range s.keys {
		k := &s.keys[i]
		if k.possible && (k.line < s.line || k.index+maxKey < s.index) {
			if k.required {
				s.fail("while scanning a simple key", k.mark(), "could not find expected ':'")
			}
			k.possible = false
		}
	}
}

// saveKey notes that a key may begin with the token that comes now. A key cannot
// begin after it, before something else allows it again.
func (s *scanner) saveKey() {
	if s.keyAllowed {
		s.removeKey()
		s.keys[len(s.keys)-1] = simpleKey{
			possible: true,
			required: s.flow == 0 && s.indent == s.column,
			number:   s.parsed + s.waiting(),
			index:    s.index, line: s.line, column: s.column,
		}
	}
	s.keyAllowed = false
}

func (s *scanner) removeKey() {
	k := &s.keys[len(s.keys)-1]
	if k.possible && k.required {
		s.fail("while scanning a simple key", k.mark(), "could not find expected ':'")
	}
	k.possible = false
}

// roll opens a block collection when the column is further in; with number below 0
// its token comes now, else before the token of that number.
func (s *scanner) roll(column, number int, k kind, m Mark) {
	if s.flow > 0 || s.indent >= column {
		return
	}
	s.indents = append(s.indents, s.indent)
	s.indent = column
	if number < 0 {
		number = s.parsed + s.waiting()
	}
	s.insert(number, k, m)
}

// unroll closes the block collections that are further in than the column.
func (s *scanner) unroll(column int) {
	if s.flow > 0 {
		return
	}
	for s.indent > column {
		s.add(blockEnd, s.mark())
		s.indent = s.indents[len(s.indents)-1]
		s.indents = s.indents[:len(s.indents)-1]
	}
}

// endBlocks closes all, before a directive or the mark of a document.
func (s *scanner) endBlocks() {
	s.unroll(-1)
	s.removeKey()
	s.keyAllowed = false
}

func (s *scanner) fetchEnd() {
	if s.column != 0 {
		s.column = 0
		s.line++
	}
	s.endBlocks()
	s.add(streamEnd, s.mark())
}

func (s *scanner) openFlow(k kind) {
	s.saveKey()
	s.keys = append(s.keys, simpleKey{})
	s.flow++
	s.keyAllowed = true
	s.indicator(k, 1)
}

func (s *scanner) closeFlow(k kind) {
	s.removeKey()
	if s.flow > 0 {
		s.flow--
		s.keys = s.keys[:len(s.keys)-1]
	}
	s.keyAllowed = false
	s.indicator(k, 1)
}

// allowed refuses what begins a block collection where none may begin.
func (s *scanner) allowed(what string) {
	if !s.keyAllowed {
		s.fail("", Mark{}, what+" are not allowed in this context")
	}
}

func (s *scanner) fetchBlockEntry() {
	if s.flow == 0 {
		s.allowed("block sequence entries")
		s.roll(s.column, -1, blockSequenceStart, s.mark())
	}
	s.removeKey()
	s.keyAllowed = true
	s.indicator(blockEntry, 1)
}

func (s *scanner) fetchKey() {
	if s.flow == 0 {
		s.allowed("mapping keys")
		s.roll(s.column, -1, blockMappingStart, s.mark())
	}
	s.removeKey()
	s.keyAllowed = s.flow == 0
	s.indicator(keyMark, 1)
}

func (s *scanner) fetchValue() {
	if k := &s.keys[len(s.keys)-1]; k.possible {
		s.insert(k.number, keyMark, k.mark())
		s.roll(k.column, k.number, blockMappingStart, k.mark())
		k.possible = false
		s.keyAllowed = false
	} else {
		if s.flow == 0 {
			s.allowed("mapping values")
			s.roll(s.column, -1, blockMappingStart, s.mark())
		}
		s.keyAllowed = s.flow == 0
	}
	s.indicator(valueMark, 1)
}

// readable finds the first character that YAML does not have, as libyaml's reader.
func readable(src string) *Error {
	for i, r := range src {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(src[i:], "\ufffd"):
			return &Error{Class: "ReaderError", Problem: fmt.Sprintf("invalid UTF-8: byte %#x", src[i]), At: place(src, i), Offset: i}
		case r >= 0x20 && r <= 0x7e, r == '\n', r == '\t', r == '\r', r == 0x85,
			r >= 0xa0 && r <= 0xfffd, r >= 0x10000:
		default:
			return &Error{Class: "ReaderError", Problem: fmt.Sprintf("unacceptable character #x%04x: control characters are not allowed", r), At: place(src, i), Offset: i}
		}
	}
	return nil
}

// place is the mark of a byte of the text.
func place(src string, i int) Mark {
	before := src[:i]
	line := strings.LastIndexByte(before, '\n') + 1
	return Mark{strings.Count(before, "\n") + 1, utf8.RuneCountInString(before[line:]) + 1}
}
