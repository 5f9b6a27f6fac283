// Package py is Python's object model in Go, as far as templates can see it:
// lists and dicts by reference, dicts in insertion order with any hashable key
// (1 == 1.0 == True), integers without limit, strings by code point, and
// Python's words for everything: str(), repr(), the messages of TypeError.
//
// A [Value] is one of
//
//	nil        None
//	bool       bool
//	int64      int; *big.Int where it does not fit
//	float64    float
//	string     str; [Markup] for str that is marked as safe HTML
//	Bytes      bytes
//	*List      list
//	Tuple      tuple
//	*Dict      dict, and OrderedDict by its Class
//	*Set       set
//	*Range     range
//	*Undefined a name or attribute that is not there
//	Callable   functions and methods
//
// or an object of a program's own that says by the interfaces of object.go what
// it can do. [FromGo] and [ToGo] convert. Operators take a [Thread], which
// carries the limits of one render; nil means none.
//
// Start reading at value.go, then ops.go.
package py
