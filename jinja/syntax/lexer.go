package syntax

import (
	"math/big"
	"sort"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Token kinds beside the operators, which have jinja2's names (add, lparen, ...).
const (
	EOF           = "eof"
	Data          = "data"
	BlockBegin    = "block_begin"
	BlockEnd      = "block_end"
	VariableBegin = "variable_begin"
	VariableEnd   = "variable_end"
	NameToken     = "name"
	StringToken   = "string"
	IntToken      = "integer"
	FloatToken    = "float"
)

// Token is one word of a template.
type Token struct {
	Line  int
	Kind  string
	Text  string // of data, names and strings
	Value any    // int64, *big.Int or float64 of numbers
}

var operators = []struct{ text, kind string }{ // the longer first
	{"//", "floordiv"}, {"**", "pow"}, {"==", "eq"}, {"!=", "ne"}, {">=", "gteq"}, {"<=", "lteq"},
	{"+", "add"}, {"-", "sub"}, {"/", "div"}, {"*", "mul"}, {"%", "mod"}, {"~", "tilde"},
	{"[", "lbracket"}, {"]", "rbracket"}, {"(", "lparen"}, {")", "rparen"}, {"{", "lbrace"}, {"}", "rbrace"},
	{">", "gt"}, {"<", "lt"}, {"=", "assign"}, {".", "dot"}, {":", "colon"}, {"|", "pipe"}, {",", "comma"}, {";", "semicolon"},
}

// describeKind is a token kind in words.
func describeKind(kind string) string {
	for _, op := range operators {
		if op.kind == kind {
			return op.text
		}
	}
	switch kind {
	case BlockBegin:
		return "begin of statement block"
	case BlockEnd:
		return "end of statement block"
	case VariableBegin:
		return "begin of print statement"
	case VariableEnd:
		return "end of print statement"
	case Data:
		return "template data / text"
	case EOF:
		return "end of template"
	}
	return kind
}

func (t Token) describe() string {
	if t.Kind == NameToken {
		return t.Text
	}
	return describeKind(t.Kind)
}

// describeExpr is what Expect was asked for: a kind or "name:word".
func describeExpr(expr string) string {
	if kind, word, ok := strings.Cut(expr, ":"); ok {
		if kind == NameToken {
			return word
		}
		return describeKind(kind)
	}
	return describeKind(expr)
}

// Is tells whether the token is of a kind or, for "name:word", that word.
func (t Token) Is(expr string) bool {
	if word, ok := strings.CutPrefix(expr, "name:"); ok {
		return t.Kind == NameToken && t.Text == word
	}
	return t.Kind == expr
}

type lexer struct {
	cfg    *Config
	name   string
	src    string
	pos    int
	line   int
	starts []start
	out    []Token
	fresh  bool // the text so far ended with a newline
}

// start is one way in which a tag begins.
type start struct {
	text string
	kind string // comment, or a token kind

	next   int // where it is found next; -1 for nowhere
	sought bool
}

func (lx *lexer) fail(line int, msg string) {
	panic(&Error{Msg: msg, Name: lx.name, Line: line})
}

// tokens reads all of a template. What cannot be read ends them with a token whose
// Value is the *Error, so that a mistake before it is reported first.
func tokens(cfg *Config, name, src string) (toks []Token) {
	src = strings.ReplaceAll(strings.ReplaceAll(src, "\r\n", "\n"), "\r", "\n")
	if !cfg.KeepTrailingNewline {
		src = strings.TrimSuffix(src, "\n")
	}
	lx := &lexer{cfg: cfg, name: name, src: src, line: 1, fresh: true}
	lx.starts = []start{{text: cfg.VariableStart, kind: VariableBegin}, {text: cfg.CommentStart, kind: "comment"}, {text: cfg.BlockStart, kind: BlockBegin}}
	sort.SliceStable(lx.starts, func(i, j int) bool { return len(lx.starts[i].text) > len(lx.starts[j].text) })
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(*Error)
			if !ok {
				panic(r)
			}
			toks = append(lx.out, Token{Line: e.Line, Kind: EOF, Value: e})
		}
	}()
	for lx.root() {
	}
	end := 1 // the end is where the last word is, as in Jinja
	if n := len(lx.out); n > 0 {
		end = lx.out[n-1].Line
	}
	lx.out = append(lx.out, Token{Line: end, Kind: EOF})
	return lx.out
}

