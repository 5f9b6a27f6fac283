package target

import (
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/pytext"
)

// maxWords is how many words an expression may have, nodegroups written out.
const maxWords = 100_000

// nodegroup writes a nodegroup out as the words of a compound expression, as
// salt.utils.minions.nodegroup_comp does: a group within a group stands in
// parentheses, the outermost does not, unless it holds another one; a group of bare
// names becomes a list, one with brackets or question marks a regular expression.
// chain are the groups around it.
func (p *parser) nodegroup(name string, first bool, chain []string) ([]string, error) {
	if slices.Contains(chain, name) {
		return nil, p.fail(-1, "the nodegroup %q is part of itself: %s", name, strings.Join(append(chain, name), " > "))
	}
	def, ok := p.groups.Get(name)
	if !ok {
		return nil, p.fail(-1, "there is no nodegroup %q%s", name, p.groupHint())
	}
	var words []string
	switch d := def.(type) {
	case string:
		words = strings.Fields(d)
	case []any:
		for _, w := range d {
			words = append(words, pytext.Str(w))
		}
	default:
		return nil, p.fail(-1, "the nodegroup %q is %s: text or a list of texts is expected", name, pytext.TypeName(def))
	}
	if len(words) == 0 {
		return nil, p.fail(-1, "the nodegroup %q is empty", name)
	}
	nested := false
	var out []string
	for _, w := range words {
		if len(w) < 3 || !strings.HasPrefix(w, "N@") {
			out = append(out, w)
			continue
		}
		nested = true
		inner, err := p.nodegroup(w[2:], false, append(slices.Clone(chain), name))
		if err != nil {
			return nil, err
		}
		if out = append(out, inner...); len(out) > maxWords {
			return nil, p.fail(-1, "the nodegroup %q has more than %d words", name, maxWords)
		}
	}
	if nested && first {
		return append(append([]string{"("}, out...), ")"), nil
	}
	if joined, ok := bareNames(words); ok {
		return []string{joined}, nil
	}
	if !first {
		return append(append([]string{"("}, out...), ")"), nil
	}
	return words, nil
}

// bareNames turns a group without operators, wildcards and types into one word: a list
// of names, or a regular expression where a name has a character of those.
func bareNames(words []string) (string, bool) {
	expression := false
	for _, w := range words {
		typed := len(w) >= 2 && w[0] >= 'A' && w[0] <= 'Z' && w[1] == '@'
		if isOperator(w) || strings.Contains(w, "*") || typed {
			return "", false
		}
		expression = expression || strings.ContainsAny(w, `([{\?}])`)
	}
	if expression {
		return "E@" + strings.Join(words, ","), true
	}
	return "L@" + strings.Join(words, ","), true
}

// groupHint names the groups that there are.
func (p *parser) groupHint() string {
	var names []string
	for k := range p.groups.Strings() {
		names = append(names, k)
	}
	switch {
	case len(names) == 0:
		return ": the configuration has none (option nodegroups)"
	case len(names) > 20:
		names = append(names[:20], "...")
	}
	return ": there are " + strings.Join(names, ", ")
}

// joinWords makes the expression for the wire: text, or a list where a word has a space
// in it.
func joinWords(words []string) any {
	if !slices.ContainsFunc(words, func(w string) bool { return len(strings.Fields(w)) != 1 || strings.TrimSpace(w) != w }) {
		return strings.Join(words, " ")
	}
	list := make([]any, len(words))
	for i, w := range words {
		list[i] = w
	}
	return list
}
