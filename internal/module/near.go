package module

// Nearest returns the candidate that a mistyped name most likely meant, or "".
func Nearest(name string, candidates []string) string { return nearest(name, candidates) }

// nearest returns the candidate that a mistyped name most likely meant: the shortest
// that begins with it, else the one with the fewest single-letter edits: at most
// three, and one for each four letters of the name.
func nearest(name string, candidates []string) string {
	best, limit := "", max(1, min(len(name)/4, 3))+1
	for _, c := range candidates { // what was not typed to its end
		if len(name) > 2 && len(c) > len(name) && c[:len(name)] == name && (best == "" || len(c) < len(best)) {
			best = c
		}
	}
	if best != "" {
		return best
	}
	for _, c := range candidates {
		if d := distance(name, c, limit); d < limit {
			best, limit = c, d
		}
	}
	return best
}

// distance counts the insertions, deletions, replacements and swaps of neighbours
// that make a into b; limit or more is not told apart.
func distance(a, b string, limit int) int {
	if abs(len(a)-len(b)) >= limit {
		return limit
	}
	before, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], before[j-2]+1)
			}
		}
		before, prev, cur = prev, cur, before
	}
	return min(prev[len(b)], limit)
}

func abs(n int) int { return max(n, -n) }
