// Package target says which minions a job is for. It reads all of Salt's target
// types and matches them with Salt's rules, for minions, which ask "is this me?",
// and for the master, which asks the same of every minion it knows.
//
// Start with Parse and Target.Match. A type each has its file: glob.go, regex.go,
// subdict.go (grains and pillar), ipcidr.go, compound.go, nodegroup.go.
//
// Where Salt takes a bad expression for one that matches nothing, Parse returns an
// error that says what was expected, and where.
package target

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gosalt/gosalt/protocol/wire"
)

// Options are what an expression is read with.
type Options struct {
	Delimiter  string    // between the keys of grains and pillar; "" is ":"
	Nodegroups *wire.Map // names for targets: text, or a list of words
	// Machines returns the ids of the machines that V@ means with this expression, as
	// "tag:role=web". Where it is nil, V@ is nothing special: minions know no inventory, and
	// get the ids.
	Machines func(expr string) ([]string, error)
}

// Subject is the minion that a target is held against.
type Subject struct {
	ID     string
	Grains *wire.Map
	Pillar *wire.Map
	Data   *wire.Map // the minion's own store (data.setval), for the type data

	// Unknown says what a condition on grains, pillar or address is worth when this
	// minion's grains and pillar have not been seen. A minion knows its own. A master
	// counting whom to expect takes Matches, as Salt (greedy); one that lists those
	// known to match takes Differs; one that asks what a user may reach takes Denies.
	Unknown Unknown

	negated bool // the condition being matched stands below an odd number of "not"
}

// unknown is the value of a condition on data that have not been seen.
func (s *Subject) unknown() bool {
	return s.Unknown == Matches || s.Unknown == Denies && s.negated
}

// Unknown is the value of conditions on data that nobody has seen.
type Unknown int

const (
	Seen    Unknown = iota // the data are there: look at them
	Matches                // not seen, taken as a match
	Differs                // not seen, taken as none; "not" makes a match of it
	Denies                 // not seen, and no reason to match, below "not" neither
)

// ParseError is an expression that cannot be read.
type ParseError struct {
	Kind   string // type of the target, as "compound"
	Expr   string // the whole expression
	Offset int    // in bytes, where it went wrong; -1 when it is about the whole
	Text   string // what was expected, and what came
}

// Error is one line: the kind, the expression, the place and the text.
func (e *ParseError) Error() string {
	if e.Offset < 0 {
		return fmt.Sprintf("%s target %q: %s", e.Kind, e.Expr, e.Text)
	}
	return fmt.Sprintf("%s target %q: at character %d: %s", e.Kind, e.Expr, utf8.RuneCountInString(e.Expr[:min(e.Offset, len(e.Expr))])+1, e.Text)
}

// matcher is one condition.
type matcher interface {
	match(s *Subject) (bool, error)
}

// Target is an expression that has been read. It may be used by many goroutines.
type Target struct {
	kind    string
	expr    any
	m       matcher
	uses    uses
	listed  []string
	exactID string
}

// uses says which data a target looks at.
type uses struct{ grains, pillar, data, machines bool }

// maxExpr is the size of the longest expression taken: as text, 100,000 long ids.
const maxExpr = 8 << 20

// Kinds are the types of targets that Parse takes, by their names on the wire.
var Kinds = []string{
	"glob", "pcre", "list", "grain", "grain_pcre", "pillar", "pillar_pcre", "pillar_exact",
	"ipcidr", "compound", "compound_pillar_exact", "nodegroup", "data", "range",
}

// Parse reads an expression: text, or for list and compound also a list of texts
// ([]string or []any). An empty kind is glob. The error is a *ParseError.
func Parse(expr any, kind string, o Options) (*Target, error) {
	if kind == "" {
		kind = "glob"
	}
	p := &parser{kind: kind, delimiter: o.Delimiter, groups: o.Nodegroups, machines: o.Machines}
	if p.delimiter == "" {
		p.delimiter = ":"
	}
	text, words, err := p.shape(expr)
	if err != nil {
		return nil, err
	}
	t := &Target{kind: kind, expr: expr}
	switch kind {
	case "glob":
		t.m = idGlob{compileGlob(text)}
		if g := compileGlob(text); g.plain {
			t.exactID = g.text
		}
	case "pcre":
		re, err := compileRegex(text)
		if err != nil {
			return nil, p.fail(-1, "%v", err)
		}
		t.m = idRegex{re}
	case "list":
		l := newIDList(text, words)
		t.m, t.listed = l, l.ids
	case "grain":
		t.m, err = p.dictMatcher(text, -1, fromGrains, globValue, p.delimiter)
	case "grain_pcre":
		t.m, err = p.dictMatcher(text, -1, fromGrains, regexValue, p.delimiter)
	case "pillar":
		t.m, err = p.dictMatcher(text, -1, fromPillar, globValue, p.delimiter)
	case "pillar_pcre":
		t.m, err = p.dictMatcher(text, -1, fromPillar, regexValue, p.delimiter)
	case "pillar_exact":
		t.m, err = p.dictMatcher(text, -1, fromPillar, exactValue, p.delimiter)
	case "ipcidr":
		t.m, err = p.ipMatcher(text, -1)
	case "data":
		t.m, err = p.dataMatcher(text)
	case "compound", "compound_pillar_exact":
		if words == nil {
			words = strings.Fields(text)
		}
		t.m, err = p.compound(words)
		t.listed = p.listed
	case "nodegroup":
		words, err = p.nodegroup(text, true, nil)
		if err != nil {
			return nil, err
		}
		p.whole = strings.Join(words, " ")
		t.m, err = p.compound(words)
		if p.expanded != nil {
			words = p.expanded
		}
		t.kind, t.expr, t.listed = "compound", joinWords(words), p.listed
	case "range":
		return nil, p.fail(-1, "ranges need a range server, which gosalt does not speak to: use a list (-L) or a nodegroup (-N)")
	default:
		return nil, p.fail(-1, "no such type of target: one of %s is expected", strings.Join(Kinds, ", "))
	}
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(kind, "compound") && p.expanded != nil {
		t.expr = joinWords(p.expanded)
	}
	t.uses = p.uses
	return t, nil
}

