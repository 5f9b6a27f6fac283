package runners

import (
	"context"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
)

func (r *Runners) registerManage() {
	module.Register(r.reg, "manage.status", r.manageStatus)
	module.Register(r.reg, "manage.up", r.manageUp)
	module.Register(r.reg, "manage.down", r.manageDown)
}

type manageArgs struct {
	Tgt              any     `default:"*"`    // Which minions.
	TgtType          string  `default:"glob"` // How tgt is to be read.
	Timeout          float64 `default:"None"` // Seconds to wait for answers; the master's timeout where not given.
	GatherJobTimeout float64 `default:"None"` // Seconds to wait for those that did not answer.
}

// manageStatus lists the minions that answer and those that do not.
//
// CLI Example:
//
//	gosalt-run manage.status
//	gosalt-run manage.status tgt='web*'
func (r *Runners) manageStatus(ctx context.Context, c *module.Call, a manageArgs) (*wire.Map, error) {
	up, down, err := r.ping(ctx, a)
	if err != nil {
		return nil, err
	}
	return wire.NewMap("up", up, "down", down), nil
}

// manageUp lists the minions that answer.
//
// CLI Example:
//
//	gosalt-run manage.up
func (r *Runners) manageUp(ctx context.Context, c *module.Call, a manageArgs) ([]any, error) {
	up, _, err := r.ping(ctx, a)
	return up, err
}

// manageDown lists the minions that do not answer.
//
// CLI Example:
//
//	gosalt-run manage.down
func (r *Runners) manageDown(ctx context.Context, c *module.Call, a manageArgs) ([]any, error) {
	_, down, err := r.ping(ctx, a)
	return down, err
}

// ping runs test.ping and parts the minions by whether they answered.
func (r *Runners) ping(ctx context.Context, a manageArgs) (up, down []any, err error) {
	got, err := r.master.Ask(ctx, Ask{Fun: "test.ping", Target: a.Tgt, Type: a.TgtType, User: userOf(ctx),
		Timeout: time.Duration(a.Timeout * float64(time.Second)), Gather: time.Duration(a.GatherJobTimeout * float64(time.Second))})
	if err != nil {
		return nil, nil, err
	}
	up, down = []any{}, []any{}
	for _, id := range got.Asked {
		if got.Returns[id] != nil {
			up = append(up, string(id))
		} else {
			down = append(down, string(id))
		}
	}
	return up, down, nil
}
