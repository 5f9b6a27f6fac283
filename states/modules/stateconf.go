package modules

import (
	"context"

	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("stateconf.set", stateconfSet)
	register("stateconf.context", stateconfSet)
}

type stateconfArgs struct {
	Name   string    // Anything.
	Kwargs *wire.Map `arg:"**"` // Settings that templates of the stateconf renderer see.
}

// stateconfSet holds settings for the stateconf renderer, and is a place for requisites;
// it does nothing.
func stateconfSet(context.Context, *states.Call, stateconfArgs) (*states.Plan, error) {
	return &states.Plan{}, nil
}
