// Package pydiff compares lists of lines as Python's difflib does, to the letter: the
// diffs of changed files are part of what users of Salt read, store and match.
package pydiff

import (
	"fmt"
	"slices"
	"strings"
)

// Unified returns the unified diff that turns a into b, with context lines of context
// around each change; "" where they are equal. Lines keep their line ends, as those of
// pytext.SplitLines do.
func Unified(a, b []string, fromFile, toFile string, context int) string {
	var out strings.Builder
	for _, group := range grouped(opcodes(a, b), context) {
		if out.Len() == 0 {
			fmt.Fprintf(&out, "--- %s\n+++ %s\n", fromFile, toFile)
		}
		first, last := group[0], group[len(group)-1]
		fmt.Fprintf(&out, "@@ -%s +%s @@\n", span(first.i1, last.i2), span(first.j1, last.j2))
		for _, op := range group {
			if op.equal {
				for _, line := range a[op.i1:op.i2] {
					out.WriteString(" " + line)
				}
				continue
			}
			for _, line := range a[op.i1:op.i2] {
				out.WriteString("-" + line)
			}
			for _, line := range b[op.j1:op.j2] {
				out.WriteString("+" + line)
			}
		}
	}
	return out.String()
}

// span is a range of lines as unified diffs write it.
func span(start, stop int) string {
	n := stop - start
	switch {
	case n == 1:
		return fmt.Sprint(start + 1)
	case n == 0:
		return fmt.Sprintf("%d,0", start)
	}
	return fmt.Sprintf("%d,%d", start+1, n)
}

// opcode says that a[i1:i2] becomes b[j1:j2].
type opcode struct {
	equal          bool
	i1, i2, j1, j2 int
}

// block is a run of lines that both have: a[i:i+n] is b[j:j+n].
type block struct{ i, j, n int }

func opcodes(a, b []string) []opcode {
	var ops []opcode
	i, j := 0, 0
	for _, m := range matches(a, b) {
		if i < m.i || j < m.j {
			ops = append(ops, opcode{false, i, m.i, j, m.j})
		}
		i, j = m.i+m.n, m.j+m.n
		if m.n > 0 {
			ops = append(ops, opcode{true, m.i, i, m.j, j})
		}
	}
	return ops
}

// matches are the blocks that both have, in order, neighbours joined, with an empty one
// at the end (SequenceMatcher.get_matching_blocks).
func matches(a, b []string) []block {
	where := map[string][]int{}
	for j, line := range b {
		where[line] = append(where[line], j)
	}
	if n := len(b); n >= 200 { // lines that are everywhere say nothing
		for line, at := range where {
			if len(at) > n/100+1 {
				delete(where, line)
			}
		}
	}
	var found []block
	type piece struct{ alo, ahi, blo, bhi int }
	todo := []piece{{0, len(a), 0, len(b)}}
	for len(todo) > 0 {
		p := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		m := longest(a, b, where, p.alo, p.ahi, p.blo, p.bhi)
		if m.n == 0 {
			continue
		}
		found = append(found, m)
		if p.alo < m.i && p.blo < m.j {
			todo = append(todo, piece{p.alo, m.i, p.blo, m.j})
		}
		if m.i+m.n < p.ahi && m.j+m.n < p.bhi {
			todo = append(todo, piece{m.i + m.n, p.ahi, m.j + m.n, p.bhi})
		}
	}
	slices.SortFunc(found, func(x, y block) int {
		if x.i != y.i {
			return x.i - y.i
		}
		return x.j - y.j
	})
	var out []block
	var cur block
	for _, m := range found {
		if cur.i+cur.n == m.i && cur.j+cur.n == m.j {
			cur.n += m.n
			continue
		}
		if cur.n > 0 {
			out = append(out, cur)
		}
		cur = m
	}
	if cur.n > 0 {
		out = append(out, cur)
	}
	return append(out, block{len(a), len(b), 0})
}

// longest is the longest run that a[alo:ahi] and b[blo:bhi] have in common, of equals the
// one that begins first in a, then in b.
func longest(a, b []string, where map[string][]int, alo, ahi, blo, bhi int) block {
	best := block{alo, blo, 0}
	run := map[int]int{} // length of the run that ends at a[i-1], b[j]
	for i := alo; i < ahi; i++ {
		next := map[int]int{}
		for _, j := range where[a[i]] {
			if j < blo {
				continue
			}
			if j >= bhi {
				break
			}
			k := run[j-1] + 1
			next[j] = k
			if k > best.n {
				best = block{i - k + 1, j - k + 1, k}
			}
		}
		run = next
	}
	for best.i > alo && best.j > blo && a[best.i-1] == b[best.j-1] {
		best = block{best.i - 1, best.j - 1, best.n + 1}
	}
	for best.i+best.n < ahi && best.j+best.n < bhi && a[best.i+best.n] == b[best.j+best.n] {
		best.n++
	}
	return best
}

// grouped parts the changes into groups, each with context lines around it.
func grouped(ops []opcode, n int) [][]opcode {
	if len(ops) == 0 {
		return nil
	}
	ops = slices.Clone(ops)
	if f := &ops[0]; f.equal {
		f.i1, f.j1 = max(f.i1, f.i2-n), max(f.j1, f.j2-n)
	}
	if l := &ops[len(ops)-1]; l.equal {
		l.i2, l.j2 = min(l.i2, l.i1+n), min(l.j2, l.j1+n)
	}
	var groups [][]opcode
	var group []opcode
	for _, op := range ops {
		if op.equal && op.i2-op.i1 > 2*n {
			group = append(group, opcode{true, op.i1, min(op.i2, op.i1+n), op.j1, min(op.j2, op.j1+n)})
			groups = append(groups, group)
			group = nil
			op.i1, op.j1 = max(op.i1, op.i2-n), max(op.j1, op.j2-n)
		}
		group = append(group, op)
	}
	if len(group) > 0 && (len(group) > 1 || !group[0].equal) {
		groups = append(groups, group)
	}
	return groups
}
