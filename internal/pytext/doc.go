// Package pytext writes values the way Python's own tools print them: repr and
// str, the json and pprint modules, and PyYAML's safe_dump. Salt's users and
// their scripts read these forms, so gosalt prints the same bytes. ParseJSON reads
// what Python's json module reads.
//
// A value is one of those of protocol/wire: nil, bool, int64, uint64, float64,
// string, []byte, []any, *wire.Map and time.Time; further Ordered, Set and Opaque, for
// what only Python has. Other Go integers, *big.Int and strings are taken as what
// they stand for.
package pytext
