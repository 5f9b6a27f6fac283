package systemd

import (
	"context"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"
)

// patience is how long PID 1 may take for an answer.
const patience = 10 * time.Second

// Query asks for a unit. ".service" is added to names without a type.
func Query(ctx context.Context, name string) (*Unit, error) {
	unit, ok := full(name)
	if !ok {
		return nil, ErrAsk
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := connect(ctx)
	if err != nil {
		return nil, ErrAsk
	}
	defer conn.Close()
	p, err := conn.GetUnitPropertiesContext(ctx, unit)
	if err != nil {
		return nil, ErrAsk
	}
	u := &Unit{}
	var well bool
	if u.Load, well = p["LoadState"].(string); !well {
		return nil, ErrAsk
	}
	if u.Active, well = p["ActiveState"].(string); !well {
		return nil, ErrAsk
	}
	u.File, _ = p["UnitFileState"].(string)
	u.Stale, _ = p["NeedDaemonReload"].(bool)
	return u, nil
}

// connect takes the socket that PID 1 keeps for root, since minimal systems have no bus.
func connect(ctx context.Context) (*dbus.Conn, error) {
	if os.Geteuid() == 0 {
		if conn, err := dbus.NewSystemdConnectionContext(ctx); err == nil {
			return conn, nil
		}
	}
	return dbus.NewSystemConnectionContext(ctx)
}
