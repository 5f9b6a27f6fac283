// Package nodeset writes many names as one short text and reads it again:
// web01, web02, web03 and db1 are db1,web[01-03]. It is the notation of ClusterShell.
package nodeset

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// MaxNames is how many names a text may stand for.
const MaxNames = 100_000

// maxDigits is the length up to which digits are a number that is counted.
const maxDigits = 9

// Fold writes names as a set: sorted, each once, those that differ only in a number
// joined. Numbers of different width, as 1 and 01, are not joined with each other.
func Fold(names []string) string {
	names = slices.Clone(names)
	slices.SortFunc(names, Compare)
	names = slices.Compact(names)
	// The last number is folded first, then the one before it, while that joins anything.
	sets := make([]folded, len(names))
	for i, n := range names {
		sets[i] = split(n)
	}
	for pos := 0; ; pos++ {
		var more bool
		if sets, more = foldAt(sets, pos); !more {
			break
		}
	}
	texts := make([]string, len(sets))
	for i, f := range sets {
		texts[i] = f.String()
	}
	return strings.Join(texts, ",")
}

// folded is a name cut into texts and numbers: texts[0] nums[0] texts[1] ...
type folded struct {
	texts, nums []string
	at          int
	values      []string
}

func split(name string) folded {
	var f folded
	for name != "" {
		i := strings.IndexAny(name, "0123456789")
		if i < 0 {
			break
		}
		k := i
		for k < len(name) && name[k] >= '0' && name[k] <= '9' {
			k++
		}
		f.texts = append(f.texts, name[:i])
		f.nums = append(f.nums, name[i:k])
		name = name[k:]
	}
	f.texts = append(f.texts, name)
	return f
}

func (f folded) String() string {
	var b strings.Builder
	for i, n := range f.nums {
		b.WriteString(f.texts[i])
		b.WriteString(n)
	}
	b.WriteString(f.texts[len(f.texts)-1])
	return b.String()
}

// foldAt joins the sets that differ only in their pos-th number from the end. more
// is false when none has so many.
func foldAt(sets []folded, pos int) (out []folded, more bool) {
	padded := map[string]bool{} // by what else they have, and width: numbers are written with zeros
	for _, f := range sets {
		if k := len(f.nums) - 1 - pos; k >= 0 && hasZeros(f.nums[k]) {
			padded[f.without(k, len(f.nums[k]))] = true
		}
	}
	at := map[string]int{}
	for _, f := range sets {
		k := len(f.nums) - 1 - pos
		if k < 0 {
			out = append(out, f)
			continue
		}
		more = true
		n := f.nums[k]
		key := f.without(k, len(n))
		switch {
		case len(n) > maxDigits:
			key = f.String() // too long to count with
		case !padded[key]:
			key = f.without(k, 0) // 9 and 10 go together
		}
		i, ok := at[key]
		if !ok {
			i = len(out)
			at[key] = i
			f.at, f.values = k, nil
			out = append(out, f)
		}
		out[i].values = append(out[i].values, n)
	}
	for i := range out {
		if f := &out[i]; len(f.values) > 1 {
			f.nums = slices.Clone(f.nums)
			f.nums[f.at] = "[" + ranges(f.values) + "]"
		}
		out[i].values = nil
	}
	return out, more
}

func hasZeros(n string) bool { return len(n) > 1 && n[0] == '0' && len(n) <= maxDigits }

// without is what a set has besides its k-th number, with the width of that.
func (f folded) without(k, width int) string {
	g := folded{texts: f.texts, nums: slices.Clone(f.nums)}
	g.nums[k] = "\x00" + strconv.Itoa(width)
	return g.String()
}

// ranges joins numbers that follow each other: 01,02,03,07 is 01-03,07.
func ranges(values []string) string {
	slices.SortFunc(values, compareNumbers)
	var out []string
	for i := 0; i < len(values); {
		k := i
		for k+1 < len(values) && next(values[k]) == values[k+1] {
			k++
		}
		if k == i {
			out = append(out, values[i])
		} else {
			out = append(out, values[i]+"-"+values[k])
		}
		i = k + 1
	}
	return strings.Join(out, ",")
}

// next is the number after n, written to the same width.
func next(n string) string {
	v, err := strconv.Atoi(n)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%0*d", len(n), v+1)
}

// Compare orders names by their texts, and by their numbers as numbers.
func Compare(a, b string) int {
	x, y := split(a), split(b)
	for i := 0; i < len(x.texts) && i < len(y.texts); i++ {
		if c := cmp.Compare(x.texts[i], y.texts[i]); c != 0 {
			return c
		}
		if i < len(x.nums) && i < len(y.nums) {
			if c := compareNumbers(x.nums[i], y.nums[i]); c != 0 {
				return c
			}
		}
	}
	return cmp.Compare(len(x.texts), len(y.texts))
}

func compareNumbers(a, b string) int {
	x, y := strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y), cmp.Compare(len(a), len(b)))
}

// Split cuts a list at the commas that are not in brackets.
func Split(s string) []string {
	var out []string
	depth, from := 0, 0
	for i, r := range s {
		switch r {
		case '[':
			depth++
		case ']':
			depth--
		case ',':
			if depth <= 0 {
				out = append(out, s[from:i])
				from = i + 1
			}
		}
	}
	return append(out, s[from:])
}

// Expand gives the names that a text stands for, in its order. A text without
// brackets stands for itself. The error says what is wrong with it.
func Expand(s string) ([]string, error) {
	i := strings.IndexByte(s, '[')
	if i < 0 {
		return []string{s}, nil
	}
	k := strings.IndexByte(s[i:], ']')
	if k < 0 {
		return nil, fmt.Errorf("%q: ] expected after [", s)
	}
	k += i
	rest, err := Expand(s[k+1:])
	if err != nil {
		return nil, err
	}
	var out []string
	for part := range strings.SplitSeq(s[i+1:k], ",") {
		nums, err := span(part)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", s, err)
		}
		if len(out)+len(nums)*len(rest) > MaxNames {
			return nil, fmt.Errorf("%q stands for more than %d names", s, MaxNames)
		}
		for _, n := range nums {
			for _, r := range rest {
				out = append(out, s[:i]+n+r)
			}
		}
	}
	return out, nil
}

// span reads a number, or two with a dash between them.
func span(part string) ([]string, error) {
	first, last, isRange := strings.Cut(part, "-")
	if !isRange {
		last = first
	}
	from, err := strconv.ParseUint(first, 10, 31)
	if err != nil {
		return nil, fmt.Errorf("%q is no number: numbers and ranges like 01-20 expected in brackets", part)
	}
	to, err := strconv.ParseUint(last, 10, 31)
	if err != nil {
		return nil, fmt.Errorf("%q is no number: numbers and ranges like 01-20 expected in brackets", part)
	}
	if to < from {
		return nil, fmt.Errorf("%q goes backwards", part)
	}
	if to-from >= MaxNames {
		return nil, fmt.Errorf("%q stands for more than %d names", part, MaxNames)
	}
	var out []string
	for n := from; n <= to; n++ {
		out = append(out, fmt.Sprintf("%0*d", len(first), n))
	}
	return out, nil
}
