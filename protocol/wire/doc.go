// Package wire is what masters and minions say to each other: MsgPack values, the
// messages made of them, and the limits under which they are read.
//
// Start with Map (the value every message is), Encode and Decode (codec.go), and
// messages.go. docs/protocol.md tells the same in words.
//
// A decoded value is one of: nil, bool, int64, uint64 (only above the largest
// int64), float64, string, []byte (bytes that are not UTF-8), []any, *Map,
// time.Time (extension 78).
package wire