func (lx *lexer) emit(kind, text string) {
	lx.out = append(lx.out, Token{Line: lx.line, Kind: kind, Text: text})
}

// data emits template text with the newlines that were asked for.
func (lx *lexer) data(text string) {
	if text == "" {
		return
	}
	if lx.cfg.Newline != "\n" {
		text = strings.ReplaceAll(text, "\n", lx.cfg.Newline)
	}
	lx.emit(Data, text)
}

// advance moves over n bytes and counts their lines.
func (lx *lexer) advance(n int) {
	part := lx.src[lx.pos : lx.pos+n]
	lx.line += strings.Count(part, "\n")
	lx.pos += n
	if n > 0 {
		lx.fresh = part[n-1] == '\n'
	}
}

// find gives the next tag's place; kind "" when there is none.
func (lx *lexer) find() (at int, s start) {
	at = -1
	for i := range lx.starts {
		st := &lx.starts[i]
		if st.next >= 0 && st.next < lx.pos || !st.sought {
			st.sought = true
			if st.next = strings.Index(lx.src[lx.pos:], st.text); st.next >= 0 {
				st.next += lx.pos
			}
		}
		if st.next >= 0 && (at < 0 || st.next < at) {
			at, s = st.next, *st
		}
	}
	if p := lx.cfg.LineStatementPrefix; p != "" {
		if i := lx.lineStart(p, at); i >= 0 {
			at, s = i, start{text: p, kind: "line statement"}
		}
	}
	if p := lx.cfg.LineCommentPrefix; p != "" {
		if i := strings.Index(lx.src[lx.pos:], p); i >= 0 && (at < 0 || lx.pos+i <= at) {
			// white space before it goes too
			i += lx.pos
			b := len(strings.TrimRight(lx.src[lx.pos:i], " \t\v\f")) + lx.pos
			at, s = b, start{text: lx.src[b : i+len(p)], kind: "line comment"}
		}
	}
	return at, s
}

// lineStart finds a line that begins with the prefix before limit (-1: anywhere).
func (lx *lexer) lineStart(prefix string, limit int) int {
	for i := lx.pos; i <= len(lx.src); {
		if i == 0 || lx.src[i-1] == '\n' {
			rest := strings.TrimLeft(lx.src[i:], " \t\v")
			if strings.HasPrefix(rest, prefix) && (limit < 0 || i < limit) {
				return i
			}
		}
		j := strings.IndexByte(lx.src[i:], '\n')
		if j < 0 || limit >= 0 && i+j >= limit {
			return -1
		}
		i += j + 1
	}
	return -1
}

// before emits the text in front of a tag at byte at, stripped as sign asks.
func (lx *lexer) before(at int, sign string, lstrip bool) {
	text := lx.src[lx.pos:at]
	kept := text
	switch {
	case sign == "-":
		kept = strings.TrimRightFunc(text, isSpace)
	case sign != "+" && lstrip && lx.cfg.LstripBlocks:
		if l := strings.LastIndexByte(text, '\n') + 1; (l > 0 || lx.fresh) && l < len(text) && strings.TrimFunc(text[l:], isSpace) == "" {
			kept = text[:l]
		}
	}
	lx.data(kept)
	lx.advance(len(text))
}

func isSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }

// root reads text up to a tag, and the tag. False at the end.
func (lx *lexer) root() bool {
	if lx.pos >= len(lx.src) {
		return false
	}
	at, s := lx.find()
	if at < 0 {
		lx.data(lx.src[lx.pos:])
		lx.advance(len(lx.src) - lx.pos)
		return false
	}
	if s.kind == BlockBegin {
		if n, sign := lx.rawBegin(at); n > 0 {
			lx.before(at, sign, true)
			lx.advance(n)
			lx.raw()
			return true
		}
	}
	if s.kind == "line statement" {
		lx.before(at, "+", false)
		line := lx.src[lx.pos:]
		n := len(line) - len(strings.TrimLeft(line, " \t\v")) + len(s.text)
		lx.emit(BlockBegin, "")
		lx.advance(n)
		lx.tag("line statement", BlockEnd)
		return true
	}
	if s.kind == "line comment" {
		lx.before(at, "+", false)
		n := strings.IndexByte(lx.src[lx.pos:], '\n')
		if n < 0 {
			n = len(lx.src) - lx.pos
		}
		lx.advance(n)
		return true
	}
	sign := ""
	if rest := lx.src[at+len(s.text):]; rest != "" && (rest[0] == '-' || rest[0] == '+') {
		sign = rest[:1]
	}
	lx.before(at, sign, s.kind != VariableBegin)
	switch s.kind {
	case "comment":
		lx.advance(len(s.text) + len(sign))
		lx.comment()
	case VariableBegin:
		lx.emit(VariableBegin, "")
		lx.advance(len(s.text) + len(sign))
		lx.tag(lx.cfg.VariableEnd, VariableEnd)
	default:
		lx.emit(BlockBegin, "")
		lx.advance(len(s.text) + len(sign))
		lx.tag(lx.cfg.BlockEnd, BlockEnd)
	}
	return true
}