// Match tells whether a minion is meant. An error means that this could not be
// decided, since a regular expression took too long.
func (t *Target) Match(s Subject) (bool, error) { return t.m.match(&s) }

// Kind is the type as it goes over the wire: that of a nodegroup is compound.
func (t *Target) Kind() string { return t.kind }

// Wire is the expression as it goes over the wire, text or a list: with nodegroups
// written out, since minions do not know them.
func (t *Target) Wire() any { return t.expr }

// Listed are the ids that the expression names in lists, so that a master can say
// which of them it does not know. Lists after "not" are left out, as in Salt.
func (t *Target) Listed() []string { return t.listed }

// ID is the one id that the target can match, "" when it may match several.
func (t *Target) ID() string { return t.exactID }

// NeedsGrains tells whether matching looks at grains.
func (t *Target) NeedsGrains() bool { return t.uses.grains }

// NeedsPillar tells whether matching looks at the pillar.
func (t *Target) NeedsPillar() bool { return t.uses.pillar }

// NeedsMachines tells whether the target was worked out from an inventory (V@).
func (t *Target) NeedsMachines() bool { return t.uses.machines }

// parser carries what the parts of one expression share.
type parser struct {
	kind      string
	delimiter string
	groups    *wire.Map
	machines  func(expr string) ([]string, error)
	uses      uses
	listed    []string

	whole    string   // the expression as text, for errors
	offsets  []int    // of the words of a compound expression in whole
	expanded []string // the words of a compound expression with nodegroups and V@ written out
	found    []bool   // of these words: a list that V@ came to
}

func (p *parser) fail(offset int, format string, args ...any) error {
	expr := p.whole
	if len(expr) > 200 {
		expr, offset = expr[:200]+"...", -1
	}
	return &ParseError{Kind: p.kind, Expr: expr, Offset: offset, Text: fmt.Sprintf(format, args...)}
}

// shape checks what an expression is made of.
func (p *parser) shape(expr any) (text string, words []string, err error) {
	switch e := expr.(type) {
	case nil:
	case string:
		text = e
	case []string:
		words = slices.Clone(e)
	case []any:
		words = make([]string, len(e))
		for i, w := range e {
			s, ok := w.(string)
			if !ok {
				return "", nil, p.fail(-1, "text is expected at place %d of the list, got a %T", i+1, w)
			}
			words[i] = s
		}
	default:
		return "", nil, p.fail(-1, "text is expected, got a %T", expr)
	}
	p.whole = text
	if words != nil {
		p.whole = strings.Join(words, " ")
		if p.kind == "list" {
			p.whole = strings.Join(words, ",")
		}
	}
	takesList := p.kind == "list" || strings.HasPrefix(p.kind, "compound")
	switch {
	case words != nil && !takesList:
		return "", nil, p.fail(-1, "text is expected, got a list")
	case words == nil && text == "", p.kind != "list" && words != nil && len(words) == 0:
		return "", nil, p.fail(-1, "it is empty: name minions, '*' is all of them")
	}
	if len(p.whole) > maxExpr {
		return "", nil, p.fail(-1, "%d bytes: at most %d are allowed", len(p.whole), maxExpr)
	}
	if !utf8.ValidString(p.whole) {
		return "", nil, p.fail(-1, "it is not UTF-8 text")
	}
	return text, words, nil
}

// idGlob is a glob held against the id.
type idGlob struct{ *glob }

func (g idGlob) match(s *Subject) (bool, error) { return g.glob.match(s.ID), nil }

// idRegex is a regular expression held against the id.
type idRegex struct{ *regex }

func (r idRegex) match(s *Subject) (bool, error) { return r.regex.match(s.ID) }

// idList is a list of ids.
type idList struct {
	ids  []string
	set  map[string]struct{}
	text string // the list as one text, where it came so
}

func newIDList(text string, words []string) *idList {
	l := &idList{ids: words, text: text}
	if words == nil {
		l.ids = slices.DeleteFunc(strings.Split(text, ","), func(s string) bool { return s == "" })
	}
	l.set = make(map[string]struct{}, len(l.ids))
	for _, id := range l.ids {
		l.set[id] = struct{}{}
	}
	return l
}

func (l *idList) match(s *Subject) (bool, error) {
	if _, ok := l.set[s.ID]; ok {
		return true, nil
	}
	if l.text == "" || !strings.Contains(s.ID, ",") {
		return false, nil
	}
	// An id with a comma in it spans several of the list's words.
	return strings.Contains(","+l.text+",", ","+s.ID+","), nil
}
