package runners

import (
	"context"
	"slices"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
)

func registerManage(r *module.Registry) {
	module.Register(r, "manage.down", manageDown)
	module.Register(r, "manage.status", manageStatus)
	module.Register(r, "manage.up", manageUp)
	module.Register(r, "manage.versions", manageVersions)
	module.Register(r, "manage.key_regen", manageKeyRegen)
	registerPresence(r)
}

type manageUpArgs struct {
	Tgt              any     `default:"*"`    // Which minions.
	TgtType          string  `default:"glob"` // How tgt is to be read: glob, list, pcre, grain, compound, nodegroup and so on.
	Timeout          float64 `default:"None"` // Seconds to wait for answers; the master's timeout where not given.
	GatherJobTimeout float64 `default:"None"` // Seconds to wait for those that did not answer in that time.
}

type manageStatusArgs struct {
	Output any `default:"True"` // Of no effect, as in Salt.
	manageUpArgs
}

type manageDownArgs struct {
	RemoveKeys bool `arg:"removekeys" default:"False"` // Delete the keys of the minions that do not answer.
	manageUpArgs
}

// manageStatus pings minions, and lists those that answer and those that do not.
//
//	gosalt-run manage.status
//	gosalt-run manage.status tgt=webservers tgt_type=nodegroup
//	gosalt-run manage.status timeout=5 gather_job_timeout=10
func manageStatus(ctx context.Context, c *module.Call, a manageStatusArgs) (*wire.Map, error) {
	up, down, err := ping(ctx, c, a.manageUpArgs)
	if err != nil {
		return nil, err
	}
	return wire.NewMap("up", up, "down", down), nil
}

// manageUp pings minions and lists those that answer.
//
//	gosalt-run manage.up
//	gosalt-run manage.up tgt=webservers tgt_type=nodegroup
func manageUp(ctx context.Context, c *module.Call, a manageUpArgs) ([]any, error) {
	up, _, err := ping(ctx, c, a)
	return up, err
}

// manageDown pings minions and lists those that do not answer. On demand it deletes
// their keys: they have to be accepted anew when they come back.
//
//	gosalt-run manage.down
//	gosalt-run manage.down removekeys=True
//	gosalt-run manage.down tgt=webservers tgt_type=nodegroup
func manageDown(ctx context.Context, c *module.Call, a manageDownArgs) ([]any, error) {
	_, down, err := ping(ctx, c, a.manageUpArgs)
	if err != nil || !a.RemoveKeys {
		return down, err
	}
	own := callOf(ctx)
	accepted, err := own.r.master.Accepted()
	if err != nil {
		return nil, err
	}
	for _, id := range down {
		id := wire.MinionID(id.(string))
		if !slices.Contains(accepted, id) {
			continue // of a list, and without a key
		}
		if err := own.r.master.DeleteKey(id, own.user); err != nil {
			return nil, err
		}
	}
	return down, nil
}

// noMatch is Salt's text for a target that no minion matches.
const noMatch = "No minions matched the target. No command was sent, no jid was assigned."

// ping runs test.ping and parts the minions by whether they returned anything,
// each part sorted. Ids of a list that have no accepted key are down.
func ping(ctx context.Context, c *module.Call, a manageUpArgs) (up, down []any, err error) {
	got, err := callOf(ctx).ask(ctx, Ask{Fun: "test.ping", Target: a.Tgt, Type: a.TgtType,
		Timeout: seconds(a.Timeout), Gather: seconds(a.GatherJobTimeout)})
	if err != nil {
		return nil, nil, err
	}
	all := slices.Concat(got.Asked, got.Missing)
	if len(all) == 0 {
		c.Progress(noMatch)
	}
	slices.Sort(all)
	up, down = []any{}, []any{}
	for _, id := range all {
		if got.Returns[id] != nil {
			up = append(up, string(id))
		} else {
			down = append(down, string(id))
		}
	}
	return up, down, nil
}

type manageKeyRegenArgs struct{}

// manageKeyRegen has all minions that are connected remove their keys, and removes those of
// the master: ALL KEYS ARE NEW AFTER THAT. The master works on with the old ones until it
// is started again; then the minions come with new keys, which have to be accepted.
//
//	gosalt-run manage.key_regen
func manageKeyRegen(ctx context.Context, c *module.Call, _ manageKeyRegenArgs) (string, error) {
	own := callOf(ctx)
	got, err := own.ask(ctx, Ask{Fun: "saltutil.regen_keys", Target: "*", Type: "glob"})
	if err != nil {
		return "", err
	}
	for _, id := range got.Asked {
		if got.Returns[id] == nil {
			own.note("%s did not answer: its own key stays, and it may refuse the master's new one", id)
		}
	}
	if err := own.r.master.ForgetKeys(own.user); err != nil {
		return "", module.Failf("remove the keys: %w", err)
	}
	return "The minion and master keys have been deleted. Restart the master now:\n" +
		"    systemctl restart gosalt-master\n\n" +
		"Then wait for the minions to come back. Their new keys wait to be accepted:\n" +
		"    gosalt-key -A\n\n" +
		"Minions that are not connected now cannot come back by themselves. There, run\n" +
		"    gosalt-call --local saltutil.regen_keys\n" +
		"and restart the minion.", nil
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