// rawBegin measures a "{% raw %}" at byte at; 0 when it is none.
func (lx *lexer) rawBegin(at int) (n int, sign string) {
	s := lx.src[at+len(lx.cfg.BlockStart):]
	full := len(lx.src) - at
	if s != "" && (s[0] == '-' || s[0] == '+') {
		sign, s = s[:1], s[1:]
	}
	s = strings.TrimLeftFunc(s, isSpace)
	if !strings.HasPrefix(s, "raw") {
		return 0, ""
	}
	s = strings.TrimLeftFunc(s[3:], isSpace)
	switch {
	case strings.HasPrefix(s, "-"+lx.cfg.BlockEnd):
		s = strings.TrimLeftFunc(s[1+len(lx.cfg.BlockEnd):], isSpace)
	case strings.HasPrefix(s, lx.cfg.BlockEnd):
		s = s[len(lx.cfg.BlockEnd):]
	default:
		return 0, ""
	}
	return full - len(s), sign
}

// raw reads up to the end of "{% endraw %}".
func (lx *lexer) raw() {
	for from := lx.pos; ; {
		i := strings.Index(lx.src[from:], lx.cfg.BlockStart)
		if i < 0 && lx.pos == len(lx.src) {
			return // jinja2 ends quietly when nothing follows
		}
		if i < 0 {
			lx.fail(lx.line, "Missing end of raw directive")
		}
		at := from + i
		s := lx.src[at+len(lx.cfg.BlockStart):]
		sign := ""
		if s != "" && (s[0] == '-' || s[0] == '+') {
			sign, s = s[:1], s[1:]
		}
		s = strings.TrimLeftFunc(s, isSpace)
		if strings.HasPrefix(s, "endraw") {
			s = strings.TrimLeftFunc(s[6:], isSpace)
			if n := lx.endLen(s, lx.cfg.BlockEnd, lx.cfg.TrimBlocks, true); n > 0 {
				lx.before(at, sign, true)
				lx.advance(len(lx.src) - len(s) + n - at)
				return
			}
		}
		from = at + 1
	}
}

// endLen measures the end of a tag at the start of s: with its sign and the white
// space that goes with it; 0 when s does not start with one.
func (lx *lexer) endLen(s, end string, trim, plus bool) int {
	switch {
	case plus && s != "" && s[0] == '+' && strings.HasPrefix(s[1:], end):
		return 1 + len(end)
	case s != "" && s[0] == '-' && strings.HasPrefix(s[1:], end):
		rest := strings.TrimLeftFunc(s[1+len(end):], isSpace)
		return len(s) - len(rest)
	case strings.HasPrefix(s, end):
		if trim && strings.HasPrefix(s[len(end):], "\n") {
			return len(end) + 1
		}
		return len(end)
	}
	return 0
}

func (lx *lexer) comment() {
	i := strings.Index(lx.src[lx.pos:], lx.cfg.CommentEnd)
	if i < 0 {
		if lx.pos < len(lx.src) {
			lx.fail(lx.line, "Missing end of comment tag")
		}
		return // jinja2 ends quietly when nothing follows
	}
	at := lx.pos + i
	if at > lx.pos && (lx.src[at-1] == '-' || lx.src[at-1] == '+') {
		at--
	}
	lx.advance(at - lx.pos + lx.endLen(lx.src[at:], lx.cfg.CommentEnd, lx.cfg.TrimBlocks, true))
}

