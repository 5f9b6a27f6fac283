package pytext

import (
	"encoding/base64"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/protocol/wire"
)

// YAML is yaml.safe_dump(v, allow_unicode=True) as PyYAML writes it with libyaml:
// keys sorted, lists level with the key above them, text quoted where YAML 1.1
// would read it as something else, lines folded after 80 columns. With flow every
// collection is written in brackets. Indents from 2 to 9 count, others mean 2.
func YAML(v any, indent int, flow bool) string {
	o := YAMLOptions{Indent: indent, Flow: FlowNone}
	if flow {
		o.Flow = FlowAll
	}
	return o.Dump(v)
}

// Flow tells which collections are written in brackets, in one line while there is
// room; empty ones always are.
type Flow int

// The values of PyYAML's default_flow_style.
const (
	FlowLeaves Flow = iota // those that hold scalars only: None
	FlowAll                // True
	FlowNone               // False
)

// YAMLOptions say how YAML is written. The zero value is PyYAML's safe_dump with
// allow_unicode=True and default_flow_style=None, as Salt calls it.
type YAMLOptions struct {
	Flow      Flow
	Indent    int  // spaces a level; 2 to 9 count, others mean 2
	Width     int  // columns after which lines fold; 0 means 80, below 0 never
	ASCII     bool // other characters are escaped
	KeepOrder bool // maps are not sorted
	Aliases   bool // a list or map that occurs again is an alias of the first
	End       bool // a "..." follows a scalar that stands alone without quotes
	Quotes    rune // ' or ": around all scalars; 0 where they need it
}

// Dump writes a value, ended by a line break. It does not return when a value holds
// itself and there are no Aliases.
func (o YAMLOptions) Dump(v any) string {
	if o.Indent < 2 || o.Indent > 9 {
		o.Indent = 2
	}
	switch {
	case o.Width < 0:
		o.Width = math.MaxInt
	case o.Width <= 2*o.Indent:
		o.Width = 80
	}
	e := &yamlEmitter{YAMLOptions: o, indent: -1, blank: true, fresh: true}
	if o.Aliases {
		e.anchors = e.findAnchors(v)
	}
	e.node(v, place{})
	return e.b.String() + "\n"
}

// yamlEmitter is where the writer stands, in libyaml's terms.
type yamlEmitter struct {
	YAMLOptions
	b       strings.Builder
	anchors map[any]*yamlAnchor // of the collections that occur more than once
	indent  int
	depth   int  // of brackets
	column  int  // characters since the line began
	blank   bool // the last thing written was white space
	fresh   bool // nothing but indentation and "- " stands on the line
}

// place says where a node stands, which decides how it may be written.
type place struct {
	mapping   bool // it is a value or key of a map
	simpleKey bool // it is a key before ":" on one line
}

func (e *yamlEmitter) write(s string) {
	e.b.WriteString(s)
	e.column += utf8.RuneCountInString(s)
}

func (e *yamlEmitter) lineBreak() {
	e.b.WriteByte('\n')
	e.column = 0
}

func (e *yamlEmitter) writeIndent() {
	n := max(e.indent, 0)
	if !e.fresh || e.column > n || e.column == n && !e.blank {
		e.lineBreak()
	}
	if e.column < n {
		e.write(strings.Repeat(" ", n-e.column))
	}
	e.blank, e.fresh = true, true
}

func (e *yamlEmitter) indicator(s string, needBlank, isBlank, isIndent bool) {
	if needBlank && !e.blank {
		e.write(" ")
	}
	e.write(s)
	e.blank = isBlank
	e.fresh = e.fresh && isIndent
}

// deeper indents what f writes.
func (e *yamlEmitter) deeper(flow, level bool, f func()) {
	old := e.indent
	switch {
	case e.indent < 0 && flow:
		e.indent = e.Indent
	case e.indent < 0:
		e.indent = 0
	case !level:
		e.indent += e.Indent
	}
	f()
	e.indent = old
}

