package saltjinja

import (
	"github.com/gosalt/gosalt/jinja/py"
)

// addIter adds Python's itertools. Their results are iterators, made as they are read.
func addIter(t table) {
	t.add("combinations", "iterable, r=?", func(c *py.Call) (py.Value, error) { return choose(c, false) })
	t.add("combinations_with_replacement", "iterable, r=?", func(c *py.Call) (py.Value, error) { return choose(c, true) })
	t.add("permutations", "iterable, r=None", permutations)
	t.add("product", "...", product)
	t.add("compress", "data, selectors", func(c *py.Call) (py.Value, error) {
		data, err := py.Iter(c.T, c.Args[0])
		if err != nil {
			return nil, err
		}
		sel, err := py.Iter(c.T, c.Args[1])
		if err != nil {
			return nil, err
		}
		return py.Generator(func() (py.Value, bool, error) {
			for {
				v, ok, err := data.Next()
				if !ok || err != nil {
					return nil, false, err
				}
				s, ok, err := sel.Next()
				if !ok || err != nil {
					return nil, false, err
				}
				on, err := py.Truth(c.T, s)
				if on || err != nil {
					return v, err == nil, err
				}
			}
		}), nil
	})
	t.add("zip", "...", func(c *py.Call) (py.Value, error) { return zip(c, false) })
	t.add("zip_longest", "...", func(c *py.Call) (py.Value, error) { return zip(c, true) })
}

func whole(c *py.Call, v py.Value) (int, error) {
	n, ok := py.AsInt(v)
	if !ok {
		return 0, undefinedOr(v, py.Raise("TypeError", "'%s' object cannot be interpreted as an integer", py.TypeName(v)))
	}
	if n < 0 {
		return 0, py.Raise("ValueError", "r must be non-negative")
	}
	if n > 10000 {
		return 0, py.Raise("OverflowError", "r is too large: %d", n)
	}
	return int(n), nil
}

func pick(t *py.Thread, pool []py.Value, at []int) (py.Value, bool, error) {
	if err := t.Alloc(16 * len(at)); err != nil {
		return nil, false, err
	}
	out := make(py.Tuple, len(at))
	for i, n := range at {
		out[i] = pool[n]
	}
	return out, true, t.Step()
}

// choose is combinations, with or without replacement.
func choose(c *py.Call, again bool) (py.Value, error) {
	if c.Args[1] == py.Missing {
		name := "combinations"
		if again {
			name += "_with_replacement"
		}
		return nil, py.Raise("TypeError", "%s() missing required argument 'r' (pos 2)", name)
	}
	pool, err := py.Collect(c.T, c.Args[0])
	if err != nil {
		return nil, err
	}
	r, err := whole(c, c.Args[1])
	if err != nil {
		return nil, err
	}
	n := len(pool)
	at := make([]int, r)
	if !again {
		for i := range at {
			at[i] = i
		}
	}
	done := !again && r > n || again && n == 0 && r > 0
	begun := false
	return py.Generator(func() (py.Value, bool, error) {
		if done {
			return nil, false, nil
		}
		if begun {
			i := r - 1
			for ; i >= 0; i-- {
				last := n - 1
				if !again {
					last = i + n - r
				}
				if at[i] != last {
					break
				}
			}
			if i < 0 {
				done = true
				return nil, false, nil
			}
			at[i]++
			for j := i + 1; j < r; j++ {
				at[j] = at[j-1]
				if !again {
					at[j]++
				}
			}
		}
		begun = true
		return pick(c.T, pool, at)
	}), nil
}

func permutations(c *py.Call) (py.Value, error) {
	pool, err := py.Collect(c.T, c.Args[0])
	if err != nil {
		return nil, err
	}
	n := len(pool)
	r := n
	if c.Args[1] != nil {
		if r, err = whole(c, c.Args[1]); err != nil {
			return nil, err
		}
	}
	idx := make([]int, n)
	for i := range idx {
		idx[i] = i
	}
	cycles := make([]int, min(r, n))
	for i := range cycles {
		cycles[i] = n - i
	}
	done, begun := r > n, false
	return py.Generator(func() (py.Value, bool, error) {
		if done {
			return nil, false, nil
		}
		if !begun {
			begun = true
			return pick(c.T, pool, idx[:r])
		}
		for i := r - 1; i >= 0; i-- {
			if cycles[i]--; cycles[i] == 0 {
				first := idx[i]
				copy(idx[i:], idx[i+1:])
				idx[n-1] = first
				cycles[i] = n - i
				continue
			}
			j := n - cycles[i]
			idx[i], idx[j] = idx[j], idx[i]
			return pick(c.T, pool, idx[:r])
		}
		done = true
		return nil, false, nil
	}), nil
}

func product(c *py.Call) (py.Value, error) {
	repeat := 1
	for _, k := range c.Kw {
		if k.Name != "repeat" {
			return nil, py.Raise("TypeError", "product() got an unexpected keyword argument '%s'", k.Name)
		}
		var err error
		if repeat, err = whole(c, k.Value); err != nil {
			return nil, err
		}
	}
	var pools [][]py.Value
	for range repeat {
		for _, a := range c.Args {
			p, err := py.Collect(c.T, a)
			if err != nil {
				return nil, err
			}
			pools = append(pools, p)
		}
	}
	at := make([]int, len(pools))
	done, begun := false, false
	for _, p := range pools {
		done = done || len(p) == 0
	}
	return py.Generator(func() (py.Value, bool, error) {
		if done {
			return nil, false, nil
		}
		if begun {
			i := len(at) - 1
			for ; i >= 0; i-- {
				if at[i]++; at[i] < len(pools[i]) {
					break
				}
				at[i] = 0
			}
			if i < 0 {
				done = true
				return nil, false, nil
			}
		}
		begun = true
		out := make(py.Tuple, len(at))
		for i, n := range at {
			out[i] = pools[i][n]
		}
		if err := c.T.Alloc(16 * len(out)); err != nil {
			return nil, false, err
		}
		return out, true, c.T.Step()
	}), nil
}

func zip(c *py.Call, longest bool) (py.Value, error) {
	var fill py.Value
	for _, k := range c.Kw {
		switch {
		case longest && k.Name == "fillvalue":
			fill = k.Value
		case !longest && k.Name == "strict":
		default:
			name := "zip"
			if longest {
				name = "zip_longest"
			}
			return nil, py.Raise("TypeError", "%s() got an unexpected keyword argument", name)
		}
	}
	its := make([]py.Iterator, len(c.Args))
	for i, a := range c.Args {
		it, err := py.Iter(c.T, a)
		if err != nil {
			return nil, err
		}
		its[i] = it
	}
	open := len(its)
	ended := make([]bool, len(its))
	return py.Generator(func() (py.Value, bool, error) {
		if open == 0 {
			return nil, false, nil
		}
		out := make(py.Tuple, len(its))
		for i, it := range its {
			out[i] = fill
			if ended[i] {
				continue
			}
			v, ok, err := it.Next()
			if err != nil {
				return nil, false, err
			}
			if !ok {
				if !longest {
					open = 0
					return nil, false, nil
				}
				ended[i] = true
				if open--; open == 0 {
					return nil, false, nil
				}
				continue
			}
			out[i] = v
		}
		return out, true, c.T.Step()
	}), nil
}
