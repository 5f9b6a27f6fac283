package target

import (
	"strings"
	"unicode/utf8"
)

// A compound expression is words with spaces between them: conditions, "and", "or",
// "not" and parentheses. "not" binds closest, then "and", then "or"; "a not b" is "a
// and not b". A condition is a letter, for some a delimiter, "@" and a pattern; without
// these it is a glob.

// maxNesting is how deep parentheses and "not" may be nested.
const maxNesting = 200

func isOperator(w string) bool {
	return w == "and" || w == "or" || w == "not" || w == "(" || w == ")"
}

type (
	andNode struct{ list []matcher }
	orNode  struct{ list []matcher }
	notNode struct{ m matcher }
)

func (n andNode) match(s *Subject) (bool, error) {
	for _, m := range n.list {
		if ok, err := m.match(s); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

func (n orNode) match(s *Subject) (bool, error) {
	for _, m := range n.list {
		if ok, err := m.match(s); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

func (n notNode) match(s *Subject) (bool, error) {
	below := *s
	below.negated = !s.negated
	ok, err := n.m.match(&below)
	return !ok && err == nil, err
}

// compound reads the words of an expression.
func (p *parser) compound(words []string) (matcher, error) {
	words, err := p.locate(words)
	if err != nil {
		return nil, err
	}
	c := &compoundParser{parser: p, words: words}
	m, err := c.or(0)
	if err != nil {
		return nil, err
	}
	if c.i < len(words) {
		return nil, c.unexpected(`"and" or "or"`)
	}
	return m, nil
}

// locate finds the place of each word, and writes nodegroups out.
func (p *parser) locate(words []string) ([]string, error) {
	var out []string
	at := 0
	for _, w := range words {
		if i := strings.Index(p.whole[min(at, len(p.whole)):], w); i >= 0 {
			at += i
		}
		if e, _, pattern := splitTarget(w); e == 'N' {
			inner, err := p.nodegroup(pattern, true, nil)
			if err != nil {
				return nil, err
			}
			for _, v := range inner {
				if err := p.word(&out, v, at); err != nil {
					return nil, err
				}
			}
			p.expanded = []string{}
		} else if err := p.word(&out, w, at); err != nil {
			return nil, err
		}
		at += len(w)
		if len(out) > maxWords {
			return nil, p.fail(-1, "more than %d words", maxWords)
		}
	}
	if p.expanded != nil {
		p.expanded = out
	}
	return out, nil
}

// word adds a word. One that asks the inventory becomes a list of ids, so that minions,
// Salt's too, know what is meant.
func (p *parser) word(out *[]string, w string, at int) error {
	expr, ok := strings.CutPrefix(w, "V@")
	if ok = ok && p.machines != nil && expr != ""; ok {
		ids, err := p.machines(expr)
		if err != nil {
			return p.fail(at, "%v", err)
		}
		w = "L@" + strings.Join(ids, ",")
		if len(ids) == 0 {
			w = "L@," // nobody
		}
		p.expanded, p.uses.machines = []string{}, true
	}
	*out, p.offsets, p.found = append(*out, w), append(p.offsets, at), append(p.found, ok)
	return nil
}

type compoundParser struct {
	*parser
	words []string
	i     int
	nots  int // how many "not" stand directly before the condition being read
}

func (c *compoundParser) peek() string {
	if c.i < len(c.words) {
		return c.words[c.i]
	}
	return ""
}

func (c *compoundParser) unexpected(expected string) error {
	if c.i >= len(c.words) {
		return c.fail(len(c.whole), "%s is expected, but it ends here", expected)
	}
	return c.fail(c.offsets[c.i], "%s is expected, got %q", expected, c.words[c.i])
}

func (c *compoundParser) or(depth int) (matcher, error) {
	return c.chain("or", func() (matcher, error) { return c.and(depth) })
}

func (c *compoundParser) and(depth int) (matcher, error) {
	return c.chain("and", func() (matcher, error) { return c.not(depth) })
}

// chain reads conditions with one operator between them.
func (c *compoundParser) chain(operator string, next func() (matcher, error)) (matcher, error) {
	var list []matcher
	for {
		m, err := next()
		if err != nil {
			return nil, err
		}
		list = append(list, m)
		switch {
		case c.i < len(c.words) && c.peek() == operator:
			c.i++
		case operator == "and" && c.i < len(c.words) && c.peek() == "not": // "a not b"
		case len(list) == 1:
			return m, nil
		case operator == "and":
			return andNode{list}, nil
		default:
			return orNode{list}, nil
		}
	}
}

func (c *compoundParser) not(depth int) (matcher, error) {
	if depth > maxNesting {
		return nil, c.fail(c.offsets[min(c.i, len(c.offsets)-1)], "nested deeper than %d levels", maxNesting)
	}
	if c.i < len(c.words) && c.peek() == "not" {
		c.i++
		if c.i < len(c.words) && c.peek() == "not" {
			return nil, c.unexpected(`a condition or "("`)
		}
		c.nots = c.i
		m, err := c.primary(depth + 1)
		if err != nil {
			return nil, err
		}
		return notNode{m}, nil
	}
	return c.primary(depth + 1)
}

func (c *compoundParser) primary(depth int) (matcher, error) {
	if c.i >= len(c.words) {
		return nil, c.unexpected("a condition")
	}
	w := c.words[c.i]
	if w == "(" {
		open := c.i
		c.i++
		m, err := c.or(depth)
		if err != nil {
			return nil, err
		}
		if c.i >= len(c.words) {
			return nil, c.fail(c.offsets[open], `this "(" has no ")"`)
		}
		if c.peek() != ")" {
			return nil, c.unexpected(`"and", "or" or ")"`)
		}
		c.i++
		return m, nil
	}
	if isOperator(w) {
		return nil, c.unexpected(`a condition, "not" or "("`)
	}
	at := c.offsets[c.i]
	// Whom the inventory has need not be a minion: nobody named it.
	negated := c.nots == c.i && c.i > 0 || c.found[c.i]
	c.i++
	return c.condition(w, at, negated)
}

// condition reads one word that is no operator.
func (c *compoundParser) condition(w string, at int, negated bool) (matcher, error) {
	engine, delimiter, pattern := splitTarget(w)
	body := at + len(w) - len(pattern)
	if delimiter == "" {
		delimiter = ":"
	}
	pillar := globValue
	pillarRegex := regexValue
	if c.kind == "compound_pillar_exact" {
		pillar, pillarRegex = exactValue, exactValue
	}
	switch engine {
	case 'G':
		return c.dictMatcher(pattern, body, fromGrains, globValue, delimiter)
	case 'P':
		return c.dictMatcher(pattern, body, fromGrains, regexValue, delimiter)
	case 'I':
		return c.dictMatcher(pattern, body, fromPillar, pillar, delimiter)
	case 'J':
		return c.dictMatcher(pattern, body, fromPillar, pillarRegex, delimiter)
	case 'S':
		return c.ipMatcher(pattern, body)
	case 'E':
		re, err := compileRegex(pattern)
		if err != nil {
			return nil, c.fail(body, "%v", err)
		}
		return idRegex{re}, nil
	case 'L':
		l := newIDList(pattern, nil)
		if !negated {
			c.listed = append(c.listed, l.ids...)
		}
		return l, nil
	case 'N':
		return nil, c.fail(at, "a nodegroup within a nodegroup's list: write it as a word of its own")
	case 'R':
		return nil, c.fail(at, "ranges need a range server, which gosalt does not speak to: use L@ or N@")
	}
	if n := len(w); n > 1 && (w[0] == '(' && !strings.Contains(w, ")") || w[n-1] == ')' && !strings.Contains(w, "(")) {
		return nil, c.fail(at, "a parenthesis is a word of its own: put spaces around it in %q", w)
	}
	return idGlob{compileGlob(w)}, nil
}

// splitTarget takes a word apart: the letter of its type, 0 where it has none, the
// delimiter that stands behind G, P, I and J, and the pattern (salt's TARGET_REX).
func splitTarget(w string) (engine byte, delimiter, pattern string) {
	if len(w) < 3 || !strings.ContainsRune("GPIJLNSER", rune(w[0])) {
		return 0, "", w
	}
	rest := w[1:]
	if strings.IndexByte("GPIJ", w[0]) >= 0 {
		_, n := utf8.DecodeRuneInString(rest)
		if after, ok := strings.CutPrefix(rest[n:], "@"); ok && after != "" && rest[0] != '\n' {
			return w[0], rest[:n], after
		}
	}
	if after, ok := strings.CutPrefix(rest, "@"); ok && after != "" {
		return w[0], "", after
	}
	return 0, "", w
}