func (e *yamlEmitter) node(v any, at place) {
	if a := e.anchors[identity(v)]; a != nil {
		if a.written {
			e.indicator("*"+a.name, true, false, false)
			return
		}
		a.written = true
		e.indicator("&"+a.name, true, false, false)
	}
	inline := e.Flow == FlowAll || e.depth > 0
	switch x := v.(type) {
	case []any:
		if inline || len(x) == 0 || e.leaves(x) {
			e.flowList(x)
			return
		}
		e.deeper(false, at.mapping && !e.fresh, func() {
			for _, item := range x {
				e.writeIndent()
				e.indicator("-", true, false, true)
				e.node(item, place{})
			}
		})
	case *wire.Map, Ordered, Set:
		if _, ok := v.(Set); ok {
			e.indicator("!!set", true, false, false)
		}
		keys, vals := e.entries(v)
		if inline || len(keys) == 0 || e.leaves(keys) && e.leaves(vals) {
			e.flowMap(keys, vals)
			return
		}
		e.deeper(false, false, func() { e.blockMap(keys, vals) })
	default:
		e.scalar(e.toScalar(v), at)
	}
}

// entries are those of a map in the order in which they are written.
func (e *yamlEmitter) entries(v any) (keys, vals []any) {
	var m *wire.Map
	switch x := v.(type) {
	case *wire.Map:
		m = x
	case Ordered:
		return entries(x.Map)
	case Set:
		m = wire.NewMap()
		for _, k := range x {
			m.SetAny(k, nil)
		}
	}
	if e.KeepOrder {
		return entries(m)
	}
	keys, vals, _ = Sorted(m)
	return keys, vals
}

// leaves tells whether values of a collection let it stand in one line.
func (e *yamlEmitter) leaves(vals []any) bool {
	return e.Flow == FlowLeaves && e.Quotes == 0 && allScalars(vals)
}

// allScalars tells whether the values stand in one line each.
func allScalars(vals []any) bool {
	for _, v := range vals {
		switch v.(type) {
		case []any, *wire.Map, Ordered, Set, []byte:
			return false
		}
	}
	return true
}

func (e *yamlEmitter) blockMap(keys, vals []any) {
	for i, k := range keys {
		e.writeIndent()
		if s := e.toScalar(k); s.simple() {
			e.scalar(s, place{mapping: true, simpleKey: true})
			e.indicator(":", false, false, false)
		} else {
			e.indicator("?", true, false, true)
			e.scalar(s, place{mapping: true})
			e.writeIndent()
			e.indicator(":", true, false, true)
		}
		e.node(vals[i], place{mapping: true})
	}
}

func (e *yamlEmitter) flowList(l []any) {
	e.indicator("[", true, true, false)
	e.depth++
	e.deeper(true, false, func() {
		for i, v := range l {
			if i > 0 {
				e.indicator(",", false, false, false)
			}
			if e.column > e.Width {
				e.writeIndent()
			}
			e.node(v, place{})
		}
	})
	e.depth--
	e.indicator("]", false, false, false)
}

func (e *yamlEmitter) flowMap(keys, vals []any) {
	e.indicator("{", true, true, false)
	e.depth++
	e.deeper(true, false, func() {
		for i, k := range keys {
			if i > 0 {
				e.indicator(",", false, false, false)
			}
			if e.column > e.Width {
				e.writeIndent()
			}
			if s := e.toScalar(k); s.simple() {
				e.scalar(s, place{mapping: true, simpleKey: true})
				e.indicator(":", false, false, false)
			} else {
				e.indicator("?", true, false, false)
				e.scalar(s, place{mapping: true})
				if e.column > e.Width {
					e.writeIndent()
				}
				e.indicator(":", true, false, false)
			}
			e.node(vals[i], place{mapping: true})
		}
	})
	e.depth--
	e.indicator("}", false, false, false)
}

// yamlScalar is a scalar's text, its tag as YAML 1.1 names it, and how it reads.
type yamlScalar struct {
	text    string
	tag     string // "str", "int", "binary" …
	literal bool   // wants the | form
	shape   yamlShape
}

