package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/inventory/providers"
	"github.com/gosalt/gosalt/master"
	"github.com/gosalt/gosalt/protocol/control"
	"github.com/gosalt/gosalt/protocol/wire"
)

// goneKeys finds the minions whose machine is in no source of the inventory, as they are
// listed now, and that are not connected.
func goneKeys(cfg *config.Master) func(context.Context, []wire.MinionID) (map[wire.MinionID]bool, string, error) {
	if cfg.Inventory.Len() == 0 {
		return nil
	}
	return func(ctx context.Context, ids []wire.MinionID) (map[wire.MinionID]bool, string, error) {
		dial, end := master.SocketDialer(cfg, slog.New(slog.DiscardHandler))
		defer end()
		inv, err := master.OpenInventory(cfg, providers.All(), nil, dial, nil)
		if err != nil {
			return nil, "", err
		}
		defer inv.Close()
		wrong, err := inv.RefreshAll(ctx, "")
		if err != nil {
			return nil, "", err
		}
		here, err := connected(ctx, cfg)
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("which minions are connected is not known: %v", err))
		}
		gone := map[wire.MinionID]bool{}
		for _, id := range ids {
			exists, sure, err := inv.Exists(ctx, string(id))
			if err != nil {
				return nil, "", err
			}
			if !sure && len(wrong) == 0 {
				wrong = append(wrong, "a source of the inventory was not listed whole")
			}
			gone[id] = !exists && !here[id]
		}
		if len(wrong) > 0 {
			return gone, "this is not to be relied on: " + strings.Join(wrong, "; "), nil
		}
		return gone, "", nil
	}
}

// connected asks a running master which minions are connected; none are where none runs.
func connected(ctx context.Context, cfg *config.Master) (map[wire.MinionID]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	c, err := control.Dial(ctx, cfg.ControlSocket)
	if err != nil {
		return nil, fmt.Errorf("no master runs: %w", err)
	}
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(30 * time.Second))
	if err := c.Send(wire.NewMap("op", control.OpRunner, "fun", "manage.present", "arg", []any{})); err != nil {
		return nil, err
	}
	for {
		f, err := c.Recv()
		if err != nil {
			return nil, err
		}
		switch f.Text("kind") {
		case control.KindResult:
			here := map[wire.MinionID]bool{}
			for _, v := range f.List("return") {
				if s, ok := v.(string); ok {
					here[wire.MinionID(s)] = true
				}
			}
			return here, nil
		case control.KindError:
			e, err := wire.ErrorFromMap(f.Map("error"))
			if err != nil {
				return nil, err
			}
			return nil, e
		case control.KindEnd:
			return nil, errors.New("the master does not say")
		}
	}
}
