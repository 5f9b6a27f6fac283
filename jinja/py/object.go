package py

// The interfaces below are what an object of a program's own may say about
// itself. Each is optional; what is missing raises Python's TypeError.

// Typed names its class, the module before the last dot.
type Typed interface{ PyType() string }

// Attrs has attributes. A false result means AttributeError.
type Attrs interface {
	Attr(t *Thread, name string) (Value, bool, error)
}

// Indexer has v[key]. A key that is not there is a KeyError or IndexError.
type Indexer interface {
	Item(t *Thread, key Value) (Value, error)
}

// Sized has len(v); without elements it is false.
type Sized interface {
	Len(t *Thread) (int, error)
}

// Iterable can be looped over.
type Iterable interface {
	Iter(t *Thread) (Iterator, error)
}

// Iterator gives the elements one by one; false after the last. An Iterator is a
// Value itself: what filters such as map return.
type Iterator interface {
	Next() (Value, bool, error)
}

// Container answers "in".
type Container interface {
	Contains(t *Thread, v Value) (bool, error)
}

// Mapping is an object that the test "mapping" accepts; Keys lists its keys in order.
type Mapping interface {
	Indexer
	Keys(t *Thread) ([]Value, error)
}

// Callable can be called.
type Callable interface {
	Call(c *Call) (Value, error)
}

// Printer has a text of its own: quoted is true for repr(), false for str().
type Printer interface {
	Print(t *Thread, quoted bool) (string, error)
}

// Equaler compares itself with any value.
type Equaler interface {
	Equal(t *Thread, other Value) (bool, error)
}