func (e *yamlEmitter) toScalar(v any) yamlScalar {
	s := toScalar(v)
	s.shape = shapeOf(s.text, e.ASCII)
	return s
}

func toScalar(v any) yamlScalar {
	s := yamlScalar{tag: "str"}
	switch x := v.(type) {
	case nil:
		s.text, s.tag = "null", "null"
	case bool:
		s.text, s.tag = jsonBool(x), "bool"
	case string:
		s.text = x
	case []byte:
		s.text, s.tag, s.literal = base64Lines(x), "binary", true
	case float64:
		s.text, s.tag = yamlFloat(x), "float"
	case time.Time:
		s.text, s.tag = isoTime(x, " "), "timestamp"
	case number:
		s.text, s.tag = string(x), "int"
	case Opaque:
		s.text, s.tag = "NULL", "null"
	case []any, *wire.Map: // as a key; Python has no such keys
		s.text = Repr(x)
	default:
		return toScalar(plain(v))
	}
	return s
}

// base64Lines is base64.encodebytes: lines of 76 characters, each ended.
func base64Lines(p []byte) string {
	var b strings.Builder
	for len(p) > 0 {
		n := min(57, len(p))
		b.WriteString(base64.StdEncoding.EncodeToString(p[:n]))
		b.WriteByte('\n')
		p = p[n:]
	}
	return b.String()
}

func yamlFloat(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return ".inf"
	case math.IsInf(f, -1):
		return "-.inf"
	case math.IsNaN(f):
		return ".nan"
	}
	s := Float(f)
	if !strings.Contains(s, ".") {
		s = strings.Replace(s, "e", ".0e", 1)
	}
	return s
}

// simple tells whether the scalar may stand before ":" on one line.
func (s yamlScalar) simple() bool {
	n := len(s.text)
	if s.tag == "binary" {
		n += len("!!binary")
	}
	return !s.shape.multiline && n <= 128
}

func (e *yamlEmitter) scalar(s yamlScalar, at place) {
	plainOK := YAMLTag(s.text) == s.tag
	tagged := !plainOK && s.tag != "str"
	style := '-'
	if e.Quotes != 0 {
		style = e.Quotes
	}
	if s.literal {
		style = '|'
	}
	if at.simpleKey && s.shape.multiline {
		style = '"'
	}
	if style == '-' {
		switch {
		case e.depth > 0 && !s.shape.flowPlain, e.depth == 0 && !s.shape.blockPlain,
			s.text == "" && (e.depth > 0 || at.simpleKey), !tagged && !plainOK:
			style = '\''
		}
	}
	if style == '\'' && !s.shape.single {
		style = '"'
	}
	if style == '|' && (!s.shape.block || e.depth > 0 || at.simpleKey) {
		style = '"'
	}
	tag := ""
	if tagged {
		tag = "!!" + s.tag
	} else if style != '-' && s.tag != "str" {
		tag = "!" // quotes would make it text, and it is not
	}
	if tag != "" {
		if !e.blank {
			e.write(" ")
		}
		e.write(tag)
		e.blank, e.fresh = false, false
	}
	e.deeper(true, false, func() {
		switch style {
		case '-':
			e.plain(s.text, !at.simpleKey)
		case '\'':
			e.single(s.text, !at.simpleKey)
		case '"':
			e.double(s.text, !at.simpleKey)
		default:
			e.literal(s.text)
		}
	})
}

func (e *yamlEmitter) plain(s string, breaks bool) {
	if !e.blank && (s != "" || e.depth > 0) {
		e.write(" ")
	}
	spaces := false
	for i := 0; i < len(s); {
		_, n := utf8.DecodeRuneInString(s[i:])
		if s[i] == ' ' {
			if breaks && !spaces && e.column > e.Width && !strings.HasPrefix(s[i+1:], " ") {
				e.writeIndent()
			} else {
				e.write(" ")
			}
			spaces = true
		} else {
			e.write(s[i : i+n])
			e.fresh, spaces = false, false
		}
		i += n
	}
	e.blank, e.fresh = false, false
}

