package runners

import (
	"context"

	"github.com/gosalt/gosalt/protocol/wire"
)

// MinionCache is what a master keeps of its minions, beside what is in its job store.
// All methods may be called concurrently.
type MinionCache interface {
	// Match lists the accepted minions that a target means, sorted, by what is known of
	// them here; those of which nothing is known are taken to match.
	Match(ctx context.Context, tgt any, kind string) ([]wire.MinionID, error)
	// Mine reads values of the mine on the master's own behalf.
	Mine(ctx context.Context, tgt, fun any, kind string) (*wire.Map, error)
	// Pillars compiles the pillars of minions.
	Pillars() Pillars
	// ClearMine removes of a minion's mine one value, or all where name is "".
	ClearMine(ctx context.Context, id wire.MinionID, name string) error
}
