package wire

// Limits bounds what one message may be, before any memory is taken for it.
// A number that is zero means that of Unauthenticated, so the zero value is safe.
type Limits struct {
	Depth    int // Nested maps and lists; a message that is one map has depth 1.
	Elements int // Values in all: every key, value and item, and the maps and lists themselves.
	Bytes    int // Length of the packed message.

	// UniqueKeys refuses a key that comes twice in an envelope or load: in the outermost
	// map, or in the map under its key "load". Deeper, where no one decides by them, and
	// without UniqueKeys, the last one counts, as in Salt.
	UniqueKeys bool
}

var (
	// Unauthenticated is for peers whose key is not known yet.
	Unauthenticated = Limits{Depth: 8, Elements: 256, Bytes: 64 << 10, UniqueKeys: true}

	// Authenticated is for known peers. The size admits the return of a command
	// that printed 100 MB; connections bound it further.
	Authenticated = Limits{Depth: 64, Elements: 1_000_000, Bytes: 128 << 20, UniqueKeys: true}
)

// orSafe puts the numbers of Unauthenticated where there are none.
func (l Limits) orSafe() Limits {
	if l.Depth <= 0 {
		l.Depth = Unauthenticated.Depth
	}
	if l.Elements <= 0 {
		l.Elements = Unauthenticated.Elements
	}
	if l.Bytes <= 0 {
		l.Bytes = Unauthenticated.Bytes
	}
	return l
}
