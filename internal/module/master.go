package module

import (
	"context"

	"github.com/gosalt/gosalt/protocol/wire"
)

// Master is a minion's way to its masters, for functions that tell or ask them
// something. Its methods may be called concurrently. A load holds "cmd" and the fields
// that belong to it; who sends it, and the proof of that, is added on the way.
type Master interface {
	// Ask sends a request to one master and returns its answer. name is a master of
	// Names; "" is the one that the job came from, or the first that is connected.
	Ask(ctx context.Context, name string, load *wire.Map) (any, error)
	// Tell sends a request to all masters that are connected, and returns nil when each
	// has taken it. Without one it is an error.
	Tell(ctx context.Context, load *wire.Map) error
	// Names are the masters of this minion as its configuration has them.
	Names() []string
}