// tag reads the words of a tag up to its end.
func (lx *lexer) tag(end, endKind string) {
	var open []byte // the brackets that are to come
	for lx.pos < len(lx.src) {
		s := lx.src[lx.pos:]
		if len(open) == 0 {
			if end == "line statement" {
				// white space up to the end of the line, and empty lines after it
				ws := s[:len(s)-len(strings.TrimLeftFunc(s, isSpace))]
				n := strings.LastIndexByte(ws, '\n') + 1
				if n == 0 && len(ws) == len(s) {
					n = len(s)
				}
				if n > 0 {
					lx.emit(endKind, "")
					lx.advance(n)
					return
				}
			} else if n := lx.endLen(s, end, lx.cfg.TrimBlocks && endKind == BlockEnd, endKind == BlockEnd); n > 0 {
				lx.emit(endKind, "")
				lx.advance(n)
				return
			}
		}
		r, _ := utf8.DecodeRuneInString(s)
		switch {
		case isSpace(r):
			lx.advance(len(s) - len(strings.TrimLeftFunc(s, isSpace)))
			continue
		case r >= '0' && r <= '9':
			lx.number(s)
			continue
		case r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.Is(unicode.Mn, r):
			n := wordLen(s)
			if !isIdentifier(s[:n]) {
				lx.fail(lx.line, "Invalid character in identifier")
			}
			lx.emit(NameToken, s[:n])
			lx.advance(n)
			continue
		case r == '\'' || r == '"':
			if n := stringLen(s); n > 0 {
				text, problem := unescape(s[1 : n-1])
				if problem != "" {
					lx.fail(lx.line, problem)
				}
				if lx.cfg.Newline != "\n" {
					text = strings.ReplaceAll(text, "\n", lx.cfg.Newline)
				}
				lx.emit(StringToken, text)
				lx.advance(n)
				continue
			}
		}
		if !lx.operator(s, &open) {
			q := strconv.QuoteRune(r)
			switch {
			case r == '\'':
				q = `"'"`
			case r == '"':
				q = `'"'`
			}
			lx.fail(lx.line, "unexpected char "+q+" at "+strconv.Itoa(utf8.RuneCountInString(lx.src[:lx.pos])))
		}
	}
	if end == "line statement" {
		lx.emit(endKind, "")
	}
}

// wordLen measures the letters, digits and marks that s starts with.
func wordLen(s string) int {
	for i, c := range s {
		if c < utf8.RuneSelf {
			if c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' {
				continue
			}
			return i
		}
		if !unicode.IsLetter(c) && !unicode.IsNumber(c) && !unicode.In(c, unicode.Mn, unicode.Mc) {
			return i
		}
	}
	return len(s)
}

// isIdentifier is Python's str.isidentifier for what the lexer takes for a word.
func isIdentifier(s string) bool {
	for i, r := range s {
		start := r == '_' || unicode.IsLetter(r) || unicode.Is(unicode.Nl, r)
		if !start && (i == 0 || !unicode.In(r, unicode.Nd, unicode.Mn, unicode.Mc, unicode.Pc)) {
			return false
		}
	}
	return true
}

func (lx *lexer) operator(s string, open *[]byte) bool {
	for _, op := range operators {
		if !strings.HasPrefix(s, op.text) {
			continue
		}
		switch c := op.text[0]; c {
		case '(':
			*open = append(*open, ')')
		case '[':
			*open = append(*open, ']')
		case '{':
			*open = append(*open, '}')
		case ')', ']', '}':
			n := len(*open)
			if n == 0 {
				lx.fail(lx.line, "unexpected '"+op.text+"'")
			}
			if want := (*open)[n-1]; want != c {
				lx.fail(lx.line, "unexpected '"+op.text+"', expected '"+string(want)+"'")
			}
			*open = (*open)[:n-1]
		}
		lx.emit(op.kind, op.text)
		lx.advance(len(op.text))
		return true
	}
	return false
}

// stringLen measures the string literal that s starts with; 0 when it has no end.
func stringLen(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case s[0]:
			return i + 1
		}
	}
	return 0
}

// digitRun measures digits of a base with single underscores between them.
func digitRun(s string, ok func(c byte) bool) int {
	n := 0
	for i := 0; i < len(s); i++ {
		if ok(s[i]) {
			n = i + 1
		} else if s[i] != '_' || i == 0 || s[i-1] == '_' {
			break
		}
	}
	return n
}