func (e *yamlEmitter) single(s string, breaks bool) {
	e.indicator("'", true, false, false)
	spaces, broken := false, false
	for i := 0; i < len(s); {
		_, n := utf8.DecodeRuneInString(s[i:])
		c := s[i : i+n]
		switch {
		case c == " ":
			if breaks && !spaces && e.column > e.Width && i > 0 && i < len(s)-1 && s[i+1] != ' ' {
				e.writeIndent()
			} else {
				e.write(c)
			}
			spaces = true
		case yamlBreak(c):
			if !broken && c == "\n" {
				e.lineBreak()
			}
			e.b.WriteString(c)
			e.column = 0
			e.fresh, broken = true, true
		default:
			if broken {
				e.writeIndent()
			}
			if c == "'" {
				e.write("'")
			}
			e.write(c)
			e.fresh, spaces, broken = false, false, false
		}
		i += n
	}
	if broken {
		e.writeIndent()
	}
	e.indicator("'", false, false, false)
	e.blank, e.fresh = false, false
}

var yamlEscapes = map[rune]string{
	0: `\0`, 7: `\a`, 8: `\b`, 9: `\t`, 10: `\n`, 11: `\v`, 12: `\f`, 13: `\r`, 0x1b: `\e`,
	'"': `\"`, '\\': `\\`, 0x85: `\N`, 0xa0: `\_`, 0x2028: `\L`, 0x2029: `\P`,
}

