package jinja

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/gosalt/gosalt/jinja/py"
)

func isLetter(r rune) bool { return unicode.IsLetter(r) }

// links are the forms that urlize knows, made when first needed: they are large.
var links = sync.OnceValue(func() (f struct{ url, mail, scheme, head, tail, space *regexp.Regexp }) {
	f.url = regexp.MustCompile(`(?i)^((https?://|www\.)(([\w%-]+\.)+)?([a-z]{2,63}|xn--[\w%]{2,59})` +
		`|([\w%-]{2,63}\.)+(com|net|int|edu|gov|org|info|mil)` +
		`|(https?://)((([\d]{1,3})(\.[\d]{1,3}){3})|(\[([\da-f]{0,4}:){2}([\da-f]{0,4}:?){1,6}\])))` +
		`(?::[\d]{1,5})?(?:[/?#]\S*)?$`)
	f.mail = regexp.MustCompile(`^\S+@\w[\w.-]*\.\w+$`)
	f.scheme = regexp.MustCompile(`^([\w.+-]{2,}:(/){0,2})$`)
	f.head = regexp.MustCompile(`^([(<]|&lt;)+`)
	f.tail = regexp.MustCompile(`([)>.,\n]|&gt;)+$`)
	f.space = regexp.MustCompile(`\s+`)
	return f
})

// filterUrlize makes links of addresses in text.
func filterUrlize(c *py.Call) (py.Value, error) {
	m, err := py.Escape(c.T, c.Args[0])
	if err != nil {
		return nil, err
	}
	limit := -1
	if c.Args[1] != nil {
		if limit, err = intArg(c, 1); err != nil {
			return nil, err
		}
	}
	nofollow, err := truth(c, 2)
	if err != nil {
		return nil, err
	}
	relText, _ := py.AsString(c.Args[4])
	rels := append(strings.Fields(relText), "noopener")
	if nofollow {
		rels = append(rels, "nofollow")
	}
	slices.Sort(rels)
	attrs := ` rel="` + html(strings.Join(slices.Compact(rels), " ")) + `"`
	if target, ok := py.AsString(c.Args[3]); ok && target != "" {
		attrs += ` target="` + html(target) + `"`
	}
	var schemes []string
	if c.Args[5] != nil {
		err := py.Each(c.T, c.Args[5], func(v py.Value) error {
			s, _ := py.AsString(v)
			if !links().scheme.MatchString(s) {
				return py.Raise("FilterArgumentError", "%s is not a valid URI scheme prefix.", py.Quote(s))
			}
			schemes = append(schemes, s)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	text := string(m)
	var b strings.Builder
	last := 0
	for _, at := range append(links().space.FindAllStringIndex(text, -1), []int{len(text), len(text)}) {
		b.WriteString(linkWord(text[last:at[0]], limit, attrs, schemes))
		b.WriteString(text[at[0]:at[1]])
		last = at[1]
	}
	return b.String(), c.T.Alloc(b.Len())
}

func html(s string) string {
	m, _ := py.Escape(nil, s)
	return string(m)
}

func linkWord(word string, limit int, attrs string, schemes []string) string {
	head := links().head.FindString(word)
	middle := word[len(head):]
	tail := links().tail.FindString(middle)
	middle = strings.TrimSuffix(middle, tail)
	for _, pair := range [][2]string{{"(", ")"}, {"<", ">"}, {"&lt;", "&gt;"}} {
		open := strings.Count(middle, pair[0])
		if open <= strings.Count(middle, pair[1]) {
			continue
		}
		for range min(open, strings.Count(tail, pair[1])) {
			end := strings.Index(tail, pair[1]) + len(pair[1])
			middle += tail[:end]
			tail = tail[end:]
		}
	}
	shown := middle
	if limit >= 0 && utf8.RuneCountInString(shown) > limit {
		shown = string([]rune(shown)[:limit]) + "..."
	}
	switch {
	case links().url.MatchString(middle):
		url := middle
		if !strings.HasPrefix(url, "https://") && !strings.HasPrefix(url, "http://") {
			url = "https://" + url
		}
		middle = `<a href="` + url + `"` + attrs + `>` + shown + `</a>`
	case strings.HasPrefix(middle, "mailto:") && links().mail.MatchString(middle[7:]):
		middle = `<a href="` + middle + `">` + middle[7:] + `</a>`
	case strings.Contains(middle, "@") && !strings.HasPrefix(middle, "www.") && !strings.Contains(middle, ":") && links().mail.MatchString(middle):
		middle = `<a href="mailto:` + middle + `">` + middle + `</a>`
	default:
		for _, s := range schemes {
			if middle != s && strings.HasPrefix(middle, s) {
				middle = `<a href="` + middle + `"` + attrs + `>` + middle + `</a>`
			}
		}
	}
	return head + middle + tail
}