func isDecimal(c byte) bool { return c >= '0' && c <= '9' }

func (lx *lexer) number(s string) {
	emit := func(kind string, n int, v any) {
		lx.out = append(lx.out, Token{Line: lx.line, Kind: kind, Text: s[:n], Value: v})
		lx.advance(n)
	}
	if lx.pos == 0 || lx.src[lx.pos-1] != '.' {
		n := digitRun(s, isDecimal)
		isFloat := false
		if rest := s[n:]; rest != "" && rest[0] == '.' {
			if k := digitRun(rest[1:], isDecimal); k > 0 {
				n, isFloat = n+1+k, true
			}
		}
		if rest := s[n:]; rest != "" && rest[0]|0x20 == 'e' {
			e := 1
			if len(rest) > 1 && (rest[1] == '+' || rest[1] == '-') {
				e = 2
			}
			if k := digitRun(rest[e:], isDecimal); k > 0 {
				n, isFloat = n+e+k, true
			}
		}
		if isFloat {
			f, _ := strconv.ParseFloat(strings.ReplaceAll(s[:n], "_", ""), 64)
			emit(FloatToken, n, f)
			return
		}
	}
	n, base, digits := 0, 10, ""
	if s[0] == '0' && len(s) > 1 {
		var ok func(byte) bool
		switch s[1] | 0x20 {
		case 'x':
			base, ok = 16, func(c byte) bool { return isDecimal(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }
		case 'o':
			base, ok = 8, func(c byte) bool { return c >= '0' && c <= '7' }
		case 'b':
			base, ok = 2, func(c byte) bool { return c == '0' || c == '1' }
		}
		if ok != nil {
			skip := 2
			if len(s) > 2 && s[2] == '_' {
				skip = 3
			}
			if k := digitRun(s[skip:], ok); k > 0 {
				n, digits = skip+k, s[skip:skip+k]
			}
		}
	}
	if n == 0 {
		base = 10
		if s[0] == '0' {
			n = digitRun(s, func(c byte) bool { return c == '0' })
		} else {
			n = digitRun(s, isDecimal)
		}
		digits = s[:n]
	}
	digits = strings.ReplaceAll(digits, "_", "")
	if v, err := strconv.ParseInt(digits, base, 64); err == nil {
		emit(IntToken, n, v)
		return
	}
	v, _ := new(big.Int).SetString(digits, base)
	emit(IntToken, n, v)
}

// unescape reads Python's escapes; problem is set when one is broken.
func unescape(s string) (text, problem string) {
	if strings.IndexByte(s, '\\') < 0 {
		return s, ""
	}
	var b strings.Builder
	hex := func(i, n int) (rune, bool) {
		if i+n > len(s) {
			return 0, false
		}
		v, err := strconv.ParseUint(s[i:i+n], 16, 32)
		return rune(v), err == nil
	}
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		i++
		if i >= len(s) {
			return "", `\ at end of string`
		}
		switch c := s[i]; c {
		case '\n':
		case '\\', '\'', '"':
			b.WriteByte(c)
		case 'a':
			b.WriteByte('\a')
		case 'b':
			b.WriteByte('\b')
		case 'f':
			b.WriteByte('\f')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 't':
			b.WriteByte('\t')
		case 'v':
			b.WriteByte('\v')
		case '0', '1', '2', '3', '4', '5', '6', '7':
			v, j := rune(0), i
			for ; j < len(s) && j < i+3 && s[j] >= '0' && s[j] <= '7'; j++ {
				v = v*8 + rune(s[j]-'0')
			}
			b.WriteRune(v)
			i = j - 1
		case 'x', 'u', 'U':
			n := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
			v, ok := hex(i+1, n)
			if !ok {
				return "", `truncated \` + string(c) + strings.Repeat("X", n) + " escape"
			}
			if v > unicode.MaxRune || v < 0 {
				return "", "illegal Unicode character"
			}
			b.WriteRune(v)
			i += n
		case 'N':
			if i+1 < len(s) && s[i+1] == '{' && strings.IndexByte(s[i:], '}') > 2 {
				return "", "unknown Unicode character name"
			}
			return "", `malformed \N character escape`
		default:
			b.WriteByte('\\')
			b.WriteByte(c)
		}
	}
	return b.String(), ""
}