func (e *yamlEmitter) double(s string, breaks bool) {
	e.indicator(`"`, true, false, false)
	spaces := false
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			e.write(fmt.Sprintf(`\uDC%02X`, s[i]))
			spaces = false
		case !yamlPrintable(r) || e.ASCII && r > 0x7e || yamlBreak(s[i:i+n]) || r == '"' || r == '\\':
			if esc, ok := yamlEscapes[r]; ok {
				e.write(esc)
			} else if r <= 0xff {
				e.write(fmt.Sprintf(`\x%02X`, r))
			} else if r <= 0xffff {
				e.write(fmt.Sprintf(`\u%04X`, r))
			} else {
				e.write(fmt.Sprintf(`\U%08X`, r))
			}
			spaces = false
		case r == ' ':
			if breaks && !spaces && e.column > e.Width && i > 0 && i < len(s)-1 {
				e.writeIndent()
				if s[i+1] == ' ' {
					e.write(`\`)
				}
			} else {
				e.write(" ")
			}
			spaces = true
		default:
			e.write(s[i : i+n])
			spaces = false
		}
		i += n
	}
	e.indicator(`"`, false, false, false)
	e.blank, e.fresh = false, false
}

// literal writes base64, whose text always ends in one line break: no hint is needed.
func (e *yamlEmitter) literal(s string) {
	e.indicator("|", true, false, false)
	e.lineBreak()
	e.blank, e.fresh = true, true
	lines := strings.Split(strings.TrimSuffix(s, "\n"), "\n")
	for i, line := range lines {
		e.writeIndent()
		e.write(line)
		e.fresh = false
		if i < len(lines)-1 {
			e.lineBreak()
			e.fresh = true
		}
	}
	e.blank = false
}

// yamlShape is what a text's characters allow.
type yamlShape struct {
	multiline, flowPlain, blockPlain, single, block bool
}

func shapeOf(s string, ascii bool) yamlShape {
	if s == "" {
		return yamlShape{blockPlain: true, single: true}
	}
	indicators, flowIndicators := false, false // anywhere; only inside brackets
	var special, lineBreaks, spaceBreak, breakSpace, afterSpace, afterBreak bool
	if strings.HasPrefix(s, "---") || strings.HasPrefix(s, "...") {
		indicators = true
	}
	first, last := true, false
	edgeBlank, trailingSpace := false, false
	afterBlank := true
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		last = i+n == len(s)
		nextBlank := last
		if !last {
			nr, nn := utf8.DecodeRuneInString(s[i+n:])
			nextBlank = nr == ' ' || nr == '\t' || nr == 0 || yamlBreak(s[i+n:i+n+nn])
		}
		if first {
			switch r {
			case '#', ',', '[', ']', '{', '}', '&', '*', '!', '|', '>', '\'', '"', '%', '@', '`':
				indicators = true
			case '?', ':':
				flowIndicators = true
				indicators = indicators || nextBlank
			case '-':
				indicators = indicators || nextBlank
			}
		} else {
			switch r {
			case ',', '?', '[', ']', '{', '}':
				flowIndicators = true
			case ':':
				flowIndicators = true
				indicators = indicators || nextBlank
			case '#':
				indicators = indicators || afterBlank
			}
		}
		isBreak := yamlBreak(s[i : i+n])
		special = special || !yamlPrintable(r) || ascii && r > 0x7e || r == utf8.RuneError && n == 1
		lineBreaks = lineBreaks || isBreak
		switch {
		case r == ' ':
			edgeBlank = edgeBlank || first || last
			trailingSpace = trailingSpace || last
			breakSpace = breakSpace || afterBreak
			afterSpace, afterBreak = true, false
		case isBreak:
			edgeBlank = edgeBlank || first || last
			spaceBreak = spaceBreak || afterSpace
			afterSpace, afterBreak = false, true
		default:
			afterSpace, afterBreak = false, false
		}
		afterBlank = r == ' ' || r == '\t' || r == 0 || isBreak
		first = false
		i += n
	}
	bad := spaceBreak || special
	plainOK := !edgeBlank && !breakSpace && !bad && !lineBreaks && !indicators
	return yamlShape{
		multiline:  lineBreaks,
		flowPlain:  plainOK && !flowIndicators,
		blockPlain: plainOK,
		single:     !breakSpace && !bad,
		block:      !trailingSpace && !bad,
	}
}

func yamlBreak(c string) bool {
	switch c {
	case "\n", "\r", "\u0085", "\u2028", "\u2029":
		return true
	}
	return false
}

// yamlPrintable is libyaml's idea of it, which ends at U+FFFD.
func yamlPrintable(r rune) bool {
	return r == '\n' || r >= 0x20 && r <= 0x7e || r >= 0xa0 && r <= 0xd7ff ||
		r >= 0xe000 && r <= 0xfffd && r != 0xfeff
}

type yamlTag struct {
	tag   string
	first string // characters it may begin with
	re    *lazyre.Regexp
}

// yamlTags are the patterns of yaml.org/type for YAML 1.1.
var yamlTags = [...]yamlTag{
	{"bool", "yYnNtTfFoO", lazyre.New(`^(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$`)},
	{"float", "-+0123456789.", lazyre.New(`^(?:[-+]?(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$`)},
	{"int", "-+0123456789", lazyre.New(`^(?:[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+)$`)},
	{"merge", "<", lazyre.New(`^<<$`)},
	{"null", "~nN", lazyre.New(`^(?:~|null|Null|NULL)$`)},
	{"timestamp", "0123456789", lazyre.New(`^(?:\d{4}-\d\d-\d\d|\d{4}-\d{1,2}-\d{1,2}(?:[Tt]|[ \t]+)\d{1,2}:\d\d:\d\d(?:\.\d*)?(?:[ \t]*(?:Z|[-+]\d{1,2}(?::?\d\d)?))?)$`)},
	{"value", "=", lazyre.New(`^=$`)},
	{"yaml", "!&*", lazyre.New(`^[!&*]$`)},
}

// YAMLTag names what a plain scalar is to a YAML 1.1 reader (PyYAML's resolver):
// "str", "bool", "int", "float", "null", "timestamp", "merge", "value" or "yaml".
func YAMLTag(s string) string {
	if s == "" {
		return "null"
	}
	for _, t := range yamlTags {
		if strings.IndexByte(t.first, s[0]) >= 0 && t.re.MatchString(s) {
			return t.tag
		}
	}
	return "str"
}
