package py

// List is Python's list, by reference.
type List struct{ Items []Value }

// NewList makes a list that owns items.
func NewList(items ...Value) *List { return &List{Items: items} }

// Range is Python's range.
type Range struct{ Start, Stop, Step int64 }

// Len is the number of elements.
func (r *Range) Len() int {
	switch {
	case r.Step > 0 && r.Start < r.Stop:
		return int((uint64(r.Stop)-uint64(r.Start)-1)/uint64(r.Step) + 1)
	case r.Step < 0 && r.Start > r.Stop:
		return int((uint64(r.Start)-uint64(r.Stop)-1)/(uint64(-(r.Step+1))+1) + 1)
	}
	return 0
}

func (r *Range) at(i int) int64 { return r.Start + int64(i)*r.Step }

func (r *Range) contains(n int64) bool {
	if r.Step > 0 {
		return n >= r.Start && n < r.Stop && (n-r.Start)%r.Step == 0
	}
	return n <= r.Start && n > r.Stop && (r.Start-n)%(-r.Step) == 0
}
